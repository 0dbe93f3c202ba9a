"""A parent cut off from the database that another parent reaches: its children move on at once instead of being told for five
minutes that nothing is new."""
import json
import os
import re
import subprocess
import time

import parentlib
import pytest
from agentlib import new_agent, pin_of
from parentlib import Parent, as_user, wait_until
from test_agent_api_poll import make_device
from test_two_parents import second_of

pytestmark = pytest.mark.slow

# Between a parent and its database; killed, it is a cut: connections end, new ones are refused.
RELAY = """
import os, socket, sys, threading
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for x in (a, b):
        try:
            x.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
if os.path.exists(sys.argv[1]):
    os.unlink(sys.argv[1])
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(64)
print("ready", flush=True)
while True:
    a, _ = s.accept()
    b = socket.socket(socket.AF_UNIX)
    b.connect(sys.argv[2])
    for pair in ((a, b), (b, a)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""


class Relay:
    def __init__(self, folder, postgres):
        self.socket, self.home, self.conninfo = folder, postgres.home, f"host={folder} dbname=inari user=inari"
        self.psql, self.real = postgres.psql, os.path.join(postgres.socket, ".s.PGSQL.5432")
        self.p = None
        self.begin()

    def begin(self):
        self.p = subprocess.Popen(as_user("inari", ["/usr/bin/python3", "-c", RELAY, f"{self.socket}/.s.PGSQL.5432", self.real]),
                                  stdout=subprocess.PIPE, text=True, cwd="/")
        assert self.p.stdout.readline() == "ready\n"

    def cut(self):
        self.p.kill()
        self.p.wait()


def test_children_move_to_the_parent_that_has_the_database(workdir, system_users, programs):
    d_ = parentlib.folder(workdir, f"cut-{os.urandom(2).hex()}")
    db = parentlib.Postgres(d_).start()
    way = parentlib.folder(d_, "way")
    os.chmod(way, 0o777)
    relay = Relay(way, db)
    port = parentlib.free_port()
    first = Parent(d_, relay, programs)
    first.extra = {"api.addresses": f"{first.base}, https://localhost:{port}"}
    first.start()
    second = second_of(first, port=port, postgres=db, api__addresses=first.extra["api.addresses"])
    try:
        api = second.token()
        d = make_device(api, first)
        d.fetch()
        assert d.put_status(d.status(running=False)).status_code == 204
        agent = new_agent(workdir, "cut", programs)
        assert agent.join(first.base, pin_of(first.ca), *second.admin).returncode == 0
        path = os.path.join(agent.state, "identity.json")
        with open(path) as f:
            identity = json.load(f)
        with open(path, "w") as f:
            json.dump({**identity, "addresses": [first.base, second.base], "wait_s": 10}, f)
        agent.start()
        device = identity["device_id"]
        wait_until(lambda: (agent.status()["status"]["observed"] or {}).get("rev"), "the agent to have its bundle", 30)
        # It has told all it had to: a report that is refused with 503 would send it to the other parent as well.
        wait_until(lambda: (api.ok("GET", f"/devices/{device}").get("observed") or {}).get("rev"), "its report", 30, 0.2)
        wait_until(lambda: "Inari-Parent" not in d.desired().headers, "all well", 5)
        time.sleep(2)  # the reports of its first conditions

        relay.cut()
        wait_until(lambda: d.desired().headers.get("Inari-Parent") == "stale", "the parent to say that it is cut off", 10, 0.3)
        t0 = time.monotonic()
        r = d.desired(wait=30)  # nobody is kept waiting there, and what was so is still so
        assert r.status_code == 304 and time.monotonic() - t0 < 5
        pub = api.publish({"devices": {device: {"smtp.message_size_limit": 21_000_000}}}, "while it is cut off")["pub"]
        wait_until(lambda: (agent.status()["status"]["observed"] or {}).get("pub") == pub, "the agent to go to the other", 40, 0.2)
        assert "event=parent.cut_off" in agent.log()
        moved = agent.log().count("event=parent.cut_off")
        assert moved <= 2, "it goes to and fro"

        relay.begin()
        wait_until(lambda: first.ready(), "the first parent to be back", 60, 0.3)
        wait_until(lambda: "Inari-Parent" not in d.desired().headers, "it to say so", 15, 0.3)
        assert d.desired().status_code in (200, 304)
        assert len(re.findall("event=parent.cut_off", agent.log())) == moved
        agent.stop()
    finally:
        for x in (second, first):
            x.stop()
        relay.cut()
        db.stop()

