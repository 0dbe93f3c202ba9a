"""The parent's CPU with 1,000 connections that send a byte each 5 s, and how a good client fares meanwhile."""
import socket
import ssl
import time

import _front
import parentlib

N, SECONDS, EVERY_S = 1000, 20, 5.0
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600)  # a ClientHello that never becomes whole


class Drip:
    """A connection that sends one byte of a TLS record at a time; a new one when it is cut off."""

    def __init__(self, port, at):
        self.port, self.at = port, at
        self.open()

    def open(self):
        self.s = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        self.s.setblocking(False)
        self.sent = 0

    def step(self, now):
        if now < self.at:
            return 0
        self.at = now + EVERY_S
        cut = 0
        try:
            if self.s.recv(1) == b"":
                raise ConnectionResetError
        except BlockingIOError:
            pass
        except OSError:
            self.s.close()
            self.open()
            cut = 1
        try:
            self.s.send(HELLO[self.sent:self.sent + 1])
            self.sent += 1
        except OSError:
            pass
        return cut


def ask(ctx, port):
    began = time.monotonic()
    with ctx.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="localhost") as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 200")
    return (time.monotonic() - began) * 1000


def p99(values):
    return sorted(values)[int(len(values) * 0.99)]


def run():
    with _front.parent() as p:
        ctx = ssl.create_default_context(cafile=p.ca)
        quiet = [ask(ctx, p.port) for _ in range(100)]
        idle = _front.cpu_s(p.pid)
        time.sleep(5)
        idle = (_front.cpu_s(p.pid) - idle) / 5
        now = time.monotonic()
        drips = [Drip(p.port, now + EVERY_S * i / N) for i in range(N)]
        cut, end, before = 0, time.monotonic() + SECONDS, _front.cpu_s(p.pid)
        while time.monotonic() < end:
            now = time.monotonic()
            cut += sum(d.step(now) for d in drips)
            time.sleep(0.05)
        used = (_front.cpu_s(p.pid) - before) / SECONDS
        busy = []
        for _ in range(100):
            busy.append(ask(ctx, p.port))
            now = time.monotonic()
            for d in drips:
                d.step(now)
        for d in drips:
            d.s.close()
        parentlib.wait_until(p.ready, "the parent to be ready afterwards")
        yield {"name": "hostile.cpu", "value": round(used * 100, 2), "unit": f"% of a core ({N} dripping connections)", "bar": 2.0}
        yield {"name": "hostile.idle_cpu", "value": round(idle * 100, 2), "unit": "% of a core (none)"}
        yield {"name": "hostile.cut_off", "value": cut, "unit": f"connections in {SECONDS} s"}
        yield {"name": "hostile.good_client.p99", "value": round(p99(busy), 2), "unit": "ms", "peer": "quiet",
               "peer_value": round(p99(quiet), 2), "ratio": round(p99(quiet) / p99(busy), 3), "bar": 0.5}
