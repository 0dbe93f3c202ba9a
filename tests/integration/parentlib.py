"""Processes of a parent for tests: a private PostgreSQL and inarid on loopback, in a folder of their own.

Nothing here is a stand-in: PostgreSQL is started by deploy/inari-postgres as on a real parent, inarid as the user
inari.  Everything is killed by pid, logs stay in the folder.
"""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(SOURCE, "deploy"))
from inarilab import system, users  # noqa: E402

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
    return os.environ.get("INARI_BUILD") or system.newest_build(SOURCE)


def install(dest):
    """The build under test laid out in dest; {program: path}."""
    return system.lay_out(build_dir(), dest)[0]


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

    def end(self, sig=signal.SIGTERM, timeout=20):
        """Signal and wait; the exit status (negative: the signal it died of)."""
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

