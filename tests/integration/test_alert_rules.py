"""What alert rules see: figures, disks, certificates, rollouts, a whole fleet; and notices that are repeated or go over TLS."""
import time

import eventlib
import pytest
from parentlib import wait_until
from smtpsink import SmtpSink, parsed
from test_alerts_api import (alerts, api, certificate, condition, later, mail_channel, make_device, nothing_left, p, rule, sink, wait_alert,  # noqa: F401
                             wait_mails)


@pytest.mark.slow
def test_repeated_until_somebody_knows(p, api, sink):
    d = make_device(p, api)
    r = rule(api, [mail_channel(api, sink)["name"]], d, repeat_s=300)
    condition(d, "Churning", True)
    a = wait_alert(api, r, "firing")
    wait_mails(sink, 1)
    for n in (2, 3):
        later(p, 240)
        time.sleep(3)
        assert len(sink.mails) == n - 1  # not yet
        later(p, 60)
        m = parsed(wait_mails(sink, n, 40)[n - 1])
        assert "still: " in m["Subject"] and "Still (1)" in m.get_content()
    api.ok("POST", f"/alerts/{a['id']}/ack", {"reason": "known"})
    later(p, 600)
    time.sleep(6)
    assert len(sink.mails) == 3 and api.ok("GET", f"/alerts/{a['id']}")["state"] == "firing"
    condition(d, "Churning", False)
    assert "over: " in parsed(wait_mails(sink, 4)[3])["Subject"]  # its end is told all the same
    assert len({parsed(m)["Message-ID"] for m in sink.mails}) == 4


def test_starttls_is_required_and_checked(p, api, certificate):
    """The certificate of the smart host is checked, and without TLS nothing is said but EHLO."""
    secure, plain = SmtpSink(tls=certificate), SmtpSink()
    with open(certificate[0]) as f:
        ca = f.read()
    try:
        c = mail_channel(api, secure, config={"host": "localhost", "tls": "starttls", "ca": ca})
        said = api.ok("POST", f"/alert-channels/{c['name']}/test", {})
        assert said["ok"] and secure.mails[0]["tls"] is True
        assert any(s["detail"].startswith("STARTTLS") for s in said["steps"])
        api.change(f"/alert-channels/{c['id']}", {"config": {"ca": None}})  # nobody of the system's knows it
        said = api.ok("POST", f"/alert-channels/{c['name']}/test", {})
        assert not said["ok"] and "certificate" in said["problem"] and len(secure.mails) == 1
        api.change(f"/alert-channels/{c['id']}", {"config": {"ca": ca, "port": plain.port}})
        said = api.ok("POST", f"/alert-channels/{c['name']}/test", {})
        assert not said["ok"] and plain.mails == [] and plain.tries == 1
        assert not any("MAIL FROM" in s["detail"] for s in said["steps"])
    finally:
        secure.close()
        plain.close()


def test_a_halted_rollout(p, api, sink):
    d = make_device(p, api)
    api.change(f"/devices/{d.id}", {"mode": "manage"})
    r = rule(api, [mail_channel(api, sink)["name"]], kind="rollout-halted", parameters={}, severity="critical")
    made = api.publish({"devices": {d.id: {"smtp.message_size_limit": 30000001}}},
                       rollout={"strategy": "waves", "waves": ["1"], "canary_bake_s": 600, "bake_s": 300, "max_unavailable": "50%", "offline_after_s": 86400})
    at = f"/rollouts/{made['rollout_id']}"
    api.ok("POST", f"{at}/halt", {"reason": "let me look"})
    a = wait_alert(api, r, "firing")
    m = parsed(wait_mails(sink, 1)[0])
    assert a["subject"] == f"rollout/{made['rollout_id']}" and "let me look" in m.get_content() and str(a["value"]) in m["Subject"] and a["device"] is None
    api.ok("POST", f"{at}/cancel", {})
    wait_until(lambda: api.ok("GET", f"/alerts/{a['id']}")["state"] == "resolved", "it to be over", 25)
    assert "over: " in parsed(wait_mails(sink, 2)[1])["Subject"]


@pytest.mark.slow
def test_mail_that_takes_long(p, api):
    """The 95th of a hundred by its class; between the two thresholds nothing changes."""
    d = make_device(p, api)
    r = rule(api, [], d, kind="figure", parameters={"figure": "latency_p95_ms", "over": 30000, "clear": 3000, "window_s": 600, "least": 50})
    p99 = rule(api, [], d, kind="figure", parameters={"figure": "latency_p99_ms", "over": 300000, "window_s": 600, "least": 50})

    def took(*classes):
        at = f"date_trunc('minute', now() + interval '{p.ahead} s')"
        half = [c // 2 for c in classes]
        rows = ", ".join(f"('{d.id}', 60, {at} - interval '{m} min', ARRAY{v}::bigint[])" for m, v in ((0, half), (1, [c - h for c, h in zip(classes, half)])))
        p.postgres.psql(f"DELETE FROM figure WHERE device_id = '{d.id}'; INSERT INTO figure (device_id, step_s, at, latency) VALUES {rows}", user="inari")
        p.postgres.psql("SELECT pg_notify('inari_change', '')")
    took(0, 0, 0, 0, 0, 0, 49)  # too few to say anything
    time.sleep(6)
    assert alerts(api, r) == []
    took(94, 0, 0, 0, 0, 0, 5, 0, 1)
    a = wait_alert(api, r, "firing")
    assert (a["value"], "latency_p95_ms" in a["text"], alerts(api, p99)) == (100000, True, [])
    took(94, 0, 0, 0, 0, 0, 4, 0, 2)  # the 99th is slower than all classes
    assert wait_alert(api, p99, "firing")["value"] == 300001
    took(94, 0, 0, 0, 6)  # 10 s: neither
    wait_until(lambda: api.ok("GET", f"/alert-rules/{p99['name']}")["firing"] == 0, "the other to be over", 25)
    assert api.ok("GET", f"/alerts/{a['id']}")["state"] == "firing"
    took(10, 80, 9, 1)
    wait_until(lambda: api.ok("GET", f"/alerts/{a['id']}")["state"] == "resolved", "it to be over", 25)


@pytest.mark.slow
def test_a_disk_that_fills_up(p, api):
    """From the device's own figures, as events, to a forecast."""
    d = make_device(p, api)
    r = rule(api, [], d, kind="device-disk", parameters={"hours": 12, "window_h": 4})
    spool = eventlib.Spool(d, "agent")
    now_ms = int((time.time() + p.ahead) * 1000)

    def said(*free):
        """The free space of the queue's volume, the last one now, the others an hour apart before."""
        p.postgres.psql(f"DELETE FROM figure WHERE device_id = '{d.id}'", user="inari")
        d.access = None
        for i, mb in enumerate(reversed(free)):
            spool.append(eventlib.event("device.figures", at=now_ms - i * 3600_000,
                                        detail={"disk": {"state": {"free_mb": 9000, "size_mb": 10000}, "queue": {"free_mb": mb, "size_mb": 20000}}}))
        spool.ship()
        p.postgres.psql("SELECT pg_notify('inari_change', '')")
    said(9000, 8999, 8998, 8997)  # no trend worth a word
    time.sleep(6)
    assert alerts(api, r) == []
    said(4500, 3500, 2500, 1500)
    a = wait_alert(api, r, "firing")
    assert a["value"] == 1 and a["detail"]["volume"] == "queue" and a["detail"]["free_mb"] == 1500 and "1 hours" in a["text"]
    said(19000, 18000, 17000, 15000)  # 11.8 h by the line: still below
    time.sleep(6)
    assert api.ok("GET", f"/alerts/{a['id']}")["state"] == "firing"
    said(19000, 18200, 17400, 16600)  # 20 h: below twice as many, it goes on
    time.sleep(6)
    assert api.ok("GET", f"/alerts/{a['id']}")["state"] == "firing"
    said(15000, 15000, 16000, 17000)
    wait_until(lambda: api.ok("GET", f"/alerts/{a['id']}")["state"] == "resolved", "it to be over", 25)


@pytest.mark.slow
def test_a_certificate_of_a_device_that_ends(p, api):
    d = make_device(p, api)
    r = rule(api, [], d, kind="device-certificate", parameters={"days": 10})

    def has(*files):
        d.access = None
        doc = d.status(inventory={"hostname": f"{d.name}.example.test", "facts": {"files": [
            {"path": f"/etc/ssl/{i}.pem", "is_cert": True, "in_use": used, "not_after": end} for i, (used, end) in enumerate(files)]}})
        assert d.put_status(doc).status_code == 204

    def day(days):
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + p.ahead + days * 86400 + 600))
    has((True, day(40)), (False, day(1)), (True, "2026-02-30T00:00:00.000Z"), (True, "soon"))
    time.sleep(6)
    assert alerts(api, r) == []
    has((True, day(40)), (True, day(5)))
    a = wait_alert(api, r, "firing")
    assert a["value"] == 5 and day(5)[:10] in a["text"] and "期限切れ" in api.ok("GET", f"/alerts/{a['id']}", headers={"Accept-Language": "ja"})["text"]
    has((True, day(40)), (True, day(90)))
    wait_until(lambda: api.ok("GET", f"/alerts/{a['id']}")["state"] == "resolved", "it to be over", 25)


@pytest.mark.slow
def test_ten_thousand_devices_are_looked_at(p, api):
    """With half an hour of minutes each: the look ends within the time a statement has, and sees the one that is not well."""
    d = make_device(p, api)
    columns = "state, mode, placement, jwk, enc_jwk, fingerprint"
    p.postgres.psql(f"""WITH made AS (INSERT INTO device (id, name, kid, {columns}) SELECT gen_random_uuid(), 'many-' || n, 'many-' || n, {columns} FROM device, generate_series(1, 10000) n
                        WHERE id = '{d.id}' RETURNING id) INSERT INTO presence SELECT id, now() + interval '1 year' FROM made;
                        INSERT INTO figure (device_id, step_s, at, accepted, delivered, deferred, latency, gauge_at, queue, queue_max, oldest_s)
                        SELECT d.id, 60, date_trunc('minute', now() + interval '{p.ahead} s') - m * interval '1 min', 100, 95, CASE d.name WHEN 'many-4711' THEN 5000 ELSE 4 END,
                        '{{10,20,30,20,10,5}}', now(), '{{1,2,3,0,0}}', '{{1,2,3,0,0}}', 60 FROM device d, generate_series(0, 29) m WHERE d.name LIKE 'many-%';
                        INSERT INTO figure (device_id, step_s, at, disk_at, disk_free, disk_size) SELECT d.id, 3600, date_trunc('hour', now() + interval '{p.ahead} s') - m * interval '1 h',
                        now() - m * interval '1 h', ARRAY[9000, 9000 + m * 100], '{{10000,20000}}' FROM device d, generate_series(0, 7) m WHERE d.name LIKE 'many-%'; ANALYZE""", user="inari")
    said = len(p.log())
    try:
        later(p, 0)
        wait_until(lambda: api.ok("GET", "/alerts?rule=mail-deferred&device=many-4711&state=open")["items"], "the one to be seen", 60)
        time.sleep(5)
        assert "job.failed" not in p.log()[said:]
        assert len(api.ok("GET", "/alerts?rule=mail-deferred&state=open&limit=100")["items"]) == 1
    finally:
        p.postgres.psql("DELETE FROM figure WHERE device_id IN (SELECT id FROM device WHERE name LIKE 'many-%'); DELETE FROM device WHERE name LIKE 'many-%'", user="inari")


def test_a_silence_is_about_what_it_names(p, api, sink):
    quiet, other = make_device(p, api), make_device(p, api)
    c = mail_channel(api, sink)["name"]
    rules = [rule(api, [c], d) for d in (quiet, other)]
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + p.ahead + 3600))
    api.ok("POST", "/alert-silences", {"device": quiet.name, "reason": "maintenance", "ends_at": until})
    for d in (quiet, other):
        condition(d, "Churning", True)
    assert [wait_alert(api, r, "firing")["silenced"] for r in rules] == [True, False]
    assert other.name in parsed(wait_mails(sink, 1)[0])["Subject"]
    assert api.ok("GET", f"/alert-notices?rule={rules[0]['name']}")["items"] == [] and len(sink.mails) == 1


def test_events_that_wait_in_both_languages(p, api):
    """The device writes English; whoever asks in Japanese reads Japanese, with what the device filled in."""
    d = make_device(p, api)
    words = 'events of "postfix" wait for more than 10 minutes: the parent answered 503'
    r = rule(api, [], d, parameters={"condition": "EventsBehind"})
    condition(d, "EventsBehind", False, "")
    condition(d, "EventsBehind", True, words)

    def said(lang):
        headers = {"Accept-Language": lang}
        one = api.ok("GET", f"/devices/{d.name}", headers=headers)
        listed = next(x for x in api.ok("GET", "/devices?limit=500", headers=headers)["items"] if x["id"] == d.id)
        texts = {next(c["message"] for c in x["conditions"] if c["type"] == "EventsBehind") for x in (one, listed)}
        assert len(texts) == 1
        return texts.pop()
    assert said("en") == words
    assert said("ja") == "「postfix」のイベントが 10 分以上送信待ちです: the parent answered 503"
    a = wait_alert(api, r, "firing")
    assert words in a["text"] and "送信待ちです: the parent" in api.ok("GET", f"/alerts/{a['id']}", headers={"Accept-Language": "ja"})["text"]
    condition(d, "EventsDropped", True, '12 events of "agent" were lost so far: its spool was full, had no room on its volume, or was damaged')
    ja = api.ok("GET", f"/devices/{d.name}", headers={"Accept-Language": "ja"})["conditions"]
    assert "12 件のイベント (「agent」)" in next(c["message"] for c in ja if c["type"] == "EventsDropped")
    condition(d, "EventsDropped", True, "something else")
    ja = api.ok("GET", f"/devices/{d.name}", headers={"Accept-Language": "ja"})["conditions"]
    assert next(c["message"] for c in ja if c["type"] == "EventsDropped") == "something else"
    condition(d, "EventsBehind", False, "")
    wait_until(lambda: api.ok("GET", f"/alerts/{a['id']}")["state"] == "resolved", "it to be over", 25)


@pytest.mark.slow
def test_the_database_is_away_and_somebody_hears_of_it(p, api, sink):
    """While it is: from what the parent remembers; and how long it was when it is back."""
    r = rule(api, [mail_channel(api, sink, lang="ja")["name"]], kind="parent-database", parameters={"away_s": 3}, severity="critical")
    time.sleep(11)  # it is read again ten seconds after a change, at the latest
    p.postgres.stop()
    try:
        m = parsed(wait_mails(sink, 1, 60)[0])
        assert m["Subject"].startswith("[Inari 重大] ") and "データベース" in m["Subject"] and r["name"] in m.get_content()
        time.sleep(5)
        assert len(sink.mails) == 1  # once
    finally:
        p.postgres.start()
    wait_until(lambda: api.get("/alert-rules").status_code == 200, "the parent to reach it again", 60)
    a = wait_alert(api, r, "firing", 60)
    assert a["value"] >= 3 and len(wait_mails(sink, 2, 60)) == 2
    assert parsed(sink.mails[1])["Message-ID"] != m["Message-ID"]
