"""SIGKILL at each single call that makes something last (killpoint.c): the helper's apply, revert and repair of drift, the
parent's publish, its restore, the change of its root key.  Not at random moments: at all of them, one after the other, before the call.  tests/run --faults: behind it too; without,
each fourth call of a repair and each third of the parent's words to its database."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile

import parentlib
import pytest
import requests
import wireclient
from cryptography.hazmat.primitives import serialization
from helperlib import Device, HelperError, digest
from parentlib import as_user, wait_until
from test_backup import made, safe, tool  # noqa: F401 (fixtures)
from test_epoch import root_passphrase
from test_helper_apply import apply, banner, leftovers, ready
from test_settings_crash import check_whole

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
MANY = 200  # no code under test makes so many such calls
WHEN = ["before", "after"] if os.environ.get("INARI_FAULTS") else ["before"]


class Killer:
    """Arms killpoint.so, and knows whether it struck."""

    def __init__(self, folder, program):
        folder = os.path.join(folder, f"killer-{os.urandom(2).hex()}")
        os.mkdir(folder)
        os.chmod(folder, 0o777)  # the program removes the file that armed it, whoever it runs as
        self.file = os.path.join(folder, "kill-at")
        library = shutil.copy(os.path.join(parentlib.build_dir(), "tests", "integration", "killpoint.so"), folder)
        os.chmod(library, 0o755)
        self.env = {"LD_PRELOAD": library, "INARI_KILL_IN": program, "INARI_KILL_FILE": self.file,
                    "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0"}

    def arm(self, n, kind, when):
        with open(self.file + ".new", "w") as f:
            f.write(f"{n} {kind} {when}")
        os.chmod(self.file + ".new", 0o644)
        os.rename(self.file + ".new", self.file)

    def struck(self):
        """The call at which it killed since arm(), or None; disarmed either way."""
        if os.path.exists(self.file):
            os.unlink(self.file)
            return None
        with open(self.file + ".hit") as f:
            call = f.read()
        os.unlink(self.file + ".hit")
        return call


@pytest.fixture
def device():
    d = Device(tempfile.mkdtemp(prefix="inari-kill-"))
    yield d
    d.close()
    shutil.rmtree(d.tmp, ignore_errors=True)


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("end", ["commit", "revert"])
def test_helper_at_each_call(device, injected, end, when):
    """C5, C6: between any two calls the files are those of before or of after, and Postfix runs what the helper says."""
    d, n, calls = device, 0, []
    killer = Killer(d.tmp, "inari-helper")
    d.postfix("start")
    d.start(**killer.env)
    c = d.client()
    apply(c, 1, smtp__banner_text="n1")
    have, rev = 1, 1
    while True:
        n, rev = n + 1, rev + 1
        killer.arm(n, "files", when)
        try:
            ready(c, rev, smtp__banner_text=f"n{rev}")
            c.call("switch", digest=digest(rev))
            c.call(end, **({"digest": digest(rev)} if end == "commit" else {}))
        except (ConnectionError, HelperError):
            pass
        call = killer.struck()
        if call is None:
            break
        calls.append(call)
        assert n < MANY and d.helper.wait(10) in (-signal.SIGKILL, 137), f"{n}: {call}"
        d.start(**killer.env)
        c = d.client()
        at = f"killed {when} call {n}, {call}, of {calls}"
        assert not c.call("tx")["open"], at
        on_disk = c.call("running")["on_disk"]
        assert on_disk in ((digest(have), digest(rev)) if end == "commit" else (digest(have),)), at
        have = rev if on_disk == digest(rev) else have
        assert banner(d) == f"220 mx.example.test ESMTP n{have}", at
        assert d.banner_digests() == (digest(have), digest(have)), at
        assert c.call("drift")["drift"] == [] and not leftovers(d), at
    assert len(calls) >= 20, calls
    assert banner(d) == f"220 mx.example.test ESMTP n{rev if end == 'commit' else have}"
    injected("sigkill", len(calls))
    print(f"{len(calls)} kills {when} calls of apply and {end}: {calls}")


BANNER, HELO, PROBE = "main.cf:smtpd_banner", "main.cf:smtpd_helo_required", "master.cf:127.0.0.1:10027/inet"
TABLE = f"table:inari/{digest(1)[:16]}/relay_domains"


def edit_by_hand(d):
    """Four items of ours differ, and Postfix runs what was edited."""
    text = d.read("main.cf")
    for ours, theirs in (("ESMTP ours", "ESMTP edited"), ("smtpd_helo_required = yes", "smtpd_helo_required = no")):
        text = text.replace(ours, theirs)
    d.write("main.cf", text)
    d.write("master.cf", re.sub(r"^(127.0.0.1:10027 +inet +\S+ +\S+ +\S+ +\S+ +)\S+", r"\g<1>7", d.read("master.cf"), flags=re.M))
    d.write(TABLE.partition(":")[2], "evil.test relay\n")
    d.postfix("reload")


def differing(c):
    return {f"{row['file']}:{row['item']}" for row in c.call("drift")["drift"]}


@pytest.mark.parametrize("when", WHEN)
def test_repair_at_each_call(device, injected, when):
    """C5, C17: killed between any two calls of a repair and its commit: the files are as they were found, or with what was
    named put back and the rest as found, never with a part of it; Postfix runs those; the configuration in force is still
    known, and the next repair ends what this one did not.  (Without --faults: each fourth call.)"""
    step = 1 if os.environ.get("INARI_FAULTS") else 4
    d, n, calls, outcomes = device, random.randrange(step) + 1 - step, [], set()
    killer = Killer(d.tmp, "inari-helper")
    d.postfix("start")
    d.start(**killer.env)
    c = d.client()
    apply(c, 1, smtp__banner_text="ours")
    edit_by_hand(d)
    found, wanted = {BANNER, HELO, PROBE, TABLE}, {BANNER, PROBE, TABLE}
    assert differing(c) == found
    files = d.read("main.cf"), d.read("master.cf")
    mended = None
    while True:
        n += step
        killer.arm(n, "files", when)
        try:
            said = c.call("repair", items=sorted(wanted))
            assert {f"{row['file']}:{row['item']}" for row in said["repaired"]} == wanted
            c.call("commit", digest=digest(1))
        except (ConnectionError, HelperError):
            pass
        call = killer.struck()
        now = d.read("main.cf"), d.read("master.cf")
        if call is None:
            break
        calls.append(call)
        assert n < MANY and d.helper.wait(10) in (-signal.SIGKILL, 137), f"{n}: {call}"
        d.start(**killer.env)
        c = d.client()
        at = f"killed {when} call {n}, {call}, of {calls}"
        now = d.read("main.cf"), d.read("master.cf")
        assert not c.call("tx")["open"], at
        left = differing(c)
        assert left - {TABLE} in (found - {TABLE}, {HELO}), f"{at}: {left}"  # a table is put back before the switch
        back = left == {HELO}
        mended = now if back else mended
        assert now == (mended if back else files), at
        assert banner(d) == f"220 mx.example.test ESMTP {'ours' if back else 'edited'}", at
        assert d.banner_digests() == (digest(1), digest(1)) and not leftovers(d), at
        running = c.call("running")
        assert running["on_disk"] == digest(1) and [x["digest"] for x in running["lkg"]] == [digest(1)], at
        outcomes.add(back)
        if back or TABLE not in left:  # once more from where it began
            edit_by_hand(d)
            assert differing(c) == found and (d.read("main.cf"), d.read("master.cf")) == files, at
    assert differing(c) == {HELO} and banner(d).endswith("ours") and mended in (None, now)
    assert n >= 50 and outcomes == {False, True}, (calls, outcomes)
    assert {f"{row['file']}:{row['item']}" for row in c.call("repair")["repaired"]} == {HELO}  # the whole of it was kept
    c.call("commit", digest=digest(1))
    assert differing(c) == set()
    injected("sigkill", len(calls))
    print(f"{len(calls)} kills {when} calls of a repair and its commit: {calls}")


@pytest.mark.parametrize("when", WHEN)
def test_parent_at_each_word_to_its_database(new_parent, injected, when):
    """F1: a publication that the parent was killed in is there as a whole, or not at all; an acknowledged one is there."""
    p = new_parent(start=False)
    killer = Killer(p.dir, "inarid")
    p.start(env=killer.env)
    token = p.token().headers["Authorization"].split()[1]
    dev = wireclient.Device(p.base, p.ca, "mx-kill-points")
    dev.enrol(p.session(token).ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    step = 1 if os.environ.get("INARI_FAULTS") else 3
    n, kills = random.randrange(step) + 1 - step, 0
    while True:
        n += step
        s = p.session(token)
        draft = s.ok("POST", "/drafts", {"title": f"n{n}"})
        s.change(f"/drafts/{draft['id']}", {"fleet": {"smtp.idle_timeout": 60 + n,
                                                      "smtp.relay_domains": {f"d{n}.example.test": {}}}})
        before = p.postgres.psql("SELECT max(pub) FROM revision")
        killer.arm(n, "sends", when)
        done = None
        try:
            r = s.post(f"/drafts/{draft['id']}/publish", json={"reason": f"n{n}"})
            done = r.status_code
        except requests.RequestException:
            pass
        if done is not None:
            killer.struck()
            assert done == 201
            break
        assert killer.struck() == "send" and n < MANY
        kills += 1
        assert p.end() == -signal.SIGKILL
        p.start(env=killer.env)
        pubs = check_whole(p, dev.id)
        there = bool(p.postgres.psql(f"SELECT 1 FROM draft WHERE id = '{draft['id']}'"))
        assert there == (pubs[-1] == int(before[0][0])), f"killed {when} word {n}: draft and revision"
    assert n > 50, "one publication is more than that"
    injected("sigkill", kills)
    check_whole(p, dev.id)
    assert p.session(token).ok("GET", "/audit/verify")["ok"]
    print(f"{kills} kills {when} words to the database")


@pytest.mark.parametrize("kind", ["files", "sends"])
def test_restore_at_each_call(made, safe, injected, kind):  # noqa: F811
    """A restore that was killed at any call is finished by another one, or taken back by its undo; no parent starts on the half."""
    parent, _, said = made
    killer = Killer(parent.dir, "inarid")
    args = as_user("inari", [parent.programs["inarid"], "--config", parent.conf, "restore", f"{safe}/two.inari", "--key",
                             f"{safe}/mine.key", "--replace"])

    def asked(sql):
        return parent.postgres.psql(sql) == [["t"]]

    def newest():
        return int(parent.postgres.psql("SELECT max(pub) FROM revision")[0][0])

    def keys():
        found = {}
        for folder, _, names in os.walk(parent.state):
            if not os.path.basename(folder).startswith("backup."):
                for name in names:
                    with open(os.path.join(folder, name), "rb") as f:
                        found[os.path.join(folder, name)] = f.read()
        return found
    parent.stop()
    now, of_backup, n, calls = newest(), said["manifest"]["pub"], 0, []
    mine = keys()

    def held(at):
        """The keys are those of before.  A restore that was killed may leave copies; the next one removes them."""
        there = keys()
        more = [os.path.basename(x) for x in there if x not in mine]
        assert not [x for x in more if not x.endswith((".before-restore", ".inari-tmp"))], f"{at}: {more}"
        return {x: there.get(x) for x in mine} == mine
    while True:
        n += 1
        killer.arm(n, kind, "before")
        r = subprocess.run(args, capture_output=True, text=True, cwd="/", env={**os.environ, **killer.env}, timeout=120)
        call = killer.struck()
        if call is None:
            assert r.returncode == 0, r.stdout + r.stderr
            break
        calls.append(call)
        assert n < MANY and r.returncode in (-signal.SIGKILL, 137), r.stderr
        wait_until(lambda: asked("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name IN "
                                 "('pg_restore', 'inari-backup')"), "the restore's end", 30)
        at = f"killed before {kind} {n}, {call}"
        if not asked("SELECT to_regclass('public.meta') IS NOT NULL"):
            refused = tool(parent, "migrate", check=False)
            assert refused.returncode == 1 and "a restore was cut off" in refused.stderr, at
        if n % 2 == 0:
            tool(parent, *args[-5:])
            assert newest() == of_backup and asked("SELECT count(*) = 1 FROM meta WHERE key = 'fence'"), at
        if asked("SELECT to_regclass('inari_before_restore.meta') IS NOT NULL"):
            tool(parent, "restore", "--undo")
        assert newest() == now and held(at), at
        for name in os.listdir(parent.state):
            if name.startswith("backup."):
                shutil.rmtree(os.path.join(parent.state, name))
    assert newest() == of_backup
    tool(parent, "restore", "--undo")
    assert newest() == now and keys() == mine
    assert len(calls) >= 3, calls
    injected("sigkill", len(calls))
    parent.start()
    assert parent.token().ok("GET", "/parent")["pub"] == now
    print(f"{len(calls)} kills of a restore before {kind}: {calls}")


def root_keys(parent, phrases):
    """{x of a root key: (its file, its passphrase)} of every file that one of the passphrases opens; none lies in the clear."""
    found = {}
    for name in os.listdir(parent.state):
        path = os.path.join(parent.state, name)
        if not os.path.isfile(path):
            continue
        with open(path, "rb") as f:
            pem = f.read()
        assert b"BEGIN PRIVATE KEY" not in pem and b"BEGIN EC PRIVATE KEY" not in pem, name
        for phrase in phrases if b"BEGIN ENCRYPTED PRIVATE KEY" in pem and not name.endswith(".inari-tmp") else ():
            try:
                key = serialization.load_pem_private_key(pem, phrase.encode())
            except ValueError:
                continue
            found[key.public_key().public_numbers().x] = path, phrase
    return found


@pytest.mark.parametrize("kind", ["files", "sends"])
def test_rotate_root_at_each_call(new_parent, injected, kind):
    """Killed at any call, inarid rotate-root leaves a fleet whose root key, the one before or the one that follows, is whole, and whose
    passphrase somebody was shown; with that the next rotation goes through."""
    p = new_parent()
    p.stop()
    killer = Killer(p.dir, "inarid")
    phrases, given = [root_passphrase(p)], os.path.join(p.dir, "phrase")
    step = 4 if kind == "sends" and not os.environ.get("INARI_FAULTS") else 1
    n, calls, passed = random.randrange(step) + 1 - step, [], {False: 0, True: 0}

    def trusted():
        jws = p.postgres.psql("SELECT n, jws FROM trust_document ORDER BY n DESC LIMIT 1")[0]
        doc = json.loads(wireclient.unb64u(json.loads(jws[1])["payload"]))
        assert doc["n"] == int(jws[0])
        return doc["n"], int.from_bytes(wireclient.unb64u(doc["root"]["x"]), "big")
    while True:
        n += step
        (trust, root), files = trusted(), root_keys(p, phrases)
        path, phrase = files[root]
        with open(given, "w") as f:
            f.write(phrase + "\n")
        os.chmod(given, 0o644)
        killer.arm(n, kind, "before")
        r = subprocess.run(as_user("inari", [p.programs["inarid"], "--config", p.conf, "rotate-root", "--passphrase-file", given, "--root-key", path,
                                             "--reason", "a person left"]), capture_output=True, text=True, cwd="/", timeout=120,
                           env={**os.environ, **killer.env})
        call = killer.struck()
        shown = re.search(r"shown only now: (\S+)", r.stdout)
        phrases += [shown[1]] if shown else []
        if call is None:
            assert r.returncode == 0, r.stdout + r.stderr
            break
        calls.append(call)
        at = f"killed before {kind} {n}, {call}, of {calls}"
        assert n < MANY and r.returncode in (-signal.SIGKILL, 137), r.stderr
        now, key = trusted()
        assert (now == trust) == (key == root) and now in (trust, trust + 1), at
        assert key in root_keys(p, phrases), f"{at}: nobody has the root key that document {now} names"
        passed[now != trust] += 1
    now, key = trusted()
    assert now == trust + 1 and root_keys(p, phrases)[key] == (os.path.join(p.state, "root.key.pem"), phrases[-1])
    assert passed[False] and (passed[True] or kind == "sends") and len(calls) >= 6, (passed, calls)
    p.start()
    assert p.token().ok("GET", "/trust")["n"] == now
    injected("sigkill", len(calls))
    print(f"{len(calls)} kills of rotate-root before {kind}: {calls}")
