"""The configuration as a whole: groups of equal priority, what differs from the fleet, export and import as a draft, and the
exceptions of a host that was managed by hand; through the API and inarictl."""
import hashlib
import json
import threading

import parentlib
import pytest
import wireclient
from ctllib import Ctl

MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(scope="module")
def parent(workdir, system_users, programs):
    """A parent of these tests alone: the export holds everything there is."""
    with parentlib.alone(workdir, "config-parent", programs) as p:
        yield p


@pytest.fixture(scope="module")
def api(parent):
    return parent.token()


@pytest.fixture(scope="module")
def device(parent, api):
    d = wireclient.Device(parent.base, parent.ca, "mx1")
    d.enrol(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    return d


@pytest.fixture(scope="module")
def groups(api, device):
    """tokyo and osaka: the same priority, mx1 in both."""
    made = [api.ok("POST", "/groups", {"name": n, "priority": 50}) for n in ("osaka", "tokyo")]
    for g in made:
        assert api.put(f"/groups/{g['name']}/members/mx1").status_code == 204
    return made


@pytest.fixture
def clean(api, groups):
    """Nothing published, before and after."""
    def empty():
        doc = api.ok("GET", "/config/export")
        back = {"fleet": {k: {"$inherit": True} for k in doc["content"]["fleet"]},
                "groups": {g: {k: {"$inherit": True} for k in v["settings"]} for g, v in doc["content"]["groups"].items()},
                "devices": {d: {k: {"$inherit": True} for k in v} for d, v in doc["content"]["devices"].items()}}
        if any(back["fleet"]) or any(v for part in ("groups", "devices") for v in back[part].values()):
            api.publish(back, "clean")
    empty()
    yield api
    for draft in api.ok("GET", "/drafts")["items"]:
        api.delete(f"/drafts/{draft['id']}", headers={"If-Match": api.get(f"/drafts/{draft['id']}").headers["ETag"]})
    empty()


@pytest.fixture
def ctl(programs, parent, tmp_path):
    program = Ctl.of(programs, parent, parent.token(), tmp_path)
    return lambda *args, status=0, lang="C.UTF-8": program.ends(status, *args, env={"LANG": lang})


def effective(api, key):
    return api.ok("GET", "/settings/effective?device=mx1")["settings"][key]


# -- groups of equal priority (protocol.md 6.15) ---------------------------------------------------------------------
def test_equal_priority_may_not_disagree(clean):
    draft = clean.ok("POST", "/drafts", {"title": "tie"})["id"]
    etag = {"If-Match": clean.get(f"/drafts/{draft}").headers["ETag"], **MERGE}
    both = {"groups": {"osaka": {"smtp.idle_timeout": 111}, "tokyo": {"smtp.idle_timeout": 222}}}
    r = clean.patch(f"/drafts/{draft}", data=json.dumps(both), headers={**etag, "Accept-Language": "ja"})
    assert r.status_code == 422 and [x["id"] for x in r.json()["errors"]] == ["V.group-conflict"], r.text
    assert r.json()["errors"][0]["pointer"].endswith("/smtp.idle_timeout") and "優先度" in r.json()["errors"][0]["message"]
    rows = {"groups": {"osaka": {"smtp.relay_domains": {"a.test": {}}}, "tokyo": {"smtp.relay_domains": {"b.test": {}, "a.test": {}}}}}
    assert clean.patch(f"/drafts/{draft}", data=json.dumps(rows), headers=etag).status_code == 200, "the same word, and other rows"
    etag["If-Match"] = clean.get(f"/drafts/{draft}").headers["ETag"]
    gone = {"groups": {"osaka": {"smtp.relay_domains": {"b.test": {"$remove": True}}}}}
    r = clean.patch(f"/drafts/{draft}", data=json.dumps(gone), headers=etag)
    assert r.status_code == 422 and [x["pointer"].split("/", 4)[4] for x in r.json()["errors"] if not x["warning"]] == \
        ["smtp.relay_domains/b.test"], r.text


def test_a_conflict_is_refused_at_publish_membership_and_priority(clean, groups):
    """Two colleagues' drafts, each fine alone; and groups that meet only through a change of groups."""
    osaka, tokyo = (g["name"] for g in groups)
    drafts = [clean.ok("POST", "/drafts", {"title": g})["id"] for g in (osaka, tokyo)]
    for d, g, v in zip(drafts, (osaka, tokyo), (111, 222)):
        clean.change(f"/drafts/{d}", {"groups": {g: {"smtp.idle_timeout": v}}})
    clean.ok("POST", f"/drafts/{drafts[0]}/publish", {"reason": "first"})
    r = clean.post(f"/drafts/{drafts[1]}/publish", json={"reason": "second"})
    assert r.status_code == 422 and [x["id"] for x in r.json()["errors"]] == ["V.group-conflict"], r.text
    clean.change(f"/groups/{tokyo}", {"priority": 60})
    clean.ok("POST", f"/drafts/{drafts[1]}/publish", {"reason": "second"})
    assert effective(clean, "smtp.idle_timeout") == 222
    why = clean.ok("GET", "/devices/mx1/explain?path=smtp.idle_timeout")["layers"]
    assert [(x["name"], x.get("priority"), x["value"], x["wins"]) for x in why] == \
        [("", None, 300, False), ("osaka", 50, 111, False), ("tokyo", 60, 222, True)]
    etag = {"If-Match": clean.get(f"/groups/{tokyo}").headers["ETag"], **MERGE}
    r = clean.patch(f"/groups/{tokyo}", data=json.dumps({"priority": 50}), headers=etag)
    assert r.status_code == 422 and [x["id"] for x in r.json()["errors"]] == ["V.group-conflict"], r.text
    assert clean.delete(f"/groups/{tokyo}/members/mx1").status_code == 204
    assert effective(clean, "smtp.idle_timeout") == 111
    clean.change(f"/groups/{tokyo}", {"priority": 50})
    r = clean.put(f"/groups/{tokyo}/members/mx1")
    assert r.status_code == 422 and [x["id"] for x in r.json()["errors"]] == ["V.group-conflict"], r.text
    assert effective(clean, "smtp.idle_timeout") == 111
    clean.publish({"groups": {tokyo: {"smtp.idle_timeout": {"$inherit": True}}}}, "agree")
    assert clean.put(f"/groups/{tokyo}/members/mx1").status_code == 204


def test_what_needs_a_reason_needs_it_at_a_membership_too(clean, groups, ctl):
    """The group's wide networks were forced for its members; a further device gets them for a reason of its own."""
    osaka = groups[0]["name"]
    assert clean.delete(f"/groups/{osaka}/members/mx1").status_code == 204
    clean.publish({"groups": {osaka: {"smtp.relay_networks": {"20.0.0.0/14": {}}}}}, "wide", force={"reason": "a big site"})
    r = clean.put(f"/groups/{osaka}/members/mx1")
    assert r.status_code == 422 and {x["id"] for x in r.json()["errors"]} >= {"P05.too-wide"}, r.text
    assert effective(clean, "smtp.relay_networks") == {}
    assert clean.put(f"/groups/{osaka}/members/mx1?force=").json()["errors"][0]["pointer"] == "/query/force"
    ctl("group", "add", osaka, "mx1", status=3)
    ctl("group", "add", osaka, "mx1", "--force", "belongs to the big site")
    assert effective(clean, "smtp.relay_networks") == {"20.0.0.0/14": {}}
    assert clean.ok("GET", "/audit?action=group.join&limit=1")["items"][0]["detail"]["forced"] == "belongs to the big site"


def test_values_for_a_group_that_is_gone(clean, api):
    """A draft written before the group was deleted is refused by name; history brings nothing back to it."""
    g = clean.ok("POST", "/groups", {"name": "nara"})
    made = clean.publish({"groups": {"nara": {"smtp.idle_timeout": 44}}}, "nara")
    clean.publish({"groups": {"nara": {"smtp.idle_timeout": {"$inherit": True}}}}, "taken back")
    draft = clean.ok("POST", "/drafts", {"title": "late"})["id"]
    clean.change(f"/drafts/{draft}", {"groups": {"nara": {"smtp.idle_timeout": 55}}})
    assert clean.delete("/groups/nara", headers={"If-Match": clean.get("/groups/nara").headers["ETag"]}).status_code == 204
    r = clean.post(f"/drafts/{draft}/publish", json={"reason": "late"})
    assert r.status_code == 409 and r.json()["errors"][0]["pointer"] == f"/changes/groups/{g['id']}", r.text
    r = clean.post(f"/revisions/{made['pub']}/restore", json={"reason": "as it was"})
    assert r.status_code == 201, r.text
    assert not [x for x in clean.ok("GET", "/overrides")["items"] if x["id"] == g["id"]]


# -- what differs from the fleet (A19) -------------------------------------------------------------------------------
def test_overrides_name_the_layer_and_the_fleets_value(clean, ctl):
    clean.publish({"fleet": {"smtp.idle_timeout": 200, "smtp.relay_domains": {"a.test": {}, "b.test": {}}}}, "fleet")
    clean.publish({"groups": {"osaka": {"smtp.recipient_limit": 55, "smtp.relay_domains": {"c.test": {}}}}}, "for osaka")
    clean.publish({"devices": {"mx1": {"smtp.idle_timeout": 99, "smtp.recipient_limit": 66, "smtp.relay_domains": {"a.test": {"$remove": True}}}}},
                  "for mx1")
    all_ = clean.ok("GET", "/overrides")["items"]
    assert {(x["layer"], x["name"], x["key"], x["row"], x["reason"]) for x in all_} == {
        ("group", "osaka", "smtp.recipient_limit", "", "for osaka"), ("group", "osaka", "smtp.relay_domains", "c.test", "for osaka"),
        ("device", "mx1", "smtp.idle_timeout", "", "for mx1"), ("device", "mx1", "smtp.recipient_limit", "", "for mx1"),
        ("device", "mx1", "smtp.relay_domains", "a.test", "for mx1")}
    of = clean.ok("GET", "/devices/mx1/overrides")
    got = {(x["key"], x["row"]): x for x in of["items"]}
    assert set(got) == {("smtp.idle_timeout", ""), ("smtp.recipient_limit", ""), ("smtp.relay_domains", "a.test"), ("smtp.relay_domains", "c.test")}
    x = got["smtp.recipient_limit", ""]
    assert (x["layer"], x["name"], x["value"], x["fleet"], x["reason"]) == ("device", "mx1", 66, 1000, "for mx1")
    assert got["smtp.relay_domains", "a.test"]["value"] is None and got["smtp.relay_domains", "a.test"]["layer"] == "device"
    assert got["smtp.relay_domains", "c.test"]["fleet"] is None and got["smtp.relay_domains", "c.test"]["layer"] == "group"
    out, _ = ctl("overrides", "--device", "mx1")
    assert "smtp.relay_domains[a.test]" in out and "for mx1" in out and "FLEET HAS" in out
    assert "group osaka" in ctl("overrides")[0] and "グループ osaka" in ctl("overrides", lang="ja_JP.UTF-8")[0]
    # a value that says what the fleet says is set there, but nothing differs
    clean.publish({"devices": {"mx1": {"smtp.idle_timeout": 200}}}, "the same")
    assert ("smtp.idle_timeout", "") not in {(x["key"], x["row"]) for x in clean.ok("GET", "/devices/mx1/overrides")["items"]}
    assert clean.get("/devices/no-such/overrides").status_code == 404


# -- export and import (M01 to M04) ----------------------------------------------------------------------------------
SITE = {"fleet": {"smtp.idle_timeout": 200, "smtp.relay_domains": {"a.test": {"subdomains": True}, "b.test": {}}},
        "groups": {"osaka": {"smtp.recipient_limit": 55}}, "devices": {"mx1": {"smtp.hostname": "mx1.example.test"}}}


def post_import(api, doc, query="", **body):
    return api.post(f"/config/import{query}", json={"document": doc, **body})


def test_export_has_names_and_no_secret(clean):
    clean.publish(SITE, "site")
    doc = clean.ok("GET", "/config/export")
    assert (doc["format"], doc["version"]) == ("inari.config", 1)
    assert doc["content"]["fleet"] == SITE["fleet"] and doc["content"]["devices"] == SITE["devices"]
    osaka = doc["content"]["groups"]["osaka"]
    assert osaka == {"kind": "set", "priority": 50, "members": ["mx1"], "settings": {"smtp.recipient_limit": 55}}
    mine = next(x for x in doc["identities"] if x["device"] == "mx1")
    assert mine["key"] == clean.ok("GET", "/devices/mx1")["kid"] and '"d":' not in json.dumps(doc)  # no private key
    assert len(doc["left_out"]) >= 5 and all(x["what"] and x["why"] for x in doc["left_out"])
    assert clean.get("/config/export", headers={"Accept-Language": "ja"}).json()["left_out"][0]["why"] != doc["left_out"][0]["why"]


def test_import_is_a_draft_and_the_round_trip_changes_nothing(clean):
    clean.publish(SITE, "site")
    doc = clean.ok("GET", "/config/export")
    for mode in ("merge", "replace"):
        r = post_import(clean, doc, "?dry_run=true", mode=mode, parts=["fleet", "groups", "devices"])
        assert r.status_code == 200 and r.json()["diff"] == [], r.text
    clean.publish({"fleet": {"smtp.idle_timeout": 77, "smtp.relay_domains": {"a.test": {"subdomains": False}, "x.test": {}},
                             "smtp.banner_text": "later"}, "devices": {"mx1": {"smtp.hostname": "other.example.test"}}}, "later")
    before = clean.ok("GET", "/config/export")["content"]
    # merge: the document's values, nothing goes; single devices stay out unless asked for (F26)
    r = post_import(clean, doc, title="back")
    assert r.status_code == 201 and r.json()["title"] == "back", r.text
    assert {(x["key"], x["row"]) for x in r.json()["diff"]} == {("smtp.idle_timeout", ""), ("smtp.relay_domains", "a.test")}
    assert clean.ok("GET", "/config/export")["content"] == before, "only a draft"
    assert clean.ok("POST", f"/drafts/{r.json()['id']}/publish", {"reason": "merged"})["pub"]
    now = clean.ok("GET", "/config/export")["content"]
    assert now["fleet"]["smtp.banner_text"] == "later" and "x.test" in now["fleet"]["smtp.relay_domains"]
    assert now["fleet"]["smtp.relay_domains"]["a.test"]["subdomains"] is True
    assert now["devices"]["mx1"]["smtp.hostname"] == "other.example.test"
    # replace, everything: exactly the document
    r = post_import(clean, doc, mode="replace", parts=["fleet", "groups", "devices"])
    assert r.status_code == 201, r.text
    clean.ok("POST", f"/drafts/{r.json()['id']}/publish", {"reason": "replaced"})
    assert clean.ok("GET", "/config/export")["content"] == doc["content"]
    assert clean.ok("GET", "/audit?action=config.import&limit=1")["items"][0]["detail"]["mode"] == "replace"


def test_replace_empties_only_what_the_document_speaks_about(clean):
    """A document by hand, of one part, or with a group named for its members only: nothing else is emptied by it."""
    clean.publish(SITE, "site")
    assert clean.ok("GET", "/config/export")["content"]["groups"]["osaka"]["settings"]

    def gone(**content):
        doc = {"format": "inari.config", "version": 1, "content": content}
        r = post_import(clean, doc, "?dry_run=true", mode="replace", parts=["fleet", "groups", "devices"])
        assert r.status_code == 200, r.text
        return {(x["layer"], x["key"]) for x in r.json()["diff"]}
    fleet = SITE["fleet"]
    assert gone(fleet=fleet) == set()
    assert gone(fleet=fleet, groups={"osaka": {"kind": "set", "priority": 50}}) == set()
    assert gone(fleet=fleet, groups={"osaka": {"settings": {}}}) == {("group", "smtp.recipient_limit")}
    assert gone(fleet=fleet, groups={}) == {("group", "smtp.recipient_limit")}


def test_nobody_opens_drafts_without_end(clean, parent):
    """200 of one account, by whatever way they come; each that goes makes room."""
    doc = {"format": "inari.config", "version": 1, "content": {"fleet": {"smtp.idle_timeout": 124}}}
    first = clean.ok("POST", "/drafts", {"title": "many"})["id"]
    parent.postgres.psql("INSERT INTO draft (id, owner, title, base_pub, changes) SELECT gen_random_uuid(), owner, 'many', base_pub, changes"
                         f" FROM draft, generate_series(1, 199) WHERE id = '{first}'")
    try:
        for r in (clean.post("/drafts", json={"title": "one more"}), post_import(clean, doc)):
            assert r.status_code == 409 and "200 open drafts" in r.json()["detail"], r.text
        assert parent.postgres.psql("SELECT count(*) FROM draft") == [["200"]]
        clean.delete(f"/drafts/{first}", headers={"If-Match": clean.get(f"/drafts/{first}").headers["ETag"]})
        r = post_import(clean, doc)
        assert r.status_code == 201, r.text
    finally:
        parent.postgres.psql("DELETE FROM draft WHERE title = 'many'")


def test_import_dry_run_stores_nothing(clean):
    doc = {"format": "inari.config", "version": 1, "content": {"fleet": {"smtp.idle_timeout": 123}}}
    drafts, audit = clean.ok("GET", "/drafts")["items"], clean.ok("GET", "/audit?limit=1")["items"]
    r = post_import(clean, doc, "?dry_run=true")
    assert r.status_code == 200 and [x["new"] for x in r.json()["diff"]] == [123], r.text
    assert clean.ok("GET", "/drafts")["items"] == drafts and clean.ok("GET", "/audit?limit=1")["items"] == audit


@pytest.mark.parametrize("change, pointer", [
    ({"format": "other"}, "/document/format"), ({"version": 2}, "/document/version"), ({"version": "1"}, "/document/version"),
    ({"content": []}, "/document/content"), ({"digest": "0" * 64}, "/document/digest"),
    ({"content": {"fleet": []}}, "/document/content/fleet"),
    ({"content": {"groups": {"osaka": "x"}}}, "/document/content/groups/osaka"),
    ({"content": {"groups": {"osaka": {"settings": []}}}}, "/document/content/groups/osaka"),
    ({"content": {"groups": {"nagoya": {"settings": {"smtp.idle_timeout": 9}}}}}, "/document/content/groups/nagoya"),
    ({"content": {"fleet": {"smtp.no_such": 1}}}, "/changes/fleet/smtp.no_such"),
    ({"content": {"fleet": {"smtp.relay_networks": {"0.0.0.0/0": {}}}}}, "/changes/fleet/smtp.relay_networks/0.0.0.0~10"),
    ({"content": {"fleet": {"smtp.hostname": "mx.example.test"}}}, "/changes/fleet/smtp.hostname"),
])
def test_a_bad_document_is_refused_whole(clean, change, pointer):
    doc = {"format": "inari.config", "version": 1, "content": {"fleet": {"smtp.idle_timeout": 123}}, **change}
    r = post_import(clean, doc)
    assert r.status_code == 422 and pointer in [x["pointer"] for x in r.json()["errors"]], r.text
    assert not [d for d in clean.ok("GET", "/drafts")["items"] if d["title"] == "import"]


def test_a_changed_document_is_noticed(clean):
    clean.publish(SITE, "site")
    doc = clean.ok("GET", "/config/export")
    doc["content"]["fleet"]["smtp.idle_timeout"] = 1
    r = post_import(clean, doc)
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/document/digest"
    assert post_import(clean, {**doc, "content": {**doc["content"], "fleet": SITE["fleet"]}}, "?dry_run=true").status_code == 200
    r = post_import(clean, {k: v for k, v in doc.items() if k != "digest"} | {"content": {"devices": {"mx9": {"smtp.hostname": "a.test"}}}},
                    parts=["devices"])
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/document/content/devices/mx9"
    r = post_import(clean, {**doc, "content": {}, "digest": hashlib.sha256(b"{}").hexdigest()}, parts=["everything"])
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/parts/0"


def test_inarictl_exports_and_imports(clean, ctl, tmp_path):
    clean.publish(SITE, "site")
    file = tmp_path / "site.json"
    assert str(file) in ctl("export", str(file))[0]
    assert json.loads(ctl("export")[0])["content"] == json.loads(file.read_text())["content"]
    assert file.stat().st_mode & 0o077 == 0
    clean.publish({"fleet": {"smtp.idle_timeout": 77}}, "later")
    out, _ = ctl("import", str(file), "--dry-run")
    assert "smtp.idle_timeout" in out and "200" in out and "Dry run" in out
    assert not [d for d in clean.ok("GET", "/drafts")["items"] if d["title"] == "import"]
    ctl("import", str(file), "--mode", "replace", "--parts", "fleet")
    ctl("publish", "--reason", "from the file", "--wait", "none")
    assert effective(clean, "smtp.idle_timeout") == 200
    file.write_text("{ no json")
    assert "line 1" in ctl("import", str(file), status=3)[1]
    ctl("import", str(file), "--mode", "sideways", status=2)


# -- exceptions of a host managed by hand (A19) ----------------------------------------------------------------------
def test_detached_keys_become_the_devices_own_values(clean, device, ctl, tmp_path):
    device.propose({"smtp.message_size_limit": 12345678, "smtp.recipient_limit": 321})
    ini = tmp_path / "imss.ini"
    ini.write_text("[general]\n# detach_key_postfix=smtpd_timeout\nother=1\n"
                   "detach_key_postfix = message_size_limit:smtpd_banner_made_up:smtpd_recipient_limit:\n")
    out, err = ctl("import-exceptions", "mx1", str(ini), "--dry-run")
    assert json.loads(out.split("\nDry run")[0])["devices"] and "smtpd_banner_made_up" in err
    assert not clean.ok("GET", "/overrides")["items"]
    ctl("import-exceptions", "mx1", str(ini))
    ctl("publish", "--reason", "exceptions of the old site", "--wait", "none")
    assert {(x["key"], x["value"], x["layer"]) for x in clean.ok("GET", "/devices/mx1/overrides")["items"]} == \
        {("smtp.message_size_limit", 12345678, "device"), ("smtp.recipient_limit", 321, "device")}
    ini.write_text("nothing=here\n")
    assert "detach_key_postfix" in ctl("import-exceptions", "mx1", str(ini), status=3)[1]


def test_an_export_is_one_moment(clean, parent):
    """B24: exported while others publish, every document is exactly its revision; B20: and never how to reach the database."""
    values, seen = {}, []
    over = threading.Event()

    def look(session):
        while not over.is_set():
            doc = session.ok("GET", "/config/export")
            seen.append((doc["pub"], doc["content"]["fleet"].get("smtp.idle_timeout"), json.dumps(doc)))
    watchers = [threading.Thread(target=look, args=(parent.token(),)) for _ in range(3)]
    values[clean.publish({"fleet": {"smtp.idle_timeout": 99}}, "before")["pub"]] = 99
    for w in watchers:
        w.start()
    for i in range(100, 112):
        values[clean.publish({"fleet": {"smtp.idle_timeout": i}}, "while others export")["pub"]] = i
    over.set()
    for w in watchers:
        w.join(20)
    assert len({pub for pub, _, _ in seen}) > 2, "the exports did not overlap with the publications"
    assert [(pub, v) for pub, v, _ in seen if values[pub] != v] == []
    assert not any(word in text for _, _, text in seen for word in (parent.postgres.conninfo, parent.postgres.socket, "conninfo"))


def test_list_of_drafts_leaves_out_what_they_change(clean):
    draft = clean.ok("POST", "/drafts", {"title": "big"})
    clean.change(f"/drafts/{draft['id']}", {"fleet": {"smtp.idle_timeout": 111}})
    whole = clean.ok("GET", f"/drafts/{draft['id']}")
    assert whole.pop("changes")["fleet"] == {"smtp.idle_timeout": 111}
    assert [d for d in clean.ok("GET", "/drafts")["items"] if d["id"] == draft["id"]] == [whole]
