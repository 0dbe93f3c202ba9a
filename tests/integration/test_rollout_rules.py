"""Rules of rollouts that no order and no second rollout gets around: approval, what is taken back, expedited changes beside
a running rollout (G14), halts (G6), a fleet that falls silent (F11)."""
import os
import select
import subprocess
import time
import uuid

import pytest
from ctllib import Ctl
from parentlib import wait_until
from test_agent_api_poll import statements
from test_rollout_api import KEY, WAVES, Child, audited, ctl, fleet, settings, six, the_six  # noqa: F401  (fixtures)

pytestmark = pytest.mark.slow  # two minutes together


def test_what_is_taken_back_is_what_the_device_had_not_what_the_fleet_has(fleet, six):  # noqa: F811
    own = six[0]
    ahead = fleet.publish([own], **WAVES)
    fleet.take(own.id)
    fleet.until(ahead, lambda r: r["state"] == "baking", "the device to have it")
    fleet.api.ok("POST", f"/rollouts/{ahead['rollout_id']}/cancel", {})
    size = fleet.size  # the fleet has the one before
    offered = fleet.publish([own], **WAVES)
    assert fleet.states(offered) == {own.id: "offered"}
    newer = fleet.publish(six, **WAVES, approval=True)
    assert fleet.see(offered)["state"] == "superseded" and audited(fleet, offered)[0] == "rollout.superseded"
    if own.desired().status_code == 200:
        own.fetch()
    assert settings(own) == size
    own.put_status()
    fleet.api.ok("POST", f"/rollouts/{newer['rollout_id']}/cancel", {})


def account(fleet, role):  # noqa: F811
    name, first, second = f"n{uuid.uuid4().hex[:8]}", "long-enough-password-1", "long-enough-password-2"
    fleet.api.ok("POST", "/accounts", {"name": name, "role": role, "password": first})
    s = fleet.parent.login(name, first)
    s.ok("PUT", "/session/password", {"old": first, "new": second})
    return s


def test_approval_of_the_policy_is_nobodys_to_drop(fleet, six):  # noqa: F811
    operator = account(fleet, "operator")
    tag = operator.get("/rollout-policy").headers["ETag"]
    r = operator.request("PATCH", "/rollout-policy", json={"approval": False}, headers={"If-Match": tag})
    assert r.status_code == 403 and r.json()["errors"][0]["pointer"] == "/approval", r.text
    fleet.api.change("/rollout-policy", {"approval": True})
    try:
        draft = fleet.api.ok("POST", "/drafts", {"title": "alone"})
        fleet.api.change(f"/drafts/{draft['id']}", {"devices": {six[0].id: {KEY: fleet.size + 1}}})
        at = f"/drafts/{draft['id']}/publish"
        r = fleet.api.post(at, json={"reason": "alone", "rollout": {"approval": False}})
        assert r.status_code == 403 and r.json()["errors"][0]["pointer"] == "/rollout/approval", r.text
        for how in ({"strategy": "all"}, {"expedite": True}):
            made = fleet.publish(six, **how)
            assert made["rollout"]["state"] == "awaiting-approval", how
            r = fleet.api.post(f"/rollouts/{made['rollout_id']}/approve", json={})
            assert r.status_code == 403, "G16"
            assert six[0].desired().status_code == 304
        assert operator.ok("POST", f"/rollouts/{made['rollout_id']}/approve", {})["state"] in ("running", "shadow")
        fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
        fleet.api.request("DELETE", f"/drafts/{draft['id']}", headers={"If-Match": "*"})
    finally:
        fleet.api.change("/rollout-policy", {"approval": None})
        fleet.catch_up()


@pytest.fixture
def asking(fleet, six):  # noqa: F811
    """The number of managed devices; who changes more than half of them, and at least four, must say how many."""
    fleet.api.change("/rollout-policy", {"confirm_above": 50, "confirm_min": 4})
    yield sum(d["state"] == "managed" for d in fleet.api.ok("GET", "/devices?limit=500")["items"])
    fleet.api.change("/rollout-policy", {"confirm_above": None, "confirm_min": None})
    fleet.catch_up()


def new_draft(fleet, changes):  # noqa: F811
    draft = fleet.api.ok("POST", "/drafts", {"title": "most of the fleet"})
    fleet.api.change(f"/drafts/{draft['id']}", changes)
    return f"/drafts/{draft['id']}/publish"


def of_fleet(fleet):  # noqa: F811
    """A fleet's value that every device gets, whatever it has of its own."""
    return {"fleet": {"smtp.relay_domains": {f"n{uuid.uuid4().hex[:8]}.example.org": {}}}}


def refused(r, devices, of, said=None):
    p = r.json()
    assert r.status_code == 409 and p["type"].endswith(":confirmation-needed"), r.text
    assert p["reach"] == {"devices": devices, "of": of, "confirm": True}, p
    error, *warnings = p["errors"]
    assert all(w["warning"] for w in warnings)
    assert error["pointer"] == "/confirm" and "--confirm" in error["remedy"], error
    assert f"{devices} of {of} managed devices" in error["message"] and (said is None or error["message"].startswith(str(said)))


def test_what_changes_most_of_the_fleet_needs_its_number(fleet, six, asking):  # noqa: F811
    api, before = fleet.api, fleet.api.ok("GET", "/revisions?limit=1")["items"][0]["pub"]
    at = new_draft(fleet, of_fleet(fleet))
    for rollout in ({"strategy": "all"}, {"strategy": "waves"}, {"expedite": True}, None):
        body = {"reason": "most", "rollout": rollout}
        refused(api.post(at, json=body), asking, asking)
        refused(api.post(at, json={**body, "confirm": asking - 1}), asking, asking, asking - 1)
    p = api.post(at, json={"reason": "most"}, headers={"Accept-Language": "ja"}).json()
    assert f"変更されるのは {asking} 台" in p["errors"][0]["message"] and "confirm" in p["remedy"], p
    # A dry run says the number; nothing was written by any of these.
    tried = api.ok("POST", at + "?dry_run=true", {"reason": "most"})
    assert tried["reach"] == {"devices": asking, "of": asking, "confirm": True}
    assert api.ok("GET", "/revisions?limit=1")["items"][0]["pub"] == before
    assert all(d.desired().status_code == 304 for d in six)
    # The policy's numbers are not the publication's to change, and no number but a number will do.
    for members, pointer in (({"rollout": {"confirm_above": 100}}, "/rollout/confirm_above"),
                             ({"rollout": {"confirm_min": 1000}}, "/rollout/confirm_min"),
                             ({"confirm": -1}, "/confirm"), ({"confirm": "6"}, "/confirm"), ({"confirm": True}, "/confirm")):
        r = api.post(at, json={"reason": "most", **members})
        assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == pointer, r.text
    # Somebody joins meanwhile: the number read before is no longer the number.
    late = fleet.add()
    refused(api.post(at, json={"reason": "most", "confirm": asking}), asking + 1, asking + 1, asking)
    made = api.ok("POST", at, {"reason": "most", "confirm": asking + 1, "rollout": {"strategy": "all"}})
    assert made["reach"]["devices"] == asking + 1 and "confirm_above" not in fleet.see(made)["strategy"]
    fleet.until(made, lambda r: fleet.catch_up() or r["state"] == "completed", "everybody to have it")
    # Taking a rollout back is for an emergency: it is never held up.
    waves = {**WAVES, "waves": ["5"], "max_unavailable": "100%"}
    made = api.ok("POST", new_draft(fleet, of_fleet(fleet)), {"reason": "most", "confirm": asking + 1, "rollout": waves})
    for i, state in fleet.states(made).items():
        if state == "offered":
            fleet.take(i)
    fleet.until(made, lambda r: r["state"] == "baking", "five to have it")
    back = api.ok("POST", f"/rollouts/{made['rollout_id']}/revert", {"reason": "back"})
    assert back["reach"] == {"devices": 5, "of": asking + 1, "confirm": False}
    api.ok("POST", f"/rollouts/{back['rollout_id']}/cancel", {})
    del fleet.devices[late.id]  # the tests after this one count six
    api.ok("POST", f"/devices/{late.id}/revoke", {"reason": "its test is over"})
    fleet.catch_up()


def test_restore_undo_and_import_need_the_number_as_well(fleet, six, asking):  # noqa: F811
    api, size = fleet.api, asking
    before = api.ok("GET", "/revisions?limit=1")["items"][0]["pub"]
    made = api.ok("POST", new_draft(fleet, of_fleet(fleet)), {"reason": "most", "confirm": size, "rollout": {"strategy": "all"}})
    fleet.until(made, lambda r: fleet.catch_up() or r["state"] == "completed", "everybody to have it")
    for at in (f"/revisions/{made['pub']}/undo", f"/revisions/{before}/restore"):
        refused(api.post(at, json={"reason": "back"}), size, size)
        refused(api.post(at, json={"reason": "back", "confirm": 1}), size, size, 1)
    doc = api.ok("GET", "/config/export")
    del doc["digest"]
    doc["content"]["fleet"]["smtp.relay_domains"] = {f"imported{fleet.size}.example.org": {}}
    draft = api.ok("POST", "/config/import", {"document": doc})
    refused(api.post(f"/drafts/{draft['id']}/publish", json={"reason": "imported"}), size, size)
    # Less than half, or fewer than confirm_min, is nobody's concern; a number that is said must be right all the same.
    at = new_draft(fleet, {"devices": {six[0].id: {KEY: fleet.size + 1}}})
    r = api.post(at, json={"reason": "one", "confirm": 2})
    assert r.status_code == 409 and r.json()["reach"] == {"devices": 1, "of": size, "confirm": False}, r.text
    one = api.ok("POST", at, {"reason": "one", "confirm": 1, "rollout": {"strategy": "all"}})
    fleet.until(one, lambda r: fleet.catch_up() or r["state"] == "completed", "the one to have it")
    undone = api.ok("POST", f"/revisions/{made['pub']}/undo", {"reason": "back", "confirm": size, "rollout": {"strategy": "all"}})
    fleet.until(undone, lambda r: fleet.catch_up() or r["state"] == "completed", "everybody to be back")


def at_terminal(fleet, programs, typed, *argv):  # noqa: F811
    """(exit status, what it printed) of inarictl with a terminal at which this is typed once it asks."""
    ours, its = os.openpty()
    env = Ctl.of(programs, fleet.parent, fleet.api, fleet.parent.dir).env
    p = subprocess.Popen([programs["inarictl"], *argv], stdin=its, stdout=its, stderr=its, env=env, cwd="/")
    os.close(its)
    text = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            text += os.read(ours, 4096)
        except OSError:  # it has ended
            break
        if typed and b"type the number" in text:
            os.write(ours, typed)
            typed = b""
    os.close(ours)
    return p.wait(60), text.decode()


def test_inarictl_asks_for_the_number(fleet, six, asking, programs):  # noqa: F811
    def publish(*args, want=0):
        return ctl(fleet, programs, "publish", "--reason", "r", "--strategy", "all", "--wait", "none", *args, want=want)
    ctl(fleet, programs, "set", f"smtp.relay_domains+=ctl{fleet.size}.example.org")
    assert f"{asking} of {asking} managed devices" in publish("--dry-run")
    assert "--confirm" in publish(want=8) and "--confirm" in publish("--lang", "ja", want=8)
    assert f"{asking} of {asking}" in publish("--confirm", "1", want=8)
    publish("--confirm", "all", want=2)
    # At a terminal it is typed in: a wrong number, nothing, the right one.
    for typed, status, says in ((b"1\n", 8, "1 was said"), (b"\n", 8, "no number was typed"), (b"%d\n" % asking, 0, "Published as revision")):
        got, text = at_terminal(fleet, programs, typed, "publish", "--reason", "r", "--strategy", "all", "--wait", "none")
        assert got == status and says in text and "type the number" in text, (typed, got, text)
    pub = str(fleet.api.ok("GET", "/revisions?limit=1")["items"][0]["pub"])
    fleet.catch_up()
    ctl(fleet, programs, "undo", pub, "--reason", "r", "--wait", "none", want=8)
    ctl(fleet, programs, "undo", pub, "--reason", "r", "--wait", "none", "--confirm", str(asking))
    assert "confirm_above" in ctl(fleet, programs, "rollout", "policy", "confirm_above=60")


def test_forcing_a_group_takes_the_right_to_publish(fleet):  # noqa: F811
    admin = fleet.parent.login()
    made = admin.ok("POST", "/api-tokens", {"name": f"t-{uuid.uuid4().hex[:6]}", "scopes": ["device:read", "device:write"],
                                        "expires_at": None})
    only = fleet.parent.session(made["token"])
    r = only.post("/groups?force=because", json={"name": f"g-{uuid.uuid4().hex[:6]}"})
    assert r.status_code == 403 and r.json()["errors"][0]["pointer"] == "/query/force", r.text
    assert only.post("/groups", json={"name": f"g-{uuid.uuid4().hex[:6]}"}).status_code == 201
    admin.ok("DELETE", f"/api-tokens/{made['id']}")


# --- expedited changes: G14 ---

URGENT = {"expedite": True, "expedite_bake_s": 30, "max_unavailable": "100%"}


def values(d):
    s = d.last["sections"]["postfix"]["settings"]
    return s[KEY], s["smtp.banner_text"]


def banner(fleet, text, **how):  # noqa: F811
    return fleet.api.publish({"fleet": {"smtp.banner_text": text}}, rollout={**URGENT, **how})


def waiting(fleet, made, why="urgent"):  # noqa: F811
    return fleet.until(made, lambda r: r["waits"] == why, "it to stand aside")


def serve(fleet, made, order=None):  # noqa: F811
    """Whoever is offered something takes it, until it is over; who took what is added to order."""
    def step():
        for i, s in fleet.states(made).items():
            if s == "offered":
                fleet.take(i)
                if order is not None:
                    order.append((i, values(fleet.devices[i])))
        return fleet.see(made)["state"] != "running"
    wait_until(step, "it to bake or to end", 30, 0.1)
    return fleet.see(made)


def test_g14_an_expedited_change_goes_first_and_brings_nothing_else_along(fleet, six):  # noqa: F811
    old, text = fleet.size, f"urgent{uuid.uuid4().hex[:6]}.example.org"
    before = values(six[0])[1]
    slow = fleet.publish(six, **WAVES)
    new = fleet.size
    first = next(i for i, s in fleet.states(slow).items() if s == "offered")
    fleet.take(first)
    fleet.until(slow, lambda r: r["state"] == "baking", "the canary to bake")
    fleet.forward(200)  # of 600 s
    urgent = banner(fleet, text)
    assert urgent["rollout"] == {"state": "running", "strategy": "waves", "waves": 2}
    r = fleet.see(slow)
    assert (r["state"], r["waits"], r["reason"], r["counts"]) == ("paused", "urgent", "urgent-first", {"confirmed": 1, "queued": 5})
    assert fleet.see(urgent)["expedited"] and fleet.see(urgent)["counts"] == {"offered": 1, "queued": 5}, "one canary"
    refused = fleet.api.post(f"/rollouts/{slow['rollout_id']}/resume", json={})
    assert refused.status_code == 409 and "expedited" in refused.json()["detail"]
    order = []
    assert serve(fleet, urgent, order)["state"] == "baking" and len(order) == 1
    fleet.forward(25)
    assert fleet.see(urgent)["state"] == "baking"
    fleet.forward(5)
    fleet.until(urgent, lambda r: r["wave"] == 1, "the others' turn")
    serve(fleet, urgent, order)
    assert fleet.until(urgent, lambda r: r["state"] == "completed", "the urgent one to end")["counts"] == {"confirmed": 6}
    # each device has the change on top of what it had: the canary of the other one keeps that, nobody else got it
    for d in six:
        assert values(d) == (new if d.id == first else old, text)
    late = Child(fleet.parent.base, fleet.parent.ca, f"mx-{uuid.uuid4().hex[:6]}")
    late.enrol(fleet.join)
    late.fetch()
    assert values(late)[1] == text, "what a newcomer is given first holds it"
    late.leave()
    back = fleet.until(slow, lambda r: r["waits"] is None, "the other one to go on")
    assert (back["state"], back["wave"], back["counts"]) == ("baking", 0, {"confirmed": 1, "queued": 5})
    fleet.forward(380)  # 200 and 380: not yet
    assert fleet.see(slow)["state"] == "baking"
    fleet.forward(25)
    fleet.until(slow, lambda r: r["wave"] == 1, "its bake to be over: what it had baked counts")
    fleet.run(slow, bake=300)
    assert fleet.see(slow)["counts"] == {"confirmed": 6} and fleet.see(slow)["state"] == "completed"
    assert {values(d) for d in six} == {(new, text)} and before != text
    words = audited(fleet, slow)
    assert words.count("rollout.paused") == 1 and words.count("rollout.baking") == 4, words
    # in order, each once: the canary had the two after one another, the others the urgent one first
    for d in six:
        revs = fleet.parent.postgres.psql(f"SELECT pub FROM bundle WHERE device_id = '{d.id}' AND pub >= {slow['pub']} ORDER BY rev")
        pubs = [int(x[0]) for x in revs]
        assert pubs == ([slow["pub"], urgent["pub"]] if d.id == first else [urgent["pub"]] * 2), pubs
    # the next whole publication holds both
    fleet.run(fleet.publish([six[0]], strategy="all"))
    assert values(six[0]) == (fleet.size, text)
    # and what it says of the same setting counts: nothing older lies on top of it any more
    fleet.run(fleet.api.publish({"fleet": {"smtp.banner_text": f"later-{text}"}}, rollout={"strategy": "all"}))
    assert {values(d)[1] for d in six} == {f"later-{text}"}
    fleet.run(fleet.api.publish({"fleet": {"smtp.banner_text": {"$inherit": True}}}, rollout={"strategy": "all"}))


def test_one_that_cannot_be_driven_does_not_hold_the_others_up(fleet, six):  # noqa: F811
    """Its row is not to be understood (of a later version, damaged): the engine says so, and drives those after it."""
    psql = fleet.parent.postgres.psql
    slow = fleet.publish(six, **WAVES)
    fleet.take(next(i for i, s in fleet.states(slow).items() if s == "offered"))
    fleet.until(slow, lambda r: r["state"] == "baking", "the canary to bake")
    urgent = banner(fleet, f"urgent{uuid.uuid4().hex[:6]}.example.org")
    psql(f"UPDATE rollout SET strategy = jsonb_set(strategy, '{{waves}}', '7') WHERE id = '{slow['rollout_id']}'")
    try:
        assert serve(fleet, urgent)["state"] == "baking"
        fleet.forward(30)
        fleet.until(urgent, lambda r: r["wave"] == 1, "the others' turn")
        serve(fleet, urgent)
        fleet.until(urgent, lambda r: r["state"] == "completed", "the end")
        wait_until(lambda: f"rollout {slow['rollout_id']}" in fleet.parent.log(), "the fault to be said", 40)
    finally:
        psql(f"""UPDATE rollout SET strategy = jsonb_set(strategy, '{{waves}}', '["1", "2"]') WHERE id = '{slow['rollout_id']}'""")
    fleet.until(slow, lambda r: r["waits"] is None, "the other one to go on")
    fleet.api.ok("POST", f"/rollouts/{slow['rollout_id']}/cancel", {})
    fleet.catch_up()


def test_g14_only_so_many_expedited_changes_lie_on_top_of_a_revision(fleet, six):  # noqa: F811
    psql, at = fleet.parent.postgres.psql, f"WHERE id = '{six[0].id}'"
    was = psql(f"SELECT urgent FROM device {at}")[0][0]
    many = "{" + ",".join(psql("SELECT max(pub) FROM revision")[0] * 63) + "}"  # publishing 63 times would be the other way
    psql(f"UPDATE device SET urgent = '{many}' {at}")
    draft = fleet.api.ok("POST", "/drafts", {"title": "one too many"})
    try:
        fleet.api.change(f"/drafts/{draft['id']}", {"devices": {six[1].id: {KEY: fleet.size + 1}}})
        r = fleet.api.post(f"/drafts/{draft['id']}/publish", json={"reason": "now", "rollout": URGENT})
        assert r.status_code == 409 and r.json()["errors"][0]["pointer"] == "/rollout/expedite", r.text
        assert "63 expedited changes" in r.json()["errors"][0]["message"] + r.json()["detail"]
    finally:
        psql(f"UPDATE device SET urgent = '{was}' {at}")
        fleet.api.request("DELETE", f"/drafts/{draft['id']}", headers={"If-Match": "*"})


def test_who_is_quarantined_or_held_is_passed_over_and_catches_up(fleet, six):  # noqa: F811
    psql, odd = fleet.parent.postgres.psql, six[:2]
    for d, state in zip(odd, ("quarantined", "held")):
        psql(f"UPDATE device SET state = '{state}' WHERE id = '{d.id}'")
    try:
        made = fleet.publish(six, **{**WAVES, "waves": ["1"], "canary_bake_s": 0, "bake_s": 0})
        serve(fleet, made)
        r = fleet.until(made, lambda r: r["state"] == "completed", "the end")
        assert {x["id"]: (x["state"], x["reason"]) for x in r["devices"] if x["state"] != "confirmed"} == {
            odd[0].id: ("skipped", "quarantined"), odd[1].id: ("skipped", "held")}
    finally:
        for d in odd:
            psql(f"UPDATE device SET state = 'managed' WHERE id = '{d.id}'; NOTIFY inari_change")
    fleet.forward(1)
    for d in odd:
        fleet.catches_up(d)


def test_g14_what_a_device_is_at_comes_to_its_end_first(fleet, six):  # noqa: F811
    one, text = six[0], f"urgent{uuid.uuid4().hex[:6]}.example.org"
    slow = fleet.publish([one], **WAVES)
    fleet.take(one.id, silent=True)
    fleet.until(slow, lambda r: r["counts"].get("fetched"), "the engine to see it")
    urgent = fleet.api.publish({"devices": {one.id: {"smtp.banner_text": text}}}, rollout=URGENT)
    time.sleep(1.2)  # two passes of the engine
    assert fleet.see(urgent)["counts"] == {"queued": 1} and one.desired().status_code == 304
    one.put_status()
    serve(fleet, urgent)
    assert values(one) == (fleet.size, text) and fleet.see(urgent)["counts"] == {"confirmed": 1}
    assert waiting(fleet, slow)["counts"] == {"confirmed": 1}
    for made in (urgent, slow):
        fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.api.publish({"devices": {one.id: {"smtp.banner_text": {"$inherit": True}}}}, rollout={"strategy": "all"})
    fleet.catch_up()


def test_g14_a_failure_halts_also_what_stands_aside(fleet, six):  # noqa: F811
    one, other = six[:2]
    slow = fleet.publish([one], **WAVES)
    fleet.take(one.id, silent=True)
    fleet.until(slow, lambda r: r["counts"].get("fetched"), "the engine to see it")
    urgent = fleet.api.publish({"devices": {other.id: {"smtp.banner_text": "urgent.example.org"}}}, rollout=URGENT)
    waiting(fleet, slow)
    good = one.status()
    one.put_status({**good, "running": {"postfix": {"digest": "0" * 64, "state": "running"}},
                    "last_attempt": {**good["last_attempt"], "result": "reverted",
                                     "problem": {"title": "refused", "detail": "late", "errors": []}}})
    r = fleet.until(slow, lambda r: r["state"] == "halted", "the halt")
    assert r["reason"] == "failures" and fleet.see(urgent)["state"] == "running", "without waiting for the other's end"
    for made in (urgent, slow):
        fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.api.publish({"devices": {other.id: {"smtp.banner_text": {"$inherit": True}}}}, rollout={"strategy": "all"})
    fleet.catch_up()


def test_g14_the_urgent_canary_refuses_and_the_other_waits_for_a_person(fleet, six):  # noqa: F811
    old, before = fleet.size, values(six[0])[1]
    slow = fleet.publish(six, **WAVES)
    first = next(i for i, s in fleet.states(slow).items() if s == "offered")
    fleet.take(first)
    fleet.until(slow, lambda r: r["state"] == "baking", "the canary to bake")
    urgent = banner(fleet, f"bad{uuid.uuid4().hex[:6]}.example.org")
    canary = next(i for i, s in fleet.states(urgent).items() if s == "offered")
    fleet.take(canary, ok=False)
    fleet.until(urgent, lambda r: r["state"] == "halted", "the halt")
    d = fleet.devices[canary]
    d.fetch()
    assert values(d) == (fleet.size if canary == first else old, before), "what it had, whatever that was"
    d.put_status()
    assert waiting(fleet, slow)["counts"] == {"confirmed": 1, "queued": 5}, "another one's failure is not its own"
    assert fleet.api.ok("POST", f"/rollouts/{slow['rollout_id']}/resume", {})["state"] == "baking"
    fleet.api.ok("POST", f"/rollouts/{urgent['rollout_id']}/cancel", {})
    fleet.run(slow, bake=600)
    assert {values(x) for x in six} == {(fleet.size, before)}, "what was cancelled came with nobody"
    fleet.run(fleet.publish(six, strategy="all"))
    fleet.api.publish({"fleet": {"smtp.banner_text": {"$inherit": True}}}, rollout={"strategy": "all"})
    fleet.catch_up()


def test_g14_taken_back_it_leaves_what_was_there(fleet, six):  # noqa: F811
    """Also where a rollout on its way says something else of the same setting."""
    base, theirs, ours = (f"{w}{uuid.uuid4().hex[:6]}.example.org" for w in ("base", "theirs", "ours"))
    made = fleet.api.publish({"fleet": {"smtp.banner_text": base}}, rollout={"strategy": "all"})
    fleet.run(made)
    slow = fleet.api.publish({"fleet": {"smtp.banner_text": theirs}}, rollout=WAVES)
    first = next(i for i, s in fleet.states(slow).items() if s == "offered")
    fleet.take(first)
    fleet.until(slow, lambda r: r["state"] == "baking", "the canary to bake")
    urgent = banner(fleet, ours)
    serve(fleet, urgent)
    fleet.forward(30)
    assert fleet.until(urgent, lambda r: r["wave"] == 1, "the second wave")
    back = fleet.api.ok("POST", f"/rollouts/{urgent['rollout_id']}/revert", {"reason": "it was wrong"})
    assert fleet.see(back)["expedited"] and waiting(fleet, slow)
    while fleet.see(back)["state"] not in ("completed", "halted"):
        fleet.catch_up()
        fleet.forward(30)
    assert fleet.until(urgent, lambda r: r["state"] == "reverted", "the end")
    for d in six:
        assert values(d)[1] == (theirs if d.id == first else base), "nobody got the other one's before its wave"
    fleet.run(slow, bake=600)
    assert {values(d)[1] for d in six} == {theirs}
    fleet.api.publish({"fleet": {"smtp.banner_text": {"$inherit": True}}}, rollout={"strategy": "all"})
    fleet.catch_up()


def test_g14_what_is_published_meanwhile_waits_and_devices_that_were_away_catch_up(fleet, six):  # noqa: F811
    away, text = six[3], f"urgent{uuid.uuid4().hex[:6]}.example.org"
    away.online = False
    try:
        fleet.forward(400)
        urgent = banner(fleet, text, offline_after_s=300)
        newer = fleet.publish(six, strategy="all")
        assert newer["rollout"]["state"] == "paused" and fleet.see(newer)["waits"] == "urgent"
        assert fleet.see(urgent)["state"] == "running", "it is let through"
        serve(fleet, urgent)
        fleet.forward(30)
        fleet.until(urgent, lambda r: r["wave"] == 1, "the others' turn")
        serve(fleet, urgent)
        r = fleet.until(urgent, lambda r: r["state"] == "completed", "the end")
        assert r["counts"] == {"confirmed": 5, "skipped": 1}
        fleet.until(newer, lambda r: r["counts"].get("offered"), "the newer one to go on")
    finally:
        away.online = True
    fleet.forward(1)
    fleet.catch_up()
    fleet.until(newer, lambda r: r["state"] == "completed", "the end")
    assert {values(d) for d in six} == {(fleet.size, text)}
    fleet.api.publish({"fleet": {"smtp.banner_text": {"$inherit": True}}}, rollout={"strategy": "all"})
    fleet.catch_up()


def test_members_of_one_mx_set_that_were_away_come_back_one_after_the_other(fleet, six):  # noqa: F811
    group = fleet.api.ok("POST", "/groups", {"name": f"mx-{uuid.uuid4().hex[:6]}", "kind": "mx"})
    pair = six[1:3]
    for d in pair:
        fleet.api.request("PUT", f"/groups/{group['id']}/members/{d.id}")
        d.online = False
    try:
        fleet.forward(400)
        made = fleet.publish(six, **{**WAVES, "offline_after_s": 300, "canary_bake_s": 0, "bake_s": 0})
        fleet.run(made)
        assert fleet.see(made)["counts"] == {"confirmed": 4, "skipped": 2}
        for d in pair:
            d.online = True
        fleet.forward(1)
        offered = fleet.until(made, lambda r: r["counts"].get("offered"), "the first of them")
        assert offered["counts"] == {"confirmed": 4, "offered": 1, "skipped": 1}
        one = next(x["id"] for x in offered["devices"] if x["state"] == "offered")
        other = next(d for d in pair if d.id != one)
        assert other.desired().status_code == 304
        fleet.take(one)
        fleet.until(made, lambda r: r["counts"] == {"confirmed": 5, "offered": 1}, "the other one")
        fleet.take(other.id)
        fleet.until(made, lambda r: r["counts"] == {"confirmed": 6}, "both")
        assert settings(other) == fleet.size
    finally:
        for d in pair:
            d.online = True
            fleet.api.request("DELETE", f"/groups/{group['id']}/members/{d.id}")


# --- asking the devices first ---

def paused(fleet, made, reason):  # noqa: F811
    r = fleet.until(made, lambda r: r["state"] == "paused", "the question to a person")
    assert r["reason"] == reason and set(r["counts"]) == {"queued"}, r
    return r


def test_untried_is_not_tried(fleet, six):  # noqa: F811
    """Somebody wants their word before anybody gets it, and none of them can say: a person decides, not the canary."""
    ask = {"strategy": "all", "shadow": "always", "shadow_s": 10}
    made = fleet.publish(six, **ask)
    at = f"/rollouts/{made['rollout_id']}"
    fleet.forward(11)  # these children take no orders
    assert paused(fleet, made, "untried")["shadow"]["counts"] == {"away": 6}
    assert all(d.desired().status_code == 304 for d in six), "nobody got it"
    assert "could try it" in ctl(fleet, fleet.parent.programs, "rollout", "show", made["rollout_id"])
    assert fleet.api.ok("POST", f"{at}/resume", {})["state"] == "shadow", "they are asked again"
    fleet.forward(11)
    paused(fleet, made, "untried")
    r = fleet.api.ok("POST", f"{at}/promote", {"reason": "they are old"})
    assert (r["state"], r["counts"]) == ("running", {"offered": 6})
    fleet.until(made, lambda r: fleet.catch_up() or r["state"] == "completed", "the end")
    # nobody asked for their word: the canary decides.  Nor does what is urgent wait for a person.
    for how in ({**WAVES, "shadow": "auto", "shadow_s": 10}, {**URGENT, "shadow": "always"}):
        made = fleet.publish(six, **how)
        assert fleet.see(made)["state"] == "shadow"
        fleet.forward(11)
        fleet.until(made, lambda r: r["counts"] == {"offered": 1, "queued": 5}, "the canary")
        fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
        fleet.catch_up()


def test_halted_while_it_was_tried_it_is_tried_again(fleet, six):  # noqa: F811
    made = fleet.publish(six, **WAVES, shadow="always", shadow_s=600)
    at = f"/rollouts/{made['rollout_id']}"
    assert fleet.api.ok("POST", f"{at}/halt", {"reason": "a moment"})["state"] == "halted"
    assert fleet.api.post(f"{at}/promote", json={}).status_code == 409, "nobody refused it"
    assert fleet.api.ok("POST", f"{at}/resume", {})["state"] == "shadow"
    assert all(d.desired().status_code == 304 for d in six)
    fleet.api.ok("POST", f"{at}/cancel", {})


def test_g14_tried_meanwhile_it_stands_aside_before_it_releases_anything(fleet, six):  # noqa: F811
    slow = fleet.publish(six, **WAVES, shadow="auto", shadow_s=600)
    urgent = banner(fleet, f"u{uuid.uuid4().hex[:6]}.example.org")
    assert fleet.see(urgent)["state"] == "running" and fleet.see(slow)["state"] == "shadow"
    fleet.api.ok("POST", f"/rollouts/{slow['rollout_id']}/promote", {})  # without their answers
    assert waiting(fleet, slow)["counts"] == {"queued": 6}
    for made in (urgent, slow):
        fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.catch_up()


def test_g14_what_is_judged_does_not_grow_with_the_fleet(fleet, six):  # noqa: F811
    """An urgent change is judged on each content there is, once: not once for each device whose neighbour has another."""
    psql, nobody = fleet.parent.postgres.psql, {**WAVES, "approval": True}
    has = int(psql(f"SELECT pub FROM device WHERE id = '{six[0].id}'")[0][0])
    other, head = (fleet.publish(six, **nobody) for _ in range(2))
    draft = fleet.api.ok("POST", "/drafts", {"title": "urgent"})
    fleet.api.change(f"/drafts/{draft['id']}", {"fleet": {"smtp.banner_text": f"u{uuid.uuid4().hex[:6]}.example.org"}})

    def cost(having):
        for d, pub in zip(sorted(six, key=lambda d: d.id), having):
            psql(f"UPDATE device SET pub = {pub} WHERE id = '{d.id}'")
        before = statements(fleet.parent.session(), "inari_db_request_statements_total")
        fleet.api.ok("POST", f"/drafts/{draft['id']}/publish?dry_run=true", {"reason": "r", "rollout": {"expedite": True}})
        return statements(fleet.parent.session(), "inari_db_request_statements_total") - before
    try:
        assert cost([other["pub"], has] * 3) == cost([other["pub"]] * 3 + [has] * 3) > cost([has] * 6)
    finally:
        psql(f"UPDATE device SET pub = {has} WHERE id IN ({', '.join(repr(d.id) for d in six)})")
        fleet.api.ok("POST", f"/rollouts/{head['rollout_id']}/cancel", {})
        fleet.api.request("DELETE", f"/drafts/{draft['id']}", headers={"If-Match": "*"})


class Nobody:
    """While nobody drives: the lease is another's."""

    def __init__(self, fleet):  # noqa: F811
        self.psql = fleet.parent.postgres.psql

    def __enter__(self):
        self.psql(f"UPDATE lease SET holder = '{uuid.uuid4()}', term = term + 1, expires_at = now() + interval '1 day'"
                  " WHERE name = 'engine'")
        return self.psql

    def __exit__(self, *_):
        self.psql("UPDATE lease SET expires_at = now() - interval '1 s' WHERE name = 'engine'")
        self.psql("SELECT pg_notify('inari_change', 'rollout')")


def test_g8_who_took_it_since_the_engines_last_look_keeps_it(fleet, six):  # noqa: F811
    made, size = fleet.publish(six, **WAVES), fleet.size
    one = fleet.devices[next(i for i, s in fleet.states(made).items() if s == "offered")]
    with Nobody(fleet):
        fleet.take(one.id)
        newer = fleet.publish(six, **WAVES, approval=True)
        assert fleet.see(made)["state"] == "superseded"
        assert one.desired().status_code == 304 and settings(one) == size, "it was taken back for nothing"
    fleet.api.ok("POST", f"/rollouts/{newer['rollout_id']}/cancel", {})
    fleet.catch_up()


def test_g14_it_goes_first_also_when_the_fleet_is_heard_again(fleet, six):  # noqa: F811
    slow = fleet.publish(six, **WAVES)
    urgent = banner(fleet, f"u{uuid.uuid4().hex[:6]}.example.org")
    with Nobody(fleet) as psql:  # as both stood when it was over
        psql("UPDATE rollout SET state = 'paused', waits = 'silence', paused_from = 'running' WHERE id IN"
             f" ('{slow['rollout_id']}', '{urgent['rollout_id']}')")
    fleet.until(urgent, lambda r: r["state"] == "running", "the urgent one to go on")
    assert waiting(fleet, slow)["state"] == "paused" and "rollout.running" not in audited(fleet, slow)
    for made in (urgent, slow):
        fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.catch_up()


def test_f11_what_was_offered_while_nobody_was_heard_is_as_old_as_it_is(fleet, six):  # noqa: F811
    """A person had overruled the silence: hours of it must not put off the deadlines of what was offered last."""
    made = fleet.publish(six, **WAVES)
    with Nobody(fleet) as psql:
        psql("INSERT INTO meta (key, value) VALUES ('silence', jsonb_build_object('late_ms', 150000, 'since_ms',"
             f" (extract(epoch FROM now()) * 1000)::bigint + {int(type(six[0]).shift * 1000)} - 18000000))")
        for d in six:
            d.desired()
    wait_until(lambda: psql("SELECT count(*) FROM meta WHERE key = 'silence'") == [["0"]], "them to be heard", 20)
    shift = type(six[0]).shift
    assert psql(f"SELECT released_at < now() + interval '{shift + 5} s', fetched_at IS NULL FROM rollout_device WHERE"
                f" rollout_id = '{made['rollout_id']}' AND state = 'offered'") == [["t", "t"]]
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.catch_up()


# --- halts: G6 ---

def test_g6_two_waves_over_their_limits_in_one_pass_halt_once_and_for_good(fleet, six):  # noqa: F811
    psql = fleet.parent.postgres.psql
    made = fleet.publish(six, **{**WAVES, "waves": ["2", "2"], "canary_bake_s": 0, "bake_s": 0, "max_unavailable": "100%"})
    fleet.until(made, lambda r: r["counts"].get("offered") == 2, "the first wave")
    waves = {0: [i for i, s in fleet.states(made).items() if s == "offered"]}
    for i in waves[0]:
        fleet.take(i)
    r = fleet.until(made, lambda r: r["wave"] == 1 and r["counts"].get("offered") == 2, "the second wave")
    waves[1] = [x["id"] for x in r["devices"] if x["state"] == "offered"]
    stop = uuid.uuid4()
    psql(f"UPDATE lease SET holder = '{stop}', term = term + 1, expires_at = now() + interval '1 day' WHERE name = 'engine'")
    try:
        for w in waves.values():  # while nobody drives
            for i in w:
                d = fleet.devices[i]
                if fleet.states(made)[i] == "offered":
                    fleet.take(i, ok=False)
                else:
                    good = d.status()
                    d.put_status({**good, "running": {"postfix": {"digest": "0" * 64, "state": "running"}},
                                  "last_attempt": {**good["last_attempt"], "result": "reverted",
                                                   "problem": {"title": "refused", "detail": "late", "errors": []}}})
    finally:
        psql("UPDATE lease SET expires_at = now() - interval '1 s' WHERE name = 'engine'")
    r = fleet.until(made, lambda r: r["state"] == "halted", "the halt")
    assert (r["wave"], r["reason"], r["counts"]) == (1, "failures", {"reverted": 4, "queued": 2})
    for _ in range(3):  # whatever wakes the engine, it stays so
        fleet.catch_up()
        psql("SELECT pg_notify('inari_change', 'rollout')")
        wait_until(lambda: fleet.see(made), "an answer")
    assert fleet.see(made)["version"] == r["version"]
    assert audited(fleet, made)[:2] == ["rollout.halted", "rollout.device_failed"]
    assert audited(fleet, made).count("rollout.halted") == 1
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})


# --- a fleet that falls silent: F11 ---

def test_f11_all_late_at_once_is_one_alarm_about_the_parent_and_nobody_is_judged(fleet, six):  # noqa: F811
    """All of them ask once more, and then none does for longer than the rollout would wait for one."""
    psql = fleet.parent.postgres.psql

    def condition():
        return fleet.api.ok("GET", "/parent")["conditions"][0]

    def ask(devices):
        for d in devices:
            d.desired()
    ask(six)
    made = fleet.publish(six, **{**WAVES, "offline_after_s": 10, "apply_deadline_s": 10, "waves": ["2"], "max_unavailable": "100%"})
    first = [i for i, s in fleet.states(made).items() if s == "offered"]
    fleet.take(first[0], silent=True)
    before = fleet.until(made, lambda r: r["counts"] == {"fetched": 1, "offered": 1, "queued": 4}, "one on its way")
    assert condition()["status"] == "True"
    gone = wait_until(lambda: (c := condition())["status"] == "False" and c, "the alarm", 30, 0.2)
    assert (gone["type"], gone["reason"], gone["of"]) == ("FleetHeard", "fleet-silent", 6) and 4 <= gone["gone"] <= 6
    assert waiting(fleet, made, "silence")["reason"] == "fleet-silent"
    time.sleep(6)  # past both deadlines of the rollout
    r = fleet.see(made)
    assert r["counts"] == before["counts"] and r["state"] == "paused", "no mass state change"
    assert len(fleet.api.ok("GET", "/audit?action=fleet.silent&limit=10")["items"]) == 1
    states = [d["state"] for d in fleet.api.ok("GET", "/devices")["items"] if d["id"] in fleet.devices]
    assert set(states) == {"managed"}
    assert f"fell silent together ({gone['gone']} of 6" in ctl(fleet, fleet.parent.programs, "status")
    # they are heard again: it ends by itself, and the deadlines begin anew
    def back():
        ask(six)
        return fleet.see(made)["waits"] is None
    wait_until(back, "it to go on by itself", 20, 0.5)
    assert condition()["status"] == "True" and fleet.see(made)["counts"] == before["counts"]
    for i in first:
        fleet.take(i) if i == first[1] else fleet.devices[i].put_status()
    fleet.until(made, lambda r: r["state"] == "baking", "the wave to be over")
    words = [a["action"] for a in fleet.api.ok("GET", "/audit?action=fleet.&limit=10")["items"]]
    assert words[:2] == ["fleet.heard", "fleet.silent"] and psql("SELECT count(*) FROM meta WHERE key = 'silence'") == [["0"]]
    # half of them are away: those devices, not the parent; two thirds are too many
    end = time.monotonic() + 11
    while time.monotonic() < end:
        ask(six[:3])
        assert condition()["status"] == "True", condition()
        time.sleep(0.5)
    wait_until(lambda: ask(six[:2]) or condition()["status"] == "False", "the alarm", 30, 0.5)
    # a person does not want to wait: it bakes on, and is not stopped again
    waiting(fleet, made, "silence")
    assert fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/resume", {"reason": "a holiday"})["state"] == "baking"
    time.sleep(1.2)  # two passes of the engine
    assert condition()["status"] == "False" and fleet.see(made)["state"] == "baking"
    wait_until(lambda: ask(six) or condition()["status"] == "True", "them to be heard", 20, 0.5)
    fleet.api.ok("POST", f"/rollouts/{made['rollout_id']}/cancel", {})
    fleet.catch_up()
