"""Groups with members: layers in order of priority, new bundles with membership, placement (P11)."""
import json
import uuid

import pytest
import wireclient


@pytest.fixture
def enrol(parent, api):
    """enrol(**document members): a joined device; all are retired and deleted afterwards."""
    made = []

    def make(**members):
        d = wireclient.Device(parent.base, parent.ca, f"mx-{uuid.uuid4().hex[:6]}")
        token = api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"]
        d.enrol(token, **members)
        made.append(d)
        return d
    yield make
    for d in made:
        r = api.post(f"/devices/{d.id}/retire", json={})
        assert r.status_code < 300, r.text
        api.delete(f"/devices/{d.id}", headers={"If-Match": api.get(f"/devices/{d.id}").headers["ETag"]})


@pytest.fixture
def group(api):
    made = []

    def make(priority=None):
        g = api.ok("POST", "/groups", {"name": f"g-{uuid.uuid4().hex[:6]}", **({"priority": priority} if priority else {})})
        made.append(g)
        return g
    yield make
    for g in made:
        if api.ok("GET", f"/settings?layer=group:{g['id']}")["settings"]:
            api.publish({"groups": {g["id"]: {k: {"$inherit": True} for k in
                                              api.ok("GET", f"/settings?layer=group:{g['id']}")["settings"]}}}, "clean")
        r = api.delete(f"/groups/{g['id']}", headers={"If-Match": api.get(f"/groups/{g['id']}").headers["ETag"]})
        assert r.status_code == 204, r.text


def bundle(d):
    return d.verify(d.desired(etag=None).content)


def setting(d, key):
    return bundle(d)["sections"]["postfix"]["settings"][key]


def test_membership_brings_the_group_layer_in_a_new_bundle(api, enrol, group):
    d, low, high = enrol(), group(3001), group(3002)
    api.publish({"groups": {low["name"]: {"smtp.idle_timeout": 111, "smtp.recipient_limit": 222},
                            high["id"]: {"smtp.idle_timeout": 333}}}, "two layers")
    before = bundle(d)
    assert before["sections"]["postfix"]["settings"]["smtp.idle_timeout"] == 300
    assert api.put(f"/groups/{low['name']}/members/{d.name}").status_code == 204
    after = bundle(d)
    assert after["rev"] > before["rev"]
    assert after["sections"]["postfix"]["settings"]["smtp.idle_timeout"] == 111
    assert api.put(f"/groups/{low['name']}/members/{d.name}").status_code == 204
    assert bundle(d)["rev"] == after["rev"], "repeating it changes nothing"
    assert api.put(f"/groups/{high['id']}/members/{d.id}").status_code == 204
    assert setting(d, "smtp.idle_timeout") == 333 and setting(d, "smtp.recipient_limit") == 222
    why = api.ok("GET", f"/devices/{d.name}/explain?path=smtp.idle_timeout")
    assert [(x["layer"], x["name"], x["value"], x["wins"]) for x in why["layers"]] == \
        [("builtin", "", 300, False), ("group", low["name"], 111, False), ("group", high["name"], 333, True)]
    assert all(x["reason"] == "two layers" and x["author"] and x["pub"] for x in why["layers"][1:])
    # order is explicit: the other priority, the other winner
    api.change(f"/groups/{low['id']}", {"priority": 3003})
    assert setting(d, "smtp.idle_timeout") == 111
    assert api.delete(f"/groups/{low['id']}/members/{d.id}").status_code == 204
    assert setting(d, "smtp.idle_timeout") == 333 and setting(d, "smtp.recipient_limit") == 1000


def test_membership_with_an_old_etag_is_refused(api, enrol, group):
    d, g = enrol(), group()
    etag = api.get(f"/groups/{g['id']}").headers["ETag"]
    r = api.put(f"/groups/{g['id']}/members/{d.id}", headers={"If-Match": etag})
    assert r.status_code == 204 and r.headers["ETag"] != etag
    assert api.delete(f"/groups/{g['id']}/members/{d.id}", headers={"If-Match": etag}).status_code == 412
    assert [m["name"] for m in api.ok("GET", f"/groups/{g['name']}")["members"]] == [d.name]
    assert api.put(f"/groups/{g['id']}/members/no-such-device").status_code == 404
    assert api.put(f"/groups/no-such-group/members/{d.id}").status_code == 404


def test_edge_and_inner_do_not_share_a_group(api, enrol, group):
    edge, inner, g = enrol(placement="edge"), enrol(placement="inner"), group()
    assert api.put(f"/groups/{g['id']}/members/{edge.id}").status_code == 204
    r = api.put(f"/groups/{g['id']}/members/{inner.id}", headers={"Accept-Language": "ja"})
    assert r.status_code == 422 and [x["id"] for x in r.json()["errors"]] == ["P11.mixed"], r.text
    assert [m["id"] for m in api.ok("GET", f"/groups/{g['id']}")["members"]] == [edge.id]


def test_own_address_as_relayhost_is_refused_for_the_device_it_is(api, enrol):
    own = {"facts": {"hostname": "mx.example.test", "addresses": ["198.18.77.7", "127.0.0.1", "::1"]}}
    d = enrol(inventory=own)
    draft = api.ok("POST", "/drafts", {"title": "loop"})
    url = f"/drafts/{draft['id']}"
    etag = {"If-Match": api.get(url).headers["ETag"], "Content-Type": "application/merge-patch+json"}
    r = api.patch(url, data=json.dumps({"devices": {d.name: {"smtp.relayhost": "[198.18.77.7]:25"}}}), headers=etag)
    assert r.status_code == 422
    hit = r.json()["errors"][0]
    assert hit["id"] == "P06.own-address" and hit["pointer"] == f"/changes/devices/{d.id}/smtp.relayhost"
    r = api.patch(url, data=json.dumps({"fleet": {"smtp.relayhost": "[198.18.77.7]:25"}}), headers=etag)
    assert r.status_code == 422
    assert ("P06.own-address", "/changes/fleet/smtp.relayhost") in {(x["id"], x["pointer"]) for x in r.json()["errors"]}, r.text
    assert api.delete(url, headers={"If-Match": api.get(url).headers["ETag"]}).status_code == 204


def test_same_content_again_is_no_new_bundle(api, enrol):
    d = enrol()
    api.publish({"devices": {d.id: {"smtp.recipient_limit": 55}}}, "once")
    before = bundle(d)
    out = api.publish({"devices": {d.id: {"smtp.recipient_limit": 55}}}, "the same")
    assert out["pub"] > before["pub"] and not [x for x in out["devices"] if x["changed"]]
    assert bundle(d)["rev"] == before["rev"]
    api.publish({"devices": {d.id: {"smtp.recipient_limit": {"$inherit": True}}}}, "back")
