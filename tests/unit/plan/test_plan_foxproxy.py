"""Every foxproxy.ini the planner writes is one that foxproxy reads.  Needs PLAN_TOOL and FOXPROXY in the environment."""
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess

import pytest

from test_plan_postfix import BASE, DIGEST, INSIDE, LISTED, OUTSIDE, OWN, Instance, Sink, namespace, pytestmark as needs_postfix, rcpt, send, talk, wait  # noqa: F401

TOOL, FOXPROXY = os.environ.get("PLAN_TOOL", ""), os.environ.get("FOXPROXY", "")
pytestmark = pytest.mark.skipif(not TOOL or not FOXPROXY, reason="needs PLAN_TOOL and FOXPROXY")
CATALOG = json.loads((pathlib.Path(__file__).parents[3] / "api/catalog/sender_filter.json").read_text())["settings"]
FACTS = {"device_id": "0199d000-0000-7000-8000-000000000001", "hostname": "mx1.example.test", "postfix": "3.7.11", "foxproxy": "0.1.0",
         "addresses": ["198.18.0.2", "127.0.0.1", "2001:db8::2", "::1"], "map_types": ["cidr", "texthash"]}
TEXTS = ["", "ask help@example.test", "see https://example.test/blocked?why=1 (or call) & 'quote'; = : , ~", "x" * 200]
ROWS = {"zone": ["zen.example.org", "a.b.c.d.e.example.net", "x" * 63 + ".example", ".".join(["x" * 49] * 3 + ["x" * 39])], "address": ["192.0.2.53", "2001:db8::53", "127.0.0.1"],
        "network": ["192.0.2.0/28", "203.0.113.9", "2001:db8:1::/64", "2001:db8:2::7"]}
CODES = ["", "127.0.0.2", "127.0.0.2-127.0.0.11 127.0.0.10=log", "127.0.0.2  127.1.2.3-127.9.9.9=log 127.255.254.255", " ".join("127.0.1.%d" % i for i in range(32))]


def plan(settings):
    r = subprocess.run([TOOL], input=json.dumps({"settings": dict(settings, **{"path.mode": "front"}), "facts": FACTS, "digest": "0123456789abcdef" * 4}),
                       capture_output=True, text=True, timeout=20)
    assert r.returncode == 0, (settings, r.stdout)
    return json.loads(r.stdout)["foxproxy"]


def check(settings, tmp_path):
    path = tmp_path / "foxproxy.ini"
    path.write_text(plan(settings))
    r = subprocess.run([FOXPROXY, "--check", str(path)], capture_output=True, text=True, timeout=20)
    assert r.returncode == 0, (settings, path.read_text(), r.stdout, r.stderr)
    return path


def value(s, rng):
    if s["type"] == "enum":
        return rng.choice(s["enum"])["v"]
    if s["type"] == "text":
        return rng.choice(CODES if s.get("name") == "codes" else TEXTS)
    if s["type"] == "port":
        return rng.choice([1, 53, 2500, 65535])
    if s["type"] in ("int", "duration"):
        return rng.choice([s["min"], s["max"], s["default"]])
    keys = ROWS[s["row_key"]["name"]]
    rows = {k: {f["name"]: value(f, rng) for f in s["fields"] if rng.random() < 0.5} for k in rng.sample(keys, rng.randrange(len(keys) + 1))}
    for row in rows.values():  # an allow zone refuses nobody
        if row.get("profile") == "allow":
            row["action"] = rng.choice(["recommended", "log"])
    return rows


def test_the_ends_of_every_setting(tmp_path):
    """Each setting at each of its ends, the others at their defaults."""
    check({}, tmp_path)
    for s in CATALOG:
        if s["type"] == "list":
            continue
        ends = [x["v"] for x in s["enum"]] if s["type"] == "enum" else TEXTS if s["type"] == "text" else [1, 65535] if s["type"] == "port" else [s["min"], s["max"]]
        for end in ends:
            check({s["key"]: end, "smtp.process_limit": 5000}, tmp_path)
    check({"smtp.listen_address": "2001:db8::2", "smtp.idle_timeout": 3600, "smtp.hostname": "a." * 100 + "example"}, tmp_path)
    check({"smtp.idle_timeout": 10, "smtp.listen_address": "198.18.0.2", "smtp.listen_port": 65535}, tmp_path)
    check({"sender_filter.balancers": {"10.%d.%d.0/24" % (i // 250, i % 250): {} for i in range(256)}}, tmp_path)
    check({"sender_filter.reputation": "on", "sender_filter.zones": {"z%d.example.org" % i: {"codes": CODES[4]} for i in range(16)}}, tmp_path)


def test_random_settings(tmp_path):
    seed = int(os.environ.get("INARI_SEED", random.SystemRandom().randrange(1 << 32)))
    rng = random.Random(seed)
    print("INARI_SEED=%d" % seed)
    for _ in range(20):
        check(dict({s["key"]: value(s, rng) for s in CATALOG if rng.random() < 0.5}, **{"smtp.process_limit": 5000}), tmp_path)


@pytest.mark.parametrize("s", CATALOG, ids=lambda s: s["key"])
def test_every_setting_says_something_in_the_file(s):
    base = {"sender_filter.reputation": "on", "sender_filter.zones": {"a.example.org": {}, "b.example.org": {"profile": "advanced"}}, "smtp.process_limit": 5000}
    if s["type"] == "list":
        other = {ROWS[s["row_key"]["name"]][0]: {}}
    elif s["type"] == "enum":
        other = [x["v"] for x in s["enum"] if x["v"] != s["default"]][-1]
    else:
        other = TEXTS[1] if s["type"] == "text" else 2501 if s["type"] == "port" else s["min"]
    assert plan(dict(base, **{s["key"]: other})) != plan(base)


def test_the_check_would_say_no(tmp_path):
    path = check({}, tmp_path)
    path.write_text(path.read_text().replace("max_sessions", "max_session"))
    assert subprocess.run([FOXPROXY, "--check", str(path)], capture_output=True, timeout=20).returncode == 1


class Filter:
    """foxproxy as the device runs it, with the planner's file, in front of an Instance."""

    def __init__(self, instance):
        self.dir = instance.dir / "foxproxy"  # pytest's own folders are for its user alone
        self.control = str(self.dir / "control")
        self.dir.mkdir()
        shutil.chown(self.dir, "nobody")
        (self.dir / "foxproxy.ini").write_text(instance.plan["foxproxy"])

    def ask(self, verb):
        r = subprocess.run([FOXPROXY, "--control", self.control, "--ask", verb], capture_output=True, text=True, timeout=20)
        return json.loads(r.stdout) if r.returncode == 0 else None

    def __enter__(self):
        self.p = subprocess.Popen([FOXPROXY, "--config", str(self.dir / "foxproxy.ini"), "--control", self.control, "--state", str(self.dir),
                                   "--user", "nobody"])
        wait(lambda: self.ask("status"), "an answer of foxproxy")
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait(30)


@needs_postfix
def test_the_two_together():
    """The planner's two files on the real programs: the public port is foxproxy's, Postfix sees who comes, and nobody relays who is
    not listed, be it through loopback or the device's own addresses."""
    settings = dict(BASE, **{"path.mode": "front", "sender_filter.max_sessions": 12, "smtp.client_connection_limit": 10})
    with Sink(INSIDE, 2600) as inside, Instance(settings) as postfix, Filter(postfix) as fox:
        assert fox.ask("status")["digest"] == DIGEST
        assert talk(25)[0] == "220 mx1.example.test ESMTP Example"
        for source, host in ((OUTSIDE, "127.0.0.1"), (OWN, OWN), (None, "127.0.0.1"), ("127.0.0.9", "127.0.0.1"), ("2001:db8::2", "2001:db8::2"), ("::1", "::1")):
            how = {"source": source, "host": host}
            assert rcpt("x@foreign.test", **how)[:9] == "554 5.7.1", how
            assert rcpt("x@example.test", **how)[:3] == "250", how
        assert rcpt("x@foreign.test", source=LISTED)[:3] == "250"
        assert send("x@example.test", source=OUTSIDE) == {}
        wait(lambda: len(inside.messages) == 1, "the message")
        assert b"[%s]" % OUTSIDE.encode() in inside.messages[0][2] and b"127.0.0.1" not in inside.messages[0][2]
        # as many sessions as Postfix has processes for, then 421; not one waits in Postfix's queue of connections
        held = [socket.create_connection(("127.0.0.1", 25), 5, source_address=(a, 0)) for a in (OUTSIDE, LISTED) for _ in range(6)]
        try:
            assert [s.recv(100)[:3] for s in held] == [b"220"] * 12
            assert talk(25, source=INSIDE)[0][:3] == "421"
        finally:
            for s in held:
                s.close()
        wait(lambda: talk(25, source=INSIDE)[0][:3] == "220", "room again")
