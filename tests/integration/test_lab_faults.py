"""Kills and partitions. Whatever dies whenever: a child runs the old or the new configuration and never a mixture, what
the API acknowledged is there, the audit chain verifies, and mail goes on."""
import collections
import os
import random
import re
import threading
import time
import uuid

import pytest
from inarilab.parts import PARTS as PROGRAMS
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


@pytest.mark.parametrize("point", ["renamed", "reloaded"])
def test_power_cut_in_the_middle_of_the_switch(healthy_lab, point):
    """One file is the new one and the other the old, or both are new and nobody has looked yet.  Without agent and parent
    the helper makes it whole again before it does anything else."""
    lab, child = healthy_lab, healthy_lab.children[0]
    files = [f"{lab.root(child)}/etc/postfix/{n}" for n in ("main.cf", "master.cf")]

    def now():
        return [open(f, "rb").read() for f in files]
    lab.wait_in_sync()
    old, size = now(), random.randrange(20_000_000, 30_000_000)
    lab.verb("kill", f"{child}/helper")
    lab.verb("start", f"{child}/helper", "--env", f"INARI_PAUSE_AT={point}:30000")
    lab.publish_size(size)
    wait_until(lambda: sum(a != b for a, b in zip(old, now())) == (1 if point == "renamed" else 2),
               "the switch to be under way", 30, 0.02)
    time.sleep(0.5)  # of the 30 s it stays there
    lab.verb("kill", child)
    lab.verb("start", f"{child}/postfix")
    lab.verb("start", f"{child}/helper")
    wait_until(lambda: now() == old, "the files of before", 20)
    wait_until(lambda: len(set(digests(lab, child))) == 1, "one digest in both files", 20)
    mail_through(lab, [child])
    lab.verb("start", child)
    lab.wait_ehlo(f"SIZE {size}", timeout=90)
    lab.wait_in_sync()


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


PARTS = ("agent", "helper", "inarid", "postgres")
KILLS = int(os.environ.get("INARI_KILLS", "40"))


class Kills:
    """Publications by somebody who does not wait, and a SIGKILL at a random moment of each."""

    def __init__(self, lab, seed):
        self.lab, self.dice, self.acknowledged, self.unheard = lab, random.Random(seed), {}, 0
        self.possible = {size_of(lab, c) for c in lab.children}  # what a child may say: anything that was ever asked for
        self.count, self.slowest = collections.Counter(), 0.0

    def publish(self, size, reason):
        try:
            self.acknowledged[self.lab.publish_size(size, reason)["pub"]] = size
        except (AssertionError, OSError):
            self.unheard += 1  # the parent or its database was away: nothing was promised

    def one(self, part, moment):
        """Kill `part` while a revision is being published, or while the children apply it."""
        host = "parent" if part in ("inarid", "postgres") else self.dice.choice(self.lab.children)
        size = 20_000_000 + self.dice.randrange(10_000_000)
        self.possible.add(size)
        publisher = threading.Thread(target=self.publish, args=(size, f"{part} killed while {moment}"))
        publisher.start()
        if moment == "publishing":
            time.sleep(self.dice.uniform(0, 0.25))
        else:
            publisher.join()
            time.sleep(self.dice.uniform(0, 0.8))
        self.lab.lab.host(host).kill(PROGRAMS[part])
        publisher.join()
        self.count[part, moment] += 1
        t = time.monotonic()
        for child in self.lab.children:
            assert size_of(self.lab, child) in self.possible, f"{child} runs what nobody asked for"
        self.lab.verb("start", host)
        for child in self.lab.children:
            wait_until(lambda c=child: len(set(digests(self.lab, c))) == 1, f"{child}: one digest in both files", 60)
        self.slowest = max(self.slowest, time.monotonic() - t)

    def judge(self):
        """Every device whole and at the newest, every acknowledged revision there with its value, the audit chain intact."""
        lab = self.lab
        lab.wait_in_sync(timeout=180)
        published = {r["pub"]: r for r in every(lab.api, "/revisions")}
        assert set(self.acknowledged) <= set(published), "an acknowledged revision is gone"
        for pub, size in self.acknowledged.items():
            items = lab.api.ok("GET", f"/revisions/{pub}/diff")["items"]
            assert any(size in x.values() for x in items), f"revision {pub} does not hold {size}: {items}"
        newest = max(self.acknowledged)
        running = {size_of(lab, c) for c in lab.children}
        assert len(running) == 1 and running <= self.possible
        if newest == max(published):
            assert running == {self.acknowledged[newest]}
        for child in lab.children:
            assert len(set(digests(lab, child))) == 1
        assert lab.api.ok("GET", "/audit/verify")["ok"] is True


def test_kills_at_random_moments(healthy_lab, injected):
    """SIGKILL of agent, helper, parent and PostgreSQL in turn, half while publishing and half while applying."""
    kills, begin = Kills(healthy_lab, KILLS), time.monotonic()
    for i in range(KILLS):
        kills.one(PARTS[i % 4], ("publishing", "applying")[i // 4 % 2])
        if i % 40 == 39:
            kills.judge()
    kills.judge()
    mail_through(healthy_lab)
    assert sum(kills.count.values()) == KILLS
    injected("sigkill", KILLS)
    injected("postgres-kill", sum(n for (part, _), n in kills.count.items() if part == "postgres"))
    print(f"\n{KILLS} kills in {time.monotonic() - begin:.0f} s: "
          + ", ".join(f"{part} {n} while {moment}" for (part, moment), n in sorted(kills.count.items()))
          + f"; {len(kills.acknowledged)} publications acknowledged, {kills.unheard} not; whole again after at most "
          f"{kills.slowest:.1f} s; no violation")


def every(api, path):
    """All items of a list, page by page."""
    cursor = None
    while True:
        page = api.ok("GET", path + "?limit=500" + (f"&cursor={cursor}" if cursor else ""))
        yield from page["items"]
        cursor = page["next"]
        if not cursor:
            return
