"""Every route of the admin API, called for real: nobody in without a credential, nobody past their permission, and every
answer as api/openapi.yaml describes it."""
import json
import re
import time
import uuid

import apischema
import maillib
import pytest
import wireclient
from parentlib import wait_until

ALL = ("settings:read", "settings:write", "publish", "device:read", "device:write", "enrol", "audit:read", "admin", "command",
       "events:read")
SOMEBODY = "01900000-0000-7000-8000-000000000000"
FILL = {"id": SOMEBODY, "device": SOMEBODY, "pub": "1", "n": "1", "stream": "postfix", "list": "blocked", "row": "1", "version": "1", "sha256": "0" * 64}


@pytest.fixture(scope="module")
def described():
    return apischema.Description()


def filled(path):
    return re.sub(r"\{(\w+)\}", lambda m: FILL[m.group(1)], path)


def call(session, method, path):
    headers = {"If-Match": '"1"'} if method in ("PATCH", "DELETE") else {}
    data = None
    if method in ("POST", "PUT", "PATCH"):
        data, kind = "{}", "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers["Content-Type"] = kind
    return session.request(method, session.base + filled(path), data=data, headers=headers)


def protected(described):
    return [(m, p, op) for m, p, op in described.operations()
            if op["x-permission"] not in ("none", "device") and p != "/metrics"]


def test_nobody_without_a_credential(parent, described):
    bare = parent.session()
    for method, path, op in described.operations():
        if op["x-permission"] == "none" or path == "/metrics":  # figures are open from loopback
            continue
        answer = described.check(call(bare, method, path))
        assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
        assert answer.json()["type"].endswith((":unauthenticated", ":token-invalid")), f"{method} {path}"


def test_nobody_past_their_permission(parent, described):
    lacking = {scope: parent.token([s for s in ALL if s not in (scope, "admin")] or ["device:read"]) for scope in ALL}
    for method, path, op in protected(described):
        if op["x-permission"] not in ALL:
            continue
        answer = described.check(call(lacking[op["x-permission"]], method, path))
        assert answer.status_code == 403, f"{method} {path}: {answer.status_code} {answer.text[:200]}"
        assert op["x-permission"] in answer.json()["detail"], f"{method} {path} must name what is missing"


def test_a_device_is_no_administrator(parent, api, described):
    device = wireclient.Device(parent.base, parent.ca, f"d-{uuid.uuid4().hex[:8]}")
    device.enrol(api.ok("POST", "/enrolment-tokens", {"name": "contract"})["join"])
    session = parent.session(device.sign_in())
    for method, path, _ in protected(described):
        assert call(session, method, path).status_code in (401, 403), f"{method} {path}"
    for method, path, op in described.operations():
        if op["x-permission"] == "device":
            assert call(api, method, path).status_code in (401, 403), f"{method} {path} by an administrator"


class Caller:
    """Calls whose answers are compared with the description."""

    def __init__(self, session, described):
        self.session, self.described = session, described

    def __call__(self, method, path, body=None, want=None, etag=None, raw=None):
        headers = {"If-Match": etag} if etag else {}
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = self.session.request(method, path, data=None if body is None else json.dumps(body), headers=headers)
        self.described.check(answer)
        wanted = want or (200, 201, 204)
        assert answer.status_code in (wanted if isinstance(wanted, tuple) else (wanted,)), \
            f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer if raw else answer.json() if answer.content and "json" in answer.headers["Content-Type"] else None

    def change(self, path, body):
        return self("PATCH", path, body, etag=self.session.get(path).headers["ETag"])

    def delete(self, path):
        return self("DELETE", path, etag=self.session.get(path).headers["ETag"])


@pytest.fixture
def device(parent, api):
    d = wireclient.Device(parent.base, parent.ca, f"d-{uuid.uuid4().hex[:8]}")
    d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "contract"})["join"])
    d.fetch()
    assert d.put_status().status_code == 204
    return d


def test_answers_are_as_described(parent, api, device, described):
    go = Caller(api, described)
    name = f"n{uuid.uuid4().hex[:8]}"

    for path in ("/healthz", "/readyz", "/openapi.yaml", "/api/agent/v1/hello", "/api/agent/v1/notice", "/api/agent/v1/trust/1",
                 "/session", "/parent", "/catalog", "/presets", "/audit", "/audit/verify", "/figures", "/events", "/messages", "/accounts", "/devices", "/groups", "/drafts",
                 "/drafts?owner=me", "/revisions", "/rollouts", "/enrolment-tokens", "/settings?layer=fleet",
                 f"/settings?layer=device:{device.name}", f"/settings/effective?device={device.name}"):
        go("GET", path)
    go("GET", "/nothing/here", want=404) if described.template("GET", "/api/v1/nothing/here") else None

    # a message
    mail = maillib.Events(parent.postgres)
    mail.queued(device.id, f"4{name.upper()}", int(time.time() * 1000), subject=name)
    mail.write()
    go("GET", f"/messages/{go('GET', f'/messages?queue_id=4{name.upper()}')['items'][0]['id']}")

    # groups and members
    group = go("POST", "/groups", {"name": name, "kind": "set"})
    go("GET", f"/groups/{group['id']}")
    go.change(f"/groups/{group['id']}", {"name": f"{name}x"})
    go("PUT", f"/groups/{group['id']}/members/{device.id}", {})
    go("DELETE", f"/groups/{group['id']}/members/{device.id}")

    # lists of addresses
    for path in ("/lists", "/lists/blocked", "/lists/blocked/overlaps", "/lists/approved/export?format=plain"):
        go("GET", path)
    added = go("POST", "/lists/blocked/rows", {"rows": [{"network": "203.0.113.77", "comment": name}]})
    row = go("GET", f"/lists/blocked/rows?comment={name}")["items"][0]
    go("GET", f"/lists/blocked/rows/{row['id']}")
    go("GET", "/lists/blocked/changes")
    go("GET", f"/lists/blocked/changes/{added['version']}")
    go("DELETE", f"/lists/blocked/rows/{row['id']}")
    go("POST", f"/lists/blocked/changes/{added['version']}/undo", {})
    go("POST", "/lists/blocked/import", {"text": "network\n203.0.113.77\n"})
    go("POST", "/lists/blocked/remove", {"networks": ["203.0.113.77"]})
    go("POST", "/lists/blocked/rows", {"rows": [{"network": "10.0.0.0/8"}]}, want=422)

    # a draft's life
    draft = go("POST", "/drafts", {"title": "contract"})
    at = f"/drafts/{draft['id']}"
    go("PATCH", at, {"fleet": {}}, want=428)
    go("PATCH", at, {"fleet": {}}, etag='"999"', want=412)
    bad = go("PATCH", at, {"fleet": {"smtp.message_size_limit": 1, "no.such": 2}}, etag=api.get(at).headers["ETag"], want=422)
    assert {e["pointer"] for e in bad["errors"]} == {"/changes/fleet/smtp.message_size_limit", "/changes/fleet/no.such"}
    assert all(e["id"] and e["message"] and e["remedy"] for e in bad["errors"])
    go.change(at, {"devices": {device.name: {"smtp.message_size_limit": 26214400}}})
    go("GET", at)
    go("GET", f"{at}/diff")
    go("POST", f"{at}/check", {})
    go("POST", f"{at}/publish?dry_run=true", {"reason": "contract"})
    done = go("POST", f"{at}/publish", {"reason": "contract"})
    pub = done["pub"]
    go("GET", f"/revisions/{pub}")
    go("GET", f"/revisions/{pub}/diff")
    go("GET", f"/rollouts/{done['rollout_id']}")
    go("POST", f"/revisions/{pub}/undo", {"reason": "contract"})
    go("POST", f"/revisions/{pub}/restore", {"reason": "contract"})
    other = go("POST", "/drafts", {})
    go.delete(f"/drafts/{other['id']}")

    # alerts
    go("GET", "/alerts?state=open&severity=critical")
    go("GET", "/alert-notices?state=dead")
    channel = go("POST", "/alert-channels", {"name": name, "kind": "mail", "fallback": False, "config": {
        "host": "127.0.0.1", "port": 9, "from": "inari@example.test", "to": ["ops@example.test"]}})
    watch = go("POST", "/alert-rules", {"name": name, "kind": "device-late", "channels": [name]})
    silence = go("POST", "/alert-silences", {"rule": name, "reason": "contract", "ends_at":
                                             time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))})
    assert not go("POST", f"/alert-channels/{name}/test", {})["ok"]  # nobody listens there
    for at, what in (("/alert-channels", channel), ("/alert-rules", watch), ("/alert-silences", silence)):
        go("GET", at)
        go("GET", f"{at}/{what['id']}")
        go.change(f"{at}/{what['id']}", {"reason": "again"} if "silences" in at else {"enabled": False})
        go("PATCH", f"{at}/{what['id']}", {}, want=428)
        go("PATCH", f"{at}/{what['id']}", {}, etag='"999"', want=412)
    for at in (f"/alert-silences/{silence['id']}", f"/alert-rules/{watch['id']}", f"/alert-channels/{channel['id']}"):
        go.delete(at)

    # the configuration as a whole
    go("GET", "/overrides")
    go("GET", "/secrets")
    whole = go("GET", "/config/export")
    go("POST", "/config/import?dry_run=true", {"document": whole})
    go.delete(f"/drafts/{go('POST', '/config/import', {'document': whole})['id']}")

    # one device from every side
    at = f"/devices/{device.name}"
    for path in ("", "/status", "/effective", "/plan", "/bundle", "/explain?path=smtp.message_size_limit",
                 "/explain?path=smtp.relay_domains", "/overrides", "/secrets"):
        go("GET", at + path)
    assert device.propose({"smtp.message_size_limit": 10485760}).status_code == 204
    go("GET", f"{at}/proposal")
    adopted = go("POST", f"{at}/adopt", {"keys": ["smtp.message_size_limit"]})
    go.delete(f"/drafts/{adopted['id']}")
    go.change(at, {"mode": "manage"})
    go("POST", f"{at}/hold", {"reason": "contract", "minutes": 5})
    go("POST", f"{at}/release", {})
    go("GET", f"{at}/drift")
    row = {"file": "main.cf", "item": "message_size_limit", "expected": "1", "found": "33554432", "since": "2026-01-01T00:00:00Z"}
    assert device.put_status(device.status(drift=[row])).status_code == 204
    seen = api.get(f"{at}/drift").headers["ETag"]
    go("POST", f"{at}/drift/enforce", {}, want=428)
    go("POST", f"{at}/drift/enforce", {}, want=201, etag=seen)
    go.delete(f"/drafts/{go('POST', f'{at}/drift/adopt', {}, want=201, etag=seen)['draft']['id']}")
    given = go("POST", f"{at}/commands", {"kind": "self-check"}, want=201)
    go("POST", f"{at}/commands", {"kind": "nonsense"}, want=422)
    go("GET", "/commands")
    go("GET", f"/commands/{given['id']}")
    go("GET", f"/commands/{given['id']}/output")
    go("POST", f"/commands/{given['id']}/cancel", {})
    go("POST", f"/commands/{given['id']}/cancel", {}, want=409)
    go("POST", f"{at}/approve", {}, want=409)
    go("POST", f"{at}/reject", {}, want=409)
    go("POST", f"{at}/revoke", {"reason": "contract"})
    go("POST", f"{at}/retire", {})
    go.delete(at)
    go("GET", at, want=404)
    go.delete(f"/groups/{group['id']}")

    # accounts, join tokens
    account = go("POST", "/accounts", {"name": name, "role": "viewer", "password": "long-enough-password-1"})
    go("GET", f"/accounts/{account['id']}")
    go.change(f"/accounts/{account['id']}", {"role": "operator"})
    go.delete(f"/accounts/{account['id']}")
    token = go("POST", "/enrolment-tokens", {"name": name})
    go("DELETE", f"/enrolment-tokens/{token['id']}")

    # what only a session may do
    user, password = parent.admin or parent.reset_admin()
    session = parent.session()
    own = Caller(session, described)
    own("POST", "/session", {"user": user, "password": password})
    own("GET", "/session")
    own("GET", "/api-tokens")
    made = own("POST", "/api-tokens", {"name": "contract", "scopes": ["device:read"]})
    own("DELETE", f"/api-tokens/{made['id']}")
    own("PATCH", "/session/preferences", {"theme": "dark", "page_size": 100})
    own("GET", "/session/preferences")
    own("PUT", "/session/password", {"old": "wrong", "new": "Another-long-password-7"}, want=(422, 429))
    own("DELETE", "/session")


def test_rollout_orders_are_as_described(parent, api, device, described):
    """Each order once, and G16: who published cannot approve."""
    go = Caller(api, described)

    def publish(size, **rollout):
        draft = go("POST", "/drafts", {})
        go.change(f"/drafts/{draft['id']}", {"devices": {device.name: {"smtp.message_size_limit": size}}})
        return "/rollouts/" + go("POST", f"/drafts/{draft['id']}/publish", {"reason": "r", "rollout": rollout})["rollout_id"]

    bad = go("POST", f"/drafts/{go('POST', '/drafts', {})['id']}/publish",
             {"reason": "r", "rollout": {"waves": ["1", "x"]}}, want=422)
    assert bad["errors"][0]["pointer"] == "/rollout/waves/1"
    at = publish(21000001, approval=True)
    assert go("GET", at)["state"] == "awaiting-approval" and device.desired().status_code == 304
    assert go("POST", f"{at}/approve", {}, want=403)["type"].endswith(":forbidden")
    name, first, second = f"n{uuid.uuid4().hex[:8]}", "long-enough-password-1", "long-enough-password-2"
    account = go("POST", "/accounts", {"name": name, "role": "operator", "password": first})
    other = parent.login(name, first)
    other.ok("PUT", "/session/password", {"old": first, "new": second})
    assert Caller(other, described)("POST", f"{at}/approve", {})["state"] == "running"
    assert device.fetch()["rollout"]["id"] in at
    go("POST", f"{at}/pause", {"reason": "lunch"}, etag='"1"', want=412)
    assert go("POST", f"{at}/pause", {"reason": "lunch"})["reason"] == "lunch"
    go("POST", f"{at}/promote", {}, want=409)
    go("POST", f"{at}/resume", {})
    assert go("POST", f"{at}/halt", {"reason": "no"})["state"] == "halted"
    assert [d["wave"] for d in go("GET", f"{at}/devices?wave=0&limit=1")["items"]] == [0]
    go("GET", f"{at}/devices?cursor=x", want=422)
    go("POST", f"{at}/revert?dry_run=true", {"reason": "back"})
    back = go("POST", f"{at}/revert", {"reason": "back"})
    assert go("GET", f"/rollouts/{back['rollout_id']}")["reverts"] in at
    go("POST", f"{at}/revert", {"reason": "twice"}, want=409)
    at = publish(21000002, approval=True)
    assert go("POST", f"{at}/cancel", {})["counts"] == {"skipped": 1} and device.desired().status_code in (200, 304)
    draft = go("POST", "/drafts", {})
    go.change(f"/drafts/{draft['id']}", {"devices": {device.name: {"smtp.message_size_limit": 21000009}}})
    assert go("POST", f"/drafts/{draft['id']}/dry-run?dry_run=true")["counts"] == {}  # observed
    go("POST", f"/drafts/{draft['id']}/dry-run", {"wait_s": 1}, want=422)
    run = go("POST", f"/drafts/{draft['id']}/dry-run", {"wait_s": 10})
    assert run["state"] == "inconclusive" and go("GET", f"/dry-runs/{run['id']}")["devices"] == []
    assert go("GET", "/dry-runs?limit=1")["items"][0]["id"] == run["id"]
    go("GET", f"/dry-runs/{uuid.uuid4()}", want=404)
    at = publish(21000003, strategy="waves", canary_bake_s=600, shadow="never")
    device.fetch()
    device.put_status()
    wait_until(lambda: go("GET", at)["state"] == "baking", "the only device to bake")
    go("POST", f"{at}/promote", {})
    wait_until(lambda: go("GET", at)["state"] == "completed", "the end")
    assert go("GET", "/rollout-policy")["effective"]["bake_s"] == 300
    assert go.change("/rollout-policy", {"bake_s": 60})["effective"]["bake_s"] == 60
    assert go.change("/rollout-policy", {"bake_s": None})["policy"] == {}
    go("PATCH", "/rollout-policy", {"bake_s": -1}, etag=api.get("/rollout-policy").headers["ETag"], want=422)
    go("PATCH", "/rollout-policy", {}, want=428)
    assert go("GET", "/event-policy")["keep_days"] == 30
    assert go.change("/event-policy", {"keep_days": 31})["keep_days"] == 31
    assert go.change("/event-policy", {"keep_days": None})["keep_days"] == 30
    go("PATCH", "/event-policy", {"keep_days": -1}, etag=api.get("/event-policy").headers["ETag"], want=422)
    go("PATCH", "/event-policy", {}, want=428)
    go.delete(f"/accounts/{account['id']}")


def test_recovery_is_as_described(api, described):
    go = Caller(api, described)
    assert go("GET", "/recovery")["fenced"] is False
    assert go("GET", "/trust")
    go("POST", "/recovery/continue", {"reason": "no need"}, want=409)
    go("POST", "/recovery/continue", {}, want=422)
    assert go("GET", "/recovery/lost")["items"] == []
    go("POST", "/recovery/adopt", {}, want=422)
    go("POST", "/recovery/adopt", {"title": "nothing is lost"}, want=404)


def test_every_route_was_called(described):
    """The last word: an admin route whose success no test above has seen is not covered."""
    succeeded = {s.rpartition(" ")[0] for s in described.seen if s[-3] == "2"}
    refused_only = {"POST /api/v1/devices/{id}/instances", "POST /api/v1/devices/{id}/reinstate",  # test_identity.py
                    "POST /api/v1/devices/{id}/approve", "POST /api/v1/devices/{id}/reject",  # test_agent_api_enrol.py
                    "PUT /api/v1/session/password",  # tests/browser
                        "GET /api/v1/alerts/{id}", "POST /api/v1/alerts/{id}/ack",  # test_alerts_api.py
                        "GET /api/v1/alert-notices/{id}", "POST /api/v1/alert-notices/{id}/retry",
                    "POST /api/v1/recovery/continue", "POST /api/v1/recovery/adopt",  # test_recovery.py
                    "GET /api/v1/events/stream",  # has no end: test_event_stream.py
                    "GET /metrics"}
    missing = {f"{m} {p}" for m, p, op in described.operations()
               if not p.startswith(("/api/agent/", "/oauth2/"))} - succeeded - refused_only
    assert not missing
