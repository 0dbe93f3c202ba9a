"""Joining and signing in, against a real parent: protocol.md D2, D3, D4, D6, D7, D23 and the rules of wire.md."""
import json
import time
import uuid

import pytest
import wireclient


@pytest.fixture
def join(api):
    """join(**spec): a new enrolment token's answer."""
    def make(**spec):
        return api.ok("POST", "/enrolment-tokens", {"name": f"t-{uuid.uuid4().hex[:6]}", **spec})
    return make


@pytest.fixture
def device(parent):
    def make(name=None):
        return wireclient.Device(parent.base, parent.ca, name or f"mx-{uuid.uuid4().hex[:6]}")
    return make


def word(answer):
    return answer.json()["type"].rpartition(":")[2]


def audit(api, action):
    return api.ok("GET", f"/audit?action={action}&limit=20")["items"]


def test_join_string_holds_what_a_child_needs(api, parent, join, device):
    made = join(uses=1, expires_in_s=600)
    j = wireclient.read_join(made["join"])
    hello = device().hello()
    assert j["fleet"] == hello["fleet"] and j["pins"] == hello["pins"] and len(j["pins"]) >= 2
    assert j["token"] == made["token"] and j["addresses"]
    listed = [t for t in api.ok("GET", "/enrolment-tokens")["items"] if t["id"] == made["id"]][0]
    assert listed["state"] == "open" and "token" not in listed and made["token"] not in json.dumps(listed)


@pytest.mark.slow
def test_secrets_are_nowhere_in_the_database_or_the_log(api, parent, device):
    """Join tokens, assertions, access tokens and private keys: hashed, sealed or not at all."""
    made = api.ok("POST", "/enrolment-tokens", {"name": "secret"}, headers={"Idempotency-Key": f"k-{uuid.uuid4().hex}"})
    d = device()
    d.enrol(made["token"])
    d.fetch()
    tables = [t[0] for t in parent.postgres.psql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    everything = "".join(cell for t in tables for row in parent.postgres.psql(f'SELECT x::text FROM "{t}" AS x')
                         for cell in row)
    assert d.id in everything
    for secret in (made["token"], made["join"][20:], d.access, "PRIVATE KEY"):
        assert secret not in everything and secret not in parent.log()
    assert made["token"].encode().hex() not in everything and b"PRIVATE KEY".hex() not in everything


def test_enrol_sign_in_and_fetch_a_verified_bundle(api, join, device):
    d = device()
    d.enrol(join()["join"])
    b = d.fetch()
    assert b["mode"] == "observe" and b["sections"]["postfix"]["settings"]
    shown = api.ok("GET", f"/devices/{d.name}")
    assert shown["state"] == "observing" and shown["desired"]["rev"] == b["rev"] and shown["presence"] == "online"
    assert any(e["object"] == f"device/{d.id}" for e in audit(api, "device.enrol"))


def test_d2_lost_answer_repeated_gives_the_same_device(api, join, device):
    token, d = join()["token"], device()
    first = d.post_enrolment(token)
    again = d.post_enrolment(token)
    assert first.status_code == again.status_code == 201
    assert first.json()["device_id"] == again.json()["device_id"] and first.json()["receipt"] == again.json()["receipt"]
    used = [t for t in api.ok("GET", "/enrolment-tokens")["items"] if t["devices"] and
            t["devices"][0]["id"] == first.json()["device_id"]][0]
    assert used["used"] == 1 and used["state"] == "used"


def test_d3_used_token_refused_for_a_second_machine_and_audited(api, join, device):
    token = join()["token"]
    device().enrol(token)
    thief = device()
    r = thief.post_enrolment(token)
    assert r.status_code == 403 and word(r) == "enrolment-rejected"
    entry = audit(api, "device.enrol_refused")[0]
    assert entry["detail"]["kid"] == thief.sig.kid and "used up" in entry["detail"]["cause"]
    assert "used up" not in r.text  # the cause is for the audit log only


def test_d4_foreign_network_refused_and_audited(api, join, device):
    d = device()
    r = d.post_enrolment(join(networks=["198.51.100.0/24", "2001:db8::/32"])["token"])
    assert r.status_code == 403 and word(r) == "enrolment-rejected"
    assert "networks" in audit(api, "device.enrol_refused")[0]["detail"]["cause"]
    near = device()
    near.enrol(join(networks=["127.0.0.0/8", "::1/128"])["token"])


def test_d4_approval(api, join, device):
    d, token = device(), join(approval=True)["token"]
    r = d.post_enrolment(token)
    assert r.status_code == 202 and int(r.headers["Retry-After"]) > 0
    assert r.headers["Location"].endswith(r.json()["device_id"])
    api.ok("POST", f"/devices/{r.json()['device_id']}/approve", {})
    d.take(d.post_enrolment(token))
    assert d.fetch()["device"] == d.id
    other, token = device(), join(approval=True)["token"]
    r = other.post_enrolment(token)
    api.ok("POST", f"/devices/{r.json()['device_id']}/reject", {})
    r = other.post_enrolment(token)
    assert r.status_code == 403 and word(r) == "enrolment-rejected"


def test_token_rules(api, join, device):
    r = device().post_enrolment("ij_" + "x" * 43)
    assert r.status_code == 401 and word(r) == "token-invalid"
    pattern = join(name_pattern="edge-*")["token"]
    assert device("core-1").post_enrolment(pattern).status_code == 403
    device(f"edge-{uuid.uuid4().hex[:4]}").enrol(pattern)
    made = join()
    assert api.ok("DELETE", f"/enrolment-tokens/{made['id']}")["devices"] == []
    assert device().post_enrolment(made["token"]).status_code == 403
    old = device()
    r = old.post_enrolment(join()["token"], nonce=old.hello()["nonce"][:-2] + "AA")
    assert r.status_code == 401
    r = api.request("POST", "/enrolment-tokens", data=json.dumps({"name": "x", "networks": ["10.0.0.1/8"]}),
                    headers={"Content-Type": "application/json"})
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/networks/0"


def test_two_machines_with_one_name(join, device):
    name = f"twin-{uuid.uuid4().hex[:4]}"
    token = join(uses=3)["token"]
    names = [device(name).enrol(token)["name"] for _ in range(3)]
    assert names == [name, f"{name}-2", f"{name}-3"]


def test_key_must_be_proven(join, device):
    d, other = device(), wireclient.Key()
    body = other.jws("inari-enrol+jws", d.enrol_document())
    r = d.call("POST", "/api/agent/v1/enrolments", data=body,
               headers={"Authorization": f"Bearer {join()['token']}", "Content-Type": "application/jose+json"})
    assert r.status_code == 400 and word(r) == "signature"


def test_login_gives_a_one_use_token(parent, api, device):
    user, password = f"joiner-{uuid.uuid4().hex[:6]}", "correct horse battery 9"
    api.ok("POST", "/accounts", {"name": user, "role": "admin", "password": password})
    d = device()
    form = {"grant_type": "password", "username": user, "password": password, "scope": "enrol"}
    r = d.call("POST", "/oauth2/token", data={**form, "password": "wrong"})
    assert r.status_code == 401 and r.json()["error"] == "invalid_client"
    r = d.call("POST", "/oauth2/token", data=form)
    if r.status_code == 403:  # a password somebody else chose is changed first
        assert word(r) == "password-change-required"
        return
    assert r.status_code == 200 and r.json()["scope"] == "enrol" and r.json()["expires_in"] == 300, r.text
    d.enrol(r.json()["access_token"])
    assert device().post_enrolment(r.json()["access_token"]).status_code == 403


def forgeries(d):
    """Client assertions that must not be accepted (D6, D7)."""
    now = int(time.time())
    typ, good = "inari-client+jwt", d.claims()
    other, public = wireclient.Key(), wireclient.dumps(d.sig.jwk)
    head = {"alg": "ES256", "kid": d.sig.kid, "typ": typ}

    def signed(header=None, key=d.sig, **claims):
        return key.jws(typ, {**d.claims(), **claims}, compact=True, header={**head, **(header or {})})

    def unsigned(alg, sig=b""):
        body = f"{wireclient.b64u(wireclient.dumps({**head, 'alg': alg}))}.{wireclient.b64u(wireclient.dumps(good))}"
        return f"{body}.{wireclient.b64u(sig(body.encode()) if callable(sig) else sig)}"

    def hs256(data):
        import hashlib
        import hmac
        return hmac.new(public, data, hashlib.sha256).digest()
    yield "alg none", unsigned("none")
    yield "alg none, signed", unsigned("none", d.sig.raw)
    yield "alg None", unsigned("None")
    yield "HS256 with the public key", unsigned("HS256", hs256)
    yield "RS256", signed({"alg": "RS256"})
    yield "empty signature", unsigned("ES256")
    yield "zero signature", unsigned("ES256", b"\0" * 64)
    yield "other key, its own kid", other.jws(typ, good, compact=True)
    yield "other key, this kid", signed(key=other)
    yield "wrong kid", signed({"kid": other.kid})
    yield "key in the header", signed({"jwk": other.jwk}, key=other)
    yield "crit", signed({"crit": ["exp"]})
    yield "other typ", signed({"typ": "JWT"})
    yield "flattened", d.sig.jws(typ, good)
    yield "audience list", signed(aud=[d.trust["issuer"]])
    yield "audience list of two", signed(aud=[d.trust["issuer"], "https://other.example"])
    yield "audience is the endpoint", signed(aud=d.trust["issuer"] + "/oauth2/token")
    yield "audience with a slash", signed(aud=d.trust["issuer"] + "/")
    yield "no audience", signed(aud=None)
    yield "issuer is another", signed(iss=str(uuid.uuid4()))
    yield "subject is another", signed(sub=str(uuid.uuid4()))
    yield "life of an hour", signed(exp=now + 3600)
    yield "ends before it begins", signed(iat=now, exp=now - 1)
    yield "text times", signed(iat=str(now), exp=str(now + 60))
    yield "short jti", signed(jti="1")
    yield "no jti", signed(jti=None)


def test_d6_d7_forged_assertions(api, join, device):
    d = device()
    d.enrol(join()["token"])
    accepted = [name for name, text in forgeries(d) if d.post_token(text).status_code == 200]
    assert accepted == []
    texts = {d.post_token(text).json()["detail"] for _, text in forgeries(d)}
    assert len(texts) == 1, texts  # one generic text for all
    assert any(e["object"] == f"device/{d.id}" for e in audit(api, "device.credential_refused"))
    assert d.post_token().status_code == 200


def test_clock_skew_names_the_server_time(join, device):
    d = device()
    d.enrol(join()["token"])
    now = int(time.time())
    for iat in (now - 3600, now + 3600):
        r = d.post_token(d.assertion(iat=iat, exp=iat + 60))
        assert r.status_code == 401 and word(r) == "clock-skew" and r.json()["server_time"].endswith("Z")
    assert d.post_token(d.assertion(iat=now - 200, exp=now - 140)).status_code == 200  # late, within the window


def test_assertion_is_used_once(join, device):
    d = device()
    d.enrol(join()["token"])
    a = d.assertion()
    assert d.post_token(a).status_code == 200
    assert d.post_token(a).status_code == 401


def test_d23_status_for_another_device(api, join, device):
    a, b = device(), device()
    a.enrol(join()["token"])
    b.enrol(join()["token"])
    a.fetch()
    r = a.put_status({**a.status(), "device": b.id})
    assert r.status_code == 422 and word(r) == "status-invalid" and r.json()["errors"][0]["pointer"] == "/device"
    assert a.put_status(key=b.sig).status_code == 400
    assert api.get(f"/devices/{b.id}/status").status_code == 404
    bad = a.put_status({**a.status(), "conditions": [{"type": "x\u0000y"}]})
    assert bad.status_code in (400, 422)
    assert a.put_status({**a.status(), "agent_version": "0.1\x1b[2J"}).json()["errors"][0]["pointer"] == "/agent_version"
    assert a.put_status().status_code == 204
    assert api.ok("GET", f"/devices/{a.id}/status")["status"]["device"] == a.id


def wrong_proofs(d, act):
    """What is no proof of this device's key for this call, by name."""
    other, now = wireclient.Key(), int(time.time())
    yield "another key", other.jws("inari-proof+jwt", d.claims(act=act), compact=True)
    yield "another key with this kid", other.jws("inari-proof+jwt", d.claims(act=act), compact=True,
                                                 header={"alg": "ES256", "kid": d.sig.kid, "typ": "inari-proof+jwt"})
    yield "for another call", d.proof("enrolment" if act == "leave" else "leave")
    yield "for no call", d.sig.jws("inari-proof+jwt", d.claims(), compact=True)
    yield "a client assertion", d.assertion(act=act)
    yield "another audience", d.proof(act, aud="https://other.example")
    yield "another device", d.proof(act, iss=str(uuid.uuid4()))
    yield "life of an hour", d.proof(act, exp=now + 3600)
    yield "no text of ours", "a.b.c"


def test_enrolment_is_asked_for_with_the_key(api, join, device):
    d = device()
    d.id = (r := d.post_enrolment(join(approval=True)["token"])).json()["device_id"]
    d.trust = {"issuer": d.hello()["issuer"]}  # the greeting says whom a proof is for
    assert r.headers["Location"] == f"/api/agent/v1/enrolments/{d.id}"
    r = d.enrolment()
    assert r.status_code == 202 and r.json()["state"] == "pending" and int(r.headers["Retry-After"]) > 0
    accepted = [name for name, text in wrong_proofs(d, "enrolment") if d.enrolment(text).status_code != 401]
    assert accepted == []
    assert d.enrolment(device_id=str(uuid.uuid4())).status_code == 401
    assert d.call("GET", f"/api/agent/v1/enrolments/{d.id}").status_code == 401
    api.ok("POST", f"/devices/{d.id}/approve", {})
    once = d.proof("enrolment")
    r = d.enrolment(once)
    assert r.status_code == 200 and d.enrolment(once).status_code == 401
    r.status_code = 201  # take() checks the answer of an enrolment, which this one is word for word
    d.take(r)
    assert d.fetch()["device"] == d.id
    other = device()
    other.id, other.trust = other.post_enrolment(join(approval=True)["token"]).json()["device_id"], d.trust
    api.ok("POST", f"/devices/{other.id}/reject", {})
    r = other.enrolment()
    assert r.status_code == 403 and word(r) == "enrolment-rejected"


def test_leave_is_proven_by_the_key(api, join, device):
    """For ever: an access token alone does not end a device."""
    d = device()
    d.enrol(join()["token"])
    assert d.leave(proof=None).status_code == 401
    accepted = [name for name, text in wrong_proofs(d, "leave") if d.leave(text).status_code != 401]
    assert accepted == [] and api.ok("GET", f"/devices/{d.id}")["state"] == "observing"
    assert any(e["object"] == f"device/{d.id}" for e in audit(api, "device.credential_refused"))
    assert d.leave().status_code == 204
    assert api.ok("GET", f"/devices/{d.id}")["state"] == "retired"
    r = d.desired()
    assert r.status_code == 410 and word(r) == "device-retired"


def test_parent_is_upgraded_before_its_children(api, join, device):
    """An agent of tomorrow is told to wait for the parent, and its token stays good; one of yesterday works."""
    made = join(uses=1)
    new = device()
    r = new.post_enrolment(made["token"], agent_version="0.2.0")
    assert r.status_code == 409 and word(r) == "agent-too-new", r.text
    assert r.json()["errors"][0]["pointer"] == "/agent_version" and "parent first" in r.json()["remedy"]
    assert audit(api, "device.enrol_refused")[0]["detail"]["cause"] == "agent is newer than the parent"
    new.enrol(made["token"], agent_version="0.1.9")
    old = device()
    old.enrol(join(uses=1)["token"], agent_version="0.0.3")
    for d in (new, old):
        d.fetch()


def test_versions_of_the_protocol(join, device):
    """A child that speaks a later protocol is refused in words and gets no bundle; the same child with ours gets one."""
    d = device()
    d.enrol(join()["token"])
    assert 1 in d.hello()["api"]
    later = d.desired(**{"Inari-Api": "2"})
    assert later.status_code == 409 and word(later) == "agent-too-new" and "ETag" not in later.headers
    assert d.desired(**{"Inari-Api": "x"}).status_code == 400
    d.fetch()


def test_enrolling_is_a_permission_of_its_own(api, parent, device):
    """Who may bring devices in needs nothing else, and nothing else is enough."""
    scopes = api.ok("GET", "/session")["permissions"]
    assert "enrol" in scopes
    clerk, rest = parent.token(["enrol"]), parent.token([s for s in scopes if s != "enrol"])
    made = clerk.ok("POST", "/enrolment-tokens", {"name": "clerk"})
    device().enrol(made["join"])
    assert [t["id"] for t in clerk.ok("GET", "/enrolment-tokens?limit=500")["items"] if t["id"] == made["id"]]
    for method, path in (("GET", "/devices"), ("GET", "/settings?layer=fleet"), ("POST", "/drafts"), ("GET", "/accounts")):
        r = clerk.request(method, path, json={} if method == "POST" else None)
        assert (r.status_code, word(r)) == (403, "token-scope"), f"{method} {path}"
    for method, path, body in (("POST", "/enrolment-tokens", {"name": "no"}), ("GET", "/enrolment-tokens", None),
                               ("DELETE", f"/enrolment-tokens/{made['id']}", None)):
        r = rest.request(method, path, json=body)
        assert (r.status_code, word(r)) == (403, "token-scope"), f"{method} {path}"
