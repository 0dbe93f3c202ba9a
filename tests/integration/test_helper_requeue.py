"""Mail that was accepted while a configuration ran that was then taken back: delivered once, not left waiting for a filter
that only that configuration named."""
import os
import shutil
import subprocess
import tempfile
import time

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


def records(*parts):
    """A queue file's records."""
    return b"".join(t + bytes([len(d)]) + d for t, d in parts)


def test_what_lies_in_the_spool_is_data(device, sink):
    """The spool is Postfix's: links, pipes, folders and files of any bytes with names like messages are looked at by root and
    lead nowhere; the real message is not lost."""
    import random
    rng = random.Random(41)
    c = device.client()
    switch(device, c)  # what lies there came after it: older files are not opened at all
    deferred = os.path.join(device.spool, "deferred", "A")
    os.makedirs(deferred, exist_ok=True)
    new = os.path.join(deferred, "new")

    def place():  # under the name that Postfix would give it: five digits and the inode's number
        path = os.path.join(deferred, f"A1234{os.lstat(new).st_ino:X}")
        os.rename(new, path)
        return path
    os.symlink("/etc/shadow", new)
    link = place()
    os.mkfifo(new, 0o700)
    place()
    os.makedirs(os.path.join(deferred, "A00003F", "A", "B", "C", "D"))
    evil = [b"", b"C", b"C\xff\xff\xff\xff\xff", b"L\xff\xff\xff\x7f", b"M\x00" * 5000, b"T\x01\x00",
            records((b"C", b"99999999 -5 0 0 0"), (b"M", b"")) * 50,
            records((b"C", b"9223372036854775807 9223372036854775807"), (b"M", b"")),
            records((b"C", b"  1  1 "), (b"T", b"99999999999999999999 1"), (b"M", b"")),
            records((b"T", b"4000000000 0"), (b"L", b"%s%n:" + b"x" * 200), (b"E", b"")),
            records((b"T", b"4000000000 0"), (b"L", b"x" * 127)) * 30]
    evil += [rng.randbytes(rng.randrange(4000)) for _ in range(60)]
    for data in evil:
        with open(new, "wb") as f:
            f.write(data)
        path = place()
        shutil.chown(path, "postfix")
        os.chmod(path, 0o700)
        os.utime(path, (time.time() + 3600,) * 2)  # not yet qmgr's
    finish(*begin(device), "real")

    def stuck():  # the queue's own lister does not survive such a spool
        return [f for d, _, names in os.walk(os.path.join(device.spool, "deferred")) for f in names
                if os.path.isfile(os.path.join(d, f)) and not os.path.islink(os.path.join(d, f))
                and b"nosuchtransport:[127.0.0.1]" in open(os.path.join(d, f), "rb").read()]
    wait_until(stuck, "the message to be stuck", 30)
    assert c.call("revert")["healthy"]

    # Not lost: mostly delivered at once; but postsuper itself, which Postfix runs too, may stop in the middle of such a
    # spool and leave the message under the name it gives to what it is about to repair.
    def there():
        if subjects(device) == ["real"]:
            return True
        return [f for d, _, names in os.walk(device.spool) for f in names
                if f.endswith("#FIX") and b"nosuchtransport:[127.0.0.1]" in open(os.path.join(d, f), "rb").read()]
    wait_until(there, "the message", 10)
    assert os.path.islink(link) and c.call("hello")
    assert "ERROR: AddressSanitizer" not in device.log_text() and "runtime error" not in device.log_text()
