"""A random walk: people edit, publish and go back, programs are killed, lines are cut, clocks jump, a disk fills up, and mail
flows all the time.  Afterwards every device runs the newest revision or says why not, no relay was ever open, every message
that was taken arrived once, and what was acknowledged is there.

    INARI_SEED=n              the walk of a seed that was printed
    INARI_WALK_ACTIONS=200    how long (40); INARI_WALK_MINUTES=m: so long, whatever it comes to
    INARI_WALK_CHILDREN=5     a lab of its own with so many children; else the lab of the other tests

tests/run --soak MINUTES sets the last two."""
import collections
import contextlib
import os
import random
import time

import pytest
import requests
from inarilab import parts
from parentlib import wait_until
from test_lab_faults import digests, every

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]
ACTIONS = int(os.environ.get("INARI_WALK_ACTIONS", "40"))
MINUTES = float(os.environ.get("INARI_WALK_MINUTES", "0"))
CHILDREN = int(os.environ.get("INARI_WALK_CHILDREN", "0"))
STATE = "/var/lib/inari/helper"
AWAY = (AssertionError, requests.RequestException)  # the parent or its database is away: nothing was promised

RELAY = r"""
import smtplib, sys
with smtplib.SMTP(sys.argv[1], 25, timeout=20, local_hostname="outside.lab.test") as s:
    s.ehlo_or_helo_if_needed()
    s.mail("sender@outside.test")
    print(s.rcpt("somebody@elsewhere.test")[0])
"""


class Walk:
    def __init__(self, lab, seed):
        self.lab, self.dice, self.api = lab, random.Random(seed), lab.api
        self.acknowledged, self.unheard = {}, 0
        # In the lab of all tests what is older than this may be anything, a child without a public listener too.
        self.first = max(r["pub"] for r in every(self.api, "/revisions"))
        self.cut, self.down, self.jumped, self.full = set(), set(), set(), False
        self.story, self.count = [], collections.Counter()
        self.small = lab.children[-1]

    # -- the stage -----------------------------------------------------------------------------------------------------
    def clock(self, host, offset):
        path = os.path.join(self.lab.dir, f"clock-{host}")
        with open(path + ".new", "w") as f:
            f.write(str(offset))
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)
        return path

    def start(self, host):
        self.lab.verb("start", host, "--env", f"INARI_CLOCK_FILE={os.path.join(self.lab.dir, 'clock-' + host)}")

    def prepare(self):
        """Clocks that can be moved, and one child whose helper's state lies on a small volume."""
        keep = os.path.join(self.lab.dir, "walk-state")
        for host in ("parent", *self.lab.children):
            self.clock(host, 0)
            for part in ("inarid",) if host == "parent" else ("agent", "helper"):
                self.lab.lab.host(host).kill(parts.PARTS[part])
        self.inside(f"cp -a {STATE} {keep} && mount -t tmpfs -o size=16m,mode=700 tmpfs {STATE} && cp -a {keep}/. {STATE}/ && "
                    f"rm -rf {keep}")
        for host in ("parent", *self.lab.children):
            self.start(host)

    def inside(self, script):
        self.lab.execute(self.small, "sh", "-c", script)

    def put_back(self):
        """As the lab was before."""
        keep = os.path.join(self.lab.dir, "walk-state")
        self.end_faults()
        self.lab.lab.host(self.small).kill(parts.PARTS["helper"])
        self.inside(f"cp -a {STATE} {keep} && umount {STATE} && cp -a {keep}/. {STATE}/ && rm -rf {keep}")
        for host in ("parent", *self.lab.children):
            for part in ("inarid",) if host == "parent" else ("agent", "helper"):
                self.lab.lab.host(host).kill(parts.PARTS[part])
            self.lab.verb("start", host)

    # -- what may happen: each uses the dice the same way whatever the state is, so that a seed is a walk -----------------
    def publish(self):
        size, target = self.dice.randrange(20_000_000, 60_000_000), self.dice.choice(["fleet", *self.lab.children])
        changes = {"smtp.message_size_limit": size, "smtp.banner_text": f"walk {len(self.story)}"}
        self.send(lambda: self.api.publish({"fleet": changes} if target == "fleet" else {"devices": {target: changes}}, "walk"))
        return target

    def restore(self):
        back = self.dice.randrange(1, 6)
        known = max(self.acknowledged, default=self.first)
        pub = max(self.first, known - back)
        self.send(lambda: self.api.ok("POST", f"/revisions/{pub}/restore", {"reason": "walk"}))
        return pub

    def send(self, call):
        try:
            made = call()
            self.acknowledged[made["pub"]] = made
        except AWAY:
            self.unheard += 1

    def kill(self):
        part = self.dice.choice(["agent", "helper", "inarid", "postgres"])
        child, pause = self.dice.choice(self.lab.children), self.dice.uniform(0, 0.8)
        host = "parent" if part in ("inarid", "postgres") else child
        self.lab.lab.host(host).kill(parts.PARTS[part])
        self.down.add(host)
        if pause < 0.5:  # else it stays down until something starts it
            time.sleep(pause)
            self.revive()
        return f"{host}/{part}"

    def revive(self):
        for host in sorted(self.down):
            self.start(host)
        self.down.clear()

    def partition(self):
        child = self.dice.choice(self.lab.children)
        self.lab.verb("heal" if child in self.cut else "partition", child)
        self.cut ^= {child}
        return f"{child} {'cut off' if child in self.cut else 'healed'}"

    def jump(self):
        host, offset = self.dice.choice(["parent", *self.lab.children]), self.dice.choice([1, -1, 60, -60, 3600, -3600, 86400])
        self.clock(host, 0 if host in self.jumped else offset)
        self.jumped ^= {host}
        return f"{host} {offset if host in self.jumped else 0} s"

    def disk(self):
        self.full = not self.full
        self.inside(f"dd if=/dev/zero of={STATE}/fill bs=4k 2>/dev/null || true" if self.full else f"rm -f {STATE}/fill")
        return "full" if self.full else "empty"

    def look(self):
        """No relay is open, and no child runs a mixture."""
        child = self.dice.choice(self.lab.children)
        self.relay(child)
        wait_until(lambda: len(set(digests(self.lab, child))) == 1, f"{child}: one digest in both files", 60)
        return child

    def relay(self, child):
        code = self.lab.execute("outside", "/usr/bin/python3", "-c", RELAY, self.lab.address(child)).stdout.strip()
        assert code.startswith(("4", "5")), f"{child} relays to the world: {code}"

    WEIGHTS = {"publish": 30, "restore": 8, "kill": 26, "revive": 10, "partition": 10, "jump": 6, "disk": 5, "look": 5}

    def go(self):
        end = time.monotonic() + MINUTES * 60
        while len(self.story) < ACTIONS if not MINUTES else time.monotonic() < end:
            name = self.dice.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0]
            pause = self.dice.uniform(0, 0.5)
            said = getattr(self, name)()
            self.story.append(f"{name} {said or ''}".strip())
            self.count[name] += 1
            time.sleep(pause)

    # -- the end -------------------------------------------------------------------------------------------------------
    def end_faults(self):
        if self.full:
            self.disk()
        for child in sorted(self.cut):
            self.lab.verb("heal", child)
        self.cut.clear()
        for host in ("parent", *self.lab.children):
            self.clock(host, 0)
            self.start(host)
        self.down.clear()
        self.jumped.clear()

    def judge(self):
        self.end_faults()
        lab, api = self.lab, self.api

        def settled():
            rows = [x for x in api.ok("GET", "/devices")["items"] if x["name"] in lab.children]
            return len(rows) == len(lab.children) and all(x["sync"] == "in-sync" or (x["sync"] == "failed" and x["last_attempt"]["problem"]["detail"]) for x in rows)
        wait_until(settled, f"every device to be in sync or to say why not: "
                   f"{[(x['name'], x['sync'], x.get('last_attempt')) for x in api.ok('GET', '/devices')['items']]}", 180, 0.5)
        published = {r["pub"] for r in every(api, "/revisions")}
        assert set(self.acknowledged) <= published, "an acknowledged revision is gone"
        assert api.ok("GET", "/audit/verify")["ok"] is True
        # New content for each: one whose disk was full tries the same again after five minutes only.
        over = {"smtp.banner_text": "the walk is over"}
        api.publish({"fleet": over, "devices": {child: over for child in lab.children}}, "walk over")
        lab.wait_in_sync(timeout=120)
        for child in lab.children:
            assert len(set(digests(lab, child))) == 1
            self.relay(child)
        api.ok("POST", f"/revisions/{self.first}/restore", {"reason": "the walk is over"})
        lab.wait_in_sync(timeout=120)


def arrived_once(lab, sender, refused):
    """Every message that was taken is there, once; one that was refused is not expected, and may not be there twice."""
    lost = {f"{sender.mark}-{i}@outside.test" for i in range(sender.sent)} - {f"{sender.mark}-{r[0]}@outside.test" for r in refused}
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not lost - set(lab.arrived(sender.mark)), "the mail", 120, 0.5)
    found = lab.arrived(sender.mark)
    missing = sorted(lost - set(found))
    assert not missing, f"{len(missing)} of {len(lost)} messages are missing: {missing[:3]}: " + \
        "; ".join(" | ".join(lab.story(c, missing[0])) for c in lab.children)
    assert set(found.values()) <= {1}, [i for i, n in found.items() if n > 1]
    return len(lost)


@pytest.fixture
def walk_lab(request, workdir):
    """The lab of all tests, or one of its own."""
    if not CHILDREN:
        yield request.getfixturevalue("healthy_lab")
        return
    import labrig
    rig = labrig.Rig(os.path.join(workdir, "walk"))
    try:
        rig.up(CHILDREN)
        yield rig
    finally:
        rig.verb("down", *(["--keep"] if getattr(request.config, "_inari_failed", False) else []), check=False)


def test_random_walk(walk_lab, injected):
    lab, seed = walk_lab, int(os.environ.get("INARI_SEED", "0")) or random.randrange(1, 10**9)
    print(f"\nINARI_SEED={seed}")
    walk, begin = Walk(lab, seed), time.monotonic()
    walk.prepare()
    try:
        mail = lab.sender(f"walk-{seed}", 60, 30, lasting=True)
        try:
            walk.go()
            walk.judge()
        finally:
            refused = mail.finish(300)
        taken = arrived_once(lab, mail, refused)
    except BaseException:
        print(f"INARI_SEED={seed}; what happened: " + "; ".join(walk.story))
        raise
    finally:
        walk.put_back()
    injected("sigkill", walk.count["kill"])
    injected("clock-jump", walk.count["jump"])
    assert len(refused) <= mail.sent // 10, refused[:3]
    print(f"{len(walk.story)} actions in {time.monotonic() - begin:.0f} s ({', '.join(f'{n} {k}' for k, n in walk.count.items())}); "
          f"{len(walk.acknowledged)} publications acknowledged, {walk.unheard} not; {taken} messages, each once; seed {seed}")
