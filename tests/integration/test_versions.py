"""Parents and children of different versions (F13), and a schema that a newer parent changes while children poll (F14)."""
import os
import re
import subprocess
import threading
import uuid

import parentlib
import pytest
import wireproxy
from agentlib import new_agent, pin_of
from ctllib import Ctl
from parentlib import as_user, wait_until
from test_agent_api_poll import make_device, word

KEY = "smtp.message_size_limit"


def join_of(api):
    return api.ok("POST", "/enrolment-tokens", {"name": f"t-{uuid.uuid4().hex[:6]}"})["join"]


def test_f13_a_newer_child_at_this_parent(api, parent):
    """It says more than this parent knows, and is served; what it must have and this parent lacks is refused in words."""
    from wireclient import Device
    d = Device(parent.base, parent.ca, f"tomorrow-{uuid.uuid4().hex[:6]}")
    d.enrol(join_of(api), capabilities=["postfix", "teleport"], future={"x": [1]},
            inventory={"hostname": "t", "os": "Debian 14", "agent_version": "0.1.7", "postfix_version": "4.0.1", "addresses": [],
                       "capabilities": ["postfix", "teleport"], "quantum": True})
    d.fetch()
    doc = d.status(running=False, teleport={"state": "ready"}, conditions=[
        {"type": "Teleported", "status": "True", "reason": "Later", "message": "m", "since": "2026-11-22T09:00:00Z"}])
    doc["running"]["teleport"] = {"digest": "", "state": "hovering"}
    assert d.put_status(doc).status_code == 204
    assert d.propose({"smtp.banner_text": "x"}, colour="blue").status_code == 204
    r = d.desired(**{"Inari-Later": "1", "Prefer": "wait=0, teleport"})
    assert r.status_code == 304
    later = d.desired(**{"Inari-Api": "2"})
    assert later.status_code == 409 and word(later) == "agent-too-new" and "parent" in later.json()["remedy"]
    # A word that this parent does not know is no reason to refuse all it understands.
    assert d.put_status({**doc, "seq": doc["seq"] + 5, "mode": "levitate"}).status_code == 204
    shown = api.ok("GET", f"/devices/{d.id}")
    assert shown["state"] == "observing" and "Teleported" in [c["type"] for c in shown["conditions"]]
    assert d.name in Ctl.of(parent.programs, parent, api, parent.dir).ok("devices")
    assert parent.alive()


def test_f13_an_older_child_at_this_parent(api, parent):
    """It says less than is known today, and is served."""
    from wireclient import Device
    d = Device(parent.base, parent.ca, f"yesterday-{uuid.uuid4().hex[:6]}")
    d.enrol(join_of(api), agent_version="0.0.3", capabilities=[], inventory={})
    d.fetch()
    now = d.status(running=False)
    old = {k: now[k] for k in ("device", "seq", "boot", "time", "agent_version", "mode", "observed", "on_disk", "running")}
    assert d.put_status({**old, "agent_version": "0.0.3"}).status_code == 204
    r = d.call("GET", "/api/agent/v1/desired", headers={**d.auth(), "If-None-Match": f'"{d.etag}"'})
    assert r.status_code == 304  # neither version nor instance nor what it has
    assert api.ok("GET", f"/devices/{d.id}")["agent_version"] == "0.0.3"
    assert d.name in Ctl.of(parent.programs, parent, api, parent.dir).ok("devices")


@pytest.mark.slow
def test_f13_this_child_at_a_newer_parent(new_parent, workdir, programs):
    """Sections of a later schema, later sections, later words: nothing of it is taken, the reason is said, the agent lives on
    and takes what it understands; what it merely does not know it ignores."""
    parent = new_parent()
    api = parent.token()
    tls = os.path.join(parent.state, "tls")
    proxy = wireproxy.Proxy("127.0.0.1", ("127.0.0.1", parent.port), os.path.join(tls, "server.crt"), os.path.join(tls, "server.key"))
    kid, sealed = parent.postgres.psql("SELECT kid, encode(sealed, 'hex') FROM signing_key WHERE use = 'bundle'")[0]
    with open(os.path.join(parent.state, "parent.key"), "rb") as f:
        key = wireproxy.BundleKey(kid, bytes.fromhex(sealed), f.read())
    agent = new_agent(workdir, "versions", programs)
    assert agent.join(proxy.url, pin_of(parent.ca), *(parent.admin or parent.reset_admin())).returncode == 0
    agent.start()
    device, pid = agent.identity()["device_id"], agent.pid
    size = 20_000_000

    def sections(bundle, **more):
        now = wireproxy.payload_of(bundle)["sections"]
        return {**now, "postfix": {**now["postfix"], **more}}

    def publish():
        nonlocal size
        size += 1
        return api.publish({"devices": {device: {KEY: size}}}, "versions")["pub"]

    def taken(pub):
        wait_until(lambda: (agent.status()["status"]["observed"] or {}).get("pub") == pub, f"the agent to take {pub}", 60, 0.1)

    cases = {
        "UnsupportedSchema": lambda b: key.again(b, sections=sections(b, schema=2)),
        "UnsupportedCritical": lambda b: key.again(b, crit=["teleport"], teleport={}),
        "AgentTooOld": lambda b: key.again(b, min_agent="7.0.0"),
        "Malformed": lambda b: key.again(b, mode="levitate"),
    }
    try:
        taken(publish())
        for reason, change in cases.items():
            proxy.change = lambda a, c=change: a.set_body(c(a.body))
            before = agent.status()["status"]["observed"]["rev"]
            pub = publish()
            wait_until(lambda r=reason: agent.condition("ConfigVerified")["reason"] == r, reason, 60, 0.1)
            assert agent.condition("ConfigVerified")["status"] == "False" and agent.status()["status"]["observed"]["rev"] == before
            wait_until(lambda r=reason: any(c["reason"] == r for c in api.ok("GET", f"/devices/{device}")["conditions"]),
                       f"the parent to be told {reason}", 30, 0.2)
            proxy.change = None
            taken(pub)
            assert agent.condition("ConfigVerified")["status"] == "True" and agent.pid == pid and agent.alive()
        # A later section beside ours, and members nobody knows.
        proxy.change = lambda a: a.set_body(key.again(a.body, colour="blue", apply={"order": ["postfix"], "gently": True}))
        taken(publish())
        proxy.change = lambda a: a.set_body(key.again(a.body, sections={**sections(a.body), "scan": {"schema": 1, "settings": {}}}))
        publish()
        wait_until(lambda: agent.condition("ConfigVerified")["reason"] == "UnsupportedSchema", "the refusal", 60, 0.1)
        assert agent.pid == pid and agent.alive()
    finally:
        proxy.change = None
        agent.stop()
        proxy.close()


class Locked:
    """A transaction that keeps a table from whoever wants it alone."""

    def __init__(self, postgres, table):
        self.p = subprocess.Popen(as_user("inari-db", ["psql", "-qXAt", "-h", postgres.socket, "-U", "postgres", "-d", "inari"]),
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        self.say(f"BEGIN; LOCK TABLE {table} IN ACCESS SHARE MODE; SELECT 'held';")
        assert self.p.stdout.readline().strip() == "held"

    def say(self, sql):
        self.p.stdin.write(sql + "\n")
        self.p.stdin.flush()

    def end(self):
        self.p.communicate("COMMIT;\n", timeout=20)


@pytest.mark.slow
def test_f14_children_poll_while_the_schema_changes(new_parent):
    """The next version's migration wants a table that is in use: children are answered all the while, reports too, and
    afterwards both versions serve; the older one does not start anew."""
    parent = new_parent()
    api = parent.token()
    d = make_device(api, parent)
    d.fetch()
    assert d.put_status(d.status(running=False)).status_code == 204
    later = os.path.join(parent.dir, "next.sql")
    with open(later, "w") as f:
        f.write("ALTER TABLE device ADD COLUMN later text; ALTER TABLE device_status ADD COLUMN later text;")
    os.chmod(later, 0o644)
    env = {**os.environ, **parentlib.SAN_ENV, "INARI_MIGRATION_NEXT": later}
    schema = int(parent.postgres.psql("SELECT max(number) FROM schema_migration")[0][0])
    codes, reports, stop = [], [], threading.Event()

    def poll():
        while not stop.wait(0.2):
            codes.append(d.desired().status_code)
            reports.append(d.put_status(d.status(running=False)).status_code)
            d.status_digest = d.status_digest or "0" * 64
    held = Locked(parent.postgres, "device")
    t = threading.Thread(target=poll)
    t.start()
    try:
        migrate = subprocess.Popen(as_user("inari", [parent.programs["inarid"], "--config", parent.conf, "migrate"]), env=env,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/")
        wait_until(lambda: parent.postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                                                "application_name = 'inarid migrate'") != [["0"]], "the migration to wait", 30)
        begin = len(codes), len(reports)
        wait_until(lambda: len(reports) >= begin[1] + 8, "children to be served meanwhile", 60, 0.1)
        assert migrate.poll() is None, migrate.stdout.read()
        assert int(parent.postgres.psql("SELECT max(number) FROM schema_migration")[0][0]) == schema
        during = codes[begin[0]:], reports[begin[1]:]
    finally:
        held.end()
    said = migrate.communicate(timeout=60)[0]
    assert migrate.returncode == 0 and "schema.waits" in said and "schema.migrated" in said, said
    wait_until(lambda n=len(codes): len(codes) > n + 3, "polls after it", 20)
    stop.set()
    t.join()
    assert set(codes) == {304}, codes
    assert set(during[1]) <= {204, 503} and 204 in during[1], f"no report was taken while the migration waited: {during[1]}"
    assert int(parent.postgres.psql("SELECT max(number) FROM schema_migration")[0][0]) == schema + 1

    # The old version goes on with the new schema, the new one comes beside it.
    pub = api.publish({"fleet": {KEY: 21_000_000}}, "by the old one")["pub"]
    assert d.fetch()["pub"] == pub
    parent.stop()
    parent.start(wait=False)
    wait_until(lambda: re.search(r"the database has schema \d+, this program knows \d+", parent.log()), "the refusal", 30)
    assert parent.session().get("/readyz").status_code == 503
    parent.stop()
    parent.start({"INARI_MIGRATION_NEXT": later})
    assert d.desired().status_code == 304
    assert parent.token().ok("GET", "/parent")["database"]["schema"] == schema + 1
