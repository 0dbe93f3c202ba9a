"""Events a second over HTTPS into the indexed partitions, against COPY of the very same rows by psql from a file into a table
with the same indexes, turn by turn in the same run; and the parent's memory over it.

Four devices send batches of 5000 events that were made and packed before; the figures of each are written as well."""
import os
import subprocess
import tempfile
import threading
import time
import uuid

import _front
import eventlib
import parentlib
import requests

DEVICES, ROUNDS, BATCHES, LINES = 4, 5, 4, 5000


def events(device, first):
    """As a gateway has them: of each message four."""
    now = eventlib.now_ms()
    for i in range(first, first + LINES):
        message, part = divmod(i, 4)
        at, queue_id = now - 3000 + i % 3000, f"4c{device:X}{message:08X}"
        same = {"at": at, "queue_id": queue_id, "message_id": f"{message:x}.{device}@example.test", "sender": f"user{message % 997}@sender{message % 53}.example.test"}
        client = {"client": f"198.18.{message % 200}.{message % 251}", "client_name": f"mx{message % 251}.example.test"}
        if part == 0:
            e = {**same, **client, "kind": "message.queued", "helo": f"mx{message % 251}.example.test", "size": 2000 + message % 90000,
                 "subject": f"Order {message} confirmed for customer {message % 1013}", "detail": {"nrcpt": 1, "proto": "ESMTP", "tls": "TLSv1.3"}}
        elif part == 1:
            e = {**same, **client, "kind": "message.delivery", "recipient": f"person{message % 4999}@example.test", "relay": "in.example.test[198.18.0.9]:25",
                 "dsn": "2.0.0", "status": "sent", "text": f"250 2.0.0 Ok: queued as 9B{message:07X}", "delay_ms": 120 + message % 900,
                 "next_queue_id": f"9B{message:07X}", "size": 2000, "detail": {"delays": [50, 1, 20, 49 + message % 900], "conn_use": 1}}
        elif part == 2:
            e = {"at": at, "queue_id": queue_id, "kind": "message.removed"}
        else:
            e = {"at": at, **client, "kind": "session", "detail": {"commands": "ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1", "tls": True}}
        yield e


def rss(p):
    with open(f"/proc/{p.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) * 1024


def send(p, device, bodies, failed):
    s = requests.Session()
    s.verify, s.trust_env = p.ca, False
    for body in bodies:
        while True:
            r = s.post(f"{p.base}/api/agent/v1/events/postfix", data=body, headers={
                "Authorization": f"Bearer {device.access}", "Content-Type": "application/x-ndjson", "Content-Encoding": "zstd"})
            if r.status_code not in (429, 503):
                break
            time.sleep(0.01)
        if r.status_code != 200:
            failed.append(r.text)
            return


def copy(p, sql, path=None):
    """psql of the parent's own role; seconds it took."""
    began = time.monotonic()
    subprocess.run(parentlib.as_user("inari", ["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-h", p.postgres.socket, "-U", "inari", "-d", "inari", "-c", sql]),
                   check=True, cwd="/", stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def peer_table(p):
    """The same partitions with the same indexes."""
    copy(p, "CREATE TABLE peer (LIKE event INCLUDING ALL) PARTITION BY RANGE (at)")
    for name, bound in p.postgres.psql("SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON "
                                       "c.oid = i.inhrelid WHERE i.inhparent = 'event'::regclass"):
        copy(p, f"CREATE TABLE peer{name[5:]} PARTITION OF peer {bound}")


def run():
    with _front.parent() as p, tempfile.TemporaryDirectory(dir="/tmp") as work:
        os.chmod(work, 0o777)
        devices = _front.devices(p, DEVICES)
        peer_table(p)
        spools, ours, theirs, memory, packed, lines = [str(uuid.uuid4()) for _ in devices], [], [], [], 0, 0
        for r in range(ROUNDS):
            bodies = []
            for d in range(DEVICES):
                firsts = [1 + (r * BATCHES + b) * LINES for b in range(BATCHES)]
                raw = [eventlib.batch(spools[d], f, list(events(d, f))) for f in firsts]
                bodies.append([eventlib.zstd(x) for x in raw])
                lines += sum(map(len, raw))
                packed += sum(map(len, bodies[-1]))
            n, failed = DEVICES * BATCHES * LINES, []
            before = int(p.postgres.psql("SELECT coalesce(max(id), 0) FROM event_batch")[0][0])
            threads = [threading.Thread(target=send, args=(p, d, b, failed)) for d, b in zip(devices, bodies)]
            began = time.monotonic()
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            took = time.monotonic() - began
            if failed:
                raise SystemExit(failed[0])
            path = os.path.join(work, f"rows{r}")
            copy(p, f"\\copy (SELECT * FROM event WHERE batch > {before} ORDER BY batch, n) TO '{path}'")
            if int(p.postgres.psql(f"SELECT count(*) FROM event WHERE batch > {before}")[0][0]) != n:
                raise SystemExit("not all events were stored once")
            ours.append(n / took)
            theirs.append(n / copy(p, f"\\copy peer FROM '{path}'"))
            memory.append(rss(p))
            os.unlink(path)
        ratio = _front.median([a / b for a, b in zip(ours, theirs)])
        yield {"name": "ingest.rows", "value": round(_front.median(ours)), "unit": "1/s (client on the same cores)", "peer": "COPY by psql",
               "peer_value": round(_front.median(theirs)), "ratio": round(ratio, 3), "bar": 0.5}
        yield {"name": "ingest.packed", "value": round(lines / packed, 1), "unit": "times smaller than its lines"}
        yield {"name": "ingest.rss", "value": round(memory[-1] / 2**20, 1), "unit": "MiB after the last round"}
        yield {"name": "ingest.rss.growth", "value": round(memory[-1] / memory[1], 3), "unit": f"of what it was after the second of {ROUNDS} rounds",
               "bar": 1.15}
