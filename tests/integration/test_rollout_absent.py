"""A rollout none of whose devices was there (protocol.md 6.12: an absent canary proves nothing): it waits, and begins with one of those that
come back, whoever came back with it."""
import time

import pytest
import wireclient
from parentlib import wait_until
from test_agent_api_poll import statements
from test_rollout_api import WAVES, audited, ctl, fleet, settings, six, the_six  # noqa: F401  (fixtures)

pytestmark = pytest.mark.slow  # half a minute together

AWAY = {**WAVES, "offline_after_s": 300, "max_unavailable": "100%"}


@pytest.fixture
def absent(fleet, six):  # noqa: F811
    """A rollout that was published while all six were away."""
    for d in six:
        d.online = False
    fleet.forward(400)
    made = fleet.publish(six, **AWAY)
    fleet.until(made, lambda r: r["waits"] == "absent", "it to wait for them")
    yield made
    for d in six:
        d.online = True
    if fleet.see(made)["state"] not in ("completed", "cancelled", "superseded"):
        fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.forward(1)
    fleet.catch_up()


def back(fleet, devices):  # noqa: F811
    for d in devices:
        d.online = True
    fleet.forward(1)


def offered(r):
    return [x["id"] for x in r["devices"] if x["state"] == "offered"]


def asks_little(fleet):  # noqa: F811
    """Statements of a second and a half: an engine that passes all the time needs more than one of them each half second."""
    before = statements(fleet.parent.session())
    time.sleep(1.5)
    return statements(fleet.parent.session()) - before <= 2


def test_who_comes_back_together_is_not_harmed_together(fleet, six, absent):  # noqa: F811
    r = fleet.see(absent)
    assert (r["state"], r["reason"], r["ended_at"], r["counts"]) == ("paused", "nobody-there", None, {"skipped": 6})
    assert {x["reason"] for x in r["devices"]} == {"offline"}
    text = ctl(fleet, fleet.parent.programs, "rollouts", absent["rollout_id"])
    assert "none of its devices was there" in text, text
    text = ctl(fleet, fleet.parent.programs, "--lang", "ja", "rollouts", absent["rollout_id"])
    assert "対象のデバイスがすべて不在でした" in text, text
    # Who joins meanwhile begins with what the fleet has, and is not held up.
    new = fleet.add()
    assert new.last["pub"] < absent["pub"] and fleet.api.ok("GET", f"/devices/{new.id}")["sync"] == "in-sync"
    back(fleet, six)
    r = fleet.until(absent, lambda r: offered(r), "one of them to be offered it")
    assert (r["state"], r["waits"], r["wave"], r["waves_total"]) == ("running", None, 0, 3)
    assert r["counts"] == {"offered": 1, "queued": 5}, "the first one alone, although all six may be on their way at once"
    canary = offered(r)[0]
    others = [d for d in six if d.id != canary]
    assert all(d.desired().status_code == 304 for d in others)
    fleet.take(canary, ok=False)
    r = fleet.until(absent, lambda r: r["state"] == "halted", "the halt")
    assert (r["reason"], r["counts"]) == ("failures", {"reverted": 1, "queued": 5})
    fleet.catch_up()
    assert {settings(d) for d in six} == {fleet.size - 1}, "nobody has it, the canary got its own back"
    # A person lets it go on: again one after the other until one has confirmed.
    fleet.api.ok("POST", f"/rollouts/{absent['rollout_id']}/resume", {"reason": "seen to"})
    fleet.run(absent, bake=600)
    r = fleet.see(absent)
    assert (r["state"], r["counts"]) == ("completed", {"reverted": 1, "confirmed": 6}), "five, and the one that joined"
    del fleet.devices[new.id]
    fleet.api.ok("POST", f"/devices/{new.id}/revoke", {"reason": "its test is over"})


def test_one_that_comes_back_alone_is_the_canary_and_bakes(fleet, six, absent):  # noqa: F811
    """Also when the parent was killed while it waited; who is still away is passed over and catches up."""
    fleet.forward(700)  # nobody was heard for so long that their polls are what tells: the engine rests
    wait_until(lambda: asks_little(fleet), "the engine to rest", 20, 0.1)
    fleet.parent.kill()
    fleet.parent.start({"INARI_CLOCK_FILE": fleet.clock})
    for d in six:
        d.access = None
    assert fleet.see(absent)["waits"] == "absent"
    back(fleet, six[:2])
    r = fleet.until(absent, lambda r: offered(r), "one of them to be offered it")
    canary = offered(r)[0]
    assert canary in [d.id for d in six[:2]] and r["counts"] == {"offered": 1, "queued": 5}
    fleet.take(canary)
    r = fleet.until(absent, lambda r: r["state"] == "baking", "it to bake")
    assert r["wave"] == 0 and r["counts"] == {"confirmed": 1, "queued": 5}
    fleet.run(absent, bake=600)
    r = fleet.see(absent)
    assert (r["state"], r["counts"]) == ("completed", {"confirmed": 2, "skipped": 4})
    back(fleet, six)
    for d in six:
        fleet.catches_up(d)
    words = audited(fleet, absent)
    assert words.count("rollout.paused") == 1 and words.count("rollout.completed") == 1


def test_a_person_may_give_it_to_whoever_comes(fleet, six, absent):  # noqa: F811
    r = fleet.api.ok("POST", f"/rollouts/{absent['rollout_id']}/resume", {"reason": "look again"})
    assert r["state"] == "running"
    fleet.until(absent, lambda r: r["waits"] == "absent" and r["counts"] == {"skipped": 6}, "them to be away still")
    r = fleet.api.ok("POST", f"/rollouts/{absent['rollout_id']}/promote", {"reason": "it is known to be good"})
    assert (r["state"], r["counts"]) == ("completed", {"skipped": 6})
    back(fleet, six)
    r = fleet.until(absent, lambda r: len(offered(r)) == 6, "all of them to be offered it")
    for d in six:
        fleet.catches_up(d)


def test_what_is_published_next_takes_its_place_and_a_held_one_is_not_there(fleet, six, absent):  # noqa: F811
    psql, (one, other) = fleet.parent.postgres.psql, six[:2]
    urgent = fleet.publish([one], expedite=True, offline_after_s=300)
    fleet.until(urgent, lambda r: r["waits"] == "absent", "the expedited one to wait as well")
    # It holds nothing up meanwhile, and a whole publication has it inside.
    back(fleet, [other])
    fleet.until(absent, lambda r: offered(r) == [other.id], "the first one to go on")
    other.online = False
    fleet.forward(400)
    fleet.until(absent, lambda r: r["waits"] == "absent", "it to be away again")
    newer = fleet.publish([one], **AWAY)
    assert (fleet.see(absent)["state"], fleet.see(urgent)["state"]) == ("superseded", "superseded")
    fleet.until(newer, lambda r: r["waits"] == "absent", "the newer one to wait")
    psql(f"UPDATE device SET state = 'held' WHERE id = '{one.id}'")
    try:
        back(fleet, [one])
        time.sleep(1.2)  # two passes of the engine
        assert fleet.see(newer)["waits"] == "absent"
    finally:
        psql(f"UPDATE device SET state = 'managed' WHERE id = '{one.id}'")
    fleet.until(newer, lambda r: offered(r) == [one.id], "it to be offered")
    fleet.take(one.id)
    fleet.run(newer, bake=600)
    assert fleet.see(newer)["counts"] == {"confirmed": 1, "skipped": 5} and settings(one) == fleet.size


def test_what_nobody_can_come_for_is_over(fleet, six):  # noqa: F811
    new = fleet.add()
    new.online = False
    fleet.forward(400)
    made = fleet.publish([new], **AWAY)
    fleet.until(made, lambda r: r["waits"] == "absent", "it to wait")
    fleet.api.ok("POST", f"/devices/{new.id}/revoke", {"reason": "its test is over"})
    del fleet.devices[new.id]
    r = fleet.until(made, lambda r: r["state"] == "completed", "the end")
    assert r["counts"] == {"skipped": 1}


def test_f11_two_devices_that_are_late_are_no_silent_fleet(new_parent):
    """All of them, and still those devices: of so few it says nothing about the parent."""
    p = new_parent()
    api = p.token()
    api.change("/rollout-policy", {"shadow": "never"})
    join = api.ok("POST", "/enrolment-tokens", {"name": "two", "uses": 2})["join"]
    two = [wireclient.Device(p.base, p.ca, f"mx-{i}") for i in range(2)]
    for d in two:
        d.enrol(join)
        d.fetch()
        d.put_status(d.status(running=False))
    made = api.publish({"fleet": {"smtp.message_size_limit": 21000000}}, rollout={"strategy": "waves", "offline_after_s": 10})
    end = time.monotonic() + 13  # they are late after eight
    while time.monotonic() < end:
        assert api.ok("GET", "/parent")["conditions"][0]["status"] == "True"
        time.sleep(0.5)
    assert api.ok("GET", f"/rollouts/{made['rollout_id']}")["waits"] in (None, "absent")
