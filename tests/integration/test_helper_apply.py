"""inari-helper over its socket against a real Postfix: the transaction, what it leaves alone, and what it survives."""
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time

import pytest
from helperlib import DEVICE, Client, Device, HelperError, digest, proxy_v2, settings, wait_until

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and Postfix"),
              pytest.mark.skipif(not shutil.which("postfix"), reason="needs Postfix")]


@pytest.fixture
def make():
    made = []

    def one(**kw):
        d = Device(tempfile.mkdtemp(prefix="inari-helper-"), **kw)
        made.append(d)
        return d

    yield one
    for d in made:
        d.close()
        shutil.rmtree(d.tmp, ignore_errors=True)


@pytest.fixture
def device(make):
    d = make()
    d.postfix("start")
    d.start()
    return d


def stage(c, n, **changed):
    return c.call("stage", digest=digest(n), device_id=DEVICE, settings=settings(**changed), epoch=1, rev=n, pub=n)


def ready(c, n, **changed):
    stage(c, n, **changed)
    c.call("validate", digest=digest(n))
    c.call("trial_stop", digest=digest(n))


def apply(c, n, **changed):
    ready(c, n, **changed)
    c.call("switch", digest=digest(n))
    c.call("commit", digest=digest(n))


def banner(d):
    return d.dialogue(25)[0]


def foreign_lines(text, ours):
    return [line for line in text.splitlines() if line.split("=")[0].strip() not in ours]


def leftovers(d):
    return [f for f in os.listdir(d.etc) if ".inari-" in f]


# -- the straight way ----------------------------------------------------------------------------------------------
def test_stage_validate_switch_commit(device):
    c = device.client()
    before_main, before_master = device.read("main.cf"), device.read("master.cf")
    answer = stage(c, 1, smtp__banner_text="one")
    assert {(x["address"], x["port"], x["role"]) for x in answer["listeners"]} >= {
        ("0.0.0.0", 25, "public"), ("127.0.0.1", 10027, "probe"), ("127.0.0.1", 10029, "digest")}
    assert (device.read("main.cf"), device.read("master.cf")) == (before_main, before_master)
    trial = c.call("validate", digest=digest(1))["trial"]
    assert {x["role"] for x in trial} == {"public", "probe", "digest"}
    for x in trial:
        proxy = proxy_v2() if x["role"] == "probe" else None
        lines = ["EHLO probe", "MAIL FROM:<>", "RCPT TO:<a@example.test>", "RCPT TO:<a@foreign.test>"]
        got = device.dialogue(x["port"], lines, proxy)
        if x["role"] == "probe":
            assert got[3].startswith("250") and "Relay access denied" in got[4]
        elif x["role"] == "digest":
            assert got[0] == f"220 inari {digest(1)} {digest(1)}" and got[3].startswith("554")
        else:
            assert "one" in got[0] and got[3].startswith("250")
    assert banner(device) == "220 mx.example.test ESMTP by hand"  # nothing live yet
    c.call("trial_stop", digest=digest(1))
    assert c.call("tx")["phase"] == "staged"
    c.call("switch", digest=digest(1))
    tx = c.call("tx")
    assert tx["open"] and tx["phase"] == "probing" and tx["to"] == digest(1)
    assert device.banner_digests() == (digest(1), digest(1))
    c.call("commit", digest=digest(1))
    running = c.call("running")
    assert running["on_disk"] == digest(1) and running["state"] == "running" and running["lkg"][0]["rev"] == 1
    assert c.call("tx")["last"]["result"] == "committed"
    assert c.call("drift")["drift"] == []
    c.call("commit", digest=digest(1))  # said twice
    # P14
    after = device.read("main.cf")
    for line in ("# by hand, before Inari", "# a comment that must stay", "my_own_parameter = kept",
                 "smtpd_restriction_classes = my_class", "smtp_host_lookup = native"):
        assert line in after.splitlines()
    stock = [x for x in before_master.splitlines() if not x.startswith("smtp      inet")]
    assert [x for x in device.read("master.cf").splitlines() if x in stock] == stock
    assert not leftovers(device)


@pytest.mark.slow
def test_next_revisions_keep_three_older(device):
    c = device.client()
    for n in range(1, 7):
        apply(c, n, smtp__banner_text=f"number {n}")
        assert f"number {n}" in banner(device)
    kept = [x["digest"] for x in c.call("running")["lkg"]]
    assert kept == [digest(n) for n in (6, 5, 4, 3)]
    assert sorted(os.listdir(os.path.join(device.state, "lkg"))) == sorted(kept)
    assert sorted(os.listdir(os.path.join(device.etc, "inari"))) == sorted(digest(n)[:16] for n in (6, 5))
    with open(os.path.join(device.state, "original", "main.cf")) as f:
        assert "by hand" in f.read()


def test_revert_gives_back_the_very_bytes(device):
    c = device.client()
    before = device.read("main.cf"), device.read("master.cf")
    ready(c, 1, smtp__banner_text="one")
    c.call("switch", digest=digest(1))
    answer = c.call("revert")
    assert answer["to"] == "" and answer["healthy"]
    assert (device.read("main.cf"), device.read("master.cf")) == before
    assert "by hand" in banner(device)
    assert c.call("tx")["last"]["result"] == "reverted" and not c.call("tx")["open"]
    apply(c, 2, smtp__banner_text="two")
    ready(c, 3, smtp__banner_text="three")
    c.call("switch", digest=digest(3))
    assert c.call("revert")["to"] == digest(2)
    assert "two" in banner(device) and c.call("drift")["drift"] == []
    assert not leftovers(device)


@pytest.mark.slow
def test_restore_an_older_one(device):
    c = device.client()
    apply(c, 1, smtp__banner_text="one")
    apply(c, 2, smtp__banner_text="two")
    device.write("main.cf", device.read("main.cf") + "hand_made = later\n")
    c.call("restore", digest=digest(1))
    assert "one" in banner(device)
    c.call("commit", digest=digest(1))
    assert "hand_made = later" in device.read("main.cf")
    assert [x["digest"] for x in c.call("running")["lkg"]] == [digest(1), digest(2)]
    assert c.ask("restore", digest=digest(9))["error"] == "not-found"


def test_stopped_postfix_is_started_and_stopped_again_on_revert(make):
    d = make()
    d.start()
    c = d.client()
    ready(c, 1)
    assert c.call("switch", digest=digest(1))["restarted"]
    assert d.banner_digests()[0] == digest(1)
    c.call("revert")
    assert c.call("running")["state"] == "stopped"


# -- looking -------------------------------------------------------------------------------------------------------
def test_observe_writes_nothing(device):
    """C19: first contact with a hand-made configuration."""
    c = device.client()
    before = {f: os.stat(os.path.join(device.etc, f)).st_mtime_ns for f in os.listdir(device.etc)}
    read = c.call("read")
    assert read["settings"]["smtp.message_size_limit"] == 10240000
    assert "my_own_parameter" in read["foreign"]["main_cf"] and "pickup/unix" in read["foreign"]["master_cf"]
    would = c.call("diff", digest=digest(1), device_id=DEVICE, settings=settings())["would_change"]
    items = {(x["file"], x["item"]): x for x in would}
    assert items["main.cf", "smtpd_banner"]["found"] == "$myhostname ESMTP by hand"
    assert items["main.cf", "message_size_limit"]["expected"] == "31457280"
    assert items["master.cf", "smtp/inet"]["expected"] is None
    facts = c.call("facts", names=["localhost", "no-such-host.invalid"])["facts"]
    assert facts["postfix"].startswith("3.") and "127.0.0.1" in facts["addresses"]
    assert facts["names"]["localhost"] and "cidr" in facts["map_types"]
    assert {"address": "0.0.0.0", "port": 25, "owner": "postfix"} in facts["listeners"]
    assert before == {f: os.stat(os.path.join(device.etc, f)).st_mtime_ns for f in os.listdir(device.etc)}


def test_drift_and_repair(device):
    """C17: a managed file edited by hand."""
    c = device.client()
    apply(c, 1, smtp__banner_text="one")
    text = device.read("main.cf").replace("ESMTP one", "ESMTP edited") + "added_by_hand = 1\n"
    device.write("main.cf", text)
    table = os.path.join("inari", digest(1)[:16], "relay_domains")
    device.write(table, "evil.test relay\n")
    drift = {x["item"]: x for x in c.call("drift")["drift"]}
    assert drift["smtpd_banner"]["found"].endswith("edited") and drift["smtpd_banner"]["expected"].endswith("one")
    assert set(drift) == {"smtpd_banner", table}
    assert drift["smtpd_banner"]["file_owner"] == "root" and drift["smtpd_banner"]["file_changed_at"].startswith("20")
    assert {x["item"] for x in c.call("repair")["repaired"]} == set(drift)
    c.call("commit", digest=digest(1))
    assert c.call("drift")["drift"] == [] and c.call("repair")["repaired"] == []
    assert "added_by_hand = 1" in device.read("main.cf") and "evil" not in device.read(table)
    assert "one" in banner(device)


def test_a_kept_rendering_that_is_lost_is_said(device):
    """Not that nothing differs: there is nothing to compare with until the next change is committed."""
    d = device
    c = d.client()
    apply(c, 1, smtp__banner_text="ours")
    d.write("main.cf", d.read("main.cf").replace("ESMTP ours", "ESMTP edited"))
    assert [x["item"] for x in c.call("drift")["drift"]] == ["smtpd_banner"]
    (kept,) = [os.path.join(at, digest(1)) for at, names, _ in os.walk(d.tmp) if digest(1) in names and os.path.basename(at) == "lkg"]
    shutil.rmtree(kept)
    for call in (lambda: c.call("drift"), lambda: c.call("repair", items=["main.cf:smtpd_banner"])):
        with pytest.raises(HelperError) as e:
            call()
        assert e.value.answer["error"] == "storage" and "not kept any more" in e.value.answer["message"], e.value.answer
    apply(c, 2, smtp__banner_text="anew")
    assert c.call("drift")["drift"] == [] and banner(d).endswith("anew")


@pytest.mark.slow
def test_repair_of_some_items_leaves_the_others_as_found(device):
    """Item by item: what is not named keeps the value of the hand edit, is drift still, and a later publication or a kept
    configuration is whole again."""
    c = device.client()
    apply(c, 1, smtp__banner_text="one")
    table = os.path.join("inari", digest(1)[:16], "relay_domains")

    def edit():
        text = device.read("main.cf")
        text = text.replace("ESMTP one", "ESMTP edited").replace("smtpd_helo_required = yes", "smtpd_helo_required = no")
        assert "ESMTP edited" in text and "helo_required = no" in text
        device.write("main.cf", text)
        device.write("master.cf", re.sub(r"^(127.0.0.1:10027 +inet +\S+ +\S+ +\S+ +\S+ +)\S+", r"\g<1>7",
                                         device.read("master.cf"), flags=re.M))
        device.write(table, "evil.test relay\n")

    edit()
    names = {f"{x['file']}:{x['item']}" for x in c.call("drift")["drift"]}
    assert names == {"main.cf:smtpd_banner", "main.cf:smtpd_helo_required", "master.cf:127.0.0.1:10027/inet", f"table:{table}"}
    said = c.call("repair", items=["main.cf:smtpd_banner"])
    assert [x["item"] for x in said["repaired"]] == ["smtpd_banner"] and len(said["left"]) == 3
    c.call("commit", digest=digest(1))
    assert "ESMTP one" in device.read("main.cf") and "smtpd_helo_required = no" in device.read("main.cf")
    assert "evil" in device.read(table)
    assert {f"{x['file']}:{x['item']}" for x in c.call("drift")["drift"]} == names - {"main.cf:smtpd_banner"}
    device.stop()  # what is left is not forgotten with the process
    device.start()
    c = device.client()
    assert len(c.call("drift")["drift"]) == 3
    assert len(c.call("repair", items=["master.cf:127.0.0.1:10027/inet"])["repaired"]) == 1
    assert c.call("tx")["open"]  # not committed: it goes back
    c.call("revert")
    assert len(c.call("drift")["drift"]) == 3 and "evil" in device.read(table)
    assert len(c.call("repair")["repaired"]) == 3
    c.call("commit", digest=digest(1))
    assert c.call("drift")["drift"] == [] and "evil" not in device.read(table)
    with pytest.raises(HelperError) as bad:
        c.call("repair", items=[1])
    assert bad.value.answer["error"] == "invalid"


def test_what_shows_the_digest_is_put_back_with_anything(device):
    c = device.client()
    apply(c, 1, smtp__banner_text="one")
    text = device.read("main.cf")
    device.write("main.cf", text.replace(digest(1), digest(2)).replace("ESMTP one", "ESMTP edited"))
    said = c.call("repair", items=["main.cf:smtpd_banner"])
    assert {x["item"] for x in said["repaired"]} == {"smtpd_banner", "inari_digest"} and said["left"] == []
    c.call("commit", digest=digest(1))
    assert device.banner_digests() == (digest(1), digest(1))


@pytest.mark.parametrize("how", ["deleted", "moved away", "written over"])
def test_the_table_behind_drain_is_mended_at_once(device, how):
    """Every new smtpd asks it: one that began without it answers 451 to everybody.  Nobody calls a verb here."""
    c = device.client()
    apply(c, 1)
    path = os.path.join(device.etc, "inari-drain")
    whole = device.read("inari-drain")
    if how == "deleted":
        os.unlink(path)
    elif how == "moved away":
        os.rename(path, path + ".old")
    else:
        device.write("inari-drain", "0.0.0.0/0 REJECT\n::/0 REJECT\n")
    wait_until(lambda: os.path.exists(path) and device.read("inari-drain") == whole, "the table to be back", 5)
    wait_until(lambda: "drain.mended" in device.log_text(), "the log", 5)

    def answer():
        return device.dialogue(25, ["EHLO x.test", "MAIL FROM:<a@outside.test>", "RCPT TO:<u@example.test>"])[-1]

    wait_until(lambda: answer().startswith("250"), "a new smtpd that takes mail", 10)


def test_a_drain_order_that_cannot_be_read_is_one(device):
    """Damaged by a full or failing disk: the device does not begin to take mail by that."""
    c = device.client()
    apply(c, 1)
    order = {"id": "0190aaaa-0000-7000-8000-000000000001", "kind": "drain", "args": {}, "by": "me", "reason": "disk is swapped"}
    assert c.call("command", **order)["state"] == "done"
    assert c.call("running")["drain"]["reason"] == "disk is swapped"
    with open(os.path.join(device.state, "drain.json"), "w") as f:
        f.write('{"by":"me","rea')
    assert "drain.json" in c.call("running")["drain"]["reason"]
    assert "450 4.3.2" in device.read("inari-drain")
    order.update(id="0190aaaa-0000-7000-8000-000000000002", kind="undrain")
    assert c.call("command", **order)["state"] == "done" and c.call("running")["drain"] is None
    assert "450" not in device.read("inari-drain")


def test_disown_leaves_postfix_as_it_runs(device):
    c = device.client()
    apply(c, 1, smtp__banner_text="one")
    text = device.read("main.cf")
    c.call("disown")
    assert device.read("main.cf") == text and "one" in banner(device)
    assert c.call("drift")["drift"] == [] and not c.call("running")["managed"]


# -- refusals ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("request_, word", [
    ({"v": 1, "verb": "nonsense"}, "invalid"),
    ({"v": 2, "verb": "hello"}, "invalid"),
    ({"v": 1, "verb": "stage"}, "invalid"),
    ({"v": 1, "verb": "validate", "digest": "../../etc"}, "invalid"),
    ({"v": 1, "verb": "validate", "digest": digest(77)}, "conflict"),
    ({"v": 1, "verb": "switch", "digest": digest(77)}, "conflict"),
    ({"v": 1, "verb": "commit", "digest": digest(77)}, "conflict"),
    ({"v": 1, "verb": "service", "op": "rm"}, "invalid"),
    ({"v": 1, "verb": "tx", "extra": 1}, "invalid"),
    ({"v": 1, "verb": "stage", "digest": digest(1), "device_id": DEVICE, "epoch": 1, "rev": 1, "pub": 1,
      "settings": {"no.such.setting": 1}}, "refused"),
])
def test_bad_requests(device, request_, word):
    c = device.client()
    members = {k: v for k, v in request_.items() if k not in ("v", "verb")}
    if request_["v"] != 1:
        import json
        text = json.dumps(request_).encode()
        c.raw(struct.pack(">I", len(text)) + text)
        answer = c.read()
    else:
        answer = c.ask(request_["verb"], **members)
    assert not answer["ok"] and answer["error"] == word and answer["message"]
    assert c.call("hello")["ok"]  # the connection lives


def test_bad_frames_end_the_connection_only(device):
    for data in (b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x04[1]\n", b"\0\0\0\x05{]]]}"):
        c = device.client()
        c.raw(data)
        assert c.read()["error"] in ("too-large", "malformed")
        with pytest.raises(ConnectionError):
            c.read()
        c.close()
    assert device.client().call("hello")["ok"]


def test_unprivileged_peers_are_refused(device):
    """C23: only root and the agent's user, whatever the file mode says."""
    os.chmod(device.sock, 0o666)
    daemon, nobody = pwd.getpwnam("daemon").pw_uid, pwd.getpwnam("nobody").pw_uid
    assert as_user(daemon, device.sock) == b""
    assert as_user(nobody, device.sock) != b""  # the agent's user in this device's agent.conf


def as_user(uid, path):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(uid)
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            s.sendall(b"\0\0\0\x16" + b'{"v":1,"verb":"hello"}')
            os.write(w, s.recv(100))
        finally:
            os._exit(0)
    os.close(w)
    os.waitpid(pid, 0)
    with os.fdopen(r, "rb") as f:
        return f.read()


def test_not_validated_is_not_switched(device):
    c = device.client()
    stage(c, 1)
    assert c.ask("switch", digest=digest(1))["error"] == "refused"
    assert "by hand" in banner(device)


def test_a_hand_edit_after_staging_is_seen(device):
    c = device.client()
    ready(c, 1)
    device.write("main.cf", device.read("main.cf") + "late = edit\n")
    assert c.ask("switch", digest=digest(1))["error"] == "conflict"
    assert device.read("main.cf").endswith("late = edit\n")


def test_a_second_change_waits(device):
    c = device.client()
    ready(c, 1)
    c.call("switch", digest=digest(1))
    for verb, more in (("stage", {"device_id": DEVICE, "settings": settings(), "epoch": 1, "rev": 2, "pub": 2}),
                       ("switch", {}), ("restore", {})):
        assert c.ask(verb, digest=digest(2), **more)["error"] == "conflict"
    c.call("commit", digest=digest(1))


def test_injection_through_settings(device):
    """C24: no value reaches a file as another line, parameter or program."""
    c = device.client()
    for n, bad in enumerate(["x\ncontent_filter = evil:", "x\r\ny = z", "\0", "a\x01b", "${mynetworks}", "$(id)", " -o x=y",
                             "x}\n  -o { y = z", "`id`", "|/bin/sh", "\u2028x", "x\x7f"]):
        before = device.read("main.cf"), device.read("master.cf")
        answer = c.ask("stage", digest=digest(n), device_id=DEVICE, settings=settings(smtp__banner_text=bad),
                       epoch=1, rev=n, pub=n)
        if answer["ok"]:
            ready(c, n, smtp__banner_text=bad)
            with open(os.path.join(device.state, "stage", digest(n), "etc", "main.cf")) as f:
                lines = f.read().splitlines()
            assert not [x for x in lines if x.startswith(("content_filter = evil", "y = z"))]
        else:
            assert answer["error"] in ("refused", "malformed", "invalid"), answer
            if answer["error"] == "malformed":
                c = device.client()
        assert (device.read("main.cf"), device.read("master.cf")) == before


# -- faults --------------------------------------------------------------------------------------------------------
@pytest.mark.fault
def test_two_helpers(device):
    """C21"""
    c = device.client()
    r = device.inside("sh", "-c", f"ASAN_OPTIONS=detect_leaks=0 {__import__('helperlib').program('inari-helper')} "
                      f"--config {device.conf}", check=False)
    assert r.returncode == 1 and "another inari-helper" in r.stderr
    assert c.call("hello")["ok"]


POINTS = ["staged", "switching", "renamed", "switched", "reloading", "reloaded", "probing", "committing", "reverting",
          "restored"]


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("managed", [False, True])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(make, point, managed):
    """C5, C6: SIGKILL at each point; after the next start the files are whole and Postfix runs them."""
    d = make()
    d.postfix("start")
    if managed:
        d.start()
        c = d.client()
        apply(c, 1, smtp__banner_text="old")
        c.close()
        d.stop()
    old = d.read("main.cf"), d.read("master.cf")
    d.start(INARI_CRASH_AT=point)
    c = d.client()
    with pytest.raises((ConnectionError, HelperError)):
        ready(c, 2, smtp__banner_text="new")
        c.call("switch", digest=digest(2))
        if point in ("reverting", "restored"):
            c.call("revert")
        c.call("commit", digest=digest(2))
    assert d.helper.wait(10) in (-signal.SIGKILL, 137)
    d.start()
    c = d.client()
    assert not c.call("tx")["open"]
    last = c.call("tx")["last"]
    new = point == "committing"
    if new:
        assert last["result"] == "committed" and d.banner_digests() == (digest(2), digest(2))
    else:
        assert last["result"] == ("dropped" if point == "staged" else "interrupted")
        assert last["digest"] == digest(2)
        assert (d.read("main.cf"), d.read("master.cf")) == old
    assert ("new" in banner(d)) == new
    assert c.call("running")["on_disk"] == (digest(2) if new else digest(1) if managed else "")
    assert c.call("drift")["drift"] == [] and not leftovers(d)
    apply(c, 3, smtp__banner_text="third")  # and life goes on
    assert "third" in banner(d)


@pytest.mark.fault
def test_agent_goes_away(device):
    """The connection breaks with an open journal: reverted after takeover (1 s here), by the helper alone."""
    c = device.client()
    ready(c, 1, smtp__banner_text="one")
    c.call("switch", digest=digest(1))
    c.close()
    assert "one" in banner(device)
    wait_until(lambda: "by hand" in banner(device), "takeover", 10)
    tx = device.client().call("tx")
    assert not tx["open"] and tx["last"]["result"] == "interrupted"


@pytest.mark.fault
def test_agent_comes_back_in_time(device):
    c = device.client()
    ready(c, 1, smtp__banner_text="one")
    c.call("switch", digest=digest(1))
    c.close()
    time.sleep(0.3)
    c = device.client()
    assert c.call("tx")["phase"] == "probing"
    time.sleep(1.5)
    c.call("commit", digest=digest(1))
    assert "one" in banner(device)


@pytest.mark.fault
def test_disk_full_while_staging(make):
    """C7: refused cleanly, nothing live touched."""
    d = make(state_tmpfs="300k")
    d.postfix("start")
    d.start()
    c = d.client()
    seen = d.state_seen
    with open(os.path.join(seen, "filler"), "wb", buffering=0) as f:
        with pytest.raises(OSError):
            while True:
                f.write(b"x" * 4096)
    answer = c.ask("stage", digest=digest(1), device_id=DEVICE, settings=settings(), epoch=1, rev=1, pub=1)
    assert answer["error"] == "storage", answer
    assert "by hand" in banner(d) and c.call("tx")["last"] is None
    os.unlink(os.path.join(seen, "filler"))
    apply(c, 1, smtp__banner_text="one")


@pytest.mark.fault
@pytest.mark.slow
def test_disk_full_while_journalling(make):
    """C7: once staged, the journal and the way back need no space in the state folder."""
    d = make(state_tmpfs="600k")
    d.postfix("start")
    d.start()
    c = d.client()
    apply(c, 1, smtp__banner_text="one")
    ready(c, 2, smtp__banner_text="two")
    c.call("switch", digest=digest(2))
    with open(os.path.join(d.state_seen, "filler"), "wb", buffering=0) as f:
        with pytest.raises(OSError):
            while True:
                f.write(b"x" * 4096)
    assert c.call("revert")["to"] == digest(1)
    assert "one" in banner(d)


@pytest.mark.fault
@pytest.mark.slow
def test_disk_full_in_the_configuration_folder(make):
    d = make(etc_tmpfs="200k")
    d.postfix("start")
    d.start()
    c = d.client()
    before = d.read("main.cf")
    with open(os.path.join(d.etc, "filler"), "wb", buffering=0) as f:
        with pytest.raises(OSError):
            while True:
                f.write(b"x" * 4096)
    os.truncate(os.path.join(d.etc, "filler"), 40960)
    os.unlink(os.path.join(d.etc, "filler"))
    ready(c, 1, smtp__banner_text="one")
    with open(os.path.join(d.etc, "filler"), "wb", buffering=0) as f:
        with pytest.raises(OSError):
            while True:
                f.write(b"x" * 4096)
    assert c.ask("switch", digest=digest(1))["error"] == "storage"
    assert d.read("main.cf") == before and "by hand" in banner(d) and not leftovers(d)
    assert not c.call("tx")["open"]


@pytest.mark.fault
@pytest.mark.slow
def test_read_only_configuration(make):
    """C8"""
    d = make(etc_tmpfs="10m")
    d.postfix("start")
    d.start()
    c = d.client()
    ready(c, 1)
    inside = d.path("etc")
    d.inside("mount", "-o", "remount,ro,bind", "/etc/postfix")
    d.inside("mount", "-o", "remount,ro", inside, check=False)
    answer = c.ask("switch", digest=digest(1))
    assert answer["error"] == "storage", answer
    assert "by hand" in banner(d) and not c.call("tx")["open"]


@pytest.mark.fault
@pytest.mark.parametrize("how", ["owner", "mode", "link"])
def test_a_file_that_is_not_ours_to_write(device, how):
    """C8, C25"""
    path = os.path.join(device.etc, "main.cf")
    if how == "owner":
        shutil.chown(path, "nobody")
    elif how == "mode":
        os.chmod(path, 0o666)
    else:
        os.rename(path, path + ".real")
        os.symlink(path + ".real", path)
    answer = device.client().ask("stage", digest=digest(1), device_id=DEVICE, settings=settings(), epoch=1, rev=1, pub=1)
    assert answer["error"] == "storage" and "main.cf" in answer["message"]


@pytest.mark.fault
def test_hanging_validator(make):
    """C16: a map that never ends; the command is killed at its deadline."""
    d = make(conf="helper.command_timeout = 1s\n")
    d.write("main.cf", d.read("main.cf") + "virtual_mailbox_maps = texthash:/etc/postfix/fifo\n"
            "lmtp_generic_maps = texthash:/etc/postfix/fifo\n")
    os.mkfifo(os.path.join(d.etc, "fifo"))
    d.start()
    c = d.client()
    began = time.monotonic()
    stage(c, 1)
    answer = c.ask("validate", digest=digest(1))
    assert time.monotonic() - began < 10
    assert answer["error"] == "timeout" and "fifo" in answer["message"] and "killed" in answer["message"]
    assert c.ask("switch", digest=digest(1))["error"] == "refused"
    assert "by hand" in d.read("main.cf")


@pytest.mark.fault
def test_sessions_survive(device):
    """A client in the middle of its session when the configuration changes."""
    c = device.client()
    apply(c, 1, smtp__banner_text="one")
    ready(c, 2, smtp__banner_text="two")
    with device.connect(25) as s:
        f = s.makefile("rb")
        assert b"one" in f.readline()
        s.sendall(b"EHLO x\r\n")
        while f.readline()[3:4] == b"-":
            pass
        c.call("switch", digest=digest(2))
        s.sendall(b"MAIL FROM:<>\r\n")
        assert f.readline().startswith(b"250")
        s.sendall(b"RCPT TO:<a@example.test>\r\n")
        assert f.readline().startswith(b"250")
    c.call("commit", digest=digest(2))
    assert "two" in banner(device)


@pytest.mark.fault
@pytest.mark.slow
def test_master_dies_on_reload(make):
    """C2: valid for every checker, and the master is dead after the reload: put back and started by the helper."""
    d = make()
    d.postfix("start")
    d.start(INARI_MUTATE="reload:master-port-in-use", INARI_MUTATE_PORT="2525")
    blocker = start_blocker(d, 2525)
    try:
        c = d.client()
        before = d.read("main.cf"), d.read("master.cf")
        ready(c, 1)
        answer = c.ask("switch", digest=digest(1))
        if answer["ok"]:  # it died a moment later: what the agent would do then
            c.call("revert")
        assert (d.read("main.cf"), d.read("master.cf")) == before
        assert "by hand" in banner(d) and c.call("running")["state"] == "foreign"
    finally:
        blocker.kill()


def start_blocker(d, port):
    import subprocess
    p = subprocess.Popen(["nsenter", "-t", str(d.holder.pid), "-m", "-n", "python3", "-c",
                          f"import socket,time; s=socket.create_server(('127.0.0.1',{port})); print('up',flush=True); "
                          "time.sleep(600)"], stdout=subprocess.PIPE)
    assert p.stdout.readline().strip() == b"up"
    return p


@pytest.mark.slow
def test_services_leave_when_the_path_or_port_changes(device):
    """A listener of an older configuration is ours as well: it goes when it is not planned any more."""
    c = device.client()
    apply(c, 1, path__mode="plain")
    assert device.dialogue(10026)[0].startswith("220")
    apply(c, 2, path__mode="plain", scan__reinject_port=10036)
    assert "10026" not in device.read("master.cf") and device.dialogue(10036)[0].startswith("220")
    apply(c, 3, smtp__listen_port=2525)
    names = [x.split()[0] for x in device.read("master.cf").splitlines() if x[:1] not in "# \t"]
    assert "2525" in names and "25" not in names and "127.0.0.1:10036" not in names and "inari-scan" not in names
    with pytest.raises(OSError):
        device.connect(25)
    c.call("restore", digest=digest(1))
    c.call("commit", digest=digest(1))
    names = [x.split()[0] for x in device.read("master.cf").splitlines() if x[:1] not in "# \t"]
    assert "25" in names and "2525" not in names and "127.0.0.1:10026" in names
    c.call("disown")
    shutil.rmtree(os.path.join(device.state, "lkg"))
    would = c.call("diff", digest=digest(4), device_id=DEVICE, settings=settings())["would_change"]
    assert "127.0.0.1:10026/inet" in {x["item"] for x in would}  # known by its marks


def test_validate_has_one_deadline(make):
    d = make(conf="helper.validate_timeout = 500ms\n")
    d.write("main.cf", d.read("main.cf") + "lmtp_generic_maps = texthash:/etc/postfix/fifo\n")
    os.mkfifo(os.path.join(d.etc, "fifo"))
    d.start()
    c = d.client()
    stage(c, 1)
    began = time.monotonic()
    assert c.ask("validate", digest=digest(1))["error"] == "timeout"
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_hostile_spool_leads_nowhere(device):
    """C25: links that a broken daemon leaves in the trial's folders are removed, not followed."""
    c = device.client()
    ready(c, 1)
    victim = device.path("victim")
    os.makedirs(os.path.join(victim, "sub"))
    for name in ("a", "sub/b"):
        with open(os.path.join(victim, name), "w") as f:
            f.write("x")
    for folder in ("active", "maildrop", "private", "deferred"):
        os.symlink(victim, os.path.join(device.path("trial", "spool", folder), "link"))
    os.makedirs(device.path("trial", "spool", "deferred", "0"), exist_ok=True)
    os.symlink(victim, device.path("trial", "spool", "deferred", "0", "link"))
    stage(c, 2)
    c.call("validate", digest=digest(2))
    c.call("trial_stop", digest=digest(2))
    assert sorted(os.listdir(victim)) == ["a", "sub"] and os.listdir(os.path.join(victim, "sub")) == ["b"]
    assert not os.path.lexists(device.path("trial", "spool", "active", "link"))


@pytest.mark.slow
def test_modes_of_everything_written(device):
    """C25: the state is root's alone; what Postfix reads is readable, and only root writes it."""
    c = device.client()
    apply(c, 1)
    ready(c, 2)
    for root, _, files in os.walk(device.state):
        assert os.stat(root).st_mode & 0o022 == 0
    assert os.stat(device.state).st_mode & 0o077 == 0
    for root, _, files in os.walk(os.path.join(device.etc, "inari")):
        assert os.stat(root).st_mode & 0o777 == 0o755
        for f in files:
            assert os.stat(os.path.join(root, f)).st_mode & 0o777 == 0o644
    assert os.stat(os.path.join(device.etc, "main.cf")).st_mode & 0o777 == 0o644
