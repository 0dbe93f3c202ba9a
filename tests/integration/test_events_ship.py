"""Events on their way from a device to the parent (docs/internals/events.md): a real agent, a real parent; what was appended to
a spool is stored, each event once, whatever is killed meanwhile."""
import datetime
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import parentlib
import pytest
import wireproxy
from agentlib import new_agent, pin_of
from parentlib import SAN_ENV, wait_until

MINUTES = float(os.environ.get("INARI_EVENTS_MINUTES", "0"))  # of kills: tests/run 5, tests/run --faults 30


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own(workdir, system_users, programs):
    """A parent of this file alone: it is killed here."""
    with parentlib.alone(workdir, "events-ship", programs) as p:
        p.reset_admin()
        yield p


@pytest.fixture
def agent(own, workdir, programs, request):
    a = new_agent(workdir, request.node.name.split("[")[0][5:25], programs)
    r = a.join(own.base, pin_of(own.ca), *own.admin)
    assert r.returncode == 0, r.stderr
    api = own.token()
    device = a.identity()["device_id"]
    if api.get(f"/devices/{device}").json().get("state") == "pending":
        api.ok("POST", f"/devices/{device}/approve")
    a.device = device
    a.start({"INARI_FIGURES_S": "1"})
    yield a
    if a.alive():
        a.stop()
    a.check_sanitizers()


@pytest.fixture
def proxy(own, agent):
    """Between that agent and its parent; what the parent says of events can be changed."""
    tls = os.path.join(own.state, "tls")
    p = wireproxy.Proxy("127.0.0.1", ("127.0.0.1", own.port), f"{tls}/server.crt", f"{tls}/server.key")
    agent.stop()
    identity = agent.identity()
    identity["addresses"] = [p.url]
    with open(os.path.join(agent.state, "identity.json"), "w") as f:
        json.dump(identity, f)
    yield p
    agent.stop()
    p.close()


def is_events(request):
    return request.path.startswith("/api/agent/v1/events/")


class Writer:
    """A program with a spool of its own: the text of each event is its number."""

    def __init__(self, agent, stream):
        self.agent, self.stream = agent, stream
        self.dir = os.path.join(agent.state, "spool", stream)
        self.kills = 0

    def last(self):
        """What is kept: the number of the last event a sync covered."""
        if not os.path.isdir(self.dir):
            return 0
        r = self.agent.command("spool", "show", self.dir, "0")
        assert r.returncode == 0, r.stderr
        return int(r.stderr.split(" acknowledged")[0].split(" of ")[-1])

    def append(self, n, kill=False):
        """n more events; kill: the writer dies in the middle of it, and what it has not synced was never there."""
        first = self.last() + 1
        now = int(time.time() * 1000)
        lines = "".join(json.dumps({"at": now, "kind": "raw", "text": f"n{i}", "detail": {"pad": "x" * (i % 90)}}) + "\n"
                        for i in range(first, first + n)).encode()
        p = subprocess.Popen([*self.agent.argv0, "--config", self.agent.conf, "spool", "append", self.dir],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env={**os.environ, **SAN_ENV, "LC_ALL": "C.UTF-8"})
        if not kill:
            out, err = p.communicate(lines)
            assert p.returncode == 0, err.decode()
            assert int(out.split()[-1]) == first + n - 1
            return
        p.stdin.write(lines[:len(lines) // 2])
        p.stdin.flush()
        p.send_signal(signal.SIGKILL)
        p.communicate()
        self.kills += 1


def stored(own, agent, stream, columns="seq, text"):
    return own.postgres.psql(f"SELECT {columns} FROM event WHERE device_id = '{agent.device}' AND stream = '{stream}' ORDER BY seq, n")


def count(own, agent, stream):
    return int(stored(own, agent, stream, "count(*) OVER (), 0")[0][0]) if stored(own, agent, stream, "seq") else 0


def stream_of(agent, stream):
    return next((s for s in agent.status()["events"] if s["stream"] == stream), {"acknowledged": -1, "waiting": -1})


def wait_shipped(agent, stream, n, timeout=60):
    wait_until(lambda: stream_of(agent, stream)["acknowledged"] >= n, f"{n} events of {stream} to be acknowledged", timeout, 0.2)


@pytest.mark.xdist_group("events-kills")  # beside the rest of this file, with a parent of its own
def test_exactly_once_over_kills(own, agent, injected):
    """The writer, the agent, the parent and PostgreSQL are killed at random: exactly what was appended is stored, none twice.
    200,000 events in half an hour, a shorter run at that pace."""
    w = Writer(agent, "scand")
    wanted, seconds = (int(200_000 * MINUTES / 30), MINUTES * 60) if MINUTES else (6_000, 15)
    over, failed = threading.Event(), []

    def write():
        try:
            begin = time.monotonic()
            while (last := w.last()) < wanted or time.monotonic() < begin + seconds:
                # the rest of the time only a few, so that kills always meet something
                n = random.choice((1, 40, 700)) if last < wanted else 5
                w.append(n, kill=random.random() < 0.2)
                early = begin + seconds * (last + n) / wanted - time.monotonic()
                time.sleep(max(0.02, early * random.uniform(0.5, 1.5)) if MINUTES else 0.02)
        except Exception as e:  # noqa: BLE001
            failed.append(repr(e))
        over.set()
    thread = threading.Thread(target=write)
    thread.start()
    kills = {"agent": 0, "parent": 0, "postgres": 0}
    while not over.is_set():
        time.sleep(random.uniform(0.2, 1.5) if not MINUTES else random.uniform(1, 20))
        what = random.choice(("agent", "agent", "parent", "postgres"))
        if what == "agent":
            agent.end(signal.SIGKILL)
            agent.start({"INARI_FIGURES_S": "1"})
        elif what == "parent":
            own.kill()
            own.start()
        else:
            own.postgres.kill()
            own.postgres.start()
        kills[what] += 1
    thread.join()
    assert not failed, failed
    own.wait_ready()
    assert sum(kills.values()) >= 3, kills
    injected("events-kill", sum(kills.values()) + w.kills)
    last = w.last()
    assert last >= wanted
    wait_shipped(agent, "scand", last, 120)
    got = stored(own, agent, "scand")
    assert len(got) == last, f"{len(got)} of {last} after {kills}, {w.kills} of the writer"
    assert [(int(a), b) for a, b in got] == [(i, f"n{i}") for i in range(1, last + 1)]
    print(f"{last} events, killed: {kills}, writer {w.kills}")


def test_streams_of_their_own(own, agent):
    """Each folder is a stream; what the agent itself sees is one: device.figures with the volumes it writes to."""
    a, b = Writer(agent, "foxproxy"), Writer(agent, "scand")
    a.append(20)
    b.append(7)
    wait_shipped(agent, "foxproxy", 20)
    wait_shipped(agent, "scand", 7)
    assert len(stored(own, agent, "foxproxy")) == 20 and len(stored(own, agent, "scand")) == 7
    wait_until(lambda: [r for r in stored(own, agent, "agent", "kind") if r[0] == "device.figures"], "figures", 30, 0.3)
    detail = json.loads(next(r[1] for r in stored(own, agent, "agent", "kind, detail") if r[0] == "device.figures"))
    assert detail["disk"]["state"]["size_mb"] > 0 and detail["load"] >= 0
    s = stream_of(agent, "scand")
    assert (s["acknowledged"], s["waiting"], s["dropped"], s["problem"]) == (7, 0, 0, "") and s["acknowledged_at"]
    assert agent.condition("EventsDropped")["status"] == "False"
    said = agent.command("status")
    assert "scand: 0 wait" in said.stdout, said.stdout


def test_what_another_parent_was_to_hear(own, workdir, programs):
    """Events of the device that a host was before are not the new one's to tell."""
    a = new_agent(workdir, "heir", programs)
    w = Writer(a, "test")
    w.append(3)
    with open(os.path.join(a.state, "postfix.context"), "w") as f:
        f.write("1 0 0")
    assert w.last() == 3
    r = a.join(own.base, pin_of(own.ca), *own.admin)
    assert r.returncode == 0, r.stderr
    assert not os.path.exists(w.dir) and not os.path.exists(os.path.join(a.state, "postfix.context"))


def test_a_copy_of_the_machine_is_put_back(own, agent):
    """The parent has more of this spool than there is now: a new birth, and what came since is not taken for known."""
    w = Writer(agent, "scand")
    w.append(30)
    wait_shipped(agent, "scand", 30)
    agent.stop()
    shutil.copytree(w.dir, w.dir + ".copy", ignore=shutil.ignore_patterns("*.lock"))
    agent.start()
    w.append(500)
    wait_shipped(agent, "scand", 530)
    agent.stop()
    shutil.rmtree(w.dir)
    os.rename(w.dir + ".copy", w.dir)
    w.append(12)
    assert w.last() == 42
    agent.start()
    wait_shipped(agent, "scand", 42)
    assert "event=spool.reborn" in agent.log()
    spools = own.postgres.psql(f"SELECT spool, acknowledged FROM event_stream WHERE device_id = '{agent.device}' AND stream = 'scand'")
    assert sorted(int(n) for _, n in spools) == [42, 530], spools
    texts = [t for _, t in stored(own, agent, "scand") if t]
    assert texts.count("n42") == 2 and texts.count("n30") == 1 and len([t for t in texts if t.startswith("n")]) == 542


def test_a_volume_without_room(own, agent, injected):
    """Its events cannot be kept: the agent goes on, says so once, and says how many are lost when there is room again."""
    agent.stop()
    spool = os.path.join(agent.state, "spool", "agent")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", spool], check=True)
    try:
        agent.start({"INARI_FIGURES_S": "1"})
        wait_until(lambda: "event=spool.blocked" in agent.log(), "the agent to say so", 15)
        injected("disk-full", 1)
        assert agent.status()["parent"]["reachable"] or wait_until(lambda: agent.status()["parent"]["reachable"], "the parent") is None
        w = Writer(agent, "scand")  # another volume
        w.append(5)
        wait_shipped(agent, "scand", 5)
        assert agent.log().count("event=spool.blocked") == 1
        subprocess.run(["mount", "-o", "remount,size=300m", spool], check=True)
        wait_until(lambda: "event=spool.unblocked" in agent.log(), "room", 15)
        wait_until(lambda: stream_of(agent, "agent")["acknowledged"] > 0, "its events", 20, 0.2)
        agent.stop()
    finally:
        if agent.alive():
            agent.stop()
        subprocess.run(["umount", "-l", spool], check=True)


def test_a_clock_that_jumps(own, agent, workdir, injected):
    """The device's clock is set days ahead and back, also with the parent away: its events bear the parent's time, and all of them
    arrive once."""
    clock = os.path.join(workdir, f"clock-{os.urandom(3).hex()}")

    def shift(seconds):
        with open(clock + ".new", "w") as f:
            f.write(str(seconds))
        os.rename(clock + ".new", clock)
    shift(0)
    agent.stop()
    agent.start({"INARI_FIGURES_S": "1", "INARI_CLOCK_FILE": clock})
    w, n = Writer(agent, "scand"), 0
    for i, seconds in enumerate((3 * 86400, -3 * 86400, 400 * 86400, 0)):
        if i == 2:
            own.kill()
        shift(seconds)
        injected("clock-jump", 1)
        w.append(20)
        n += 20
        time.sleep(3)
        if i == 2:
            own.start()
        wait_shipped(agent, "scand", n, 90)
    assert [int(a) for a, _ in stored(own, agent, "scand")] == list(range(1, n + 1))
    off = own.postgres.psql(f"SELECT count(*), count(*) FILTER (WHERE coalesce(device_at, at) NOT BETWEEN received_at - interval '90 s' AND "
                            f"received_at + interval '5 s') FROM event WHERE device_id = '{agent.device}' AND kind = 'device.figures'")
    assert int(off[0][0]) > 8 and int(off[0][1]) == 0, off


def test_a_spool_that_cannot_be_written(own, agent, injected):
    """A read-only folder: said with its name, tried again, and with leave to write it everything is as before."""
    agent.stop()
    spool = os.path.join(agent.state, "spool")
    subprocess.run(["mount", "--bind", spool, spool], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", spool], check=True)
        agent.start({"INARI_FIGURES_S": "1"})
        wait_until(lambda: "event=events.spool" in agent.log(), "the agent to say so", 15)
        injected("disk-full", 1)
        wait_until(lambda: agent.status()["parent"]["reachable"], "the parent", 30)
        assert "Read-only" in stream_of(agent, "agent")["problem"], stream_of(agent, "agent")
        subprocess.run(["mount", "-o", "remount,bind,rw", spool], check=True)
        before = len(stored(own, agent, "agent"))
        wait_until(lambda: len(stored(own, agent, "agent")) > before, "its events", 90, 0.5)
        agent.stop()
    finally:
        if agent.alive():
            agent.stop()
        subprocess.run(["umount", "-l", spool], check=True)


def test_what_is_over_the_limit_is_said(own, agent):
    """A hole in the numbers is stored as spool.gap and shown: EventsDropped, status, event_stream."""
    w = Writer(agent, "scand")
    w.append(10)
    wait_shipped(agent, "scand", 10)
    agent.stop()
    w.append(4000)
    seg = sorted(n for n in os.listdir(w.dir) if n.endswith(".seg"))[-1]
    path = os.path.join(w.dir, seg)
    with open(path, "r+b") as f:  # a bad sector: some records in the middle
        f.seek(os.path.getsize(path) // 2)
        f.write(b"\0" * 4096)
    agent.start()
    wait_shipped(agent, "scand", 4010)
    wait_until(lambda: agent.condition("EventsDropped")["status"] == "True", "the condition", 60, 0.5)
    gaps = [r for r in stored(own, agent, "scand", "kind, detail") if r[0] == "spool.gap"]
    assert len(gaps) == 1, gaps
    lost = json.loads(gaps[0][1])["count"]
    assert 5 < lost < 100 and stream_of(agent, "scand")["dropped"] == lost
    assert len([t for _, t in stored(own, agent, "scand") if t and t.startswith("n")]) == 4010 - lost


def test_a_parent_that_knows_no_events(own, agent, proxy):
    """An older parent: said as EventsBehind, kept, asked again an hour later or after a start; everything else goes on."""
    asked = []

    def older(request, answer):
        if is_events(request):
            asked.append(request.path)
            answer.status, answer.body = 404, b'{"type":"urn:inari:problem:not-found","title":"x","status":404}'
    proxy.other = older
    agent.start()
    w = Writer(agent, "scand")
    w.append(5)
    wait_until(lambda: agent.condition("EventsBehind")["reason"] == "ParentTooOld", "the condition", 60, 0.5)
    n = len([p for p in asked if p.endswith("scand")])
    time.sleep(2)
    assert len([p for p in asked if p.endswith("scand")]) == n <= 1
    s = stream_of(agent, "scand")
    assert s["acknowledged"] == 0 and s["waiting"] == 5 and s["problem"]
    assert agent.status()["parent"]["reachable"] and agent.condition("Authenticated")["status"] == "True"
    proxy.other = None
    agent.stop()
    agent.start()
    wait_shipped(agent, "scand", 5)
    wait_until(lambda: agent.condition("EventsBehind")["status"] == "False", "the end of it", 60, 0.5)


def test_says_up_to_when_the_log_is_stored(own, agent, proxy):
    """Whoever judges by figures knows which minutes are whole: the moment goes on while nothing is logged, stands still while lines
    do not get through, and every line before it is stored."""
    log = os.path.join(os.path.dirname(agent.conf), "mail.log")
    with open(agent.conf, "a") as f:
        f.write(f"postfix.log = {log}\n")

    def write(n):
        with open(log, "a") as f:
            for i in range(n):
                f.write(f"{datetime.datetime.now().astimezone().isoformat()} mx postfix/anvil[7]: statistics: max cache size {i} at now\n")

    def look():
        """(until, lines stored, the newest of them), of one moment."""
        rows = own.postgres.psql("SELECT coalesce((SELECT extract(epoch FROM until) FROM event_until WHERE device_id = "
                                 f"'{agent.device}'), 0), count(*), coalesce(max(extract(epoch FROM at)), 0) FROM event WHERE "
                                 f"device_id = '{agent.device}' AND stream = 'postfix'")
        return float(rows[0][0]), int(rows[0][1]), float(rows[0][2])
    write(1)
    agent.start({"INARI_FIGURES_S": "1"})
    first = wait_until(lambda: look()[0], "the first word", 30, 0.2)
    wait_until(lambda: look()[0] > first + 2, "it to go on while nothing is logged", 30, 0.2)
    assert look()[1] == 1

    def cut(request):
        if request.path.endswith("/events/postfix"):
            raise OSError("cut off")
    n = 1
    for _ in range(15):
        write(7)
        n, written = n + 7, time.time()
        until, stored_n, _ = wait_until(lambda: (x := look())[0] > written and x, "a moment behind the lines", 30, 0.05)  # noqa: B023
        assert stored_n == n, "every line before it is there"
        assert until <= time.time()
    proxy.ask = cut
    write(5)
    written = time.time()
    time.sleep(3)
    figures = len(stored(own, agent, "agent"))
    wait_until(lambda: len(stored(own, agent, "agent")) > figures + 3, "its own figures to get through", 60, 0.2)
    assert look()[0] <= written and look()[1] == n, "lines wait: it stands still"
    proxy.ask = None
    wait_until(lambda: (x := look())[0] > written and x[1] == n + 5, "all of it", 60, 0.2)


def test_less_at_a_time_and_lost_answers(own, agent, proxy):
    """415: without compression; 413: half as much, down to what is taken; an answer that is lost: the same once more."""
    taken, refused, lost = [], [], []

    def picky(request, answer):
        if not is_events(request) or not request.path.endswith("scand"):
            return
        lines = request.body.count(b"\n") - 1
        if "zstd" in request.headers.get("Content-Encoding", ""):
            answer.status, answer.body = 415, b"{}"
            refused.append("zstd")
        elif lines > 40:
            answer.status, answer.body = 413, b"{}"
            refused.append(lines)
        elif random.random() < 0.2 and len(lost) < 5:
            answer.raw = lambda tls: None  # the parent has them; the device does not know
            lost.append(lines)
        else:
            taken.append(lines)
    proxy.other = picky
    w = Writer(agent, "scand")
    w.append(700)
    agent.start()
    wait_shipped(agent, "scand", 700, 120)
    got = stored(own, agent, "scand")
    assert [(int(a), b) for a, b in got] == [(i, f"n{i}") for i in range(1, 701)]
    assert refused[0] == "zstd" and refused.count("zstd") <= 2 and 700 in refused and 0 < max(taken) <= 40


def test_agents_metrics_are_what_its_status_says(own, agent):
    """Prometheus text without a port of its own; the agent tells its own spool, and nobody may ask it who may not ask for its status."""
    wait_until(lambda: agent.status()["parent"]["reachable"] and any(s["stream"] == "agent" and s["acknowledged"] > 0 for s in agent.status()["events"]),
               "the parent to have events of the agent", 60)
    r = agent.command("metrics")
    assert r.returncode == 0, r.stderr
    values = dict(line.rsplit(" ", 1) for line in r.stdout.splitlines() if not line.startswith("#"))
    assert values["inari_agent_parent_reachable"] == "1" and values["inari_agent_held"] == "0"
    assert int(values['inari_agent_events_written_total{stream="agent"}']) > 0
    assert values['inari_agent_events_dropped_total{stream="agent"}'] == "0"

    def conditions_agree():
        got = dict(line.rsplit(" ", 1) for line in agent.command("metrics").stdout.splitlines() if line.startswith("inari_agent_condition{"))
        return got == {f'inari_agent_condition{{type="{c["type"]}"}}': str(int(c["status"] == "True")) for c in agent.status()["status"]["conditions"]} != {}
    wait_until(conditions_agree, "the conditions of both to be the same")
    kinds = {line.split()[2] for line in r.stdout.splitlines() if line.startswith("# TYPE ")}
    assert {v.split("{")[0] for v in values} <= kinds
    assert agent.command("metrics", "--json").returncode == 2
    agent.command("hold", "--reason", "metrics", "--minutes", "1")
    assert "inari_agent_held 1\n" in agent.command("metrics").stdout
    agent.command("release")
