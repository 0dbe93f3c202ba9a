"""Joining: nothing leaves the child before the parent is proven, a lost answer gives the same device, one agent a host."""
import contextlib
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest
from agentlib import new_agent, pin_of
from parentlib import free_port, wait_until


@pytest.fixture
def agent(workdir, programs, request):
    a = new_agent(workdir, request.node.name.split("[")[0][5:25], programs)
    yield a
    a.stop()


@pytest.fixture
def login(parent):
    return parent.admin or parent.reset_admin()


def devices(api):
    return api.ok("GET", "/devices?limit=200")["items"]


class Impostor:
    """A TLS server with a key of its own that answers every request as told and keeps what it was sent."""

    def __init__(self, folder, answer, version=ssl.TLSVersion.TLSv1_3, address="127.0.0.1"):
        self.cert = os.path.join(folder, f"impostor-{os.urandom(2).hex()}.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=localhost", "-keyout", self.cert + ".key", "-out", self.cert], check=True,
                       capture_output=True)
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(self.cert, self.cert + ".key")
        ctx.maximum_version = version
        self.socket = socket.create_server((address, 0))
        self.url = f"https://{address}:{self.socket.getsockname()[1]}"
        self.received, self.calls, self.handshakes, self.answer, self.ctx = b"", 0, 0, answer, ctx
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            self.calls += 1
            threading.Thread(target=self.one, args=(plain,), daemon=True).start()

    def one(self, plain):
        with contextlib.suppress(OSError, ssl.SSLError):
            tls = self.ctx.wrap_socket(plain, server_side=True)
            self.handshakes += 1
            while data := tls.recv(65536):
                self.received += data
                if b"\r\n\r\n" in data:
                    self.answer(tls)
                    return

    def close(self):
        self.socket.close()


@pytest.fixture
def impostor(workdir):
    made = []

    def make(answer=lambda tls: None, **kw):
        made.append(Impostor(workdir, answer, **kw))
        return made[-1]
    yield make
    for i in made:
        i.close()


@pytest.mark.parametrize("how", ["pin of the real parent", "no pin, nobody to ask"])
def test_nothing_leaves_before_the_parent_is_proven(agent, parent, login, impostor, how):
    evil = impostor()
    r = agent.join(evil.url, pin_of(parent.ca) if how.startswith("pin") else None, *login)
    assert r.returncode == 4, r.stderr
    assert login[1] not in r.stdout + r.stderr
    wait_until(lambda: evil.handshakes > 0 or evil.received == b"", "the handshake")
    assert evil.received == b""
    assert not os.path.exists(os.path.join(agent.state, "identity.json"))


def test_tls_1_2_is_refused(agent, login, impostor):
    old = impostor(version=ssl.TLSVersion.TLSv1_2)
    r = agent.join(old.url, pin_of(old.cert), *login)
    assert r.returncode == 5, r.stderr
    assert old.received == b""


def head(extra=b""):
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + extra + b"\r\n"


def drip(tls):
    tls.sendall(head(b"Content-Length: 5000\r\n"))
    for _ in range(60):
        tls.sendall(b" ")
        time.sleep(0.5)


def endless(tls):
    tls.sendall(head(b"Content-Length: 104857600\r\n"))
    for _ in range(1600):
        tls.sendall(b" " * 65536)


HOSTILE = {
    "one byte at a time": (drip, "too slowly"),
    "100 MB": (endless, "larger than allowed"),
    "headers without end": (lambda t: t.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 4000 + b"\r\n" +
                                                (b"X-B: " + b"b" * 4000 + b"\r\n") * 30 + b"\r\n"), ""),
    "compressed": (lambda t: t.sendall(head(b"Content-Encoding: gzip\r\nContent-Length: 4\r\n") + b"\x1f\x8b\x08\x00"), ""),
    "depth 10,000": (lambda t: t.sendall(head(b"Content-Length: 20000\r\n") + b"[" * 10000 + b"]" * 10000), "nested"),
    "sends us elsewhere": (lambda t: t.sendall(b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\n"
                                               b"Content-Length: 0\r\n\r\n"), ""),
    "not HTTP": (lambda t: t.sendall(b"220 mail.example ESMTP\r\n"), ""),
    "hangs up": (lambda t: t.close(), ""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_end_soon_and_bounded(agent, login, impostor, name):
    answer, word = HOSTILE[name]
    server = impostor(answer)
    begin = time.monotonic()
    r = agent.join(server.url, pin_of(server.cert), *login)
    assert r.returncode in (1, 4, 5), r.stderr
    assert word in r.stderr
    assert "Sanitizer" not in r.stderr
    assert login[1].encode() not in server.received
    assert time.monotonic() - begin < 15


class Cutter:
    """A TCP relay that drops the line, instead of passing answers on, once the child has sent `limit` bytes."""

    def __init__(self, port, limit):
        self.server, self.port, self.limit, self.cuts = socket.create_server(("127.0.0.1", 0)), port, limit, 0
        self.url = f"https://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                a, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.relay, args=(a, socket.create_connection(("127.0.0.1", self.port))),
                             daemon=True).start()

    def relay(self, child, parent):
        state = {"sent": 0}

        def answers():
            with contextlib.suppress(OSError):
                while data := parent.recv(65536):
                    if state["sent"] > self.limit:
                        self.cuts += 1
                        break
                    child.sendall(data)
                child.shutdown(socket.SHUT_RDWR)
        threading.Thread(target=answers, daemon=True).start()
        with contextlib.suppress(OSError):
            while data := child.recv(65536):
                state["sent"] += len(data)
                parent.sendall(data)


def test_lost_answer_gives_the_same_device(agent, parent, api, login):
    before = {d["id"] for d in devices(api)}
    relay = Cutter(parent.port, 1600)  # handshake, hello and login are below, the enrolment is not
    name = f"lost-{os.urandom(3).hex()}"
    r = agent.join(relay.url, pin_of(parent.ca), *login, "--name", name)
    assert r.returncode == 5, r.stderr
    assert relay.cuts >= 1
    new = [d for d in devices(api) if d["id"] not in before]
    assert [d["name"] for d in new] == [name]  # the parent knows it, the child does not
    r = agent.join(parent.base, pin_of(parent.ca), *login, "--name", name)
    assert r.returncode == 0, r.stderr
    assert agent.identity()["device_id"] == new[0]["id"]
    assert len(devices(api)) == len(before) + 1
    assert os.stat(os.path.join(agent.state, "identity.json")).st_mode & 0o777 == 0o600
    assert not os.path.exists(os.path.join(agent.state, "pending.json"))
    stored = "".join(open(os.path.join(agent.state, f)).read() for f in os.listdir(agent.state))
    assert login[1] not in stored
    relay.server.close()


def test_again_is_fine_and_a_second_parent_is_not(agent, parent, login):
    assert agent.join(parent.base, pin_of(parent.ca), *login).returncode == 0
    again = agent.join(parent.base, pin_of(parent.ca), *login)
    assert again.returncode == 0 and "lready" in again.stdout
    other = agent.join(f"https://localhost:{free_port()}", pin_of(parent.ca), *login)
    assert other.returncode == 4 and "leave" in other.stderr


@pytest.mark.slow
def test_approval_is_waited_for(agent, parent, api):
    """The child asks again by itself, with a clock that is an hour wrong, until somebody has compared the keys."""
    clock = agent.state + ".clock"
    with open(clock, "w") as f:
        f.write("3600")
    made = api.ok("POST", "/enrolment-tokens", {"name": "approval", "approval": True})
    name = f"wait-{os.urandom(3).hex()}"
    answer = []
    waits = threading.Thread(target=lambda: answer.append(agent.command("join", "--join", made["join"], "--name", name,
                                                                        env={"INARI_CLOCK_FILE": clock}, timeout=120)))
    waits.start()
    device = wait_until(lambda: next((d for d in devices(api) if d["name"] == name), None), "the pending device", 30)
    assert device["state"] == "pending" and waits.is_alive()
    api.ok("POST", f"/devices/{device['id']}/approve", {})
    waits.join(100)
    assert answer[0].returncode == 0, answer[0].stderr
    assert agent.identity()["device_id"] == device["id"] and "Key of this device" in answer[0].stderr


def test_second_agent_on_a_host_ends_by_itself(agent, parent, login):
    assert agent.command("run").returncode == 3  # not joined
    assert agent.join(parent.base, pin_of(parent.ca), *login).returncode == 0
    agent.start()
    second = agent.command("run")
    assert second.returncode == 75 and "another inari-agent" in second.stderr
    assert agent.status()["parent"]["address"] == parent.base


@pytest.mark.parametrize("offset", [3600, -3600, -1_700_000_000, 2_000_000_000])
def test_wrong_clock_still_gets_its_configuration(agent, parent, api, login, workdir, offset):
    clock = os.path.join(agent.state + ".clock")
    with open(clock, "w") as f:
        f.write(str(offset))
    assert agent.join(parent.base, pin_of(parent.ca), *login).returncode == 0
    agent.start({"INARI_CLOCK_FILE": clock})
    wait_until(lambda: agent.status()["status"]["observed"], "a verified bundle")
    assert agent.condition("ClockSynced")["status"] == "False"
    device = agent.identity()["device_id"]
    shown = wait_until(lambda: api.ok("GET", f"/devices/{device}").get("observed"), "the parent to know")
    assert shown["rev"] >= 1


def test_revoked_device_is_quiet_and_runs_on(agent, parent, api, login):
    assert agent.join(parent.base, pin_of(parent.ca), *login).returncode == 0
    agent.start()
    wait_until(lambda: agent.condition("Authenticated")["status"] == "True", "the first poll")
    device = agent.identity()["device_id"]
    api.ok("POST", f"/devices/{device}/revoke", {"reason": "test"})
    wait_until(lambda: agent.condition("Authenticated")["reason"] == "Revoked", "the held poll to end", 5)
    before = len(re.findall(r"parent\.refused", agent.log()))
    time.sleep(3)
    assert len(re.findall(r"parent\.refused", agent.log())) == before  # nothing is asked meanwhile
    assert agent.alive()


def test_parent_away_and_back(agent, parent, login):
    assert agent.join(parent.base, pin_of(parent.ca), *login).returncode == 0
    agent.start()
    wait_until(lambda: agent.condition("Authenticated")["status"] == "True", "the first poll")
    parent.kill()
    wait_until(lambda: not agent.status()["parent"]["reachable"], "the agent to notice", 20)
    assert agent.alive()
    parent.start()
    wait_until(lambda: agent.status()["parent"]["reachable"], "the agent to be back", 60)


def test_used_join_string_is_no_good_for_a_second_machine(agent, workdir, programs, api):
    """D3 and D4 as a person at the device sees them: refused in words, nothing is left behind."""
    made = api.ok("POST", "/enrolment-tokens", {"name": "once"})
    assert agent.command("join", "--join", made["join"]).returncode == 0
    foreign = api.ok("POST", "/enrolment-tokens", {"name": "far", "networks": ["198.51.100.0/24"]})
    for text, cause in ((made["join"], "used up"), (foreign["join"], "networks")):
        thief, before = new_agent(workdir, "thief", programs), len(devices(api))
        r = thief.command("join", "--join", text)
        assert r.returncode == 4 and "refused" in r.stderr, r.stderr
        assert not os.path.exists(os.path.join(thief.state, "identity.json")) and len(devices(api)) == before
        entry = api.ok("GET", "/audit?action=device.enrol_refused&limit=1")["items"][0]
        assert cause in entry["detail"]["cause"]


@pytest.mark.slow
def test_token_expires_during_a_held_poll(new_parent, workdir, programs):
    """D8: the answer still comes, and the agent goes on with a new token, without an error anybody would see."""
    p = new_parent(start=False)
    clock = os.path.join(p.dir, "clock")
    with open(clock, "w") as f:
        f.write("0")
    os.chmod(clock, 0o644)
    p.start({"INARI_CLOCK_FILE": clock})
    api, child = p.token(), new_agent(workdir, "expiry", programs)
    assert child.command("join", "--join", api.ok("POST", "/enrolment-tokens", {"name": "t"})["join"]).returncode == 0
    child.start()
    try:
        device = child.identity()["device_id"]
        first = wait_until(lambda: api.ok("GET", f"/devices/{device}").get("observed"), "the first bundle", 30)
        time.sleep(1)  # the next poll is held
        with open(clock, "w") as f:
            f.write("1000")  # longer than the token's life
        api.change(f"/devices/{device}", {"drift": "enforce"})
        wait_until(lambda: api.ok("GET", f"/devices/{device}")["observed"]["rev"] > first["rev"], "the change", 30)
        api.change(f"/devices/{device}", {"drift": "report"})
        wait_until(lambda: api.ok("GET", f"/devices/{device}")["observed"]["rev"] > first["rev"] + 1, "the next one", 30)
        assert child.condition("Authenticated")["status"] == "True"
    finally:
        child.stop()


@pytest.mark.slow
def test_lost_report_is_sent_again(agent, parent, api):
    """F12: the parent lost what the device reported; the device is asked for all of it and sends it."""
    made = api.ok("POST", "/enrolment-tokens", {"name": "t"})
    assert agent.command("join", "--join", made["join"]).returncode == 0
    agent.start()
    device = agent.identity()["device_id"]
    wait_until(lambda: api.get(f"/devices/{device}/status").status_code == 200, "the first report", 30)
    before = agent.status()["status"]["seq"]
    parent.postgres.psql(f"DELETE FROM device_status WHERE device_id = '{device}'")
    assert api.get(f"/devices/{device}/status").status_code == 404
    wait_until(lambda: api.get(f"/devices/{device}/status").status_code == 200, "the report to come again", 100, 0.5)
    assert api.ok("GET", f"/devices/{device}/status")["status"]["seq"] > before
