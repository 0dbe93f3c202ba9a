"""Start, database away, certificate replaced while running, files, stop."""
import base64
import hashlib
import os
import socket
import ssl
import subprocess

import pytest
import requests
from inarilab import users
from parentlib import wait_until


def certificate(parent):
    ctx = ssl._create_unverified_context()
    with ctx.wrap_socket(socket.create_connection(("127.0.0.1", parent.port), timeout=5)) as s:
        return s.getpeercert(binary_form=True)


def put(parent, name, data, mode=0o600):
    path = os.path.join(parent.state, "tls", name)
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.chmod(path + ".new", mode)
    if os.geteuid() == 0:
        os.chown(path + ".new", *users.ids("inari"))
    os.rename(path + ".new", path)


def tls_file(parent, name):
    with open(os.path.join(parent.state, "tls", name), "rb") as f:
        return f.read()


def self_signed(key_pem, tmp_path):
    key, crt = tmp_path / "k.pem", tmp_path / "c.pem"
    key.write_bytes(key_pem)
    subprocess.run(["openssl", "req", "-x509", "-key", key, "-out", crt, "-days", "30", "-subj", "/CN=replaced",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    return crt.read_bytes()


def pin(crt_pem):
    key = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=crt_pem, capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def test_first_start_makes_a_certificate_and_pins_a_spare(parent):
    pins = tls_file(parent, "pins").decode().split()
    assert len(pins) == 2 and pins[0] != pins[1]
    assert pin(tls_file(parent, "server.crt")) == pins[0]
    for name in ("server.key", "backup.key", "active.pem"):
        assert os.stat(os.path.join(parent.state, "tls", name)).st_mode & 0o777 == 0o600
    text = subprocess.run(["openssl", "x509", "-noout", "-text"], input=tls_file(parent, "server.crt"),
                          capture_output=True, check=True).stdout.decode()
    assert "prime256v1" in text and "DNS:localhost" in text and "IP Address:127.0.0.1" in text


@pytest.mark.slow
def test_certificate_is_replaced_while_running(new_parent, tmp_path):
    parent = new_parent()
    first = certificate(parent)
    held = parent.session()
    assert held.get("/healthz").status_code == 200
    # A new certificate on the pinned backup key is taken into use, without a signal.
    backup = tls_file(parent, "backup.key")
    put(parent, "server.crt", self_signed(backup, tmp_path))
    put(parent, "server.key", backup)
    wait_until(lambda: certificate(parent) != first, "the new certificate", 10)
    second = certificate(parent)
    assert held.get("/healthz").status_code == 200  # the old connection lives on
    # One on a key no child pins is refused, with a line that says so; what serves stays.
    stranger = subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
                              capture_output=True, check=True).stdout
    put(parent, "server.key", stranger)
    put(parent, "server.crt", self_signed(stranger, tmp_path))
    wait_until(lambda: "not pinned" in parent.log(), "the refusal", 10)
    assert certificate(parent) == second
    # The same after a restart: the pair accepted last serves.
    parent.stop()
    parent.start(wait=False)
    wait_until(lambda: "event=parent.listening" in parent.log().rpartition("event=parent.stopped")[2], "the start", 30)
    assert certificate(parent) == second


@pytest.mark.slow
def test_without_database_what_needs_none_is_served(new_parent):
    parent = new_parent(start=False)
    parent.postgres.stop()
    parent.start(wait=False)
    url = f"https://localhost:{parent.port}"

    def status(path):
        try:
            return requests.get(url + path, verify=False, timeout=5).status_code
        except requests.RequestException:
            return None
    wait_until(lambda: status("/healthz") == 200, "/healthz without a database", 20)
    assert status("/readyz") == 503
    r = requests.get(url + "/metrics", verify=False, timeout=5)  # from loopback: no permission, so no database
    assert r.status_code == 200 and "inari_ready 0" in r.text
    wait_until(lambda: "event=parent.waiting" in parent.log(), "a try to fail", 10)
    parent.postgres.start()
    wait_until(lambda: status("/readyz") == 200, "the database to be found", 30)


def test_files_are_served_from_memory(new_parent, tmp_path_factory, workdir):
    web = os.path.join(workdir, "web")
    os.makedirs(os.path.join(web, "assets"))
    files = {"index.html": b"<!doctype html><title>console</title>", "assets/app-1.js": b"console.log(1)" * 100,
             "assets/app-1.js.gz": b"gz bytes"}
    for name, data in files.items():
        with open(os.path.join(web, name), "wb") as f:
            f.write(data)
    os.symlink("/etc/passwd", os.path.join(web, "passwd"))
    parent = new_parent(web_dir=web)
    s = requests.Session()  # not the API's: files are not in its description
    s.verify, s.trust_env = parent.ca, False

    def get(path, **headers):
        return s.get(parent.base + path, headers={"Accept-Encoding": "identity", **headers}, stream=True)
    r = get("/")
    assert r.status_code == 200 and r.raw.read() == files["index.html"]
    assert r.headers["Content-Type"] == "text/html; charset=utf-8" and r.headers["Cache-Control"] == "no-cache"
    csp = r.headers["Content-Security-Policy"]
    assert "default-src 'none'" in csp and "script-src 'self'" in csp and "unsafe" not in csp
    assert get("/", **{"If-None-Match": r.headers["ETag"]}).status_code == 304
    r = get("/assets/app-1.js")
    assert r.raw.read() == files["assets/app-1.js"] and "immutable" in r.headers["Cache-Control"]
    r = get("/assets/app-1.js", **{"Accept-Encoding": "gzip, br"})
    assert r.headers["Content-Encoding"] == "gzip" and r.raw.read(decode_content=False) == files["assets/app-1.js.gz"]
    assert get("/passwd").status_code == 404
    assert s.head(parent.base + "/").headers["Content-Length"] == str(len(files["index.html"]))
    os.unlink(os.path.join(web, "index.html"))
    assert get("/").status_code == 200


def test_settings_are_checked(parent, programs, tmp_path):
    def inarid(*args, text=None):
        path = tmp_path / "inarid.conf"
        if text is not None:
            path.write_text(text)
        return subprocess.run([programs["inarid"], *args, *(["--config", path] if text is not None else [])],
                              capture_output=True, text=True)
    assert inarid("--version").stdout.startswith("inarid ")
    assert inarid("--check", text="lab = yes\n").returncode == 0
    bad = inarid("--check", text="lab = yes\nno.such.key = 1\n")
    assert bad.returncode == 1 and "no.such.key" in bad.stderr and ":2" in bad.stderr
    bad = inarid("--check", text="api.addresses = http://x\n")
    assert bad.returncode == 1 and "api.addresses" in bad.stderr
    shown = inarid("--show-settings", text="db.conninfo = host=/x password=secret\n")
    assert "api.listen" in shown.stdout and "secret" not in shown.stdout
    sample = inarid("--sample")
    assert "# api.listen" in sample.stdout or "#api.listen" in sample.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
def test_root_is_refused(parent):
    r = subprocess.run([parent.programs["inarid"], "--config", parent.conf], capture_output=True, text=True, timeout=20)
    assert r.returncode != 0 and "root" in r.stderr


def test_stop_is_clean(new_parent):
    parent = new_parent()
    s = parent.session()
    assert s.get("/healthz").status_code == 200
    assert parent.stop() == 0
    assert "event=parent.stopped" in parent.log()
