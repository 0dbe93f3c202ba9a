"""The 41 harmful mutations of a Postfix configuration, slipped in just before the rename, behind every check of the staged
copy (which catches all of them: test_helper_mutations.py).  Now only the live checks are left: what they see is reverted
within 10 s, and whatever happens no message is lost or doubled and no relay opens."""
import time
import uuid

import pytest
import mutations
from test_pair_faults import attempt, child, digests, mail_through, new_size, publish_for, respawn  # noqa: F401

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]

# Postfix runs and answers as before with these: a warning in its log, or a part that a probe does not reach.  Only the
# staged copy's checks find them.
QUIET_WHEN_LIVE = {"main-unknown-parameter"}


def relays(lab, child):  # noqa: F811
    code = ("import smtplib,sys\nwith smtplib.SMTP(sys.argv[1],25,timeout=10) as s:\n s.ehlo('x.test')\n"
            " s.mail('a@outside.test')\n print(s.rcpt('victim@elsewhere.test')[0])")
    return lab.execute("outside", "/usr/bin/python3", "-c", code, lab.address(child)).stdout.strip().startswith("2")


def test_each_live_mutation_is_reverted(healthy_lab, child):  # noqa: F811
    lab, slow, quiet = healthy_lab, [], set()
    lab.wait_in_sync([child])
    for name in mutations.HARMFUL:
        before = digests(lab, child)
        respawn(lab, child, "helper", INARI_MUTATE=f"live:{name}", INARI_MUTATE_PORT="25")
        mark = f"mut-{uuid.uuid4().hex[:8]}"
        sender = lab.sender(mark, 10, 4, [child])
        pub = publish_for(lab, child, new_size())
        a = attempt(lab, child, pub, ("reverted", "rejected", "committed"), timeout=60)
        refused = sender.finish()
        lab.wait_arrived(mark, 10 - len(refused), timeout=90)  # what was accepted is there, once
        assert not relays(lab, child), name
        if a["result"] == "committed":
            quiet.add(name)
            respawn(lab, child, "helper")  # an ordinary change writes the files anew
            lab.wait_ehlo(f"SIZE {publish_size(lab, child)}", [child])
            lab.wait_in_sync([child])
            continue
        assert digests(lab, child) == before, name
        if a["duration_ms"] > 10_000:
            slow.append((name, a["duration_ms"]))
    assert slow == [] and quiet == QUIET_WHEN_LIVE
    respawn(lab, child, "helper")
    mail_through(lab, child)


def publish_size(lab, child):  # noqa: F811
    size = new_size()
    publish_for(lab, child, size)
    time.sleep(0.1)
    return size
