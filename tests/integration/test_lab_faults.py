"""Kills and partitions. Whatever dies whenever: a child runs the old or the new configuration and never a mixture, what
the API acknowledged is there, the audit chain verifies, and mail goes on."""
import random
import re
import time
import uuid

import pytest
from parentlib import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]


def mail_through(lab, children=None, count=9):
    mark = f"fault-{uuid.uuid4().hex[:8]}"
    assert lab.sender(mark, count, 0.5, children).finish() == []
    lab.wait_arrived(mark, count)


def size_of(lab, child):
    return int(next(x.split()[1] for x in lab.ehlo(child) if x.startswith("SIZE ")))


def digests(lab, child):
    """What the digest listener says: main.cf's digest and master.cf's; they differ only in a mixture."""
    code = "import socket\ns=socket.create_connection(('127.0.0.1',10029),10)\nprint(s.recv(500).decode())"
    banner = lab.execute(child, "/usr/bin/python3", "-c", code).stdout
    found = re.search(r"inari ([0-9a-f]{8,64}) ([0-9a-f]{8,64})", banner)
    assert found, banner
    return found.groups()


def test_mail_flows_with_the_parent_off(healthy_lab):
    lab = healthy_lab
    lab.verb("kill", "parent")
    mail_through(lab)
    for child in lab.children:
        lab.verb("kill", f"{child}/postfix")
        lab.verb("start", f"{child}/postfix")
    mail_through(lab)
    lab.verb("start", "parent")
    size = random.randrange(20_000_000, 30_000_000)
    lab.publish_size(size)
    lab.wait_ehlo(f"SIZE {size}", timeout=60)


def test_partitioned_child_catches_up(healthy_lab):
    lab, cut = healthy_lab, healthy_lab.children[-1]
    before = size_of(lab, cut)
    lab.verb("partition", cut)
    size = random.randrange(20_000_000, 30_000_000)
    lab.publish_size(size)
    lab.wait_ehlo(f"SIZE {size}", lab.children[:-1])
    assert size_of(lab, cut) == before
    mail_through(lab)
    lab.verb("heal", cut)
    lab.wait_ehlo(f"SIZE {size}", timeout=120)
    lab.wait_in_sync()


def test_power_cut_of_a_child(healthy_lab):
    """The whole child dies while a change is under way and comes back with the old or the new one, then the new."""
    lab, child = healthy_lab, healthy_lab.children[0]
    for delay in (0.0, 0.15, 0.4, 0.8):
        size = random.randrange(20_000_000, 30_000_000)
        lab.publish_size(size)
        time.sleep(delay)
        lab.verb("kill", child)
        lab.verb("start", child)
        lab.wait_ehlo(f"SIZE {size}", timeout=90)
        assert len(set(digests(lab, child))) == 1
    lab.wait_in_sync()
    mail_through(lab)


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["staged", "switching", "renamed", "switched", "reloading", "reloaded", "probing",
                                   "committing"])
def test_helper_dies_at_each_step_of_a_change(healthy_lab, phase):
    """SIGKILL of the helper at the step: Postfix says the old or the new, never a mixture, and the next change runs."""
    lab, child = healthy_lab, healthy_lab.children[1]
    host, old = lab.lab.host(child), size_of(healthy_lab, child)
    lab.verb("kill", f"{child}/helper")
    lab.verb("start", f"{child}/helper", "--env", f"INARI_CRASH_AT={phase}")
    size = random.randrange(20_000_000, 30_000_000)
    lab.publish_size(size)
    wait_until(lambda: not host.named("inari-helper"), f"the helper to die at {phase}", 60)
    assert size_of(lab, child) in (old, size)
    mail_through(lab, [child])
    lab.verb("start", f"{child}/helper")
    wait_until(lambda: len(set(digests(lab, child))) == 1, "one digest in both files", 30)
    assert size_of(lab, child) in (old, size)
    lab.publish_size(size + 1)
    lab.wait_ehlo(f"SIZE {size + 1}", timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["agent", "helper", "inarid", "postgres", "mixed"])
def test_fifty_kills_at_random_moments(healthy_lab, victim):
    """Ten kills for each part and ten of any, at random moments of a change: fifty in all."""
    lab, dice, acknowledged = healthy_lab, random.Random(victim), []
    possible = {size_of(lab, c) for c in lab.children}  # what a child may say: anything that was ever asked for
    parts = {"agent": ["agent"], "helper": ["helper"], "inarid": ["inarid"], "postgres": ["postgres"],
             "mixed": ["agent", "helper", "inarid", "postgres"]}[victim]
    for i in range(10):
        part = dice.choice(parts)
        host = "parent" if part in ("inarid", "postgres") else dice.choice(lab.children)
        size = 20_000_000 + dice.randrange(10_000_000)
        possible.add(size)
        try:
            acknowledged.append((lab.publish_size(size, f"{victim} {i}")["pub"], size))
        except (AssertionError, OSError):
            assert victim in ("inarid", "postgres", "mixed")
        time.sleep(dice.uniform(0, 1.2))
        lab.verb("kill", f"{host}/{part}")
        for child in lab.children:
            assert size_of(lab, child) in possible, f"{child} runs what nobody asked for"
        if part == "postgres":
            lab.verb("kill", "parent/postgres")
        lab.verb("start", host)
    lab.wait_in_sync(timeout=180)
    revisions = {r["pub"] for r in every(lab.api, "/revisions")}
    assert {p for p, _ in acknowledged} <= revisions
    for child in lab.children:
        assert len(set(digests(lab, child))) == 1
    assert lab.api.ok("GET", "/audit/verify")["ok"] is True
    mail_through(lab)


def every(api, path):
    """All items of a list, page by page."""
    cursor = None
    while True:
        page = api.ok("GET", path + "?limit=500" + (f"&cursor={cursor}" if cursor else ""))
        yield from page["items"]
        cursor = page["next"]
        if not cursor:
            return
