"""One file from which a parent comes back: complete, encrypted, checked before anything is changed, restored whole or not."""
import json
import os
import random
import shutil
import subprocess
import time

import parentlib
import pytest
import wireclient
from eventlib import Spool, batch, event, send, zstd
from parentlib import as_user, wait_until

PASS = "correct horse battery"


def tool(parent, *args, check=True, user="inari"):
    r = subprocess.run(as_user(user, [parent.programs["inarid"], "--config", parent.conf, *args]), capture_output=True, text=True,
                       timeout=120, env={**os.environ, **parentlib.SAN_ENV, "LC_ALL": "C.UTF-8"})
    assert not parentlib.SANITIZER.search(r.stderr), r.stderr
    assert not check or r.returncode == 0, r.stdout + r.stderr
    return r


@pytest.fixture(scope="module")
def safe(workdir, system_users):
    """A folder of inari's with a passphrase, a recipient's key and certificate, and another's."""
    d = parentlib.folder(workdir, f"safe-{os.urandom(2).hex()}")
    with open(f"{d}/pass", "w") as f:
        f.write(PASS + "\n")
    for name, kind in (("mine", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]), ("other", ["-newkey", "rsa:2048"])):
        subprocess.run(["openssl", "req", "-x509", *kind, "-nodes", "-keyout", f"{d}/{name}.key", "-out", f"{d}/{name}.crt",
                        "-days", "30", "-subj", f"/CN={name}"], check=True, capture_output=True)
    subprocess.run(["chown", "-R", "inari:inari", d], check=True)
    return d


@pytest.fixture(scope="module")
def made(workdir, system_users, programs, safe):
    """A parent with a revision, its backup by passphrase and by certificate, and a change after that."""
    d = parentlib.folder(workdir, f"backed-{os.urandom(2).hex()}")
    db = parentlib.Postgres(d).start()
    p = parentlib.Parent(d, db, programs).start()
    try:
        api = p.token()
        api.publish({"fleet": {"smtp.message_size_limit": 11_000_000}}, "before the backup")
        said = json.loads(tool(p, "backup", f"{safe}/one.inari", "--passphrase-file", f"{safe}/pass", "--json").stdout)
        tool(p, "backup", f"{safe}/two.inari", "--recipient", f"{safe}/mine.crt")
        api.publish({"fleet": {"smtp.message_size_limit": 12_000_000}}, "after the backup")
        yield p, api, said
    finally:
        for x in (p, db):
            x.end(2 if x is db else 15)


def pub_of(parent):
    """The newest revision, over the API."""
    return parent.token().ok("GET", "/parent")["pub"]


def test_backup_is_whole_and_for_its_keeper_only(made, safe):
    parent, _, said = made
    assert said["manifest"]["pub"] >= 2 and said["manifest"]["members"].keys() >= {"database.dump", "state/parent.key"}
    assert os.stat(f"{safe}/one.inari").st_mode & 0o777 == 0o600
    for name, good, bad in (("one", ["--passphrase-file", f"{safe}/pass"], ["--key", f"{safe}/mine.key"]),
                            ("two", ["--key", f"{safe}/mine.key"], ["--key", f"{safe}/other.key"])):
        assert "whole" in tool(parent, "check-backup", f"{safe}/{name}.inari", *good).stdout
        r = tool(parent, "check-backup", f"{safe}/{name}.inari", *bad, check=False)
        assert r.returncode == 1 and "another key or passphrase" in r.stderr
    # Any administrator's own tool opens it as well.
    r = subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-in", f"{safe}/two.inari", "-inkey",
                        f"{safe}/mine.key", "-recip", f"{safe}/mine.crt", "-out", f"{safe}/two.tar"], capture_output=True)
    listed = subprocess.run(["tar", "tf", f"{safe}/two.tar"], capture_output=True, text=True).stdout.split()
    assert r.returncode == 0 and listed[0] == "manifest.json" and "database.dump" in listed
    os.unlink(f"{safe}/two.tar")


def test_backup_holds_no_live_secret_in_the_clear(made, safe):
    parent, api, _ = made
    with open(os.path.join(parent.state, "parent.key"), "rb") as f:
        key = f.read()
    with open(f"{safe}/one.inari", "rb") as f:
        data = f.read()
    assert key not in data and b"PRIVATE KEY" not in data and b"PGDMP" not in data
    assert os.listdir(parent.state) == [n for n in os.listdir(parent.state) if not n.startswith("backup.")]


@pytest.mark.slow
def test_damage_is_found_before_anything_changes(made, safe):
    parent, _, _ = made
    with open(f"{safe}/two.inari", "rb") as f:
        whole = f.read()
    rnd = random.Random(7)
    cases = [("cut", whole[:n]) for n in [0, 1, 100, len(whole) // 2, len(whole) - 1]]
    cases += [("more", whole + b"x")]
    for at in [rnd.randrange(len(whole)) for _ in range(25)] + [len(whole) - 1]:
        cases.append((f"byte {at}", whole[:at] + bytes([whole[at] ^ (1 << rnd.randrange(8))]) + whole[at + 1:]))
    for what, data in cases:
        path = f"{safe}/damaged"
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, 0o644)
        r = tool(parent, "check-backup", path, "--key", f"{safe}/mine.key", check=False)
        assert r.returncode == 1 and r.stderr.startswith("inarid: "), what


@pytest.mark.parametrize("args,words", [
    (["backup", "X"], "usage"), (["backup", "X", "--key", "k"], "usage"), (["restore", "--undo", "X"], "usage"),
    (["restore", "X"], "usage"), (["check-backup", "/nonexistent", "--key", "/nonexistent"], "could not read"),
    (["backup", "/nonexistent/x", "--passphrase-file", "PASS"], "could not make"),
    (["backup", "ONE", "--passphrase-file", "PASS"], "is there already"),
    (["backup", "X", "--passphrase-file", "SHORT"], "shorter than 12"),
    (["backup", "X", "--recipient", "KEY"], "no PEM certificate")])
def test_wrong_use_is_explained(made, safe, args, words):
    with open(f"{safe}/short", "w") as f:
        f.write("short\n")
    os.chmod(f"{safe}/short", 0o644)
    names = {"PASS": f"{safe}/pass", "ONE": f"{safe}/one.inari", "SHORT": f"{safe}/short", "KEY": f"{safe}/mine.key",
             "X": f"{safe}/x"}
    r = tool(made[0], *[names.get(a, a) for a in args], check=False)
    assert r.returncode != 0 and words in r.stderr
    assert not os.path.exists(f"{safe}/x")


@pytest.mark.slow
def test_restore_refuses_while_a_parent_runs(made, safe):
    r = tool(made[0], "restore", f"{safe}/one.inari", "--passphrase-file", f"{safe}/pass", "--replace", check=False)
    assert r.returncode == 1 and "stop inarid first" in r.stderr


def test_restore_and_undo(made, safe):
    """Back to the backup, fenced; and back again as if nothing had been."""
    parent, api, said = made
    args = ["restore", f"{safe}/one.inari", "--passphrase-file", f"{safe}/pass"]
    parent.stop()
    r = tool(parent, *args, check=False)
    assert r.returncode == 1 and "--replace" in r.stderr
    tool(parent, *args, "--replace")
    parent.start()
    assert pub_of(parent) == said["manifest"]["pub"]
    assert api.get("/audit?limit=1").status_code == 200  # the token is in the backup, the session is not
    parent.stop()
    tool(parent, "restore", "--undo")
    parent.start()
    assert pub_of(parent) == said["manifest"]["pub"] + 1


@pytest.mark.slow
def test_undo_leaves_no_key_that_was_not_there(made, safe):
    """Of a file that only the backup had nothing stays: the next backup would be made with a key nobody chose."""
    parent, _, said = made
    key = os.path.join(parent.state, "tls", "backup.key")
    parent.stop()
    os.rename(key, key + ".kept")
    try:
        tool(parent, "restore", f"{safe}/one.inari", "--passphrase-file", f"{safe}/pass", "--replace")
        assert os.path.exists(key)
        tool(parent, "restore", "--undo")
        assert not os.path.exists(key)
        assert not [n for n in os.listdir(os.path.dirname(key)) if n.endswith(".before-restore")]
    finally:
        os.rename(key + ".kept", key)
    parent.start()
    assert pub_of(parent) == said["manifest"]["pub"] + 1


@pytest.mark.slow
def test_undo_that_is_cut_off_is_run_again(made, safe):
    """Keys and tables are of one life: an undo that cannot bring back every key leaves the tables, and goes on when told again."""
    parent, _, said = made
    pins = os.path.join(parent.state, "tls", "pins")
    parent.stop()
    tool(parent, "restore", f"{safe}/one.inari", "--passphrase-file", f"{safe}/pass", "--replace")
    os.rename(pins, pins + ".kept")
    os.mkdir(pins)
    r = tool(parent, "restore", "--undo", check=False)
    os.rmdir(pins)
    os.rename(pins + ".kept", pins)
    assert r.returncode == 1 and "pins" in r.stderr
    tool(parent, "restore", "--undo")
    assert not [n for n in os.listdir(parent.state) + os.listdir(os.path.dirname(pins)) if n.endswith(".before-restore")]
    parent.start()
    assert pub_of(parent) == said["manifest"]["pub"] + 1


def test_restore_on_a_new_host(made, safe, workdir, programs):
    """Another machine with an empty database becomes the same parent: fleet, pins and keys."""
    old, api, said = made
    d = parentlib.folder(workdir, f"newhost-{os.urandom(2).hex()}")
    db = parentlib.Postgres(d).start()
    new = parentlib.Parent(d, db, programs)
    new.configure()
    try:
        tool(new, "restore", f"{safe}/two.inari", "--key", f"{safe}/mine.key")
        new.start()
        api = parentlib.Session(new.base, new.ca, api.headers["Authorization"].split()[1])
        mine, theirs = api.ok("GET", "/parent"), made[1].ok("GET", "/parent")
        assert mine["fleet"] == theirs["fleet"] == said["manifest"]["fleet"]
        assert mine["certificate"]["pins"] == theirs["certificate"]["pins"]
        assert pub_of(new) == said["manifest"]["pub"]
        new.stop()
    finally:
        for x in (new, db):
            x.end(2 if x is db else 15)


@pytest.mark.slow
@pytest.mark.fault
def test_restore_cut_off_anywhere_is_finished_or_undone(made, safe):
    """SIGKILL at moments all over a restore: inarid never starts on the half; the restore again, or its undo, makes it whole."""
    parent, _, said = made
    args = as_user("inari", [parent.programs["inarid"], "--config", parent.conf, "restore", f"{safe}/two.inari", "--key",
                             f"{safe}/mine.key", "--replace"])
    parent.stop()
    t = time.monotonic()
    subprocess.run(args, check=True, capture_output=True)
    whole = time.monotonic() - t
    tool(parent, "restore", "--undo")
    cut = 0

    def asked(sql):
        return parent.postgres.psql(sql) == [["t"]]
    for i in range(8):
        p = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            p.wait(whole * (i + 1) / 12)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, 9)
            p.wait()
            cut += 1
        wait_until(lambda: asked("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name IN "
                                 "('pg_restore', 'inari-backup')"), "the restore's end")
        half = not asked("SELECT to_regclass('public.meta') IS NOT NULL")
        if half:  # cut between: a start is refused, and says why
            r = tool(parent, "migrate", check=False)
            assert r.returncode == 1 and "a restore was cut off" in r.stderr
        if i % 2 == 0:
            tool(parent, *args[-5:])
            parent.start()
            assert pub_of(parent) == said["manifest"]["pub"]
            parent.stop()
            assert asked("SELECT count(*) = 1 FROM meta WHERE key = 'fence'")
        if asked("SELECT to_regclass('inari_before_restore.meta') IS NOT NULL"):
            tool(parent, "restore", "--undo")
        parent.start()
        assert pub_of(parent) == said["manifest"]["pub"] + 1, f"after cut {i}"
        parent.stop()
        for name in os.listdir(parent.state):
            if name.startswith("backup."):
                shutil.rmtree(os.path.join(parent.state, name))
    assert cut >= 1
    parent.start()


@pytest.mark.slow
def test_events_stay_out_of_a_backup(made, safe):
    """They may be a thousand times as much as the rest: a restored parent knows how far each spool was, takes what comes from
    there, and names what is missing.  An undo has them all."""
    parent, api, _ = made
    device = wireclient.Device(parent.base, parent.ca, "mx-backup")
    device.enrol(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    spool = Spool(device)
    marks = [f"kept {os.urandom(8).hex()}" for _ in range(5)]
    spool.append(*[event(text=m) for m in marks])
    assert spool.post().status_code == 200
    tool(parent, "backup", f"{safe}/events.inari", "--passphrase-file", f"{safe}/pass")
    spool.append(*[event(text=f"after {i}") for i in range(5)])
    assert spool.post().json() == {"acknowledged": 10}
    parent.stop()
    tool(parent, "restore", f"{safe}/events.inari", "--passphrase-file", f"{safe}/pass", "--replace")
    parent.start()
    assert parent.postgres.psql("SELECT count(*) FROM event") == [["0"]]
    assert parent.postgres.psql("SELECT count(*) FROM event_batch") == [["0"]]
    spool.append(event(text="later"))
    device.access = None
    wait_until(lambda: device.post_token().status_code == 200, "a token")
    assert spool.post().json() == {"acknowledged": 11}
    assert parent.postgres.psql("SELECT seq, kind, detail->>'first' FROM event ORDER BY seq") == [["10", "spool.gap", "6"], ["11", "raw", ""]]
    parent.stop()
    tool(parent, "restore", "--undo")
    parent.start()
    assert parent.postgres.psql("SELECT count(*) FROM event") == [["10"]]
    device.access = None
    wait_until(lambda: device.post_token().status_code == 200, "a token")
    assert send(device, "postfix", zstd(batch(spool.id, 11, [event(text="later")]))).json() == {"acknowledged": 11}
