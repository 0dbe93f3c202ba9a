"""Inari's programs: found in a build folder or an install prefix, laid out in a folder of the lab.

The lab runs a copy, as installed: unprivileged users can read it wherever the sources lie, and a build beside a running
lab changes nothing under it.
"""
import hashlib
import os
import shutil

from .util import LabError, run

NAMES = ("inarid", "inari-agent", "inari-helper", "inarictl", "inari-postgres", "foxproxy")


def newest_build(source):
    """The newest of build/release, build/ci and build/dev that has the programs."""
    found = []
    for preset in ("release", "ci", "dev"):
        build = os.path.join(source, "build", preset)
        stamps = [os.path.getmtime(os.path.join(d, f)) for d, _, fs in os.walk(build) for f in fs
                  if f in ("inarid", "inari-agent") and os.access(os.path.join(d, f), os.X_OK)]
        if stamps:
            found.append((max(stamps), build))
    if not found:
        raise LabError("no build found: cmake --preset release && cmake --build --preset release, or name one with --prefix")
    return max(found)[1]


def lay_out(prefix, dest, need=NAMES):
    """Install prefix (a build folder or an install prefix) into dest; returns {program: path}."""
    new = f"{dest}.new"
    shutil.rmtree(new, ignore_errors=True)
    if os.path.exists(os.path.join(prefix, "CMakeCache.txt")):
        run(["cmake", "--install", prefix, "--prefix", "/usr"], env={**os.environ, "DESTDIR": new})
    elif os.path.isdir(prefix):
        for sub in ("bin", "sbin", "lib/inari", "libexec/inari", "share/inari"):
            if os.path.isdir(os.path.join(prefix, sub)):
                shutil.copytree(os.path.join(prefix, sub), os.path.join(new, "usr", sub), symlinks=True)
    else:
        raise LabError(f"--prefix {prefix}: no such folder")
    found = programs(new)
    missing = [n for n in need if n not in found]
    if missing:
        raise LabError(f"{prefix} lacks {', '.join(missing)}: build it first (cmake --build {prefix})")
    changed = digest(new) != (digest(dest) if os.path.isdir(dest) else None)
    if changed:
        shutil.rmtree(dest, ignore_errors=True)
        os.rename(new, dest)
    else:
        shutil.rmtree(new)
    return programs(dest), changed


def programs(dest):
    return {f: os.path.join(d, f) for d, _, fs in os.walk(dest) for f in fs
            if f in NAMES and os.access(os.path.join(d, f), os.X_OK)}


def digest(dest):
    """Of the programs only: what has to be started again when it differs."""
    h = hashlib.sha256()
    for name, path in sorted(programs(dest).items()):
        with open(path, "rb") as f:
            h.update(name.encode() + hashlib.file_digest(f, "sha256").digest())
    return h.hexdigest()
