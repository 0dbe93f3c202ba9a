"""Health guards on real Postfix: protocol.md G11, C14.  What is good at first and is not later: mail that is refused, a daemon that dies."""
import uuid

import pytest
from parentlib import wait_until
from test_pair_faults import new_size, respawn

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]

KEY = "smtp.message_size_limit"
SMALLEST = 65536  # the mail of this test is larger


@pytest.fixture
def short_minutes(healthy_lab):
    """Rows of five seconds instead of a minute, and a fleet that is as it was afterwards."""
    for child in healthy_lab.children:
        respawn(healthy_lab, child, "agent", INARI_FIGURES_S="5")
    yield healthy_lab
    for child in healthy_lab.children:
        respawn(healthy_lab, child, "agent")
    healthy_lab.publish_size(new_size())
    healthy_lab.wait_in_sync()


def mail_of(lab, child):
    return (lab.api.ok("GET", f"/devices/{child}")["health"] or {}).get("mail", {})


def summed(mail, figure):
    return sum(m.get(figure, 0) for m in mail["minutes"])


def test_g11_mail_refused_by_a_good_change_halts_in_the_canary(short_minutes):
    lab = short_minutes
    lab.publish_size(new_size())
    lab.wait_in_sync()
    mark = f"guard-{uuid.uuid4().hex[:8]}"
    sender = lab.sender(mark, 240, 20, size=70000, lasting=True)
    # each has taken some, and says so by itself: a change was just made
    wait_until(lambda: all(summed(mail_of(lab, c), "accepted") >= 25 for c in lab.children), "mail everywhere", 60, 0.5)
    made = lab.api.publish({"fleet": {KEY: SMALLEST}}, "too small",
                           rollout={"strategy": "waves", "waves": ["1"], "canary_bake_s": 600, "shadow": "never"})

    def see():
        return lab.api.ok("GET", f"/rollouts/{made['rollout_id']}")
    baking = wait_until(lambda: (r := see())["state"] == "baking" and r, "the canary to have it", 60, 0.2)
    canary = next(d["name"] for d in baking["devices"] if d["state"] == "confirmed")
    for other in (c for c in lab.children if c != canary):  # ends its held poll: it hears at once that it is compared with
        lab.api.ok("POST", f"/devices/{other}/commands", {"kind": "self-check"})
    halted = wait_until(lambda: (r := see())["state"] == "halted" and r, "the guard", 120, 0.5)
    shown = next(d for d in halted["devices"] if d["name"] == canary)
    assert halted["reason"] == "unhealthy" and halted["counts"] == {"unhealthy": 1, "queued": 2}
    assert shown["problem"]["errors"][0]["id"] == "GUARD.rejected", shown["problem"]
    mail = mail_of(lab, canary)
    assert sum(m.get("rejected", {}).get("size", 0) for m in mail["minutes"]) >= 20 and mail["state"] == "reading"
    # it was given back what it had, and takes mail again
    lab.wait_in_sync()
    assert f"250-SIZE {SMALLEST}" not in lab.ehlo(canary)
    refused = sender.finish()
    assert {r[1] for r in refused} == {lab.address(canary)} and all("552" in r[4] for r in refused), refused[:3]
    lab.wait_arrived(mark, sender.sent - len(refused))
    # what was counted is what was sent: the others took all of theirs, their own probes are in no figure
    for other in (c for c in lab.children if c != canary):
        assert not any(m.get("rejected") for m in mail_of(lab, other)["minutes"])


def killed(lab, child):
    lab.verb("kill", f"{child}/postfix")


def test_c14_postfix_that_dies_within_the_soak_is_reverted_and_after_it_is_an_alarm(healthy_lab):
    lab = healthy_lab
    lab.wait_in_sync()
    before = new_size()
    lab.publish_size(before)
    lab.wait_in_sync()

    def publish(**more):
        made = lab.api.publish({"fleet": {KEY: new_size()}}, "dies later",
                               rollout={"strategy": "waves", "waves": ["1"], "canary_bake_s": 600, "shadow": "never", **more})
        r = wait_until(lambda: (r := lab.api.ok("GET", f"/rollouts/{made['rollout_id']}"))["state"] == "baking" and r,
                       "the canary to have it", 60, 0.2)
        return made, next(d["name"] for d in r["devices"] if d["state"] == "confirmed")

    def halted(made):
        return wait_until(lambda: (r := lab.api.ok("GET", f"/rollouts/{made['rollout_id']}"))["state"] == "halted" and r,
                          "the halt", 90, 0.5)
    made, canary = publish(soak_s=120)
    assert lab.api.ok("GET", f"/devices/{canary}")["last_attempt"]["rev"] < lab.api.ok("GET", f"/devices/{canary}")["desired"]["rev"], \
        "good so far, and not committed"
    killed(lab, canary)
    r = halted(made)
    shown = next(d for d in r["devices"] if d["name"] == canary)
    assert r["reason"] == "failures" and shown["state"] == "reverted" and r["counts"] == {"reverted": 1, "queued": 2}
    assert "after the switch" in shown["problem"]["detail"], shown["problem"]
    lab.wait_ehlo(f"SIZE {before}", [canary], 60)  # it runs again, with what it had
    lab.wait_in_sync()

    # without a soak it was committed long ago: nothing is put back, the device says so, and the watched rollout halts
    made, canary = publish()
    assert lab.api.ok("GET", f"/devices/{canary}")["last_attempt"]["result"] == "committed"
    killed(lab, canary)

    def said():
        found = {c["type"]: (c["status"], c["reason"]) for c in lab.api.ok("GET", f"/devices/{canary}")["conditions"]}
        return found["ServiceRunning"] == ("False", "NotRunning")
    wait_until(said, "the alarm", 90, 0.1)
    r = halted(made)
    shown = next(d for d in r["devices"] if d["name"] == canary)
    assert r["reason"] == "unhealthy" and shown["problem"]["errors"][0]["id"] == "GUARD.condition"
    lab.wait_in_sync()  # a halt gives such a device what it had before, and that starts its Postfix
    lab.publish_size(new_size())
    lab.wait_in_sync()


def test_mail_put_off_by_a_good_change_halts_by_the_stored_figures(healthy_lab):
    """The next hop of a route is another port, where nobody listens: valid, running, and every delivery is put off.  Judged by
    the minutes that the parent has stored, which the device says are whole."""
    lab = healthy_lab
    lab.publish_size(new_size())
    lab.wait_in_sync()
    routes = lab.api.ok("GET", "/settings?layer=fleet")["settings"]["smtp.routes"]
    domain, was = next(iter(routes.items()))
    mark = f"guard-{uuid.uuid4().hex[:8]}"
    sender = lab.sender(mark, 120, 20, lasting=True)

    def delivered(child):
        device = lab.api.ok("GET", f"/devices/{child}")["id"]
        points = lab.api.ok("GET", f"/figures?device={device}&step=60")["points"]
        return sum(p["values"]["delivered"] for p in points if p["values"])
    wait_until(lambda: all(delivered(c) >= 25 for c in lab.children), "deliveries stored everywhere", 60, 0.5)
    moved = {**was, "next_hop": was["next_hop"].rsplit(":", 1)[0] + ":2599"}
    made = lab.api.publish({"fleet": {"smtp.routes": {domain: moved}}}, "the wrong port",
                           rollout={"strategy": "waves", "waves": ["1"], "canary_bake_s": 900, "shadow": "never", "guard_queue": 0})
    r = wait_until(lambda: (r := lab.api.ok("GET", f"/rollouts/{made['rollout_id']}"))["state"] == "halted" and r, "the guard", 300, 0.5)
    shown = next(d for d in r["devices"] if d["state"] == "unhealthy")
    assert r["reason"] == "unhealthy" and r["counts"] == {"unhealthy": 1, "queued": 2}
    error = shown["problem"]["errors"][0]
    assert (error["id"], error["pointer"]) == ("GUARD.deferred", "/figures"), shown["problem"]
    lab.wait_in_sync()  # given back what it had
    assert not sender.finish()
    lab.execute(shown["name"], "postqueue", "-f")
    lab.wait_arrived(mark, sender.sent, 120)
    lab.api.publish({"fleet": {"smtp.routes": {domain: was}}}, "the right port")
    lab.wait_in_sync()
