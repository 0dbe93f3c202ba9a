"""The 41 harmful mutations of a Postfix configuration, slipped in behind every check of the staged copy, through the whole
pair under mail: parent, agent, helper and Postfix.  They come just before the reload, so that Postfix really runs with
them.  Each is reverted within 10 s, and of the mail that came meanwhile nothing is lost, doubled or relayed."""
import json
import time
import uuid

import pytest
import mutations
from parentlib import wait_until
from test_pair_faults import attempt, inherit, mail_through, new_size, publish_for, respawn

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]

# Seen by no probe, or by a slow one: also behind the reload and the helper's look after it, so that only the probes and
# its look before the commit are left.
LATE = ["main-unknown-parameter", "main-content-filter-missing", "main-relay-transport-missing", "main-broken-pcre",
        "main-missing-certificate", "master-unknown-option", "master-port-in-use", "master-bounce-missing"]

# Both digests the banner shows, and whether a stranger may send to a foreign domain.
LOOK = r"""
import json, re, smtplib, socket, sys
if sys.argv[1] == "digests":
    with socket.create_connection(("127.0.0.1", 10029), 10) as s:
        print(json.dumps(re.findall(r"[0-9a-f]{64}", s.recv(500).decode())))
else:
    with smtplib.SMTP(sys.argv[1], 25, timeout=10) as s:
        s.ehlo("x.test")
        s.mail("a@outside.test")
        print(json.dumps(s.rcpt("victim@elsewhere.test")[0]))
"""


class Pair:
    """One child under mail: what every mutation is sent through."""

    def __init__(self, lab):
        self.lab, self.child = lab, lab.children[-1]
        self.sent = []  # (mark, numbers that were accepted, numbers that were not)
        self.files = [f"{lab.root(self.child)}/etc/postfix/{n}" for n in ("main.cf", "master.cf")]

    def look(self, host, what):
        return json.loads(self.lab.lab.host(host).run(["/usr/bin/python3", "-c", LOOK, what]).stdout)

    def state(self):
        return [open(f, "rb").read() for f in self.files], self.look(self.child, "digests")

    def change(self, mutation, results, timeout=60):
        """Publish with the mutation while mail comes in; the attempt that came of it."""
        respawn(self.lab, self.child, "helper", INARI_MUTATE=mutation, INARI_MUTATE_PORT="10028")  # the agent's own
        mark = f"{mutation.replace(':', '-')}-{uuid.uuid4().hex[:8]}"
        sender = self.lab.sender(mark, 10, 2, [self.child], 1500, lasting=True)
        try:
            pub = publish_for(self.lab, self.child, new_size())
            return attempt(self.lab, self.child, pub, results, timeout)
        finally:
            refused = {r[0] for r in sender.finish()}
            self.sent.append((mark, set(range(sender.sent)) - refused, refused))

    def tidy(self):
        """What the harmless ones left in lines that are nobody's."""
        for name in self.files:
            lines = [x.rstrip("\r\n") for x in open(name, newline="")]
            with open(name, "w") as f:
                f.write("".join(f"{x}\n" for x in lines if not x.startswith("127.0.0.1:10986 ")))
        self.lab.execute(self.child, "postfix", "reload")

    def arrived(self):
        """Every message that was accepted is there, none twice; one whose answer was lost may be there, once."""
        def missing():
            gone, double = [], []
            for mark, accepted, refused in self.sent:
                found = self.lab.arrived(mark)
                numbers = {int(i.split("@")[0].rsplit("-", 1)[1]): n for i, n in found.items()}
                gone += [f"{mark}-{n}" for n in accepted - set(numbers)]
                double += [f"{mark}-{n}" for n, times in numbers.items() if times > 1]
                assert set(numbers) <= accepted | refused
            assert not double, double
            return gone
        end = time.monotonic() + 20
        while missing() and time.monotonic() < end:
            time.sleep(0.2)
        gone = missing()
        for mark in gone:
            print(mark, *self.lab.story(self.child, mark), sep="\n  ")
        assert not gone


@pytest.fixture(scope="module")
def pair(lab):
    p = Pair(lab)
    lab.wait_in_sync([p.child])
    yield p
    for part in ("helper", "agent"):
        respawn(lab, p.child, part)
    inherit(lab, p.child, "smtp.message_size_limit")
    lab.wait_in_sync([p.child], timeout=90)
    p.tidy()


def check_reverted(p, mutation):
    before = p.state()
    a = p.change(mutation, ("reverted", "rejected", "committed", "degraded"))
    print(mutation, a["duration_ms"], a["problem"] and a["problem"]["detail"])
    assert a["result"] == "reverted", a
    assert a["duration_ms"] < 10_000, a
    assert a["problem"]["detail"] and a["problem"]["remedy"], a
    assert p.state() == before
    assert p.look("outside", p.lab.address(p.child)) >= 400
    return a["problem"]


@pytest.mark.parametrize("name", mutations.HARMFUL)
def test_live_mutation_is_reverted(pair, name):
    problem = check_reverted(pair, f"reload:{name}")
    assert problem["type"].endswith(":changed-meanwhile") and "/etc/postfix/ma" in problem["detail"], problem


@pytest.mark.parametrize("name", LATE)
def test_late_mutation_is_reverted(pair, name):
    problem = check_reverted(pair, f"probe:{name}")
    assert "is not what was validated: line" in problem["detail"], problem


@pytest.mark.parametrize("name", mutations.HARMLESS)
def test_harmless_one_commits(pair, name):
    """The control: what is no fault and was validated goes through, so a revert above is not just what always happens."""
    files, _ = pair.state()
    a = pair.change(f"stage:{name}", ("reverted", "rejected", "committed", "degraded"))
    assert a["result"] == "committed", a
    assert pair.state()[0] != files


def test_of_all_that_mail_nothing_was_lost_or_doubled(pair):
    assert len(pair.sent) > 1
    pair.arrived()
    mail_through(pair.lab, pair.child)
