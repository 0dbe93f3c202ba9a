"""Where mail goes, on real Postfix: routes by domain, the default route, by MX, and notices that nobody takes."""
import glob
import json
import os
import re
import uuid

import pytest
from inarilab.util import make_dir
from parentlib import wait_until

pytestmark = [pytest.mark.lab]
KEYS = ("smtp.relay_domains", "smtp.routes", "smtp.relayhost", "smtp.postmaster", "smtp.listen_port", "smtp.client_access",
        "smtp.client_connection_mode", "smtp.relay_networks", "delivery.recipient_limit", "delivery.concurrency_limit")
SEND = ("import smtplib,sys\nwith smtplib.SMTP(sys.argv[1],int(sys.argv[2]),timeout=20) as s:\n s.ehlo('outside.lab.test')\n"
        " for to in sys.argv[4:]:\n  s.sendmail(sys.argv[3],[to],'Subject: route\\r\\n\\r\\nx\\r\\n')")
RCPT = ("import smtplib,sys\nwith smtplib.SMTP(sys.argv[1],int(sys.argv[2]),timeout=10,source_address=(sys.argv[3],0)) as s:\n"
        " s.ehlo('outside.lab.test')\n s.mail('a@outside.test')\n print(*s.rcpt(sys.argv[4]))")


class Sites:
    """Mail servers of the world: sinks on addresses of the outside host, each for one domain, and names for them."""

    def __init__(self, rig):
        self.rig, self.folders, self.started, self.zones = rig, {}, [], []
        self.own = rig.json["outside"]["addresses"]

    def server(self, name, octet, port, domain):
        folder = os.path.join(self.rig.dir, f"site-{name}")
        make_dir(folder, 0o755, 65534, 65534)
        address = self.own[octet - 1]
        tool = os.path.join(self.rig.dir, "tools", "sink.py")
        self.started.append(self.rig.lab.host("outside").spawn(f"site-{name}", [
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--ambient-caps=+net_bind_service",
            "--inh-caps=+net_bind_service", "/usr/bin/python3", tool, address, str(port), folder, domain]))
        self.folders[name] = folder
        return address

    def zone(self, domain, mx):
        path = os.path.join(self.rig.json["dns"]["zones"], f"{domain}.zone")
        with open(path, "w") as f:
            f.write(f"@ MX 10 mx.{domain}.\nmx A {mx}\n")
        self.zones.append(path)

    def took(self, name):
        """Recipients of what arrived there, with the words that name it."""
        found = []
        for path in glob.glob(os.path.join(self.folders[name], "*.eml")):
            with open(path, errors="replace") as f:
                found += re.findall(r"^Delivered-To: (\S+)$", f.read(), re.M)
        return sorted(found)

    def close(self):
        for p in self.started:
            p.terminate()
            p.wait(10)
        for path in self.zones:
            os.unlink(path)


@pytest.fixture
def sites(lab):
    s = Sites(lab)
    yield s
    s.close()


@pytest.fixture
def child(lab):
    """The last child; afterwards without a value of its own."""
    name = lab.children[-1]
    yield name
    lab.api.publish({"devices": {name: {k: {"$inherit": True} for k in KEYS}}}, "back to the fleet's")
    lab.wait_in_sync()


def publish(lab, child, settings):
    lab.api.publish({"devices": {child: settings}}, "routing test")
    lab.wait_in_sync([child])


def send(lab, child, *to, sender="a@outside.test", port=25):
    lab.execute("outside", "/usr/bin/python3", "-c", SEND, lab.address(child), str(port), sender, *to)


def postconf(lab, child, name):
    return lab.execute(child, "postconf", "-xh", name).stdout.strip()


def test_route_by_domain_by_mx_and_by_default(lab, sites, child):
    """One domain has a server of its own, whatever DNS says; the rest goes by MX, or to the smart host once there is
    one.  "AllOthers" is a name like any other: it catches nothing, and it goes away again."""
    mark = uuid.uuid4().hex[:8]
    sites.zone("dns.test", sites.server("mx", 60, 25, "dns.test"))
    smart = sites.server("smart", 61, 25, "dns.test")
    route = sites.server("route", 62, 2525, "routed.test")
    sites.zone("routed.test", sites.own[59])  # who refuses it: the route must win over the MX
    publish(lab, child, {"smtp.relay_domains": {"dns.test": {}, "routed.test": {}},
                         "smtp.routes": {"routed.test": {"next_hop": f"[{route}]:2525"},
                                         "AllOthers": {"next_hop": f"[{route}]:2525"}}})
    send(lab, child, f"{mark}-1@dns.test", f"{mark}-1@routed.test")
    wait_until(lambda: sites.took("mx") and sites.took("route"), "mail by MX and by route", 30)
    assert sites.took("mx") == [f"{mark}-1@dns.test"] and sites.took("route") == [f"{mark}-1@routed.test"]
    rows = lab.api.ok("GET", f"/settings/effective?device={child}")["settings"]["smtp.routes"]
    assert "allothers" in rows
    publish(lab, child, {"smtp.relayhost": f"[{smart}]:25", "smtp.routes": {"allothers": {"$inherit": True}}})
    send(lab, child, f"{mark}-2@dns.test", f"{mark}-2@routed.test")
    wait_until(lambda: sites.took("smart") and len(sites.took("route")) == 2, "mail to the smart host and by route", 30)
    assert sites.took("smart") == [f"{mark}-2@dns.test"]
    assert sites.took("mx") == [f"{mark}-1@dns.test"]
    assert "allothers" not in lab.api.ok("GET", f"/settings/effective?device={child}")["settings"]["smtp.routes"]
    table = postconf(lab, child, "transport_maps")
    assert lab.execute(child, "postmap", "-q", "allothers", table, check=False).stdout == ""
    assert lab.execute(child, "postmap", "-q", "routed.test", table).stdout.strip().endswith(f"[{route}]:2525")


def queue_files(lab, child, folder):
    root = os.path.join(lab.root(child), "var/spool/postfix", folder)
    return [os.path.join(d, f) for d, _, fs in os.walk(root) for f in fs]


def waiting(lab, child):
    """(queue file, sender) of what is deferred."""
    found = []
    for path in queue_files(lab, child, "deferred"):
        with open(path, "rb") as f:
            data = f.read()
        found.append((path, b"MAILER-DAEMON" in data))
    return found


def make_old(path, days):
    """The file as if it had come so long ago: only its times change, digit for digit."""
    with open(path, "rb+") as f:
        data = f.read()
        f.seek(0)
        f.write(re.sub(rb"(?<!\d)1[6-9]\d{8}(?!\d)", lambda m: b"%d" % (int(m[0]) - days * 86400), data))


@pytest.mark.slow
def test_a_notice_nobody_takes_ends_at_the_postmaster(lab, sites, child):
    """Tried for a bounded time only; then the postmaster is told, with the reason, and the queue is empty."""
    mark = uuid.uuid4().hex[:8]
    route = sites.server("route", 62, 2525, "routed.test")
    boss = sites.server("boss", 64, 2525, "boss.test")
    publish(lab, child, {"smtp.relay_domains": {"dns.test": {}, "boss.test": {}}, "smtp.postmaster": "chief@boss.test",
                         "smtp.routes": {"dns.test": {"next_hop": f"[{route}]:2525"},  # refuses that domain
                                         "boss.test": {"next_hop": f"[{boss}]:2525"},
                                         "dead.test": {"next_hop": f"[{sites.own[65]}]:2525"}}})
    assert int(postconf(lab, child, "bounce_queue_lifetime").rstrip("s")) <= 2592000
    send(lab, child, f"{mark}@dns.test", sender=f"{mark}@dead.test")
    held = wait_until(lambda: [p for p, notice in waiting(lab, child) if notice], "the notice, waiting", 30)
    assert sites.took("boss") == []
    for path in held:
        make_old(path, 31)
    lab.execute(child, "postqueue", "-f")
    wait_until(lambda: sites.took("boss"), "the postmaster's copy", 30)
    assert set(sites.took("boss")) == {"chief@boss.test"}
    with open(glob.glob(os.path.join(sites.folders["boss"], "*.eml"))[0], errors="replace") as f:
        text = f.read()
    assert f"{mark}@dead.test" in text and ("Connection refused" in text or "timed out" in text), text[:3000]
    wait_until(lambda: not waiting(lab, child), "the queue to be empty", 30)


MANY = ("import smtplib,sys\nwith smtplib.SMTP(sys.argv[1],25,timeout=30) as s:\n s.ehlo('outside.lab.test')\n"
        " s.sendmail('a@outside.test',['r%d@dns.test' % i for i in range(int(sys.argv[2]))],'Subject: many\\r\\n\\r\\nx\\r\\n')")


def preset(lab, name, **inputs):
    """The settings of a preset as a client fills them in."""
    one = next(p for p in lab.api.ok("GET", "/presets")["items"] if p["name"] == name)
    assert {i["name"] for i in one["inputs"]} == set(inputs)
    text = json.dumps(one["settings"])
    for k, v in inputs.items():
        text = text.replace("{%s}" % k, v)
    return json.loads(text)


def rcpt(lab, child, port, source, to):
    r = lab.execute("outside", "/usr/bin/python3", "-c", RCPT, lab.address(child), str(port), source, to, check=False)
    return r.stdout.split()[0] if r.stdout else r.stderr.strip().splitlines()[-1]


@pytest.mark.slow
def test_sandwich_upstream(lab, sites, child):
    """All mail goes to the scanner on port 10025, at most 100 recipients at a time."""
    scanner = sites.server("scanner", 70, 10025, "dns.test")
    publish(lab, child, {**preset(lab, "sandwich-upstream", scanner=scanner), "smtp.relay_domains": {"dns.test": {}},
                         "smtp.routes": {}})
    assert postconf(lab, child, "relayhost") == f"[{scanner}]:10025"
    assert postconf(lab, child, "default_destination_concurrency_limit") == "50"
    lab.execute("outside", "/usr/bin/python3", "-c", MANY, lab.address(child), "150")
    wait_until(lambda: len(sites.took("scanner")) == 150, "150 recipients at the scanner", 30)
    sizes = []
    for path in glob.glob(os.path.join(sites.folders["scanner"], "*.eml")):
        with open(path, errors="replace") as f:
            sizes.append(len(re.findall(r"^Delivered-To: ", f.read(), re.M)))
    assert sorted(sizes) == [50, 100]


@pytest.mark.slow
def test_sandwich_downstream(lab, sites, child):
    """Port 10026 takes mail from the scanner, for any domain, and from nobody else; port 25 is closed."""
    mark, scanner, other = uuid.uuid4().hex[:8], sites.own[70], sites.own[71]
    target = sites.server("target", 72, 2525, "dns.test")
    publish(lab, child, {**preset(lab, "sandwich-downstream", scanner=scanner), "smtp.relayhost": f"[{target}]:2525"})
    for to in ("x@dns.test", "x@example.test"):
        assert rcpt(lab, child, 10026, scanner, to) == "250", to
        assert rcpt(lab, child, 10026, other, to) == "554", to
    assert "refused" in rcpt(lab, child, 25, scanner, "x@dns.test")
    code = SEND.replace("timeout=20)", f"timeout=20,source_address=('{scanner}',0))")
    lab.execute("outside", "/usr/bin/python3", "-c", code, lab.address(child), "10026", "a@outside.test", f"{mark}@dns.test")
    wait_until(lambda: sites.took("target") == [f"{mark}@dns.test"], "the scanned mail, delivered", 30)
