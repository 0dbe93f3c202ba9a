"""Two parents on one database (protocol.md 6.14.9): work that must be done once is done by one of them, in its term; what
one knows the other knows; a paused or killed leader changes nothing that its successor did."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
import uuid

import parentlib
import pytest
import wireclient
from parentlib import Parent, wait_until
from test_agent_api_poll import Held

KEY = "smtp.message_size_limit"
WAVES = {"strategy": "waves", "shadow": "never", "waves": ["1", "3"], "canary_bake_s": 1, "bake_s": 1, "max_unavailable": "100%"}


def second_of(parent, name="inarid2", env=None, port=None, postgres=None, **extra):
    """Another parent over the first one's database, with its keys (docs/install.md, "A second parent")."""
    p = Parent(parent.dir, postgres or parent.postgres, parent.programs, {k.replace("__", "."): v for k, v in extra.items()},
               name=name)
    if port is not None:
        p.port, p.base = port, f"https://localhost:{port}"
    p.configure()
    os.makedirs(os.path.join(p.state, "tls"), exist_ok=True)
    for f in ("parent.key", "tls/server.key", "tls/backup.key", "tls/pins"):
        shutil.copy(os.path.join(parent.state, f), os.path.join(p.state, f))
    st = os.stat(parent.state)
    for folder, _, files in os.walk(p.state):
        for path in (folder, *(os.path.join(folder, f) for f in files)):
            os.chown(path, st.st_uid, st.st_gid)
    return p.start(env)


def at(d, parent):
    """The same child, with another parent."""
    d.base, d.http.verify = parent.base, parent.ca
    return d


class Pair:
    def __init__(self, first):
        self.first, self.second = first, second_of(first)
        self.api = first.token()
        self.join = self.api.ok("POST", "/enrolment-tokens", {"name": "pair", "uses": 1000})["join"]
        self.psql = first.postgres.psql
        self.size = 20_000_000

    def api_at(self, parent):
        return parent.session(self.api.headers["Authorization"].split()[1])

    def add(self):
        d = wireclient.Device(self.first.base, self.first.ca, f"mx-{uuid.uuid4().hex[:6]}")
        d.enrol(self.join)
        self.settle(d)
        self.api.change(f"/devices/{d.id}", {"mode": "manage"})
        self.settle(d)
        return d

    def settle(self, d):
        """It runs what it is offered."""
        r = d.desired()
        if r.status_code == 200:
            d.verify(r.content)
            assert d.put_status().status_code == 204
        return r

    def known(self, d, parent):
        """The child is with that parent, which has heard of it: until then it is told "not now"."""
        at(d, parent)
        wait_until(lambda: d.desired().status_code in (200, 304), "the parent to know the device", 5, 0.1)
        return d

    def publish(self, api, devices, **body):
        self.size += 1
        return api.publish({"devices": {d.id: {KEY: self.size} for d in devices}}, **body)

    def lease(self):
        return self.psql("SELECT holder, term, expires_at > now() FROM lease WHERE name = 'engine'")[0]

    def leader(self):
        """(who leads, the other), by what each wrote into its log when it took the lease."""
        def last(p):
            terms = [int(line.split("term=")[1].split()[0]) for line in p.log().splitlines() if "event=lease.taken" in line]
            return max(terms, default=0)
        wait_until(lambda: self.lease()[2] == "t" and max(last(self.first), last(self.second)) == int(self.lease()[1]),
                   "one of them to lead", 30)
        return (self.first, self.second) if last(self.first) > last(self.second) else (self.second, self.first)


@pytest.fixture(scope="module")
def pair(workdir, system_users, programs):
    d = parentlib.folder(workdir, "pair")
    db = parentlib.Postgres(d).start()
    p = Pair(Parent(d, db, programs).start())
    yield p
    for x in (p.second, p.first):
        x.stop()
    db.stop()


def test_sessions_tokens_and_orders_are_the_fleets(pair):
    s, t = pair.first.login(), pair.second.session()
    t.cookies.update(s.cookies)
    assert t.ok("GET", "/session")["user"] == "admin"
    made = t.ok("POST", "/api-tokens", {"name": f"t-{uuid.uuid4().hex[:6]}", "scopes": ["device:read"], "expires_at": None})
    used = pair.first.session(made["token"])
    assert used.ok("GET", "/parent")["fleet"]
    t.ok("DELETE", f"/api-tokens/{made['id']}")
    assert used.get("/parent").status_code == 401
    key = {"Idempotency-Key": str(uuid.uuid4())}
    a = pair.api.ok("POST", "/drafts", {"title": "once"}, headers=key)
    assert pair.api_at(pair.second).ok("POST", "/drafts", {"title": "once"}, headers=key)["id"] == a["id"]
    s.ok("DELETE", "/session")
    assert t.get("/session").status_code == 401


def test_a_device_let_in_at_one_is_known_at_the_other(pair):
    """At the next moment it may ask the other, which has not heard of it: "not now", never "unknown", and soon an answer."""
    for _ in range(5):
        d = wireclient.Device(pair.first.base, pair.first.ca, f"mx-{uuid.uuid4().hex[:6]}")
        d.enrol(pair.join)
        d.sign_in()
        at(d, pair.second)
        seen = [d.desired().status_code]
        wait_until(lambda: seen.append(d.desired().status_code) or seen[-1] == 200, "the device to be known", 5, 0.1)
        assert set(seen) <= {200, 503}, seen


def test_a_publication_at_one_is_heard_at_the_other(pair):
    d = pair.known(pair.add(), pair.second)
    d.put_status()  # a poll is held by who has its report
    for at_ in (pair.first, pair.second):
        held, t0 = Held(d), time.monotonic()
        pair.publish(pair.api_at(at_), [d])
        r = held.result(t0)
        assert r.status_code == 200 and held.seconds < 4, (r.status_code, held.seconds)
        assert d.verify(r.content)["sections"]["postfix"]["settings"][KEY] == pair.size
        d.put_status()


def test_a_parent_that_has_not_heard_yet_never_goes_back(pair):
    """F10: at the moment of the publication the child is at the one parent, and asks the other, whose table is older.
    Not the device's own row: of a device that it does not know a parent says "not now"."""
    d = pair.known(pair.add(), pair.second)
    for _ in range(8):
        pair.publish(pair.api_at(pair.first), [d])
        at(d, pair.first).fetch()  # verify() refuses anything lower
        r = at(d, pair.second).desired()
        assert r.status_code == 304, f"{r.status_code} {r.text}"
    d.put_status()
    assert not pair.api.ok("GET", "/recovery")["fenced"]


def served_by(pair, parent):
    """The process of the database server that answers this parent's job thread."""
    rows = [line.split() for line in subprocess.run(["ss", "-xpH"], capture_output=True, text=True, check=True).stdout.splitlines()]
    ends = {r[5]: r[7] for r in rows}  # a socket: the one at its other end
    whose = {r[5]: set(re.findall(r"pid=(\d+)", r[-1])) for r in rows}
    jobs = {r[0] for r in pair.psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'inarid jobs'")}
    return next(int(pid) for s, pids in whose.items() for pid in pids & jobs if str(parent.pid) in whose.get(ends[s], ()))


@contextlib.contextmanager
def job_thread_waits(pair, parent):
    """What the parent's job thread asks its database is not answered; requests are served as ever."""
    def stopped():
        """Not in the middle of something, whose locks others would wait for."""
        os.kill(pid, signal.SIGSTOP)
        if pair.psql(f"SELECT state FROM pg_stat_activity WHERE pid = {pid}") == [["idle"]]:
            return True
        os.kill(pid, signal.SIGCONT)
        return False
    pid = served_by(pair, parent)
    wait_until(stopped, "it to be idle", 10)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.fault
def test_a_database_that_stood_still_is_not_waited_for_any_longer(pair):
    """However long a job took, the next one of its kind comes soon: a table that is not followed makes a parent say that it is
    behind."""
    with job_thread_waits(pair, pair.second):
        new = at(pair.add(), pair.second)
        assert new.desired().status_code == 503, "so it asks its database whether there is such a device"
        time.sleep(4)
    wait_until(lambda: new.desired().status_code in (200, 304), "the other to know the device", 2, 0.1)
    pair.api.ok("POST", f"/devices/{new.id}/commands", {"kind": "self-check"})
    wait_until(lambda: new.desired().headers.get("Inari-Commands") == "1", "the other to hear of the order", 5, 0.1)


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("how", ["paused", "killed"])
def test_a_leader_that_falls_silent(pair, how):
    """F7: it leads a rollout, is stopped (or killed) for longer than its lease, and comes back when another has led it on."""
    devices = [pair.add() for _ in range(4)]
    made = pair.publish(pair.api, devices, rollout=WAVES)
    leader, other = pair.leader()
    term = int(pair.lease()[1])
    api = pair.api_at(other)
    for d in devices:
        at(d, other)

    def see():
        return api.ok("GET", f"/rollouts/{made['rollout_id']}")
    wait_until(lambda: any(x["state"] == "offered" for x in see()["devices"]), "the first wave", 20)
    if how == "paused":
        leader.p.send_signal(signal.SIGSTOP)
    else:
        leader.kill()
    began = time.monotonic()
    try:
        def on():
            for d in devices:
                pair.settle(d)
            return see()["state"] == "completed"
        wait_until(on, f"the rollout to go on without its leader: {see()}", 60, 0.5)
        took = time.monotonic() - began
        assert int(pair.lease()[1]) == term + 1
        print(f"\n{how}: taken over and completed after {took:.0f} s")
    finally:
        if how == "paused":
            leader.p.send_signal(signal.SIGCONT)
        else:
            leader.start()
    # Everything once: one bundle a device, in the wave it was meant for, and the old leader follows.
    before = see()
    time.sleep(3)
    assert see()["version"] == before["version"]
    assert [int(r[1]) for r in pair.psql(f"SELECT device_id, count(*) FROM bundle WHERE pub = {made['pub']} GROUP BY 1")] == [1] * 4
    assert sorted(x["wave"] for x in before["devices"]) == [0, 1, 1, 1]
    assert int(pair.lease()[1]) == term + 1
    for d in devices:
        assert at(d, leader).desired().status_code == 304
    assert api.ok("GET", "/audit/verify")["ok"]
