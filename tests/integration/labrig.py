"""The lab as tests use it: deploy/lab itself, its lab.json, its API, mail through its children."""
import json
import os
import re
import subprocess
import time

import parentlib
from inarilab import control
from inarilab.state import Lab
from parentlib import Session, wait_until

COMMAND = os.path.join(parentlib.SOURCE, "deploy", "lab")


class Rig:
    def __init__(self, folder):
        self.dir = folder

    # -- deploy/lab ------------------------------------------------------------------------------------------------
    def verb(self, *args, check=True, timeout=300):
        r = subprocess.run([COMMAND, args[0], "--dir", self.dir, *args[1:]], capture_output=True, text=True,
                           timeout=timeout, env={**os.environ})
        if check and r.returncode != 0:  # why it failed comes first: summaries show one line
            said = (r.stderr or r.stdout).strip().splitlines()
            why = next((i for i in range(len(said) - 1, -1, -1) if said[i].startswith("lab: ")), len(said) - 1)
            raise AssertionError(f"lab {args[0]}: {' | '.join(said[why:])}\nlab {' '.join(args)}: {r.stdout}{r.stderr}")
        return r

    def up(self, children, **kw):
        return self.verb("up", "--children", str(children), "--prefix", parentlib.build_dir(), **kw)

    def execute(self, host, *argv, check=True, timeout=60):
        return self.verb("exec", host, "--", *argv, check=check, timeout=timeout)

    @property
    def json(self):
        with open(os.path.join(self.dir, "lab.json")) as f:
            return json.load(f)

    @property
    def lab(self):
        return Lab(self.dir)

    @property
    def children(self):
        return [c["name"] for c in self.json["children"]]

    def address(self, child):
        return next(c["address"] for c in self.json["children"] if c["name"] == child)

    def root(self, child):
        return next(c["root"] for c in self.json["children"] if c["name"] == child)

    def log(self, host, name="mail"):
        with open(os.path.join(self.dir, host, "log", f"{name}.log"), errors="replace") as f:
            return f.read()

    # -- API -------------------------------------------------------------------------------------------------------
    @property
    def api(self):
        j = self.json
        return Session(j["api"], j["ca"], self.lab.state["token"])

    def wait_in_sync(self, children=None, timeout=60):
        api = control.Api(self.json["api"], self.json["ca"], self.lab.state["token"])
        control.wait_in_sync(api, children or self.children, timeout)

    def publish_size(self, size, reason="test", api=None):
        return (api or self.api).publish({"fleet": {"smtp.message_size_limit": size}}, reason)

    # -- mail ------------------------------------------------------------------------------------------------------
    def wait_ehlo(self, line, children=None, timeout=30, since=None):
        """{child: seconds since `since`} until the live EHLO answer has the line."""
        from inarilab import world
        where = [f"{c}={self.address(c)}" for c in children or self.children]
        return world.wait_ehlo(self.lab, line, where, timeout, since or time.time_ns())

    def ehlo(self, child):
        code = ("import smtplib,sys\nwith smtplib.SMTP(sys.argv[1],25,timeout=10) as s:\n s.ehlo('outside.lab.test')\n"
                " print(s.ehlo_resp.decode())")
        return self.execute("outside", "/usr/bin/python3", "-c", code, self.address(child)).stdout.splitlines()

    def sender(self, mark, count, seconds, children=None, size=2000, lasting=False):
        """Start `count` messages spread over `seconds` and the children, and when lasting as many more at that pace until
        finish(), which gives what was refused."""
        return Sender(self, mark, count, seconds, [self.address(c) for c in children or self.children], size, lasting)

    def arrived(self, mark):
        """{message id: how many files} of the messages with the mark."""
        found = {}
        folder = self.json["inside"]["maildir"]
        for name in os.listdir(folder):
            if not name.endswith(".eml") or name.startswith("."):
                continue
            with open(os.path.join(folder, name), errors="replace") as f:
                for line in f.read(4000).splitlines():
                    if line.lower().startswith("message-id: <") and mark in line:
                        ident = line.split("<", 1)[1].split(">")[0]
                        found[ident] = found.get(ident, 0) + 1
        return found

    def story(self, child, ident):
        """What the child's mail log says of the message with this id: what a test that misses it has to print."""
        lines = self.log(child).splitlines()
        queue = {x.group(1) for x in (re.search(rf": ([0-9A-Za-z]+): message-id=<{re.escape(ident)}", n) for n in lines)
                 if x}
        return [n for n in lines if any(f" {q}:" in n or f" {q}," in n for q in queue)]

    def wait_arrived(self, mark, count, timeout=60):
        """All `count` messages with the mark, each exactly once."""
        def there():
            return len(self.arrived(mark)) >= count
        wait_until(there, f"{count} messages {mark} (have {len(self.arrived(mark))})", timeout, 0.1)
        time.sleep(0.5)  # a second copy would come now
        found = self.arrived(mark)
        assert len(found) == count and set(found.values()) == {1}, \
            f"{len(found)} of {count}; more than once: {[i for i, n in found.items() if n > 1]}"


# Sends `count` messages over `seconds`; with a stop file it goes on at that pace until the file is there.
SENDER = r"""
import json, os, smtplib, sys, time, concurrent.futures
mark, count, seconds, size, stop, addresses = (sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]),
                                               sys.argv[5], sys.argv[6:])
start = time.monotonic()
def one(i):
    text = "Message-Id: <%s-%d@outside.test>\r\nSubject: %s\r\n\r\n%s\r\n" % (mark, i, mark, ("x" * 70 + "\r\n") * (size // 72))
    t = time.monotonic()
    try:
        with smtplib.SMTP(addresses[i % len(addresses)], 25, timeout=60, local_hostname="outside.lab.test") as s:
            s.sendmail("sender@outside.test", ["user%d@example.test" % (i % 7)], text)
        return None
    except Exception as e:
        return [i, addresses[i % len(addresses)], time.monotonic() - start, time.monotonic() - t, repr(e)]
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    jobs = []
    while len(jobs) < count or (stop and not os.path.exists(stop)):
        time.sleep(max(0, start + seconds * len(jobs) / count - time.monotonic()))
        jobs.append(pool.submit(one, len(jobs)))
    refused = [j.result() for j in jobs if j.result()]
    print(json.dumps({"sent": len(jobs), "refused": refused}))
"""


class Sender:
    def __init__(self, rig, mark, count, seconds, addresses, size, lasting=False):
        self.mark, self.sent = mark, count
        self.stop = os.path.join(rig.dir, f"stop-{mark}") if lasting else ""
        argv = rig.lab.host("outside").entered(["/usr/bin/python3", "-c", SENDER, mark, str(count), str(seconds),
                                                str(size), self.stop, *addresses])
        self.p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True)

    def running(self):
        return self.p.poll() is None

    def finish(self, timeout=180):
        """The messages that were not accepted: [[number, address, at second, took seconds, what]].  sent is how many."""
        if self.stop:
            with open(self.stop, "w"):
                pass
        out, err = self.p.communicate(timeout=timeout)
        if self.stop:
            os.unlink(self.stop)
        assert self.p.returncode == 0, err
        said = json.loads(out)
        self.sent = said["sent"]
        return said["refused"]
