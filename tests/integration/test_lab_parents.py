"""Two parents on one database, in a lab (protocol.md 6.14.9, 6.17; F8, F10): children go to whichever answers, what one
publishes the other gives out, either may die, and only who reaches the database acts."""
import os
import random
import uuid

import labrig
import pytest
from parentlib import Session, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]


@pytest.fixture(scope="module")
def two(workdir, system_users, request):
    rig = labrig.Rig(os.path.join(workdir, "lab-parents"))
    try:
        rig.up(2)
        rig.verb("add-parent")
        yield rig
    finally:
        rig.verb("down", *(["--keep"] if getattr(request.config, "_inari_failed", False) else []), check=False)


def api(rig, name):
    at = next(p["api"] for p in rig.json["parents"] if p["name"] == name)
    return Session(at, rig.json["ca"], rig.lab.state["token"])


def alone(rig, name):
    """The other parent dies by SIGKILL; until the children poll this one.  Returns its API."""
    other = ({"parent", "parent2"} - {name}).pop()
    rig.verb("kill", f"{other}/inarid")
    wait_until(lambda: all(rig.root(c) and at_parent(rig, c, name) for c in rig.children), f"the children at {name}", 60, 0.2)
    rig.verb("start", other)
    return api(rig, name)


def at_parent(rig, child, name):
    """Has the child's agent a connection to that parent?"""
    address = next(p["address"] for p in rig.json["parents"] if p["name"] == name)
    return f" {address}:8445" in rig.execute(child, "ss", "-Htn", "state", "established").stdout


def change(rig, at):
    size = random.randrange(20_000_000, 30_000_000)
    rig.publish_size(size, api=at)
    return f"SIZE {size}"


def mail(rig):
    mark = f"two-{uuid.uuid4().hex[:8]}"
    assert rig.sender(mark, 6, 0.5).finish() == []
    rig.wait_arrived(mark, 6)


def test_add_parent_is_safe_to_repeat(two):
    before = two.json
    assert [p["name"] for p in before["parents"]] == ["parent", "parent2"]
    two.verb("add-parent")
    assert [p["pids"]["inarid"] for p in two.json["parents"]] == [p["pids"]["inarid"] for p in before["parents"]]
    assert "parent2" in two.verb("status").stdout
    told = {a.ok("GET", "/parent")["fleet"] for a in (api(two, "parent"), api(two, "parent2"))}
    assert len(told) == 1
    rows = two.lab.host("parent").run(["psql", "-qXAt", "-h", "/run/inari-db", "-U", "postgres", "-d", "inari", "-c",
                                       "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) "
                                       "WHERE a.client_addr IS NOT NULL"], user="inari-db").stdout
    assert rows.strip() == "t", "the second parent speaks to the database in the clear"
    conninfo = two.lab.conninfo2
    for host, how in (("parent2", conninfo.replace("sslmode=require channel_binding=require", "sslmode=disable")),
                      ("parent2", conninfo.replace("user=inari", "user=postgres")), ("child1", conninfo)):
        r = two.lab.host(host).run(["psql", how, "-qXAtc", "SELECT 1"], check=False)
        assert r.returncode != 0 and "pg_hba.conf" in r.stderr, (host, r.stdout, r.stderr)


def test_either_parent_dies_and_what_the_other_says_counts(two):
    """SIGKILL of one, then of the other: the children move, and what is published at one parent is heard at the other."""
    for name, other in (("parent2", "parent"), ("parent", "parent2")):
        here = alone(two, name)
        took = two.wait_ehlo(change(two, here), timeout=60)
        mail(two)
        assert all(at_parent(two, c, name) for c in two.children)  # nobody moves back by himself
        took = two.wait_ehlo(change(two, api(two, other)), timeout=60)
        print(f"\npublished at {other}, children at {name}: live after {max(took.values()):.1f} s")
    two.wait_in_sync()


def test_only_who_reaches_the_database_acts(two):
    """F8: the second parent is cut off from the database while the children are with it."""
    cut = alone(two, "parent2")
    two.verb("partition", "parent2")
    try:
        wait_until(lambda: cut.get("/readyz").status_code == 503, "the second parent to notice", 60, 0.2)
        r = cut.post("/drafts", json={"title": "x"})
        assert r.status_code == 503 and r.headers["Retry-After"], r.text
        told = change(two, api(two, "parent"))
        mail(two)
        assert told not in [line[4:] for c in two.children for line in two.ehlo(c)]
        assert all(at_parent(two, c, "parent2") for c in two.children), "polls are answered from memory"
    finally:
        two.verb("heal", "parent2")
    took = two.wait_ehlo(told, timeout=90)
    print(f"\nhealed, live after {max(took.values()):.1f} s at most")
    wait_until(lambda: cut.get("/readyz").status_code == 200, "the second parent to be back", 60, 0.2)
    two.wait_in_sync()
    assert cut.ok("GET", "/audit/verify")["ok"] and not cut.ok("GET", "/recovery")["fenced"]
