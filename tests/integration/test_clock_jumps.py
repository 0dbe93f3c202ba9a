"""Clocks that jump, counted (tests/figures.tsv): all 24 cases with INARI_FAULTS=1 (tests/run --faults), a few in every run."""
import os
import random
import time

import pytest
from agentlib import new_agent
from parentlib import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]
ALL = bool(os.environ.get("INARI_FAULTS"))
KEY = "smtp.message_size_limit"
YEARS = 10 * 365 * 86400
OFFSETS = (1, -1, 3600, -3600, 86400, -86400, YEARS, -YEARS)


def test_clocks_jump(new_parent, workdir, programs, injected):
    """The parent's clock, the device's, or both: the device stays enrolled and gets each new configuration, during the jump
    and after the way back; a token that is not valid is not made so."""
    p = new_parent(start=False)
    clocks = {name: os.path.join(p.dir, f"clock-{name}") for name in ("parent", "device")}

    def jump(who, offset):
        for name in clocks if who == "both" else [who]:
            with open(clocks[name] + ".new", "w") as f:
                f.write(str(offset))
            os.chmod(clocks[name] + ".new", 0o644)
            os.rename(clocks[name] + ".new", clocks[name])
        time.sleep(0.15)  # it is read ten times a second

    jump("both", 0)
    p.start({"INARI_CLOCK_FILE": clocks["parent"]})
    api, child = p.token(), new_agent(workdir, "jumps", programs)
    gone = api.ok("POST", "/enrolment-tokens", {"name": "gone"})
    api.delete(f"/enrolment-tokens/{gone['id']}")
    assert child.command("join", "--join", api.ok("POST", "/enrolment-tokens", {"name": "t"})["join"]).returncode == 0
    child.start({"INARI_CLOCK_FILE": clocks["device"]})
    stranger, device, pid = new_agent(workdir, "late", programs), child.identity()["device_id"], child.pid

    def current(pub):
        wait_until(lambda: (child.status()["status"]["observed"] or {}).get("pub") == pub, f"the device to know {pub}", 90, 0.1)
        wait_until(lambda: (api.ok("GET", f"/devices/{device}").get("observed") or {}).get("pub") == pub,
                   f"the parent to know that it knows {pub}", 90, 0.1)
        assert api.ok("GET", f"/devices/{device}")["state"] == "observing"

    def publish():
        return api.publish({"devices": {device: {KEY: random.randrange(20_000_000, 60_000_000)}}}, "clock")["pub"]
    cases = [(who, offset) for offset in OFFSETS for who in ("parent", "device", "both")]
    try:
        current(publish())
        for who, offset in cases if ALL else random.sample(cases, 4):
            jump(who, offset)
            injected("clock-jump")
            try:
                current(publish())
                assert stranger.command("join", "--join", gone["join"]).returncode == 4
                jump(who, 0)
                current(publish())
            except AssertionError as e:
                raise AssertionError(f"{who} by {offset} s: {e}") from None
            assert child.alive() and child.pid == pid and p.alive()
        assert api.ok("GET", "/audit/verify")["ok"]
    finally:
        jump("both", 0)
        child.stop()
