"""Alerts: from what a device says, or does not say, to what somebody hears; through the API, with real receivers."""
import hashlib
import hmac
import json
import re
import time
import uuid

import hooksink
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


class Device(wireclient.Device):
    """Whose clock goes with the parent's."""

    def claims(self, **members):
        now = int(time.time()) + self.parent.ahead
        return {**super().claims(), "iat": now, "exp": now + 60, **members}


def make_device(p, api):
    d = Device(p.base, p.ca, name("mx"))
    d.parent = p
    d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "alerts"})["join"])
    d.fetch()
    assert d.put_status().status_code == 204
    return d


def condition(d, kind, bad, message="a message"):
    d.access = None
    polarity = kind in ("Drifted", "Held", "Frozen", "Quarantined", "Drained", "Churning", "EventsBehind", "EventsDropped")
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


@pytest.mark.slow
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


@pytest.mark.parametrize("charset", ["utf-8", "iso-2022-jp"])
def test_japanese_subjects_and_no_second_header(p, api, sink, charset):
    d = make_device(p, api)
    r = rule(api, [mail_channel(api, sink, lang="ja", config={"charset": charset})["name"]], d)
    words = "キュー mail queue が full です、東京 MX-1 の Postfix 3.7 を確認してください"
    condition(d, "Churning", True, words + "\r\nBcc: evil@example.test\r\n\r\nX")
    wait_alert(api, r, "firing")
    mail = wait_mails(sink, 1)[0]
    data = mail["data"]
    assert b"\n" not in data.replace(b"\r\n", b"") and b"\r" not in data.replace(b"\r\n", b"")
    assert max(len(line) for line in data.split(b"\r\n")) <= 998 and all(b < 128 for b in data)
    m = parsed(mail)
    assert words in re.sub(r"\s+", " ", m["Subject"]) and m["Subject"].startswith("[Inari 警告] ")
    assert m["Bcc"] is None and mail["to"] == ["RCPT TO:<ops@example.test>"]
    assert m.get_content_charset() == charset and words in m.get_content() and "発生 (1)" in m.get_content()
    raw = data.split(b"\r\n\r\n")[0].decode()
    subject = re.search(r"^Subject: (.*(?:\r\n[ \t].*)*)", raw, re.M).group(1)
    coded = re.findall(r"=\?[^?]+\?[BbQq]\?[^?]*\?=", subject)
    assert coded and all(len(w) <= 75 and w.lower().startswith(f"=?{charset}?") for w in coded)
    assert all(len(line) <= 78 for line in subject.split("\r\n"))


@pytest.mark.slow
def test_five_tries_then_given_up(p, api, sink):
    d = make_device(p, api)
    r = rule(api, [mail_channel(api, sink)["name"]], d)
    sink.mode = "refuse"
    condition(d, "Churning", True)
    wait_alert(api, r, "firing")

    def notice():
        return api.ok("GET", f"/alert-notices?rule={r['name']}")["items"][0]
    for n in range(1, 6):
        wait_until(lambda n=n: api.ok("GET", f"/alert-notices?rule={r['name']}")["items"] and notice()["tries"] == n
                   and notice()["state"] in ("queued", "dead"), f"try {n}", 30, every=0.1)
        assert notice()["state"] == ("dead" if n == 5 else "queued") and "554" in notice()["problem"]
        later(p, 1801)
    later(p, 86400)
    time.sleep(6)  # a look
    assert sink.tries == 5 and notice()["state"] == "dead" and sink.mails == []
    log = [line for line in p.log().splitlines() if notice()["id"] in line]
    assert len(log) == 5 and ["level=error" in line for line in log].count(True) == 1
    assert sum("alert.given_up" in line for line in log) == 1 and sum("alert.not_sent" in line for line in log) == 4
    channel = [c for c in api.ok("GET", "/alert-channels?limit=100")["items"] if c["dead"]]
    assert len(channel) == 1
    sink.mode = "take"
    api.ok("POST", f"/alert-notices/{notice()['id']}/retry", {})
    p.postgres.psql("SELECT pg_notify('inari_change', '')")
    wait_mails(sink, 1)
    wait_until(lambda: notice()["state"] == "sent", "it to be noted")


@pytest.mark.slow
def test_it_fires_once_it_held_long_enough(p, api, sink):
    d = make_device(p, api)
    r = rule(api, [mail_channel(api, sink)["name"]], d, for_s=600, clear_s=600)
    condition(d, "Churning", True)
    wait_alert(api, r, "pending")
    condition(d, "Churning", False)
    wait_until(lambda: not alerts(api, r), "it to have been nothing", 25)
    condition(d, "Churning", True)
    wait_alert(api, r, "pending")
    assert sink.mails == []
    later(p, 601)
    a = wait_alert(api, r, "firing")
    wait_mails(sink, 1)
    condition(d, "Churning", False)
    wait_until(lambda: api.ok("GET", f"/alerts/{a['id']}")["clear_at"], "it to be seen", 25)
    condition(d, "Churning", True)  # it flaps: still the same alert
    wait_until(lambda: not api.ok("GET", f"/alerts/{a['id']}")["clear_at"], "it to be seen", 25)
    assert api.ok("POST", f"/alerts/{a['id']}/ack", {"reason": "known"})["acked_by"]
    condition(d, "Churning", False)
    wait_until(lambda: api.ok("GET", f"/alerts/{a['id']}")["clear_at"], "it to be seen", 25)
    later(p, 601)
    wait_until(lambda: api.ok("GET", f"/alerts/{a['id']}")["state"] == "resolved", "it to be over", 25)
    assert len(wait_mails(sink, 2)) == 2
    assert api.post(f"/alerts/{a['id']}/ack", data="{}", headers={"Content-Type": "application/json"}).status_code == 409


@pytest.mark.slow
def test_three_hundred_silent_devices_are_one_mail(p, api, sink):
    d = make_device(p, api)
    group = api.ok("POST", "/groups", {"name": name("storm")})
    columns = "state, mode, placement, jwk, enc_jwk, fingerprint"
    p.postgres.psql(f"""WITH made AS (INSERT INTO device (id, name, kid, {columns}) SELECT gen_random_uuid(), 'storm-' || lpad(n::text, 3, '0'), 'storm-' || n,
                        {columns} FROM device, generate_series(1, 300) n WHERE id = '{d.id}' RETURNING id),
                        seen AS (INSERT INTO presence SELECT id, now() + interval '{p.ahead} s' FROM made) INSERT INTO device_member SELECT id, '{group['id']}' FROM made""", user="inari")
    r = rule(api, [mail_channel(api, sink)["name"]], kind="device-late", parameters={"late_s": 3000}, scope={"kind": "group", "id": group["name"]},
             group_wait_s=10, group_interval_s=3600)
    p.postgres.psql("UPDATE presence SET seen_at = now() - interval '1 day' WHERE device_id IN (SELECT id FROM device WHERE name LIKE 'storm-0%')", user="inari")
    wait_until(lambda: api.ok("GET", f"/alert-rules/{r['name']}")["firing"] == 99, "the first to fire", 40)
    p.postgres.psql("UPDATE presence SET seen_at = now() - interval '1 day' WHERE device_id IN (SELECT id FROM device WHERE name LIKE 'storm-%')", user="inari")
    p.postgres.psql("SELECT pg_notify('inari_change', '')")
    mail = wait_mails(sink, 1, 40)[0]
    wait_until(lambda: api.ok("GET", f"/alert-rules/{r['name']}")["firing"] == 300, "all to fire", 40)
    m = parsed(mail)
    listed = len(set(re.findall(r"storm-\d{3}", m.get_content())))
    assert f"{listed} new" in m["Subject"] and listed >= 99
    if listed < 300:  # the rest comes with the next notice of the rule, not one by one
        later(p, 3601)
        listed += len(set(re.findall(r"storm-\d{3}", parsed(wait_mails(sink, 2, 40)[1]).get_content())))
    assert listed == 300 and len(sink.mails) <= 2
    p.postgres.psql("DELETE FROM device WHERE name LIKE 'storm-%'", user="inari")


@pytest.mark.slow
def test_a_silence_hides_notices_and_its_end_tells(p, api, sink):
    d = make_device(p, api)
    r = rule(api, [mail_channel(api, sink)["name"]], d)
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + p.ahead + 3600))
    assert api.post("/alert-silences", data=json.dumps({"reason": "x"}), headers={"Content-Type": "application/json"}).status_code == 422
    assert api.post("/alert-silences", data=json.dumps({"ends_at": until}), headers={"Content-Type": "application/json"}).status_code == 422
    s = api.ok("POST", "/alert-silences", {"device": d.name, "reason": "maintenance", "ends_at": until})
    assert (s["state"], s["device"]["name"], s["author"] != "") == ("active", d.name, True)
    condition(d, "Churning", True)
    a = wait_alert(api, r, "firing")
    assert a["silenced"] and a["told"] == "nothing"
    time.sleep(3)
    assert sink.mails == [] and api.ok("GET", f"/alert-notices?rule={r['name']}")["items"] == []
    later(p, 3601)
    assert d.name in parsed(wait_mails(sink, 1, 40)[0])["Subject"]
    assert api.ok("GET", f"/alert-silences/{s['id']}")["state"] == "over"


@pytest.mark.slow
def test_killed_between_sending_and_noting(p, api, sink):
    d = make_device(p, api)
    r = rule(api, [mail_channel(api, sink)["name"]], d)
    p.stop()
    p.start(env={**p.env, "INARI_ALERT_DIE": "sent"})
    condition(d, "Churning", True)
    wait_until(lambda: not p.alive(), "it to die", 60)
    assert len(sink.mails) == 1
    p.start(env=p.env)
    later(p, 121)
    wait_mails(sink, 2, 60)
    assert parsed(sink.mails[0])["Message-ID"] == parsed(sink.mails[1])["Message-ID"] and sink.mails[0]["data"] == sink.mails[1]["data"]
    notice = api.ok("GET", f"/alert-notices?rule={r['name']}")["items"]
    assert len(notice) == 1
    wait_until(lambda: api.ok("GET", f"/alert-notices/{notice[0]['id']}")["state"] == "sent", "it to be noted")
    later(p, 121)
    time.sleep(6)
    assert len(sink.mails) == 2
    said = [line for line in p.log().splitlines() if notice[0]["id"] in line]
    assert not [line for line in said if "level=error" in line or "level=warn" in line], said  # it was sent, after all


@pytest.mark.slow
def test_two_parents_send_once(p, api, sink, workdir, programs):
    d = make_device(p, api)
    second = parentlib.Parent(parentlib.folder(workdir, "alerts-second"), p.postgres, programs, {"alert.webhook_networks": "127.0.0.0/8"}, name="second")
    second.configure()
    parentlib.shutil.copytree(p.state, second.state, dirs_exist_ok=True)
    parentlib.subprocess.run(["chown", "-R", "inari:inari", second.state], check=True)
    second.start(env=p.env)
    try:
        rules = [rule(api, [mail_channel(api, sink)["name"]], d) for _ in range(3)]
        condition(d, "Churning", True)
        for r in rules:
            wait_alert(api, r, "firing", 40)
        wait_mails(sink, 3, 40)
        time.sleep(7)
        assert len(sink.mails) == 3 and len({parsed(m)["Message-ID"] for m in sink.mails}) == 3
    finally:
        second.stop()


def test_the_smart_host_may_be_ipv6_and_the_button_says_each_step(p, api):
    six = SmtpSink("::1")
    try:
        c = mail_channel(api, six)
        said = api.ok("POST", f"/alert-channels/{c['name']}/test", {})
        assert said["ok"] and said["problem"] is None
        steps = [(s["step"], s["detail"]) for s in said["steps"]]
        assert ("connect", "::1") in steps and any("MAIL FROM:<>" in text for _, text in steps) and steps[-1][0] == "taken"
        assert "test" in parsed(six.mails[0])["Subject"]
        six.mode = "refuse"
        said = api.ok("POST", f"/alert-channels/{c['name']}/test", {})
        assert not said["ok"] and "554" in said["problem"] and any(not s["ok"] and "554" in s["detail"] for s in said["steps"])
    finally:
        six.close()


@pytest.mark.slow
def test_a_smart_host_that_says_nothing(p, api, sink):
    sink.mode = "hang"
    began = time.monotonic()
    said = api.ok("POST", f"/alert-channels/{mail_channel(api, sink)['name']}/test", {})
    assert not said["ok"] and time.monotonic() - began < 20


def test_what_is_refused_names_the_field(p, api):
    def refused(url, body, pointer):
        r = api.post(url, data=json.dumps(body), headers={"Content-Type": "application/json"})
        assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == pointer if "errors" in r.json() else r.json()["pointer"] == pointer, r.text
    good = {"host": "127.0.0.1", "from": "inari@example.test", "to": ["ops@example.test"]}
    for change, pointer in (({"to": ["a b@example.test"]}, "/config/to/0"), ({"to": ["a@example.test>\r\nRCPT TO:<b@example.test"]}, "/config/to/0"), ({"to": []}, "/config/to"),
                            ({"host": "a/b"}, "/config/host"), ({"host": "[::1]"}, "/config/host"), ({"port": 0}, "/config/port"), ({"from": "x"}, "/config/from"),
                            ({"user": "u"}, "/config/user"), ({"other": 1}, "/config/other"), ({"ca": "no"}, "/config/ca")):
        refused("/alert-channels", {"name": name("c"), "kind": "mail", "config": {**good, **change}}, pointer)
    refused("/alert-channels", {"name": name("c"), "kind": "mail", "config": {**good, "tls": "tls", "user": "u"}}, "/secrets/password")
    for body, pointer in (({"kind": "device-late", "parameters": {"late_s": 1}}, "/parameters/late_s"), ({"kind": "device-late", "parameters": {"x": 1}}, "/parameters/x"),
                          ({"kind": "rollout-halted", "scope": {"kind": "device", "id": "x"}}, "/scope/kind"), ({"kind": "device-late", "channels": ["nobody"]}, "/channels/0"),
                          ({"kind": "device-late", "repeat_s": 10}, "/repeat_s"), ({"kind": "nothing"}, "/kind")):
        refused("/alert-rules", {"name": name("r"), **body}, pointer)
    secret = api.ok("POST", "/alert-channels", {"name": name("c"), "kind": "mail", "fallback": False, "config": {**good, "tls": "starttls", "user": "u"},
                                                "secrets": {"password": "a-planted-secret"}})
    assert secret["has_secret"] and "a-planted-secret" not in json.dumps([secret, api.ok("GET", f"/alert-channels/{secret['id']}"), api.ok("GET", "/audit?limit=50")])
    stored = p.postgres.psql("SELECT * FROM alert_channel")
    assert "a-planted-secret" not in str(stored) and "a-planted-secret".encode().hex() not in str(stored) and "a-planted-secret" not in p.log()
    assert api.delete(f"/alert-rules/{'device-late'}", headers={"If-Match": api.get("/alert-rules/device-late").headers["ETag"]}).status_code == 409


KEY = "a-key-of-a-webhook-0123456789"


@pytest.fixture(scope="module")
def certificate(workdir):
    return hooksink.make_certificate(parentlib.folder(workdir, "hook"))


@pytest.fixture
def hook(certificate):
    h = hooksink.HookSink(certificate)
    yield h
    h.close()


def hook_channel(api, url, certificate, **kw):
    with open(certificate[0]) as f:
        ca = f.read()
    return api.ok("POST", "/alert-channels", {"name": name("hook"), "kind": "webhook", "fallback": False, "config": {"url": url, "ca": ca}, "secrets": {"key": KEY}, **kw})


def test_a_signed_webhook(p, api, hook, certificate):
    d = make_device(p, api)
    c = hook_channel(api, f"https://localhost:{hook.port}/inari?x=1", certificate, lang="ja")
    r = rule(api, [c["name"]], d)
    condition(d, "Churning", True, "応答 differ")
    a = wait_alert(api, r, "firing")
    path, headers, body = wait_until(lambda: hook.got, "a webhook", 25)[0]
    t, v1 = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers["Inari-Signature"]).groups()
    assert v1 == hmac.new(KEY.encode(), t.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert abs(int(t) - time.time() - p.ahead) < 60
    said = json.loads(body)
    assert path == "/inari?x=1" and headers["Content-Type"] == "application/json" and headers["Inari-Notice"] == said["id"]
    assert (said["rule"], said["severity"], said["counts"]["firing"], said["alerts"][0]["id"]) == (r["name"], "warning", 1, a["id"])
    assert "応答" in said["alerts"][0]["text"] and d.name in said["summary"]
    wait_until(lambda: api.ok("GET", f"/alert-notices/{said['id']}")["state"] == "sent", "it to be noted")


def test_a_webhook_goes_nowhere_else(p, api, hook, certificate, workdir):
    c = hook_channel(api, f"https://localhost:{hook.port}/", certificate)
    at = f"/alert-channels/{c['name']}"

    def tried():
        hook.got.clear()
        return api.ok("POST", f"{at}/test", {})
    assert tried()["ok"] and len(hook.got) == 1
    hook.mode = "redirect"
    said = tried()
    assert not said["ok"] and "307" in said["problem"] and [g[0] for g in hook.got] == ["/"]
    hook.mode = "refuse"
    assert "500" in tried()["problem"]
    hook.mode = "flood"
    began = time.monotonic()
    assert not tried()["ok"] and time.monotonic() - began < 10
    hook.mode = "take"
    other = hooksink.make_certificate(parentlib.folder(workdir, "hook2"))[0]
    with open(other) as f:
        api.change(at, {"config": {"ca": f.read()}})
    said = tried()  # a certificate nobody trusts
    assert not said["ok"] and hook.got == []
    for url in ("http://localhost/", "https://user:pw@localhost/", "ftp://localhost/", "https://", "https://a b/", "file:///etc/passwd"):
        r = api.patch(at, data=json.dumps({"config": {"url": url}}), headers={"If-Match": api.get(at).headers["ETag"], "Content-Type": "application/merge-patch+json"})
        assert r.status_code == 422, url


@pytest.mark.slow
def test_forbidden_addresses_are_not_connected_to(new_parent, certificate):
    """security.md C34: without alert.webhook_networks nothing that is not public, however it is written."""
    p = new_parent()
    api, hook = p.token(), hooksink.HookSink(certificate, "::")
    hosts = ["localhost", "127.0.0.1", "127.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "127.0.0.1.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
             "[64:ff9b::7f00:1]", "[::127.0.0.1]", "0.0.0.0", "0", "[::]", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "[fe80::1]",
             "[fe80::1%25lo]", "[fd00:ec2::254]", "100.64.0.1", "198.18.0.1", "192.0.2.1", "203.0.113.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "[ff02::1]",
             "[2001:db8::1]", "[2002:7f00:1::]", "[2001::1]", "[fc00::1]", "[fec0::1]", "[100::1]", "192.0.0.1", "192.88.99.1"]
    channel = hook_channel(api, f"https://localhost:{hook.port}/", certificate)
    for host in hosts:
        api.change(f"/alert-channels/{channel['id']}", {"config": {"url": f"https://{host}:{hook.port}/"}})
        said = api.ok("POST", f"/alert-channels/{channel['id']}/test", {})
        assert not said["ok"] and not any(s["step"] == "connect" for s in said["steps"]), (host, said)
    assert hook.connections == 0


@pytest.mark.slow
def test_figures_of_a_device(p, api, sink):
    d = make_device(p, api)
    r = rule(api, [mail_channel(api, sink)["name"]], d, kind="figure", parameters={"figure": "deferred_percent", "over": 50, "clear": 20, "window_s": 600, "least": 10})

    def mail(delivered, deferred):
        p.postgres.psql(f"DELETE FROM figure WHERE device_id = '{d.id}'; INSERT INTO figure (device_id, step_s, at, delivered, deferred) VALUES "
                        f"('{d.id}', 60, date_trunc('minute', now() + interval '{p.ahead} s'), {delivered}, {deferred})", user="inari")
        p.postgres.psql("SELECT pg_notify('inari_change', '')")
    mail(1, 8)  # too few to say anything
    time.sleep(6)
    assert alerts(api, r) == []
    mail(10, 30)
    a = wait_alert(api, r, "firing")
    assert (a["value"], d.name in a["text"], "75" in a["text"]) == (75, True, True)
    mail(60, 30)  # 33 %: between the two thresholds it goes on
    time.sleep(6)
    assert api.ok("GET", f"/alerts/{a['id']}")["state"] == "firing"
    mail(90, 10)
    wait_until(lambda: api.ok("GET", f"/alerts/{a['id']}")["state"] == "resolved", "it to be over", 25)
    assert len(wait_mails(sink, 2)) == 2
