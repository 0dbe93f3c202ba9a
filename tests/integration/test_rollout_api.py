"""Rollouts in waves with children that speak the real wire: protocol.md 6.12, fault cases G1, G3, G4, G7-G10, G15, G16.

The parent of this file has a clock that the tests move: nothing waits for a bake time.
"""
import os
import time
import uuid

import parentlib
import pytest
import wireclient
from ctllib import Ctl
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

    def desired(self, **kw):
        """A test asks faster than any child: told to slow down, it does."""
        while (r := super().desired(**kw)).status_code == 429:
            time.sleep(min(float(r.headers["Retry-After"]), 1))
        return r


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

    def publish(self, devices=None, fleet=False, confirm=None, **rollout):
        self.size += 1
        changes = {"fleet": {KEY: self.size}} if fleet else {"devices": {d.id: {KEY: self.size} for d in devices}}
        return self.api.publish(changes, rollout=rollout or None, confirm=confirm)

    def see(self, made):
        return self.api.ok("GET", f"/rollouts/{made['rollout_id']}")

    def states(self, made):
        return {x["id"]: x["state"] for x in self.see(made)["devices"]}

    def catch_up(self):
        """Everybody has and runs what is meant for it."""
        for d in self.devices.values():
            while d.desired().status_code == 200:
                d.fetch()
            d.put_status()

    def until(self, made, test, what):
        try:
            return wait_until(lambda: (r := self.see(made)) and test(r) and r, what, 30, 0.1)
        except AssertionError as e:
            raise AssertionError(f"{e}: {self.see(made)}") from None

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
            def moved():
                return self.see(made)["version"] != r["version"] or self.states(made) != {x["id"]: x["state"] for x in r["devices"]}
            if r["state"] == "baking" and bake:
                self.forward(bake)  # once for each look at it: twice would be a deadline for those that come next
                end = time.monotonic() + 1.5
                while not moved() and time.monotonic() < end:
                    time.sleep(0.05)
            else:
                wait_until(moved, "the rollout to move", 30, 0.05)
        raise AssertionError(self.see(made))

    def catches_up(self, d):
        """Back again, it is offered what was completed meanwhile within a moment; it takes it."""
        end = time.monotonic() + 30
        while settings(d) != self.size:
            assert time.monotonic() < end, (settings(d), self.size)
            if d.desired().status_code == 200:
                d.fetch()
                d.put_status()
            else:
                time.sleep(0.1)

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


def audited(fleet, made):
    """What the log says of a rollout, newest first."""
    return [a["action"] for a in fleet.api.ok("GET", "/audit?action=rollout.&limit=100")["items"]
            if a["object"] == f"rollout/{made['rollout_id']}"]


def x_wave(r, i):
    return next(x["wave"] for x in r["devices"] if x["id"] == i)


@pytest.fixture(scope="module")
def fleet(workdir, programs, request):
    name = request.module.__name__.removeprefix("test_")  # the devices of another file that uses this do not answer here
    Child.shift = 0  # another file may have had a fleet of its own
    clock = os.path.join(parentlib.folder(workdir, name), "clock")
    with open(clock, "w") as f:
        f.write("0")
    os.chmod(clock, 0o644)
    own = parentlib.Postgres(parentlib.folder(workdir, f"{name}-db")).start()
    p = parentlib.Parent(parentlib.folder(workdir, f"{name}-parent"), own, programs).start({"INARI_CLOCK_FILE": clock})
    fleet = Fleet(p, clock)
    fleet.api.change("/rollout-policy", {"shadow": "never"})  # these children take no orders: test_dry_run.py
    yield fleet
    p.stop()
    own.stop()


@pytest.fixture(scope="module")
def the_six(fleet):
    return [fleet.add() for _ in range(6)]


@pytest.fixture
def six(fleet, the_six):
    """With a value of their own that all of them run, whatever the test before left."""
    made = fleet.publish(the_six, strategy="all")
    # one that still catches up with the test before is offered it a moment later
    fleet.until(made, lambda r: fleet.catch_up() or r["state"] == "completed", "a common beginning")
    return the_six


@pytest.fixture(scope="module")
def thirty(fleet, the_six):
    return the_six + [fleet.add() for _ in range(24)]


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
    actions = audited(fleet, made)
    assert actions[0] == "rollout.completed" and actions.count("rollout.baking") == 3


def test_g1_canary_rejects_and_only_the_canary_was_touched(fleet, six):
    before = fleet.size
    made = fleet.publish(six, **WAVES)
    first = next(x["id"] for x in made["devices"] if x["state"] == "offered")
    fleet.take(first, ok=False)
    r = fleet.until(made, lambda r: r["state"] == "halted", "the halt")
    assert r["reason"] == "failures" and r["counts"] == {"reverted": 1, "queued": 5}
    assert "bad" in next(x for x in r["devices"] if x["id"] == first)["problem"]["detail"]
    assert audited(fleet, made)[:2] == ["rollout.halted", "rollout.device_failed"]
    d = fleet.devices[first]
    have = d.last["rev"]
    b = d.fetch()
    assert settings(d) == before and b["rev"] > have, "what it had, under a fresh rev: in sync again"
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


@pytest.mark.slow
def test_g3_silence_after_the_fetch_is_a_failure(fleet, six):
    made = fleet.publish(six, **{**WAVES, "apply_deadline_s": 60})
    first = next(x["id"] for x in made["devices"] if x["state"] == "offered")
    fleet.take(first, silent=True)
    fleet.until(made, lambda r: r["counts"].get("fetched"), "the engine to see it")
    fleet.forward(50)
    time.sleep(1)
    assert fleet.see(made)["state"] == "running"
    fleet.forward(15)
    r = fleet.until(made, lambda r: r["state"] == "halted", "the halt")
    shown = next(x for x in r["devices"] if x["id"] == first)
    assert (shown["state"], shown["reason"]) == ("timed-out", "deadline")
    r = fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {"reason": "enough"})
    assert r["state"] == "cancelled" and r["counts"] == {"timed-out": 1, "skipped": 5}
    fleet.catch_up()


@pytest.mark.slow
def test_g3_who_asks_and_does_not_take_it_is_a_failure_and_who_was_interrupted_tries_again(fleet, six):
    d = six[0]
    made = fleet.publish([d], **{**WAVES, "apply_deadline_s": 60})
    d.fetch()
    good = d.status()
    halfway = {**good, "running": {"postfix": {"digest": "0" * 64, "state": "running"}},
               "last_attempt": {**good["last_attempt"], "phase": "switch", "result": "interrupted"}}
    assert d.put_status(halfway).status_code == 204
    fleet.until(made, lambda r: r["counts"].get("fetched"), "the engine to see it")
    time.sleep(1.2)  # two passes
    assert fleet.see(made)["state"] == "running", "the device tries once more by itself"
    d.put_status()
    fleet.until(made, lambda r: r["state"] == "baking", "it to be confirmed")
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    # it polls, and never says that it has it
    made = fleet.publish([d], strategy="waves", waves=["1"], apply_deadline_s=60, offline_after_s=300)
    time.sleep(0.1)
    assert d.desired().status_code == 200
    fleet.forward(50)
    time.sleep(1.2)
    assert fleet.see(made)["counts"] == {"offered": 1}, "it is there, and has time yet"
    fleet.forward(15)
    r = fleet.until(made, lambda r: r["state"] == "halted", "the halt")
    assert [(x["state"], x["reason"]) for x in r["devices"]] == [("timed-out", "deadline")]
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.catch_up()


def test_g4_a_canary_that_is_away_proves_nothing_and_the_next_wave_counts_as_the_first(fleet, six):
    made = fleet.publish(six, **{**WAVES, "canary_bake_s": 0, "bake_s": 0, "max_unavailable": "100%", "offline_after_s": 300})
    first = fleet.devices[next(i for i, s in fleet.states(made).items() if s == "offered")]
    first.online = False
    try:
        for _ in range(2):  # the others are heard halfway
            fleet.forward(155)
        r = fleet.until(made, lambda r: r["wave"] == 1 and r["counts"].get("offered"), "the second wave")
        assert r["counts"] == {"skipped": 1, "offered": 2, "queued": 3}
        bad = [x["id"] for x in r["devices"] if x["state"] == "offered"]
        fleet.take(bad[0], ok=False)
        r = fleet.until(made, lambda r: r["state"] == "halted", "the halt by a single failure")
        assert r["counts"] == {"skipped": 1, "offered": 1, "reverted": 1, "queued": 3}
        # and whoever was on the way is given back what it had
        on_the_way = fleet.devices[bad[1]]
        assert on_the_way.desired().status_code == 200
        on_the_way.fetch()
        assert settings(on_the_way) == fleet.size - 1
    finally:
        first.online = True
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.forward(1)
    fleet.catch_up()


def test_g4_offline_devices_do_not_block_and_catch_up(fleet, six):
    away = six[2]
    away.online = False
    try:
        fleet.forward(400)
        made = fleet.publish(six, **{**WAVES, "offline_after_s": 300, "canary_bake_s": 0, "bake_s": 0, "waves": ["1"]})
        fleet.run(made)
        r = fleet.see(made)
        assert r["state"] == "completed" and r["counts"] == {"confirmed": 5, "skipped": 1}
        assert [(x["id"], x["reason"]) for x in r["devices"] if x["state"] == "skipped"] == [(away.id, "offline")]
    finally:
        away.online = True
    fleet.forward(1)
    fleet.catches_up(away)
    r = fleet.until(made, lambda r: r["counts"] == {"confirmed": 6}, "it to be counted among those that have it")
    # one that goes away after it was offered something is not waited for either
    away.online = False
    try:
        made = fleet.publish([away], strategy="waves", waves=["1"], offline_after_s=300, canary_bake_s=0)
        assert made["rollout"]["waves"] == 1 and fleet.states(made) == {away.id: "offered"}
        fleet.forward(301)
        r = fleet.until(made, lambda r: r["waits"] == "absent", "it to be passed over")
        assert r["counts"] == {"skipped": 1}
    finally:
        away.online = True
    fleet.forward(1)
    fleet.catches_up(away)


@pytest.mark.slow
def test_g4_who_went_away_does_not_come_back_to_what_was_halted_since(fleet, six):
    (away, other), before = six[:2], fleet.size
    made = fleet.publish([away, other], strategy="waves", waves=["2"], max_unavailable="100%", offline_after_s=300)
    assert fleet.states(made) == {away.id: "offered", other.id: "offered"}
    time.sleep(0.1)
    other.desired()  # it was heard after the offer
    away.online = False
    try:
        fleet.forward(301)
        r = fleet.until(made, lambda r: r["counts"].get("skipped"), "it to be passed over")
        assert r["counts"] == {"offered": 1, "skipped": 1}, "the one that asks is still waited for"
        fleet.take(other.id, ok=False)
        fleet.until(made, lambda r: r["state"] == "halted", "the halt")
    finally:
        away.online = True
    fleet.forward(1)
    fleet.catch_up()
    assert (settings(away), settings(other)) == (before, before)
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})


@pytest.mark.slow
def test_g4_a_parent_that_was_away_itself_passes_nobody_over(fleet, six):
    made = fleet.publish(six, **{**WAVES, "waves": ["1"], "canary_bake_s": 0, "max_unavailable": "100%", "offline_after_s": 300})
    first = next(i for i, s in fleet.states(made).items() if s == "offered")
    term = fleet.parent.postgres.psql("SELECT term FROM lease WHERE name = 'engine'")
    fleet.parent.stop()
    Child.shift += 400
    with open(fleet.clock, "w") as f:
        f.write(str(Child.shift))
    fleet.parent.start({"INARI_CLOCK_FILE": fleet.clock})
    for d in six:
        d.access = None
    wait_until(lambda: fleet.parent.postgres.psql("SELECT term FROM lease WHERE name = 'engine'") != term, "the engine to begin", 30)
    time.sleep(1.2)  # two passes of it
    assert fleet.see(made)["counts"] == {"offered": 1, "queued": 5}, "it was given time to come back"
    fleet.take(first)
    r = fleet.until(made, lambda r: r["counts"].get("confirmed") and not r["counts"].get("queued"), "the second wave")
    assert r["counts"] == {"confirmed": 1, "offered": 5}, "and so were those whose turn came"
    fleet.run(made, bake=300)
    assert fleet.see(made)["counts"] == {"confirmed": 6}


@pytest.mark.slow
def test_g5_a_share_of_failures_is_one_of_those_that_are_there(fleet, six):
    """Three of five are online: of "50%" one is borne, not two."""
    for d in six[:2]:
        d.online = False
    try:
        fleet.forward(400)
        made = fleet.publish(six, **{**WAVES, "waves": ["1"], "canary_bake_s": 0, "max_unavailable": "100%",
                                     "offline_after_s": 300, "max_failures": "50%"})
        fleet.take(next(i for i, s in fleet.states(made).items() if s == "offered"))
        r = fleet.until(made, lambda r: r["counts"].get("offered") == 3, "the second wave")
        assert r["counts"] == {"confirmed": 1, "offered": 3, "skipped": 2}
        bad = [x["id"] for x in r["devices"] if x["state"] == "offered"]
        fleet.take(bad[0], ok=False)
        fleet.until(made, lambda r: r["counts"].get("reverted") == 1, "the engine to see it")
        assert fleet.see(made)["state"] == "running"
        fleet.take(bad[1], ok=False)
        fleet.until(made, lambda r: r["state"] == "halted", "the halt")
    finally:
        for d in six[:2]:
            d.online = True
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.forward(1)
    fleet.catch_up()


@pytest.mark.slow
def test_never_more_on_the_way_than_max_unavailable(fleet, six):
    made = fleet.publish(six, **{**WAVES, "waves": ["1"], "canary_bake_s": 0, "max_unavailable": "2"})
    for done in range(6):
        want = {"confirmed": done, "offered": 1 if done == 0 else min(2, 6 - done)}
        r = fleet.until(made, lambda r: r["counts"].get("confirmed", 0) == done and r["counts"].get("offered"), "the next ones")
        assert {k: r["counts"].get(k, 0) for k in want} == want
        fleet.take(next(x["id"] for x in r["devices"] if x["state"] == "offered"), silent=True)  # fetched is on the way as well
        r = fleet.until(made, lambda r: r["counts"].get("fetched"), "the engine to see it")
        assert r["counts"]["fetched"] + r["counts"].get("offered", 0) == want["offered"]
        fleet.devices[next(x["id"] for x in r["devices"] if x["state"] == "fetched")].put_status()
    fleet.run(made, bake=300)
    assert fleet.see(made)["counts"] == {"confirmed": 6}


@pytest.mark.slow
def test_g7_parent_killed_between_transitions(fleet, six):
    made = fleet.publish(six, **{**WAVES, "canary_bake_s": 0, "bake_s": 0})
    for _ in range(3):
        offered = [i for i, s in fleet.states(made).items() if s == "offered"]
        for i in offered:
            fleet.take(i)
        fleet.parent.kill()
        fleet.parent.start({"INARI_CLOCK_FILE": fleet.clock})
        fleet.until(made, lambda r: r["state"] == "completed" or r["counts"].get("offered"), "the next wave")
    fleet.run(made)
    r = fleet.see(made)
    assert r["state"] == "completed" and r["counts"] == {"confirmed": 6}
    revs = fleet.parent.postgres.psql(f"SELECT count(*), count(DISTINCT device_id) FROM bundle WHERE rollout_id = '{made['rollout_id']}'")
    assert revs == [["6", "6"]], "each device was given it exactly once"
    done = [a for a in fleet.api.ok("GET", "/audit?action=rollout.completed&limit=50")["items"] if made["rollout_id"] in a["object"]]
    assert len(done) == 1 and fleet.api.ok("GET", "/audit/verify")["ok"]


def test_g8_newer_publication_supersedes(fleet, six):
    before = fleet.size
    made = fleet.publish(six, **WAVES)
    first = next(x["id"] for x in made["devices"] if x["state"] == "offered")
    newer = fleet.publish(six, **WAVES)
    r = fleet.see(made)
    assert r["state"] == "superseded" and r["counts"] == {"superseded": 6}
    assert audited(fleet, made)[0] == "rollout.superseded"
    d = fleet.devices[first]
    if fleet.states(newer)[first] != "offered":  # what it was offered and had not fetched is not given to it any more
        d.fetch()
        assert settings(d) == before
        d.put_status()
    fleet.run(newer, bake=600)
    assert fleet.see(newer)["counts"] == {"confirmed": 6} and {settings(d) for d in six} == {fleet.size}


def test_g9_device_joins_meanwhile(fleet, six):
    before = fleet.size
    fleet.size += 1
    made = fleet.api.publish({"fleet": {KEY: fleet.size}}, rollout={**WAVES, "canary_bake_s": 60, "bake_s": 0})
    # devices have their own value: nothing changes for them, so nothing is rolled out
    assert made["rollout"]["waves"] == 1 and fleet.see(made)["state"] == "completed"
    made = fleet.api.publish({"fleet": {"smtp.relay_domains": {f"d{fleet.size}.example.org": {}}}},
                             rollout={**WAVES, "canary_bake_s": 60, "bake_s": 0})
    first = next(x["id"] for x in made["devices"] if x["state"] == "offered")
    new = fleet.add()
    rows = lambda d: d.last["sections"]["postfix"]["settings"]["smtp.relay_domains"]  # noqa: E731
    assert f"d{fleet.size}.example.org" not in str(rows(new)), "a newcomer gets what everybody has"
    fleet.take(first)
    order = fleet.run(made, bake=60)
    assert f"d{fleet.size}.example.org" in str(rows(fleet.devices[first])) and before
    assert (2, new.id) in order and fleet.states(made)[new.id] == "confirmed", "it went with the last wave"
    assert fleet.see(made)["counts"] == {"confirmed": 7} and f"d{fleet.size}.example.org" in str(rows(new))
    # one more, after the end: it catches up, or begins with it
    late = fleet.add()
    assert f"d{fleet.size}.example.org" in str(rows(late))
    late.leave()
    del fleet.devices[late.id]
    new.leave()
    del fleet.devices[new.id]


def test_g10_members_of_one_mx_set_are_never_on_the_way_together(fleet, six):
    group = fleet.api.ok("POST", "/groups", {"name": f"mx-{uuid.uuid4().hex[:6]}", "kind": "mx"})
    pair = {six[0].id, six[1].id}
    for i in pair:
        fleet.api.request("PUT", f"/groups/{group['id']}/members/{i}")
    try:
        made = fleet.publish(six, strategy="all")
        seen, end = [], time.monotonic() + 30
        while fleet.see(made)["state"] != "completed" and time.monotonic() < end:
            on_the_way = {i for i, x in fleet.states(made).items() if x in ("offered", "fetched")}
            assert len(on_the_way & pair) <= 1
            seen += [len(on_the_way)] if on_the_way else []
            for i in on_the_way:
                fleet.take(i)
            time.sleep(0.1)
        assert seen == [5, 1] and fleet.see(made)["counts"] == {"confirmed": 6}
    finally:
        for i in pair:
            fleet.api.request("DELETE", f"/groups/{group['id']}/members/{i}")


def mx_set(fleet, *devices):
    group = fleet.api.ok("POST", "/groups", {"name": f"mx-{uuid.uuid4().hex[:6]}", "kind": "mx"})
    for d in devices:
        fleet.api.request("PUT", f"/groups/{group['id']}/members/{d.id}")
    return group


@pytest.mark.slow
def test_g10_an_mx_set_is_free_again_after_a_rollout_that_was_not_finished(fleet, six):
    """A member that fetched and fell silent, and whose rollout ended, blocks its set for the apply deadline, not for ever."""
    pair = six[:2]
    group = mx_set(fleet, *pair)
    waves = {**WAVES, "waves": ["1"], "max_unavailable": "100%", "apply_deadline_s": 60}
    try:
        old = fleet.publish(pair, **waves)
        first = next(x["id"] for x in old["devices"] if x["state"] == "offered")
        fleet.take(first, silent=True)
        fleet.until(old, lambda r: r["counts"].get("fetched"), "the engine to see it")
        new = fleet.publish(pair, **waves)
        assert fleet.see(old)["state"] == "superseded" and fleet.see(new)["counts"] == {"queued": 2}, "it may still be at it"
        fleet.forward(61)
        r = fleet.until(new, lambda r: r["counts"].get("offered"), "the set to be free")
        fleet.run(new, bake=600)
        assert fleet.see(new)["counts"] == {"confirmed": 2}
        # one that said how it went is not waited for
        old = fleet.publish(pair, **waves)
        first = next(x["id"] for x in old["devices"] if x["state"] == "offered")
        fleet.take(first, silent=True)
        fleet.until(old, lambda r: r["counts"].get("fetched"), "the engine to see it")
        fleet.api.ok("POST", f"/rollouts/{old['rollout_id']}/cancel", {"reason": "enough"})
        fleet.devices[first].put_status()
        r = fleet.see(fleet.publish(pair, **waves))
        assert r["counts"] == {"offered": 1, "queued": 1}
    finally:
        for d in pair:
            fleet.api.request("DELETE", f"/groups/{group['id']}/members/{d.id}")
        fleet.catch_up()


def test_revert_that_changes_no_device_ends(fleet, six):
    """Only the canary was touched, and the halt gave it back what it had: the revert has nobody to wait for."""
    made = fleet.publish(six, **{**WAVES, "on_failure": "revert"})
    fleet.take(next(x["id"] for x in made["devices"] if x["state"] == "offered"), ok=False)
    r = fleet.until(made, lambda r: r["state"] == "reverted", "the end of it")
    back = next(x for x in fleet.api.ok("GET", "/rollouts?limit=5")["items"] if x["reverts"] == made["rollout_id"])
    assert back["state"] == "completed" and back["counts"] == {} and r["ended_at"]
    fleet.catch_up()


def test_what_a_person_halts_is_not_taken_back_by_itself(fleet, six):
    made = fleet.publish(six, **{**WAVES, "on_failure": "revert"})
    at = f"/rollouts/{made['rollout_id']}"
    assert fleet.api.ok("POST", f"{at}/halt", {"reason": "let me look"})["state"] == "halted"
    time.sleep(1.2)  # two passes of the engine
    assert fleet.see(made)["state"] == "halted"
    fleet.api.ok("POST", f"{at}/cancel", {})
    fleet.catch_up()


@pytest.mark.slow
def test_automatic_revert_yields_to_a_person(fleet, six):
    """Somebody resumes in the moment in which the engine, which has seen the halt, begins to take it back."""
    made = fleet.publish(six, **{**WAVES, "on_failure": "revert"})
    # The engine reads what is open, then waits for the issuer's lock: it finds the rollout as the person left it.
    fleet.parent.postgres.psql(f"""SELECT pg_advisory_lock(8445, 2);
        BEGIN; UPDATE rollout SET state = 'halted', auto_revert = true WHERE id = '{made["rollout_id"]}'; COMMIT;
        SELECT pg_sleep(1.5);
        BEGIN; UPDATE rollout SET state = 'running', auto_revert = false WHERE id = '{made["rollout_id"]}'; COMMIT;
        SELECT pg_advisory_unlock(8445, 2)""")
    fleet.run(made, bake=600)
    assert fleet.see(made)["state"] == "completed"
    assert not [x for x in fleet.api.ok("GET", "/rollouts?limit=5")["items"] if x["reverts"] == made["rollout_id"]]
    fleet.catch_up()


def test_what_nobody_approved_reaches_no_device(fleet, six):
    """Neither a newcomer nor one that changes its group is given what still waits for its approval."""
    domain = f"w{uuid.uuid4().hex[:8]}.example.org"
    has = lambda d: domain in str(d.last["sections"]["postfix"]["settings"]["smtp.relay_domains"])  # noqa: E731
    group = fleet.api.ok("POST", "/groups", {"name": f"g-{uuid.uuid4().hex[:6]}", "priority": 4711})
    made = fleet.api.publish({"groups": {group["id"]: {"smtp.relay_domains": {domain: {}}}},
                              "devices": {six[0].id: {"smtp.relay_domains": {domain: {}}}}},
                             rollout={"strategy": "all", "approval": True})
    assert made["rollout"]["state"] == "awaiting-approval"
    moved, new = six[1], None
    try:
        fleet.api.request("PUT", f"/groups/{group['id']}/members/{moved.id}")
        while moved.desired().status_code == 200:
            moved.fetch()
        assert not has(moved), "it was moved, not approved"
        fleet.api.request("DELETE", f"/groups/{group['id']}/members/{moved.id}")
        fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
        made = fleet.api.publish({"fleet": {"smtp.relay_domains": {domain: {}}}}, rollout={"strategy": "all", "approval": True})
        assert made["rollout"]["state"] == "awaiting-approval"
        new = fleet.add()
        assert not has(new), "a newcomer gets what everybody has"
        at = f"/rollouts/{made['rollout_id']}"
        fleet.api.ok("POST", f"{at}/pause", {})
        fleet.api.ok("POST", f"{at}/halt", {})
        r = fleet.api.ok("POST", f"{at}/resume", {})
        assert r["state"] == "awaiting-approval" and set(r["counts"]) == {"queued"}, "no way around the approval"
    finally:
        fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
        if new:
            new.leave()
            del fleet.devices[new.id]
        fleet.catch_up()


def test_halt_goes_back_to_what_the_device_had_not_to_what_it_was_only_offered(fleet, six):
    one, before = six[0], fleet.size
    fleet.publish([one], strategy="waves", waves=["1"])  # offered, never fetched
    newer = fleet.publish([one], strategy="waves", waves=["1"])
    assert fleet.states(newer) == {one.id: "offered"}
    fleet.take(one.id, ok=False)
    fleet.until(newer, lambda r: r["state"] == "halted", "the halt")
    one.fetch()
    assert settings(one) == before
    fleet.catch_up()


@pytest.mark.slow
def test_revert_takes_it_back_from_those_that_have_it(fleet, six):
    before = fleet.size
    made = fleet.publish(six, **{**WAVES, "waves": ["2"], "on_failure": "revert"})
    # a third device fails after two confirmed: the failure is taken back everywhere by itself
    for i in [x["id"] for x in made["devices"] if x["state"] == "offered"]:
        fleet.take(i)
    fleet.until(made, lambda r: r["state"] == "baking", "baking")
    fleet.forward(600)
    r = fleet.until(made, lambda r: r["counts"].get("offered"), "the second wave")
    bad = [x["id"] for x in r["devices"] if x["state"] == "offered"][:2]
    for i in bad:
        fleet.take(i, ok=False)
    r = fleet.until(made, lambda r: r["state"] == "reverting", "the revert")
    back = next(x for x in fleet.api.ok("GET", "/rollouts?limit=5")["items"] if x["reverts"] == made["rollout_id"])
    assert fleet.api.ok("GET", f"/revisions/{back['pub']}")["kind"] == "undo"
    back = {"rollout_id": back["id"]}
    fleet.run(back, bake=30)
    r = fleet.until(made, lambda r: r["state"] == "reverted", "the end")
    assert r["counts"].get("reverted") == 2
    fleet.catch_up()
    assert {settings(d) for d in six} == {before}


@pytest.mark.slow
def test_two_drivers_and_only_the_lease_counts(fleet, six):
    """Somebody else takes the lease: this parent writes nothing until it has it again, in a later term."""
    psql = fleet.parent.postgres.psql
    made = fleet.publish(six, **{**WAVES, "canary_bake_s": 0, "bake_s": 0, "waves": ["1"]})
    term = int(psql("SELECT term FROM lease WHERE name = 'engine'")[0][0])
    psql("UPDATE lease SET holder = 'another', term = term + 1, expires_at = now() + interval '4 s' WHERE name = 'engine'")
    first = next(x["id"] for x in made["devices"] if x["state"] == "offered")
    version = fleet.see(made)["version"]
    fleet.take(first)
    time.sleep(2)
    assert fleet.see(made)["version"] == version and fleet.states(made).get(first) == "confirmed"
    assert psql(f"SELECT state FROM rollout_device WHERE rollout_id = '{made['rollout_id']}' AND device_id = '{first}'") == [["offered"]]
    fleet.run(made)
    r = fleet.see(made)
    assert r["state"] == "completed" and r["term"] == term + 2


@pytest.mark.slow
def test_g15_thirty_devices_in_waves(fleet, thirty):
    made = fleet.publish(thirty, confirm=30, strategy="auto", canary_bake_s=0, bake_s=0, waves=["1", "10%", "50%"], offline_after_s=86400)
    assert made["rollout"]["strategy"] == "waves" and [w["devices"] for w in fleet.see(made)["waves"]] == [1, 2, 12, 15]
    order = fleet.run(made, rounds=60)
    assert [w for w, _ in order] == sorted(w for w, _ in order), "no wave before the one before it"
    assert len(order) == 30 and fleet.see(made)["counts"] == {"confirmed": 30}
    # at most a tenth at once
    page = fleet.api.ok("GET", f"/rollouts/{made['rollout_id']}/devices?limit=20")
    rest = fleet.api.ok("GET", f"/rollouts/{made['rollout_id']}/devices?limit=20&cursor={page['next']}")
    assert len(page["items"]) == 20 and len(rest["items"]) == 10 and rest["next"] is None
    assert fleet.api.ok("GET", f"/rollouts/{made['rollout_id']}/devices?wave=1")["items"][0]["wave"] == 1


@pytest.mark.slow
def test_g5_failures_beyond_the_budget_halt_a_later_wave(fleet, thirty):
    made = fleet.publish(thirty, confirm=30, strategy="waves", waves=["1", "20%"], canary_bake_s=0, bake_s=0,
                         max_unavailable="100%", offline_after_s=86400)
    fleet.take(next(x["id"] for x in made["devices"] if x["state"] == "offered"))
    r = fleet.until(made, lambda r: r["counts"].get("offered") == 5, "the second wave")
    bad = [x["id"] for x in r["devices"] if x["state"] == "offered"]
    fleet.take(bad[0], ok=False)  # one is borne
    fleet.take(bad[1])
    time.sleep(1.2)
    assert fleet.see(made)["state"] == "running"
    fleet.take(bad[2], ok=False)
    r = fleet.until(made, lambda r: r["state"] == "halted", "the halt")
    assert r["counts"]["queued"] == 24 and r["counts"]["reverted"] == 2
    for d in fleet.devices.values():
        if r["devices"] and next(x for x in r["devices"] if x["id"] == d.id)["state"] == "queued":
            assert d.desired().status_code == 304
            break
    # the halted revision is still the newest one: taking it back keeps the next publication from bringing it along
    back = fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/revert", {"reason": "it was wrong"})
    assert {x["id"] for x in back["devices"] if x["changed"]} == {x["id"] for x in r["devices"] if x["state"] == "confirmed"}
    fleet.catch_up()
    fleet.run(back, bake=30)
    fleet.until(made, lambda r: r["state"] == "reverted", "the end of the revert")


@pytest.mark.slow
def test_queue_that_grows_after_the_change_halts_and_one_that_grows_everywhere_does_not(fleet, six):
    def say(devices, deferred):
        for d in devices:
            assert d.put_status(d.status(health={"queue": {"deferred": deferred}})).status_code == 204

    for everywhere in (False, True):
        say(six, 10)
        made = fleet.publish(six, **WAVES)
        first = next(x["id"] for x in made["devices"] if x["state"] == "offered")
        d = fleet.devices[first]
        d.fetch()
        say([d], 10)
        fleet.until(made, lambda r: r["state"] == "baking", "baking")
        if everywhere:
            say([x for x in six if x is not d], 310)
        say([d], 310)
        if everywhere:
            fleet.forward(600)
            r = fleet.until(made, lambda r: r["wave"] == 1, "the second wave")
            fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
        else:
            r = fleet.until(made, lambda r: r["state"] == "halted", "the halt")
            shown = next(x for x in r["devices"] if x["id"] == first)
            assert r["reason"] == "unhealthy" and shown["state"] == "unhealthy" and "from 10 to 310" in shown["problem"]["detail"]
        fleet.catch_up()


def say_mail(devices, *rows):
    """Rows (seconds ago, accepted, refused) of mail, as the devices count it."""
    now = int(time.time()) + Child.shift
    minutes = [{"at": now - ago, "accepted": a, "rejected": {"recipient": r}, "delivered": a, "latency": [a] + [0] * 8}
               for ago, a, r in rows]
    for d in devices:
        mail = {"state": "reading", "reason": "", "step_s": 60, "until": now, "lost": 0, "lines": 1, "minutes": minutes}
        assert d.put_status(d.status(health={"queue": {"deferred": 0}, "mail": mail})).status_code == 204


def canary_bakes(fleet, six, **rollout):
    """A rollout whose first device has it and is watched: (rollout, that one, the others)."""
    say_mail(six, (120, 90, 10))
    made = fleet.publish(six, **{**WAVES, **rollout})
    first = fleet.devices[next(x["id"] for x in made["devices"] if x["state"] == "offered")]
    fleet.take(first.id)
    fleet.until(made, lambda r: r["state"] == "baking", "baking")
    fleet.forward(120)
    return made, first, [d for d in six if d is not first]


@pytest.mark.slow
def test_g11_refusals_triple_without_any_error_and_the_guard_halts(fleet, six):
    made, first, others = canary_bakes(fleet, six)
    wait_until(lambda: all("Inari-Figures" in d.desired(wait=0).headers for d in others), "the others to be asked", 10)
    say_mail(others, (60, 95, 5))
    say_mail([first], (240, 90, 10), (60, 70, 30))
    r = fleet.until(made, lambda r: r["state"] == "halted", "the halt")
    shown = next(x for x in r["devices"] if x["id"] == first.id)
    assert r["reason"] == "unhealthy" and shown["state"] == "unhealthy" and r["counts"]["queued"] == 5
    assert "30/100 (30%); before it: 10/100 (10%)" in shown["problem"]["detail"] and "25/500 (5%)" in shown["problem"]["detail"]
    assert shown["problem"]["errors"][0]["id"] == "GUARD.rejected" and shown["problem"]["errors"][0]["remedy"]
    ja = fleet.api.get(f"/rollouts/{made['rollout_id']}", headers={"Accept-Language": "ja"}).json()
    assert "変更後の拒否: 30/100 (30%)" in next(x for x in ja["devices"] if x["id"] == first.id)["problem"]["detail"]
    assert all(d.desired().status_code == 304 for d in others), "nobody else was touched"
    fleet.catch_up()
    time.sleep(1.2)  # two passes of the engine, which has nothing to drive now
    wait_until(lambda: "Inari-Figures" in others[0].desired(wait=0).headers, "a halted one is watched on", 10)
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    wait_until(lambda: "Inari-Figures" not in others[0].desired(wait=0).headers, "nobody to ask any more", 10)


@pytest.mark.slow
def test_nothing_is_called_bad_before_the_others_have_answered(fleet, six):
    made, first, others = canary_bakes(fleet, six)  # two minutes ago
    say_mail([first], (240, 90, 10), (60, 70, 30))
    time.sleep(1.5)  # two passes of the engine
    assert fleet.see(made)["state"] == "baking", "the others were asked a moment ago"
    fleet.forward(70)
    r = fleet.until(made, lambda r: r["state"] == "halted", "the halt, without their answer")
    assert r["reason"] == "unhealthy"
    fleet.catch_up()
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})


@pytest.mark.slow
def test_refusals_that_come_everywhere_are_not_the_change(fleet, six):
    made, first, others = canary_bakes(fleet, six)
    say_mail(others, (60, 70, 30))
    say_mail([first], (240, 90, 10), (60, 70, 30))
    fleet.forward(480)
    fleet.until(made, lambda r: r["wave"] == 1, "the second wave")
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.catch_up()


@pytest.mark.slow
def test_g11_too_little_mail_is_watched_longer_and_then_a_person_is_asked(fleet, six):
    made, first, _ = canary_bakes(fleet, six)
    say_mail([first], (240, 90, 10), (60, 2, 1))
    fleet.forward(480)  # 600 s of 600

    def words():
        return ((next(x for x in fleet.see(made)["devices"] if x["id"] == first.id)["problem"] or {}).get("detail", ""))
    assert "3 of the 20" in wait_until(words, "why it goes on being watched", 10)
    fleet.forward(600)
    time.sleep(1.2)  # two passes of the engine
    assert fleet.see(made)["state"] == "baking", "longer than asked for"
    fleet.forward(700)
    r = fleet.until(made, lambda r: r["state"] == "paused", "the question")
    assert r["reason"] == "inconclusive" and r["counts"] == {"confirmed": 1, "queued": 5} and "3 of the 20" in words()
    # somebody looked; meanwhile mail came
    say_mail([first], (60, 30, 1))
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/resume", {"reason": "Sunday morning"})
    fleet.forward(600)
    fleet.until(made, lambda r: r["wave"] == 1, "the second wave")
    assert words() == ""
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.catch_up()
    # a fleet that does not want to be asked
    made, first, _ = canary_bakes(fleet, six, guard_messages=0)
    say_mail([first], (240, 90, 10), (60, 2, 1))
    fleet.forward(480)
    fleet.until(made, lambda r: r["wave"] == 1, "the second wave")
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.catch_up()


@pytest.mark.slow
def test_g11_a_person_who_looked_lets_it_go_on(fleet, six):
    """Too little mail to judge by: promote is the person's verdict, while it is watched longer and once it asks."""
    for state, late in (("baking", 480), ("paused", 1700)):
        made, first, _ = canary_bakes(fleet, six)
        at = f"/rollouts/{made['rollout_id']}"
        say_mail([first], (240, 90, 10), (60, 2, 1))
        fleet.forward(late)
        fleet.until(made, lambda r: r["state"] == state and
                    (next(x for x in r["devices"] if x["id"] == first.id)["problem"] or {}).get("detail"), "too little mail")
        assert fleet.see(made)["wave"] == 0
        fleet.api.ok("POST", f"{at}/promote", {"reason": "looks well"})
        fleet.until(made, lambda r: r["wave"] == 1 and r["state"] == "running", "the second wave")
        fleet.api.ok("POST", f"{at}/pause", {"reason": "lunch"})
        assert fleet.api.post(f"{at}/promote", json={}).status_code == 409, "a person's pause is resumed"
        fleet.api.ok("POST", f"{at}/cancel", {})
        fleet.catch_up()


def ctl(fleet, programs, *argv, want=0):
    return "".join(Ctl.of(programs, fleet.parent, fleet.api, fleet.parent.dir).ends(want, *argv))


@pytest.mark.slow
def test_inarictl_follows_and_orders(fleet, six, programs):
    made = fleet.publish(six, **WAVES)
    text = ctl(fleet, programs, "rollout", "list")
    assert made["rollout_id"] in text and "1/3" in text and "queued 5, offered 1" in text, text
    assert "waiting" in ctl(fleet, programs, "rollout", "show")
    assert "paused" in ctl(fleet, programs, "rollout", "pause", "--reason", "lunch")
    text = ctl(fleet, programs, "rollout", "show", "--lang", "ja")
    assert "段階" in text and "lunch" in text
    assert "halted" in ctl(fleet, programs, "rollout", "halt", made["rollout_id"])
    assert "halted" in ctl(fleet, programs, "rollout", "watch", want=4)
    ctl(fleet, programs, "rollout", "approve", want=8)
    ctl(fleet, programs, "rollout", "revert", want=2)
    ctl(fleet, programs, "rollout", "cancel")
    fleet.catch_up()
    assert "bake_s" in ctl(fleet, programs, "rollout", "policy", "bake_s=2m", "waves=1,20%")
    assert fleet.api.ok("GET", "/rollout-policy")["policy"] == {"bake_s": 120, "waves": ["1", "20%"], "shadow": "never"}
    ctl(fleet, programs, "rollout", "policy", "bake_s=default", "waves=default")
    assert fleet.api.ok("GET", "/rollout-policy")["policy"] == {"shadow": "never"}
    # publish --strategy waits for the waves, and says where they stand when the time is over
    ctl(fleet, programs, "set", f"{KEY}={fleet.size + 1000}", "--device", six[0].name)
    text = ctl(fleet, programs, "publish", "--reason", "r", "--strategy", "waves", "--bake", "5m", "--timeout", "1", want=4)
    assert "1/3" in text and "running" in text  # what was cancelled is still in the newest revision
    fleet.catch_up()
    ctl(fleet, programs, "rollout", "cancel")
