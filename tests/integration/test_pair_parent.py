"""The parent's own faults as its real children see them, on the lab: B5, F12 and F15 of the protocol."""
import concurrent.futures
import contextlib
import json
import os
import signal
import time

import pytest
from parentlib import wait_until
from test_pair_faults import device, digests, mail_through, new_size, publish_for
from test_pair_wire import behind_a_liar

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]


@pytest.fixture(scope="module")
def wire(lab):
    with behind_a_liar(lab) as w:
        yield w


def psql(lab, sql):
    return lab.execute("parent", "setpriv", "--reuid=inari-db", "--regid=inari-db", "--init-groups", "psql", "-qXAt", "-v",
                       "ON_ERROR_STOP=1", "-h", "/run/inari-db", "-U", "postgres", "-d", "inari", "-c", sql).stdout.strip()


@contextlib.contextmanager
def stalled(lab):
    """PostgreSQL is there and says nothing."""
    pids = lab.lab.host("parent").named("postgres")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_b5_database_stalls(wire):
    """B5: for 30 s polls are answered from memory, writes are refused in time, however many, no agent sees an outage and
    mail goes on.  Then the next change is as quick as ever, without anybody's help."""
    lab, child = wire.lab, wire.child
    wire.address([wire.proxy.url], wait_s=10)
    lab.wait_in_sync()
    wait_until(lambda: wire.proxy.answered and wire.proxy.answered[-1] == 304, "a held poll to end", 30)
    running, pid, t0 = {c: digests(lab, c) for c in lab.children}, wire.agent_pid(), time.monotonic()
    with stalled(lab), concurrent.futures.ThreadPoolExecutor(30) as pool:
        seen, logged = len(wire.proxy.answered), {c: len(lab.log(c, "agent")) for c in lab.children}
        writes = [pool.submit(lambda: lab.api.post("/drafts", json={"title": "stalled"}, timeout=60)) for _ in range(30)]
        for c in lab.children:
            mail_through(lab, c, 2)
        assert {w.result().status_code for w in writes} == {503}
        time.sleep(max(0, t0 + 30 - time.monotonic()))
        polls = wire.proxy.answered[seen:]
        assert len(polls) >= 2 and set(polls) == {304}, polls
        assert "parent.unreachable" not in "".join(lab.log(c, "agent")[n:] for c, n in logged.items())
    size, t = new_size(), time.monotonic()
    wait_until(lambda: lab.api.get("/groups?limit=1").status_code == 200, "the parent to be back", 15)
    publish_for(lab, child, size)
    lab.wait_ehlo(f"SIZE {size}", [child], timeout=20)
    print(f"back after {time.monotonic() - t:.1f} s")
    assert wire.agent_pid() == pid and all(device(lab, c)["presence"] == "online" for c in lab.children)
    assert all(digests(lab, c) == running[c] for c in lab.children if c != child)


def test_f12_lost_reports(healthy_lab):
    """F12: the parent has lost what its devices reported; they are asked for all of it and the parent is whole again."""
    lab = healthy_lab
    path = {c: f"/devices/{c}/status" for c in lab.children}
    before = {c: lab.api.ok("GET", p)["status"]["seq"] for c, p in path.items()}
    lab.verb("kill", "parent/inarid")
    psql(lab, "DELETE FROM device_status")
    lab.verb("start", "parent/inarid")
    assert lab.api.get(path[lab.children[0]]).status_code in (200, 404)
    for c, p in path.items():
        wait_until(lambda p=p: lab.api.get(p).status_code == 200, f"the report of {c} to come again", 100, 0.3)
        assert lab.api.ok("GET", p)["status"]["seq"] > before[c]
        assert lab.api.ok("GET", p)["status"]["running"]["postfix"]["digest"] == digests(lab, c)[0]
    lab.wait_in_sync()


EDITS = {
    "a word is changed": "UPDATE audit SET actor = actor || 'x' WHERE seq = {seq}",
    "an entry is gone": "DELETE FROM audit WHERE seq = {seq}",
    "the end is cut off": "DELETE FROM audit WHERE seq >= {seq}",
    "all is gone": "TRUNCATE audit",
}


def witnessed(lab):
    with open(f"{lab.lab.host('parent').root}/var/lib/inari-parent/witness.json") as f:
        return json.load(f)["head"]["seq"]


@contextlib.contextmanager
def hushed(lab):
    """No device reports anything: what changes in the database sends the parent's own witness (recovery.h) to look, and that must not
    happen while the table is not whole, or it would fence, and rightly."""
    pids = [pid for c in lab.children for pid in lab.lab.host(c).named("inari-agent")]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(6)  # it looks at most each 5 s, at what came before
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("how", EDITS)
def test_f15_an_audit_log_that_was_touched(healthy_lab, how):
    """F15: by somebody who may do anything to the database: the check says so and names the entry; put back, it is whole."""
    lab, child = healthy_lab, healthy_lab.children[0]
    publish_for(lab, child, new_size())
    lab.api.publish({"devices": {child: {"smtp.message_size_limit": {"$inherit": True}}}}, "back to the fleet's")
    lab.wait_in_sync()
    with hushed(lab):
        wait_until(lambda: witnessed(lab) == int(psql(lab, "SELECT max(seq) FROM audit")), "the witness to have seen it all", 30, 0.2)
        seq = int(psql(lab, "SELECT seq FROM audit WHERE action = 'revision.publish' ORDER BY seq DESC OFFSET 1 LIMIT 1"))
        assert lab.api.ok("GET", "/audit/verify")["ok"] is True
        psql(lab, "CREATE TABLE audit_kept AS TABLE audit")
        try:
            psql(lab, EDITS[how].format(seq=seq))
            found = lab.api.ok("GET", "/audit/verify")
            assert found["ok"] is False and found["first_bad"] == (1 if how == "all is gone" else seq), found
        finally:
            psql(lab, "INSERT INTO audit TABLE audit_kept ON CONFLICT (seq) DO UPDATE SET actor = EXCLUDED.actor; "
                      "DROP TABLE audit_kept")
    assert lab.api.ok("GET", "/audit/verify")["ok"] is True
