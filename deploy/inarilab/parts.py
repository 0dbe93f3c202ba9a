"""Inari's own programs in the lab: laid out, configured, started, killed and joined."""
import os
import shutil

from . import conf, control, postfix, system, users, world
from .host import HERE
from .util import LabError, make_dir, say, wait_until, write_file

PARTS = {"agent": "inari-agent", "helper": "inari-helper", "postfix": "postfix", "inarid": "inarid",
         "postgres": "postgres", "dns": "dnsd", "sink": "sink"}
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
            for part in ("inari-agent", "inari-helper", "inarid"):
                lab.host(name).kill(part)


def path_of(lab, name):
    try:
        return system.programs(f"{lab.dir}/system")[name]
    except KeyError:
        raise LabError(f"{name} is not in {lab.dir}/system: deploy/lab up lays it out") from None


# -- parent --------------------------------------------------------------------------------------------------------
def parent_start(lab, part="", env=None):
    host = lab.switch_on("parent")
    root = host.root
    write_file(make_dir(f"{root}/etc/inari") + "/inarid.conf",
               conf.inarid("[::]:8445", lab.api, "host=/run/inari-db dbname=inari user=inari", "/var/lib/inari-parent",
                           {"web_dir": f"{lab.dir}/system/usr/share/inari/web"}))
    for folder, user, mode in (("var/lib/inari-db", "inari-db", 0o700), ("run/inari-db", "inari-db", 0o755),
                               ("var/lib/inari-parent", "inari", 0o700)):
        make_dir(f"{root}/{folder}", mode, *users.ids(user))
    if part in ("", "postgres"):
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
    certificate(lab, host)
    wait_until(lambda: control.ready(lab), f"{lab.api}/readyz", 60)
    first_password(lab, host)


def postgres_up(lab, host):
    """True when it answers; started when it is not there (again when it ended, as systemd would)."""
    if not host.named("postgres") and not host.named("initdb"):
        p = host.spawn("postgres", [path_of(lab, "inari-postgres"), "--data", "/var/lib/inari-db/data", "--socket",
                                    "/run/inari-db", "--client", "inari"], user="inari-db")
        wait_until(lambda: host.named("postgres") or p.poll() is not None, "inari-postgres", 60)
    return host.run(["pg_isready", "-q", "-h", "/run/inari-db"], user="inari-db", check=False).returncode == 0


def certificate(lab, host):
    """The parent's certificate, for curl --cacert and browsers."""
    shutil.copy(f"{host.root}/var/lib/inari-parent/tls/server.crt", lab.ca)
    os.chmod(lab.ca, 0o644)


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
        write_file(path, "# a child of the lab: everything else is the default or comes from the parent\nlog.level = info\n")
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
    if name == "parent":
        parent_start(lab, part, env)
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
