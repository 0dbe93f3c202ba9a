"""A running child goes behind foxproxy and back: mail flows, addresses stay true, nobody relays, nothing is lost."""
import os
import re
import signal
import subprocess
import uuid

import pytest
from parentlib import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.slow]
TURNS = int(os.environ.get("INARI_FRONT_TURNS", "1"))  # more of them by hand: a hundred take five minutes
KEYS = ("path.mode", "smtp.relay_networks", "sender_filter.max_sessions", "sender_filter.reputation", "sender_filter.zones",
        "sender_filter.resolvers")
RCPT = ("import smtplib,sys\nwith smtplib.SMTP(sys.argv[1],25,timeout=20) as s:\n s.ehlo('outside.lab.test')\n"
        " s.mail('a@outside.test')\n print(*s.rcpt(sys.argv[2]))")


@pytest.fixture
def child(lab):
    """The last child; afterwards on the fleet's path again."""
    name = lab.children[-1]
    yield name
    lab.api.publish({"devices": {name: {k: {"$inherit": True} for k in KEYS}}}, "back to the fleet's")
    lab.wait_in_sync()


def path(lab, child, mode):
    lab.api.publish({"devices": {child: {"path.mode": mode}}}, f"path {mode}")
    lab.wait_in_sync([child])
    return lab.api.ok("GET", f"/devices/{child}")


def owner(lab, child, port=25):
    return lab.execute(child, "ss", "-Hltnp", f"sport = :{port}").stdout


def rcpt(lab, host, child, to):
    return lab.execute(host, "/usr/bin/python3", "-c", RCPT, lab.address(child), to).stdout


def test_front_and_back_under_mail(lab, child):
    """Mail comes all the time while the path changes twice: every message arrives once, and none was refused."""
    mark = f"front-{uuid.uuid4().hex[:8]}"
    sender = lab.sender(mark, 40, 4, children=[child], lasting=True)
    for _ in range(1, TURNS):
        path(lab, child, "front")
        path(lab, child, "direct")
    device = path(lab, child, "front")
    fox = device["running"]["foxproxy"]
    assert (fox["state"], fox["digest"]) == ("running", device["desired"]["digest"]) and fox["version"]
    assert "foxproxy" in owner(lab, child) and "master" in owner(lab, child, 2500)
    said = subprocess.run(["bash", "-c", f". {lab.dir}/env && inarictl device {child}"], capture_output=True, text=True).stdout
    assert re.search(r"^FOXPROXY\s+running\s*$", said, re.M), said
    # Postfix knows who comes, and what is not ours goes nowhere: from outside and from the device itself.
    assert rcpt(lab, "outside", child, "x@foreign.example.org").startswith(("554", "454"))
    assert rcpt(lab, child, child, "x@foreign.example.org").startswith(("554", "454"))
    outside = lab.json["outside"]["addresses"]
    wait_until(lambda: any(a in line for a in outside for line in lab.log(child).splitlines()[-300:] if "connect from" in line),
               "the true address in Postfix's log", 20, 0.2)
    device = path(lab, child, "direct")
    assert "master" in owner(lab, child) and "foxproxy" not in (device["running"] or {}) or \
        not device["running"]["foxproxy"]["wanted"]
    refused = sender.finish()
    assert refused == [], refused[:5]
    lab.wait_arrived(mark, sender.sent, 120)


def test_settings_it_cannot_have_change_nothing(lab, child):
    """One port for foxproxy and for Postfix behind it would stop the mail: not published."""
    draft = f"/drafts/{lab.api.ok('POST', '/drafts', {'title': 'front'})['id']}"
    with pytest.raises(AssertionError) as e:
        lab.api.change(draft, {"devices": {child: {"path.mode": "front", "sender_filter.backend_port": 25}}})
    assert "P01.twice" in str(e.value)
    lab.api.request("DELETE", draft, headers={"If-Match": lab.api.request("GET", draft).headers["ETag"]})
    assert "master" in owner(lab, child)


def test_dead_foxproxy_is_back_and_the_parent_hears_of_it(lab, child):
    path(lab, child, "front")
    pid, = lab.lab.host(child).named("foxproxy")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: [p for p in lab.lab.host(child).named("foxproxy") if p != pid] and "foxproxy" in owner(lab, child),
               "foxproxy to be there again", 10, 0.1)
    assert any("220" in x or "250" in x or x for x in lab.ehlo(child))

    def said():
        c = {x["type"]: x for x in lab.api.ok("GET", f"/devices/{child}")["conditions"]}
        return c["ServiceRunning"]["reason"] == "FrontStartedAgain"
    wait_until(said, "the parent to hear of it", 90, 0.5)


def test_a_dead_dns_list_stops_nothing_and_is_said(lab, child):
    """From the API to the socket: nobody answers for the list; mail comes in all the same, and the device's conditions say it."""
    lab.api.publish({"devices": {child: {"path.mode": "front", "sender_filter.reputation": "on", "sender_filter.zones": {"bl.lab.test": {}},
                                         "sender_filter.resolvers": {"127.0.0.9": {}}}}}, "a list that is dead")
    lab.wait_in_sync([child])

    def said():
        c = {x["type"]: x for x in lab.api.ok("GET", f"/devices/{child}")["conditions"]}["ServiceRunning"]
        return (c["status"], c["reason"]) == ("True", "FrontZone") and "bl.lab.test" in c["message"]
    wait_until(said, "the parent to hear of it", 90, 0.5)
    assert rcpt(lab, "outside", child, "x@foreign.example.org").startswith(("554", "454"))
    zones = lab.api.ok("GET", f"/devices/{child}")["running"]["foxproxy"]["zones"]
    assert zones["bl.lab.test"]["state"] == "down" and zones["bl.lab.test"]["error"]


def test_a_blocked_address_is_refused_within_seconds(lab, child):
    """From POST to the 554 before the greeting, and back by undo; the agent here was never root."""
    path(lab, child, "front")
    mine = lab.json["outside"]["address"].rsplit(".", 1)[0] + ".77"
    script = "import socket,sys; s=socket.create_connection((sys.argv[1],25),5,(sys.argv[2],0)); print(s.recv(200).decode())"

    def greeted():
        return lab.execute("outside", "/usr/bin/python3", "-c", script, lab.address(child), mine).stdout[:3]
    assert greeted() == "220"
    made = lab.api.ok("POST", "/lists/blocked/rows", {"rows": [{"network": mine}], "reason": "a test"})
    wait_until(lambda: greeted() == "554", "the refusal", 30, 0.1)
    lab.api.ok("POST", f"/lists/blocked/changes/{made['version']}/undo", {})
    wait_until(lambda: greeted() == "220", "the greeting again", 30, 0.1)


def test_wiring_removed_by_hand_is_closed(lab, child):
    """Postfix behind foxproxy without the header: nobody is taken for somebody else, and it is put back within one look
    although drift is only reported here."""
    path(lab, child, "front")
    file = os.path.join(lab.root(child), "etc/postfix/master.cf")
    with open(file) as f:
        text = f.read()
    broken = re.sub(r".*smtpd_upstream_proxy_protocol = haproxy.*\n", "", text)
    assert broken != text
    with open(file, "w") as f:
        f.write(broken)
    lab.execute(child, "postfix", "reload")
    for host in ("outside", child):
        answer = lab.execute(host, "/usr/bin/python3", "-c", RCPT, lab.address(child), "x@foreign.example.org", check=False)
        assert not answer.stdout.startswith("250"), answer.stdout
    wait_until(lambda: "haproxy" in open(file).read(), "the listener to be put back", 100, 0.5)
    lab.wait_in_sync([child])
    assert rcpt(lab, "outside", child, "x@foreign.example.org").startswith(("554", "454"))
