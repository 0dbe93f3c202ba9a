"""Devices that were here before: one whose record the parent lost (D11), one whose host was installed anew (D21)."""
import os
import shutil
import subprocess

import pytest
import wireclient
from agentlib import new_agent
from parentlib import wait_until
from test_identity import accepted, inarictl


def word(r):
    return r.json()["type"].rpartition(":")[2]


def token(api, **spec):
    return api.ok("POST", "/enrolment-tokens", {"name": f"t-{os.urandom(3).hex()}", **spec})


def audit(api, action):
    return api.ok("GET", f"/audit?action={action}&limit=1")["items"][0]


@pytest.fixture
def device(parent, api):
    """device(): a child as a program, with a status."""
    def make(name=None, **members):
        d = wireclient.Device(parent.base, parent.ca, name or f"back-{os.urandom(3).hex()}")
        d.enrol(token(api)["token"], **members)
        d.fetch()
        assert d.put_status().status_code == 204
        return d
    return make


def again(old, api, name=None, **members):
    """The host of a device after a reinstallation: new keys, the same name; the answer to its enrolment."""
    d = wireclient.Device(old.base, old.http.verify, name or old.name)
    d.answer = d.post_enrolment(token(api)["token"], **members)
    return d


def lose(parent, api, device_id):
    """The row is gone as a restored backup would not have it; the parent is told as it is of any change."""
    parent.postgres.psql(f"DELETE FROM device WHERE id = '{device_id}'")
    parent.postgres.psql(f"INSERT INTO change (kind, id) VALUES ('device', '{device_id}'); NOTIFY inari_change")
    wait_until(lambda: api.get(f"/devices/{device_id}").status_code == 404, "the row to be gone", 10)


def show_receipt(d, receipt=None, key=None, **members):
    body = (key or d.sig).jws("inari-enrol+jws", d.enrol_document(**members))
    return wireclient.let_in(lambda: d.call("POST", "/api/agent/v1/enrolments", data=body, headers={
        "Authorization": f"Bearer {receipt or d.receipt}", "Content-Type": "application/jose+json"}))


# --- D11: the record is lost ---

def test_a_receipt_brings_a_lost_device_back_when_a_person_says_so(device, api, parent):
    d = device()
    api.change(f"/devices/{d.id}", {"mode": "manage", "placement": "inner"})
    api.publish({"devices": {d.id: {"smtp.message_size_limit": 7654321}}})
    d.fetch()
    assert d.put_status().status_code == 204
    before = d.last
    # what it is entitled to was in its record: it is given the newest that the whole fleet has
    wait_until(lambda: api.ok("GET", "/rollouts?limit=1")["items"][0]["state"] == "completed", "the rollout to end", 30)
    lose(parent, api, d.id)
    parent.restart()
    assert d.post_token().status_code == 401  # nothing is said to who is not known
    r = show_receipt(d, mode="manage", placement="inner")
    assert r.status_code == 202 and r.json() == {"device_id": d.id, "name": d.name, "state": "reattach"}, r.text
    assert r.headers["Location"].endswith(d.id)
    assert show_receipt(d).status_code == 202  # the answer was lost
    refused = d.post_token()
    assert refused.status_code == 403 and word(refused) == "token-scope" and d.enrolment().status_code == 202
    shown = api.ok("GET", f"/devices/{d.id}")
    assert (shown["state"], shown["mode"], shown["placement"], shown["kid"]) == ("reattach", "manage", "inner", d.sig.kid)
    assert audit(api, "device.reattach")["object"] == f"device/{d.id}"
    parent.restart()
    api.ok("POST", f"/devices/{d.id}/approve", {})
    r = d.enrolment()
    assert r.status_code == 200 and r.json()["state"] == "managed"
    _, receipt = wireclient.open_jws(r.json()["receipt"], "inari-receipt+jws", d.keys("receipt"))
    assert (receipt["device"], receipt["kid"]) == (d.id, d.sig.kid)
    d.access, d.status_digest = None, None
    after = d.fetch()
    assert after["rev"] > before["rev"] and after["content_digest"] == before["content_digest"], "settings are by the id"
    assert d.put_status().status_code == 204
    # history goes on: what was done before and after is found under one id
    actions = [e["action"] for e in api.ok("GET", f"/audit?object=device/{d.id}&limit=50")["items"]]
    assert {"device.enrol", "device.reattach", "device.approve"} <= set(actions)


def test_receipts_that_bring_nobody_back(device, api, parent):
    d, other = device(), device()
    forged = wireclient.Key().jws("inari-receipt+jws", {"fleet": d.trust["fleet"], "device": d.id, "kid": d.sig.kid, "at": "",
                                                        "approver": "admin"}, compact=True)
    ours = d.keys("receipt")[0]
    head = {"alg": "ES256", "kid": wireclient.thumbprint(ours), "typ": "inari-receipt+jws"}
    thief = wireclient.Key()
    relabelled = thief.jws("inari-receipt+jws", {"fleet": d.trust["fleet"], "device": d.id, "kid": d.sig.kid}, compact=True, header=head)
    lose(parent, api, d.id)
    for receipt, key in ((forged, None), (relabelled, None), (other.receipt, None), (d.receipt, thief), (d.receipt, other.sig),
                         (d.receipt[:-8] + "AAAAAAAA", None), ("a.b.c", None)):
        r = show_receipt(d, receipt, key, **({"jwk": key.jwk} if key else {}))
        assert r.status_code == 401 and word(r) == "token-invalid", r.text
    r = show_receipt(d, nonce=wireclient.b64u(b"x" * 40))
    assert r.status_code == 401
    assert api.get(f"/devices/{d.id}").status_code == 404
    # turned away by a person: it stays away
    assert show_receipt(d).status_code == 202
    api.ok("POST", f"/devices/{d.id}/reject", {})
    r = show_receipt(d)
    assert r.status_code == 403 and word(r) == "enrolment-rejected"
    # a device that is there is told what it is; one that was revoked does not come back by its receipt
    assert show_receipt(other).status_code == 201 and show_receipt(other).json()["device_id"] == other.id
    api.ok("POST", f"/devices/{other.id}/revoke", {"reason": "stolen"})
    r = show_receipt(other)
    assert r.status_code == 403 and word(r) == "device-revoked"


def test_a_receipt_for_a_key_that_is_another_devices_now(device, api, parent):
    """The record was lost, and the same key was enrolled as a device of its own since: there are no two devices of one key."""
    d = device()
    lose(parent, api, d.id)
    other = wireclient.Device(parent.base, parent.ca, f"{d.name}-b")
    other.sig, other.enc = d.sig, d.enc
    other.enrol(token(api)["token"])
    assert other.id != d.id and api.ok("GET", f"/devices/{other.id}")["kid"] == d.sig.kid
    r = show_receipt(d)
    assert r.status_code == 401 and word(r) == "token-invalid", r.text
    assert api.get(f"/devices/{d.id}").status_code == 404
    api.ok("POST", f"/devices/{other.id}/revoke", {"reason": "its test is over"})



@pytest.mark.slow
def test_an_agent_whose_record_is_lost(workdir, programs, parent, api):
    """D11 with a real agent: it shows its receipt by itself, enrols nothing by itself, and goes on after the approval."""
    a = new_agent(workdir, "lost", programs)
    assert a.command("join", "--join", token(api)["join"], "--name", f"lost-{os.urandom(3).hex()}").returncode == 0
    a.start()
    try:
        accepted(a)
        was = a.identity()
        rev = wait_until(lambda: (a.status()["status"]["observed"] or {}).get("rev"), "its first bundle", 20)
        lose(parent, api, was["device_id"])
        wait_until(lambda: api.get(f"/devices/{was['device_id']}").status_code == 200, "its receipt", 40)
        assert api.ok("GET", f"/devices/{was['device_id']}")["state"] == "reattach"
        wait_until(lambda: a.condition("Authenticated")["reason"] == "Reattach", "the agent to say so", 10)
        assert a.status()["status"]["observed"]["rev"] == rev
        a.stop()
        a.start()  # and neither a new start changes anything
        wait_until(lambda: a.condition("Authenticated")["reason"] == "Reattach", "the agent to say so again", 20)
        assert api.ok("GET", f"/devices/{was['device_id']}")["state"] == "reattach"
        inarictl(programs, parent, api, "approve", was["device_id"])
        wait_until(lambda: a.condition("Authenticated")["status"] == "True", "the agent to be let in", 60, 0.3)
        now = a.identity()
        assert (now["device_id"], now["name"], now["sig_key"]) == (was["device_id"], was["name"], was["sig_key"])
        assert now["receipt"] != was["receipt"]
        wait_until(lambda: a.status()["status"]["observed"]["rev"] > rev, "the bundle of now", 20)
        wait_until(lambda: api.ok("GET", f"/devices/{was['device_id']}")["observed"], "its report", 20)
    finally:
        a.stop()


# --- D21: the host was installed anew ---

def silent(parent, device_id):
    """As if nothing had been heard of it for some minutes."""
    parent.postgres.psql(f"UPDATE device SET enrolled_at = now() - interval '1 day' WHERE id = '{device_id}';"
                         f"UPDATE device_status SET received_at = now() - interval '10 min' WHERE device_id = '{device_id}';"
                         f"DELETE FROM presence WHERE device_id = '{device_id}'")


def test_a_reinstalled_host_takes_its_place_when_a_person_says_so(device, api, parent, programs):
    hardware = os.urandom(32).hex()
    old = device(hardware=hardware)
    group = api.ok("POST", "/groups", {"name": f"g-{old.name}"})
    api.ok("PUT", f"/groups/{group['id']}/members/{old.id}", {})
    api.change(f"/devices/{old.id}", {"mode": "manage"})
    api.publish({"devices": {old.id: {"smtp.message_size_limit": 7654322}}})
    old.fetch()
    assert old.put_status().status_code == 204
    held = old.access

    new = again(old, api, hardware=hardware)
    assert new.answer.status_code == 202 and new.answer.json()["name"] == f"{old.name}-2", new.answer.text
    new.id, new.trust = new.answer.json()["device_id"], old.trust
    shown = api.ok("GET", f"/devices/{new.id}")
    assert shown["state"] == "pending"
    assert {k: shown["replaces"][k] for k in ("id", "name", "state", "same_hardware")} == {
        "id": old.id, "name": old.name, "state": "managed", "same_hardware": True}
    assert old.name in inarictl(programs, parent, api, "device", new.id)
    assert old.desired().status_code in (200, 304), "nothing is taken from the old one by the asking"
    r = api.post(f"/devices/{new.id}/approve", json={})
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/as", r.text
    assert api.ok("POST", f"/devices/{new.id}/approve?dry_run=true", {"as": "replacement"})["id"] == old.id
    assert api.ok("GET", f"/devices/{new.id}")["state"] == "pending" and old.desired().status_code in (200, 304)

    inarictl(programs, parent, api, "approve", new.id, "--replaces")
    # the old key and its tokens are refused at once; so is its receipt
    old.access = held
    assert old.desired().status_code == 401
    assert old.post_token().status_code == 401 and show_receipt(old).status_code == 401
    # the new one is told who it is, and has everything
    r = new.enrolment()
    assert r.status_code == 200 and (r.json()["device_id"], r.json()["name"], r.json()["state"]) == (old.id, old.name, "managed")
    assert r.json()["groups"] == [group["name"]]
    _, receipt = wireclient.open_jws(r.json()["receipt"], "inari-receipt+jws", old.keys("receipt"))
    assert (receipt["device"], receipt["kid"]) == (old.id, new.sig.kid)
    pending, new.id = new.id, old.id
    shown = api.ok("GET", f"/devices/{old.name}")
    assert (shown["id"], shown["kid"], shown["fingerprint"]) == (old.id, new.sig.kid, new.fingerprint)
    assert shown["sync"] != "in-sync" and shown["observed"] is None, "what the old one reported is not said of the new one"
    bundle = new.fetch()
    assert bundle["sections"]["postfix"]["settings"]["smtp.message_size_limit"] == 7654322 and bundle["mode"] == "manage"
    assert new.put_status().status_code == 204
    shown = api.ok("GET", f"/devices/{old.id}")
    assert shown["observed"]["rev"] == bundle["rev"] and not shown["instances"]["reverted_at"]
    assert [c for c in shown["conditions"] if c["type"] == "IdentityUnique"] == []
    # the record of the enrolment leads to the device and is in nobody's way
    assert api.ok("GET", f"/devices/{pending}")["became"] == old.id
    assert [d["id"] for d in api.ok("GET", "/devices?limit=200")["items"] if d["name"].startswith(old.name)] == [old.id]
    entry = audit(api, "device.replace")
    assert entry["object"] == f"device/{old.id}" and entry["detail"]["before"] == old.sig.kid and entry["detail"]["kid"] == new.sig.kid
    assert api.get("/audit/verify").json()["ok"]
    parent.restart()
    assert new.desired().status_code in (200, 304) and old.post_token().status_code == 401
    # a lost answer: the same machine with the same key is that device
    r = new.post_enrolment(token(api)["token"], name=old.name)
    assert r.status_code == 201 and r.json()["device_id"] == old.id


@pytest.mark.parametrize("state", ["retired", "rejected"])
def test_nobody_takes_the_place_of_one_that_left_for_good(device, api, parent, state):
    """Meanwhile, between the question and the answer."""
    hardware = os.urandom(32).hex()
    old = device(hardware=hardware)
    new = again(old, api, hardware=hardware)
    pending = new.answer.json()["device_id"]
    if state == "retired":
        api.ok("POST", f"/devices/{old.id}/retire", {})
    else:
        parent.postgres.psql(f"UPDATE device SET state = 'rejected' WHERE id = '{old.id}'")
    r = api.post(f"/devices/{pending}/approve", json={"as": "replacement"})
    assert r.status_code == 409 and state in r.json()["detail"], r.text
    assert api.ok("GET", f"/devices/{pending}")["state"] == "pending"
    assert parent.postgres.psql(f"SELECT kid, state FROM device WHERE id = '{old.id}'") == [[old.sig.kid, state]]
    assert api.ok("POST", f"/devices/{pending}/approve", {"as": "new"})["id"] == pending


def test_a_silent_device_of_that_name_and_a_new_machine(device, api, parent):
    """Other hardware, or none that says: a device that is heard keeps its name alone; one that is silent is asked about."""
    old = device()
    beside = again(old, api)
    assert beside.answer.status_code == 201 and beside.answer.json()["name"] == f"{old.name}-2"
    silent(parent, old.id)
    new = again(old, api, hardware="ab" * 32)
    assert new.answer.status_code == 202
    new.id, new.trust = new.answer.json()["device_id"], old.trust
    assert api.ok("GET", f"/devices/{new.id}")["replaces"]["same_hardware"] is False
    api.ok("POST", f"/devices/{new.id}/approve", {"as": "new"})
    shown = api.ok("GET", f"/devices/{new.id}")
    assert (shown["state"], shown["name"], shown["replaces"]) == ("observing", f"{old.name}-3", None)
    assert new.enrolment().json()["device_id"] == new.id
    assert old.desired().status_code in (200, 304), "neither evicts the other"
    r = api.post(f"/devices/{new.id}/approve", json={"as": "replacement"})
    assert r.status_code == 409
    # one that nobody asked about cannot take a place
    plain = again(old, api, name=f"{old.name}-x")
    assert plain.answer.status_code == 201
    # a revoked device's place: looked at first
    api.change(f"/devices/{old.id}", {"mode": "manage"})
    api.ok("POST", f"/devices/{old.id}/revoke", {"reason": "stolen"})
    silent(parent, old.id)
    back = again(old, api)
    assert back.answer.status_code == 202
    got = api.ok("POST", f"/devices/{back.answer.json()['device_id']}/approve", {"as": "replacement"})
    assert (got["id"], got["state"], got["mode"]) == (old.id, "observing", "observe")
    assert old.post_token().status_code == 401


@pytest.mark.slow
def test_join_after_a_reinstallation(workdir, programs, parent, api):
    """D21 with a real agent: the state folder is gone, the join string and the name are typed again; join waits and ends as
    the device of before."""
    a = new_agent(workdir, "anew", programs)
    name = f"anew-{os.urandom(3).hex()}"
    assert a.command("join", "--join", token(api)["join"], "--name", name).returncode == 0
    a.start()
    accepted(a)
    was = a.identity()
    wait_until(lambda: api.ok("GET", f"/devices/{name}")["observed"], "its report", 20)
    a.stop()
    shutil.rmtree(a.state)
    silent(parent, was["device_id"])
    p = subprocess.Popen([*a.argv0, "--config", a.conf, "join", "--join", token(api)["join"], "--name", name],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    try:
        waiting = wait_until(lambda: [d for d in api.ok("GET", "/devices?state=pending&limit=200")["items"]
                                      if (d["replaces"] or {}).get("id") == was["device_id"]], "the question", 20)
        inarictl(programs, parent, api, "approve", waiting[0]["name"], "--replaces")
        out, err = p.communicate(timeout=60)
    finally:
        p.kill()
    assert p.returncode == 0 and was["device_id"] in out, out + err
    now = a.identity()
    assert (now["device_id"], now["name"]) == (was["device_id"], name) and now["sig_key"] != was["sig_key"]
    a.start()
    accepted(a)
    wait_until(lambda: api.ok("GET", f"/devices/{name}")["observed"], "the report of the new one", 30)
    a.stop()
