"""The page in a real browser against a real parent: PostgreSQL, inarid and three children (wireclient) on loopback.

usage: run.py [--keep]    screenshots are written to build/browser/
"""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
import parentlib  # noqa: E402
import wireclient  # noqa: E402
from inarilab import system, users  # noqa: E402

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


def children(parent, api):
    """mx1 managed and in sync, mx2 observed, mx3 managed and refusing its configuration."""
    join = api.ok("POST", "/enrolment-tokens", {"name": "browser", "uses": 3})["join"]
    made = []
    for name in ("mx1", "mx2", "mx3"):
        d = wireclient.Device(parent.base, parent.ca, name)
        d.enrol(join)
        made.append(d)
    for d in (made[0], made[2]):
        api.change(f"/devices/{d.name}", {"mode": "manage"})
    for d in made:
        d.fetch()
    assert made[0].put_status().status_code == 204
    assert made[1].put_status(made[1].status(running=False)).status_code == 204
    refused = {"digest": made[2].last["content_digest"], "rev": made[2].last["rev"], "pub": made[2].last["pub"],
               "phase": "validated", "result": "rejected", "started": "2026-11-21T23:00:00Z", "ended": "2026-11-21T23:00:01Z",
               "problem": {"type": "urn:inari:problem:refused", "title": "The device refused the configuration",
                           "detail": f"postfix check: bad value {HOSTILE}", "errors": []}}
    assert made[2].put_status(made[2].status(running=False, last_attempt=refused)).status_code == 204


def main():
    users.ensure()
    work = parentlib.new_folder("browser")
    shots = os.path.join(parentlib.SOURCE, "build", "browser")
    os.makedirs(shots, exist_ok=True)
    running = []
    try:
        placed = os.path.join(work, "system")
        parentlib.install(placed)
        db = parentlib.Postgres(parentlib.folder(work, "db")).start()
        running.append(db)
        web = os.path.join(placed, "usr", "share", "inari", "web")
        parent = parentlib.Parent(parentlib.folder(work, "parent"), db, system.programs(placed), {"web_dir": web}).start()
        running.append(parent)
        children(parent, parent.token())
        parent.stop()
        parent.extra["lab"] = "no"  # from here on a generated password has to be changed
        parent.start()
        user, password = parent.reset_admin()
        env = {**os.environ, "INARI_API": parent.base, "INARI_USER": user, "INARI_PASSWORD": password,
               "INARI_SHOTS": shots, "INARI_PROFILE": os.path.join(work, "profile"), "INARI_WEB": web}
        return subprocess.run(["node", os.path.join(HERE, "page.spec.mjs")], env=env, timeout=300).returncode
    finally:
        for p in reversed(running):
            p.stop()
        if "--keep" not in sys.argv:
            shutil.rmtree(work, ignore_errors=True)


sys.exit(main())
