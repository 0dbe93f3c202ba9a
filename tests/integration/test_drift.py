"""What differs on a device from what was published: policies, enforcing, adopting.  First against a device that speaks the
wire by hand, then on the lab with a real Postfix and hand edits by postconf -e."""
import json
import os
import re
import uuid

import pytest
import wireclient
from parentlib import wait_until
from test_dry_run import cli
from test_pair_commands import ended, give, run
from test_pair_faults import condition, inherit, new_size, respawn

SINCE = "2026-01-01T00:00:00Z"


@pytest.fixture
def device(parent, api):
    d = wireclient.Device(parent.base, parent.ca, f"drift-{uuid.uuid4().hex[:8]}")
    d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "drift"})["join"])
    d.first = d.fetch()
    yield d
    api.publish({"devices": {d.name: None}, "fleet": {"drift.policy": {"$unset": True}}}, "as before")


def row(item, expected, found, action="reported", since=SINCE, file="main.cf"):
    return {"file": file, "item": item, "expected": expected, "found": found, "since": since, "action": action}


def say(device, *rows):
    assert device.put_status(device.status(drift=list(rows))).status_code == 204


def listed(api, device):
    return {i["name"]: i for i in api.ok("GET", f"/devices/{device.name}/drift")["items"]}


def post(api, device, what, seen=None, query="", **body):
    etag = seen or api.get(f"/devices/{device.name}/drift").headers["ETag"]
    return api.post(f"/devices/{device.name}/drift/{what}{query}", json=body, headers={"If-Match": etag} if etag != "none" else {})


def drafts_of(api, device):
    return [d for d in api.ok("GET", "/drafts")["items"] if d["title"] == f"drift of {device.name}"]


def test_a_found_value_becomes_the_devices_own(api, device):
    say(device, row("message_size_limit", "50000000", "33554432"))
    assert post(api, device, "adopt", seen="none").status_code == 428
    assert post(api, device, "adopt", seen='"1"').status_code == 412
    looked = api.get(f"/devices/{device.name}/drift").headers["ETag"]
    say(device, row("message_size_limit", "50000000", "1000000"))
    assert post(api, device, "adopt", seen=looked).status_code == 412, "another value than the one that was looked at"
    say(device, row("message_size_limit", "50000000", "33554432"))
    tried = post(api, device, "adopt", query="?dry_run=true", items=["main.cf:message_size_limit"])
    assert tried.status_code == 200 and drafts_of(api, device) == []
    made = post(api, device, "adopt", items=["main.cf:message_size_limit"])
    assert made.status_code == 201, made.text
    assert made.json()["adopted"] == ["main.cf:message_size_limit"] and made.json()["skipped"] == []
    draft = made.json()["draft"]
    assert made.headers["Location"].endswith(draft["id"])
    assert draft["changes"]["devices"] == {device.id: {"smtp.message_size_limit": 33554432}}
    api.ok("POST", f"/drafts/{draft['id']}/publish", {"reason": "it was right"})
    assert api.ok("GET", f"/devices/{device.name}/effective")["settings"]["smtp.message_size_limit"] == 33554432
    said = listed(api, device)["main.cf:message_size_limit"]
    assert said["set_by"]["reason"] == "it was right" and said["set_by"]["layer"] == "device"
    assert any(e["action"] == "draft.edit" for e in api.ok("GET", "/audit?action=draft.&limit=5")["items"])


@pytest.mark.parametrize("found", ["0.0.0.0/0", "127.0.0.0/8 [::]/0", "0.0.0.0/1, 128.0.0.0/1"])
def test_what_opens_a_relay_is_not_taken_over(api, device, found):
    say(device, row("mynetworks", "cidr:${config_directory}/inari/x/relay_networks", found))
    no = post(api, device, "adopt", items=["main.cf:mynetworks"])
    assert no.status_code == 422, no.text
    first = no.json()["errors"][0]
    assert "smtp.relay_networks" in first["pointer"] and first["remedy"], first
    assert drafts_of(api, device) == []


def test_networks_take_the_place_of_those_in_force(api, device):
    api.publish({"devices": {device.name: {"smtp.relay_networks": {"10.9.0.0/16": {"note": "old"}, "10.8.0.0/16": {}}}}}, "networks")
    say(device, row("mynetworks", "cidr:x", "10.8.0.0/16, [2001:db8:7::]/48"))
    draft = post(api, device, "adopt", items=["main.cf:mynetworks"]).json()["draft"]
    api.ok("POST", f"/drafts/{draft['id']}/publish", {"reason": "by hand"})
    now = api.ok("GET", f"/devices/{device.name}/effective")["settings"]["smtp.relay_networks"]
    assert set(now) == {"10.8.0.0/16", "2001:db8:7::/48"}


@pytest.mark.parametrize("item, file, found, ident, names", [
    ("message_size_limit", "main.cf", "plenty", "P14.drift-value", "smtp.message_size_limit"),
    ("message_size_limit", "main.cf", "$other", "P14.drift-value", "smtp.message_size_limit"),
    ("message_size_limit", "main.cf", None, "P14.drift-value", "smtp.message_size_limit"),
    ("smtpd_tls_cert_file", "main.cf", "/etc/${mail_name}.pem", "P14.drift-value", "smtp_tls.cert_file"),
    ("message_size_limit", "main.cf", "17", "V.range", "smtp.message_size_limit"),
    ("mynetworks", "main.cf", "!10.0.0.0/8", "P14.drift-value", "smtp.relay_networks"),
    ("smtpd_relay_restrictions", "main.cf", "permit", "P14.drift-derived", "smtpd_relay_restrictions"),
    ("smtp/inet", "master.cf", "n - y - - smtpd", "P14.drift-derived", "smtp/inet"),
])
def test_what_the_catalog_cannot_say_is_refused_by_name(api, device, item, file, found, ident, names):
    say(device, row(item, "x", found, file=file))
    no = post(api, device, "adopt", items=[f"{file}:{item}"])
    assert no.status_code == 422
    said = no.json()["errors"][0]
    assert said["id"] == ident and names in said["message"] + said["pointer"] and said["remedy"]
    assert said["pointer"].startswith("/items/0")
    assert drafts_of(api, device) == []


def test_all_at_once_and_into_the_fleet(api, device):
    say(device, row("message_size_limit", "50000000", "33554432"), row("smtpd_relay_restrictions", "x", "permit"),
        row("smtpd_helo_required", "yes", "no"))
    made = post(api, device, "adopt").json()
    assert set(made["adopted"]) == {"main.cf:message_size_limit", "main.cf:smtpd_helo_required"}
    assert [f["id"] for f in made["skipped"]] == ["P14.drift-derived"]
    fleet = post(api, device, "adopt", to="fleet", items=["main.cf:smtpd_helo_required"])
    assert fleet.status_code == 201 and fleet.json()["draft"]["changes"]["fleet"] == {"smtp.helo_required": False}
    api.publish({"devices": {device.name: {"smtp.helo_required": True}}}, "own value")
    above = post(api, device, "adopt", to="fleet", items=["main.cf:smtpd_helo_required"])
    assert above.status_code == 422 and above.json()["errors"][0]["id"] == "P14.drift-layer"
    assert post(api, device, "adopt", to="group").status_code == 422
    gone = post(api, device, "adopt", items=["main.cf:no_such"])
    assert gone.status_code == 422 and gone.json()["errors"][0]["id"] == "P14.drift-gone"
    assert post(api, device, "adopt", items=[]).status_code == 422
    for d in drafts_of(api, device):
        api.delete(f"/drafts/{d['id']}", headers={"If-Match": api.get(f"/drafts/{d['id']}").headers["ETag"]})


def test_enforce_is_an_order_about_items_that_differ(api, device):
    say(device, row("message_size_limit", "50000000", "33554432"), row("myhostname", "a.test", "b.test"))
    no = post(api, device, "enforce", items=["main.cf:message_size_limit", "main.cf:gone"])
    assert no.status_code == 422 and no.json()["errors"][0]["pointer"] == "/items/1"
    assert post(api, device, "enforce", seen="none").status_code == 428
    given = post(api, device, "enforce", items=["main.cf:myhostname"], reason="not agreed")
    assert given.status_code == 201 and given.json()["kind"] == "drift-enforce"
    assert device.commands()[0]["args"] == {"items": ["main.cf:myhostname"]}
    entry = next(e for e in api.ok("GET", "/audit?action=command.give&limit=5")["items"] if e["object"].endswith(given.json()["id"]))
    assert entry["detail"]["reason"] == "not agreed"


def test_policy_is_a_setting_of_the_layers_and_no_content(api, device):
    """A20: the item counts more than the device's word, that more than the fleet's; the content stays what it is."""
    before = device.first
    api.publish({"fleet": {"drift.policy": "enforce"},
                 "devices": {device.name: {"drift.items": {"main.cf:myhostname": {"policy": "adopt"}}}}}, "policy")
    after = device.fetch(wait=10)
    assert after["drift"] == {"postfix": "enforce", "items": {"main.cf:myhostname": "adopt"}}
    assert after["content_digest"] == before["content_digest"] and after["rev"] > before["rev"]
    assert not any(k.startswith("drift.") for k in after["sections"]["postfix"]["settings"])
    say(device, row("message_size_limit", "1", "2"), row("myhostname", "a", "b"))
    assert {n: i["policy"] for n, i in listed(api, device).items()} == {"main.cf:message_size_limit": "enforce", "main.cf:myhostname": "adopt"}
    api.change(f"/devices/{device.name}", {"drift": "report"})
    assert device.fetch(wait=10)["drift"]["postfix"] == "report"
    assert {n: i["policy"] for n, i in listed(api, device).items()} == {"main.cf:message_size_limit": "report", "main.cf:myhostname": "adopt"}
    api.change(f"/devices/{device.name}", {"drift": "inherit"})
    draft = api.ok("POST", "/drafts", {"title": "foreign"})
    no = api.patch(f"/drafts/{draft['id']}", json={"fleet": {"drift.items": {"main.cf:not_ours": {"policy": "enforce"}}}},
                   headers={"If-Match": '"1"', "Content-Type": "application/merge-patch+json"})
    assert no.status_code == 422 and no.json()["errors"][0]["id"] == "P14.drift-item", no.text
    api.delete(f"/drafts/{draft['id']}", headers={"If-Match": '"1"'})


def test_a_device_that_only_says_adopting_makes_no_draft(api, device):
    """What is to be adopted is the fleet's to say: a captured device would write drafts in an administrator's name."""
    say(device, row("message_size_limit", "50000000", "33554432", "adopting"))
    assert drafts_of(api, device) == [] and listed(api, device)["main.cf:message_size_limit"]["adoption"] is None
    api.publish({"devices": {device.name: {"drift.items": {"main.cf:smtpd_soft_error_limit": {"policy": "adopt"}}}}}, "one item")
    say(device, row("message_size_limit", "50000000", "33554432", "adopting"), row("smtpd_soft_error_limit", "10", "9", "adopting"))
    assert [list(d["changes"]["devices"][device.id]) for d in
            (api.ok("GET", f"/drafts/{d['id']}") for d in drafts_of(api, device))] == [["smtp.soft_error_limit"]]
    for d in drafts_of(api, device):
        api.delete(f"/drafts/{d['id']}", headers={"If-Match": api.get(f"/drafts/{d['id']}").headers["ETag"]})


def test_by_policy_a_draft_waits_once_for_each_found_value(api, device):
    api.publish({"devices": {device.name: {"drift.policy": "adopt"}}}, "adopt here")
    rows = [row("message_size_limit", "50000000", "33554432", "adopting"), row("mynetworks", "cidr:x", "0.0.0.0/0", "adopting")]
    say(device, *rows)
    seen = listed(api, device)
    adopted, refused = seen["main.cf:message_size_limit"]["adoption"], seen["main.cf:mynetworks"]["adoption"]
    assert adopted["problem"] is None and refused["draft"] is None and refused["problem"]
    draft = api.ok("GET", f"/drafts/{adopted['draft']}")
    assert draft["changes"]["devices"] == {device.id: {"smtp.message_size_limit": 33554432}}
    assert [d["id"] for d in drafts_of(api, device)] == [draft["id"]]
    say(device, *rows)
    assert [d["id"] for d in drafts_of(api, device)] == [draft["id"]], "the same value a second time"
    etag = api.get(f"/drafts/{draft['id']}").headers["ETag"]
    assert api.delete(f"/drafts/{draft['id']}", headers={"If-Match": etag}).status_code == 204, "it belongs to who set the policy"
    say(device, *rows)
    assert drafts_of(api, device) == [], "deleted is decided"
    rows[0]["found"] = "44554432"
    say(device, *rows)
    assert len(drafts_of(api, device)) == 1
    for d in drafts_of(api, device):
        api.delete(f"/drafts/{d['id']}", headers={"If-Match": api.get(f"/drafts/{d['id']}").headers["ETag"]})


# --- a real Postfix ---

@pytest.fixture
def child(healthy_lab):
    lab, name = healthy_lab, healthy_lab.children[-1]
    lab.wait_in_sync()
    yield name
    for part in ("helper", "agent"):
        respawn(lab, name, part)
    inherit(lab, name, "smtp.message_size_limit", "drift.policy", "drift.items")
    lab.wait_in_sync([name], timeout=90)
    if drift(lab, name):
        cli(lab, "drift", "enforce", name)
    look(lab, name, [])


def drift(lab, child):
    return {i["name"]: i for i in lab.api.ok("GET", f"/devices/{child}/drift")["items"]}


def look(lab, child, names):
    """Have the agent look now; the items once they are these."""
    run(lab, child, "self-check")
    return wait_until(lambda: (lambda d: (d, True) if set(d) == set(names) else None)(drift(lab, child)),
                      f"{names} to differ (is {list(drift(lab, child))})", 20, 0.1)[0]


def value(lab, child, name="message_size_limit"):
    return lab.execute(child, "postconf", "-h", name).stdout.strip()


def policy(lab, child, **layer):
    lab.api.publish({"devices": {child: {k.replace("_", ".", 1): v for k, v in layer.items()}}}, "drift policy")
    lab.wait_in_sync([child])
    wait_until(lambda: (lab.api.ok("GET", f"/devices/{child}/status")["status"]["observed"] or {}).get("rev") ==
               lab.api.ok("GET", f"/devices/{child}")["desired"]["rev"], "the bundle to be there", 20)


SIZE, LIMIT, PROBE = "main.cf:message_size_limit", "main.cf:smtpd_soft_error_limit", "master.cf:127.0.0.1:10027/inet"


@pytest.mark.lab
@pytest.mark.slow
def test_hand_edit_seen_explained_and_put_back_item_by_item(healthy_lab, child):
    """Pain 10: main.cf and master.cf edited by hand; who set what should stand there, what can be known of the edit."""
    lab, size = healthy_lab, new_size()
    pub = lab.api.publish({"devices": {child: {"smtp.message_size_limit": size}}}, "the right size")["pub"]
    lab.wait_ehlo(f"SIZE {size}", [child])
    lab.execute(child, "postconf", "-e", "message_size_limit=33554432", "smtpd_soft_error_limit=3", "inari_foreign_test=kept")
    lab.execute(child, "postconf", "-F", "127.0.0.1:10027/inet/process_limit=7")
    seen = look(lab, child, [SIZE, LIMIT, PROBE])
    one = seen[SIZE]
    assert (one["expected"], one["found"], one["policy"], one["action"]) == (str(size), "33554432", "report", "reported")
    assert one["set_by"]["pub"] == pub and one["set_by"]["reason"] == "the right size" and one["set_by"]["author"].startswith("token:")
    assert one["file_owner"] == "root" and one["file_changed_at"] > one["since"][:10] and one["key"] == "smtp.message_size_limit"
    assert value(lab, child) == "33554432", "only reported"
    respawn(lab, child, "agent")
    lab.verb("kill", "parent/inarid")
    lab.verb("start", "parent/inarid")
    wait_until(lambda: lab.api.get("/devices").status_code == 200, "the parent", 30)
    assert look(lab, child, [SIZE, LIMIT, PROBE])[SIZE]["since"] == one["since"], "since when outlasts both"
    policy(lab, child, drift_items={SIZE: {"policy": "enforce"}})
    wait_until(lambda: value(lab, child) == str(size), "the value to be put back", 90, 0.5)
    look(lab, child, [LIMIT, PROBE])  # the others are only reported
    assert value(lab, child, "smtpd_soft_error_limit") == "3"
    said = cli(lab, "drift", "enforce", child, PROBE)
    assert PROBE in said and "soft_error" not in said
    look(lab, child, [LIMIT])
    assert "smtpd_soft_error_limit" in cli(lab, "drift", "enforce", child)
    look(lab, child, [])
    assert condition(lab, child, "Drifted")["status"] == "False"
    assert "inari_foreign_test = kept" in open(os.path.join(lab.root(child), "etc/postfix/main.cf")).read()
    lab.wait_ehlo(f"SIZE {size}", [child])


@pytest.mark.lab
@pytest.mark.slow
def test_never_a_fight(healthy_lab, child):
    """Something on the host sets it again and again: three times it is put back, then left and said, over a restart too."""
    lab = healthy_lab
    policy(lab, child, drift_policy="enforce")
    right = value(lab, child)
    for n in range(3):
        lab.execute(child, "postconf", "-e", "message_size_limit=33554432")
        # No order to look: that it was put back is shown until the next look, which its own writes do not bring forward.
        wait_until(lambda: drift(lab, child).get(SIZE, {}).get("tries") == n + 1, f"try {n + 1}", 20, 0.1)
        assert value(lab, child) == right
    for _ in range(2):
        lab.execute(child, "postconf", "-e", "message_size_limit=33554432")
        run(lab, child, "self-check")
        wait_until(lambda: drift(lab, child).get(SIZE, {}).get("action") == "gave-up", "the end of it", 20, 0.1)
        assert value(lab, child) == "33554432"
        said = condition(lab, child, "Drifted")
        assert said["reason"] == "GaveUp" and "message_size_limit" in said["message"] and "3 times" in said["message"]
        respawn(lab, child, "agent")
    cli(lab, "drift", "enforce", child, SIZE)
    assert value(lab, child) == right
    look(lab, child, [])


@pytest.mark.lab
@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.parametrize("alone", [False, True])
def test_agent_dies_between_repair_and_commit(healthy_lab, child, injected, alone):
    """C5, C17: the helper has put it back and nobody commits: it is as it was found again, by the next agent's word or, when
    none comes, by the helper itself.  The try that was cut off counts, and the next one ends it."""
    lab, host = healthy_lab, healthy_lab.lab.host(child)
    right, size, log = value(lab, child), "33554432", lambda: lab.log(child, "helper")
    seen, mended = log().count("event=apply.reverted"), lab.log(child, "agent").count("event=drift.repaired")
    lab.execute(child, "postconf", "-e", f"message_size_limit={size}")
    lab.execute(child, "postfix", "reload")
    lab.wait_ehlo(f"SIZE {size}", [child])
    look(lab, child, [SIZE])
    respawn(lab, child, "agent", INARI_CRASH_AT="drift-switched")
    wait_until(lambda: host.named("inari-agent"), "the agent to begin", 20, 0.05)
    lab.api.publish({"devices": {child: {"drift.policy": "enforce"}}}, "put it back")
    wait_until(lambda: not host.named("inari-agent"), "the agent to die", 90, 0.1)
    injected("sigkill")
    assert log().count("event=apply.reverted") == seen
    lab.wait_ehlo(f"SIZE {right}", [child])  # the switch was made
    if alone:
        wait_until(lambda: log().count("event=helper.takeover"), "the helper to go back alone", 60, 0.2)
        wait_until(lambda: value(lab, child) == size, "what was found", 20, 0.1)
        lab.wait_ehlo(f"SIZE {size}", [child])
    respawn(lab, child, "agent")
    wait_until(lambda: log().count("event=apply.reverted") == seen + 1, "the way back", 30, 0.1)
    wait_until(lambda: lab.log(child, "agent").count("event=drift.repaired") == mended + 1, "the second try", 90, 0.2)
    with open(os.path.join(lab.root(child), "var/lib/inari/agent/state.json")) as f:
        assert len(json.load(f)["drift"][SIZE]["tries"]) == 2  # both count against a fight
    assert value(lab, child) == right
    lab.wait_ehlo(f"SIZE {right}", [child])
    look(lab, child, [])
    assert condition(lab, child, "Drifted")["status"] == "False"


@pytest.mark.lab
@pytest.mark.slow
def test_a_repair_that_could_not_be_undone_is_undone_later(healthy_lab, child):
    """Neither committed (somebody writes again) nor put back (the disk fails): agent and helper stay connected, so nobody
    takes over; the change must not stay open, since nothing new begins while it is."""
    lab = healthy_lab
    etc, state = (os.path.join(lab.root(child), d) for d in ("etc/postfix", "var/lib/inari/helper"))
    lab.execute(child, "postconf", "-e", "message_size_limit=33554432")
    look(lab, child, [SIZE])
    respawn(lab, child, "helper", INARI_PAUSE_AT="probing:2000")
    given = give(lab, child, "drift-enforce")
    wait_until(lambda: "message_size_limit = 33554432" not in open(f"{etc}/main.cf").read(), "the switch", 20, 0.01)
    with open(f"{etc}/main.cf", "a") as f:
        f.write("message_size_limit = 31457280\n")
    os.rename(f"{state}/undo/main.cf", f"{state}/main.cf.away")  # it cannot be read
    os.unlink(f"{etc}/main.cf.inari-old")
    assert ended(lab, given, 60)["state"] == "failed"
    wait_until(lambda: condition(lab, child, "ConfigApplied")["reason"] == "Degraded", "the failed way back to be said", 30, 0.2)
    os.rename(f"{state}/main.cf.away", f"{state}/undo/main.cf")
    wait_until(lambda: value(lab, child) == "33554432", "the files as they were before the repair", 60, 0.5)
    lab.wait_in_sync([child])
    look(lab, child, [SIZE])
    size = new_size()
    lab.api.publish({"devices": {child: {"smtp.message_size_limit": size}}}, "after it")
    lab.wait_ehlo(f"SIZE {size}", [child])


@pytest.mark.lab
@pytest.mark.slow
def test_hand_edit_is_adopted(healthy_lab, child):
    """By order with inarictl; a relay-opening edit is refused with setting and remedy, and is gone once it is enforced."""
    lab = healthy_lab
    lab.execute(child, "postconf", "-e", "message_size_limit=33554432")
    look(lab, child, [SIZE])
    assert SIZE in cli(lab, "drift", "adopt", child)
    draft = next(d for d in lab.api.ok("GET", "/drafts")["items"] if d["title"] == f"drift of {child}")
    lab.api.ok("POST", f"/drafts/{draft['id']}/publish", {"reason": "found by hand"})
    lab.wait_ehlo("SIZE 33554432", [child])
    lab.wait_in_sync([child])
    look(lab, child, [])
    lab.execute(child, "postconf", "-e", "mynetworks=0.0.0.0/0")
    assert look(lab, child, ["main.cf:mynetworks"])["main.cf:mynetworks"]["key"] == "smtp.relay_networks"
    etag = lab.api.get(f"/devices/{child}/drift").headers["ETag"]
    no = lab.api.post(f"/devices/{child}/drift/adopt", json={}, headers={"If-Match": etag})
    assert no.status_code == 422 and "smtp.relay_networks" in no.json()["errors"][0]["pointer"] and no.json()["errors"][0]["remedy"]
    cli(lab, "drift", "enforce", child)
    assert re.match(r"cidr:", value(lab, child, "mynetworks"))
    look(lab, child, [])
