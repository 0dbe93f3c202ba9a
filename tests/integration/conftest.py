"""Shared fixtures. Process-starting code is in parentlib.py; the lab is deploy/lab itself."""
import ctypes
import os
import shutil
import subprocess

import apischema
import parentlib
import pytest
from inarilab import users


def pytest_configure(config):
    """Whatever a test asks a parent, the answer has to be as described."""
    parentlib.Session.description = apischema.Description()


CLONE_NEWNET = 0x40000000  # <sched.h>


def pytest_sessionstart(session):
    """With INARI_OWN_NET each worker of pytest-xdist, or the one process if there are none, has a loopback of its own: every
    agent listens on the same port for its test messages, and files that start agents can stand side by side, of this run
    and of others.  (Labs need the host's network.)"""
    if not os.environ.get("INARI_OWN_NET") or os.geteuid() != 0:
        return
    if not hasattr(session.config, "workerinput") and session.config.getoption("numprocesses", None):
        return  # the workers' parent
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


# Without a loopback of their own: one file after another, however many run side by side.
SHARE_A_PORT = {"test_recovery", "test_agent_api_poll", "test_agent_join", "test_agent_network", "test_agent_notice",
                "test_agent_odd_parent", "test_clock_jumps", "test_identity", "test_identity_back", "test_tls_keys", "test_trust"} if not os.environ.get("INARI_OWN_NET") or os.geteuid() != 0 else set()


# Files that take longest begin first, so that none of them runs on alone at the end.
LONGEST = ["test_helper_apply", "test_backup", "test_rollout_api", "test_rollout_rules", "test_inarictl"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """A file is a group (pytest-xdist, --dist loadgroup): its tests share what its fixtures start.  A test that says a group of
    its own is so long that it begins first."""
    def when(item):
        name = item.module.__name__
        return -1 if item.get_closest_marker("xdist_group") else LONGEST.index(name) if name in LONGEST else len(LONGEST)
    items.sort(key=when)
    for item in items:
        if item.get_closest_marker("xdist_group"):
            continue
        name = item.module.__name__
        item.add_marker(pytest.mark.xdist_group("agents" if name in SHARE_A_PORT else name))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Fixtures learn whether a test failed (rep_call), to keep its logs."""
    report = (yield).get_result()
    setattr(item, f"rep_{report.when}", report)
    if report.failed:
        item.session.config._inari_failed = True


@pytest.fixture(scope="session")
def injected():
    """injected(kind, n=1): so many faults were injected (tests/figures.tsv); tests/run --faults adds them up."""
    path = os.environ.get("INARI_FAULT_COUNTS")

    def count(kind, n=1):
        if path:
            with open(path, "a") as f:
                f.write(f"{kind}\t{n}\n")
    return count


@pytest.fixture(scope="session")
def system_users():
    if os.geteuid() != 0:
        pytest.skip("needs root for the users inari, inari-db and inari-agent")
    users.ensure()


@pytest.fixture(scope="session")
def workdir(request):
    """A folder for this run; kept (and named) when something failed."""
    d = parentlib.new_folder("test")
    yield d
    if getattr(request.config, "_inari_failed", False):
        print(f"\nlogs are kept in {d}")
    else:
        shutil.rmtree(d, ignore_errors=True)


@pytest.fixture(scope="session")
def installed(workdir):
    """The build under test as cmake --install lays it out."""
    dest = os.path.join(workdir, "system")
    parentlib.install(dest)
    return dest


@pytest.fixture(scope="session")
def postgres(workdir, system_users):
    """One private PostgreSQL for the session (deploy/inari-postgres)."""
    db = parentlib.Postgres(parentlib.folder(workdir, "db")).start()
    yield db
    db.stop()


@pytest.fixture(scope="session")
def programs(installed):
    """{program: path}, laid out as installed."""
    from inarilab import system
    return system.programs(installed)


@pytest.fixture(scope="session")
def parent(workdir, postgres, programs):
    """A running parent, shared by the session: restart(), kill(), start(), login(), token(), postgres.psql()."""
    p = parentlib.Parent(parentlib.folder(workdir, "parent"), postgres, programs).start()
    yield p
    if p.alive():
        p.stop()


@pytest.fixture
def new_parent(workdir, system_users, programs):
    """new_parent(**settings): a parent of this test alone, with a database of its own."""
    made = []

    def make(start=True, **extra):
        d = parentlib.folder(workdir, f"parent-{os.urandom(3).hex()}")
        db = parentlib.Postgres(d).start()
        made.append(db)
        p = parentlib.Parent(d, db, programs, {k.replace("__", "."): v for k, v in extra.items()})
        made.append(p)
        return p.start() if start else p
    yield make
    for m in reversed(made):
        m.end(15 if isinstance(m, parentlib.Parent) else 2)
        m.check_sanitizers()


@pytest.fixture(scope="session")
def admin(parent):
    """The administrator, signed in (cookie)."""
    return parent.login()


@pytest.fixture(scope="session")
def api(parent, pytestconfig):
    """A session with an API token that may do everything."""
    s = parent.token()
    pytestconfig._inari_shared = parent, s
    return s


@pytest.fixture(scope="module", autouse=True)
def nobody_left_behind(pytestconfig):
    """The devices of a file are retired when it ends.  Its programs are gone by then, and a fleet that falls silent
    together is taken for a fault of the parent (protocol.md 6.11): the rollouts of every later file would wait."""
    yield
    parent, s = getattr(pytestconfig, "_inari_shared", (None, None))
    if parent is None or not parent.alive():
        return
    for state in ("observing", "managed", "held", "pending", "reattach"):
        while left := s.ok("GET", f"/devices?state={state}&limit=200")["items"]:
            for d in left:
                s.ok("POST", f"/devices/{d['id']}/retire", {})
    parentlib.wait_until(lambda: all(c["status"] == "True" for c in s.ok("GET", "/parent")["conditions"]),
                         "the silence of those devices to be over", 40, 0.2)


@pytest.fixture(scope="session")
def lab(workdir, system_users, request):
    """A whole lab with three children (labrig.Rig); shared: a test leaves it running, healed and in sync."""
    import labrig
    rig = labrig.Rig(os.path.join(workdir, "lab"))
    try:
        rig.up(3)
        yield rig
    finally:
        keep = ["--keep"] if getattr(request.config, "_inari_failed", False) else []
        rig.verb("down", *keep, check=False)


@pytest.fixture
def healthy_lab(lab):
    """The lab, and afterwards the lab as it was: everything started, healed and in sync."""
    yield lab
    for name in ["parent", *lab.children]:
        lab.verb("heal", name)
        lab.verb("start", name)
    lab.wait_in_sync()
