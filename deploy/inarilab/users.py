"""The system users of Inari, as deploy/systemd/inari.sysusers has them (packages use that file)."""
import fcntl
import pwd

from .util import run

USERS = {"inari": "Inari parent", "inari-db": "Inari embedded database", "inari-agent": "Inari agent",
         "foxproxy": "Inari foxproxy"}


def ensure():
    """Make the users that are missing; several may try at once."""
    with open("/run/inari-users.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, text in USERS.items():
            try:
                pwd.getpwnam(name)
                continue
            except KeyError:
                pass
            run(["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
                 "--shell", "/usr/sbin/nologin", "--comment", text, name])


def ids(name):
    p = pwd.getpwnam(name)
    return p.pw_uid, p.pw_gid
