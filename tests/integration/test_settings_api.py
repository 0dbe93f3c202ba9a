"""Drafts, publications, history: the API as administrators see it.  No device is needed: the fleet's own layer is
planned, and what devices get is in the lab's tests."""
import json
import os

import pytest

MERGE = {"Content-Type": "application/merge-patch+json"}


def new_draft(api, title="t"):
    return api.ok("POST", "/drafts", {"title": title})["id"]


def patch(api, draft, body, **kw):
    etag = api.get(f"/drafts/{draft}").headers["ETag"]
    return api.patch(f"/drafts/{draft}", data=json.dumps(body),
                     headers={**MERGE, "If-Match": etag, **kw.pop("headers", {})}, **kw)


def publish(api, draft, reason="test", **body):
    return api.post(f"/drafts/{draft}/publish", json={"reason": reason, **body})


def layer(api, name="fleet"):
    return api.ok("GET", f"/settings?layer={name}")


@pytest.fixture
def clean(api):
    """The fleet's layer empty before and after."""
    def empty():
        at = layer(api)
        if at["settings"]:
            api.publish({"fleet": {k: {"$inherit": True} for k in at["settings"]}}, "clean up")
        assert layer(api)["settings"] == {}
    empty()
    yield api
    empty()


BAD = [
    ("relay networks as wide as everyone", {"smtp.relay_networks": {"0.0.0.0/0": {}}}, "P05.", "/changes/fleet/smtp.relay_networks"),
    ("everyone in two halves", {"smtp.relay_networks": {"0.0.0.0/1": {}, "128.0.0.0/1": {}}}, "P05.",
     "/changes/fleet/smtp.relay_networks"),
    ("newline in the banner", {"smtp.banner_text": "hello\nsmtpd_relay_restrictions=permit"}, "V.control",
     "/changes/fleet/smtp.banner_text"),
    ("command substitution", {"smtp.banner_text": "$(reboot)"}, "V.character", "/changes/fleet/smtp.banner_text"),
    ("pipe as next hop", {"smtp.relayhost": "|/bin/sh"}, "V.", "/changes/fleet/smtp.relayhost"),
    ("lookup type as next hop", {"smtp.relayhost": "pcre:/tmp/x"}, "V.", "/changes/fleet/smtp.relayhost"),
    ("lookup type as a domain", {"smtp.relay_domains": {"mysql:/tmp/x": {}}}, "V.", "/changes/fleet/smtp.relay_domains"),
    ("a string for a number", {"smtp.message_size_limit": "31457280"}, "V.type", "/changes/fleet/smtp.message_size_limit"),
    ("too small", {"smtp.message_size_limit": 1}, "V.range", "/changes/fleet/smtp.message_size_limit"),
    ("unknown setting", {"smtp.no_such_thing": 1}, "V.unknown-key", "/changes/fleet/smtp.no_such_thing"),
    ("a device's setting for the fleet", {"smtp.hostname": "mx.example.test"}, "V.scope", "/changes/fleet/smtp.hostname"),
]


@pytest.mark.parametrize("what,settings,finding,pointer", BAD, ids=[b[0] for b in BAD])
def test_bad_values_are_refused_at_the_draft(clean, what, settings, finding, pointer):
    draft = new_draft(clean)
    for lang, sample in (("en", None), ("ja", None)):
        r = patch(clean, draft, {"fleet": settings}, headers={"Accept-Language": lang})
        assert r.status_code == 422, r.text
        p = r.json()
        assert p["type"] == "urn:inari:problem:invalid"
        errors = [x for x in p["errors"] if not x["warning"]]
        hit = [x for x in errors if x["id"].startswith(finding) and x["pointer"].startswith(pointer)]
        assert hit, p["errors"]
        assert hit[0]["message"] and hit[0]["remedy"]
        japanese = any(ord(c) > 0x3000 for c in hit[0]["remedy"])
        assert japanese == (lang == "ja")
    assert clean.ok("GET", f"/drafts/{draft}")["changes"]["fleet"] == {}, "nothing is stored"
    clean.delete(f"/drafts/{draft}", headers={"If-Match": "*"})


def test_all_findings_come_at_once(clean):
    draft = new_draft(clean)
    r = patch(clean, draft, {"fleet": {"smtp.message_size_limit": 1, "smtp.no_such_thing": 1, "smtp.banner_text": "a\nb"}})
    assert {e["id"] for e in r.json()["errors"]} >= {"V.range", "V.unknown-key", "V.control"}


def test_etag_is_required_and_compared(clean):
    draft = new_draft(clean)
    body = json.dumps({"fleet": {"smtp.message_size_limit": 1000000}})
    r = clean.patch(f"/drafts/{draft}", data=body, headers=MERGE)
    assert r.status_code == 428
    etag = clean.get(f"/drafts/{draft}").headers["ETag"]
    assert clean.patch(f"/drafts/{draft}", data=body, headers={**MERGE, "If-Match": etag}).status_code == 200
    r = clean.patch(f"/drafts/{draft}", data=body, headers={**MERGE, "If-Match": etag})
    assert r.status_code == 412 and r.json()["type"].endswith(":stale-edit")
    assert clean.delete(f"/drafts/{draft}").status_code == 428


def test_publish_diff_undo_restore(clean):
    first = clean.publish({"fleet": {"smtp.message_size_limit": 1000000,
                                     "smtp.relay_domains": {"a.example.test": {}, "b.example.test": {"note": "b"}}}}, "first")
    assert first["pub"] == layer(clean)["pub"]
    second = clean.publish({"fleet": {"smtp.message_size_limit": 2000000,
                                      "smtp.relay_domains": {"c.example.test": {}, "a.example.test": {"$inherit": True}}}}, "second")
    rev = clean.ok("GET", f"/revisions/{second['pub']}")
    assert rev["reason"] == "second" and rev["author"]
    leaves = {(x["key"], x["row"]): (x["old"], x["new"]) for x in rev["diff"]}
    assert leaves == {("smtp.message_size_limit", ""): (1000000, 2000000),
                      ("smtp.relay_domains", "a.example.test"): ({}, None),
                      ("smtp.relay_domains", "c.example.test"): (None, {})}
    assert all(x["label"] for x in rev["diff"])
    # a colleague's later change survives the undo, and is named
    clean.publish({"fleet": {"smtp.message_size_limit": 3000000}}, "third")
    undone = clean.ok("POST", f"/revisions/{second['pub']}/undo", {"reason": "wrong"})
    assert [x["key"] for x in undone["kept"]] == ["smtp.message_size_limit"]
    now = layer(clean)["settings"]
    assert now["smtp.message_size_limit"] == 3000000
    assert set(now["smtp.relay_domains"]) == {"a.example.test", "b.example.test"}
    # undoing it again changes nothing any more
    r = clean.post(f"/revisions/{second['pub']}/undo", json={"reason": "again"})
    assert r.status_code in (201, 409)
    restored = clean.ok("POST", f"/revisions/{second['pub']}/restore", {"reason": "it was right"})
    assert layer(clean)["settings"] == {"smtp.message_size_limit": 2000000,
                                        "smtp.relay_domains": {"b.example.test": {"note": "b"}, "c.example.test": {}}}
    between = clean.ok("GET", f"/revisions/{restored['pub']}/diff?against={second['pub']}")
    assert between["items"] == []
    history = clean.ok("GET", "/revisions?limit=3")
    assert history["items"][0]["kind"] == "restore" and history["items"][0]["source"] == second["pub"]
    assert history["next"]
    older = clean.ok("GET", f"/revisions?limit=3&cursor={history['next']}")
    assert older["items"][0]["pub"] < history["items"][-1]["pub"]


def test_stale_draft_names_key_revision_and_author(clean):
    mine, theirs = new_draft(clean, "mine"), new_draft(clean, "theirs")
    assert patch(clean, mine, {"fleet": {"smtp.message_size_limit": 5000000, "smtp.idle_timeout": 100}}).status_code == 200
    assert patch(clean, theirs, {"fleet": {"smtp.message_size_limit": 6000000, "smtp.recipient_limit": 50}}).status_code == 200
    pub = publish(clean, theirs).json()["pub"]
    r = publish(clean, mine)
    assert r.status_code == 409 and r.json()["type"].endswith(":stale-draft")
    c = r.json()["conflicts"]
    assert [(x["key"], x["pub"], x["now"], x["new"]) for x in c] == [("smtp.message_size_limit", pub, 6000000, 5000000)]
    assert c[0]["author"] and "smtp.message_size_limit" in r.json()["detail"] and str(pub) in r.json()["detail"]
    assert layer(clean)["pub"] == pub, "nothing was published"
    # without the leaf in question both changes stand
    assert patch(clean, mine, {"fleet": {"smtp.message_size_limit": None}}).status_code == 200
    assert publish(clean, mine).status_code == 201
    assert layer(clean)["settings"] == {"smtp.message_size_limit": 6000000, "smtp.recipient_limit": 50, "smtp.idle_timeout": 100}


def test_dry_run_changes_nothing(clean):
    before = layer(clean)
    draft = new_draft(clean)
    r = patch(clean, draft, {"fleet": {"smtp.message_size_limit": 7000000}}, params={"dry_run": "true"})
    assert r.status_code == 200 and r.json()["changes"]["fleet"] == {"smtp.message_size_limit": 7000000}
    assert clean.ok("GET", f"/drafts/{draft}")["changes"]["fleet"] == {}
    patch(clean, draft, {"fleet": {"smtp.message_size_limit": 7000000}})
    r = clean.post(f"/drafts/{draft}/publish?dry_run=true", json={"reason": "try"})
    assert r.status_code == 200 and r.json()["pub"] == before["pub"] + 1 and r.json()["changes"] == 1
    assert layer(clean) == before
    assert clean.get(f"/drafts/{draft}").status_code == 200


def test_publishing_nothing_is_a_new_revision_without_changes(clean):
    before = layer(clean)["pub"]
    out = clean.publish({}, "nothing")
    assert out["pub"] == before + 1 and out["changes"] == 0
    assert not [d for d in out["devices"] if d["changed"]]


def test_a_wide_network_needs_a_reason(clean):
    draft = new_draft(clean)
    r = patch(clean, draft, {"fleet": {"smtp.relay_networks": {"192.0.0.0/10": {}}}})
    assert r.status_code == 200, r.text
    assert [f for f in r.json()["findings"] if f["forceable"] and f["id"].startswith("P05.")]
    r = publish(clean, draft)
    assert r.status_code == 422 and [e for e in r.json()["errors"] if e["forceable"]]
    r = publish(clean, draft, force={"reason": "the whole campus"})
    assert r.status_code == 201, r.text
    rev = clean.ok("GET", f"/revisions/{r.json()['pub']}")
    assert rev["forced"]["reason"] == "the whole campus"


def test_reason_is_required(clean):
    draft = new_draft(clean)
    assert clean.post(f"/drafts/{draft}/publish", json={}).status_code == 422
    assert clean.post(f"/drafts/{draft}/publish", json={"reason": "x", "nonsense": 1}).status_code == 422


def test_values_are_stored_in_their_normal_form(clean):
    clean.publish({"fleet": {"smtp.relay_domains": {"EXAMPLE.Test": {}}}}, "capitals")
    assert list(layer(clean)["settings"]["smtp.relay_domains"]) == ["example.test"]


def test_groups_and_their_layers(clean):
    name = f"g-{os.urandom(3).hex()}"
    g = clean.ok("POST", "/groups", {"name": name, "priority": 7000 + os.getpid() % 1000})
    try:
        assert clean.post("/groups", json={"name": name}).status_code == 409
        draft = new_draft(clean)
        assert patch(clean, draft, {"groups": {"no-such-group": {"smtp.idle_timeout": 99}}}).status_code == 422
        assert patch(clean, draft, {"groups": {name: {"smtp.idle_timeout": 99}}}).status_code == 200
        diff = clean.ok("GET", f"/drafts/{draft}/diff")
        assert [(x["layer"], x["id"], x["name"], x["key"], x["new"]) for x in diff["items"]] == \
            [("group", g["id"], name, "smtp.idle_timeout", 99)]
        publish(clean, draft)
        assert layer(clean, f"group:{name}")["settings"] == {"smtp.idle_timeout": 99}
        etag = clean.get(f"/groups/{name}").headers["ETag"]
        assert clean.delete(f"/groups/{name}", headers={"If-Match": etag}).status_code == 409, "it has settings"
        clean.publish({"groups": {name: {"smtp.idle_timeout": {"$inherit": True}}}}, "back")
        assert clean.patch(f"/groups/{name}", json={"priority": 1}).status_code in (415, 428)
        changed = clean.change(f"/groups/{name}", {"name": name + "-new"})
        assert changed["name"] == name + "-new" and changed["version"] == 2
        assert clean.delete(f"/groups/{g['id']}", headers={"If-Match": etag}).status_code == 412
    finally:
        etag = clean.get(f"/groups/{g['id']}").headers["ETag"]
        assert clean.delete(f"/groups/{g['id']}", headers={"If-Match": etag}).status_code == 204


def test_audit_holds_every_change_and_its_chain(clean, parent):
    clean.publish({"fleet": {"smtp.idle_timeout": 77}}, "audited")
    entry = clean.ok("GET", "/audit?action=revision.publish&limit=1")["items"][0]
    assert entry["detail"]["reason"] == "audited" and entry["address"] == "127.0.0.1"
    assert [(x["key"], x["new"]) for x in entry["detail"]["diff"]] == [("smtp.idle_timeout", 77)]
    whole = clean.ok("GET", "/audit/verify")
    assert whole["ok"] and whole["entries"] > 5
    parent.postgres.psql(f"UPDATE audit SET detail = '{{}}' WHERE seq = {entry['seq']}")
    bad = clean.ok("GET", "/audit/verify")
    assert not bad["ok"] and bad["first_bad"] == entry["seq"]
    parent.postgres.psql(f"UPDATE audit SET detail = '{json.dumps(entry['detail'])}' WHERE seq = {entry['seq']}")
    assert clean.ok("GET", "/audit/verify")["ok"]


def test_of_two_edits_at_once_one_wins(clean, parent):
    """Control C5: pairs of edits of the same version, side by side."""
    import concurrent.futures
    token = clean.headers["Authorization"].split()[1]
    sessions = [parent.session(token), parent.session(token)]
    draft = new_draft(clean)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for i in range(25):
            etag = clean.get(f"/drafts/{draft}").headers["ETag"]
            bodies = [json.dumps({"fleet": {"smtp.idle_timeout": 100 + 2 * i + k}}) for k in (0, 1)]
            answers = list(pool.map(lambda k, e=etag, b=bodies: sessions[k].patch(
                f"/drafts/{draft}", data=b[k], headers={**MERGE, "If-Match": e}), (0, 1)))
            assert sorted(r.status_code for r in answers) == [200, 412]
            won = [k for k in (0, 1) if answers[k].status_code == 200][0]
            assert clean.ok("GET", f"/drafts/{draft}")["changes"]["fleet"]["smtp.idle_timeout"] == 100 + 2 * i + won


def test_the_audit_log_is_copied_to_the_log_when_it_is_true(clean, parent):
    draft = new_draft(clean)
    patch(clean, draft, {"fleet": {"smtp.idle_timeout": 78}})
    before = parent.log().count("action=\"revision.publish\"")
    assert clean.post(f"/drafts/{draft}/publish?dry_run=true", json={"reason": "try"}).status_code == 200
    assert parent.log().count("action=\"revision.publish\"") == before, "a dry run is no entry"
    publish(clean, draft)
    entry = clean.ok("GET", "/audit?action=revision.publish&limit=1")["items"][0]
    line = [x for x in parent.log().splitlines() if f" event=audit seq={entry['seq']} " in x]
    assert len(line) == 1 and f"object=\"{entry['object']}\"" in line[0]


def test_catalog_in_two_languages(api):
    en = api.get("/catalog", headers={"Accept-Language": "en"}).json()["items"]
    ja = api.get("/catalog", headers={"Accept-Language": "ja"}).json()["items"]
    assert [s["key"] for s in en] == [s["key"] for s in ja] and len(en) > 10
    assert all(any(ord(c) > 0x3000 for c in s["label"]) for s in ja)


def test_presets_in_two_languages_and_good_for_a_draft(clean):
    """Every preset has its texts, and what it proposes passes the checks of a draft with an address for each input."""
    en = clean.get("/presets", headers={"Accept-Language": "en"}).json()["items"]
    ja = clean.get("/presets", headers={"Accept-Language": "ja"}).json()["items"]
    assert [p["name"] for p in en] == [p["name"] for p in ja] and len(en) >= 2
    for a, b in zip(en, ja):
        assert any(ord(c) > 0x3000 for c in b["label"]) and any(ord(c) > 0x3000 for c in b["help"])
        assert a["label"].isascii() and a["help"].isascii() and a["settings"] == b["settings"]
        text = json.dumps(a["settings"])
        for i in a["inputs"]:
            text = text.replace("{%s}" % i["name"], "192.0.2.9")
        assert "{scanner}" not in text
        draft = new_draft(clean)
        r = patch(clean, draft, {"fleet": json.loads(text)})
        assert r.status_code == 200, r.text
        clean.delete(f"/drafts/{draft}", headers={"If-Match": "*"})
