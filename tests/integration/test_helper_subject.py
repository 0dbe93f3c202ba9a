"""smtp.log_subject on a real Postfix: header checks that only log come and go with the setting; those of the site stay, whatever
is published, edited by hand or put back (docs/internals/planner.md, P16)."""
import os
import shutil
import tempfile

import pytest
from helperlib import DEVICE, Device, HelperError, digest, settings
from test_helper_apply import apply, ready

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and Postfix"),
              pytest.mark.skipif(not shutil.which("postfix"), reason="needs Postfix")]
NAMES = ("header_checks", "mime_header_checks", "nested_header_checks")
ON = {"smtp__log_subject": True}
SITE = "regexp:/etc/postfix/site_checks"


@pytest.fixture(scope="module")
def one():
    d = Device(tempfile.mkdtemp(prefix="inari-subject-"))
    d.write("site_checks", "/^X-Spam-Flag: YES/ REJECT spam\n")
    d.hand_made = d.read("main.cf")
    d.postfix("start")
    d.start()
    yield d
    d.close()
    shutil.rmtree(d.tmp, ignore_errors=True)


@pytest.fixture
def device(one):
    """With nothing of the subject in its files."""
    c = one.client()
    one.write("main.cf", "".join(n for n in one.read("main.cf").splitlines(True) if not n.startswith(NAMES)))
    apply(c, 100)
    c.close()
    assert checks(one) == {}
    return one


def checks(d):
    """Of the header checks what main.cf says, as it is written."""
    pairs = (n.split("=", 1) for n in d.read("main.cf").splitlines() if "=" in n)
    return {k.strip(): v.strip() for k, v in pairs if k.strip() in NAMES}


def ours(n):
    return {"header_checks": f"regexp:${{config_directory}}/inari/{digest(n)[:16]}/header_checks", "mime_header_checks": "",
            "nested_header_checks": ""}


def edit(d, name, value):
    kept = [n for n in d.read("main.cf").splitlines(True) if n.split("=")[0].strip() != name]
    d.write("main.cf", "".join(kept) + f"{name} = {value}\n")


def findings(c, n, **changed):
    """(ids of P16, refused): what the device says of settings."""
    try:
        answer = c.call("diff", digest=digest(n), device_id=DEVICE, settings=settings(**changed))
        refused = False
    except HelperError as e:
        answer, refused = e.answer, True
    return [f["id"] for f in answer.get("findings", []) if f["id"].startswith("P16")], refused


@pytest.mark.slow
def test_on_and_off(device):
    c = device.client()
    apply(c, 1, **ON)
    assert checks(device) == ours(1)
    table = f"/etc/postfix/inari/{digest(1)[:16]}/header_checks"
    asked = [device.inside("postmap", "-q", key, f"regexp:{table}", check=False).stdout.strip()
             for key in ("Subject: =?UTF-8?B?5Lu25ZCN?=", "SUBJECT:x", "X-Subject: x", "To: Subject: x")]
    assert asked == ["INFO inari-subject =?UTF-8?B?5Lu25ZCN?=", "INFO inari-subjectx", "", ""]
    assert c.call("facts")["facts"]["header_checks"] == ours(1)
    assert c.call("drift")["drift"] == [] and "header_checks" not in c.call("read")["foreign"]["main_cf"]
    apply(c, 2, smtp__banner_text="x", **ON)  # its table goes with each change
    assert checks(device) == ours(2)
    apply(c, 3)
    assert checks(device) == {} and c.call("facts")["facts"]["header_checks"] == {}
    assert c.call("drift")["drift"] == []
    c.close()


@pytest.mark.slow
def test_on_is_put_back(device):
    c = device.client()
    ready(c, 4, **ON)
    c.call("switch", digest=digest(4))
    assert checks(device) == ours(4)
    assert c.call("revert")["healthy"] and checks(device) == {}
    apply(c, 5, **ON)
    ready(c, 6)
    c.call("switch", digest=digest(6))
    assert checks(device) == {}
    assert c.call("revert")["healthy"] and checks(device) == ours(5)
    assert c.call("drift")["drift"] == []
    c.close()


@pytest.mark.slow
def test_the_site_keeps_its_own(device):
    c = device.client()
    edit(device, "header_checks", SITE)
    assert c.call("facts")["facts"]["header_checks"] == {"header_checks": SITE}
    assert findings(c, 7, **ON) == (["P16.site-checks"], False)  # who forced it gets all the rest
    assert findings(c, 7) == ([], False)
    for n, wish in ((7, {}), (8, ON), (9, {})):
        apply(c, n, smtp__banner_text=f"n{n}", **wish)
        assert checks(device) == {"header_checks": SITE} and c.call("drift")["drift"] == []
        assert f"n{n}" in device.dialogue(25)[0]
    # attachments are looked into by the site, subjects logged by us
    edit(device, "header_checks", "")
    edit(device, "mime_header_checks", SITE)
    for n, wish, want in ((10, ON, {**ours(10), "mime_header_checks": SITE}), (11, {}, {"mime_header_checks": SITE})):
        apply(c, n, **wish)
        assert checks(device) == want and c.call("drift")["drift"] == []
    c.close()


@pytest.mark.slow
def test_an_edit_over_ours_is_the_site_s_from_then_on(device):
    """Drift as long as the setting is on; then neither a change nor switching it off takes it away."""
    c = device.client()
    apply(c, 12, **ON)
    edit(device, "header_checks", SITE)
    assert [x["item"] for x in c.call("drift")["drift"]] == ["header_checks"]
    apply(c, 13, **ON)
    assert checks(device)["header_checks"] == SITE and c.call("drift")["drift"] == []
    apply(c, 14, **ON)
    apply(c, 15)
    assert checks(device)["header_checks"] == SITE
    edit(device, "header_checks", "")
    apply(c, 16, **ON)
    edit(device, "header_checks", SITE)
    apply(c, 17)  # in force: ours; in the file: theirs
    assert checks(device)["header_checks"] == SITE
    # both in one line: our table would be gone with the next change, and Postfix would defer all mail for it
    edit(device, "header_checks", f"regexp:/etc/postfix/inari/{digest(17)[:16]}/header_checks, {SITE}")
    before = device.read("main.cf")
    for wish in (ON, {}):
        assert findings(c, 18, **wish) == (["P16.mixed-checks"], True)
        with pytest.raises(HelperError) as e:
            apply(c, 18, **wish)
        assert [f["pointer"] for f in e.value.answer["findings"] if not f["warning"] and f["id"].startswith("P16")] == \
                ["/settings/smtp.log_subject"]
    assert device.read("main.cf") == before
    c.close()


@pytest.mark.slow
def test_ours_goes_also_when_the_state_was_lost(device):
    """What is ours is known by its place, not only by what was kept."""
    c = device.client()
    apply(c, 19, **ON)
    c.close()
    device.stop()
    shutil.rmtree(device.state)
    device.start()
    c = device.client()
    apply(c, 20)
    assert checks(device) == {}
    c.close()
