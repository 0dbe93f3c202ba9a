"""Alerts: from what a device says, or does not say, to what somebody hears; through the API, with real receivers."""
import json
import re
import time
import uuid

import parentlib
import pytest
import wireclient
from parentlib import wait_until
from smtpsink import SmtpSink, parsed


@pytest.fixture(scope="module")
def p(workdir, system_users, programs):
    """A parent of this file alone, whose clock can be put forward."""
    d = parentlib.folder(workdir, "alerts")
    db = parentlib.Postgres(d).start()
    parent = parentlib.Parent(d, db, programs, {"alert.webhook_networks": "127.0.0.0/8"})
    parent.clock = f"{d}/clock"
    set_clock(parent, 0)
    parent.env = {"INARI_CLOCK_FILE": parent.clock}
    parent.start(env=parent.env)
    yield parent
    for m in (parent, db):
        m.end(15 if m is parent else 2)
        m.check_sanitizers()


def set_clock(p, seconds):
    with open(p.clock, "w") as f:
        f.write(str(seconds))
    p.ahead = seconds


def later(p, seconds):
    """The parent's clock goes on, and the parent looks."""
    set_clock(p, p.ahead + seconds)
    p.postgres.psql("SELECT pg_notify('inari_change', '')")


@pytest.fixture(scope="module")
def api(p):
    return p.token()


@pytest.fixture
def sink():
    s = SmtpSink()
    yield s
    s.close()


@pytest.fixture(autouse=True)
def nothing_left(p, api):
    """Channels and rules of a test go with it."""
    yield
    for kind in ("alert-channels", "alert-rules"):
        for x in api.ok("GET", f"/{kind}?limit=500")["items"]:
            if not x.get("builtin"):
                delete(api, f"/{kind}/{x['id']}")
    for x in api.ok("GET", "/alert-silences?state=active")["items"]:
        delete(api, f"/alert-silences/{x['id']}")


def delete(api, url):
    assert api.delete(url, headers={"If-Match": api.get(url).headers["ETag"]}).status_code == 204


def name(what):
    return f"{what}-{uuid.uuid4().hex[:6]}"


def make_device(p, api, **kw):
    d = wireclient.Device(p.base, p.ca, name("mx"), **kw)
    d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "alerts"})["join"])
    d.fetch()
    assert d.put_status().status_code == 204
    return d


def condition(d, kind, bad, message="a message"):
    polarity = kind in ("Drifted", "Held", "Frozen", "Quarantined", "Drained", "Churning")
    status = "True" if bad == polarity else "False"
    doc = d.status(conditions=[{"type": kind, "status": status, "reason": "Test", "message": message, "since": "2026-11-22T00:00:00Z"}])
    assert d.put_status(doc).status_code == 204


def mail_channel(api, sink, **kw):
    config = {"host": sink.host, "port": sink.port, "from": "inari@example.test", "to": ["ops@example.test"], **kw.pop("config", {})}
    return api.ok("POST", "/alert-channels", {"name": name("mail"), "kind": "mail", "config": config, "fallback": False, **kw})


def rule(api, channels, device=None, **kw):
    """About one device alone unless said otherwise, without any waiting."""
    return api.ok("POST", "/alert-rules", {
        "name": name("rule"), "kind": "device-condition", "parameters": {"condition": "Churning"}, "for_s": 0, "clear_s": 0,
        "group_wait_s": 0, "group_interval_s": 0, "channels": channels, **({"scope": {"kind": "device", "id": device.name}} if device else {}), **kw})


def alerts(api, r, state="open"):
    return api.ok("GET", f"/alerts?rule={r['name']}&state={state}")["items"]


def wait_alert(api, r, state, timeout=25):
    return wait_until(lambda: alerts(api, r, state), f"an alert of {r['name']} to be {state}", timeout, every=0.1)[0]


def wait_mails(sink, n, timeout=25):
    wait_until(lambda: len(sink.mails) >= n, f"{n} mails", timeout)
    return sink.mails


def test_built_in_rules_need_no_channel(p, api):
    d = make_device(p, api)
    rules = {r["name"]: r for r in api.ok("GET", "/alert-rules?limit=100")["items"]}
    assert {"device-late", "device-not-in-sync", "device-drifted", "device-clock", "device-storage", "rollout-halted", "parent-certificate",
            "parent-database"} <= set(rules)
    assert all(r["enabled"] and r["builtin"] for r in rules.values())
    condition(d, "StorageOk", True, "the disk is full")
    a = wait_alert(api, rules["device-storage"], "firing")
    assert (a["name"], a["device"], a["severity"], a["told"]) == (d.name, d.id, "critical", "nothing")
    assert d.name in a["text"] and "the disk is full" in a["text"]
    ja = api.ok("GET", f"/alerts/{a['id']}", headers={"Accept-Language": "ja"})["text"]
    assert "ストレージ" in ja and "the disk is full" in ja
    p.stop()
    p.start(env=p.env)  # it is kept
    assert api.ok("GET", f"/alerts/{a['id']}")["state"] == "firing"
    condition(d, "StorageOk", False)
    wait_until(lambda: api.ok("GET", f"/alerts/{a['id']}")["clear_at"], "it to be seen", 25)
    later(p, 61)  # clear_s of the rule
    wait_until(lambda: api.ok("GET", f"/alerts/{a['id']}")["state"] == "resolved", "it to be over", 40)


def test_a_mail_when_it_fires_and_one_when_it_is_over(p, api, sink):
    d = make_device(p, api)
    r = rule(api, [mail_channel(api, sink)["name"]], d)
    condition(d, "Churning", True, "answers differ")
    a = wait_alert(api, r, "firing")
    mail = wait_mails(sink, 1)[0]
    assert mail["from"].split(" ")[0:2] == ["MAIL", "FROM:<>"], mail["from"]
    assert mail["to"] == ["RCPT TO:<ops@example.test>"]
    assert b"\n" not in mail["data"].replace(b"\r\n", b"") and b"\r" not in mail["data"].replace(b"\r\n", b"")
    m = parsed(mail)
    assert m["Auto-Submitted"] == "auto-generated" and m["Date"] and m["From"].addresses[0].addr_spec == "inari@example.test"
    assert d.name in m["Subject"] and "answers differ" in m.get_content()
    notice = api.ok("GET", f"/alert-notices?rule={r['name']}")["items"][0]
    assert m["Message-ID"] == f"<{notice['id']}@localhost>"
    wait_until(lambda: api.ok("GET", f"/alert-notices/{notice['id']}")["state"] == "sent", "it to be noted")
    condition(d, "Churning", False)
    wait_until(lambda: api.ok("GET", f"/alerts/{a['id']}")["state"] == "resolved", "it to be over", 25)
    assert "over: " in parsed(wait_mails(sink, 2)[1])["Subject"]
    assert len(sink.mails) == 2
