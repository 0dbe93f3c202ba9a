"""Inari's own programs in the lab: laid out, configured, started, killed and joined."""
import json
import os
import secrets
import shutil
import signal

from . import conf, control, postfix, system, users, world
from .host import HERE
from .util import LabError, make_dir, say, wait_until, write_file

PARTS = {"agent": "inari-agent", "helper": "inari-helper", "postfix": "postfix", "foxproxy": "foxproxy",
         "inarid": "inarid", "postgres": "postgres", "dns": "dnsd", "sink": "sink"}
# A crash of a build with sanitizers ends the process and leaves its words in the log.
SANITIZERS = {"ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


def program(part):
    if part not in PARTS:
        raise LabError(f"{part}: must be one of {', '.join(PARTS)}")
    return PARTS[part]


# -- programs ------------------------------------------------------------------------------------------------------
def install(lab, prefix):
    """Lay the programs out in DIR/system; when they changed, what runs of the old ones is ended."""
    users.ensure()
    if not prefix:
        installed = os.path.realpath(os.path.join(HERE, "../../.."))  # PREFIX/share/inari/inarilab
        source = os.path.dirname(os.path.dirname(HERE))
        prefix = system.newest_build(source) if os.path.exists(f"{source}/CMakePresets.json") else installed
    _, changed = system.lay_out(os.path.abspath(prefix), f"{lab.dir}/system")
    if changed:
        say(f"programs from {prefix}")
        for name in lab.all_hosts():
            for part in ("inari-agent", "inari-helper", "foxproxy", "inarid"):
                lab.host(name).kill(part)


def path_of(lab, name):
    try:
        return system.programs(f"{lab.dir}/system")[name]
    except KeyError:
        raise LabError(f"{name} is not in {lab.dir}/system: deploy/lab up lays it out") from None


# -- parent --------------------------------------------------------------------------------------------------------
def parent_start(lab, name="parent", part="", env=None):
    host = lab.switch_on(name)
    root = host.root
    conninfo = "host=/run/inari-db dbname=inari user=inari" if name == "parent" else lab.conninfo2
    path = make_dir(f"{root}/etc/inari") + "/inarid.conf"
    write_file(path, conf.inarid("[::]:8445", ", ".join(lab.apis), conninfo, "/var/lib/inari-parent",
                                 {"web_dir": f"{lab.dir}/system/usr/share/inari/web"}), 0o640, 0, users.ids("inari")[1])
    for folder, user, mode in (("var/lib/inari-db", "inari-db", 0o700), ("run/inari-db", "inari-db", 0o755),
                               ("var/lib/inari-parent", "inari", 0o700)):
        make_dir(f"{root}/{folder}", mode, *users.ids(user))
    if name == "parent" and part in ("", "postgres"):
        wait_until(lambda: postgres_up(lab, host), "PostgreSQL in the parent", 60, 0.2)
    if part not in ("", "inarid"):
        return
    if not host.named("inarid"):
        p = host.spawn("inarid", [path_of(lab, "inarid"), "--config", "/etc/inari/inarid.conf"], user="inari",
                       env={**SANITIZERS, **(env or {})})
        wait_until(lambda: p.poll() is not None or world.listening(host, 8445), "inarid to listen", 60)
        if p.poll() is not None and not host.named("inarid"):
            raise LabError(f"inarid did not start:\n{host.tail('inarid')}")
    # Also when it runs already: an earlier "up" may have been killed before it came here.
    wait_until(lambda: world.listening(host, 8445), "inarid to listen", 60)
    certificate(lab)
    wait_until(lambda: control.ready(lab, name), f"{lab.api_of(name)}/readyz", 60)
    if name == "parent":
        first_password(lab, host)


def add_parent(lab):
    """A second parent as docs/install.md has it: the database opens to its address, it gets the first one's keys, and
    both name both addresses."""
    first = lab.host("parent")
    if not lab.state.get("db_password"):
        password = secrets.token_hex(16)
        first.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-h", "/run/inari-db", "-U", "postgres", "-d", "inari", "-c",
                   f"ALTER ROLE inari PASSWORD '{password}'"], user="inari-db")
        lab.state["db_password"] = password
        lab.save()
        first.kill("inarid")  # its children notice at once; after a clean stop they would come back within a minute
        first.kill("postgres", signal.SIGINT)
    world.write_zones(lab)
    parent_start(lab)
    second = lab.switch_on("parent2")
    uid, gid = users.ids("inari")
    state, to = f"{first.root}/var/lib/inari-parent", f"{second.root}/var/lib/inari-parent"
    make_dir(to, 0o700, uid, gid)
    make_dir(f"{to}/tls", 0o700, uid, gid)
    for name in ("parent.key", "tls/server.key", "tls/backup.key", "tls/pins"):
        if not os.path.exists(f"{to}/{name}"):
            shutil.copy(f"{state}/{name}", f"{to}/{name}.new")
            os.chown(f"{to}/{name}.new", uid, gid)
            os.rename(f"{to}/{name}.new", f"{to}/{name}")
    parent_start(lab, "parent2")
    wait_until(lambda: all(knows(lab, c) for c in lab.children() if lab.child_state(c).get("device_id")),
               "the children to know both parents", 120, 0.2)


def knows(lab, child):
    with open(f"{lab.host(child).root}/var/lib/inari/agent/identity.json") as f:
        return set(json.load(f)["addresses"]) >= set(lab.apis)


def postgres_up(lab, host):
    """True when it answers; started when it is not there (again when it ended, as systemd would)."""
    if not host.named("postgres") and not host.named("initdb"):
        more = ["--listen", lab.addresses("parent")[0][0], "--from", f"{lab.addresses('parent2')[0][0]}/32"] \
            if "parent2" in lab.parents else []
        p = host.spawn("postgres", [path_of(lab, "inari-postgres"), "--data", "/var/lib/inari-db/data", "--socket",
                                    "/run/inari-db", "--client", "inari", *more], user="inari-db")
        wait_until(lambda: host.named("postgres") or p.poll() is not None, "inari-postgres", 60)
    return host.run(["pg_isready", "-q", "-h", "/run/inari-db"], user="inari-db", check=False).returncode == 0


def certificate(lab):
    """The parents' certificates, for curl --cacert and browsers."""
    text = ""
    for name in lab.parents:
        path = f"{lab.host(name).root}/var/lib/inari-parent/tls/server.crt"
        if os.path.exists(path):
            with open(path) as f:
                text += f.read()
    write_file(lab.ca, text)


def first_password(lab, host):
    """An administrator whose password the lab knows."""
    if lab.state.get("admin"):
        return
    r = host.run([path_of(lab, "inarid"), "reset-admin", "--config", "/etc/inari/inarid.conf"], user="inari")
    user, password = control.admin_words(r.stdout)
    lab.state["admin"] = {"user": user, "password": password}
    lab.save()


# -- children ------------------------------------------------------------------------------------------------------
def child_start(lab, name, part="", env=None):
    host = lab.switch_on(name)
    make_dir(f"{host.root}/run/inari", 0o775, 0, users.ids("inari-agent")[1])
    var = make_dir(f"{host.root}/var/lib/inari", 0o755)
    make_dir(f"{var}/agent", 0o700, *users.ids("inari-agent"))
    make_dir(f"{var}/helper", 0o700)
    make_dir(f"{var}/trial", 0o755)
    path = make_dir(f"{host.root}/etc/inari") + "/agent.conf"
    if not os.path.exists(path):
        write_file(path, "# a child of the lab: everything else is the default or comes from the parent\nlog.level = info\n"
                   f"foxproxy.program = {path_of(lab, 'foxproxy')}\n"  # its folders are below those that a host has of its own
                   "foxproxy.config = /etc/inari/foxproxy/foxproxy.ini\nfoxproxy.control = /run/inari/foxproxy/control\n"
                   "foxproxy.state = /var/lib/inari/foxproxy\n")
    postfix.write(lab, host)
    if part in ("", "postfix"):
        postfix.start(host)
    if part in ("", "helper") and not host.named("inari-helper"):
        host.spawn("helper", [path_of(lab, "inari-helper"), "--config", "/etc/inari/agent.conf"],
                   env={**SANITIZERS, **(env or {})})
    joined = lab.child_state(name).get("device_id")
    if part in ("", "agent") and joined and not host.named("inari-agent"):
        host.spawn("agent", [path_of(lab, "inari-agent"), "--config", "/etc/inari/agent.conf", "run"],
                   user="inari-agent", env={**SANITIZERS, **(env or {})})


def join(lab, api, name):
    """Enrol a child that has not joined, as a person does: a token, one command on the device."""
    state = lab.child_state(name)
    if state.get("device_id"):
        return
    host = lab.host(name)
    token = api.post("/enrolment-tokens", {"name": f"lab {name}", "uses": 1, "expires_in_s": 3600})
    host.run([path_of(lab, "inari-agent"), "--config", "/etc/inari/agent.conf", "join", "--join", token["join"],
              "--name", name], user="inari-agent", timeout=60)
    state["device_id"] = api.device(name)["id"]
    lab.save()
    say(f"{name}: joined as {state['device_id']}")


def adopt(lab, names):
    """Join, manage, and wait until the children run what is published."""
    api = control.admin(lab)
    for name in names:
        child_start(lab, name)
        join(lab, api, name)
        child_start(lab, name)
    made = api.publish(control.fleet_settings(lab), "lab: mail for the domain goes to inside")
    if made:
        say(f"published revision {made['pub']}")
    for name in names:
        if api.device(name)["mode"] == "observe":
            api.change(f"/devices/{name}", {"mode": "manage"})
    control.wait_in_sync(api, names)


def start(lab, name, part="", env=None):
    """Start what is not running of NAME, or one part of it."""
    if part:
        program(part)
    if name in lab.parents:
        parent_start(lab, name, part, env)
    elif name in lab.children():
        child_start(lab, name, part, env)
    else:
        world.start(lab)


def device_lines(lab):
    if not lab.state.get("token") or not lab.host("parent").named("inarid"):
        return []
    try:
        api = control.Api(lab.api, lab.ca, lab.state["token"])
        return [f"{d['name']:12} {control.describe(d)}" for d in api.get("/devices")["items"]]
    except (OSError, LabError) as e:
        return [f"the API does not answer: {e}"]
