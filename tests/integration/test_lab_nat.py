"""Children that the parent could never call: a subnet of their own behind a router that hides them all behind one address.
They join with a join string, poll and get their settings; nothing on the parent is edited for it."""
import hashlib
import os
import subprocess
import uuid

import pytest
from agentlib import Agent
from parentlib import folder, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.slow]
NETWORK, NAMES = "10.77.0.0/16", ("nat-a", "nat-b")
MASQUERADE = f"""
table ip nat {{
 chain post {{
  type nat hook postrouting priority 100;
  ip saddr {NETWORK} ip daddr != {NETWORK} masquerade;
 }}
}}
table ip filter {{
 chain forward {{
  type filter hook forward priority 0;
  ip daddr {NETWORK} ct state new drop;
 }}
}}
"""


def ip(*argv, ns=None):
    subprocess.run(["ip", *(["-n", ns] if ns else []), *argv], check=True)


def inside(ns, *argv, **kw):
    return subprocess.run(["ip", "netns", "exec", ns, *argv], check=True, text=True, **kw)


@pytest.fixture
def hidden(lab):
    """Two namespaces behind the outside host, which forwards and masquerades."""
    n, router = uuid.uuid4().hex[:6], lab.json["outside"]["netns"]
    made = []
    try:
        for i in range(len(NAMES)):
            ns = f"nat-{n}-{i}"
            ip("netns", "add", ns)
            made.append(ns)
            ip("link", "add", f"n{i}{n}", "netns", router, "type", "veth", "peer", "name", "eth0", "netns", ns)
            ip("addr", "add", f"10.77.{i}.1/24", "dev", f"n{i}{n}", ns=router)
            ip("link", "set", f"n{i}{n}", "up", ns=router)
            ip("addr", "add", f"10.77.{i}.2/24", "dev", "eth0", ns=ns)
            for dev in ("lo", "eth0"):
                ip("link", "set", dev, "up", ns=ns)
            ip("route", "add", "default", "via", f"10.77.{i}.1", ns=ns)
        inside(router, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        inside(router, "nft", "-f", "-", input=MASQUERADE)
        yield made
        for table in ("nat", "filter"):
            inside(router, "nft", "delete", "table", "ip", table)
    finally:
        inside(router, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward")
        for ns in made:
            ip("netns", "del", ns)


def parent_files(lab):
    """What an administrator could have to edit: settings of the parent and of its database."""
    root, found = os.path.join(lab.dir, "parent", "root"), {}
    for d, _, files in os.walk(root):
        for f in files:
            if f.endswith(".conf") and "postmaster" not in f and os.path.isfile(os.path.join(d, f)):
                with open(os.path.join(d, f), "rb") as x:
                    found[os.path.join(d, f)] = hashlib.sha256(x.read()).hexdigest()
    return found


def test_children_behind_a_router_join_and_follow(lab, hidden, programs, workdir):
    before = parent_files(lab)
    assert any(p.endswith("pg_hba.conf") for p in before) and any(p.endswith("inarid.conf") for p in before)
    reach = subprocess.run(["ip", "-n", lab.json["parent"]["netns"], "route", "get", "10.77.0.2"], capture_output=True, text=True)
    assert "unreachable" in reach.stderr, "the parent can call the child: this proves nothing"
    agents, made = [], lab.api.ok("POST", "/enrolment-tokens", {"name": "nat", "uses": 2})
    try:
        for name, ns in zip(NAMES, hidden):
            a = Agent(folder(workdir, f"agent-{name}-{os.urandom(2).hex()}"),
                      ["ip", "netns", "exec", ns, programs["inari-agent"]])
            r = a.command("join", "--join", made["join"], "--name", name)
            assert r.returncode == 0, r.stderr
            agents.append(a.start())

        def there():
            found = [d for d in lab.api.ok("GET", "/devices?limit=200")["items"] if d["name"] in NAMES]
            return found if len(found) == 2 and all(d["presence"] == "online" for d in found) else None
        found = wait_until(there, "both children, online", 30, 0.1)
        assert len({d["id"] for d in found}) == 2
        assert {d["address"] for d in found} == {lab.json["outside"]["address"]}, "both come from the router's address"
        pub = lab.publish_size(23_456_789, "for those behind the router")["pub"]
        for a in agents:
            wait_until(lambda a=a: (a.status()["status"]["observed"] or {}).get("pub") == pub, f"revision {pub} behind the router",
                       20, 0.1)
        assert parent_files(lab) == before
    finally:
        for a in agents:
            a.stop()
        for name in NAMES:
            d = lab.api.get(f"/devices/{name}")
            if d.status_code == 200:
                lab.api.ok("POST", f"/devices/{name}/retire", {}, headers={"If-Match": d.headers["ETag"]})
        lab.wait_in_sync()
