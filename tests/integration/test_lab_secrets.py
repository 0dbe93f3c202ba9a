"""A secret of the settings, from the API to the one file that may have it: signing in at a smart host that takes nothing
else, and everywhere it must not be found."""
import base64
import json
import os
import subprocess
import tarfile
import uuid

import parentlib
import pytest
from ctllib import Ctl
from parentlib import wait_until
from test_lab_routing import postconf, send

pytestmark = [pytest.mark.lab, pytest.mark.slow]
KEYS = ("smtp.relayhost", "smtp.relayhost_user", "smtp.relayhost_password", "smtp_tls.outbound", "smtp.relay_domains")
USER = "mx1@example.test"
SERVER = r'''
"""A smart host: STARTTLS, then AUTH PLAIN or LOGIN with the words of a file, then mail; nothing else."""
import base64, os, socketserver, ssl, sys
address, port, folder, user = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(folder, "cert.pem"))
class Handler(socketserver.BaseRequestHandler):
    def say(self, text):
        self.request.sendall(text.encode() + b"\r\n")
    def line(self):
        data = b""
        while not data.endswith(b"\n"):
            more = self.request.recv(1)
            if not more:
                raise EOFError
            data += more
        return data.decode().rstrip("\r\n")
    def words(self):
        with open(os.path.join(folder, "password")) as f:
            return user, f.read()
    def note(self, what):
        with open(os.path.join(folder, "log"), "a") as f:
            f.write(what + "\n")
    def handle(self):
        tls = known = False
        rcpts = []
        self.say("220 smart.test ESMTP")
        try:
            while True:
                line = self.line()
                word = line.split(" ")[0].upper()
                if word == "EHLO":
                    self.say("250-smart.test\r\n" + ("250 AUTH PLAIN LOGIN" if tls else "250 STARTTLS"))
                elif word == "STARTTLS":
                    self.say("220 go")
                    self.request = context.wrap_socket(self.request, server_side=True)
                    tls = True
                elif word == "AUTH":
                    what = line.split(" ")
                    if what[1] == "PLAIN":
                        got = base64.b64decode(what[2]).decode().split("\0")[1:]
                    else:
                        self.say("334 VXNlcm5hbWU6"); name = base64.b64decode(self.line()).decode()
                        self.say("334 UGFzc3dvcmQ6"); got = [name, base64.b64decode(self.line()).decode()]
                    known = tls and tuple(got) == self.words()
                    self.note(f"auth {'ok' if known else 'refused'} tls={tls}")
                    self.say("235 ok" if known else "535 no")
                elif word in ("MAIL", "RCPT", "DATA") and not known:
                    self.note("without auth")
                    self.say("530 sign in first")
                elif word == "RCPT":
                    rcpts.append(line.split("<")[1].split(">")[0])
                    self.say("250 ok")
                elif word == "DATA":
                    self.say("354 go")
                    while self.line() != ".":
                        pass
                    for r in rcpts:
                        self.note("mail " + r)
                    rcpts = []
                    self.say("250 ok")
                elif word == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")
        except (EOFError, OSError):
            pass
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
Server((address, port), Handler).serve_forever()
'''


class Smart:
    def __init__(self, rig):
        self.rig, self.dir = rig, os.path.join(rig.dir, "smart")
        os.makedirs(self.dir, exist_ok=True)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=smart.test", "-keyout",
                        f"{self.dir}/key.pem", "-out", f"{self.dir}/crt.pem"], check=True, capture_output=True)
        with open(f"{self.dir}/cert.pem", "w") as out:
            for part in ("key.pem", "crt.pem"):
                with open(f"{self.dir}/{part}") as f:
                    out.write(f.read())
        with open(f"{self.dir}/server.py", "w") as f:
            f.write(SERVER)
        self.address = rig.json["outside"]["addresses"][74]
        self.p = rig.lab.host("outside").spawn("smart", ["/usr/bin/python3", f"{self.dir}/server.py", self.address, "5870", self.dir, USER])

    def takes(self, password):
        with open(f"{self.dir}/password", "w") as f:
            f.write(password)

    def log(self):
        try:
            with open(f"{self.dir}/log") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def close(self):
        self.p.terminate()
        self.p.wait(10)
        for name in ("password", "log"):
            if os.path.exists(f"{self.dir}/{name}"):
                os.unlink(f"{self.dir}/{name}")


@pytest.fixture
def smart(lab):
    s = Smart(lab)
    yield s
    s.close()


@pytest.fixture
def child(lab):
    name = lab.children[-1]
    yield name
    lab.api.publish({"devices": {name: {k: {"$inherit": True} for k in KEYS}}}, "back to the fleet's")
    lab.wait_in_sync()


def with_auth(smart, password):
    return {"smtp.relayhost": f"[{smart.address}]:5870", "smtp.relayhost_user": USER, "smtp.relayhost_password": password,
            "smtp_tls.outbound": "encrypt", "smtp.relay_domains": {"away.test": {}}}


def publish(lab, child, settings):
    made = lab.api.publish({"devices": {child: settings}}, "signing in")
    lab.wait_in_sync([child])
    return made


def forms(text):
    """The text as it is, and as base64 (also of URLs) would have it in the middle of something else."""
    found = [text]
    for shift in range(3):
        raw = base64.b64encode(b"\0" * shift + text.encode()).decode()
        core = raw[4 if shift else 0:len(raw) // 4 * 4 - 4]
        found += [core, core.replace("+", "-").replace("/", "_")]
    return sorted(set(found))


def holders(top, text):
    """Every regular file below top that holds the text."""
    r = subprocess.run(["grep", "-rlaF", "--devices=skip", "--exclude-dir=proc", "--exclude-dir=sys", *[x for f in forms(text) for x in ("-e", f)], top],
                       capture_output=True, text=True)
    return r.stdout.split()


def new_password():
    return "Pa55 " + uuid.uuid4().hex + " $x:y#z"


def secret_file(lab, child):
    ref = postconf(lab, child, "smtp_sasl_password_maps")
    assert ref.startswith("texthash:"), ref
    return os.path.join(lab.root(child), ref[len("texthash:"):].lstrip("/"))


def where_it_is(lab, smart, text):
    return [p for p in holders(lab.dir, text) if not p.startswith(smart.dir + "/")]


@pytest.mark.slow  # a minute of it is the agent's own pause between two looks
def test_mail_goes_out_signed_in_and_the_password_is_nowhere_else(lab, smart, child, tmp_path):
    first, second = new_password(), new_password()
    smart.takes(first)
    made = publish(lab, child, with_auth(smart, first))
    mark = uuid.uuid4().hex[:8]
    send(lab, child, f"{mark}-1@away.test")
    wait_until(lambda: f"mail {mark}-1@away.test" in smart.log(), "mail that signed in", 30)
    assert "auth ok tls=True" in smart.log() and "refused" not in smart.log() and "without" not in smart.log()

    # the one file
    path = secret_file(lab, child)
    assert where_it_is(lab, smart, first) == [path]
    st = os.stat(path)
    assert st.st_uid == 0 and st.st_mode & 0o7777 == 0o600
    said = [lab.api.get(p).text for p in (
        f"/devices/{child}", f"/devices/{child}/effective", f"/devices/{child}/plan", f"/devices/{child}/bundle", f"/devices/{child}/status",
        f"/devices/{child}/overrides", f"/devices/{child}/explain?path=smtp.relayhost_password", "/config/export", "/audit?limit=50",
        f"/revisions/{made['pub']}", f"/revisions/{made['pub']}/diff", "/secrets", f"/devices/{child}/secrets", f"/settings?layer=device&id={child}")]
    assert not any(first in t for t in said)
    one = next(s for s in lab.api.ok("GET", "/secrets")["items"] if s["pub"] == made["pub"])
    assert one["setting"] == "smtp.relayhost_password" and one["in_use"] and one["id"] in said[1]

    # another one, by inarictl from a file; the old one is refused from now on
    smart.takes(second)
    word = os.path.join(smart.dir, "new")
    with open(word, "w") as f:
        f.write(second + "\n")
    ctl = Ctl(os.path.join(parentlib.build_dir(), "cli", "inarictl"), str(tmp_path), INARI_API=lab.json["api"], INARI_CA=lab.json["ca"],
              INARI_TOKEN=lab.lab.state["token"])
    for draft in ctl.json("drafts")["items"]:  # of other tests on this lab
        ctl.ok("discard", "--draft", draft["id"])
    status, _, said = ctl("set", f"smtp.relayhost_password={second}", "--device", child)
    assert status == 3 and "command line" in said
    ctl.ok("set", f"smtp.relayhost_password=@{word}", "--device", child)
    os.unlink(word)
    assert second not in ctl.ok("diff")
    ctl.ok("publish", "--reason", "new password", timeout=150)
    lab.wait_in_sync([child])
    send(lab, child, f"{mark}-2@away.test")
    wait_until(lambda: f"mail {mark}-2@away.test" in smart.log(), "mail with the new password", 30)
    assert "refused" not in smart.log()
    assert where_it_is(lab, smart, second) == [secret_file(lab, child)]
    assert where_it_is(lab, smart, first) == [path], "the revision before keeps its own until it is pruned"

    # by hand: seen without being shown, put back by the helper from the bundle on disk
    path = secret_file(lab, child)
    with open(path) as f:
        good = f.read()
    with open(path, "w") as f:
        f.write(good.replace(second, "guessed"))
    drift = wait_until(lambda: [d for d in lab.api.ok("GET", f"/devices/{child}/drift")["items"] if "relayhost_password" in d["item"]],
                       "the edit to be reported", 120)
    assert "guessed" not in json.dumps(drift) and second not in json.dumps(drift)
    seen = lab.api.get(f"/devices/{child}/drift").headers["ETag"]
    lab.api.ok("POST", f"/devices/{child}/drift/enforce", {}, headers={"If-Match": seen})
    wait_until(lambda: second in open(path).read(), "the file to be put back", 60)
    assert os.stat(path).st_mode & 0o7777 == 0o600

    # back to the first revision, by its own file
    smart.takes(first)
    lab.api.ok("POST", f"/revisions/{made['pub']}/restore", {"reason": "back"})
    lab.wait_in_sync([child])
    send(lab, child, f"{mark}-3@away.test")
    wait_until(lambda: f"mail {mark}-3@away.test" in smart.log(), "mail with the first again", 30)


def test_without_the_parent_it_is_served_and_a_debug_bundle_has_it_not(healthy_lab, smart, child, tmp_path):
    """The device starts anew while nobody can seal anything for it: its file and its own key are all that it needs."""
    lab, text, mark = healthy_lab, new_password(), uuid.uuid4().hex[:8]
    smart.takes(text)
    publish(lab, child, with_auth(smart, text))
    path = secret_file(lab, child)
    out = tmp_path / "bundle.tar"
    ctl = Ctl(os.path.join(parentlib.build_dir(), "cli", "inarictl"), str(tmp_path), INARI_API=lab.json["api"], INARI_CA=lab.json["ca"],
              INARI_TOKEN=lab.lab.state["token"])
    ctl.ok("debug-bundle", child, "--out", str(out), "--reason", "it does not sign in")
    with tarfile.open(out) as t:
        files = {m.name: t.extractfile(m).read() for m in t.getmembers() if m.isfile()}
    assert "postfix/main.cf" in files and b"smtp_sasl_password_maps" in files["postfix/main.cf"]
    assert not [n for n, x in files.items() for f in forms(text) if f.encode() in x]
    with open(path) as f:
        before = f.read()
    lab.verb("kill", "parent")
    try:
        lab.verb("kill", child)
        lab.verb("start", child)
        wait_until(lambda: "last attempt committed" in lab.execute(child, "inari-agent", "status", check=False).stdout,
                   "the agent to be there again", 60)
        assert open(path).read() == before and os.stat(path).st_mode & 0o7777 == 0o600
        send(lab, child, f"{mark}@away.test")
        wait_until(lambda: f"mail {mark}@away.test" in smart.log(), "mail that signed in", 30)
        assert "refused" not in smart.log() and where_it_is(lab, smart, text) == [path]
    finally:
        lab.verb("start", "parent")
    lab.wait_in_sync([child], 150)  # it pauses for longer between its tries by now
    assert where_it_is(lab, smart, text) == [path]
