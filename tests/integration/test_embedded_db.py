"""The embedded database as deploy/inari-postgres makes it."""
import os
import signal
import subprocess

import parentlib
import pytest


@pytest.fixture
def db(tmp_path_factory, system_users, workdir):
    d = parentlib.Postgres(parentlib.folder(workdir, f"db-{os.urandom(3).hex()}"))
    yield d
    d.end(signal.SIGINT)


def test_role_is_a_plain_owner(db):
    db.start()
    row = db.psql("SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles "
                  "WHERE rolname = current_user", user="inari")
    assert row == [["f"] * 5]
    assert db.psql("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'inari'") == [["inari"]]
    db.psql("CREATE TABLE mine (a int); DROP TABLE mine", user="inari")


def test_nothing_listens_on_the_network(db):
    db.start()
    assert db.psql("SHOW listen_addresses") == [[""]]
    inodes = {os.readlink(f"/proc/{db.pid}/fd/{f}") for f in os.listdir(f"/proc/{db.pid}/fd")}
    tcp = [line.split()[9] for t in ("tcp", "tcp6") for line in open(f"/proc/{db.pid}/net/{t}").readlines()[1:]]
    assert not inodes & {f"socket:[{i}]" for i in tcp}


@pytest.mark.parametrize("system_user, role, database", [
    ("nobody", "inari", "inari"), ("inari", "postgres", "postgres"), ("inari", "inari", "postgres"),
    ("inari-agent", "inari", "inari"), ("root", "inari", "inari"), ("root", "postgres", "postgres")])
def test_only_the_named_user_comes_in(postgres, system_user, role, database):
    argv = ["psql", "-qXAt", "-h", postgres.socket, "-U", role, "-d", database, "-c", "SELECT 1"]
    if system_user != "root":
        group = "nogroup" if system_user == "nobody" else system_user
        argv = ["setpriv", f"--reuid={system_user}", f"--regid={group}", "--clear-groups", *argv]
    r = subprocess.run(argv, capture_output=True, text=True, cwd="/")
    assert r.returncode != 0 and "FATAL" in r.stderr


def test_settings_of_the_cluster(postgres):
    want = {"data_checksums": "on", "TimeZone": "UTC", "server_encoding": "UTF8", "fsync": "on",
            "full_page_writes": "on"}
    assert {k: postgres.psql(f"SHOW {k}")[0][0] for k in want} == want
    hba = postgres.psql("SELECT type, auth_method FROM pg_hba_file_rules")
    assert hba and all(r == ["local", "peer"] for r in hba)


def test_second_start_keeps_the_data(db):
    db.start().psql("CREATE TABLE kept (a int); INSERT INTO kept VALUES (7)", user="inari")
    assert db.stop() == 0
    assert db.start().psql("SELECT a FROM kept", user="inari") == [["7"]]


@pytest.mark.slow
def test_sigkill_loses_nothing_committed(db):
    db.start().psql("CREATE TABLE kept (a int); INSERT INTO kept VALUES (7)", user="inari")
    db.kill()
    assert db.start().psql("SELECT a FROM kept", user="inari") == [["7"]]


@pytest.mark.slow
def test_first_start_that_is_cut_off_is_made_good(db):
    """A half-made cluster stands beside the real place and is thrown away."""
    db.start()
    db.stop()
    os.rename(f"{db.home}/data", f"{db.home}/data.new")
    os.unlink(f"{db.home}/data.new/pg_hba.conf")
    assert db.start().psql("SELECT 1", user="inari") == [["1"]]


@pytest.mark.parametrize("args, word", [
    (["--nonsense", "x"], "unknown option"), (["--socket", "/nowhere"], "--socket /nowhere"),
    (["--data"], "--data needs a value"), (["--client", "a b"], "not a user name"),
    (["--listen", "192.0.2.1"], "need each other"), (["--from", "192.0.2.2/32"], "need each other"),
    (["--listen", "192.0.2.1", "--from", "192.0.2.2"], "need each other"),
    (["--listen", "all of them", "--from", "192.0.2.2/32"], "must be one IP address"),
    (["--listen", "192.0.2.1", "--from", "x y/32"], "must be a network")])
def test_wrong_use_is_explained(system_users, workdir, args, word):
    script = os.path.join(parentlib.SOURCE, "deploy/inari-postgres")
    copy = os.path.join(workdir, "inari-postgres")
    with open(script) as f, open(copy, "w") as g:
        g.write(f.read())
    os.chmod(copy, 0o755)
    r = subprocess.run(parentlib.as_user("inari-db", [copy, *args]), capture_output=True, text=True, cwd="/")
    assert r.returncode == 1 and word in r.stderr


def test_root_is_refused(system_users):
    r = subprocess.run([os.path.join(parentlib.SOURCE, "deploy/inari-postgres")], capture_output=True, text=True)
    assert r.returncode == 1 and "root" in r.stderr
