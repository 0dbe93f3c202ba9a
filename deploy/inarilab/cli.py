"""The verbs of deploy/lab."""
import argparse
import concurrent.futures
import os
import signal
import subprocess
import sys
import time

from . import net as netlib
from . import parts, world
from .host import remove_mount_points
from .state import Lab
from .util import LabError, say

DEFAULT_DIR = "/var/lib/inari-lab"


def up(lab, args):
    t0 = time.monotonic()
    with lab.locked():
        lab.create(netlib.parse(args.net) if args.net else None)
        netlib.hub_up(lab.net)
        while len(lab.children()) < args.children:
            lab.add_child()
        lab.save()
        world.start(lab)
        say("the world is up: dns, inside, outside")
        parts.install(lab, args.prefix)
        # Most of a first start is Postfix filling its chroot: all children at once, and the parent beside them.
        with concurrent.futures.ThreadPoolExecutor(len(lab.children()) + 1) as pool:
            jobs = [pool.submit(parts.parent_start, lab)]
            jobs += [pool.submit(parts.child_start, lab, name, "postfix") for name in lab.children()]
            for job in jobs:
                job.result()
        for name in lab.parents[1:]:
            parts.parent_start(lab, name)
        say(f"the parent answers at {lab.api}, the children run the Postfix a person set up")
        parts.adopt(lab, lab.children())
        lab.write_json()
    say(f"up: {len(lab.children())} children in sync, {lab.api} ({time.monotonic() - t0:.1f} s)")


def add_child(lab, args):
    with lab.locked():
        name = lab.add_child(args.name)
        world.write_zones(lab)
        parts.adopt(lab, [name])
        lab.write_json()


def add_parent(lab, _args):
    with lab.locked():
        parts.add_parent(lab)
        lab.write_json()
    say(f"parents: {', '.join(lab.apis)}")


def execute(lab, args):
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise LabError("exec NAME -- COMMAND …: the command is missing")
    programs = f"{lab.dir}/system/usr"  # inari-agent and inarictl by their names
    path = f"{programs}/bin:{programs}/sbin:{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}"
    return subprocess.run(lab.host(args.name).entered(command), env={**os.environ, "PATH": path}).returncode


def split(text):
    name, _, part = text.partition("/")
    return name, part


def kill(lab, args):
    name, part = split(args.name)
    host = lab.host(name)
    host.kill(parts.program(part) if part else None)
    if lab.exists() and os.path.exists(os.path.join(lab.dir, "lab.json")):
        lab.write_json()


def start(lab, args):
    name, part = split(args.name)
    wrong = [x for x in args.env if "=" not in x]
    if wrong:
        raise LabError(f"--env {wrong[0]}: must be KEY=VALUE")
    parts.start(lab, name, part, dict(x.split("=", 1) for x in args.env))
    lab.write_json()


def pairs(lab, name):
    """Who a partition of NAME separates it from: a child from the parents; the parent from every child; the second
    parent from the first, where the database is; the other hosts from everybody."""
    def plain(n):
        return [a for a, _ in lab.addresses(n)]
    if name in lab.children():
        others = lab.parents
    elif name == "parent":
        others = lab.children()
    elif name in lab.parents:
        others = ["parent"]
    else:
        lab.host(name)
        others = [h for h in lab.all_hosts() if h != name]
    return [(name, plain(name), o, plain(o)) for o in others]


def partition(lab, args):
    for a, aa, b, bb in pairs(lab, args.name):
        netlib.partition(lab.net, a, aa, b, bb)


def heal(lab, args):
    for a, aa, b, bb in pairs(lab, args.name):
        netlib.heal(lab.net, a, aa, b, bb)


def status(lab, _args):
    for name in lab.all_hosts():
        host = lab.host(name)
        line = "on " if host.holder_pid() else "off"
        running = [p for p, program in parts.PARTS.items() if host.named(program)]
        print(f"{name:12} {line} {lab.addresses(name)[0][0]:15} {' '.join(running)}")
    for line in parts.device_lines(lab):
        print(line)


def logs(lab, args):
    host = lab.host(args.name)
    files = sorted(os.path.join(host.logs, f) for f in os.listdir(host.logs))
    argv = ["tail", "-n", str(args.lines), *(["-F"] if args.follow else []), "--", *files]
    try:
        return subprocess.run(argv).returncode
    except KeyboardInterrupt:
        return 0


def wait_ehlo(lab, args):
    """Poll every child's live greeting until it says the line; print each one's time since --since."""
    line = args.line.removeprefix("250-").removeprefix("250 ")
    where = [f"{name}={lab.addresses(name)[0][0]}" for name in lab.children()]
    for name, seconds in world.wait_ehlo(lab, line, where, args.timeout, args.since or time.time_ns()).items():
        print(f"  {name}: {args.line} after {seconds:.2f} s")


def down(lab, args):
    if not lab.exists():
        say(f"no lab in {lab.dir}: nothing to do")
        return
    with lab.locked():
        for name in reversed(lab.all_hosts()):
            lab.host(name).kill()
            netlib.netns_del(lab.net.netns(name))
        netlib.hub_down(lab.net)
        netlib.netns_del(lab.net.netns("hub"))
        lab.forget(args.keep)
        if not netlib.used():
            remove_mount_points()
    say("down: nothing is left" + (f" but {lab.dir}" if args.keep else ""))


def parser():
    p = argparse.ArgumentParser(prog="lab", description="A whole Inari on one machine. See inari-lab(8).")
    sub = p.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, fn, text, *positional, needs=True):
        s = sub.add_parser(name, help=text)
        s.add_argument("--dir", default=os.environ.get("INARI_LAB_DIR", DEFAULT_DIR), help=f"default {DEFAULT_DIR}")
        for a in positional:
            s.add_argument(a)
        s.set_defaults(fn=fn, needs=needs)
        return s

    s = verb("up", up, "start everything; returns when every child is in sync", needs=False)
    s.add_argument("--children", type=int, default=2)
    s.add_argument("--prefix", help="build folder or install prefix; default: the newest of build/release, ci, dev")
    s.add_argument("--net", help="198.18.N.0/24; default: the first free N")
    s = verb("exec", execute, "run a command inside parent, outside, inside, dns or a child", "name")
    s.add_argument("command", nargs=argparse.REMAINDER)
    verb("add-child", add_child, "one more child, enrolled, managed and in sync", "name")
    verb("add-parent", add_parent, "a second parent on the same database; children go to whichever answers")
    verb("kill", kill, "SIGKILL NAME or NAME/agent|helper|postfix|foxproxy|inarid|postgres", "name")
    s = verb("start", start, "start what is not running of NAME or NAME/part", "name")
    s.add_argument("--env", action="append", default=[], help="KEY=VALUE for what is started (crash points of test builds)")
    verb("partition", partition, "child and parent no longer hear each other (mail goes on)", "name")
    verb("heal", heal, "end the partition", "name")
    verb("status", status, "hosts, processes and devices")
    s = verb("logs", logs, "the logs of a host", "name")
    s.add_argument("-n", "--lines", type=int, default=20)
    s.add_argument("-f", "--follow", action="store_true")
    s = verb("wait-ehlo", wait_ehlo, "wait until every child's EHLO answer has a line", "line")
    s.add_argument("--since", type=int, help="nanoseconds since the epoch: times are counted from then")
    s.add_argument("--timeout", type=float, default=60)
    s = verb("down", down, "end everything and remove DIR", needs=False)
    s.add_argument("--keep", action="store_true", help="leave DIR with its logs")
    return p


def main(argv):
    args = parser().parse_args(argv)
    if os.geteuid() != 0:
        print("lab: needs root for network namespaces: sudo deploy/lab …", file=sys.stderr)
        return 2
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.umask(0o022)
    try:
        lab = Lab(args.dir)
        if args.needs:
            lab.need()
        return args.fn(lab, args) or 0
    except LabError as e:
        print(f"lab: {e}", file=sys.stderr)
        return 1


