"""Mail that was accepted while a configuration ran that was then taken back: delivered once, not left waiting for a filter
that only that configuration named."""
import os
import shutil
import subprocess
import tempfile

import pytest
from helperlib import DEVICE, Device, digest, settings, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and Postfix"),
              pytest.mark.skipif(not shutil.which("postfix"), reason="needs Postfix"), pytest.mark.fault]
ENVELOPE = ["EHLO x", "MAIL FROM:<a@outside.test>", "RCPT TO:<user@example.test>"]


@pytest.fixture
def device():
    d = Device(tempfile.mkdtemp(prefix="inari-requeue-"))
    d.postfix("start")
    d.start(INARI_MUTATE="probe:main-content-filter-missing")
    d.got = d.path("got")
    os.makedirs(d.got)
    shutil.chown(d.got, "nobody")
    yield d
    d.close()
    shutil.rmtree(d.tmp, ignore_errors=True)


@pytest.fixture
def sink(device):
    """The next hop."""
    p = subprocess.Popen(["nsenter", "-t", str(device.holder.pid), "-m", "-n", "smtp-sink", "-u", "nobody", "-d",
                          os.path.join(device.got, "%M."), "127.0.0.1:2599", "20"], stderr=subprocess.DEVNULL)

    def up():
        try:
            device.connect(2599).close()
            return True
        except OSError:
            return False
    wait_until(up, "the next hop")
    yield p
    p.kill()
    p.wait()


def switch(d, c):
    c.call("stage", digest=digest(1), device_id=DEVICE, settings=settings(), epoch=1, rev=1, pub=1)
    c.call("validate", digest=digest(1))
    c.call("trial_stop", digest=digest(1))
    c.call("switch", digest=digest(1))


def begin(d):
    """A session that has given its envelope."""
    s = d.connect(25)
    f = s.makefile("rb")
    f.readline()
    for line in ENVELOPE:
        s.sendall(line.encode() + b"\r\n")
        while f.readline()[3:4] == b"-":
            pass
    return s, f


def finish(s, f, subject):
    s.sendall(b"DATA\r\n")
    assert f.readline().startswith(b"354")
    s.sendall(f"Subject: {subject}\r\n\r\ntext\r\n.\r\n".encode())
    answer = f.readline()
    assert answer.startswith(b"250"), answer
    s.close()


def queued(d):
    return d.inside("postqueue", "-p").stdout


def subjects(d):
    found = []
    for name in os.listdir(d.got):
        with open(os.path.join(d.got, name)) as f:
            found += [x.split()[1] for x in f if x.startswith("Subject:")]
    return sorted(found)


def test_mail_of_the_window_is_delivered_once(device, sink):
    """One message that is queued already with the bogus filter when the revert comes, one whose session goes on after it."""
    c = device.client()
    switch(device, c)
    long = begin(device)
    finish(*begin(device), "queued")
    wait_until(lambda: "mail transport unavailable" in queued(device), "the message to be stuck")
    answer = c.call("revert")
    assert answer["healthy"] and "content_filter = nosuchtransport" in answer["changed"], answer
    wait_until(lambda: subjects(device) == ["queued"], "the message", 5)
    finish(*long, "late")  # its smtpd still has the filter
    wait_until(lambda: subjects(device) == ["late", "queued"], "the message of the session that went on", 20)
    wait_until(lambda: "is empty" in queued(device), "the empty queue", 5)
    assert subjects(device) == ["late", "queued"]


def test_mail_from_before_is_left_alone(device):
    """With the next hop away: what was queued before the switch keeps its place, what came after is tried, none is lost."""
    c = device.client()
    finish(*begin(device), "before")
    wait_until(lambda: "refused" in queued(device), "the message to be deferred")
    before = queued(device).splitlines()[1].split()[0].rstrip("*!")
    switch(device, c)
    finish(*begin(device), "within")
    c.call("revert")
    wait_until(lambda: queued(device).count("Connection refused") == 2, "both to be deferred for the next hop", 20)
    assert any(x.startswith(before) for x in queued(device).splitlines())
    assert "mail transport unavailable" not in queued(device)
