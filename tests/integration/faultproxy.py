"""A bad network as a TCP proxy on loopback, below TLS: it sees nothing and may delay, cut, corrupt, stall and throttle.

    with Proxy(("127.0.0.1", parent.port)) as net:
        agent.join(net.url, ...)
        net.cut_at = 900           # each connection is reset after so many bytes of the server's
        net.cut_now()              # every connection there is
        net.silence_s = 30         # a middlebox that drops what says nothing for so long
        net.frozen = True          # half-open: taken, acknowledged by the kernel, never forwarded
        net.heal()

(wireproxy.py is the liar that holds the parent's key and changes what is said; this one only breaks the line.)
"""
import contextlib
import select
import socket
import struct
import threading
import time


class Line:
    """One connection through the proxy."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.sent = 0  # bytes of the server's that went to the client
        self.alive = True

    def close(self, reset=False):
        self.alive = False
        for s in (self.client, self.server):
            with contextlib.suppress(OSError):
                if reset:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.close()


class Proxy:
    def __init__(self, target, address="127.0.0.1"):
        self.target = target
        self.lines, self.lock = [], threading.Lock()
        self.accepted = self.cuts = self.corrupted = 0
        self.heal()
        self.listener = socket.create_server((address, 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.url = f"https://{address}:{self.port}"
        threading.Thread(target=self.serve, daemon=True).start()

    def heal(self):
        self.delay_s = 0        # each piece, both ways
        self.cut_at = None      # bytes from the server
        self.corrupt_at = None  # the byte of the server's that has a bit flipped
        self.silence_s = None
        self.frozen = False
        self.refuse = False
        self.rate = None        # bytes a second from the server

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.listener.close()
        self.cut_now()

    def cut_now(self):
        with self.lock:
            lines, self.lines = self.lines, []
        for line in lines:
            line.close(reset=True)

    def open_lines(self):
        with self.lock:
            return sum(line.alive for line in self.lines)

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self.refuse:
                client.close()
                continue
            threading.Thread(target=self.run, args=(client,), daemon=True).start()

    def run(self, client):
        try:
            server = socket.create_connection(self.target, timeout=5)
        except OSError:
            client.close()
            return
        line = Line(client, server)
        with self.lock:
            self.lines.append(line)
        with contextlib.suppress(OSError, ValueError):
            self.pump(line)
        line.close()

    def cut(self, line):
        self.cuts += 1
        line.close(reset=True)

    def pump(self, line):
        heard = time.monotonic()
        while line.alive:
            ready = select.select([line.client, line.server], [], [], 0.1)[0]
            if self.frozen:  # what arrives stays in the kernel's buffers
                time.sleep(0.05)
                continue
            if not ready and self.silence_s is not None and time.monotonic() - heard > self.silence_s:
                self.cut(line)
                return
            for s in ready:
                heard = time.monotonic()
                data = s.recv(16384 if self.rate is None else max(1, self.rate // 10))
                if not data:
                    return
                if self.delay_s:
                    time.sleep(self.delay_s)
                if s is line.client:
                    line.server.sendall(data)
                elif not self.to_client(line, data):
                    return

    def to_client(self, line, data):
        """False: the line was cut in it."""
        at, line.sent = line.sent, line.sent + len(data)
        if self.corrupt_at is not None and at <= self.corrupt_at < line.sent:
            i = self.corrupt_at - at
            data = data[:i] + bytes([data[i] ^ 1]) + data[i + 1:]
            self.corrupted += 1
        if self.cut_at is not None and line.sent > self.cut_at:
            line.client.sendall(data[:max(0, self.cut_at - at)])
            self.cut(line)
            return False
        line.client.sendall(data)
        if self.rate is not None:
            time.sleep(len(data) / self.rate)
        return True
