"""Who a device is: renewal of its key in two phases, killed or cut at every step; by age, by order, at the host."""
import json
import os
import subprocess
import time

import pytest
import wireclient
from agentlib import new_agent
from parentlib import SAN_ENV, wait_until

CRASHES = ["rotate-made", "rotate-offered", "rotate-used"]


@pytest.fixture
def agent(workdir, programs, api, request):
    """A child that has joined and runs."""
    a = new_agent(workdir, request.node.name.split("[")[0][5:25], programs)
    made = api.ok("POST", "/enrolment-tokens", {"name": "t"})
    assert a.command("join", "--join", made["join"], "--name", f"key-{os.urandom(3).hex()}").returncode == 0
    a.start()
    accepted(a)
    yield a
    a.stop()


@pytest.fixture
def device(parent, api):
    """A child as a program."""
    d = wireclient.Device(parent.base, parent.ca, f"wire-{os.urandom(3).hex()}")
    d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    return d


def accepted(agent):
    wait_until(lambda: agent.condition("Authenticated")["status"] == "True", "the first poll", 30)


def key_of(api, agent):
    return api.ok("GET", f"/devices/{agent.identity()['device_id']}")["key"]


def same_key(api, agent):
    """Both sides have one and the same key in force, and nothing is left unfinished."""
    def look():
        mine, theirs = agent.status()["status"]["key"], key_of(api, agent)
        return mine["kid"] == theirs["kid"] and not mine["unfinished"] and theirs["next"] is None and theirs
    return wait_until(look, "one key on both sides", 30, 0.1)


def edit_identity(agent, **members):
    path = os.path.join(agent.state, "identity.json")
    doc = {**agent.identity(), **members}
    with open(path, "w") as f:
        json.dump(doc, f)


def offer(device, new, enc=None, proof="own", access=None):
    doc = {"fleet": device.trust["fleet"], "device": device.id, "jwk": new.jwk, "enc_jwk": (enc or wireclient.Key()).jwk}
    head = {**device.auth(), "Content-Type": "application/jose+json"}
    if proof:
        head["Inari-Proof"] = device.proof(f"rotate-key:{new.kid}") if proof == "own" else proof
    return device.call("POST", "/api/agent/v1/keys", data=new.jws("inari-key+jws", doc), headers=head)


def test_two_phases_on_the_wire(device, api):
    """The old key works until the new one was used, and never after; so do the tokens made with it."""
    old, new = device.sig, wireclient.Key()
    r = offer(device, new)
    assert r.status_code == 200 and r.json()["state"] == "offered", r.text
    _, receipt = wireclient.open_jws(r.json()["receipt"], "inari-receipt+jws", device.keys("receipt"))
    assert (receipt["kid"], receipt["device"]) == (new.kid, device.id)
    assert offer(device, new).json() == r.json()  # the answer was lost: the same again
    shown = api.ok("GET", f"/devices/{device.id}")["key"]
    assert (shown["kid"], shown["next"]["kid"], shown["rotations"]) == (old.kid, new.kid, 0)
    before = device.sign_in()  # still with the old one
    assert device.put_status().status_code == 204

    device.sig = new
    device.sign_in()
    assert device.put_status().status_code == 204
    shown = api.ok("GET", f"/devices/{device.id}")["key"]
    assert (shown["kid"], shown["next"], shown["rotations"]) == (new.kid, None, 1)
    device.sig = old
    refused = device.post_token()
    assert refused.status_code == 401 and refused.json()["type"].endswith("token-invalid")
    device.access = before
    assert device.desired().status_code == 401
    audit = api.ok("GET", f"/audit?action=device.key_rotate&limit=1")["items"][0]
    assert audit["object"] == f"device/{device.id}" and audit["detail"]["kid"] == new.kid and audit["detail"]["before"] == old.kid


def test_a_stolen_access_token_renews_nothing(device, api):
    """Without the old key's proof for exactly this new key the offer is refused, and audited."""
    new, other = wireclient.Key(), wireclient.Key()
    for proof in (None, device.proof("leave"), device.proof(f"rotate-key:{other.kid}"),
                  new.jws("inari-proof+jwt", device.claims(act=f"rotate-key:{new.kid}"), compact=True)):
        assert offer(device, new, proof=proof).status_code == 401
    assert api.ok("GET", "/audit?action=device.credential_refused&limit=1")["items"][0]["object"] == f"device/{device.id}"
    used = device.proof(f"rotate-key:{new.kid}")
    assert offer(device, new, proof=used).status_code == 200
    assert offer(device, new, proof=used).status_code == 401  # good once
    # not signed by the key it offers; another device's key; the key in force
    doc = {"fleet": device.trust["fleet"], "device": device.id, "jwk": other.jwk, "enc_jwk": other.jwk}
    r = device.call("POST", "/api/agent/v1/keys", data=new.jws("inari-key+jws", doc), headers={
        **device.auth(), "Content-Type": "application/jose+json", "Inari-Proof": device.proof(f"rotate-key:{other.kid}")})
    assert r.status_code == 400 and r.json()["type"].endswith("signature"), r.text
    assert offer(device, device.sig).status_code == 409
    assert api.ok("GET", f"/devices/{device.id}")["key"]["kid"] == device.sig.kid


def test_renewed_at_the_host(agent, api):
    was = key_of(api, agent)
    r = agent.command("rotate-key")
    assert r.returncode == 0, r.stderr
    now = same_key(api, agent)
    assert now["kid"] != was["kid"] and now["kid"] in r.stdout and now["rotations"] == was["rotations"] + 1
    assert now["kid"] in agent.command("status").stdout
    agent.stop()
    agent.start()  # it survives a restart, and the receipt is the new key's
    accepted(agent)
    assert same_key(api, agent)["kid"] == now["kid"]


def inarictl(programs, parent, api, *args):
    r = subprocess.run([programs["inarictl"], *args], capture_output=True, text=True, timeout=90, cwd="/", env={
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "INARI_API": parent.base,
        "INARI_CA": parent.ca, "INARI_TOKEN": api.headers["Authorization"][7:], **SAN_ENV})
    assert r.returncode == 0, r.stdout + r.stderr
    return r.stdout


def test_renewed_by_order(agent, api, parent, programs):
    """rotate-key of an administrator: a tracked command whose end is signed by the new key; nothing else is disturbed."""
    was, device = key_of(api, agent), agent.identity()["device_id"]
    c = json.loads(inarictl(programs, parent, api, "rotate-key", device, "--reason", "yearly", "--json"))
    assert c["state"] == "done", c
    now = same_key(api, agent)
    assert now["kid"] in inarictl(programs, parent, api, "device", device)
    assert c["result"] == {"kid": now["kid"], "before": was["kid"]}
    assert now["rotations"] == was["rotations"] + 1
    assert agent.condition("Authenticated")["status"] == "True"
    seq = agent.status()["status"]["observed"]["rev"]
    api.change(f"/devices/{device}", {"drift": "enforce"})  # a change still arrives
    wait_until(lambda: agent.status()["status"]["observed"]["rev"] > seq, "the next bundle", 30)


def test_renewed_by_age(agent, api):
    """D07: nobody asks for it; when the key is old enough the agent renews it, and only then."""
    was = key_of(api, agent)
    assert agent.status()["status"]["key"]["renewal_due"] > time.strftime("%Y-%m-%d", time.gmtime(time.time() + 300 * 86400))
    agent.stop()
    old = int((time.time() - 366 * 86400) * 1000)
    edit_identity(agent, key_ms=old)
    agent.start()
    wait_until(lambda: key_of(api, agent)["kid"] != was["kid"], "the renewal", 30)
    now = same_key(api, agent)
    assert now["rotations"] == was["rotations"] + 1 and agent.condition("KeyCurrent")["status"] == "True"
    with open(agent.conf, "a") as f:
        f.write("agent.key_max_age = 0s\n")
    agent.stop()
    edit_identity(agent, key_ms=old)
    agent.start()
    accepted(agent)
    assert agent.status()["status"]["key"]["renewal_due"] is None
    assert key_of(api, agent)["kid"] == now["kid"]


@pytest.mark.parametrize("point", CRASHES)
def test_killed_at_every_step(agent, api, point):
    """D12: before and after the parent has stored or used the new key; the next start finds the one that is accepted."""
    was = key_of(api, agent)
    agent.stop()
    agent.start({"INARI_CRASH_AT": point})
    accepted(agent)
    agent.command("rotate-key")  # it dies in the middle of it
    wait_until(lambda: not agent.alive(), "the kill", 20)
    agent.start()
    accepted(agent)
    now = same_key(api, agent)
    assert now["kid"] != was["kid"] and now["rotations"] == was["rotations"] + 1  # finished, and once
    assert agent.command("rotate-key").returncode == 0


def test_a_parent_set_back_behind_the_renewal(agent, api, parent):
    """A restored parent knows the old key only: the device finds that, and renews once more."""
    device = agent.identity()["device_id"]
    columns = "kid, jwk, enc_jwk, receipt, key_rotations"
    parent.postgres.psql(f"CREATE TABLE was AS SELECT {columns} FROM device WHERE id = '{device}'")
    try:
        assert agent.command("rotate-key").returncode == 0
        now = same_key(api, agent)
        agent.stop()
        parent.postgres.psql(f"UPDATE device SET ({columns}) = (SELECT {columns} FROM was) WHERE id = '{device}'")
        agent.start()
        accepted(agent)
        assert same_key(api, agent)["kid"] == now["kid"]
        assert "key.old_again" in agent.log()
    finally:
        parent.postgres.psql("DROP TABLE was")
