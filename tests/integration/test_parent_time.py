"""What the parents' clocks may do: all of them go by their database's time, whatever their hosts' clocks say (E2, E3, E5)."""
import email.utils
import os
import time

import parentlib
import pytest
from ctllib import Ctl
from parentlib import Parent, wait_until
from test_agent_api_poll import Held, make_device
from test_two_parents import second_of

DAY = 86400


def write(path, offset):
    with open(path + ".new", "w") as f:
        f.write(str(offset))
    os.chmod(path + ".new", 0o644)
    os.rename(path + ".new", path)
    return path


def date_off(answer):
    return abs(email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time())


@pytest.mark.slow
def test_e2_the_parents_clock_jumps_a_day_and_back(new_parent):
    """Nothing ends because of it: tokens, sessions, join strings, holds and orders stay as they are; it is said loudly."""
    parent = new_parent(start=False)
    clock = write(os.path.join(parent.dir, "own-clock"), 0)
    parent.start({"INARI_OWN_CLOCK_FILE": clock})
    api, person = parent.token(), parent.login()
    d, held = make_device(api, parent), make_device(api, parent)
    for x in (d, held):
        x.fetch()
        assert x.put_status(x.status(running=False)).status_code == 204
    api.ok("POST", f"/devices/{held.id}/hold", {"reason": "a while", "minutes": 60})
    order = api.ok("POST", f"/devices/{held.id}/commands", {"kind": "self-check", "expires_in_s": 3600})["id"]
    joins = [api.ok("POST", "/enrolment-tokens", {"name": f"t{i}", "expires_in_s": 600})["join"] for i in range(3)]
    token, ctl = d.access, Ctl.of(parent.programs, parent, api, parent.dir)
    poll = Held(d, wait=30)

    def said(word, times):  # the log's watcher looks once a second, and one turn of the loop below can be quicker than that
        wait_until(lambda: parent.log().count(f"event=parent.clock_{word} ") == times, f"the log to say {word} ({times})", 10)

    for i, offset in enumerate((DAY, 0, -DAY)):
        write(clock, offset)
        said("wrong" if offset else "right", (1, 1, 2)[i])
        wait_until(lambda o=offset: api.ok("GET", "/parent")["clock_wrong"] == (o != 0), f"the alarm at {offset}", 10, 0.1)
        assert abs(api.ok("GET", "/parent")["clock_offset_ms"] - offset * 1000) < 3000
        r = held.desired()
        assert r.status_code == 304 and date_off(r) < 3, "children would follow the parent's jump"
        assert person.ok("GET", "/session")["permissions"]
        late = make_device(api, parent)
        assert late.id
        d2 = type(d)(parent.base, parent.ca, f"joins-{i}")
        d2.enrol(joins[i])
        assert api.ok("GET", f"/devices/{held.id}")["state"] == "held"
        assert api.ok("GET", f"/commands/{order}")["state"] == "queued"
        assert ("clock" in ctl.ok("status")) == (offset != 0)
        assert abs(time.time() - d.hello_time()) < 3
    write(clock, 0)
    assert poll.thread.is_alive() and d.access == token  # nobody ended the held poll
    t0 = time.monotonic()
    api.change(f"/devices/{d.id}", {"drift": "enforce"})
    assert poll.result(t0).status_code == 200 and poll.seconds < 5
    said("right", 2)
    assert parent.log().count("event=parent.clock_wrong") == 2
    assert {x["state"] for x in api.ok("GET", "/devices")["items"]} == {"observing", "held"}
    assert api.ok("GET", "/audit/verify")["ok"] and api.ok("GET", "/audit?action=device.credential_refused")["items"] == []


@pytest.mark.slow
def test_e3_two_parents_whose_clocks_differ(workdir, system_users, programs):
    """90 s between them: a token of one is good at the other, an assertion is good at either and once at both, a token key
    that one renews the other knows at once."""
    d_ = parentlib.folder(workdir, f"apart-{os.urandom(2).hex()}")
    db = parentlib.Postgres(d_).start()
    ahead, behind = (write(os.path.join(d_, name), offset) for name, offset in (("ahead", 45), ("behind", -45)))
    first = Parent(d_, db, programs).start({"INARI_OWN_CLOCK_FILE": ahead})
    second = second_of(first, env={"INARI_OWN_CLOCK_FILE": behind})
    try:
        api = first.token()
        d = make_device(api, first)
        d.fetch()
        assert d.put_status(d.status(running=False)).status_code == 204

        def at(parent):
            d.base, d.http.verify = parent.base, parent.ca
            return d
        both = [p.session(api.headers["Authorization"].split()[1]) for p in (first, second)]
        wait_until(lambda: [s.ok("GET", "/parent")["clock_offset_ms"] // 10_000 for s in both] == [4, -5], "both to be wrong", 10)
        for here, there in ((first, second), (second, first)):
            at(here)
            d.access = None
            stamp = d.hello_time()
            d.sign_in()
            # one that has not heard of the device yet says "not now"
            wait_until(lambda: at(there).desired().status_code == 304, "the other to know the device and its token", 5, 0.1)
            # made by the clock of one, shown to the other, 60 s at the most from it; then used up everywhere
            one = d.assertion(iat=int(stamp), exp=int(stamp) + 60)
            assert d.post_token(one).status_code == 200
            for p in (here, there):
                r = at(p).post_token(one)
                assert r.status_code == 401 and r.json()["error"] == "invalid_client", r.text
            assert date_off(at(here).desired()) < 3
        # A renewed token key: by one, known to the other before a child can get there.
        db.psql("UPDATE signing_key SET created_at = created_at - interval '2 days' WHERE use = 'token'")
        first.stop()
        db.psql("UPDATE lease SET expires_at = now() - interval '1 second'")  # so that it falls to the one that starts
        first.start({"INARI_OWN_CLOCK_FILE": ahead})
        wait_until(lambda: "event=token_key.rotated" in first.log() + second.log(), "the rotation", 60, 0.2)
        who, other = (first, second) if "event=token_key.rotated" in first.log() else (second, first)
        at(who).sign_in()
        wait_until(lambda: at(other).desired().status_code == 304, "the other to take the new key's tokens", 3, 0.2)
    finally:
        for x in (second, first):
            x.stop()
        db.stop()


@pytest.mark.slow
def test_e5_time_zones_and_summer_time(new_parent):
    """Host and database live in zones with summer time, and it is the night in which an hour comes twice: all times are UTC."""
    parent = new_parent(start=False)
    night = 1792888200  # 2026-10-25T00:30:00Z: 02:30 in Berlin, once more an hour later
    clock = write(os.path.join(parent.dir, "clock"), 0)
    parent.postgres.psql("ALTER DATABASE inari SET timezone = 'America/New_York'")
    parent.start({"INARI_CLOCK_FILE": clock, "TZ": "Europe/Berlin"})
    api = parent.token()
    d = make_device(api, parent)
    d.fetch()
    assert abs(d.hello_time() - time.time()) < 3
    write(clock, night - int(time.time()))
    wait_until(lambda: abs(d.hello_time() - night) < 30, "the night", 5)
    held = api.ok("POST", f"/devices/{d.id}/hold", {"reason": "an hour", "minutes": 60})
    assert held["held_until"].startswith("2026-10-25T01:3") and held["held_until"].endswith("Z"), held["held_until"]
    entry = api.ok("GET", "/audit?action=device.hold")["items"][0]
    assert entry["at"].startswith("2026-10-25T00:3") and entry["at"].endswith("Z")
    write(clock, 0)
    wait_until(lambda: abs(d.hello_time() - time.time()) < 3, "the morning after", 5)  # the file is read every 100 ms
    assert api.ok("GET", "/audit/verify")["ok"]
    now = api.ok("GET", "/parent")["time"]
    assert now.endswith("Z") and now[:13] == time.strftime("%Y-%m-%dT%H", time.gmtime())
