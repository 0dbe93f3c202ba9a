"""The parent and its database: plain owner, few connections, default server settings, external database by password."""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess

import parentlib
import pytest


def test_superuser_is_refused_with_a_remedy(new_parent):
    """B05: the account must be a plain owner; a superuser is not accepted."""
    p = new_parent(start=False)
    p.postgres.psql("ALTER ROLE inari SUPERUSER")
    p.start(wait=False)
    line = parentlib.wait_until(lambda: [x for x in p.log().splitlines() if "superuser" in x], "the refusal", 20)[0]
    assert not p.ready() and "plain role" in line
    p.postgres.psql("ALTER ROLE inari NOSUPERUSER")
    p.wait_ready()


@pytest.mark.slow
def test_connections_stay_few_under_load(parent):
    """B06: the number of connections does not follow the number of callers."""
    sessions = [parent.token(["device:read"]) for _ in range(4)]
    most = 0
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        jobs = [pool.submit(sessions[i % 4].ok, "GET", "/devices") for i in range(400)]
        while not all(j.done() for j in jobs):
            most = max(most, int(parent.postgres.psql(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'inari'")[0][0]))
        for j in jobs:
            j.result()
    assert 0 < most <= 20


def test_server_settings_are_the_defaults(parent):
    """B06 B07: max_connections 100 and max_locks_per_transaction 64 are enough."""
    assert parent.postgres.psql("SHOW max_connections") == [["100"]]
    assert parent.postgres.psql("SHOW max_locks_per_transaction") == [["64"]]


def test_every_time_has_a_zone(parent):
    """B08: the server's time zone cannot matter."""
    assert parent.postgres.psql("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
                                " AND data_type IN ('timestamp without time zone', 'time without time zone')") == []


@pytest.mark.slow
def test_external_database_by_tcp_and_password(system_users, workdir, programs):
    """B01 B03: any PostgreSQL with a plain owner role; scram password over TCP, roles made by the site."""
    d = parentlib.folder(workdir, f"ext-{os.urandom(3).hex()}")
    db = parentlib.Postgres(d).start()
    port = parentlib.free_port()
    db.psql("CREATE ROLE site LOGIN PASSWORD 'a secret'")
    db.psql("CREATE DATABASE site OWNER site")
    db.psql("ALTER SYSTEM SET listen_addresses = '127.0.0.1'")
    db.psql(f"ALTER SYSTEM SET port = {port}")
    db.stop()
    hba, script = os.path.join(db.home, "data/pg_hba.conf"), os.path.join(d, "postgres-tcp")
    with open(script, "w") as f:
        f.write(f"#!/bin/sh\necho 'host site site 127.0.0.1/32 scram-sha-256' > {hba}\n"
                f"exec $(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/postgres -D {db.home}/data -k {db.socket}\n")
    os.chmod(script, 0o755)
    server = parentlib.Process("external", d).launch(parentlib.as_user("inari-db", [script]))
    parentlib.wait_until(lambda: subprocess.run(["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode == 0,
                         "the external server", 20)
    p = parentlib.Parent(d, db, programs,
                         {"db.conninfo": f"host=127.0.0.1 port={port} dbname=site user=site password='a secret'"})
    try:
        p.start()
        p.login()
        assert "a secret" not in p.log()
        r = subprocess.run([programs["inarid"], "--config", p.conf, "--show-settings"], capture_output=True, text=True)
        assert r.returncode == 0 and "a secret" not in r.stdout and "db.conninfo = ***" in r.stdout
    finally:
        p.stop()
        server.end(2)


@pytest.mark.slow
def test_two_parents_share_one_database(parent, programs, workdir):
    """Several parents may share one database: both serve the same devices and accept the same tokens."""
    second = parentlib.Parent(parentlib.folder(workdir, "second"), parent.postgres, programs)
    os.makedirs(second.state, exist_ok=True)
    for name in os.listdir(parent.state):  # the keys are copied to each further parent
        subprocess.run(["cp", "-a", os.path.join(parent.state, name), second.state], check=True)
    try:
        second.start()
        token = parent.token(["device:read"]).headers["Authorization"].split()[1]
        def devices(p):  # when a device was seen, and how often it was told to slow down, each parent knows of its own
            return [{k: d[k] for k in ("id", "name", "state", "mode", "placement", "drift", "kid", "groups", "desired", "version")}
                    for d in p.session(token).ok("GET", "/devices?limit=500")["items"]]
        assert devices(second) == devices(parent)
    finally:
        second.stop()


@pytest.mark.parametrize("programs_of", sorted(glob.glob("/usr/lib/postgresql/*/bin")))
def test_every_installed_major_serves(system_users, workdir, programs, programs_of):
    """B09: the embedded database and the schema, on each major that this machine has."""
    d = parentlib.folder(workdir, f"major-{os.urandom(3).hex()}")
    script = os.path.join(d, "with-bin")
    shutil.copy(os.path.join(parentlib.SOURCE, "deploy", "inari-postgres"), os.path.join(d, "plain"))
    with open(script, "w") as f:
        f.write(f'#!/bin/sh\nexec {d}/plain "$@" --bin {programs_of}\n')
    for path in (script, os.path.join(d, "plain")):
        os.chmod(path, 0o755)
    db = parentlib.Postgres(d, script=script).start()
    p = parentlib.Parent(d, db, programs)
    try:
        p.start()
        version = p.token().ok("GET", "/parent")["database"]["version"]
        assert version.split(".")[0] == programs_of.split("/")[-2]
        p.token().publish({"fleet": {"smtp.message_size_limit": 1234567}}, "on this major")
    finally:
        p.end(15)
        db.end(2)


def test_no_major_is_named():
    """B09: nothing that is installed names a version of PostgreSQL; an upgrade of it needs no change of ours."""
    found = []
    for folder in ("agent", "cli", "deploy", "lib", "schema", "server"):
        for path in glob.glob(os.path.join(parentlib.SOURCE, folder, "**"), recursive=True):
            if os.path.isfile(path) and "__pycache__" not in path:
                with open(path, errors="replace") as f:
                    found += [f"{path}: {m}" for m in re.findall(r"postgresql[-/@]\d+|/pgsql-?\d+", f.read())]
    assert found == []
