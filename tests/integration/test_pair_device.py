"""What a child is and is not: one parent, no control port, no secret for a stranger."""
import base64
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest
from inarilab import parts

pytestmark = [pytest.mark.lab]
CONF = ["--config", "/etc/inari/agent.conf"]


def test_no_control_port_on_a_child(lab):
    """From outside a child answers SMTP and nothing of ours: no 8445, no database, no loopback service."""
    code = ("import socket,sys\nfor p in map(int,sys.argv[2:]):\n s=socket.socket()\n s.settimeout(2)\n"
            " print(p, s.connect_ex((sys.argv[1],p)))\n s.close()")
    ports = ["25", "5432", "8445", "10025", "10026", "10027", "10028", "10029", "15505"]
    for child in lab.children:
        out = lab.execute("outside", "/usr/bin/python3", "-c", code, lab.address(child), *ports).stdout
        opened = [int(p) for p, rc in re.findall(r"^(\d+) (\d+)$", out, re.M) if rc == "0"]
        assert opened == [25], out


def test_second_parent_is_refused_until_left(lab):
    """A joined child does not take another parent, and a new join string changes nothing."""
    child = lab.children[0]
    made = lab.api.ok("POST", "/enrolment-tokens", {"name": "second", "uses": 1, "expires_in_s": 600})
    before = lab.api.ok("GET", f"/devices/{child}")["id"]
    r = lab.lab.host(child).run([parts.path_of(lab.lab, "inari-agent"), *CONF, "join", "--join", made["join"]],
                                user="inari-agent", check=False, timeout=30)
    assert r.returncode != 0 and "leave" in r.stdout + r.stderr
    tokens = lab.api.ok("GET", "/enrolment-tokens?limit=500")["items"]
    assert next(t for t in tokens if t["id"] == made["id"])["uses"] == 0
    assert lab.api.ok("GET", f"/devices/{child}")["id"] == before


class Stranger:
    """A TLS server with a certificate of its own that keeps every byte it is sent."""

    def __init__(self, folder):
        crt, key = os.path.join(folder, "s.crt"), os.path.join(folder, "s.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", crt],
                       check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(crt, key)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port, self.heard, self.connections = self.socket.getsockname()[1], b"", 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                raw, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            try:
                with self.context.wrap_socket(raw, server_side=True) as s:
                    s.settimeout(3)
                    self.heard += s.recv(65536)
            except (OSError, ssl.SSLError):
                pass


def join_string(port, pin, token):
    doc = {"addresses": [f"https://127.0.0.1:{port}"], "pins": [pin], "fleet": "01900000-0000-7000-8000-000000000000", "token": token,
           "expires": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))}
    return "inari1." + base64.urlsafe_b64encode(json.dumps(doc).encode()).decode().rstrip("=")


def test_a_wrong_certificate_gets_no_token(lab, tmp_path, programs):
    """D1: somebody in the middle, with a certificate that is valid for the name but another key: the child sends nothing."""
    stranger = Stranger(str(tmp_path))
    for folder in ("state", "run"):
        (tmp_path / folder).mkdir()
    sample = subprocess.run([programs["inari-agent"], "--sample"], capture_output=True, text=True, check=True).stdout
    assert "state" in sample
    conf = tmp_path / "agent.conf"
    keys = re.findall(r"^#?([a-z_.]+) = (/[^\n]*)$", sample, re.M)
    conf.write_text("".join(f"{k} = {tmp_path}/{'run' if '/run/' in v else 'state'}/{os.path.basename(v)}\n" for k, v in keys
                            if "/inari" in v))
    token = "secret-token-that-must-not-travel"
    r = subprocess.run([programs["inari-agent"], "--config", str(conf), "join", "--join", join_string(stranger.port, "A" * 43, token)],
                       capture_output=True, text=True, timeout=60)
    assert r.returncode != 0
    assert stranger.connections > 0, r.stderr
    assert stranger.heard == b"" and token not in r.stdout + r.stderr
