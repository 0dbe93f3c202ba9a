"""mail/reputation between real DNS servers: what is a listing and what is not, how long anybody waits, and how it comes back by
itself (facts E33-E37, O01-O06; docs/internals/reputation.md)."""
import json
import os
import queue
import socket
import subprocess
import threading
import time

import pytest
from dnslib import POINTS4, POINTS6, RBLDNSD, Rbldnsd, Responder, free_port, points_of, reply
from foxlib import Net

BUILD = os.environ.get("INARI_BUILD", "build/ci")
needs_rbldnsd = pytest.mark.skipif(not RBLDNSD, reason="needs rbldnsd")


class Asker:
    def __init__(self, conf, prefix=()):
        self.proc = subprocess.Popen([*prefix, f"{BUILD}/tests/integration/dnsblask"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True)
        self.lines, self.log = queue.Queue(), []
        threading.Thread(target=lambda: [self.lines.put(x) for x in self.proc.stdout], daemon=True).start()
        threading.Thread(target=lambda: [self.log.append(x) for x in self.proc.stderr], daemon=True).start()
        self.conf(conf)

    def tell(self, text):
        self.proc.stdin.write(text + "\n")
        self.proc.stdin.flush()

    def line(self):
        try:
            return json.loads(self.lines.get(timeout=20))
        except queue.Empty:
            raise AssertionError("no answer: " + "".join(self.log))

    def conf(self, text):
        self.tell("conf " + text)
        assert self.line() == {"ok": True}

    def ask(self, *addresses):
        self.tell("\n".join("ask " + a for a in addresses))
        got = [self.line() for _ in addresses]
        return got[0] if len(got) == 1 else got

    def order(self, text):
        self.tell(text)
        return self.line()

    def zone(self, name="bl.test"):
        return self.order("status")[name]

    def wait_zone(self, state, name="bl.test", seconds=60):
        until = time.monotonic() + seconds
        while self.zone(name)["state"] not in state.split():
            assert time.monotonic() < until, self.zone(name)
            time.sleep(0.05)
        return self.zone(name)

    def close(self):
        self.proc.stdin.close()
        try:
            assert self.proc.wait(20) == 0, "".join(self.log)
        finally:
            self.proc.kill()


@pytest.fixture
def asker():
    made = []

    def make(conf, **kw):
        made.append(Asker(conf, **kw))
        return made[-1]
    yield make
    for a in made:
        a.close()


@pytest.fixture
def responder():
    made = []

    def make(answer):
        made.append(Responder(answer))
        return made[-1]
    yield make
    for r in made:
        r.close()


@pytest.fixture(scope="module")
def rbl():
    r = Rbldnsd({
        "bl.test": {".a": ("ip4set", "$SOA 3600 ns.bl.test root.bl.test 0 600 300 86400 45\n$TTL 120\n:127.0.0.2:listed\n" + POINTS4 + "192.0.2.10\n192.0.2.30\n"),
                    ".b": ("ip4set", "$TTL 90\n:127.0.0.10:dynamic\n192.0.2.20\n192.0.2.30\n:127.0.0.99:new\n192.0.2.40\n"),
                    ".6": ("ip6trie", ":127.0.0.3:listed\n" + POINTS6 + "2001:db8:bad::/48\n")},
        "more.test": {".a": ("ip4set", ":127.0.0.4:more\n" + POINTS4 + "192.0.2.50\n192.0.2.20\n")},
        "wl.test": {".a": ("ip4set", ":127.0.0.3:good\n" + POINTS4 + "192.0.2.50\n")},
        "all.test": {".a": ("ip4set", ":127.0.0.2:all\n0.0.0.0/1\n128.0.0.0/1\n")},
        "empty.test": {".a": ("ip4set", ":127.0.0.2:own\n192.0.2.60\n")},
    })
    yield r
    r.close()


@needs_rbldnsd
def test_what_zones_say(asker, rbl):
    a = asker(f"2000 {rbl.address} bl.test/standard/127.0.0.2-127.0.0.11+127.0.0.10=defer more.test/advanced wl.test/allow")
    want = {"192.0.2.10": ("reject", "bl.test", "127.0.0.2"), "192.0.2.20": ("defer", "bl.test", "127.0.0.10"),
            "192.0.2.30": ("reject", "bl.test", "127.0.0.2"),  # two codes: the stronger
            "192.0.2.40": ("pass", "", ""),  # a code that nobody mapped
            "192.0.2.50": ("approve", "wl.test", "127.0.0.3"),  # beats more.test
            "192.0.2.99": ("pass", "", ""), "2001:db8:bad::1": ("reject", "bl.test", "127.0.0.3"), "2001:db8::1": ("pass", "", "")}
    for address, said in want.items():
        got = a.ask(address)
        assert (got["action"], got["zone"], got["code"]) == said, got
        assert got["complete"] or got["action"] in ("approve", "reject")
    until = time.monotonic() + 10
    while True:  # answers nobody waited for are remembered too
        again = a.ask(*want)
        if all(g["at_once"] and g["cached"] for g in again) or time.monotonic() > until:
            break
    assert [(g["action"], g["zone"], g["code"]) for g in again] == list(want.values()) and all(g["cached"] for g in again)
    ttl = {g["address"]: g["ttl_s"] for g in again}
    assert 60 <= ttl["192.0.2.10"] <= 120 and 40 <= ttl["192.0.2.20"] <= 90
    told = {t["zone"]: t for t in a.order("explain 192.0.2.50")}
    assert told["wl.test"]["codes"] == ["127.0.0.3"] and told["wl.test"]["action"] == "approve"
    assert told["bl.test"]["answer"] == "not listed" and 25 <= told["bl.test"]["ttl_s"] <= 45  # from the SOA
    assert told["more.test"]["action"] == "defer"
    z = a.zone()
    assert z["state"] == "ok" and z["test"]["result"] == "passed" and z["test"]["ipv6"] == "yes" and z["last_error_at"] is None
    assert z["queries"] == 8 and z["listed"] == 5 and z["not_listed"] == 3 and z["cache_hits"] >= 8 and z["p95_ms"] >= z["p50_ms"] > 0


@needs_rbldnsd
def test_a_zone_that_lists_everything(asker, rbl):
    """It never refuses anybody, not even in the moment before its test points have answered; it says so loudly."""
    a = asker(f"1000 {rbl.address} all.test/standard")
    got = a.ask(*[f"198.51.100.{i}" for i in range(30)])
    assert {g["action"] for g in got} == {"unknown"}, got
    z = a.zone("all.test")
    assert z["state"] == "lists_all" and z["test"]["result"] == "127.0.0.1 is listed: the zone lists everything"
    until = time.monotonic() + 10
    while not any("reputation.zone" in x and "lists_all" in x for x in a.log):
        assert time.monotonic() < until, a.log
        time.sleep(0.02)
    got = a.ask("198.51.100.99")
    assert got["action"] == "unknown" and got["at_once"]


@needs_rbldnsd
def test_a_zone_without_test_points_counts(asker, rbl):
    a = asker(f"1000 {rbl.address} empty.test/standard")
    assert a.ask("192.0.2.60")["action"] == "reject"
    assert a.zone("empty.test")["state"] == "empty" and "does that zone still live" in a.zone("empty.test")["test"]["result"]


@needs_rbldnsd
@pytest.mark.slow
def test_a_zone_turns_bad_and_good_again(asker):
    r = Rbldnsd({"bl.test": {".a": ("ip4set", POINTS4 + "192.0.2.10\n")}})
    try:
        a = asker(f"1000 {r.address} bl.test/standard")
        assert a.ask("192.0.2.10")["action"] == "reject" and a.ask("192.0.2.11")["action"] == "pass"
        r.rewrite("bl.test.a", "0.0.0.0/1\n128.0.0.0/1\n")
        until = time.monotonic() + 40
        for i in range(100000):  # the load of a gateway on which everything is suddenly refused
            got = a.ask(f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}")
            if a.zone()["state"] == "lists_all":
                break
            assert time.monotonic() < until, a.zone()
            time.sleep(0.05)
        assert a.ask("10.9.9.9")["action"] == "unknown"
        assert a.ask("10.0.0.0")["action"] == "unknown"  # what it said before does not count either
        r.rewrite("bl.test.a", POINTS4 + "192.0.2.10\n")
        a.wait_zone("half_open ok", seconds=60)
        assert a.ask("192.0.2.10")["action"] == "reject"
    finally:
        r.close()


def bad_replies(name, query, tcp):
    """Each zone its own kind of rubbish; its test points are sound."""
    point = points_of(name)
    if point or name.startswith(("1.0.0.127.", "1.0.0.0.0.0.f.7.")):
        return reply(query, point or ())
    zone = name.split(".")[-2]
    good = reply(query, ["127.0.0.2"])
    return {
        "outside": lambda: reply(query, ["203.0.113.7"]),
        "blocked": lambda: reply(query, ["127.255.255.254"]),
        "mixed": lambda: reply(query, ["127.0.0.2", "127.255.255.255"]),
        "servfail": lambda: reply(query, rcode=2),
        "refused": lambda: reply(query, rcode=5),
        "counts": lambda: good[:6] + b"\0\x09" + good[8:],
        "cut": lambda: good[:-2],
        "loop": lambda: good[:12] + good[12:-16] + b"\xc0\x0c\0\x01\0\x01\0\0\0\0\xff\xff",
        "stranger": lambda: [reply(query[:2] + query[2:12] + b"\x01x\0\0\x01\0\x01", ["127.0.0.2"]), reply(query)],
        "otherid": lambda: [bytes([query[0] ^ 1]) + good[1:], b"", b"\0", os.urandom(300), reply(query)],
    }[zone]()


@pytest.mark.parametrize("zone,text", [
    ("outside", "an answer outside of 127.0.0.0/8 (203.0.113.7)"), ("blocked", "the zone refuses us (127.255.255.254)"),
    ("mixed", "the zone refuses us (127.255.255.255)"), ("servfail", "the resolver says SERVFAIL"),
    ("refused", "the resolver says REFUSED"), ("counts", "an answer that cannot be read"), ("cut", "an answer that cannot be read"),
    ("loop", "an answer that cannot be read"), ("stranger", None), ("otherid", None)])
def test_rubbish_is_no_listing(asker, responder, zone, text):
    r = responder(bad_replies)
    a = asker(f"1500 {r.address} {zone}.test/standard")
    a.wait_zone("ok", f"{zone}.test")
    got = a.ask("192.0.2.1")
    assert got["action"] == ("pass" if text is None else "unknown"), got
    z = a.zone(f"{zone}.test")
    assert (z["last_error"], z["errors"]) == (text or "", 1 if text else 0)
    if text:  # and five of them are enough
        a.ask(*[f"192.0.2.{i}" for i in range(2, 8)])
        assert a.zone(f"{zone}.test")["state"] == "down"
        assert a.ask("192.0.2.99")["at_once"]


def test_truncated_answers_come_over_tcp(asker, responder):
    def answer(name, query, tcp):
        listed = points_of(name) or (["127.0.0.2"] if name.startswith("10.2.0.192.") else ())
        return reply(query, listed) if tcp else reply(query, (), rcode=0, flags=0x8380)
    r = responder(answer)
    a = asker(f"2000 {r.address} bl.test/standard")
    a.wait_zone("ok")
    assert a.ask("192.0.2.10")["action"] == "reject" and a.ask("192.0.2.11")["action"] == "pass"
    assert "10.2.0.192.bl.test" in r.tcp_seen


def sound(name, query, tcp):
    return reply(query, points_of(name) or (["127.0.0.2"] if name.startswith("10.2.0.192.") else ()))


def test_the_same_question_is_asked_once(asker, responder):
    r = responder(sound)
    a = asker(f"2000 {r.address} bl.test/standard")
    a.wait_zone("ok")
    r.delay = 0.3
    got = a.ask(*["192.0.2.10"] * 50)
    assert {g["action"] for g in got} == {"reject"}
    assert r.seen.count("10.2.0.192.bl.test") == 1 and a.zone()["queries"] == 1


def test_source_ports_change(asker, responder):
    r = responder(sound)
    a = asker(f"2000 {r.address} bl.test/standard")
    a.wait_zone("ok")
    r.sources.clear()
    for i in range(20):
        a.ask(f"198.51.100.{i}")
    assert len(r.sources) >= 18


def test_an_answer_too_late_is_kept(asker, responder):
    """facts E33: a verdict after wait_ms is there at RCPT."""
    r = responder(sound)
    a = asker(f"150 {r.address} bl.test/standard")
    a.wait_zone("ok")
    r.delay = 0.6
    got = a.ask("192.0.2.10")
    assert got["action"] == "unknown" and not got["complete"] and 140 <= got["ms"] < 600
    until = time.monotonic() + 10
    while a.order("cached 192.0.2.10")["action"] != "reject":
        assert time.monotonic() < until
        time.sleep(0.02)
    got = a.ask("192.0.2.10")
    assert got["action"] == "reject" and got["at_once"]


def test_the_second_resolver(asker, responder):
    """The first is dead: the second is asked, and after a few questions it is asked first."""
    silent, r = responder(lambda name, query, tcp: None), responder(sound)
    a = asker(f"3000 {silent.address},{r.address} bl.test/standard")
    a.wait_zone("ok")
    times = []
    for i in range(20):
        times.append(a.ask(f"198.51.100.{i}")["ms"])
        time.sleep(0.15)
    assert a.ask("192.0.2.10")["action"] == "reject"
    assert min(times[-3:]) < 150, times


@needs_rbldnsd
@pytest.mark.slow
@pytest.mark.parametrize("death", ["gone", "silent"])
def test_dns_dies_and_comes_back(asker, responder, death):
    """Pains 3 and 4: no server, or one that swallows everything.  Nobody waits longer than wait_ms, soon nobody waits at all, and the filter
    works again within 60 s in the same process."""
    r = Rbldnsd({"bl.test": {".a": ("ip4set", POINTS4 + "192.0.2.10\n192.0.2.77\n")}})
    hole = None
    try:
        a = asker(f"700 {r.address} bl.test/standard")
        assert a.ask("192.0.2.10")["action"] == "reject"
        r.stop()
        if death == "silent":
            hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            hole.bind(("127.0.0.1", r.port))
        got, i, until = [], 0, time.monotonic() + 20
        while time.monotonic() < until and (not got or not got[-1]["at_once"]):
            i += 1
            got += a.ask(f"198.51.100.{i}", f"198.51.101.{i}")
        assert {g["action"] for g in got} == {"unknown"} and max(g["ms"] for g in got) < 1000
        assert a.wait_zone("down")["last_error"]
        assert a.ask("192.0.2.10")["action"] == "reject"  # what is known is known
        got = a.ask(*[f"203.0.113.{i}" for i in range(200)])
        assert all(g["at_once"] for g in got) and a.zone()["skipped"] >= 200
        time.sleep(8 if death == "silent" else 3)  # several tests fail
        assert a.zone()["state"] == "down"
        if hole:
            hole.close()
        r.start()
        began = time.monotonic()
        while a.ask("192.0.2.77")["action"] != "reject":
            assert time.monotonic() - began < 60
            time.sleep(0.1)
        assert a.wait_zone("half_open ok")["test"]["result"] == "passed" and a.proc.poll() is None
    finally:
        r.close()


def test_dead_from_the_start(asker):
    """O02: nothing is latched by a first test that fails; O04: nobody waits for it."""
    port = free_port()
    a = asker(f"700 127.0.0.1:{port} bl.test/standard")
    got = a.ask("192.0.2.10")
    assert got["action"] == "unknown" and got["ms"] < 1000
    a.wait_zone("down")
    r = Responder(sound, port=port)
    try:
        began = time.monotonic()
        while a.ask("192.0.2.10")["action"] != "reject":
            assert time.monotonic() - began < 60
            time.sleep(0.1)
    finally:
        r.close()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces")
def test_the_systems_resolvers_change(asker, tmp_path):
    """A host that starts before its network: nobody answers at first; then /etc/resolv.conf names somebody who does."""
    net, file = Net(), tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.2\n")
    r = Responder(sound, net, 53)
    try:
        a = asker("700 - bl.test/standard", prefix=net.argv("unshare", "-m", "sh", "-c",
                                                            f'mount --bind {file} /etc/resolv.conf && exec "$0"'))
        a.wait_zone("down")
        assert a.ask("192.0.2.10")["action"] == "unknown"
        file.write_text("nameserver 127.0.0.1\n")
        began = time.monotonic()
        while a.ask("192.0.2.10")["action"] != "reject":
            assert time.monotonic() - began < 60
            time.sleep(0.1)
        assert a.proc.poll() is None
    finally:
        r.close()
        net.close()


def test_reload(asker, responder):
    """Settings change under way: what is asked is answered, what is known stays, a zone keeps its figures."""
    one, two = responder(sound), responder(sound)
    a = asker(f"2000 {one.address} bl.test/standard")
    a.wait_zone("ok")
    assert a.ask("192.0.2.10")["action"] == "reject"
    one.delay = 0.3
    a.tell("ask 198.51.100.1")
    a.tell(f"conf 2000 {two.address} bl.test/standard/127.0.0.2=defer other.test/advanced")
    got = [a.line(), a.line()]
    assert {"ok": True} in got
    late = next(g for g in got if "action" in g)
    assert late["action"] == "pass" and late["complete"] and one.seen[-1] == "1.100.51.198.bl.test"
    got = a.ask("192.0.2.10")
    assert got["action"] == "defer" and got["zone"] == "bl.test" and one.seen.count("10.2.0.192.bl.test") == 1
    assert a.zone()["queries"] == 2 and "10.2.0.192.bl.test" not in two.seen
    assert a.ask("198.51.100.2")["action"] == "pass" and "2.100.51.198.other.test" in two.seen
    a.conf(f"2000 {two.address}")
    assert a.order("status") == {} and a.ask("192.0.2.10")["action"] == "pass"
