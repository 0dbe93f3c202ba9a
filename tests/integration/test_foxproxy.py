"""foxproxy: who is refused before the greeting, who passes, and that what passes is carried as it is. With the real Postfix where it
matters what Postfix sees."""
import contextlib
import os
import socket
import struct
import subprocess
import threading
import time

import pytest

import foxlib
import parentlib
from foxlib import CLIENTS6, MINE4, MINE6, Backend, Fox, Net, Postfix, make_list, read_all, read_reply, say, v2
from helperlib import wait_until
from test_live_allocations import Faults

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")
ON = "[approved]\nmode = on\n[blocked]\nmode = on\n"


@pytest.fixture(scope="module")
def net():
    n = Net()
    yield n
    n.close()


@pytest.fixture(scope="module")
def place(workdir):
    """A folder that other users get to (pytest's own is root's alone)."""
    return parentlib.folder(workdir, "foxproxy")


@pytest.fixture
def tmp(place):
    return parentlib.folder(place, os.urandom(4).hex())


@pytest.fixture(scope="module")
def postfix(net, place):
    p = Postfix(net, os.path.join(place, "postfix")).start()
    yield p
    p.close()


@pytest.fixture
def fox(net, tmp):
    """fox(...): a foxproxy of this test."""
    made = []

    def make(start=True, **kw):
        f = Fox(net, os.path.join(tmp, f"fox{len(made)}"), **kw)
        made.append(f)
        return f.start() if start else f
    yield make
    for f in made:
        f.close()


@pytest.fixture
def backend(net):
    made = []

    def make(serve=None, **kw):
        made.append(Backend(net, serve, **kw))
        return made[-1]
    yield make
    for b in made:
        b.close()


def greeting(s):
    return read_reply(s)


# --- who is seen


@pytest.mark.parametrize("source", ["192.0.2.77", "127.0.0.1", CLIENTS6[0]])
def test_postfix_sees_the_client(fox, postfix, source):
    f = fox()
    s = f.connect(source, "127.0.0.1" if source.startswith("127") else None)
    assert greeting(s).startswith("220 ")
    say(s, "EHLO client.example.org")
    say(s, "MAIL FROM:<a@example.org>")
    assert f"seen={source}" in say(s, "RCPT TO:<who@example.test>")
    assert say(s, "QUIT").startswith("221")
    assert s.recv(1) == b""
    s.close()


@pytest.mark.parametrize("source", ["192.0.2.77", "127.0.0.1", CLIENTS6[0], "::1"])
def test_no_relay_for_strangers(fox, postfix, source):
    """Not even for this host itself: what Postfix relays for on its other listeners is not trusted behind foxproxy."""
    f = fox()
    host = {"127.0.0.1": "127.0.0.1", "::1": "::1"}.get(source)
    s = f.connect(source, host)
    assert greeting(s).startswith("220 ")
    say(s, "EHLO client.example.org")
    say(s, "MAIL FROM:<a@example.org>")
    assert say(s, "RCPT TO:<victim@example.net>").startswith("554 5.7.1")
    assert say(s, "RCPT TO:<ok@example.test>").startswith("250")
    s.close()


FORGED = [v2("127.0.0.1"), v2("::1"), v2("::ffff:127.0.0.1"), v2(MINE4), v2(MINE6), v2("0.0.0.0"), v2("::127.0.0.1"), v2("224.0.0.1"),
          b"PROXY TCP4 127.0.0.1 192.0.2.1 1 25\r\n", b"PROXY TCP6 ::1 ::1 1 25\r\n",
          b"PROXY TCP6 ::ffff:127.0.0.1 ::ffff:192.0.2.1 1 25\r\n"]


@pytest.mark.parametrize("header", FORGED)
def test_a_balancer_may_not_claim_this_host(fox, backend, header):
    b = backend()
    f = fox(backend=b.address, sections="[balancers]\nnetwork = 192.0.2.8/29\n")
    s = f.connect("192.0.2.9")
    s.sendall(header + b"EHLO x\r\n")
    assert read_all(s).startswith(b"421 4.3.2 mx.example.test ") and b.peers == []
    assert f.counter("proxy-header") == 1


@pytest.mark.parametrize("header", [v2("127.0.0.1"), v2(MINE4), b"PROXY TCP4 127.0.0.1 127.0.0.1 1 25\r\n", b"PROXY UNKNOWN\r\n",
                                    foxlib.V2 + b"\x20\0\0\0"])
def test_a_header_from_anybody_else_is_only_bytes(fox, postfix, header):
    """It goes to Postfix behind foxproxy's own, where it is a bad command, and the client stays who it is."""
    f = fox(sections="[balancers]\nnetwork = 192.0.2.8/29\n")
    s = f.connect("192.0.2.77")
    s.sendall(header)
    assert greeting(s).startswith("220 ")
    s.sendall(b"\r\nEHLO x\r\nMAIL FROM:<a@example.org>\r\n")
    answer, end = "", time.monotonic() + 10
    while "250 2.1.0" not in answer and time.monotonic() < end:
        got = s.recv(4096)
        if not got:
            break
        answer += got.decode("latin-1")
    if "250 2.1.0" in answer:  # Postfix 3.7 may hang up on a binary command: also fine
        assert "seen=192.0.2.77" in say(s, "RCPT TO:<who@example.test>")
        assert say(s, "RCPT TO:<victim@example.net>").startswith("554 5.7.1")
    s.close()


@pytest.mark.parametrize("header, seen", [
    (v2("203.0.113.5"), "203.0.113.5"),
    (v2("203.0.113.5", tlv=b"\x04\0\x03abc"), "203.0.113.5"),
    (v2("2001:db8:77::5"), "2001:db8:77::5"),
    (v2("::ffff:203.0.113.5"), "203.0.113.5"),
    (b"PROXY TCP4 203.0.113.5 192.0.2.1 4000 25\r\n", "203.0.113.5"),
    (b"PROXY TCP6 2001:db8:77::5 2001:db8::1 4000 25\r\n", "2001:db8:77::5"),
    (foxlib.V2 + b"\x20\0\0\0", "192.0.2.9"), (b"PROXY UNKNOWN\r\n", "192.0.2.9"),  # its own health check
])
def test_balancer_says_who_it_is_for(fox, postfix, header, seen):
    f = fox(sections="[balancers]\nnetwork = 192.0.2.8/29\n")
    s = f.connect("192.0.2.9")
    for i in range(len(header)):  # in as many pieces as there can be
        s.sendall(header[i:i + 1])
    assert greeting(s).startswith("220 ")
    say(s, "EHLO x")
    say(s, "MAIL FROM:<a@example.org>")
    assert f"seen={seen}" in say(s, "RCPT TO:<who@example.test>")
    assert say(s, "RCPT TO:<victim@example.net>").startswith("554 5.7.1")
    s.close()


@pytest.mark.parametrize("sent", [b"EHLO client\r\n", b"PROXY TCP4 bad\r\n", foxlib.V2 + b"\x21\x12\0\x0c" + b"x" * 12, b"P" * 600])
def test_balancer_without_a_header_is_told(fox, backend, sent):
    b = backend()
    f = fox(backend=b.address, sections="[balancers]\nnetwork = 192.0.2.8/29\n")
    s = f.connect("192.0.2.9")
    s.sendall(sent)
    assert b"[proxy-header]\r\n" in read_all(s) and b.peers == []


def test_lists_judge_the_claimed_address(fox, backend, tmp):
    b = backend()
    f = fox(backend=b.address, sections=ON + "[balancers]\nnetwork = 192.0.2.8/29\n")
    f.lists(blocked=make_list(os.path.join(tmp, "b"), ["203.0.113.0/24"]))
    s = f.connect("192.0.2.9")
    s.sendall(v2("203.0.113.5"))
    assert read_all(s).startswith(b"554 5.7.1 mx.example.test ")
    s = f.connect("192.0.2.9")
    s.sendall(v2("198.51.100.5"))
    assert greeting(s).startswith("220 ")


# --- who is refused


def test_order_of_the_lists(fox, backend, tmp):
    b = backend()
    f = fox(backend=b.address, sections=ON)
    f.lists(approved=make_list(os.path.join(tmp, "a"), [("192.0.2.77", 5, 0), ("2001:db8::10", 6, 0)]),
            blocked=make_list(os.path.join(tmp, "b"), [("192.0.2.0/24", 7, 0), ("2001:db8::/64", 8, 0), ("127.0.0.9", 9, 1000)]))
    for source, passes in (("192.0.2.77", True), ("192.0.2.78", False), (CLIENTS6[0], True), (CLIENTS6[1], False)):
        s = f.connect(source)
        want = "220 " if passes else "554 5.7.1 mx.example.test Your address is blocked by this site [list.blocked]\r\n"
        assert greeting(s).startswith(want), source
        if not passes:
            assert s.recv(1) == b""
        s.close()
    s = f.connect("127.0.0.9", "127.0.0.1")  # its row has expired
    assert greeting(s).startswith("220 ")
    c = f.status()["counters"]
    assert (c["approved"], c["refused"]["list.blocked"], c["accepted"], c["sessions"]) == (2, 2, 5, 3)
    why = f.ask("why", address="192.0.2.78")
    assert (why["decision"], why["source"], why["reason"], why["lists"]["blocked"]["row"]) == ("refuse", "blocked", "list.blocked", 7)
    assert why["lists"]["approved"] is None
    why = f.ask("why", address="192.0.2.77")
    assert (why["decision"], why["source"], why["lists"]["approved"]["row"]) == ("pass", "approved", 5)
    why = f.ask("why", address="::ffff:192.0.2.78")
    assert why["decision"] == "refuse"
    assert f.ask("why", address="127.0.0.9")["decision"] == "pass"
    assert f.ask("why", address="here")["error"] == "invalid"


def test_log_only(fox, backend, tmp):
    b = backend()
    f = fox(backend=b.address, sections="[approved]\nmode = log\n[blocked]\nmode = log\n")
    f.lists(blocked=make_list(os.path.join(tmp, "b"), ["192.0.2.0/24"]), approved=make_list(os.path.join(tmp, "a"), ["192.0.2.5"]))
    for source in ("192.0.2.77", "192.0.2.5"):
        assert greeting(f.connect(source)).startswith("220 ")
    c = f.status()["counters"]
    assert (c["blocked_log"], c["approved_log"], c["refused"]["list.blocked"], c["approved"]) == (1, 1, 0, 0)
    assert f.ask("why", address="192.0.2.77")["would"] == "blocked"


def test_reply_of_the_site(fox, backend, tmp):
    f = fox(backend=backend().address, sections="[blocked]\nmode = on\nreply = 421 4.7.1 Call +81 3 0000 0000\n")
    f.lists(blocked=make_list(os.path.join(tmp, "b"), ["192.0.2.0/24"]))
    assert greeting(f.connect("192.0.2.77")) == "421 4.7.1 mx.example.test Call +81 3 0000 0000 [list.blocked]\r\n"


@pytest.mark.parametrize("how", ["before", "with", "after", "much"])
def test_who_talks_first_reads_the_reply(fox, backend, tmp, how):
    """Bytes nobody reads make a kernel answer a close with a reset, and the reply may be lost; here it never is."""
    f = fox(backend=backend().address, sections=ON)
    f.lists(blocked=make_list(os.path.join(tmp, "b"), ["192.0.2.0/24"]))
    for _ in range(20):
        s = f.connect("192.0.2.77")
        if how != "after":
            s.sendall(b"EHLO client.example.org\r\n" * (1500 if how == "much" else 1))
        if how == "after":
            time.sleep(0.01)
            s.sendall(b"EHLO client.example.org\r\n")
            time.sleep(0.01)
            s.sendall(b"MAIL FROM:<>\r\n")
        assert read_all(s).startswith(b"554 5.7.1 ")
        s.close()
    wait_until(lambda: f.counter("lingering") == 0, "the drained ones to be closed")
    assert f.counter("linger_cut") == 0


def test_who_stays_after_the_reply_is_cut(fox, backend, tmp):
    f = fox(backend=backend().address, sections=ON)
    f.lists(blocked=make_list(os.path.join(tmp, "b"), ["192.0.2.0/24"]))
    idle, busy = f.connect("192.0.2.77"), f.connect("192.0.2.78")
    start = time.monotonic()
    with pytest.raises(OSError):
        while True:
            busy.sendall(b"x" * 65536)
    assert time.monotonic() - start < 4  # by bytes
    wait_until(lambda: f.counter("linger_cut") == 2, "the silent one to be cut by time")
    assert read_all(idle).startswith(b"554 ")
    assert f.counter("lingering") == 0


# --- what is carried


def test_bytes_are_carried_as_they_are(fox, backend):
    """20 MB each way at once, any bytes, both ends of it whole."""
    data = os.urandom(1 << 20) * 20
    got = {}

    def serve(s):
        s.sendall(b"220 ready\r\n")
        t = threading.Thread(target=lambda: s.sendall(data[::-1]))
        t.start()
        got["up"] = read_all(s)
        t.join()
    f = fox(backend=backend(serve).address)
    s = f.connect("192.0.2.77")
    assert read_reply(s) == "220 ready\r\n"
    down = []
    t = threading.Thread(target=lambda: down.append(read_all(s)))
    t.start()
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    t.join(60)
    assert down and down[0] == data[::-1]
    wait_until(lambda: "up" in got, "the backend to have it all")
    assert got["up"] == data
    s.close()
    wait_until(lambda: f.status()["sessions"] == 0, "the session to end")
    c = f.status()["counters"]
    assert (c["bytes_in"], c["bytes_out"]) == (len(data), len(data) + 11)


def test_half_close_reaches_the_other_side(fox, backend):
    """The client ends its side and still reads what comes back."""
    def serve(s):
        s.sendall(b"220 ready\r\n")
        up = read_all(s)
        s.sendall(b"got %d\r\n" % len(up))
    f = fox(backend=backend(serve).address)
    s = f.connect("192.0.2.77")
    s.sendall(b"x" * 1000)
    s.shutdown(socket.SHUT_WR)
    assert read_all(s) == b"220 ready\r\ngot 1000\r\n"


def test_last_words_of_the_backend_arrive(fox, backend):
    """It hangs up on a client that goes on talking: the client reads its last reply, not a reset."""
    def serve(s):
        s.sendall(b"220 ready\r\n")
        s.recv(1)
        s.sendall(b"421 4.4.2 enough\r\n")
        s.close()
    f = fox(backend=backend(serve).address)
    for _ in range(20):
        s = f.connect("192.0.2.77")
        read_reply(s)
        for _ in range(10):
            s.sendall(b"x" * 100)
        assert read_all(s) == b"421 4.4.2 enough\r\n"
        s.close()


@pytest.mark.slow
def test_slow_readers_hold_little(fox, backend):
    """50 clients that do not read: what the backend has to say waits in the kernel, not here."""
    piece = b"y" * 65536

    def serve(s):
        s.sendall(b"220 ready\r\n")
        s.settimeout(None)
        for _ in range(200):
            s.sendall(piece)
    f = fox(backend=backend(serve).address)
    clients = []
    for i in range(50):
        s = f.net.socket()
        if i != 7:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.bind((f"192.0.2.{100 + i}", 0))
        s.connect((MINE4, f.port))
        clients.append(s)
    wait_until(lambda: f.status()["sessions"] == 50, "50 sessions")

    def still():
        a = f.counter("bytes_out")
        time.sleep(0.3)
        return a > 0 and f.counter("bytes_out") == a
    wait_until(still, "everybody to wait")
    assert f.counter("bytes_out") < 50 * 200 * len(piece) / 2
    # One of them reads after all and gets every byte.
    assert len(read_all(clients[7])) == 200 * len(piece) + 11
    for s in clients:
        s.close()
    wait_until(lambda: f.status()["sessions"] == 0, "all to be gone")


@pytest.mark.slow
def test_idle_sessions_end(fox, backend):
    f = fox(backend=backend().address, idle_timeout_s=10)
    s = f.connect("192.0.2.77")
    greeting(s)
    t = time.monotonic()
    assert s.recv(1) == b""
    assert 8 < time.monotonic() - t < 15
    assert f.counter("idle") == 1


def test_one_and_a_reset(fox, backend):
    """A client that resets its connection takes nothing else with it."""
    f = fox(backend=backend().address)
    keeps = f.connect("192.0.2.77")
    greeting(keeps)
    for _ in range(50):
        s = f.connect("192.0.2.78")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    wait_until(lambda: f.status()["sessions"] == 1, "the others to be gone")
    keeps.sendall(b"hello\r\n")
    assert read_reply(keeps) == "hello\r\n"


# --- bounds


def test_no_more_sessions_than_the_backend_has_processes(fox, backend):
    f = fox(backend=backend().address, max_sessions=5)
    open_ones = [f.connect("192.0.2.77") for _ in range(5)]
    for s in open_ones:
        assert greeting(s).startswith("220 ")
    s = f.connect("192.0.2.78")
    assert greeting(s).startswith("421 4.3.2 mx.example.test ")
    assert f.counter("full") == 1 and f.status()["backend_sessions"] == 5
    open_ones.pop().close()
    wait_until(lambda: f.status()["backend_sessions"] == 4, "a place")
    assert greeting(f.connect("192.0.2.78")).startswith("220 ")


def test_backend_away_and_back(fox, net, postfix):
    """Postfix is stopped and started: 421 meanwhile, and nothing has to be told to foxproxy."""
    f = fox()
    assert greeting(f.connect("192.0.2.77")).startswith("220 ")
    pid = f.status()["pid"]
    postfix.stop()
    for _ in range(3):
        s = f.connect("192.0.2.77")
        assert greeting(s) == "421 4.3.2 mx.example.test Service not available, try again later [backend-down]\r\n"
        assert s.recv(1) == b""
    assert f.counter("backend-down") == 3
    postfix.start()
    s = f.connect("192.0.2.77")
    assert greeting(s).startswith("220 ")
    assert f.status()["pid"] == pid


def test_backend_that_says_nothing_and_hangs_up(fox, backend):
    f = fox(backend=backend(lambda s: None).address)
    assert "[backend-down]" in greeting(f.connect("192.0.2.77"))


# --- changes while it runs


def echo_ok(s, n):
    s.sendall(b"line %d\r\n" % n)
    assert read_reply(s) == f"line {n}\r\n"


def test_nothing_is_lost_over_reloads_and_lists(fox, backend, tmp):
    """200 sessions stay while settings, listeners and lists change; whoever connects meanwhile is served by the old or the new."""
    f = fox(backend=backend().address, max_sessions=1000, sections=ON)
    pid = f.status()["pid"]
    sessions = [f.connect(f"192.0.2.{10 + i % 100}") for i in range(200)]
    for s in sessions:
        assert greeting(s).startswith("220 ")
    lists = [make_list(os.path.join(tmp, f"l{i}"), ["198.51.100.0/24"] * (i + 1) + [f"10.{i}.0.0/16"]) for i in range(4)]
    stop, faults, served = threading.Event(), [], [0]

    def knock():
        while not stop.is_set():
            try:
                s = f.connect("192.0.2.200")
                line = greeting(s)
                if not line.startswith("220 "):
                    faults.append(line)
                served[0] += 1
                s.close()
            except OSError as e:
                faults.append(repr(e))
    t = threading.Thread(target=knock)
    t.start()
    try:
        for i in range(40):
            f.lists(blocked=lists[i % 4], approved=None)
            if i % 5 == 0:
                extra = f"127.0.0.1:{26000 + i}"
                f.write(listen=[f"0.0.0.0:{f.port}", f"[::]:{f.port}", *([extra] if i % 2 == 0 else [])], digest=f"{i:064x}")
                answer = f.ask("reload")
                assert answer["ok"] and answer["digest"] == f"{i:064x}", answer
                if i % 2 == 0:
                    assert greeting(f.net.connect("127.0.0.1", 26000 + i)).startswith("220 ")
            echo_ok(sessions[i * 5], i)
    finally:
        stop.set()
        t.join()
    assert faults == [] and served[0] > 10
    for n, s in enumerate(sessions):
        echo_ok(s, n)
    st = f.status()
    assert st["pid"] == pid and st["lists"]["blocked"]["rows"] == 2 and st["digest"] == f"{35:064x}"
    with pytest.raises(OSError):
        f.net.connect("127.0.0.1", 26030)  # no longer in the file


def test_a_bad_file_changes_nothing(fox, backend):
    f = fox(backend=backend().address, digest="a" * 64)
    f.write(sections="[blocked]\nmode = sometimes\nreply = 550 5.7.1 no\n[what]\n")
    answer = f.ask("reload")
    assert not answer["ok"] and [x["line"] for x in answer["faults"]] == [10, 11, 12]
    assert f.status()["digest"] == "a" * 64 and greeting(f.connect("192.0.2.77")).startswith("220 ")
    f.write(sections="", listen=["203.0.113.77:25"])  # an address that is not here
    answer = f.ask("reload")
    assert not answer["ok"] and "203.0.113.77:25" in answer["message"]
    assert greeting(f.connect("192.0.2.77")).startswith("220 ")


def test_lists_are_remembered(fox, backend, tmp):
    f = fox(backend=backend().address, sections=ON)
    path = make_list(os.path.join(tmp, "b"), ["192.0.2.0/24"])
    f.lists(blocked=path)
    loaded = f.status()["lists"]["blocked"]
    f.end()
    f.start()
    again = f.status()["lists"]["blocked"]
    assert again["sha256"] == loaded["sha256"] and again["rows"] == 1
    assert greeting(f.connect("192.0.2.77")).startswith("554 ")
    os.rename(path, path + ".away")  # a reload keeps what is in force
    answer = f.ask("reload")
    assert answer["ok"] and f.status()["lists"]["blocked"]["trouble"], answer
    assert greeting(f.connect("192.0.2.77")).startswith("554 ")
    os.rename(path + ".away", path)
    assert f.ask("reload")["ok"] and "trouble" not in f.status()["lists"]["blocked"]
    with open(path, "r+b") as g:  # damaged meanwhile: said, and mail goes on
        g.seek(40)
        g.write(b"\xff" * 16)
    f.end()
    f.start()
    st = f.status()["lists"]["blocked"]
    assert "sha256" not in st and st["trouble"]
    assert greeting(f.connect("192.0.2.77")).startswith("220 ")
    answer = f.ask("lists", blocked=path)
    assert not answer["ok"] and answer["error"] == "malformed"
    assert f.ask("lists", blocked="b")["error"] == "invalid"


def test_drained(fox, backend):
    f = fox(backend=backend().address)
    s = f.connect("192.0.2.77")
    greeting(s)
    assert f.ask("drain")["ok"]
    assert greeting(f.connect("192.0.2.78")) == "421 4.3.2 mx.example.test Service not available, try again later [drained]\r\n"
    echo_ok(s, 1)
    s.close()
    f.end()
    f.start()  # still
    assert f.status()["state"] == "drained" and greeting(f.connect("192.0.2.78")).startswith("421 ")
    assert f.ask("undrain")["ok"]
    assert greeting(f.connect("192.0.2.78")).startswith("220 ")


def test_ends_gracefully(fox, backend):
    f = fox(backend=backend().address)
    s = f.connect("192.0.2.77")
    greeting(s)
    f.proc.terminate()
    wait_until(lambda: not can_connect(f), "the listeners to close")
    echo_ok(s, 1)
    assert f.proc.poll() is None
    s.close()
    assert f.proc.wait(10) == 0


def can_connect(f):
    try:
        f.connect("192.0.2.77").close()
        return True
    except OSError:
        return False


def test_release_for_the_next_process(fox, backend):
    """The next one listens beside it (the same user's sockets share the port); sessions of the old one go on."""
    b = backend()
    f = fox(backend=b.address)
    s = f.connect("192.0.2.77")
    greeting(s)
    other = Fox(f.net, f.dir, backend=b.address)
    other.start(wait=False)
    assert other.proc.wait(20) == 75  # not both
    assert f.ask("release")["ok"]
    other.start()
    try:
        assert other.status()["pid"] != f.proc.pid
        assert greeting(other.connect("192.0.2.78")).startswith("220 ")
        echo_ok(s, 1)
        assert f.proc.poll() is None
        s.close()
        assert f.proc.wait(10) == 0
        assert other.status()["ok"]  # the old one has not taken the socket with it
    finally:
        other.close()


def test_runs_as_its_user_and_nothing_else(fox, backend):
    f = fox(backend=backend().address)
    pid = f.status()["pid"]
    with open(f"/proc/{pid}/status") as g:
        words = dict(line.split(":\t", 1) for line in g.read().splitlines() if ":\t" in line)
    assert set(words["Uid"].split()) == {"65534"} and words["NoNewPrivs"] == "1" and words["Seccomp"] == "2"
    assert int(words["CapPrm"], 16) == int(words["CapEff"], 16) == 1 << 10  # CAP_NET_BIND_SERVICE


def test_given_sockets(fox, backend):
    """Sockets made by the service manager (LISTEN_FDS): they are used, and outlive the process with who waits in them."""
    f = fox(start=False, backend=backend().address, port=2626, listen=["0.0.0.0:2626"])
    s = f.net.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", 2626))  # without SO_REUSEPORT: a second bind would fail
    s.listen(100)
    s.settimeout(None)
    fd = s.fileno()

    def start():
        # as a service manager: descriptor 3, and the variable with the process's own id
        os.set_inheritable(fd, True)
        f.env = {"LISTEN_FDS": "1"}
        f.net.argv, argv = (lambda *a: ["nsenter", f"--net=/proc/{f.net.holder.pid}/ns/net", "bash", "-c",
                                        f"exec 3<&{fd}; export LISTEN_PID=$$; exec \"$@\"", "sh", *a]), f.net.argv
        try:
            f.start(pass_fds=(fd,))
        finally:
            f.net.argv = argv
    start()
    assert greeting(f.connect("192.0.2.77")).startswith("220 ")
    f.proc.kill()
    f.proc.wait()
    waits = f.connect("192.0.2.77")  # nobody is there, and it is not refused
    start()
    assert greeting(waits).startswith("220 ")
    s.close()


def test_service_manager_is_told(fox, backend, tmp):
    said = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    said.bind(os.path.join(tmp, "notify"))
    os.chmod(os.path.join(tmp, "notify"), 0o777)
    said.settimeout(10)
    f = fox(start=False, backend=backend().address)
    f.env = {"NOTIFY_SOCKET": os.path.join(tmp, "notify"), "WATCHDOG_USEC": "400000"}
    f.start()
    words = [said.recv(4096) for _ in range(4)]
    assert b"READY=1" in words and words.count(b"WATCHDOG=1") >= 2
    f.proc.terminate()
    wait_until(lambda: said.recv(4096) == b"STOPPING=1", "the end to be said")


def test_check(fox, tmp):
    f = fox(start=False)
    r = subprocess.run([foxlib.program("foxproxy"), "--check", f.ini], capture_output=True, text=True)
    assert (r.returncode, r.stderr) == (0, "")
    f.write(sections="[blocked]\nmode = perhaps\nreplay = 554\n")
    r = subprocess.run([foxlib.program("foxproxy"), "--check", f.ini], capture_output=True, text=True)
    assert r.returncode == 1 and r.stderr == (f"{f.ini}:9: mode: must be on, log or off\n"
                                              f"{f.ini}:10: [blocked] has no key \"replay\"\n")
    r = subprocess.run([foxlib.program("foxproxy"), "--check", os.path.join(tmp, "none")], capture_output=True, text=True)
    assert r.returncode == 1 and "none" in r.stderr


def cpu_s(pids):
    return sum(sum(int(w) for w in open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()[11:13]) for p in pids) / os.sysconf("SC_CLK_TCK")


def test_control_socket_is_for_few(fox, backend, net):
    f = fox(backend=backend().address)
    r = subprocess.run(["setpriv", "--reuid", "1", "--clear-groups", "python3", "-c",
                        f"import socket; s=socket.socket(socket.AF_UNIX); s.connect({f.sock!r}); s.sendall(b'{{\"verb\":\"status\"}}\\n'); "
                        "print(len(s.recv(100)))"], capture_output=True, text=True)
    assert r.stdout.strip() in ("0", "") and "ok" not in r.stdout
    assert f.ask("nothing")["error"] == "invalid"
    silent = []
    for _ in range(40):  # more than there are places: the oldest go, nobody is kept out, and nothing spins
        s = socket.socket(socket.AF_UNIX)
        s.connect(f.sock)
        silent.append(s)
    assert f.ask("status")["ok"]
    pid = f.status()["pid"]
    before, start = cpu_s([pid]), time.monotonic()
    time.sleep(0.5)
    assert cpu_s([pid]) - before < (time.monotonic() - start) / 2
    r = subprocess.run([foxlib.program("foxproxy"), "--control", f.sock, "--ask", "status"], capture_output=True, text=True)
    assert r.returncode == 0 and '"state": "running"' in r.stdout


def test_log_is_not_flooded(fox, backend, tmp):
    f = fox(backend=backend().address, sections=ON)
    f.lists(blocked=make_list(os.path.join(tmp, "b"), ["192.0.2.0/24"]))
    for _ in range(300):
        s = f.connect("192.0.2.77")
        assert greeting(s).startswith("554 ")
        s.close()
    lines = f.words().count("event=client.refused")
    assert lines >= 20 and lines + f.counter("unlogged") == 300


# --- without memory


@pytest.mark.slow
@pytest.mark.fault
def test_lives_without_memory(fox, backend, tmp, injected):
    """Allocations fail, one in so many, while clients come, lists and settings change: it lives, whoever was connected stays, whoever
    comes is served or told, and afterwards all is as it should be."""
    faults = Faults(tmp)
    f = fox(start=False, backend=backend().address, sections=ON, max_sessions=1000)
    f.env = faults.env
    f.start()
    path = make_list(os.path.join(tmp, "b"), ["192.0.2.64/26"])
    stays = [f.connect("192.0.2.5") for _ in range(20)]
    for s in stays:
        assert greeting(s).startswith("220 ")
    f.lists(blocked=path)
    told = {"220 ": 0, "421 ": 0, "554 ": 0, "": 0}
    for one_in in (300, 30, 10, 3):
        with faults.armed(one_in):
            for i in range(60):
                with contextlib.suppress(OSError, ValueError):  # no answer at all
                    f.ask(("status", "reload", "why", "lists")[i % 4], address="192.0.2.77", blocked=path)
                blocked = i % 2 == 0
                with contextlib.closing(f.connect("192.0.2.77" if blocked else "192.0.2.5")) as s:
                    line = greeting(s)
                    told[line[:4]] += 1
                    assert not (blocked and line.startswith("220 "))
                echo_ok(stays[i % 20], i)
    assert f.proc.poll() is None and told["220 "] > 20 and told["554 "] > 60 and told[""] <= 10, told
    assert faults.injected > 50
    injected("allocations", faults.injected)
    assert f.ask("reload")["ok"] and f.ask("lists", blocked=path)["ok"]
    assert greeting(f.connect("192.0.2.77")).startswith("554 ") and greeting(f.connect("192.0.2.5")).startswith("220 ")
    for n, s in enumerate(stays):
        echo_ok(s, n)
