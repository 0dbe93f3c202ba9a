"""Publications reach children: protocol.md A2, A3, A10, F1, F10, G8; adoption; two parents on one database."""
import os
import shutil
import threading
import time
import uuid

import pytest
import wireclient
from parentlib import Parent, wait_until
from test_agent_api_poll import Held, make_device

KEY = "smtp.message_size_limit"


@pytest.fixture
def managed(api, parent):
    def make(state="manage"):
        d = make_device(api, parent)
        d.fetch()
        d.put_status(d.status(running=False))
        if state == "manage":
            api.change(f"/devices/{d.id}", {"mode": "manage"})
            d.fetch()
            d.put_status()
        return d
    return make


@pytest.fixture
def size():
    """A value nobody has published yet."""
    return 20000000 + int.from_bytes(os.urandom(3), "big")


def setting(bundle, key=KEY):
    return bundle["sections"]["postfix"]["settings"][key]


def test_publication_wakes_a_held_poll_and_is_followed_to_the_end(managed, api, size):
    d = managed()
    held, t0 = Held(d), time.monotonic()
    made = api.publish({"devices": {d.id: {KEY: size}}}, "bigger messages")
    r = held.result(t0)
    assert r.status_code == 200 and held.seconds < 2, held.seconds
    b = d.verify(r.content)
    mine = [x for x in made["devices"] if x["id"] == d.id][0]
    assert setting(b) == size and b["pub"] == made["pub"] and b["rev"] == mine["rev"]
    assert b["rollout"] == {"id": made["rollout_id"], "wave": 0} and len(b["prev"]) == 64
    state = lambda: {x["id"]: x["state"] for x in api.ok("GET", f"/rollouts/{made['rollout_id']}")["devices"]}  # noqa: E731
    assert state() == {d.id: "offered"}
    d.put_status(d.status(running=False))
    assert state() == {d.id: "fetched"}
    assert api.ok("GET", f"/rollouts/{made['rollout_id']}")["state"] == "running"
    d.put_status()
    assert state() == {d.id: "confirmed"} and api.ok("GET", f"/devices/{d.id}")["sync"] == "in-sync"
    wait_until(lambda: api.ok("GET", f"/rollouts/{made['rollout_id']}")["state"] == "completed", "the rollout to end", 10)


def test_refused_configuration_halts_the_rollout(managed, api, size):
    d = managed()
    made = api.publish({"devices": {d.id: {KEY: size}}})
    d.fetch()
    s = d.status(running=False)
    s["last_attempt"] = {**d.status()["last_attempt"], "result": "reverted",
                         "problem": {"title": "refused", "detail": "postfix: fatal: bad", "errors": []}}
    d.put_status(s)
    shown = wait_until(lambda: (x := api.ok("GET", f"/rollouts/{made['rollout_id']}"))["state"] == "halted" and x,
                       "the rollout to halt", 10)
    assert shown["devices"][0]["state"] == "reverted" and "bad" in shown["devices"][0]["problem"]["detail"]


def test_a2_unrelated_group_keeps_the_etag(managed, api, size):
    d, other = managed(), managed()
    group = api.ok("POST", "/groups", {"name": f"g-{uuid.uuid4().hex[:6]}"})
    r = api.request("PUT", f"/groups/{group['id']}/members/{other.id}")
    if r.status_code == 428:
        etag = api.get(f"/groups/{group['id']}").headers["ETag"]
        r = api.request("PUT", f"/groups/{group['id']}/members/{other.id}", headers={"If-Match": etag})
    assert r.status_code == 204, r.text
    held = Held(d, wait=4)
    made = api.publish({"groups": {group["id"]: {KEY: size}}})
    assert {x["id"] for x in made["devices"] if x["changed"]} == {other.id}
    assert held.result(time.monotonic()).status_code == 304
    assert d.desired().status_code == 304
    assert setting(other.fetch()) == size


def test_a3_same_content_published_again(managed, api, size):
    d = managed()
    first = api.publish({"devices": {d.id: {KEY: size}}})
    b = d.fetch()
    api.publish({"devices": {d.id: {KEY: size + 1}}})
    again = api.publish({"devices": {d.id: {KEY: size}}})
    assert again["pub"] == first["pub"] + 2
    now = d.fetch()
    assert now["content_digest"] == b["content_digest"] and now["rev"] > b["rev"]
    d.put_status()
    restored = api.ok("POST", f"/revisions/{again['pub']}/restore", {"reason": "the same"})
    assert restored["pub"] == again["pub"] + 1 and not [x for x in restored["devices"] if x["changed"]]
    assert d.desired().status_code == 304


def test_a10_ten_publications_end_at_the_last(managed, api, size):
    d = managed()
    held, t0 = Held(d), time.monotonic()
    for i in range(10):
        made = api.publish({"devices": {d.id: {KEY: size + i}}})
    b = d.verify(held.result(t0).content)
    while b["pub"] < made["pub"]:
        b = d.fetch()
    assert setting(b) == size + 9 and d.desired().status_code == 304
    older = [r for r in api.ok("GET", "/rollouts?limit=10")["items"] if r["pub"] < made["pub"]]
    assert older and all(r["state"] in ("superseded", "completed", "halted") for r in older)


def test_f1_parent_killed_in_the_middle_of_publications(new_parent):
    parent = new_parent()
    api = parent.token()
    devices = [make_device(api, parent) for _ in range(4)]
    for d in devices:
        api.change(f"/devices/{d.id}", {"mode": "manage"})
        d.fetch()

    def publisher():
        for i in range(200):
            try:
                api.publish({"fleet": {KEY: 20000000 + i}}, f"n{i}")
            except Exception:  # noqa: BLE001 (the parent is gone: that is the test)
                return
    t = threading.Thread(target=publisher)
    t.start()
    time.sleep(1.5)
    parent.kill()
    t.join(30)
    psql = parent.postgres.psql
    pub, content = psql("SELECT pub, content->'fleet'->>'" + KEY + "' FROM revision ORDER BY pub DESC LIMIT 1")[0]
    assert int(pub) > 1
    pubs = psql("SELECT count(*), count(DISTINCT b.pub), max(b.pub) FROM device d JOIN bundle b ON b.device_id = d.id AND"
                " b.rev = d.desired_rev")[0]
    assert pubs == ["4", "1", pub], "every device has the bundle of the newest revision, or none has"
    assert psql("SELECT count(*) FROM audit WHERE action = 'revision.publish'")[0][0] == str(int(pub) - 1)
    parent.start()
    for d in devices:
        r = d.desired()
        b = d.verify(r.content)
        assert b["pub"] == int(pub) and setting(b) == int(content)
    assert parent.token().ok("GET", "/audit/verify")["ok"]


def test_adopt_what_the_device_runs(managed, api, size):
    d = managed("observe")
    assert api.get(f"/devices/{d.id}/proposal").status_code == 404
    assert d.propose({KEY: size, "smtp.relay_domains": {}}).status_code == 204
    assert d.propose({KEY: size}, device=str(uuid.uuid4())).status_code == 422
    assert api.ok("GET", f"/devices/{d.id}/proposal")["settings"][KEY] == size
    r = api.request("POST", f"/devices/{d.id}/adopt", json={"keys": ["no.such"]})
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/keys/0"
    drafts = len(api.ok("GET", "/drafts?limit=500")["items"])
    assert api.ok("POST", f"/devices/{d.id}/adopt?dry_run=true", {"keys": []})["changes"]["devices"][d.id] == {KEY: size}
    assert len(api.ok("GET", "/drafts?limit=500")["items"]) == drafts
    draft = api.ok("POST", f"/devices/{d.id}/adopt", {"keys": []})
    assert draft["changes"]["devices"][d.id] == {KEY: size}
    assert d.desired().status_code == 304, "nothing moves before it is published"
    api.ok("POST", f"/drafts/{draft['id']}/publish", {"reason": "as it was"})
    assert setting(d.fetch()) == size
    assert api.ok("GET", f"/devices/{d.id}/effective")["settings"][KEY] == size
    r = api.request("POST", f"/devices/{d.id}/adopt", json={"keys": []})
    assert r.status_code == 422  # nothing is left to take over


def test_adopting_a_bad_value_leaves_no_draft(managed, api):
    d = managed("observe")
    d.propose({KEY: -1})
    drafts = len(api.ok("GET", "/drafts?limit=500")["items"])
    r = api.request("POST", f"/devices/{d.id}/adopt", json={"keys": [KEY]})
    assert r.status_code == 422 and KEY in r.json()["errors"][0]["pointer"]
    assert len(api.ok("GET", "/drafts?limit=500")["items"]) == drafts


def test_plan_and_bundle_of_a_device(managed, api):
    d = managed()
    plan = api.ok("GET", f"/devices/{d.name}/plan")
    assert plan["plan"]["parameters"] and not [f for f in plan["findings"] if not f["warning"]]
    r = api.get(f"/devices/{d.name}/bundle")
    assert r.headers["ETag"] == f'"{d.etag}"'
    d.verify(r.content)


def test_the_path_front_needs_foxproxy_on_the_device(managed, api):
    """Refused in both languages at the setting while the device does not report foxproxy; the plan shows its file then."""
    d, facts = managed(), {"hostname": "mx1.example.test", "postfix": "3.7.11", "addresses": ["198.18.0.2", "127.0.0.1"]}
    assert d.put_status(d.status(inventory={"facts": facts})).status_code == 204
    api.publish({"devices": {d.id: {"sender_filter.max_sessions": 90}}}, "not in the path yet")
    assert d.desired().status_code == 304, "settings of the sender filter are no content of the path direct"
    draft = api.ok("POST", "/drafts", {})["id"]

    def want(lang="en"):
        return api.request("PATCH", f"/drafts/{draft}", json={"devices": {d.id: {"path.mode": "front"}}},
                           headers={"If-Match": "*", "Accept-Language": lang})
    for lang, word in (("en", "not installed"), ("ja", "インストール")):
        r = want(lang)
        assert r.status_code == 422, r.text
        hit = [x for x in r.json()["errors"] if x["id"] == "P10.foxproxy-missing"]
        assert hit and hit[0]["pointer"].endswith("/path.mode") and word in hit[0]["message"] and hit[0]["remedy"]
    assert d.put_status(d.status(inventory={"facts": dict(facts, foxproxy="0.1.0")})).status_code == 204
    assert want().status_code == 200
    api.ok("POST", f"/drafts/{draft}/publish", {"reason": "the sender filter first"})
    assert setting(d.fetch(), "path.mode") == "front" and setting(d.last, "sender_filter.max_sessions") == 90
    plan = api.ok("GET", f"/devices/{d.id}/plan")["plan"]
    assert plan["mail_path"] == "front" and "\nbackend = 127.0.0.1:2500\n" in plan["foxproxy"]
    assert {(x["port"], x["role"]) for x in plan["listeners"]} >= {(25, "public"), (2500, "front")}
    api.publish({"devices": {d.id: {"path.mode": {"$inherit": True}}}}, "back")
    assert setting(d.fetch(), "path.mode") == "direct" and "sender_filter.max_sessions" not in d.last["sections"]["postfix"]["settings"]


def test_two_parents_one_database(parent, api, managed, programs, size):
    d = managed()
    second = Parent(parent.dir, parent.postgres, programs, name="inarid2")
    os.makedirs(second.state, exist_ok=True)
    shutil.copy(os.path.join(parent.state, "parent.key"), second.state)
    os.chmod(os.path.join(second.state, "parent.key"), 0o600)
    st = os.stat(parent.state)
    shutil.chown(os.path.join(second.state, "parent.key"), st.st_uid, st.st_gid)
    second.start()
    try:
        other = wireclient.Device(second.base, second.ca)
        for k in ("sig", "enc", "id", "access", "trust", "etag", "have", "status_digest", "boot", "last", "seq"):
            setattr(other, k, getattr(d, k))
        assert other.desired().status_code == 304  # a token of the first works at the second
        other.sign_in()  # the issuer is the fleet's: the same at both
        held, t0 = Held(other), time.monotonic()
        api.publish({"devices": {d.id: {KEY: size}}})
        r = held.result(t0)
        assert r.status_code == 200 and held.seconds < 2.5 and setting(other.verify(r.content)) == size
        other.put_status()
        held, t0 = Held(other), time.monotonic()
        api.ok("POST", f"/devices/{d.id}/revoke", {"reason": "stolen"})
        assert held.result(t0).status_code == 403 and held.seconds < 2.5
        assert other.desired(etag=None, have="0.0").status_code == 403
    finally:
        second.stop()
