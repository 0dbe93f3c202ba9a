"""Hostile children (security.md C16): whatever a device with a valid key sends, nothing is stored but its own sound reports."""
import json
import uuid

import pytest
import requests
import wireclient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_agent_api_poll import make_device


@pytest.fixture(scope="module")
def device(api, parent):
    d = make_device(api, parent)
    d.fetch()
    d.put_status(d.status(running=False))
    return d


def raw_status(d, payload):
    return d.call("PUT", "/api/agent/v1/status", data=d.sig.jws("inari-status+jws", payload),
                  headers={**d.auth(), "Content-Type": "application/jose+json"})


def bad_payloads(d):
    good = d.status(running=False)

    def dumped(**members):
        return json.dumps({**good, **members}).encode()
    text = wireclient.dumps(good)
    yield "not JSON", b"\x00\x01"
    yield "empty", b""
    yield "array", b"[]"
    yield "number", b"1"
    yield "duplicate member", text[:-1] + b',"seq":1}'
    yield "invalid UTF-8", text.replace(b'"0.1.0"', b'"\xff\xfe"')
    yield "NUL", dumped(agent_version="a\0b")
    yield "escape sequence", dumped(agent_version="\x1b[2J")
    yield "control in a member's name", dumped(**{"a\x07": 1})
    yield "text of 9 KiB", dumped(agent_version="x" * 9000)
    yield "depth 40", dumped(health=eval("[" * 40 + "]" * 40))  # noqa: S307
    yield "64 KiB", dumped(drift=[{"file": "x" * 1000}] * 80)
    yield "another device", dumped(device=str(uuid.uuid4()))
    yield "traversal as device", dumped(device="../../etc/passwd")
    yield "no device", json.dumps({k: v for k, v in good.items() if k != "device"}).encode()
    yield "seq as text", dumped(seq="1")
    yield "seq below zero", dumped(seq=-1)
    yield "seq over 64 bits", text.replace(f'"seq":{good["seq"]}'.encode(), b'"seq":99999999999999999999')
    yield "seq not whole", dumped(seq=1.5)
    yield "observed is text", dumped(observed="x")
    yield "conditions are an object", dumped(conditions={})
    yield "a condition is text", dumped(conditions=["x"])
    yield "a condition is null", dumped(conditions=[None])
    yield "a condition without a status", dumped(conditions=[{"type": "Ready"}])
    yield "a condition with another status", dumped(conditions=[{"type": "Ready", "status": "maybe"}])
    yield "a condition's message is a number", dumped(conditions=[{"type": "Ready", "status": "True", "message": 1}])
    yield "a drift row is a number", dumped(drift=[1])
    yield "huge exponent", text.replace(b'"uptime_s":10', b'"uptime_s":1e400')


def test_bad_reports_are_refused_and_store_nothing(device, parent):
    row = lambda: parent.postgres.psql("SELECT xmin, digest, doc FROM device_status ORDER BY device_id")  # noqa: E731
    before = row()
    wrong = {}
    for name, payload in bad_payloads(device):
        try:
            r = raw_status(device, payload)
        except requests.ConnectionError:  # an answer before the body was read can go down with the connection
            assert name == "64 KiB"
            continue
        if r.status_code not in (400, 413, 422) or not r.json()["type"].startswith("urn:inari:problem:"):
            wrong[name] = r.status_code
    assert wrong == {} and row() == before
    words = [{"type": "ConfigValid", "status": "False", "reason": "Lint", "message": "postfix: fatal: one\n\tand two"}]
    assert device.put_status({**device.status(running=False), "conditions": words}).status_code == 204  # words span lines
    assert device.put_status(device.status(running=False)).status_code == 204


def test_bad_enrolments_are_refused(api, parent):
    token = api.ok("POST", "/enrolment-tokens", {"name": "hostile", "uses": 100})["token"]
    d = wireclient.Device(parent.base, parent.ca, "hostile")
    curve = {**d.sig.jwk, "x": wireclient.b64u(b"\1" * 32)}
    secret = {**d.sig.jwk, "d": wireclient.b64u(b"\1" * 32)}
    for members in ({"jwk": curve}, {"jwk": secret}, {"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}, {"jwk": "x"},
                    {"enc_jwk": curve}, {"enc_jwk": None}, {"name": "x" * 64}, {"name": "a\nb"}, {"hostname": ""},
                    {"fingerprint": "f" * 129}, {"placement": "moon"}, {"capabilities": ["x"] * 33},
                    {"inventory": {"os": "a\0b"}}, {"inventory": []}, {"agent_version": "v" * 41}):
        r = d.post_enrolment(token, **members)
        assert r.status_code in (400, 422), f"{members}: {r.status_code} {r.text}"
    used = [t for t in api.ok("GET", "/enrolment-tokens")["items"] if t["name"] == "hostile"][0]
    assert used["used"] == 0
    odd = wireclient.Device(parent.base, parent.ca, "../../Etc")
    assert odd.enrol(token)["name"] == "device"  # a name that is none is replaced; the host name is only text


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
                      lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=10), c, max_size=3), max_leaves=8)


@given(member=st.sampled_from(["observed", "on_disk", "running", "last_attempt", "conditions", "drift", "health", "inventory",
                               "quarantined", "mode", "uptime_s"]), value=VALUES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_no_report_breaks_the_parent(device, api, member, value):
    r = device.put_status({**device.status(running=False), member: value})
    assert r.status_code in (204, 400, 422), r.text
    shown = api.get(f"/devices/{device.id}")
    assert shown.status_code == 200 and shown.json()["sync"] in ("observing", "pending", "unknown")
    assert api.get("/rollouts").status_code == 200 and api.get(f"/devices/{device.id}/plan").status_code in (200, 400, 422)
