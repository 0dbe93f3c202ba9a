"""What a lab remembers: DIR/state.json (ours) and DIR/lab.json (the contract)."""
import contextlib
import fcntl
import json
import os
import re
import shutil

from . import net as netlib
from .host import CHILD_BINDS, PLAIN_BINDS, Host
from .util import LabError, make_dir, write_file

RUN = "/run/inari-lab"
OCTET = {"parent": 1, "parent2": 2, "inside": 3, "dns": 53}
FIRST_CHILD = 11
PARENT_BINDS = ("etc/inari", "run/inari-db", "var/lib/inari-db", "var/lib/inari-parent")
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")


class Lab:
    domain = "example.test"      # mail to it is accepted and ends in inside's maildir
    zone = "lab.test"            # the names of the hosts themselves

    def __init__(self, folder):
        self.dir = os.path.abspath(folder)
        self.path = os.path.join(self.dir, "state.json")
        self.state = {}
        if os.path.exists(self.path):
            with open(self.path) as f:
                self.state = json.load(f)
            self.net = netlib.Net(self.state["net"])

    # -- life ----------------------------------------------------------------------------------------------------
    def exists(self):
        return bool(self.state)

    def need(self):
        if not self.exists():
            raise LabError(f"there is no lab in {self.dir}: deploy/lab up --dir {self.dir}")
        return self

    @contextlib.contextmanager
    def locked(self):
        """One changing verb at a time on this machine; a killed one leaves no lock behind."""
        make_dir(RUN)
        with open(os.path.join(RUN, "lock"), "w") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield

    def create(self, n):
        """Choose the network and remember it before anything exists."""
        if not self.exists():
            if os.path.isdir(self.dir) and os.listdir(self.dir):
                raise LabError(f"{self.dir} is not empty and not a lab: choose another --dir")
            n = netlib.first_free() if n is None else n
            make_dir(self.dir)
            self.state = {"net": n, "children": []}
            self.net = netlib.Net(n)
            self.claim()
            self.save()
        elif n is not None and n != self.state["net"]:
            raise LabError(f"the lab in {self.dir} has 198.18.{self.state['net']}.0/24: down first to change it")
        else:
            self.claim()

    def claim(self):
        make_dir(RUN)
        mark = os.path.join(RUN, str(self.net.n))
        try:
            with open(mark) as f:
                owner = f.read().strip()
        except FileNotFoundError:
            owner = ""
        if owner not in ("", self.dir) and os.path.exists(os.path.join(owner, "state.json")):
            raise LabError(f"198.18.{self.net.n}.0/24 belongs to the lab in {owner}: choose another --net")
        write_file(mark, self.dir + "\n")

    def save(self):
        write_file(self.path, json.dumps(self.state, indent=1) + "\n", 0o600)

    def forget(self, keep):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(RUN, str(self.net.n)))
        if keep:
            os.unlink(self.path)
        else:
            shutil.rmtree(self.dir)

    # -- hosts ---------------------------------------------------------------------------------------------------
    @property
    def dns_address(self):
        return self.net.site(OCTET["dns"])

    @property
    def inside_address(self):
        return self.net.site(OCTET["inside"])

    @property
    def parents(self):
        """The hosts with an inarid; PostgreSQL is on the first."""
        return ["parent", "parent2"] if self.state.get("db_password") else ["parent"]

    def api_of(self, name):
        return f"https://{self.net.site(OCTET[name])}:8445"

    @property
    def api(self):
        return self.api_of("parent")

    @property
    def apis(self):
        return [self.api_of(p) for p in self.parents]

    @property
    def conninfo2(self):
        """Of the second parent: over TCP, where the password is proved by both sides and bound to the channel."""
        return (f"host={self.net.site(OCTET['parent'])} dbname=inari user=inari password={self.state['db_password']} "
                "sslmode=require channel_binding=require")

    @property
    def ca(self):
        return os.path.join(self.dir, "ca.pem")

    @property
    def maildir(self):
        return os.path.join(self.dir, "inside", "maildir")

    @property
    def zones(self):
        return os.path.join(self.dir, "dns", "zones")

    def children(self):
        return [c["name"] for c in self.state["children"]]

    def child_state(self, name):
        for c in self.state["children"]:
            if c["name"] == name:
                return c
        raise LabError(f"there is no child {name}: {', '.join(self.children()) or 'none at all'}")

    def add_child(self, name=None):
        """Remember a new child; its address is the first free one."""
        taken = {c["octet"] for c in self.state["children"]}
        octet = next(o for o in range(FIRST_CHILD, 250) if o not in taken and o not in OCTET.values())
        name = name or next(f"child{i}" for i in range(1, 250) if f"child{i}" not in self.children())
        if not NAME.match(name) or name in (*OCTET, "outside", "hub"):
            raise LabError(f"{name}: a child's name is small letters, digits and hyphens, and not a host's of the lab")
        if name not in self.children():
            self.state["children"].append({"name": name, "octet": octet})
            self.save()
        return name

    def addresses(self, name):
        """(address, prefix) pairs, the host's own first."""
        if name == "outside":
            world = [(self.net.world(i), 24) for i in range(1, netlib.OUTSIDE_ADDRESSES + 1)]
            return world + [(self.net.world6(i), 64) for i in range(1, netlib.OUTSIDE_ADDRESSES + 1)]
        octet = OCTET.get(name) or self.child_state(name)["octet"]
        return [(self.net.site(octet), 24), (self.net.site6(octet), 64)]

    def host(self, name):
        if name in self.children():
            return Host(self, name)
        if name in self.all_hosts():
            return Host(self, name, PARENT_BINDS if name in self.parents else ())
        raise LabError(f"there is no host {name}: {', '.join(self.all_hosts())}")

    def all_hosts(self):
        return ["dns", "inside", "outside", *self.parents, *self.children()]

    def switch_on(self, name):
        """Namespace, folders and holder of a host; safe to repeat."""
        host = self.host(name)
        netlib.host_up(self.net, name, self.addresses(name))
        host.write_files([a for a, _ in self.addresses(name)[:2]])
        if name in self.children():
            host.on(CHILD_BINDS, ("/dev/log", "/var/spool/postfix/dev/log"))
        else:
            host.on(PLAIN_BINDS)
        return host

    # -- lab.json ------------------------------------------------------------------------------------------------
    def describe(self):
        def plain(name):
            return {"netns": self.net.netns(name), "address": self.addresses(name)[0][0]}

        def parent(name):
            host = self.host(name)
            return {**plain(name), "root": host.root,
                    "pids": {w: host.named(w) for w in (("inarid", "postgres") if name == "parent" else ("inarid",))}}
        return {
            "api": self.api,
            "parent": parent("parent"),
            "parents": [{"name": p, "api": self.api_of(p), **parent(p)} for p in self.parents],
            "ca": self.ca,
            "admin": self.state.get("admin"),
            "outside": {**plain("outside"), 
                        "addresses": [a for a, _ in self.addresses("outside") if ":" not in a],
                        "addresses6": [a for a, _ in self.addresses("outside") if ":" in a]},
            "inside": {**plain("inside"), "port": 25, "maildir": self.maildir},
            "dns": {**plain("dns"), "zones": self.zones},
            "domain": self.domain,
            "children": [{"name": c["name"], **plain(c["name"]), "address6": self.net.site6(c["octet"]),
                          "smtp_port": 25, "device_id": c.get("device_id"), "root": self.host(c["name"]).root}
                         for c in self.state["children"]],
        }

    def write_json(self):
        write_file(os.path.join(self.dir, "lab.json"), json.dumps(self.describe(), indent=1) + "\n", 0o600)
