"""A change over the API becomes what every child's Postfix says, and mail never notices."""
import random
import time
import uuid

import pytest

pytestmark = pytest.mark.lab


def test_change_runs_on_every_child(lab):
    size = random.randrange(20_000_000, 30_000_000)
    t = time.time_ns()
    made = lab.publish_size(size)
    seconds = lab.wait_ehlo(f"SIZE {size}", since=t)
    assert set(seconds) == set(lab.children)
    assert max(seconds.values()) < 10, seconds
    lab.wait_in_sync()
    for child in lab.children:
        device = lab.api.ok("GET", f"/devices/{child}")
        assert device["desired"]["pub"] == device["on_disk"]["pub"] == made["pub"]
        assert device["running"]["postfix"]["digest"] == device["on_disk"]["digest"] == device["desired"]["digest"]


def test_change_for_one_device_touches_no_other(lab):
    """A2: an edit elsewhere gives the others neither a new bundle nor a reload."""
    others = lab.children[1:]
    before = {c: (lab.api.ok("GET", f"/devices/{c}")["desired"]["rev"],
                  lab.execute(c, "cat", "/var/spool/postfix/pid/master.pid").stdout,
                  lab.log(c).count("reload")) for c in others}
    size = random.randrange(31_000_000, 40_000_000)
    child = lab.children[0]
    lab.api.publish({"devices": {child: {"smtp.message_size_limit": size}}}, "one device")
    lab.wait_ehlo(f"SIZE {size}", [child])
    lab.wait_in_sync()
    after = {c: (lab.api.ok("GET", f"/devices/{c}")["desired"]["rev"],
                 lab.execute(c, "cat", "/var/spool/postfix/pid/master.pid").stdout,
                 lab.log(c).count("reload")) for c in others}
    assert after == before
    lab.api.publish({"devices": {child: {"smtp.message_size_limit": {"$inherit": True}}}}, "back to the fleet's")
    lab.wait_in_sync()


def test_mail_goes_through_each_child(lab):
    mark = f"each-{uuid.uuid4().hex[:8]}"
    refused = lab.sender(mark, 30, 1.0).finish()
    assert refused == []
    lab.wait_arrived(mark, 30)


def test_no_child_relays(lab):
    code = ("import smtplib,sys\nwith smtplib.SMTP(sys.argv[1],25,timeout=10) as s:\n s.ehlo('x.test')\n"
            " s.mail('a@outside.test')\n print(s.rcpt('victim@elsewhere.test')[0])")
    for child in lab.children:
        assert lab.execute("outside", "/usr/bin/python3", "-c", code, lab.address(child)).stdout.strip() == "554"


@pytest.mark.slow
def test_500_messages_during_50_changes(lab):
    """None is lost, refused or doubled while 50 published changes, one after another, become what runs."""
    mark = f"storm-{uuid.uuid4().hex[:8]}"
    sender = lab.sender(mark, 500, 75.0, lasting=True)
    api, pubs = lab.api, []
    for i in range(50):
        size = 20_000_000 + i * 1000 + random.randrange(1000)
        t = time.time_ns()
        pubs.append(lab.publish_size(size, f"change {i}", api)["pub"])
        lab.wait_ehlo(f"SIZE {size}", since=t)
    assert sender.running()
    refused = sender.finish()
    lab.wait_in_sync()
    assert refused == []
    assert sender.sent >= 500
    lab.wait_arrived(mark, sender.sent, 120)
    assert pubs == sorted(set(pubs)) and len(pubs) == 50


def test_ten_publications_within_a_second(lab):
    """A10: the child ends at the last one."""
    api, sizes = lab.api, [20_500_000 + i for i in range(10)]
    for size in sizes:
        lab.publish_size(size, "quick", api)
    lab.wait_ehlo(f"SIZE {sizes[-1]}")
    lab.wait_in_sync()


