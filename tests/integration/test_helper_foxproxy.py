"""foxproxy as a part of the helper's transaction: a real helper, a real Postfix and a real foxproxy in a network of their own."""
import json
import os
import shutil
import signal
import socket
import tempfile
import threading
import time

import pytest
from helperlib import DEVICE, Device, HelperError, digest, proxy_v2, reply, settings, wait_until

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and Postfix"),
              pytest.mark.skipif(not shutil.which("postfix"), reason="needs Postfix")]


@pytest.fixture
def make():
    made = []

    def one(**kw):
        d = Device(tempfile.mkdtemp(prefix="inari-front-"), front=True, **kw)
        made.append(d)
        d.postfix("start")
        return d

    yield one
    for d in made:
        d.close()
        shutil.rmtree(d.tmp, ignore_errors=True)


@pytest.fixture
def device(make):
    d = make()
    d.start()
    return d


def ready(c, n, path):
    c.call("stage", digest=digest(n), device_id=DEVICE, epoch=1, rev=n, pub=n,
           settings=settings(path__mode=path, smtp__banner_text=f"number{n}"))
    c.call("validate", digest=digest(n))
    c.call("trial_stop", digest=digest(n))


def apply(c, n, path):
    ready(c, n, path)
    c.call("switch", digest=digest(n))
    c.call("commit", digest=digest(n))


def ini(d):
    try:
        with open(d.path("fox", "foxproxy.ini")) as f:
            return f.read()
    except FileNotFoundError:
        return None


def owner(d, port=25):
    return d.inside("ss", "-Hltnp", f"sport = :{port}").stdout


def whole(d, c, n, path):
    """Port 25 answers with content n, by whom path says, and nothing of the other way is left."""
    seen = c.call("running")
    assert seen["on_disk"] == digest(n) and d.banner_digests() == (digest(n), digest(n))
    assert f"number{n}" in d.dialogue(25)[0]
    if path == "front":
        assert "foxproxy" in owner(d) and "master" not in owner(d) and len(d.foxproxy()) == 1
        assert (seen["foxproxy"]["state"], seen["foxproxy"]["digest"], seen["foxproxy"]["wanted"]) == ("running", digest(n), True)
        assert f"digest = {digest(n)}" in ini(d)
        assert os.stat(d.path("fox", "foxproxy.ini")).st_mode & 0o7777 == 0o644
    else:
        assert "master" in owner(d) and "foxproxy" not in owner(d) and ini(d) is None
        wait_until(lambda: d.foxproxy() == [], "foxproxy to end")
        assert owner(d, 2500) == ""
    assert c.call("drift")["drift"] == []
    assert [f for f in os.listdir(d.path("fox")) if ".inari-" in f] == [] if os.path.isdir(d.path("fox")) else True
    assert "inari_hold" not in d.inside("nft", "list", "tables").stdout


def relayed(d, **kw):
    """What a foreign recipient is answered."""
    return d.dialogue(lines=["EHLO x", "MAIL FROM:<a@foreign.example.org>", "RCPT TO:<b@foreign.example.net>"], **kw)[3]


# -- the straight way ------------------------------------------------------------------------------------------------
def test_front_and_back(device):
    """25 goes to foxproxy and back to Postfix; neither way relays for anybody."""
    c = device.client()
    apply(c, 1, "direct")
    whole(device, c, 1, "direct")
    apply(c, 2, "front")
    whole(device, c, 2, "front")
    assert relayed(device, port=25).startswith("554")  # loopback is no client of ours there, although it may relay itself
    assert relayed(device, port=2500, proxy=proxy_v2("192.0.2.77")).startswith("554")
    assert relayed(device, port=2500, proxy=proxy_v2("127.0.0.1")).startswith("554")
    with pytest.raises((ConnectionError, OSError)):
        device.dialogue(2500, ["EHLO x"], timeout=2)  # without the header it says nothing
    before = device.foxproxy()
    apply(c, 3, "front")
    whole(device, c, 3, "front")
    assert device.foxproxy() == before, "a change within the path is a reload"
    apply(c, 4, "direct")
    whole(device, c, 4, "direct")


def test_reverted_with_postfix(device):
    """A change that is not committed gives both back, whichever way it went."""
    c = device.client()
    ready(c, 1, "front")
    c.call("switch", digest=digest(1))
    assert "foxproxy" in owner(device)
    c.call("revert")
    assert "master" in owner(device) and "by hand" in device.dialogue(25)[0] and ini(device) is None
    apply(c, 2, "front")
    ready(c, 3, "direct")
    c.call("switch", digest=digest(3))
    assert "master" in owner(device) and ini(device) is None
    c.call("revert")
    whole(device, c, 2, "front")
    ready(c, 4, "front")
    c.call("switch", digest=digest(4))
    c.call("revert")
    whole(device, c, 2, "front")


def test_kept_renderings_bring_it_back(device):
    """restore, and a kept rendering of the time before foxproxy was known."""
    c = device.client()
    apply(c, 1, "direct")
    apply(c, 2, "front")
    manifest = device.path("state", "lkg", digest(1), "manifest.json")
    with open(manifest) as f:
        kept = json.load(f)
    assert kept["plan"].pop("foxproxy") == ""
    os.chmod(os.path.dirname(manifest), 0o700)
    with open(manifest, "w") as f:
        json.dump(kept, f)
    c.call("restore", digest=digest(1))
    c.call("commit", digest=digest(1))
    whole(device, c, 1, "direct")
    c.call("restore", digest=digest(2))
    c.call("commit", digest=digest(2))
    whole(device, c, 2, "front")


def test_one_that_does_not_start_changes_nothing(device):
    """Its control socket cannot be made: the change is put back before the switch is answered, and 25 is Postfix's."""
    c = device.client()
    apply(c, 1, "direct")
    os.makedirs(device.path("fox-run", "control"))
    ready(c, 2, "front")
    answer = c.ask("switch", digest=digest(2))
    assert not answer["ok"] and "foxproxy" in answer["message"], answer
    whole(device, c, 1, "direct")


def test_not_installed_is_not_offered(make):
    d = make()
    d.start()
    assert d.client().call("facts")["facts"]["foxproxy"]
    d.stop()
    os.unlink(d.path("foxproxy"))
    d.start()
    c = d.client()
    assert "foxproxy" not in c.call("facts")["facts"]
    with pytest.raises(HelperError) as e:
        ready(c, 1, "front")
    assert "/settings/path.mode" in [f["pointer"] for f in e.value.answer["findings"]]


# -- deaths ----------------------------------------------------------------------------------------------------------
POINTS = ["switching", "renamed", "switched", "reloading", "front-let-go", "front-take", "reloaded", "probing", "committing",
          "reverting", "restored"]


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("to", ["front", "direct"])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(make, point, to):
    """SIGKILL of the helper at each point of either way: after its next start one of the two is whole."""
    if (point, to) == ("front-let-go", "front"):
        pytest.skip("nothing is let go of on that way")
    was = "direct" if to == "front" else "front"
    d = make()
    d.start()
    c = d.client()
    apply(c, 1, was)
    c.close()
    d.stop()
    d.start(INARI_CRASH_AT=point)
    c = d.client()
    with pytest.raises((ConnectionError, HelperError)):
        ready(c, 2, to)
        c.call("switch", digest=digest(2))
        if point in ("reverting", "restored"):
            c.call("revert")
        c.call("commit", digest=digest(2))
    assert d.helper.wait(20) in (-signal.SIGKILL, 137)
    d.start()
    c = d.client()
    assert not c.call("tx")["open"]
    if point == "committing":
        whole(d, c, 2, to)
    else:
        assert c.call("tx")["last"]["result"] == "interrupted"
        whole(d, c, 1, was)
    apply(c, 3, to)
    whole(d, c, 3, to)


@pytest.mark.fault
def test_it_outlives_the_helper_and_is_started_again(device):
    c = device.client()
    apply(c, 1, "front")
    pid, = device.foxproxy()
    c.close()
    device.helper.kill()
    device.helper.wait()
    assert "number1" in device.dialogue(25)[0] and device.foxproxy() == [pid]
    device.start()
    c = device.client()
    whole(device, c, 1, "front")
    for _ in range(2):
        pid, = device.foxproxy()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: [p for p in device.foxproxy() if p != pid] and "LISTEN" in owner(device) , "another one", 5)
    wait_until(lambda: c.call("running")["foxproxy"]["state"] == "running", "it to run", 5)
    whole(device, c, 1, "front")
    assert c.call("running")["foxproxy"]["ended"] == 2


# -- by hand ---------------------------------------------------------------------------------------------------------
def test_wiring_changed_by_hand_is_seen_and_put_back(device):
    """Whatever joins the two: the file, and the listener behind it; its row says that it is wiring."""
    c = device.client()
    apply(c, 1, "front")
    path = device.path("fox", "foxproxy.ini")
    for change in (lambda: open(path, "a").write("# by hand\n"), lambda: os.unlink(path), lambda: os.chmod(path, 0o666),
                   lambda: device.write("master.cf", device.read("master.cf").replace("haproxy", "")),
                   lambda: device.write("master.cf", "".join(
                       line for line in device.read("master.cf").splitlines(True) if not line.startswith("127.0.0.1:2500")))):
        change()
        rows = c.call("drift")["drift"]
        assert any(r.get("wiring") for r in rows), rows
        assert relayed(device, port=25).startswith("554") if os.path.exists(path) and "2500" not in str(rows) else True
        answer = c.call("repair")
        c.call("commit", digest=answer["digest"])
        whole(device, c, 1, "front")


def test_found_other_bytes_at_the_commit(device):
    c = device.client()
    apply(c, 1, "front")
    ready(c, 2, "front")
    c.call("switch", digest=digest(2))
    with open(device.path("fox", "foxproxy.ini"), "a") as f:
        f.write("# by hand\n")
    answer = c.ask("commit", digest=digest(2))
    assert answer["error"] == "changed-meanwhile" and "foxproxy.ini" in answer["message"], answer
    c.call("revert")
    whole(device, c, 1, "front")


def test_a_dead_dns_list_is_told(device):
    """Mail passes, and "running" names the list and why."""
    c = device.client()
    c.call("stage", digest=digest(1), device_id=DEVICE, epoch=1, rev=1, pub=1,
           settings=settings(path__mode="front", smtp__banner_text="number1", sender_filter__reputation="on",
                             sender_filter__zones={"bl.test": {}}, sender_filter__resolvers={"127.0.0.9": {}}))
    c.call("validate", digest=digest(1))
    c.call("trial_stop", digest=digest(1))
    c.call("switch", digest=digest(1))
    c.call("commit", digest=digest(1))
    wait_until(lambda: c.call("running")["foxproxy"]["zones"] == {"bl.test": {"state": "down", "error": "the resolver cannot be reached"}},
               "the list to be known as down", 30)
    whole(device, c, 1, "front")


# -- while clients come ----------------------------------------------------------------------------------------------
class Clients:
    """Connect, take the greeting and leave, again and again; like any sender, with the system's patience."""

    def __init__(self, device, n):
        self.device, self.on, self.greeted, self.refused, self.cut = device, True, 0, 0, 0
        self.threads = [threading.Thread(target=self.run) for _ in range(n)]
        for t in self.threads:
            t.start()

    def run(self):
        while self.on:
            try:
                with self.device.connect(25, timeout=15) as s:
                    f = s.makefile("rb")
                    if reply(f).startswith("220"):
                        s.sendall(b"QUIT\r\n")
                        self.greeted += 1
            except ConnectionRefusedError:
                self.refused += 1
            except (ConnectionError, socket.timeout, ValueError):
                self.cut += 1
            time.sleep(0.01)

    def end(self):
        self.on = False
        for t in self.threads:
            t.join(30)


@pytest.mark.slow
def test_no_connection_is_refused_while_the_port_changes_hands(device):
    """Front and direct in turn under clients that come all the time: every connection is taken by somebody."""
    c = device.client()
    apply(c, 1, "direct")
    clients = Clients(device, 4)
    try:
        for n in range(2, 8):
            apply(c, n, "front" if n % 2 == 0 else "direct")
            seen = clients.greeted
            wait_until(lambda: clients.greeted > seen + 20, "clients to come through", 15)
    finally:
        clients.end()
    whole(device, c, 7, "direct")
    assert clients.refused == 0, (clients.refused, clients.cut, clients.greeted)
    assert clients.cut == 0, (clients.cut, clients.greeted)
