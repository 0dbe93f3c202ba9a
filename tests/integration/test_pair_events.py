"""What an agent did and saw reaches the parent as events, on the lab (docs/internals/events.md, stream "agent")."""

import json
import re
import time

import pytest
from ctllib import Ctl
from parentlib import wait_until
from test_pair_faults import attempt, device, digests, new_size, publish_for, respawn

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture
def child(healthy_lab):
    name = healthy_lab.children[-1]
    yield name
    healthy_lab.api.publish({"devices": {name: {"smtp.message_size_limit": {"$inherit": True}}}}, "back to the fleet's")
    healthy_lab.wait_in_sync([name], timeout=90)


def events(lab, child, kind):
    """Details of the events of that kind, oldest first."""
    rows = lab.api.ok("GET", f"/events?device={device(lab, child)['id']}&kind={kind}&limit=200")["items"]
    return [r["detail"] for r in sorted(rows, key=lambda r: r["seq"])]


def told(lab, child, kind, test, what):
    return wait_until(lambda: next((d for d in reversed(events(lab, child, kind)) if test(d)), None), what, 30, 0.3)


def test_what_becomes_of_a_change(healthy_lab, child):
    """device.applied with revision, bundle and digest of what runs; device.refused with the reason the administrator reads."""
    lab = healthy_lab
    pub = publish_for(lab, child, new_size())
    attempt(lab, child, pub, ("committed",), 60)
    d = told(lab, child, "device.applied", lambda d: d["pub"] == pub, "the change")
    assert d["result"] == "committed" and d["digest"] == digests(lab, child)[0] and d["bundle"] and d["reason"] == ""
    assert len([x for x in events(lab, child, "device.applied") if x["pub"] == pub]) == 1
    lab.execute(child, "inari-agent", "hold", "--reason", "looking at it", "--minutes", "5")
    try:
        pub = publish_for(lab, child, new_size())
        attempt(lab, child, pub, ("held",), 60)
        d = told(lab, child, "device.refused", lambda d: d["pub"] == pub, "the refusal")
        assert d["result"] == "held" and "looking at it" in d["reason"]
    finally:
        lab.execute(child, "inari-agent", "release")
    told(lab, child, "device.applied", lambda d: d["pub"] == pub, "the change after all")


def test_what_a_person_does_on_the_host(healthy_lab, child):
    """A value changed by hand is device.drift, and so is its end."""
    lab = healthy_lab
    before = len(events(lab, child, "device.drift"))
    lab.execute(child, "postconf", "-e", "message_size_limit=7654321")
    wait_until(lambda: [d for d in events(lab, child, "device.drift")[before:] if d["status"] == "true"], "the edit", 30, 0.3)
    pub = publish_for(lab, child, new_size())
    attempt(lab, child, pub, ("committed",), 60)
    told(lab, child, "device.drift", lambda d: d["status"] == "false", "the end of it")


def test_figures_of_the_queue(healthy_lab, child):
    """Each minute: the queues, the volumes, the load."""
    lab = healthy_lab
    d = wait_until(lambda: (events(lab, child, "device.figures") or [None])[-1], "figures", 90, 1)
    assert set(d["queue"]) == {"incoming", "active", "deferred", "hold"}
    assert d["disk"]["queue"]["size_mb"] > 0 and d["disk"]["state"]["free_mb"] > 0


def test_age_of_the_queue(healthy_lab, child, programs):
    """A message that is put off: since when it waits stands in device.figures, the status, /figures, inarictl and the agent's metrics."""
    lab = healthy_lab
    domain, was = next(iter(lab.api.ok("GET", "/settings?layer=fleet")["settings"]["smtp.routes"].items()))
    moved = {**was, "next_hop": was["next_hop"].rsplit(":", 1)[0] + ":2599"}
    lab.api.publish({"devices": {child: {"smtp.routes": {domain: moved}}}}, "a port where nobody listens")
    lab.wait_in_sync([child])
    respawn(lab, child, "agent", INARI_FIGURES_S="2")
    try:
        lab.execute(child, "/usr/bin/python3", "-c", "import subprocess\nsubprocess.run(['sendmail', '-f', 'a@outside.test', 'user@"
                    f"{domain}'], input=b'Subject: waits\\n\\nx\\n', check=True)")
        put = time.time()
        ident = device(lab, child)["id"]
        d = wait_until(lambda: (x := (events(lab, child, "device.figures") or [{}])[-1]).get("oldest_s", 0) > 3 and x, "its age", 120, 1)
        assert abs(d["oldest_s"] - (time.time() - put)) < 15, d
        point = wait_until(lambda: next((p for p in reversed(lab.api.ok("GET", f"/figures?device={ident}&step=60")["points"])
                                         if p["values"] and p["values"]["oldest_s"]), None), "a point", 30, 1)
        assert 3 < point["values"]["oldest_s"] <= point["values"]["oldest_max_s"] <= time.time() - put + 5
        metrics = lab.execute(child, "inari-agent", "metrics").stdout
        assert int(metrics.split("\ninari_agent_queue_oldest_seconds ")[1].split()[0]) > 3
        health = json.loads(lab.execute(child, "inari-agent", "status", "--json").stdout)["status"]["health"]
        assert abs(health["queue_oldest_s"] - (time.time() - put)) < 15
        ctl = Ctl(programs["inarictl"], lab.dir, INARI_API=lab.json["api"], INARI_CA=lab.json["ca"], INARI_TOKEN=lab.lab.state["token"])
        shown = ctl.ends(0, "figures", "--device", child, "--step", "minute")[0]
        assert any(int(n) > 3 for n in re.findall(r" (\d+) s", shown)), shown
    finally:
        lab.execute(child, "postsuper", "-d", "ALL")
        lab.api.publish({"devices": {child: {"smtp.routes": {"$inherit": True}}}}, "the right port")
        lab.wait_in_sync([child])
        respawn(lab, child, "agent")
