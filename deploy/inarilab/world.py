"""The hosts that are neither parent nor child: DNS and the final mail server (outside needs no daemon)."""

import shutil

from .host import HERE
from .util import LabError, make_dir, wait_until, write_file


def write_zones(lab):
    """Names and addresses of every host; other zones in the folder are the tests' own."""
    make_dir(lab.zones)
    lines, reverse = [], []
    for name in lab.all_hosts():
        for address, _ in lab.addresses(name)[:2] if name != "outside" else lab.addresses(name)[:1]:
            kind = "AAAA" if ":" in address else "A"
            lines.append(f"{name} {kind} {address}")
            if kind == "A":
                reverse.append((address, f"{name}.{lab.zone}."))
    write_file(f"{lab.zones}/{lab.zone}.zone", "\n".join(lines) + "\n")
    mx = [f"@ MX 10 {c}.{lab.zone}." for c in lab.children()] + [f"@ A {lab.inside_address}"]
    write_file(f"{lab.zones}/{lab.domain}.zone", "\n".join(mx) + "\n")
    for second in (18, 19):
        zone = f"{lab.net.n}.{second}.198.in-addr.arpa"
        mine = [f"{a.rsplit('.', 1)[1]} PTR {to}" for a, to in reverse if a.startswith(f"198.{second}.")]
        write_file(f"{lab.zones}/{zone}.zone", "\n".join(mine) + "\n")


def start(lab):
    for name in ("dns", "inside", "outside"):
        lab.switch_on(name)
    write_zones(lab)
    tools = make_dir(f"{lab.dir}/tools")  # readable for everybody, wherever the sources lie
    for name in ("dnsd.py", "ehlo.py", "sink.py"):
        shutil.copy(f"{HERE}/{name}", tools)
    dns, inside = lab.host("dns"), lab.host("inside")
    if not dns.named("dnsd"):
        dns.spawn("dnsd", ["/usr/bin/python3", f"{tools}/dnsd.py", lab.zones, *(a for a, _ in lab.addresses("dns"))])
    if not inside.named("sink"):
        nobody = 65534
        make_dir(lab.maildir, 0o755, nobody, nobody)
        own = [a for a, _ in lab.addresses("inside")]
        inside.spawn("sink", ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                              "--ambient-caps=+net_bind_service", "--inh-caps=+net_bind_service",
                              "/usr/bin/python3", f"{tools}/sink.py", own[0], "25", lab.maildir, lab.domain, *own[1:]])
    wait_until(lambda: listening(inside, 25), "the final mail server", 10)
    wait_until(lambda: listening(dns, 53), "the DNS server", 10)


def listening(host, port):
    """Is something bound to the port?  Read from the host's own socket table."""
    pid = host.holder_pid()
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{table}") as f:
                if any(line.split()[3] == "0A" and int(line.split()[1].rsplit(":", 1)[1], 16) == port
                       for line in f.readlines()[1:]):
                    return True
        except OSError:
            raise LabError(f"{host.name} is off") from None
    return False


def wait_ehlo(lab, line, where, timeout, since):
    """{name: seconds since `since` (ns since the epoch) until its EHLO answer had the line}."""
    r = lab.host("outside").run(["/usr/bin/python3", f"{lab.dir}/tools/ehlo.py", line, str(timeout), str(since), *where],
                                check=False, timeout=timeout + 30)
    if r.returncode != 0:
        raise LabError(f"waited {timeout:g} s for {line}: {r.stderr.strip()}")
    return {w.split()[0]: float(w.split()[1]) for w in r.stdout.splitlines()}
