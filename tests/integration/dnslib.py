"""DNS servers for tests: rbldnsd with zones that can be rewritten, stopped and started again, and a responder that lies."""
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

RBLDNSD = shutil.which("rbldnsd", path="/usr/sbin:/usr/bin:/sbin:/bin")


def make_socket(net, kind):
    """net: a foxlib.Net, whose loopback it is on then."""
    if net is None:
        return socket.socket(socket.AF_INET, kind)
    with net.inside():
        return socket.socket(socket.AF_INET, kind)


POINTS4, POINTS6 = "127.0.0.2\n", "0:0:0:0:0:ffff:7f00:2/128\n"


def free_port(net=None):
    with make_socket(net, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Rbldnsd:
    """zones: {name: {file suffix: (data set type, text)}}."""

    def __init__(self, zones, net=None):
        self.dir = tempfile.mkdtemp(prefix="inari-rbl-")
        os.chmod(self.dir, 0o755)
        self.net = net
        self.port, self.proc, self.args = free_port(net), None, []
        for zone, sets in zones.items():
            for suffix, (kind, text) in sets.items():
                self.write(zone + suffix, text)
                self.args.append(f"{zone}:{kind}:{zone}{suffix}")
        self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path + ".new", "w") as f:
            f.write(text)
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)

    def rewrite(self, name, text):
        self.write(name, text)
        os.utime(os.path.join(self.dir, name), (time.time() + 5, time.time() + 5))
        self.proc.send_signal(signal.SIGHUP)

    def start(self):
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.proc = subprocess.Popen((self.net.argv() if self.net else []) + [RBLDNSD, "-n", "-f", "-b", f"127.0.0.1/{self.port}", "-w", self.dir, "-c", "1s"] + self.args,
                                     stdout=self.log, stderr=self.log)
        until = time.monotonic() + 20
        while not question("127.0.0.1", self.port, self.net, "1.0.0.127." + self.args[0].split(":")[0]):
            assert self.proc.poll() is None and time.monotonic() < until, open(self.log.name).read()
            time.sleep(0.02)

    def stop(self):
        if self.proc:
            self.proc.kill()
            self.proc.wait()
            self.log.close()
        self.proc = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def encode_name(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".") if p) + b"\0"


def question(host, port, net, name):
    """Does somebody answer there?"""
    with make_socket(net, socket.SOCK_DGRAM) as s:
        s.settimeout(0.3)
        s.connect((host, port))
        try:
            s.send(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0" + encode_name(name) + b"\0\x01\0\x01")
            return len(s.recv(4096)) >= 12
        except OSError:
            return False


def name_of(query):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("ascii", "replace"))
        at += 1 + query[at]
    return ".".join(labels), query[12:at + 5]


def reply(query, addresses=(), rcode=None, flags=0x8180, ttl=300):
    """An answer to query: these addresses, or NXDOMAIN."""
    asked = name_of(query)[1]
    rcode = (0 if addresses else 3) if rcode is None else rcode
    head = query[:2] + struct.pack("!HHHHH", flags | rcode, 1, len(addresses), 0, 0)
    return head + asked + b"".join(b"\xc0\x0c\0\x01\0\x01" + struct.pack("!IH", ttl, 4) + socket.inet_aton(a) for a in addresses)


class Responder:
    """answer(name, query, tcp) -> bytes, None (silence) or a list of datagrams; over UDP and TCP on one port.  delay: seconds."""

    def __init__(self, answer, net=None, port=None):
        self.answer, self.seen, self.tcp_seen, self.sources, self.delay = answer, [], [], set(), 0
        self.port = port or free_port(net)
        self.udp = make_socket(net, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = make_socket(net, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(("127.0.0.1", self.port))
        self.tcp.listen(16)
        for f in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=f, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def send(self, datagrams, peer):
        for d in datagrams:
            try:
                self.udp.sendto(d, peer)
            except OSError:
                return

    def serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if len(query) < 17:  # what a shutdown looks like
                return
            name = name_of(query)[0]
            self.seen.append(name)
            self.sources.add(peer[1])
            out = self.answer(name, query, False)
            out = [] if out is None else out if isinstance(out, list) else [out]
            if self.delay:
                threading.Timer(self.delay, self.send, (out, peer)).start()
            else:
                self.send(out, peer)

    def serve_tcp(self):
        while True:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            with conn:
                conn.settimeout(5)
                try:
                    size = struct.unpack("!H", conn.recv(2, socket.MSG_WAITALL))[0]
                    query = conn.recv(size, socket.MSG_WAITALL)
                    self.tcp_seen.append(name_of(query)[0])
                    out = self.answer(self.tcp_seen[-1], query, True)
                    if out is not None:
                        conn.sendall(struct.pack("!H", len(out)) + out)
                        conn.recv(1)
                except (OSError, struct.error, IndexError):
                    pass


def points_of(name):
    """The test points of a sound zone: the listed one's address, None for another name."""
    return ["127.0.0.2"] if name.startswith(("2.0.0.127.", "2.0.0.0.0.0.f.7.")) else None
