"""Fault cases of the device's disk and of its validators, on the lab: what the parent and the administrator see of them
(A2, A3, C7, C8, C16, C18).  The same cases from the helper's side are in test_helper_apply.py."""
import json
import os
import random
import time

import pytest
from parentlib import wait_until
from test_pair_faults import attempt, device, digests, mail_through, new_size, publish_for, respawn, size_of

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]
POSTFIX, STATE = "/etc/postfix", "/var/lib/inari/helper"


@pytest.fixture
def child(healthy_lab):
    name = healthy_lab.children[-1]
    yield name
    healthy_lab.api.publish({"devices": {name: {"smtp.message_size_limit": {"$inherit": True}}}}, "back to the fleet's")
    healthy_lab.wait_in_sync([name], timeout=90)


def files(lab, child):
    names = [os.path.join(lab.root(child), "etc/postfix", n) for n in ("main.cf", "master.cf")]
    return [(open(n, "rb").read(), os.stat(n).st_mtime_ns) for n in names]


def verified(lab, child):
    return lab.log(child, "agent").count("event=bundle.verified")


def test_others_are_left_alone(healthy_lab, child):
    """A2: a group's edit reaches its member only; A3: the same content again reaches nobody."""
    lab = healthy_lab
    others = [c for c in lab.children if c != child]
    group = lab.api.ok("POST", "/groups", {"name": f"g{random.randrange(10**6)}"})
    etag = lab.api.get(f"/groups/{group['id']}").headers["ETag"]
    lab.api.ok("PUT", f"/groups/{group['id']}/members/{device(lab, child)['id']}", headers={"If-Match": etag})
    lab.wait_in_sync()
    before = {c: (files(lab, c), verified(lab, c), lab.api.get(f"/devices/{c}/bundle").headers["ETag"]) for c in others}
    made = lab.api.publish({"groups": {group["id"]: {"smtp.message_size_limit": (size := new_size())}}}, "A2")
    lab.wait_ehlo(f"SIZE {size}", [child])
    lab.wait_in_sync([child])
    mine = files(lab, child), verified(lab, child)
    again = lab.api.ok("POST", f"/revisions/{made['pub']}/restore", {"reason": "A3"})
    assert again["pub"] == made["pub"] + 1 and not [d for d in again["devices"] if d["changed"]]
    time.sleep(3)  # a woken poll would have brought it long ago
    assert (files(lab, child), verified(lab, child)) == mine
    assert {c: (files(lab, c), verified(lab, c), lab.api.get(f"/devices/{c}/bundle").headers["ETag"])
            for c in others} == before
    lab.api.publish({"groups": {group["id"]: {"smtp.message_size_limit": {"$inherit": True}}}}, "A2 ends")
    etag = lab.api.get(f"/groups/{group['id']}").headers["ETag"]
    assert lab.api.delete(f"/groups/{group['id']}", headers={"If-Match": etag}).status_code == 204


def refused(lab, child, before, kind):
    """The publication is refused under this word with the system's own; what ran runs on and mail flows."""
    pub = publish_for(lab, child, new_size())
    a = attempt(lab, child, pub, ("rejected", "reverted"), 60)
    assert kind in a["problem"]["type"], a["problem"]
    assert a["problem"]["detail"]
    assert digests(lab, child) == before and device(lab, child)["sync"] == "failed"
    mail_through(lab, child)
    return a


def then_taken(lab, child):
    """Without anybody's help on the device: the next publication is applied."""
    lab.wait_ehlo(f"SIZE {publish_and_size(lab, child)}", [child], timeout=60)


def publish_and_size(lab, child):
    size = new_size()
    publish_for(lab, child, size)
    return size


def test_c8_read_only_configuration(healthy_lab, child):
    lab, before = healthy_lab, digests(healthy_lab, child)
    lab.execute(child, "mount", "--bind", POSTFIX, POSTFIX)
    lab.execute(child, "mount", "-o", "remount,ro,bind", POSTFIX)
    try:
        respawn(lab, child, "helper")  # as after a start of the machine with that mount
        a = refused(lab, child, before, "storage")
        assert "ead-only" in a["problem"]["detail"]
    finally:
        lab.execute(child, "umount", POSTFIX)
        respawn(lab, child, "helper")
    then_taken(lab, child)


def test_c7_full_disk(healthy_lab, child):
    """The helper's state folder is full when a change comes: refused before anything live is touched."""
    lab, before = healthy_lab, digests(healthy_lab, child)
    keep = os.path.join(lab.dir, f"{child}-state")
    lab.execute(child, "cp", "-a", STATE, keep)
    lab.execute(child, "mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", STATE)
    try:
        lab.execute(child, "sh", "-c", f"cp -a {keep}/. {STATE}/")
        respawn(lab, child, "helper")
        lab.execute(child, "sh", "-c", f"dd if=/dev/zero of={STATE}/fill bs=4k 2>/dev/null || true")
        refused(lab, child, before, "storage")
        lab.execute(child, "rm", f"{STATE}/fill")
        then_taken(lab, child)
    finally:
        lab.execute(child, "sh", "-c", f"rm -f {STATE}/fill; rm -rf {keep}; cp -a {STATE} {keep}")
        lab.verb("kill", f"{child}/helper")
        lab.execute(child, "umount", STATE)
        lab.execute(child, "sh", "-c", f"cp -a {keep}/. {STATE}/ && rm -rf {keep}")
        respawn(lab, child, "helper")


def test_c16_hanging_validator(healthy_lab, child):
    """A table nobody ever finishes to read: Postfix's own command hangs on it, is killed, and the parent learns which."""
    lab, before = healthy_lab, digests(healthy_lab, child)
    main = os.path.join(lab.root(child), "etc/postfix/main.cf")
    conf = os.path.join(lab.root(child), "etc/inari/agent.conf")
    text, settings = open(main).read(), open(conf).read()
    fifo = os.path.join(lab.root(child), "etc/postfix/fifo")
    os.mkfifo(fifo)
    try:
        with open(main, "a") as f:
            f.write("virtual_mailbox_maps = texthash:/etc/postfix/fifo\nlmtp_generic_maps = texthash:/etc/postfix/fifo\n")
        os.utime(main, (time.time() - 10,) * 2)  # Postfix's commands wait two seconds for a file that was just written
        with open(conf, "a") as f:
            f.write("helper.command_timeout = 2s\n")
        respawn(lab, child, "helper")
        pub = publish_for(lab, child, new_size())
        a = attempt(lab, child, pub, ("rejected",), 60)
        assert "timeout" in a["problem"]["type"] and "fifo" in json.dumps(a["problem"]), a["problem"]
        assert digests(lab, child) == before
    finally:
        os.unlink(fifo)
        with open(main, "w") as f:
            f.write(text)
        os.utime(main, (time.time() - 10,) * 2)
        with open(conf, "w") as f:
            f.write(settings)
        respawn(lab, child, "helper")
    then_taken(lab, child)


def test_c18_a_hold_ends_by_itself(healthy_lab, child):
    """Held with reason and end at the parent too; applied when the minute is over, without anybody's help."""
    lab = healthy_lab
    size, wanted = size_of(lab, child), new_size()
    program = os.path.join(lab.dir, "system", "usr", "bin", "inari-agent")
    began = time.monotonic()
    lab.execute(child, program, "--config", "/etc/inari/agent.conf", "hold", "--reason", "a minute", "--minutes", "1")
    pub = publish_for(lab, child, wanted)
    a = attempt(lab, child, pub, ("held",))
    assert "a minute" in json.dumps(a) or "a minute" in json.dumps(device(lab, child)["conditions"])
    held = next(c for c in device(lab, child)["conditions"] if c["type"] == "Held")
    assert held["status"] == "True" and "until" in held["message"]
    assert size_of(lab, child) == size
    lab.wait_ehlo(f"SIZE {wanted}", [child], timeout=90)
    assert time.monotonic() - began >= 59
    wait_until(lambda: next(c for c in device(lab, child)["conditions"] if c["type"] == "Held")["status"] == "False",
               "the hold to be over at the parent", 30)
