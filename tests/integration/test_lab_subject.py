"""smtp.log_subject from a publication to a search by subject, on the lab with a real Postfix: the message's own subject, decoded, and no
other; off, there is none.  A device with header checks of its own keeps them, and the parent says so before."""
import base64
import json
import os
import re
import uuid

import pytest
from parentlib import wait_until
from test_pair_faults import respawn

pytestmark = [pytest.mark.lab, pytest.mark.slow]
KEY = "smtp.log_subject"
SEND = r"""
import base64, smtplib, sys
with smtplib.SMTP(sys.argv[1], 25, timeout=60, local_hostname="outside.lab.test") as s:
    s.sendmail("subject@outside.test", ["user@example.test"], base64.b64decode(sys.argv[2]))
"""
WITH_MORE_INSIDE = """\
Message-Id: <{id}@outside.test>
Subject: {subject}
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain
Subject: {mark} of-a-part

x
--b
Content-Type: message/rfc822

From: a@inside.test
Subject: {mark} of-the-message-inside

y
--b--
"""


@pytest.fixture
def child(healthy_lab):
    lab, name = healthy_lab, healthy_lab.children[0]
    yield name
    lab.execute(name, "postconf", "-X", "header_checks", check=False)
    lab.api.publish({"devices": {name: {KEY: {"$inherit": True}}}}, "no subjects again")
    lab.wait_in_sync([name], timeout=90)


def publish(lab, child, on, **body):
    lab.api.publish({"devices": {child: {KEY: on}}}, "subjects", **body)
    lab.wait_in_sync([child], timeout=90)


def send(lab, child, text):
    lab.execute("outside", "/usr/bin/python3", "-c", SEND, lab.address(child), base64.b64encode(text.replace("\n", "\r\n").encode()).decode())


def simple(ident, subject):
    return f"Message-Id: <{ident}@outside.test>\nSubject: {subject}\n\nx\n"


def stored(lab, ident):
    """The message as the parent shows it, once it was delivered."""
    def there():
        items = lab.api.ok("GET", f"/messages?message_id={ident}@outside.test")["items"]
        return items[0] if items and items[0]["status"] == "delivered" else None
    return wait_until(there, f"the message {ident}", 60, 0.3)


def by_subject(lab, words):
    return [m["message_id"] for m in lab.api.ok("GET", "/messages", params={"subject": words})["items"]]


def main_cf(lab, child):
    with open(os.path.join(lab.root(child), "etc/postfix/main.cf")) as f:
        return {k.strip(): v.strip() for k, v in (n.split("=", 1) for n in f if re.match(r"\w*header_checks *=", n))}


def encoded(text, charset="UTF-8"):
    return f"=?{charset}?B?{base64.b64encode(text.encode(charset)).decode()}?="


def test_subjects_are_found_while_the_setting_is_on(healthy_lab, child):
    lab, mark = healthy_lab, f"m{uuid.uuid4().hex[:8]}"
    send(lab, child, simple(f"{mark}-0", f"{mark} before"))
    assert stored(lab, f"{mark}-0")["subject"] is None
    publish(lab, child, True)
    assert main_cf(lab, child)["header_checks"].startswith("regexp:${config_directory}/inari/")
    long = f"{mark} " + "四半期の売上報告書を添付しますのでご確認ください。" * 4  # as programs fold it: three lines of the header
    folded = "\n ".join(encoded(long[n:n + 24]) for n in range(0, len(long), 24))
    cases = {
        "1": (simple(f"{mark}-1", encoded(f"{mark} 会議の件", "ISO-2022-JP")), f"{mark} 会議の件"),
        "2": (simple(f"{mark}-2", folded), long),
        "3": (WITH_MORE_INSIDE.format(id=f"{mark}-3", subject=f"{mark} outermost", mark=mark), f"{mark} outermost"),
        "4": (simple(f"{mark}-4", f"{mark} {'x' * 300} end"), f"{mark} {'x' * 300} end"),
        "5": (f"Message-Id: <{mark}-5@outside.test>\nsubject:{mark} small-and-close\nX-Subject: {mark} other\n\nSubject: {mark} body\n",
              f"{mark} small-and-close"),
    }
    for n, (text, _) in cases.items():
        send(lab, child, text)
    for n, (_, want) in cases.items():
        assert stored(lab, f"{mark}-{n}")["subject"] == want
    assert by_subject(lab, f"{mark} 会議") == [f"{mark}-1@outside.test"]
    assert by_subject(lab, f"{mark} 売上報告書") == [f"{mark}-2@outside.test"]
    assert by_subject(lab, f"{mark} of-the-message-inside") == by_subject(lab, f"{mark} of-a-part") == []
    said = [n for n in lab.log(child).splitlines() if "inari-subject" in n and mark in n]
    assert len(said) == 3 and not [n for n in said if "inside" in n or "of-a-part" in n], said  # the Japanese ones have no mark in clear
    found = {n: c for n, c in lab.arrived(mark).items()}
    assert len(found) == 6 and set(found.values()) == {1}
    # it only logs: what was sent arrives as it was
    text = next(t for t in mails(lab) if f"<{mark}-3@" in t)
    assert f"Subject: {mark} outermost\n" in text and f"Subject: {mark} of-the-message-inside\n" in text
    publish(lab, child, False)
    assert main_cf(lab, child) == {}
    send(lab, child, simple(f"{mark}-9", f"{mark} after"))
    assert stored(lab, f"{mark}-9")["subject"] is None


def publication(lab, child):
    """The answer to one that is only tried."""
    draft = lab.api.ok("POST", "/drafts", {"title": "subjects"})
    url = f"/drafts/{draft['id']}"
    headers = {"If-Match": lab.api.get(url).headers["ETag"], "Content-Type": "application/merge-patch+json"}
    r = lab.api.request("PATCH", url, data=json.dumps({"devices": {child: {KEY: True}}}), headers=headers)
    if r.status_code < 300:
        r = lab.api.request("POST", f"{url}/publish?dry_run=true", json={"reason": "subjects"})
    lab.api.request("DELETE", url)
    return r


def mails(lab):
    folder = lab.json["inside"]["maildir"]
    for name in os.listdir(folder):
        if name.endswith(".eml"):
            with open(os.path.join(folder, name), errors="replace", newline="") as f:
                yield f.read().replace("\r\n", "\n")


def test_a_site_s_own_header_checks(healthy_lab, child):
    """The parent refuses the setting, naming the table and what to do; forced, all else is applied and the table stays, and works."""
    lab, mark = healthy_lab, f"m{uuid.uuid4().hex[:8]}"
    table = os.path.join(lab.root(child), "etc/postfix/site_checks")
    with open(table, "w") as f:
        f.write(f"/^Subject:.*{mark}-spam/ REJECT site\n/^Subject:(.*)/ INFO inari-subject$1\n")
    lab.execute(child, "postconf", "-e", "header_checks=regexp:/etc/postfix/site_checks")
    lab.execute(child, "postfix", "reload")
    lab.lab.host(child).kill("inari-agent")  # facts are told at its start, and every ten minutes
    respawn(lab, child, "agent")
    refused = wait_until(lambda: (r := publication(lab, child)).status_code == 422 and r.json(), "the parent to know of the table", 30, 0.5)
    (problem,) = refused["errors"]
    assert problem["id"] == "P16.site-checks" and problem["forceable"] and problem["pointer"].endswith(KEY), problem
    assert "regexp:/etc/postfix/site_checks" in problem["message"] and "/^Subject:(.*)/ INFO inari-subject$1" in problem["remedy"], problem
    publish(lab, child, True, force={"reason": "logged by the site's own table"})
    assert main_cf(lab, child) == {"header_checks": "regexp:/etc/postfix/site_checks"}
    send(lab, child, simple(f"{mark}-1", f"{mark} by-the-site"))
    assert stored(lab, f"{mark}-1")["subject"] == f"{mark} by-the-site"  # the line that the remedy names
    r = lab.execute("outside", "/usr/bin/python3", "-c", SEND, lab.address(child),
                    base64.b64encode(simple(f"{mark}-2", f"{mark}-spam").encode()).decode(), check=False)
    assert r.returncode != 0 and "site" in r.stderr
