"""Fault cases of the apply transaction and of the pair, on the lab: real parent, agent, helper and Postfix.

The ids are those of the protocol's fault table (docs/internals/wire.md names the documents they speak of)."""
import contextlib
import os
import random
import re
import shutil
import signal
import time
import uuid

import pytest
from inarilab import parts
from parentlib import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]
CONF = ["--config", "/etc/inari/agent.conf"]


def new_size():
    return random.randrange(20_000_000, 60_000_000)


def respawn(lab, child, part, **env):
    """Start the child's helper or agent again with these variables (test hooks of this build)."""
    host, program = lab.lab.host(child), parts.PARTS[part]
    host.kill(program)
    wait_until(lambda: not host.named(program), f"{program} to end", 10)
    argv = [parts.path_of(lab.lab, program), *CONF] + (["run"] if part == "agent" else [])
    host.spawn(part, argv, user="inari-agent" if part == "agent" else None, env={**parts.SANITIZERS, **env})


def device(lab, child):
    return lab.api.ok("GET", f"/devices/{child}")


def attempt(lab, child, pub, results, timeout=30):
    """The last attempt once it is about `pub` and ended as one of `results`."""
    def there():
        a = device(lab, child).get("last_attempt") or {}
        return a if a.get("pub") == pub and a.get("result") in results else None
    return wait_until(there, f"{child}: {results} of revision {pub} (is {device(lab, child).get('last_attempt')})", timeout, 0.1)


def publish_for(lab, child, value, key="smtp.message_size_limit"):
    return lab.api.publish({"devices": {child: {key: value}}}, "fault test")["pub"]


def inherit(lab, child, *keys):
    lab.api.publish({"devices": {child: {k: {"$inherit": True} for k in keys}}}, "back to the fleet's")


def size_of(lab, child):
    return int(next(x.split()[1] for x in lab.ehlo(child) if x.startswith("SIZE ")))


def digests(lab, child):
    code = "import socket\ns=socket.create_connection(('127.0.0.1',10029),10)\nprint(s.recv(500).decode())"
    found = re.search(r"inari ([0-9a-f]{64}) ([0-9a-f]{64})", lab.execute(child, "/usr/bin/python3", "-c", code).stdout)
    assert found
    return found.groups()


def mail_through(lab, child, count=3):
    mark = f"pair-{uuid.uuid4().hex[:8]}"
    assert lab.sender(mark, count, 0.2, [child]).finish() == []
    lab.wait_arrived(mark, count)


def condition(lab, child, kind):
    status = lab.api.ok("GET", f"/devices/{child}/status")
    rows = status.get("conditions") or status.get("status", {}).get("conditions") or status["document"]["conditions"]
    return next(c for c in rows if c["type"] == kind)


@pytest.fixture
def child(healthy_lab):
    """The last child; afterwards with an ordinary helper and agent and no value of its own."""
    name = healthy_lab.children[-1]
    yield name
    lab = healthy_lab
    for part in ("helper", "agent"):
        respawn(lab, name, part)
    inherit(lab, name, "smtp.message_size_limit", "smtp_tls.inbound", "smtp_tls.cert_file", "smtp_tls.key_file")
    d = device(lab, name)
    if d["mode"] != "manage" or d["drift"] != "report":
        lab.api.change(f"/devices/{name}", {"mode": "manage", "drift": "report"})
    lab.wait_in_sync([name], timeout=90)


def test_refused_on_the_device_names_the_setting(healthy_lab, child):
    """C1: what only the device can see is wrong: nothing is switched, the refusal points at the setting."""
    lab, before = healthy_lab, None
    before = digests(lab, child)
    pub = lab.api.publish({"devices": {child: {"smtp_tls.inbound": "may", "smtp_tls.cert_file": "/etc/ssl/none.pem",
                                               "smtp_tls.key_file": "/etc/ssl/none.key"}}}, "C1")["pub"]
    a = attempt(lab, child, pub, ("rejected",))
    assert a["problem"]["detail"]
    assert any("smtp_tls" in x["pointer"] for x in a["problem"]["errors"]), a["problem"]
    assert digests(lab, child) == before
    assert device(lab, child)["sync"] == "failed"
    mail_through(lab, child)


def test_dead_on_reload_is_reverted_with_postfix_words(healthy_lab, child):
    """C2: valid for every checker, but master dies on reload: the old files return within 10 s."""
    lab = healthy_lab
    before, size = digests(lab, child), size_of(lab, child)
    respawn(lab, child, "helper", INARI_MUTATE="reload:master-unknown-port")
    t = time.monotonic()
    pub = publish_for(lab, child, new_size())
    a = attempt(lab, child, pub, ("reverted",))
    assert a["duration_ms"] < 10_000 and time.monotonic() - t < 15
    assert a["problem"]["detail"], a
    assert digests(lab, child) == before and size_of(lab, child) == size
    mail_through(lab, child)


def last_good(lab, child):
    status = lab.api.ok("GET", f"/devices/{child}/status")
    return status.get("lkg") or status.get("status", {}).get("lkg") or status["document"]["lkg"]


def test_broken_bundle_before_the_first_has_soaked(healthy_lab, child):
    """C15: while a change soaks a broken one arrives.  It waits; the first dies and goes back to what was good before it, and
    so does the second: neither was ever the last good one, on the parent or on the device."""
    lab = healthy_lab

    def kept():
        return set(lab.execute(child, "ls", "/var/lib/inari/helper/lkg").stdout.split())
    # Something of its own that is good: what an earlier test left may be tried a second time just now.
    pub = publish_for(lab, child, new_size())
    attempt(lab, child, pub, ("committed",), 60)
    lab.wait_in_sync([child])
    good, good_size, known = last_good(lab, child), size_of(lab, child), kept()
    assert good["digest"] in known

    def soaking(size):
        return lab.api.publish({"devices": {child: {"smtp.message_size_limit": size}}}, "C15",
                               rollout={"strategy": "all", "soak_s": 300})["pub"]

    def dies_while(size):
        """Its Postfix runs this, uncommitted: the last good one is the older one.  Then it is killed."""
        lab.wait_ehlo(f"SIZE {size}", [child], 60)
        wait_until(lambda: device(lab, child)["running"]["postfix"]["digest"] == digests(lab, child)[0], "the report of it", 30)
        assert last_good(lab, child) == good and kept() == known
        return lambda: lab.verb("kill", f"{child}/postfix")
    first, broken = new_size(), new_size()
    one = soaking(first)
    kill = dies_while(first)
    two = soaking(broken)
    wait_until(lambda: device(lab, child)["observed"]["pub"] == two, "the broken one to be fetched", 30)
    assert size_of(lab, child) == first, "nothing newer is taken before the end of it"
    kill()
    kill = dies_while(broken)  # the first was put back before
    assert two > one and "after the switch" in device(lab, child)["last_attempt"]["problem"]["detail"]
    assert device(lab, child)["last_attempt"]["pub"] == one and device(lab, child)["last_attempt"]["result"] == "reverted"
    kill()
    a = attempt(lab, child, two, ("reverted",), 60)
    assert "after the switch" in a["problem"]["detail"], a["problem"]
    lab.wait_ehlo(f"SIZE {good_size}", [child], 30)
    assert last_good(lab, child) == good and kept() == known
    mail_through(lab, child)
    size = new_size()
    pub = publish_for(lab, child, size)  # supersedes them; what is good now is what it is put back to from now on
    attempt(lab, child, pub, ("committed",), 60)
    new = wait_until(lambda: (k := last_good(lab, child)) != good and k, "the new last good one", 30)
    assert new["pub"] == pub and kept() - known == {new["digest"]}, "no trace of the broken ones"


def test_a_postfix_that_was_too_busy_to_answer_is_asked_again_soon(healthy_lab, child):
    """One look that saw nothing makes the device "applying"; the next one comes within seconds, not with the minute."""
    lab, host = healthy_lab, healthy_lab.lab.host(child)
    lab.wait_in_sync([child])
    silent = [int(lab.execute(child, "cat", "/var/spool/postfix/pid/master.pid").stdout), *host.named("smtpd")]
    for pid in silent:
        os.kill(pid, signal.SIGSTOP)
    try:
        lab.execute(child, "sh", "-c", ": >>/etc/postfix/main.cf")  # nothing changes, but it looks at once
        wait_until(lambda: device(lab, child)["sync"] == "applying", "the look that sees nothing", 40)
    finally:
        for pid in silent:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    lab.wait_in_sync([child], timeout=30)


def test_not_taken_is_never_called_running(healthy_lab, child):
    """C4: the reload is answered but the running Postfix keeps the old configuration: not acknowledged, reverted."""
    lab, host = healthy_lab, healthy_lab.lab.host(child)
    before = digests(lab, child)
    master = int(lab.execute(child, "cat", "/var/spool/postfix/pid/master.pid").stdout)
    os.kill(master, 19)  # SIGSTOP: it takes the signal to reload, and does not act on it
    try:
        pub = publish_for(lab, child, new_size())
        a = attempt(lab, child, pub, ("reverted", "degraded", "rejected"), timeout=60)
        assert a["problem"]["detail"]
        d = device(lab, child)
        assert d["sync"] != "in-sync"
    finally:
        try:
            os.kill(master, 18)
        except ProcessLookupError:
            pass  # the way back stopped and started it
    assert host.named("inari-agent")

    def whole():
        try:
            return len(set(digests(lab, child))) == 1
        except AssertionError:
            return False  # nobody answers yet
    wait_until(whole, "one configuration that runs", 60, 0.5)
    mail_through(lab, child)


@pytest.fixture
def old_master(healthy_lab, child):
    """The child's Postfix run by a master that has its configuration from a copy of the directory, on the same queue: it
    takes every signal to reload, and reads the copy again."""
    lab = healthy_lab
    copy = os.path.join(lab.dir, child, "old-postfix")
    shutil.copytree(os.path.join(lab.root(child), "etc/postfix"), copy, symlinks=True)
    lab.execute(child, "postfix", "stop")
    lab.execute(child, "postfix", "-c", copy, "start")
    yield copy
    lab.execute(child, "postfix", "-c", copy, "stop", check=False)
    lab.execute(child, "postfix", "start", check=False)
    shutil.rmtree(copy)


def test_an_old_master_that_serves_on_is_not_believed(healthy_lab, child, old_master):
    """C4: everything on disk is new and the reload succeeds, but master serves the old content from elsewhere.  Never
    acknowledged, put back within 10 s, and what it still shows is named; with the right master the same change commits."""
    lab = healthy_lab
    before, size = digests(lab, child), size_of(lab, child)
    files = [os.path.join(lab.root(child), "etc/postfix", n) for n in ("main.cf", "master.cf")]
    texts = [open(f, "rb").read() for f in files]
    pub = publish_for(lab, child, new_size())
    a = attempt(lab, child, pub, ("reverted", "degraded", "rejected", "committed"), timeout=60)
    assert a["result"] == "reverted" and a["duration_ms"] < 10_000, a
    assert "(digest)" in a["problem"]["detail"] and before[0] in a["problem"]["detail"], a["problem"]
    assert device(lab, child)["sync"] != "in-sync"
    assert [open(f, "rb").read() for f in files] == texts
    assert digests(lab, child) == before and size_of(lab, child) == size
    mail_through(lab, child)
    lab.execute(child, "postfix", "-c", old_master, "stop")
    lab.execute(child, "postfix", "start")
    wanted = new_size()
    attempt(lab, child, publish_for(lab, child, wanted), ("committed",))
    assert size_of(lab, child) == wanted


def test_parent_dies_during_apply(healthy_lab, child):
    """C10: a harmless change is kept, not reverted; the report arrives when the parent is back."""
    lab, size = healthy_lab, new_size()
    pub = publish_for(lab, child, size)
    lab.verb("kill", "parent/inarid")
    lab.wait_ehlo(f"SIZE {size}", [child], timeout=30)
    time.sleep(2)
    assert size_of(lab, child) == size
    lab.verb("start", "parent")
    attempt(lab, child, pub, ("committed",), timeout=90)
    lab.wait_in_sync([child], timeout=60)


@pytest.mark.parametrize("offset", [3600, -1_700_000_000])
def test_wrong_clock(healthy_lab, child, offset):
    """E1: the whole device lives in another time: it signs with the parent's, says so, and is configured as ever."""
    lab, clock = healthy_lab, os.path.join(healthy_lab.dir, f"{child}-clock")
    with open(clock, "w") as f:
        f.write(str(offset))
    os.chmod(clock, 0o644)
    for part in ("helper", "agent"):
        respawn(lab, child, part, INARI_CLOCK_FILE=clock)
    size = new_size()
    pub = publish_for(lab, child, size)
    attempt(lab, child, pub, ("committed",), 60)
    assert size_of(lab, child) == size
    wait_until(lambda: condition(lab, child, "ClockSynced")["reason"] == "Skewed", "the condition", 30, 0.2)
    mail_through(lab, child)


def reloads(lab, child):
    return lab.log(child).count("reload -- version")


def test_a_second_agent_and_a_second_helper(healthy_lab, child):
    """C21: both end by themselves, the first ones do not notice, and the next change is applied once."""
    lab, host = healthy_lab, healthy_lab.lab.host(child)
    before = {p: host.named(p) for p in ("inari-agent", "inari-helper")}
    path = {p: parts.path_of(lab.lab, p) for p in before}
    second = lab.execute(child, path["inari-agent"], *CONF, "run", check=False)
    assert second.returncode == 75 and "another inari-agent" in second.stderr, second.stderr
    second = lab.execute(child, path["inari-helper"], *CONF, check=False)
    assert second.returncode != 0 and "another inari-helper" in second.stderr, second.stderr
    assert {p: host.named(p) for p in before} == before and all(len(pids) == 1 for pids in before.values())
    seen, size = reloads(lab, child), new_size()
    attempt(lab, child, publish_for(lab, child, size), ("committed",))
    assert reloads(lab, child) == seen + 1 and size_of(lab, child) == size
    mail_through(lab, child)


@pytest.mark.slow
def test_hand_edit_is_seen_reported_or_repaired(healthy_lab, child):
    """C17: a managed line edited by hand is drift with expected and found value; enforce puts it back, report leaves it.
    A foreign line is nobody's business."""
    lab = healthy_lab
    main = os.path.join(lab.root(child), "etc/postfix/main.cf")

    def drift():
        status = lab.api.ok("GET", f"/devices/{child}/status")
        rows = status.get("drift", status.get("status", {}).get("drift", status.get("document", {}).get("drift")))
        return [r for r in rows if r["item"] == "message_size_limit"]

    text = open(main).read()
    old = re.search(r"^message_size_limit = (\d+)$", text, re.M).group(1)
    with open(main, "w") as f:
        f.write(re.sub(r"^message_size_limit = \d+$", "message_size_limit = 66666", text, flags=re.M))
    wait_until(drift, "drift to be reported", 330, 1)
    # A look was just now: only the hint that the file was written brings the next one before a minute is over.
    with open(main, "w") as f:
        f.write(re.sub(r"^message_size_limit = \d+$", "message_size_limit = 77777", text, flags=re.M) + "inari_foreign_test = kept\n")
    rows = wait_until(lambda: [r for r in drift() if r["found"] == "77777"], "the second edit to be seen soon", 30, 0.5)
    assert rows[0]["expected"] == old and rows[0]["found"] == "77777"
    assert "message_size_limit = 77777" in open(main).read()  # mode report: seen, not touched
    lab.api.change(f"/devices/{child}", {"drift": "enforce"})
    wait_until(lambda: f"message_size_limit = {old}" in open(main).read(), "the value to be put back", 330, 1)
    assert "inari_foreign_test = kept" in open(main).read()
    lab.wait_ehlo(f"SIZE {old}", [child])


def test_observed_device_is_never_written_to(healthy_lab, child):
    """C19: in observe mode a change is planned and compared, and no byte of Postfix's files moves."""
    lab = healthy_lab
    files = [os.path.join(lab.root(child), "etc/postfix", n) for n in ("main.cf", "master.cf")]
    lab.api.change(f"/devices/{child}", {"mode": "observe"})
    wait_until(lambda: (device(lab, child).get("last_attempt") or {}).get("result") == "observed", "observe mode", 60)
    before = [(open(f, "rb").read(), os.stat(f).st_mtime_ns) for f in files]
    pub = publish_for(lab, child, new_size())
    attempt(lab, child, pub, ("observed",))
    status = str(lab.api.ok("GET", f"/devices/{child}/status"))
    assert "message_size_limit" in status  # what managing would change
    assert [(open(f, "rb").read(), os.stat(f).st_mtime_ns) for f in files] == before
