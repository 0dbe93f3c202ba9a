"""A site as it is right after the installation: a parent nobody has signed in to, a gateway with Postfix and the child's
programs that has not joined, a mail server inside.  The wizard takes it from there.

usage: newlab.py up DIR     prints JSON: api, ca, user, password, child (address), inside (address, maildir), domain
       newlab.py join DIR   standard input: the command as the wizard shows it; what it says is done on the gateway
       newlab.py down DIR
"""
import json
import os
import re
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
import parentlib  # noqa: E402
from inarilab import cli, parts, users, world  # noqa: E402
from inarilab import net as netlib  # noqa: E402
from inarilab.state import Lab  # noqa: E402


def up(folder):
    users.ensure()
    lab = Lab(folder)
    with lab.locked():
        lab.create(None)
        netlib.hub_up(lab.net)
        name = lab.add_child()
        lab.save()
        world.start(lab)
        parts.install(lab, parentlib.build_dir())
        parts.parent_start(lab)
        parts.child_start(lab, name)
        lab.write_json()
    with open(os.path.join(folder, "lab.json")) as f:
        j = json.load(f)
    print(json.dumps({"api": j["api"], "ca": j["ca"], **lab.state["admin"], "child": j["children"][0],
                      "inside": j["inside"], "domain": j["domain"]}), file=sys.__stdout__)


def join(folder, command):
    lab = Lab(folder)
    name = lab.children()[0]
    said = re.fullmatch(r"inari-agent join --join-file - <<'END'\n(.+)\nEND\nsystemctl enable --now inari-agent", command.strip())
    assert said, f"this is not the command that docs/install.md has: {command[:80]}"
    with lab.locked(), tempfile.TemporaryFile() as typed:
        typed.write(said.group(1).encode() + b"\n")
        typed.seek(0)
        lab.host(name).run([parts.path_of(lab, "inari-agent"), "--config", "/etc/inari/agent.conf", "join", "--join-file", "-",
                            "--name", name], user="inari-agent", stdin=typed, timeout=60)
        lab.child_state(name)["device_id"] = "joined by hand"
        lab.save()
        parts.child_start(lab, name)


verb, where = sys.argv[1:3]
sys.stdout = sys.stderr
if verb == "up":
    up(where)
elif verb == "join":
    join(where, sys.stdin.read())
else:
    sys.exit(cli.main(["down", "--dir", where]))
