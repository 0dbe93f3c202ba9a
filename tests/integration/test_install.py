"""deploy/install: what it says before it changes anything, what each role gets, a machine that is parent and child, and
the way back.  The whole of it runs on a machine of its own with a real systemd."""
import json
import os
import re
import subprocess
import tempfile

import parentlib
import pytest
import systemdlib
from parentlib import SOURCE, folder, wait_until

COMMAND = os.path.join(SOURCE, "deploy", "install")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
PARENT_ONLY = {"inarid", "inari-postgres", "inarid.service", "inari-postgres.service", "inarid.conf", "inarid.8"}
CHILD_ONLY = {"inari-agent", "inari-helper", "foxproxy", "inari-agent.service", "inari-helper.service",
              "inari-foxproxy.service", "inari-hold@.service", "agent.conf", "inari-agent.8", "inari-helper.8", "foxproxy.8"}
SANITIZERS = "[Service]\nEnvironment=ASAN_OPTIONS=abort_on_error=0:exitcode=99:detect_leaks=0\n"


def component(dest, *names):
    """Names of the files that these parts put on a machine, without folders."""
    for name in names:
        subprocess.run(["cmake", "--install", parentlib.build_dir(), "--component", name], check=True, capture_output=True,
                       env={**os.environ, "DESTDIR": dest})
    return {f: os.path.join(d, f) for d, _, fs in os.walk(dest) for f in fs}


def linked(program):
    return subprocess.run(["readelf", "-d", program], capture_output=True, text=True).stdout


def test_parts_of_parent_and_child_are_apart(tmp_path):
    """The controller exists on the parent alone: none of its files is among a child's, and the other way round."""
    parent = component(str(tmp_path / "p"), "common", "server", "web", "cli")
    child = component(str(tmp_path / "c"), "common", "agent")
    assert PARENT_ONLY | {"inarictl", "index.html"} <= set(parent) and not CHILD_ONLY & set(parent)
    assert CHILD_ONLY <= set(child) and not (PARENT_ONLY | {"inarictl", "index.html", "app.js"}) & set(child)
    assert "libpq" in linked(parent["inarid"])
    for name in ("inari-agent", "inari-helper", "foxproxy"):
        assert not re.search("libpq|libmicrohttpd", linked(child[name])), name
    whole = str(tmp_path / "all")
    subprocess.run(["cmake", "--install", parentlib.build_dir()], check=True, capture_output=True,
                   env={**os.environ, "DESTDIR": whole})
    every = {f for _, _, fs in os.walk(whole) for f in fs}
    lab = set(component(str(tmp_path / "l"), "lab"))
    assert every == set(parent) | set(child) | lab, "a file that belongs to no part"


def test_programs_are_64_bit(tmp_path):
    """Ours and every library they ask for."""
    files = component(str(tmp_path), "server", "agent", "cli")
    for name in ("inarid", "inari-agent", "inari-helper", "foxproxy", "inarictl"):
        libraries = re.findall(r"=> (/\S+)", subprocess.run(["ldd", files[name]], capture_output=True, text=True).stdout)
        assert libraries
        for path in [files[name], *libraries]:
            with open(path, "rb") as f:
                assert f.read(5) == b"\x7fELF\x02", path


# -- what stands in the way ------------------------------------------------------------------------------------------
LISTEN = "import socket,time\ns=socket.create_server(('127.0.0.1',%d))\nprint('up',flush=True)\ntime.sleep(60)"


def check(*args, prepare="", port=None):
    """deploy/install --check in namespaces of its own, after `prepare` was done there."""
    listener = (f"/usr/bin/python3 -c \"{LISTEN % port}\" >$PRIVATE/up &\nuntil grep -q up $PRIVATE/up; do sleep 0.05; done\n"
                if port else "")
    script = (f"set -e\nmount -t tmpfs tmpfs $PRIVATE\nip link set lo up\n{prepare}\n{listener}"
              f"rc=0; {COMMAND} --no-start --check {' '.join(args)} || rc=$?\n{'kill $!' if port else ''}\nexit $rc")
    with tempfile.TemporaryDirectory() as private:
        r = subprocess.run(["unshare", "-m", "-n", "-u", "sh", "-c", script], capture_output=True, text=True, timeout=60,
                           env={**os.environ, "PRIVATE": private})
    return r.returncode, r.stdout + r.stderr


def build_args():
    return ["--build", parentlib.build_dir()]


@ROOT
def test_preflight_says_what_it_found():
    rc, text = check("--role", "child", *build_args())
    assert rc == 0, text
    version = subprocess.run(["postconf", "-h", "mail_version"], capture_output=True, text=True).stdout.strip()
    assert f"Postfix {version}, package postfix {version}" in text and "nobody listens on port 25" in text
    rc, text = check("--role", "parent", *build_args())
    assert rc == 0, text


HIDE_POSTFIX = ("mkdir $PRIVATE/u $PRIVATE/w; mount -t overlay overlay -o lowerdir=/usr/sbin,upperdir=$PRIVATE/u,workdir=$PRIVATE/w "
                "/usr/sbin; rm /usr/sbin/postconf")


@ROOT
@pytest.mark.parametrize("args,how,words", [
    (["--role", "child"], {"port": 25}, ["port 25 is taken by python3 (pid", "not by Postfix"]),
    (["--role", "parent"], {"port": 8445}, ["port 8445 is taken by python3 (pid", "api.listen"]),
    (["--role", "child"], {"prepare": HIDE_POSTFIX}, ["Postfix is not installed", "installs no mail system", "apt-get install postfix"]),
    (["--role", "parent"], {"prepare": "mount -t tmpfs -o mode=700 tmpfs /var/lib"},
     ["/var/lib cannot be read by ordinary users (mode 700)", "chmod o+rx /var/lib"]),
    (["--role", "parent"], {"prepare": "mount -t tmpfs -o mode=755,size=100m tmpfs /var/lib"}, ["/var/lib has 100 MB free", "500 MB"]),
    (["--role", "single"], {"prepare": "hostname nobody-knows-me.invalid"}, ["nobody-knows-me.invalid, has no address", "/etc/hosts"]),
    (["--role", "single"], {"port": 25}, ["port 25 is taken by python3 (pid"]),
    (["--role", "child", "--join-file", "/no/such"], {}, ["--join-file /no/such: cannot be read"]),
], ids=["foreign program on 25", "foreign program on 8445", "no Postfix", "folder closed to daemons", "little room", "name without address", "single: foreign program on 25", "no join file"])
def test_what_stands_in_the_way_is_named(args, how, words):
    rc, text = check(*args, *build_args(), **how)
    assert rc == 1 and "nothing was changed" in text, text
    assert all(w in text for w in words), text


@pytest.mark.parametrize("args,word", [([], "--role single, --role parent or --role child is needed"), (["--role", "both"], "must be single, parent or child"),
                                       (["--role", "parent", "--join-file", "x"], "is for a child"), (["--what"], "unknown option"),
                                       (["--role"], "needs a value")])
def test_wrong_use_is_explained(args, word):
    r = subprocess.run([COMMAND, *args], capture_output=True, text=True)
    assert r.returncode == 2 and word in r.stderr


def test_without_a_build_it_names_the_commands(tmp_path):
    r = subprocess.run([COMMAND, "--role", "parent", "--check", "--build", str(tmp_path)], capture_output=True, text=True)
    assert r.returncode == 1 and "is no finished build: cmake --preset release" in r.stderr


# -- a whole machine -------------------------------------------------------------------------------------------------
API = r"""
import json, sys
sys.path.insert(0, "%s/deploy")
from inarilab.control import Api
api = Api("https://localhost:8445", "/var/lib/inari-parent/tls/server.crt", sys.argv[1] or None)
def run(value):
    print(json.dumps(value))
""" % SOURCE


class Host(systemdlib.Machine):
    token = ""

    def __init__(self, base):
        super().__init__(base)
        system = os.path.join(base, "system")  # nothing is laid out before deploy/install does it
        subprocess.run(["rm", "-rf", os.path.join(system, "usr")], check=True)

    def install(self, *args, check=True):
        return self.run(COMMAND, "--build", parentlib.build_dir(), *args, check=check, timeout=180)

    def api(self, code):
        return json.loads(self.run("/usr/bin/python3", "-c", f"{API}\nrun({code})", self.token).stdout)

    def sign_in(self, old=None):
        first = "" if old else wait_until(lambda: self.run("cat", "/var/lib/inari-parent/first-login.txt", check=False).stdout,
                           "the first password", 60, 0.3)
        old = old or re.search(r"^password: (\S+)", first, re.M).group(1)
        self.run("/usr/bin/python3", "-c", f"""{API}
api.login("admin", {old!r})
api.call("PUT", "/session/password", {{"old": {old!r}, "new": "quite another phrase"}})""", "")
        self.token = json.loads(self.run("/usr/bin/python3", "-c", f"""{API}
s = api.login("admin", "quite another phrase")
run(api.post("/api-tokens", {{"name": "t", "scopes": s["permissions"], "expires_at": None}}))""", "").stdout)["token"]


UNITS = ("inari-postgres", "inarid", "inari-helper", "inari-agent")


@pytest.mark.slow
@pytest.mark.skipif(not systemdlib.possible(), reason="needs root, systemd and a writable cgroup2")
def test_one_command_makes_a_site_of_one_machine(workdir):
    """Parent and child with --role single: cut off in the middle it says so and goes on when run again; the password is
    shown once; the child is observed and its mail as it was; both go with one command."""
    m = Host(folder(workdir, "single"))
    broken = "/etc/systemd/system/inarid.service.d/broken.conf"
    try:
        m.start()
        for unit in UNITS:
            m.write(f"/etc/systemd/system/{unit}.service.d/sanitizers.conf", SANITIZERS)
        postfix = {n: open(m.path(f"/etc/postfix/{n}")).read() for n in ("main.cf", "master.cf")}
        m.write(broken, "[Service]\nExecStartPre=/bin/false\n")
        r = m.install("--role", "single", check=False)
        assert r.returncode != 0 and "failed while starting the parent" in r.stderr, r.stderr
        assert "run the same command again" in r.stderr and "password" not in r.stdout
        os.unlink(m.path(broken))
        r = m.install("--role", "single")
        assert "https://" in r.stdout and "observed" in r.stdout and r.stdout.endswith("done\n"), r.stdout
        password = re.search(r"^user: admin\npassword: (\S+)$", r.stdout, re.M).group(1)
        assert "passphrase of root.key.pem" not in r.stdout
        for unit in UNITS:
            assert m.run("systemctl", "is-enabled", unit).stdout.strip() == "enabled"
        m.sign_in(password)
        device = wait_until(lambda: next((d for d in m.api('api.get("/devices")')["items"] if d["presence"] == "online"), None),
                            "the device, online", 60, 0.3)
        assert device["state"] == "observing" and device["mode"] == "observe"
        assert [t["created_by"] for t in m.api('api.get("/enrolment-tokens")')["items"]] == ["inarid"]
        # again: the same device, no new token, no password
        r = m.install("--role", "single")
        assert password not in r.stdout and "was shown before" in r.stdout, r.stdout
        assert [d["id"] for d in m.api('api.get("/devices")')["items"]] == [device["id"]]
        assert len(m.api('api.get("/enrolment-tokens")')["items"]) == 1
        assert postfix == {n: open(m.path(f"/etc/postfix/{n}")).read() for n in postfix}
        r = m.install("--role", "single", "--remove", check=False)
        assert r.returncode == 1 and "1 children are registered here" in r.stderr
        assert os.path.exists(m.path("/usr/local/bin/inari-agent")), "nothing goes when one of both may not"
        m.install("--role", "single", "--remove", "--force")
        for name in ("sbin/inarid", "bin/inari-agent"):
            assert not os.path.exists(m.path(f"/usr/local/{name}"))
        # a child whose parent is elsewhere is not made a site of its own by mistake
        m.run("rm", "-r", "/var/lib/inari-parent")
        r = m.install("--role", "single", check=False)
        assert r.returncode == 1 and "child of another parent" in r.stderr and "nothing was changed" in r.stderr
    finally:
        m.stop()


@pytest.mark.slow
@pytest.mark.skipif(not systemdlib.possible(), reason="needs root, systemd and a writable cgroup2")
def test_one_machine_is_parent_and_child_and_neither_again(workdir):
    m = Host(folder(workdir, "install"))
    try:
        m.start()
        for unit in UNITS:
            m.write(f"/etc/systemd/system/{unit}.service.d/sanitizers.conf", SANITIZERS)
        assert "done" in m.install("--role", "parent").stdout
        assert not os.path.exists(m.path("/usr/local/bin/inari-agent"))
        m.sign_in()
        joined = m.api('api.post("/enrolment-tokens", {"name": "t", "uses": 1, "expires_in_s": 600})')["join"]
        m.write("/var/tmp/join", joined, 0o600)
        m.install("--role", "child", "--join-file", "/var/tmp/join")
        device = wait_until(lambda: next((d for d in m.api('api.get("/devices")')["items"] if d["presence"] == "online"), None),
                            "the device, online", 60, 0.3)
        for unit in UNITS:
            assert m.run("systemctl", "is-enabled", unit).stdout.strip() == "enabled"
        # again: nothing is lost
        m.install("--role", "parent")
        m.install("--role", "child")
        assert m.api(f'api.device("{device["id"]}")')["state"] == "observing"
        # the parent does not go before its children, unless one insists
        r = m.install("--role", "parent", "--remove", check=False)
        assert r.returncode == 1 and f"1 children are registered here: {device['name']}" in r.stderr, r.stderr
        assert "retire each of them first" in r.stderr and m.run("systemctl", "is-active", "inarid").stdout.strip() == "active"
        r = m.install("--role", "child", "--remove", check=False)
        assert r.returncode == 1 and "inari-agent leave" in r.stderr
        r = m.install("--role", "parent", "--remove", "--force")
        assert "warning: 1 children are left without a parent" in r.stderr
        assert not os.path.exists(m.path("/usr/local/sbin/inarid"))
        assert os.path.exists(m.path("/var/lib/inari-parent/tls/server.crt")), "the state stays"
        assert m.run("systemctl", "is-active", "inarid", check=False).stdout.strip() != "active"
        before = {n: open(m.path(f"/etc/postfix/{n}")).read() for n in ("main.cf", "master.cf")}
        m.install("--role", "child", "--remove", "--force")
        assert not os.path.exists(m.path("/usr/local/bin/inari-agent"))
        assert before == {n: open(m.path(f"/etc/postfix/{n}")).read() for n in before}
    finally:
        m.stop()


@pytest.mark.slow
def test_parent_may_go_when_it_has_no_children(new_parent):
    p = new_parent()
    argv = parentlib.as_user("inari", [p.programs["inarid"], "may-remove", "--config", p.conf])
    run = lambda *more: subprocess.run([*argv, *more], capture_output=True, text=True, cwd="/",  # noqa: E731
                                       env={**os.environ, **parentlib.SAN_ENV})
    r = run()
    assert r.returncode == 0 and "no children are registered here" in r.stdout, r.stderr
    import wireclient
    api = p.token()
    d = wireclient.Device(p.base, p.ca, "mx-last")
    d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    r = run()
    assert r.returncode == 1 and "mx-last" in r.stderr and "retire" in r.stderr
    r = run("--force")
    assert r.returncode == 0 and "warning: 1 children are left without a parent" in r.stderr
    assert api.ok("GET", "/audit?action=parent.remove_forced")["items"][0]["detail"] == {"children": 1}
    at = api.get(f"/devices/{d.id}").headers["ETag"]
    api.ok("POST", f"/devices/{d.id}/retire", {}, headers={"If-Match": at})
    assert run().returncode == 0
