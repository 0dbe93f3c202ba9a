"""Which keys children believe: a new bundle key, a child that was away for two of them (D13), a stolen one (drill D9)."""
import hashlib
import json
import os
import re
import threading
import time

import pytest
import wireclient
from agentlib import new_agent
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from parentlib import wait_until
from test_backup import tool
from test_epoch import observed, root_passphrase
from test_identity import inarictl
from test_identity_back import show_receipt

pytestmark = pytest.mark.slow


def rotate(parent, *args, phrase=None, check=True):
    path = os.path.join(parent.dir, "phrase")
    with open(path, "w") as f:
        f.write((phrase or root_passphrase(parent)) + "\n")
    os.chmod(path, 0o644)
    return tool(parent, "rotate-key", "--passphrase-file", path, *args, check=check)


def replace_root(parent, phrase, *args, check=True):
    """The words of inarid rotate-root, and the passphrase of the root key that followed."""
    path = os.path.join(parent.dir, "phrase")
    with open(path, "w") as f:
        f.write(phrase + "\n")
    os.chmod(path, 0o644)
    r = tool(parent, "rotate-root", "--passphrase-file", path, *args, check=check)
    said = re.search(r"shown only now: (\S+)", r.stdout)
    return r, said and said.group(1)


def stolen_key(parent, use="bundle"):
    """What somebody has who read the database and the parent's key file."""
    kid, sealed = parent.postgres.psql(f"SELECT kid, encode(sealed, 'hex') FROM signing_key WHERE use = '{use}' "
                                       "ORDER BY created_at DESC LIMIT 1")[0]
    with open(os.path.join(parent.state, "parent.key"), "rb") as f:
        box, key = bytes.fromhex(sealed), f.read()
    k = wireclient.Key(AESGCM(key).decrypt(box[:12], box[12:], kid.encode()))
    assert k.kid == kid
    return k


def plant(parent, agent, device_id, key, size):
    """The agent is away and comes back to this: the offered bundle of the device, one revision on, with another setting, signed by key: as a thief would send it."""
    jws = parent.postgres.psql("SELECT b.jws FROM bundle b JOIN device d ON d.id = b.device_id AND d.offered_rev = b.rev "
                               f"WHERE d.id = '{device_id}'")[0][0]
    doc = json.loads(wireclient.unb64u(json.loads(jws)["payload"]))
    doc["rev"] = int(parent.postgres.psql("SELECT nextval('bundle_rev')")[0][0])
    doc["sections"]["postfix"]["settings"]["smtp.message_size_limit"] = size
    doc["content_digest"] = hashlib.sha256(wireclient.dumps({"sections": doc["sections"]})).hexdigest()
    text = key.jws("inari-bundle+jws", doc)
    agent.stop()
    parent.stop()
    parent.postgres.psql(f"UPDATE bundle SET rev = {doc['rev']}, content_digest = '{doc['content_digest']}', jws = $q${text}$q$, "
                         f"etag = '{hashlib.sha256(text.encode()).hexdigest()}' WHERE device_id = '{device_id}' AND rev = "
                         f"(SELECT offered_rev FROM device WHERE id = '{device_id}');"
                         f"UPDATE device SET offered_rev = {doc['rev']}, desired_rev = {doc['rev']} WHERE id = '{device_id}'")
    parent.start()
    agent.start()
    return doc["rev"]


def test_keys_are_replaced_and_nobody_is_left_behind(new_parent, workdir, programs):
    parent = new_parent()
    api = parent.token()
    a = new_agent(workdir, "trust", programs)
    assert a.command("join", "--join", api.ok("POST", "/enrolment-tokens", {"name": "t"})["join"]).returncode == 0
    device = a.identity()["device_id"]
    wire = wireclient.Device(parent.base, parent.ca, "wire")
    wire.enrol(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    first = wire.fetch()
    a.start()
    was = wait_until(lambda: observed(a).get("rev"), "the first bundle", 30)
    digest = observed(a)["digest"]
    a.stop()

    # away for two of them; only the root key makes a document
    before = api.ok("GET", "/trust")
    assert before["n"] == 1 and [k["use"] for k in before["keys"] if k["in_force"]] == ["bundle", "receipt"]
    r = rotate(parent, "--reason", "x", phrase="wrong", check=False)
    assert r.returncode == 1 and "passphrase does not open" in r.stderr
    assert rotate(parent, check=False).returncode == 2 and rotate(parent, "--reason", "x", "--keep", check=False).returncode == 2
    for n in (2, 3):
        assert f"trust document {n}" in rotate(parent, "--reason", f"yearly {n}").stdout
        wait_until(lambda: api.ok("GET", "/trust")["n"] == n, "the running parent to follow", 10)
    now = api.ok("GET", "/trust")
    bundle = [k for k in now["keys"] if k["use"] == "bundle"]
    assert len(bundle) == 3 and [k["in_force"] for k in bundle] == [False, False, True]
    assert [bool(k["not_after"]) for k in bundle] == [True, True, False]
    assert bundle[2]["kid"] in inarictl(programs, parent, api, "trust")
    entry = api.ok("GET", "/audit?action=trust.rotate&limit=1")["items"][0]
    assert entry["detail"]["kid"] == bundle[2]["kid"] and entry["detail"]["before"] == bundle[1]["kid"]
    # what was fetched before: the same content, signed anew, under a fresh revision
    wire.walk()
    again = wire.fetch()
    assert again["rev"] > first["rev"] and again["content_digest"] == first["content_digest"]
    a.start()
    wait_until(lambda: observed(a).get("rev", 0) > was, "the agent to walk and take it", 60)
    assert "event=trust.next n=2" in a.log() and "event=trust.next n=3" in a.log()
    assert observed(a)["digest"] == digest and a.condition("ConfigVerified")["status"] == "True"
    # a document that the root key has not signed is refused, and named
    stranger = wireclient.Key()
    doc = json.loads(wireclient.unb64u(json.loads(wire.call("GET", "/api/agent/v1/trust/3").content)["payload"]))
    forged = stranger.jws("inari-trust+jws", {**doc, "n": 4, "root": stranger.jwk})
    a.stop()
    parent.stop()
    parent.postgres.psql(f"INSERT INTO trust_document (n, jws) VALUES (4, $q${forged}$q$)")
    parent.start()
    a.start()
    wait_until(lambda: "event=trust.refused" in a.log(), "the refusal", 60)
    assert json.loads(wireclient.unb64u(json.loads(a.identity()["trust"])["payload"]))["n"] == 3
    a.stop()
    parent.stop()
    parent.postgres.psql("DELETE FROM trust_document WHERE n = 4")
    parent.start()
    a.start()

    # stolen: while the key is believed what a thief signs is taken (so the case is tested), and never after
    thief, thief_receipt = stolen_key(parent), stolen_key(parent, "receipt")
    rev = plant(parent, a, device, thief, 7000001)
    wait_until(lambda: observed(a).get("rev") == rev, "the thief's bundle, of a key that is believed", 90)
    rotate(parent, "--reason", "the backup was stolen", "--stolen", "--receipt")
    wait_until(lambda: observed(a).get("rev", 0) > rev, "the parent's own again", 90)
    good = observed(a)["rev"]
    listed = [k["kid"] for k in api.ok("GET", "/trust")["keys"]]
    assert thief.kid not in listed and thief_receipt.kid not in listed
    plant(parent, a, device, thief, 7000002)
    wait_until(lambda: a.condition("ConfigVerified")["status"] == "False", "the refusal", 90)
    assert a.condition("ConfigVerified")["reason"] == "Signature" and observed(a)["rev"] == good
    # nor do receipts of the stolen key bring anybody back
    forged = thief_receipt.jws("inari-receipt+jws", {"fleet": wire.trust["fleet"], "device": wire.id, "kid": wire.sig.kid,
                                                     "at": "", "approver": "admin"}, compact=True)
    assert show_receipt(wire, forged).status_code == 401
    # and who joins now is told of the new keys only
    late = wireclient.Device(parent.base, parent.ca, "late")
    late.answer = late.post_enrolment(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    assert late.answer.status_code == 201 and len(late.answer.json()["trust"]) == 4
    a.stop()


def test_what_is_published_while_the_key_is_replaced_is_signed_by_the_new_one(new_parent):
    """It waits for the same lock, and has the lock before the running parent has read the key: signed by a key that was
    just called stolen, no device would ever take it."""
    parent = new_parent()
    api = parent.token()
    wire = wireclient.Device(parent.base, parent.ca, "wire")
    wire.enrol(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    wire.fetch()
    draft = api.ok("POST", "/drafts", {"title": "meanwhile"})
    api.change(f"/drafts/{draft['id']}", {"fleet": {"smtp.message_size_limit": 23000000}})
    psql = parent.postgres.psql
    lock = "FROM pg_locks WHERE locktype = 'advisory' AND classid = 8445 AND objid = 2"
    answers, done = [], []

    def hold():
        try:
            psql("SELECT pg_advisory_lock(8445, 2), pg_sleep(60)")
        except AssertionError:
            pass  # taken from it

    def publish():
        while not answers or answers[-1].status_code == 503:
            answers.append(api.post(f"/drafts/{draft['id']}/publish", json={"reason": "r"}))
            time.sleep(0.1)
    # the key's row is written by then: behind it, the parent reads keys only after the publication had its time
    late = threading.Thread(target=psql, args=("BEGIN; LOCK TABLE signing_key IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1); COMMIT",))
    threads = [threading.Thread(target=f) for f in
               (hold, lambda: done.append(rotate(parent, "--reason", "stolen", "--stolen")), publish)]
    for i, t in enumerate(threads):  # in this order they get it
        t.start()
        wait_until(lambda: psql(f"SELECT count(*), count(*) FILTER (WHERE NOT granted) {lock}") == [[str(i + 1), str(i)]],
                   "its place", 20, 0.02)
        if i == 1:
            late.start()
            wait_until(lambda: psql("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'signing_key'::regclass") ==
                       [["1"]], "it to wait", 20, 0.02)
    psql(f"SELECT pg_terminate_backend(pid) {lock} AND granted")
    for t in (*threads, late):
        t.join(60)
    assert done and answers[-1].status_code == 201, [a.text for a in answers]
    assert "db.tx_again" not in parent.log() + done[0].stderr, "neither waits for what the other holds"
    wait_until(lambda: api.ok("GET", "/trust")["n"] == 2, "the running parent to follow", 10)
    wire.walk()
    assert wire.trust["n"] == 2 and len(wire.keys("bundle")) == 1
    assert wire.fetch()["sections"]["postfix"]["settings"]["smtp.message_size_limit"] == 23000000


def test_another_root_key_and_nobody_is_left_behind(new_parent, workdir, programs):
    """A child that was away for two of them walks over both; who joins afterwards as well; the key before signs nothing more."""
    parent = new_parent()
    api = parent.token()
    wire = wireclient.Device(parent.base, parent.ca, "wire")
    wire.enrol(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    a = new_agent(workdir, "root", programs)
    assert a.command("join", "--join", api.ok("POST", "/enrolment-tokens", {"name": "t"})["join"]).returncode == 0
    first, before = root_passphrase(parent), api.ok("GET", "/trust")
    files = set(os.listdir(parent.state))

    refused, _ = replace_root(parent, "wrong", "--reason", "x", check=False)
    assert refused.returncode == 1 and "passphrase does not open" in refused.stderr
    assert replace_root(parent, first, check=False)[0].returncode == 2
    assert replace_root(parent, first, "--reason", "x", "--stolen", check=False)[0].returncode == 2
    assert set(os.listdir(parent.state)) == files and api.ok("GET", "/trust") == before
    phrases = [first]
    for n in (2, 3):
        r, phrase = replace_root(parent, phrases[-1], "--reason", f"yearly {n}")
        assert f"trust document {n}" in r.stdout
        phrases.append(phrase)
        wait_until(lambda: api.ok("GET", "/trust")["n"] == n, "the running parent to follow", 10)
    now = api.ok("GET", "/trust")
    assert now["root"] != before["root"] and now["keys"] == before["keys"]
    entry = api.ok("GET", "/audit?action=trust.root&limit=1")["items"][0]
    assert entry["detail"]["kid"] == now["root"] and entry["detail"]["reason"] == "yearly 3"
    left = sorted(set(os.listdir(parent.state)) - files)
    assert len(left) == 2 and all(name.startswith("root.key.pem.") for name in left), left
    assert not any(p in parent.log() for p in phrases)

    # the root key of now signs, the one before does not, whatever its file is called
    r = rotate(parent, "--reason", "x", "--root-key", os.path.join(parent.state, left[0]), phrase=phrases[0], check=False)
    assert r.returncode == 1 and "is not the root key of this fleet" in r.stderr
    assert "trust document 4" in rotate(parent, "--reason", "after it", phrase=phrases[-1]).stdout
    wait_until(lambda: api.ok("GET", "/trust")["n"] == 4, "the running parent to follow", 10)
    assert "root_change" not in json.loads(wireclient.unb64u(json.loads(wire.call("GET", "/api/agent/v1/trust/4").content)["payload"]))
    wire.walk()
    assert wire.trust["n"] == 4 and wire.fetch()
    a.start()
    wait_until(lambda: "event=trust.next n=4" in a.log(), "the agent to walk over all of them", 60)
    wait_until(lambda: observed(a).get("rev"), "its bundle, signed by the newest bundle key", 30)
    a.stop()
    a.start()  # what it keeps is whole
    wait_until(lambda: a.condition("Authenticated")["status"] == "True", "to be back", 60)
    a.stop()
    late = new_agent(workdir, "rootlate", programs)
    assert late.command("join", "--join", api.ok("POST", "/enrolment-tokens", {"name": "t"})["join"]).returncode == 0
    late.start()
    wait_until(lambda: observed(late).get("rev"), "the bundle of one that joined afterwards", 60)
    late.stop()
