"""The system users of Inari, as deploy/systemd/inari.sysusers has them (packages use that file)."""
import pwd

from .util import run

USERS = {"inari": "Inari parent", "inari-db": "Inari embedded database", "inari-agent": "Inari agent"}


def ensure():
    for name, text in USERS.items():
        try:
            pwd.getpwnam(name)
        except KeyError:
            run(["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
                 "--shell", "/usr/sbin/nologin", "--comment", text, name])


def ids(name):
    p = pwd.getpwnam(name)
    return p.pw_uid, p.pw_gid
