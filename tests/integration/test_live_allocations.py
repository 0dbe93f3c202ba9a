"""Allocations that fail inside the running daemons, one in so many, in bursts, while they are used (lib/base/hooks): whatever
fails, the process lives, what was acknowledged is there and whole, nothing is leaked, and it goes on by itself afterwards.
tests/unit/fault lets each single allocation fail, one after the other; here it is many at once, in threads, between real
peers.  With INARI_FAULTS=1 (tests/run --faults) longer."""
import collections
import contextlib
import json
import mmap
import os
import random
import shutil
import struct
import tempfile
import threading
import time

import pytest
import requests
import wireclient
from agentlib import new_agent
from helperlib import DEVICE, Device, HelperError, digest, settings
from parentlib import SANITIZER, wait_until
from test_settings_crash import MERGE, check_whole

pytestmark = [pytest.mark.slow, pytest.mark.fault]
ROUNDS = 10 if os.environ.get("INARI_FAULTS") else 2
PATIENCE = 330 if os.environ.get("INARI_FAULTS") else 60  # each burst may lengthen the agent's back-off, up to five minutes
RATES = (3000, 1000, 300, 100, 30)
HELPER_RATES = (20000, 8000, 3000, 1000, 300)  # a change is many thousand allocations
KEY = "smtp.message_size_limit"


class Faults:
    """The 32 bytes that lib/base/hooks/alloc_fault.c reads: armed(one_in) for a while; injected: how many there were."""

    def __init__(self, workdir):
        self.path = os.path.join(workdir, f"allocations-{os.urandom(3).hex()}")
        with open(self.path, "wb") as f:
            f.write(bytes(32))
        os.chmod(self.path, 0o666)
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 32)
        self.env = {"INARI_ALLOC_FAULTS": self.path}

    @contextlib.contextmanager
    def armed(self, one_in, seed=None):
        self.map[0:8] = struct.pack("=II", one_in, random.randrange(2**32) if seed is None else seed)
        try:
            yield
        finally:
            self.map[0:4] = bytes(4)

    @property
    def injected(self):
        return struct.unpack("=Q", self.map[16:24])[0]


# -- the parent ----------------------------------------------------------------------------------------------------

class Load:
    """People who publish and look, and a device that polls, reports and signs in, until end(); what was acknowledged, and
    how every answer was."""

    def __init__(self, parent, token, device):
        self.parent, self.token, self.device = parent, token, device
        self.acknowledged, self.answers, self.odd, self.stop = [], collections.Counter(), [], threading.Event()
        self.threads = [threading.Thread(target=self._over_and_over, args=(f,)) for f in (self.publish, self.look, self.poll)]
        for t in self.threads:
            t.start()

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(60)
            assert not t.is_alive()
        assert not self.odd, self.odd[:3]

    def _over_and_over(self, one):
        while not self.stop.is_set():
            try:
                one()
            except (requests.RequestException, ValueError, KeyError):
                time.sleep(0.02)  # the line was closed, or the answer was a problem
            except Exception as e:  # noqa: BLE001 - a fault of the test must not end the load in silence
                self.odd.append(repr(e))

    def took(self, r):
        self.answers[r.status_code] += 1
        # Nobody is told that the fault is theirs.  (Of a device's token nothing is said but that it was not accepted, and the
        # device asks for another one.)
        if r.status_code >= 400 and r.status_code not in (401, 429, 503):
            self.odd.append(f"{r.request.method} {r.request.url}: {r.status_code} {r.text[:300]}")
        return r

    def publish(self):
        with self.parent.session(self.token) as s:
            # What failed half way leaves its draft, and an account may have 200: the fast machine gets there.
            for left in self.took(s.get("/drafts?limit=50", stream=True)).json()["items"]:
                self.took(s.delete(f"/drafts/{left['id']}", headers={"If-Match": f'"{left["version"]}"'}, stream=True))
            d = self.took(s.post("/drafts", json={"title": "n"}, stream=True)).json()
            body = {"fleet": {"smtp.idle_timeout": random.randrange(60, 250),
                              "smtp.relay_domains": {f"d{os.urandom(4).hex()}.example.test": {}}}}
            self.took(s.patch(f"/drafts/{d['id']}", data=json.dumps(body), stream=True,
                              headers={**MERGE, "If-Match": f'"{d["version"]}"'})).json()
            r = self.took(s.post(f"/drafts/{d['id']}/publish", json={"reason": "n"}, stream=True))
            if r.status_code == 201:
                self.acknowledged.append(r.json()["pub"])

    def look(self):
        with self.parent.session(self.token) as s:
            for path in ("/devices", "/audit?limit=20", "/revisions?limit=5", "/settings/effective?device=mx-memory", "/rollouts"):
                self.took(s.get(path, stream=True)).content

    def poll(self):
        for call in (lambda: self.device.desired(etag=None, have="0.0"), self.device.put_status, self.device.post_token):
            self.took(call())
            time.sleep(0.3)  # a device may ask once a second, and some times at once


def test_parent(new_parent, workdir, injected):
    f, p = Faults(workdir), new_parent(start=False)
    p.start(env=f.env)
    api, device = p.token(), wireclient.Device(p.base, p.ca, "mx-memory")
    device.enrol(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    device.sign_in()
    load, pid = Load(p, api.headers["Authorization"].split()[1], device), p.pid
    try:
        for one_in in RATES * ROUNDS:
            with f.armed(one_in):
                time.sleep(0.6)
            done = len(load.acknowledged)
            wait_until(lambda n=done: len(load.acknowledged) > n or not p.alive(), f"a publication after one in {one_in}", 20)
            assert p.alive() and p.pid == pid, p.log()[-3000:]
    finally:
        load.end()
    injected("live-allocation", f.injected)
    assert f.injected > 100 * ROUNDS, f.injected
    assert set(load.acknowledged) <= set(check_whole(p, device.id)), "what was acknowledged is there"
    assert api.ok("GET", "/audit/verify")["ok"]
    device.sign_in()
    assert device.verify(device.desired(etag=None, have="0.0").content)["pub"] == max(load.acknowledged)
    print(f"parent: {f.injected} allocations failed; {len(load.acknowledged)} publications acknowledged; answers {dict(load.answers)}")


# -- the agent -----------------------------------------------------------------------------------------------------

def test_agent(parent, api, workdir, programs, injected):
    """It fetches, verifies, keeps and reports through bursts; then it has the newest bundle, and one identity."""
    f, a = Faults(workdir), new_agent(workdir, "memory", programs)
    assert a.command("join", "--join", api.ok("POST", "/enrolment-tokens", {"name": "t"})["join"]).returncode == 0
    identity = a.identity()
    a.start(env=f.env)
    pid = a.pid

    def publish():
        return api.publish({"devices": {identity["device_id"]: {KEY: random.randrange(20_000_000, 60_000_000)}}}, "memory")["pub"]

    def observed():
        return (a.status()["status"]["observed"] or {}).get("pub")
    try:
        wait_until(observed, "the first bundle", 30)
        for one_in in RATES * ROUNDS:
            with f.armed(one_in):
                publish()
                end = time.monotonic() + 0.6
                while time.monotonic() < end:
                    a.command("status", "--json")  # people look at it as well
            assert a.alive() and a.pid == pid, a.log()[-3000:]
        pub = publish()
        wait_until(lambda: observed() == pub or not a.alive(), "the newest bundle", PATIENCE, 0.2)
        assert a.alive() and a.pid == pid, a.log()[-3000:]
        assert {k: a.identity()[k] for k in ("device_id", "fleet")} == {k: identity[k] for k in ("device_id", "fleet")}
        wait_until(lambda: (api.ok("GET", f"/devices/{identity['device_id']}").get("observed") or {}).get("pub") == pub,
                   "the parent to know", PATIENCE, 0.2)
    finally:
        a.stop()
    injected("live-allocation", f.injected)
    assert f.injected > 20 * ROUNDS, f.injected
    print(f"agent: {f.injected} allocations failed")


# -- the helper ----------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("postfix"), reason="needs Postfix")
def test_helper(system_users, workdir, injected):
    """Changes of a real Postfix while the root helper runs short: made as a whole or put back, never a mixture."""
    f, d, n = Faults(workdir), Device(tempfile.mkdtemp(prefix="inari-helper-")), 0
    verbs = ("validate", "trial_stop", "switch", "commit")

    def change(c):
        nonlocal n
        n += 1
        c.call("stage", digest=digest(n), device_id=DEVICE, settings=settings(smtp__banner_text=f"n{n}"), epoch=1, rev=n, pub=n)
        for verb in verbs:
            c.call(verb, digest=digest(n))
    try:
        d.postfix("start")
        d.start(**f.env)
        pid, made = d.helper.pid, 0
        change(d.client())
        for one_in in HELPER_RATES * ROUNDS:
            with f.armed(one_in):
                with contextlib.suppress(HelperError, OSError, ConnectionError):
                    c = d.client()
                    change(c)
                    made += 1
                c.close()
            assert d.helper.poll() is None, d.log_text()[-3000:]
            c = d.client()
            if c.call("tx")["open"]:
                c.call("revert")
            main, master = d.banner_digests()
            assert main == master and not c.call("tx")["open"], "a mixture"
            assert d.dialogue(25, ["EHLO x"])[1].startswith("250")
            change(c)
            assert d.banner_digests() == (digest(n), digest(n))
            c.close()
        assert d.helper.pid == pid and not SANITIZER.search(d.log_text())
    finally:
        d.close()
        shutil.rmtree(d.tmp, ignore_errors=True)
    injected("live-allocation", f.injected)
    assert f.injected >= 3 * ROUNDS, f.injected
    print(f"helper: {f.injected} allocations failed; {made} of {len(HELPER_RATES) * ROUNDS} changes were made nevertheless")
