"""inarictl against a real parent: verbs, exit statuses (cli/exit.h), --json, both languages, credentials, waiting."""
import json
import os
import threading
import uuid

import parentlib
import pytest
import wireclient
from ctllib import Ctl

OK, ERROR, USAGE, REFUSED, NOT_RUNNING, AUTH, UNREACHABLE, NOT_FOUND, CONFLICT = range(9)


class Child(threading.Thread):
    """A device that fetches and says it runs what it got; refuse: it says it does not."""

    def __init__(self, parent, token):
        super().__init__(daemon=True)
        self.device = wireclient.Device(parent.base, parent.ca, f"c-{uuid.uuid4().hex[:8]}")
        self.device.enrol(token)
        self.name, self.refuse, self.over = self.device.name, False, threading.Event()

    def run(self):
        while not self.over.is_set():
            answer = self.device.desired(wait=2)
            if answer.status_code != 200:
                self.over.wait(0.1)
                continue
            bundle = self.device.verify(answer.content)
            doc = self.device.status(running=bundle["mode"] == "manage" and not self.refuse)
            if self.refuse:
                doc["last_attempt"] = {"digest": bundle["content_digest"], "rev": bundle["rev"], "pub": bundle["pub"],
                                       "phase": "validated", "result": "rejected",
                                       "problem": {"title": "refused", "detail": "postfix: fatal: bad thing"}}
            self.device.put_status(doc)

    def stop(self):
        self.over.set()
        self.join(20)


@pytest.fixture(scope="module")
def parent(workdir, system_users, programs):
    """A parent of these tests alone: what other files leave behind would be part of every publication."""
    with parentlib.alone(workdir, "ctl-parent", programs) as p:
        yield p


@pytest.fixture(scope="module")
def api(parent):
    return parent.token()


@pytest.fixture
def ctl(programs, parent, api, tmp_path):
    return Ctl.of(programs, parent, api, tmp_path)


@pytest.fixture
def child(parent, api, ctl):
    join = api.ok("POST", "/enrolment-tokens", {"name": "ctl"})["join"]
    c = Child(parent, join)
    c.start()
    ctl.ok("mode", c.name, "manage")
    parentlib.wait_until(lambda: ctl.json("device", c.name)["sync"] == "in-sync", "the child to be in sync")
    yield c
    c.stop()
    ctl.ok("discard")
    ctl.ok("retire", c.name, "--yes")


def test_usage_errors_name_the_fault(ctl):
    for args, word in ((["nosuch"], "nosuch"), (["devices", "--nosuch"], "--nosuch"), (["set"], "missing"),
                       (["publish"], "--reason"), (["mode", "mx1", "sideways"], "sideways"),
                       (["set", "no-equals-sign"], "no-equals-sign"), (["hold", "x", "--reason", "r", "--for", "soon"], "soon"),
                       (["set", "a.b=1", "--device", "x", "--group", "y"], "--group")):
        status, out, err = ctl(*args)
        assert status == USAGE and word in err and out == "", (args, status, err)


def test_addresses_and_certificates(ctl, tmp_path):
    status, _, err = ctl("devices", env={"INARI_API": "https://127.0.0.1:1"})
    assert status == UNREACHABLE and "127.0.0.1:1" in err
    status, _, err = ctl("devices", env={"INARI_CA": "/etc/ssl/certs/ca-certificates.crt"})
    assert status == UNREACHABLE and "--ca" in err
    status, _, err = ctl("devices", env={"INARI_CA": str(tmp_path / "missing.pem")})
    assert status != OK and "missing.pem" in err
    for bad in ("http://localhost:1", "localhost:1", "https://a/path", "https://user@host", "https://"):
        assert ctl("devices", env={"INARI_API": bad})[0] == USAGE, bad
    # The name is checked too: the same machine under a name the certificate does not have.
    wrong = ctl.env["INARI_API"].replace("localhost", "ip6-localhost")
    assert ctl("devices", env={"INARI_API": wrong})[0] == UNREACHABLE


def test_credentials(ctl, parent, programs, tmp_path):
    status, out, err = ctl("devices", env={"INARI_TOKEN": "inari_wrong"})
    assert status == AUTH and "inari_wrong" not in out + err
    user, password = parent.admin or parent.reset_admin()
    home = tmp_path / "home"
    home.mkdir()
    bare = Ctl(programs["inarictl"], str(home))
    status, _, err = bare("login", "--user", user, "--url", parent.base, "--ca", parent.ca, stdin="wrong\n")
    assert status == AUTH
    bare.ok("login", "--user", user, "--url", parent.base, "--ca", parent.ca, stdin=password + "\n")
    stored = home / ".config" / "inari" / "inarictl.json"
    assert os.stat(stored).st_mode & 0o777 == 0o600 and password not in stored.read_text()
    bare.ok("devices")  # address, certificate and session are remembered
    status, _, _ = bare("devices", env={"INARI_API": parent.base.replace("localhost", "127.0.0.1"), "INARI_CA": parent.ca})
    assert status == AUTH, "a session must not be sent to another address"
    bare.ok("logout")
    assert bare("devices")[0] == AUTH and "session" not in json.loads(stored.read_text())


def test_a_generated_password_is_changed_at_login(new_parent, programs, tmp_path):
    parent = new_parent(lab="no")
    user, password = parent.reset_admin()
    bare = Ctl(programs["inarictl"], str(tmp_path), INARI_API=parent.base, INARI_CA=parent.ca)
    assert bare("login", "--user", user, stdin=password + "\n")[0] == USAGE, "no new password was given"
    assert bare("devices")[0] == AUTH, "nothing is stored of a login that is not complete"
    bare.ok("login", "--user", user, stdin=password + "\nMy-own-long-password-3\n")
    bare.ok("devices")
    bare.ok("logout")
    parentlib.wait_until(lambda: bare("login", "--user", user, stdin="My-own-long-password-3\n")[0] == OK, "the new one to work")


def test_pin_in_place_of_a_certificate(parent, programs, tmp_path):
    user, password = parent.admin or parent.reset_admin()
    pin = parent.session().get("/api/agent/v1/hello").json()["pins"][0]
    bare = Ctl(programs["inarictl"], str(tmp_path))
    other = ("A" if pin[0] != "A" else "B") + pin[1:]
    assert bare("login", "--user", user, "--url", parent.base, "--pin", other, stdin=password + "\n")[0] == UNREACHABLE
    bare.ok("login", "--user", user, "--url", parent.base, "--pin", pin, stdin=password + "\n")
    bare.ok("devices")


def test_lists_speak_json_and_both_languages(ctl, child):
    assert [d["name"] for d in ctl.json("devices")["items"] if d["name"] == child.name]
    assert "PRESENCE" in ctl.ok("devices") and "接続" in ctl.ok("devices", "--lang", "ja")
    assert "接続" in ctl.ok("devices", env={"LC_ALL": "ja_JP.UTF-8"})
    for before in (["--lang", "ja"], ["--lang=ja"], ["--json", "--lang", "ja", "--json"]):  # options before the verb
        status, out, err = ctl(*before, "devices")
        assert status == OK and ("接続" in out or out.startswith("{")), (before, out, err)
    assert "sideways" in ctl("--json", "mode", "mx1", "sideways")[2]
    assert ctl("--lang", "ja")[0] == USAGE and ctl("--lang")[0] == USAGE
    for verb in ("drafts", "revisions", "rollouts", "groups", "accounts", "audit", "catalog"):
        assert isinstance(ctl.json(verb)["items"], list), verb
        ctl.ok(verb)
    assert ctl.json("status")["devices"] and child.name in ctl.ok("status")
    assert ctl.json("audit", "--verify")["ok"] is True
    assert len(ctl.json("audit", "--limit", "3")["items"]) == 3
    assert ctl.json("version")["parent"]["version"]
    assert ctl.json("device", "nosuch", status=NOT_FOUND)["type"].endswith(":not-found")
    assert ctl("catalog", "no.such")[0] == NOT_FOUND
    assert "40M" not in ctl.ok("catalog", "smtp.message_size_limit")


def test_set_publish_get_explain(ctl, child):
    status, out, err = ctl("set", "smtp.message_size_limit=lots", "--device", child.name)
    assert status == REFUSED and "lots" in err
    problem = ctl.json("set", "smtp.message_size_limit=1", "--device", child.name, status=REFUSED)
    assert problem["type"].endswith(":invalid") and "smtp.message_size_limit" in problem["errors"][0]["pointer"]
    assert ctl.json("diff")["items"] == [], "a refused change leaves no draft"
    edited = ctl.json("set", "smtp.message_size_limit=20M", "--device", child.name)
    assert [(c["layer"], c["key"], c["new"]) for c in edited["changes"]] == [("device", "smtp.message_size_limit", 20971520)]
    assert [d["name"] for d in edited["devices"]] == [child.name]
    assert "20971520" in ctl.ok("diff") and len([d for d in ctl.json("drafts")["items"]]) >= 1
    published = ctl.json("publish", "--reason", "more room")
    assert published["running"] is True and [d["state"] for d in published["devices"]] == ["done"]
    assert ctl.ok("get", "smtp.message_size_limit", "--device", child.name).strip() == "20971520"
    assert ctl.json("get", "smtp.message_size_limit")["value"] != 20971520
    layers = ctl.json("explain", "smtp.message_size_limit", "--device", child.name)["layers"]
    assert [(x["layer"], x["wins"]) for x in layers][-1] == ("device", True) and layers[-1]["reason"] == "more room"
    assert "more room" in ctl.ok("explain", "smtp.message_size_limit", "--device", child.name)
    assert "20971520" in ctl.ok("show", str(published["pub"]))
    assert ctl("publish", "--reason", "nothing there")[0] == NOT_FOUND
    undone = ctl.json("undo", str(published["pub"]), "--reason", "back")
    assert undone["running"] is True
    restored = ctl.json("restore", str(published["pub"]), "--reason", "again")
    assert ctl.json("get", "smtp.message_size_limit", "--device", child.name)["value"] == 20971520
    assert ctl.json("revisions")["items"][0]["pub"] == restored["pub"]


def test_publish_says_why_it_does_not_run(ctl, child):
    child.refuse = True
    ctl.ok("set", "smtp.message_size_limit=21M", "--device", child.name)
    status, out, err = ctl("publish", "--reason", "will be refused", "--timeout", "20s")
    assert status == NOT_RUNNING and child.name in err and "postfix: fatal: bad thing" in err
    child.refuse = False
    child.stop()
    ctl.ok("set", "smtp.message_size_limit=22M", "--device", child.name)
    answer = ctl.json("publish", "--reason", "nobody is there", "--timeout", "2s", status=NOT_RUNNING)
    assert answer["running"] is False and answer["devices"][0]["name"] == child.name and answer["devices"][0]["why"]
    ctl.ok("set", "smtp.message_size_limit=23M", "--device", child.name)
    ctl.ok("publish", "--reason", "not waited for", "--wait", "none")


def test_lists_of_rows(ctl, child):
    name = uuid.uuid4().hex[:8]
    ctl.ok("set", f"smtp.relay_domains+={name}.example,b{name}.example", f"smtp.routes[{name}.example].next_hop=[192.0.2.25]:25")
    ctl.ok("publish", "--reason", "rows")
    assert ctl.json("get", "smtp.routes")["value"][f"{name}.example"]["next_hop"] == "[192.0.2.25]:25"
    ctl.ok("set", f"smtp.relay_domains-=b{name}.example")
    ctl.ok("discard")
    ctl.ok("set", f"smtp.relay_domains-=b{name}.example")
    ctl.ok("publish", "--reason", "one less")
    rows = ctl.json("get", "smtp.relay_domains", "--device", child.name)["value"]
    assert f"{name}.example" in rows and f"b{name}.example" not in rows
    ctl.ok("unset", f"smtp.relay_domains[{name}.example]", f"smtp.routes[{name}.example]")
    ctl.ok("publish", "--reason", "none left")
    assert f"{name}.example" not in ctl.json("get", "smtp.relay_domains", "--device", child.name)["value"]


def test_a_list_can_be_given_whole(ctl, child):
    name = uuid.uuid4().hex[:8]
    kept = sorted(ctl.json("get", "smtp.relay_domains")["value"])
    ctl.ok("set", f"smtp.relay_domains+=a{name}.example,b{name}.example")
    ctl.ok("set", f"smtp.relay_domains={','.join([*kept, f'b{name}.example', f'c{name}.example'])}")
    ctl.ok("publish", "--reason", "the whole list")
    assert sorted(ctl.json("get", "smtp.relay_domains")["value"]) == sorted([*kept, f"b{name}.example", f"c{name}.example"])
    ctl.ok("set", f"smtp.relay_domains={','.join(kept)}")
    ctl.ok("publish", "--reason", "as before")
    assert sorted(ctl.json("get", "smtp.relay_domains")["value"]) == kept


def test_what_needs_a_reason_is_kept_only_when_asked(ctl, child):
    ctl.ok("set", "smtp.recipient_limit=812")
    status, out, err = ctl("set", "smtp.relay_networks+=127.0.0.0/8", "smtp.recipient_limit=813")
    assert status == REFUSED and "P02" in err and "smtp.relay_networks[127.0.0.0/8]" in err
    assert [(i["key"], i["new"]) for i in ctl.json("diff")["items"]] == [("smtp.recipient_limit", 812)]
    ctl.ok("set", "smtp.relay_networks+=127.0.0.0/8", "--force")
    assert ctl("publish", "--reason", "x")[0] == REFUSED
    ctl.ok("discard", "smtp.relay_networks")
    assert [i["key"] for i in ctl.json("diff")["items"]] == ["smtp.recipient_limit"]
    ctl.ok("discard")


def test_a_stale_draft_names_the_other(ctl, child, api):
    ctl.ok("set", "smtp.recipient_limit=820")
    mine = ctl.json("drafts")["items"][0]["id"]
    other = api.ok("POST", "/drafts", {"title": "other"})["id"]
    ctl.ok("set", "smtp.recipient_limit=821", "--draft", other)
    ctl.ok("publish", "--reason", "first", "--draft", other)
    status, _, err = ctl("publish", "--reason", "second", "--draft", mine)
    assert status == CONFLICT and "smtp.recipient_limit" in err and "revision" in err
    ctl.ok("discard", "--draft", mine)
    ctl.ok("unset", "smtp.recipient_limit")
    ctl.ok("publish", "--reason", "gone")


def test_lists_of_addresses(ctl, tmp_path):
    ctl.ok("list", "blocked", "add", "203.0.113.9", "198.51.100.1-198.51.100.2", "--comment", "botnet", "--expires", "7d", "--reason", "at 3")
    assert "203.0.113.9/32" in ctl.ok("list", "blocked", "show")
    assert len(ctl.json("list", "blocked", "show", "--comment", "bot")["items"]) == 3
    found = ctl.json("list", "blocked", "find", "203.0.113.9")
    assert found["match"]["comment"] == "botnet" and found["match"]["expires_at"] is not None
    assert "203.0.113.10" in ctl.ok("list", "blocked", "find", "203.0.113.10")
    assert ctl.json("list", "blocked", "add", "203.0.113.10", "--dry-run")["added"] == 1
    assert ctl.json("list", "blocked", "find", "203.0.113.10")["match"] is None
    refused, out, err = ctl("list", "blocked", "add", "10.0.0.0/8")
    assert refused == REFUSED and "10.0.0.0/8" in err and "--force" not in out
    ctl.ok("list", "blocked", "add", "10.0.0.0/8", "--force", "a test")
    file = tmp_path / "list.csv"
    ctl.ok("list", "blocked", "export", str(file))
    assert file.read_text().startswith("network,scope,comment,expires_at,author,created_at")
    (tmp_path / "plain").write_text("# feed\n203.0.113.0/24\n")
    taken = ctl.json("list", "blocked", "import", str(tmp_path / "plain"), "--format", "plain", "--mode", "replace")
    assert (taken["added"], taken["removed"]) == (1, 4)
    newest = ctl.json("list", "blocked", "history")["items"][0]
    assert newest["kind"] == "import" and newest["version"] == taken["version"]
    assert "203.0.113.9/32" in ctl.ok("list", "blocked", "history", str(taken["version"]))
    ctl.ok("list", "blocked", "undo", str(taken["version"]), "--force", "a test")
    assert "203.0.113.0/24" not in ctl.ok("list", "blocked", "export", "--format", "plain")
    ctl.ok("list", "blocked", "remove", "203.0.113.9", "198.51.100.1", "198.51.100.2", "10.0.0.0/8")
    assert ctl.ok("list", "blocked", "export", "--format", "plain") == ""
    for wrong in (["list", "grey", "show"], ["list", "blocked", "sing"], ["list", "blocked", "remove"], ["list", "blocked", "add"]):
        assert ctl(*wrong)[0] == USAGE, wrong


def test_modes_holds_groups(ctl, child):
    ctl.ok("mode", child.name, "observe")
    ctl.ok("set", "smtp.message_size_limit=24M", "--device", child.name)
    status, out, err = ctl("publish", "--reason", "only watched")
    assert status == OK and child.name in err, "an observed device is named, not waited for"
    ctl.ok("mode", child.name, "manage")
    ctl.ok("hold", child.name, "--reason", "maintenance", "--for", "10m")
    assert ctl.json("device", child.name)["state"] == "held"
    ctl.ok("release", child.name)
    group = f"g-{uuid.uuid4().hex[:6]}"
    ctl.ok("group", "create", group)
    ctl.ok("group", "add", group, child.name)
    assert child.name in ctl.ok("group", "members", group)
    ctl.ok("set", "smtp.recipient_limit=900", "--group", group)
    ctl.ok("publish", "--reason", "for the group")
    assert ctl.json("get", "smtp.recipient_limit", "--group", group)["value"] == 900
    assert ctl.json("get", "smtp.recipient_limit", "--device", child.name)["value"] == 900
    ctl.ok("unset", "smtp.recipient_limit", "--group", group)
    ctl.ok("publish", "--reason", "no more")
    ctl.ok("group", "remove", group, child.name)
    ctl.ok("group", "delete", group)
    assert ctl("group", "members", group)[0] == NOT_FOUND
    assert ctl("revoke", child.name, "--reason", "x")[0] == USAGE, "needs --yes"


@pytest.fixture
def signed_in(programs, parent, tmp_path):
    """inarictl with a session (some things no API token may do)."""
    user, password = parent.admin or parent.reset_admin()
    home = tmp_path / "signed-in"
    home.mkdir()
    c = Ctl(programs["inarictl"], str(home), INARI_API=parent.base, INARI_CA=parent.ca)
    c.ok("login", "--user", user, stdin=password + "\n")
    return c


def test_join_tokens_and_api_tokens(ctl, signed_in, parent, tmp_path, programs):
    status, out, err = ctl("join-token", "create", "ctl-test", "--uses", "2", "--expires", "10m")
    assert status == OK and out.startswith("inari1.") and len(out.splitlines()) == 1
    made = [t for t in ctl.json("join-token", "list")["items"] if t["name"] == "ctl-test"]
    ctl.ok("join-token", "revoke", made[0]["id"])
    assert ctl("tokens")[0] == AUTH, "a token makes no tokens"
    out = signed_in.ok("tokens", "create", "reader", "--scopes", "device:read,settings:read", "--expires", "1h").strip()
    reader = {"INARI_TOKEN": out}
    ctl.ok("devices", env=reader)
    status, _, err = ctl("set", "smtp.message_size_limit=30M", env=reader)
    assert status == AUTH and "settings:write" in err
    kept = Ctl(programs["inarictl"], str(tmp_path))
    assert kept("login", "--token", "--url", parent.base, "--ca", parent.ca, stdin="inari_nonsense\n")[0] == AUTH
    kept.ok("login", "--token", "--url", parent.base, "--ca", parent.ca, stdin=out + "\n")
    kept.ok("devices")
    mine = [t for t in signed_in.json("tokens")["items"] if t["name"] == "reader"]
    signed_in.ok("tokens", "revoke", mine[0]["id"])
    assert ctl("devices", env=reader)[0] == AUTH and kept("devices")[0] == AUTH


def test_accounts(ctl):
    name = f"u{uuid.uuid4().hex[:6]}"
    ctl.ok("accounts", "add", name, "--role", "viewer", stdin="a-password-of-mine-1\n")
    ctl.ok("accounts", "set", name, "--role", "operator", "--language", "ja")
    row = [a for a in ctl.json("accounts")["items"] if a["name"] == name][0]
    assert (row["role"], row["lang"]) == ("operator", "ja")
    assert ctl("accounts", "delete", name)[0] == USAGE
    ctl.ok("accounts", "delete", name, "--yes")
    assert ctl("accounts", "delete", name, "--yes")[0] == NOT_FOUND


def test_dry_runs_change_nothing(ctl, child):
    before = ctl.json("revisions")["items"][0]["pub"]
    ctl.ok("set", "smtp.message_size_limit=25M", "--device", child.name, "--dry-run")
    assert ctl.json("diff")["items"] == []
    ctl.ok("set", "smtp.message_size_limit=25M", "--device", child.name)
    ctl.ok("publish", "--reason", "try", "--dry-run")
    ctl.ok("discard")
    ctl.ok("mode", child.name, "observe", "--dry-run")
    assert ctl.json("device", child.name)["mode"] == "manage"
    assert ctl.json("revisions")["items"][0]["pub"] == before


def test_preset(ctl):
    """Listed, filled in, and checked like any edit; a wrong input is named in both languages."""
    assert "sandwich-upstream" in ctl.ok("preset") and "Address" not in ctl.ok("preset", "--lang", "ja")
    out = ctl.ok("preset", "sandwich-upstream", "scanner=192.0.2.9")
    assert "[192.0.2.9]:10025" in out and "delivery.recipient_limit" in out
    assert ctl.json("diff")["items"]
    ctl.ok("discard")
    for args, word in ((["sandwich-upstream"], "input scanner is missing or not known"),
                       (["sandwich-upstream", "scanner=192.0.2.9", "x=1"], "input x is missing or not known"),
                       (["sandwich-upstream", "scanner"], "not of the form INPUT=VALUE")):
        status, _, err = ctl("preset", *args)
        assert status == USAGE and word in err, err
    assert "入力 scanner" in ctl("preset", "sandwich-upstream", "--lang", "ja")[2]
    assert ctl("preset", "no-such")[0] == NOT_FOUND
    status, _, err = ctl("preset", "sandwich-upstream", "scanner=no address")
    assert status == REFUSED and "smtp.relayhost is not a next hop" in err and "Nothing was stored" in err, err
