"""Secrets of settings at the parent: what comes in is sealed before anything keeps it, what goes out opens with one device's
key, and nobody is shown more than that there is one."""
import base64
import hashlib
import json
import os
import subprocess
import uuid

import parentlib
import pytest
import wireclient
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from ctllib import Ctl
from parentlib import wait_until
from test_backup import tool
from test_identity import offer
from wireclient import unb64u

MERGE = {"Content-Type": "application/merge-patch+json"}
KEY = "smtp.relayhost_password"
AUTH = {"smtp.relayhost": "[192.0.2.25]:587", "smtp.relayhost_user": "mx", "smtp_tls.outbound": "encrypt"}


@pytest.fixture(scope="module")
def parent(workdir, system_users, programs):
    with parentlib.alone(workdir, "secrets-parent", programs) as p:
        yield p


@pytest.fixture(scope="module")
def api(parent):
    return parent.token()


@pytest.fixture(scope="module")
def devices(parent, api):
    made = []
    for name in ("mx1", "mx2"):
        d = wireclient.Device(parent.base, parent.ca, name)
        d.enrol(api.ok("POST", "/enrolment-tokens", {"name": name})["token"])
        made.append(d)
    return made


def password():
    return "S3cret-" + uuid.uuid4().hex


def open_jwe(key, text):
    """Compact JWE, ECDH-ES and A256GCM (RFC 7516, 7518 4.6), by another implementation than ours."""
    head, empty, iv, sealed, tag = text.split(".")
    h = json.loads(unb64u(head))
    assert (h["alg"], h["enc"], empty) == ("ECDH-ES", "A256GCM", "")
    epk = ec.EllipticCurvePublicNumbers(*(int.from_bytes(unb64u(h["epk"][c]), "big") for c in "xy"), ec.SECP256R1()).public_key()
    z = key.private.exchange(ec.ECDH(), epk)
    info = b"\0\0\0\7A256GCM" + b"\0" * 8 + b"\0\0\1\0"
    cek = hashlib.sha256(b"\0\0\0\1" + z + info).digest()
    return AESGCM(cek).decrypt(unb64u(iv), unb64u(sealed) + unb64u(tag), head.encode()).decode()


def database(parent):
    """Every row of every table as text, bytes as digits and as letters."""
    tables = [r[0] for r in parent.postgres.psql("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")]
    return "\n".join("\x1f".join(r) for t in tables for r in parent.postgres.psql(f"SELECT x::text FROM {t} x"))


def bundles(parent):
    return [base64.urlsafe_b64decode(json.loads(r[0])["payload"] + "===").decode()
            for r in parent.postgres.psql("SELECT jws FROM bundle WHERE jws <> ''")]


def nowhere(parent, text):
    found = database(parent)
    for form in (text, text.encode().hex(), base64.b64encode(text.encode()).decode()[:-4], hashlib.sha256(text.encode()).hexdigest()):
        assert form not in found
    assert not any(text in b for b in bundles(parent))
    r = subprocess.run(["grep", "-rlaF", text, parent.dir], capture_output=True, text=True)
    assert r.stdout == "", r.stdout


def edit(api, changes, **kw):
    draft = api.ok("POST", "/drafts", {"title": "t"})["id"]
    etag = api.get(f"/drafts/{draft}").headers["ETag"]
    return draft, api.patch(f"/drafts/{draft}", data=json.dumps(changes), headers={**MERGE, "If-Match": etag}, **kw)


def test_sealed_for_each_device_and_shown_to_nobody(parent, api, devices):
    first = password()
    made = api.publish({"fleet": {**AUTH, KEY: first}}, "sign in")
    got = [d.fetch() for d in devices]
    assert got[0]["content_digest"] == got[1]["content_digest"]
    ref = got[0]["sections"]["postfix"]["settings"][KEY]
    ident = ref.removeprefix("sealed:")
    assert str(uuid.UUID(ident)) == ident and list(got[0]["secrets"]) == [ident]
    assert [open_jwe(d.enc, b["secrets"][ident]) for d, b in zip(devices, got)] == [first, first]
    with pytest.raises(InvalidTag):
        open_jwe(devices[1].enc, got[0]["secrets"][ident])
    with pytest.raises(InvalidTag):
        open_jwe(devices[0].sig, got[0]["secrets"][ident])
    nowhere(parent, first)
    pub = made["pub"]
    for path in ("/settings?layer=fleet", "/settings/effective?device=mx1", f"/revisions/{pub}", f"/revisions/{pub}/diff", "/config/export",
                 "/audit?limit=100", "/devices/mx1/bundle", "/devices/mx1/effective", "/devices/mx1/plan",
                 f"/devices/mx1/explain?path={KEY}", "/secrets", "/devices/mx1/secrets"):
        r = api.get(path)
        assert r.status_code == 200 and first not in r.text, path
    row = api.ok("GET", "/secrets")["items"][0]
    assert (row["id"], row["setting"], row["pub"], row["in_use"]) == (ident, KEY, pub, True)

    # the same text again is another box: nobody learns that two are equal
    again = api.publish({"fleet": {KEY: first}}, "the same")
    now = devices[0].fetch()
    other = now["sections"]["postfix"]["settings"][KEY].removeprefix("sealed:")
    assert other != ident and open_jwe(devices[0].enc, now["secrets"][other]) == first
    assert [(s["id"], s["pub"]) for s in api.ok("GET", "/secrets")["items"]] == [(other, again["pub"])]

    # after a new start; and back to a revision, whose box is still there
    parent.restart()
    api.ok("POST", f"/revisions/{pub}/restore", {"reason": "back"})
    now = devices[0].fetch()
    assert open_jwe(devices[0].enc, now["secrets"][ident]) == first
    nowhere(parent, first)


@pytest.mark.slow
def test_bad_secrets_are_refused_without_repeating_them(parent, api, devices):
    for bad, finding in (("wo\nrd-" + uuid.uuid4().hex, "V.control"), ("x\0" + uuid.uuid4().hex, None), (" lead" + uuid.uuid4().hex, "V.blanks"),
                         ("パス" + uuid.uuid4().hex, "V.ascii"), ("y" * 256, "V.length")):
        _, r = edit(api, {"fleet": {**AUTH, KEY: bad}})
        assert r.status_code in (400, 422) and bad[-32:] not in r.text, r.text
        if finding:
            assert [(x["id"], x["pointer"]) for x in r.json()["errors"]] == [(finding, f"/changes/fleet/{KEY}")], r.text
        assert bad[-32:] not in database(parent) or bad == "y" * 256
    _, r = edit(api, {"fleet": {**AUTH, KEY: f"sealed:{uuid.uuid4()}"}}, params=None)
    assert r.status_code == 422 and r.json()["errors"][0]["id"] == "V.sealed-unknown"
    _, r = edit(api, {"fleet": {KEY: 7}})
    assert r.status_code == 422 and r.json()["errors"][0]["id"] == "V.type"
    _, r = edit(api, {"fleet": {**AUTH, "smtp_tls.outbound": "may", KEY: password()}})
    assert r.status_code == 422 and [x["id"] for x in r.json()["errors"] if not x["warning"]] == ["P15.no-tls"], r.text
    text = password()
    _, r = edit(api, {"fleet": {**AUTH, KEY: text}}, params={"dry_run": "true"})
    assert r.status_code == 200 and text not in r.text
    nowhere(parent, text)
    for d in api.ok("GET", "/drafts")["items"]:
        api.delete(f"/drafts/{d['id']}", headers={"If-Match": api.get(f"/drafts/{d['id']}").headers["ETag"]})


def boxes(parent):
    return {r[0] for r in parent.postgres.psql("SELECT id FROM secret")}


def tidied(parent, api):
    """The parent tidies up when it begins, whatever it was doing before: its lease is nobody's."""
    parent.stop()
    parent.postgres.psql("UPDATE lease SET expires_at = now() - interval '1 s'; UPDATE secret SET created_at = created_at - interval '61 min'")
    parent.start()
    api.ok("GET", "/secrets")


def test_boxes_of_what_was_never_published_do_not_stay(parent, api, devices):
    api.publish({"fleet": {**AUTH, KEY: password()}}, "sign in")
    kept = boxes(parent)
    draft, r = edit(api, {"fleet": {KEY: password()}})
    assert r.status_code == 200 and len(boxes(parent) - kept) == 1
    (first,) = boxes(parent) - kept
    other, _ = edit(api, {"devices": {"mx1": {KEY: password()}}})
    at = api.get(f"/drafts/{draft}").headers["ETag"]
    api.delete(f"/drafts/{draft}", params={"dry_run": "true"}, headers={"If-Match": at})
    assert first in boxes(parent)
    api.delete(f"/drafts/{draft}", headers={"If-Match": at})
    (second,) = boxes(parent) - kept  # the other draft's
    assert second != first and kept <= boxes(parent)
    _, r = edit(api, {"fleet": {KEY: f"sealed:{first}"}})
    assert r.status_code == 422 and r.json()["errors"][0]["id"] == "V.sealed-unknown"
    # another text in the place of the second: nobody discards anything, it goes when it is an hour old
    etag = api.get(f"/drafts/{other}").headers["ETag"]
    api.patch(f"/drafts/{other}", data=json.dumps({"devices": {"mx1": {KEY: password()}}}), headers={**MERGE, "If-Match": etag})
    (third,) = boxes(parent) - kept - {second}
    tidied(parent, api)
    wait_until(lambda: boxes(parent) == kept | {third}, "the old box to go", 30, 0.2)
    api.ok("POST", f"/drafts/{other}/publish", {"reason": "the third"})
    junk, _ = edit(api, {"fleet": {KEY: password()}})  # and the discard of another one takes nothing else along
    api.delete(f"/drafts/{junk}", headers={"If-Match": api.get(f"/drafts/{junk}").headers["ETag"]})
    assert boxes(parent) == kept | {third}
    (junk,) = parent.postgres.psql("INSERT INTO secret SELECT gen_random_uuid(), setting, box, author, now() FROM secret LIMIT 1 RETURNING id")[0]
    tidied(parent, api)
    wait_until(lambda: junk not in boxes(parent), "the parent to tidy up", 30, 0.2)
    assert boxes(parent) == kept | {third}, "also those that no publication has any more: one that is restored needs them"
    api.publish({"devices": {"mx1": {KEY: {"$inherit": True}}}}, "back to the fleet's")
    for d in api.ok("GET", "/drafts")["items"]:
        api.delete(f"/drafts/{d['id']}", headers={"If-Match": api.get(f"/drafts/{d['id']}").headers["ETag"]})


def test_a_dry_run_keeps_and_shows_nothing(parent, api, devices):
    """Of a draft with a secret: judged like any other value, written nowhere but in its box."""
    text = password()
    draft, r = edit(api, {"fleet": {**AUTH, KEY: text}})
    before, pub = boxes(parent), api.ok("GET", "/revisions?limit=1")["items"][0]["pub"]
    r = api.post(f"/drafts/{draft}/publish?dry_run=true", json={"reason": "would it do"})
    assert r.status_code == 200 and text not in r.text, r.text
    assert [c["key"] for d in [r.json()["diff"]] for c in d if c["key"] == KEY] == [KEY]
    assert api.ok("GET", "/revisions?limit=1")["items"][0]["pub"] == pub and boxes(parent) == before
    _, r = edit(api, {"fleet": {KEY: password()}}, params={"dry_run": "true"})
    assert r.status_code == 200 and boxes(parent) == before, "a trial of an edit makes no box"
    assert all(d.fetch() and text not in json.dumps(d.last) for d in devices)
    nowhere(parent, text)
    for d in api.ok("GET", "/drafts")["items"]:
        api.delete(f"/drafts/{d['id']}", headers={"If-Match": api.get(f"/drafts/{d['id']}").headers["ETag"]})


def test_a_backup_has_a_secret_in_its_box_only(parent, api, devices, workdir):
    """Also for whoever may open it: the file itself, the state in it, and every row of the database."""
    text = password()
    api.publish({"fleet": {**AUTH, KEY: text}}, "sign in")
    ref = api.ok("GET", "/settings?layer=fleet")["settings"][KEY]
    d = parentlib.folder(workdir, "safe")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{d}/key", "-out",
                    f"{d}/crt", "-days", "30", "-subj", "/CN=mine"], check=True, capture_output=True)
    os.chmod(f"{d}/crt", 0o644)
    subprocess.run(["chown", "inari", d], check=True)
    tool(parent, "backup", f"{d}/one.inari", "--recipient", f"{d}/crt")
    subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-in", f"{d}/one.inari", "-inkey", f"{d}/key", "-recip", f"{d}/crt", "-out",
                    f"{d}/one.tar"], check=True, capture_output=True)
    os.mkdir(f"{d}/all")
    subprocess.run(["tar", "xf", f"{d}/one.tar", "-C", f"{d}/all"], check=True)
    rows = subprocess.run(["pg_restore", "-f", "-", f"{d}/all/database.dump"], check=True, capture_output=True, text=True).stdout
    assert ref in rows and ref.removeprefix("sealed:") in rows.split("COPY public.secret ")[1].split("\n\\.")[0], "it is in there, in its box"
    for form in (text, text.encode().hex(), base64.b64encode(text.encode()).decode()[:-4]):
        assert form not in rows
        r = subprocess.run(["grep", "-rlaF", form, d], capture_output=True, text=True)
        assert r.stdout == "", r.stdout


@pytest.mark.slow
def test_exported_sealed_and_imported_as_it_was_or_anew(parent, api, devices):
    old = password()
    api.publish({"fleet": {**AUTH, KEY: old}}, "sign in")
    ref = api.ok("GET", "/settings?layer=fleet")["settings"][KEY]
    doc = api.ok("GET", "/config/export")
    assert doc["content"]["fleet"][KEY] == ref
    draft = api.ok("POST", "/config/import", {"document": doc, "mode": "replace"})
    assert draft["diff"] == []
    api.delete(f"/drafts/{draft['id']}", headers={"If-Match": api.get(f"/drafts/{draft['id']}").headers["ETag"]})

    new = password()
    doc["content"]["fleet"][KEY] = new
    doc.pop("digest", None)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"document": doc}
    first = api.ok("POST", "/config/import", body, headers=key)
    assert api.ok("POST", "/config/import", body, headers=key) == first  # the same request again
    nowhere(parent, new)
    # what the database remembers of the request cannot be tried against: no plain hash of anything that was sent
    plain = hashlib.sha256(json.dumps(body).encode()).hexdigest()
    assert plain not in database(parent)
    api.ok("POST", f"/drafts/{first['id']}/publish", {"reason": "imported"})
    b = devices[0].fetch()
    (ident, sealed), = b["secrets"].items()
    assert open_jwe(devices[0].enc, sealed) == new and f"sealed:{ident}" != ref


def test_a_renewed_key_gets_its_own_copy(parent, api, devices):
    d = devices[1]
    text = password()
    api.publish({"devices": {"mx2": {KEY: text}}}, "its own")
    before = d.fetch()
    (ident, sealed), = before["secrets"].items()
    was, sig, enc = d.enc, wireclient.Key(), wireclient.Key()
    assert offer(d, sig, enc).status_code == 200
    d.sig, d.enc, d.access = sig, enc, None
    d.sign_in()
    after = d.fetch(wait=5)
    assert after["content_digest"] == before["content_digest"] and after["rev"] > before["rev"]
    assert open_jwe(enc, after["secrets"][ident]) == text and open_jwe(was, sealed) == text
    with pytest.raises(InvalidTag):
        open_jwe(was, after["secrets"][ident])


@pytest.mark.slow
def test_what_a_revoked_device_knew(parent, api, devices, programs, tmp_path):
    gone = api.ok("GET", "/settings/effective?device=mx2")["settings"][KEY].removeprefix("sealed:")
    rows = {s["id"]: s for s in api.ok("GET", "/devices/mx2/secrets")["items"]}
    assert rows[gone]["in_use"] and not any(s["rotate"] for s in rows.values())
    api.ok("POST", "/devices/mx2/revoke", {"reason": "stolen"})
    rows = {s["id"]: s for s in api.ok("GET", "/devices/mx2/secrets")["items"]}
    assert rows[gone]["rotate"] and rows[gone]["setting"] == KEY and len(rows) > 1
    assert {s["id"] for s in rows.values() if s["rotate"]} == {s["id"] for s in rows.values() if s["in_use"]}
    ctl = Ctl.of(programs, parent, parent.token(), tmp_path)
    assert "change it" in ctl.ok("secrets", "--device", "mx2") and "要変更" in ctl.ok("secrets", "--device", "mx2", env={"LANG": "ja_JP.UTF-8"})
    assert "change it" not in ctl.ok("secrets", "--device", "mx1")
    # changed: nothing of what it knew is in use any more
    word = password()
    out = ctl.ok("set", f"{KEY}=@-", stdin=word + "\n")
    assert word not in out
    ctl.ok("set", f"{KEY}=@-", "--device", "mx2", stdin=password())
    ctl.ok("publish", "--reason", "rotated", "--wait", "none")
    assert not any(s["rotate"] for s in api.ok("GET", "/devices/mx2/secrets")["items"])
    b = devices[0].fetch()
    assert open_jwe(devices[0].enc, next(iter(b["secrets"].values()))) == word
    nowhere(parent, word)
