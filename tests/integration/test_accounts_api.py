"""Signing in, accounts, API tokens, permissions of every route, Idempotency-Key: against a real parent."""
import json
import os
import re
import uuid

import pytest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCOPES = {"PERM_SETTINGS_READ": "settings:read", "PERM_SETTINGS_WRITE": "settings:write", "PERM_PUBLISH": "publish",
          "PERM_DEVICE_READ": "device:read", "PERM_DEVICE_WRITE": "device:write", "PERM_ENROL": "enrol",
          "PERM_AUDIT_READ": "audit:read", "PERM_ADMIN": "admin", "PERM_COMMAND": "command",
          "PERM_EVENTS_READ": "events:read"}
VIEWER = {"settings:read", "device:read", "audit:read", "events:read"}
OPERATOR = VIEWER | {"settings:write", "publish", "device:write", "command"}


def word(r):
    return r.json()["type"].rpartition(":")[2]


def first_password(parent):
    text = open(os.path.join(parent.state, "first-login.txt")).read()
    return next(x.split()[1] for x in text.splitlines() if x.startswith("password:"))


@pytest.fixture
def account(admin):
    """account(role): (name, password) of a new account, its password changed once as its owner would."""
    made = []

    def make(parent, role):
        name, password = f"u-{uuid.uuid4().hex[:8]}", "a pass phrase of mine"
        a = admin.ok("POST", "/accounts", {"name": name, "role": role, "password": "given by the admin"})
        made.append(a["id"])
        s = parent.login(name, "given by the admin")
        s.ok("PUT", "/session/password", {"old": "given by the admin", "new": password})
        return name, password
    yield make
    for i in made:
        admin.delete(f"/accounts/{i}", headers={"If-Match": admin.get(f"/accounts/{i}").headers["ETag"]})


def test_first_password_must_be_changed(new_parent):
    p = new_parent(lab="no")
    s = p.login("admin", first_password(p))
    assert s.ok("GET", "/session")["must_change_password"]
    assert word(s.get("/accounts")) == "password-change-required"
    r = s.put("/session/password", json={"old": first_password(p), "new": "imss9.1"})
    assert r.status_code == 422
    old_cookie = s.cookies["__Host-inari"]
    s.ok("PUT", "/session/password", {"old": first_password(p), "new": "quite another phrase"})
    assert s.cookies["__Host-inari"] != old_cookie
    assert s.get("/accounts").status_code == 200
    stale = p.session()
    stale.cookies.set("__Host-inari", old_cookie, domain="localhost", path="/", secure=True)
    assert stale.get("/session").status_code == 401


def test_cookie_and_what_the_database_holds(parent, admin):
    s = parent.session()
    user, password = parent.admin
    r = s.post("/session", json={"user": user, "password": password})
    flags = r.headers["Set-Cookie"].lower()
    assert all(x in flags for x in ("secure", "httponly", "samesite=strict", "path=/")) and "domain" not in flags
    cookie = s.cookies["__Host-inari"]
    dump = str(parent.postgres.psql("SELECT * FROM session")) + str(parent.postgres.psql("SELECT * FROM account"))
    assert cookie not in dump and password not in dump
    assert s.delete("/session").status_code == 204
    s.cookies.set("__Host-inari", cookie, domain="localhost", path="/", secure=True)
    assert s.get("/session").status_code == 401


def test_a_cookie_alone_changes_nothing(parent, admin):
    body = json.dumps({"title": "x"})
    for headers in ({"X-Inari-Request": None}, {"Origin": "https://attacker.test"}, {"Origin": "null"}):
        r = admin.post("/drafts", data=body, headers={"Content-Type": "application/json", **headers})
        assert r.status_code == 403 and word(r) == "csrf", headers
    r = admin.post("/drafts", data=body, headers={"Content-Type": "text/plain"})
    assert r.status_code == 415


@pytest.mark.slow
def test_guessing_is_slowed_down_and_survives_a_restart(new_parent):
    p = new_parent()
    user, password = p.reset_admin()
    answers = [p.session().post("/session", json={"user": user, "password": "wrong"}) for _ in range(12)]
    refused, slow = [r for r in answers if r.status_code == 401], [r for r in answers if r.status_code == 429]
    assert refused and slow and len(refused) <= 8
    assert word(refused[0]) == "token-invalid" and word(slow[0]) == "slow-down"
    assert 1 <= int(slow[-1].headers["Retry-After"]) <= 900
    unknown = p.session().post("/session", json={"user": "no-such-user", "password": "wrong"})
    assert unknown.status_code == 429, "the address waits, whatever the name"
    p.restart()
    r = p.session().post("/session", json={"user": user, "password": password})
    assert r.status_code == 429 or int(slow[-1].headers["Retry-After"]) < 5
    p.postgres.psql("UPDATE login_failure SET until = now() - interval '1 second'")
    s = p.login(user, password)
    causes = [x["detail"]["cause"] for x in s.ok("GET", "/audit?action=session.refuse&limit=50")["items"]]
    assert causes and set(causes) <= {"wrong password", "unknown account"}
    assert "wrong" not in str([x["detail"] for x in s.ok("GET", "/audit?limit=50")["items"]]).replace("wrong password", "")


def test_accounts_need_etags_and_one_admin_stays(parent, admin):
    name = f"u-{uuid.uuid4().hex[:8]}"
    r = admin.post("/accounts", json={"name": name, "role": "viewer", "password": "short"})
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/password"
    r = admin.post("/accounts", json={"name": "Über", "role": "viewer", "password": "long enough for all"})
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/name"
    r = admin.post("/accounts", json={"name": name, "role": "god", "password": "long enough for all"})
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/role"
    a = admin.ok("POST", "/accounts", {"name": name, "role": "viewer", "password": "long enough for all"})
    assert "password" not in a
    url = f"/accounts/{a['id']}"
    merge = {"Content-Type": "application/merge-patch+json"}
    assert admin.patch(url, data='{"role":"operator"}', headers=merge).status_code == 428
    assert admin.patch(url, data='{"role":"operator"}', headers={**merge, "If-Match": '"99"'}).status_code == 412
    s = parent.login(name, "long enough for all")
    assert admin.change(url, {"role": "operator"})["role"] == "operator"
    assert s.get("/session").status_code == 401, "a change of rights ends the sessions"
    me = admin.ok("GET", "/session")
    mine = admin.get(f"/accounts/{me['account']}")
    r = admin.patch(f"/accounts/{me['account']}", data='{"role":"viewer"}', headers={**merge, "If-Match": mine.headers["ETag"]})
    assert r.status_code == 409
    r = admin.patch(url, data='{"name":"other"}', headers={**merge, "If-Match": admin.get(url).headers["ETag"]})
    assert r.status_code == 422
    assert admin.delete(url, headers={"If-Match": admin.get(url).headers["ETag"]}).status_code == 204
    assert admin.get(url).status_code == 404


def test_tokens_are_scoped_shown_once_and_revoked(parent, admin):
    made = admin.post("/api-tokens", json={"name": "ci", "scopes": ["settings:read"], "expires_at": None})
    token = made.json()["token"]
    t = parent.session(token)
    assert t.ok("GET", "/session")["permissions"] == ["settings:read"]
    assert t.get("/catalog").status_code == 200
    for r in (t.post("/drafts", json={}), t.get("/accounts"), t.get("/audit"), t.get("/api-tokens")):
        assert r.status_code == 403 and word(r) == "token-scope"
    listed = [x for x in admin.ok("GET", "/api-tokens?limit=500")["items"] if x["id"] == made.json()["id"]][0]
    assert "token" not in listed
    assert token not in str(parent.postgres.psql("SELECT * FROM api_token"))
    r = admin.post("/api-tokens", json={"name": "x", "scopes": ["everything"], "expires_at": None})
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/scopes/0"
    assert admin.delete(f"/api-tokens/{made.json()['id']}").status_code == 204
    assert t.get("/catalog").status_code == 401


def routes():
    text = open(os.path.join(SOURCE, "server", "routes.c")).read()
    found = re.findall(r'\{\s*"([A-Z]+)",\s*"([^"]+)",\s*\w+,\s*([A-Z_| ]+?),\s*([^,]+),\s*([^}]+?)\s*\}', text)
    assert len(found) > 40
    return found


def call(s, method, path):
    path = re.sub(r"\{\w+\}", "00000000-0000-7000-8000-000000000000", path)
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    kw = {"data": "{}", "headers": {"Content-Type": kind}} if method in ("POST", "PUT", "PATCH") else {}
    return s.request(method, s.base + path, **kw)


def test_every_route_refuses_nobody_and_too_little(parent, admin, account):
    """Control C9: each route with no credential, with every scope but the one it needs, and with each role that lacks it."""
    everything = set(SCOPES.values())
    lacking = {scope: parent.token(sorted(everything - {scope})) for scope in everything}
    viewer, operator = parent.login(*account(parent, "viewer")), parent.login(*account(parent, "operator"))
    tried = 0
    for method, path, perm, _, flags in routes():
        if perm == "PERM_NONE" or "R_LOOPBACK" in flags or "R_RAW" in flags or "R_FORM" in flags:
            continue
        tried += 1
        r = call(parent.session(), method, path)
        assert r.status_code == 401, f"{method} {path}: {r.status_code} without a credential"
        assert call(parent.session("inari_" + "A" * 43), method, path).status_code == 401
        if perm == "PERM_DEVICE":
            assert call(lacking["admin"], method, path).status_code == 401
            assert call(admin, method, path).status_code == 401
        elif perm == "PERM_SESSION":
            r = call(lacking["admin"], method, path)
            assert r.status_code == 403, f"{method} {path}: {r.status_code} with an API token"
        elif perm != "PERM_KNOWN":
            scope = SCOPES[perm]
            r = call(lacking[scope], method, path)
            assert (r.status_code, word(r)) == (403, "token-scope"), f"{method} {path} without {scope}"
            for s, has in ((viewer, VIEWER), (operator, OPERATOR)):
                if scope not in has:
                    r = call(s, method, path)
                    assert (r.status_code, word(r)) == (403, "forbidden"), f"{method} {path}: {r.status_code}"
    assert tried > 35


def test_drafts_of_others_are_theirs(parent, admin, account):
    draft = admin.ok("POST", "/drafts", {"title": "mine"})["id"]
    other = parent.login(*account(parent, "operator"))
    etag = other.get(f"/drafts/{draft}").headers["ETag"]
    r = other.patch(f"/drafts/{draft}", data='{"fleet":{"smtp.idle_timeout":99}}',
                    headers={"Content-Type": "application/merge-patch+json", "If-Match": etag})
    assert r.status_code == 403
    assert other.post(f"/drafts/{draft}/publish", json={"reason": "x"}).status_code == 403
    assert other.delete(f"/drafts/{draft}", headers={"If-Match": etag}).status_code == 403
    assert admin.delete(f"/drafts/{draft}", headers={"If-Match": etag}).status_code == 204


def test_idempotency_key(api, parent):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    a = api.post("/drafts", json={"title": "once"}, headers=key)
    b = api.post("/drafts", json={"title": "once"}, headers=key)
    assert (a.status_code, b.status_code) == (201, 201) and a.json() == b.json()
    assert b.headers["Idempotent-Replay"] == "true" and "Idempotent-Replay" not in a.headers
    r = api.post("/drafts", json={"title": "twice"}, headers=key)
    assert r.status_code == 409 and word(r) == "idempotency-mismatch"
    # a refused request frees its key
    key = {"Idempotency-Key": uuid.uuid4().hex}
    assert api.post("/groups", json={"name": "not a name"}, headers=key).status_code == 422
    assert api.post("/groups", json={"name": "not a name"}, headers=key).status_code == 422
    # a dry run takes none
    assert api.post("/drafts?dry_run=true", json={"title": "t"}, headers=key).status_code == 200
    # the same key of another caller is another key
    other = parent.token()
    key = {"Idempotency-Key": uuid.uuid4().hex}
    assert api.post("/drafts", json={"title": "a"}, headers=key).json()["id"] != \
        other.post("/drafts", json={"title": "b"}, headers=key).json()["id"]


def test_an_answer_with_a_secret_is_not_kept(admin, parent):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"name": "once", "scopes": ["settings:read"], "expires_at": None}
    a = admin.post("/api-tokens", json=body, headers=key)
    assert a.status_code == 201
    assert admin.post("/api-tokens", json=body, headers=key).status_code == 409
    assert a.json()["token"] not in str(parent.postgres.psql("SELECT * FROM idempotency"))


def test_preferences_follow_the_account(parent, admin, account):
    """Chosen in one session, there in the next and after a restart's worth of reading; somebody else's are their own."""
    name, password = account(parent, "viewer")
    one = parent.login(name, password)
    assert one.ok("GET", "/session/preferences") == {}
    assert one.ok("PATCH", "/session/preferences", {"lang": "ja", "theme": "dark", "zone": "Asia/Tokyo", "page_size": 100})["zone"] == "Asia/Tokyo"
    assert one.ok("PATCH", "/session/preferences", {"theme": None}) == {"lang": "ja", "zone": "Asia/Tokyo", "page_size": 100}
    assert parent.login(name, password).ok("GET", "/session/preferences") == {"lang": "ja", "zone": "Asia/Tokyo", "page_size": 100}
    for bad, where in (({"zone": "Tokyo; DROP"}, "/zone"), ({"page_size": 30}, "/page_size"), ({"theme": "pink"}, "/theme"), ({"keys": "no"}, "/keys"), ({"colour": "x"}, "/colour")):
        r = one.patch("/session/preferences", json=bad)
        assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == where
    assert one.ok("GET", "/session/preferences")["page_size"] == 100
    assert one.ok("PATCH", "/session/preferences", {"keys": False})["keys"] is False
    assert "keys" not in one.ok("PATCH", "/session/preferences", {"keys": None})
