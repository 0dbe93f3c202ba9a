"""inarictl as the tests call it."""
import json
import subprocess

import parentlib


class Ctl:
    """The program with its own home folder; every call gives (status, stdout, stderr)."""

    def __init__(self, program, home, **env):
        self.program, self.home = program, home
        self.env = {"PATH": "/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", **parentlib.SAN_ENV, **env}

    @classmethod
    def of(cls, programs, parent, api, home):
        """Signed in with the token of the API object it was made with."""
        return cls(programs["inarictl"], str(home), INARI_API=parent.base, INARI_CA=parent.ca,
                   INARI_TOKEN=api.headers["Authorization"].removeprefix("Bearer "))

    def __call__(self, *args, stdin="", env=None, timeout=60):
        p = subprocess.run([self.program, *args], input=stdin, capture_output=True, text=True, timeout=timeout,
                           env={**self.env, **(env or {})}, cwd="/")
        assert "Sanitizer" not in p.stderr and "runtime error" not in p.stderr, p.stderr
        return p.returncode, p.stdout, p.stderr

    def ends(self, status, *args, **kw):
        """(stdout, stderr) of a call that ends with this status."""
        got, out, err = self(*args, **kw)
        assert got == status, f"inarictl {' '.join(args)}: {got}\n{out}\n{err}"
        return out, err

    def ok(self, *args, **kw):
        return self.ends(0, *args, **kw)[0]

    def json(self, *args, status=0, **kw):
        return json.loads(self.ends(status, *args, "--json", **kw)[0])
