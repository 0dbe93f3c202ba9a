"""The list of devices: by name, by a part of the name or address, and those that ask for a person first, page by page."""
import parentlib
import pytest
from ctllib import Ctl
from parentlib import wait_until
from wireclient import Device

NAMES = ["a-fine", "b-drifted", "c-full", "d-waits", "e-held"]


def condition(kind, status):
    return {"type": kind, "status": status, "reason": "Test", "message": "", "since": "2026-11-22T00:00:00Z"}


@pytest.fixture(scope="module")
def five(workdir, system_users, programs):
    at = parentlib.folder(workdir, "device-list")
    db = parentlib.Postgres(at).start()
    p = parentlib.Parent(at, db, programs, {}).start()
    api = p.token()
    join_all(p, api)
    yield p, api
    p.end(15)
    db.end(2)
    p.check_sanitizers()


def join_all(p, api):
    join = api.ok("POST", "/enrolment-tokens", {"name": "list", "uses": 10})["join"]
    for name in NAMES:
        d = Device(p.base, p.ca, name)
        if name == "d-waits":
            token = api.ok("POST", "/enrolment-tokens", {"name": "approval", "uses": 1, "approval": True})["join"]
            assert d.post_enrolment(token).status_code == 202
            continue
        d.enrol(join)
        d.fetch()
        said = {"b-drifted": [condition("Drifted", "True")], "c-full": [condition("StorageOk", "False")]}.get(name, [])
        assert d.put_status(d.status(running=False, conditions=said)).status_code == 204
    api.ok("POST", "/devices/e-held/hold", {"minutes": 60, "reason": "test"}, headers={"If-Match": api.get("/devices/e-held").headers["ETag"]})


def listed(api, **query):
    r = api.get("/devices", params=query)
    assert r.status_code == 200, r.text
    return r.json()


def names(api, **query):
    return [d["name"] for d in listed(api, **query)["items"]]


def test_those_that_ask_for_a_person_come_first(five):
    _, api = five
    first = ["d-waits", "c-full", "b-drifted", "e-held", "a-fine"]
    wait_until(lambda: names(api, attention="first") == first, "the alert engine to see it", timeout=30)
    assert names(api) == NAMES
    assert names(api, attention="only") == first[:-1]
    assert [d["attention"] for d in listed(api, attention="first")["items"]] == ["person", "trouble", "look", "look", "none"]
    assert "attention" not in listed(api)["items"][0]
    seen, cursor = [], None
    while cursor is not None or not seen:
        page = listed(api, attention="first", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [d["name"] for d in page["items"]]
        cursor = page["next"]
    assert seen == first


def test_a_part_of_the_name_or_the_address_finds_it(five):
    _, api = five
    assert names(api, q="DRIFT") == ["b-drifted"]
    assert names(api, q="127.0.0") == NAMES
    assert names(api, q="-", attention="only", state="held") == ["e-held"]
    assert names(api, q="%") == names(api, q="_") == []  # a text, not a pattern
    assert [names(api, q="-", limit=2), names(api, q="-", limit=2, cursor="b-drifted")] == [NAMES[:2], NAMES[2:4]]


def test_what_the_list_cannot_do_is_said(five):
    _, api = five
    for query, pointer in (({"attention": "most"}, "/query/attention"), ({"q": "x" * 101}, "/query/q"), ({"attention": "first", "cursor": "9.x"}, "/query/cursor"), ({"attention": "first", "cursor": "x"}, "/query/cursor")):
        r = api.get("/devices", params=query)
        assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == pointer, r.text


def test_inarictl_lists_the_same(five, programs, tmp_path):
    p, api = five
    ctl = Ctl.of(programs, p, api, tmp_path)
    wait_until(lambda: names(api, attention="only")[:2] == ["d-waits", "c-full"], "the alert engine to see it", timeout=30)
    assert [d["name"] for d in ctl.json("devices", "--attention")["items"]] == names(api, attention="only")
    assert [d["name"] for d in ctl.json("devices", "--text", "FULL")["items"]] == ["c-full"]
    assert [d["name"] for d in ctl.json("devices", "--state", "held")["items"]] == ["e-held"]


def test_what_happened_to_one_device(five, programs, tmp_path):
    p, api = five
    ids = {d["name"]: d["id"] for d in listed(api)["items"]}
    done = api.publish({"devices": {ids["a-fine"]: {"smtp.recipient_limit": 900}}}, "test")
    mine = api.ok("GET", "/rollouts?device=a-fine")["items"]
    assert [(r["id"], r["pub"]) for r in mine][:1] == [(done["rollout_id"], done["pub"])] and mine[0]["device_state"] in ("offered", "queued")
    assert api.ok("GET", f"/rollouts?device={ids['a-fine']}&limit=1")["items"] == mine[:1]
    assert done["rollout_id"] not in [r["id"] for r in api.ok("GET", "/rollouts?device=c-full")["items"]]
    assert "device_state" not in api.ok("GET", "/rollouts")["items"][0]
    about = api.ok("GET", f"/audit?object=device/{ids['e-held']}")["items"]
    assert "device.hold" in [x["action"] for x in about] and {x["object"] for x in about} == {f"device/{ids['e-held']}"}
    ctl = Ctl.of(programs, p, api, tmp_path)
    assert [r["id"] for r in ctl.json("rollouts", "--device", "a-fine")["items"]] == [r["id"] for r in mine]
    assert [x["seq"] for x in ctl.json("audit", "--object", f"device/{ids['e-held']}")["items"]] == [x["seq"] for x in about]
