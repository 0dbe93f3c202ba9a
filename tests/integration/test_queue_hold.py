"""No delivery between the first new byte on disk and the comparison after the reload: Postfix's queue manager is stopped,
mail waits in the incoming queue, and it goes on whatever becomes of the helper."""
import os
import signal
import subprocess
import time
import uuid

import labrig
import pytest
from parentlib import wait_until
from test_pair_faults import attempt, child, digests, inherit, new_size, publish_for, respawn  # noqa: F401

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]
# What a program on the gateway itself sends: it asks nobody's leave.
SUBMIT = """
import subprocess, sys
subprocess.run(["/usr/sbin/sendmail", "-f", "sender@outside.test", "user2@example.test"], check=True, text=True,
               input=f"Message-ID: <{sys.argv[1]}>\\nSubject: x\\nFrom: sender@outside.test\\n\\nx\\n")
"""
# The same as soon as main.cf is empty and was reloaded with, by a process that is there before; "1": it still is empty then.
SUBMIT_THEN = """
import os, subprocess, sys, time
until = time.monotonic() + 60
while os.path.getsize("/etc/postfix/main.cf") > 0 and time.monotonic() < until:
    time.sleep(0.02)
time.sleep(0.3)
for n in range(3):
    subprocess.run(["/usr/sbin/sendmail", "-f", "sender@outside.test", "user2@example.test"], check=True, text=True,
                   input=f"Message-ID: <{sys.argv[1]}-{n}@outside.test>\\nSubject: x\\nFrom: sender@outside.test\\n\\nx\\n")
print(int(os.path.getsize("/etc/postfix/main.cf") == 0))
"""
ENDED = ("reverted", "rejected", "committed", "degraded")


def qmgr(lab, name):
    """(pid, state letter) of the child's queue manager."""
    master = int(lab.execute(name, "cat", "/var/spool/postfix/pid/master.pid").stdout)
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{p}/stat") as f:
                comm, rest = f.read().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if comm == "qmgr" and int(parent) == master:
            return int(p), state
    return None, None


def stopped(lab, name):
    return qmgr(lab, name)[1] == "T"


def send(lab, name, count=3):
    mark = f"hold-{uuid.uuid4().hex[:8]}"
    assert lab.sender(mark, count, 0.1, [name]).finish() == []
    return mark


def test_nothing_is_delivered_before_the_comparison(healthy_lab, child):
    """Running with an emptied main.cf Postfix gives mail back to its sender: \"loops back to myself\"."""
    lab = healthy_lab
    respawn(lab, child, "helper", INARI_MUTATE="reload:main-empty", INARI_PAUSE_AT="reloaded:2000")
    pub = publish_for(lab, child, new_size())
    main_cf = f"{lab.root(child)}/etc/postfix/main.cf"
    wait_until(lambda: os.path.getsize(main_cf) == 0, "the emptied main.cf", 10, 0.01)
    mark = f"hold-{uuid.uuid4().hex[:8]}"
    time.sleep(0.3)  # the reload
    for n in range(3):
        lab.execute(child, "/usr/bin/python3", "-c", SUBMIT, f"{mark}-{n}@outside.test")
    a = attempt(lab, child, pub, ENDED)
    assert a["result"] == "reverted" and a["duration_ms"] < 10_000, a
    try:
        lab.wait_arrived(mark, 3, 15)
    except AssertionError:
        print(*lab.story(child, f"{mark}-0@outside.test"), sep="\n")
        raise


def test_nothing_is_delivered_while_the_old_files_are_put_back(healthy_lab, child):
    """The same for the way back: somebody empties main.cf between the old files' return and the reload.  The helper was
    killed in the middle, so the next one goes back by itself."""
    lab, host = healthy_lab, healthy_lab.lab.host(child)
    before = digests(lab, child)
    respawn(lab, child, "helper", INARI_CRASH_AT="switched")
    pub = publish_for(lab, child, new_size())
    wait_until(lambda: not host.named("inari-helper"), "the helper to die", 10, 0.02)
    main_cf = f"{lab.root(child)}/etc/postfix/main.cf"
    mark = f"hold-{uuid.uuid4().hex[:8]}"
    with subprocess.Popen([labrig.COMMAND, "exec", "--dir", lab.dir, child, "--", "/usr/bin/python3", "-c", SUBMIT_THEN, mark],
                          stdout=subprocess.PIPE, text=True) as submit:
        respawn(lab, child, "helper", INARI_MUTATE="revert:main-empty", INARI_PAUSE_AT="revived:5000")
        wait_until(lambda: os.path.getsize(main_cf) == 0, "the emptied main.cf", 20, 0.01)
        assert stopped(lab, child)
        assert submit.communicate(timeout=60)[0].strip() == "1"
    a = attempt(lab, child, pub, (*ENDED, "interrupted"))
    assert a["result"] != "committed" and digests(lab, child) == before
    lab.wait_arrived(mark, 3, 15)
    assert not stopped(lab, child)


def test_mail_is_taken_in_and_goes_on_after_it(healthy_lab, child):
    lab = healthy_lab
    old, state = qmgr(lab, child)
    assert state not in ("T", None)
    respawn(lab, child, "helper", INARI_PAUSE_AT="reloading:3000")
    pub = publish_for(lab, child, new_size())
    wait_until(lambda: stopped(lab, child), "the queue manager to be stopped", 10, 0.02)
    mark = send(lab, child)
    assert lab.arrived(mark) == {}
    assert attempt(lab, child, pub, ENDED)["result"] == "committed"
    lab.wait_arrived(mark, 3, 10)  # by the new one, without waiting for its timer
    new, state = qmgr(lab, child)
    assert new != old and state != "T"


@pytest.mark.parametrize("guard_too", [False, True])
def test_goes_on_when_the_helper_is_killed(healthy_lab, child, guard_too):
    """The process beside it lets go when the helper dies; and when both are killed at once, the next helper does."""
    lab = healthy_lab
    respawn(lab, child, "helper", INARI_PAUSE_AT="switched:20000")
    publish_for(lab, child, new_size())
    wait_until(lambda: stopped(lab, child), "the queue manager to be stopped", 10, 0.02)
    time.sleep(0.2)
    pids = lab.lab.host(child).named("inari-helper")
    assert len(pids) == 2  # helper and guard
    with open("/proc/%d/status" % max(pids)) as f:
        uid = next(x for x in f if x.startswith("Uid:")).split()[1]
    assert uid != "0"  # the guard is Postfix's own user
    for p in sorted(pids, reverse=guard_too)[:2 if guard_too else 1]:  # the guard first: it must not let go
        os.kill(p, signal.SIGKILL)
    if guard_too:
        time.sleep(0.3)
        assert stopped(lab, child)
        respawn(lab, child, "helper")
    wait_until(lambda: qmgr(lab, child)[1] not in ("T", None), "the queue manager to go on", 5, 0.02)
    mark = send(lab, child)
    lab.wait_arrived(mark, 3, 10)


def test_goes_on_when_the_helper_hangs(healthy_lab, child):
    lab = healthy_lab
    respawn(lab, child, "helper", INARI_PAUSE_AT="switched:20000")
    publish_for(lab, child, new_size())
    wait_until(lambda: stopped(lab, child), "the queue manager to be stopped", 10, 0.02)
    t = time.monotonic()
    wait_until(lambda: not stopped(lab, child), "the queue manager to go on", 10, 0.05)
    assert time.monotonic() - t < 9
    mark = send(lab, child)
    lab.wait_arrived(mark, 3, 10)


def test_a_restart_compares_before_the_start(healthy_lab, child):
    """Values a reload does not take over: between stop and start nothing delivers, and nothing wrong is started."""
    lab = healthy_lab
    main_cf = f"{lab.root(child)}/etc/postfix/main.cf"
    with open(main_cf, newline="") as f:
        text = f.read()
    assert "inet_protocols = all" in text
    with open(main_cf, "w") as f:
        f.write(text.replace("inet_protocols = all", "inet_protocols = ipv4"))
    respawn(lab, child, "helper", INARI_MUTATE="reload:main-empty")

    def starts():
        return sum("daemon started" in x for x in lab.log(child).splitlines())
    before = starts()
    a = attempt(lab, child, publish_for(lab, child, new_size()), ENDED)
    # "degraded" where the edited file itself leaves a listener unanswered; put back it is all the same
    assert a["result"] in ("reverted", "degraded") and "is not what was validated" in a["problem"]["detail"], a["problem"]
    assert starts() == before + 1
    respawn(lab, child, "helper")
    assert attempt(lab, child, publish_for(lab, child, new_size()), ENDED)["result"] == "committed"
    with open(main_cf) as f:
        assert "inet_protocols = all" in f.read()
    mark = send(lab, child)
    lab.wait_arrived(mark, 3, 10)
