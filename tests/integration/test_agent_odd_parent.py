"""The real agent and a parent that is not well: it says "nothing new" for days (A11), answers every question at once with
something else (A12), or its bundles break off shortly before their end (A6).  The parent is real, what it says is changed on
the way (wireproxy.py)."""
import json
import os
import time

import pytest
import wireproxy
from agentlib import new_agent, pin_of
from parentlib import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]
KEY = "smtp.message_size_limit"
DAY = 86400


class Odd:
    """A parent and its one child, a proxy between them, and one clock for both."""

    def __init__(self, parent, agent, clock):
        self.parent, self.agent, self.clock_path = parent, agent, clock
        tls = os.path.join(parent.state, "tls")
        self.proxy = wireproxy.Proxy("127.0.0.1", ("127.0.0.1", parent.port), f"{tls}/server.crt", f"{tls}/server.key")
        self.api = parent.token()
        r = agent.join(self.proxy.url, pin_of(parent.ca), *(parent.admin or parent.reset_admin()))
        assert r.returncode == 0, r.stderr
        identity = agent.identity()
        self.id = identity["device_id"]
        identity["addresses"], identity["wait_s"] = [self.proxy.url], 10
        with open(os.path.join(agent.state, "identity.json"), "w") as f:
            json.dump(identity, f)
        self.run()

    def run(self):
        self.agent.start(env={"INARI_CLOCK_FILE": self.clock_path})
        wait_until(lambda: self.observed(), "the first bundle", 30)

    def clock(self, offset):
        self.proxy.offset_s = offset
        with open(self.clock_path + ".new", "w") as f:
            f.write(str(offset))
        os.chmod(self.clock_path + ".new", 0o644)
        os.rename(self.clock_path + ".new", self.clock_path)

    def observed(self):
        return (self.agent.status()["status"]["observed"] or {}).get("pub")

    def publish(self):
        size = 20000000 + int.from_bytes(os.urandom(3), "big")
        return self.api.publish({"devices": {self.id: {KEY: size}}}, "odd")["pub"]

    def told(self, name):
        """The condition as the parent knows it."""
        rows = self.api.ok("GET", f"/devices/{self.id}").get("conditions") or []
        return next((c for c in rows if c["type"] == name), {"status": None, "reason": None})

    def honest(self):
        """As before, and the newest is taken."""
        self.proxy.ask = self.proxy.every = self.proxy.change = None
        pub = self.publish()
        wait_until(lambda: self.observed() == pub, "the newest bundle", 60)


@pytest.fixture
def odd(workdir, new_parent, programs, request):
    agent = new_agent(workdir, request.node.name[5:8], programs)
    clock = os.path.join(workdir, f"clock-{os.urandom(3).hex()}")
    with open(clock, "w") as f:
        f.write("0")
    os.chmod(clock, 0o644)
    o = Odd(new_parent(start=False).start(env={"INARI_CLOCK_FILE": clock}), agent, clock)
    yield o
    agent.stop()
    o.proxy.close()


def test_a11_a_parent_that_says_nothing_new_for_days(odd):
    """304 to everything: after a week without a proof that this is the newest the child is Frozen, here and at the parent, and
    goes on with what it has; with the first proof that is over."""
    before = odd.observed()

    def nothing_new(answer):
        answer.status, answer.body = 304, b""
        for name in ("Inari-Fresh", "Inari-Commands"):
            answer.headers.pop(name, None)
        answer.headers["Inari-Next-Poll"] = "1"
    odd.proxy.every = nothing_new
    odd.publish()
    for offset, frozen in ((6 * DAY, "False"), (8 * DAY, "True")):
        odd.clock(offset)
        asked = odd.proxy.polls
        wait_until(lambda n=asked: odd.proxy.polls >= n + 2, "two more polls", 60)
        wait_until(lambda s=frozen: odd.agent.condition("Frozen")["status"] == s, f"Frozen {frozen} after {offset} s", 20)
    frozen, ready = odd.agent.condition("Frozen"), odd.agent.condition("Ready")
    assert frozen["reason"] == "NoFreshness" and "7 days" in frozen["message"]
    assert ready["status"] == "False"
    wait_until(lambda: odd.told("Frozen")["status"] == "True", "the parent to be told", 30, 0.2)
    assert odd.observed() == before and odd.agent.alive()
    odd.clock(0)
    odd.honest()
    wait_until(lambda: odd.agent.condition("Frozen")["status"] == "False", "a proof", 30)
    wait_until(lambda: odd.told("Frozen")["status"] == "False", "the parent to hear of it", 30, 0.2)


def answers(odd, contents):
    """Every poll is answered at once with a revision more; its content is the next of `contents`, over and over, or always
    another one without them."""
    key, n = wireproxy.bundle_key(odd.parent), [odd.agent.status()["status"]["observed"]["rev"]]

    def at_once(request):
        if request.is_("GET", "/api/agent/v1/desired"):
            request.headers.update({"Prefer": "wait=0", "Inari-Have": "1.0"})
            request.headers.pop("If-None-Match", None)

    def another(answer):
        if answer.status != 200:
            return
        n[0] += 1
        sections = wireproxy.payload_of(answer.body)["sections"]
        sections["postfix"]["settings"][KEY] = contents[n[0] % len(contents)] if contents else 20_000_000 + n[0]
        answer.set_body(key.again(answer.body, rev=n[0], sections=sections))
    odd.proxy.ask, odd.proxy.every = at_once, another
    return n


@pytest.mark.parametrize("contents, most", [([30_000_000], 8), ([31_000_000, 32_000_000], 8), ([], 36)],
                         ids=["the same", "two in turn", "always new"])
def test_a12_an_answer_that_always_changes(odd, contents, most):
    """Asked once in five seconds when nothing in it is new, once a second after twenty quick changes; said as Churning."""
    rev, asked = answers(odd, contents), odd.proxy.polls
    odd.publish()  # ends the poll that is held
    wait_until(lambda: odd.proxy.polls > asked + 1, "the first odd answers", 30)
    first, began = odd.proxy.polls, time.monotonic()
    wait_until(lambda: odd.agent.condition("Churning")["status"] == "True", "Churning", 40, 0.2)
    time.sleep(max(0.0, 10 - (time.monotonic() - began)))
    seconds = time.monotonic() - began
    per_second = (most - 3) / 10 if contents else 1.2
    assert odd.proxy.polls - first <= (5 if contents else 26) + seconds * per_second, \
        f"{odd.proxy.polls - first} polls in {seconds:.0f} s"
    assert odd.proxy.polls - first >= 2 and odd.agent.alive()
    wait_until(lambda: odd.told("Churning")["status"] == "True", "the parent to be told", 30, 0.2)
    if not contents or len(contents) > 1:
        return
    odd.proxy.ask = odd.proxy.every = None  # what it holds is above what this parent has ever given: told so, and kept
    wait_until(lambda: odd.agent.condition("Churning")["status"] == "False", "the end of it", 60, 0.2)
    assert odd.agent.status()["status"]["observed"]["rev"] == rev[0]


def test_a6_a_download_that_ends_at_nine_tenths(odd):
    """The line breaks, or the agent is killed, with nine tenths there: nothing of that is used or kept, no more than the whole
    is asked for, and the whole comes with the next answer."""
    state, before, cut, ranges = odd.agent.state, odd.observed(), [], []
    with open(os.path.join(state, "bundle.jws"), "rb") as f:
        kept = f.read()

    def nine_tenths(answer):
        cut.append(len(answer.body))
        answer.promised, answer.body = len(answer.body), answer.body[:len(answer.body) * 9 // 10]
    odd.proxy.change = nine_tenths
    odd.proxy.ask = lambda r: ranges.append(r.headers.get("Range")) if r.is_("GET", "/api/agent/v1/desired") else None
    pub = odd.publish()
    wait_until(lambda: len(cut) >= 2, "two broken downloads", 60)

    def untouched():
        with open(os.path.join(state, "bundle.jws"), "rb") as f:
            return f.read() == kept and sorted(os.listdir(state)) == files
    files = sorted(os.listdir(state))
    assert untouched() and odd.observed() == before
    n = len(cut)
    wait_until(lambda: len(cut) > n, "one more", 60)
    odd.agent.end(9)
    assert untouched()
    odd.proxy.change = None
    odd.run()
    wait_until(lambda: odd.observed() == pub, "the whole bundle", 60)
    with open(os.path.join(state, "bundle.jws"), "rb") as f:
        whole = f.read()
    assert len(whole) == cut[-1] and odd.proxy.seen[-1] == whole and set(ranges) == {None}
