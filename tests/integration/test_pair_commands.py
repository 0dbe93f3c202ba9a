"""Tracked commands through the whole pair on the lab: parent, agent, helper and a real Postfix; kills in the middle."""
import json
import os
import subprocess
import time
import uuid

import parentlib
import pytest
from inarilab import parts
from inarilab.system import programs
from parentlib import wait_until
from test_pair_faults import respawn

pytestmark = pytest.mark.lab
OPEN = ("queued", "delivered", "running")


def give(lab, child, kind, args=None, **body):
    return lab.api.ok("POST", f"/devices/{child}/commands", {"kind": kind, "args": args or {}, **body})["id"]


def command(lab, ident):
    return lab.api.ok("GET", f"/commands/{ident}")


def ended(lab, ident, timeout=30):
    return wait_until(lambda: (lambda c: c if c["state"] not in OPEN else None)(command(lab, ident)),
                      f"command {ident} to end (is {command(lab, ident)})", timeout, 0.05)


def done(lab, ident, timeout=30):
    c = ended(lab, ident, timeout)
    assert c["state"] == "done", c
    return c


def run(lab, child, kind, args=None, timeout=30, **body):
    return done(lab, give(lab, child, kind, args, **body), timeout)


def output(lab, ident):
    text, at = "", 0
    while True:
        page = lab.api.ok("GET", f"/commands/{ident}/output?from={at}")
        text += page["text"]
        at = page["next"]
        if page["complete"]:
            return text


def queue(lab, child, **args):
    c = run(lab, child, "queue-show", args)
    return [json.loads(x) for x in output(lab, c["id"]).splitlines()], c["result"]


def put_in_queue(lab, child, count, mark=None):
    """Messages held in the child's queue: submitted on the host itself while everything new is put on hold."""
    mark = mark or f"cmd-{uuid.uuid4().hex[:8]}"
    code = ("import subprocess,sys\nfor i in range(int(sys.argv[1])):\n subprocess.run(['/usr/sbin/sendmail','-f',"
            "'%s-%d@outside.test'%(sys.argv[2],i),'user@example.test'],input=b'Subject: x\\n\\nx\\n',check=True)")
    lab.execute(child, "/usr/bin/python3", "-c", code, str(count), mark, timeout=120)
    return mark


@pytest.fixture
def child(healthy_lab):
    """The last child, afterwards with an ordinary agent and helper and nothing of ours in its queue."""
    name = healthy_lab.children[-1]
    yield name
    for part in ("helper", "agent"):
        respawn(healthy_lab, name, part)
    healthy_lab.wait_in_sync([name])


def cli(lab, *args, check=True):
    j = lab.json
    env = {**os.environ, "INARI_API": j["api"], "INARI_CA": j["ca"], "INARI_TOKEN": lab.lab.state["token"], "LC_ALL": "C",
           **parentlib.SAN_ENV}
    r = subprocess.run([programs(parentlib.build_dir())["inarictl"], *args], capture_output=True, text=True, env=env, timeout=150)
    assert not check or r.returncode == 0, r.stdout + r.stderr
    return r


def test_self_check_and_queue_by_inarictl(lab):
    child = lab.children[0]
    checks = json.loads(cli(lab, "self-check", child, "--json").stdout)
    assert checks["state"] == "done" and checks["result"]["ok"] is True
    assert {"helper", "postfix-running", "listeners", "agent", "running-configuration"} <= \
        {c["name"] for c in checks["result"]["checks"]}
    text = cli(lab, "queue", child).stdout
    assert "messages" in text
    rows = cli(lab, "commands", "--device", child).stdout
    assert "queue-show" in rows and "self-check" in rows and "done" in rows


def test_waits_while_the_device_is_away_and_expires(healthy_lab, child):
    """Queued for an agent that is down: one runs on its return, one has expired by then and never runs."""
    lab, host = healthy_lab, healthy_lab.lab.host(child)
    host.kill("inari-agent")
    wait_until(lambda: not host.named("inari-agent"), "the agent to be gone", 10)
    short, long_ = give(lab, child, "self-check", expires_in_s=10), give(lab, child, "queue-show", expires_in_s=600)
    gone = ended(lab, short, 25)
    assert gone["state"] == "expired" and gone["started_at"] is None and command(lab, long_)["state"] == "queued"
    respawn(lab, child, "agent")
    done(lab, long_)
    assert command(lab, short)["state"] == "expired"


POINTS = [("agent", "command-kept"), ("agent", "command-accepted"), ("agent", "command-begun"), ("agent", "command-done"),
          ("agent", "command-told"), ("helper", "command-begun"), ("helper", "command-done")]


@pytest.mark.slow
@pytest.mark.parametrize("part,point", POINTS)
def test_killed_in_the_middle_and_still_done(healthy_lab, child, part, point):
    """kill -9 of the agent or the helper at each step: the command ends as done, its output is there once."""
    lab, host = healthy_lab, healthy_lab.lab.host(child)
    program = parts.PARTS[part]
    respawn(lab, child, part, INARI_CRASH_AT=point)
    ident = give(lab, child, "queue-show")
    wait_until(lambda: not host.named(program), f"{program} to die at {point}", 20)
    respawn(lab, child, part)
    c = done(lab, ident)
    assert len(output(lab, ident).encode()) == c["output_bytes"]


def test_parent_killed_in_the_middle(healthy_lab, child):
    lab = healthy_lab
    ident = give(lab, child, "queue-show")
    lab.verb("kill", "parent/inarid")
    lab.verb("start", "parent")
    done(lab, ident, 60)
    time.sleep(0.2)
    assert len(output(lab, ident).encode()) == command(lab, ident)["output_bytes"]
