"""Events of devices: each is stored once, whatever is between (docs/internals/events.md, "The wire" and "The store")."""
import contextlib
import ctypes
import datetime
import json
import os
import random
import re
import subprocess
import threading
import time
import uuid

import parentlib
import pytest
import wireclient
from ctllib import Ctl
from eventlib import Spool, batch, event, now_ms, send, zstd
from parentlib import wait_until

DAY_MS = 24 * 3600 * 1000


@pytest.fixture(scope="module")
def own(workdir, system_users, programs):
    """A parent of this file alone: days are dropped here."""
    with parentlib.alone(workdir, "events", programs) as p:
        yield p


@pytest.fixture(scope="module")
def people(own):
    return own.token()


@pytest.fixture(scope="module")
def device(own, people):
    """device(name): a new device of that parent."""
    token = people.ok("POST", "/enrolment-tokens", {"name": "t", "uses": 200})["token"]

    def make(name=None):
        d = wireclient.Device(own.base, own.ca, name or f"mx-{uuid.uuid4().hex[:8]}")
        d.enrol(token)
        wait_until(lambda: d.post_token().status_code == 200, "a token")
        d.sign_in()
        return d
    return make


@pytest.fixture
def mx(device):
    return device()


def rows(own, d, columns="seq", where="true", stream="postfix"):
    return own.postgres.psql(f"SELECT {columns} FROM event WHERE device_id = '{d.id}' AND stream = '{stream}' AND {where} ORDER BY seq, n")


def stored(own, d, **kw):
    return [int(r[0]) for r in rows(own, d, **kw)]


@contextlib.contextmanager
def policy(people, **members):
    """That of events, for a while."""
    before = people.ok("GET", "/event-policy")
    people.change("/event-policy", members)
    yield
    people.change("/event-policy", {k: before[k] for k in members})


# -- what is stored ------------------------------------------------------------------------------------------------

def test_every_member_has_its_column(own, mx):
    at = now_ms() - 5000
    e = {"at": at, "kind": "message.delivery", "queue_id": "4bXyZ01Abc", "orig_queue_id": "4bXyZ00Abc", "next_queue_id": "9F",
         "sender": "a@example.test", "recipient": "b@example.test", "client": "2001:db8::7", "client_name": "c.example.test",
         "helo": "helo.example.test", "message_id": "<1@x>", "subject": "件名 é", "size": 1234, "relay": "mx[192.0.2.1]:25",
         "dsn": "2.0.0", "status": "sent", "reason": "other", "text": "250 ok\\N\t\\.\n", "delay_ms": 17,
         "detail": {"delays": [1, 2, 3, 4], "tls": None, "nested": {"é": [True, 1.5]}}}
    s = Spool(mx)
    s.append(e)
    r = s.post()
    assert (r.status_code, r.json()) == (200, {"acknowledged": 1})
    got = own.postgres.psql(f"SELECT row_to_json(e) FROM event e WHERE device_id = '{mx.id}'")[0][0]
    got = json.loads(got)
    for name, value in e.items():
        if name not in ("at",):
            assert got[name] == value, name
    assert abs(datetime.datetime.fromisoformat(got["at"]).timestamp() * 1000 - at) < 1
    assert got["device_at"] is None and got["stream"] == "postfix" and got["n"] == 1
    b = own.postgres.psql(f"SELECT device_id, stream, first, last, n FROM event_batch WHERE id = {got['batch']}")
    assert b == [[mx.id, "postfix", "1", "1", "1"]]


def test_a_batch_sent_again_is_stored_once(own, mx):
    s = Spool(mx)
    body = zstd(batch(s.id, 1, [event(text=str(i)) for i in range(100)]))
    for _ in range(3):
        assert send(mx, "postfix", body).json() == {"acknowledged": 100}
    assert stored(own, mx) == list(range(1, 101))
    # Half of it was stored before: what is new is added.
    longer = zstd(batch(s.id, 51, [event(text=str(i)) for i in range(50, 150)]))
    assert send(mx, "postfix", longer).json() == {"acknowledged": 150}
    assert stored(own, mx) == list(range(1, 151))
    # An older one: the parent knows more.
    assert send(mx, "postfix", body).json() == {"acknowledged": 150}
    assert rows(own, mx, "count(DISTINCT text), count(*)", "true GROUP BY device_id, seq % 1 ORDER BY 1 --") == [["150", "150"]]


def test_identity_and_no_coding_are_taken_too(own, mx):
    spool = str(uuid.uuid4())
    assert send(mx, "agent", batch(spool, 1, [event()]), coding=None).status_code == 200
    assert send(mx, "agent", batch(spool, 2, [event()]), coding="identity").status_code == 200
    assert send(mx, "agent", batch(spool, 3, [event()])[:-1], coding="identity").status_code == 200  # no newline at the end
    assert stored(own, mx, stream="agent") == [1, 2, 3]


def test_a_hole_is_named_and_passed(own, mx):
    s = Spool(mx)
    s.append(*[event() for _ in range(3)])
    s.post()
    r = send(mx, "postfix", zstd(batch(s.id, 11, [event()], dropped=7)))
    assert r.json() == {"acknowledged": 11}
    assert rows(own, mx, "seq, kind, detail->>'first', detail->>'last', detail->>'count', detail->>'spool'") == [
        ["1", "raw", "", "", "", ""], ["2", "raw", "", "", "", ""], ["3", "raw", "", "", "", ""],
        ["10", "spool.gap", "4", "10", "7", s.id], ["11", "raw", "", "", "", ""]]
    assert own.postgres.psql(f"SELECT acknowledged, dropped, gap FROM event_stream WHERE device_id = '{mx.id}'") == [["11", "7", "7"]]
    send(mx, "postfix", zstd(batch(s.id, 11, [event()], dropped=7)))  # again: no second hole
    assert len(rows(own, mx)) == 5


def test_a_spool_made_anew_counts_anew(own, mx):
    old, new, other = Spool(mx), Spool(mx), Spool(mx, "agent")
    for s in (old, new, other):
        s.append(event(), event())
        assert s.post().json() == {"acknowledged": 2}
    assert stored(own, mx) == [1, 1, 2, 2] and stored(own, mx, stream="agent") == [1, 2]
    # A spool that was never heard of and begins late: what was before is missing.
    late = str(uuid.uuid4())
    assert send(mx, "agent", zstd(batch(late, 5, [event()]))).json() == {"acknowledged": 5}
    assert rows(own, mx, "kind, seq", "kind = 'spool.gap'", stream="agent") == [["spool.gap", "4"]]


def test_a_device_cannot_fill_the_list_of_spools(own, mx):
    for i in range(40):
        assert send(mx, "postfix", zstd(batch(str(uuid.uuid4()), 1, [event()]))).status_code == 200
    assert int(own.postgres.psql(f"SELECT count(*) FROM event_stream WHERE device_id = '{mx.id}'")[0][0]) <= 16
    names = [chr(97 + i) for i in range(12)]
    codes = [send(mx, n, zstd(batch(str(uuid.uuid4()), 1, [event()]))).status_code for n in names]
    assert codes.count(200) == 8 and codes.count(422) == 4, codes


def test_many_devices_at_once(own, device):
    devices = [device() for _ in range(8)]
    spools = [Spool(d) for d in devices]
    failed = []

    def run(s):
        try:
            s.append(*[event("message.queued", queue_id=f"Q{i}", sender=f"a{i}@example.test") for i in range(700)])
            s.ship(most=200)
        except Exception as e:  # noqa: BLE001
            failed.append(repr(e))
    threads = [threading.Thread(target=run, args=(s,)) for s in spools]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed, failed[:2]
    for d in devices:
        assert stored(own, d) == list(range(1, 701))


def test_two_batches_of_one_device_at_once(own, mx):
    """The second is told to wait, or finds that it has all been stored; never twice."""
    s = Spool(mx)
    body = zstd(batch(s.id, 1, [event(text="x" * 300) for _ in range(4000)]))
    answers = []

    def run():
        d = wireclient.Device(own.base, own.ca)
        d.access = mx.access
        answers.append(send(d, "postfix", body).status_code)
    threads = [threading.Thread(target=run) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(answers) <= {200, 429, 503} and 200 in answers, answers
    assert stored(own, mx) == list(range(1, 4001))


# -- hostile and odd -----------------------------------------------------------------------------------------------

def test_a_line_that_cannot_be_read_stops_nothing(own, mx):
    odd = [b"", b"{", b"[]", b"null", b'{"at":1}', b'{"kind":"raw"}', b'{"at":"now","kind":"raw"}', b'{"at":1e3,"kind":"raw"}',
           b'{"at":1,"at":2,"kind":"raw"}', b'{"at":1,"kind":"Raw"}', b'{"at":1,"kind":"spool.gap"}', b'{"at":1,"kind":"unreadable"}',
           b'{"at":-1,"kind":"raw"}', b'{"at":999999999999999999,"kind":"raw"}', b'{"at":1' + b"0" * 400 + b',"kind":"raw"}',
           b'{"at":1,"kind":"raw","x":1e999}', b'\xff\xfe{"at":1}', b'{"at":1,"kind":"raw","text":"\xc3"}',
           b'{"at":1,"kind":"raw","text":"\\u0000"}', b'{"at":1,"kind":"raw","text":"\\ud800"}', b"\x00\x01\x02", b"\\N\\.",
           b'{"at":1,"kind":"raw","detail":' + b"[" * 40 + b"]" * 40 + b"}", b"[" * 16000, b'{"at":1,"kind":"raw","text":"' + b"a" * 17000 + b'"}',
           b'{"at":1,"kind":"' + b"a" * 65 + b'"}', b"\xf0\x9f" * 3000]
    s = Spool(mx)
    good = event(text="good")
    s.append(*[x for o in odd for x in (o, good)])
    assert s.post().json() == {"acknowledged": 2 * len(odd)}
    got = rows(own, mx, "seq, kind, length(coalesce(text, ''))")
    assert [int(r[0]) for r in got] == list(range(1, 2 * len(odd) + 1))
    for o, (_, kind, n) in zip(odd, got[::2]):
        assert kind == "unreadable" and int(n) <= 2048, (o[:60], kind, n)
    assert {tuple(r[1:]) for r in got[1::2]} == {("raw", "4")}
    text = dict((r[0], r[1]) for r in rows(own, mx, "seq, encode(convert_to(text, 'UTF8'), 'hex')", "seq IN (33, 41)"))
    assert bytes.fromhex(text["33"]) == b'\\xff\\xfe{"at":1}' and bytes.fromhex(text["41"]) == b"\\x00\x01\x02"


def test_nothing_odd_in_a_member_is_lost(own, mx):
    s = Spool(mx)
    s.append(event(client="unknown", size="big", queue_id=7, more={"a": 1}, detail={"b": 2, "more": "its own"}, delay_ms=None),
             event(client="192.0.2.9", detail=[1, 2]), event(client="::ffff:192.0.2.1", size=2**62))
    s.post()
    got = [[json.loads(r[0]) if r[0] else None, *r[1:]] for r in rows(own, mx, "detail, client, size, queue_id")]
    assert got == [[{"b": 2, "more": "its own", "client": "unknown", "size": "big", "queue_id": 7}, "", "", ""],
                   [{"detail": [1, 2]}, "192.0.2.9", "", ""], [None, "::ffff:192.0.2.1", str(2**62), ""]]


def test_long_texts_are_cut_between_characters(own, mx):
    s = Spool(mx)
    s.append(event("message.queued", text="é" * 3000, queue_id="Q" * 500, sender="あ" * 900, subject="𝄞" * 500, status="s" * 300))
    s.post()
    assert rows(own, mx, "octet_length(text), octet_length(queue_id), octet_length(sender), octet_length(subject), octet_length(status)") == [
        ["4096", "64", "999", "1000", "64"]]


BAD = {
    "no zstd": (lambda i: b"this is not zstd", 400), "empty": (lambda i: b"", 400),
    "cut off": (lambda i: zstd(batch(i, 1, [event()] * 100))[:-20], 400),
    "changed": (lambda i: (lambda z: z[:60] + bytes([z[60] ^ 255]) + z[61:])(zstd(os.urandom(200))), 400),
    "two frames": (lambda i: zstd(batch(i, 1, [event()])) * 2, 400),
    "something behind": (lambda i: zstd(batch(i, 1, [event()])) + b"x", 400),
    "bomb": (lambda i: zstd(b" " * (200 << 20)), 413),
    "bomb in a line": (lambda i: zstd(batch(i, 1, [b"a" * (100 << 20)])), 413),
    "100000 lines": (lambda i: zstd(batch(i, 1, [b"{}"] * 100000, n=5000)), 422),
    "more than n": (lambda i: zstd(batch(i, 1, [event()] * 3, n=2)), 422),
    "fewer than n": (lambda i: zstd(batch(i, 1, [event()] * 3, n=4)), 422),
    "n too large": (lambda i: zstd(batch(i, 1, [event()], n=5001)), 422),
    "n 0": (lambda i: zstd(batch(i, 1, [], n=0)), 422),
    "first 0": (lambda i: zstd(batch(i, 0, [event()])), 422),
    "first huge": (lambda i: zstd(batch(i, 2**62 + 1, [event()])), 422),
    "no spool": (lambda i: zstd(b'{"first":1,"n":1}\n{}\n'), 422),
    "spool is no UUID": (lambda i: zstd(batch("x", 1, [event()])), 422),
    "dropped is odd": (lambda i: zstd(batch(i, 1, [event()], dropped=-1)), 422),
    "head is no JSON": (lambda i: zstd(b"x\n{}\n"), 400), "head too long": (lambda i: zstd(b" " * 20000 + b"\n{}\n"), 413),
}


@pytest.mark.parametrize("name", BAD)
def test_a_batch_that_is_none_is_refused_whole(own, mx, name):
    make, status = BAD[name]
    r = send(mx, "postfix", make(str(uuid.uuid4())))
    assert r.status_code == status, f"{r.status_code} {r.text[:300]}"
    assert stored(own, mx) == [] and own.alive()


def test_a_window_that_is_too_large_is_refused(mx):
    lib = ctypes.CDLL(ctypes.util.find_library("zstd"))
    lib.ZSTD_createCCtx.restype = ctypes.c_void_p
    c = ctypes.c_void_p(lib.ZSTD_createCCtx())
    lib.ZSTD_CCtx_setParameter.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    for name, value in ((101, 27), (200, 0)):  # windowLog; no content size, so that the window is written
        assert not lib.ZSTD_isError(ctypes.c_size_t(lib.ZSTD_CCtx_setParameter(c, name, value)))

    class Buffer(ctypes.Structure):
        _fields_ = [("p", ctypes.c_char_p), ("n", ctypes.c_size_t), ("pos", ctypes.c_size_t)]
    lib.ZSTD_compressStream2.argtypes = [ctypes.c_void_p, ctypes.POINTER(Buffer), ctypes.POINTER(Buffer), ctypes.c_int]
    lib.ZSTD_compressStream2.restype = ctypes.c_size_t
    body = batch(str(uuid.uuid4()), 1, [event()])
    out = ctypes.create_string_buffer(1 << 16)
    to, of = Buffer(ctypes.cast(out, ctypes.c_char_p), len(out), 0), Buffer(body, len(body), 0)
    assert lib.ZSTD_compressStream2(c, ctypes.byref(to), ctypes.byref(of), 0) < 1 << 30  # continue, then end
    assert lib.ZSTD_compressStream2(c, ctypes.byref(to), ctypes.byref(of), 2) == 0
    lib.ZSTD_freeCCtx.argtypes = [ctypes.c_void_p]
    lib.ZSTD_freeCCtx(c)
    r = send(mx, "postfix", out.raw[:to.pos])
    assert r.status_code == 413, r.text


def test_who_may_send(own, mx):
    body = zstd(batch(str(uuid.uuid4()), 1, [event()]))
    for stream in ("Postfix", "post-fix", "a" * 17, "1"):
        assert send(mx, stream, body).status_code == 422
    r = send(mx, "postfix", body, **{"Authorization": "Bearer nobody"})
    assert r.status_code == 401
    assert send(mx, "postfix", body, coding="gzip").status_code == 415
    r = mx.call("POST", f"{wireclient.AGENT}/events/postfix", data=b"x" * (1 << 20) + b"y",
                headers={**mx.auth(), "Content-Type": "application/x-ndjson"})
    assert r.status_code == 413
    assert stored(own, mx) == []


# -- time ----------------------------------------------------------------------------------------------------------

def test_late_and_future_events(own, mx):
    now = now_ms()
    ats = {"yesterday": now - DAY_MS, "ten days": now - 10 * DAY_MS, "too old": now - 40 * DAY_MS, "1970": 5,
           "soon": now + 60000, "future": now + 10 * 60000, "9999": 253402300799999}
    s = Spool(mx)
    s.append(*[event("raw", at, text=name) for name, at in ats.items()])
    assert s.post().status_code == 200
    got = {r[0]: r[1:] for r in rows(own, mx, "text, round(extract(epoch from at) * 1000), round(extract(epoch from received_at) * 1000),"
                                              " coalesce(round(extract(epoch from device_at) * 1000)::text, '')")}
    for name, at in ats.items():
        stored_at, received, device_at = got[name]
        if name in ("too old", "1970", "future", "9999"):
            assert stored_at == received and device_at == str(at), name
        else:
            assert int(stored_at) == at and device_at == "", name
    day = datetime.datetime.fromtimestamp((now - 10 * DAY_MS) / 1000, datetime.timezone.utc).strftime("%Y%m%d")
    assert own.postgres.psql(f"SELECT count(*) FROM event_{day} WHERE device_id = '{mx.id}'") == [["1"]]


def test_many_days_in_one_batch_are_bounded(own, people, mx):
    with policy(people, keep_days=200):
        s = Spool(mx)
        s.append(*[event("raw", now_ms() - i * DAY_MS, text=str(i)) for i in range(150)])
        assert s.post().status_code == 200
        assert rows(own, mx, "count(*) FILTER (WHERE device_at IS NULL), count(*)", "true GROUP BY device_id, seq % 1 ORDER BY 1 --") == [
            ["40", "150"]]


# -- persons -------------------------------------------------------------------------------------------------------

def test_subjects_as_the_policy_says(own, people, mx):
    said = [event("message.queued", subject="Salary of Bob", detail={"subject": "Salary of Bob", "nrcpt": 1}),
            event("message.queued", subject="Salary of Bob"), event("message.queued", subject="another"),
            event("raw", text="4F: info: header Subject: Salary of Bob from x"), b'{"kind":"raw","subject":"Salary of Bob"'[:-1],
            event("message.queued", subject=["Salary of Bob"])]

    def sent():
        s = Spool(mx)
        s.append(*said)
        assert s.post().status_code == 200
        b = own.postgres.psql(f"SELECT max(id) FROM event_batch WHERE device_id = '{mx.id}'")[0][0]
        return rows(own, mx, "coalesce(subject, 'none'), row_to_json(event)", f"batch = {b}")
    got = sent()
    assert [r[0] for r in got][:3] == ["Salary of Bob", "Salary of Bob", "another"]
    with policy(people, subject="hash"):
        got = sent()
        assert got[0][0] == got[1][0] != got[2][0] and all(r[0].startswith("hash:") and len(r[0]) == 37 for r in got[:3])
        assert not any("Bob" in r[1] for r in got), got
        assert "header Subject:" in got[3][1]
    with policy(people, subject="omit"):
        got = sent()
        assert {r[0] for r in got} == {"none"} and not any("Bob" in r[1] for r in got), got
    assert sent()[0][0] == "Salary of Bob"


def test_a_hashed_subject_is_found_whole(own, people, mx):
    """As it was written and nothing less; what is stored in clear is found by its words, also meanwhile."""
    mark, s = uuid.uuid4().hex[:8], Spool(mx)
    long = f"{mark} " + "四半期の売上報告書" * 10  # more words than a search may have

    def sent(queue_id, subject):
        s.append(event("message.queued", queue_id=queue_id, sender="a@hash.test", size=1, subject=subject))
        assert s.post().status_code == 200

    def found(subject, **more):
        r = people.get("/messages", params={"subject": subject, **more})
        return sorted(m["queue_id"] for m in r.json()["items"]) if r.status_code == 200 else r.json()["errors"][0]["pointer"]
    sent("C1EA12", f"{mark} salary of Bob")
    with policy(people, subject="hash"):
        sent("4A5401", f"{mark} salary of Bob")
        sent("4A5402", long)
        sent("4A5403", "  ... !")
        assert found(f"{mark} salary of Bob") == ["4A5401", "C1EA12"]
        assert found(f" {mark} salary of Bob ", sender="a@hash.test") == ["4A5401", "C1EA12"]
        assert found(f"{mark} Salary of Bob") == found(f"{mark} bob") == ["C1EA12"]  # another text: by its words only
        assert found(long) == ["4A5402"] and found(long[:-1]) == [] and found("... !") == ["4A5403"]
        assert people.ok("GET", "/messages", params={"subject": long})["items"][0]["subject"].startswith("hash:")
        assert found("x" * 1001) == "/query/subject"
    assert found(f"{mark} salary of Bob") == ["C1EA12"]
    assert found(long) == found("... !") == "/query/subject"


def test_events_outlive_their_device(own, people, device):
    d = device()
    s = Spool(d)
    s.append(event(), event())
    s.post()
    people.ok("POST", f"/devices/{d.id}/retire", {})
    wait_until(lambda: s.device.call("GET", f"{wireclient.AGENT}/commands", headers=d.auth()).status_code != 200, "the device to be out")
    s.append(event())
    assert s.post().status_code in (401, 403, 410)
    people.ok("DELETE", f"/devices/{d.id}", headers={"If-Match": people.get(f"/devices/{d.id}").headers["ETag"]})
    assert stored(own, d) == [1, 2]


def test_a_spool_says_where_it_begins(own, mx):
    """One that goes on with the numbers of another one lacks only what it says itself."""
    assert send(mx, "postfix", zstd(batch(str(uuid.uuid4()), 501, [event()], begins=501))).json() == {"acknowledged": 501}
    assert stored(own, mx) == [501]
    assert send(mx, "postfix", zstd(batch(str(uuid.uuid4()), 510, [event()], begins=505))).json() == {"acknowledged": 510}
    assert rows(own, mx, "kind, detail->>'first', detail->>'last'", "kind = 'spool.gap'") == [["spool.gap", "505", "509"]]


# -- keeping ---------------------------------------------------------------------------------------------------------
# Days that went are not made again: each test reaches less far back than the one before.

def days(own):
    return sorted(r[0] for r in own.postgres.psql("SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                                                  "WHERE i.inhparent = 'event'::regclass"))


def day_name(ago):
    return f"event_{datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=ago):%Y%m%d}"


def test_the_policy_is_a_resource(own, people):
    r = people.get("/event-policy")
    assert r.headers["ETag"] == f'"{r.json()["version"]}"' and r.json()["stored"]["bytes"] > 0
    assert {k: r.json()[k] for k in ("keep_days", "size_budget_bytes", "subject")} == {
        "keep_days": 30, "size_budget_bytes": 20 << 30, "subject": "keep"}
    merge = {"Content-Type": "application/merge-patch+json"}
    assert people.patch("/event-policy", data="{}", headers=merge).status_code == 428
    assert people.patch("/event-policy", data="{}", headers={**merge, "If-Match": '"9999"'}).status_code == 412
    for bad, pointer in (({"keep_days": 0}, "/keep_days"), ({"size_budget_bytes": 1}, "/size_budget_bytes"), ({"subject": "x"}, "/subject"),
                         ({"keep_day": 3}, "/keep_day")):
        a = people.patch("/event-policy", data=json.dumps(bad), headers={**merge, "If-Match": r.headers["ETag"]})
        assert a.status_code == 422 and a.json()["errors"][0]["pointer"] == pointer, a.text
    tried = people.ok("PATCH", "/event-policy?dry_run=true", {"keep_days": 7}, headers={"If-Match": r.headers["ETag"]})
    assert tried["keep_days"] == 7 and people.ok("GET", "/event-policy")["keep_days"] == 30
    changed = people.change("/event-policy", {"keep_days": 7, "subject": "omit"})
    assert changed["version"] == r.json()["version"] + 1
    assert people.change("/event-policy", {"keep_days": None, "subject": None})["keep_days"] == 30
    entry = people.ok("GET", "/audit?action=event.policy&limit=2")["items"][1]
    assert entry["detail"]["before"]["keep_days"] == 30 and entry["detail"]["after"] == {
        "keep_days": 7, "size_budget_bytes": 20 << 30, "subject": "omit"}


def test_the_policy_on_the_command_line(own, people, programs, tmp_path):
    ctl = Ctl.of(programs, own, people, tmp_path)
    assert "20.0 GB" in ctl.ok("event-policy")
    assert "hash" in ctl.ok("event-policy", "subject=hash", "size_budget_bytes=30G")
    assert ctl.json("event-policy")["size_budget_bytes"] == 30 << 30
    ctl.ok("event-policy", "subject=default", "size_budget_bytes=default")
    assert people.ok("GET", "/event-policy")["subject"] == "keep"
    ctl.ends(2, "event-policy", "subject")


def test_old_days_go(own, people, mx):
    """By age: at once after the policy says so; what is as old and comes afterwards is stored as of now."""
    s = Spool(mx)
    s.append(*[event("raw", now_ms() - i * DAY_MS, text=f"{i} days") for i in (0, 4, 5, 6, 20)])
    s.post()
    assert day_name(20) in days(own)
    with policy(people, keep_days=5):
        wait_until(lambda: day_name(20) not in days(own) and day_name(6) not in days(own), "old days to be dropped", 30)
        assert day_name(5) in days(own) and day_name(4) in days(own)
        assert stored(own, mx) == [1, 2, 3]
    s.append(event("raw", now_ms() - 6 * DAY_MS, text="late"))
    s.post()
    assert rows(own, mx, "at = received_at", "text = 'late'") == [["t"]] and day_name(6) not in days(own)
    tomorrow = day_name(-1)
    assert tomorrow in days(own)


@pytest.mark.slow
def test_a_reader_delays_dropping_not_storing(own, people, mx):
    """Whoever reads an old day keeps it for that long, and nobody who stores waits behind."""
    s = Spool(mx)
    s.append(event("raw", now_ms() - 3 * DAY_MS), event())
    s.post()
    reader = subprocess.Popen(parentlib.as_user("inari", ["psql", "-qX", "-h", own.postgres.socket, "-U", "inari", "-d", "inari", "-c",
                              f"BEGIN; SELECT count(*) FROM {day_name(3)}; SELECT pg_sleep(4); COMMIT"]), cwd="/", stdout=subprocess.DEVNULL)
    wait_until(lambda: own.postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(4)%' AND pid <> pg_backend_pid()"
                                         " AND state = 'active'") == [["1"]], "the reader")
    with policy(people, keep_days=2):
        worst = 0
        while reader.poll() is None:
            s.append(event())
            began = time.monotonic()
            assert s.post().status_code == 200
            worst = max(worst, time.monotonic() - began)
            if day_name(3) not in days(own):
                reader.wait(1)  # the moment after its COMMIT
        assert worst < 2, worst
        assert "55P03" in own.log()  # it was tried, and given up for the moment
        wait_until(lambda: day_name(3) not in days(own), "the day to be dropped", 30)


@pytest.mark.slow
def test_the_oldest_days_go_for_size(own, people, mx):
    s = Spool(mx)
    s.append(*[event("raw", now_ms() - i * DAY_MS, text=f"{i} days") for i in (2, 1, 0)])
    s.post()
    own.postgres.psql("INSERT INTO event (at, received_at, batch, seq, device_id, n, stream, kind, text) SELECT now() - interval '2 days',"
                      " now(), 0, i, gen_random_uuid(), 1, 'agent', 'raw', filler FROM"
                      " (SELECT i, string_agg(md5((i * 100 + j)::text), '') AS filler FROM generate_series(1, 35000) i,"
                      " generate_series(1, 65) j GROUP BY i) x", user="inari")
    full = people.ok("GET", "/event-policy")["stored"]["bytes"]
    assert full > 70 << 20
    tried = people.ok("PATCH", "/event-policy?dry_run=true", {"size_budget_bytes": 64 << 20}, headers={"If-Match": people.get("/event-policy").headers["ETag"]})
    assert tried["drops"]["days"] >= 1 and tried["drops"]["bytes"] > full - (64 << 20)
    with policy(people, size_budget_bytes=64 << 20):
        wait_until(lambda: day_name(2) not in days(own), "the oldest days to be dropped", 30)
        assert people.ok("GET", "/event-policy")["stored"]["bytes"] <= 64 << 20
        assert stored(own, mx) == [2, 3]
    assert day_name(0) in days(own)


# -- killed in the middle ------------------------------------------------------------------------------------------

@pytest.mark.slow
@pytest.mark.fault
def test_exactly_once_over_kills(own, device, injected):
    """inarid and PostgreSQL are killed while four devices ship: what was written is stored, each event once."""
    spools = [Spool(device()) for _ in range(4)]
    over, failed = threading.Event(), []

    def run(s):
        try:
            while not over.is_set():
                s.append(*[event("message.delivery", queue_id=f"{i:X}", text=f"n{i}", status="sent")
                           for i in range(s.written, s.written + random.choice((1, 50, 400)))])
                s.ship(most=150, patience=120)
        except Exception as e:  # noqa: BLE001
            failed.append(repr(e))
    threads = [threading.Thread(target=run, args=(s,)) for s in spools]
    for t in threads:
        t.start()
    kills = 0
    while kills < 9 and not failed:
        time.sleep(random.uniform(0.1, 0.7))
        if kills % 3 == 2:
            own.postgres.kill()
            own.postgres.start()
        else:
            own.kill()
            own.start()
        kills += 1
    over.set()
    for t in threads:
        t.join()
    injected("ingest-kill", kills)
    assert not failed, failed[:2]
    for s in spools:
        got, total = rows(own, s.device, "seq, text"), s.written
        assert total > 100
        assert [(int(a), b) for a, b in got] == [(i + 1, f"n{i}") for i in range(total)], "each once, in order"
        assert own.postgres.psql(f"SELECT sum(n) FROM event_batch WHERE device_id = '{s.device.id}'") == [[str(total)]]
        assert own.postgres.psql(f"SELECT sum(delivered) FROM figure WHERE device_id = '{s.device.id}' AND step_s = 86400") == [[str(total)]]


# -- beside the others ---------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_a_flood_delays_nobody(own, device):
    """Thirty senders without pause; a device that reports and polls, and a person, are answered as if they were alone."""
    flood, calm = [device() for _ in range(10)], device()
    body = [event("message.queued", sender="a@example.test", text="x" * 200) for _ in range(3000)]
    stop, codes = threading.Event(), []

    def run(d):
        s = Spool(d)
        first = 1
        packed = None
        while not stop.is_set():
            if packed is None:
                packed = zstd(batch(s.id, first, body))
            with contextlib.suppress(Exception):
                r = send(d, "postfix", packed)
                codes.append(r.status_code)
                if r.status_code == 200:
                    first, packed = r.json()["acknowledged"] + 1, None
    threads = [threading.Thread(target=run, args=(d,)) for d in flood for _ in range(3)]
    for t in threads:
        t.start()
    took = []
    try:
        wait_until(lambda: codes.count(200) > 3, "the flood to run", 30)
        for _ in range(15):
            began = time.monotonic()
            assert calm.put_status({**calm.status(), "uptime_s": random.randrange(10**6)}).status_code == 204
            assert calm.call("GET", f"{wireclient.AGENT}/commands", headers=calm.auth()).status_code == 200
            took.append(time.monotonic() - began)
    finally:
        stop.set()
        for t in threads:
            t.join()
    took.sort()
    print(f"status and commands during the flood: median {took[7] * 1000:.0f} ms, worst {took[-1] * 1000:.0f} ms; {len(codes)} batches, "
          f"{codes.count(200)} taken")
    assert set(codes) <= {200, 429, 503} and 503 in codes, {c: codes.count(c) for c in set(codes)}
    assert took[-1] < 5, took


def test_metrics_have_the_age_of_each_queue(own, people, mx, device):
    """What a device said last of its queue's age, by its id; neither one that said nothing nor what was said of long ago."""
    def ages():
        text = own.session().get(own.base + "/metrics").text
        assert "# TYPE inari_device_queue_oldest_seconds gauge" in text
        return dict(re.findall(r'(?m)^inari_device_queue_oldest_seconds\{device="([^"]+)"\} (\d+)$', text))

    silent, late = device(), device()
    for d in (mx, silent, late):
        people.change(f"/devices/{d.id}", {"mode": "manage"})
    agent, queue = Spool(mx, "agent"), {"deferred": 3}
    agent.append(event("device.figures", at=now_ms() - 60_000, detail={"queue": queue, "oldest_s": 7}), event("device.figures", detail={"queue": queue, "oldest_s": 4021}))
    assert agent.post().status_code == 200
    quiet = Spool(silent, "agent")
    quiet.append(event("device.figures", detail={"queue": queue}))
    assert quiet.post().status_code == 200
    old = Spool(late, "agent")
    old.append(event("device.figures", at=now_ms() - 3600_000, detail={"queue": queue, "oldest_s": 99}))
    assert old.post().status_code == 200
    found = ages()
    assert found.get(mx.id) == "4021" and silent.id not in found and late.id not in found
    agent.append(event("device.figures", detail={"queue": {"deferred": 0}, "oldest_s": 0}))
    assert agent.post().status_code == 200
    assert ages()[mx.id] == "0"
