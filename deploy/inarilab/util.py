"""Small things every part of the lab uses."""
import os
import subprocess
import sys
import time

START = time.monotonic()


class LabError(Exception):
    """What went wrong and what to do about it, for a person."""


def say(text):
    print(f"[{time.monotonic() - START:6.1f}s] {text}", file=sys.stderr, flush=True)


def run(argv, check=True, timeout=60, **kw):
    """A command to its end; on failure its own words go into the error."""
    r = subprocess.run(argv, stdin=kw.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=timeout, text=True, **kw)
    if check and r.returncode != 0:
        raise LabError(f"{' '.join(map(str, argv))}: status {r.returncode}: {(r.stderr or r.stdout).strip()}")
    return r


def wait_until(test, what, timeout, every=0.05):
    """Poll test() until it gives something true; LabError after timeout seconds."""
    end = time.monotonic() + timeout
    while True:
        got = test()
        if got:
            return got
        if time.monotonic() > end:
            raise LabError(f"waited {timeout:.0f} s for {what}")
        time.sleep(every)


def write_file(path, text, mode=0o644, uid=None, gid=None):
    """Whole file or nothing, also after a kill."""
    tmp = f"{path}.new"
    fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "w") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.chmod(tmp, mode)
    if uid is not None or gid is not None:
        os.chown(tmp, -1 if uid is None else uid, -1 if gid is None else gid)
    os.rename(tmp, path)


def make_dir(path, mode=0o755, uid=None, gid=None):
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)
    if uid is not None or gid is not None:
        os.chown(path, -1 if uid is None else uid, -1 if gid is None else gid)
    return path
