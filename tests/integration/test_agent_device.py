"""A child with a real Postfix and helper: the agent dies in every phase, content that breaks only when it is live, holds,
going back and leaving on the device itself.  A lab of its own with one child; the tests run in order, the last leaves."""
import json
import os
import random
import signal
import subprocess
import time
import uuid

import labrig
import pytest
from parentlib import SANITIZER, wait_until
from test_lab_faults import digests, mail_through, size_of

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]


@pytest.fixture(scope="module")
def solo(workdir, system_users):
    rig = labrig.Rig(os.path.join(workdir, "solo"))
    try:
        rig.up(1)
        with open(os.path.join(rig.root(rig.children[0]), "etc/inari/agent.conf"), "a") as f:
            f.write("helper.takeover = 6s\n")
        rig.verb("kill", f"{rig.children[0]}/helper")
        rig.verb("start", f"{rig.children[0]}/helper")
        yield rig
        for name in ("agent", "helper"):
            assert not SANITIZER.search(rig.log(rig.children[0], name))
    finally:
        rig.verb("down", check=False)


@pytest.fixture
def child(solo):
    """The child's name; afterwards it runs its usual agent and helper."""
    name = solo.children[0]
    yield name
    solo.verb("start", name)


def program(rig, path):
    return os.path.join(rig.dir, "system", "usr", path)


def agent(rig, child, *args, check=True):
    return rig.execute(child, program(rig, "bin/inari-agent"), "--config", "/etc/inari/agent.conf", *args, check=check)


def status(rig, child):
    return json.loads(agent(rig, child, "status", "--json").stdout)


def attempt(rig, child):
    return status(rig, child)["status"]["last_attempt"] or {}


class With:
    """A part of the child started by hand with an environment of its own, ended by group."""

    def __init__(self, rig, child, part, env):
        paths = {"agent": ("bin/inari-agent", "run"), "helper": ("libexec/inari/inari-helper",)}
        rig.verb("kill", f"{child}/{part}")
        argv = [program(rig, paths[part][0]), "--config", "/etc/inari/agent.conf", *paths[part][1:]]
        with open(os.path.join(rig.dir, child, "log", f"{part}.log"), "ab") as log:
            self.p = subprocess.Popen([labrig.COMMAND, "exec", "--dir", rig.dir, child, "--", "env", *env.split(), *argv],
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        if part == "agent":
            wait_until(lambda: agent(rig, child, "status", check=False).returncode == 0, "the agent", 20)

    def end(self):
        try:
            os.killpg(self.p.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        self.p.wait(20)


def listens(rig, child, port):
    return "LISTEN" in rig.execute(child, "ss", "-ltn", "sport", "=", f":{port}").stdout


def new_size():
    return random.randrange(20_000_000, 30_000_000)


@pytest.mark.parametrize("phase", ["verified", "staged", "validated", "switching", "probing", "confirming", "committed"])
def test_agent_dies_in_each_phase(solo, child, phase):
    """C5.  What is there while the agent is dead is said for each phase: nothing has happened before the switch; after it and
    before the commit the helper waits its six seconds, goes back by itself, and says so when it is asked; what is committed
    stays.  Then the agent comes and makes the change."""
    solo.wait_in_sync()
    before, old, size = size_of(solo, child), digests(solo, child), new_size()
    overtaken, taken = solo.log(child, "helper").count("event=helper.takeover"), phase in ("probing", "confirming")
    dying = With(solo, child, "agent", f"INARI_CRASH_AT=agent:{phase}")
    solo.publish_size(size)
    assert dying.p.wait(60) != 0
    if taken:
        assert size_of(solo, child) == size and digests(solo, child) != old  # the switch was made
        wait_until(lambda: digests(solo, child) == old and size_of(solo, child) == before, "the helper to go back alone", 30)
    now = digests(solo, child)
    assert now[0] == now[1] and (now == old) is (phase != "committed")
    assert size_of(solo, child) == (size if phase == "committed" else before)
    mail_through(solo, count=2)
    assert solo.log(child, "helper").count("event=helper.takeover") - overtaken == taken
    seen = len(solo.log(child, "agent"))
    solo.verb("start", child)
    solo.wait_ehlo(f"SIZE {size}", timeout=90)
    wait_until(lambda: attempt(solo, child).get("result") == "committed", "the commit", 30)
    assert ("Interrupted" in solo.log(child, "agent")[seen:]) is taken
    main, master = digests(solo, child)
    assert main == master == status(solo, child)["status"]["observed"]["digest"]
    mail_through(solo, count=2)


def test_what_breaks_only_live_is_reverted_and_then_not_tried_again(solo, child):
    before, size = size_of(solo, child), new_size()
    broken = With(solo, child, "helper", "INARI_MUTATE=probe:main-misspelt-restriction")
    solo.publish_size(size)
    wait_until(lambda: attempt(solo, child).get("result") == "reverted", "the revert", 60)
    problem = attempt(solo, child)["problem"]
    assert "451 4.3.5" in problem["detail"]  # Postfix's own words
    assert size_of(solo, child) == before
    mail_through(solo, count=2)
    solo.verb("kill", f"{child}/agent")  # a new start tries at once instead of after a minute
    solo.verb("start", f"{child}/agent")
    wait_until(lambda: [q["count"] for q in status(solo, child)["status"]["quarantined"]] == [2], "quarantine", 60)
    broken.end()
    solo.verb("start", child)
    solo.verb("kill", f"{child}/agent")
    solo.verb("start", f"{child}/agent")
    wait_until(lambda: status(solo, child)["parent"]["reachable"], "the agent")
    assert size_of(solo, child) == before  # it would work now, and still is not tried by itself
    device = solo.api.ok("GET", f"/devices/{solo.json['children'][0]['device_id']}/status")
    assert "quarantined" in json.dumps(device)
    size = new_size()
    solo.publish_size(size)
    solo.wait_ehlo(f"SIZE {size}")


OUTSIDER = r"""
import smtplib, sys
try:
    with smtplib.SMTP(sys.argv[1], 25, timeout=8, local_hostname="outside.lab.test") as s:
        s.ehlo_or_helo_if_needed()
        print(s.mail("sender@outside.test")[0], s.rcpt(sys.argv[2])[0])
except OSError as e:
    print("nothing", e)
"""


def condition(rig, child, name):
    return next(c for c in status(rig, child)["status"]["conditions"] if c["type"] == name)


def test_not_even_the_last_good_one_runs(solo, child):
    """C13: smtpd itself is gone after the change was validated, so going back does not help either.  Degraded here and at the
    parent, nothing is taken in, tried again slowly and by itself, whatever the agent or the content goes through meanwhile."""
    solo.wait_in_sync()
    before, size, smtpd = digests(solo, child), new_size(), "/usr/lib/postfix/sbin/smtpd"
    main_cf = os.path.join(solo.root(child), "etc/postfix/main.cf")
    paused = With(solo, child, "helper", "INARI_PAUSE_AT=probing:5000")
    quick = With(solo, child, "agent", "INARI_LKG_S=8")
    solo.publish_size(size)

    def on_disk():
        with open(main_cf) as f:
            return f.read()
    wait_until(lambda: f"message_size_limit = {size}" in on_disk(), "the switch", 60, 0.05)
    solo.execute(child, "mount", "--bind", "/bin/false", smtpd)
    try:
        wait_until(lambda: attempt(solo, child).get("result") == "degraded", "degraded", 240, 0.5)
        assert f"message_size_limit = {size}" not in on_disk()  # the old files are back, and do not run
        for name in ("ChainHealthy", "ConfigApplied", "Ready"):
            assert condition(solo, child, name)["status"] == "False", name

        def shut():
            for to in ("somebody@elsewhere.test", "user1@example.test"):
                said = solo.execute("outside", "/usr/bin/python3", "-c", OUTSIDER, solo.address(child), to).stdout.split()
                assert said[0] == "nothing" or not said[-1].startswith("2"), said
        shut()

        def told():
            rows = {c["type"]: c for c in solo.api.ok("GET", f"/devices/{child}")["conditions"]}
            return rows["ChainHealthy"]["status"] == "False" and rows["Ready"]["status"] == "False"
        wait_until(told, "the parent to show it", 60, 0.3)
        assert solo.api.ok("GET", f"/devices/{child}")["sync"] == "failed"
        # The content again (at once with a new start; a minute later without): it cannot even be validated now.
        quick.end()
        quick = With(solo, child, "agent", "INARI_LKG_S=8")
        wait_until(lambda: attempt(solo, child).get("result") == "rejected", "the second try", 120, 0.5)
        tried = solo.log(child, "agent").count("event=lkg.tried")
        wait_until(lambda: solo.log(child, "agent").count("event=lkg.tried") > tried, "one more try of what was good", 120, 0.5)
        assert condition(solo, child, "ChainHealthy")["status"] == "False"
        shut()
    finally:
        solo.execute(child, "umount", smtpd)
    wait_until(lambda: condition(solo, child, "ChainHealthy")["status"] == "True", "to be well again by itself", 120, 0.3)
    assert digests(solo, child) == before
    mail_through(solo, count=2)
    quick.end()
    paused.end()
    solo.verb("start", child)
    solo.publish_size(size := new_size())
    solo.wait_ehlo(f"SIZE {size}", timeout=90)
    solo.wait_in_sync()


def test_change_that_loses_the_parent_is_taken_back(solo, child):
    """The way to the parent is cut while a change of listeners is applied: it comes back by itself, and again later."""
    device = solo.json["children"][0]["device_id"]
    patient = With(solo, child, "agent", "INARI_CONFIRM_S=4")
    wait_until(lambda: status(solo, child)["parent"]["reachable"], "the first contact")
    seen = solo.log(child, "agent").count("event=bundle.verified")
    solo.api.publish({"devices": {device: {"smtp.listen_port": 2525}}}, "cut")
    wait_until(lambda: solo.log(child, "agent").count("event=bundle.verified") > seen, "the bundle")
    solo.verb("partition", child)
    wait_until(lambda: attempt(solo, child).get("result") == "reverted", "the revert", 60)
    assert "the parent answered before" in attempt(solo, child)["problem"]["detail"]
    assert not listens(solo, child, 2525) and listens(solo, child, 25)
    solo.verb("heal", child)
    wait_until(lambda: attempt(solo, child).get("result") == "committed", "the second try", 150)
    solo.api.publish({"devices": {device: {"smtp.listen_port": 25}}}, "back")
    wait_until(lambda: listens(solo, child, 25), "the usual port", 60)
    wait_until(lambda: attempt(solo, child).get("phase") == "committed", "the commit")
    patient.end()
    solo.verb("start", child)
    mail_through(solo, count=2)


def test_clock_steps_back_during_apply(solo, child):
    """E4: the clock goes back by a day while a change is applied: it is committed as ever; and one that loses the parent is
    taken back when its time is over, not a day later."""
    clock = os.path.join(solo.dir, "stepping-clock")

    def step(offset):
        with open(clock + ".new", "w") as f:
            f.write(str(offset))
        os.chmod(clock + ".new", 0o644)
        os.rename(clock + ".new", clock)
    step(0)
    device = solo.json["children"][0]["device_id"]
    helper = With(solo, child, "helper", f"INARI_CLOCK_FILE={clock} INARI_PAUSE_AT=switched:2500")
    own = With(solo, child, "agent", f"INARI_CLOCK_FILE={clock} INARI_CONFIRM_S=4")
    try:
        wait_until(lambda: status(solo, child)["parent"]["reachable"], "the first contact")
        size = new_size()
        seen = solo.log(child, "agent").count("event=bundle.verified")
        pub = solo.publish_size(size)["pub"]
        wait_until(lambda: solo.log(child, "agent").count("event=bundle.verified") > seen, "the bundle", every=0.02)
        time.sleep(1)  # into the pause after the switch
        step(-86400)
        solo.wait_ehlo(f"SIZE {size}")
        wait_until(lambda: attempt(solo, child).get("result") == "committed" and attempt(solo, child)["pub"] >= pub, "the commit", 30)
        assert 2000 <= attempt(solo, child)["duration_ms"] < 40_000
        step(0)
        wait_until(lambda: status(solo, child)["parent"]["reachable"], "the parent again", 60)
        seen = solo.log(child, "agent").count("event=bundle.verified")
        solo.api.publish({"devices": {device: {"smtp.listen_port": 2525}}}, "cut")
        wait_until(lambda: solo.log(child, "agent").count("event=bundle.verified") > seen, "the bundle", 60)
        solo.verb("partition", child)
        began = time.monotonic()
        step(-86400)
        wait_until(lambda: attempt(solo, child).get("result") == "reverted", "the revert", 60)
        assert time.monotonic() - began < 50 and attempt(solo, child)["duration_ms"] < 50_000
        assert not listens(solo, child, 2525) and listens(solo, child, 25)
    finally:
        step(0)
        solo.verb("heal", child)
        solo.api.publish({"devices": {device: {"smtp.listen_port": 25}}}, "back")
        own.end()
        helper.end()
    solo.verb("start", child)
    solo.wait_in_sync(timeout=90)
    mail_through(solo, count=2)


def test_hold_and_release(solo, child):
    before, size = size_of(solo, child), new_size()
    refused = agent(solo, child, "hold", "--reason", "x", "--minutes", "1441", check=False)
    assert refused.returncode == 4 and "1440" in refused.stderr
    agent(solo, child, "hold", "--reason", "mail migration", "--minutes", "30")
    solo.publish_size(size)
    wait_until(lambda: attempt(solo, child).get("result") == "held", "the held attempt")
    assert size_of(solo, child) == before
    held = next(c for c in status(solo, child)["status"]["conditions"] if c["type"] == "Held")
    assert held["status"] == "True" and "mail migration" in held["message"]
    solo.verb("kill", f"{child}/agent")  # a hold outlasts the process
    solo.verb("start", f"{child}/agent")
    wait_until(lambda: agent(solo, child, "status", check=False).returncode == 0, "the agent")
    assert status(solo, child)["hold"]["active"]
    agent(solo, child, "release")
    solo.wait_ehlo(f"SIZE {size}")


def test_rollback_on_the_device(solo, child):
    first, second = new_size(), new_size()
    for size in (first, second):
        solo.publish_size(size)
        solo.wait_ehlo(f"SIZE {size}")
    wait_until(lambda: attempt(solo, child).get("result") == "committed", "the commit")
    agent(solo, child, "rollback")
    assert size_of(solo, child) == first
    assert status(solo, child)["hold"]["active"]  # or the parent's word would come right back
    assert agent(solo, child, "rollback", "0" * 64, check=False).returncode == 4
    agent(solo, child, "release")
    solo.wait_ehlo(f"SIZE {second}")


def test_hand_edit_is_put_back(solo, child):
    device = solo.json["children"][0]["device_id"]
    solo.api.change(f"/devices/{device}", {"drift": "enforce"})
    wait_until(lambda: status(solo, child)["status"]["mode"] == "manage", "the mode")
    size = size_of(solo, child)
    solo.execute(child, "postconf", "-e", "message_size_limit=777777")
    wait_until(lambda: str(size) in solo.execute(child, "postconf", "-h", "message_size_limit").stdout, "the repair", 90, 1)
    drifted = next(c for c in status(solo, child)["status"]["conditions"] if c["type"] == "Drifted")
    assert drifted["status"] == "True" and "message_size_limit" in drifted["message"]


def test_token_expires_during_a_held_poll(solo, child):
    """D8: the answer still comes, and the agent goes on with a new token, without an error anybody would see."""
    clock = os.path.join(solo.dir, "clock")
    with open(clock, "w") as f:
        f.write("0")
    os.chmod(clock, 0o644)
    solo.verb("kill", "parent/inarid")
    solo.verb("start", "parent/inarid", "--env", f"INARI_CLOCK_FILE={clock}")
    solo.publish_size(size := new_size())
    solo.wait_ehlo(f"SIZE {size}", timeout=60)
    solo.wait_in_sync()
    seen = len(solo.log(child, "agent"))
    with open(clock, "w") as f:
        f.write("1000")  # longer than the token's life
    time.sleep(0.3)      # it is read every 0.1 s
    for _ in ("held with the old token", "asked with it"):
        solo.publish_size(size := new_size())
        solo.wait_ehlo(f"SIZE {size}", timeout=30)
        wait_until(lambda: attempt(solo, child).get("result") == "committed", "the commit")
    with open(clock, "w") as f:
        f.write("0")
    said = solo.log(child, "agent")[seen:]
    assert 'problem="token-expired"' in said and said.count("parent.refused") <= 4, said
    ok = next(c for c in status(solo, child)["status"]["conditions"] if c["type"] == "Authenticated")
    assert ok["status"] == "True"


def test_leave_changes_nothing_but_the_membership(solo, child):
    main = solo.execute(child, "cat", "/etc/postfix/main.cf").stdout
    left = agent(solo, child, "leave")
    assert "parent knows" in left.stdout
    assert solo.execute(child, "cat", "/etc/postfix/main.cf").stdout == main
    mark = f"left-{uuid.uuid4().hex[:8]}"
    assert solo.sender(mark, 2, 0.1).finish() == []
    solo.wait_arrived(mark, 2)
    device = solo.api.request("GET", f"/devices/{solo.json['children'][0]['device_id']}").json()
    assert device.get("state") == "retired" or device.get("status") == 404
    assert agent(solo, child, "run", check=False).returncode == 3


def test_revoked_while_its_poll_is_held(solo, child):
    """D9: joined again, managed, revoked: told within 2 s, nothing of what is published later arrives, mail goes on."""
    made = solo.api.ok("POST", "/enrolment-tokens", {"name": "again"})
    assert agent(solo, child, "join", "--join", made["join"], "--name", "again").returncode == 0
    solo.verb("start", child)
    wait_until(lambda: agent(solo, child, "status", check=False).returncode == 0, "the agent")
    solo.api.change("/devices/again", {"mode": "manage"})
    solo.publish_size(size := new_size())
    solo.wait_ehlo(f"SIZE {size}", timeout=60)
    solo.wait_in_sync(["again"])
    seen = solo.log(child, "agent").count("event=bundle.verified")
    solo.api.ok("POST", "/devices/again/revoke", {"reason": "stolen"})

    def told():
        rows = status(solo, child)["status"]["conditions"]
        return any(c["type"] == "Authenticated" and c["reason"] == "Revoked" for c in rows)
    wait_until(told, "the held poll to end", 2 + 1)  # asking takes a second of its own under load
    solo.publish_size(new_size())
    solo.verb("kill", f"{child}/agent")  # nor when it starts anew
    solo.verb("start", f"{child}/agent")
    wait_until(lambda: agent(solo, child, "status", check=False).returncode == 0 and told(), "the agent to be told again", 20)
    assert solo.log(child, "agent").count("event=bundle.verified") == seen and size_of(solo, child) == size
    mail_through(solo, count=2)
