"""The lab's own ground: namespaces, final mail server, DNS, syslog, partitions, and an end that leaves nothing."""
import concurrent.futures
import os
import socket
import sys
import threading
import time

import parentlib
import pytest
from inarilab import host
from inarilab import net as netlib
from inarilab import postfix, world
from inarilab.host import remove_mount_points
from inarilab.state import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def hosts(workdir, system_users):
    """A lab without Inari: the world and one child with the Postfix a person set up."""
    lab = Lab(os.path.join(workdir, "hosts"))
    with lab.locked():
        lab.create(None)
        netlib.hub_up(lab.net)
        lab.add_child("child1")
        world.start(lab)
        lab.switch_on("parent")
        postfix.write(lab, lab.switch_on("child1"))
        postfix.start(lab.host("child1"))
    yield lab
    for name in lab.all_hosts():
        lab.host(name).kill()
        netlib.netns_del(lab.net.netns(name))
    netlib.hub_down(lab.net)
    netlib.netns_del(lab.net.netns("hub"))
    lab.forget(keep=True)
    if not netlib.used():
        remove_mount_points()


def python(lab, host, code, *args, timeout=20):
    return lab.host(host).run(["/usr/bin/python3", "-c", code, *args], check=False, timeout=timeout)


def send(lab, host, to_host, rcpt, mark, sender="a@outside.test"):
    code = ("import smtplib,sys\nwith smtplib.SMTP(sys.argv[1],25,timeout=10) as s:\n"
            " s.sendmail(sys.argv[2],[sys.argv[3]],'Message-Id: <%s@t>\\r\\nSubject: t\\r\\n\\r\\n.dot\\r\\nbody\\r\\n'%sys.argv[4])")
    return python(lab, host, code, lab.addresses(to_host)[0][0], sender, rcpt, mark)


def stored(lab, mark):
    found = []
    for f in os.listdir(lab.maildir):
        if f.endswith(".eml") and not f.startswith("."):
            with open(os.path.join(lab.maildir, f)) as m:
                text = m.read()
            if mark in text:
                found.append(text)
    return found


def reaches(lab, a, b, port):
    code = "import socket,sys; socket.create_connection((sys.argv[1],int(sys.argv[2])),1)"
    return python(lab, a, code, lab.addresses(b)[0][0], str(port)).returncode == 0


def test_mail_through_a_child_is_one_file(hosts):
    assert send(hosts, "outside", "child1", "user@example.test", "one-file").returncode == 0
    text = parentlib.wait_until(lambda: stored(hosts, "one-file"), "the message")[0]
    assert text.startswith("Return-Path: <a@outside.test>\nDelivered-To: user@example.test\n")
    assert text.endswith("\n\n.dot\nbody\n") and "by child1.lab.test (Postfix)" in text


def test_final_server_refuses_other_domains(hosts):
    r = send(hosts, "outside", "inside", "user@other.test", "refused")
    assert r.returncode != 0 and "only example.test lives here" in r.stderr
    assert stored(hosts, "refused") == []


def test_child_is_no_relay(hosts):
    r = send(hosts, "outside", "child1", "user@other.test", "relay")
    assert r.returncode != 0 and "Relay access denied" in r.stderr


def test_dns_answers_forward_reverse_mx_and_changes(hosts):
    code = "import socket,sys; print(socket.gethostbyname(sys.argv[1]))"
    assert python(hosts, "child1", code, "inside.lab.test").stdout.strip() == hosts.inside_address
    reverse = "import socket,sys; print(socket.gethostbyaddr(sys.argv[1])[0])"
    assert python(hosts, "child1", reverse, hosts.inside_address).stdout.strip() == "inside.lab.test"
    assert python(hosts, "child1", code, "nobody.lab.test").returncode != 0
    with open(f"{hosts.zones}/new.test.zone", "w") as f:
        f.write("@ MX 10 inside.lab.test.\nwww A 192.0.2.7\n* A 127.0.0.2\n")
    parentlib.wait_until(lambda: python(hosts, "outside", code, "www.new.test").stdout.strip() == "192.0.2.7",
                         "the new zone", 5)
    assert python(hosts, "outside", code, "x.new.test").stdout.strip() == "127.0.0.2"


def test_postfix_uses_the_labs_dns(hosts):
    """Also inside its chroot, and over MX."""
    with open(f"{hosts.zones}/mx.test.zone", "w") as f:
        f.write(f"@ MX 10 inside.{hosts.zone}.\n")
    time.sleep(0.2)
    hosts.host("child1").run(["sendmail", "-f", "a@child1.lab.test", "user@mx.test"], stdin=None)
    log = os.path.join(hosts.host("child1").logs, "mail.log")
    parentlib.wait_until(lambda: "relay=inside.lab.test[" in open(log).read(), "delivery by MX")


def test_syslog_is_the_hosts_own(hosts):
    hosts.host("child1").run(["logger", "-t", "mark", "from child1\x01 only"])
    log = os.path.join(hosts.host("child1").logs, "mail.log")
    line = parentlib.wait_until(lambda: [x for x in open(log).read().splitlines() if "mark" in x], "the line")[0]
    assert " child1 mark: from child1" in line and "\x01" not in line
    for other in ("parent", "outside"):
        path = os.path.join(hosts.host(other).logs, "mail.log")
        assert not os.path.exists(path) or "from child1" not in open(path).read()


def test_partition_is_silent_and_heals(hosts):
    addresses = {h: [a for a, _ in hosts.addresses(h)] for h in ("child1", "inside")}
    args = (hosts.net, "child1", addresses["child1"], "inside", addresses["inside"])
    assert reaches(hosts, "child1", "inside", 25)
    netlib.partition(*args)
    netlib.partition(*args)  # again: no harm
    t = time.monotonic()
    assert not reaches(hosts, "child1", "inside", 25)
    assert time.monotonic() - t > 0.9, "it was refused, not silent"
    assert reaches(hosts, "outside", "inside", 25) and reaches(hosts, "outside", "child1", 25)
    netlib.heal(*args)
    assert reaches(hosts, "child1", "inside", 25)


def test_kill_and_start_of_a_child(hosts):
    child = hosts.host("child1")
    child.kill("postfix")
    assert child.named("postfix") == [] and not reaches(hosts, "outside", "child1", 25)
    postfix.start(child)
    assert reaches(hosts, "outside", "child1", 25)
    child.kill()
    assert child.pids() == {}
    postfix.start(hosts.switch_on("child1"))
    assert reaches(hosts, "outside", "child1", 25)


def test_root_namespace_reaches_the_site_and_only_by_its_veth(hosts):
    with socket.create_connection((hosts.inside_address, 25), 3) as s:
        assert s.getsockname()[0] == hosts.net.site(netlib.ROOT_OCTET)
    assert os.path.exists(f"/sys/class/net/inlab{hosts.net.n}")


def test_mount_points_made_side_by_side(tmp_path, monkeypatch):
    """Children and parent are switched on at once: the first lab on a machine makes /etc/inari and the like, and no host
    may stumble over what another has just made."""
    monkeypatch.setattr(host, "MOUNT_POINTS", str(tmp_path / "made"))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for n in range(100):
            gate, target = threading.Barrier(4), str(tmp_path / f"d{n}" / "a" / "b")

            def make():
                gate.wait()
                host.mount_point("/etc", target)
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                for job in [pool.submit(make) for _ in range(4)]:
                    job.result()
            assert os.path.isdir(target)
    finally:
        sys.setswitchinterval(before)
    host.remove_mount_points()
    assert os.listdir(tmp_path) == []
