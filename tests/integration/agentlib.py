"""inari-agent as a process of its own beside a real parent: a folder with its configuration, join, run, status."""
import base64
import hashlib
import json
import os
import signal
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from parentlib import SAN_ENV, Process, folder, wait_until


def pin_of(pem_file):
    """base64url SHA-256 of the public key of a certificate."""
    with open(pem_file, "rb") as f:
        cert = x509.load_pem_x509_certificate(f.read())
    der = cert.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


class Agent(Process):
    """One child without a helper: everything up to applying a configuration."""

    def __init__(self, base, program):
        super().__init__("agent", base)
        self.argv0 = [program] if isinstance(program, str) else list(program)  # or a command that leads to it
        self.state = os.path.join(base, "state")
        self.wish = f"agent-{os.urandom(3).hex()}"
        self.conf = os.path.join(base, "agent.conf")
        with open(self.conf, "w") as f:
            f.write(f"agent.user = root\nagent.state = {self.state}\nagent.socket = {base}/agent.sock\n"
                    f"helper.socket = {base}/helper.sock\n")

    def command(self, *args, stdin="", env=None, timeout=60):
        if args[0] == "join" and "--name" not in args:  # all of them share a host name, and some are silent for long
            args = (*args, "--name", self.wish)
        return subprocess.run([*self.argv0, "--config", self.conf, *args], input=stdin, capture_output=True, text=True,
                              timeout=timeout, env={**os.environ, **SAN_ENV, "LC_ALL": "C.UTF-8", **(env or {})},
                              start_new_session=True)  # no terminal: as from a script

    def join(self, parent_url, pin, user, password, *more):
        pin_args = ["--parent-pin", pin] if pin else []
        return self.command("join", "--parent", parent_url, *pin_args, "--user", user, "--password-stdin", *more,
                            stdin=password + "\n")

    def start(self, env=None):
        self.launch([*self.argv0, "--config", self.conf, "run"], env)
        wait_until(lambda: self.command("status").returncode == 0 or not self.alive(), "the agent to answer")
        assert self.alive(), self.log()
        return self

    def status(self):
        r = self.command("status", "--json")
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)

    def condition(self, name):
        return next((c for c in self.status()["status"]["conditions"] if c["type"] == name), {"status": None})

    def identity(self):
        with open(os.path.join(self.state, "identity.json")) as f:
            return json.load(f)

    def stop(self):
        if self.alive():
            self.end(signal.SIGTERM)
        self.check_sanitizers()


def new_agent(workdir, name, programs):
    return Agent(folder(workdir, f"agent-{name}-{os.urandom(2).hex()}"), programs["inari-agent"])
