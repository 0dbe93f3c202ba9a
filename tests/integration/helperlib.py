"""A device of its own for the helper's tests: a mount and network namespace with a private Postfix at the default paths,
inari-helper on a socket that the test sees, and a client of its frames."""
import ctypes
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("INARI_BUILD", os.path.join(SOURCE, "build", "ci"))
DEVICE = "01936a3e-0000-7000-8000-000000000001"
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000

MAIN_CF = """# by hand, before Inari
myhostname = mx.example.test
# a comment that must stay
smtpd_banner = $myhostname ESMTP by hand
mydestination =
mynetworks = 127.0.0.0/8 [::1]/128
relay_domains = example.test
smtpd_relay_restrictions = permit_mynetworks,
  # inside
  reject_unauth_destination
disable_dns_lookups = yes
smtp_host_lookup = native
smtpd_peername_lookup = no
message_size_limit = 10240000
my_own_parameter = kept
smtpd_restriction_classes = my_class
my_class = check_sender_access texthash:/etc/postfix/$my_own_parameter
compatibility_level = 3.6
relayhost = [127.0.0.1]:2599
"""


def program(name):
    for root, _, files in os.walk(BUILD):
        if name in files and os.access(os.path.join(root, name), os.X_OK):
            return os.path.join(root, name)
    raise AssertionError(f"{name} is not built in {BUILD}")


def wait_until(test, what, timeout=10):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = test()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"timed out waiting for {what}")


class HelperError(Exception):
    def __init__(self, answer):
        super().__init__(f"{answer.get('error')}: {answer.get('message')}\n{answer.get('output', '')}\n"
                         f"{json.dumps(answer.get('findings', []))[:2000]}")
        self.answer = answer


class Client:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(60)
        self.s.connect(path)

    def raw(self, data):
        self.s.sendall(data)

    def read(self):
        head = self._exactly(4)
        return json.loads(self._exactly(struct.unpack(">I", head)[0]))

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.s.recv(n - len(data))
            if not more:
                raise ConnectionError("the helper closed the connection")
            data += more
        return data

    def ask(self, verb, **members):
        text = json.dumps({"v": 1, "verb": verb, **members}).encode()
        self.raw(struct.pack(">I", len(text)) + text)
        return self.read()

    def call(self, verb, **members):
        answer = self.ask(verb, **members)
        if not answer["ok"]:
            raise HelperError(answer)
        return answer

    def close(self):
        self.s.close()


class Device:
    def __init__(self, tmp, etc_tmpfs=None, state_tmpfs=None, conf="", front=False):
        """front: foxproxy is installed there."""
        self.tmp, self.front = str(tmp), front
        os.chmod(self.tmp, 0o755)
        parent = os.path.dirname(self.tmp)
        while parent != "/":  # Postfix's own user must get to its spool
            if os.stat(parent).st_uid == os.geteuid():
                os.chmod(parent, os.stat(parent).st_mode | 0o011)
            parent = os.path.dirname(parent)
        self.etc, self.spool, self.data = (self.path(n) for n in ("etc", "spool", "data"))
        self.state, self.sock = self.path("state"), self.path("helper.sock")
        self.conf_text = conf
        self.helper = None
        for d in (self.etc, self.spool, self.data):
            os.makedirs(d, mode=0o755, exist_ok=True)
        shutil.chown(self.data, "postfix")
        os.chmod(self.data, 0o700)
        self._fill_etc()
        self._namespaces(etc_tmpfs, state_tmpfs)
        self._write_conf()

    def path(self, *parts):
        return os.path.join(self.tmp, *parts)

    def _fill_etc(self):
        for name in ("postfix-files", "postfix-script", "post-install", "dynamicmaps.cf", "postfix-files.d",
                     "dynamicmaps.cf.d", "makedefs.out"):
            source = f"/etc/postfix/{name}"
            if os.path.isdir(source) and not os.path.islink(source):
                shutil.copytree(source, os.path.join(self.etc, name), dirs_exist_ok=True)
            elif os.path.exists(source) or os.path.islink(source):
                shutil.copy2(source, os.path.join(self.etc, name), follow_symlinks=False)
        with open("/usr/share/postfix/master.cf.dist") as f:
            self.write("master.cf", f.read())
        self.write("main.cf", MAIN_CF)
        self.write("kept", "nobody@example.test REJECT\n")

    def write(self, name, text):
        with open(os.path.join(self.etc, name), "w") as f:
            f.write(text)
        os.chmod(os.path.join(self.etc, name), 0o644)
        old = time.time() - 10  # Postfix waits two seconds for a file that was just written
        os.utime(os.path.join(self.etc, name), (old, old))

    def read(self, name):
        with open(os.path.join(self.etc, name)) as f:
            return f.read()

    def _namespaces(self, etc_tmpfs, state_tmpfs):
        script = ["ip link set lo up"]
        for what, where in ((etc_tmpfs, self.etc), (state_tmpfs, self.state)):
            if what:
                os.makedirs(where, exist_ok=True)
                script += [f"mkdir -p {self.tmp}/keep && cp -a {where}/. {self.tmp}/keep/",
                           f"mount -t tmpfs -o size={what},mode=755 tmpfs {where}", f"cp -a {self.tmp}/keep/. {where}/"]
        script += [f"mount --bind {self.etc} /etc/postfix", f"mount --bind {self.spool} /var/spool/postfix",
                   f"mount --bind {self.data} /var/lib/postfix", "echo ready", "exec sleep infinity"]
        self.holder = subprocess.Popen(["unshare", "-m", "-n", "sh", "-ec", "\n".join(script)],
                                       stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline().strip() == "ready"
        if etc_tmpfs:  # what is mounted there is seen from outside through the holder
            self.etc = f"/proc/{self.holder.pid}/root{self.etc}"
        if state_tmpfs:
            self.state_seen = f"/proc/{self.holder.pid}/root{self.state}"

    def _write_conf(self):
        self.conf = self.path("agent.conf")
        with open(self.conf, "w") as f:
            f.write(f"helper.state = {self.state}\nhelper.socket = {self.sock}\nhelper.trial_dir = {self.path('trial')}\n"
                    f"agent.user = nobody\nagent.group = nogroup\npostfix.manager = postfix\nlog.level = debug\n"
                    f"helper.takeover = 1s\nfoxproxy.program = {self._foxproxy()}\nfoxproxy.user = nobody\n"
                    f"foxproxy.config = {self.path('fox', 'foxproxy.ini')}\nfoxproxy.state = {self.path('fox-state')}\n"
                    f"foxproxy.control = {self.path('fox-run', 'control')}\n{self.conf_text}")

    def _foxproxy(self):
        """A copy that its own user can read, wherever the build lies."""
        if not self.front:
            return self.path("no-foxproxy")
        return shutil.copy2(program("foxproxy"), self.path("foxproxy"))

    def inside(self, *argv, check=True, timeout=60, **kw):
        return subprocess.run(["nsenter", "-t", str(self.holder.pid), "-m", "-n", *argv], check=check, timeout=timeout,
                              capture_output=True, text=True, **kw)

    def postfix(self, word):
        return self.inside("postfix", word, check=word != "stop")

    # -- the helper --
    def start(self, wait=True, **env):
        self.log = open(self.path("helper.log"), "ab")
        self.helper = subprocess.Popen(["nsenter", "-t", str(self.holder.pid), "-m", "-n", program("inari-helper"),
                                        "--config", self.conf], stderr=self.log, stdout=self.log,
                                       env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0", **env})
        if wait:
            wait_until(lambda: self._answers() or self.helper.poll() is not None, "the helper", 30)
            assert self.helper.poll() is None, self.log_text()

    def _answers(self):
        try:
            c = self.client()
        except OSError:
            return False
        try:
            c.call("hello")
        except (OSError, ConnectionError):
            return False
        finally:
            c.close()
        return True

    def log_text(self):
        with open(self.path("helper.log")) as f:
            return f.read()

    def stop(self):
        if self.helper and self.helper.poll() is None:
            self.helper.terminate()
            self.helper.wait(30)
        self.helper = None

    def client(self):
        return Client(self.sock)

    def foxproxy(self):
        """Process ids of its foxproxy, by the network namespace."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.stat(f"/proc/{pid}/ns/net").st_ino != os.stat(f"/proc/{self.holder.pid}/ns/net").st_ino:
                    continue
                with open(f"/proc/{pid}/stat") as f:
                    stat = f.read()
                if "(foxproxy)" in stat and stat[stat.rindex(")") + 2] != "Z":
                    found.append(int(pid))
            except OSError:
                continue
        return found

    def close(self):
        self.stop()
        for pid in self.foxproxy():
            os.kill(pid, signal.SIGKILL)
        self.inside("postfix", "stop", check=False)
        for spool in (self.spool, self.path("trial", "spool")):
            try:
                with open(os.path.join(spool, "pid", "master.pid")) as f:
                    pid = int(f.read())
                with open(f"/proc/{pid}/comm") as f:
                    if f.read().strip() == "master":
                        os.kill(pid, signal.SIGKILL)
            except (OSError, ValueError):
                pass
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()

    # -- SMTP from inside its network --
    def connect(self, port, host="127.0.0.1", timeout=5):
        with open("/proc/thread-self/ns/net") as here, open(f"/proc/{self.holder.pid}/ns/net") as there:
            assert LIBC.setns(there.fileno(), CLONE_NEWNET) == 0
            try:
                return socket.create_connection((host, port), timeout)
            finally:
                assert LIBC.setns(here.fileno(), CLONE_NEWNET) == 0

    def dialogue(self, port, lines=(), proxy=None, timeout=5):
        """Greeting and the reply to each line."""
        with self.connect(port, timeout=timeout) as s:
            if proxy:
                s.sendall(proxy)
            f = s.makefile("rb")
            got = [reply(f)]
            for line in lines:
                s.sendall(line.encode() + b"\r\n")
                got.append(reply(f))
            return got

    def banner_digests(self):
        words = self.dialogue(10029)[0].split()
        return words[2], words[3]


def reply(f):
    text = ""
    while True:
        line = f.readline().decode()
        if not line:
            raise ConnectionError(f"closed after {text!r}")
        text += line
        if line[3:4] != "-":
            return text.strip()


def proxy_v2(client="192.0.2.1", server="127.0.0.1"):
    pack = socket.inet_aton(client) + socket.inet_aton(server) + struct.pack(">HH", 40000, 25)
    return b"\r\n\r\n\0\r\nQUIT\n" + b"\x21\x11" + struct.pack(">H", len(pack)) + pack


def digest(n):
    return hashlib.sha256(str(n).encode()).hexdigest()


def settings(**changed):
    """A small site.  Underscores after the area are dots: smtp__banner_text is smtp.banner_text."""
    base = {
        "smtp.hostname": "mx.example.test",
        "smtp.relay_domains": {"example.test": {}},
        "smtp.relay_networks": {"127.0.0.0/8": {}},
        "smtp.relayhost": "[127.0.0.1]:2599",
    }
    return {**base, **{k.replace("__", "."): v for k, v in changed.items()}}
