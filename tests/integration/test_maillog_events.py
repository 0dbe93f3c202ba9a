"""Postfix's log as events, from a real Postfix to the spool: each thing that happened is there exactly once, whatever is killed and rotated
meanwhile; every event of a message has its client and message id (facts K09, K10, T05, T09)."""
import collections
import glob
import json
import os
import re
import shutil
import struct
import subprocess
import time
import uuid

import pytest
from parentlib import wait_until
from test_pair_faults import respawn

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def spool(lab, child):
    """The events that are kept: every record that a mark covers, by number."""
    records, kept = {}, {}
    folder = glob.glob(os.path.join(lab.root(child), "var/lib/inari/agent/spool/postfix"))[0]
    for name in sorted(glob.glob(os.path.join(folder, "*.seg"))):
        with open(name, "rb") as f:
            data = f.read()
        at = 0
        while at + 24 <= len(data) and data[at:at + 4] == b"SPL1":
            length, kind, seq = struct.unpack_from("<IIQ", data, at + 8)
            if kind == 1:
                records[seq] = data[at + 24:at + 24 + length]
            else:
                kept.update(records)
                records = {}
            at += 24 + length
    return [json.loads(kept[seq]) for seq in sorted(kept)]


# What the log says, read by other means than the agent's.
def said(lines, mark):
    """{(kind, queue id, what): how often} of the messages and refusals with the mark."""
    text = r"postfix/(\S+)\[\d+\]: (\w+): "
    ids = {m.group(2) for n in lines if (m := re.search(text + r"from=<[^>]*" + mark, n))}
    ids |= {m.group(3) for n in lines if (m := re.search(text + r"sender non-delivery notification: (\w+)", n)) and m.group(2) in ids}
    first, found = set(), collections.Counter()
    for n in lines:
        if (m := re.search(r"NOQUEUE: reject: .*to=<([^>]*)>.*" + mark, n)) or (m := re.search(r"NOQUEUE: reject: .*" + mark + r".*to=<([^>]*)>", n)):
            found["message.rejected", None, m.group(1)] += 1
        m = re.search(text + r"(.*)", n)
        if not m or m.group(2) not in ids:
            continue
        service, qid, rest = m.groups()
        if (d := re.match(r"to=<([^>]*)>.*, dsn=([0-9.]+), status=(\w+)", rest)):
            found["message.delivery", qid, d.groups()] += 1
        elif service == "qmgr" and rest.startswith("from=<") and "nrcpt=" in rest and qid not in first:
            first.add(qid)
            found["message.queued", qid, None] += 1
        elif rest == "removed":
            found["message.removed", qid, None] += 1
        elif rest == "placed on hold":
            found["message.held", qid, None] += 1
        elif rest == "released from hold":
            found["message.released", qid, None] += 1
        elif "notification: " in rest:
            found["message.bounce", qid, None] += 1
    return found, ids


def told(events, mark, ids):
    found = collections.Counter()
    for e in events:
        if e["kind"] == "message.rejected" and mark in json.dumps(e):
            found[e["kind"], None, e["recipient"]] += 1
        if e.get("queue_id") not in ids or e["kind"] in ("message.attempt", "warning"):
            continue
        what = (e["recipient"], e["dsn"], e["status"]) if e["kind"] == "message.delivery" else None
        found[e["kind"], e["queue_id"], what] += 1
    return found


class Child:
    def __init__(self, lab, name):
        self.lab, self.name, self.host = lab, name, lab.lab.host(name)
        self.log = os.path.join(self.host.logs, "mail.log")

    def lines(self):
        files = sorted(glob.glob(self.log + "*"), key=os.path.getmtime)
        return [n for f in files for n in open(f, errors="replace").read().splitlines()]

    def kill(self):
        self.host.kill("inari-agent")

    def start(self, **env):
        respawn(self.lab, self.name, "agent", **env)

    def rename(self):
        os.rename(self.log, f"{self.log}.{time.time_ns()}")

    def copy(self):
        """copytruncate, while nobody writes: what comes between the copy and the truncation is lost to any reader."""
        shutil.copy2(self.log, f"{self.log}.{time.time_ns()}")
        os.truncate(self.log, 0)

    def run(self, code, *args):
        argv = self.lab.lab.host("outside").entered(["/usr/bin/python3", "-c", code, self.lab.address(self.name), *args])
        r = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        assert r.returncode == 0, r.stderr
        return r.stdout

    def postsuper(self, *args):
        self.lab.execute(self.name, "/usr/sbin/postsuper", *args)


PIPELINED = r"""
import socket, sys
address, mark, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = socket.create_connection((address, 25), 30)
f = s.makefile("rb")
def answer(want):
    while True:
        line = f.readline()
        assert line[:1] == want, line
        if line[3:4] == b" ":
            return
answer(b"2")
s.sendall(b"EHLO outside.lab.test\r\n")
answer(b"2")
head = "MAIL FROM:<%s-%%d@outside.test>\r\nRCPT TO:<user@example.test>\r\nDATA\r\n" % mark
s.sendall((head % 0).encode())
for i in range(count):
    for want in (b"2", b"2", b"3"):
        answer(want)
    more = head % (i + 1) if i + 1 < count else "QUIT\r\n"
    s.sendall(("Message-Id: <%s-%d@outside.test>\r\nSubject: %s\r\n\r\nx\r\n.\r\n" % (mark, i, mark) + more).encode())
    answer(b"2")
answer(b"2")
"""

MAIL = r"""
import smtplib, sys
address, mark, recipients = sys.argv[1], sys.argv[2], sys.argv[3:]
with smtplib.SMTP(address, 25, timeout=60, local_hostname="outside.lab.test") as s:
    try:
        s.sendmail("%s@outside.test" % mark, recipients, "Message-Id: <%s@outside.test>\r\nSubject: t\r\n\r\nx\r\n" % mark)
    except smtplib.SMTPRecipientsRefused:
        pass
"""


@pytest.fixture
def child(healthy_lab):
    """A child that relays for two more domains: one is refused by the next hop, one's next hop is not there."""
    lab = healthy_lab
    name = lab.children[0]
    inside = lab.json["inside"]["address"]
    more = {"smtp.relay_domains": {"refused.test": {}, "later.test": {}},
            "smtp.routes": {"refused.test": {"next_hop": f"[{inside}]:25"}, "later.test": {"next_hop": f"[{inside}]:9"}}}
    lab.api.publish({"devices": {name: more}}, "events")
    lab.wait_in_sync()
    lab.verb("kill", "parent")  # so that the spool keeps what it gets
    c = Child(lab, name)
    yield c
    lab.verb("start", "parent")
    c.start()
    lab.api.publish({"devices": {name: {k: {row: {"$remove": True} for row in v} for k, v in more.items()}}}, "events: over")
    lab.wait_in_sync()


def all_there(c, mark, message=""):
    """Everything the log says of the mark is in the spool, once."""
    def compare():
        want, ids = said(c.lines(), mark)
        return want, told(spool(c.lab, c.name), mark, ids)
    try:
        wait_until(lambda: (x := compare()) and x[0] and x[0] == x[1], "log and events to agree", 20, 0.3)
    except AssertionError:
        want, got = compare()
        raise AssertionError(f"{message}: missing {want - got}, too many {got - want}")
    return compare()[0]


def delivered(c, mark, count):
    wait_until(lambda: sum("status=sent" in n and "user@example.test" in n for n in c.lines()) >= count, "the mail to be delivered", 60, 0.2)


def test_everything_once_over_kills_and_rotations(child):
    mark = f"m{uuid.uuid4().hex[:8]}"
    child.run(PIPELINED, mark, "50")
    child.run(MAIL, mark, "user@example.test", "user2@example.test", "a@refused.test", "b@later.test")
    child.run(MAIL, mark, "x@nowhere.test")  # refused by us
    wait_until(lambda: any("status=deferred" in n and "later.test" in n for n in child.lines()), "the attempt that waits", 60, 0.2)
    qid = next(re.search(r": (\w+): to=<b@later", n).group(1) for n in child.lines() if "to=<b@later.test>" in n)
    all_there(child, mark, "at rest")
    # the same under fire: killed anywhere, renamed, copied, killed within the writing itself
    for turn in range(6):
        child.start(**({"INARI_CRASH_AT": ("evidence-taken", "evidence-kept")[turn % 2]} if turn < 2 else {}))
        child.run(PIPELINED, mark, "20")
        if turn in (2, 3):
            child.rename()
        child.kill()
        child.run(MAIL, mark, "user@example.test", "c@refused.test")
        if turn in (3, 4):
            time.sleep(1)
            (child.copy if turn == 4 else child.rename)()
        child.run(MAIL, mark, "d@nowhere.test", "user@example.test")
    child.postsuper("-h", qid)
    child.postsuper("-H", qid)
    child.start()
    child.postsuper("-d", qid)
    want = all_there(child, mark, "after all of it")
    kinds = collections.Counter(k for k, _, _ in want.elements())
    assert kinds["message.queued"] >= 50 + 1 + 6 * 22 and kinds["message.rejected"] == 7 and kinds["message.bounce"] == 7, kinds
    assert all(kinds[k] == 1 for k in ("message.held", "message.released")), kinds
    events = spool(child.lab, child.name)
    assert not [e for e in events if e["kind"] == "log.gap"]


def test_client_and_message_id_stand_in_every_event(child):
    """K09, T05; and 50 messages of one session are 50: K10, T09.  The agent is killed in between: what it knew of them survives."""
    mark = f"m{uuid.uuid4().hex[:8]}"
    child.run(PIPELINED, mark, "50")
    child.run(MAIL, mark + "w", "b@later.test")
    wait_until(lambda: any("status=deferred" in n and mark not in n and "b@later.test" in n for n in child.lines()), "the attempt that waits", 60, 0.2)
    all_there(child, mark)
    child.kill()
    child.start()
    child.lab.execute(child.name, "/usr/sbin/postqueue", "-f")
    want = all_there(child, mark)
    ids = {qid for _, qid, _ in want}
    mine = [e for e in spool(child.lab, child.name) if e.get("queue_id") in ids]
    assert len({e["queue_id"] for e in mine if e["kind"] == "message.queued"}) == 51
    assert len({e["message_id"] for e in mine if e["kind"] == "message.queued"}) == 51
    outside = child.lab.json["outside"]["address"]
    for e in mine:
        assert e.get("client") == outside and e["message_id"].startswith(mark), e
    assert all(e["sender"].split("@")[0] == e["message_id"].split("@")[0] for e in mine if e["kind"] != "message.attempt"), mine
    child.postsuper("-d", "ALL")
