"""C23: whatever a taken-over agent sends, the helper lives, answers in its own words, and writes nothing outside its list."""
import json
import os
import random
import shutil
import struct
import tempfile

import pytest
from helperlib import DEVICE, Client, Device, digest, settings

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and Postfix"),
              pytest.mark.skipif(not shutil.which("postfix"), reason="needs Postfix"), pytest.mark.fault]

VERBS = ["hello", "facts", "read", "diff", "stage", "validate", "trial_stop", "switch", "commit", "revert", "restore", "tx",
         "running", "drift", "repair", "disown", "", "../x", "stage\0", "STAGE", "exec"]
STRINGS = ["", "x", "/etc/passwd", "../../../../etc/shadow", "a" * 70, "f" * 64, digest(1), "F" * 64, "\u0000", "\r\nx = y",
           "$(touch /tmp/inari-was-here)", "`id`", "%s%s%n", "💥", DEVICE, DEVICE.upper(), "-o", "|/bin/sh", "${config_directory}"]
NUMBERS = [0, 1, -1, 2 ** 31, 2 ** 63 - 1, -2 ** 63, 1.5, 1e308, True, False, None]
MEMBERS = ["digest", "device_id", "settings", "facts", "epoch", "rev", "pub", "names", "files", "op", "v", "verb", "extra"]


def anything(r, depth=0):
    kind = r.randrange(4 if depth < 3 else 2)
    if kind == 0:
        return r.choice(STRINGS)
    if kind == 1:
        return r.choice(NUMBERS)
    if kind == 2:
        return [anything(r, depth + 1) for _ in range(r.randrange(4))]
    return {r.choice(STRINGS): anything(r, depth + 1) for _ in range(r.randrange(4))}


def request(r):
    """Mostly the right shape with something wrong in it: what gets furthest."""
    good = {"v": 1, "verb": r.choice(VERBS), "digest": digest(r.randrange(3)), "device_id": DEVICE, "settings": settings(),
            "epoch": 1, "rev": 1, "pub": 1}
    if r.random() < 0.3:
        return anything(r)
    if r.random() < 0.5:
        key = r.choice(sorted(good["settings"]) + ["smtp.banner_text", "smtp.client_access", "smtp.recipient_map", "x"])
        good["settings"][key] = anything(r)
    if good["verb"] in ("validate", "trial_stop", "switch", "commit", "restore") and r.random() < 0.3:
        return {k: good[k] for k in ("v", "verb", "digest")}
    for _ in range(r.randrange(3)):
        good.pop(r.choice(sorted(good)), None)
    for _ in range(r.randrange(2)):
        good[r.choice(MEMBERS)] = anything(r)
    return good


def listing(d, *folders):
    return {os.path.join(root, f) for folder in folders for root, _, files in os.walk(folder) for f in files}


@pytest.mark.slow
def test_hostile_requests():
    d = Device(tempfile.mkdtemp(prefix="inari-hostile-"), conf="helper.resolve_timeout = 100ms\n")
    r = random.Random(20261122)
    words = set()
    try:
        d.postfix("start")
        d.start()
        outside = listing(d, d.etc) | listing(d, "/etc/postfix")
        before = d.read("main.cf"), d.read("master.cf")
        c = Client(d.sock)
        for i in range(1500):
            text = json.dumps(request(r)).encode()
            if r.random() < 0.05:
                at = r.randrange(len(text))
                text = text[:at] + bytes([r.randrange(256)]) + text[at + 1:]
            try:
                c.raw(struct.pack(">I", len(text)) + text)
                answer = c.read()
                assert isinstance(answer["ok"], bool)
                if not answer["ok"]:
                    words.add(answer["error"])
                    assert answer["message"]
                    assert answer["error"] not in ("internal", "no-memory"), (text, answer)
            except (ConnectionError, OSError):
                c.close()
                c = Client(d.sock)
            assert d.helper.poll() is None, d.log_text()[-3000:]
        assert {"invalid", "refused", "conflict", "malformed"} <= words
        assert not os.path.exists("/tmp/inari-was-here")
        new = listing(d, d.etc) | listing(d, "/etc/postfix")
        assert {f for f in new - outside if not f.startswith(os.path.join(d.etc, "inari"))} == set()
        c.close()
        c = d.client()
        tx = c.call("tx")
        if not tx["open"] and not c.call("running")["managed"]:
            assert (d.read("main.cf"), d.read("master.cf")) == before
    finally:
        d.close()
        shutil.rmtree(d.tmp, ignore_errors=True)
