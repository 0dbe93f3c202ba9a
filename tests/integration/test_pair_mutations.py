"""The 44 mutations of a Postfix configuration, injected just before the rename, where only the live checks can find them:
each one that does harm is reverted within 10 s, and no message is lost, refused for good or doubled meanwhile."""
import time
import uuid

import pytest
from test_pair_faults import attempt, child, digests, mail_through, new_size, publish_for, respawn  # noqa: F401
import mutations

pytestmark = [pytest.mark.lab, pytest.mark.fault, pytest.mark.slow]


def test_the_table_is_complete():
    assert len(mutations.ALL) == 44 and len(mutations.HARMFUL) == 41


def test_each_live_mutation_is_reverted(healthy_lab, child):  # noqa: F811
    lab, before, slow, missed = healthy_lab, None, [], []
    lab.wait_in_sync([child])
    before = digests(lab, child)
    for name in mutations.HARMFUL:
        respawn(lab, child, "helper", INARI_MUTATE=f"live:{name}")
        mark = f"mut-{uuid.uuid4().hex[:8]}"
        sender = lab.sender(mark, 10, 4, [child])
        pub = publish_for(lab, child, new_size())
        t = time.monotonic()
        a = attempt(lab, child, pub, ("reverted", "rejected", "committed", "degraded"), timeout=60)
        if a["result"] not in ("reverted", "rejected"):
            missed.append((name, a["result"]))
        if a["duration_ms"] > 10_000:
            slow.append((name, a["duration_ms"], time.monotonic() - t))
        refused = sender.finish()
        # a client that met the few hundred milliseconds of the fault was told to come back (4xx) or not answered;
        # what was accepted has arrived once
        accepted = 10 - len(refused)
        lab.wait_arrived(mark, accepted, timeout=90)
        if a["result"] in ("reverted", "rejected"):
            assert digests(lab, child) == before, name
    assert missed == [] and slow == []
    respawn(lab, child, "helper")
    mail_through(lab, child)
