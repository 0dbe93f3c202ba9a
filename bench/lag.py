"""From a line in Postfix's log to an event on the parent: ten lab children, fifty messages a second on each, the way of each
delivery from its line to somebody who follows the parent's event stream (so the row is committed by then). Agents, parent,
PostgreSQL and log files are real; the lines are written by this program, since ten Postfixes would leave the machine no time for
what is measured. INARI_LAG_CHILDREN, INARI_LAG_RATE (messages a second a child) and INARI_LAG_S change the numbers. Needs root.
"""
import contextlib
import json
import os
import shutil
import threading
import time

import parentlib
import requests
from labrig import Rig

CHILDREN = int(os.environ.get("INARI_LAG_CHILDREN", "10"))
RATE = int(os.environ.get("INARI_LAG_RATE", "50"))
SECONDS = int(os.environ.get("INARI_LAG_S", "30"))
PATIENCE_S = 60
DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
MARK = "lag-"


def queue_id(n):
    text = ""
    for _ in range(13):
        text, n = DIGITS[n % 52] + text, n // 52
    return "4" + text.replace("z", "y")


def lines(host, n):
    """One message as Postfix logs it, received from a client and delivered; its next hop's answer says when it was written."""
    now = time.time_ns()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now // 10**6 % 1000:03d}Z"
    q, pid, client = queue_id(n), 1000 + n % 50, f"mail{n % 300}.example.net[203.0.113.{n % 250 + 1}]"
    texts = (("smtpd", pid, f"connect from {client}"),
             ("smtpd", pid, f"{q}: client={client}"),
             ("cleanup", 7, f"{q}: message-id=<{n}@example.net>"),
             ("qmgr", 8, f"{q}: from=<user{n % 1000}@example.net>, size={1000 + n % 9000}, nrcpt=1 (queue active)"),
             ("smtpd", pid, f"disconnect from {client} ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"),
             ("smtp", 9, f"{q}: to=<person{n % 500}@example.test>, relay=inside.example.test[192.0.2.9]:25, delay=0.05, "
                         f"delays=0.02/0/0.01/0.02, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {MARK}{now})"),
             ("qmgr", 8, f"{q}: removed"))
    return "".join(f"{stamp} {host} postfix/{service}[{p}]: {text}\n" for service, p, text in texts).encode()


def write(rig, until):
    """Every child gets its messages at their time; returns how many there were."""
    names = [c["name"] for c in rig.json["children"]]
    out = [open(os.path.join(rig.dir, name, "log", "mail.log"), "ab", buffering=0) for name in names]
    began, n = time.monotonic(), 0
    try:
        while (now := time.monotonic()) < until:
            due = int((now - began) * RATE * CHILDREN)
            while n < due:
                out[n % CHILDREN].write(lines(names[n % CHILDREN], n))
                n += 1
            time.sleep(0.002)
    finally:
        for f in out:
            f.close()
    return n


def follow(response, lags):
    with contextlib.suppress(requests.RequestException):  # the parent goes away in the end
        for line in response.iter_lines(chunk_size=1):
            text = json.loads(line[5:]).get("text") or "" if line.startswith(b"data:") else ""
            if MARK in text:
                lags.append(time.time_ns() - int(text.rsplit(MARK, 1)[1].rstrip(")")))


def rank(values, percent):
    v = sorted(values)
    return v[max(0, -(-len(v) * percent // 100) - 1)]


def run():
    work = parentlib.new_folder("bench-lag")
    rig = Rig(os.path.join(work, "lab"))
    lags = []
    try:
        rig.up(CHILDREN)
        rig.wait_in_sync()
        r = rig.api.get("/events/stream?kind=message.delivery", stream=True, timeout=(10, 60))
        r.raise_for_status()
        threading.Thread(target=follow, args=(r, lags), daemon=True).start()
        time.sleep(2)
        n = write(rig, time.monotonic() + SECONDS)
        limit = time.monotonic() + PATIENCE_S
        while len(lags) < n and time.monotonic() < limit:
            time.sleep(0.1)
        assert len(lags) == n, f"{n} deliveries were written, {len(lags)} came"
        ms = [x / 1e6 for x in lags]
        about = f"ms from line to event ({CHILDREN} devices, {RATE} messages/s each, {n} deliveries)"
        yield {"name": "lag.p50", "value": round(rank(ms, 50)), "unit": about}
        yield {"name": "lag.p99", "value": round(rank(ms, 99)), "unit": about, "bar": 2000}
        yield {"name": "lag.max", "value": round(max(ms)), "unit": about}
    finally:
        rig.verb("down", check=False)
        shutil.rmtree(work, ignore_errors=True)
