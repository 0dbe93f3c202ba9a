"""Shared fixtures. Process-starting code is in parentlib.py; the lab is deploy/lab itself."""
import os
import shutil

import parentlib
import pytest
from inarilab import users


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Fixtures learn whether a test failed (rep_call), to keep its logs."""
    report = (yield).get_result()
    setattr(item, f"rep_{report.when}", report)
    if report.failed:
        item.session.config._inari_failed = True


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
