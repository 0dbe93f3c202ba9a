"""bench/simchild as a process: a fleet of simulated children that is told what to do by lines and answers with JSON."""
import json
import os
import subprocess

import parentlib
from parentlib import wait_until


def program():
    path = os.path.join(parentlib.build_dir(), "bench", "simchild")
    assert os.path.exists(path), f"{path} is not built"
    return path


def join_string(api, uses, name="simulated", **more):
    """A join string that many devices may use."""
    return api.ok("POST", "/enrolment-tokens", {"name": name, "uses": uses, "expires_in_s": 86400, **more})["join"]


class Sim(parentlib.Process):
    def __init__(self, folder, count, join=None, name="sim", command=None, **options):
        """options: those of simchild, with "_" for "-" (fail_percent=5), True for one without a value; command: what leads to the program."""
        super().__init__("simchild", folder)
        self.count = count
        argv = [*(command or [program()]), "--count", str(count), "--name", name]
        for key, value in options.items():
            argv += [f"--{key.replace('_', '-')}"] + ([] if value is True else [str(value)])
        self.err = open(self.log_path, "ab")
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.err, text=True,
                                  env={**os.environ, **parentlib.SAN_ENV, **({"SIMCHILD_JOIN": join} if join else {})})

    def order(self, word):
        assert self.alive(), self.log()
        self.p.stdin.write(word + "\n")
        self.p.stdin.flush()

    def report(self):
        self.order("report")
        line = self.p.stdout.readline()
        assert line, self.log()
        return json.loads(line)

    def wait(self, test, what, timeout=30, every=0.25):
        """Ask until test(report) holds; the report."""
        last = {}

        def look():
            last.update(self.report())
            return test(last)
        try:
            wait_until(look, what, timeout, every)
        except AssertionError as e:
            shown = {k: v for k, v in last.items() if k not in ("faults", "arrivals")}
            raise AssertionError(f"{e}; {shown}; {self.log()[-500:]}") from None
        return dict(last)

    def joined(self, timeout):
        """All are enrolled, have their bundle and have reported it."""
        n = self.count
        return self.wait(lambda r: r["running"] == n and r["waiting"] == n, f"{n} devices to join", timeout)

    def quit(self):
        if self.alive():
            self.order("quit")
        last = [line for line in self.p.stdout if line.strip()]
        status = self.p.wait(20)
        self.p.stdin.close()
        self.p.stdout.close()
        self.err.close()
        self.check_sanitizers()
        assert status == 0, (status, self.log()[-2000:])
        return json.loads(last[-1])
