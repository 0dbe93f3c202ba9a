"""A parent of its own with devices that only talk: for what must not be done to the lab that all specs share.

usage: fleet.py    prints JSON: api, ca, user, password, devices (names); then, for each line of standard input, one of
  follow NAME...       these devices take what is published, and say that they run it; all others stay silent
  pending NAME         a device asks to join and waits for approval
  copy NAME            another start with the same identity on the same kind of machine: nobody can tell which is the original
  old DAYS             an event of so many days ago is stored
  behind               the parent is set back to a backup of before the newest publication, which one device has fetched
It ends with its standard input, and leaves nothing behind.
"""
import copy
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
import eventlib  # noqa: E402
import parentlib  # noqa: E402
import requests  # noqa: E402
import wireclient  # noqa: E402
from inarilab import system, users  # noqa: E402

NAMES = ["mx1", "mx2", "mx3", "mx4"]
MACHINE = "ab" * 32


class Site:
    def __init__(self, work):
        users.ensure()
        placed = os.path.join(work, "system")
        parentlib.install(placed)
        self.work, self.programs = work, system.programs(placed)
        self.db = parentlib.Postgres(parentlib.folder(work, "db")).start()
        web = os.path.join(placed, "usr", "share", "inari", "web")
        self.parent = parentlib.Parent(parentlib.folder(work, "parent"), self.db, self.programs, {"web_dir": web, "lab": "yes"}).start()
        self.user, self.password = self.parent.reset_admin()
        self.api = self.parent.token()
        self.devices, self.following, self.lock, self.over = {}, set(), threading.Lock(), False
        for name in NAMES:
            d = self.device(name)
            d.fingerprint = d.machine = MACHINE
            d.enrol(self.api.ok("POST", "/enrolment-tokens", {"name": name})["join"])
            d.fetch()
            assert d.put_status().status_code == 204
            self.api.change(f"/devices/{d.id}", {"mode": "manage"})
            d.fetch()
            assert d.put_status().status_code == 204
            self.devices[name] = d
        threading.Thread(target=self.live, daemon=True).start()

    def device(self, name):
        return wireclient.Device(self.parent.base, self.parent.ca, name)

    def live(self):
        """What the following ones do: poll, take, say."""
        while not self.over:
            with self.lock:
                for name in sorted(self.following):
                    self.step(self.devices[name])
            time.sleep(0.4)

    @staticmethod
    def step(d):
        try:
            if d.desired().status_code == 200:
                d.fetch()
                d.put_status()
        except (requests.RequestException, AssertionError):
            pass  # the parent is away, or has given something newer meanwhile: at the next turn

    def follow(self, *names):
        with self.lock:
            self.following = set(names)

    def pending(self, name):
        token = self.api.ok("POST", "/enrolment-tokens", {"name": name, "approval": True})["join"]
        assert self.device(name).post_enrolment(token).status_code == 202

    def copy(self, name):
        with self.lock:
            d = self.devices[name]
            twin = copy.copy(d)
            twin.http = requests.Session()
            twin.http.verify, twin.http.trust_env = d.http.verify, False
            twin.boot, twin.seq, twin.access = str(uuid.uuid4()), d.seq + 1000, None
            for who in (twin, d, twin, d):
                who.desired()
        parentlib.wait_until(lambda: self.api.ok("GET", f"/devices/{d.id}")["instances"]["forked"], "the fork to be stored", 10)
        return d.boot

    def old(self, days):
        spool = eventlib.Spool(self.devices["mx1"])
        spool.append(eventlib.event("message.queued", at=eventlib.now_ms() - int(days) * 24 * 3600_000, queue_id="OLD1", size=10))
        assert spool.post().status_code == 200

    def tool(self, *args):
        subprocess.run(parentlib.as_user("inari", [self.programs["inarid"], "--config", self.parent.conf, *args]), check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, **parentlib.SAN_ENV})

    def behind(self):
        kept = parentlib.folder(self.work, "kept")
        with open(f"{kept}/pass", "w") as f:
            f.write("correct horse battery\n")
        os.chmod(f"{kept}/pass", 0o600)
        for path in (kept, f"{kept}/pass"):
            os.chown(path, *users.ids("inari"))
        self.follow()
        self.tool("backup", f"{kept}/b", "--passphrase-file", f"{kept}/pass")
        d = self.devices["mx1"]
        self.api.publish({"devices": {d.id: {"smtp.banner_text": "after the backup"}}}, "after the backup")
        d.fetch()
        self.parent.stop()
        self.tool("restore", f"{kept}/b", "--passphrase-file", f"{kept}/pass", "--replace")
        self.parent.start()
        d.desired()
        assert d.keep().status_code == 204

    def end(self):
        self.over = True
        self.parent.end()
        self.db.stop()


work = parentlib.new_folder("fleet")
site = None
try:
    site = Site(work)
    print(json.dumps({"api": site.parent.base, "ca": site.parent.ca, "user": site.user, "password": site.password,
                      "token": site.api.headers["Authorization"].split()[1], "devices": NAMES}), flush=True)
    for line in sys.stdin:
        what, *words = line.split()
        print(json.dumps({"done": what, "said": getattr(site, what)(*words)}), flush=True)
finally:
    if site is not None:
        site.end()
    shutil.rmtree(work, ignore_errors=True)
