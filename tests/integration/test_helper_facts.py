"""What the helper finds out for the planner: mail exchangers through a real resolver and a real DNS answer, and what
certificates say of themselves; and that settings which lead back or have run out are refused on the device."""
import datetime
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading

import pytest
from helperlib import CLONE_NEWNET, DEVICE, LIBC, Device, HelperError, digest, settings

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and Postfix"),
              pytest.mark.skipif(not shutil.which("postfix"), reason="needs Postfix")]

MX = {"loop.test": [(10, "mx.loop.test"), (20, "far.test")], "backup.test": [(10, "far.test"), (20, "mx.loop.test")]}
A = {"mx.loop.test": "203.0.113.77", "far.test": "192.0.2.9"}


def wire(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"


def dns_answer(query):
    end = query.index(b"\0", 12)
    labels, at = [], 12
    while at < end:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    name, (kind,) = ".".join(labels).lower(), struct.unpack(">H", query[end + 1:end + 3])
    data = []
    if kind == 15:
        data = [struct.pack(">H", p) + wire(h) for p, h in MX.get(name, [])]
    elif kind == 1 and name in A:
        data = [socket.inet_aton(A[name])]
    known = name in MX or name in A or name == "plain.test"
    head = query[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, len(data), 0, 0)
    rows = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(d)) + d for d in data)
    return head + query[12:end + 5] + rows


@pytest.fixture(scope="module")
def device():
    d = Device(tempfile.mkdtemp(prefix="inari-facts-"))
    with open("/proc/thread-self/ns/net") as here, open(f"/proc/{d.holder.pid}/ns/net") as there:
        assert LIBC.setns(there.fileno(), CLONE_NEWNET) == 0
        try:
            dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            dns.bind(("127.0.0.1", 53))
        finally:
            assert LIBC.setns(here.fileno(), CLONE_NEWNET) == 0

    def serve():
        while True:
            try:
                query, peer = dns.recvfrom(4096)
            except OSError:
                return
            if len(query) < 17:
                return
            dns.sendto(dns_answer(query), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    for name, text in (("resolv.conf", "nameserver 127.0.0.1\n"), ("nsswitch.conf", "hosts: files dns\n")):
        with open(d.path(name), "w") as f:
            f.write(text)
        d.inside("mount", "--bind", d.path(name), f"/etc/{name}")
    d.write("main.cf", d.read("main.cf") + "proxy_interfaces = 203.0.113.77, [not-an-address]\n")
    d.postfix("start")
    d.start()
    yield d
    port = dns.getsockname()
    with open("/proc/thread-self/ns/net") as here, open(f"/proc/{d.holder.pid}/ns/net") as there:
        assert LIBC.setns(there.fileno(), CLONE_NEWNET) == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"end", port)
        assert LIBC.setns(here.fileno(), CLONE_NEWNET) == 0
    thread.join(10)
    dns.close()
    d.close()
    shutil.rmtree(d.tmp, ignore_errors=True)


def findings(c, **changed):
    """What the device says of settings: ids, refused or not."""
    try:
        answer = c.call("diff", digest=digest(1), device_id=DEVICE, settings=settings(smtp__relay_networks={}, **changed))
        return {x["id"] for x in answer.get("findings", [])}, False
    except HelperError as e:
        return {x["id"] for x in e.answer["findings"] if not x["warning"]}, True


def test_mail_exchangers_are_the_resolvers(device):
    c = device.client()
    facts = c.call("facts", mx=["loop.test", "plain.test", "no-such.test"])["facts"]
    assert facts["proxy_addresses"] == ["203.0.113.77"]
    assert sorted((x["preference"], x["host"], tuple(x["addresses"])) for x in facts["mx"]["loop.test"]) == \
        [(10, "mx.loop.test", ("203.0.113.77",)), (20, "far.test", ("192.0.2.9",))]
    assert facts["mx"]["plain.test"] == []      # DNS says: none
    assert "no-such.test" not in facts["mx"]    # DNS does not know
    c.close()


def test_a_next_hop_whose_mx_is_the_device_is_refused(device):
    c = device.client()
    assert findings(c, smtp__relayhost="loop.test") == ({"P06.own-mx"}, True)
    assert findings(c, smtp__relayhost="backup.test") == (set(), False)
    assert findings(c, smtp__relayhost="[mx.loop.test]") == ({"P06.own-address"}, True)
    assert findings(c, smtp__relayhost="", smtp__relay_domains={"loop.test": {}}) == ({"P06.own-mx"}, True)
    c.close()


def make_cert(device, name, start, end, host="mx.example.test"):
    key, cert = device.path(f"{name}.key"), device.path(f"{name}.pem")
    ca = device.path("ca")
    os.makedirs(ca, exist_ok=True)
    for file, text in (("index.txt", ""), ("serial", "01\n")):
        with open(os.path.join(ca, file), "w") as f:
            f.write(text)
    with open(os.path.join(ca, "cnf"), "w") as f:
        f.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={ca}/index.txt\nserial={ca}/serial\nnew_certs_dir={ca}\ndefault_md=sha256\n"
                f"policy=p\nunique_subject=no\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\nsubjectAltName=DNS:{host}\n[req]\n"
                f"distinguished_name=n\nprompt=no\n[n]\nCN=ignored.test\n")

    def openssl(*a):
        subprocess.run(["openssl", *a], check=True, capture_output=True, timeout=30)

    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", f"{cert}.csr",
            "-config", f"{ca}/cnf")
    day = [(datetime.datetime.utcnow() + datetime.timedelta(days=n)).strftime("%Y%m%d%H%M%SZ") for n in (start, end)]
    openssl("ca", "-batch", "-selfsign", "-config", f"{ca}/cnf", "-keyfile", key, "-in", f"{cert}.csr", "-out", cert, "-startdate",
            day[0], "-enddate", day[1], "-notext")
    return {"smtp_tls__inbound": "may", "smtp_tls__cert_file": cert, "smtp_tls__key_file": key}


@pytest.mark.parametrize("start, end, host, want, refused", [
    (-1, 90, "mx.example.test", set(), False),
    (-90, -1, "mx.example.test", {"P07.expired"}, True),
    (2, 90, "mx.example.test", {"P07.not-yet"}, True),
    (-1, 20, "mx.example.test", {"P07.expires"}, False),
    (-1, 90, "*.example.test", set(), False),
    (-1, 90, "other.test", {"P07.name"}, False),
])
def test_certificates_by_time_and_name(device, start, end, host, want, refused):
    c = device.client()
    files = make_cert(device, f"c{start}.{end}.{len(host)}", start, end, host)
    assert findings(c, **files) == (want, refused)
    c.close()


def test_a_certificate_that_runs_out_in_use_is_no_obstacle(device):
    """Postfix runs with it already: another change must still get through (its remedy may be that very change)."""
    c = device.client()
    files = make_cert(device, "inuse", -90, -1)
    device.inside("postconf", "-e", f"smtpd_tls_cert_file={files['smtp_tls__cert_file']}")
    assert findings(c, **files) == ({"P07.expired"}, False)
    c.close()
