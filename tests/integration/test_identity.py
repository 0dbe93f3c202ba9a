"""Who a device is: renewal of its key in two phases, killed or cut at every step; by age, by order, at the host."""
import copy
import json
import os
import shutil
import subprocess
import threading
import time
import uuid

import pytest
import requests
import wireclient
import wireproxy
from agentlib import new_agent
from cryptography.hazmat.primitives import serialization
from inarilab import users
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


def offer(device, new, enc=None, proof="own", headers=None):
    doc = {"fleet": device.trust["fleet"], "device": device.id, "jwk": new.jwk, "enc_jwk": (enc or wireclient.Key()).jwk}
    head = {**device.auth(), "Content-Type": "application/jose+json", **(headers or {})}
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


def test_the_answer_to_the_first_use_is_lost(agent, api, parent):
    """D12, by the network: the parent has taken the new key into force and the device does not know it.  Its next offer is
    refused, since the key that proves it is the old one; the new one must not be thrown away for that."""
    was, offers, lost = key_of(api, agent), [], []
    proxy = wireproxy.Proxy("127.0.0.1", ("127.0.0.1", parent.port),
                            *(os.path.join(parent.state, "tls", n) for n in ("server.crt", "server.key")))

    def ask(r):
        if r.is_("POST", "/api/agent/v1/keys"):
            offers.append(r.path)
        elif r.is_("POST", "/oauth2/token") and len(offers) == 1:
            lost.append(r.also(r.body).status)
            raise OSError("the line breaks here")
        elif not r.is_("POST", "/oauth2/token"):
            raise OSError("and a poll would tell that the token has ended")
    agent.stop()
    edit_identity(agent, addresses=[proxy.url])
    proxy.ask = ask
    try:
        agent.start()
        accepted(agent)
        assert agent.command("rotate-key").returncode != 0 and lost[0] == 200
        wait_until(lambda: len(offers) > 1, "the second offer", 30)
        proxy.ask = None
        now = same_key(api, agent)
        assert now["kid"] != was["kid"] and now["rotations"] == was["rotations"] + 1
        assert agent.command("rotate-key").returncode == 0
    finally:
        proxy.close()


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


# --- several machines under one identity ---

HOME, OTHER = "a" * 64, "b" * 64


def twin(device, machine, seq):
    """A second start with the same identity."""
    d = copy.copy(device)
    d.http = requests.Session()
    d.http.verify, d.http.trust_env = device.http.verify, False
    d.boot, d.seq, d.machine, d.access = str(uuid.uuid4()), seq, machine, None
    return d


@pytest.fixture
def original(parent, api):
    d = wireclient.Device(parent.base, parent.ca, f"orig-{os.urandom(3).hex()}")
    d.fingerprint = d.machine = HOME
    d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    d.fetch()
    assert d.put_status().status_code == 204
    return d


def shown(api, device):
    return api.ok("GET", f"/devices/{device.id}")


def unique(api, device):
    return next((c for c in shown(api, device)["conditions"] if c["type"] == "IdentityUnique"), None)


def poll(device):
    """The status of one poll; 409 must say why."""
    r = device.desired()
    assert r.status_code != 409 or r.json()["type"].endswith("identity-fork"), r.text
    return r.status_code


def forked(api, device):
    return wait_until(lambda: shown(api, device)["instances"]["forked"] and shown(api, device), "the fork to be stored", 10)


def test_a_copy_never_makes_the_original_lose_its_place(original, api):
    """D17: within two polls of the original the copy on another machine is set aside; everybody sees both."""
    copied = twin(original, OTHER, 1000)
    assert poll(copied) in (200, 304)  # as a restart would look
    assert poll(original) in (200, 304)  # which tells
    assert poll(copied) == 409
    d = forked(api, original)
    assert d["state"] == "observing" and unique(api, original)["reason"] == "Fork"
    assert {x["boot"]: x["verdict"] for x in d["instances"]["items"]} == {original.boot: "goes-on", copied.boot: "set-aside"}
    assert copied.put_status().status_code == 409  # nor does it speak for the device
    assert copied.call("GET", "/api/agent/v1/commands", headers={**copied.auth(), "Inari-Boot": copied.boot}).status_code == 409
    gone = copied.call("DELETE", "/api/agent/v1/self", headers={**copied.auth(), "Inari-Boot": copied.boot,
                                                                "Inari-Proof": copied.proof("leave")})
    assert gone.status_code == 409 and shown(api, original)["state"] == "observing"
    api.change(f"/devices/{original.id}", {"drift": "enforce"})  # a change reaches the original
    original.fetch()
    assert original.put_status().status_code == 204
    copied.boot, copied.seq = str(uuid.uuid4()), 5000  # starting again does not help it
    assert poll(copied) == 409 and poll(original) in (200, 304)
    assert api.ok("GET", "/audit?action=device.fork&limit=1")["items"][0]["object"] == f"device/{original.id}"
    # decided: the original goes on and is told to renew its key; with that the copy has none, and it is over
    kept = api.ok("POST", f"/devices/{original.id}/instances", {"decision": "keep", "boot": original.boot, "reason": "the copy is a test"})
    assert kept["instances"]["keeps"] == "machine"
    r = original.call("GET", "/api/agent/v1/commands", headers={**original.auth(), "Inari-Boot": original.boot})
    order = wireclient.open_jws(r.json()["items"][0], "inari-command+jws", original.keys("bundle"))[1]
    assert order["kind"] == "rotate-key"
    new = wireclient.Key()
    head = {"Inari-Boot": original.boot}
    assert offer(copied, wireclient.Key()).status_code == 409  # the copy may not
    assert offer(original, new, headers=head).status_code == 200
    original.sig, original.access = new, None
    original.sign_in()
    assert poll(original) in (200, 304) and copied.post_token().status_code == 401
    assert not shown(api, original)["instances"]["forked"] and unique(api, original) is None


def test_copies_that_look_alike_wait_for_a_decision(original, api):
    """Nothing tells them apart: both keep what they run, neither gets anything new, until somebody decides."""
    copied = twin(original, HOME, 1000)
    assert poll(copied) in (200, 304)
    assert poll(original) in (200, 304)  # once it may be a late request of before a restart
    assert poll(copied) == 409 and poll(original) == 409
    d = forked(api, original)
    assert d["state"] == "quarantined" and {x["verdict"] for x in d["instances"]["items"]} == {"waits"}
    path = f"/devices/{original.id}/instances"
    r = api.post(path, json={"decision": "keep", "boot": str(uuid.uuid4()), "reason": "x"})
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/boot"
    # a decision that is only looked at changes nothing
    assert api.ok("POST", path + "?dry_run=true", {"decision": "keep", "boot": copied.boot, "reason": "x"})["state"] == "observing"
    assert shown(api, original)["state"] == "quarantined"
    api.ok("POST", path, {"decision": "keep", "boot": copied.boot, "reason": "the old one was switched off"})
    assert shown(api, original)["state"] == "observing"
    assert poll(copied) in (200, 304) and poll(original) == 409
    api.ok("POST", path, {"decision": "clear", "reason": "switched off"})
    assert poll(copied) in (200, 304) and not shown(api, original)["instances"]["forked"]
    assert api.post(path, json={"decision": "clear", "reason": "x"}).status_code == 409


def test_a_key_renewed_while_nobody_decided(original, api):
    """Offered before the copy spoke, used by one of two that nothing tells apart: that is no decision, and there still is one."""
    copied, new = twin(original, HOME, 1000), wireclient.Key()
    assert offer(original, new).status_code == 200
    assert poll(copied) in (200, 304) and poll(original) in (200, 304) and poll(copied) == 409
    forked(api, original)
    original.sig, original.access = new, None
    original.sign_in()
    d = shown(api, original)
    assert d["key"]["kid"] == new.kid and d["instances"]["forked"] and d["state"] == "quarantined"
    keep = {"decision": "keep", "boot": original.boot, "reason": "it is this one"}
    assert api.ok("POST", f"/devices/{original.id}/instances", keep)["state"] == "observing"


@pytest.mark.parametrize("machine", [HOME, OTHER])
def test_a_key_the_copy_offered_before_it_was_seen(original, api, machine):
    """D17: offered while the copy looked like a restart.  Once somebody goes on it must not take his key from him."""
    copied, theirs = twin(original, machine, 1000), wireclient.Key()
    assert poll(copied) in (200, 304)
    assert offer(copied, theirs, headers={"Inari-Boot": copied.boot}).status_code == 200
    assert poll(original) in (200, 304) and poll(copied) == 409
    d = forked(api, original)
    if machine == HOME:  # nothing tells them apart: a person does
        assert d["key"]["next"]["kid"] == theirs.kid and d["instances"]["keeps"] == "nobody"
        api.ok("POST", f"/devices/{original.id}/instances", {"decision": "keep", "boot": original.boot, "reason": "x"})
    copied.sig = theirs
    assert copied.post_token().status_code == 401
    d = shown(api, original)
    assert d["key"]["next"] is None and d["key"]["kid"] == original.sig.kid and d["instances"]["forked"]
    original.access = None
    original.sign_in()
    assert poll(original) in (200, 304) and poll(copied) == 409
    ours = wireclient.Key()
    assert offer(original, ours, headers={"Inari-Boot": original.boot}).status_code == 200
    original.sig, original.access = ours, None
    original.sign_in()
    assert shown(api, original)["key"]["kid"] == ours.kid and not shown(api, original)["instances"]["forked"]


def test_a_decision_about_copies_decides_nothing_else(original, api):
    """Which of two goes on says nothing about a hold, and does not bring back what was revoked."""
    path = f"/devices/{original.id}"
    api.ok("POST", path + "/hold", {"reason": "being moved", "minutes": 60})
    copied = twin(original, OTHER, 1000)
    assert poll(copied) in (200, 304) and poll(original) in (200, 304)
    assert forked(api, original)["state"] == "held"
    keep = {"decision": "keep", "boot": original.boot, "reason": "x"}
    assert api.ok("POST", path + "/instances", keep)["state"] == "held"
    assert shown(api, original)["held_reason"] == "being moved"
    api.ok("POST", path + "/revoke", {"reason": "a copy was made of it"})
    for decision in (keep, {"decision": "clear", "reason": "x"}):
        r = api.post(path + "/instances", json=decision)
        assert r.status_code == 409 and "revoked" in r.json()["detail"], r.text
    assert shown(api, original)["state"] == "revoked"


def test_a_poll_that_is_looked_at_anew_is_one_poll(original, api):
    """A poll that waits for its bundle, or is woken, runs again: that is no number said twice by two."""
    for i in range(6):
        held = threading.Thread(target=original.fetch, args=(20,))
        held.start()
        wait_until(lambda: shown(api, original)["instances"]["items"][-1]["seq"] == original.seq, "the poll", 10)
        api.change(f"/devices/{original.id}", {"drift": ("enforce", "report")[i % 2]})
        held.join(30)
        assert original.put_status().status_code == 204
    assert not shown(api, original)["instances"]["forked"] and poll(original) in (200, 304)


def test_a_fork_outlives_the_parent(original, api, parent):
    copied = twin(original, OTHER, 1000)
    assert poll(copied) in (200, 304) and poll(original) in (200, 304) and poll(copied) == 409
    forked(api, original)
    parent.restart()
    assert poll(copied) == 409 and poll(original) in (200, 304)
    assert unique(api, original)["reason"] == "Fork"


def test_an_older_snapshot_is_brought_up_to_date(original, api, parent):
    """D18: another start with lower numbers, alone: taken in, noted, given the present revision; its reports count."""
    old = twin(original, HOME, original.seq)
    original.seq += 3000
    assert poll(original) in (200, 304)
    api.change(f"/devices/{original.id}", {"drift": "enforce"})
    original.fetch()
    assert original.put_status().status_code == 204
    before = shown(api, original)["observed"]["rev"]
    old.fetch()  # it had the revision before, and gets the present one
    assert old.have == original.have
    wait_until(lambda: shown(api, original)["instances"]["reverted_at"], "the note", 10)
    assert unique(api, original)["reason"] == "Reverted" and shown(api, original)["state"] == "observing"
    wait_until(lambda: old.desired().headers.get("Inari-Report") == "full", "the report to be asked for", 10)
    assert old.put_status(old.status(uptime_s=3)).status_code == 204
    assert shown(api, original)["observed"]["rev"] == before
    assert api.ok("GET", f"/devices/{original.id}/status")["status"]["boot"] == old.boot
    parent.restart()  # and so it is when the parent does not remember who spoke
    older = twin(old, HOME, 1)
    assert poll(older) in (200, 304)
    assert api.ok("GET", "/audit?action=device.reverted&limit=1")["items"][0]["detail"]["boot"] in (older.boot, old.boot)


def test_another_machine_alone_is_said_and_accepted(original, api):
    """D19: renamed, another address, another mainboard: the same device; the machine is shown until somebody accepts it."""
    moved = twin(original, OTHER, 1000)
    assert poll(moved) in (200, 304)
    d = shown(api, original)
    assert d["instances"]["machine_changed"] and unique(api, original)["reason"] == "MachineChanged" and d["state"] == "observing"
    api.ok("POST", f"/devices/{original.id}/instances", {"decision": "clear", "reason": "new mainboard"})
    assert unique(api, original) is None and shown(api, original)["fingerprint"] == OTHER
    assert poll(moved) in (200, 304)


def test_a_revoked_device_is_reinstated(original, api, parent, programs):
    """6.11: revoked, reinstated, waits for approval, observed; tokens from before stay ended."""
    before = original.access
    assert api.post(f"/devices/{original.id}/reinstate", json={"reason": "x"}).status_code == 409
    api.ok("POST", f"/devices/{original.id}/revoke", {"reason": "laptop stolen"})
    assert original.post_token().status_code == 403
    inarictl(programs, parent, api, "reinstate", original.name, "--reason", "found again")
    d = shown(api, original)
    assert (d["state"], d["mode"]) == ("pending", "observe")
    r = original.post_token()
    assert r.status_code == 403 and r.json()["type"].endswith("token-scope")
    inarictl(programs, parent, api, "approve", original.name)
    assert shown(api, original)["state"] == "observing"
    original.access = before
    assert original.desired().status_code == 401
    original.sign_in()
    assert poll(original) in (200, 304) and original.put_status().status_code == 204
    assert api.ok("GET", "/audit?action=device.reinstate&limit=1")["items"][0]["detail"]["reason"] == "found again"


# --- the same at the device ---

def other_machine(agent, **files):
    """The agent as it would start on another machine: machine-id and hardware id of its own."""
    binds = []
    for path, text in files.items():
        source = os.path.join(os.path.dirname(agent.conf), path)
        with open(source, "w") as f:
            f.write(text + "\n")
        binds.append(f"mount --bind {source} {dict(machine='/etc/machine-id', hardware='/sys/class/dmi/id/product_uuid')[path]}")
    agent.argv0 = ["unshare", "-m", "--propagation", "private", "sh", "-c", " && ".join([*binds, 'exec "$0" "$@"']), agent.argv0[-1]]


def test_a_copied_disk_does_not_use_the_identity(agent, api):
    """D22: on a machine that has nothing in common the identity is not used, and says so; unless somebody confirms it."""
    device = agent.identity()["device_id"]
    agent.stop()
    program = agent.argv0
    parts = {"machine": "f" * 32}
    if agent.identity()["machine"]["hardware"]:
        parts["hardware"] = str(uuid.uuid4())
    other_machine(agent, **parts)
    seen = shown_at(api, device)
    agent.start()
    wait_until(lambda: agent.condition("Authenticated")["reason"] == "ForeignMachine", "the refusal", 10)
    assert agent.status()["parent"]["state"] == "foreign"
    assert agent.command("rotate-key").returncode != 0
    assert shown_at(api, device) == seen  # nothing was asked of the parent
    assert agent.command("confirm-machine").returncode == 0
    accepted(agent)
    wait_until(lambda: api.ok("GET", f"/devices/{device}")["instances"]["machine_changed"], "the parent to see it", 15)
    agent.stop()
    agent.argv0 = program
    aside = os.path.join(agent.state, "identity.1.retired")  # of an earlier life of this host
    shutil.copy(os.path.join(agent.state, "identity.json"), aside)
    assert agent.command("prepare-image").returncode == 0
    assert not [f for f in os.listdir(agent.state)
                if os.path.isfile(os.path.join(agent.state, f)) and "_key" in open(os.path.join(agent.state, f)).read()]
    assert agent.command("run").returncode == 3 and not os.path.exists(os.path.join(agent.state, "identity.json"))


def test_prepare_image_before_anything_ran(workdir, programs):
    """By root, on a host where the agent has not run: what it leaves in the agent's folder is the agent's."""
    a = new_agent(workdir, "image", programs)
    with open(a.conf) as f:
        text = f.read().replace("agent.user = root", "agent.user = inari-agent")
    with open(a.conf, "w") as f:
        f.write(text)
    r = a.command("prepare-image")  # no folder: not that the agent runs
    assert r.returncode != 0 and a.state in r.stderr and "stop the agent" not in r.stderr
    os.mkdir(a.state, 0o700)
    os.chown(a.state, *users.ids("inari-agent"))
    assert a.command("prepare-image").returncode == 0
    assert {os.stat(os.path.join(a.state, f)).st_uid for f in os.listdir(a.state)} <= {users.ids("inari-agent")[0]}


def shown_at(api, device):
    return api.ok("GET", f"/devices/{device}")["instances"]["items"]


def test_one_part_of_the_machine_changed(agent, api):
    """D19 at the device: a new machine-id on known hardware, or the reverse, is noted and nothing more."""
    if not agent.identity()["machine"]["hardware"]:
        pytest.skip("this machine has no hardware id")
    device = agent.identity()["device_id"]
    agent.stop()
    other_machine(agent, machine="e" * 32)
    agent.start()
    accepted(agent)
    assert "machine.changed" in agent.log()
    assert api.ok("GET", f"/devices/{device}")["id"] == device


def test_the_original_is_not_disturbed_by_its_copy(agent, api, parent):
    """D17 with a real agent as the original: the copy polls, the agent goes on and gets the next change."""
    mine = agent.identity()
    copied = wireclient.Device(parent.base, parent.ca)
    copied.id, copied.sig = mine["device_id"], loaded(mine["sig_key"])
    copied.trust = json.loads(wireclient.unb64u(json.loads(mine["trust"])["payload"]))
    copied.machine, copied.seq = OTHER, 100000
    wait_until(lambda: len(shown_at(api, copied.id)) == 1, "the agent's first poll", 15)
    assert poll(copied) in (200, 304)
    before = agent.status()["status"]["observed"]["rev"]
    api.change(f"/devices/{copied.id}", {"drift": "enforce"})
    wait_until(lambda: agent.status()["status"]["observed"]["rev"] > before, "the change at the original", 70, 0.2)
    assert agent.condition("Authenticated")["status"] == "True"
    wait_until(lambda: poll(copied) == 409, "the copy to be set aside", 70, 1.5)
    assert agent.status()["parent"]["state"] == "ok" and agent.condition("Authenticated")["status"] == "True"


def loaded(pem):
    k = wireclient.Key()
    k.private = serialization.load_pem_private_key(pem.encode(), None)
    n = k.private.public_key().public_numbers()
    k.jwk = {"crv": "P-256", "kty": "EC", "x": wireclient.b64u(n.x.to_bytes(32, "big")), "y": wireclient.b64u(n.y.to_bytes(32, "big"))}
    k.kid = wireclient.thumbprint(k.jwk)
    return k
