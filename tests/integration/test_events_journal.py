"""Postfix's lines from the systemd journal, on a host without a log file: a real journald, a real agent and parent; each line is
stored once, whatever is killed and rotated meanwhile."""
import collections
import glob
import os
import random
import re
import signal
import socket
import subprocess
import time

import parentlib
import pytest
from agentlib import new_agent, pin_of
from parentlib import wait_until

JOURNALD = "/lib/systemd/systemd-journald"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a mount namespace"),
              pytest.mark.skipif(not os.path.exists(JOURNALD), reason="needs systemd-journald")]


class Journal:
    """journald with a /run of its own, which is a folder here."""

    def __init__(self, base):
        self.run, self.machine = os.path.join(base, "run"), os.path.join(base, "machine-id")
        os.makedirs(os.path.join(self.run, "systemd"))
        os.makedirs(os.path.join(self.run, "log", "journal"))
        os.chmod(base, 0o755)
        with open(self.machine, "w") as f:
            f.write("0123456789abcdef0123456789abcdef\n")
        self.files = os.path.join(self.run, "log", "journal", "0123456789abcdef0123456789abcdef")
        self.p = None

    def inside(self, *argv):
        """A command that sees this /run, and no journal on disk."""
        return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /run && mount --bind "$1" /etc/machine-id && shift && exec "$@"',
                self.run, self.machine, *argv]

    def start(self):
        self.p = subprocess.Popen(self.inside(JOURNALD), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.socket = os.path.join(self.run, "systemd", "journal", "dev-log")
        wait_until(lambda: os.path.exists(self.socket) and os.path.isdir(self.files), "journald", 20, 0.05)
        return self

    def stop(self, how=signal.SIGTERM):
        self.p.send_signal(how)
        self.p.wait(20)
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def rotate(self):
        n = len(glob.glob(self.files + "/system@*"))
        self.p.send_signal(signal.SIGUSR2)
        wait_until(lambda: len(glob.glob(self.files + "/system@*")) > n, "another file", 20, 0.05)

    def write(self, *texts, tag="postfix/anvil", facility=2):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.connect(self.socket)
        for text in texts:
            s.send(f"<{facility * 8 + 6}>Nov 22 10:00:00 {tag}[77]: {text}".encode())
        s.close()

    def kept(self):
        """What the journal has of Postfix, read by other means."""
        r = subprocess.run(["journalctl", "-q", "-o", "cat", "-D", self.files, "SYSLOG_FACILITY=2"], capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stderr
        return [int(n) for n in re.findall(r"cache size (\d+) at", r.stdout)]

    def settle(self, n):
        """The line with that number is in the journal, and so are those before it."""
        wait_until(lambda: n in self.kept(), f"line {n} to be in the journal", 20, 0.05)


@pytest.fixture(scope="module")
def own(workdir, system_users, programs):
    with parentlib.alone(workdir, "events-journal", programs) as p:
        p.reset_admin()
        yield p


@pytest.fixture
def journal(workdir):
    j = Journal(parentlib.folder(workdir, f"journal-{os.urandom(2).hex()}")).start()
    yield j
    j.stop()


def joined(own, agent, **settings):
    with open(agent.conf, "a") as f:
        f.writelines(f"{k.replace('_', '.')} = {v}\n" for k, v in settings.items())
    r = agent.join(own.base, pin_of(own.ca), *own.admin)
    assert r.returncode == 0, r.stderr
    api = own.token()
    agent.device = agent.identity()["device_id"]
    if api.get(f"/devices/{agent.device}").json().get("state") == "pending":
        api.ok("POST", f"/devices/{agent.device}/approve")
    return agent


def stored(own, agent):
    return own.postgres.psql(f"SELECT kind, text, detail FROM event WHERE device_id = '{agent.device}' AND stream = 'postfix' ORDER BY seq, n")


def numbers(own, agent):
    return [int(m.group(1)) for _, text, _ in stored(own, agent) if (m := re.search(r"cache size (\d+) at", text or ""))]


def line(i):
    return f"statistics: max cache size {i} at Nov 22 10:00:00"


def follows(own, agent, journal):
    """It has read the journal to its end: a line of now arrives."""
    mark = random.randrange(10**6, 10**7)
    wait_until(lambda: journal.write(line(mark)) or mark in numbers(own, agent), "it to follow", 60, 0.5)
    return mark


def test_each_line_once_over_kills_and_rotations(own, workdir, programs, journal, injected):
    agent = joined(own, new_agent(workdir, "journal", programs), postfix_journal=journal.files)
    journal.write(line(1), line(2))  # before it began: not told
    agent.start()
    try:
        mark = follows(own, agent, journal)
        wanted, kills = [], 0
        for i in range(12):
            some = range(1000 + 100 * i, 1000 + 100 * i + random.choice((1, 30, 100)))
            wanted += some
            cut = random.randrange(len(some) + 1)
            journal.write(*(line(k) for k in some[:cut]))
            if cut:
                journal.settle(some[cut - 1])
            journal.write("a line of somebody else", tag="dovecot")
            journal.write("not of mail", tag="postfix/anvil", facility=3)
            if i % 2 == 0:
                time.sleep(random.uniform(0, 0.4))
                agent.end(signal.SIGKILL)
                kills += 1
            if i % 3 == 0:
                journal.rotate()
            if i % 4 == 3:
                journal.stop()
                journal.start()
            journal.write(*(line(k) for k in some[cut:]))
            if i % 2 == 0:
                agent.start()
        injected("events-kill", kills)
        journal.settle(wanted[-1])
        assert [n for n in journal.kept() if 1000 <= n < 10**6] == wanted
        try:
            wait_until(lambda: len(set(numbers(own, agent)) & set(wanted)) == len(wanted), "all of them", 60, 0.5)
        except AssertionError:
            raise AssertionError(sorted(set(wanted) - set(numbers(own, agent)))) from None
        got = collections.Counter(numbers(own, agent))
        assert {n for n in got if n < 10**6} == set(wanted), "exactly these"
        assert [n for n in got if got[n] != 1 and n < 10**6] == []
        rows = stored(own, agent)
        assert not any("somebody else" in (t or "") or "not of mail" in (t or "") for _, t, _ in rows)
        assert not any(k == "log.gap" for k, _, _ in rows), "nothing was lost"
        assert mark
    finally:
        if agent.alive():
            agent.stop()


def test_a_host_without_a_log_file(own, workdir, programs, journal):
    """auto: the host's own journal, from the first line that Postfix ever has there; messages, figures of the status; a log file
    that comes later changes nothing."""
    agent = new_agent(workdir, "nolog", programs)
    log = os.path.join(os.path.dirname(agent.conf), "mail.log")
    agent.argv0 = journal.inside(*agent.argv0)
    agent = joined(own, agent, postfix_log=log)
    agent.start({"INARI_FIGURES_S": "5"})
    try:
        def mail():
            return agent.status()["status"]["health"]["mail"]
        wait_until(lambda: mail()["state"] == "unreadable", "it to say that there is none", 20, 0.2)
        journal.write("4abc12DEF0zX1: client=mail.outside.test[192.0.2.7]", tag="postfix/smtpd")
        journal.write("4abc12DEF0zX1: message-id=<m1@outside.test>", tag="postfix/cleanup")
        journal.write("4abc12DEF0zX1: from=<a@outside.test>, size=700, nrcpt=1 (queue active)", tag="postfix/qmgr")
        journal.write("4abc12DEF0zX1: to=<b@example.test>, relay=mx[192.0.2.9]:25, delay=0.2, delays=0.1/0/0/0.1, dsn=2.0.0, status=sent (250 ok)",
                      tag="postfix/smtp")
        wait_until(lambda: [k for k, _, _ in stored(own, agent)] == ["message.queued", "message.delivery"], "the message", 60, 0.5)
        rows = own.postgres.psql("SELECT client, message_id, sender, recipient, status FROM event WHERE device_id = "
                                 f"'{agent.device}' AND kind = 'message.delivery'")
        assert rows[0] == ["192.0.2.7", "m1@outside.test", "a@outside.test", "b@example.test", "sent"]
        wait_until(lambda: sum(m.get("accepted", 0) for m in mail()["minutes"]) == 1, "the figures", 60, 0.5)
        assert mail()["state"] == "reading"
        with open(log, "w") as f:
            f.write("2026-11-22T10:00:00+00:00 mx postfix/anvil[7]: statistics: max cache size 7 at Nov 22 10:00:00\n")
        agent.stop()
        journal.write(line(8))
        agent.start({"INARI_FIGURES_S": "5"})
        wait_until(lambda: 8 in numbers(own, agent), "the journal's line", 30, 0.5)
        assert 7 not in numbers(own, agent) and "log.gap" not in [k for k, _, _ in stored(own, agent)]
    finally:
        if agent.alive():
            agent.stop()


def test_what_was_vacuumed_is_told(own, workdir, programs, journal):
    """The journal was emptied while nobody read: a hole is told, and what follows is read."""
    agent = joined(own, new_agent(workdir, "vacuum", programs), postfix_journal=journal.files)
    agent.start()
    try:
        follows(own, agent, journal)
        agent.stop()
        journal.write(*(line(i) for i in range(100, 110)))
        journal.settle(109)
        journal.rotate()
        for path in glob.glob(journal.files + "/system@*"):
            os.unlink(path)
        journal.write(*(line(i) for i in range(200, 210)))
        agent.start()
        wait_until(lambda: set(range(200, 210)) <= set(numbers(own, agent)), "what is there", 30, 0.5)
        assert [k for k, _, _ in stored(own, agent)].count("log.gap") == 1 and "evidence.gap" in agent.log()
        assert sorted(n for n in numbers(own, agent) if n < 1000) == list(range(200, 210))
        # a log file instead, asked for: the hole between the two is told as well
        log = os.path.join(os.path.dirname(agent.conf), "mail.log")
        with open(log, "w") as f:
            f.write("2026-11-22T10:00:00+00:00 mx postfix/anvil[7]: statistics: max cache size 1 at Nov 22 10:00:00\n")
        agent.stop()
        with open(agent.conf) as f:
            text = f.read().replace(f"postfix.journal = {journal.files}", f"postfix.journal = no\npostfix.log = {log}")
        with open(agent.conf, "w") as f:
            f.write(text)
        agent.start()
        wait_until(lambda: [k for k, _, _ in stored(own, agent)].count("log.gap") == 2, "the hole", 30, 0.5)
        with open(log, "a") as f:
            f.write("2026-11-22T10:00:00+00:00 mx postfix/anvil[7]: statistics: max cache size 300 at Nov 22 10:00:00\n")
        wait_until(lambda: 300 in numbers(own, agent), "the file's line", 30, 0.5)
    finally:
        if agent.alive():
            agent.stop()


@pytest.mark.parametrize("value", ["maybe", "var/log"])
def test_the_setting_is_checked(workdir, programs, value):
    agent = new_agent(workdir, "setting", programs)
    with open(agent.conf, "a") as f:
        f.write(f"postfix.journal = {value}\n")
    r = agent.command("status")
    assert r.returncode != 0 and "postfix.journal" in r.stderr and "auto, yes, no" in r.stderr
