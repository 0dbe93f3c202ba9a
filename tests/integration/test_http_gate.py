"""Raw bytes against the parent's front: what the gate, the caps and the reaper must refuse (security.md C8, libmicrohttpd's
own gaps), over real TLS."""
import json
import os
import re
import socket
import ssl
import subprocess
import time

import pytest
from parentlib import wait_until

OK_LINE = b"GET /healthz HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"


def tls(parent, timeout=10):
    ctx = ssl.create_default_context(cafile=parent.ca)
    raw = socket.create_connection(("127.0.0.1", parent.port), timeout=timeout)
    return ctx.wrap_socket(raw, server_hostname="localhost")


def plain(parent):
    return socket.create_connection(("127.0.0.1", parent.port), timeout=10)


def read_all(s, limit=1 << 20):
    """Everything until the peer closes (or is silent for the socket's timeout)."""
    got = b""
    try:
        while len(got) < limit:
            part = s.recv(65536)
            if not part:
                break
            got += part
    except (TimeoutError, ConnectionError, ssl.SSLError):
        pass
    return got


def answers(data):
    return [int(x) for x in re.findall(rb"HTTP/1\.1 (\d\d\d)", data)]


def exchange(parent, data, timeout=10):
    with tls(parent, timeout) as s:
        s.sendall(data)
        return read_all(s)


def cpu(parent):
    with open(f"/proc/{parent.pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metric(parent, name):
    text = parent.session().get("/metrics").text
    return float(re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M).group(1))


REFUSED = {
    "CL and TE": OK_LINE.replace(b"GET", b"POST") + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two different CL": OK_LINE.replace(b"GET", b"POST") + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "two Hosts": OK_LINE + HOST + b"Host: other\r\n\r\n",
    "no Host": OK_LINE + b"\r\n",
    "TE gzip": OK_LINE.replace(b"GET", b"POST") + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "TE identity": OK_LINE.replace(b"GET", b"POST") + HOST + b"Transfer-Encoding: identity\r\n\r\n",
    "space before colon": OK_LINE.replace(b"GET", b"POST") + HOST + b"Content-Length : 4\r\n\r\nabcd",
    "huge CL": OK_LINE.replace(b"GET", b"POST") + HOST + b"Content-Length: 18446744073709551615\r\n\r\n",
    "negative CL": OK_LINE.replace(b"GET", b"POST") + HOST + b"Content-Length: -1\r\n\r\n",
    "control byte in value": OK_LINE + HOST + b"X: a\x01b\r\n\r\n",
    "odd method": b"BREW /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/1.0": b"GET /healthz HTTP/1.0\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "NUL in path": b"GET /healthz%00.js HTTP/1.1\r\n" + HOST + b"\r\n",
    "dot dot": b"GET /assets/../healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "dot dot encoded": b"GET /assets/%2e%2e/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute target": b"GET https://localhost/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "body on GET": OK_LINE + HOST + b"Content-Length: 4\r\n\r\nabcd",
    "foreign Host": OK_LINE + b"Host: attacker.test\r\n\r\n",
    "unconfigured address": OK_LINE + b"Host: 203.0.113.7\r\n\r\n",
    "headers over 8 KiB": OK_LINE + HOST + b"X: " + b"a" * 9000 + b"\r\n\r\n",
    "too many headers": OK_LINE + HOST + b"".join(b"X%d: a\r\n" % i for i in range(70)) + b"\r\n",
    "two cookies headers": OK_LINE + HOST + b"Cookie: a=1\r\nCookie: b=2\r\n\r\n",
    "not HTTP": b"\x16\x03\x01 nonsense\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(parent, name):
    """One refusal, the connection closed, and the request smuggled behind it never run."""
    smuggled = b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n"
    data = exchange(parent, REFUSED[name] + smuggled)
    got = answers(data)
    assert got and all(400 <= s < 506 for s in got), (name, data[:500])
    assert len(got) <= 2, (name, data)  # libmicrohttpd answers a missing Host twice
    assert b"inari_http_requests_total" not in data


def test_wrong_host_is_421(parent):
    for host in (b"attacker.test", b"203.0.113.7"):
        data = exchange(parent, OK_LINE + b"Host: " + host + b"\r\n\r\n")
        assert answers(data) == [421], data
        assert json.loads(data.partition(b"\r\n\r\n")[2])["type"] == "urn:inari:problem:wrong-parent"
    for host in (b"localhost", b"LOCALHOST:%d" % parent.port, b"127.0.0.1", b"[::1]:1"):
        data = exchange(parent, OK_LINE + b"Host: " + host + b"\r\nConnection: close\r\n\r\n")
        assert answers(data) == [200], data


def test_too_long_headers_are_431(parent):
    assert answers(exchange(parent, REFUSED["headers over 8 KiB"]))[0] == 431


def test_a_body_that_is_too_large_is_told_so(parent):
    """A client that sends all of it before it reads still gets the answer, not a reset."""
    head = b"POST /api/v1/session HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    for size in (1 << 20, 8 << 20):
        with tls(parent, 20) as s:
            s.sendall(head % size)
            for _ in range(size >> 16):
                s.sendall(b" " * (1 << 16))
            data = read_all(s)
        assert answers(data) == [413], data[:300]
    with tls(parent, 20) as s:  # one that never ends is not read for ever
        s.sendall(head % (1 << 40))
        with pytest.raises(OSError):
            for _ in range(4096):
                s.sendall(b" " * (1 << 16))


def test_a_chunked_body_that_is_too_large_is_told_so(parent):
    """It tells no length beforehand: a little too much is read and answered, much more is answered in the middle; either
    way the next body is taken as any."""
    head = b"POST /api/v1/session HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    chunk = b"10000\r\n" + b" " * (1 << 16) + b"\r\n"
    for chunks in (4, 40, 100):
        with tls(parent, 20) as s:
            s.sendall(head + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(chunks):
                s.sendall(chunk)
            s.sendall(b"0\r\n\r\n")
            data = read_all(s)
        assert answers(data) == [413], data[:300]
        assert json.loads(data.partition(b"\r\n\r\n")[2])["type"] == "urn:inari:problem:too-large", data[:300]
        data = exchange(parent, head + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
        assert answers(data) == [422], data[:300]
    with tls(parent, 20) as s:  # one that never ends is not read for ever
        s.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(OSError):
            for _ in range(4096):
                s.sendall(chunk)


def test_pipelined_requests_are_answered_in_order(parent):
    data = exchange(parent, (OK_LINE + HOST + b"\r\n") * 5 + OK_LINE + HOST + b"Connection: close\r\n\r\n")
    assert answers(data) == [200] * 6


def test_answers_carry_the_protections(parent):
    r = parent.session().get("/healthz")
    assert r.headers["Cache-Control"] == "no-store"
    assert r.headers["X-Content-Type-Options"] == "nosniff"
    assert r.headers["Referrer-Policy"] == "no-referrer"
    assert r.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "frame-ancestors 'none'" in r.headers["Content-Security-Policy"]
    assert re.fullmatch("[0-9a-f]{16}", r.headers["Inari-Request-Id"])
    assert r.headers["Date"]
    ids = {parent.session().get("/healthz").headers["Inari-Request-Id"] for _ in range(20)}
    assert len(ids) == 20


def test_problems_speak_the_callers_language(parent):
    s = parent.session()
    r = s.get("/api/v1/no-such-thing", headers={"Accept-Language": "ja,en;q=0.5"})
    assert r.status_code == 404 and r.headers["Content-Type"] == "application/problem+json"
    doc = r.json()
    assert re.search("[ぁ-ん一-龯]", doc["title"]) and re.search("[ぁ-ん一-龯]", doc["remedy"])
    assert doc["request_id"] == r.headers["Inari-Request-Id"]
    r = s.post("/healthz")
    assert r.status_code == 405 and r.headers["Allow"] == "GET"


def test_only_modern_tls(parent):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        ctx = ssl.create_default_context(cafile=parent.ca)
        ctx.minimum_version = ctx.maximum_version = version
        with ctx.wrap_socket(plain(parent), server_hostname="localhost") as s:
            assert "GCM" in s.cipher()[0] or "CHACHA" in s.cipher()[0]
    for options in (["-tls1_1"], ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], ["-tls1_2", "-cipher", "AES128-GCM-SHA256"]):
        r = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{parent.port}", *options,
                            *(["-cipher", "DEFAULT@SECLEVEL=0"] if options == ["-tls1_1"] else [])],
                           input=b"", capture_output=True, timeout=10)
        assert b"Cipher is (NONE)" in r.stdout or r.returncode != 0, options


def test_sessions_are_resumed(parent):
    ctx = ssl.create_default_context(cafile=parent.ca)
    with ctx.wrap_socket(plain(parent), server_hostname="localhost") as s:
        s.sendall(OK_LINE + HOST + b"Connection: close\r\n\r\n")
        read_all(s)
        session = s.session
    with ctx.wrap_socket(plain(parent), server_hostname="localhost", session=session) as s:
        assert s.session_reused


def test_a_silent_half_record_does_not_spin(parent):
    """libmicrohttpd with epoll spins at 100 % of a core on three bytes of a TLS record."""
    held = [plain(parent) for _ in range(5)]
    for s, data in zip(held, (b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16", b"", b"\x16\x03\x01")):
        s.sendall(data)
    time.sleep(0.3)
    before = cpu(parent)
    time.sleep(2)
    used = cpu(parent) - before
    for s in held:
        s.close()
    assert used < 0.4, f"{used:.2f} CPU seconds in 2 s"


def test_bytes_of_a_record_wake_nobody(parent):
    """A peer that sends a record byte by byte costs a wake-up for its head and few for the rest, not one a byte."""
    def wakes():
        n = 0
        for task in os.listdir(f"/proc/{parent.pid}/task"):
            with open(f"/proc/{parent.pid}/task/{task}/status") as f:
                text = f.read()
            if text.startswith("Name:\tMHD"):
                n += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M).group(1))
        return n
    s = plain(parent)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.sendall(b"\x16\x03\x01\x02\x00")
    time.sleep(0.2)
    before = wakes()
    for _ in range(200):
        s.sendall(b"\x01")
        time.sleep(0.003)
    used = wakes() - before
    s.close()
    assert used < 60, f"{used} wake-ups for 200 bytes"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 50])
def test_a_request_in_small_pieces_is_answered(parent, size):
    """Records cut anywhere, also so that fewer bytes are missing than a record's head has."""
    raw = plain(parent)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.settimeout(5)
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    s = ssl.create_default_context(cafile=parent.ca).wrap_bio(come, go, server_hostname="localhost")

    def send():
        data = go.read()
        for i in range(0, len(data), size):
            raw.sendall(data[i:i + size])
            if i % 100 < size or len(data) - i <= 3 * size:
                time.sleep(0.002)  # read before the next piece comes

    def until(step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                send()
                got = raw.recv(65536)
                assert got, "closed"
                come.write(got)
    until(s.do_handshake)
    for _ in range(2):
        for byte in OK_LINE + HOST + b"\r\n":
            s.write(bytes([byte]))
        got = b""
        while b'{"status":"ok"}' not in got:
            got += until(lambda: s.read(4096))
        assert got.startswith(b"HTTP/1.1 200")
    raw.close()


@pytest.mark.slow
def test_slow_clients_are_cut_off(new_parent, workdir):
    """Slow headers, half handshakes, slow bodies and readers end near their deadline; nobody else notices."""
    web = os.path.join(workdir, "big")
    os.makedirs(web)
    with open(os.path.join(web, "big.bin"), "wb") as f:
        f.truncate(16 * 1024 * 1024)
    parent = new_parent(api__header_deadline="2s", api__idle="3s", web_dir=web)

    def ends_within(s, seconds, drip=None):
        s.settimeout(0.2)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if drip:
                    s.sendall(drip)
                if not s.recv(4096):
                    return True
            except TimeoutError:
                continue
            except OSError:
                return True
        return False

    silent, half = plain(parent), plain(parent)
    half.sendall(b"\x16\x03\x01")
    dribbler = tls(parent)
    dribbler.sendall(OK_LINE + HOST)
    again = tls(parent)  # answers once, then dribbles
    again.sendall(OK_LINE + HOST + b"\r\n")
    assert answers(again.recv(4096)) == [200]
    body = tls(parent)
    body.sendall(b"POST /api/v1/session HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: 4000\r\n\r\n{")
    reader = tls(parent)  # asks for 16 MiB and reads nothing: more than the kernel takes for it
    reader.sendall(b"GET /big.bin HTTP/1.1\r\n" + HOST + b"\r\n")
    began = time.monotonic()
    for s, drip in ((dribbler, b"X: y\r\n"), (silent, None), (half, None), (again, b"G"), (body, b" ")):
        assert ends_within(s, 9, drip)
    assert time.monotonic() - began < 10
    wait_until(lambda: metric(parent, "inari_http_connections") == 1, "the reader to be cut off", 10)  # the asker's own
    reader.close()
    assert parent.session().get("/healthz").status_code == 200
    assert metric(parent, "inari_http_reaped_total") >= 3


@pytest.mark.slow
def test_connections_of_one_address_are_bounded(new_parent):
    parent = new_parent(api__strangers_per_address="20")
    held = [plain(parent) for _ in range(40)]
    for s in held:
        s.setblocking(False)
    closed = set()

    def enough():
        for s in held:
            try:
                if s.recv(1) == b"":
                    closed.add(s)
            except BlockingIOError:
                pass
            except ConnectionError:
                closed.add(s)
        return len(closed) >= 20
    wait_until(enough, "half of the connections to be closed", 5)  # long before the header deadline of 10 s
    for s in held:
        s.close()
    wait_until(lambda: parent.ready(), "the address to be let in again")


@pytest.mark.slow
def test_bogus_connections_leave_room_for_children(new_parent):
    """1,500 connections that never finish a handshake: others are answered, and the idle ones end."""
    parent = new_parent(api__header_deadline="4s")
    held = []
    for i in range(1500):
        s = plain(parent)
        if i % 2:
            s.sendall(b"\x16\x03\x01")
        held.append(s)
    before = cpu(parent)
    began = time.monotonic()
    for _ in range(20):
        assert answers(exchange(parent, OK_LINE + HOST + b"Connection: close\r\n\r\n")) == [200]
    assert time.monotonic() - began < 10
    time.sleep(1)
    assert (cpu(parent) - before) / (time.monotonic() - began) < 0.5
    wait_until(lambda: metric(parent, "inari_http_reaped_total") >= 1500, "all of them to be cut off", 20)
    for s in held:
        s.close()


@pytest.mark.slow
@pytest.mark.fault
def test_exhausted_descriptors_pause_and_resume(new_parent, workdir):
    """With 600 descriptors the parent takes 100 connections (500 are for all else), lets others wait, and goes on."""
    parent = new_parent(start=False, api__header_deadline="3s")
    wrapper = os.path.join(workdir, "few-descriptors")
    with open(wrapper, "w") as f:
        f.write(f'#!/bin/sh\nexec prlimit --nofile=600:600 {parent.programs["inarid"]} "$@"\n')
    os.chmod(wrapper, 0o755)
    parent.programs = {**parent.programs, "inarid": wrapper}
    parent.start()
    assert "event=parent.few_descriptors" in parent.log()
    said = len(parent.log().splitlines())
    held = [plain(parent) for _ in range(300)]  # those beyond the limit are in the kernel's queue
    time.sleep(0.5)
    assert len(os.listdir(f"/proc/{parent.pid}/fd")) < 200
    before = cpu(parent)
    time.sleep(1)
    assert cpu(parent) - before < 0.5  # it does not try for ever
    wait_until(parent.ready, "its turn behind those that say nothing", 30)
    for s in held:
        s.close()
    wait_until(parent.ready, "connections to be accepted again", 20)
    assert parent.alive()
    lines = parent.log().splitlines()[said:]  # what happens again and again is not said again and again
    assert len(lines) < 50, lines[:60]


def test_process_has_given_up_what_it_does_not_need(parent):
    with open(f"/proc/{parent.pid}/status") as f:
        status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    assert status["Uid"].split()[0] != "0"
    assert int(status["CapEff"], 16) == 0
