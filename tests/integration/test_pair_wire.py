"""What arrives is not what was sent: fault cases A4, A5, A8, A9, A13, A15 and D24 of the protocol, on the lab, with the real
parent, agent, helper and Postfix.  Only the wire between them lies (wireproxy.py); whatever it says, nothing of it is
written, the device runs on, says why at the parent, and takes the genuine bundle as soon as it gets it."""
import contextlib
import gzip
import json
import os
import re
import threading
import time

import pytest
import wireproxy
from parentlib import wait_until
from test_pair_faults import attempt, digests, mail_through, new_size, publish_for, respawn, size_of

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]


class Wire:
    """The last child of the lab, talking to its parent through a proxy."""

    def __init__(self, lab):
        self.lab, self.child = lab, lab.children[-1]
        self.host, parent = lab.lab.host(self.child), lab.lab.host("parent")
        tls = os.path.join(parent.root, "var/lib/inari-parent/tls")
        where = re.match(r"https://\[?(.*?)\]?:(\d+)$", lab.json["api"]).groups()
        self.proxy = wireproxy.Proxy(f"198.18.{lab.lab.net.n}.254", (where[0], int(where[1])),
                                     os.path.join(tls, "server.crt"), os.path.join(tls, "server.key"))
        self.key = wireproxy.lab_bundle_key(lab)
        self.identity = os.path.join(lab.root(self.child), "var/lib/inari/agent/identity.json")
        with open(self.identity) as f:
            self.own = json.load(f)["addresses"]
        self.address([self.proxy.url])

    def address(self, addresses, wait_s=50):
        """Where the agent looks for its parent, and how long its polls are; it is started again with it."""
        self.lab.verb("kill", f"{self.child}/agent")
        with open(self.identity) as f:
            was = json.load(f)
        was["addresses"], was["wait_s"] = addresses, wait_s
        with open(self.identity, "r+") as f:
            f.truncate()
            json.dump(was, f)
        self.lab.verb("start", f"{self.child}/agent")

    def close(self):
        self.proxy.change = None
        self.address(self.own)
        self.proxy.close()

    # -- what the device is now --
    def files(self):
        names = ("main.cf", "master.cf")
        return [open(os.path.join(self.lab.root(self.child), "etc/postfix", n), "rb").read() for n in names]

    def agent_pid(self):
        return self.host.named("inari-agent")[0]

    def verified(self):
        """Condition ConfigVerified as the parent knows it."""
        rows = self.lab.api.ok("GET", f"/devices/{self.child}/status")["status"]["conditions"]
        return next(c for c in rows if c["type"] == "ConfigVerified")

    def refuses(self, change, reason=None, also=lambda: None, times=1):
        """A publication whose bundle `change` spoils (that often, at least): not a byte is written.  Then the genuine one
        is taken."""
        before, running, size = self.files(), digests(self.lab, self.child), size_of(self.lab, self.child)
        pid, told = self.agent_pid(), []

        def spoil(answer):
            told.append(time.monotonic())
            change(answer)
        self.proxy.change = spoil
        wanted = new_size()
        pub = publish_for(self.lab, self.child, wanted)
        wait_until(lambda: len(told) >= (times if reason else 2), "the spoilt bundle to be fetched", 60)
        if reason:
            wait_until(lambda: self.verified()["reason"] == reason and self.verified()["status"] == "False",
                       f"the parent to be told {reason} (is {self.verified()})", 30, 0.2)
        also()
        assert self.files() == before and digests(self.lab, self.child) == running
        assert size_of(self.lab, self.child) == size and self.agent_pid() == pid
        last = self.lab.api.ok("GET", f"/devices/{self.child}")["last_attempt"] or {}
        assert last.get("pub") != pub, f"it was tried: {last}"
        self.proxy.change = None
        self.lab.wait_ehlo(f"SIZE {wanted}", [self.child], timeout=90)
        attempt(self.lab, self.child, pub, ("committed",), 60)
        wait_until(lambda: self.verified()["status"] == "True", "the condition to clear", 30, 0.2)


@contextlib.contextmanager
def behind_a_liar(lab):
    """The last child's Wire; afterwards it talks to its parent as before, and mail went through it."""
    w = Wire(lab)
    try:
        wait_until(lambda: w.lab.api.ok("GET", f"/devices/{w.child}")["presence"] == "online", "the child behind the proxy", 60)
        yield w
        mail_through(lab, w.child)
    finally:
        w.close()
        lab.api.publish({"devices": {w.child: {"smtp.message_size_limit": {"$inherit": True}}}}, "back to the fleet's")
        lab.wait_in_sync()


@pytest.fixture(scope="module")
def wire(lab):
    with behind_a_liar(lab) as w:
        yield w


def flip(body, member):
    """One bit of one member of the JWS."""
    document = json.loads(body)
    text = document[member]
    at = len(text) // 2
    document[member] = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1:]
    return json.dumps(document)


@pytest.mark.parametrize("member, reason", [("payload", "Signature"), ("signature", "Signature"), ("protected", "")])
def test_a5_a_changed_byte(wire, member, reason):
    """A5, by somebody who also sets the ETag right: only the signature can tell."""
    wire.refuses(lambda a: a.set_body(flip(a.body, member)), reason or None)


def test_a5_bytes_of_the_wire(wire):
    """A5: flipped without a new ETag, and cut short with everything else in order."""
    wire.refuses(lambda a: a.set_body(flip(a.body, "payload"), etag=False), "Digest")
    wire.refuses(lambda a: a.set_body(a.body[:len(a.body) * 9 // 10]), "Malformed")


def test_a4_a5_answer_lost_in_the_middle(wire):
    """A4: what is asked for again are the very same bytes.  A5: half of them are not used."""
    def cut(a):
        a.promised, a.body = len(a.body), a.body[:len(a.body) // 2]
    asked = len(wire.proxy.seen)
    wire.refuses(cut)
    assert len(wire.proxy.seen) - asked >= 3 and len(set(wire.proxy.seen[asked:])) == 1


def test_a8_an_older_bundle(wire):
    """A8: what the parent signed for this very device, but earlier."""
    publish_for(wire.lab, wire.child, old := new_size())
    wire.lab.wait_ehlo(f"SIZE {old}", [wire.child])
    older = wire.proxy.seen[-1]
    publish_for(wire.lab, wire.child, newer := new_size())
    wire.lab.wait_ehlo(f"SIZE {newer}", [wire.child])
    wire.refuses(lambda a: a.set_body(older), "Rollback")


def test_a9_two_meanings_of_one_revision(wire):
    """A9: the same epoch and revision, another content, properly signed: RevisionFork, kept as evidence, not applied."""
    publish_for(wire.lab, wire.child, size := new_size())
    wire.lab.wait_ehlo(f"SIZE {size}", [wire.child])
    first = wire.proxy.seen[-1]
    sections = wireproxy.payload_of(first)["sections"]
    sections["postfix"]["settings"]["smtp.message_size_limit"] = 12345678
    forged = wire.key.again(first, sections=sections)

    def kept():
        folder = os.path.dirname(wire.identity)
        texts = [open(os.path.join(d, f), "rb").read() for d, _, fs in os.walk(folder) for f in fs]
        assert any(forged.encode() in t for t in texts) and any(first in t for t in texts)
    wire.refuses(lambda a: a.set_body(forged), "RevisionFork", kept)


def test_a15_members_nobody_knows(wire):
    """A15: an unknown member is ignored, one that is named critical is a refusal."""
    wire.proxy.change = lambda a: a.set_body(wire.key.again(a.body, quantum={"entangled": True}))
    publish_for(wire.lab, wire.child, size := new_size())
    wire.lab.wait_ehlo(f"SIZE {size}", [wire.child], timeout=60)
    wire.proxy.change = None
    wire.refuses(lambda a: a.set_body(wire.key.again(a.body, quantum={"entangled": True}, crit=["quantum"])),
                 "UnsupportedCritical")


def test_d24_the_bundle_of_another_device(wire):
    """D24: genuine, new, properly signed, and for somebody else."""
    other = wire.lab.children[0]
    wire.lab.api.publish({"devices": {other: {"smtp.message_size_limit": new_size()}}}, "another's")
    theirs = wire.lab.api.get(f"/devices/{other}/bundle").content
    wire.lab.api.publish({"devices": {other: {"smtp.message_size_limit": {"$inherit": True}}}}, "back to the fleet's")
    wire.refuses(lambda a: a.set_body(theirs), "OtherDevice")


def megabytes(tls):
    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/jose+json\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(1600):
        tls.sendall(b" " * 65536)


def bomb(a):
    a.headers["Content-Encoding"] = "gzip"
    a.set_body(gzip.compress(b" " * 100_000_000))


def endless(a):
    a.raw = megabytes


def deep(a):
    a.set_body(b'{"payload":' + b"[" * 10_000 + b"]" * 10_000 + b"}")


# What arrives, and with which words it is refused when it is read at all.
BOMBS = {"gzip bomb": (bomb, None), "100 MB": (endless, None), "depth 10,000": (deep, "nested deeper")}


def refused_as(wire, words):
    assert words is None or words in wire.verified()["message"]


@pytest.mark.parametrize("name", BOMBS)
def test_a13_bombs(wire, name):
    """A13: refused by limit, the agent's memory stays below a bound, it neither crashes nor starts again."""
    def peak():
        with open(f"/proc/{wire.agent_pid()}/status") as f:
            return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) // 1024
    before, (change, words), seen = peak(), BOMBS[name], len(wire.proxy.seen)
    wire.refuses(change, words and "Malformed", lambda: refused_as(wire, words))
    more, fetched = peak() - before, len(wire.proxy.seen) - seen
    assert more < 32 * fetched, f"{more} MiB more for {name}, fetched {fetched} times"  # what is freed a sanitizer keeps


def test_a13_a_signed_bomb(wire):
    """The same from a parent that is captured: depth 10,000 inside a bundle whose signature is right."""
    signed = wire.key.jws("inari-bundle+jws", b'{"sections":' + b"[" * 10_000 + b"]" * 10_000 + b"}")
    wire.refuses(lambda a: a.set_body(signed), "Malformed", lambda: refused_as(wire, "nested deeper"))


def test_an_answer_from_before_the_switch_confirms_nothing(wire):
    """A report that was on its way when the change began is answered while it is made; after it the parent is not reached
    any more.  That answer is no proof of the way to the parent: the change is taken back."""
    w, lab = wire, wire.lab
    here, go, cut = threading.Event(), threading.Event(), threading.Event()
    respawn(lab, w.child, "helper", INARI_PAUSE_AT="switched:3000")
    respawn(lab, w.child, "agent", INARI_CONFIRM_S="4")
    seen = lab.log(w.child, "agent").count("event=bundle.verified")
    online = w.proxy.polls
    wait_until(lambda: w.proxy.polls > online, "the agent's first poll", 30)

    def ask(r):
        if cut.is_set():
            raise OSError("cut")
        if r.is_("PUT", "/api/agent/v1/status") and not here.is_set():
            here.set()
            assert go.wait(60)

    def tell(*words):
        lab.execute(w.child, os.path.join(lab.dir, "system/usr/bin/inari-agent"), "--config", "/etc/inari/agent.conf", *words)

    def master():
        with open(os.path.join(lab.root(w.child), "etc/postfix/master.cf")) as f:
            return f.read()
    try:
        time.sleep(1)  # the reports of its start
        w.proxy.ask = ask
        tell("hold", "--reason", "to be told", "--minutes", "5")
        assert here.wait(20)
        tell("release")
        done = lab.log(w.child, "agent").count('result="reverted"')
        lab.api.publish({"devices": {w.child: {"smtp.listen_port": 2526}}}, "cut")
        wait_until(lambda: "2526" in master(), "the switch", 60, 0.02)
        cut.set()
        go.set()
        wait_until(lambda: lab.log(w.child, "agent").count('result="reverted"') > done, "the change to be taken back", 30, 0.2)
        assert "2526" not in master() and lab.log(w.child, "agent").count("event=bundle.verified") > seen
    finally:
        cut.clear()
        go.set()
        w.proxy.ask = None
        lab.api.publish({"devices": {w.child: {"smtp.listen_port": {"$inherit": True}}}}, "back")
        respawn(lab, w.child, "helper")
        w.address([w.proxy.url])
    lab.wait_in_sync([w.child], timeout=90)
