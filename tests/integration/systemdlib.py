"""A machine of its own with a real systemd as PID 1: namespaces, the system's own files below an overlay that goes away
with it, the build under test installed in /usr/local.  Nothing of the system that runs the tests is changed."""
import os
import shutil
import signal
import subprocess
import time

import parentlib
from parentlib import wait_until

SYSTEMD = "/lib/systemd/systemd"
CGROUP = "/sys/fs/cgroup" if os.path.exists("/sys/fs/cgroup/cgroup.procs") else "/sys/fs/cgroup/unified"

BOOT = r"""
set -e
dir=$1 root=$1/root
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs $dir/rw
mkdir $dir/rw/upper $dir/rw/work
cp -a $dir/system/. $dir/rw/upper
mount -t overlay overlay -o lowerdir=/,upperdir=$dir/rw/upper,workdir=$dir/rw/work $root
mount -t proc proc $root/proc
mount -t sysfs -o ro sysfs $root/sys
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs $root/run
mount -t tmpfs tmpfs $root/tmp
mount -t tmpfs -o mode=755 tmpfs $root/dev
for n in null zero full random urandom tty; do touch $root/dev/$n; mount --bind /dev/$n $root/dev/$n; done
mkdir $root/dev/shm $root/dev/pts
mount -t devpts -o newinstance,ptmxmode=666 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
ln -s /proc/self/fd $root/dev/fd
rm -rf $root/var/lib/inari* $root/etc/inari $root/var/lib/postfix/* $root/var/log/journal
ip link set lo up
cd $root
pivot_root . mnt
umount -l /mnt
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=basic.target --log-target=journal systemd.show_status=0 </dev/null
"""


def possible():
    return os.geteuid() == 0 and os.access(SYSTEMD, os.X_OK) and os.path.exists(f"{CGROUP}/cgroup.procs")


class Machine:
    def __init__(self, folder):
        self.dir = folder
        self.cgroup = f"{CGROUP}/inari-test-{os.path.basename(os.path.dirname(folder))}-{os.getpid()}"
        for name in ("system", "rw", "root"):
            os.makedirs(os.path.join(folder, name))
        subprocess.run(["cmake", "--install", parentlib.build_dir(), "--prefix", "/usr/local"], check=True,
                       capture_output=True, env={**os.environ, "DESTDIR": os.path.join(folder, "system")})
        self.pid = None

    def start(self):
        os.makedirs(self.cgroup, exist_ok=True)
        enter = f'echo $$ >{self.cgroup}/cgroup.procs; exec unshare -m -p -f -u -i -n -C sh -c "$1" boot "$2"'
        with open(os.path.join(self.dir, "console.log"), "ab") as log:
            self.p = subprocess.Popen(["sh", "-c", enter, "enter", BOOT, self.dir], stdin=subprocess.DEVNULL, stdout=log,
                                      stderr=log, start_new_session=True)
        wait_until(lambda: self._find() or self.p.poll() is not None, "systemd to start", 30)
        assert self.pid, self.console()
        wait_until(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"),
                   "systemd to be up", 60, 0.2)
        return self

    def _find(self):
        r = subprocess.run(["pgrep", "-P", str(self.p.pid)], capture_output=True, text=True)
        if r.stdout and os.path.realpath(f"/proc/{r.stdout.split()[0]}/exe") == os.path.realpath(SYSTEMD):
            self.pid = int(r.stdout.split()[0])
        return self.pid

    def console(self):
        with open(os.path.join(self.dir, "console.log"), errors="replace") as f:
            return f.read()

    def run(self, *argv, check=True, timeout=60, **kw):
        r = subprocess.run(["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-n", "-C", *argv], timeout=timeout,
                           capture_output=True, text=True, **kw)
        assert not check or r.returncode == 0, f"{argv}: {r.stdout}{r.stderr}{self.journal()[-3000:]}"
        return r

    def journal(self, unit=None):
        unit = ["-u", unit] if unit else []
        return self.run("journalctl", "--no-pager", "-q", "-o", "short-precise", *unit, check=False).stdout

    def path(self, name):
        """A file of the machine, from outside."""
        return f"/proc/{self.pid}/root{name}"

    def write(self, name, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as f:
            f.write(text)
        os.chmod(self.path(name), mode)

    def main_pid(self, unit):
        return int(self.run("systemctl", "show", "-P", "MainPID", unit).stdout)

    def stop(self):
        if self.pid and os.path.exists(f"/proc/{self.pid}"):
            os.kill(self.pid, signal.SIGKILL)  # and the kernel ends all the rest of its namespace
        self.p.wait(20)
        for _ in range(50):  # empty groups go at once, the last process takes a moment
            for folder, _, _ in os.walk(self.cgroup, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
            if not os.path.exists(self.cgroup):
                break
            time.sleep(0.1)
        shutil.rmtree(self.dir, ignore_errors=True)
