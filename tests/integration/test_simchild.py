"""bench/simchild: a simulated fleet is to the parent what real children are, and its faults are seen as what they are."""
import json
import os
import re

import pytest
import simlib
from parentlib import folder, wait_until

pytestmark = pytest.mark.slow
N = 200
KEY = "smtp.message_size_limit"


@pytest.fixture(scope="module")
def crowd(workdir, system_users, programs):
    """A parent of its own and its administrator."""
    import parentlib
    d = folder(workdir, "crowd")
    db = parentlib.Postgres(d).start()
    p = parentlib.Parent(d, db, programs, {"enrol.rate": "2000", "poll.wake_rate": "0"}).start()
    yield p, p.token(), d
    p.stop()
    db.stop()


def items(api, path):
    """Every row of a list."""
    out, cursor = [], ""
    while cursor is not None:
        page = api.ok("GET", f"{path}?limit=500{cursor and '&cursor=' + cursor}")
        out += page["items"]
        cursor = page["next"]
    return out


def sync(api):
    return {d["name"]: d["sync"] for d in items(api, "/devices")}


def manage(api, names):
    for d in items(api, "/devices"):
        if d["name"] in names and d["mode"] != "manage":
            api.change(f"/devices/{d['id']}", {"mode": "manage"})


def test_a_fleet_joins_applies_and_its_faults_are_named(crowd):
    p, api, d = crowd
    state = os.path.join(d, "fleet.json")
    sim = simlib.Sim(d, N, simlib.join_string(api, N), fail_percent=5, lie=2, old_revision=2, silent_after_fetch=1,
                     apply_ms="0-200", state=state)
    try:
        r = sim.joined(90)
        assert r["enrolled"] == N and r["bundles_refused"] == 0, r["refused_why"]
        assert {k: len(v) for k, v in r["faults"].items()} == {"fail": 10, "silent": 2, "slow": 0, "old": 4, "lie": 4}
        names = {f"sim-{i:05d}" for i in range(1, N + 1)}
        wait_until(lambda: set(sync(api).values()) == {"observing"}, "all to have reported", 30, 0.5)
        manage(api, names)
        faults = r["faults"]
        wanted = {name: "in-sync" for name in names}
        wanted.update({n: "failed" for n in faults["fail"]})
        # Applied and untrue, old and untrue, or fetched and silent: never called in sync.
        wanted.update({n: "applying" for n in faults["lie"] + faults["old"]})
        wanted.update({n: "pending" for n in faults["silent"]})

        def odd():
            now = sync(api)
            return {n: (now.get(n), w) for n, w in wanted.items() if now.get(n) != w}
        try:
            wait_until(lambda: not odd(), "every device to be shown as what it is", 60, 0.5)
        except AssertionError as e:
            raise AssertionError(f"{e}: {odd()}") from None
        failed = {x["name"]: x for x in items(api, "/devices") if x["sync"] == "failed"}
        assert set(failed) == set(faults["fail"])
        assert "simulated refusal" in json.dumps(failed[faults["fail"][0]]["last_attempt"])
    finally:
        sim.quit()


def statements(p):
    """What the parent asked its database since it started."""
    return int(re.search(r"^inari_db_statements_total (\d+)", p.session().get("/metrics").text, re.M).group(1))


def test_it_signs_in_by_key_and_comes_back_after_a_storm(crowd):
    p, api, d = crowd
    state = os.path.join(d, "again.json")
    first = simlib.Sim(d, 50, simlib.join_string(api, 50), name="again", state=state)
    before = first.joined(60)
    first.quit()
    sim = simlib.Sim(d, 50, name="again", state=state)  # no join string: the keys are what it has
    try:
        r = sim.joined(30)
        assert r["enrolled"] == 0 and r["tokens"] == 50 and before["enrolled"] == 50
        sim.order("mark")
        began = statements(p)
        for n in range(1, 5):
            sim.order("storm")
            r = sim.wait(lambda r, n=n: r["waiting"] == 50 and r["handshakes"] >= 50 * n, "all to be back", 30)
        asked = statements(p) - began
        assert r["polls"] >= 200 and asked < 150, f"{asked} statements during {r['polls']} polls (A1)"
        assert r["tokens"] == 0 and r["resumed"] >= 180, "access tokens and TLS sessions outlive connections"
        assert set(r["answers"]) <= {"200", "204", "304"}, r["answers"]
        p.kill()
        p.start()
        r = sim.wait(lambda r: r["waiting"] == 50, "all to be back after a crash of the parent", 60)
        assert r["tokens"] == 0 and set(r["answers"]) <= {"200", "204", "304", "503"}, r["answers"]
    finally:
        sim.quit()
