"""What a child shows the outside."""
import re

import pytest

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
