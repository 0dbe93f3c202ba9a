"""What a child shows the outside."""
import re

import pytest
from test_pair_faults import attempt, inherit

pytestmark = [pytest.mark.lab]


def test_no_control_port_on_a_child(lab):
    """From outside a child answers SMTP and nothing of ours: no 8445, no database, no loopback service."""
    code = ("import socket,sys\nfor p in map(int,sys.argv[2:]):\n s=socket.socket()\n s.settimeout(2)\n"
            " print(p, s.connect_ex((sys.argv[1],p)))\n s.close()")
    ports = ["25", "5432", "8445", "10025", "10026", "10027", "10028", "10029", "15505"]
    for child in lab.children:
        out = lab.execute("outside", "/usr/bin/python3", "-c", code, lab.address(child), *ports).stdout
        opened = [int(p) for p, rc in re.findall(r"^(\d+) (\d+)$", out, re.M) if rc == "0"]
        assert opened == [25], out


def test_networks_of_the_relay_probe_may_relay(lab):
    """The probe asks as an address that no relay network holds, so the networks of its usual addresses can be relay
    networks like any other: committed, and probed from elsewhere; afterwards as before."""
    child = lab.children[0]
    networks = lab.api.ok("GET", f"/devices/{child}/effective")["settings"]["smtp.relay_networks"]
    wide = {n: {} for n in [*networks, "192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"]}
    try:
        pub = lab.api.publish({"devices": {child: {"smtp.relay_networks": wide}}}, "relay networks")["pub"]
        a = attempt(lab, child, pub, ("committed", "reverted", "rejected"))
        assert a["result"] == "committed", a
        lab.wait_in_sync([child])
    finally:
        inherit(lab, child, "smtp.relay_networks")
        lab.wait_in_sync([child])
