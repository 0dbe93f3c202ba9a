"""Processes of a parent for tests: a private PostgreSQL and inarid on loopback, in a folder of their own.

Nothing here is a stand-in: PostgreSQL is started by deploy/inari-postgres as on a real parent, inarid as the user
inari.  Everything is killed by pid, logs stay in the folder.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import requests

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(SOURCE, "deploy"))
from inarilab import conf, control, system, users  # noqa: E402

SANITIZER = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|runtime error:")
# A crash must be seen in the log and in the status; leaks are looked for at a clean end.
SAN_ENV = {"ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}


def wait_until(test, what, timeout=15.0, every=0.03):
    """Poll test() until it gives something true, and give that back."""
    end = time.monotonic() + timeout
    while True:
        got = test()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout:g} s for {what}")
        time.sleep(every)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def new_folder(prefix):
    """A folder every user may pass through (pytest's own are root's alone)."""
    d = tempfile.mkdtemp(prefix=f"inari-{prefix}-", dir="/tmp")
    os.chmod(d, 0o755)
    return d


def folder(base, name):
    d = os.path.join(base, name)
    os.makedirs(d, exist_ok=True)
    os.chmod(d, 0o755)
    return d


def build_dir():
    """INARI_BUILD, else build/ci (it has the test hooks), else the newest."""
    ci = os.path.join(SOURCE, "build", "ci")
    return os.environ.get("INARI_BUILD") or (ci if os.path.isdir(ci) else system.newest_build(SOURCE))


def install(dest):
    """The build under test laid out in dest; {program: path}."""
    return system.lay_out(build_dir(), dest, ("inarid",))[0]


def as_user(user, argv):
    if os.geteuid() != 0:
        return list(argv)
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *argv]


class Process:
    """One daemon in the foreground with its words in a file."""

    def __init__(self, name, folder):
        self.name, self.log_path, self.p = name, os.path.join(folder, f"{name}.log"), None

    def launch(self, argv, env=None, cwd="/"):
        with open(self.log_path, "ab") as log:
            self.p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd,
                                      env={**os.environ, **SAN_ENV, **(env or {})}, start_new_session=True)
        return self

    @property
    def pid(self):
        return self.p.pid

    def alive(self):
        return self.p is not None and self.p.poll() is None

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    ENDS_WITHIN = 20  # seconds

    def end(self, sig=signal.SIGTERM, timeout=None):
        """Signal and wait; the exit status (negative: the signal it died of)."""
        timeout = timeout or self.ENDS_WITHIN
        if self.p is None:
            return None
        if self.p.poll() is None:
            self.p.send_signal(sig)
            try:
                self.p.wait(timeout)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait(5)
                raise AssertionError(f"{self.name} did not end {timeout} s after signal {sig}:\n"
                                     + self.log()[-2000:]) from None
        return self.p.returncode

    def check_sanitizers(self):
        if os.path.exists(self.log_path):
            found = SANITIZER.search(self.log())
            assert not found, f"{self.name}: {self.log()[found.start() - 200:found.start() + 4000]}"


class Postgres(Process):
    """The embedded database as deploy/inari-postgres makes it."""
    ENDS_WITHIN = 180  # its last checkpoint syncs every file written since; behind a hundred restores these are many

    def __init__(self, folder, script=None, client="inari"):
        super().__init__("postgres", folder)
        self.script = script or os.path.join(SOURCE, "deploy", "inari-postgres")
        self.home = os.path.join(folder, "db")
        self.socket = os.path.join(folder, "dbs")
        self.client = client if os.geteuid() == 0 else subprocess.getoutput("id -un")
        self.conninfo = f"host={self.socket} dbname=inari user=inari"

    def start(self):
        if self.alive():
            return self
        for d, mode in ((self.home, 0o700), (self.socket, 0o755)):
            os.makedirs(d, exist_ok=True)
            os.chmod(d, mode)
            if os.geteuid() == 0:
                os.chown(d, *users.ids("inari-db"))
        script = shutil.copy(self.script, os.path.join(os.path.dirname(self.home), "inari-postgres"))
        os.chmod(script, 0o755)
        self.launch(as_user("inari-db", [script, "--data", f"{self.home}/data", "--socket", self.socket,
                                         "--client", self.client]))
        wait_until(lambda: self.ready() or not self.alive(), "PostgreSQL", 60)
        assert self.alive(), self.log()
        return self

    def ready(self):
        r = subprocess.run(as_user("inari-db", ["pg_isready", "-q", "-h", self.socket]), cwd="/")
        return r.returncode == 0

    def psql(self, sql, user="postgres", db="inari"):
        """Rows as lists of text, asked as the superuser (or as the plain owner: user="inari")."""
        system_user = "inari-db" if user == "postgres" else "inari"
        r = subprocess.run(as_user(system_user, ["psql", "-qXAt", "-F", "\x1f", "-v", "ON_ERROR_STOP=1",
                                                 "-h", self.socket, "-U", user, "-d", db, "-c", sql]),
                           capture_output=True, text=True, cwd="/")
        assert r.returncode == 0, r.stderr
        return [line.split("\x1f") for line in r.stdout.splitlines()]

    def stop(self):
        return self.end(signal.SIGINT)

    def kill(self):
        """SIGKILL of the postmaster and of all it started."""
        if self.p is None or self.p.poll() is not None:
            return
        children = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True).stdout.split()
        for pid in [str(self.pid), *children]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        self.p.wait(5)
        for pid in children:
            wait_until(lambda p=pid: not os.path.exists(f"/proc/{p}") or
                       open(f"/proc/{p}/stat").read().rpartition(")")[2].split()[0] == "Z", "its children to die", 10)



class Session(requests.Session):
    """requests against the API: paths below /api/v1, the cookie's protection header, the parent's certificate.
    Every answer is compared with api/openapi.yaml (conftest.py)."""

    description = None  # apischema.Description

    def __init__(self, base, ca, token=None):
        super().__init__()
        self.base, self.verify, self.trust_env = base, ca, False
        self.headers.update({"Accept": "application/json", "X-Inari-Request": "1"})
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method, url, **kw):
        if url.startswith("/"):
            outside = url.startswith(("/healthz", "/readyz", "/metrics", "/oauth2", "/api/"))
            url = self.base + (url if outside else "/api/v1" + url)
        kw.setdefault("timeout", 30)
        answer = super().request(method, url, **kw)
        if Session.description is not None and not kw.get("stream"):
            Session.description.check(answer)
        return answer

    def ok(self, method, url, body=None, **kw):
        """The JSON of a call that must succeed."""
        if body is not None:
            kw["data"] = json.dumps(body)
            kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
            kw["headers"] = {"Content-Type": kind, **kw.get("headers", {})}
        r = self.request(method, url, **kw)
        assert r.status_code < 300, f"{method} {url}: {r.status_code} {r.text[:2000]}"
        return r.json() if r.content else None

    def change(self, url, body):
        """PATCH of what is there now."""
        now = self.get(url)
        assert now.status_code == 200, f"GET {url}: {now.status_code} {now.text[:500]}"
        return self.ok("PATCH", url, body, headers={"If-Match": now.headers["ETag"]})

    def publish(self, changes, reason="test", **body):
        draft = self.ok("POST", "/drafts", {"title": reason})
        self.change(f"/drafts/{draft['id']}", changes)
        return self.ok("POST", f"/drafts/{draft['id']}/publish", {"reason": reason, **body})


class Parent(Process):
    """inarid on a free loopback port, with its own folder; the database is given (several may share one)."""

    def __init__(self, folder_, postgres, programs, extra=None, name="inarid"):
        super().__init__(name, folder_)
        self.dir, self.postgres, self.programs = folder_, postgres, programs
        self.state = os.path.join(folder_, f"{name}-state")
        self.conf = os.path.join(folder_, f"{name}.conf")
        self.port, self.extra = free_port(), dict(extra or {})
        self.base = f"https://localhost:{self.port}"
        self.admin = None  # (name, password)

    @property
    def ca(self):
        return os.path.join(self.dir, f"{self.name}-ca.pem")

    def start(self, env=None, wait=True):
        """Configuration, process, readiness; safe to repeat."""
        if self.alive():
            return self
        self.configure()
        self.launch(as_user("inari", [self.programs["inarid"], "--config", self.conf]), env)
        if wait:
            self.wait_ready()
        return self

    def configure(self):
        """The state folder and the settings file, without starting anything."""
        os.makedirs(self.state, exist_ok=True)
        os.chmod(self.state, 0o700)
        if os.geteuid() == 0:
            os.chown(self.state, *users.ids("inari"))
        with open(self.conf, "w") as f:
            f.write(conf.inarid(f"127.0.0.1:{self.port}", self.base, self.postgres.conninfo, self.state, self.extra))

    def wait_ready(self, timeout=60):
        wait_until(lambda: self.ready() or not self.alive(), f"{self.name} to be ready", timeout)
        assert self.alive(), f"{self.name} ended: {self.log()[-3000:]}"
        return self

    def ready(self):
        crt = os.path.join(self.state, "tls", "server.crt")
        if not os.path.exists(crt):
            return False
        shutil.copy(crt, self.ca)
        try:
            return self.session().get("/readyz", timeout=3).status_code == 200
        except requests.RequestException:
            return False

    def session(self, token=None):
        return Session(self.base, self.ca, token)

    def reset_admin(self):
        """(user, password) of an administrator; the program's own command."""
        r = subprocess.run(as_user("inari", [self.programs["inarid"], "reset-admin", "--config", self.conf]),
                           capture_output=True, text=True, cwd="/", env={**os.environ, **SAN_ENV})
        assert r.returncode == 0, r.stdout + r.stderr
        self.admin = control.admin_words(r.stdout)
        return self.admin

    def login(self, user=None, password=None):
        """A signed-in session; the administrator's when none is named."""
        if user is None:
            user, password = self.admin or self.reset_admin()
        s = self.session()
        s.ok("POST", "/session", {"user": user, "password": password})
        return s

    def token(self, scopes=None):
        """A session with a new API token of the administrator."""
        s = self.login()
        if scopes is None:
            scopes = s.ok("GET", "/session")["permissions"]
        made = s.ok("POST", "/api-tokens", {"name": f"test-{uuid.uuid4().hex[:8]}", "scopes": scopes,
                                            "expires_at": None})
        return self.session(made["token"])

    def stop(self):
        status = self.end(signal.SIGTERM)
        self.check_sanitizers()
        return status

    def kill(self):
        return self.end(signal.SIGKILL)

    def restart(self):
        self.stop()
        return self.start()


@contextlib.contextmanager
def alone(workdir, name, programs):
    """A parent with a database of its own, for a file of tests that looks at everything there is."""
    d = folder(workdir, name)
    db = Postgres(d).start()
    p = Parent(d, db, programs, {}).start()
    yield p
    for m in (p, db):
        m.end(15 if m is p else 2)
        m.check_sanitizers()
