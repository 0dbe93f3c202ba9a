"""Joining from a real child, with its helper and its Postfix: fault cases D1 to D4 of the protocol.  Whatever becomes of it,
no file of Postfix is touched by it, and mail goes on."""
import json
import os

import pytest
import wireclient
from agentlib import pin_of
from inarilab import parts, users
from parentlib import wait_until
from test_agent_join import Impostor, devices
from test_pair_faults import mail_through
from test_pair_wire import behind_a_liar

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]


@pytest.fixture(scope="module")
def wire(lab):
    with behind_a_liar(lab) as w:
        yield w


class Second:
    """One more identity on the child's machine: a state folder of its own, the same helper and Postfix."""

    def __init__(self, wire):
        lab, root = wire.lab, wire.lab.root(wire.child)
        self.lab, self.name = lab, f"second-{os.urandom(3).hex()}"
        self.state = os.path.join(root, "var/lib/inari", self.name)
        self.host = wire.host
        os.mkdir(self.state, 0o700)
        os.chown(self.state, *users.ids("inari-agent"))
        with open(os.path.join(root, "etc/inari", self.name), "w") as f:
            f.write(f"agent.state = /var/lib/inari/{self.name}\nagent.socket = /run/inari/{self.name}\n")

    def join(self, *args, **kw):
        argv = [parts.path_of(self.lab.lab, "inari-agent"), "--config", f"/etc/inari/{self.name}", "join", *args,
                "--name", self.name]
        return self.host.run(argv, user="inari-agent", check=False, timeout=60, **kw)

    def identity(self):
        path = os.path.join(self.state, "identity.json")
        return json.load(open(path)) if os.path.exists(path) else None


@pytest.fixture
def second(wire):
    """second(): a new one.  The child's own agent is away meanwhile (the helper talks to one at a time); afterwards the
    parent knows none of the others, and Postfix's files are as they were."""
    before, api = wire.files(), wire.lab.api
    wire.lab.verb("kill", f"{wire.child}/agent")
    yield lambda: Second(wire)
    wire.lab.verb("start", f"{wire.child}/agent")
    for d in devices(api):
        if d["name"].startswith("second-"):
            api.ok("POST", f"/devices/{d['id']}/retire", {})
            api.delete(f"/devices/{d['id']}", headers={"If-Match": api.get(f"/devices/{d['id']}").headers["ETag"]})
    assert wire.files() == before
    mail_through(wire.lab, wire.child)


def token(lab, **spec):
    return lab.api.ok("POST", "/enrolment-tokens", {"name": f"t-{os.urandom(3).hex()}", **spec})


def by_way_of(join, url):
    """The join string with another address of the parent."""
    return "inari1." + wireclient.b64u(wireclient.dumps({**wireclient.read_join(join), "addresses": [url]}))


def test_d1_nothing_leaves_for_an_impostor(wire, second, workdir):
    """D1: neither the login nor the join token of who joins, nor the access token of the agent that runs."""
    lab, login, made = wire.lab, wire.lab.lab.state["admin"], token(wire.lab)
    evil = Impostor(workdir, lambda tls: None, address=f"198.18.{lab.lab.net.n}.254")
    try:
        r = second().join("--parent", evil.url, "--parent-pin", pin_of(lab.json["ca"]), "--user", login["user"],
                          "--password-stdin", stdin=None, input=login["password"] + "\n")
        assert r.returncode == 4, r.stderr
        other = second()
        assert other.join("--join", by_way_of(made["join"], evil.url)).returncode == 4 and other.identity() is None
        calls = evil.calls
        wire.address([evil.url])
        wait_until(lambda: evil.calls > calls, "the running agent to come", 30)
        wait_until(lambda: "parent.unreachable" in lab.log(wire.child, "agent").rpartition("agent.started")[2],
                   "it to turn away", 30)
        assert evil.received == b""
        mail_through(lab, wire.child)
    finally:
        wire.address([wire.proxy.url])
        evil.close()
    open_ = next(t for t in lab.api.ok("GET", "/enrolment-tokens")["items"] if t["id"] == made["id"])
    assert open_["state"] == "open" and open_["used"] == 0
    assert not [d for d in devices(lab.api) if d["name"].startswith("second-")]


def test_d2_lost_answer(wire, second):
    """D2: the parent has enrolled the machine and the machine does not know it: asked again, it is the same device."""
    lab, me, lost = wire.lab, second(), []

    def ask(r):
        if r.is_("POST", "/api/agent/v1/enrolments"):
            lost.append(r.also(r.body).status)
            raise OSError("the line breaks here")  # for the agent's own second try too
    wire.proxy.ask = ask
    join = by_way_of(token(lab)["join"], wire.proxy.url)
    try:
        assert me.join("--join", join).returncode == 5 and set(lost) == {201} and me.identity() is None
    finally:
        wire.proxy.ask = None
    known = [d["id"] for d in devices(lab.api) if d["name"] == me.name]
    r = me.join("--join", join)
    assert r.returncode == 0, r.stderr
    assert [me.identity()["device_id"]] == known == [d["id"] for d in devices(lab.api) if d["name"] == me.name]


def test_d3_d4_a_token_that_is_used_or_from_elsewhere(wire, second):
    """D3 and D4: refused in words, in the audit log with the cause, and nothing is left behind."""
    lab, made = wire.lab, token(wire.lab)
    assert second().join("--join", made["join"]).returncode == 0
    foreign = token(lab, networks=["198.51.100.0/24"])
    near = token(lab, networks=[f"198.18.{lab.lab.net.n}.0/24"])
    for join, cause in ((made["join"], "used up"), (foreign["join"], "networks")):
        thief = second()
        r = thief.join("--join", join)
        assert r.returncode == 4 and "refused" in r.stderr, r.stderr
        assert thief.identity() is None and not [d for d in devices(lab.api) if d["name"] == thief.name]
        entry = lab.api.ok("GET", "/audit?action=device.enrol_refused&limit=1")["items"][0]
        assert cause in entry["detail"]["cause"]
    assert second().join("--join", near["join"]).returncode == 0
