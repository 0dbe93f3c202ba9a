"""A parent that has nothing to do: one statement each 30 s (protocol.md 6.18), and awake at once when somebody writes something, be it
another parent, also over a connection that was lost."""
import re
import time

import pytest
import wireclient
from parentlib import wait_until

KEY = "smtp.message_size_limit"


def statements(p):
    return int(re.search(r"^inari_db_statements_total (\d+)", p.session().get("/metrics").text, re.M).group(1))


def make_device(p, api):
    d = wireclient.Device(p.base, p.ca, "mx-idle")
    d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "idle"})["join"])
    d.fetch()
    assert d.put_status(d.status(running=False)).status_code == 204
    return d


def seen_by_polls(d, gen):
    """Until the parent acts on the generation that was written behind its back: seconds."""
    began = time.monotonic()
    wait_until(lambda: d.desired().status_code == 401, f"generation {gen} to be known", 40, every=0.1)
    return time.monotonic() - began


@pytest.mark.slow
def test_idle_costs_one_statement_each_half_minute(new_parent):
    p = new_parent()
    api = p.token()
    d = make_device(p, api)
    draft = api.ok("POST", "/drafts", {"title": "idle"})
    api.change(f"/drafts/{draft['id']}", {"fleet": {KEY: 20000001}})
    made = api.ok("POST", f"/drafts/{draft['id']}/publish", {"reason": "idle"})
    d.fetch()
    assert d.put_status(d.status(running=False)).status_code == 204
    wait_until(lambda: api.ok("GET", f"/rollouts/{made['rollout_id']}")["state"] == "completed", "the rollout to end", 30)
    last, since = statements(p), time.monotonic()

    def quiet():
        nonlocal last, since
        now = statements(p)
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > 12
    wait_until(quiet, "nothing to be asked any more", 60, every=0.5)
    before, began = statements(p), time.monotonic()
    while time.monotonic() - began < 35:
        assert d.desired().status_code == 304
        time.sleep(2)
    asked = statements(p) - before
    assert 1 <= asked <= 2, f"{asked} statements in 35 s"
    seen = p.postgres.psql(f"SELECT now() - seen_at < interval '35 s' FROM presence WHERE device_id = '{d.id}'")
    assert seen == [["t"]], "the one statement says who was there"


@pytest.mark.slow
def test_what_another_parent_writes_is_known(new_parent):
    """With its hint at once; when the hint went to a connection that was lost, once there is one again; without any, at the next look."""
    p = new_parent()
    api = p.token()
    d = make_device(p, api)
    psql = p.postgres.psql

    def write(hint):
        gen = int(psql(f"UPDATE device SET gen = gen + 1 WHERE id = '{d.id}' RETURNING gen")[0][0])
        sql = f"INSERT INTO change (kind, id) VALUES ('device', '{d.id}')"
        psql(sql + ("; NOTIFY inari_change" if hint else ""))
        return gen
    assert seen_by_polls(d, write(hint=True)) < 3
    d.sign_in()
    assert d.desired().status_code == 304
    gen = write(hint=False)
    psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'inarid jobs'")
    assert seen_by_polls(d, gen) < 4
    d.sign_in()
    assert d.desired().status_code == 304
    time.sleep(6)  # a hint is followed by one more look
    took = seen_by_polls(d, write(hint=False))
    assert 3 < took < 36, took
