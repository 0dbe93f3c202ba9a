"""Polls, wake-ups and revocation against a real parent: protocol.md A2, A4, B5, B8, D8, D9, D10, F12."""
import concurrent.futures
import email.utils
import os
import re
import signal
import subprocess
import threading
import time
import uuid

import pytest
import wireclient
from agentlib import new_agent
from parentlib import wait_until


def make_device(api, parent, name=None):
    made = api.ok("POST", "/enrolment-tokens", {"name": f"t-{uuid.uuid4().hex[:6]}"})
    d = wireclient.Device(parent.base, parent.ca, name or f"mx-{uuid.uuid4().hex[:6]}")
    d.enrol(made["join"])
    return d


@pytest.fixture
def device(api, parent):
    return lambda: make_device(api, parent)


@pytest.fixture
def settled(device):
    """A device that has its bundle and has reported it."""
    def make():
        d = device()
        d.fetch()
        assert d.put_status(d.status(running=False)).status_code == 204
        return d
    return make


def word(answer):
    return answer.json()["type"].rpartition(":")[2]


class Held:
    """A poll in a thread of its own."""

    def __init__(self, d, wait=40):
        self.d, self.answer, self.seconds = d, None, None
        self.thread = threading.Thread(target=self.run, args=(wait,))
        self.thread.start()
        time.sleep(0.4)
        assert self.thread.is_alive(), self.answer.status_code

    def run(self, wait):
        self.answer = self.d.desired(wait=wait)
        self.ended = time.monotonic()

    def result(self, since):
        self.thread.join(60)
        self.seconds = self.ended - since
        return self.answer


def statements(session, which="inari_db_statements_total"):
    return int(re.search(rf"^{which} (\d+)", session.get("/metrics").text, re.M).group(1))


def test_headers_and_unchanged(settled):
    d = settled()
    r = d.desired()
    assert r.status_code == 304 and r.content == b"" and r.headers["ETag"] == f'"{d.etag}"'
    assert 1 <= int(r.headers["Inari-Next-Poll"]) <= 130 and r.headers["Inari-Commands"] == "0"
    assert r.headers["Inari-Trust"] == "1" and r.headers["Cache-Control"] == "no-store" and r.headers["Date"]
    assert "Inari-Report" not in r.headers and "Inari-Fresh" not in r.headers


def test_each_unchanged_answer_has_its_own_headers(settled):
    """Such answers are made of one kept response: nothing of an earlier one may be left in a later one."""
    usual = ["Cache-Control", "Date", "ETag", "Inari-Commands", "Inari-Next-Poll", "Inari-Request-Id", "Inari-Trust"]
    devices, ids = [settled(), settled()], []

    def check(d, answer, more=()):
        assert answer.status_code == 304
        names = [name for name, _ in answer.raw.headers.items()]
        assert sorted(n for n in names if n not in ("Connection", "Content-Length", "Inari-Notice")) == sorted([*usual, *more])
        assert answer.headers["ETag"] == f'"{d.etag}"'
        age = time.time() - email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
        assert -1 < age < 5
        assert "," not in answer.headers["Inari-Request-Id"]
        ids.append(answer.headers["Inari-Request-Id"])

    for _ in range(3):
        for d in devices:
            check(d, d.desired())
        check(devices[0], devices[0].desired(wait=1), ["Preference-Applied"])
        check(devices[1], devices[1].desired(**{"Inari-Want-Fresh": "1"}), ["Inari-Fresh"])
        check(devices[0], devices[0].desired(**{"Inari-Status": "0" * 64}), ["Inari-Report"])
    assert len(set(ids)) == len(ids)


def test_a4_lost_answer_gives_identical_bytes(device):
    d = device()
    first, second = d.desired(), d.desired()
    assert first.status_code == second.status_code == 200 and first.content == second.content
    d.verify(first.content)
    assert d.desired().status_code == 304
    again = d.desired(etag=None)  # the bytes were let go of and are read again
    assert again.status_code == 200 and again.content == first.content


def test_unchanged_polls_cost_no_sql(settled, parent, api):
    """None at all on the connections that serve requests; the parent's own jobs go on as slowly as ever."""
    devices = [settled() for _ in range(8)]
    for d in devices:
        assert d.desired().status_code == 304
    nobody = parent.session()  # no token that would be looked up
    asked = "inari_db_request_statements_total"
    t0, before, before_asked = time.monotonic(), statements(nobody), statements(nobody, asked)
    for _ in range(20):
        for d in devices:
            assert d.desired().status_code == 304
    assert statements(nobody, asked) == before_asked
    during, seconds = statements(nobody) - before, time.monotonic() - t0
    assert during <= 8 * seconds + 10 < 160, f"{during} statements for 160 polls in {seconds:.1f} s"
    api.ok("GET", "/devices?limit=1")
    assert statements(nobody, asked) > before_asked


@pytest.mark.slow
def test_held_poll_is_woken_by_a_change_and_only_that_one(settled, api):
    d, other = settled(), settled()
    held, quiet = Held(d), Held(other, wait=8)
    t0 = time.monotonic()
    api.change(f"/devices/{d.id}", {"drift": "enforce"})
    r = held.result(t0)
    assert r.status_code == 200 and held.seconds < 2, held.seconds
    assert d.verify(r.content)["drift"]["postfix"] == "enforce"
    r = quiet.result(t0)
    assert r.status_code == 304 and quiet.seconds > 6 and r.headers["Preference-Applied"] == "wait"


def test_rename_and_same_value_change_nothing(settled, api):
    d = settled()
    api.change(f"/devices/{d.id}", {"name": f"other-{uuid.uuid4().hex[:4]}"})
    api.change(f"/devices/{d.id}", {"drift": "report"})
    assert d.desired().status_code == 304


def test_d9_revoked_while_held(settled, api):
    d = settled()
    held, t0 = Held(d), time.monotonic()
    api.ok("POST", f"/devices/{d.id}/revoke", {"reason": "stolen"})
    r = held.result(t0)
    assert r.status_code == 403 and word(r) == "device-revoked" and held.seconds < 2, held.seconds
    for etag in ("own", None):
        assert d.desired(etag=etag, have="0.0").status_code == 403
    assert d.post_token().status_code == 403 and word(d.post_token()) == "device-revoked"
    assert d.put_status().status_code == 403
    r = d.call("GET", "/api/agent/v1/notice")
    _, notice = wireclient.open_jws(r.content, "inari-notice+jws", d.keys("bundle"))
    assert notice["fleet"] == d.trust["fleet"] and notice["exp"] > notice["iat"]
    wait_until(lambda: d.id in wireclient.open_jws(d.call("GET", "/api/agent/v1/notice").content, "inari-notice+jws",
                                                   d.keys("bundle"))[1]["revoked"], "the notice to list it", 10)
    api.change(f"/devices/{d.id}", {"drift": "enforce"})  # a change of a revoked device issues nothing
    assert d.desired(etag=None, have="0.0").status_code == 403


ROUTES = [("GET", "desired"), ("PUT", "status"), ("POST", "proposals"), ("POST", "kept"), ("GET", "commands"), ("POST", "keys"),
          ("PUT", f"commands/{uuid.uuid4()}/result"), ("GET", f"commands/{uuid.uuid4()}/bundle"), ("DELETE", "self")]


@pytest.mark.parametrize("barrier", ["state", "generation"])
def test_d9_each_barrier_holds_alone(settled, parent, barrier):
    """What a revocation does is two things, and either is enough: the state alone (its tokens would still be of the right
    generation), the generation alone (the state would still be good).  Both end the held poll and shut every door."""
    d = settled()
    assert d.commands() is not None and d.access
    what, status, problem = {"state": ("state = 'revoked'", 403, "device-revoked"),
                             "generation": ("gen = gen + 1", 401, "token-invalid")}[barrier]

    def set_to(values):  # as another parent would: the row, a number in the list of changes, a word to everybody
        parent.postgres.psql(f"BEGIN; SELECT pg_advisory_xact_lock(8445, 1); UPDATE device SET {values} WHERE id = '{d.id}'; "
                             f"INSERT INTO change (kind, id) VALUES ('device', '{d.id}'); NOTIFY inari_change; COMMIT")
    held, t0 = Held(d), time.monotonic()
    set_to(what)
    r = held.result(t0)
    assert r.status_code == status and word(r) == problem and held.seconds < 2, held.seconds
    for method, path in ROUTES:
        body = b"{}" if method in ("PUT", "POST") else None
        kind = {"Content-Type": "application/jose+json"} if body else {}
        r = d.call(method, f"/api/agent/v1/{path}", headers={**d.auth(), **kind}, data=body)
        assert r.status_code == status and word(r) == problem, f"{method} {path}: {r.status_code} {r.text}"
    if barrier == "state":
        assert d.post_token().status_code == 403 and word(d.post_token()) == "device-revoked"
        set_to("state = 'observing'")
    else:
        d.sign_in()
    # Nothing else stood in the way: it would have been answered.
    wait_until(lambda: d.desired(etag=None, have="0.0").status_code == 200, "the device to be served again", 5)


def test_d9_a_revocation_sets_both_and_nothing_is_made_for_it(settled, api, parent):
    """Whatever reads the table of bundles finds none that is newer than the revocation."""
    d, other = settled(), settled()

    def row(x):
        return parent.postgres.psql("SELECT d.state, d.gen, d.desired_rev, d.offered_rev, d.pub, max(b.rev), count(b.rev) "
                                    f"FROM device d LEFT JOIN bundle b ON b.device_id = d.id WHERE d.id = '{x.id}' GROUP BY d.id")[0]
    state, gen, *made = row(d)
    assert state == "observing"
    api.ok("POST", f"/devices/{d.id}/revoke", {"reason": "stolen"})
    assert row(d) == ["revoked", str(int(gen) + 1), *made]
    before = row(other)
    api.change(f"/devices/{d.id}", {"drift": "enforce"})
    api.change(f"/devices/{other.id}", {"drift": "enforce"})
    value = {"smtp.message_size_limit": 20_000_000 + int.from_bytes(os.urandom(3), "big")}
    published = api.publish({"devices": {d.id: value, other.id: value}}, "after the revocation")
    told = [x["id"] for x in published["devices"]]
    assert other.id in told and d.id not in told, (told, d.id)
    assert other.desired().status_code == 200 and int(row(other)[2]) > int(before[2])
    assert row(d)[2:] == made
    assert api.post(f"/devices/{d.id}/commands", json={"kind": "self-check"}).status_code == 409


def test_parent_behind_never_goes_back(settled, api):
    d = settled()
    epoch, rev = d.have.split(".")
    for have in (f"{epoch}.{int(rev) + 100000}", f"{int(epoch) + 1}.1"):
        r = d.desired(etag=None, have=have)
        assert r.status_code == 409 and word(r) == "parent-behind"
    assert d.desired().status_code == 304
    # It was never given out here: the parent is fenced (test_recovery.py), and goes on when told to.
    wait_until(lambda: api.ok("GET", "/recovery")["fenced"], "the fence")
    api.ok("POST", "/recovery/continue", {"reason": "the device of a test lied"})


def test_b8_crash_loop_is_limited_and_shown(settled, api):
    d, other = settled(), settled()
    codes = [d.desired().status_code for _ in range(45)]
    assert codes[0] == 304 and 429 in codes
    r = d.desired()
    if r.status_code == 429:
        assert int(r.headers["Retry-After"]) >= 1 and word(r) == "slow-down"
    assert other.desired().status_code == 304
    assert api.ok("GET", f"/devices/{d.id}")["polls_limited"] > 0
    assert api.ok("GET", f"/devices/{other.id}")["polls_limited"] == 0


def test_freshness_proof(settled):
    d = settled()
    r = d.desired(**{"Inari-Want-Fresh": "1"})
    assert r.status_code == 304
    _, fresh = wireclient.open_jws(r.headers["Inari-Fresh"], "inari-fresh+jws", d.keys("bundle"))
    assert fresh["device"] == d.id and fresh["etag"] == d.etag and f"{fresh['epoch']}.{fresh['rev']}" == d.have
    assert fresh["exp"] - fresh["iat"] == 7 * 86400


@pytest.mark.slow
def test_f12_lost_status_heals(settled, parent):
    d = settled()
    parent.postgres.psql(f"DELETE FROM device_status WHERE device_id = '{d.id}'")
    r = wait_until(lambda: (x := d.desired()).headers.get("Inari-Report") and x, "Inari-Report: full", 40, every=2)
    assert r.status_code == 304 and r.headers["Inari-Report"] == "full"
    assert d.put_status(d.status(running=False)).status_code == 204
    assert "Inari-Report" not in d.desired().headers


def test_status_older_than_the_stored_one_is_ignored(settled, api):
    d = settled()
    new = d.status(running=False, agent_version="0.9.9")
    assert d.put_status(new).status_code == 204
    assert d.put_status({**new, "seq": new["seq"] - 1, "agent_version": "0.0.1"}).status_code == 204
    assert api.ok("GET", f"/devices/{d.id}")["agent_version"] == "0.9.9"


def test_status_replayed_changes_nothing(settled, parent):
    d = settled()
    doc = d.status(running=False)
    assert d.put_status(doc).status_code == 204
    row = lambda: parent.postgres.psql(f"SELECT xmin, received_at FROM device_status WHERE device_id = '{d.id}'")  # noqa: E731
    before = row()
    assert {d.put_status(doc).status_code for _ in range(20)} == {204} and row() == before
    assert "Inari-Report" not in d.desired().headers


@pytest.mark.slow
def test_token_keys_rotate_and_both_generations_hold(new_parent):
    parent = new_parent()
    d = make_device(parent.token(), parent)
    d.fetch()
    psql = parent.postgres.psql
    kids = lambda: [r[0] for r in psql("SELECT kid FROM signing_key WHERE use = 'token' ORDER BY created_at DESC")]  # noqa: E731
    first = kids()
    psql("UPDATE signing_key SET created_at = created_at - interval '25 h' WHERE use = 'token'")
    wait_until(lambda: len(kids()) == 2, "a second token key", 70, every=1)
    assert kids()[1:] == first and d.desired(etag=None).status_code == 200  # the old token still holds
    psql("UPDATE signing_key SET created_at = created_at - interval '25 h' WHERE use = 'token'")
    wait_until(lambda: kids()[1:] != first, "a third token key", 70, every=1)
    assert first[0] not in kids() and len(kids()) == 2
    assert d.desired().status_code == 401 and d.sign_in() and d.desired(etag=None).status_code == 200


def test_hold_keeps_what_it_has_until_released(settled, api):
    d = settled()
    api.change(f"/devices/{d.id}", {"mode": "manage"})
    d.fetch()
    assert api.ok("POST", f"/devices/{d.id}/hold", {"reason": "maintenance", "minutes": 30})["state"] == "held"
    api.change(f"/devices/{d.id}", {"drift": "enforce"})
    assert d.desired().status_code == 304
    held, t0 = Held(d), time.monotonic()
    assert api.ok("POST", f"/devices/{d.id}/release", {})["state"] == "managed"
    assert held.result(t0).status_code == 200 and held.seconds < 2


def test_sync_says_only_what_was_read_back(settled, api):
    d = settled()
    shown = lambda: api.ok("GET", f"/devices/{d.id}")["sync"]  # noqa: E731
    assert shown() == "observing"
    api.change(f"/devices/{d.id}", {"mode": "manage"})
    assert shown() == "pending"
    d.fetch()
    d.put_status(d.status(running=False))
    assert shown() == "applying"
    lie = d.status()
    lie["running"]["postfix"]["digest"] = "0" * 64  # on disk, not running
    d.put_status(lie)
    assert shown() == "applying"
    failed = d.status(running=False)
    failed["last_attempt"] = {**d.status()["last_attempt"], "result": "reverted", "problem": {"detail": "postfix: fatal"}}
    d.put_status(failed)
    assert shown() == "failed"
    d.put_status()
    assert shown() == "in-sync"
    running, desired = (api.ok("GET", f"/devices/{d.id}")[k] for k in ("running", "desired"))
    assert [running[k] for k in ("digest", "pub", "rev")] == [desired[k] for k in ("digest", "pub", "rev")]


def test_a_device_that_would_refuse_is_not_managed(api, parent):
    made = api.ok("POST", "/enrolment-tokens", {"name": "old postfix"})
    d = wireclient.Device(parent.base, parent.ca, f"old-{uuid.uuid4().hex[:6]}")
    d.enrol(made["join"], inventory={"facts": {"hostname": "old.example.test", "postfix": "2.6.0"}})
    path, head = f"/devices/{d.id}", {"Content-Type": "application/merge-patch+json"}
    head["If-Match"] = api.get(path).headers["ETag"]
    r = api.request("PATCH", path, json={"mode": "manage"}, headers=head)
    assert r.status_code == 422 and any(f["id"].startswith("P10") for f in r.json()["errors"]), r.text
    assert api.ok("GET", path)["mode"] == "observe" and setting_mode(d) == "observe"
    r = api.request("PATCH", path, json={"mode": "manage"}, headers={**head, "Accept-Language": "ja"})
    assert any("\u3040" <= c <= "\u30ff" for c in r.json()["errors"][0]["message"])


def setting_mode(d):
    return d.fetch()["mode"]


def test_wrong_orders_are_refused(settled, api):
    d = settled()
    path = f"/devices/{d.id}"
    post = lambda verb, body: api.request("POST", f"{path}/{verb}", json=body).status_code  # noqa: E731
    assert post("release", {}) == 409 and post("approve", {}) == 409 and post("hold", {"reason": "x"}) == 422
    assert api.request("PATCH", path, json={"drift": "enforce"},
                       headers={"Content-Type": "application/merge-patch+json"}).status_code == 428
    assert api.request("PATCH", path, json={"drift": "enforce"}, headers={
        "If-Match": '"999"', "Content-Type": "application/merge-patch+json"}).status_code == 412
    r = api.request("POST", f"{path}/retire?dry_run=true", json={})
    assert r.status_code == 200 and r.json()["state"] == "retired"
    assert api.ok("GET", path)["state"] == "observing"
    etag = api.get(path).headers["ETag"]
    assert api.delete(path, headers={"If-Match": etag}).status_code == 409
    api.ok("POST", f"{path}/retire", {})
    etag = api.get(path).headers["ETag"]
    assert api.delete(path, headers={"If-Match": etag}).status_code == 204
    # A token of the last seconds might be of a device that another parent has just let in: 503 until the table is newer.
    wait_until(lambda: (r := d.desired()).status_code != 503, "the table", 10, 0.2)
    r = d.desired()
    assert r.status_code == 404 and word(r) == "device-unknown"


def ready(parent):
    return parent.session().get("/readyz").status_code


@pytest.mark.slow
def test_b5_database_away(new_parent):
    parent = new_parent()
    api = parent.token()
    d = make_device(api, parent)
    d.fetch()
    d.put_status(d.status(running=False))
    parent.postgres.kill()
    t0 = time.monotonic()
    answers = [d.desired().status_code for _ in range(10)]
    assert answers == [304] * 10 and time.monotonic() - t0 < 5
    r = d.put_status()
    assert r.status_code == 503 and int(r.headers["Retry-After"]) > 0
    assert d.desired(wait=2).status_code == 304
    wait_until(lambda: ready(parent) == 503, "/readyz to say that the database is away", 15)
    assert parent.session().get("/readyz").json()["reason"] == "database-away"
    assert parent.session().get("/healthz").status_code == 200
    assert "\ninari_db_reached 0\n" in parent.session().get("/metrics").text
    with concurrent.futures.ThreadPoolExecutor(16) as pool:  # every worker fails several times and backs off for seconds
        def look(_):
            return api.get(f"/devices/{d.id}").status_code
        for _ in range(20):
            assert set(pool.map(look, range(16))) == {503}
            time.sleep(0.2)
        parent.postgres.start()
        wait_until(lambda: look(0) == 200, "a worker to reach the database again", 30, every=0.05)
        assert set(pool.map(look, range(32))) == {200}  # none waits longer than the first one
    assert ready(parent) == 200
    assert d.put_status().status_code == 204
    assert api.ok("GET", f"/devices/{d.id}")["id"] == d.id


@pytest.mark.slow
def test_b5_database_stalls(new_parent, workdir, programs):
    """B5: nobody hangs up, nothing answers. For 30 s polls and a real agent go on from memory, writes are refused in
    time, however many: no thread is left for good. Then it recovers alone."""
    parent = new_parent()
    api = parent.token()
    d, child = make_device(api, parent), new_agent(workdir, "stall", programs)
    d.fetch()
    d.put_status(d.status(running=False))
    assert child.command("join", "--join", api.ok("POST", "/enrolment-tokens", {"name": "t"})["join"]).returncode == 0
    child.start()
    wait_until(lambda: child.condition("Authenticated")["status"] == "True", "the agent", 30)
    frozen = [parent.postgres.pid, *map(int, subprocess.run(["pgrep", "-P", str(parent.postgres.pid)], capture_output=True,
                                                            text=True).stdout.split())]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    t0 = time.monotonic()
    try:
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            writes = [pool.submit(lambda: parent.session(api.headers["Authorization"].split()[1]).post(
                "/drafts", json={"title": "stalled"}, timeout=60)) for _ in range(40)]
            slowest = 0.0
            while time.monotonic() - t0 < 30:
                t = time.monotonic()
                assert d.desired().status_code == 304
                slowest = max(slowest, time.monotonic() - t)
                assert child.status()["parent"]["reachable"]
                time.sleep(1.1)
            codes = {w.result().status_code for w in writes}
        assert slowest < 2 and codes == {503}, (slowest, codes)
        assert time.monotonic() - t0 < 45
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    wait_until(lambda: d.put_status().status_code == 204, "writes to work again", 15, every=0.5)
    assert api.ok("POST", "/drafts", {"title": "again"})["id"] and child.condition("Authenticated")["status"] == "True"
    child.stop()


def test_d8_token_expires_while_the_poll_is_held(new_parent, tmp_path):
    parent = new_parent(start=False)
    clock = os.path.join(parent.dir, "clock")
    with open(clock, "w") as f:
        f.write("0")
    os.chmod(clock, 0o644)
    parent.start({"INARI_CLOCK_FILE": clock})
    api = parent.token()
    d = make_device(api, parent)
    d.fetch()
    d.put_status(d.status(running=False))
    held, t0 = Held(d), time.monotonic()
    with open(clock, "w") as f:
        f.write("1000")
    time.sleep(0.3)
    api.change(f"/devices/{d.id}", {"drift": "enforce"})
    r = held.result(t0)
    assert r.status_code == 200, r.text
    d.verify(r.content)
    r = d.desired()
    assert r.status_code == 401 and word(r) == "token-expired"


@pytest.mark.slow
def test_poll_that_ends_amid_a_publication_gets_its_bundle(new_parent):
    """Paced wake-ups leave most of them waiting when their time is over: each is given the bundle then, none is sent away."""
    parent = new_parent(poll__wake_rate=1)
    api = parent.token()
    devices = [make_device(api, parent) for _ in range(25)]
    for d in devices:
        d.fetch()
        assert d.put_status(d.status(running=False)).status_code == 204
    draft = api.ok("POST", "/drafts", {"title": "paced"})
    api.change(f"/drafts/{draft['id']}", {"fleet": {"smtp.message_size_limit": 20000001}})

    def poll(d):
        """What it is answered, one short held poll after the other, until it has its bundle."""
        codes = []
        while not codes or codes[-1] == 304:
            codes.append(d.desired(wait=1).status_code)
        return codes
    with concurrent.futures.ThreadPoolExecutor(len(devices)) as pool:
        polls = [pool.submit(poll, d) for d in devices]
        time.sleep(0.5)
        api.ok("POST", f"/drafts/{draft['id']}/publish", {"reason": "paced", "rollout": {"strategy": "all", "max_unavailable": "100%"}})
        assert [p.result()[-1] for p in polls] == [200] * len(devices)


def figures(parent):
    """{"inari_devices{state=\"managed\"}": 3, ...} of a scrape."""
    text = parent.session().get("/metrics").text
    assert re.fullmatch(r"(?:(?:# .*|[a-z_]+(?:\{.*\})? -?[0-9.e+]+)\n)*", text), "a line that Prometheus does not read"
    return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{.*\})?) (\S+)$", text, re.M)}


def test_metrics_of_the_fleet_are_what_the_api_says_and_cost_no_sql(new_parent):
    parent = new_parent()
    api = parent.token()

    def states():
        found = {}
        for x in api.ok("GET", "/devices?limit=500")["items"]:
            found[x["state"]] = found.get(x["state"], 0) + 1
        return found

    def shown(name, m):
        return {k.split('"')[1]: int(v) for k, v in m.items() if k.startswith(name + "{") and v}
    assert shown("inari_devices", figures(parent)) == {} and figures(parent)["inari_rollout_unended"] == 0
    devices = [make_device(api, parent) for _ in range(4)]
    for d in devices:
        d.fetch()
        assert d.put_status(d.status(running=False)).status_code == 204
    api.change(f"/devices/{devices[0].id}", {"mode": "manage"})
    api.ok("POST", f"/devices/{devices[1].id}/hold", {"reason": "r", "minutes": 30})
    api.ok("POST", f"/devices/{devices[2].id}/revoke", {"reason": "r"})
    api.ok("POST", f"/devices/{devices[3].id}/commands", {"kind": "self-check"})
    m = wait_until(lambda: (m := figures(parent)) and m["inari_commands_waiting"] == 1 and m, "the order to be counted", 10, 0.1)
    assert shown("inari_devices", m) == states() == {"managed": 1, "held": 1, "revoked": 1, "observing": 1}
    assert shown("inari_devices_presence", m) == {"online": 3}  # a revoked one is not missed
    assert m["inari_trust_document"] == m["inari_epoch"] == 1 and m["inari_fenced"] == m["inari_fleet_stale"] == 0
    assert m["inari_revision_highest"] == max(x["desired"]["rev"] for x in api.ok("GET", "/devices")["items"])
    assert time.time() < m["inari_certificate_end_seconds"] < time.time() + 12 * 366 * 86400
    assert api.publish({"fleet": {"smtp.message_size_limit": 21000000}}, rollout={"strategy": "all", "shadow": "never"})
    wait_until(lambda: figures(parent)["inari_rollout_unended"] == 1, "the rollout to be counted", 40, 0.2)
    parent.stop()
    parent.start()
    assert shown("inari_devices", figures(parent)) == states() and shown("inari_devices_presence", figures(parent)) == {"unheard": 3}
    before = statements(parent.session(), "inari_db_request_statements_total")
    for _ in range(20):
        figures(parent)
    assert statements(parent.session(), "inari_db_request_statements_total") == before


def test_many_held_polls_all_woken(settled, api):
    devices = [settled() for _ in range(20)]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        polls = [pool.submit(d.desired, 30) for d in devices]
        time.sleep(1)
        t0 = time.monotonic()
        for d in devices:
            api.change(f"/devices/{d.id}", {"drift": "enforce"})
        codes = [p.result().status_code for p in polls]
    assert codes == [200] * 20 and time.monotonic() - t0 < 10
