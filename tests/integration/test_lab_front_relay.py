"""No client relays through a device behind foxproxy (pain 1): fifty ways to write a foreign recipient, from outside and from the
device itself, over IPv4 and IPv6, under every switch of the sender filter."""
import json
import os

import pytest
from parentlib import SOURCE

pytestmark = [pytest.mark.lab, pytest.mark.slow]
# RCPT with each form; a new session before the errors are too many.  Prints [[form, code], ...].
ASK = r"""
import json, smtplib, sys
answers, s = [], None
for n, to in enumerate(json.loads(sys.argv[2])):
    if n % 8 == 0:
        if s: s.close()
        s = smtplib.SMTP(sys.argv[1], 25, timeout=30, local_hostname="client.test")
        s.ehlo()
        s.mail("a@sender.test")
    answers.append([to, s.docmd("RCPT", "TO:<%s>" % to)[0]])
print(json.dumps(answers))
"""


def forms():
    with open(os.path.join(SOURCE, "tests/data/foreign-recipients.txt")) as f:
        return [line for line in f.read().split("\n") if line and line[0] != "#"]


def taken(lab, host, address):
    answers = json.loads(lab.execute(host, "/usr/bin/python3", "-c", ASK, address, json.dumps([*forms(), "x@example.test"])).stdout)
    assert answers.pop() == ["x@example.test", 250], "nothing was asked of a mail server that works"
    assert len(answers) >= 40
    return [to for to, code in answers if code < 400]


@pytest.mark.parametrize("blocked,reputation", [("on", "off"), ("off", "on"), ("on", "on"), ("off", "off")])
def test_no_switch_opens_the_relay(lab, blocked, reputation):
    child = lab.children[-1]
    preset = next(p for p in lab.api.ok("GET", "/presets")["items"] if p["name"] == "front")["settings"]
    assert preset["path.mode"] == "front"
    settings = dict(preset, **{"sender_filter.blocked": blocked, "sender_filter.reputation": reputation})
    c = next(x for x in lab.json["children"] if x["name"] == child)
    try:
        lab.api.publish({"devices": {child: settings}}, f"blocked {blocked}, reputation {reputation}")  # one change moves Postfix and starts foxproxy
        lab.wait_in_sync([child])
        for host, address in (("outside", c["address"]), ("outside", c["address6"]), (child, c["address"]), (child, c["address6"]),
                              (child, "127.0.0.1"), (child, "::1")):
            odd = taken(lab, host, address)
            # the way that RFC 5321 says is to be ignored leaves a user of our own
            assert set(odd) <= {"@foreign.test:x@example.test"}, (host, address, odd)
    finally:
        lab.api.publish({"devices": {child: {k: {"$inherit": True} for k in preset}}}, "back to the fleet's")
        lab.wait_in_sync([child])
