"""A parent that knows less than its children harms nobody: it is fenced until an administrator has decided."""
import json
import os
import subprocess
import time

import parentlib
import pytest
from agentlib import new_agent, pin_of
from ctllib import Ctl
from parentlib import as_user, wait_until
from test_agent_api_poll import make_device, word
from test_backup import pub_of, tool


@pytest.fixture
def passphrase(workdir, system_users):
    d = parentlib.folder(workdir, f"keep-{os.urandom(2).hex()}")
    with open(f"{d}/pass", "w") as f:
        f.write("correct horse battery\n")
    subprocess.run(["chown", "-R", "inari:inari", d], check=True)
    return d


def settled(api, parent):
    d = make_device(api, parent)
    d.fetch()
    assert d.put_status(d.status(running=False)).status_code == 204
    return d


def publish(api, size):
    draft = api.ok("POST", "/drafts", {"title": "t"})
    api.change(f"/drafts/{draft['id']}", {"fleet": {"smtp.message_size_limit": size}})
    return api.post(f"/drafts/{draft['id']}/publish", json={"reason": "t"})


@pytest.mark.slow
def test_restored_parent_downgrades_nobody_until_told(new_parent, passphrase):
    parent = new_parent()
    api = parent.token()
    ahead, other = settled(api, parent), settled(api, parent)
    tool(parent, "backup", f"{passphrase}/b", "--passphrase-file", f"{passphrase}/pass")
    assert publish(api, 11_000_000).status_code == 201
    ahead.fetch()
    had = int(ahead.have.split(".")[1])
    parent.stop()
    tool(parent, "restore", f"{passphrase}/b", "--passphrase-file", f"{passphrase}/pass", "--replace")
    parent.start()

    # Children: who knows more keeps it, who does not goes on.
    assert word(ahead.desired()) == "parent-behind"
    assert other.desired().status_code in (200, 304)
    # Administrators: it says so, and nothing is given out, also after a restart.
    parent.restart()
    assert word(ahead.desired()) == "parent-behind"
    r = publish(api, 12_000_000)
    assert r.status_code == 503 and word(r) == "fenced" and "restored" in r.json()["detail"]
    shown = api.ok("GET", "/recovery")
    assert shown["fenced"] and shown["reason"] == "restored" and shown["backup_of"]
    assert [x["id"] for x in shown["ahead"]] == [ahead.id] and shown["ahead"][0]["rev"] == had
    ctl = Ctl.of(parent.programs, parent, api, parent.dir)
    out = ctl.ends(1, "recovery")[0]
    assert "restored" in out and shown["ahead"][0]["name"] in out
    ctl.ends(2, "recovery", "continue", "--reason", "x")  # asks for --yes

    # The decision: everything anew, above what any device has seen.
    assert ctl.json("recovery", "continue", "--reason", "the backup counts", "--yes")["fenced"] is False
    for d in (ahead, other):
        d.fetch()
        assert int(d.have.split(".")[1]) > had
    assert publish(api, 12_000_000).status_code == 201
    assert api.get("/recovery").json()["ahead"] == []
    r = api.post("/recovery/continue", json={"reason": "again"})
    assert r.status_code == 409 and "not fenced" in r.json()["detail"]
    audit = api.ok("GET", "/audit?action=recovery.continue")["items"]
    assert len(audit) == 1 and audit[0]["detail"]["reason"] == "the backup counts"
    assert api.ok("GET", "/audit/verify")["ok"]


@pytest.mark.slow
def test_lost_settings_come_back_from_the_fleet(new_parent, passphrase, workdir, programs):
    """F3: what was published after the backup is shown setting by setting, as the devices hold it, and taken over into a
    draft; nobody goes back meanwhile, and what comes then is above all they have seen."""
    parent = new_parent()
    api = parent.token()
    one, two = settled(api, parent), settled(api, parent)
    agent = new_agent(workdir, "kept", programs)
    r = agent.join(parent.base, pin_of(parent.ca), *(parent.admin or parent.reset_admin()))
    assert r.returncode == 0, r.stderr
    agent.start()
    tool(parent, "backup", f"{passphrase}/b", "--passphrase-file", f"{passphrase}/pass")
    size = 11_000_000
    pub = api.publish({"fleet": {"smtp.message_size_limit": size}, "devices": {one.id: {"smtp.banner_text": "the first"}}})["pub"]
    for d in (one, two):
        d.fetch()
    had = [int(d.have.split(".")[1]) for d in (one, two)]
    wait_until(lambda: (agent.status()["status"]["observed"] or {}).get("pub") == pub, "the agent to hold it", 30)
    parent.stop()
    tool(parent, "restore", f"{passphrase}/b", "--passphrase-file", f"{passphrase}/pass", "--replace")
    parent.start()

    # Only what this fleet signed for the device itself counts.
    assert word(one.desired()) == "parent-behind"
    assert one.keep(two.kept).status_code == 422
    assert one.keep(one.kept.replace(b'"payload":"', b'"payload":"A', 1)).status_code == 422
    assert one.keep(b"{}").status_code == 422
    for d in (one, two):
        assert d.keep().status_code == 204 and d.keep().status_code == 204
    # The real agent sends its own as soon as it is told, which is when its pause is over: the longer the parent was away, the longer that is.
    lost = wait_until(lambda: (x := api.ok("GET", "/recovery/lost")["items"]) and len(x) == 3 and x, "all three", 200, 0.2)
    assert "event=parent.kept rev=" in agent.log()
    assert all(x["pub"] == pub for x in lost)
    changed = {x["id"]: {i["key"]: i["device"] for i in x["settings"]} for x in lost}
    assert changed[two.id] == {"smtp.message_size_limit": size}
    assert changed[one.id] == {"smtp.message_size_limit": size, "smtp.banner_text": "the first"}
    ctl = Ctl.of(parent.programs, parent, api, parent.dir)
    out = ctl.ends(1, "recovery")[0]
    assert "smtp.message_size_limit" in out and str(size) in out and "the first" in out
    assert len(ctl.json("recovery", status=1)["lost"]) == 3

    # Into a draft while fenced; the fence ends without giving the old settings out; the draft is published.
    assert api.ok("POST", "/recovery/adopt?dry_run=true", {"title": "x"})["changes"]["fleet"] == {"smtp.message_size_limit": size}
    draft = api.ok("GET", f"/drafts/{ctl.ok('recovery', 'adopt', '--title', 'what was lost').strip()}")
    assert draft["changes"]["fleet"] == {"smtp.message_size_limit": size}
    assert draft["changes"]["devices"] == {one.id: {"smtp.banner_text": "the first"}}
    assert word(api.post(f"/drafts/{draft['id']}/publish", json={"reason": "x"})) == "fenced"
    ctl.ok("recovery", "continue", "--keep", "--reason", "from the fleet", "--yes")
    assert word(one.desired()) == "parent-behind", "the old settings are given out"
    api.ok("POST", f"/drafts/{draft['id']}/publish", {"reason": "what was lost"})
    for d, old in zip((one, two), had):
        before = d.last["content_digest"]
        d.fetch()
        assert int(d.have.split(".")[1]) > old and d.last["content_digest"] == before
    assert api.ok("GET", "/recovery/lost")["items"] == [] and api.post("/recovery/adopt", json={"title": "x"}).status_code == 404
    agent.stop()


def test_device_ahead_of_everything_fences(new_parent):
    """What never was given out here was given out by this fleet's parent in a life that this database does not know."""
    parent = new_parent()
    api = parent.token()
    d, liar = settled(api, parent), settled(api, parent)
    epoch, rev = d.have.split(".")
    assert word(liar.desired(etag=None, have=f"{epoch}.{int(rev) + 500}")) == "parent-behind"
    wait_until(lambda: api.ok("GET", "/recovery")["fenced"], "the fence")
    shown = api.ok("GET", "/recovery")
    assert shown["reason"] == "device-ahead" and shown["highest"] == int(rev) + 500
    assert word(publish(api, 11_000_000)) == "fenced"
    assert d.desired().status_code == 304
    api.ok("POST", "/recovery/continue", {"reason": "a test"})
    d.fetch()
    assert int(d.have.split(".")[1]) > int(rev) + 500 + 1000, "devices that were not heard may be further still"


@pytest.mark.slow
def test_device_of_a_later_epoch_fences(new_parent):
    """Whatever its revision is: a parent of that epoch has been, and this database does not know it."""
    parent = new_parent()
    api = parent.token()
    liar = settled(api, parent)
    epoch, rev = (int(x) for x in liar.have.split("."))
    assert word(liar.desired(etag=None, have=f"{epoch + 1}.{rev}")) == "parent-behind"
    wait_until(lambda: api.ok("GET", "/recovery")["fenced"], "the fence")
    assert api.ok("GET", "/recovery")["reason"] == "device-ahead" and word(publish(api, 11_000_000)) == "fenced"


@pytest.mark.slow
def test_no_device_can_use_up_the_revisions(new_parent):
    """A number that no parent can have given is nonsense, not news: to go on above it would leave no number for anybody."""
    parent = new_parent()
    api = parent.token()
    d, liar = settled(api, parent), settled(api, parent)
    epoch, rev = d.have.split(".")
    for many in (2**63 - 1, 2**63 - 1000, 2**52 + 1):
        assert liar.desired(have=f"{epoch}.{many}").status_code == 304
    assert word(liar.desired(etag=None, have=f"{epoch}.{2**52}")) == "parent-behind"
    wait_until(lambda: api.ok("GET", "/recovery")["fenced"], "the fence")
    assert api.ok("GET", "/recovery")["highest"] == 2**52
    api.ok("POST", "/recovery/continue", {"reason": "a test"})
    d.fetch()
    assert publish(api, 12_000_000).status_code == 201
    d.fetch()
    assert int(d.have.split(".")[1]) > 2**52
    assert d.desired().status_code == 304


@pytest.mark.slow
def test_database_behind_its_witness_fences(new_parent):
    """An older copy of the database (a snapshot, a standby promoted with lost transactions): the witness has seen more."""
    parent = new_parent()
    api = parent.token()
    for size in (11_000_000, 12_000_000):
        assert publish(api, size).status_code == 201
    with open(os.path.join(parent.state, "witness.json")) as f:
        assert json.load(f)["pub"] == pub_of(parent)
    parent.stop()
    parent.postgres.psql("DELETE FROM leaf_origin; DELETE FROM rollout; DELETE FROM revision WHERE pub > 1")
    parent.start()
    assert api.ok("GET", "/recovery")["reason"] == "database-behind"
    assert word(publish(api, 13_000_000)) == "fenced"


@pytest.mark.slow
def test_another_database_is_refused(new_parent):
    """A parent that has served a fleet starts neither a second fleet in an empty database nor somebody else's."""
    parent = new_parent()
    fleet = parent.token().ok("GET", "/parent")["fleet"]
    parent.stop()
    parent.postgres.psql("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION inari")
    parent.start(wait=False)
    wait_until(lambda: f"has served fleet {fleet}" in parent.log(), "the refusal")
    assert parent.session().get("/readyz").status_code == 503
    assert parent.postgres.psql("SELECT count(*) FROM revision") == [["0"]]
    os.unlink(os.path.join(parent.state, "witness.json"))
    parent.wait_ready()
    parent.admin = None  # a new fleet has a new administrator
    assert parent.token().ok("GET", "/parent")["fleet"] != fleet


@pytest.mark.slow
def test_revocations_come_back_from_the_fleet(new_parent, passphrase, workdir, programs):
    """F6: who was revoked after the backup gets nothing from the restored parent, before and after a device that kept the
    signed notice has brought it."""
    parent = new_parent()
    api = parent.token()
    thief, back, late, other = (settled(api, parent) for _ in range(4))
    agent = new_agent(workdir, "keeper", programs)
    assert agent.join(parent.base, pin_of(parent.ca), *(parent.admin or parent.reset_admin())).returncode == 0
    agent.start()
    api.ok("POST", f"/devices/{back.id}/revoke", {"reason": "an error"})
    old = other.notice()
    api.ok("POST", f"/devices/{back.id}/reinstate", {"reason": "it was"})
    api.ok("POST", f"/devices/{back.id}/approve", {})
    assert back.id in other.notice_of(old)["revoked"]
    tool(parent, "backup", f"{passphrase}/b", "--passphrase-file", f"{passphrase}/pass")
    api.ok("POST", f"/devices/{thief.id}/revoke", {"reason": "stolen"})
    command = api.post(f"/devices/{other.id}/commands", json={"kind": "self-check"})
    assert command.status_code in (201, 202), command.text
    other.desired()
    # The real agent hears within a poll that there is a newer notice, and keeps it.
    api.change(f"/devices/{agent.identity()['device_id']}", {"drift": "enforce"})
    kept = os.path.join(agent.state, "notice.jws")
    wait_until(lambda: thief.id in other.notice_of(open(kept, "rb").read())["revoked"], "the agent to keep it", 60, 0.2)
    agent.stop()
    parent.stop()
    tool(parent, "restore", f"{passphrase}/b", "--passphrase-file", f"{passphrase}/pass", "--replace")
    parent.start()

    # Before anybody reported: the parent believes it is a device like any other, and gives nobody anything.
    assert api.ok("GET", f"/devices/{thief.id}")["state"] == "observing"
    thief.access = None
    thief.sign_in()
    r = thief.desired(etag=None, have="0.0")
    assert r.status_code == 503 and word(r) == "fenced" and r.headers["Inari-Parent"] == "fenced"
    for path in ("commands", f"commands/{api.ok('GET', '/devices')['items'][0]['id']}/bundle"):
        r = thief.call("GET", f"/api/agent/v1/{path}", headers=thief.auth())
        assert r.status_code == 503 and word(r) == "fenced", path
    r = thief.call("POST", "/api/agent/v1/keys", data=b"{}", headers={**thief.auth(), "Inari-Proof": "x", "Content-Type": "application/jose+json"})
    assert r.status_code == 503 and word(r) == "fenced"
    t0 = time.monotonic()
    r = other.desired(wait=30)  # unchanged polls are answered as ever, and not held
    assert r.status_code == 304 and r.headers["Inari-Parent"] == "fenced" and time.monotonic() - t0 < 10
    assert other.notice_of(other.notice())["fenced"] and api.ok("GET", "/recovery")["notice"] is None

    # What is not signed by this fleet says nothing; an old notice revokes nobody who was reinstated since.
    assert other.keep(old.replace(b'"payload":"', b'"payload":"A', 1)).status_code == 422
    assert other.keep(other.sig.jws("inari-notice+jws", {"fleet": other.trust["fleet"], "iat": int(time.time()),
                                                        "revoked": [late.id]}).encode()).status_code == 422
    assert other.keep(old).status_code == 204
    assert api.ok("GET", f"/devices/{back.id}")["state"] == "observing" and api.ok("GET", f"/devices/{late.id}")["state"] == "observing"

    # The agent comes, is told, and brings its own.
    agent.start()
    wait_until(lambda: api.ok("GET", f"/devices/{thief.id}")["state"] == "revoked", "the revocation to be back", 60, 0.2)
    assert word(thief.desired(etag=None, have="0.0")) == "device-revoked"
    assert thief.post_token().status_code == 403
    entry = api.ok("GET", "/audit?action=device.revoke")["items"][0]
    assert entry["object"] == f"device/{thief.id}" and "notice of" in entry["detail"]["reason"]
    shown = api.ok("GET", "/recovery")
    assert shown["fenced"] and shown["notice"]
    assert "NEWEST NOTICE" in Ctl.of(parent.programs, parent, api, parent.dir).ends(1, "recovery")[0].upper()
    api.ok("POST", "/recovery/continue", {"reason": "all have reported"})
    other.fetch()
    assert "Inari-Parent" not in other.desired().headers and thief.id in other.notice_of(other.notice())["revoked"]
    assert word(thief.desired(etag=None, have="0.0")) == "device-revoked"
    # Nobody is asked any more, and what somebody brings then changes nothing.
    api.ok("POST", f"/devices/{thief.id}/reinstate", {"reason": "found again"})
    assert other.keep(open(kept, "rb").read()).status_code == 204
    assert api.ok("GET", f"/devices/{thief.id}")["state"] == "pending"
    agent.stop()
