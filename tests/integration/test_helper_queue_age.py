"""Since when mail waits, by the helper's look at the queue of a real Postfix: long and short queue ids, held mail, many messages."""
import os
import re
import shutil
import subprocess
import tempfile
import time

import pytest
from helperlib import Device, wait_until

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and Postfix"),
              pytest.mark.skipif(not shutil.which("postfix"), reason="needs Postfix")]


@pytest.fixture
def device():
    d = Device(tempfile.mkdtemp(prefix="inari-age-"))
    yield d
    d.close()
    shutil.rmtree(d.tmp, ignore_errors=True)


def enter(d, *argv, text=None):
    r = subprocess.run(["nsenter", "-t", str(d.holder.pid), "-m", "-n", *argv], input=text, capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    return r.stdout


def put_off(d, n):
    """One more message, which nobody takes (the next hop is a port where nobody listens); its id."""
    before = set(waiting(d))
    enter(d, "sendmail", "-f", "a@outside.test", "user@example.test", text=f"Subject: {n}\n\nx\n")
    return wait_until(lambda: (set(waiting(d)) - before or [None]).pop(), "it to be put off", 30)


def waiting(d):
    return [name for _, _, files in os.walk(os.path.join(d.spool, "deferred")) for name in files]


@pytest.mark.parametrize("long_ids", ["yes", "no"])
def test_since_when_the_oldest_message_waits(device, long_ids):
    with open(os.path.join(device.etc, "main.cf"), "a") as f:
        f.write(f"enable_long_queue_ids = {long_ids}\n")
    device.postfix("start")
    device.start()
    c = device.client()
    assert c.call("running")["queue_since"] == 0, "nothing waits"
    began = int(time.time())
    first = put_off(device, 1)
    assert bool(re.search("[a-z]", first)) == (long_ids == "yes"), first
    arrived = c.call("running")["queue_since"]
    assert began <= arrived <= time.time(), (began, arrived)
    wait_until(lambda: time.time() > arrived + 2, "two seconds", 5)
    second = put_off(device, 2)
    assert c.call("running")["queue_since"] == arrived, "the oldest"
    enter(device, "postsuper", "-h", first)
    said = c.call("running")
    assert said["queue"]["hold"] == 1 and said["queue_since"] > arrived + 1, "a held one is kept on purpose"
    enter(device, "postsuper", "-d", second)
    assert c.call("running")["queue_since"] == 0
    enter(device, "postsuper", "-H", first)
    assert wait_until(lambda: c.call("running")["queue_since"], "the released one", 30) == arrived


@pytest.mark.slow
@pytest.mark.parametrize("short", [False, True])
def test_a_hundred_thousand_messages(device, short):
    """The look stays a look: long names say it themselves, of short ones a few files are read, within a bounded time."""
    device.postfix("start")
    device.start()
    c = device.client()
    put_off(device, 1)
    oldest = c.call("running")["queue_since"]
    source = next(os.path.join(at, f) for at, _, files in os.walk(os.path.join(device.spool, "deferred")) for f in files)
    many = os.path.join(device.spool, "deferred", "F")
    os.makedirs(many, exist_ok=True)
    digits = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"

    def long_name(seconds, i):
        head = ""
        while seconds:
            head, seconds = digits[seconds % 52] + head, seconds // 52
        return f"{head}{i % 10}{i // 10 % 10}{i // 100 % 10}{i // 1000 % 10}z{i}"
    for i in range(100_000):
        os.link(source, os.path.join(many, f"{i:05X}F{i:X}" if short else long_name(oldest - 5000 + i % 4000, i)))
        if i % 50_000 == 49_999:
            source2 = os.path.join(many, f"more{i}")  # a file has only so many names
            shutil.copy(source, source2)
            source = source2
    took = time.monotonic()
    said = c.call("running")
    took = time.monotonic() - took
    assert said["queue"]["deferred"] > 100_000
    assert said["queue_since"] == (oldest if short else oldest - 5000)
    assert took < 5, f"{took:.2f} s (seen: well below one)"
    print(f"{said['queue']['deferred']} messages: {took * 1000:.0f} ms")
