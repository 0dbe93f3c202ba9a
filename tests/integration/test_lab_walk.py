"""A random walk: people edit, publish and go back, programs are killed, lines are cut, clocks jump, a disk fills up, and mail
flows all the time, on a lab of five children with a fleet of simulated ones at the same parent.  Afterwards every device runs
the newest revision or says why not, no relay was ever open, every message that was taken arrived once, what was acknowledged is
there, and no program's sanitizer had anything to say.

    INARI_SEED=n              the walk of a seed that was printed
    INARI_WALK_ACTIONS=2000   how long (200); INARI_WALK_MINUTES=m: so long, whatever it comes to
    INARI_WALK_CHILDREN=3     how many with Postfix (5); INARI_WALK_SIMULATED=n: how many without (200)

tests/run --soak MINUTES sets the minutes."""
import argparse
import collections
import concurrent.futures
import contextlib
import os
import random
import shutil
import time

import labrig
import pytest
import requests
import simlib
from inarilab import cli, control, parts
from inarilab.util import LabError
from parentlib import SANITIZER, Session, wait_until
from test_lab_faults import digests, every

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]
ACTIONS = int(os.environ.get("INARI_WALK_ACTIONS", "200"))
MINUTES = float(os.environ.get("INARI_WALK_MINUTES", "0"))
CHILDREN = int(os.environ.get("INARI_WALK_CHILDREN", "5"))
SIMULATED = int(os.environ.get("INARI_WALK_SIMULATED", "200"))
STATE = "/var/lib/inari/helper"
AWAY = (AssertionError, requests.RequestException)  # the parent or its database is away: nothing was promised
AT_ONCE = {"strategy": "all"}
# A child that met nobody eight times in a row waits up to 300 s (agent/loop/backoff.h), and among 205 there is one: after 23
# kills of a parent that is back within 5 to 25 s, half of all walks end with a pause of 240 s and more somewhere.
LONGEST_PAUSE = 300

RELAY = r"""
import smtplib, sys
for address in sys.argv[1:]:
    with smtplib.SMTP(address, 25, timeout=20, local_hostname="outside.lab.test") as s:
        s.ehlo_or_helo_if_needed()
        s.mail("sender@outside.test")
        print(s.rcpt("somebody@elsewhere.test")[0])
"""


class Unchecked(Session):
    """Without the comparison with the API's description, which other tests make: it takes a second for 200 devices."""

    def request(self, method, url, **kw):
        return super().request(method, url, **{"stream": True, **kw})


class Crowd(simlib.Sim):
    """simchild inside the host outside, as far from the parent as real children are."""

    def __init__(self, lab, join):
        program = lab.lab.host("outside").entered([simlib.program()])
        super().__init__(os.path.join(lab.dir, "outside", "log"), SIMULATED, join, command=program, sources=0, apply_ms="50-400",
                         fail_percent=2, slow="5:3000")


class Walk:
    def __init__(self, lab, seed):
        self.lab, self.dice, self.host = lab, random.Random(seed), lab.lab.host
        j = lab.json
        self.api = Unchecked(j["api"], j["ca"], lab.lab.state["token"])
        self.acknowledged, self.unheard = {}, collections.Counter()
        self.first = max(r["pub"] for r in every(self.api, "/revisions"))
        self.cut, self.down, self.jumped, self.full = set(), set(), set(), False
        self.story, self.count = [], collections.Counter()
        self.hosts = ["parent", *lab.children]
        self.small = lab.children[-1]
        self.simulated = [f"sim-{i:05d}" for i in range(1, SIMULATED + 1)]

    # -- the stage -----------------------------------------------------------------------------------------------------
    def clock(self, host, offset):
        path = os.path.join(self.lab.dir, f"clock-{host}")
        with open(path + ".new", "w") as f:
            f.write(str(offset))
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)

    def start(self, *hosts):
        """What is not running of these, side by side."""
        def one(host):
            parts.start(self.lab.lab, host, "", {"INARI_CLOCK_FILE": os.path.join(self.lab.dir, f"clock-{host}")})
        with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
            list(pool.map(one, hosts))

    def prepare(self):
        """Clocks that can be moved, and one child whose helper's state lies on a small volume."""
        keep = os.path.join(self.lab.dir, "walk-state")
        for host in self.hosts:
            self.clock(host, 0)
            for part in ("inarid",) if host == "parent" else ("agent", "helper"):
                self.host(host).kill(parts.PARTS[part])
        self.inside(f"cp -a {STATE} {keep} && mount -t tmpfs -o size=16m,mode=700 tmpfs {STATE} && cp -a {keep}/. {STATE}/ && "
                    f"rm -rf {keep}")
        self.start(*self.hosts)

    def inside(self, script):
        self.lab.execute(self.small, "sh", "-c", script)

    def manage(self):
        """The simulated ones, as an administrator does it: one after the other, here in four windows."""
        self.api.change("/rollout-policy", {"confirm_above": 100})  # no hand on this walk is a person's
        def one(names):
            api = Unchecked(self.api.base, self.api.verify, self.lab.lab.state["token"])
            for name in names:
                api.change(f"/devices/{name}", {"mode": "manage"})
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(one, (self.simulated[i::4] for i in range(4))))

    # -- what may happen: each uses the dice the same way whatever the state is, so that a seed is a walk -----------------
    def publish(self):
        size = self.dice.randrange(20_000_000, 60_000_000)
        target = self.dice.choice(["fleet", *self.lab.children, *self.simulated[:1]])
        changes = {"smtp.message_size_limit": size, "smtp.banner_text": f"walk {len(self.story)}"}
        where = {"fleet": changes} if target == "fleet" else {"devices": {target: changes}}
        self.send(lambda: self.api.publish(where, "walk", rollout=AT_ONCE))
        return target

    def restore(self):
        back = self.dice.randrange(1, 6)
        pub = max(self.first, max(self.acknowledged, default=self.first) - back)
        self.send(lambda: self.api.ok("POST", f"/revisions/{pub}/restore", {"reason": "walk", "rollout": AT_ONCE}))
        return pub

    def send(self, call):
        try:
            made = call()
            self.acknowledged[made["pub"]] = made
        except AWAY as e:
            self.unheard[str(e)[:160]] += 1

    def kill(self):
        part = self.dice.choice(["agent", "helper", "inarid", "postgres"])
        child, pause = self.dice.choice(self.lab.children), self.dice.uniform(0, 0.8)
        host = "parent" if part in ("inarid", "postgres") else child
        self.host(host).kill(parts.PARTS[part])
        self.count[part] += 1
        self.down.add(host)
        if pause < 0.5 or host == "parent":  # else it stays down until something starts it
            time.sleep(pause)
            self.revive()
        return f"{host}/{part}"

    def revive(self):
        if self.down:
            self.start(*sorted(self.down))
        self.down.clear()

    def partition(self):
        child = self.dice.choice(self.lab.children)
        (cli.heal if child in self.cut else cli.partition)(self.lab.lab, argparse.Namespace(name=child))
        self.cut ^= {child}
        return f"{child} {'cut off' if child in self.cut else 'healed'}"

    def jump(self):
        host, offset = self.dice.choice(self.hosts), self.dice.choice([1, -1, 60, -60, 3600, -3600, 86400])
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

    def relay(self, *children):
        codes = self.lab.execute("outside", "/usr/bin/python3", "-c", RELAY, *map(self.lab.address, children)).stdout.split()
        for child, code in zip(children, codes, strict=True):
            assert code.startswith(("4", "5")), f"{child} relays to the world: {code}"

    WEIGHTS = {"publish": 30, "restore": 8, "kill": 26, "revive": 10, "partition": 10, "jump": 6, "disk": 5, "look": 5}

    def go(self):
        end = time.monotonic() + MINUTES * 60
        while len(self.story) < ACTIONS if not MINUTES else time.monotonic() < end:
            name = self.dice.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0]
            pause = self.dice.uniform(0, 0.3)
            said = getattr(self, name)()
            self.story.append(f"{name} {said or ''}".strip())
            self.count[name] += 1
            if len(self.story) % 100 == 0:
                print(f"{len(self.story)} actions", flush=True)
            time.sleep(pause)

    # -- the end -------------------------------------------------------------------------------------------------------
    def end_faults(self):
        if self.full:
            self.disk()
        for child in sorted(self.cut):
            cli.heal(self.lab.lab, argparse.Namespace(name=child))
        self.cut.clear()
        for host in self.hosts:
            self.clock(host, 0)
        self.start(*self.hosts)
        self.down.clear()
        self.jumped.clear()

    def rows(self):
        j = self.lab.json
        try:
            return control.Api(j["api"], j["ca"], self.lab.lab.state["token"]).get("/devices?limit=500")["items"]
        except LabError:
            return []

    def settle(self, good, what, timeout):
        """Until good(row) holds for each device."""
        bad = ["no answer"]

        def all_good():
            rows = self.rows()
            bad[:] = [(x["name"], x["sync"], x.get("last_attempt")) for x in rows if not good(x)] if rows else ["no answer"]
            return not bad and len(rows) == CHILDREN + SIMULATED
        try:
            wait_until(all_good, what, timeout, 0.5)
        except AssertionError as e:
            raise AssertionError(f"{e}; {len(bad)} are not: {bad[:5]}") from None

    def judge(self):
        self.end_faults()
        api, lab = self.api, self.lab
        self.settle(lambda x: x["sync"] == "in-sync" or (x["sync"] == "failed" and x["last_attempt"]["problem"]["detail"]),
                    "every device to be in sync or to say why not", LONGEST_PAUSE + 60)
        published = {r["pub"] for r in every(api, "/revisions")}
        assert set(self.acknowledged) <= published, "an acknowledged revision is gone"
        assert api.ok("GET", "/audit/verify")["ok"] is True
        # New content for each: one whose disk was full tries the same again after five minutes only.
        over = {"smtp.banner_text": "the walk is over"}
        own = [*lab.children, *self.simulated[:1]]
        pub = api.publish({"fleet": over, "devices": {x: over for x in own}}, "walk over", rollout=AT_ONCE)["pub"]

        def newest(x):
            done = x["sync"] == "in-sync" or x["name"] not in lab.children and x["sync"] == "failed"
            return done and x["observed"]["pub"] == pub
        self.settle(newest, f"every device at {pub}", 180)
        for child in lab.children:
            assert len(set(digests(lab, child))) == 1
        self.relay(*lab.children)

    def sanitizers(self):
        for host in self.hosts:
            for name in ("inarid",) if host == "parent" else ("agent", "helper"):
                said = self.lab.log(host, name)
                found = SANITIZER.search(said)
                assert not found, f"{host}/{name}: {said[found.start() - 200:found.start() + 3000]}"


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
def walk_lab(request, workdir, system_users):
    rig = labrig.Rig(os.path.join(workdir, "walk"))
    try:
        rig.up(CHILDREN)
        yield rig
    finally:
        rig.verb("down", *(["--keep"] if getattr(request.config, "_inari_failed", False) else []), check=False)


@pytest.mark.skipif(not shutil.which("postfix"), reason="needs Postfix")
def test_random_walk(walk_lab, injected):
    lab, seed, crowd = walk_lab, int(os.environ.get("INARI_SEED", "0")) or random.randrange(1, 10**9), None
    print(f"\nINARI_SEED={seed}", flush=True)
    walk, begin = Walk(lab, seed), time.monotonic()
    walk.prepare()
    try:
        if SIMULATED:
            crowd = Crowd(lab, simlib.join_string(walk.api, SIMULATED))
            crowd.joined(180)
            walk.manage()
        walk.settle(lambda x: x["sync"] in ("in-sync", "failed"), "the walk to begin", 120)
        ready = time.monotonic() - begin
        mail = lab.sender(f"walk-{seed}", 60, 30, lasting=True)
        try:
            walk.go()
            walk.judge()
        finally:
            refused = mail.finish(300)
        taken = arrived_once(lab, mail, refused)
        walk.sanitizers()
        told = crowd.quit() if crowd else {"bundles_refused": 0, "gone": 0}
        assert told["bundles_refused"] == 0 and told["gone"] == 0, told
    except BaseException:
        print(f"INARI_SEED={seed}; what happened: " + "; ".join(walk.story))
        if crowd and crowd.alive():
            print("the simulated ones: ", {k: v for k, v in crowd.report().items() if k not in ("faults", "arrivals")})
        raise
    finally:
        if crowd and crowd.alive():
            crowd.end()
    kinds = {k: walk.count.pop(k) for k in ("agent", "helper", "inarid", "postgres") if k in walk.count}
    injected("sigkill", walk.count["kill"])
    injected("postgres-kill", kinds.get("postgres", 0))
    injected("clock-jump", walk.count["jump"])
    assert len(refused) <= mail.sent // 10, refused[:3]
    print(f"{len(walk.story)} actions in {time.monotonic() - begin:.0f} s, {ready:.0f} of them to prepare "
          f"({', '.join(f'{n} {k}' for k, n in walk.count.items())}; killed {kinds}); {len(walk.acknowledged)} publications "
          f"acknowledged, {sum(walk.unheard.values())} not; {CHILDREN} children and {SIMULATED} simulated ones; {taken} messages, each once; "
          f"seed {seed}")
