"""Namespaces, the hub bridge, addresses and partitions.

Every host of a lab is a network namespace "lab<N>-<name>" with one interface, eth0, on the bridge of "lab<N>-hub".
198.18.N.0/24 is the gateway's site, 198.19.N.0/24 the Internet (the outside host owns many addresses of it); both
are on the link of every host.  One veth, inlab<N>, leads from the root namespace to the hub.
"""
import hashlib
import ipaddress
import os
import subprocess

from .util import LabError, run

ROOT_OCTET = 254
OUTSIDE_ADDRESSES = 100


class Net:
    def __init__(self, n):
        self.n = n

    def netns(self, name):
        return f"lab{self.n}-{name}"

    def site(self, octet):
        return f"198.18.{self.n}.{octet}"

    def site6(self, octet):
        return str(ipaddress.ip_address(f"fd69:6e61:7269:{self.n:x}::{octet:x}"))

    def world(self, octet):
        return f"198.19.{self.n}.{octet}"

    def world6(self, octet):
        return str(ipaddress.ip_address(f"fd69:6e61:7269:{0x1000 + self.n:x}::{octet:x}"))


def parse(text):
    """'198.18.N.0/24' -> N."""
    parts = text.split("/")[0].split(".")
    if (len(parts) != 4 or parts[:2] != ["198", "18"] or parts[3] != "0" or not text.endswith("/24")
            or not parts[2].isdigit() or not 0 <= int(parts[2]) <= 255):
        raise LabError(f"--net {text}: must be 198.18.N.0/24 with N from 0 to 255")
    return int(parts[2])


def exists(netns):
    return os.path.exists(f"/run/netns/{netns}")


def used():
    """The N of every lab that has a hub."""
    names = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    return {int(n[3:-4]) for n in names if n.startswith("lab") and n.endswith("-hub") and n[3:-4].isdigit()}


def first_free():
    taken = used()
    for n in range(256):
        if n not in taken and not os.path.exists(f"/sys/class/net/inlab{n}"):
            return n
    raise LabError("all of 198.18.0.0/16 is taken by labs: take one down")


def batch(lines, netns=None):
    argv = ["ip"] + (["-n", netns] if netns else []) + ["-batch", "-"]
    r = subprocess.run(argv, input="\n".join(lines) + "\n", text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if r.returncode != 0:
        raise LabError(f"ip: {r.stderr.strip()} (in: {'; '.join(lines)})")


def hub_up(net):
    """The bridge and the veth of the root namespace; safe to repeat."""
    hub, out = net.netns("hub"), f"inlab{net.n}"
    if not exists(hub):
        run(["ip", "netns", "add", hub])
    if run(["ip", "-n", hub, "link", "show", "br0"], check=False).returncode != 0:
        batch(["link set lo up", "link add br0 type bridge forward_delay 0", "link set br0 up"], hub)
    if not os.path.exists(f"/sys/class/net/{out}"):
        batch([f"link add {out} type veth peer name root netns {hub}",
               f"addr add {net.site(ROOT_OCTET)}/24 dev {out}",
               f"addr add {net.site6(ROOT_OCTET)}/64 dev {out} nodad", f"link set {out} up"])
        batch(["link set root master br0 up"], hub)


def host_up(net, name, addresses):
    """A namespace on the hub.  addresses: (address, prefix length) pairs, the first is the host's own."""
    hub, ns = net.netns("hub"), net.netns(name)
    if not exists(ns):
        run(["ip", "netns", "add", ns])
    if run(["ip", "-n", ns, "link", "show", "eth0"], check=False).returncode == 0:
        return
    port = port_name(name)
    run(["ip", "-n", hub, "link", "del", port], check=False)
    batch([f"link add {port} type veth peer name eth0 netns {ns}", f"link set {port} master br0 up"], hub)
    lines = ["link set lo up"]
    lines += [f"addr add {a}/{p} dev eth0{' nodad' if ':' in a else ''}" for a, p in addresses]
    lines += ["link set eth0 up"]
    batch(lines, ns)
    # The half of the world that is not this host's own half is on the link too.
    for route in (net.site(0) + "/24", net.world(0) + "/24"):
        run(["ip", "-n", ns, "route", "replace", route, "dev", "eth0"], check=False)
    for route in (net.site6(0) + "/64", net.world6(0) + "/64"):
        run(["ip", "-n", ns, "-6", "route", "replace", route, "dev", "eth0"], check=False)


def port_name(name):
    """The hub's end of a host's veth: 15 characters at most, distinct."""
    if len(name) <= 13:
        return f"p-{name}"
    return "p-" + hashlib.sha256(name.encode()).hexdigest()[:12]


def hub_down(net):
    run(["ip", "link", "del", f"inlab{net.n}"], check=False)


def netns_del(netns):
    if exists(netns):
        run(["ip", "netns", "del", netns], check=False)


# A partition is silent, as a broken path is: each side is given a wrong hardware address for the other, so packets
# leave and never arrive, nothing is refused, and everything else the two hosts talk to is left alone.
NOWHERE = "02:00:00:00:de:ad"


def partition(net, a, a_addrs, b, b_addrs):
    for ns, addrs in ((net.netns(a), b_addrs), (net.netns(b), a_addrs)):
        for addr in addrs:
            run(["ip", "-n", ns, "neigh", "replace", addr, "lladdr", NOWHERE, "dev", "eth0", "nud", "permanent"])


def heal(net, a, a_addrs, b, b_addrs):
    for ns, addrs in ((net.netns(a), b_addrs), (net.netns(b), a_addrs)):
        for addr in addrs:
            run(["ip", "-n", ns, "neigh", "del", addr, "dev", "eth0"], check=False)
