"""Tracked commands through the whole pair on the lab: parent, agent, helper and a real Postfix; kills in the middle."""
import io
import json
import os
import subprocess
import tarfile
import time
import uuid

import parentlib
import pytest
import wireclient
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from inarilab import parts
from inarilab.system import programs
from parentlib import wait_until
from test_pair_faults import attempt, condition, inherit, new_size, publish_for, respawn

pytestmark = pytest.mark.lab
OPEN = ("queued", "delivered", "running")


def give(lab, child, kind, args=None, **body):
    return lab.api.ok("POST", f"/devices/{child}/commands", {"kind": kind, "args": args or {}, **body})["id"]


def command(lab, ident):
    return lab.api.ok("GET", f"/commands/{ident}")


def ended(lab, ident, timeout=30):
    return wait_until(lambda: (lambda c: c if c["state"] not in OPEN else None)(command(lab, ident)),
                      f"command {ident} to end (is {command(lab, ident)})", timeout, 0.05)


def done(lab, ident, timeout=30):
    c = ended(lab, ident, timeout)
    assert c["state"] == "done", c
    return c


def run(lab, child, kind, args=None, timeout=30, **body):
    return done(lab, give(lab, child, kind, args, **body), timeout)


def output(lab, ident):
    text, at = "", 0
    while True:
        page = lab.api.ok("GET", f"/commands/{ident}/output?from={at}")
        text += page["text"]
        at = page["next"]
        if page["complete"]:
            return text


def queue(lab, child, **args):
    c = run(lab, child, "queue-show", args)
    return [json.loads(x) for x in output(lab, c["id"]).splitlines()], c["result"]


def put_in_queue(lab, child, count, mark=None):
    """Messages held in the child's queue: submitted on the host itself while everything new is put on hold."""
    mark = mark or f"cmd-{uuid.uuid4().hex[:8]}"
    code = ("import subprocess,sys\nfor i in range(int(sys.argv[1])):\n subprocess.run(['/usr/sbin/sendmail','-f',"
            "'%s-%d@outside.test'%(sys.argv[2],i),'user@example.test'],input=b'Subject: x\\n\\nx\\n',check=True)")
    lab.execute(child, "/usr/bin/python3", "-c", code, str(count), mark, timeout=120)
    return mark


@pytest.fixture
def child(healthy_lab):
    """The last child, afterwards with an ordinary agent and helper and nothing of ours in its queue."""
    name = healthy_lab.children[-1]
    yield name
    for part in ("helper", "agent"):
        respawn(healthy_lab, name, part)
    healthy_lab.wait_in_sync([name])


def cli(lab, *args, check=True):
    j = lab.json
    env = {**os.environ, "INARI_API": j["api"], "INARI_CA": j["ca"], "INARI_TOKEN": lab.lab.state["token"], "LC_ALL": "C",
           **parentlib.SAN_ENV}
    r = subprocess.run([programs(parentlib.build_dir())["inarictl"], *args], capture_output=True, text=True, env=env, timeout=150)
    assert not check or r.returncode == 0, r.stdout + r.stderr
    return r


def test_self_check_and_queue_by_inarictl(lab):
    child = lab.children[0]
    checks = json.loads(cli(lab, "self-check", child, "--json").stdout)
    assert checks["state"] == "done" and checks["result"]["ok"] is True
    assert {"helper", "postfix-running", "listeners", "agent", "running-configuration"} <= \
        {c["name"] for c in checks["result"]["checks"]}
    text = cli(lab, "queue", child).stdout
    assert "messages" in text
    rows = cli(lab, "commands", "--device", child).stdout
    assert "queue-show" in rows and "self-check" in rows and "done" in rows


@pytest.mark.slow
def test_waits_while_the_device_is_away_and_expires(healthy_lab, child):
    """Queued for an agent that is down: one runs on its return, one has expired by then and never runs."""
    lab, host = healthy_lab, healthy_lab.lab.host(child)
    host.kill("inari-agent")
    wait_until(lambda: not host.named("inari-agent"), "the agent to be gone", 10)
    short, long_ = give(lab, child, "self-check", expires_in_s=10), give(lab, child, "queue-show", expires_in_s=600)
    gone = ended(lab, short, 25)
    assert gone["state"] == "expired" and gone["started_at"] is None and command(lab, long_)["state"] == "queued"
    respawn(lab, child, "agent")
    done(lab, long_)
    assert command(lab, short)["state"] == "expired"


POINTS = [("agent", "command-kept"), ("agent", "command-accepted"), ("agent", "command-begun"), ("agent", "command-done"),
          ("agent", "command-told"), ("helper", "command-begun"), ("helper", "command-done")]


@pytest.mark.slow
@pytest.mark.parametrize("part,point", POINTS)
def test_killed_in_the_middle_and_still_done(healthy_lab, child, part, point):
    """kill -9 of the agent or the helper at each step: the command ends as done, its output is there once."""
    lab, host = healthy_lab, healthy_lab.lab.host(child)
    program = parts.PARTS[part]
    respawn(lab, child, part, INARI_CRASH_AT=point)
    ident = give(lab, child, "queue-show")
    wait_until(lambda: not host.named(program), f"{program} to die at {point}", 20)
    respawn(lab, child, part)
    c = done(lab, ident)
    assert len(output(lab, ident).encode()) == c["output_bytes"]


@pytest.mark.slow
def test_parent_killed_in_the_middle(healthy_lab, child):
    lab = healthy_lab
    ident = give(lab, child, "queue-show")
    lab.verb("kill", "parent/inarid")
    lab.verb("start", "parent")
    done(lab, ident, 60)
    time.sleep(0.2)
    assert len(output(lab, ident).encode()) == command(lab, ident)["output_bytes"]


# --- the queue ---

@pytest.fixture
def stuck(healthy_lab, child):
    """The child, with nowhere to deliver to; afterwards its queue is empty."""
    lab = healthy_lab
    lab.verb("kill", "inside/sink")
    try:
        yield child
    finally:
        run(lab, child, "queue-delete", {"all": True})
        lab.verb("start", "inside")


def senders(lab, child):
    return {m["sender"].split("@")[0]: m["queue_name"] for m in queue(lab, child)[0]}


def waiting(lab, child, mark, count):
    def there():
        return len([1 for s, q in senders(lab, child).items() if s.startswith(mark) and q not in ("active", "incoming")]) == count
    wait_until(there, f"{count} messages of {mark} to wait", 30, 0.3)


def test_queue_hold_release_delete(healthy_lab, stuck):
    lab, child = healthy_lab, stuck
    mark = put_in_queue(lab, child, 3)
    waiting(lab, child, mark, 3)
    ids = {m["sender"].split("@")[0]: m["queue_id"] for m in queue(lab, child)[0]}
    one, two = ids[f"{mark}-0"], ids[f"{mark}-1"]
    r = run(lab, child, "queue-hold", {"ids": [one, two, "ABCDEF123456"]})
    assert (r["result"]["chosen"], r["result"]["done"], r["result"]["missing"]) == (2, 2, 1)
    assert output(lab, r["id"]) == "ABCDEF123456 not there\n"
    assert [senders(lab, child)[f"{mark}-{i}"] for i in (0, 1)] == ["hold", "hold"]
    only, result = queue(lab, child, queue="hold", limit=1)
    assert len(only) == 1 and result["messages"] == 2 and result["queues"]["hold"] == 2
    assert run(lab, child, "queue-release", {"ids": [one]})["result"]["done"] == 1
    assert run(lab, child, "queue-delete", {"all": True, "queue": "hold"})["result"]["done"] == 1
    assert set(senders(lab, child)) >= {f"{mark}-0", f"{mark}-2"} and f"{mark}-1" not in senders(lab, child)


@pytest.mark.slow
def test_queue_by_inarictl(healthy_lab, stuck):
    lab, child = healthy_lab, stuck
    mark = put_in_queue(lab, child, 2)
    waiting(lab, child, mark, 2)
    assert cli(lab, "queue", child, "delete", "--all", check=False).returncode == 2  # wants --yes
    bad = cli(lab, "queue", child, "hold", "../../etc/passwd", check=False)
    assert bad.returncode == 3 and "/ids/0" in bad.stderr.replace("args/ids/0", "/ids/0") and "letters and digits" in bad.stderr
    assert cli(lab, "queue", child, "hold", "AAAAAAAAAA", check=False).returncode == 7
    assert "2 of 2" in cli(lab, "queue", child, "hold", "--all").stdout
    assert "hold" in cli(lab, "queue", child, "show", "--queue", "hold").stdout
    assert "2 of 2" in cli(lab, "queue", child, "delete", "--all", "--queue", "hold", "--yes").stdout


@pytest.mark.slow
@pytest.mark.parametrize("queue", [None, "deferred"])
def test_flush_delivers_now(healthy_lab, child, queue):
    lab = healthy_lab
    lab.verb("kill", "inside/sink")
    mark = put_in_queue(lab, child, 1)
    waiting(lab, child, mark, 1)
    lab.verb("start", "inside")
    run(lab, child, "queue-flush", {"all": True, "queue": queue} if queue else {"all": True})
    wait_until(lambda: f"{mark}-0" not in senders(lab, child), "the message to be delivered", 20, 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("part,point", [("helper", "command-chosen"), ("helper", "command-done"), ("agent", "command-done")])
def test_delete_all_is_done_exactly_once(healthy_lab, stuck, part, point):
    """kill -9 in the middle of "delete all": what was there is deleted, what came after it began is not."""
    lab, child = healthy_lab, stuck
    host = lab.lab.host(child)
    old = put_in_queue(lab, child, 3)
    waiting(lab, child, old, 3)
    respawn(lab, child, part, INARI_CRASH_AT=point)
    ident = give(lab, child, "queue-delete", {"all": True})
    wait_until(lambda: not host.named(parts.PARTS[part]), f"{part} to die at {point}", 20)
    new = put_in_queue(lab, child, 2)
    respawn(lab, child, part)
    c = done(lab, ident)
    assert (c["result"]["chosen"], c["result"]["done"]) == (3, 3), c
    left = set(senders(lab, child))
    assert not [s for s in left if s.startswith(old)] and len([s for s in left if s.startswith(new)]) == 2


# --- services: wanted and seen ---

@pytest.fixture
def serving(healthy_lab, child):
    """The child; afterwards its Postfix runs and is wanted to."""
    yield child
    for part in ("helper", "agent"):
        respawn(healthy_lab, child, part)
    run(healthy_lab, child, "service-start", {"service": "postfix"})
    inherit(healthy_lab, child, "smtp.message_size_limit")


def postfix_of(lab, child):
    return (lab.api.ok("GET", f"/devices/{child}")["running"] or {}).get("postfix", {})


def starts(lab, child):
    """How often a master has started here, as Postfix itself counts it."""
    return lab.log(child).count("daemon started")


def master_runs(lab, child):
    return lab.execute(child, "postfix", "status", check=False).returncode == 0


@pytest.mark.slow
def test_stopped_stays_stopped(healthy_lab, serving):
    """Pain 5: what is wanted is kept apart from what is seen: neither restarts of agent and helper nor a publication
    start a Postfix that was stopped on purpose; the order that starts it brings the change as well."""
    lab, child = healthy_lab, serving
    before = starts(lab, child)
    run(lab, child, "service-stop", {"service": "postfix"}, reason="disk is swapped")
    seen = wait_until(lambda: (lambda p: p if p.get("state") == "stopped" else None)(postfix_of(lab, child)), "the report", 10)
    assert seen["desired"]["state"] == "stopped" and seen["desired"]["by"].startswith("token:")
    assert seen["desired"]["reason"] == "disk is swapped" and seen["desired"]["since"]
    said = condition(lab, child, "ServiceRunning")
    assert (said["status"], said["reason"]) == ("False", "StoppedOnPurpose") and "token:" in said["message"]
    for part in ("helper", "agent"):
        respawn(lab, child, part)
    size = new_size()
    pub = publish_for(lab, child, size)
    a = attempt(lab, child, pub, ("held",))
    assert "stopped on purpose" in a["problem"]["detail"]
    assert not master_runs(lab, child) and starts(lab, child) == before
    r = ended(lab, give(lab, child, "service-restart", {"service": "postfix"}))
    assert r["state"] == "failed" and "stopped on purpose" in r["problem"]["detail"]
    run(lab, child, "service-start", {"service": "postfix"})
    lab.wait_ehlo(f"SIZE {size}", [child], timeout=40)
    assert condition(lab, child, "ServiceRunning")["status"] == "True"
    assert "postfix" in cli(lab, "service", child).stdout.lower() or "running" in cli(lab, "service", child).stdout


@pytest.mark.slow
def test_seen_stopped_is_never_remembered_as_wanted(healthy_lab, serving):
    """Pain 5: a Postfix that somebody killed is reported as not running, and still wanted; with drift to be enforced it
    is started again."""
    lab, child = healthy_lab, serving
    lab.execute(child, "postfix", "stop")
    assert run(lab, child, "self-check")["result"]["ok"] is False
    said = wait_until(lambda: (lambda c: c if c["reason"] == "NotRunning" else None)(condition(lab, child, "ServiceRunning")),
                      "the condition", 20, 0.2)
    assert said["status"] == "False" and postfix_of(lab, child)["desired"]["state"] == "running"
    assert not master_runs(lab, child)  # drift is only to be reported
    lab.api.change(f"/devices/{child}", {"drift": "enforce"})
    try:
        wait_until(lambda: master_runs(lab, child), "Postfix to be started", 90, 0.5)
    finally:
        lab.api.change(f"/devices/{child}", {"drift": "report"})
    lab.wait_in_sync([child])
    lab.execute(child, "postfix", "stop")
    respawn(lab, child, "agent")  # as after a reboot: what is wanted runs
    wait_until(lambda: master_runs(lab, child), "Postfix to be started", 60, 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("part,point", [("helper", "command-begun"), ("helper", "command-wanted"), ("helper", "command-stopped"),
                                        ("helper", "command-done"), ("agent", "command-begun"), ("agent", "command-done")])
def test_restart_happens_exactly_once(healthy_lab, serving, part, point):
    """kill -9 in the middle of a restart: Postfix's own log counts one start, whatever was killed where."""
    lab, child = healthy_lab, serving
    before = starts(lab, child)
    respawn(lab, child, part, INARI_CRASH_AT=point)
    ident = give(lab, child, "service-restart", {"service": "postfix"})
    wait_until(lambda: not lab.lab.host(child).named(parts.PARTS[part]), f"{part} to die at {point}", 20)
    respawn(lab, child, part)
    done(lab, ident)
    time.sleep(0.3)
    assert starts(lab, child) == before + 1 and master_runs(lab, child)


# --- the debug bundle ---

def test_debug_bundle_is_for_the_caller_only_and_holds_no_secret(healthy_lab, child, tmp_path):
    """Planted secrets are not in it; what the parent stores is not readable for the parent."""
    lab = healthy_lab
    main = os.path.join(lab.root(child), "etc/postfix/main.cf")
    text = open(main).read()
    with open(main, "a") as f:
        f.write("my_ldap_bind_pw = Geheim-1\nmy_route = smtp://joe:Geheim-2@mail.test\nmy_password =\n  Geheim-3\n")
    try:
        out = tmp_path / "bundle.tar"
        said = json.loads(cli(lab, "debug-bundle", child, "--out", str(out), "--reason", "ticket 7", "--json").stdout)
    finally:
        with open(main, "w") as f:
            f.write(text)
    assert out.stat().st_mode & 0o777 == 0o600 and said["bytes"] == out.stat().st_size
    with tarfile.open(out) as t:
        files = {m.name: t.extractfile(m).read().decode(errors="replace") for m in t.getmembers()}
    assert {"postfix/main.cf", "postfix/master.cf", "inari/status.json", "inari/helper.json"} <= set(files)
    assert "my_ldap_bind_pw = [removed]" in files["postfix/main.cf"]
    assert f'"device": "{lab.api.ok("GET", f"/devices/{child}")["id"]}"' in files["inari/status.json"]
    assert not [n for n, x in files.items() if "Geheim" in x]
    stored = output(lab, said["command"]["id"])
    assert stored.count(".") == 4 and "myhostname" not in stored  # one compact JWE
    header = json.loads(wireclient.unb64u(stored.split(".")[0]))
    assert (header["alg"], header["enc"]) == ("ECDH-ES", "A256GCM")


@pytest.mark.slow
def test_debug_bundle_opens_with_standard_tools(healthy_lab, child):
    """RFC 7516 and 7518 4.6, by another implementation."""
    lab, key = healthy_lab, wireclient.Key()
    c = run(lab, child, "debug-bundle", {"key": key.jwk})
    head, _, iv, sealed, tag = output(lab, c["id"]).split(".")
    epk = json.loads(wireclient.unb64u(head))["epk"]
    there = ec.EllipticCurvePublicNumbers(*(int.from_bytes(wireclient.unb64u(epk[k]), "big") for k in "xy"),
                                          ec.SECP256R1()).public_key()
    z = key.private.exchange(ec.ECDH(), there)
    secret = ConcatKDFHash(hashes.SHA256(), 32, b"\0\0\0\x07A256GCM" + bytes(8) + b"\0\0\x01\0").derive(z)
    plain = AESGCM(secret).decrypt(wireclient.unb64u(iv), wireclient.unb64u(sealed) + wireclient.unb64u(tag), head.encode())
    with tarfile.open(fileobj=io.BytesIO(plain)) as t:
        assert "postfix/main.cf" in t.getnames() and len(t.getnames()) == c["result"]["files"]
    bad = lab.api.post(f"/devices/{child}/commands", json={"kind": "debug-bundle", "args": {"key": {**key.jwk, "x": "A" * 43}}})
    assert bad.status_code == 422 and bad.json()["errors"][0]["pointer"] == "/args/key"


# --- the test message ---

def test_test_message_is_followed_to_its_result(healthy_lab, child):
    """Sent, bounced and deferred, in the words of the next hop; a bad address is refused before anything is sent."""
    lab = healthy_lab
    # A next hop that another test had taken away counts as dead until Postfix is told to try again.
    run(lab, child, "queue-flush", {"all": True})
    sent = wait_until(lambda: (r := run(lab, child, "test-message", {"recipient": "user@example.test"})["result"])
                      and r["status"] == "sent" and r, "the next hop to take it", 30, 1)
    assert sent["queue_id"] and sent["relay"] and sent["text"].startswith("(250 ")
    wait_until(lambda: len(lab.arrived(sent["message_id"])) == 1, "the message to arrive", 20, 0.2)
    bounced = run(lab, child, "test-message", {"recipient": "user@nowhere.invalid"})["result"]
    assert bounced["status"] in ("bounced", "deferred") and bounced["text"]
    assert "sent" in cli(lab, "test-message", child, "--to", "user@example.test", "--from", "me@example.test").stdout
    lab.verb("kill", "inside/sink")
    try:
        late = run(lab, child, "test-message", {"recipient": "user@example.test"})["result"]
        assert late["status"] == "deferred" and late["text"]
    finally:
        lab.verb("start", "inside")
        run(lab, child, "queue-delete", {"all": True})
    for bad in ("-oQ/tmp@example.test", "a b@example.test", "nobody", "a@b@c.test", "x@$(id).test"):
        r = lab.api.post(f"/devices/{child}/commands", json={"kind": "test-message", "args": {"recipient": bad}})
        assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/args/recipient", bad


@pytest.mark.slow
@pytest.mark.parametrize("part,point,ends", [("helper", "command-chosen", "interrupted"), ("helper", "command-sent", "done"),
                                             ("helper", "command-done", "done"), ("agent", "command-done", "done")])
def test_test_message_is_sent_at_most_once(healthy_lab, child, part, point, ends):
    """kill -9 before and after the sending: never two; when nobody can know, it says so instead of sending again."""
    lab = healthy_lab
    respawn(lab, child, part, INARI_CRASH_AT=point)
    ident = give(lab, child, "test-message", {"recipient": "user@example.test"})
    wait_until(lambda: not lab.lab.host(child).named(parts.PARTS[part]), f"{part} to die at {point}", 20)
    respawn(lab, child, part)
    c = ended(lab, ident)
    assert c["state"] == ends, c
    time.sleep(1)
    assert len(lab.arrived(ident)) == (1 if ends == "done" else 0) and set(lab.arrived(ident).values()) <= {1}
