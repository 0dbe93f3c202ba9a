"""Harmful mutations of a Postfix configuration, slipped in just before the rename, behind every check of the staged copy
(which catches all 41: test_helper_mutations.py).  Now only the live checks are left: the device reverts within 10 s, no
message is lost or doubled, and no relay opens."""
import uuid

import pytest
import mutations
from test_pair_faults import attempt, child, digests, mail_through, new_size, publish_for, respawn  # noqa: F401

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]

# One of each kind: the reload refuses, every command falls back, temporary errors, an open relay, sessions without an
# answer, master dies, a missing and a doubled service.
LIVE = ["main-no-equals", "main-empty", "main-misspelt-restriction", "main-host-bits", "main-no-relay-protection",
        "main-unknown-proxy-protocol", "main-milter-down", "master-unknown-port", "master-cleanup-missing", "master-duplicate"]


def relays(lab, child):  # noqa: F811
    code = ("import smtplib,sys\nwith smtplib.SMTP(sys.argv[1],25,timeout=10) as s:\n s.ehlo('x.test')\n"
            " s.mail('a@outside.test')\n print(s.rcpt('victim@elsewhere.test')[0])")
    return lab.execute("outside", "/usr/bin/python3", "-c", code, lab.address(child)).stdout.strip().startswith("2")


@pytest.mark.parametrize("name", LIVE)
def test_live_mutation_is_reverted(healthy_lab, child, name):  # noqa: F811
    lab = healthy_lab
    assert name in mutations.HARMFUL
    lab.wait_in_sync([child])
    before = digests(lab, child)
    respawn(lab, child, "helper", INARI_MUTATE=f"live:{name}")
    mark = f"mut-{uuid.uuid4().hex[:8]}"
    sender = lab.sender(mark, 10, 4, [child])
    pub = publish_for(lab, child, new_size())
    a = attempt(lab, child, pub, ("reverted", "rejected", "committed"), timeout=60)
    refused = sender.finish()
    assert a["result"] == "reverted", a
    assert a["duration_ms"] < 10_000, a
    assert digests(lab, child) == before
    lab.wait_arrived(mark, 10 - len(refused), timeout=90)  # what was accepted is there, once
    assert not relays(lab, child)
    mail_through(lab, child)
