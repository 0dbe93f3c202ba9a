"""A child as a program: speaks docs/internals/wire.md to a real parent and checks every signature on the way.

    dev = wireclient.Device(parent.base, parent.ca)
    dev.enrol(token)            # or a join string
    answer = dev.desired()      # signs in by itself
    dev.verify(answer.content)  # the bundle's payload
    dev.put_status(...)
"""
import base64
import datetime
import hashlib
import json
import time
import uuid

import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

AGENT = "/api/agent/v1"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def dumps(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


class Key:
    """A P-256 key pair with its RFC 7638 thumbprint; a new one, or the one of a PEM text."""

    def __init__(self, pem=None):
        self.private = load_pem_private_key(pem, None) if pem else ec.generate_private_key(ec.SECP256R1())
        n = self.private.public_key().public_numbers()
        self.jwk = {"crv": "P-256", "kty": "EC", "x": b64u(n.x.to_bytes(32, "big")), "y": b64u(n.y.to_bytes(32, "big"))}
        self.kid = thumbprint(self.jwk)

    def raw(self, data):
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def jws(self, typ, payload, compact=False, header=None):
        payload = payload if isinstance(payload, bytes) else dumps(payload)
        head = b64u(dumps(header or {"alg": "ES256", "kid": self.kid, "typ": typ}))
        body = b64u(payload)
        sig = b64u(self.raw(f"{head}.{body}".encode()))
        return f"{head}.{body}.{sig}" if compact else dumps({"payload": body, "protected": head, "signature": sig}).decode()


def thumbprint(jwk):
    return b64u(hashlib.sha256(dumps({k: jwk[k] for k in ("crv", "kty", "x", "y")})).digest())


def open_jws(text, typ, jwks):
    """(header, payload) of a JWS, flattened or compact, signed by one of the JWKs."""
    text = text.decode() if isinstance(text, bytes) else text
    if text.startswith("{"):
        j = json.loads(text)
        head, body, sig = j["protected"], j["payload"], j["signature"]
    else:
        head, body, sig = text.split(".")
    header = json.loads(unb64u(head))
    assert header["alg"] == "ES256" and header["typ"] == typ, header
    jwk = {thumbprint(k): k for k in jwks}[header["kid"]]
    public = ec.EllipticCurvePublicNumbers(int.from_bytes(unb64u(jwk["x"]), "big"), int.from_bytes(unb64u(jwk["y"]), "big"),
                                           ec.SECP256R1()).public_key()
    raw = unb64u(sig)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        public.verify(der, f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise AssertionError(f"bad signature on {typ}") from None
    return header, json.loads(unb64u(body))


def read_join(text):
    assert text.startswith("inari1.")
    return json.loads(unb64u(text[7:]))


def let_in(ask):
    """The answer of ask(), once it is not told to wait: joining has a small bucket of its own, for the whole fleet."""
    while (r := ask()).status_code == 429:
        time.sleep(int(r.headers["Retry-After"]))
    return r


class Device:
    def __init__(self, base, ca, name="mx1", address=None):
        self.base, self.name = base, name
        self.http = requests.Session()
        self.http.verify, self.http.trust_env = ca, False
        self.sig, self.enc = Key(), Key()
        self.id = self.access = self.trust = self.receipt = None
        self.boot, self.seq = str(uuid.uuid4()), 0
        self.etag, self.have, self.status_digest, self.last = None, "0.0", None, None
        self.machine = None  # as Inari-Machine, when it is to be said
        self.fingerprint = hashlib.sha256(uuid.uuid4().bytes).hexdigest()

    def call(self, method, path, **kw):
        kw.setdefault("timeout", 75)
        return self.http.request(method, self.base + path, **kw)

    # -- joining --
    def hello(self):
        return self.call("GET", f"{AGENT}/hello").json()

    def hello_time(self):
        """The parent's time, in seconds since the epoch."""
        return datetime.datetime.fromisoformat(self.hello()["time"].replace("Z", "+00:00")).timestamp()

    def enrol_document(self, **members):
        return {"jwk": self.sig.jwk, "enc_jwk": self.enc.jwk, "nonce": self.hello()["nonce"], "name": self.name,
                "hostname": f"{self.name}.example.test", "fingerprint": self.fingerprint, "agent_version": "0.1.0",
                "capabilities": ["postfix"],
                "inventory": {"hostname": f"{self.name}.example.test", "os": "Debian 12", "agent_version": "0.1.0",
                              "postfix_version": "3.7.11", "addresses": ["192.0.2.10"], "capabilities": ["postfix"]},
                **members}

    def post_enrolment(self, token, **members):
        if token.startswith("inari1."):
            token = read_join(token)["token"]
        body = self.sig.jws("inari-enrol+jws", self.enrol_document(**members))
        return let_in(lambda: self.call("POST", f"{AGENT}/enrolments", data=body, headers={
            "Authorization": f"Bearer {token}", "Content-Type": "application/jose+json"}))

    def take(self, answer):
        """What a 201 says, checked."""
        assert answer.status_code == 201, answer.text
        body = answer.json()
        self.id, self.name, self.receipt = body["device_id"], body["name"], body["receipt"]
        first = json.loads(unb64u(json.loads(body["trust"][0])["payload"]))
        _, self.trust = open_jws(body["trust"][0], "inari-trust+jws", [first["root"]])
        _, receipt = open_jws(self.receipt, "inari-receipt+jws", self.keys("receipt"))
        assert (receipt["device"], receipt["kid"], receipt["fleet"]) == (self.id, self.sig.kid, self.trust["fleet"])
        return body

    def enrol(self, token, **members):
        return self.take(self.post_enrolment(token, **members))

    def walk(self):
        """The trust documents after ours, each signed by the root we pinned or the one it made its heir; the epoch the newest allows."""
        while (r := self.call("GET", f"{AGENT}/trust/{self.trust['n'] + 1}")).status_code == 200:
            after = json.loads(unb64u(json.loads(r.content)["payload"]))
            open_jws(r.content, "inari-trust+jws", [after["root"]])
            if after["root"] != self.trust["root"]:
                _, word = open_jws(after["root_change"], "inari-root+jws", [self.trust["root"]])
                rest = {k: v for k, v in after.items() if k != "root_change"}
                assert word == {"fleet": self.trust["fleet"], "n": after["n"], "digest": hashlib.sha256(dumps(rest)).hexdigest()}
            assert after["n"] == self.trust["n"] + 1 and after["fleet"] == self.trust["fleet"]
            self.trust = after
        assert r.status_code == 404, r.text
        return self.trust["epoch"]

    def keys(self, use):
        return [k["jwk"] for k in self.trust["keys"] if k["use"] == use]

    # -- tokens --
    def claims(self, **members):
        now = int(time.time())
        return {"iss": self.id, "sub": self.id, "aud": self.trust["issuer"], "jti": str(uuid.uuid4()), "iat": now,
                "exp": now + 60, **members}

    def assertion(self, **members):
        return self.sig.jws("inari-client+jwt", self.claims(**members), compact=True)

    def post_token(self, assertion=None):
        return self.call("POST", "/oauth2/token", data={"grant_type": "client_credentials",
                                                        "client_assertion_type": ASSERTION,
                                                        "client_assertion": assertion or self.assertion()})

    def sign_in(self):
        r = self.post_token()
        assert r.status_code == 200, r.text
        self.access = r.json()["access_token"]
        return self.access

    def auth(self):
        return {"Authorization": f"Bearer {self.access or self.sign_in()}"}

    # -- configuration --
    def desired(self, wait=0, etag="own", have=None, **headers):
        """The raw answer; etag "own": what was verified last, None: none."""
        self.seq += 1
        h = {**self.auth(), "Inari-Have": have or self.have, "Inari-Boot": self.boot, "Inari-Seq": str(self.seq),
             "Inari-Api": "1"}
        if etag == "own":
            etag = self.etag
        if etag:
            h["If-None-Match"] = f'"{etag}"'
        if wait:
            h["Prefer"] = f"wait={wait}"
        if self.machine:
            h["Inari-Machine"] = self.machine
        if self.status_digest:
            h["Inari-Status"] = self.status_digest
        return self.call("GET", f"{AGENT}/desired", headers={**h, **headers})

    def verify(self, content):
        """The payload of a bundle, after the checks of protocol.md 6.8 that need no daemon."""
        _, b = open_jws(content, "inari-bundle+jws", self.keys("bundle"))
        assert b["fleet"] == self.trust["fleet"] and b["device"] == self.id and b["crit"] == []
        assert b["content_digest"] == hashlib.sha256(json.dumps({"sections": b["sections"]}, separators=(",", ":"),
                                                                sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        assert unb64u(json.loads(content)["payload"]) == dumps(b)  # canonical to the byte
        epoch, rev = (int(x) for x in self.have.split("."))
        assert (b["epoch"], b["rev"]) >= (epoch, rev), "the parent went back"
        self.kept = content
        self.etag, self.have, self.last = hashlib.sha256(content).hexdigest(), f"{b['epoch']}.{b['rev']}", b
        return b

    def fetch(self, wait=0):
        """Poll until there is a bundle, and verify it."""
        r = self.desired(wait=wait)
        assert r.status_code == 200, f"{r.status_code} {r.text[:500]}"
        b = self.verify(r.content)
        assert r.headers["ETag"] == f'"{self.etag}"'
        return b

    # -- reports --
    def status(self, running=True, **members):
        """A status document that says the last bundle runs (or was only seen)."""
        self.seq += 1
        b = self.last
        here = {"digest": b["content_digest"], "rev": b["rev"], "pub": b["pub"]} if b else None
        return {"device": self.id, "seq": self.seq, "boot": self.boot, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "clock_offset_ms": 0, "uptime_s": 10, "agent_version": "0.1.0", "mode": b["mode"] if b else "observe",
                "observed": {**here, "epoch": b["epoch"], "etag": self.etag, "jti": b["jti"]} if b else None,
                "on_disk": here if running else None, "lkg": None,
                "running": {"postfix": {"digest": here["digest"] if running and here else "", "version": "3.7.11",
                                        "state": "running"}},
                "last_attempt": {**here, "phase": "committed", "result": "committed", "problem": None}
                if running and here else None,
                "quarantined": [], "drift": [], "conditions": [], "inventory": {}, **members}

    def put_status(self, doc=None, key=None):
        payload = dumps(doc if doc is not None else self.status())
        r = self.call("PUT", f"{AGENT}/status", data=(key or self.sig).jws("inari-status+jws", payload),
                      headers={**self.auth(), "Content-Type": "application/jose+json"})
        if r.status_code == 204:
            self.status_digest = hashlib.sha256(payload).hexdigest()
        return r

    def keep(self, content=None):
        """What it does when a parent is behind: the newest bundle it holds."""
        return self.call("POST", f"{AGENT}/kept", data=content or self.kept,
                         headers={**self.auth(), "Content-Type": "application/jose+json"})

    def notice(self):
        """The parents' signed notice, as it came."""
        r = self.call("GET", f"{AGENT}/notice")
        assert r.status_code == 200, r.text
        return r.content

    def notice_of(self, content):
        return open_jws(content, "inari-notice+jws", self.keys("bundle"))[1]

    def propose(self, settings, **members):
        doc = {"device": self.id, "kind": "inventory", "settings": settings, "foreign": {"main_cf": [], "master_cf": []},
               "unreadable": {}, **members}
        return self.call("POST", f"{AGENT}/proposals", data=self.sig.jws("inari-proposal+jws", doc),
                         headers={**self.auth(), "Content-Type": "application/jose+json"})

    def proof(self, act, **members):
        return self.sig.jws("inari-proof+jwt", self.claims(act=act, **members), compact=True)

    def enrolment(self, proof=None, device_id=None):
        """Ask whether the enrolment was approved."""
        return let_in(lambda: self.call("GET", f"{AGENT}/enrolments/{device_id or self.id}", headers={
            "Authorization": f"Bearer {proof or self.proof('enrolment')}"}))

    def leave(self, proof="own"):
        head = {"Inari-Proof": self.proof("leave") if proof == "own" else proof} if proof else {}
        return self.call("DELETE", f"{AGENT}/self", headers={**self.auth(), **head})

    # -- commands --
    def commands(self):
        """The payloads of the open ones, each signature checked."""
        r = self.call("GET", f"{AGENT}/commands", headers=self.auth())
        assert r.status_code == 200, r.text
        return [open_jws(x, "inari-command+jws", self.keys("bundle"))[1] for x in r.json()["items"]]

    def tell(self, command, state, key=None, **members):
        """PUT a report about a command."""
        doc = {"device": self.id, "command": command, "state": state, "output_from": 0, **members}
        return self.call("PUT", f"{AGENT}/commands/{command}/result", data=(key or self.sig).jws("inari-result+jws", doc),
                         headers={**self.auth(), "Content-Type": "application/jose+json"})
