"""The console in a real browser against a real lab: a parent, two children with Postfix, and one device that refuses all.

usage: run.py [--lab DIR] [--screens] [NAME...]    NAME: only spec/NAME*.mjs (always with the session's, which signs in).
--lab DIR: a lab to use again: made when it is not there, left when done; what was built since is put into it.
Screenshots of the specs go to build/browser/; --screens makes those of docs/screens/ and runs nothing else.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
import labrig  # noqa: E402
import parentlib  # noqa: E402
import wireclient  # noqa: E402
from inarilab import control, system, users  # noqa: E402
from inarilab.parts import path_of  # noqa: E402

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


def refusing(rig):
    """A managed device whose daemon's words are markup."""
    api = rig.api
    if any(d["name"] == "mx-odd" for d in api.ok("GET", "/devices")["items"]):
        return
    join = api.ok("POST", "/enrolment-tokens", {"name": "browser", "uses": 1})["join"]
    d = wireclient.Device(rig.json["api"], rig.json["ca"], "mx-odd")
    d.enrol(join)
    api.change("/devices/mx-odd", {"mode": "manage"})
    d.fetch()
    refused = {"digest": d.last["content_digest"], "rev": d.last["rev"], "pub": d.last["pub"],
               "phase": "validated", "result": "rejected", "started": "2026-11-21T23:00:00Z", "ended": "2026-11-21T23:00:01Z",
               "problem": {"type": "urn:inari:problem:refused", "title": "The device refused the configuration",
                           "detail": f"postfix check: bad value {HOSTILE}", "errors": []}}
    assert d.put_status(d.status(running=False, last_attempt=refused)).status_code == 204


def new_account(rig):
    """The lab's administrator with a password of this run."""
    r = rig.execute("parent", "setpriv", "--reuid", "inari", "--regid", "inari", "--clear-groups",
                    path_of(rig.lab, "inarid"), "reset-admin", "--config", "/etc/inari/inarid.conf")
    return control.admin_words(r.stdout)


def fresh(work, running):
    """A parent as it is after the installation: no device, and a generated password that has to be changed."""
    placed = os.path.join(work, "system")
    parentlib.install(placed)
    db = parentlib.Postgres(parentlib.folder(work, "db")).start()
    running.append(db)
    web = os.path.join(placed, "usr", "share", "inari", "web")
    parent = parentlib.Parent(parentlib.folder(work, "parent"), db, system.programs(placed), {"web_dir": web, "lab": "no"}).start()
    running.append(parent)
    return parent


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--lab")
    p.add_argument("--screens", action="store_true")
    p.add_argument("names", nargs="*")
    a = p.parse_args()
    users.ensure()
    work = parentlib.new_folder("browser")
    shots = os.path.join(parentlib.SOURCE, "build", "browser")
    os.makedirs(shots, exist_ok=True)
    rig = labrig.Rig(a.lab or os.path.join(work, "lab"))
    running = []
    try:
        new = fresh(work, running)
        new_user, new_password = new.reset_admin()
        if a.lab and os.path.exists(os.path.join(rig.dir, "lab.json")):
            subprocess.run(["cmake", "--install", parentlib.build_dir(), "--prefix", f"{rig.dir}/system/usr", "--component", "web"],
                           check=True, stdout=subprocess.DEVNULL)
            rig.verb("kill", "parent/inarid")
            rig.verb("start", "parent")
        else:
            rig.up(2)
        rig.wait_in_sync()
        refusing(rig)
        user, password = new_account(rig)
        env = {**os.environ, "INARI_NEW_API": new.base, "INARI_NEW_USER": new_user, "INARI_NEW_PASSWORD": new_password,
               "INARI_API": rig.json["api"], "INARI_USER": user, "INARI_PASSWORD": password, "INARI_SHOTS": shots,
               "INARI_PROFILE": os.path.join(work, "profile"), "INARI_LAB": rig.dir, "INARI_TOKEN": rig.lab.state["token"],
               "INARI_CA": rig.json["ca"], "NODE_EXTRA_CA_CERTS": rig.json["ca"], "INARI_CHILDREN": json.dumps(rig.json["children"])}
        return subprocess.run(["node", os.path.join(HERE, "run.mjs"), *(["--screens"] if a.screens else a.names)], env=env, timeout=1500).returncode
    finally:
        for part in reversed(running):
            part.stop()
        if not a.lab:
            rig.verb("down", check=False)
        shutil.rmtree(work, ignore_errors=True)


sys.exit(main())
