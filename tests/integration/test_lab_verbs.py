"""deploy/lab keeps its contract: lab.json, env, verbs safe to repeat, an end that leaves nothing."""
import json
import os
import subprocess

import parentlib
import pytest
from inarilab import net as netlib

pytestmark = pytest.mark.lab


def test_lab_json_has_what_is_promised(lab):
    j = lab.json
    assert j["api"] == f"https://198.18.{lab.lab.net.n}.1:8445" and j["domain"] == "example.test"
    assert set(j["parent"]) >= {"netns", "root", "pids"} and j["parent"]["pids"]["inarid"]
    assert set(j["admin"]) == {"user", "password"} and os.path.isfile(j["ca"])
    assert set(j["outside"]) >= {"netns", "address", "addresses"} and len(j["outside"]["addresses"]) >= 50
    assert set(j["inside"]) >= {"netns", "address", "port", "maildir"} and os.path.isdir(j["inside"]["maildir"])
    assert set(j["dns"]) >= {"netns", "address", "zones"}
    assert [c["name"] for c in j["children"]] == ["child1", "child2", "child3"]
    for c in j["children"]:
        assert set(c) >= {"name", "netns", "address", "address6", "smtp_port", "device_id", "root"}
        assert os.path.isfile(os.path.join(c["root"], "etc/postfix/main.cf")) and c["device_id"]
    for host in (j["parent"], j["outside"], j["inside"], j["dns"], *j["children"]):
        assert netlib.exists(host["netns"])


def test_env_makes_curl_work(lab):
    r = subprocess.run(["bash", "-c", f". {lab.dir}/env && curl -sS --fail --cacert $INARI_CA "
                        "-H \"Authorization: Bearer $INARI_TOKEN\" $INARI_API/api/v1/devices"],
                       capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    assert {d["name"] for d in json.loads(r.stdout)["items"]} >= set(lab.children)
    assert os.stat(f"{lab.dir}/env").st_mode & 0o077 == 0
    r = subprocess.run(["bash", "-c", f". {lab.dir}/env && . {lab.dir}/env && inarictl status && echo $PATH"],
                       capture_output=True, text=True)
    assert r.returncode == 0 and "in sync" in r.stdout, r.stdout + r.stderr
    assert r.stdout.count(f"{lab.dir}/system/usr/bin") == 1
    assert "last attempt committed" in lab.execute(lab.children[0], "inari-agent", "status").stdout


def test_up_again_changes_nothing(lab):
    def without_sessions():  # PostgreSQL's processes of single sessions come and go
        j = lab.json
        j["parent"]["pids"]["postgres"] = j["parent"]["pids"]["postgres"][:1]
        return j
    before = without_sessions()
    lab.up(3)
    assert without_sessions() == before


def test_the_password_opens_a_session(lab):
    j = lab.json
    s = parentlib.Session(j["api"], j["ca"])
    assert s.ok("POST", "/session", j["admin"])["must_change_password"] is False


def test_status_and_logs_speak(lab):
    out = lab.verb("status").stdout
    for child in lab.children:
        assert f"{child}" in out
    assert "inarid" in out and "in-sync" in out
    assert "postfix" in lab.verb("logs", "child1").stdout


@pytest.mark.parametrize("args, word", [
    (["kill", "nobody"], "there is no host nobody"), (["kill", "child1/nonsense"], "must be one of"),
    (["exec", "child1"], "COMMAND"), (["add-child", "Bad_Name"], "small letters")])
def test_wrong_use_is_explained(lab, args, word):
    r = lab.verb(*args, check=False)
    assert r.returncode == 1 and word in r.stderr


@pytest.mark.slow
def test_a_second_lab_stands_beside_and_leaves_nothing(lab, workdir):
    import labrig
    other = labrig.Rig(os.path.join(workdir, "lab2"))
    try:
        other.up(1)
        assert other.json["api"] != lab.json["api"]
        n = other.lab.net.n
        other.verb("add-child", "extra")
        other.wait_in_sync(["child1", "extra"])
    finally:
        other.verb("down")
    assert not os.path.exists(other.dir) and not os.path.exists(f"/sys/class/net/inlab{n}")
    assert [x for x in os.listdir("/run/netns") if x.startswith(f"lab{n}-")] == []
    other.verb("down")
    lab.wait_in_sync()


@pytest.mark.slow
def test_up_continues_what_a_killed_up_left(workdir, system_users):
    """SIGKILL of deploy/lab at several moments of its start; the next up makes a whole lab of it."""
    import labrig
    rig = labrig.Rig(os.path.join(workdir, "lab3"))
    try:
        for seconds in (0.3, 0.8, 1.5, 3.0, 5.0):
            p = subprocess.Popen([labrig.COMMAND, "up", "--dir", rig.dir, "--children", "1", "--prefix",
                                  parentlib.build_dir()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                p.wait(seconds)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        rig.up(1)
        rig.wait_in_sync()
        assert len(rig.json["children"]) == 1
    finally:
        rig.verb("down")
