"""A whole fleet of simulated children (bench/simchild) on one parent: joining, memory per held child, SQL and CPU of a minute in
which nothing happens, a publication to all with pacing off, the parent killed under all of them, a bad revision; then the latency
from publish to running for 1,000 managed children. INARI_FLEET sets another number than 10,000, INARI_FLEET_PARTS leaves parts out.

Client, PostgreSQL and parent share the machine's cores, so times are upper limits; of the large fleet a tenth verifies its
bundles as the agent does, the others only read them.
"""
import collections
import contextlib
import os
import re
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import _front
import parentlib
import simlib

N = int(os.environ.get("INARI_FLEET", "10000"))
MANAGED = min(N, 1000)
PARTS = os.environ.get("INARI_FLEET_PARTS", "idle publish restart bad latency").split()
KEY = "smtp.message_size_limit"
IDLE_S = 60
APPLY_MS = (1000, 2000)
BAKE_S = 5


def figure(name, value, unit, bar=None):
    return {"name": f"fleet.{name}", "value": value, "unit": unit, "bar": bar}


def private_kib(pid):
    """Memory that is this process's alone."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith(("Private_Clean", "Private_Dirty")))


@contextlib.contextmanager
def crowd(p, count, **options):
    d = tempfile.mkdtemp(prefix="inari-fleet-")
    api = p.token()
    api.change("/rollout-policy", {"confirm_above": 100})  # every publication here is to everybody
    sim = simlib.Sim(d, count, simlib.join_string(api, count), **options)
    try:
        yield sim, api
    finally:
        sim.quit()
        shutil.rmtree(d, ignore_errors=True)


def cpu_of_database(p):
    """CPU seconds of PostgreSQL's processes alive now; autovacuum's come and go."""
    total = 0
    for pid in [p.postgres.pid, *_front.children(p.postgres.pid)]:
        with contextlib.suppress(OSError):
            total += _front.cpu_s(pid)
    return total


@contextlib.contextmanager
def statements(p):
    """Counter of the statements PostgreSQL is asked meanwhile, by the name the parent gives them."""
    counted, start = collections.Counter(), os.path.getsize(p.postgres.log_path)

    def logging(word):
        p.postgres.psql(f"ALTER SYSTEM SET log_statement = '{word}'")
        p.postgres.psql("SELECT pg_reload_conf()")
    logging("all")
    try:
        yield counted
    finally:
        with open(p.postgres.log_path, errors="replace") as f:
            f.seek(start)
            text = f.read()
        logging("none")
        for name in re.findall(r"LOG:  (?:execute|statement:) ?([^:\n]{1,60})", text):
            if not name.startswith(("ALTER", "SELECT pg_reload")):
                counted[name.strip()] += 1


def idle(p):
    began, cpu, db, sql = time.monotonic(), _front.cpu_s(p.pid), cpu_of_database(p), _front.sql_statements(p)
    with statements(p) as by_name:
        time.sleep(IDLE_S)
    took = time.monotonic() - began
    cpu, db, sql = _front.cpu_s(p.pid) - cpu, cpu_of_database(p) - db, _front.sql_statements(p) - sql
    presence = by_name["fleet_presence"]
    yield figure("idle.cpu", round(cpu / took / 2 * 100, 2), "% of two cores (parent)", 25)
    yield figure("idle.cpu_with_database", round((cpu + db) / took / 2 * 100, 2), "% of two cores")
    yield figure("idle.sql.presence", presence, "statements a minute", 2)
    rest = ", ".join(f"{n} {name}" for name, n in by_name.most_common() if name != "fleet_presence")
    yield figure("idle.sql.all", sql, f"statements a minute whatever the number of children ({rest})")


ALL_AT_ONCE = {"strategy": "all", "max_unavailable": "100%"}
# The built-in waves; only the time each is watched is short, since it would be all that is measured.
WAVES = {"strategy": "waves", "waves": ["1", "10%", "50%"], "max_unavailable": "100%", "canary_bake_s": BAKE_S, "bake_s": BAKE_S,
         "shadow": "never"}  # simulated children have no Postfix to try it with


def publish(api, value, rollout=None):
    """(wall ms at which the publication was asked for, seconds it took, seconds the draft took, the answer)."""
    t = time.monotonic()
    draft = api.ok("POST", "/drafts", {"title": "bench"})
    api.change(f"/drafts/{draft['id']}", {"fleet": {KEY: value}})
    drafted, began, wall = time.monotonic() - t, time.monotonic(), time.time() * 1000
    made = api.ok("POST", f"/drafts/{draft['id']}/publish", {"reason": "bench", "rollout": rollout or ALL_AT_ONCE},
                  timeout=300)
    return wall, time.monotonic() - began, drafted, made


class Cpu:
    """CPU seconds of parent, PostgreSQL and simulated children since it was made: they share the cores, so what a part
    takes of them is what it costs whatever else runs on the machine."""

    def __init__(self, p, sim):
        self.p, self.sim = p, sim
        self.began = self.now()

    def now(self):
        return _front.cpu_s(self.p.pid), cpu_of_database(self.p), _front.cpu_s(self.sim.p.pid)

    def figures(self, name, what, share=N):
        for part, a, b in zip(("parent", "database", "children"), self.began, self.now()):
            yield figure(f"{name}.cpu.{part}", round((b - a) * 1000 / share, 3), f"ms of CPU a device {what}")


def to_all(p, sim, api):
    cpu = Cpu(p, sim)
    wall, took, drafted, made = publish(api, 20000001)
    n = sum(d["changed"] for d in made["devices"])
    assert n == N, f"{n} of {N} devices get another bundle"
    yield from cpu.figures("publish.answer", "until the publication was answered")
    r = sim.wait(lambda r: r["pub"] == made["pub"] and r["fetched_wall_ms"]["n"] == N, "all to fetch", 300)
    yield from cpu.figures("publish.fetched", "until the last had fetched, the publication included")
    yield figure("publish.draft", round(drafted, 2), "s (edit checked for every device)")
    yield figure("publish.answer", round(took, 2), "s (all bundles made and signed)")
    yield figure("publish.first_fetched", round((r["fetched_wall_ms"]["first"] - wall) / 1000, 2), "s")
    yield figure("publish.p50_fetched", round((r["fetched_wall_ms"]["p50"] - wall) / 1000, 2), "s")
    yield figure("publish.p99_fetched", round((r["fetched_wall_ms"]["p99"] - wall) / 1000, 2), "s")
    yield figure("publish.last_fetched", round((r["fetched_wall_ms"]["last"] - wall) / 1000, 2),
                 f"s from asking for the publication ({N} children, pacing off)", 10)
    r = sim.wait(lambda r: r["waiting"] == N, "all to have reported and wait again", 300)
    yield figure("publish.all_reported", round(time.time() - wall / 1000, 2), "s")
    yield from cpu.figures("publish.reported", "until all had reported too")


def restart(p, sim):
    sim.order("mark")
    began = time.monotonic()
    p.kill()
    p.start(wait=False)
    p.wait_ready()
    ready = time.monotonic() - began
    r = sim.wait(lambda r: r["served_ms"]["n"] == N, "all to be served", 400, 0.5)
    codes = {int(k): n for k, n in r["answers"].items()}
    odd = {k: n for k, n in codes.items() if k not in (200, 204, 304, 503)}
    yield figure("restart.ready", round(ready, 2), "s from the kill until /readyz is 200 again")
    yield figure("restart.all_served", round(r["served_ms"]["last"] / 1000, 2),
                 f"s from the kill until the last of {N} had its 200 or 304, held polls held to their end", 90)
    yield figure("restart.other_answers", sum(odd.values()), f"answers not 200, 204, 304, 503 ({codes})", 0)
    yield figure("restart.new_tokens", r["tokens"], "access tokens asked for (a token outlives the parent)")
    yield figure("restart.peak_arrivals", max(r["arrivals"]), "polls in the busiest second")


def manage(api):
    devices, cursor = [], ""
    while cursor is not None:
        page = api.ok("GET", f"/devices?limit=500{cursor and '&cursor=' + cursor}")
        devices += page["items"]
        cursor = page["next"]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda d: api.change(f"/devices/{d['id']}", {"mode": "manage"}), devices))


BAD = 66666666  # a size that the scripted faults refuse


def bad_revision(p, sim, api):
    """Every device refuses it, as every Postfix refuses what is wrong; it was not tried before (shadow off)."""
    began = time.monotonic()
    manage(api)
    r = sim.wait(lambda r: r["waiting"] == N and r["running_wall_ms"]["n"] == N, "all to be managed", 900, 1)
    yield figure("bad.managed", round(time.monotonic() - began, 1), f"s until {N} devices were managed over the API")
    _, took, _, made = publish(api, BAD, {**WAVES, "canary_bake_s": 60})
    id_ = made["rollout_id"]

    def halted():
        ro = api.ok("GET", f"/rollouts/{id_}")
        return ro["state"] == "halted" and (ro, time.time() * 1000)
    ro, seen = parentlib.wait_until(halted, "the rollout to halt", 300, 0.1)
    r = sim.report()
    failed = r["failed_wall_ms"]
    assert failed["n"] >= 1, r
    yield figure("bad.halt", round((seen - failed["first"]) / 1000, 2),
                 "s from the first failure's report until the rollout is seen halted", 60)
    time.sleep(3)  # nobody may fetch it after the halt
    yield figure("bad.harmed", sim.report()["given_bad"], f"devices of {N} that were ever given the bad revision, of 1 in the canary wave",
                 1)


def latency(name, rollout=None, **settings):
    """Publish to running, as the children see it: from asking for the publication to the acknowledged report."""
    with _front.parent(enrol__rate=2000, **settings) as p, \
            crowd(p, MANAGED, apply_ms=f"{APPLY_MS[0]}-{APPLY_MS[1]}") as (sim, api):
        sim.joined(120)
        manage(api)
        # Each took its own bundle when it was told to manage; all of them have to have reported that it runs.
        sim.wait(lambda r: r["waiting"] == MANAGED and r["running_wall_ms"]["n"] == MANAGED, "all to be managed", 180)
        wall, took, _, made = publish(api, 20000002, rollout)
        r = sim.wait(lambda r: r["pub"] == made["pub"] and r["running_wall_ms"]["n"] == MANAGED, "all to run it", 600)
        for key in ("p50", "p99"):
            yield figure(f"latency.{name}.{key}", round((r["running_wall_ms"][key] - wall) / 1000, 2),
                         f"s publish to running ({MANAGED} children, of which {APPLY_MS[0] / 1000:g} to {APPLY_MS[1] / 1000:g} s "
                         "are the simulated applying)")
        yield figure(f"latency.{name}.last", round((r["running_wall_ms"]["last"] - wall) / 1000, 2), "s")


def whole_fleet():
    with _front.parent(enrol__rate=10000, poll__wake_rate=0) as p:
        empty = private_kib(p.pid)
        began = time.monotonic()
        with crowd(p, N, fail_percent=100, fail_on=str(BAD), verify=10) as (sim, api):
            cpu = Cpu(p, sim)
            sim.wait(lambda r: r["enrolled"] == N, "all to enrol", 900, 1)
            yield figure("enrol", round(time.monotonic() - began, 1), f"s until {N} devices were enrolled over the API")
            yield from cpu.figures("enrol", "to enrol it")
            sim.joined(300)
            yield figure("joined", round(time.monotonic() - began, 1), "s until all had their bundle, had reported and waited")
            held = private_kib(p.pid) - empty
            yield figure("memory", round(held / N, 2), "KiB of the parent a held child, its row included", 24)
            if "idle" in PARTS:
                yield from idle(p)
                yield figure("memory.later", round((private_kib(p.pid) - empty) / N, 2), "KiB, a minute later", 24)
            if "publish" in PARTS:
                yield from to_all(p, sim, api)
                yield figure("memory.published", round((private_kib(p.pid) - empty) / N, 2), "KiB, after the publication")
            if "restart" in PARTS:
                yield from restart(p, sim)
            if "bad" in PARTS:
                yield from bad_revision(p, sim, api)


def run():
    if set(PARTS) & {"idle", "publish", "restart", "join", "bad"}:
        yield from whole_fleet()
    if "latency" in PARTS:
        yield from latency("unpaced", poll__wake_rate=0)
        yield from latency("paced")
        yield from latency("waves", WAVES)
