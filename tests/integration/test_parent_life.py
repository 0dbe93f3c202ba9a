"""inarid as a process: first start, stop, kill, database away."""
import os
import signal
import subprocess
import time

import parentlib
import pytest
import requests


def test_first_start_serves_and_says_how_to_sign_in(new_parent):
    t = time.monotonic()
    p = new_parent()
    assert time.monotonic() - t < 30
    text = open(os.path.join(p.state, "first-login.txt")).read()
    assert os.stat(os.path.join(p.state, "first-login.txt")).st_mode & 0o077 == 0
    password = next(x.split()[1] for x in text.splitlines() if x.startswith("password:"))
    assert password not in p.log()
    assert p.session().ok("POST", "/session", {"user": "admin", "password": password})["user"]


def test_stop_is_clean_and_start_keeps_everything(new_parent):
    p = new_parent()
    user, password = p.reset_admin()
    pins = open(os.path.join(p.state, "tls", "pins")).read()
    assert p.stop() == 0
    p.start()
    assert open(os.path.join(p.state, "tls", "pins")).read() == pins
    p.login(user, password)


@pytest.mark.slow
def test_sigkill_and_start(new_parent):
    p = new_parent()
    user, password = p.reset_admin()
    for _ in range(3):
        p.login(user, password)
        assert p.kill() == -signal.SIGKILL
        p.start()
    p.login(user, password)


def test_database_away_is_503_and_heals_by_itself(new_parent):
    p = new_parent()
    user, password = p.reset_admin()
    p.postgres.kill()

    assert p.session().get("/healthz").status_code == 200
    r = p.session().post("/session", json={"user": user, "password": password})
    assert r.status_code == 503 and "Retry-After" in r.headers and r.json()["type"].startswith("urn:inari:problem:")
    p.postgres.start()
    parentlib.wait_until(lambda: p.session().post("/session", json={"user": user, "password": password})
                         .status_code == 200, "sign-in after the database is back", 30)


@pytest.mark.slow
def test_start_without_a_database_waits_for_it(new_parent):
    p = new_parent(start=False)
    p.postgres.stop()
    p.start(wait=False)
    parentlib.wait_until(lambda: "parent.listening" in p.log(), "the listener")
    time.sleep(1)
    assert p.alive() and not p.ready()
    p.postgres.start()
    p.wait_ready()


def test_root_is_refused(new_parent, programs):
    p = new_parent(start=False)
    with open(p.conf, "w") as f:
        f.write(f"state = {p.state}\n")
    r = subprocess.run([programs["inarid"], "--config", p.conf], capture_output=True, text=True)
    assert r.returncode != 0 and "root" in r.stderr


@pytest.mark.parametrize("line, word", [
    ("nonsense.key = 1", "nonsense.key"), ("api.workers = 99", "api.workers"), ("state = relative/path", "state"),
    ("log.level = loud", "log.level"), ("api.certificate = /x", "api.private_key"),
    ("api.addresses = http://x", "https://")])
def test_wrong_settings_are_named(programs, workdir, line, word):
    path = os.path.join(workdir, "wrong.conf")
    with open(path, "w") as f:
        f.write(line + "\n")
    r = subprocess.run([programs["inarid"], "--config", path, "--check"], capture_output=True, text=True)
    assert r.returncode != 0 and word in r.stderr and path in r.stderr


def test_sample_is_accepted_as_settings(programs, workdir):
    sample = subprocess.run([programs["inarid"], "--sample"], capture_output=True, text=True).stdout
    path = os.path.join(workdir, "sample.conf")
    with open(path, "w") as f:
        f.write(sample)
    r = subprocess.run([programs["inarid"], "--config", path, "--check"], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr


def test_only_tls_and_only_known_names(parent):
    with pytest.raises(requests.RequestException):
        requests.get(parent.base.replace("https", "http") + "/healthz", timeout=3)
    r = parent.session().get("/healthz", headers={"Host": "evil.example"})
    assert r.status_code == 421
