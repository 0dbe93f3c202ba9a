"""The systemd units: laid out by cmake --install, valid, and hardened (security.md C38)."""
import os
import re
import shutil
import subprocess

import pytest

BARS = {"inarid": 2.5, "inari-postgres": 2.5, "inari-agent": 2.5, "inari-helper": 2.5, "inari-foxproxy": 2.5, "inari-hold@": 2.5}
FILES = ("lib/systemd/system/inarid.service", "lib/systemd/system/inari-postgres.service",
         "lib/systemd/system/inari-agent.service", "lib/systemd/system/inari-helper.service",
         "lib/systemd/system/inari-foxproxy.service", "sbin/foxproxy",
         "lib/sysusers.d/inari.conf", "lib/tmpfiles.d/inari.conf", "sbin/inari-lab", "share/inari/lab",
         "sbin/inarid", "share/inari/samples/inarid.conf", "share/inari/samples/agent.conf", "bin/inari-agent", "bin/inarictl")


def test_every_file_is_laid_out(installed):
    missing = [f for f in FILES if not os.path.lexists(os.path.join(installed, "usr", f))]
    assert missing == []
    helpers = [os.path.join(d, f) for d, _, fs in os.walk(installed) for f in fs]
    assert any(h.endswith("/inari/inari-helper") for h in helpers)
    assert any(h.endswith("/inari/inari-postgres") for h in helpers)
    assert all(h.startswith(os.path.join(installed, "usr")) or "/etc/" in h for h in helpers)


def test_the_installed_lab_runs(installed):
    r = subprocess.run([os.path.join(installed, "usr/sbin/inari-lab"), "--help"], capture_output=True, text=True)
    assert r.returncode == 0 and "partition" in r.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", sorted(BARS))
def test_units_are_hardened(installed, unit):
    path = os.path.join(installed, f"usr/lib/systemd/system/{unit}.service")
    r = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", path],
                       capture_output=True, text=True)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", r.stdout)
    assert found, r.stdout + r.stderr
    assert float(found.group(1)) <= BARS[unit], r.stdout


@pytest.mark.parametrize("unit", sorted(BARS))
def test_units_start_what_is_installed(installed, unit):
    with open(os.path.join(installed, f"usr/lib/systemd/system/{unit}.service")) as f:
        program = re.search(r"^ExecStart=(\S+)", f.read(), re.M).group(1)
    assert os.access(installed + re.sub(r"^/usr/local/", "/usr/", program), os.X_OK), program
