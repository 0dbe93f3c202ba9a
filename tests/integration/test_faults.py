"""Many faults of one kind after another, counted (tests/figures.tsv): PostgreSQL killed under load, bad networks, volumes
with little room left.  All of them with INARI_FAULTS=1 (tests/run --faults), a few in every run."""
import contextlib
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time

import faultproxy
import parentlib
import pytest
import requests
import simlib
import wireclient
from helperlib import DEVICE, Device, HelperError, digest, settings
from parentlib import folder, wait_until
from test_settings_crash import check_whole, publisher

pytestmark = [pytest.mark.slow, pytest.mark.fault]
ALL = bool(os.environ.get("INARI_FAULTS"))
KEY = "smtp.message_size_limit"


def few(many, some):
    return many if ALL else some


def new_size():
    return random.randrange(20_000_000, 60_000_000)


# -- PostgreSQL ----------------------------------------------------------------------------------------------------

def test_postgres_is_killed_under_load(new_parent, injected):
    """The parent stays the same process, is ready within 5 s of the database, and has all it acknowledged."""
    p = new_parent()
    api = p.token()
    token = api.headers["Authorization"].split()[1]
    device = wireclient.Device(p.base, p.ca, "mx-kills")
    device.enrol(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    acknowledged, stop, pid, slowest = [], threading.Event(), p.pid, 0.0
    worker = threading.Thread(target=publisher, args=(p, token, stop, acknowledged))
    worker.start()
    try:
        for i in range(few(100, 4)):
            done = len(acknowledged)
            wait_until(lambda n=done: len(acknowledged) > n, "a publication", 20)
            time.sleep(0.007 * (i % 40))  # somewhere else in the transaction each time
            p.postgres.kill()
            injected("postgres-kill")
            if i % 10 == 0:
                wait_until(lambda: not p.ready(), "the parent to say so", 10)
            p.postgres.start()
            t = time.monotonic()
            wait_until(p.ready, "the parent to be ready again", 10)
            slowest = max(slowest, time.monotonic() - t)
            assert p.alive() and p.pid == pid
    finally:
        stop.set()
        worker.join(30)
    pubs = check_whole(p, device.id)
    assert {pub for pub, _ in acknowledged} <= set(pubs), "what was acknowledged is there"
    assert api.ok("GET", "/audit/verify")["ok"]
    assert slowest < 5, f"ready again after {slowest:.1f} s"
    print(f"{len(acknowledged)} publications acknowledged; ready again after at most {slowest:.1f} s")


# -- networks ------------------------------------------------------------------------------------------------------

def cut_again(net, dice):
    for _ in range(5):
        net.cut_now()
        time.sleep(dice.uniform(0.05, 0.3))


SCHEDULES = {
    "nobody answers": lambda net, dice: (setattr(net, "refuse", True), net.cut_now()),
    "one way": lambda net, dice: setattr(net, "frozen", True),
    "reset again and again": cut_again,
    "reset after some bytes": lambda net, dice: (setattr(net, "cut_at", dice.randrange(1, 6000)), net.cut_now()),
    "a bit flipped": lambda net, dice: (setattr(net, "corrupt_at", dice.randrange(1, 6000)), net.cut_now()),
    "slow": lambda net, dice: setattr(net, "delay_s", dice.uniform(0.02, 0.15)),
    "16 kbit/s": lambda net, dice: (setattr(net, "rate", 2000), net.cut_now()),
    "silence is cut": lambda net, dice: setattr(net, "silence_s", dice.uniform(0.2, 0.6)),
}


def test_devices_come_back_from_any_network(workdir, system_users, programs, injected):
    """Whatever the line did, every device has the newest configuration soon after it is whole; none is called in sync before
    it is, and what each runs is what the parent shows."""
    d, n = folder(workdir, "networks"), 20
    db = parentlib.Postgres(d).start()
    p = parentlib.Parent(d, db, programs, {"enrol.rate": "2000", "poll.wake_rate": "0"}).start()
    api, seed = p.token(), int(os.environ.get("INARI_SEED", "0")) or random.randrange(10**9)
    dice, slowest, kinds = random.Random(seed), (0, ""), list(SCHEDULES)
    with faultproxy.Proxy(("127.0.0.1", p.port)) as net:
        sim = simlib.Sim(d, n, simlib.join_string(api, n), address=net.url, apply_ms="0-100")
        try:
            sim.joined(60)
            api.change("/rollout-policy", {"confirm_above": 100})
            for x in api.ok("GET", "/devices?limit=500")["items"]:
                api.change(f"/devices/{x['id']}", {"mode": "manage"})
            wait_until(lambda: all_at(api, None) == n, "all to be in sync", 60, 0.3)
            for i in range(few(60, 8)):
                kind = kinds[i % len(kinds)]
                SCHEDULES[kind](net, dice)
                injected("network-schedule")
                pub = api.publish({"fleet": {KEY: new_size()}}, kind, rollout={"strategy": "all"})["pub"]
                time.sleep(dice.uniform(0.3, 1.5))
                net.heal()
                t = time.monotonic()
                try:
                    wait_until(lambda pub=pub: all_at(api, pub) == n, f"{n} devices at {pub}", 120, 0.2)
                except AssertionError as e:
                    raise AssertionError(f"after “{kind}” (seed {seed}, schedule {i}): {e}; {all_at(api, pub)} are") from None
                slowest = max(slowest, (time.monotonic() - t, kind))
            r = sim.report()
            assert r["bundles_refused"] == 0, r
        finally:
            net.heal()
            sim.quit()
            p.stop()
            db.stop()
    print(f"seed {seed}: in sync at most {slowest[0]:.1f} s after “{slowest[1]}” was over")


def all_at(api, pub):
    """How many devices are in sync, at that publication."""
    found = api.ok("GET", "/devices?limit=500")["items"]
    return sum(x["sync"] == "in-sync" and (pub is None or x["observed"]["pub"] == pub) for x in found)


# -- full volumes --------------------------------------------------------------------------------------------------

LEVELS = 20


def fill(path, left):
    """All but `left` bytes of the volume."""
    with open(os.path.join(path, "filler"), "wb", buffering=0) as f:
        with contextlib.suppress(OSError):
            while True:
                f.write(b"x" * 4096)
        f.truncate(max(0, f.tell() - left))


def empty(path):
    os.unlink(os.path.join(path, "filler"))


def levels():
    return range(LEVELS) if ALL else random.sample(range(LEVELS), 3)


@pytest.mark.skipif(not shutil.which("postfix"), reason="needs Postfix")
@pytest.mark.parametrize("volume", ["state", "etc"])
def test_device_with_little_room(volume, injected, system_users):
    """The helper's state, or Postfix's configuration, has room for nothing, or for the first steps only: the change is refused
    as storage or made as a whole; Postfix answers with one digest; with room the next one is made, by itself."""
    d = Device(tempfile.mkdtemp(prefix="inari-helper-"), **{f"{volume}_tmpfs": "900k"})
    try:
        d.postfix("start")
        d.start()
        c, n = d.client(), 0
        where = d.state_seen if volume == "state" else d.etc

        def change():
            nonlocal n
            n += 1
            c.call("stage", digest=digest(n), device_id=DEVICE, settings=settings(smtp__banner_text=f"n{n}"), epoch=1, rev=n, pub=n)
            for verb in ("validate", "trial_stop", "switch", "commit"):
                c.call(verb, digest=digest(n))
        change()
        for level in levels():
            running = d.banner_digests()[0]
            fill(where, level * 8192)
            injected("disk-full")
            try:
                change()
                running = digest(n)
            except HelperError as e:
                assert e.answer["error"] == "storage", e.answer
                if c.call("tx")["open"]:
                    c.call("revert")
            assert d.banner_digests() == (running, running) and not c.call("tx")["open"]
            assert d.dialogue(25, ["EHLO x"])[1].startswith("250")
            empty(where)
            change()
            assert d.banner_digests() == (digest(n), digest(n))
            assert not [f for f in os.listdir(d.etc) if ".inari-" in f]
    finally:
        d.close()
        shutil.rmtree(d.tmp, ignore_errors=True)


@contextlib.contextmanager
def small_volume(path, size):
    """A tmpfs over the folder, with what is in it."""
    keep = path + ".keep"
    subprocess.run(["cp", "-a", path, keep], check=True)
    st = os.stat(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode={st.st_mode & 0o777:o},uid={st.st_uid},gid={st.st_gid}",
                    "tmpfs", path], check=True)
    try:
        subprocess.run(["cp", "-a", f"{keep}/.", path], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.parametrize("volume", ["database", "state"])
def test_parent_with_little_room(new_parent, injected, volume):
    """The database's volume or the parent's own folder is full: what is acknowledged is there, what is not is refused as
    unavailable, the process lives, and with room it goes on by itself (a database that gave up is started again, as
    systemd does)."""
    p = new_parent()
    p.stop()
    p.postgres.stop()
    path = p.postgres.home if volume == "database" else p.state
    with small_volume(path, "220m" if volume == "database" else "1m"):
        p.postgres.start()
        p.start()
        api, acknowledged, pid = p.token(), [], p.pid
        try:
            for level in levels():
                fill(path, level * 16384)
                injected("disk-full")
                for _ in range(3):
                    with contextlib.suppress(AssertionError, requests.RequestException):
                        acknowledged.append(api.publish({"fleet": {KEY: new_size()}}, "little room")["pub"])
                assert p.alive() and p.pid == pid
                assert p.session().get("/healthz").status_code == 200
                empty(path)
                p.postgres.start()
                wait_until(p.ready, "the parent to be ready", 20)
                acknowledged.append(api.publish({"fleet": {KEY: new_size()}}, "room again")["pub"])
            pubs = {int(x[0]) for x in p.postgres.psql("SELECT pub FROM revision")}
            assert set(acknowledged) <= pubs and len(set(acknowledged)) == len(acknowledged)
            assert api.ok("GET", "/audit/verify")["ok"]
        finally:
            p.end()
            p.postgres.end(2)
