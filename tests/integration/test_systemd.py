"""The units as they are shipped, under a real systemd: install, first start, join, apply, and the end of each process.
Parent and child are one machine here; Postfix is systemd's own unit, postfix@-.service."""
import json
import os
import random
import re
import signal
import time

import pytest
import systemdlib
from parentlib import SANITIZER, folder, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault,
              pytest.mark.skipif(not systemdlib.possible(), reason="needs root, systemd and a writable cgroup2")]
UNITS = ("inari-postgres", "inarid", "inari-helper", "inari-agent")
POSTFIX = "postfix@-.service"
SANITIZERS = "[Service]\nEnvironment=ASAN_OPTIONS=abort_on_error=0:exitcode=99:detect_leaks=0\n"
CONF = ("api.listen = 127.0.0.1:8445\napi.addresses = https://localhost:8445\n"
        "db.conninfo = host=/run/inari-db dbname=inari user=inari\nstate = /var/lib/inari-parent\n")
# The API from inside the machine, with the client the lab installs.
API = r"""
import json, sys
sys.path.insert(0, "/usr/local/share/inari")
from inarilab.control import Api
api = Api("https://localhost:8445", "/var/lib/inari-parent/tls/server.crt", sys.argv[1] or None)
def run(job):
    print(json.dumps(job(api)))
"""
# What the helper says of the machine.
FACTS = r"""
import json, socket, struct
s = socket.socket(socket.AF_UNIX)
s.connect("/run/inari/helper.sock")
ask = json.dumps({"v": 1, "verb": "facts"}).encode()
s.sendall(struct.pack(">I", len(ask)) + ask)
f = s.makefile("rb")
print(f.read(struct.unpack(">I", f.read(4))[0]).decode())
"""


class Host(systemdlib.Machine):
    token = ""

    def api(self, code):
        """What the Python expression gives; `api` is the client."""
        r = self.run("/usr/bin/python3", "-c", f"{API}\nrun(lambda api: {code})", self.token)
        return json.loads(r.stdout)

    def answers(self):
        return self.run("/usr/bin/python3", "-c", f"{API}\napi.get('/accounts')", self.token, check=False).returncode == 0

    def install(self):
        self.run("systemd-sysusers")
        self.run("systemd-tmpfiles", "--create", "/usr/local/lib/tmpfiles.d/inari.conf")
        for unit in (*UNITS, "inari-foxproxy", "inari-hold@"):
            self.write(f"/etc/systemd/system/{unit}.service.d/sanitizers.conf", SANITIZERS)
        self.write("/etc/inari/inarid.conf", CONF)
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "enable", "--now", "inari-postgres", "inarid", "postfix")

    def sign_in(self):
        first = wait_until(lambda: self.run("cat", "/var/lib/inari-parent/first-login.txt", check=False).stdout,
                           "the first password", 60, 0.3)
        old = re.search(r"^password: (\S+)", first, re.M).group(1)
        self.run("/usr/bin/python3", "-c", f"""{API}
api.login("admin", {old!r})
_, _, head = api.call("PUT", "/session/password", {{"old": {old!r}, "new": "quite another phrase"}})""", "")
        made = self.run("/usr/bin/python3", "-c", f"""{API}
s = api.login("admin", "quite another phrase")
run(lambda api: api.post("/api-tokens", {{"name": "t", "scopes": s["permissions"], "expires_at": None}}))""", "")
        self.token = json.loads(made.stdout)["token"]

    def join(self):
        self.write("/etc/inari/agent.conf", "log.level = info\n")
        joined = self.api('api.post("/enrolment-tokens", {"name": "t", "uses": 1, "expires_in_s": 600})')["join"]
        self.run("setpriv", "--reuid=inari-agent", "--regid=inari-agent", "--init-groups", "/usr/local/bin/inari-agent",
                 "join", "--join", joined, "--name", "mx1")
        self.run("systemctl", "enable", "--now", "inari-helper", "inari-agent")

    def device(self):
        return self.api('api.device("mx1")')

    def publish(self, settings):
        """Again while the parent still finds connections that its database's death has cut (503: try again)."""
        for left in range(9, -1, -1):
            try:
                return self.api(f'api.publish({{"devices": {{"mx1": {settings!r}}}}}, "test")')["pub"]
            except AssertionError as e:
                if left == 0 or "Unavailable: " not in str(e):
                    raise
                time.sleep(0.5)

    def wait_committed(self, pub, timeout=60):
        """The device runs what was published, as read back from its Postfix."""
        def there():
            d = self.device()
            return d["sync"] == "in-sync" and (d["running"] or {}).get("pub") == pub
        try:
            wait_until(there, f"revision {pub} to run", timeout, 0.3)
        except AssertionError as e:
            raise AssertionError(f"{e}: {json.dumps(self.device().get('last_attempt'))[:2000]}\n"
                                 f"{self.journal('inari-helper')[-2000:]}") from None

    def ehlo(self, port=25):
        return self.run("/usr/bin/python3", "-c", "import smtplib,sys\nwith smtplib.SMTP('127.0.0.1',int(sys.argv[1]),"
                        "timeout=10) as s:\n s.ehlo('x.test')\n print(s.ehlo_resp.decode())", str(port)).stdout


@pytest.fixture(scope="module")
def machine(workdir):
    m = Host(folder(workdir, "systemd"))
    try:
        m.start()
        m.install()
        m.sign_in()
        m.join()
        m.api('api.change("/devices/mx1", {"mode": "manage"})')
        yield m
        assert not SANITIZER.search(m.journal())
    finally:
        m.stop()


def master_of(machine):
    """Postfix's master, which has to live in systemd's own unit."""
    pid = machine.run("cat", "/var/spool/postfix/pid/master.pid").stdout.strip()
    group = machine.run("cat", f"/proc/{pid}/cgroup").stdout
    assert group.strip().endswith(f"/{POSTFIX}"), group
    return pid


def state(machine, unit):
    return machine.run("systemctl", "is-active", unit, check=False).stdout.strip()


def restarts(machine, unit):
    return int(machine.run("systemctl", "show", "-P", "NRestarts", unit).stdout)


def test_a_change_runs_within_the_shipped_units(machine):
    """Stage, trial instance, switch, reload, probes and commit, all inside the units' confinement."""
    master, size = master_of(machine), random.randrange(20_000_000, 30_000_000)
    machine.wait_committed(machine.publish({"smtp.message_size_limit": size}), 120)
    assert f"SIZE {size}" in machine.ehlo().upper()
    assert master_of(machine) == master  # reloaded, not started again
    assert machine.run("postconf", "-h", "inari_digest").stdout.strip()
    for unit in (*UNITS, POSTFIX):
        assert state(machine, unit) == "active" and restarts(machine, unit) == 0, machine.journal(unit)[-3000:]
    assert int(open(machine.path(f"/proc/{machine.main_pid('inari-helper')}/status")).read()
               .split("NoNewPrivs:")[1].split()[0]) == 1


def test_without_a_log_file_the_journal_is_read(machine):
    """Debian 12 as it comes: no rsyslog.  The agent's own user, under its unit, reads what Postfix said to the journal."""
    assert machine.run("systemctl", "is-active", "rsyslog", check=False).stdout.strip() != "active"
    machine.run("rm", "-f", "/var/log/mail.log")
    machine.run("systemctl", "restart", "inari-agent")
    machine.run("/usr/bin/python3", "-c", "import subprocess\nsubprocess.run(['/usr/sbin/sendmail', '-f', 'here@example.test', "
                "'there@example.test'], input=b'Subject: x\\n\\nx\\n', check=True)")

    def told():
        items = machine.api('api.get("/events?device=mx1&stream=postfix&limit=100")')["items"]
        return [e for e in items if e["kind"] == "message.queued" and e.get("sender") == "here@example.test"]
    assert len(wait_until(told, "the message as an event", 60, 0.5)) == 1
    said = json.loads(machine.run("/usr/local/bin/inari-agent", "status", "--json").stdout)["status"]["health"]["mail"]
    assert said["state"] == "reading" and said["lines"] > 0, said


def test_who_listens_is_named_without_rights_over_it(machine):
    """The helper may not look into other processes (no CAP_SYS_PTRACE): the kernel says of which unit a socket is."""
    machine.run("systemd-run", "--unit=stranger", "/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "2526")
    inside = outer_pid(machine, "inari-helper")
    bounding = int(re.search(r"^CapBnd:\s+(\S+)$", open(f"/proc/{inside}/status").read(), re.M).group(1), 16)
    assert not bounding >> 19 & 1  # CAP_SYS_PTRACE
    try:
        wait_until(lambda: ":09DE" in machine.run("cat", "/proc/net/tcp").stdout, "the stranger to listen", 20, 0.2)
        machine.run("systemctl", "stop", "inari-agent")  # the helper talks to one at a time
        facts = json.loads(machine.run("/usr/bin/python3", "-c", FACTS).stdout)["facts"]
        found = {(x["address"], x["port"]): x["owner"] for x in facts["listeners"]}
        assert found.get(("127.0.0.1", 2526)) == "python3", found
        assert {o for (_, port), o in found.items() if port == 25} == {"postfix"}, found
    finally:
        machine.run("systemctl", "stop", "stranger")
        machine.run("systemctl", "start", "inari-agent")


def test_what_needs_a_restart_goes_through_systemctl(machine):
    """A stop and a start are systemd's: the new master lives in its unit, and a Postfix that was off is started there."""
    master, size = master_of(machine), random.randrange(20_000_000, 30_000_000)
    machine.run("postconf", "-e", "inet_protocols=ipv4")  # by hand; the way back needs a restart
    machine.wait_committed(machine.publish({"smtp.message_size_limit": size}))
    assert f"SIZE {size}" in machine.ehlo().upper()
    assert state(machine, POSTFIX) == "active" and master_of(machine) != master
    assert machine.run("postconf", "-h", "inet_protocols").stdout.strip() == "all"
    machine.run("systemctl", "stop", POSTFIX)
    machine.wait_committed(machine.publish({"smtp.message_size_limit": size + 1}))
    assert f"SIZE {size + 1}" in machine.ehlo().upper()
    assert state(machine, POSTFIX) == "active" and master_of(machine)


def listens(machine, port=25):
    return set(re.findall(r'"([^"]+)"', machine.run("ss", "-Hltnp", f"sport = :{port}").stdout))


def test_the_public_port_goes_to_foxproxy_and_back(machine):
    """Its own unit, started because its settings are there; new connections held by a unit that may do just that; killed,
    it is back; and the way back to Postfix leaves nothing of it."""
    machine.wait_committed(machine.publish({"path.mode": "front", "smtp.relay_networks": {}}))
    try:
        assert listens(machine) == {"foxproxy"} and "master" in listens(machine, 2500), machine.journal("inari-foxproxy")[-2000:]
        assert state(machine, "inari-foxproxy") == "active" and "250" not in machine.run(
            "nft", "list", "tables", check=False).stdout
        running = machine.device()["running"]
        assert running["foxproxy"]["digest"] == running["digest"] and running["foxproxy"]["state"] == "running"
        assert "SIZE" in machine.ehlo().upper()
        pid = machine.main_pid("inari-foxproxy")
        os.kill(outer_pid(machine, "inari-foxproxy"), signal.SIGKILL)
        wait_until(lambda: machine.main_pid("inari-foxproxy") not in (0, pid) and listens(machine) == {"foxproxy"},
                   "foxproxy to be back", 20, 0.2)
    finally:
        machine.wait_committed(machine.publish({"path.mode": "direct"}))
    assert listens(machine) <= {"master", "smtpd"} and state(machine, "inari-foxproxy") == "inactive"
    said = machine.journal("inari-helper")
    assert "front.not-held" not in said and "front.left-waiting" not in said, said[-3000:]
    assert "Finished inari-hold@25" in machine.journal("inari-hold@25"), machine.journal()[-3000:]
    assert "inari_hold" not in machine.run("nft", "list", "tables", check=False).stdout


def test_stopping_the_helper_leaves_postfix_alone(machine):
    master = master_of(machine)
    machine.run("systemctl", "restart", "inari-helper", "inari-agent")
    assert master_of(machine) == master and state(machine, POSTFIX) == "active"


@pytest.mark.parametrize("unit", UNITS)
def test_a_killed_part_comes_back(machine, unit):
    """SIGKILL: systemd starts it again, and the next change runs."""
    os.kill(outer_pid(machine, unit), signal.SIGKILL)
    wait_until(lambda: state(machine, unit) == "active" and restarts(machine, unit) >= 1, f"{unit} to be back", 30, 0.2)
    wait_until(lambda: machine.answers(), "the parent to answer from its database", 60, 0.3)
    size = random.randrange(20_000_000, 30_000_000)
    machine.wait_committed(machine.publish({"smtp.message_size_limit": size}), 90)
    assert f"SIZE {size}" in machine.ehlo().upper()


def outer_pid(machine, unit):
    """The unit's main process as this system numbers it."""
    inner = machine.main_pid(unit)
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/status") as f:
                    numbers = re.search(r"^NSpid:\s+(.*)$", f.read(), re.M).group(1).split()
                if len(numbers) > 1 and numbers[-1] == str(inner) and os.path.samefile(
                        f"/proc/{name}/ns/pid", f"/proc/{machine.pid}/ns/pid"):
                    return int(name)
            except (OSError, AttributeError):
                continue
    raise AssertionError(f"{unit}: no process {inner}")


@pytest.mark.parametrize("unit", UNITS)
def test_the_confinement_is_in_force(machine, unit):
    """C38: what a captured process would try first fails: another user's secrets, other programs, writing the system."""
    pid, inside = machine.main_pid(unit), outer_pid(machine, unit)
    status = open(f"/proc/{inside}/status").read()
    assert re.search(r"^Seccomp:\s+2$", status, re.M) and re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    bounding = int(re.search(r"^CapBnd:\s+(\S+)$", status, re.M).group(1), 16)
    forbidden = (12, 13, 16, 17, 21)  # NET_ADMIN, NET_RAW, SYS_MODULE, SYS_RAWIO, SYS_ADMIN
    assert not any(bounding >> bit & 1 for bit in forbidden)
    if unit != "inari-helper":
        assert bounding == 0
    view = ["nsenter", "-t", str(pid), "-m"]
    for path in ("/usr/local/sbin/x", "/etc/cron.d/x", "/boot/x"):
        assert machine.run(*view, "touch", path, check=False).returncode != 0, path
    assert machine.run(*view, "ls", "/home", "/root", check=False).stdout.replace("/home:", "").replace("/root:", "").strip() == ""
