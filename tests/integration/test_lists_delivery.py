"""Lists of addresses on their way: a poll that names them, a signed manifest, files that a device keeps, the daemon that has them in force."""
import os
import socket
import threading
import time
import uuid

import parentlib
import pytest
import wireclient
from agentlib import new_agent, pin_of
from parentlib import wait_until

LISTS = f"{wireclient.AGENT}/lists"


@pytest.fixture(autouse=True)
def empty(api):
    yield
    for name in ("approved", "blocked"):
        if api.ok("GET", f"/lists/{name}")["rows"]:
            api.ok("POST", f"/lists/{name}/remove", {"match": {"all": True}})


def add(api, name, *networks, **more):
    return api.ok("POST", f"/lists/{name}/rows", {"rows": [{"network": n} for n in networks], **more})


def gone(api, device_id):
    assert api.post(f"/devices/{device_id}/retire", json={}).status_code < 300
    api.delete(f"/devices/{device_id}", headers={"If-Match": api.get(f"/devices/{device_id}").headers["ETag"]})


@pytest.fixture
def enrol(parent, api):
    made = []

    def make():
        d = wireclient.Device(parent.base, parent.ca, f"mx-{uuid.uuid4().hex[:6]}")
        d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
        d.fetch()
        assert d.put_status().status_code == 204
        made.append(d)
        return d
    yield make
    for d in made:
        gone(api, d.id)


def token(d):
    return d.desired(**{"Inari-Lists": "0"}).headers["Inari-Lists"]


def at_rest(d):
    """The token, once what the tests before took away has come through."""
    seen = [""] * 4
    wait_until(lambda: seen.append(token(d)) or len(set(seen[-5:])) == 1, "the lists to rest", 10, every=0.1)
    return seen[-1]


def manifest(d):
    r = d.call("GET", LISTS, headers=d.auth())
    assert r.status_code == 200, r.text
    return wireclient.open_jws(r.content, "inari-lists+jws", d.keys("bundle"))[1]


def new_token(d, old):
    """The parent's table follows a hint; polls see it a moment later."""
    box = []
    wait_until(lambda: box.append(token(d)) or box[-1] != old, "another token", 5)
    return box[-1]


def test_the_manifest_says_what_the_device_is_to_have(api, enrol):
    d, other = enrol(), enrol()
    old = at_rest(d)
    add(api, "blocked", "203.0.113.0/24", "2001:db8::/32")
    first = new_token(d, old)
    m = manifest(d)
    assert m["token"] == first == token(other) and m["lists"]["approved"] is None
    assert m["lists"]["blocked"]["rows"] == 2 and m["fleet"] == d.trust["fleet"]
    assert manifest(other)["lists"] == m["lists"]
    blob = d.call("GET", f"{wireclient.AGENT}/blobs/{m['lists']['blocked']['sha256']}", headers=d.auth())
    assert blob.status_code == 200 and blob.headers["Content-Type"] == "application/zstd"
    assert "immutable" in blob.headers["Cache-Control"] and len(blob.content) == m["lists"]["blocked"]["packed"]
    assert d.call("GET", f"{wireclient.AGENT}/blobs/{'0' * 64}", headers=d.auth()).status_code == 404
    assert d.call("GET", LISTS).status_code == 401
    # rows of one device are nobody else's
    add(api, "blocked", "198.51.100.7", "203.0.113.0/24", scope=f"device:{d.name}")
    second = new_token(d, first)
    assert token(other) == first and manifest(d)["lists"]["blocked"]["rows"] == 3
    assert manifest(d)["seq"] > m["seq"]
    # a group's become the device's with its membership
    group = api.ok("POST", "/groups", {"name": f"g-{uuid.uuid4().hex[:6]}"})
    add(api, "approved", "198.51.100.8", scope=f"group:{group['id']}")
    assert token(d) == second
    api.put(f"/groups/{group['id']}/members/{d.id}")
    new_token(d, second)
    assert manifest(d)["lists"]["approved"]["rows"] == 1 and manifest(other)["lists"]["approved"] is None
    api.delete(f"/groups/{group['id']}/members/{d.id}")
    wait_until(lambda: token(d) == second, "the lists from before", 5)
    api.ok("POST", "/lists/approved/remove", {"match": {"all": True}})
    api.delete(f"/groups/{group['id']}", headers={"If-Match": api.get(f"/groups/{group['id']}").headers["ETag"]})


def test_a_change_wakes_the_held_poll(parent, api, enrol):
    d = enrol()
    known = at_rest(d)
    box = []

    def held():
        began = time.monotonic()
        r = d.desired(wait=20, **{"Inari-Lists": known})
        box.append((time.monotonic() - began, r.status_code, r.headers["Inari-Lists"]))
    thread = threading.Thread(target=held)
    thread.start()
    time.sleep(1)
    assert not box
    changed = time.monotonic()
    add(api, "blocked", "203.0.113.5")
    thread.join(timeout=15)
    assert time.monotonic() - changed < 3
    assert box[0][1] == 304 and box[0][2] != known
    # who does not know them is answered at once
    began = time.monotonic()
    assert d.desired(wait=20, **{"Inari-Lists": known}).status_code == 304
    assert time.monotonic() - began < 5


def test_an_unchanged_poll_asks_the_database_nothing(parent, api, enrol):
    d = enrol()
    old = at_rest(d)
    add(api, "blocked", "203.0.113.5", scope=f"device:{d.name}")
    known = new_token(d, old)

    def count():
        text = api.get(parent.base + "/metrics").text
        return int(next(l for l in text.splitlines() if l.startswith("inari_db_request_statements")).split()[-1])
    before = count()
    for _ in range(20):
        assert d.desired(**{"Inari-Lists": known}).status_code == 304
    assert count() - before <= 3  # the two looks at the figures themselves


@pytest.fixture
def agent(parent, api, workdir, programs):
    a = new_agent(workdir, "lists", programs)
    user, password = parent.admin or parent.reset_admin()
    r = a.join(parent.base, pin_of(parent.ca), user, password)
    assert r.returncode == 0, r.stderr
    a.device_id = a.identity()["device_id"]
    a.lists = f"{a.state}-lists"
    a.control = os.path.join(os.path.dirname(a.conf), "fox", "control")
    with open(a.conf, "a") as f:
        f.write(f"foxproxy.control = {a.control}\n")
    a.start()
    yield a
    a.stop()
    gone(api, a.device_id)


def kept(a):
    names = os.listdir(a.lists) if os.path.isdir(a.lists) else []
    return sorted(n for n in names if n.endswith(".iplist"))


def reported(a):
    return a.status()["status"]["lists"]


def test_the_agent_keeps_the_present_lists_and_those_before(parent, api, agent):
    began = time.monotonic()
    add(api, "blocked", "203.0.113.0/24")
    wait_until(lambda: reported(agent)["blocked"] is not None, "the first list", 10)
    print(f"first list after {time.monotonic() - began:.2f} s")
    first = kept(agent)
    assert len(first) == 1 and oct(os.stat(os.path.join(agent.lists, first[0])).st_mode)[-3:] == "644"
    times = []
    for i in range(3):
        began = time.monotonic()
        before = reported(agent)["token"]
        add(api, "blocked", f"198.51.100.{i}")
        wait_until(lambda: reported(agent)["token"] != before, "the next list", 10, every=0.01)
        times.append(time.monotonic() - began)
    print("further lists after", [f"{t:.2f}" for t in times])
    assert min(times) < 3
    assert len(kept(agent)) == 2 and first[0] not in kept(agent)
    assert reported(agent)["blocked"]["rows"] == 4
    # the parent is told
    wait_until(lambda: api.ok("GET", f"/devices/{agent.device_id}/status")["status"].get("lists", {}).get("blocked", {}).get("rows") == 4,
               "the report", 10)
    # over a kill of the agent, and with the parent away, they are still there
    agent.end(9)
    parent.stop()
    agent.start()
    assert reported(agent)["blocked"]["rows"] == 4
    parent.start()
    add(api, "approved", "198.51.100.77")
    wait_until(lambda: reported(agent)["approved"] is not None, "the list of a parent that came back", 40)


def test_a_damaged_file_is_fetched_again(parent, api, agent):
    add(api, "blocked", "203.0.113.0/24")
    wait_until(lambda: reported(agent)["blocked"] is not None, "the first list", 10)
    agent.end(15)
    path = os.path.join(agent.lists, kept(agent)[0])
    os.truncate(path, 100)
    agent.start()
    wait_until(lambda: os.path.getsize(path) > 100, "the file again", 20)


@pytest.fixture
def fox(agent, workdir, programs):
    """The real daemon in front of nothing, at a control socket of its own."""
    d = os.path.dirname(agent.control)
    os.makedirs(d, mode=0o755)
    os.makedirs(os.path.join(d, "state"))
    port, backend = parentlib.free_port(), parentlib.free_port()
    with open(os.path.join(d, "foxproxy.ini"), "w") as f:
        f.write(f"[main]\ndigest = {'0' * 64}\nlisten = 127.0.0.1:{port}\nbackend = 127.0.0.1:{backend}\nhostname = mx.example.test\n"
                "max_sessions = 10\n[approved]\nmode = on\n[blocked]\nmode = on\n")
    p = parentlib.Process("foxproxy", d)
    p.port = port
    program = os.path.join(parentlib.build_dir(), "mail", "foxproxy", "foxproxy")
    p.argv = [program, "--config", os.path.join(d, "foxproxy.ini"), "--control", agent.control, "--state", os.path.join(d, "state"),
              "--user", "root", "--loops", "1"]
    yield p
    if p.alive():
        p.end()


def greeting(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            s.settimeout(2)
            return s.recv(500).decode()
    except OSError:
        return ""


def test_the_daemon_refuses_what_was_just_blocked(parent, api, agent, fox):
    fox.launch(fox.argv)
    wait_until(lambda: os.path.exists(agent.control) or not fox.alive(), "foxproxy")
    assert fox.alive(), fox.log()
    api.ok("POST", "/lists/blocked/rows?force=test", {"rows": [{"network": "127.0.0.0/8"}]})
    began = time.monotonic()
    wait_until(lambda: greeting(fox.port).startswith("554"), "the refusal", 10, every=0.02)
    took = time.monotonic() - began
    print(f"refused {took:.2f} s after the change was answered")
    assert "list.blocked" in greeting(fox.port)
    wait_until(lambda: (reported(agent)["loaded"] or {}).get("blocked") == reported(agent)["blocked"]["sha256"], "what it says", 60)
    # approved goes before blocked, and a row that goes lets in again
    api.ok("POST", "/lists/approved/rows", {"rows": [{"network": "127.0.0.1"}]})
    wait_until(lambda: not greeting(fox.port).startswith("554"), "approved", 10, every=0.02)
    # a daemon that was killed has them again
    api.ok("POST", "/lists/approved/remove", {"match": {"all": True}})
    wait_until(lambda: greeting(fox.port).startswith("554"), "the refusal again", 10, every=0.02)
    fox.end(9)
    fox.launch(fox.argv)
    wait_until(lambda: fox.alive() and os.path.exists(agent.control), "foxproxy again")
    wait_until(lambda: greeting(fox.port).startswith("554"), "the refusal after its start", 10)
