"""Rollouts in waves with children that speak the real wire: protocol.md 6.12, fault cases G1, G3, G4, G7-G10, G15, G16.

The parent of this file has a clock that the tests move: nothing waits for a bake time.
"""
import os
import time
import uuid

import parentlib
import pytest
import wireclient
from parentlib import wait_until

KEY = "smtp.message_size_limit"
WAVES = {"strategy": "waves", "waves": ["1", "2"], "canary_bake_s": 600, "bake_s": 300, "max_unavailable": "50%",
         "offline_after_s": 86400}
OVER = ("completed", "halted", "superseded", "cancelled", "reverted")


class Child(wireclient.Device):
    """Its clock goes with the parent's."""

    shift = 0
    online = True

    def claims(self, **members):
        c = super().claims()
        return {**c, "iat": c["iat"] + Child.shift, "exp": c["exp"] + Child.shift, **members}


class Fleet:
    """A parent with its clock, and its children."""

    def __init__(self, parent, clock):
        self.parent, self.clock = parent, clock
        self.api = parent.token()
        self.join = self.api.ok("POST", "/enrolment-tokens", {"name": "fleet", "uses": 1000})["join"]
        self.devices, self.size = {}, 20000000

    def forward(self, seconds):
        """The parent's clock goes on; children that are online are seen again."""
        Child.shift += seconds
        with open(self.clock, "w") as f:
            f.write(str(Child.shift))
        time.sleep(0.15)  # the clock is read every 100 ms
        for d in self.devices.values():
            d.access = None
            if d.online:
                d.desired()

    def add(self, manage=True):
        d = Child(self.parent.base, self.parent.ca, f"mx-{uuid.uuid4().hex[:6]}")
        d.enrol(self.join)
        d.fetch()
        d.put_status(d.status(running=False))
        if manage:
            self.api.change(f"/devices/{d.id}", {"mode": "manage"})
            d.fetch()
            d.put_status()
        self.devices[d.id] = d
        return d

    def publish(self, devices=None, fleet=False, **rollout):
        self.size += 1
        changes = {"fleet": {KEY: self.size}} if fleet else {"devices": {d.id: {KEY: self.size} for d in devices}}
        return self.api.publish(changes, rollout=rollout or None)

    def see(self, made):
        return self.api.ok("GET", f"/rollouts/{made['rollout_id']}")

    def states(self, made):
        return {x["id"]: x["state"] for x in self.see(made)["devices"]}

    def until(self, made, test, what):
        return wait_until(lambda: (r := self.see(made)) and test(r) and r, f"{what}: {self.see(made)['state']}", 12, 0.1)

    def run(self, made, bad=(), rounds=200, bake=0, fetch_only=()):
        """Every child that is offered something fetches and reports it, until the rollout stops moving; the order."""
        order = []
        for _ in range(rounds):
            r = self.see(made)
            if r["state"] in OVER:
                return order
            offered = [x["id"] for x in r["devices"] if x["state"] == "offered" and x["id"] in self.devices]
            for i in offered:
                self.take(i, ok=i not in bad, silent=i in fetch_only)
                order.append((x_wave(r, i), i))
            if r["state"] == "baking" and bake:
                self.forward(bake)
            wait_until(lambda: self.see(made)["version"] != r["version"] or self.states(made) != {x["id"]: x["state"] for x in r["devices"]}
                       or (bake and r["state"] == "baking"), "the rollout to move", 12, 0.05)
        raise AssertionError(self.see(made))

    def take(self, i, ok=True, silent=False):
        d = self.devices[i]
        b = d.fetch()
        if silent:
            return d.put_status(d.status(running=False))
        if ok:
            return d.put_status()
        good = d.status()
        old = {"digest": "0" * 64, "rev": b["rev"] - 1, "pub": b["pub"] - 1}
        return d.put_status({**good, "on_disk": old, "running": {"postfix": {"digest": "0" * 64, "state": "running"}},
                             "last_attempt": {**good["last_attempt"], "result": "reverted",
                                              "problem": {"title": "refused", "detail": "postfix: fatal: bad", "errors": []}}})


def x_wave(r, i):
    return next(x["wave"] for x in r["devices"] if x["id"] == i)


@pytest.fixture(scope="module")
def fleet(workdir, postgres, programs, tmp_path_factory):
    clock = os.path.join(parentlib.folder(workdir, "rollout"), "clock")
    with open(clock, "w") as f:
        f.write("0")
    os.chmod(clock, 0o644)
    own = parentlib.Postgres(parentlib.folder(workdir, "rollout-db")).start()
    p = parentlib.Parent(parentlib.folder(workdir, "rollout-parent"), own, programs).start({"INARI_CLOCK_FILE": clock})
    yield Fleet(p, clock)
    p.stop()
    own.stop()


@pytest.fixture(scope="module")
def six(fleet):
    return [fleet.add() for _ in range(6)]


def settings(d):
    return d.last["sections"]["postfix"]["settings"][KEY]


def test_waves_follow_one_another_and_bake(fleet, six):
    made = fleet.publish(six, **WAVES)
    assert made["rollout"] == {"state": "running", "strategy": "waves", "waves": 3}
    assert sorted(x["state"] for x in made["devices"]) == ["offered"] + ["queued"] * 5
    first = next(x["id"] for x in made["devices"] if x["state"] == "offered")
    queued = next(d for d in six if d.id != first)
    assert queued.desired().status_code == 304, "a queued device keeps what it has"
    assert fleet.api.ok("GET", f"/devices/{queued.id}")["sync"] == "in-sync"
    fleet.take(first)
    r = fleet.until(made, lambda r: r["state"] == "baking", "the canary to bake")
    assert r["wave"] == 0 and r["counts"] == {"confirmed": 1, "queued": 5}
    assert [w["devices"] for w in r["waves"]] == [1, 2, 3] and [w["state"] for w in r["waves"]] == ["baking", "waiting", "waiting"]
    fleet.forward(600)
    r = fleet.until(made, lambda r: r["wave"] == 1, "the second wave")
    assert r["counts"] == {"confirmed": 1, "offered": 2, "queued": 3}
    fleet.run(made, bake=300)
    r = fleet.see(made)
    assert r["state"] == "completed" and r["counts"] == {"confirmed": 6} and r["ended_at"]
    assert {settings(d) for d in six} == {fleet.size}
    actions = [a["action"] for a in fleet.api.ok("GET", "/audit?action=rollout.&limit=100")["items"]
               if a["object"] == f"rollout/{made['rollout_id']}"]
    assert actions[0] == "rollout.completed" and actions.count("rollout.baking") == 3


def test_g1_canary_rejects_and_only_the_canary_was_touched(fleet, six):
    before = fleet.size
    made = fleet.publish(six, **WAVES)
    first = next(x["id"] for x in made["devices"] if x["state"] == "offered")
    fleet.take(first, ok=False)
    r = fleet.until(made, lambda r: r["state"] == "halted", "the halt")
    assert r["reason"] == "failures" and r["counts"] == {"reverted": 1, "queued": 5}
    assert "bad" in next(x for x in r["devices"] if x["id"] == first)["problem"]["detail"]
    d = fleet.devices[first]
    have = d.last["rev"]
    b = d.fetch()  # what it had, under a fresh rev: in sync again
    assert settings(d) == before and b["rev"] > have
    d.put_status()
    assert fleet.api.ok("GET", f"/devices/{first}")["sync"] == "in-sync"
    for other in six:
        if other.id != first:
            assert other.desired().status_code == 304
    # a person goes on in spite of it: the rest gets it
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/resume", {"reason": "that one has a broken disk"})
    fleet.run(made, bake=600)
    r = fleet.see(made)
    assert r["state"] == "completed" and r["counts"] == {"confirmed": 5, "reverted": 1}
