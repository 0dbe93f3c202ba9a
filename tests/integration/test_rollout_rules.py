"""Rules of rollouts that no order and no second rollout gets around: approval, what is taken back, expedited changes beside
a running rollout (G14), halts (G6), a fleet that falls silent (F11), the number typed in."""
import uuid

import pytest
from parentlib import wait_until
from test_rollout_api import KEY, WAVES, audited, fleet, settings, six, the_six  # noqa: F401  (fixtures)


def test_what_is_taken_back_is_what_the_device_had_not_what_the_fleet_has(fleet, six):  # noqa: F811
    own = six[0]
    ahead = fleet.publish([own], **WAVES)
    fleet.take(own.id)
    fleet.until(ahead, lambda r: r["state"] == "baking", "the device to have it")
    fleet.api.ok("POST", f"/rollouts/{ahead['rollout_id']}/cancel", {})
    size = fleet.size  # the fleet has the one before
    offered = fleet.publish([own], **WAVES)
    assert fleet.states(offered) == {own.id: "offered"}
    newer = fleet.publish(six, **WAVES, approval=True)
    assert fleet.see(offered)["state"] == "superseded" and audited(fleet, offered)[0] == "rollout.superseded"
    if own.desired().status_code == 200:
        own.fetch()
    assert settings(own) == size
    own.put_status()
    fleet.api.ok("POST", f"/rollouts/{newer['rollout_id']}/cancel", {})


def account(fleet, role):  # noqa: F811
    name, first, second = f"n{uuid.uuid4().hex[:8]}", "long-enough-password-1", "long-enough-password-2"
    fleet.api.ok("POST", "/accounts", {"name": name, "role": role, "password": first})
    s = fleet.parent.login(name, first)
    s.ok("PUT", "/session/password", {"old": first, "new": second})
    return s


def test_approval_of_the_policy_is_nobodys_to_drop(fleet, six):  # noqa: F811
    operator = account(fleet, "operator")
    tag = operator.get("/rollout-policy").headers["ETag"]
    r = operator.request("PATCH", "/rollout-policy", json={"approval": False}, headers={"If-Match": tag})
    assert r.status_code == 403 and r.json()["errors"][0]["pointer"] == "/approval", r.text
    fleet.api.change("/rollout-policy", {"approval": True})
    try:
        draft = fleet.api.ok("POST", "/drafts", {"title": "alone"})
        fleet.api.change(f"/drafts/{draft['id']}", {"devices": {six[0].id: {KEY: fleet.size + 1}}})
        at = f"/drafts/{draft['id']}/publish"
        r = fleet.api.post(at, json={"reason": "alone", "rollout": {"approval": False}})
        assert r.status_code == 403 and r.json()["errors"][0]["pointer"] == "/rollout/approval", r.text
        for how in ({"strategy": "all"}, {"expedite": True}):
            made = fleet.publish(six, **how)
            assert made["rollout"]["state"] == "awaiting-approval", how
            r = fleet.api.post(f"/rollouts/{made['rollout_id']}/approve", json={})
            assert r.status_code == 403, "G16"
            assert six[0].desired().status_code == 304
        assert operator.ok("POST", f"/rollouts/{made['rollout_id']}/approve", {})["state"] in ("running", "shadow")
        fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
        fleet.api.request("DELETE", f"/drafts/{draft['id']}", headers={"If-Match": "*"})
    finally:
        fleet.api.change("/rollout-policy", {"approval": None})
        fleet.catch_up()


def test_forcing_a_group_takes_the_right_to_publish(fleet):  # noqa: F811
    admin = fleet.parent.login()
    made = admin.ok("POST", "/api-tokens", {"name": f"t-{uuid.uuid4().hex[:6]}", "scopes": ["device:read", "device:write"],
                                        "expires_at": None})
    only = fleet.parent.session(made["token"])
    r = only.post("/groups?force=because", json={"name": f"g-{uuid.uuid4().hex[:6]}"})
    assert r.status_code == 403 and r.json()["errors"][0]["pointer"] == "/query/force", r.text
    assert only.post("/groups", json={"name": f"g-{uuid.uuid4().hex[:6]}"}).status_code == 201
    admin.ok("DELETE", f"/api-tokens/{made['id']}")
