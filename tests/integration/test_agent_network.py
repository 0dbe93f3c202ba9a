"""The real agent behind a bad network (faultproxy.py): protocol.md A4, A5, A7 and half-open lines.  Whatever the line does, the
agent neither ends nor gives wrong alarms, and has the newest configuration as soon as the line allows it."""
import json
import os

import faultproxy
import pytest
from agentlib import new_agent, pin_of
from parentlib import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]
KEY = "smtp.message_size_limit"


@pytest.fixture(scope="module")
def net(parent):
    with faultproxy.Proxy(("127.0.0.1", parent.port)) as p:
        yield p


@pytest.fixture(scope="module")
def agent(workdir, programs, parent, net):
    a = new_agent(workdir, "network", programs)
    r = a.join(net.url, pin_of(parent.ca), *(parent.admin or parent.reset_admin()))
    assert r.returncode == 0, r.stderr
    identity = a.identity()
    identity["addresses"], identity["wait_s"] = [net.url], 25
    path = os.path.join(a.state, "identity.json")
    with open(path, "w") as f:
        json.dump(identity, f)
    a.start()
    wait_until(lambda: observed(a), "the first bundle", 30)
    yield a
    a.stop()


@pytest.fixture(autouse=True)
def healed(net, agent):
    pid = agent.pid
    yield
    net.heal()
    assert agent.alive() and agent.pid == pid


def observed(agent):
    return (agent.status()["status"]["observed"] or {}).get("pub")


def publish(api, agent):
    """A change for this child; its number."""
    size = 20000000 + int.from_bytes(os.urandom(3), "big")
    return api.publish({"devices": {agent.identity()["device_id"]: {KEY: size}}}, "network")["pub"]


def good(agent):
    """No alarm of any kind about the parent."""
    bad = [c for c in agent.status()["status"]["conditions"] if c["type"] in ("Authenticated", "ConfigVerified") and
           c["status"] == "False"]
    assert not bad, bad


@pytest.mark.parametrize("n", [0, 60, 700, 1100, 1500, 3000])
def test_a4_a5_lines_that_break_at_any_byte(net, agent, api, n):
    """Within the handshake, the head and the body: never half a bundle, and the whole one right after."""
    before = observed(agent)
    net.cut_at, cuts = n, net.cuts
    net.cut_now()
    pub = publish(api, agent)
    wait_until(lambda: net.cuts >= cuts + 2, "two connections to break", 30)
    if n < 3000:  # more than that much was needed for the bundle
        assert observed(agent) == before
    net.heal()
    net.cut_now()
    wait_until(lambda: observed(agent) == pub, "the bundle", 60)
    good(agent)


def test_a5_a_bit_flipped_below_tls(net, agent, api):
    net.corrupt_at, seen = 1200, net.corrupted
    net.cut_now()
    pub = publish(api, agent)
    wait_until(lambda: net.corrupted >= seen + 2, "two corrupted lines", 30)
    assert observed(agent) != pub
    net.heal()
    net.cut_now()
    wait_until(lambda: observed(agent) == pub, "the bundle", 60)
    good(agent)


def test_a_thin_and_slow_line_is_enough(net, agent, api):
    net.rate, net.delay_s = 6000, 0.1
    pub = publish(api, agent)
    wait_until(lambda: observed(agent) == pub, "the bundle", 60)
    good(agent)


def test_a_half_open_line_is_given_up(net, agent, api):
    """The line takes everything and gives nothing, without a word: the deadline of the poll ends it."""
    pub_before = observed(agent)
    net.frozen = True
    pub = publish(api, agent)
    accepted = net.accepted
    wait_until(lambda: net.accepted > accepted, "the agent to give the line up", 60, 0.2)
    assert observed(agent) == pub_before
    net.frozen = False
    wait_until(lambda: observed(agent) == pub, "the bundle", 60)
    good(agent)


def test_a7_a_middlebox_that_cuts_long_polls(net, agent, api):
    """Cut once after 12.5 s of silence: the next polls take 10 s, nothing is alarmed, and none of them is cut."""
    net.cut_now()
    wait_until(lambda: net.open_lines() > 0 and agent.status()["parent"]["reachable"], "a poll to be held", 60)
    net.silence_s, cuts, accepted = 12.5, net.cuts, net.accepted
    wait_until(lambda: net.cuts > cuts, "the held poll to be cut", 40, 0.2)
    good(agent)
    wait_until(lambda: net.open_lines() > 0, "the agent to be back", 10)
    assert net.accepted - accepted <= 2, "one cut line, one new line: no herd"
    first = net.cuts
    # Polls of 25 s would be cut twice in this time; a second line of before, idle now, may be cut once.
    with pytest.raises(AssertionError, match="waited 34 s"):
        wait_until(lambda: net.cuts > first + 1, "a further cut", 34, 0.5)
    pub = publish(api, agent)
    wait_until(lambda: observed(agent) == pub, "the bundle", 20)
    good(agent)
