"""Fault F1: the parent is killed in the middle of publications: each is there as a whole, or not at all."""
import json
import threading
import time
import uuid

import parentlib
import pytest
import requests
import wireclient

MERGE = {"Content-Type": "application/merge-patch+json"}


def publisher(parent, token, stop, acknowledged):
    """Publish as fast as the parent takes it; note what was acknowledged."""
    n = 0
    while not stop.is_set():
        n += 1
        try:
            s = parent.session(token)
            d = s.post("/drafts", json={"title": f"n{n}"}).json()
            s.patch(f"/drafts/{d['id']}", data=json.dumps({"fleet": {"smtp.idle_timeout": 60 + n % 200,
                                                                    "smtp.relay_domains": {f"d{n}-{uuid.uuid4().hex[:6]}.example.test": {}}}}),
                    headers={**MERGE, "If-Match": f'"{d["version"]}"'})
            r = s.post(f"/drafts/{d['id']}/publish", json={"reason": f"n{n}"})
            if r.status_code == 201:
                acknowledged.append((r.json()["pub"], d["id"]))
        except (requests.RequestException, ValueError, KeyError):
            time.sleep(0.05)


def check_whole(parent, device):
    psql = parent.postgres.psql
    pubs = [int(x[0]) for x in psql("SELECT pub FROM revision ORDER BY pub")]
    assert pubs == list(range(1, len(pubs) + 1)), "revisions without gaps"
    audited = {int(x[0].split("/")[1]) for x in psql("SELECT object FROM audit WHERE action = 'revision.publish'")}
    assert audited == set(pubs[1:]), "every revision has its audit entry and the other way round"
    rollouts = {int(x[0]) for x in psql("SELECT pub FROM rollout")}
    assert rollouts == set(pubs[1:])
    bundled = {int(x[0]) for x in psql(f"SELECT pub FROM bundle WHERE device_id = '{device}'")}
    assert bundled <= set(pubs)
    newest = psql(f"SELECT b.pub, b.rev = d.desired_rev FROM device d JOIN bundle b ON b.device_id = d.id AND b.rev = d.desired_rev "
                  f"WHERE d.id = '{device}'")
    assert newest == [[str(pubs[-1]), "t"]], "the device is to get the newest publication, and its bundle is there"
    origins = {(x[0], int(x[1])) for x in psql("SELECT row, pub FROM leaf_origin WHERE key = 'smtp.relay_domains'")}
    content = json.loads(psql("SELECT content FROM revision ORDER BY pub DESC LIMIT 1")[0][0])
    assert {x for x, _ in origins} == set(content["fleet"].get("smtp.relay_domains", {}))
    assert all(1 < pub <= pubs[-1] for _, pub in origins)
    return pubs


@pytest.mark.slow
def test_kill_in_the_middle_of_publications(new_parent):
    p = new_parent()
    api = p.token()
    token = api.headers["Authorization"].split()[1]
    dev = wireclient.Device(p.base, p.ca, "mx-crash")
    dev.enrol(api.ok("POST", "/enrolment-tokens", {"name": "t"})["token"])
    acknowledged, stop = [], threading.Event()
    worker = threading.Thread(target=publisher, args=(p, token, stop, acknowledged))
    worker.start()
    try:
        for i in range(6):
            done = len(acknowledged)
            parentlib.wait_until(lambda n=done: len(acknowledged) > n, "a publication", 20)
            time.sleep(0.013 * i)  # somewhere else in the transaction each time
            p.kill()
            p.start()
    finally:
        stop.set()
        worker.join(20)
    pubs = check_whole(p, dev.id)
    assert {pub for pub, _ in acknowledged} <= set(pubs), "what was acknowledged is there"
    left = {x[0] for x in p.postgres.psql("SELECT id FROM draft")}
    assert not left & {d for _, d in acknowledged}, "a published draft is gone"
    assert api.ok("GET", "/audit/verify")["ok"]
    payload = dev.verify(dev.desired().content)
    assert payload["pub"] == pubs[-1]
    assert payload["sections"]["postfix"]["settings"]["smtp.idle_timeout"] == \
        api.ok("GET", "/settings/effective?device=mx-crash")["settings"]["smtp.idle_timeout"]
