"""A drained gateway takes no new mail on 25 while its queue empties, whatever happens to it meanwhile: on the lab."""
import pytest
from parentlib import wait_until
from test_dry_run import cli
from test_pair_commands import run
from test_pair_faults import attempt, condition, inherit, new_size, publish_for, respawn

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def rcpt(lab, child):
    """What a stranger is told on port 25."""
    code = ("import smtplib,sys\ns=smtplib.SMTP(sys.argv[1],25,timeout=10)\ns.ehlo('outside.lab.test')\ns.mail('a@outside.test')\n"
            "print(*s.rcpt('nobody@lab.test'))\n")
    said = lab.execute("outside", "python3", "-c", code, lab.address(child)).stdout
    return int(said.split()[0]), said


def device(lab, child):
    return lab.api.ok("GET", f"/devices/{child}")


@pytest.fixture
def child(healthy_lab):
    lab, name = healthy_lab, healthy_lab.children[-1]
    lab.wait_in_sync()
    yield name
    for part in ("helper", "agent"):
        respawn(lab, name, part)
    run(lab, name, "undrain")
    inherit(lab, name, "smtp.message_size_limit")


def test_drained_stays_drained(healthy_lab, child):
    lab = healthy_lab
    before, _ = rcpt(lab, child)
    assert before != 450
    assert f"{child} takes no new mail" in cli(lab, "drain", child, "--reason", "disk is swapped")
    code, said = rcpt(lab, child)
    assert code == 450 and "takes no new mail" in said
    assert rcpt(lab, lab.children[0])[0] == before, "only this one"
    seen = wait_until(lambda: (d := device(lab, child))["drain"] and d, "the report", 20)
    assert seen["drain"]["reason"] == "disk is swapped" and seen["drain"]["by"].startswith("token:")
    assert "drained" in next(x for x in cli(lab, "devices").splitlines() if x.startswith(child))
    wait_until(lambda: condition(lab, child, "Drained")["reason"] == "Empty", "the queue to be empty", 70)
    # restarts of agent, helper and Postfix
    for part in ("helper", "agent"):
        respawn(lab, child, part)
    run(lab, child, "service-restart", {"service": "postfix"})
    assert rcpt(lab, child)[0] == 450
    # a publication, applied and proven, leaves it drained
    pub = publish_for(lab, child, new_size())
    assert attempt(lab, child, pub, ("committed", "rejected", "reverted", "degraded"))["result"] == "committed"
    assert rcpt(lab, child)[0] == 450 and device(lab, child)["drain"] is not None
    # what runs is put back: still drained
    respawn(lab, child, "helper", INARI_MUTATE="reload:master-unknown-port")
    pub = publish_for(lab, child, new_size())
    assert attempt(lab, child, pub, ("committed", "rejected", "reverted", "degraded"))["result"] == "reverted"
    respawn(lab, child, "helper")
    assert rcpt(lab, child)[0] == 450
    # the host
    lab.verb("kill", child)
    lab.verb("start", child)
    wait_until(lambda: rcpt(lab, child)[0] == 450, "the host to be back, drained", 60, 0.5)
    assert f"{child} takes mail again" in cli(lab, "undrain", child)
    assert rcpt(lab, child)[0] == before
    wait_until(lambda: device(lab, child)["drain"] is None, "the report", 20)
    assert condition(lab, child, "Drained")["status"] == "False"
