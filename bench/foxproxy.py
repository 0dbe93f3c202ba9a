"""foxproxy beside HAProxy in TCP mode and postscreen, on the same machine, in turns: refusing with a million ranges loaded, carrying
messages to a sink, memory of idle sessions, lists swapped under load.
INARI_BENCH_SECONDS (5) for each of INARI_BENCH_ROUNDS (5); figures are medians."""
import contextlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import threading
import time

import foxlib
import parentlib
from foxlib import Fox, Net, Postfix
from helperlib import wait_until

SECONDS = int(os.environ.get("INARI_BENCH_SECONDS", "5"))
ROUNDS = int(os.environ.get("INARI_BENCH_ROUNDS", "5"))
RANGES, CLIENTS, SOURCES, IDLE = 1000000, 50, 64, 9000
HAPROXY = """global
    nbthread {threads}
    maxconn 9900
defaults
    mode tcp
    timeout connect 5s
    timeout client 600s
    timeout server 600s
frontend refuse
    bind 127.0.0.1:{refuse} backlog 4096
    tcp-request connection reject if {{ src -f {list} }}
    default_backend sink
frontend carry
    bind 127.0.0.1:{carry} backlog 4096
    default_backend sink
backend sink
    server s 127.0.0.1:{sink} send-proxy-v2
"""
TICK = os.sysconf("SC_CLK_TCK")


def ranges():
    """A million networks as people collect them; the clients' own are among them."""
    r = random.Random(1)
    rows = {"127.0.1.0/24"}
    while len(rows) < RANGES:
        bits = r.choice((32, 32, 32, 24, 28, 30))
        a = r.randrange(0x01000000, 0xdf000000) >> (32 - bits) << (32 - bits)
        if a >> 24 != 127:
            rows.add(f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}/{bits}")
    return sorted(rows)


def cpu_s(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            words = f.read().rsplit(")", 1)[1].split()
        total += int(words[11]) + int(words[12])
    return total / TICK


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("Pss:"))


def load(net, *argv):
    out = subprocess.run(net.argv(foxlib.program("smtpload"), *(str(a) for a in argv)), check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def measure(net, pids, *argv):
    """(per second, CPU of the server in us for each, the client's own words)"""
    before = cpu_s(pids)
    got = load(net, *argv)
    assert got["bad"] == 0 and got["done"] > 0, (argv, got)
    return got["done"] / got["seconds"], (cpu_s(pids) - before) * 1e6 / got["done"], got


def in_turns(runs):
    """{name: (pids, argv)} -> {name: [measurement of each round]}, one after the other so that a slow minute is everybody's."""
    got = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, (net, pids, argv) in runs.items():
            got[name].append(measure(net, pids, *argv))
    return got


def middle(rows, i):
    return statistics.median(r[i] for r in rows)


def refusals(got):
    fox, ha, ps = (got[n] for n in ("foxproxy", "haproxy", "postscreen"))
    yield dict(name="refusals with 554, 1,000,000 ranges", value=middle(fox, 0), unit="/s", peer="HAProxy silent reject",
               peer_value=middle(ha, 0), ratio=middle(fox, 0) / middle(ha, 0), bar=0.9)
    for name, rows, least in (("HAProxy silent reject", ha, 1 / 1.5), ("postscreen deny list", ps, 1 / 0.45)):
        yield dict(name="CPU of a refusal", value=middle(fox, 1), unit="us", peer=name, peer_value=middle(rows, 1),
                   ratio=middle(rows, 1) / middle(fox, 1), bar=least)


def carrying(got, name):
    fox, ha = got["foxproxy"], got["haproxy"]
    yield dict(name=name, value=middle(fox, 0), unit="messages/s", peer="HAProxy TCP", peer_value=middle(ha, 0),
               ratio=middle(fox, 0) / middle(ha, 0), bar=0.95)
    yield dict(name=name + ", CPU of a session", value=middle(fox, 1), unit="us", peer="HAProxy TCP", peer_value=middle(ha, 1),
               ratio=middle(ha, 1) / middle(fox, 1))


def idle(net, port, pid):
    """User memory of a session that says nothing."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    time.sleep(0.5)
    before, held = pss(pid), []
    for i in range(IDLE):
        s = net.connect("127.0.0.1", port, f"127.0.2.{1 + i % 200}")
        held.append(s)
    for s in held:
        assert foxlib.read_line(s).startswith(b"220 ")
    each = (pss(pid) - before) / IDLE
    for s in held:
        s.close()
    return each


def swaps(net, fox, lists):
    """Lists of a million ranges swapped while clients are refused."""
    stop, took = threading.Event(), []

    def swap():
        i = 0
        while not stop.is_set():
            t = time.monotonic()
            fox.lists(blocked=lists[i % 2])
            took.append(time.monotonic() - t)
            i += 1
            stop.wait(0.1)
    t = threading.Thread(target=swap)
    t.start()
    _, _, got = measure(net, [fox.status()["pid"]], "refused", "127.0.0.1", fox.port, max(SECONDS, 3), 4, SOURCES)
    stop.set()
    t.join()
    yield dict(name="a list of 1,000,000 ranges loaded and in force", value=max(took) * 1e3, unit="ms (worst)", bar=1000)
    yield dict(name="refusal meanwhile, p99.9", value=got["p999_us"] / 1e3, unit="ms", bar=10)


@contextlib.contextmanager
def process(net, *argv, **kw):
    p = subprocess.Popen(net.argv(*argv), **kw)
    try:
        yield p
    finally:
        p.terminate()
        p.wait(20)


def listening(net, port):
    with contextlib.suppress(OSError), contextlib.closing(net.connect("127.0.0.1", port)):
        return True
    return False


class Screen(Postfix):
    """A private Postfix whose postscreen denies the clients' addresses by the same list."""

    def __init__(self, net, folder, denied):
        super().__init__(net, folder)
        with open(os.path.join(self.etc, "main.cf"), "a") as f:
            f.write(f"postscreen_access_list = cidr:{denied}\npostscreen_blacklist_action = drop\npostscreen_cache_map =\n")
        with open(os.path.join(self.etc, "master.cf"), "a") as f:
            f.write("127.0.0.1:2700 inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n")

    def pid(self):
        load(self.net, "refused", "127.0.0.1", 2700, 1, 1, 1)
        out = subprocess.run(self.net.argv("ss", "-Hltnp", "sport = :2700"), capture_output=True, text=True).stdout
        return int(out.split('"postscreen",pid=')[1].split(",")[0])


def run():
    work = parentlib.new_folder("bench-fox")
    net = Net()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, work, True)
        stack.callback(net.close)
        net.run("sysctl", "-qw", "net.core.somaxconn=4096", "net.ipv4.ip_local_port_range=1024 65000", "net.ipv4.tcp_max_tw_buckets=1000000")
        rows = ranges()
        text, lists = os.path.join(work, "ranges.txt"), [os.path.join(work, f"list{i}") for i in range(2)]
        with open(text, "w") as f:
            f.write("\n".join(rows) + "\n")
        for i, path in enumerate(lists):
            foxlib.make_list(path, rows[i:])
        stack.enter_context(process(net, foxlib.program("smtpload"), "sink", "127.0.0.1", "2600", "proxy"))
        conf = os.path.join(work, "haproxy.cfg")
        with open(conf, "w") as f:
            f.write(HAPROXY.format(threads=os.cpu_count(), refuse=2601, carry=2602, sink=2600, list=text))
        ha = stack.enter_context(process(net, "haproxy", "-db", "-f", conf))
        on = dict(backend="127.0.0.1:2600", max_sessions=20000, loops=os.cpu_count())
        fox = Fox(net, os.path.join(work, "refuse"), port=2603, sections="[blocked]\nmode = on\n", **on)
        carry = Fox(net, os.path.join(work, "carry"), port=2604, **on)
        quiet = Fox(net, os.path.join(work, "idle"), port=2605, **on)  # nobody was there before
        for f in (fox, carry, quiet):
            stack.callback(f.close)
            f.start()
        fox.lists(blocked=lists[0])
        screen = Screen(net, os.path.join(work, "postfix"), text_of_clients(work))
        stack.callback(screen.close)
        screen.start()
        wait_until(lambda: listening(net, 2602), "HAProxy", 60)
        pids = {"foxproxy": [fox.status()["pid"]], "haproxy": [ha.pid], "postscreen": [screen.pid()]}
        ports = {"foxproxy": 2603, "haproxy": 2601, "postscreen": 2700}
        yield from refusals(in_turns({n: (net, pids[n], ("reset" if n == "haproxy" else "refused", "127.0.0.1", ports[n], SECONDS, CLIENTS,
                                                         SOURCES)) for n in pids}))
        for size, name in ((4096, "4 KiB to a sink"), (102400, "100 KiB to a sink")):
            yield from carrying(in_turns({
                "foxproxy": (net, [carry.status()["pid"]], ("source", "127.0.0.1", 2604, SECONDS, 20, size)),
                "haproxy": (net, [ha.pid], ("source", "127.0.0.1", 2602, SECONDS, 20, size))}), name)
        yield from swaps(net, fox, lists)
        yield dict(name=f"memory of an idle session, {IDLE} of them", value=idle(net, 2605, quiet.status()["pid"]), unit="bytes", bar=3700)


def text_of_clients(work):
    """postscreen's table is searched row by row: it gets the clients' network alone, which is to its advantage."""
    path = os.path.join(work, "denied.cidr")
    with open(path, "w") as f:
        f.write("127.0.1.0/24 reject\n")
    os.chmod(path, 0o644)
    return path
