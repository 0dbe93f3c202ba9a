"""Who somebody says he is, and who he is: fault cases B8, D6, D7 and D23 of the protocol, on the lab, with the real parent,
agent, helper and Postfix.  What goes wrong is said with the device's own key, which a thief of it would have, or with none."""
import json
import os
import threading
import time
import urllib.parse

import pytest
import wireclient
import wireproxy
from inarilab import parts
from parentlib import wait_until
from test_agent_api_enrol import forgeries
from test_pair_faults import device, digests, mail_through, new_size, publish_for, size_of
from test_pair_wire import behind_a_liar

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]


@pytest.fixture(scope="module")
def wire(lab):
    with behind_a_liar(lab) as w:
        yield w


def identity(lab, child):
    """What only the child itself should have: a wireclient.Device with its real id and keys."""
    with open(os.path.join(lab.root(child), "var/lib/inari/agent/identity.json")) as f:
        j = json.load(f)
    d = wireclient.Device(lab.json["api"], lab.json["ca"], child)
    d.id, d.sig, d.trust = j["device_id"], wireclient.Key(j["sig_key"].encode()), wireproxy.payload_of(j["trust"])
    return d


def agent_status(lab, child):
    """What a person at the device is shown, or None while no agent runs."""
    r = lab.execute(child, parts.path_of(lab.lab, "inari-agent"), "--config", "/etc/inari/agent.conf", "status", "--json",
                    check=False)
    return json.loads(r.stdout)["status"] if r.returncode == 0 else None


class CrashLoop:
    """The child's agent, killed as soon as it has polled twice, and started again at once; it loses its bundle each time."""

    def __init__(self, wire):
        self.wire, self.lives, self.stop = wire, 0, threading.Event()
        self.bundle = os.path.join(os.path.dirname(wire.identity), "bundle.jws")
        self.argv = [parts.path_of(wire.lab.lab, "inari-agent"), "--config", "/etc/inari/agent.conf", "run"]
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.is_set():
            self.wire.host.kill("inari-agent")
            if os.path.exists(self.bundle):
                os.unlink(self.bundle)
            seen, t = self.wire.proxy.polls, time.monotonic()
            self.wire.host.spawn("agent", self.argv, user="inari-agent", env=parts.SANITIZERS)
            self.lives += 1
            while self.wire.proxy.polls < seen + 2 and time.monotonic() - t < 3 and not self.stop.is_set():
                time.sleep(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.stop.set()
        self.thread.join(30)  # the last one lives on


def test_b8_one_child_in_a_crash_loop(wire):
    """B8: the device's own limit stops it, the parent shows which one it is, no other is slower for it, its mail goes on,
    and it is whole again by itself as soon as its agent stays."""
    lab, child, others = wire.lab, wire.child, wire.lab.children[:-1]
    before, running = wire.files(), digests(lab, child)
    limited = {c: device(lab, c)["polls_limited"] for c in lab.children}
    with CrashLoop(wire) as loop:
        wait_until(lambda: device(lab, child)["polls_limited"] > limited[child] + 2, "the limit of the device", 120, 0.2)
        publish_for(lab, others[0], size := new_size())
        lab.wait_ehlo(f"SIZE {size}", others[:1], timeout=20)
        assert {c: device(lab, c)["polls_limited"] for c in others} == {c: limited[c] for c in others}
        assert all(device(lab, c)["presence"] == "online" for c in others)
        assert wire.files() == before and digests(lab, child) == running
        mail_through(lab, child)
        assert loop.lives > 5
    assert 'problem="slow-down"' in lab.log(child, "agent")
    publish_for(lab, child, size := new_size())
    lab.wait_ehlo(f"SIZE {size}", [child], timeout=90)
    lab.api.publish({"devices": {others[0]: {"smtp.message_size_limit": {"$inherit": True}}}}, "back to the fleet's")


def test_d6_d7_forged_assertions(wire):
    """D6 and D7: whatever the agent's own assertion is replaced with on its way, no token comes of it and nothing is
    fetched; mail goes on; as soon as the genuine one arrives the newest configuration does."""
    lab, child, me = wire.lab, wire.child, identity(wire.lab, wire.child)
    before, running, answers = wire.files(), digests(lab, child), []

    def ask(r):
        if not r.is_("POST", "/oauth2/token"):
            return
        form = dict(urllib.parse.parse_qsl(r.body.decode()))
        genuine, last = form["client_assertion"], ""
        assert wireclient.open_jws(genuine, "inari-client+jwt", [me.sig.jwk])[1]["iss"] == me.id
        for name, last in forgeries(me) if not answers else [("again", genuine[:-6] + genuine[-5:] + "A")]:
            a = r.also(urllib.parse.urlencode({**form, "client_assertion": last}).encode())
            answers.append((name, a.status, json.loads(a.body).get("access_token")))
        r.body = urllib.parse.urlencode({**form, "client_assertion": last}).encode()

    wire.proxy.ask = ask
    polls = wire.proxy.polls
    lab.verb("kill", f"{child}/agent")
    publish_for(lab, child, size := new_size())
    lab.verb("start", f"{child}/agent")

    def refused():
        rows = (agent_status(lab, child) or {"conditions": []})["conditions"]
        return any(c["type"] == "Authenticated" and c["reason"] == "Refused" for c in rows)
    wait_until(refused, "the agent to say so", 30, 0.2)
    assert len(answers) > 20 and [a for a in answers if a[1:] != (401, None)] == []
    entries = lab.api.ok("GET", "/audit?action=device.credential_refused&limit=50")["items"]
    assert len([e for e in entries if e["object"] == f"device/{me.id}"]) > 10
    assert wire.proxy.polls == polls and wire.files() == before and digests(lab, child) == running
    assert size_of(lab, child) != size
    mail_through(lab, child)
    wire.proxy.ask = None
    lab.wait_ehlo(f"SIZE {size}", [child], timeout=90)


def forged_bundles(wire, genuine):
    """The parent's newest bundle, signed by somebody else, or by nobody: name, text."""
    head = {"alg": "ES256", "kid": wire.key.kid, "typ": "inari-bundle+jws"}
    payload, other = json.loads(genuine)["payload"], wireclient.Key()

    def text(sign, **header):
        protected = wireclient.b64u(wireclient.dumps({**head, **header}))
        return wireclient.dumps({"payload": payload, "protected": protected,
                                 "signature": wireclient.b64u(sign(f"{protected}.{payload}".encode()))}).decode()

    def hs256(data):
        import hashlib
        import hmac
        return hmac.new(wireclient.dumps(wire.key.jwk), data, hashlib.sha256).digest()
    yield "HS256 with the public key", text(hs256, alg="HS256")
    yield "none", text(lambda data: b"", alg="none")
    yield "another key with this id", text(other.raw)
    yield "another key with its own id", text(other.raw, kid=other.kid)


def test_d7_bundles_signed_by_nobody(wire):
    """D7, the other way: the agent takes no algorithm and no key but those its trust document lists."""
    made, used = [], []

    def forge(a):
        made[:] = made or forged_bundles(wire, a.body)
        name, text = made[len(used) % len(made)]
        a.set_body(text)
        used.append(name)
    wire.refuses(forge, "Signature", times=4)
    assert len(set(used)) == 4


def test_d23_status_for_another_device(wire):
    """D23: whose report it is comes from the token.  Another id in it is refused and named, another's key is no help, and
    nothing of it is ever shown; the agent's own report arrives all the same."""
    lab, child, other = wire.lab, wire.child, wire.lab.children[0]
    me, they, answers = identity(lab, child), identity(lab, other), []

    def ask(r):
        if not r.is_("PUT", "/api/agent/v1/status") or len(answers) > 3:
            return
        doc = {**wireproxy.payload_of(r.body), "agent_version": "6.6.6"}
        assert doc["device"] == me.id
        for device_id, key in ((they.id, me.sig), (they.id, they.sig), (me.id, they.sig)):
            forged = key.jws("inari-status+jws", {**doc, "device": device_id}).encode()
            a = r.also(forged)
            answers.append((a.status, json.loads(a.body) if a.body else {}))
        r.body = me.sig.jws("inari-status+jws", {**doc, "device": they.id}).encode()  # this answer the agent gets itself

    seen = lab.log(child, "agent").count('problem="status-invalid"')
    wire.proxy.ask = ask
    publish_for(lab, child, size := new_size())
    try:
        lab.wait_ehlo(f"SIZE {size}", [child], timeout=60)
        wait_until(lambda: device(lab, child)["sync"] == "in-sync", "the genuine report", 60, 0.2)
    finally:
        wire.proxy.ask = None
    assert [a[0] for a in answers[:3]] == [422, 400, 400]
    assert answers[0][1]["errors"][0]["pointer"] == "/device"
    assert lab.log(child, "agent").count('problem="status-invalid"') > seen
    for name, who in ((child, me), (other, they)):
        assert device(lab, name)["agent_version"] != "6.6.6"
        assert lab.api.ok("GET", f"/devices/{name}/status")["status"]["device"] == who.id
    assert device(lab, other)["sync"] == "in-sync"
