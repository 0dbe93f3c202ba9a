"""Following events: exactly what is stored, in one order, each once, over resumes, kills, several parents and slow readers."""
import json
import re
import socket
import ssl
import subprocess
import threading
import time
import uuid

import parentlib
import pytest
import requests
import wireclient
from ctllib import Ctl
from eventlib import Spool, event
from parentlib import wait_until
from streamlib import Follower, order
from test_two_parents import second_of

pytestmark = pytest.mark.slow  # it waits for streams that say nothing


@pytest.fixture(scope="module")
def site(workdir, programs):
    with parentlib.alone(workdir, "stream", programs) as p:
        yield p


@pytest.fixture(scope="module")
def reader(site):
    return site.token()


def device_of(site, api=None):
    d = wireclient.Device(site.base, site.ca, f"s-{uuid.uuid4().hex[:8]}")
    d.enrol((api or site.token()).ok("POST", "/enrolment-tokens", {"name": "stream"})["join"])
    return d


@pytest.fixture(scope="module")
def device(site, reader):
    return device_of(site, reader)


@pytest.fixture
def spool(device):
    return Spool(device)


def figure(site, name):
    return int(re.search(rf"^{name} (\d+)", site.session().get(site.base + "/metrics").text, re.M).group(1))


def texts(messages):
    return [m["text"] for m in messages]


def numbered(n, first=0, tag=None, **members):
    tag = tag or uuid.uuid4().hex[:6]
    return [event("raw", text=f"{tag}-{i}", **members) for i in range(first, first + n)]


def test_what_is_stored_comes_in_order(site, reader, spool):
    f = Follower(reader).ready()
    assert f.retry == 2000 and f.answer.headers["Content-Type"] == "text/event-stream" and f.answer.headers["Cache-Control"] == "no-store"
    mine = numbered(700)
    spool.append(*mine)
    spool.ship(100)
    got = f.wait(700)
    assert texts(got) == texts(mine)
    assert [order(m["id"]) for m in got] == sorted(order(m["id"]) for m in got)
    assert got[0]["device"] == {"id": spool.device.id, "name": spool.device.name} and got[0]["stream"] == "postfix" and [m["seq"] for m in got] == list(range(1, 701))
    f.close()


def test_filters(site, reader, device, spool):
    q = uuid.uuid4().hex[:10].upper()
    fs = {"kind": Follower(reader, kind="message.").ready(), "one": Follower(reader, kind="message.queued").ready(),
          "queue": Follower(reader, queue_id=q).ready(), "sender": Follower(reader, sender="Someone@Example.org").ready(),
          "domain": Follower(reader, recipient="@example.com").ready(), "device": Follower(reader, device=device.name).ready(),
          "other": Follower(reader, device=str(uuid.uuid4())).ready(), "stream": Follower(reader, stream="agent").ready()}
    spool.append(event("message.queued", queue_id=q, sender="someone@example.org", client="192.0.2.1"),
                 event("message.delivery", queue_id=q, sender="someone@example.org", recipient="x@EXAMPLE.com", status="sent"),
                 event("message.delivery", queue_id="OTHER", sender="else@example.org", recipient="x@notexample.com", status="sent"),
                 event("messages", text="last"))
    spool.ship()
    all_ = Follower(reader).ready()
    agent = Spool(device, "agent")
    agent.append(event("device.applied"))
    agent.ship()
    fs["device"].wait(5)
    fs["stream"].wait(1)
    fs["kind"].wait(3)
    fs["domain"].wait(1)
    count = {name: len(f.messages) for name, f in fs.items()}
    assert count == {"kind": 3, "one": 1, "queue": 2, "sender": 2, "domain": 1, "device": 5, "other": 0, "stream": 1}
    for f in (*fs.values(), all_):
        f.close()


def test_resume_is_exact(site, reader, spool):
    f = Follower(reader).ready()
    mine = numbered(300)
    spool.append(*mine[:120])
    spool.ship(50)
    f.wait(120)
    places = [m["id"] for m in f.messages]
    f.close()
    spool.append(*mine[120:])
    spool.ship(50)
    for at in (0, 17, 49, 50, 119):  # in the middle of a batch, at its end
        g = Follower(reader, last=places[at]).ready()
        got = g.wait(300 - at - 1)
        assert texts(got) == texts(mine[at + 1:]) and not g.named
        g.close()


@pytest.mark.slow
def test_a_place_goes_on_without_events_of_the_filter(site, reader, spool):
    f = Follower(reader, kind="no.such").ready()
    first = f.last
    spool.append(*numbered(10))
    spool.ship()
    wait_until(lambda: f.last != first, "the place to go on", 40)
    assert f.comments >= 1 and not f.messages and order(f.last) > order(first)
    f.close()


def test_what_an_older_transaction_stores_comes_first(site, reader, device, spool):
    """A transaction that began earlier and commits later: nothing of it is lost, and nothing is shown out of order."""
    f = Follower(reader).ready()
    argv = parentlib.as_user("inari-db", ["psql", "-qXAt", "-h", site.postgres.socket, "-U", "postgres", "-d", "inari"])
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
    row = f"'{device.id}', 'late', now()"
    p.stdin.write(f"BEGIN; INSERT INTO event_batch (device_id, stream, received_at, first, last, n) VALUES ({row}, 1, 1, 1) RETURNING id \\gset\n"
                  f"INSERT INTO event (at, received_at, batch, n, device_id, stream, seq, kind, text) "
                  f"VALUES (now(), now(), :id, 0, '{device.id}', 'late', 1, 'raw', 'older');\nSELECT 'there';\n")
    p.stdin.flush()
    assert p.stdout.readline().strip() == "there"
    spool.append(*numbered(3, tag="newer"))
    spool.ship()
    time.sleep(1.5)  # more than a look
    assert not f.messages
    p.stdin.write("COMMIT;\n\\q\n")
    p.stdin.close()
    assert texts(f.wait(4)) == ["older", "newer-0", "newer-1", "newer-2"]
    p.wait(20)
    f.close()


@pytest.mark.parametrize("last", ["x", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", "-1.2.3.4", "1.2.3.99999999999", "1.2.3.4 ", "9" * 79, "1.2.3.4; DROP",
                                  "99999999999999999999.1.1.1", "0x1.2.3.4", "'"])
def test_hostile_places_are_refused(site, reader, last):
    r = reader.get(site.base + "/api/v1/events/stream", headers={"Last-Event-ID": last})
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/header/Last-Event-ID" and "leave it out" in r.json()["detail"]


@pytest.mark.parametrize("query", [{"kind": "A"}, {"kind": "x" * 64}, {"stream": "a b"}, {"queue_id": ""}, {"sender": "x" * 321}, {"device": "nobody-here"}])
def test_filters_that_nothing_could_match(site, reader, query):
    r = reader.get(site.base + "/api/v1/events/stream", params=query)
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/query/" + next(iter(query))


def test_places_of_another_history_are_a_gap(site, reader, spool):
    now = Follower(reader).ready()
    epoch = order(now.last)[0]
    now.close()
    for last in (f"{epoch + 7}.1.1.1", f"{epoch}.9223372036854775807.1.1", f"{epoch}.4000000000.1.1"):
        f = Follower(reader, last=last).ready()
        assert [n for n, _ in f.named] == ["gap"] and f.named[0][1]["reason"] == "unknown" and not f.messages
        f.close()


def test_a_place_older_than_what_is_kept_is_a_gap(site, reader, spool):
    f = Follower(reader).ready()
    spool.append(*numbered(3, tag="gone"))
    spool.ship(1)
    f.wait(3)
    first = f.places[0]
    spool.append(*numbered(2, tag="kept"))
    spool.ship(2)
    f.wait(5)
    kept = order(f.messages[3]["id"])[2]
    site.postgres.psql(f"DELETE FROM event WHERE batch < {kept}; DELETE FROM event_batch WHERE id < {kept}")
    g = Follower(reader, last=first).ready()
    got = g.wait(2)
    assert [(n, d["reason"]) for n, d in g.named] == [("gap", "too-old")] and texts(got) == ["kept-0", "kept-1"]
    again = g.again().ready()  # whoever has seen it is not told again
    assert not again.named
    for x in (f, g, again):
        x.close()


def test_ends_when_the_token_is_revoked_and_at_logout_and_with_the_password(site, spool):
    name = f"v{uuid.uuid4().hex[:8]}"
    site.login().ok("POST", "/accounts", {"name": name, "role": "viewer", "password": "a long enough password 1"})
    site.login(name, "a long enough password 1").ok("PUT", "/session/password", {"old": "a long enough password 1", "new": "another long password 2"})
    first, second = site.login(name, "another long password 2"), site.login(name, "another long password 2")
    token = first.ok("POST", "/api-tokens", {"name": "follow", "scopes": ["events:read"], "expires_at": None})
    fs = [Follower(site.session(token["token"])).ready(), Follower(first).ready(), Follower(second).ready()]
    first.ok("DELETE", f"/api-tokens/{token['id']}")
    assert fs[0].over.wait(15) and fs[0].named[-1] == ("end", {"reason": "signed-out", "resume": fs[0].last})
    assert not fs[1].over.is_set()
    first.ok("DELETE", "/session")
    assert fs[1].over.wait(15) and fs[1].named[-1][0] == "end"
    second.ok("PUT", "/session/password", {"old": "another long password 2", "new": "yet another password 3"})
    assert fs[2].over.wait(15) and fs[2].named[-1][1]["reason"] == "signed-out"


def viewer(site):
    """A session with a token of an account of its own."""
    name, first, later = f"f{uuid.uuid4().hex[:8]}", "a long enough password 1", "another long password 2"
    site.login().ok("POST", "/accounts", {"name": name, "role": "viewer", "password": first})
    site.login(name, first).ok("PUT", "/session/password", {"old": first, "new": later})
    made = site.login(name, later).ok("POST", "/api-tokens", {"name": "follow", "scopes": ["events:read"], "expires_at": None})
    return site.session(made["token"])


def test_an_account_has_so_many(site, spool):
    s = viewer(site)
    fs = []
    try:
        for _ in range(32):
            fs.append(Follower(s))
        r = s.get(site.base + "/api/v1/events/stream")
        assert r.status_code == 429 and r.json()["type"].endswith(":too-many-streams") and "32" in r.json()["detail"]
        assert "Close another" in r.json()["remedy"]
        fs.pop().close()
        wait_until(lambda: s.get(site.base + "/api/v1/events/stream", stream=True).status_code == 200, "a place to be free again", 10, 0.1)
    finally:
        for f in fs:
            f.close()


def slow_reader(site, session):
    """Reads the head of the answer, then nothing."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", site.port))
    s = ssl.create_default_context(cafile=site.ca).wrap_socket(raw, server_hostname="localhost")
    s.sendall((f"GET /api/v1/events/stream HTTP/1.1\r\nHost: localhost:{site.port}\r\n"
               f"Authorization: {session.headers['Authorization']}\r\n\r\n").encode())
    assert s.recv(20).startswith(b"HTTP/1.1 200")
    return s


@pytest.mark.slow
def test_a_slow_reader_is_told_where_to_go_on(site, reader, spool):
    f = Follower(reader).ready()
    slow = slow_reader(site, reader)
    time.sleep(0.3)
    before = figure(site, "inari_event_stream_overflows_total")
    mine = numbered(3000, pad="x" * 1500)
    spool.append(*mine)
    spool.ship(1500)
    assert texts(f.wait(3000, 60)) == texts(mine)  # nobody else waits for it
    wait_until(lambda: figure(site, "inari_event_stream_overflows_total") == before + 1, "it to be let go", 40)
    data = b""
    slow.settimeout(20)
    while True:
        try:
            piece = slow.recv(65536)
        except (ssl.SSLError, OSError):
            break
        data += piece
        if not piece or data.endswith(b"\r\n0\r\n\r\n"):
            break
    slow.close()
    body = re.sub(rb"\r\n[0-9a-fA-F]+\r\n", b"", data)
    assert b"event: overflow" in body, body[-300:]
    resume = re.search(rb'"resume":"([0-9.]+)"', body).group(1).decode()
    had = len(re.findall(rb"\ndata: \{\"at\"", body))
    assert 0 < had < 3000
    g = Follower(reader, last=resume).ready()
    got = g.wait(3000 - had, 60)
    assert texts(got) == texts(mine[had:])
    f.close(), g.close()


@pytest.mark.slow
def test_nothing_runs_when_nobody_follows(site, reader, spool):
    f = Follower(reader).ready()
    f.close()
    wait_until(lambda: figure(site, "inari_event_followers") == 0, "the parent to see that it left", 10)
    wait_until(lambda: "inarid feed" not in str(site.postgres.psql("SELECT application_name FROM pg_stat_activity")), "the connection to go", 45, 1)


@pytest.mark.slow
def test_200_followers(site, device, spool):
    """Each gets all, with one connection to the database."""
    sessions = [viewer(site) for _ in range(7)]
    fs = [Follower(sessions[i % 7]) for i in range(200)]
    for f in fs:
        f.ready()
    mine = numbered(400)
    spool.append(*mine)
    began = time.monotonic()
    spool.ship(100)
    for f in fs:
        assert texts(f.wait(400, 60)) == texts(mine)
    print(f"200 followers had 400 events after {time.monotonic() - began:.1f} s")
    assert len(site.postgres.psql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'inarid feed'")) == 1
    began = time.monotonic()
    assert site.stop() == 0  # with all of them suspended
    assert time.monotonic() - began < 15
    for f in fs:
        assert f.over.wait(10) and f.named[-1] == ("end", {"reason": "stopping"})
    site.start()


class Following:
    """inarictl events --follow, its lines as they come."""

    def __init__(self, programs, site, session, home, *args):
        ctl = Ctl.of(programs, site, session, home)
        self.p = subprocess.Popen([ctl.program, "events", "--follow", *args], env=ctl.env, cwd="/", stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.p.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait(self, n):
        wait_until(lambda: len(self.lines) >= n or self.p.poll() is not None, f"{n} lines; there are {len(self.lines)}", 40)
        return self.lines

    def end(self):
        self.p.terminate()
        self.p.wait(20)
        self.thread.join(20)
        err = self.p.stderr.read()
        assert "Sanitizer" not in err and "runtime error" not in err, err
        return err


def test_inarictl_follows_over_a_kill(site, reader, programs, device, spool, tmp_path):
    before = figure(site, "inari_event_followers_total")
    f = Following(programs, site, reader, tmp_path, "--json", "--device", device.name)
    wait_until(lambda: figure(site, "inari_event_followers_total") > before, "inarictl to follow")
    time.sleep(0.5)
    mine = numbered(60)
    spool.append(*mine[:30])
    spool.ship(10)
    f.wait(30)
    site.kill()
    site.start()
    spool.append(*mine[30:])
    spool.ship(10)
    f.wait(60)
    assert [json.loads(x)["text"] for x in f.lines] == texts(mine)
    assert f.end() == ""


def test_inarictl_prints_nothing_that_moves_a_terminal(site, reader, programs, device, spool, tmp_path):
    before = figure(site, "inari_event_followers_total")
    f = Following(programs, site, reader, tmp_path, "--limit", "2", "--kind", "message.")
    wait_until(lambda: figure(site, "inari_event_followers_total") > before, "inarictl to follow")
    time.sleep(0.5)
    spool.append(event("message.rejected", sender="a\x1b[2Jb@example.org", reason="relay", text="two\nlines \x9b1m"), event("raw", text="not asked for"),
                 event("message.rejected", sender="漢@example.org", queue_id="4QX"))
    spool.ship()
    f.p.wait(20)
    assert f.p.returncode == 0
    f.thread.join(10)
    assert len(f.lines) == 2 and not any(c in x for x in f.lines for c in "\x1b\x9b\r"), f.lines
    assert device.name in f.lines[0] and "message.rejected" in f.lines[0] and "reason=relay" in f.lines[0]
    assert "sender=<漢@example.org>" in f.lines[1] and "4QX" in f.lines[1]
    f.end()


def test_inarictl_says_what_is_wrong(site, reader, programs, tmp_path):
    ctl = Ctl.of(programs, site, reader, tmp_path)
    assert "leave --since" in ctl.ends(2, "events", "--follow", "--since", "1h", "--lang", "en")[1]
    assert "there is no device" in ctl.ends(3, "events", "--follow", "--device", "nobody-here", "--lang", "en")[1]
    assert ctl.ends(5, "events", "--follow", env={"INARI_TOKEN": "inari_pat_" + "x" * 43})
    assert "--follow" in ctl.ends(2, "events", "--sender", "a@example.org", "--lang", "en")[1]


def chase(parents, session_of, stop, got, seen):
    """A client that comes back, to whichever parent, until it is told to stop."""
    last, i = None, 0
    while not stop.is_set():
        try:
            f = Follower(session_of(parents[i % len(parents)]), last=last)
        except (requests.RequestException, AssertionError):
            i += 1
            time.sleep(0.2)
            continue
        seen.append(f)
        taken = 0
        while not f.over.wait(0.05) and not stop.is_set():
            pass
        f.close()
        got += f.messages[taken:]
        last = f.last
        i += 1


@pytest.mark.slow
def test_kills_of_the_parent_lose_and_double_nothing(new_parent, injected):
    """Followers at two parents while one of them is killed again and again: all get all, in the same order."""
    p = new_parent()
    api = p.token()
    token = api.headers["Authorization"].removeprefix("Bearer ")
    q = second_of(p)
    d = device_of(p, api)
    spool = Spool(d)
    stop, kept = threading.Event(), []
    lists = [[], [], []]
    threads = [threading.Thread(target=chase, args=(parents, lambda x: x.session(token), stop, got, kept), daemon=True)
               for parents, got in zip(([p], [q], [p, q]), lists)]
    for t in threads:
        t.start()
    wait_until(lambda: len(kept) >= 3 and all(f.places for f in kept[:3]), "three who follow", 30)
    mine = numbered(1500)
    try:
        for i in range(0, 1500, 100):
            spool.append(*mine[i:i + 100])
            if i % 300 == 200:
                shipping = threading.Thread(target=lambda: spool.ship(20))
                shipping.start()
                time.sleep(0.05)
                p.kill()
                injected("kills")
                p.start()
                shipping.join(60)
            spool.ship(30)

        wait_until(lambda: all(f.over.is_set() or len(texts(f.messages)) == 0 or f.messages[-1]["text"] == mine[-1]["text"] for f in kept[-3:]),
                   "the last event to come", 60)
        time.sleep(2)
    finally:
        stop.set()
        for t in threads:
            t.join(30)
    for got in lists:
        assert [m["text"] for m in got] == texts(mine), (len(got), len(set(texts(got))))
    assert [m["id"] for m in lists[0]] == [m["id"] for m in lists[1]] == [m["id"] for m in lists[2]]
    assert q.stop() == 0
