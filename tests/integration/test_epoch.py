"""F5: a new epoch, signed by the fleet's root key, is the one way in which a device takes a lower revision, once."""
import os
import subprocess

import pytest
from agentlib import new_agent, pin_of
from ctllib import Ctl
from parentlib import folder, wait_until
from test_agent_api_poll import word
from test_backup import tool
from test_recovery import passphrase, publish, settled  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow


def root_passphrase(parent):
    with open(os.path.join(parent.state, "first-login.txt")) as f:
        return next(line.split(": ")[1].strip() for line in f if "root.key.pem" in line)


def new_epoch(parent, *args, phrase=None, check=True):
    path = os.path.join(parent.dir, "phrase")
    with open(path, "w") as f:
        f.write((phrase or root_passphrase(parent)) + "\n")
    os.chmod(path, 0o644)
    return tool(parent, "new-epoch", "--passphrase-file", path, *args, check=check)


def observed(agent):
    return agent.status()["status"]["observed"] or {}


def epoch_of(parent):
    return int(parent.postgres.psql("SELECT value->>'n' FROM meta WHERE key = 'epoch'")[0][0])


def test_lower_revisions_count_once_and_only_by_the_root_key(new_parent, passphrase, workdir, programs):  # noqa: F811
    parent = new_parent()
    api = parent.token()
    d = settled(api, parent)
    agent = new_agent(workdir, "epoch", programs)
    assert agent.join(parent.base, pin_of(parent.ca), *(parent.admin or parent.reset_admin())).returncode == 0
    agent.start()
    tool(parent, "backup", f"{passphrase}/b", "--passphrase-file", f"{passphrase}/pass")
    pub = None
    for size in range(11, 16):
        pub = publish(api, size * 1_000_000).json()["pub"]
    wait_until(lambda: observed(agent).get("pub") == pub, "the agent to have it", 30)
    d.fetch()
    had, theirs = int(d.have.split(".")[1]), observed(agent)["rev"]
    agent.stop()
    parent.stop()
    tool(parent, "restore", f"{passphrase}/b", "--passphrase-file", f"{passphrase}/pass", "--replace")
    parent.start()
    assert word(d.desired()) == "parent-behind"

    # Without the root key there is no new epoch, and one that the database merely claims is refused by devices.
    r = new_epoch(parent, "--reason", "x", phrase="not the passphrase", check=False)
    assert r.returncode == 1 and "passphrase does not open" in r.stderr
    other = folder(workdir, f"root-{os.urandom(2).hex()}") + "/other.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes-256-cbc", "-pass",
                    "pass:" + root_passphrase(parent), "-out", other], check=True, capture_output=True)
    os.chmod(other, 0o644)
    r = new_epoch(parent, "--reason", "x", "--root-key", other, check=False)
    assert r.returncode == 1 and "not the root key of this fleet" in r.stderr
    assert tool(parent, "new-epoch", check=False).returncode == 2  # no reason, no change
    assert epoch_of(parent) == 1 and api.ok("GET", "/recovery")["fenced"]
    parent.stop()
    parent.postgres.psql("UPDATE meta SET value = '{\"n\": 2}' WHERE key = 'epoch'")
    parent.postgres.psql("DELETE FROM meta WHERE key = 'fence'")
    os.unlink(os.path.join(parent.state, "witness.json"))
    parent.start()
    assert publish(api, 20_000_000).status_code == 201
    agent.start()
    wait_until(lambda: agent.condition("ConfigVerified")["reason"] == "Rollback", "the refusal", 30)
    assert "root key has not signed" in agent.condition("ConfigVerified")["message"]
    assert (observed(agent)["epoch"], observed(agent)["rev"]) == (1, theirs)
    agent.stop()

    # With it: lower revisions of the new epoch are taken by all, once.
    said = new_epoch(parent, "--reason", "the counter was driven up").stdout
    assert "epoch 3" in said and "trust document 2" in said
    wait_until(lambda: api.ok("GET", "/parent")["epoch"] == 3, "the running parent to follow", 5)
    assert d.walk() == 3
    d.fetch()
    epoch, rev = (int(x) for x in d.have.split("."))
    assert epoch == 3 and rev < had, "the case is not tested: revisions went on above"
    agent.start()
    wait_until(lambda: observed(agent).get("epoch") == 3, "the agent to take it", 60)
    lower = observed(agent)["rev"]
    assert lower < theirs and "event=trust.next n=2 epoch=3" in agent.log()
    assert agent.condition("ConfigVerified")["status"] == "True" and agent.condition("Authenticated")["status"] == "True"
    assert not api.ok("GET", "/recovery")["fenced"] and api.ok("GET", "/recovery")["ahead"] == []

    # From then on as ever: the next is above, and what it has survives its restart.
    pub = publish(api, 21_000_000).json()["pub"]
    wait_until(lambda: observed(agent).get("pub") == pub, "the next publication", 30)
    assert (observed(agent)["epoch"], observed(agent)["rev"] > lower) == (3, True)
    agent.stop()
    agent.start()
    assert observed(agent)["pub"] == pub and observed(agent)["epoch"] == 3
    late = settled(api, parent)  # who joins now pins the newest document
    assert late.have.split(".")[0] == "3"
    entry, = api.ok("GET", "/audit?action=recovery.epoch")["items"]
    assert entry["detail"]["reason"] == "the counter was driven up" and (entry["detail"]["before"], entry["detail"]["epoch"]) == (2, 3)
    assert api.ok("GET", "/audit/verify")["ok"]
    assert [line.split()[1] for line in Ctl.of(parent.programs, parent, api, parent.dir).ok("recovery").splitlines()
            if line.upper().startswith("EPOCH")] == ["3"]
    agent.stop()


def test_kept_as_they_are_and_the_next_publication(new_parent):
    """--keep gives nothing out; a device far ahead is no new fence, and gets the next publication."""
    parent = new_parent()
    api = parent.token()
    d, far = settled(api, parent), settled(api, parent)
    _, rev = d.have.split(".")
    assert word(far.desired(etag=None, have=f"1.{int(rev) + 5000}")) == "parent-behind"
    wait_until(lambda: api.ok("GET", "/recovery")["fenced"], "the fence")
    new_epoch(parent, "--reason", "somebody had the bundle key", "--keep")
    wait_until(lambda: api.ok("GET", "/parent")["epoch"] == 2, "the running parent to follow", 5)
    assert not api.ok("GET", "/recovery")["fenced"]
    assert d.desired().status_code == 304
    assert word(far.desired(etag=None, have=f"1.{int(rev) + 5000}")) == "parent-behind"
    assert publish(api, 11_000_000).status_code == 201
    assert not api.ok("GET", "/recovery")["fenced"], "what a device had in an epoch that is over fenced again"
    for x in (d, far):
        assert x.walk() == 2
        r = x.desired(have=f"1.{int(rev) + 5000}")
        b = x.verify(r.content)
        assert b["epoch"] == 2 and b["rev"] < int(rev) + 5000
    assert word(d.desired(have=f"2.{int(rev) + 9000}")) == "parent-behind"  # in this epoch it counts as ever
    wait_until(lambda: api.ok("GET", "/recovery")["fenced"], "the fence of the new epoch")
