"""One host of the lab: holder, private folders, processes."""
import json
import os
import signal
import subprocess

from .util import LabError, make_dir, say, wait_until, write_file

HERE = os.path.dirname(os.path.abspath(__file__))
# The folders of a child that are its own; everything else is the machine's.
CHILD_BINDS = ("etc/postfix", "etc/inari", "var/spool/postfix", "var/lib/postfix", "var/lib/inari", "run/inari",
               "var/log", "etc/hosts", "etc/hostname", "etc/mailname", "etc/resolv.conf")
PLAIN_BINDS = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "var/log")


def netns_inode(netns):
    try:
        return os.stat(f"/run/netns/{netns}").st_ino
    except FileNotFoundError:
        return None


MOUNT_POINTS = "/run/inari-lab/mount-points"


def mount_point(source, target):
    """A mount point that this machine lacks: made empty, and remembered so that the last lab's end removes it.  Hosts
    are switched on side by side, in one lab and in several: who comes second finds it made."""
    parts = target.strip("/").split("/")
    for i in range(1, len(parts) + 1):
        path = "/" + "/".join(parts[:i])
        if os.path.lexists(path):
            continue
        try:
            if i < len(parts) or os.path.isdir(source):
                os.mkdir(path)
            else:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        except FileExistsError:
            continue
        with open(MOUNT_POINTS, "a") as f:
            f.write(path + "\n")


def remove_mount_points():
    """What mount_point() made and nobody has filled since."""
    try:
        with open(MOUNT_POINTS) as f:
            paths = f.read().split()
    except FileNotFoundError:
        return
    for path in sorted(set(paths), key=len, reverse=True):  # what lies deeper first
        try:
            if os.path.isdir(path):
                os.rmdir(path)
            elif os.path.getsize(path) == 0:
                os.unlink(path)
        except OSError:
            pass
    os.unlink(MOUNT_POINTS)


class Host:
    """dir: DIR/<name>; root: the private folders; netns: its network namespace."""

    def __init__(self, lab, name, extra_binds=()):
        self.lab, self.name = lab, name
        self.netns = lab.net.netns(name)
        self.dir = os.path.join(lab.dir, name)
        self.root = os.path.join(self.dir, "root")
        self.logs = os.path.join(self.dir, "log")
        self.extra_binds = tuple(extra_binds)

    # -- processes ---------------------------------------------------------------------------------------------
    def pids(self):
        """pid -> (command name, executable, arguments) of everything alive in the namespace."""
        ino, found = netns_inode(self.netns), {}
        if ino is None:
            return found
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.stat(f"/proc/{pid}/ns/net").st_ino != ino:
                    continue
                with open(f"/proc/{pid}/stat") as f:
                    rest = f.read()
                if rest[rest.rindex(")") + 2] == "Z":
                    continue
                with open(f"/proc/{pid}/cmdline") as f:
                    argv = f.read().split("\0")
                found[int(pid)] = (rest[rest.index("(") + 1:rest.rindex(")")], os.readlink(f"/proc/{pid}/exe"), argv)
            except (OSError, ValueError):
                continue
        return found

    def named(self, what):
        """The pids of one part: a program's name, or "postfix" for all of Postfix."""
        def belongs(comm, exe, argv):
            exe = exe.removesuffix(" (deleted)")
            if what == "postfix":
                return exe.startswith(("/usr/lib/postfix/", "/usr/sbin/post"))
            if exe.startswith("/usr/bin/python3"):
                return any(os.path.basename(a) == f"{what}.py" for a in argv[:3])
            return os.path.basename(exe) == what
        return sorted(p for p, x in self.pids().items() if belongs(*x))

    def holder_pid(self):
        pids = self.named("holder")
        return pids[0] if pids else None

    def kill(self, what=None, sig=signal.SIGKILL):
        """SIGKILL a part, or everything as a power cut does; returns when it is gone."""
        seen = set()

        def round_():
            pids = self.named(what) if what else list(self.pids())
            seen.update(pids)
            for p in pids:
                try:
                    os.kill(p, sig)
                except ProcessLookupError:
                    pass
            return not pids
        wait_until(round_, f"{self.name}/{what or 'all'} to die", 20, 0.01)
        # A dead process still has its number until process 1 asks for it, and PostgreSQL would take it for alive.
        try:
            if what == "postgres":
                wait_until(lambda: not any(os.path.exists(f"/proc/{p}") for p in seen), "", 5, 0.01)
        except LabError:
            pass

    # -- on and off --------------------------------------------------------------------------------------------
    def write_files(self, addresses):
        make_dir(self.dir)
        make_dir(self.logs)
        os.chmod(self.logs, 0o777 | 0o1000)
        for d in ("etc", "var", "run"):
            make_dir(os.path.join(self.root, d))
        zone, etc = self.lab.zone, os.path.join(self.root, "etc")
        fqdn = f"{self.name}.{zone}"
        write_file(f"{etc}/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
                   + "".join(f"{a} {fqdn} {self.name}\n" for a in addresses))
        write_file(f"{etc}/hostname", f"{self.name}\n")
        write_file(f"{etc}/mailname", f"{fqdn}\n")
        write_file(f"{etc}/resolv.conf", f"nameserver {self.lab.dns_address}\noptions timeout:1 attempts:2\n")

    def on(self, binds=PLAIN_BINDS, sockets=("/dev/log",)):
        """Start the holder; nothing happens when it is there."""
        if self.holder_pid():
            return
        self.kill()
        pairs = []
        for b in tuple(binds) + self.extra_binds:
            source = self.logs if b == "var/log" else os.path.join(self.root, b)
            target = f"/{b}"
            if not os.path.exists(source):
                make_dir(source)
            if not os.path.exists(target):
                mount_point(source, target)
            pairs.append((source, target))
        spec = {"name": self.name, "binds": pairs, "log": os.path.join(self.logs, "mail.log"),
                "sockets": list(sockets)}
        err = open(os.path.join(self.logs, "holder.err"), "ab")
        p = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.netns}", "unshare", "--mount", "--uts",
                              "--propagation", "private", "/usr/bin/python3",
                              os.path.join(HERE, "holder.py"), json.dumps(spec)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, start_new_session=True)
        err.close()
        if p.stdout.readline() != b"ready\n":
            with open(os.path.join(self.logs, "holder.err")) as f:
                raise LabError(f"host {self.name} did not start: {f.read()[-500:]}")
        p.stdout.close()

    def entered(self, argv, user=None):
        """The argument vector that runs argv inside."""
        pid = self.holder_pid()
        if pid is None:
            raise LabError(f"{self.name} is off: deploy/lab start {self.name}")
        pre = ["nsenter", f"--net=/run/netns/{self.netns}", f"--mount=/proc/{pid}/ns/mnt", f"--uts=/proc/{pid}/ns/uts"]
        if user:
            pre += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--no-new-privs"]
        return pre + ["--"] + list(argv) if not user else pre + list(argv)

    def run(self, argv, user=None, timeout=60, check=True, **kw):
        from .util import run
        return run(self.entered(argv, user), check=check, timeout=timeout, **kw)

    def spawn(self, name, argv, user=None, env=None, cwd="/"):
        """A daemon: detached, its words in DIR/<host>/log/<name>.log."""
        with open(os.path.join(self.logs, f"{name}.log"), "ab") as log:
            p = subprocess.Popen(self.entered(argv, user), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 start_new_session=True, close_fds=True, cwd=cwd,
                                 env={**os.environ, **({"HOME": "/nonexistent"} if user else {}), **(env or {})})
        say(f"{self.name}: started {name}")
        return p

    def tail(self, name, lines=15):
        try:
            with open(os.path.join(self.logs, f"{name}.log"), errors="replace") as f:
                return "".join(f.readlines()[-lines:])
        except FileNotFoundError:
            return ""
