"""41 broken configurations never get past the staged copy, 3 harmless ones do; nothing live ever changes."""
import os
import re
import shutil
import tempfile
import time

import pytest
from helperlib import DEVICE, Device, digest, proxy_v2, settings
from mutations import ALL, HARMFUL, HARMLESS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and Postfix"),
              pytest.mark.skipif(not shutil.which("postfix"), reason="needs Postfix"), pytest.mark.fault]


@pytest.fixture(scope="module")
def device():
    d = Device(tempfile.mkdtemp(prefix="inari-mutations-"))
    d.postfix("start")
    d.start()
    c = d.client()
    c.call("stage", digest=digest(0), device_id=DEVICE, settings=settings(), epoch=1, rev=1, pub=1)
    c.call("validate", digest=digest(0))
    c.call("switch", digest=digest(0))
    c.call("commit", digest=digest(0))
    c.close()
    d.stop()
    yield d
    d.close()
    shutil.rmtree(d.tmp, ignore_errors=True)


def test_the_table_is_whole():
    assert len(ALL) == 44 == len(set(ALL)) and len(HARMFUL) == 41


def stage_mutated(d, name):
    """(where it was caught or "", the helper's words)"""
    d.start(INARI_MUTATE=f"stage:{name}", INARI_MUTATE_PORT="10029" if name == "none" else "2526")
    try:
        c = d.client()
        c.call("stage", digest=digest(1), device_id=DEVICE, settings=settings(smtp__banner_text="new"), epoch=1, rev=2, pub=2)
        answer = c.ask("validate", digest=digest(1))
        if not answer["ok"]:
            assert answer["output"], answer
            assert c.ask("switch", digest=digest(1))["error"] == "refused"
            return answer["step"], answer["output"]
        faults = [f for f in (transaction(d, x) for x in answer["trial"]) if f]
        stopped = c.call("trial_stop", digest=digest(1))
        if faults or stopped["died"]:
            return "transaction", "\n".join(faults) + stopped.get("output", "")
        return "", ""
    finally:
        d.stop()


def transaction(d, x):
    """What the agent tries on every trial listener; "" when all is well."""
    lines = ["EHLO probe", "MAIL FROM:<>", "RCPT TO:<a@example.test>", "RCPT TO:<a@foreign.test>"]
    try:
        got = d.dialogue(x["port"], lines, proxy_v2() if x["role"] == "probe" else None, timeout=3)
    except OSError as e:
        return f"{x['service']}: {e}"
    if x["role"] == "digest":
        return "" if got[0].startswith("220 inari ") else got[0]
    if x["role"] == "foreign":
        return ""
    wrong = [g for g in got if g.startswith("4")]
    if x["role"] == "probe" and not got[4].startswith("554"):
        wrong.append(got[4])
    return " ".join(wrong)


@pytest.fixture
def blocker(device):
    from test_helper_apply import start_blocker
    p = start_blocker(device, 2526)
    yield
    p.kill()
    p.wait()
    p.stdout.close()


@pytest.mark.parametrize("name", HARMFUL)
def test_caught_on_the_staged_copy(device, blocker, name):
    before = device.read("main.cf"), device.read("master.cf")
    where, words = stage_mutated(device, name)
    print(f"{name}: {where}: {words.splitlines()[:1]}")
    assert where, f"{name} was not caught"
    assert (device.read("main.cf"), device.read("master.cf")) == before
    assert device.dialogue(25)[0].startswith("220 mx.example.test ESMTP")


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_ones_pass(device, blocker, name):
    assert stage_mutated(device, name) == ("", "")


def changed(answer):
    """The error of bytes that are not the validated ones: file and line."""
    assert answer["error"] == "changed-meanwhile", answer
    assert re.search(r'/(main|master)\.cf" (is gone|is not what was validated: line \d+ is ".*", not ".*")', answer["message"]), answer
    assert not answer.get("output"), answer  # the agent shows the message, not what a reload happened to say


@pytest.mark.parametrize("moment", ["live", "probe"])
@pytest.mark.parametrize("name", HARMFUL)
def test_reverted_from_live(device, blocker, name, moment):
    """The same faults, slipped in behind every check of the staged copy: before the rename, or after the reload (between
    the two: test_pair_mutations.py).  Some stop Postfix, some nobody hears of (a filter rule that is skipped); the bytes on disk are not the validated ones,
    so none is committed, and the revert brings Postfix back within 10 s: the old bytes, answering."""
    before = device.read("main.cf"), device.read("master.cf")
    device.start(INARI_MUTATE=f"{moment}:{name}", INARI_MUTATE_PORT="2526")
    try:
        c = device.client()
        c.call("stage", digest=digest(1), device_id=DEVICE, settings=settings(smtp__banner_text="new"), epoch=1, rev=2, pub=2)
        c.call("validate", digest=digest(1))
        c.call("trial_stop", digest=digest(1))
        began = time.monotonic()
        answer = c.ask("switch", digest=digest(1))
        assert answer["ok"] == (moment == "probe"), answer
        if answer["ok"]:
            answer = c.ask("commit", digest=digest(1))
            assert c.call("tx")["phase"] == "probing"
            healthy = c.call("revert")
            assert healthy["healthy"], healthy
        changed(answer)
        took = time.monotonic() - began
        assert (device.read("main.cf"), device.read("master.cf")) == before
        got = device.dialogue(25, ["EHLO x", "MAIL FROM:<>", "RCPT TO:<a@example.test>"])
        assert got[0].startswith("220 mx.example.test ESMTP") and got[3].startswith("250")
        assert device.banner_digests() == (digest(0), digest(0))
        assert took < 10, f"{took:.1f} s"
        assert not c.call("tx")["open"] and c.call("tx")["last"]["result"] == "reverted"
    finally:
        device.stop()
