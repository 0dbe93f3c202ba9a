"""The planner's output on the real Postfix: rendered into a private instance, started in a network namespace of its
own, and asked over SMTP.  Needs root, Postfix 3.7 and the environment variable PLAN_TOOL; else it is skipped."""
import ctypes
import json
import os
import pathlib
import shutil
import smtplib
import socket
import socketserver
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import pytest

TOOL = os.environ.get("PLAN_TOOL", "")
DEVICE = "0199d000-0000-7000-8000-000000000001"
PROBE = "probe@%s.inari.invalid" % DEVICE
DIGEST = "0123456789abcdef" * 4
OUTSIDE, INSIDE, LISTED, OWN = "198.18.0.66", "198.18.0.9", "198.18.7.5", "198.18.0.2"
STOCK = """pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not TOOL or shutil.which("postfix") is None, reason="needs root, Postfix and PLAN_TOOL")


@pytest.fixture(scope="module", autouse=True)
def namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000) != 0:  # CLONE_NEWNET: our ports disturb nobody
        pytest.skip("no network namespaces here")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for a in (OUTSIDE + "/32", INSIDE + "/32", LISTED + "/32", OWN + "/32", "2001:db8::2/128"):
        subprocess.run(["ip", "addr", "add", a, "dev", "lo"], check=True)


def plan(settings, facts=None):
    doc = {"settings": settings, "digest": DIGEST,
           "facts": dict({"device_id": DEVICE, "hostname": "mx1.example.test", "postfix": "3.7.11", "foxproxy": "0.1.0",
                          "addresses": [OWN, "127.0.0.1", "2001:db8::2", "::1"], "map_types": ["cidr", "texthash"]}, **(facts or {}))}
    r = subprocess.run([TOOL], input=json.dumps(doc), capture_output=True, text=True, timeout=20)
    return r.returncode, json.loads(r.stdout)


class Instance:
    def __init__(self, settings):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="inari-plan-"))
        self.dir.chmod(0o755)
        rc, self.plan = plan(settings)
        assert rc == 0, self.plan
        self.etc = self.dir / "etc"
        for d in ("etc", "spool", "data"):
            (self.dir / d).mkdir()
        shutil.chown(self.dir / "data", "postfix")
        (self.dir / "data").chmod(0o700)
        self.render()

    def render(self):
        main = ["config_directory = %s" % self.etc, "queue_directory = %s/spool" % self.dir, "data_directory = %s/data" % self.dir,
                "command_directory = /usr/sbin", "daemon_directory = /usr/lib/postfix/sbin", "mail_owner = postfix",
                "setgid_group = postdrop", "syslog_name = inari-plan-test", "smtp_host_lookup = native"]
        main += ["%s = %s" % kv for kv in self.plan["parameters"].items()]
        (self.etc / "main.cf").write_text("\n".join(main) + "\n")
        master = [STOCK]
        for s in self.plan["services"]:
            master.append(" ".join(s[k] for k in ("service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command")))
            master += ["  -o { %s = %s }" % kv for kv in s["options"].items()]
        (self.etc / "master.cf").write_text("\n".join(master) + "\n")
        (self.etc / "inari-drain").write_text("# not drained\n")  # the helper's own (agent/apply/drain.h)
        tables = self.etc / self.plan["tables_dir"]
        tables.mkdir(parents=True)
        for t in self.plan["tables"]:
            (tables / t["name"]).write_text(t["content"])

    def postfix(self, *verb):
        return subprocess.run(["postfix", "-c", str(self.etc), *verb], capture_output=True, text=True, timeout=60)

    def queue(self):
        return subprocess.run(["postqueue", "-c", str(self.etc), "-j"], capture_output=True, text=True, timeout=20).stdout.splitlines()

    def __enter__(self):
        r = self.postfix("start")
        assert r.returncode == 0, r.stderr
        front = any(x["role"] == "front" for x in self.plan["listeners"])
        wait(lambda: talk(2500, first=proxy(OUTSIDE)) if front else talk(25), "a banner")
        return self

    def __exit__(self, *_):
        self.postfix("stop")
        shutil.rmtree(self.dir, ignore_errors=True)


def wait(ready, what, seconds=10):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if ready():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("no " + what)


def talk(port, *lines, host="127.0.0.1", source=None, first=b""):
    """Send the lines one by one; the last line of each reply, the banner first."""
    with socket.create_connection((host, port), 5, source_address=(source, 0) if source else None) as s:
        s.settimeout(10)
        f = s.makefile("rb")
        replies = []

        def reply():
            while True:
                line = f.readline()
                if not line or line[3:4] != b"-":
                    replies.append(line.decode().strip())
                    return
        s.sendall(first)
        reply()
        for line in lines:
            s.sendall(line if isinstance(line, bytes) else line.encode() + b"\r\n")
            reply()
        return replies


def rcpt(to, port=25, sender="a@sender.test", **kw):
    return talk(port, "EHLO client.sender.test", "MAIL FROM:<%s>" % sender, "RCPT TO:<%s>" % to, **kw)[-1]


def proxy(address, command=1):
    v6 = ":" in address
    body = socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, address)
    body += socket.inet_pton(socket.AF_INET6, "2001:db8::2") if v6 else socket.inet_aton(OWN)
    body += struct.pack("!HH", 4000, 25)
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, 0x21 if v6 else 0x11]) + struct.pack("!H", len(body)) + body


class Sink(socketserver.ThreadingTCPServer):
    """An SMTP or LMTP server that keeps every message; with reinject it passes it on to 10026, as scand does."""
    allow_reuse_address, daemon_threads = True, True

    def __init__(self, address, port, reinject=False):
        self.messages, self.reinject, self.xforward = [], reinject, []
        super().__init__((address, port), Session)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        self.say("220 sink")
        lmtp, sender, to = False, "", []
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb in (b"EHLO", b"LHLO"):
                lmtp = verb == b"LHLO"
                self.say("250-sink\r\n250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n250 8BITMIME")
            elif verb == b"DATA":
                self.say("354 go")
                data = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    data += part[1:] if part.startswith(b"..") else part
                self.server.messages.append((sender, to, data))
                if self.server.reinject:
                    with smtplib.SMTP("127.0.0.1", 10026, timeout=20) as s:
                        s.ehlo("scand")
                        s.docmd("XFORWARD", self.server.xforward[-1])
                        s.sendmail(sender, to, b"X-Scanned: yes\r\n" + data)
                for _ in to if lmtp else [0]:
                    self.say("250 2.0.0 ok")
                sender, to = "", []
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            else:
                if verb == b"MAIL":
                    sender = line.split(b"<")[1].split(b">")[0].decode()
                elif verb == b"RCPT":
                    to.append(line.split(b"<")[1].split(b">")[0].decode())
                elif verb == b"XFOR":
                    self.server.xforward.append(line.decode().strip()[9:])
                self.say("250 2.0.0 ok")


BASE = {"smtp.relay_domains": {"example.test": {"subdomains": True}, "b.test": {}}, "smtp.relay_networks": {"198.18.7.0/24": {}},
        "smtp.routes": {"example.test": {"next_hop": "[%s]:2600" % INSIDE, "subdomains": True},
                        "b.test": {"next_hop": "[%s]:2600" % INSIDE, "tls": "none"}},
        "smtp.relayhost": "[%s]:2600" % INSIDE, "smtp.postmaster": "admin@example.test", "smtp.banner_text": "Example",
        "smtp.recipient_map": {"joe@b.test": {}}}


def send(to, body="Subject: hi\r\n\r\nhello\r\n", source=OUTSIDE, port=25):
    with smtplib.SMTP("127.0.0.1", port, source_address=(source, 0), timeout=20) as s:
        s.ehlo("client.sender.test")
        return s.sendmail("a@sender.test", [to], body)


@pytest.mark.parametrize("mode", ["direct", "plain", "front"])
def test_check_is_silent(mode):
    i = Instance(dict(BASE, **{"path.mode": mode}))
    try:
        i.postfix("check")  # creates the spool
        r = i.postfix("check")
        assert (r.returncode, r.stderr) == (0, "")
        p = subprocess.run(["postconf", "-c", str(i.etc), "-n"], capture_output=True, text=True, timeout=20)
        assert p.stderr == "" and p.returncode == 0
        p = subprocess.run(["postconf", "-c", str(i.etc), "-Mf"], capture_output=True, text=True, timeout=20)
        assert p.stderr == "" and p.returncode == 0
    finally:
        shutil.rmtree(i.dir)


def test_direct():
    with Sink(INSIDE, 2600) as inside, Sink("127.0.0.1", 10028) as sink, Instance(BASE):
        assert talk(25)[0] == "220 mx1.example.test ESMTP Example"
        assert talk(25, host="2001:db8::2")[0].startswith("220 ")
        assert talk(10029)[0] == "220 inari %s %s" % (DIGEST, DIGEST)
        assert rcpt("x@example.test", port=10029)[:3] == "554"
        # relay domains from everyone, the rest from the listed network only
        for to in ("x@example.test", "x@sub.example.test", "joe@b.test", "postmaster@b.test", "postmaster@mx1.example.test", "postmaster"):
            assert rcpt(to, source=OUTSIDE)[:3] == "250", to
        for to in ("x@foreign.test", "x@sub.b.test", "x%foreign.test@example.test", "@example.test:x@foreign.test",
                   '"x@foreign.test"@example.test', "foreign.test!x@example.test"):
            answer = rcpt(to, source=OUTSIDE)
            if answer[:3] == "250":  # then as a local part of our own domain, never as a route
                assert "%" in to or "!" in to or '"' in to, to
        assert rcpt("x@foreign.test", source=OUTSIDE)[:9] == "554 5.7.1"
        assert rcpt("x@foreign.test")[:9] == "554 5.7.1"  # the device itself is not listed either
        assert rcpt("x@foreign.test", source=LISTED)[:3] == "250"
        assert rcpt("nobody@b.test", source=OUTSIDE)[:9] == "550 5.1.1"
        # form is asked of strangers only, and asking it of nobody would not let them relay
        assert rcpt("x@example.test", source=OUTSIDE, sender="scanner")[:9] == "504 5.5.2"
        assert rcpt("x@foreign.test", source=LISTED, sender="scanner")[:3] == "250"
        assert talk(25, "HELO -x-", "MAIL FROM:<a@sender.test>", "RCPT TO:<x@example.test>", source=OUTSIDE)[-1][:9] == "501 5.5.2"
        assert talk(25, "HELO -x-", "MAIL FROM:<a@sender.test>", "RCPT TO:<x@example.test>", source=LISTED)[-1][:3] == "250"
        assert rcpt("nobody@mx1.example.test", source=OUTSIDE)[:9] == "550 5.1.1"
        assert talk(25, "EHLO c.test", "VRFY joe")[-1][:3] == "502"
        assert talk(25, "MAIL FROM:<a@b.test>")[-1][:3] == "503"
        # the test message: only through the probe listener
        for source in (OUTSIDE, LISTED):
            assert rcpt(PROBE, source=source)[:9] == "550 5.1.2"
        for client in ("192.0.2.1", "2001:db8::1"):
            assert rcpt("x@foreign.test", port=10027, first=proxy(client))[:9] == "554 5.7.1"
            assert rcpt("x@example.test", port=10027, first=proxy(client))[:3] == "250"
            assert rcpt(PROBE, port=10027, first=proxy(client))[:3] == "250"
        assert rcpt("x@foreign.test", port=10027, first=proxy("198.18.7.9"))[:3] == "250"
        assert rcpt("x@foreign.test", port=10027, first=proxy("127.0.0.1"))[:9] == "554 5.7.1"
        assert rcpt("x@foreign.test", port=10027, first=proxy("192.0.2.1", command=0))[:9] == "554 5.7.1"  # LOCAL
        r = talk(10027, "EHLO c.test", "MAIL FROM:<>", "RCPT TO:<%s>" % PROBE, "DATA", b"Subject: probe\r\n\r\n.\r\n", first=proxy("192.0.2.1"))
        assert r[-1][:3] == "250"
        wait(lambda: sink.messages, "the test message in the sink")
        assert sink.messages[0][1] == [PROBE]
        assert send("x@sub.example.test") == {}
        assert send("joe@b.test") == {}
        assert send("postmaster@mx1.example.test") == {}
        wait(lambda: len(inside.messages) == 3, "three messages inside")
        assert sorted(m[1][0] for m in inside.messages) == ["admin@example.test", "joe@b.test", "x@sub.example.test"]


@pytest.mark.parametrize("mode", ["normalize", "reject"])
def test_smuggling(mode):
    with Sink(INSIDE, 2600) as inside, Instance(dict(BASE, **{"smtp.forbid_bare_newline": mode})):
        for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n"):
            with socket.create_connection(("127.0.0.1", 25), 5, source_address=(LISTED, 0)) as s:
                s.settimeout(10)
                f = s.makefile("rb")
                f.readline()
                for line in (b"HELO c.test\r\n", b"MAIL FROM:<a@sender.test>\r\n", b"RCPT TO:<x@example.test>\r\n", b"DATA\r\n"):
                    s.sendall(line)
                    f.readline()
                s.sendall(b"Subject: one\r\n\r\nbody" + end + b"MAIL FROM:<evil@sender.test>\r\nRCPT TO:<x@example.test>\r\nDATA\r\nsmuggled\r\n.\r\n")
                answer = f.readline()
                assert answer[:3] == (b"250" if mode == "normalize" else b"550"), answer
        if mode == "normalize":
            wait(lambda: len(inside.messages) == 3, "three messages")
        time.sleep(0.3)
        assert all(m[0] == "a@sender.test" for m in inside.messages)


def test_plain():
    limit = 100000
    with Sink(INSIDE, 2600) as inside, Sink("127.0.0.1", 10028) as sink:
        with Instance(dict(BASE, **{"path.mode": "plain", "smtp.message_size_limit": limit, "smtp.header_size_limit": 50000,
                                    "queue.minimal_backoff": 10, "queue.run_delay": 10})) as postfix:
            # scanner away: taken, kept, not passed on (P04)
            assert send("x@example.test") == {}
            wait(lambda: any('"deferred"' in q for q in postfix.queue()), "a waiting message")
            assert inside.messages == []
            with Sink("127.0.0.1", 10025, reinject=True) as scan:
                subprocess.run(["postqueue", "-c", str(postfix.etc), "-f"], check=True, timeout=20)
                wait(lambda: len(inside.messages) == 1, "the message behind the scanner", 20)
                assert b"X-Scanned: yes" in inside.messages[0][2]
                assert "ADDR=%s" % OUTSIDE in " ".join(scan.xforward)
                # postmaster is mapped once, behind the filter
                assert send("postmaster@mx1.example.test") == {}
                wait(lambda: len(inside.messages) == 2, "mail to postmaster")
                assert scan.messages[1][1] == ["postmaster@mx1.example.test"]
                assert inside.messages[1][1] == ["admin@example.test"]
                # the largest message the door lets in is not too large behind the scanner
                for lines in range(limit // 80, 0, -1):
                    try:
                        assert send("x@example.test", "Subject: big\r\n\r\n" + ("x" * 78 + "\r\n") * lines) == {}
                        break
                    except smtplib.SMTPResponseException as e:
                        assert e.smtp_code == 552
                assert lines * 80 > limit - 2000
                wait(lambda: len(inside.messages) == 3, "the big message")
                r = talk(10027, "EHLO c.test", "MAIL FROM:<>", "RCPT TO:<%s>" % PROBE, "DATA", b"Subject: probe\r\n\r\n.\r\n", first=proxy("192.0.2.1"))
                assert r[-1][:3] == "250"
                wait(lambda: sink.messages, "the test message in the sink")
                assert b"X-Scanned: yes" in sink.messages[0][2]
                assert postfix.queue() == []
        # nobody but loopback reaches 10026 at all
        with Instance(dict(BASE, **{"path.mode": "plain"})):
            with pytest.raises(OSError):
                talk(10026, host=OWN)
            assert rcpt("x@foreign.test", port=10026)[:3] == "250"


def proxy1(address):
    """The text form; the family is the header's own word, so a mapped address can be said as TCP6."""
    v6 = ":" in address
    return ("PROXY %s %s %s 4000 25\r\n" % ("TCP6" if v6 else "TCP4", address, "2001:db8::2" if v6 else OWN)).encode()


# Who a PROXY header may claim to be without ever being somebody who may relay: loopback, the device, the proxy's own side.
NOBODY = ["127.0.0.1", "127.1.2.3", "::1", OWN, "2001:db8::2", "::ffff:127.0.0.1", "::ffff:%s" % OWN, "0.0.0.0", "::"]


def foreign(header):
    """What a foreign recipient is answered behind a header; None: not a word, the connection is closed."""
    try:
        answers = talk(2500, "EHLO client.sender.test", "MAIL FROM:<a@sender.test>", "RCPT TO:<x@foreign.test>", first=header)
    except ConnectionError:
        return None
    return answers[-1][:9] if answers[0][:3] == "220" else None


# forced by an administrator: the own network and even loopback are listed
FORCED = {"198.18.0.0/24": {}, "2001:db8::/64": {}, "127.0.0.0/8": {}, "::1": {}, "198.18.7.0/24": {}}


@pytest.mark.parametrize("networks", [BASE["smtp.relay_networks"], FORCED], ids=["listed", "forced"])
def test_front_relays_for_the_listed_only(networks):
    """P02: behind the sender filter the header says who the client is, and nobody becomes a permitted sender by being near."""
    with Instance(dict(BASE, **{"path.mode": "front", "smtp.relay_networks": networks})):
        for claim in NOBODY:
            for header in (proxy(claim), proxy1(claim)):
                assert foreign(header) in ("554 5.7.1", None), (claim, header)
        for claim in ("203.0.113.1", "2001:db8:1::1"):
            assert foreign(proxy(claim)) == foreign(proxy1(claim)) == "554 5.7.1", claim
            assert rcpt("x@example.test", port=2500, first=proxy(claim))[:3] == "250"
        assert foreign(proxy(LISTED))[:3] == "250"
        assert foreign(proxy1(LISTED))[:3] == "250"
        # one that is listed is the same client in its mapped spelling, or nobody
        assert foreign(proxy("::ffff:" + LISTED)) in ("250 2.1.5", "554 5.7.1", None)
        if networks is FORCED:
            assert foreign(proxy("2001:db8::77"))[:3] == "250"
        # no client in the header: never the other side of the connection
        assert foreign(proxy("192.0.2.1", command=0)) == "554 5.7.1"  # LOCAL
        assert foreign(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0") in ("554 5.7.1", None)
        assert foreign(b"PROXY UNKNOWN\r\n") in ("554 5.7.1", None)
        assert foreign(b"\r\n\r\n\0\r\nQUIT\n\x21\x00\0\0") is None  # UNSPEC
        assert foreign(b"PROXY TCP4 198.18.7.5\r\n") is None
        # a second header, or another way to claim an address, behind the filter's
        assert foreign(proxy("203.0.113.1") + proxy(LISTED)) != "250 2.1.5"
        r = talk(2500, "EHLO c.test", "XCLIENT ADDR=%s" % LISTED, "MAIL FROM:<a@b.test>", "RCPT TO:<x@foreign.test>", first=proxy("203.0.113.1"))
        assert r[2][:3] == "550" and r[-1][:9] == "554 5.7.1"


# Ways to write a foreign recipient, or a way to one through a domain of ours.
FORMS = [line for line in (pathlib.Path(__file__).parents[2] / "data/foreign-recipients.txt").read_text().split("\n") if line and line[0] != "#"]


@pytest.mark.parametrize("mode", ["direct", "front"])
@pytest.mark.parametrize("client", ["203.0.113.1", "2001:db8:1::1", OWN])
def test_no_form_of_a_foreign_recipient_is_relayed(mode, client):
    """Refused, or taken as a user of our own domain with an odd name: what leaves is never for another domain."""
    if mode == "direct" and client != OWN:
        pytest.skip("an address of another machine takes a header")
    settings = dict(BASE, **{"path.mode": mode, "smtp.relay_networks": FORCED, "smtp.recipient_map": {}, "smtp.hard_error_limit": 1000})
    how = {"first": proxy(client), "port": 2500} if mode == "front" else {"source": client}
    if mode == "direct":  # the device itself, and no network of its own
        settings["smtp.relay_networks"] = BASE["smtp.relay_networks"]
    with Sink(INSIDE, 2600) as inside, Instance(settings) as postfix:
        taken = []
        for to in FORMS:
            answers = talk(how["port"] if "port" in how else 25, "EHLO c.test", "MAIL FROM:<a@sender.test>", "RCPT TO:<%s>" % to, "DATA",
                           b"Subject: %d\r\n\r\n.\r\n" % len(taken), **{k: v for k, v in how.items() if k != "port"})
            if answers[3][:3] == "250":
                taken.append(to)
            else:
                assert answers[3][:1] == "5", (to, answers)
        assert set(taken) <= {"@foreign.test:x@example.test"}  # RFC 5321 says to ignore the way: a user of our own
        assert talk(how["port"] if "port" in how else 25, "EHLO c.test", "MAIL FROM:<a@sender.test>", "RCPT TO:<x@example.test>", "DATA",
                    b"Subject: last\r\n\r\n.\r\n", **{k: v for k, v in how.items() if k != "port"})[-1][:3] == "250"
        wait(lambda: any(b"Subject: last" in m[2] for m in inside.messages) and not postfix.queue(), "what was taken", 20)
        for m in inside.messages:
            for to in m[1]:
                assert to.rsplit("@", 1)[-1].lower() in ("example.test", "b.test", "mx1.example.test") or m[0] == "", (m, taken)
            assert m[0] != "" or m[1] == ["a@sender.test"], "a bounce to the sender at most"
        assert not [m for m in inside.messages if m[0] == ""], ("no bounce either", taken)


def test_front():
    settings = dict(BASE, **{"path.mode": "front", "smtp.client_access": {"203.0.113.0/24": {}}, "smtp.client_connection_limit": 2,
                             "smtp.forbid_bare_newline": "normalize"})
    with Sink(INSIDE, 2600) as inside, Sink("127.0.0.1", 10028) as sink, Instance(settings) as postfix:
        with pytest.raises(OSError):
            talk(25)  # foxproxy's, and it is not here
        with pytest.raises(OSError):
            talk(2500, host=OWN, first=proxy(OUTSIDE))
        begin = time.monotonic()
        assert talk(2500)[0][:3] in ("421", "")  # no header, no session
        assert 3 < time.monotonic() - begin < 9
        assert talk(2500, first=proxy(OUTSIDE))[0] == "220 mx1.example.test ESMTP Example"
        assert talk(2500, first=proxy("2001:db8:1::1"))[0][:4] == "220 "
        assert talk(10029)[0] == "220 inari %s %s" % (DIGEST, DIGEST)
        assert rcpt("x@foreign.test", port=10027, first=proxy("192.0.2.1"))[:9] == "554 5.7.1"
        # lists and limits of Postfix go by the true client
        assert rcpt("x@example.test", port=2500, first=proxy("203.0.113.9"))[:9] == "554 5.7.1"
        held = []
        for _ in range(2):
            held.append(socket.create_connection(("127.0.0.1", 2500), 5))
            held[-1].sendall(proxy(OUTSIDE))
            assert held[-1].recv(100)[:3] == b"220"
        assert talk(2500, first=proxy(OUTSIDE))[0][:3] == "421"
        assert talk(2500, first=proxy("192.0.2.99"))[0][:3] == "220"
        for s in held:
            s.close()
        # a drained device takes nothing new, whoever it is from
        (postfix.etc / "inari-drain").write_text("0.0.0.0/0 450 4.3.2 drained\n::/0 450 4.3.2 drained\n")
        assert postfix.postfix("reload").returncode == 0
        wait(lambda: rcpt("x@example.test", port=2500, first=proxy("192.0.2.5"))[:3] == "450", "the drain")
        (postfix.etc / "inari-drain").write_text("# not drained\n")
        assert postfix.postfix("reload").returncode == 0
        wait(lambda: rcpt("x@example.test", port=2500, first=proxy("192.0.2.5"))[:3] == "250", "the end of it")
        # the address reaches the message, and no smuggled second one goes with it
        for n, (client, end) in enumerate((("192.0.2.7", b"\r\n.\r\n"), ("2001:db8:1::7", b"\r\n.\n"), ("192.0.2.8", b"\n.\n"))):
            r = talk(2500, "EHLO c.test", "MAIL FROM:<a@sender.test>", "RCPT TO:<x@example.test>", "DATA",
                     b"Subject: one\r\n\r\nbody" + end + (b"" if n == 0 else b"MAIL FROM:<evil@sender.test>\r\nRCPT TO:<x@example.test>\r\nDATA\r\n.\r\n"),
                     first=proxy(client))
            assert r[-1][:3] == "250"
        wait(lambda: len(inside.messages) == 3, "three messages")
        text = b"".join(m[2] for m in inside.messages)
        assert b"[192.0.2.7]" in text and b"[IPv6:2001:db8:1::7]" in text and b"127.0.0.1" not in text
        time.sleep(0.3)
        assert len(inside.messages) == 3 and all(m[0] == "a@sender.test" for m in inside.messages)
        r = talk(10027, "EHLO c.test", "MAIL FROM:<>", "RCPT TO:<%s>" % PROBE, "DATA", b"Subject: probe\r\n\r\n.\r\n", first=proxy("192.0.2.1"))
        assert r[-1][:3] == "250"
        wait(lambda: sink.messages, "the test message in the sink")


def test_connection_control():
    with Instance(dict(BASE, **{"smtp.client_access": {"198.18.0.0/24": {}}})):
        assert rcpt("x@example.test", source=OUTSIDE)[:9] == "554 5.7.1"
        assert rcpt("x@example.test", source=LISTED)[:3] == "250"
    with Instance(dict(BASE, **{"smtp.client_access": {"198.18.0.0/24": {}}, "smtp.client_connection_mode": "permit_list"})):
        assert rcpt("x@example.test", source=OUTSIDE)[:3] == "250"
        assert rcpt("x@foreign.test", source=OUTSIDE)[:9] == "554 5.7.1"  # permitted to connect, never to relay
        assert rcpt("x@example.test", source=LISTED)[:9] == "554 5.7.1"


@pytest.mark.parametrize("hops", ["[%s]:2600, [%s]:2600" % (OWN, INSIDE),          # nobody listens at the first
                                  "[%s]:2699, [%s]:2601, [%s]:2600" % (INSIDE, INSIDE, INSIDE),
                                  "[no-such.invalid], [%s]:2600" % INSIDE,          # the first has no address
                                  "no-such.invalid, [%s]:2600" % INSIDE])           # by MX, and there is none
def test_the_next_server_takes_over(hops):
    """Several servers in one next hop, for a route, for a route with TLS of its own and for smtp.relayhost: real mail goes
    to the second when the first is down, without waiting in the queue; when all are down it waits and nothing is lost."""
    settings = dict(BASE, **{"smtp.relayhost": hops, "smtp.routes": {"example.test": {"next_hop": hops},
                                                                     "b.test": {"next_hop": hops, "tls": "none"}}})
    with Instance(settings) as i:
        with Sink(INSIDE, 2600) as sink:
            for to in ("x@example.test", "joe@b.test"):
                send(to)
            send("x@foreign.test", source=LISTED)
            wait(lambda: len(sink.messages) == 3, "three messages at the second server", 20)
            assert {m[1][0] for m in sink.messages} == {"x@example.test", "joe@b.test", "x@foreign.test"}
        wait(lambda: not i.queue(), "empty queue")
        send("x@example.test")
        wait(lambda: any(json.loads(q)["queue_name"] == "deferred" for q in i.queue()), "deferred message", 20)
        with Sink(INSIDE, 2600) as sink:
            subprocess.run(["postqueue", "-c", str(i.etc), "-f"], check=True, timeout=20)
            wait(lambda: len(sink.messages) == 1, "the waiting message", 20)


def test_listen_address_and_size():
    with Instance(dict(BASE, **{"smtp.listen_address": "127.0.0.1", "smtp.message_size_limit": 65536, "smtp.header_size_limit": 5000})):
        with pytest.raises(OSError):
            talk(25, host=OWN)
        assert talk(25, "EHLO c.test", "MAIL FROM:<a@b.test> SIZE=70000")[-1][:3] == "552"
        assert any("65536" in line for line in smtplib.SMTP("127.0.0.1", 25).ehlo()[1].decode().splitlines())


@pytest.mark.parametrize("bound", ["minimum", "maximum"])
def test_bounds_are_bearable(bound):
    """Every number at its bound at once: Postfix starts, takes a message and delivers it."""
    schema = json.loads((pathlib.Path(__file__).parents[3] / "api/settings.schema.json").read_text())
    settings = {k: v["anyOf"][0][bound] for k, v in schema["$defs"].items() if bound in v["anyOf"][0] and "port" not in k}
    settings.pop("queue.min_free")  # at its maximum this machine has not room enough, as it should say
    with Sink(INSIDE, 2600) as inside, Sink("127.0.0.1", 10025, reinject=True), Instance(dict(BASE, **settings, **{"path.mode": "plain"})) as postfix:
        assert postfix.postfix("check").stderr == ""
        assert send("x@example.test") == {}
        wait(lambda: len(inside.messages) == 1, "the message")


def test_tls():
    pems = pathlib.Path(tempfile.mkdtemp(prefix="inari-pem-"))
    cert, key = str(pems / "cert.pem"), str(pems / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=mx1.example.test", "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    settings = dict(BASE, **{"smtp_tls.inbound": "encrypt", "smtp_tls.cert_file": cert, "smtp_tls.key_file": key})
    settings["smtp.routes"] = {"example.test": {"next_hop": "[%s]:2600" % INSIDE, "tls": "encrypt"}, "b.test": {"next_hop": "[%s]:2600" % INSIDE}}
    try:
        with Sink(INSIDE, 2600) as inside, Instance(settings) as postfix:
            assert talk(25, "EHLO c.test", "MAIL FROM:<a@b.test>")[-1][:3] == "530"
            for newest, works in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
                ctx = ssl.create_default_context(cafile=cert)
                ctx.check_hostname, ctx.minimum_version, ctx.maximum_version = False, ssl.TLSVersion.TLSv1, newest
                ctx.set_ciphers("ALL:@SECLEVEL=0")
                with smtplib.SMTP("127.0.0.1", 25, source_address=(OUTSIDE, 0), timeout=20) as s:
                    s.ehlo("c.test")
                    if not works:
                        with pytest.raises(ssl.SSLError):
                            s.starttls(context=ctx)
                        s.close()
                        continue
                    s.starttls(context=ctx)
                    for to in ("x@example.test", "joe@b.test"):
                        assert s.sendmail("a@sender.test", [to], "Subject: x\r\n\r\n") == {}
            # the next hop offers no TLS: mail that must have it waits, the rest goes
            wait(lambda: len(inside.messages) == 2, "two messages in clear")
            wait(lambda: len([q for q in postfix.queue() if '"deferred"' in q]) == 2, "two that wait for TLS")
            assert {m[1][0] for m in inside.messages} == {"joe@b.test"}
    finally:
        shutil.rmtree(pems)


def test_refused_settings():
    for settings, want in (({"path.mode": "front", "sender_filter.backend_port": 25}, "P01.twice"),
                           ({"smtp.relay_networks": {"0.0.0.0/1": {}, "128.0.0.0/1": {}}}, "P05.everyone"),
                           ({"smtp.banner_text": "$(id)"}, "V.character"),
                           ({"smtp.relayhost": "[198.18.0.2]:25"}, "P06.own-address")):
        rc, found = plan(settings)
        assert rc == 1 and want in [x["id"] for x in found]
