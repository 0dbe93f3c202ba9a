"""Searching for messages and following one: over hops, devices and queue ids that are used again; against a real PostgreSQL."""
import csv
import hashlib
import io
import json
import random
import re
import time
import uuid

import maillib
import pytest
import wireclient
from ctllib import Ctl

MINUTE = 60_000
HOUR = 60 * MINUTE


def now_ms():
    return int(time.time() * 1000)


@pytest.fixture(scope="module")
def events(parent):
    return maillib.Events(parent.postgres)


@pytest.fixture
def ctl(parent, api, programs, tmp_path):
    return Ctl.of(programs, parent, api, tmp_path)


@pytest.fixture
def names():
    """A domain of this test's own, so that tests do not see each other's mail."""
    return f"{uuid.uuid4().hex[:10]}.example"


def search(api, **query):
    r = api.get(api.base + "/api/v1/messages", params=query)
    assert r.status_code == 200, r.text
    return r.json()


def ids(api, **query):
    return [m["id"] for m in search(api, **query)["items"]]


def put_device(parent, name):
    """A device's row, for its name: these tests speak as no device."""
    i = str(uuid.uuid4())
    parent.postgres.psql("INSERT INTO device (id, name, state, kid, jwk, enc_jwk, fingerprint) VALUES "
                         f"('{i}', '{name}', 'managed', '{uuid.uuid4()}', '{{}}', '{{}}', 'x')")
    return i


# --- one message over everything it passes


@pytest.fixture(scope="module")
def journey(parent, events):
    """In through edge, through its filter, over to inner; three recipients: one sent, one deferred then sent, one bounced with a notice."""
    tag = uuid.uuid4().hex[:8]
    edge, inner = put_device(parent, f"edge-{tag}"), put_device(parent, f"inner-{tag}")
    t, d, mid = now_ms() - HOUR, f"{tag}.example", f"<m1@{tag}.example>"
    a, b, c, notice = "4A1" + tag, "4B2" + tag, "4C3" + tag, "4D4" + tag
    events.queued(edge, a, t, sender=f"Sender@{d}", nrcpt=3, client="192.0.2.7", client_name="mail.peer.example", helo="peer",
                  message_id=mid, subject="Invoice 2026 請求書のご送付")
    for r in ("ok", "later", "gone"):
        events.delivery(edge, a, t + 100, f"{r}@{d}", relay="127.0.0.1[127.0.0.1]:10026", next_queue_id=b, message_id=mid, sender=f"Sender@{d}",
                        text=f"250 2.0.0 Ok: queued as {b}")
    events.removed(edge, a, t + 110)
    events.queued(edge, b, t + 90, sender=f"Sender@{d}", nrcpt=3, orig_queue_id=a, client="127.0.0.1", message_id=mid)
    events.rows[-1]["detail"]["internal"] = True
    for r in ("ok", "later", "gone"):
        events.delivery(edge, b, t + 200, f"{r}@{d}", relay=f"inner-{tag}[192.0.2.2]:25", next_queue_id=c, message_id=mid, sender=f"Sender@{d}",
                        text=f"250 2.0.0 Ok: queued as {c}")
    events.removed(edge, b, t + 210)
    events.queued(inner, c, t + 195, sender=f"Sender@{d}", nrcpt=3, client="192.0.2.1", message_id=mid)
    events.delivery(inner, c, t + 300, f"ok@{d}", relay="local", message_id=mid, sender=f"Sender@{d}")
    events.delivery(inner, c, t + 310, f"later@{d}", "deferred", "connect to mx: Connection timed out", reason="timeout", sender=f"Sender@{d}")
    events.delivery(inner, c, t + 320, f"gone@{d}", "bounced", "550 5.1.1 no such user", reason="user-unknown", sender=f"Sender@{d}")
    events.add(inner, "message.bounce", t + 330, queue_id=c, next_queue_id=notice)
    events.queued(inner, notice, t + 331, sender="", nrcpt=1)
    events.delivery(inner, notice, t + 400, f"Sender@{d}", sender="")
    events.removed(inner, notice, t + 401)
    events.delivery(inner, c, t + 10 * MINUTE, f"later@{d}", relay="mx.example.net[192.0.2.25]:25", sender=f"Sender@{d}")
    events.removed(inner, c, t + 10 * MINUTE + 5)
    # the same queue id again, two days before: another message
    events.queued(inner, c, t - 48 * HOUR, sender=f"other@{d}", message_id="<old@x>")
    events.delivery(inner, c, t - 48 * HOUR + 10, f"old@{d}", sender=f"other@{d}")
    events.removed(inner, c, t - 48 * HOUR + 20)
    # the same Message-ID at a device that nothing leads to
    events.queued(put_device(parent, f"far-{tag}"), "4E5" + tag, t + 5000, sender=f"Sender@{d}", message_id=mid)
    events.write()
    return {"edge": edge, "inner": inner, "domain": d, "t": t, "ids": (a, b, c, notice), "mid": mid, "tag": tag}


def test_one_message_over_hops_and_devices(api, journey):
    found = search(api, sender=f"sender@{journey['domain']}")["items"]
    assert len(found) == 2, found  # the message, and the copy that only shares its Message-ID
    m = found[1]
    assert [d["name"] for d in m["devices"]] == [f"edge-{journey['tag']}", f"inner-{journey['tag']}"]
    assert (m["client"], m["client_name"], m["sender"]) == ("192.0.2.7", "mail.peer.example", f"Sender@{journey['domain']}")
    assert (m["recipient_count"], m["status"], m["states"]) == (3, "bounced", {"delivered": 2, "bounced": 1})
    assert (m["reason"], m["text"], m["queue_id"]) == ("user-unknown", "550 5.1.1 no such user", journey["ids"][0])
    assert m["at"] == maillib.rfc3339(journey["t"])
    whole = api.ok("GET", f"/messages/{m['id']}")
    times = [e["at"] for e in whole["events"]]
    assert times == sorted(times) and len(times) == 20
    assert {e["queue_id"] for e in whole["events"]} == set(journey["ids"])
    assert {r["address"].partition("@")[0]: (r["state"], r["attempts"], r["device"]["name"].partition("-")[0]) for r in whole["recipients"]} == \
        {"ok": ("delivered", 1, "inner"), "later": ("delivered", 2, "inner"), "gone": ("bounced", 1, "inner")}
    assert whole["delay_ms"] == 10 * MINUTE
    assert [h["device"]["name"] for h in whole["same_message_id"]] == [f"far-{journey['tag']}"] and whole["cut"] is False
    en = [e["sentence"] for e in whole["events"]]
    assert en[0] == (f"edge-{journey['tag']} took the message from mail.peer.example[192.0.2.7]: sender <Sender@{journey['domain']}>, "
                     f"2345 bytes, queue id {journey['ids'][0]}.")
    assert any("got it back from its filter" in s for s in en) and any("tries again (timeout)" in s for s in en)
    ja = api.ok("GET", f"/messages/{m['id']}", headers={"Accept-Language": "ja"})["events"]
    assert "受け取りました" in ja[0]["sentence"] and all(re.search("[ぁ-ん]", e["sentence"]) for e in ja)


def test_every_way_to_it_gives_one_id(api, journey):
    d, t = journey["domain"], maillib.rfc3339(journey["t"] - HOUR)
    want = ids(api, recipient=f"GONE@{d}")
    assert len(want) == 1
    for q in ({"recipient": f"later@{d}"}, {"recipient": f"@{d.upper()}"}, {"queue_id": journey["ids"][0]}, {"queue_id": journey["ids"][1]},
              {"queue_id": journey["ids"][3]}, {"queue_id": journey["ids"][2], "since": t}, {"sender": f"@{d}", "client": "192.0.2.7"},
              {"client": "192.0.2.0/29", "sender": f"sender@{d}"}, {"recipient": f"gone@{d}", "status": "bounced"},
              {"recipient": f"gone@{d}", "reason": "user-unknown"}, {"recipient": f"gone@{d}", "device": f"inner-{journey['tag']}"},
              {"subject": "invoice", "sender": f"sender@{d}"}):
        assert ids(api, **q) == want, q
    for q in ({"recipient": f"gone@{d}", "status": "delivered"}, {"recipient": f"later@{d}", "status": "deferred"},
              {"recipient": f"gone@{d}", "sender": "nobody@x.example"}, {"recipient": f"one@{d}"}, {"sender": f"@sub.{d}"},
              {"sender": f"@{d[1:]}"}, {"recipient": f"gone@{d}", "until": t}):
        assert ids(api, **q) == [], q
    assert want[0] in ids(api, message_id=journey["mid"]) and want[0] in ids(api, message_id=journey["mid"].strip("<>"))
    # the notice's own id leads to the message it is about; so does each entry's
    events = api.ok("GET", f"/messages/{want[0]}")["events"]
    assert any(e["kind"] == "message.bounce" and e["next_queue_id"] == journey["ids"][3] for e in events)


def test_queue_ids_that_are_used_again_are_two_messages(api, journey):
    since = maillib.rfc3339(journey["t"] - 72 * HOUR)
    found = search(api, queue_id=journey["ids"][2], since=since)["items"]
    assert len(found) == 2 and found[0]["id"] != found[1]["id"]
    assert found[1]["sender"].startswith("other@") and found[1]["recipients"] == [f"old@{journey['domain']}"]
    assert len(api.ok("GET", f"/messages/{found[1]['id']}")["events"]) == 3


@pytest.mark.slow
def test_lives_of_any_length_are_listed_once_and_whole(api, events, names):
    """Lists look close to what fits first: for a message that waited long that is not all of it."""
    one, rng, sent = maillib.device(), random.Random(6), {}
    waits = [0, 5000, HOUR - 1000, HOUR, 100 * MINUTE, 110 * MINUTE, 115 * MINUTE, 2 * HOUR - 1000, 2 * HOUR, 3 * HOUR, 23 * HOUR, 30 * HOUR, 60 * HOUR]
    for i, wait in enumerate([*waits, *(rng.randrange(0, 4 * HOUR) for _ in range(25))]):
        t, q = now_ms() - 70 * HOUR + i * HOUR // 7, f"L{i}{uuid.uuid4().hex[:6].upper()}"
        who = [f"r{i}-{k}@{names}" for k in range(rng.randrange(1, 4))]
        if i % 3 == 0:  # the same id a little earlier and later: others' messages
            for away in (-7 * MINUTE, wait + 3 * HOUR):
                events.queued(one, q, t + away, sender=f"other{i}@{names}")
                events.delivery(one, q, t + away + 10, f"other{i}@{names}")
                events.removed(one, q, t + away + 20)
        elif i % 4 == 0:  # refused within the session, before it was in the queue
            events.add(one, "message.rejected", t - 40 * MINUTE, queue_id=q, sender=f"s@{names}", recipient=f"no{i}@{names}", status="rejected")
        events.queued(one, q, t, sender=f"s@{names}", nrcpt=len(who))
        for n in range(rng.randrange(0, 4)):
            events.delivery(one, q, t + wait * n // 4, who[0], "deferred", "timed out", reason="timeout", sender=f"s@{names}")
        for r in who:
            events.delivery(one, q, t + wait, r, sender=f"s@{names}")
        if i % 5 or i % 3 == 0:
            events.removed(one, q, t + wait + 5)
        sent[q] = (who, i)
    events.write()
    since = maillib.rfc3339(now_ms() - 80 * HOUR)
    found = search(api, sender=f"s@{names}", since=since, limit=100)["items"]
    assert sorted(m["queue_id"] for m in found) == sorted(sent)
    for m in found:
        who, i = sent[m["queue_id"]]
        whole = api.ok("GET", f"/messages/{m['id']}")
        assert (m["status"], m["states"], m["recipient_count"]) == (whole["status"], whole["states"], whole["recipient_count"]), m
        assert set(who) <= {r["address"] for r in whole["recipients"]} and f"other{i}@{names}" not in str(whole)
        for r in who:
            assert ids(api, recipient=r, since=since) == [m["id"]]
    assert len(search(api, recipient=f"@{names}", sender=f"s@{names}", since=since, limit=100)["items"]) == len(sent)


def test_a_foreign_host_that_says_our_queue_id_joins_nothing(api, events, names):
    one, two, t, q = maillib.device(), maillib.device(), now_ms() - 3 * MINUTE, f"F1{uuid.uuid4().hex[:6].upper()}"
    events.queued(one, "F2" + q, t, sender=f"a@{names}", message_id=f"one@{names}")
    events.delivery(one, "F2" + q, t + 10, f"x@{names}", next_queue_id=q, message_id=f"one@{names}")
    events.queued(two, q, t + 20, sender=f"b@{names}", message_id=f"two@{names}")
    events.write()
    assert [m["sender"] for m in search(api, sender=f"@{names}")["items"]] == [f"b@{names}", f"a@{names}"]


def test_subjects_by_words_and_japanese(api, events, names):
    dev, t = maillib.device(), now_ms() - 5 * MINUTE
    subjects = {"a": "Re: 11月分請求書のご送付", "b": "Quarterly INVOICE (draft_50%)", "c": "invoices & receipts", "d": "請願書", "e": "Café au lait"}
    for i, (k, subject) in enumerate(subjects.items()):
        events.queued(dev, f"5{k.upper()}{uuid.uuid4().hex[:8].upper()}", t + i, sender=f"{k}@{names}", subject=subject)
    events.write()

    def got(subject):
        return "".join(sorted(m["sender"][0] for m in search(api, subject=subject, sender=f"@{names}")["items"]))
    assert got("請求書") == "a" and got("請") == "ad" and got("書") == "ad" and got("求書") == "a" and got("送付 請求") == "a"
    assert got("invoice") == "b" and got("invoic*") == "bc" and got("Invoice draft") == "b" and got("voice") == "" and got("50% draft_50") == "b"
    assert got("café") == "e" and got("CAFÉ") == "e" and got("receipts INV*") == "c" and got("請求願") == "" and got("求書請") == ""
    assert got("請求書　送付") == "a"  # a wide blank is one


def test_status_is_where_it_stands_now(api, events, names):
    dev, t = maillib.device(), now_ms() - 20 * MINUTE
    q = {k: f"6{i}{uuid.uuid4().hex[:8].upper()}" for i, k in enumerate(("sent", "waits", "came", "held", "freed", "fresh", "gone", "deleted"))}
    for i, k in enumerate(q):
        events.queued(dev, q[k], t + i, sender=f"{k}@{names}")
    events.delivery(dev, q["sent"], t + 100, f"r@{names}")
    events.removed(dev, q["sent"], t + 101)
    for k in ("waits", "came"):
        events.delivery(dev, q[k], t + 200, f"r@{names}", "deferred", "greylisted", reason="greylisted", sender=f"{k}@{names}")
    events.delivery(dev, q["came"], t + 5 * MINUTE, f"r@{names}", sender=f"came@{names}")
    for k in ("held", "freed"):
        events.add(dev, "message.held", t + 300, queue_id=q[k], text="by policy")
    events.add(dev, "message.released", t + 400, queue_id=q["freed"])
    events.add(dev, "message.discarded", t + 300, queue_id=q["gone"], text="by access")
    events.delivery(dev, q["deleted"], t + 200, f"r@{names}", "deferred", "connect", reason="connect", sender=f"deleted@{names}")
    events.removed(dev, q["deleted"], t + 400)  # postsuper -d: nothing was sent of it
    events.add(dev, "message.rejected", t + 500, sender=f"bad@{names}", recipient=f"r@{names}", client="198.51.100.9", status="rejected",
               reason="relay-denied", dsn="5.7.1", text="554 5.7.1 Relay access denied")
    events.write()

    def senders(**query):
        return {m["sender"].partition("@")[0] for m in search(api, **query)["items"] if (m["sender"] or "").endswith(names)}
    assert senders(sender=f"@{names}", status="queued") == {"fresh", "freed"}
    assert senders(sender=f"@{names}", status="held") == {"held"} == senders(status="held")
    assert senders(sender=f"@{names}", status="deferred") == {"waits"} == senders(status="deferred", reason="greylisted")
    assert senders(recipient=f"r@{names}", reason="greylisted") == {"waits", "came"}
    assert {m["queue_id"] for m in search(api, recipient=f"r@{names}", status="delivered")["items"]} == {q["sent"], q["came"]}
    assert senders(sender=f"@{names}", status="rejected") == {"bad"} == senders(client="198.51.100.9")
    assert senders(sender=f"@{names}", status="discarded") == {"gone", "deleted"}
    refused = search(api, sender=f"bad@{names}")["items"][0]
    assert refused["queue_id"] is None and refused["status"] == "rejected" and refused["recipients"] == [f"r@{names}"]
    whole = api.ok("GET", f"/messages/{refused['id']}")
    assert [e["kind"] for e in whole["events"]] == ["message.rejected"] and whole["id"] == refused["id"]


def test_what_was_refused_is_a_list_of_its_own(api, ctl, events, names):
    """Refusals of clients, senders and recipients, without the mail around them: by client, reason, time and device."""
    dev, t = maillib.device(), now_ms() - 10 * MINUTE
    bad = {"198.51.100.7": "client", "198.51.100.8": "rate", "2001:db8::66": "helo"}
    for i, (client, reason) in enumerate(bad.items()):
        events.add(dev, "message.rejected", t + i, sender=f"s{i}@{names}", recipient=f"r@{names}", client=client, status="rejected",
                   reason=reason, dsn="5.7.1", text=f"554 5.7.1 {reason}")
    events.queued(dev, f"5F{uuid.uuid4().hex[:8].upper()}", t, sender=f"fine@{names}", client="198.51.100.7")
    events.add(dev, "session", t + 9, client="198.51.100.7")
    events.write()
    got = api.ok("GET", f"/events?kind=message.rejected&device={dev}")["items"]
    assert [(e["client"], e["reason"]) for e in got] == list(reversed(bad.items()))
    assert all(e["kind"] == "message.rejected" and e["status"] == "rejected" and e["recipient"] == f"r@{names}" for e in got)
    for i, (client, reason) in enumerate(bad.items()):
        (m,) = search(api, device=dev, status="rejected", client=client)["items"]
        assert m["sender"] == f"s{i}@{names}"
        assert [x["id"] for x in search(api, device=dev, status="rejected", reason=reason)["items"]] == [m["id"]]
    shown = ctl.ok("events", "--kind", "message.rejected", "--device", dev)
    assert all(client in shown for client in bad) and "fine@" not in shown


@pytest.mark.slow
def test_pages_are_stable_while_mail_comes_in(api, events, names):
    dev, t = maillib.device(), now_ms() - 30 * MINUTE
    q = [f"7{i:02d}{uuid.uuid4().hex[:8].upper()}" for i in range(25)]
    for i, x in enumerate(q):
        events.queued(dev, x, t + i * 1000, sender=f"s{i}@{names}", nrcpt=2)
        for r in ("one", "two"):
            events.delivery(dev, x, t + i * 1000 + 50, f"{r}@{names}", "deferred", reason="timeout", sender=f"s{i}@{names}")
    events.write()
    for query in ({"recipient": f"@{names}"}, {"sender": f"@{names}"}):
        page = search(api, limit=7, **query)
        assert page["count"] == {"at_most": len(q)} and page["partial"] is False
        seen = [m["id"] for m in page["items"]]
        while page["next"]:
            i = len(q)
            q.append(f"7{i:02d}{uuid.uuid4().hex[:8].upper()}")  # something new, and something new of what is on no page yet
            events.queued(dev, q[i], t + i * 1000, sender=f"s{i}@{names}")
            events.delivery(dev, q[0], now_ms() - MINUTE, f"one@{names}", sender=f"s0@{names}")
            events.delivery(dev, q[24], now_ms() - MINUTE, f"one@{names}", "deferred", reason="timeout", sender=f"s24@{names}")
            events.write()
            page = search(api, limit=7, cursor=page["next"], **query)
            assert page["count"] is None
            seen += [m["id"] for m in page["items"]]
        assert len(seen) == len(set(seen)) and len(seen) >= 25, query
        assert set(seen) <= set(ids(api, limit=500, **query))


def test_counts(api, events, names):
    dev, t = maillib.device(), now_ms() - 40 * MINUTE
    for i in range(1100):
        events.queued(dev, f"8{i:04d}{names[:6]}", t + i, sender=f"many@{names}")
    events.queued(dev, f"9A{names[:6]}", t, sender=f"few@{names}")
    events.write()
    assert search(api, sender=f"few@{names}")["count"] == {"exact": 1}
    assert search(api, sender=f"many@{names}")["count"] == {"more_than": 1000}
    assert search(api, sender=f"nobody@{names}")["count"] == {"exact": 0}


def test_the_agents_own_probes_are_no_mail(api, events, names):
    dev, t = maillib.device(), now_ms() - MINUTE
    for q, recipient in ((f"E1{names[:6]}", f"probe@{dev}.inari.invalid"), (f"E2{names[:6]}", f"cron@{names}")):
        events.queued(dev, q, t, sender=f"local@{names}", client="127.0.0.1")
        events.rows[-1]["detail"]["internal"] = True
        events.delivery(dev, q, t + 5, recipient, sender=f"local@{names}")
    # its relay probe is refused, and writes to strangers
    for helo, recipient in ((f"{dev}.inari.invalid", f"relay-probe@{names}"), ("inside.example", f"stranger@{names}")):
        events.add(dev, "message.rejected", t, recipient=recipient, helo=helo, client="192.0.2.1", status="rejected", reason="relay",
                   detail={"internal": True})
    events.write()
    assert [m["recipients"] for m in search(api, sender=f"local@{names}")["items"]] == [[f"cron@{names}"]]
    assert search(api, recipient=f"relay-probe@{names}")["items"] == []
    assert len(search(api, recipient=f"stranger@{names}")["items"]) == 1


# --- which revision stood


def test_each_step_names_the_revision_that_ran(parent, api, events):
    d = wireclient.Device(parent.base, parent.ca, f"ran-{uuid.uuid4().hex[:8]}")
    d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "ran"})["join"])
    d.fetch()
    assert d.put_status().status_code == 204
    first = now_ms()
    made = api.publish({"devices": {d.id: {"smtp.message_size_limit": 33 * 1024 * 1024}}}, reason="bigger mail for the museum")
    d.fetch(wait=5)
    assert d.put_status().status_code == 204
    q = f"A1{uuid.uuid4().hex[:8].upper()}"
    events.queued(d.id, q, first, sender="x@ran.example")
    events.delivery(d.id, q, now_ms() + 50, "y@ran.example", "deferred", "552 5.3.4 too big", reason="size")
    events.write()
    m = search(api, queue_id=q)["items"][0]
    steps = api.ok("GET", f"/messages/{m['id']}")["events"]
    assert steps[1]["ran"]["pub"] == made["pub"] and steps[1]["ran"]["reason"] == "bigger mail for the museum"
    assert steps[1]["ran"]["author"] == api.ok("GET", f"/revisions/{made['pub']}")["author"]
    assert steps[0]["ran"] is None or steps[0]["ran"]["pub"] < made["pub"]
    rows = parent.postgres.psql(f"SELECT pub FROM device_ran WHERE device_id = '{d.id}' ORDER BY since")
    assert d.put_status().status_code == 204 and parent.postgres.psql(f"SELECT pub FROM device_ran WHERE device_id = '{d.id}' ORDER BY since") == rows


# --- what people type, and what others wrote


def test_wrong_filters_name_field_and_remedy(api):
    for query, pointer in (({"since": "yesterday"}, "since"), ({"until": "3"}, "until"), ({"client": "300.1.2.3"}, "client"),
                           ({"client": "192.0.2.0/33"}, "client"), ({"client": "192.0.2.1/"}, "client"), ({"client": "fe80::1%eth0"}, "client"),
                           ({"sender": "@"}, "sender"), ({"sender": ""}, "sender"), ({"recipient": "x" * 321}, "recipient"),
                           ({"subject": "%_\\"}, "subject"), ({"subject": "あ" * 60}, "subject"), ({"queue_id": "a b"}, "queue_id"),
                           ({"queue_id": "%"}, "queue_id"), ({"status": "lost"}, "status"), ({"reason": "x'y"}, "reason"), ({"device": "no-such"}, "device"),
                           ({"message_id": ""}, "message_id"), ({"limit": "501"}, "limit"), ({"cursor": "AAAA"}, "cursor"), ({"cursor": "x" * 600}, "cursor"),
                           ({"since": "2026-01-01T00:00:00Z", "until": "2026-11-01T00:00:00Z"}, "since"),
                           ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "since")):
        for lang in ("en", "ja"):
            r = api.get(api.base + "/api/v1/messages", params=query, headers={"Accept-Language": lang})
            assert r.status_code == 422, (query, r.text)
            error = r.json()["errors"][0]
            assert error["pointer"] == f"/query/{pointer}" and error["message"], (query, r.text)
            assert bool(re.search("[ぁ-んァ-ン一-龥]", error["message"])) == (lang == "ja"), error
    for query, pointer in (({"kind": "x y"}, "kind"), ({"stream": "A"}, "stream"), ({"limit": "5001"}, "limit"), ({"cursor": "e30"}, "cursor")):
        r = api.get(api.base + "/api/v1/events", params=query)
        assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == f"/query/{pointer}", (query, r.text)
    for i in ("x", "A" * 160, "AQ", "..", "%00", "Ag" + "A" * 40):
        assert api.get(api.base + f"/api/v1/messages/{i}").status_code in (400, 404)


def test_cursors_are_only_those_that_were_given(api, events, names):
    dev, t = maillib.device(), now_ms() - MINUTE
    for i in range(3):
        events.queued(dev, f"B{i}{uuid.uuid4().hex[:8].upper()}", t + i, sender=f"s@{names}")
    events.write()
    cursor = search(api, sender=f"s@{names}", limit=1)["next"]
    assert len(search(api, sender=f"s@{names}", limit=1, cursor=cursor)["items"]) == 1
    for bad in (cursor[:-2], cursor[:20] + "AAAA" + cursor[24:], cursor + "AAAA", hashlib.sha256(cursor.encode()).hexdigest()):
        assert api.get(api.base + "/api/v1/messages", params={"sender": f"s@{names}", "cursor": bad}).status_code == 422


EVIL = ["%", "_", "a%b_c", "back\\slash", "quo'te\"s", "'; DROP TABLE event; --", "{message.queued}", "\x1b[31mred\x1b[0m", "\u202egnp.exe", "=1+1", "@SUM(A1)",
        "+81", "-2", "\ttab", "日本語", "x" * 300, "<script>", "a,b", "$1", "＝1"]


def test_what_others_wrote_is_only_data(parent, api, events, names, ctl):
    dev, t = put_device(parent, f"evil-{names[:8]}"), now_ms() - 2 * MINUTE
    for i, text in enumerate(EVIL):
        q = f"C{i:02d}{uuid.uuid4().hex[:8].upper()}"
        events.queued(dev, q, t + i, sender=f"{text}@{names}" if i % 2 else text, subject=text, message_id=text, client_name=text, helo=text)
        events.delivery(dev, q, t + i, f"{text}|{names}", "deferred", text, reason="other", sender=f"{text}@{names}" if i % 2 else text)
    events.write()
    for i, text in enumerate(EVIL):
        if ord(text[0]) < 32 or "\x1b" in text:
            continue  # such a filter is no text: refused before it gets here
        found = search(api, recipient=f"{text}|{names}")["items"] if text[0] != "@" else search(api, device=dev, message_id=text)["items"]
        assert [m["subject"] for m in found] == [text], text
        assert [m["subject"] for m in search(api, message_id=text, device=dev)["items"]] == [text]
    whole = search(api, device=dev, limit=100)
    assert len(whole["items"]) == len(EVIL)
    assert api.get(api.base + "/api/v1/messages?sender=%00x").status_code == 400
    assert api.get(api.base + "/api/v1/messages?sender=%ff").status_code == 400
    # CSV: no cell begins like a formula, and every value is read back as it was
    for path, params in (("messages", {"device": dev, "limit": 100}), ("events", {"device": dev, "limit": 100})):
        r = api.get(api.base + f"/api/v1/{path}", params=params, headers={"Accept": "text/csv"})
        assert r.status_code == 200 and r.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert "attachment" in r.headers["Content-Disposition"]
        rows = list(csv.DictReader(io.StringIO(r.content.decode(), newline="")))
        assert len(rows) == len(EVIL) * (1 if path == "messages" else 2)
        for row in rows:
            assert not any(v and v[0] in "=+-@\t\r＝" for v in row.values()), row
        subjects = {row["subject"] for row in rows}
        assert subjects - {""} == {("'" if t[0] in "=+-@\t＝" else "") + t for t in EVIL}
        r = api.get(api.base + f"/api/v1/{path}", params=params, headers={"Accept": "application/x-ndjson, application/json;q=0.5"})
        assert r.headers["Content-Type"] == "application/x-ndjson"
        assert {json.loads(x).get("subject") for x in r.content.decode().splitlines()} - {None} == set(EVIL)
    # a terminal gets no escape and no turned text
    shown = ctl.ok("messages", "--device", dev, "--limit", "100") + ctl.ok("events", "--device", dev, "--limit", "100")
    for m in whole["items"]:
        shown += ctl.ok("trace", m["id"])
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e]", shown) and "?[31mred" in shown and "?gnp.exe" in shown


def test_exports_page_on(api, events, names):
    dev, t = maillib.device(), now_ms() - 3 * MINUTE
    for i in range(5):
        events.queued(dev, f"D{i}{uuid.uuid4().hex[:8].upper()}", t + i, sender=f"s{i}@{names}")
    events.write()
    got, cursor = [], None
    for _ in range(3):
        r = api.get(api.base + "/api/v1/messages", params={"sender": f"@{names}", "limit": 2, **({"cursor": cursor} if cursor else {})},
                    headers={"Accept": "application/x-ndjson"})
        got += [json.loads(x)["sender"] for x in r.text.splitlines()]
        cursor = r.headers.get("Inari-Next")
    assert got == [f"s{i}@{names}" for i in (4, 3, 2, 1, 0)] and cursor is None
    empty = api.get(api.base + "/api/v1/messages", params={"sender": f"x@{names}"}, headers={"Accept": "text/csv"})
    assert empty.status_code == 200 and empty.text.startswith("id,at,") and empty.text.count("\n") == 1
    assert api.get(api.base + "/api/v1/messages", params={"sender": f"x@{names}"}, headers={"Accept": "application/x-ndjson"}).content == b""


# --- events


def test_events_are_listed_once_in_order(api, events):
    dev, t = maillib.device(), now_ms() - 10 * MINUTE
    for i in range(30):
        events.add(dev, "session" if i % 3 else "warning", t + i // 4, client="192.0.2.1", text=f"line {i}", detail={"service": "smtpd"})
    events.add(dev, "device.figures", t + 100, stream="agent")
    events.write()
    got, cursor = [], None
    while True:
        page = api.get(api.base + "/api/v1/events", params={"device": dev, "limit": 7, **({"cursor": cursor} if cursor else {})}).json()
        got += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(got) == 31 and [e["at"] for e in got] == sorted((e["at"] for e in got), reverse=True)
    assert [e.get("text") for e in got[1:]] == [f"line {i}" for i in range(29, -1, -1)]
    assert len(api.ok("GET", f"/events?device={dev}&kind=warning")["items"]) == 10
    assert [e["kind"] for e in api.ok("GET", f"/events?device={dev}&kind=device.")["items"]] == ["device.figures"]
    assert len(api.ok("GET", f"/events?device={dev}&stream=agent")["items"]) == 1


def test_reading_needs_the_permission(parent, journey):
    s = parent.token(["device:read"])
    for path in ("/messages", "/events", "/messages/x"):
        assert s.get(path).status_code == 403
    assert parent.token(["events:read"]).get("/messages").status_code == 200
    assert parent.session().get("/messages").status_code == 401


# --- at the terminal


def test_inarictl(api, ctl, journey):
    out = ctl.ok("messages", "--recipient", f"gone@{journey['domain']}", "--since", "3h")
    assert f"Sender@{journey['domain']}" in out and "bounced" in out and f"edge-{journey['tag']} > inner-{journey['tag']}" in out
    listed = ctl.json("messages", "--recipient", f"gone@{journey['domain']}")
    assert len(listed["items"]) == 1 and listed["items"][0]["status"] == "bounced"
    out = ctl.ok("trace", listed["items"][0]["id"])
    assert "tries again (timeout): connect to mx" in out and f"later@{journey['domain']}" in out and "user-unknown" in out
    assert ctl.ok("trace", journey["ids"][0]) == out  # a queue id from a log will do
    assert ctl.json("trace", journey["ids"][0])["id"] == listed["items"][0]["id"]
    assert "再試行します" in ctl.ok("trace", journey["ids"][0], "--lang", "ja")
    ctl.ends(7, "trace", "FFFFFFFF")
    out, _ = ctl.ends(0, "trace", journey["ids"][2])
    assert f"other@{journey['domain']}" in out and "Several messages" in out  # it was used for another one before
    assert "client" in ctl.ends(3, "messages", "--client", "300.1.1.1")[1] and "since" in ctl.ends(3, "messages", "--since", "soon")[1]
    out = ctl.ok("events", "--device", journey["inner"], "--kind", "message.bounce")
    assert "message.bounce" in out and journey["ids"][2] in out
    assert ctl.json("events", "--device", journey["inner"], "--kind", "message.bounce")["items"][0]["next_queue_id"] == journey["ids"][3]
