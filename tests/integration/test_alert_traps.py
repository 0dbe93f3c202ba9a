"""Alerts as SNMP notifications: a real snmptrapd takes them, with the names of docs/mib/INARI-MIB.txt."""
import json
import os
import subprocess
import time

import pytest
from parentlib import wait_until
from test_alerts_api import api, condition, later, make_device, name, nothing_left, p, rule, wait_alert  # noqa: F401
from trapsink import SOURCE, TrapSink, free_port, tools_env

AUTH, PRIV, COMMUNITY = "auth-words-9f3", "priv-words-7c1", "community-words-5d2"


@pytest.fixture
def folder(workdir):
    d = f"{workdir}/{name('traps')}"
    os.mkdir(d)
    return d


@pytest.fixture
def sinks():
    made = []
    yield made
    for s in made:
        s.close()


def channel(api, port, host="127.0.0.1", version="v3", secrets=None, **config):
    v3 = version == "v3"
    return api.ok("POST", "/alert-channels", {
        "name": name("snmp"), "kind": "snmp", "fallback": False, "config": {"host": host, "port": port, "version": version, **({"user": "inari"} if v3 else {}), **config},
        "secrets": secrets or ({"auth_password": AUTH, "priv_password": PRIV} if v3 else {"community": COMMUNITY})})


def test_the_mib_is_well_formed_and_knows_every_event(folder):
    mibs = f"{SOURCE}/tests/data/mibs"
    lint = subprocess.run(["smilint", "-c", "/dev/null", "-s", "-l", "4", "-p", f"{mibs}/SNMPv2-SMI.txt", "-p", f"{mibs}/SNMPv2-TC.txt", "-p", f"{mibs}/SNMPv2-CONF.txt",
                           f"{SOURCE}/docs/mib/INARI-MIB.txt"], capture_output=True, text=True)
    said = [line for line in (lint.stdout + lint.stderr).splitlines() if "INARI-MIB" in line]
    assert lint.returncode == 0 and said == [], lint.stdout + lint.stderr
    for number, word in ((1, "inariDeviceLate"), (101, "inariConditionDrifted"), (203, "inariFigureDeferredPercent"), (98, "inariTest")):
        found = subprocess.run(["snmptranslate", f"1.3.6.1.4.1.8072.9999.9999.4627.0.{number}"], env=tools_env(folder), capture_output=True, text=True)
        said = [line for line in found.stderr.splitlines() if not line.startswith("Created directory")]
        assert found.stdout.strip() == f"INARI-MIB::{word}" and said == []


@pytest.mark.parametrize("version,inform", [("v2c", False), ("v2c", True), ("v3", False), ("v3", True)])
def test_each_event_has_its_trap(p, api, folder, sinks, version, inform):
    d = make_device(p, api)
    c = channel(api, free_port("127.0.0.1"), version=version, inform=inform)
    sink = TrapSink(folder, community=COMMUNITY, users=[("inari", AUTH, PRIV, c["engine_id"])])
    sinks.append(sink)
    api.change(f"/alert-channels/{c['id']}", {"config": {"port": sink.port}})
    r = rule(api, [c["name"]], d, severity="critical")
    condition(d, "Churning", True, "応答 differ")
    a = wait_alert(api, r, "firing")
    t = wait_until(lambda: sink.traps, "a notification", 25)[0]
    assert (t["snmpTrapOID"], t["inariAlertRule"], t["inariAlertState"], t["inariAlertSeverity"]) == ("inariConditionChurning", r["name"], "firing", "critical")
    assert (t["inariAlertDevice"], t["inariAlertId"], t["inariAlertText"]) == (d.name, a["id"], a["text"])
    assert t["inariAlertSince"].startswith(f"{int(a['since'][:4])}-{int(a['since'][5:7])}-{int(a['since'][8:10])},{int(a['since'][11:13])}:{int(a['since'][14:16])}:{int(a['since'][17:19])}.")
    notice = api.ok("GET", f"/alert-notices?rule={r['name']}")["items"][0]
    assert t["inariAlertNotice"] == notice["id"] and t["inariAlertParent"].startswith("https://")
    wait_until(lambda: api.ok("GET", f"/alert-notices/{notice['id']}")["state"] == "sent", "it to be noted")
    condition(d, "Churning", False)
    wait_until(lambda: len(sink.traps) >= 2, "the end", 25)
    assert (sink.traps[1]["inariAlertState"], sink.traps[1]["inariAlertId"]) == ("resolved", a["id"]) and len(sink.traps) == 2
    said = api.ok("POST", f"/alert-channels/{c['name']}/test", {})
    wait_until(lambda: len(sink.traps) >= 3, "the test", 10)
    assert said["ok"] and (sink.traps[2]["snmpTrapOID"], sink.traps[2]["inariAlertState"]) == ("inariTest", "test")
    assert ("acknowledged by the receiver" if inform else "not acknowledged") in said["steps"][-1]["detail"]


def test_value_threshold_and_a_number_of_ones_own(p, api, folder, sinks):
    sink = TrapSink(folder, community=COMMUNITY)
    sinks.append(sink)
    d = make_device(p, api)
    c = channel(api, sink.port, version="v2c", root="1.3.6.1.4.1.8072.9999.9999.4627")
    r = rule(api, [c["name"]], d, kind="figure", parameters={"figure": "queue", "over": 100})
    p.postgres.psql(f"INSERT INTO figure (device_id, step_s, at, queue, queue_max, gauge_at) VALUES ('{d.id}', 60, date_trunc('minute', now() + interval '{p.ahead} s'),"
                    " '{100,20,3,0,0}', '{100,20,3,0,0}', now())", user="inari")
    p.postgres.psql("SELECT pg_notify('inari_change', '')")
    wait_alert(api, r, "firing")
    t = wait_until(lambda: sink.traps, "a notification", 25)[0]
    assert (t["snmpTrapOID"], t["inariAlertValue"], t["inariAlertThreshold"]) == ("inariFigureQueue", "123", "100")
    api.change(f"/alert-rules/{r['name']}", {"trap": 4711})
    api.change(f"/alert-channels/{c['id']}", {"config": {"root": "1.3.6.1.4.1.32473.1"}})
    p.postgres.psql(f"DELETE FROM figure WHERE device_id = '{d.id}'", user="inari")
    p.postgres.psql("SELECT pg_notify('inari_change', '')")
    wait_until(lambda: "enterprises.32473.1.0.4711" in sink.log(), "the site's own number", 25)
    assert "enterprises.32473.1.1.3.0 = 3" in sink.log()


def test_what_is_wrong_is_said(p, api, folder, sinks):
    six = TrapSink(folder, "::1", community=COMMUNITY, users=[("inari", AUTH, PRIV, None)])
    sinks.append(six)
    c = channel(api, six.port, "::1")
    at = f"/alert-channels/{c['id']}"

    def tried():
        return api.ok("POST", f"{at}/test", {})
    assert tried()["ok"] and len(six.traps) == 1
    api.change(at, {"secrets": {"auth_password": "another-password"}})
    said = tried()
    assert not said["ok"] and "Authentication failure" in said["problem"]
    api.change(at, {"secrets": {"auth_password": AUTH}})
    assert tried()["ok"] and len(six.traps) == 2  # nothing stays behind of the wrong one
    api.change(at, {"config": {"user": "nobody"}})
    said = tried()
    assert not said["ok"] and "Unknown user name" in said["problem"]
    api.change(at, {"config": {"version": "v2c", "user": None}, "secrets": {"auth_password": None, "priv_password": None, "community": "wrong"}})
    said = tried()
    assert not said["ok"] and "Timeout" in said["problem"]
    api.change(at, {"config": {"host": "169.254.169.254"}})
    said = tried()
    assert not said["ok"] and "may not be reached" in said["problem"] and [s["step"] for s in said["steps"]] == ["address"]
    assert len(six.traps) == 2
    shown = json.dumps([api.ok("GET", at), api.ok("GET", "/audit?limit=50")]) + p.log() + str(p.postgres.psql("SELECT * FROM alert_channel"))
    for secret in (AUTH, PRIV, COMMUNITY, "another-password"):
        assert secret not in shown and secret.encode().hex() not in shown


def test_what_is_refused_names_the_field(p, api):
    good = {"host": "127.0.0.1", "user": "inari"}
    v3 = {"auth_password": AUTH, "priv_password": PRIV}
    for config, secrets, pointer in (
            ({"host": "a/b"}, v3, "/config/host"), ({"user": None}, v3, "/config/user"), ({"version": "v2c"}, {"community": "x"}, "/config/user"),
            ({"root": "1.3.6.1"}, v3, "/config/root"), ({"root": "1.3.6.1.4.1."}, v3, "/config/root"), ({"root": "1.3.6.1.x"}, v3, "/config/root"),
            ({"root": "1.3.6.1.4294967296"}, v3, "/config/root"), ({"port": 65536}, v3, "/config/port"), ({"url": "https://x/"}, v3, "/config/url"),
            ({}, {"auth_password": AUTH}, "/secrets/priv_password"), ({}, {**v3, "auth_password": "short"}, "/secrets/auth_password"),
            ({}, {**v3, "community": "x"}, "/secrets/community"), ({"version": "v2c", "user": None}, {}, "/secrets/community")):
        r = api.post("/alert-channels", data=json.dumps({"name": name("c"), "kind": "snmp", "config": {**good, **config}, "secrets": secrets}), headers={"Content-Type": "application/json"})
        assert r.status_code == 422 and pointer in r.text, (config, secrets, r.text)


@pytest.mark.slow
def test_five_tries_then_given_up(p, api, folder, sinks):
    """Nobody listens: the notice waits, is tried again and then given up, like a mail; later it is sent."""
    d = make_device(p, api)
    port = free_port("127.0.0.1")
    c = channel(api, port)
    r = rule(api, [c["name"]], d)
    condition(d, "Churning", True)
    wait_alert(api, r, "firing")

    def notice():
        return api.ok("GET", f"/alert-notices?rule={r['name']}")["items"][0]
    for n in range(1, 6):
        wait_until(lambda n=n: api.ok("GET", f"/alert-notices?rule={r['name']}")["items"] and notice()["tries"] == n
                   and notice()["state"] in ("queued", "dead"), f"try {n}", 40, every=0.1)
        assert notice()["state"] == ("dead" if n == 5 else "queued") and "Timeout" in notice()["problem"]
        later(p, 1801)
    assert any("alert.given_up" in line and "level=error" in line for line in p.log().splitlines() if notice()["id"] in line)
    sink = TrapSink(folder, users=[("inari", AUTH, PRIV, None)])
    sinks.append(sink)
    api.change(f"/alert-channels/{c['id']}", {"config": {"port": sink.port}})
    api.ok("POST", f"/alert-notices/{notice()['id']}/retry", {})
    p.postgres.psql("SELECT pg_notify('inari_change', '')")
    wait_until(lambda: sink.traps, "it", 25)
    wait_until(lambda: notice()["state"] == "sent", "it to be noted")


@pytest.mark.slow
def test_a_storm_is_bounded(p, api, folder, sinks):
    d = make_device(p, api)
    sink = TrapSink(folder, community=COMMUNITY)
    sinks.append(sink)
    group = api.ok("POST", "/groups", {"name": name("storm")})
    columns = "state, mode, placement, jwk, enc_jwk, fingerprint"
    r = rule(api, [channel(api, sink.port, version="v2c")["name"]], kind="device-late", parameters={"late_s": 3000}, scope={"kind": "group", "id": group["name"]}, group_wait_s=5)
    p.postgres.psql(f"""WITH made AS (INSERT INTO device (id, name, kid, {columns}) SELECT gen_random_uuid(), 'flood-' || lpad(n::text, 3, '0'), 'flood-' || n,
                        {columns} FROM device, generate_series(1, 130) n WHERE id = '{d.id}' RETURNING id),
                        seen AS (INSERT INTO presence SELECT id, now() - interval '1 day' FROM made) INSERT INTO device_member SELECT id, '{group['id']}' FROM made""", user="inari")
    p.postgres.psql("SELECT pg_notify('inari_change', '')")
    began = time.monotonic()
    wait_until(lambda: len(sink.traps) >= 101, "100 and one more", 40)
    late, more = sink.traps[:100], sink.traps[100]
    assert {t["snmpTrapOID"] for t in late} == {"inariDeviceLate"} and len({t["inariAlertDevice"] for t in late}) == 100 and {t["inariAlertThreshold"] for t in late} == {"3000"}
    assert (more["snmpTrapOID"], more["inariAlertValue"]) == ("inariMore", "30") and time.monotonic() - began < 40
    assert api.ok("GET", f"/alert-notices?rule={r['name']}")["items"][0]["counts"]["firing"] == 130
    p.postgres.psql("DELETE FROM device WHERE name LIKE 'flood-%'", user="inari")
