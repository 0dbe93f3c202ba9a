"""Shadow validation: every affected device tries a change with its own Postfix before anybody gets it (protocol.md 6.12,
G13).  On the lab: three gateways, real agents, helpers and Postfixes."""
import os
import subprocess
import uuid

import parentlib
import pytest
import wireclient
from inarilab.system import programs
from parentlib import wait_until
from test_lab_rollout import picture, see
from test_pair_faults import inherit, new_size, respawn

KEY = "smtp.message_size_limit"
FAST = {"strategy": "waves", "waves": ["1"], "canary_bake_s": 0, "bake_s": 0}
WRONG = "stage:main-bad-integer"


def cli(lab, *args, want=0):
    j = lab.json
    env = {**os.environ, "INARI_API": j["api"], "INARI_CA": j["ca"], "INARI_TOKEN": lab.lab.state["token"], "LC_ALL": "C",
           **parentlib.SAN_ENV}
    r = subprocess.run([programs(parentlib.build_dir())["inarictl"], *args], capture_output=True, text=True, env=env, timeout=120)
    assert r.returncode == want, (args, r.returncode, r.stdout, r.stderr)
    return r.stdout


def settled(lab, made, *states, timeout=60):
    return wait_until(lambda: (r := see(lab, made))["state"] in states and r, f"the rollout to be {states}", timeout, 0.1)


def by_name(run):
    return {d["name"]: d for d in run["devices"]}


def all_run_the_newest(lab):
    """A device is in sync with what it was offered; one whose turn comes later would change in the middle of the test."""
    made = lab.publish_size(new_size())
    assert settled(lab, made, "completed", "halted")["state"] == "completed"
    lab.wait_in_sync()


@pytest.fixture
def refuses(healthy_lab):
    """One gateway whose Postfix refuses whatever is staged."""
    lab, child = healthy_lab, healthy_lab.children[1]
    lab.wait_in_sync()
    all_run_the_newest(lab)
    respawn(lab, child, "helper", INARI_MUTATE=WRONG)
    yield child
    respawn(lab, child, "helper")
    all_run_the_newest(lab)


@pytest.mark.lab
@pytest.mark.slow
def test_one_refusal_and_nobody_gets_it(healthy_lab, refuses):
    lab = healthy_lab
    before = {c: picture(lab, c) for c in lab.children}
    made = lab.api.publish({"fleet": {KEY: new_size()}}, "one cannot", rollout=FAST)
    assert made["rollout"]["state"] == "shadow" and {d["state"] for d in made["devices"]} == {"queued"}
    halted = settled(lab, made, "halted", "running", "baking", "completed")
    run = halted["shadow"]
    assert (halted["state"], halted["reason"], run["state"]) == ("halted", "refused-by-devices", "refused"), halted
    assert halted["counts"] == {"queued": 3} and run["counts"]["refused"] == 1
    words = by_name(run)[refuses]["problem"]
    assert words["type"].startswith("urn:inari:problem:") and "12abc" in words["detail"], words
    assert {c: picture(lab, c) for c in lab.children} == before, "nobody was touched"
    shown = cli(lab, "rollout", "show", made["rollout_id"])
    assert "a device refuses it; nobody got it" in shown and refuses in shown
    # mended, and on
    respawn(lab, refuses, "helper")
    lab.api.ok("POST", f"/rollouts/{made['rollout_id']}/resume", {"reason": "mended"})
    assert settled(lab, made, "completed")["counts"] == {"confirmed": 3}


@pytest.mark.lab
@pytest.mark.slow
def test_a_draft_on_the_devices_by_inarictl(healthy_lab, refuses):
    lab, away = healthy_lab, healthy_lab.children[2]
    before = {c: picture(lab, c) for c in lab.children}
    pub = lab.api.ok("GET", "/revisions?limit=1")["items"][0]["pub"]
    cli(lab, "set", f"{KEY}={new_size()}")
    try:
        said = cli(lab, "publish", "--dry-run", "--on-devices", "--reason", "try", want=3)
        assert "refused 1" in said and refuses in said and "12abc" in said, said
        respawn(lab, refuses, "helper")
        # one that does not take the order is counted and named, and not waited for for ever
        lab.verb("partition", away)
        said = cli(lab, "publish", "--dry-run", "--on-devices", "--reason", "try", "--timeout", "10")
        assert "passed 2, refused 0, away 1" in said and away in said, said
        lab.verb("heal", away)
        newest = lab.api.ok("GET", "/dry-runs?limit=2")["items"]
        assert [r["state"] for r in newest] == ["passed", "refused"] and newest[0]["rollout_id"] is None
        run = lab.api.ok("GET", f"/dry-runs/{newest[0]['id']}")
        assert (by_name(run)[away]["state"], by_name(run)[away]["reason"]) in (("away", "not-taken"), ("away", "offline"))
        assert lab.api.ok("GET", "/revisions?limit=1")["items"][0]["pub"] == pub, "nothing was published"
        assert {c: picture(lab, c)[:3] for c in lab.children} == {c: before[c][:3] for c in before}
    finally:
        lab.verb("heal", away)
        cli(lab, "discard")


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.fault
def test_g13_old_content_that_does_not_validate_any_more(healthy_lab):
    """The revision before named a certificate; it is gone from the devices since."""
    lab = healthy_lab
    keys = ("smtp_tls.inbound", "smtp_tls.cert_file", "smtp_tls.key_file")
    name = f"/etc/postfix/g13-{uuid.uuid4().hex[:6]}.pem"
    files = []
    for child in lab.children:
        path = lab.root(child) + name
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=mx.example.test", "-keyout", path, "-out", f"{path}.crt"], check=True,
                       capture_output=True)
        with open(path, "a") as key, open(f"{path}.crt") as crt:
            key.write(crt.read())
        os.chmod(path, 0o600)
        files.append(path)
    try:
        lab.api.publish({"fleet": {"smtp_tls.inbound": "may", "smtp_tls.cert_file": name, "smtp_tls.key_file": name}}, "with tls")
        lab.wait_in_sync()
        made = lab.api.publish({"fleet": {k: {"$unset": True} for k in keys}}, "without tls",
                               rollout={"strategy": "waves", "waves": ["1"], "canary_bake_s": 3600, "bake_s": 0})
        baking = settled(lab, made, "baking", "halted", timeout=90)
        canary = next(d["name"] for d in baking["devices"] if d["state"] == "confirmed")
        before = {c: picture(lab, c)[:3] for c in lab.children}
        for path in files:
            os.unlink(path)
        back = lab.api.ok("POST", f"/rollouts/{made['rollout_id']}/revert", {"reason": "back", "force": {"reason": "G13"}})
        halted = settled(lab, back, "halted", "completed")
        assert halted["reason"] == "refused-by-devices" and by_name(halted["shadow"])[canary]["state"] == "refused"
        assert any("g13-" in e["message"] for e in by_name(halted["shadow"])[canary]["problem"]["errors"])
        assert "g13-" in cli(lab, "rollout", "show", back["rollout_id"]), "in the device's own words"
        assert see(lab, made)["state"] == "halted", "the rollout itself stands where it was"
        assert {c: picture(lab, c)[:3] for c in lab.children} == before, "before anybody was touched"
    finally:
        for path in files:
            if os.path.exists(path):
                os.unlink(path)
        lab.api.publish({"fleet": {k: {"$unset": True} for k in keys}}, "as it was")
        lab.publish_size(new_size())
        lab.wait_in_sync()


@pytest.fixture
def managed(parent, api):
    """managed(n): devices on the wire, managed and online.  They go with their test: one that a cancelled publication left
    behind is online and would be asked by every later dry run, whose draft stands on that publication."""
    everybody = []

    def make(n):
        join = api.ok("POST", "/enrolment-tokens", {"name": "dry run", "uses": n})["join"]
        made = []
        for _ in range(n):
            d = wireclient.Device(parent.base, parent.ca, f"dry-{uuid.uuid4().hex[:8]}")
            d.enrol(join)
            d.fetch()
            api.change(f"/devices/{d.id}", {"mode": "manage"})
            d.fetch()
            d.put_status()
            made.append(d)
            everybody.append(d)
        return made
    yield make
    for d in everybody:
        api.ok("POST", f"/devices/{d.id}/revoke", {"reason": "its test is over"})


def draft_for(api, devices):
    draft = api.ok("POST", "/drafts", {"title": "dry run"})
    api.change(f"/drafts/{draft['id']}", {"devices": {d.id: {KEY: new_size()} for d in devices}})
    return draft["id"]


def tried(device, command):
    r = device.call("GET", f"{wireclient.AGENT}/commands/{command['id']}/bundle", headers=device.auth())
    return r.status_code, r.content


def test_what_devices_are_given_and_how_they_are_counted(api, managed):
    good, bad, old, silent = devices = managed(4)
    draft = draft_for(api, devices)
    assert api.ok("POST", f"/drafts/{draft}/dry-run?dry_run=true")["counts"] == {"asked": 4}
    assert good.commands() == []
    run = api.ok("POST", f"/drafts/{draft}/dry-run", {"wait_s": 120})  # a parent that was killed still leads for seconds
    orders = {d: next(c for c in d.commands() if c["kind"] == "dry-run") for d in devices}
    assert {c["args"]["run"] for c in orders.values()} == {run["id"]}
    status, text = tried(good, orders[good])
    _, b = wireclient.open_jws(text, "inari-bundle+jws", good.keys("bundle"))
    assert (status, b["mode"], b["jti"], b["rev"], b["device"]) == (200, "dry-run", orders[good]["id"], 1, good.id)
    assert b["content_digest"] != good.last["content_digest"]
    assert tried(bad, orders[good])[0] == 404, "another's is not given out"
    assert all(d.desired().status_code == 304 for d in devices), "nothing is offered to anybody"

    def says(d, state, **more):
        for word in ("delivered", "running", state):
            r = d.tell(orders[d]["id"], word, **(more if word == state else {}))
            assert r.status_code == 200, r.text
    says(good, "done", result={"ok": True})
    says(old, "failed", problem={"type": "urn:inari:problem:unsupported-critical", "detail": "unknown"})
    assert silent.tell(orders[silent]["id"], "delivered").status_code == 200
    seen = api.ok("GET", f"/dry-runs/{run['id']}")
    assert seen["state"] == "running"
    says(bad, "failed", problem={"type": "urn:inari:problem:refused", "detail": "postfix: fatal: no", "errors": []})
    over = wait_until(lambda: (r := api.ok("GET", f"/dry-runs/{run['id']}"))["state"] != "running" and r, "the end", 40, 0.1)
    assert over["state"] == "refused" and over["counts"] == {"passed": 1, "refused": 1, "unable": 1, "asked": 1}
    rows = by_name(over)
    assert over["devices"][0]["name"] == bad.name and rows[bad.name]["problem"]["detail"] == "postfix: fatal: no"
    assert rows[old.name]["reason"] == "unsupported-critical"
    assert tried(good, orders[good])[0] == 404, "it is over"


def test_who_is_held_or_only_observed_is_not_asked(api, managed, parent):
    asked, held, observed = devices = managed(3)
    api.change(f"/devices/{observed.id}", {"mode": "observe"})
    observed.fetch()
    parent.postgres.psql(f"UPDATE device SET state = 'held' WHERE id = '{held.id}'")
    draft = draft_for(api, devices)
    assert api.ok("POST", f"/drafts/{draft}/dry-run?dry_run=true")["counts"] == {"asked": 1, "away": 1}
    run = api.ok("POST", f"/drafts/{draft}/dry-run", {"wait_s": 120})
    assert run["counts"] == {"asked": 1, "away": 1}, run
    rows = {d["name"]: (d["state"], d["reason"]) for d in api.ok("GET", f"/dry-runs/{run['id']}")["devices"]}
    assert rows == {asked.name: ("asked", ""), held.name: ("away", "held")}
    assert [len(d.commands()) for d in devices] == [1, 0, 0]
    api.delete(f"/drafts/{draft}")


def test_refused_it_is_tried_again_or_goes_on_in_spite_of_it(api, managed):
    devices = managed(2)

    def answer(bad):
        """Each device is asked; bad ones refuse.  All take the order before anybody answers: one refusal ends it, and an order
        that nobody has taken by then is taken back."""
        orders = {d: wait_until(lambda d=d: next((c["id"] for c in d.commands() if c["kind"] == "dry-run"), None),
                                "the question", 15, 0.1) for d in devices}
        for d, order in orders.items():
            assert [d.tell(order, word).status_code for word in ("delivered", "running")] == [200, 200]
        for d, order in orders.items():
            more = {"problem": {"type": "urn:inari:problem:refused", "detail": "no"}} if d in bad else {"result": {"ok": True}}
            assert d.tell(order, "failed" if d in bad else "done", **more).status_code == 200

    def see():
        return api.ok("GET", f"/rollouts/{made['rollout_id']}")

    def halted(runs):
        r = wait_until(lambda: (r := see())["state"] == "halted" and r, "the halt", 15, 0.1)
        assert r["reason"] == "refused-by-devices" and r["shadow"]["state"] == "refused" and r["counts"] == {"queued": 2}
        assert len([x for x in api.ok("GET", "/dry-runs?limit=5")["items"] if x["rollout_id"] == made["rollout_id"]]) == runs
    made = api.publish({"devices": {d.id: {KEY: new_size()} for d in devices}},
                       rollout={**FAST, "shadow": "always", "shadow_s": 600, "canary_bake_s": 600})
    answer(bad=devices[:1])
    halted(1)
    at = f"/rollouts/{made['rollout_id']}"
    assert api.ok("POST", f"{at}/resume", {})["state"] == "shadow", "resumed, its devices are asked once more"
    answer(bad=devices[1:])
    halted(2)
    assert all(d.desired().status_code == 304 for d in devices)
    api.ok("POST", f"{at}/resume", {})
    answer(bad=[])
    wait_until(lambda: see()["state"] == "running", "the first wave", 15, 0.1)
    api.ok("POST", f"{at}/halt", {"reason": "by hand"})
    assert api.post(f"/rollouts/{made['rollout_id']}/promote", json={}).status_code == 409, "nobody refused it"
    api.ok("POST", f"{at}/cancel", {})
    made = api.publish({"devices": {d.id: {KEY: new_size()} for d in devices}},
                       rollout={**FAST, "shadow": "always", "shadow_s": 600, "canary_bake_s": 600})
    for d in devices:  # what the cancelled one gave back
        if d.desired().status_code == 200:
            d.fetch()
            d.put_status()
    answer(bad=devices)
    halted(1)
    assert api.ok("POST", f"/rollouts/{made['rollout_id']}/promote", {"reason": "I know better"})["state"] == "running"
    api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})


@pytest.mark.slow
def test_nobody_is_waited_for_for_ever(api, managed):
    takes, never = devices = managed(2)
    run = api.ok("POST", f"/drafts/{draft_for(api, devices)}/dry-run", {"wait_s": 10})
    order = next(c for c in takes.commands() if c["kind"] == "dry-run")
    assert takes.tell(order["id"], "delivered").status_code == 200
    over = wait_until(lambda: (r := api.ok("GET", f"/dry-runs/{run['id']}"))["state"] != "running" and r, "the end", 25, 0.2)
    assert over["state"] == "inconclusive" and over["counts"] == {"silent": 1, "away": 1}
    assert by_name(over)[never.name]["reason"] == "not-taken" and never.commands() == []


def test_what_is_refused_of_a_dry_run(api):
    draft = api.ok("POST", "/drafts", {"title": "nobody"})
    api.change(f"/drafts/{draft['id']}", {"fleet": {KEY: new_size()}})
    try:
        bad = api.post(f"/drafts/{draft['id']}/dry-run", json={"wait_s": 1})
        assert bad.status_code == 422 and bad.json()["errors"][0]["pointer"] == "/wait_s"
        given = api.post(f"/devices/{uuid.uuid4()}/commands", json={"kind": "dry-run", "args": {"run": str(uuid.uuid4())}})
        assert given.status_code == 422 and given.json()["errors"][0]["pointer"] == "/kind"
    finally:
        api.delete(f"/drafts/{draft['id']}")
