"""Tracked commands between an administrator and a device that speaks the wire by hand: queued, taken, done at most once."""
import threading
import time
import uuid

import pytest
import wireclient
from parentlib import wait_until


@pytest.fixture
def device(parent, api):
    d = wireclient.Device(parent.base, parent.ca, f"cmd-{uuid.uuid4().hex[:8]}")
    d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "commands"})["join"])
    return d


def give(api, device, kind="self-check", **body):
    return api.ok("POST", f"/devices/{device.id}/commands", {"kind": kind, **body})


def state(api, command):
    return api.ok("GET", f"/commands/{command['id']}")["state"]


def test_taken_done_and_read(api, device):
    c = give(api, device, "queue-show", args={"queue": "deferred", "limit": 7}, reason="why is it slow")
    assert c["state"] == "queued" and c["device"]["id"] == device.id and c["by"].startswith("token:")
    mine = device.commands()
    assert [(m["id"], m["kind"], m["args"], m["state"], m["device"]) for m in mine] == \
        [(c["id"], "queue-show", {"queue": "deferred", "limit": 7}, "queued", device.id)]
    assert device.tell(c["id"], "delivered").json() == {"state": "delivered", "output_bytes": 0}
    assert device.commands()[0]["state"] == "delivered"  # a device that lost its memory must not begin it again
    assert device.tell(c["id"], "running", output="zeile 1\n").json()["output_bytes"] == 8
    assert state(api, c) == "running"
    assert api.ok("GET", f"/commands/{c['id']}/output") == {"from": 0, "text": "zeile 1\n", "next": 8, "complete": False}
    assert device.tell(c["id"], "done", output_from=8, output="Ü 2\n", result={"messages": 2}).status_code == 200
    got = api.ok("GET", f"/commands/{c['id']}")
    assert (got["state"], got["result"], got["output_bytes"], got["problem"]) == ("done", {"messages": 2}, 13, None)
    assert got["delivered_at"] and got["started_at"] and got["ended_at"]
    assert api.ok("GET", f"/commands/{c['id']}/output?from=8") == {"from": 8, "text": "Ü 2\n", "next": 13, "complete": True}
    assert api.ok("GET", f"/commands/{c['id']}/output?from=13") == {"from": 13, "text": "", "next": 13, "complete": True}
    assert device.commands() == []
    actions = [e["action"] for e in api.ok("GET", "/audit?action=command.&limit=5")["items"] if e["object"].endswith(c["id"])]
    assert actions == ["command.end", "command.give"]


def test_a_report_twice_changes_nothing(api, device):
    c = give(api, device)
    for _ in range(2):
        assert device.tell(c["id"], "delivered").status_code == 200
    for _ in range(2):
        assert device.tell(c["id"], "running", output="abc").json()["output_bytes"] == 3
    assert device.tell(c["id"], "running", output_from=1, output="bcde").json()["output_bytes"] == 5  # the part that is new
    hole = device.tell(c["id"], "running", output_from=9, output="z")
    assert hole.status_code == 409 and hole.json()["errors"][0]["pointer"] == "/output_from"
    for _ in range(2):
        assert device.tell(c["id"], "done", output_from=5, output="f", result={"n": 1}).status_code == 200
    assert api.ok("GET", f"/commands/{c['id']}/output")["text"] == "abcdef"
    again = device.tell(c["id"], "failed", result={"n": 2})
    assert again.status_code == 409 and api.ok("GET", f"/commands/{c['id']}")["result"] == {"n": 1}


def test_a_held_poll_ends_for_a_command_and_holds_again(api, device):
    device.fetch()
    device.put_status()
    assert device.desired().headers["Inari-Commands"] == "0"
    answers = []
    t = threading.Thread(target=lambda: answers.append((device.desired(wait=30), time.monotonic())))
    t.start()
    time.sleep(0.5)
    given = time.monotonic()
    c = give(api, device)
    t.join(15)
    assert answers and answers[0][0].status_code == 304 and answers[0][0].headers["Inari-Commands"] == "1"
    assert answers[0][1] - given < 3
    assert device.desired(wait=30).headers["Inari-Commands"] == "1"  # at once, until it is taken
    device.tell(c["id"], "delivered")
    start = time.monotonic()
    r = device.desired(wait=2)
    assert r.status_code == 304 and r.headers["Inari-Commands"] == "0" and time.monotonic() - start > 1.5


def test_expires_while_the_device_is_away(parent, api, device):
    """Never begun late: a device that comes back after the time is refused."""
    c = give(api, device, expires_in_s=10)
    seen = device.commands()
    assert seen[0]["id"] == c["id"]
    parent.postgres.psql(f"UPDATE command SET expires_at = now() WHERE id = '{c['id']}'; NOTIFY inari_change")
    late = device.tell(c["id"], "delivered")
    assert late.status_code == 409 and "expired" in late.json()["detail"]
    assert device.commands() == []
    wait_until(lambda: state(api, c) == "expired", "the command to expire", 12)
    assert device.desired().headers["Inari-Commands"] == "0"


def test_taken_and_never_heard_of_is_unknown_until_the_device_tells(parent, api, device):
    c = give(api, device)
    device.tell(c["id"], "delivered")
    parent.postgres.psql(f"UPDATE command SET expires_at = now() - interval '25 hours' WHERE id = '{c['id']}'; NOTIFY inari_change")
    wait_until(lambda: state(api, c) == "unknown", "the command to be given up", 12)
    assert device.tell(c["id"], "done", result={"late": True}).status_code == 200
    assert state(api, c) == "done"


def test_cancel_only_before_the_device_has_it(api, device):
    c, d = give(api, device), give(api, device)
    assert api.ok("POST", f"/commands/{c['id']}/cancel", {})["state"] == "cancelled"
    assert [m["id"] for m in device.commands()] == [d["id"]]
    r = device.tell(c["id"], "delivered")
    assert r.status_code == 409 and "cancelled" in r.json()["detail"]
    device.tell(d["id"], "delivered")
    r = api.post(f"/commands/{d['id']}/cancel", json={})
    assert r.status_code == 409 and r.json()["remedy"]
    assert state(api, d) == "delivered"


def test_bad_orders_name_the_field(api, device):
    for body, pointer in (({"kind": "rm -rf"}, "/kind"), ({}, "/kind"),
                          ({"kind": "queue-show", "args": {"queue": "maildrop"}}, "/args/queue"),
                          ({"kind": "queue-show", "args": {"limit": 0}}, "/args/limit"),
                          ({"kind": "self-check", "args": {"queue": "all"}}, "/args/queue"),
                          ({"kind": "self-check", "expires_in_s": 5}, "/expires_in_s"),
                          ({"kind": "self-check", "reason": "x" * 501}, "/reason")):
        for language in ("en", "ja"):
            r = api.post(f"/devices/{device.id}/commands", json=body, headers={"Accept-Language": language})
            assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == pointer, (body, r.text)
            assert r.json()["remedy"]
    assert api.post("/devices/nobody/commands", json={"kind": "self-check"}).status_code == 404
    assert device.commands() == []
    assert api.get("/commands?state=maybe").json()["errors"][0]["pointer"] == "/query/state"
    assert api.get("/commands/nonsense").status_code == 404


def test_a_dry_run_gives_nothing(api, device):
    r = api.post(f"/devices/{device.id}/commands?dry_run=true", json={"kind": "self-check"})
    assert r.status_code == 200 and r.json()["state"] == "queued"
    assert device.commands() == [] and api.get(f"/commands/{r.json()['id']}").status_code == 404


def test_only_the_device_itself_may_report(parent, api, device):
    other = wireclient.Device(parent.base, parent.ca, f"cmd-{uuid.uuid4().hex[:8]}")
    other.enrol(api.ok("POST", "/enrolment-tokens", {"name": "commands"})["join"])
    c = give(api, device)
    assert other.commands() == []
    assert other.tell(c["id"], "delivered").status_code == 404
    assert device.tell(c["id"], "delivered", key=other.sig).status_code in (400, 401)
    assert device.tell(c["id"], "cancelled").status_code == 422
    assert device.tell(c["id"], "done").status_code == 409  # begun before it was accepted
    assert device.tell(c["id"], "delivered", output="\x00").status_code in (400, 422)
    assert state(api, c) == "queued"


def test_a_retired_device_takes_no_commands(api, device):
    api.ok("POST", f"/devices/{device.id}/retire", {})
    r = api.post(f"/devices/{device.id}/commands", json={"kind": "self-check"})
    assert r.status_code == 409 and "retired" in r.json()["detail"]


def test_list_by_device_state_and_kind(api, device):
    made = [give(api, device)["id"] for _ in range(3)] + [give(api, device, "queue-show")["id"]]
    page = api.ok("GET", f"/commands?device={device.id}&limit=3")
    rest = api.ok("GET", f"/commands?device={device.id}&limit=3&cursor={page['next']}")
    assert [c["id"] for c in page["items"] + rest["items"]] == made[::-1] and rest["next"] is None
    assert [c["id"] for c in api.ok("GET", f"/commands?device={device.name}&kind=queue-show")["items"]] == made[3:]
    assert api.ok("GET", f"/commands?device={device.id}&state=done")["items"] == []


def test_survives_a_parent_killed_in_the_middle(new_parent):
    """kill -9 of the parent after the device took it: nothing is lost, nothing is offered as new."""
    p = new_parent()
    api = p.token()
    d = wireclient.Device(p.base, p.ca, "mx1")
    d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "x"})["join"])
    c, waiting = give(api, d), give(api, d, "queue-show")
    d.tell(c["id"], "delivered")
    d.tell(c["id"], "running", output="half")
    p.kill()
    p.start()
    d.access = None
    assert {m["id"]: m["state"] for m in d.commands()} == {c["id"]: "running", waiting["id"]: "queued"}
    assert wait_until(lambda: d.desired().headers.get("Inari-Commands"), "a poll", 10) == "1"
    assert d.tell(c["id"], "done", output_from=4, output="whole").status_code == 200
    assert api.ok("GET", f"/commands/{c['id']}/output")["text"] == "halfwhole"


def test_drift_names_who_set_what_should_stand_there(parent, api, device):
    """Each item with expected and found value, and author and revision of what was published; derived ones without."""
    pub = api.publish({"devices": {device.name: {"smtp.message_size_limit": 23456789}}}, "for drift")["pub"]
    device.fetch()
    rows = [{"file": "main.cf", "item": "message_size_limit", "expected": "23456789", "found": "77777",
             "since": "2026-01-01T00:00:00Z", "action": "reported"},
            {"file": "master.cf", "item": "smtp/inet", "expected": "x", "found": None, "since": "2026-01-01T00:00:00Z",
             "action": "reported"}]
    assert device.put_status(device.status(drift=rows)).status_code == 204
    said = api.ok("GET", f"/devices/{device.name}/drift")
    assert said["policy"] == "report" and [i["found"] for i in said["items"]] == ["77777", None]
    first, second = said["items"]
    assert (first["key"], first["set_by"]["layer"], first["set_by"]["pub"]) == ("smtp.message_size_limit", "device", pub)
    assert first["set_by"]["author"].startswith("token:") and first["set_by"]["reason"] == "for drift"
    assert second["key"] is None and second["set_by"] is None
    assert api.get("/devices/nobody/drift").status_code == 404
