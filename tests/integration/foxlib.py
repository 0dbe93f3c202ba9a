"""foxproxy in a network of its own, with a private Postfix or a backend of the test's behind it, and clients that come from where the
test says."""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

from helperlib import program, wait_until

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
V2 = b"\r\n\r\n\0\r\nQUIT\n"
MINE4, MINE6 = "192.0.2.1", "2001:db8::1"  # this host; all else in 192.0.2.0/24 and the list below are clients
CLIENTS6 = [f"2001:db8::{i:x}" for i in range(0x10, 0x20)]


def setns(fd):
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Net:
    """A network namespace with a loopback that has many addresses; sockets are made in it from any thread."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        wait_until(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"), "a network")
        self.fd = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY)
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        for words in ("link set lo up", f"addr add {MINE4}/24 dev lo", f"addr add {MINE6}/128 dev lo nodad",
                      *(f"addr add {a}/128 dev lo nodad" for a in CLIENTS6)):
            self.run("ip", *words.split())

    def argv(self, *argv):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *argv]

    def run(self, *argv, **kw):
        return subprocess.run(self.argv(*argv), check=True, capture_output=True, text=True, **kw).stdout

    @contextlib.contextmanager
    def inside(self):
        """This thread's new sockets are made there."""
        setns(self.fd)
        try:
            yield
        finally:
            setns(self.home)

    def socket(self, family=socket.AF_INET):
        with self.inside():
            s = socket.socket(family)
        s.settimeout(20)
        return s

    def connect(self, host, port, source=None):
        s = self.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if source:
            s.bind((source, 0))
        s.connect((host, port))
        return s

    def close(self):
        os.close(self.fd)
        os.close(self.home)
        self.holder.kill()
        self.holder.wait()


def make_list(path, rows):
    """rows: networks, or (network, id, expires_ms)."""
    text = "".join((r if isinstance(r, str) else " ".join(str(x) for x in r)) + "\n" for r in rows)
    subprocess.run([program("listmake"), path], input=text, text=True, check=True)
    os.chmod(path, 0o644)
    return path


class Fox:
    """A running foxproxy. port is where it listens, on every address of the test's network."""

    def __init__(self, net, folder, backend="127.0.0.1:2500", port=2525, loops=2, sections="", user="nobody", **main):
        self.net, self.dir, self.port, self.loops, self.user = net, str(folder), port, loops, user
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        self.ini, self.sock, self.state = (os.path.join(self.dir, n) for n in ("foxproxy.ini", "run/control", "state"))
        self.proc, self.log, self.env = None, os.path.join(self.dir, "log"), {}
        self.main = {"listen": [f"0.0.0.0:{port}", f"[::]:{port}"], "backend": backend, "hostname": "mx.example.test",
                     "max_sessions": 100, "idle_timeout_s": 600, **main}
        self.sections = sections
        self.write()

    def write(self, sections=None, **main):
        self.main.update(main)
        self.sections = self.sections if sections is None else sections
        lines = ["[main]"]
        for k, v in self.main.items():
            lines += [f"{k} = {x}" for x in (v if isinstance(v, list) else [v])]
        with open(self.ini + ".new", "w") as f:
            f.write("\n".join(lines) + "\n" + self.sections + "\n")
        os.chmod(self.ini + ".new", 0o644)
        os.rename(self.ini + ".new", self.ini)

    def start(self, wait=True, extra=(), pass_fds=()):
        argv = [program("foxproxy"), "--config", self.ini, "--control", self.sock, "--state", self.state, "--user", self.user,
                "--loops", str(self.loops), "--grace", "5", *extra]
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(self.net.argv(*argv), stderr=log, env={**os.environ, **self.env}, pass_fds=pass_fds)
        if wait:
            wait_until(lambda: self.proc.poll() is not None or self.alive(), "foxproxy to answer")
            assert self.proc.poll() is None, self.words()
        return self

    def alive(self):
        try:
            return self.ask("status")["ok"]
        except OSError:
            return False

    def words(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def ask(self, verb, **members):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        with contextlib.closing(s):
            s.connect(self.sock)
            s.sendall(json.dumps({"verb": verb, **members}).encode() + b"\n")
            return json.loads(read_line(s))

    def status(self):
        return self.ask("status")

    def counter(self, name):
        c = self.status()["counters"]
        return c[name] if name in c else c["refused"][name]

    def lists(self, **paths):
        answer = self.ask("lists", **paths)
        assert answer["ok"], answer
        return answer

    def connect(self, source=None, host=None):
        host = host or (MINE6 if source and ":" in source else MINE4)
        return self.net.connect(host, self.port, source)

    def end(self, sig=signal.SIGTERM, timeout=20):
        if self.proc is None or self.proc.poll() is not None:
            return
        self.proc.send_signal(sig)
        self.proc.wait(timeout)

    def close(self):
        if self.proc is not None and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            self.proc.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.proc.wait(10)
            if self.proc.poll() is None:
                self.proc.kill()
                self.proc.wait()
        said = self.words() if os.path.exists(self.log) else ""
        assert "Sanitizer" not in said and "runtime error" not in said, said[-4000:]


def read_line(s):
    data = b""
    while not data.endswith(b"\n"):
        got = s.recv(1) if len(data) < 4096 else s.recv(4096)
        if not got:
            break
        data += got
    return data


def read_reply(s):
    """A whole SMTP reply, as text."""
    text = b""
    while True:
        line = read_line(s)
        text += line
        if not line or line[3:4] != b"-":
            return text.decode("latin-1")


def read_all(s):
    data = b""
    while True:
        got = s.recv(1 << 16)
        if not got:
            return data
        data += got


def say(s, text):
    s.sendall(text.encode() + b"\r\n")
    return read_reply(s)


def read_exactly(s, n):
    data = b""
    while len(data) < n:
        got = s.recv(n - len(data))
        if not got:
            raise ConnectionError(f"{len(data)} of {n} bytes")
        data += got
    return data


def read_v2(s):
    """(command and version byte, source, port) of a PROXY v2 header."""
    head = read_exactly(s, 16)
    assert head[:12] == V2, head
    body = read_exactly(s, struct.unpack(">H", head[14:16])[0])
    family, n = (socket.AF_INET, 4) if head[13] == 0x11 else (socket.AF_INET6, 16)
    assert head[13] in (0x11, 0x21), head
    return head[12], socket.inet_ntop(family, body[:n]), struct.unpack(">H", body[2 * n:2 * n + 2])[0]


def v2(src, dst="198.51.100.9", sport=1234, dport=25, command=0x21, tlv=b""):
    family, code = (socket.AF_INET6, 0x21) if ":" in src else (socket.AF_INET, 0x11)
    if family == socket.AF_INET6 and ":" not in dst:
        dst = "::ffff:" + dst if src.lower().startswith("::ffff:") else "2001:db8:9::1"
    body = socket.inet_pton(family, src) + socket.inet_pton(family, dst) + struct.pack(">HH", sport, dport) + tlv
    return V2 + bytes([command, code]) + struct.pack(">H", len(body)) + body


class Backend:
    """What stands behind foxproxy when a test wants to see every byte: serve(socket) runs in a thread for each connection, after the
    PROXY header was read into self.peers."""

    def __init__(self, net, serve=None, port=0, host="127.0.0.1"):
        self.net, self.serve, self.peers, self.open = net, serve or self.echo, [], []
        self.sock = net.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.sock.settimeout(None)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((host, port))
        self.sock.listen(1000)
        self.port = self.sock.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.sock.accept()
                s.settimeout(60)
                self.open.append(s)
                threading.Thread(target=self.one, args=(s,), daemon=True).start()

    def one(self, s):
        with contextlib.suppress(OSError, ConnectionError):
            peer = read_v2(s)
            self.peers.append(peer)
            self.serve(s)
        with contextlib.suppress(OSError):
            s.shutdown(socket.SHUT_WR)

    @staticmethod
    def echo(s):
        s.sendall(b"220 backend.example.test ESMTP\r\n")
        while True:
            got = s.recv(1 << 16)
            if not got:
                return
            s.sendall(got)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        for s in [self.sock, *self.open]:
            with contextlib.suppress(OSError):
                s.close()


MAIN_CF = """compatibility_level = 3.6
config_directory = {etc}
queue_directory = {spool}
data_directory = {data}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
syslog_name = foxtest
myhostname = mx.example.test
mydestination =
mynetworks = 127.0.0.0/8 [::1]/128
inet_protocols = all
relay_domains = example.test
relay_transport = discard:
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_restriction_classes = tell
tell = check_client_access pcre:{etc}/tell
smtpd_recipient_restrictions = check_recipient_access inline:{{who@example.test=tell}}, permit
smtpd_forbid_bare_newline = yes
smtpd_forbid_bare_newline_exclusions =
disable_dns_lookups = yes
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
"""


class Postfix:
    """A private Postfix in the test's network. 127.0.0.1:2500 wants PROXY v2 and relays for nobody, as the planner makes it; RCPT to
    who@example.test is answered with the client's address."""

    def __init__(self, net, folder, port=2500):
        self.net, self.dir, self.port = net, str(folder), port
        self.etc, self.spool, self.data = (os.path.join(self.dir, n) for n in ("etc", "spool", "data"))
        for d in (self.etc, self.spool, self.data):
            os.makedirs(d, mode=0o755)
        path = self.dir
        while path != "/":  # Postfix's own user must get there
            if os.stat(path).st_uid == os.geteuid():
                os.chmod(path, os.stat(path).st_mode | 0o011)
            path = os.path.dirname(path)
        shutil.chown(self.data, "postfix")
        os.chmod(self.data, 0o700)
        for name in ("postfix-files", "postfix-script", "post-install", "dynamicmaps.cf", "postfix-files.d", "dynamicmaps.cf.d", "makedefs.out"):
            source = f"/etc/postfix/{name}"
            if os.path.isdir(source) and not os.path.islink(source):
                shutil.copytree(source, os.path.join(self.etc, name))
            elif os.path.lexists(source):
                shutil.copy2(source, os.path.join(self.etc, name))
        with open(os.path.join(self.etc, "main.cf"), "w") as f:
            f.write(MAIN_CF.format(etc=self.etc, spool=self.spool, data=self.data))
        with open(os.path.join(self.etc, "tell"), "w") as f:
            f.write("/^([0-9a-fA-F:.]+)$/ REJECT seen=$1\n")
        with open("/usr/share/postfix/master.cf.dist") as f:
            lines = [x for x in f if not x.startswith("smtp      inet")]
        with open(os.path.join(self.etc, "master.cf"), "w") as f:
            f.writelines(lines)
            f.write(f"127.0.0.1:{port} inet n - n - - smtpd\n -o smtpd_upstream_proxy_protocol=haproxy\n -o mynetworks=\n"
                    " -o smtpd_authorized_xclient_hosts=\n")

    def command(self, word, check=True):
        return subprocess.run(self.net.argv("postfix", "-c", self.etc, word), check=check, capture_output=True, text=True, timeout=60)

    def start(self):
        self.command("start")
        wait_until(self.listening, "Postfix to listen", 20)
        return self

    def listening(self):
        with contextlib.suppress(OSError), contextlib.closing(self.net.connect("127.0.0.1", self.port)):
            return True
        return False

    def stop(self):
        self.command("stop", check=False)
        wait_until(lambda: not self.listening(), "Postfix to be gone", 20)

    def close(self):
        self.command("stop", check=False)
        end = time.monotonic() + 10
        while self.listening() and time.monotonic() < end:
            self.command("abort", check=False)
            time.sleep(0.05)
