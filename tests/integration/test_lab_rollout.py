"""Rollouts on real children: protocol.md G2.  Three gateways under mail; the change breaks only once it is live."""
import uuid

import pytest
from parentlib import wait_until
from test_pair_faults import new_size, respawn

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]

KEY = "smtp.message_size_limit"


def picture(lab, child):
    """What a change would have changed: the bundle, the files, the daemon."""
    device = lab.api.ok("GET", f"/devices/{child}")
    return (device["desired"]["rev"], device["running"]["postfix"]["digest"],
            open(f"{lab.root(child)}/etc/postfix/main.cf", "rb").read(), lab.log(child).count("reload"))


def see(lab, made):
    return lab.api.ok("GET", f"/rollouts/{made['rollout_id']}")


@pytest.fixture
def broken_helpers(healthy_lab):
    """Every helper breaks a change just before it goes live; nobody knows which child is asked first."""
    for child in healthy_lab.children:
        respawn(healthy_lab, child, "helper", INARI_MUTATE="reload:master-unknown-port")
    yield
    mend(healthy_lab)
    healthy_lab.publish_size(new_size())  # whatever was left in the newest revision
    healthy_lab.wait_in_sync()


def mend(lab):
    for child in lab.children:
        respawn(lab, child, "helper")


def test_g2_canary_fails_live_and_nobody_else_is_touched(healthy_lab, broken_helpers):
    lab = healthy_lab
    lab.wait_in_sync()
    before = {c: picture(lab, c) for c in lab.children}
    mark = f"canary-{uuid.uuid4().hex[:8]}"
    sender = lab.sender(mark, 30, 5, lasting=True)
    size = new_size()
    made = lab.api.publish({"fleet": {KEY: size}}, "breaks live",
                           rollout={"strategy": "waves", "waves": ["1"], "canary_bake_s": 1, "bake_s": 0, "guard_messages": 0})
    halted = wait_until(lambda: (r := see(lab, made))["state"] == "halted" and r, "the halt", 60, 0.2)
    assert halted["shadow"]["counts"] == {"passed": 3}, "what breaks only live nobody can see before"
    canary = next(d["name"] for d in halted["devices"] if d["state"] == "reverted")
    assert halted["counts"] == {"reverted": 1, "queued": 2} and halted["reason"] == "failures"
    assert next(d for d in halted["devices"] if d["name"] == canary)["problem"]["detail"]
    lab.wait_in_sync()  # the canary too: it was given back what it had
    refused = sender.finish()
    others = [c for c in lab.children if c != canary]
    assert {c: picture(lab, c) for c in others} == {c: before[c] for c in others}, "only the canary was touched"
    rev, digest, main_cf, _ = picture(lab, canary)
    assert rev > before[canary][0] and (digest, main_cf) == before[canary][1:3]
    assert {r[1] for r in refused} <= {lab.address(canary)}
    lab.wait_arrived(mark, sender.sent - len(refused))
    # mended, and on in spite of that one
    mend(lab)
    lab.api.ok("POST", f"/rollouts/{made['rollout_id']}/resume", {"reason": "mended"})
    done = wait_until(lambda: (r := see(lab, made))["state"] == "completed" and r, "the end", 60, 0.2)
    assert done["counts"] == {"confirmed": 2, "reverted": 1}
    lab.wait_ehlo(f"SIZE {size}", others)


def test_newer_publication_takes_over_on_real_children(healthy_lab):
    lab = healthy_lab
    lab.wait_in_sync()
    first = lab.api.publish({"fleet": {KEY: new_size()}}, "older",
                            rollout={"strategy": "waves", "waves": ["1"], "canary_bake_s": 3600})
    wait_until(lambda: see(lab, first)["state"] == "baking", "the canary to bake", 60, 0.2)
    size = new_size()
    second = lab.api.publish({"fleet": {KEY: size}}, "newer", rollout={"strategy": "waves", "waves": ["1"],
                                                                     "canary_bake_s": 0, "bake_s": 0})
    assert see(lab, first)["state"] == "superseded"
    wait_until(lambda: see(lab, second)["state"] == "completed", "the newer one to end", 90, 0.2)
    lab.wait_ehlo(f"SIZE {size}")
    lab.wait_in_sync()
