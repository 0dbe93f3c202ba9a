"""Health guards that judge by the figures stored as events came (docs/internals/rollout.md, "Guards"): only minutes of which all
events are there, and the device's own report where they do not come."""
import time

import pytest
from eventlib import Spool, batch, event, send, zstd
from parentlib import wait_until
from test_rollout_api import Child, canary_bakes, fleet, say_mail, six, the_six  # noqa: F401  (fixtures)

pytestmark = pytest.mark.slow


def now_s():
    return int(time.time()) + Child.shift


def mails(at_s, good, put_off=0):
    """Messages of one moment: some are delivered, some are put off."""
    out = []
    for i in range(good + put_off):
        what = {"status": "sent"} if i < good else {"status": "deferred", "reason": "connect"}
        m = {"at": at_s * 1000, "queue_id": f"Q{at_s}n{i}", "client": "192.0.2.9"}
        out += [event("message.queued", size=1000, **m),
                event("message.delivery", recipient="a@example.test", delay_ms=200, **what, **m)]
    return out


def say(spool, until_s, *events):
    """Events, and up to when the log is in them; one that counts nothing carries the word where there are none."""
    spool.append(*(events or [event("statistics", at=until_s * 1000, text="nothing new")]))
    r = spool.post(until=until_s * 1000)
    assert r.status_code == 200, r.text


def problem(fleet, made, device):  # noqa: F811
    return next(x for x in fleet.see(made)["devices"] if x["id"] == device.id)["problem"] or {}


def error(fleet, made, device):  # noqa: F811
    return next((e for e in problem(fleet, made, device).get("errors", [])), {"id": "", "pointer": ""})


def looks(fleet):  # noqa: F811
    """The engine has read the figures again and passed over the rollout."""
    fleet.forward(6)
    time.sleep(1.3)


def begins(fleet, six, **rollout):  # noqa: F811
    """A canary that is watched, two minutes after it took the change; a whole minute behind that (its begin), its spool."""
    made, first, others = canary_bakes(fleet, six, **rollout)
    minute = (now_s() - 120 + 70) // 60 * 60
    return made, first, others, minute, Spool(first)


def over(fleet, made):  # noqa: F811
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.catch_up()


def test_deferrals_that_come_with_a_change_halt_it_once_their_minute_is_whole(fleet, six):  # noqa: F811
    made, first, others, minute, spool = begins(fleet, six)
    fleet.forward(60)
    for d in others:
        say(Spool(d), now_s(), *mails(minute + 5, 40))
    say(spool, minute + 59, *mails(minute - 300, 100), *mails(minute + 5, 5, 35))
    looks(fleet)
    assert fleet.see(made)["state"] == "baking", "the minute is not over: more good ones may come"
    assert error(fleet, made, first)["id"] == ""
    say(spool, minute + 60)
    looks(fleet)
    r = fleet.until(made, lambda r: r["state"] == "halted", "the halt")
    assert r["reason"] == "unhealthy" and r["counts"] == {"unhealthy": 1, "queued": 5}
    said = problem(fleet, made, first)
    assert said["errors"][0]["id"] == "GUARD.deferred" and said["errors"][0]["pointer"] == "/figures", said
    assert "35/40 (87%); before it: 0/100 (0%); on devices not updated yet: 0/200 (0%)" in said["detail"], said["detail"]
    over(fleet, made)


def test_deferrals_everywhere_are_not_the_change(fleet, six):  # noqa: F811
    made, first, others, minute, spool = begins(fleet, six)
    fleet.forward(60)
    spools = [Spool(d) for d in others]
    for s in spools:
        say(s, now_s(), *mails(minute + 5, 5, 35))
    say(spool, minute + 60, *mails(minute - 300, 5, 35), *mails(minute + 5, 5, 35))
    looks(fleet)
    assert fleet.see(made)["state"] == "baking"
    fleet.forward(400)
    for s in (spool, *spools):
        say(s, now_s())
    fleet.until(made, lambda r: r["wave"] == 1, "the second wave")
    over(fleet, made)


def test_a_device_whose_events_are_late_neither_passes_nor_is_halted_for_nothing(fleet, six):  # noqa: F811
    made, first, others, minute, spool = begins(fleet, six)
    say(spool, minute, *mails(minute - 300, 40))
    fleet.forward(170)  # events of the last minutes do not come: no mail, as it seems
    time.sleep(1.3)
    assert fleet.see(made)["state"] == "baking"
    fleet.forward(330)  # 620 s of 600, and late by ten minutes: its report has no newer minutes either
    wait_until(lambda: error(fleet, made, first)["id"] == "GUARD.traffic", "why it goes on being watched", 10)
    assert error(fleet, made, first)["pointer"] == "/health/mail" and fleet.see(made)["state"] == "baking"
    # they come: put off, all of them
    late = now_s() // 60 * 60 - 120
    say(spool, now_s(), *mails(late, 0, 40))
    looks(fleet)
    fleet.until(made, lambda r: r["state"] == "halted", "the halt")
    assert error(fleet, made, first) == {**error(fleet, made, first), "id": "GUARD.deferred", "pointer": "/figures"}
    over(fleet, made)


@pytest.mark.parametrize("refused,pointer", [(30, "/health/mail"), (5, "")])
def test_while_events_do_not_come_its_report_is_judged(fleet, six, refused, pointer):  # noqa: F811
    made, first, others, minute, spool = begins(fleet, six)
    say(spool, minute - 60, *mails(minute - 300, 40))
    fleet.forward(200)  # late by five minutes
    say_mail(others, (60, 95, 5))
    say_mail([first], (460, 90, 10), (60, 100 - refused, refused))
    if pointer:
        fleet.until(made, lambda r: r["state"] == "halted", "the halt")
        assert error(fleet, made, first)["pointer"] == pointer and error(fleet, made, first)["id"] == "GUARD.rejected"
    else:
        fleet.forward(290)
        fleet.until(made, lambda r: r["wave"] == 1, "the second wave")
    over(fleet, made)


def test_figures_with_holes_prove_nothing(fleet, six):  # noqa: F811
    made, first, others, minute, spool = begins(fleet, six)
    say(spool, minute, *mails(minute - 300, 40))
    fleet.forward(60)
    body = batch(spool.id, spool.acknowledged + 1001, mails(minute + 5, 5, 35), until=(minute + 60) * 1000)
    assert send(first, "postfix", zstd(body)).status_code == 200
    looks(fleet)
    assert fleet.see(made)["state"] == "baking", "a thousand events are missing: those may be the good ones"
    say_mail(others, (60, 95, 5))
    say_mail([first], (460, 90, 10), (60, 70, 30))
    fleet.forward(150)
    fleet.until(made, lambda r: r["state"] == "halted", "the halt by its report")
    assert error(fleet, made, first)["pointer"] == "/health/mail"
    over(fleet, made)


def test_an_idle_device_says_it_with_its_figures(fleet, six):  # noqa: F811
    """device.figures of stream "agent" moves the moment on; it never moves back and never ahead of the parent's clock."""
    def until():
        rows = fleet.parent.postgres.psql(f"SELECT extract(epoch FROM until)::bigint FROM event_until WHERE device_id = '{six[0].id}'")
        return int(rows[0][0])
    spool, agent, now = Spool(six[0]), Spool(six[0], "agent"), now_s()
    say(spool, now - 100)
    assert until() >= now - 100
    for said, want in ((now - 50, now - 50), (now - 80, now - 50), (now + 4000, None), ("x", None)):
        value = {"postfix": said * 1000} if isinstance(said, int) else said
        agent.append(event("device.figures", at=now * 1000, detail={"until": value, "queue": {"deferred": 3}}))
        assert agent.post().status_code == 200
        if want:
            assert until() == want
        else:
            assert now - 50 < until() <= now_s() + 1
    r = send(six[0], "postfix", zstd(batch(spool.id, spool.acknowledged + 1, [event()], until=-1)))
    assert r.status_code == 422 and "/until" in r.text
