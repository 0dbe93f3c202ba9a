"""Allocations that fail inside inarid while it takes events: nothing is shortened, nothing taken for unreadable, nothing lost
or doubled; what was acknowledged is there, each event once and whole."""
import random
import threading
import time

import pytest
import requests
import wireclient
from eventlib import Spool, event
from parentlib import wait_until
from test_live_allocations import RATES, ROUNDS, Faults

pytestmark = [pytest.mark.slow, pytest.mark.fault]


def test_events(new_parent, workdir, injected):
    f, p = Faults(workdir), new_parent(start=False)
    p.start(env=f.env)
    device = wireclient.Device(p.base, p.ca, "mx-memory")
    device.enrol(p.token().ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    device.sign_in()
    spool, stop, odd = Spool(device), threading.Event(), []

    def one(i):
        return event("message.delivery", queue_id=f"{i:X}", sender=f"a{i}@example.test", client="192.0.2.1", subject=f"s{i}", text=f"n{i}",
                     status="sent", more=i, detail={"i": i, "delays": [1, 2, 3, 4]})

    def ship():
        while not stop.is_set():
            if len(spool.kept) < 400:
                spool.append(*[one(i) for i in range(spool.written, spool.written + 200)])
            try:
                r = spool.post(random.randint(1, 300))
                if r.status_code == 401:
                    device.post_token()
                if r.status_code not in (200, 401, 429, 503):
                    odd.append(f"{r.status_code} {r.text[:300]}")
            except (requests.RequestException, ValueError):
                time.sleep(0.02)
            except Exception as e:  # noqa: BLE001 - a fault of the test must not end the load in silence
                odd.append(repr(e))
    t = threading.Thread(target=ship)
    t.start()
    try:
        for one_in in RATES * ROUNDS:
            with f.armed(one_in):
                time.sleep(0.4)
            done = spool.acknowledged
            wait_until(lambda n=done: spool.acknowledged > n or not p.alive(), f"a batch after one in {one_in}", 20)
            assert p.alive(), p.log()[-3000:]
    finally:
        stop.set()
        t.join(60)
    injected("live-allocation", f.injected)
    assert not odd, odd[:3]
    spool.ship()
    got = p.postgres.psql("SELECT seq, kind, queue_id, sender, client, subject, text, detail->>'i', detail->>'more' FROM event ORDER BY seq")
    assert got == [[str(i + 1), "message.delivery", f"{i:X}", f"a{i}@example.test", "192.0.2.1", f"s{i}", f"n{i}", str(i), str(i)]
                   for i in range(spool.written)]
    assert p.postgres.psql("SELECT sum(delivered) FROM figure WHERE step_s = 86400") == [[str(spool.written)]]
    codes = {c: spool.answers.count(c) for c in sorted(set(spool.answers))}
    assert f.injected > 20 * ROUNDS and codes.get(503, 0) > 0, (f.injected, codes)
    print(f"{f.injected} allocations failed; {spool.written} events; answers {codes}")
