"""The database of two parents fails over to a real streaming standby (protocol.md 6.17, F9): a synchronous one keeps every
change that was acknowledged; what an asynchronous one lost is noticed, and nothing is given out until somebody decided."""
import json
import os
import random
import shutil
import subprocess
import threading
import time

import parentlib
import pytest
from ctllib import Ctl
from parentlib import Parent, as_user, wait_until
from test_agent_api_poll import word
from test_two_parents import KEY, Pair, at

pytestmark = [pytest.mark.slow, pytest.mark.fault]


class Cluster(parentlib.Postgres):
    """A primary, and its standby on a socket of its own.  Parents know both and use the one that takes changes."""

    def __init__(self, folder):
        super().__init__(folder)
        self.primary_socket = self.socket
        self.standby = parentlib.Process("standby", folder)
        self.standby_home, self.standby_socket = os.path.join(folder, "db", "standby"), os.path.join(folder, "dbs2")
        self.conninfo = (f"host={self.socket},{self.standby_socket} dbname=inari user=inari "
                         "target_session_attrs=read-write")

    def program(self, name):
        with open(f"{self.home}/data/PG_VERSION") as f:
            return f"/usr/lib/postgresql/{f.read().strip()}/bin/{name}"

    def start(self):
        super().start()
        with open(f"{self.home}/data/pg_hba.conf", "a") as f:
            f.write("local replication postgres peer map=inari\n")
        self.psql("SELECT pg_reload_conf()")
        os.makedirs(self.standby_socket, exist_ok=True)
        shutil.chown(self.standby_socket, "inari-db", "inari-db")
        os.chmod(self.standby_socket, 0o755)
        subprocess.run(as_user("inari-db", [self.program("pg_basebackup"), "-h", self.socket, "-U", "postgres", "-D",
                                            self.standby_home, "-R", "-c", "fast", "-X", "stream"]),
                       check=True, capture_output=True, cwd="/", timeout=120)
        self.standby.launch(as_user("inari-db", [self.program("postgres"), "-D", self.standby_home, "-k",
                                                 self.standby_socket]))
        wait_until(lambda: self.psql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == [["1"]],
                   "the standby to stream", 60)
        return self

    def synchronous(self):
        self.psql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.psql("SELECT pg_reload_conf()")
        wait_until(lambda: self.psql("SELECT sync_state FROM pg_stat_replication") == [["sync"]], "a synchronous standby", 30)

    def cut(self):
        """The standby hears nothing any more, and does not know it."""
        self.ask_standby("ALTER SYSTEM SET primary_conninfo = 'host=/nowhere'")
        self.ask_standby("SELECT pg_reload_conf()")
        wait_until(lambda: self.psql("SELECT count(*) FROM pg_stat_replication") == [["0"]], "the standby to be cut off", 30)

    def ask_standby(self, sql):
        self.socket = self.standby_socket
        try:
            return self.psql(sql, db="postgres")
        finally:
            self.socket = self.primary_socket

    def promote(self):
        """SIGKILL of the primary and all of it; the standby becomes what counts."""
        self.kill()
        assert self.ask_standby("SELECT pg_promote()") == [["t"]]
        self.socket = self.primary_socket = self.standby_socket

    def stop(self):
        self.standby.end(2)
        return self.end(2)


@pytest.fixture
def cluster(workdir, system_users, programs):
    d = parentlib.folder(workdir, f"cluster-{os.urandom(2).hex()}")
    db = Cluster(d).start()
    pair = None
    try:
        pair = Pair(Parent(d, db, programs).start())
        pair.db = db
        yield pair
    finally:
        for p in (pair.second, pair.first) if pair else ():
            p.stop()
        db.stop()


def publishing(pair, devices, until):
    """Both parents publish, turn by turn, until told to stop.  {pub: size} of what was acknowledged."""
    acknowledged, errors, lock = {}, [], threading.Lock()

    def one(parent, d):
        api, size = pair.api_at(parent), random.randrange(20_000_000, 30_000_000)
        while not until.is_set():
            size += 1
            try:
                draft = api.ok("POST", "/drafts", {"title": "x"})
                api.change(f"/drafts/{draft['id']}", {"devices": {d.id: {KEY: size}}})
                r = api.post(f"/drafts/{draft['id']}/publish", json={"reason": "x"})
            except (AssertionError, OSError):
                time.sleep(0.1)
                continue
            with lock:
                if r.status_code == 201:
                    acknowledged[r.json()["pub"]] = (d.id, size)
                elif r.status_code not in (503, 504, 409):  # 504: outcome unknown, and said so
                    errors.append((r.status_code, r.text))
    threads = [threading.Thread(target=one, args=x) for x in zip((pair.first, pair.second), devices)]
    for t in threads:
        t.start()
    return acknowledged, errors, threads


def test_synchronous_standby_keeps_every_acknowledged_change(cluster):
    pair, db = cluster, cluster.db
    db.synchronous()
    devices = [pair.add(), at(pair.add(), pair.second)]
    stop = threading.Event()
    acknowledged, errors, threads = publishing(pair, devices, stop)
    wait_until(lambda: len(acknowledged) >= 6, "publications at both", 30)
    before = len(acknowledged)
    db.promote()
    began = time.monotonic()
    wait_until(lambda: len(acknowledged) >= before + 4, f"publications after the failover ({errors[:2]})", 60)
    print(f"\n{before} publications acknowledged before the kill; going on {time.monotonic() - began:.1f} s after it, "
          f"{len(acknowledged)} in all")
    stop.set()
    for t in threads:
        t.join(30)
    assert errors == []
    api = pair.api
    published = {r["pub"]: r for r in api.ok("GET", "/revisions?limit=500")["items"]}
    assert set(acknowledged) <= set(published), "an acknowledged revision is gone"
    for pub, (device, size) in acknowledged.items():
        assert any(size in x.values() for x in api.ok("GET", f"/revisions/{pub}/diff")["items"]), pub
    for p in (pair.first, pair.second):
        assert not pair.api_at(p).ok("GET", "/recovery")["fenced"]
        wait_until(lambda p=p: pair.api_at(p).get("/readyz").status_code == 200, "both to be ready", 30)
    for d, p in zip(devices, (pair.first, pair.second)):
        newest = max(pub for pub, (i, _) in acknowledged.items() if i == d.id)
        d.access = None
        d.fetch()  # nothing lower than what it has: verify() looks
        assert d.last["sections"]["postfix"]["settings"][KEY] >= acknowledged[newest][1]
    assert api.ok("GET", "/audit/verify")["ok"]


def publish(api, draft):
    """The word of the answer to a publication of a larger size; "" while the database is away."""
    path = f"/drafts/{draft['id']}"
    now = api.get(path)
    if now.status_code == 200:
        now = api.request("PATCH", path, json={"fleet": {KEY: 31_000_000}}, headers={
            "If-Match": now.headers["ETag"], "Content-Type": "application/merge-patch+json"})
    r = api.post(f"{path}/publish", json={"reason": "x"}) if now.status_code == 200 else now
    return "" if r.status_code == 503 and word(r) == "overloaded" else word(r) if r.status_code >= 400 else "published"


def test_asynchronous_standby_that_lost_something_fences(cluster):
    """What was acknowledged is gone with the primary: both parents say so, nobody goes back, and nothing gets a second meaning."""
    pair, db = cluster, cluster.db
    devices = [pair.add(), at(pair.add(), pair.second)]
    wait_until(lambda: db.psql("SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication") == [["t"]], "the standby", 30)
    db.cut()
    lost = pair.publish(pair.api, devices)["pub"]
    for d in devices:
        wait_until(lambda d=d: d.desired().status_code == 200, "both parents to have heard of it", 10, 0.1)
        d.fetch()
        d.put_status()
    had = [d.have for d in devices]
    db.promote()
    def fenced(p):
        r = pair.api_at(p).get("/recovery")
        return r.status_code == 200 and r.json()["fenced"] and r.json()
    shown = wait_until(lambda: fenced(pair.first), "the fence", 30)
    assert fenced(pair.second) and shown["reason"] == "database-behind", shown
    # Each of a parent's connections finds out by itself that its server is gone, and says 503 meanwhile.
    revisions = wait_until(lambda: (r := pair.api.get("/revisions?limit=500")).status_code == 200 and r.json(), "revisions", 20)
    assert lost not in [r["pub"] for r in revisions["items"]]
    for p in (pair.first, pair.second):
        api = pair.api_at(p)
        draft = wait_until(lambda: (r := api.post("/drafts", json={"title": "x"})).status_code == 201 and r.json(), "a draft", 20)
        said = wait_until(lambda: publish(api, draft), "an answer", 20)
        assert said == "fenced", said
    for d in devices:
        r = d.desired()
        assert r.status_code == 304 or word(r) == "parent-behind", r.text
    ctl = Ctl.of(pair.first.programs, pair.second, pair.api, pair.second.dir)
    assert ctl.json("recovery", "continue", "--reason", "the lost size was a test", "--yes")["fenced"] is False
    for d, old in zip(devices, had):
        wait_until(lambda d=d: d.desired().status_code == 200, "a bundle above what was lost", 10, 0.2)
        d.fetch()
        assert int(d.have.split(".")[1]) > int(old.split(".")[1])
    # The decision holds at both, also when the other one starts anew with its own witness of what was lost.
    for p in (pair.first, pair.second):
        p.restart()
        assert not pair.api_at(p).ok("GET", "/recovery")["fenced"]
        pair.publish(pair.api_at(p), devices)


def test_a_second_meaning_of_a_revision_is_noticed(cluster):
    """The parent that knew nothing of the lost publication gives its number out again, before the other has looked: the
    numbers agree, the histories do not."""
    pair, db = cluster, cluster.db
    d = pair.add()
    wait_until(lambda: db.psql("SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication") == [["t"]], "the standby", 30)
    db.cut()
    pair.second.stop()
    pair.publish(pair.api, [d])
    pair.first.stop()  # its witness knows
    with open(os.path.join(pair.first.state, "witness.json")) as f:
        assert json.load(f)["head"]["seq"] > 0
    db.promote()
    pair.second.start()
    pair.publish(pair.api_at(pair.second), [d])
    pair.publish(pair.api_at(pair.second), [d])
    pair.first.start()
    shown = pair.api.ok("GET", "/recovery")
    assert shown["fenced"] and shown["reason"] == "database-diverged", shown
    assert pair.api_at(pair.second).ok("GET", "/recovery")["fenced"]
