"""Events of mail as devices report them, written into the database of a test or a benchmark: no device has to send for hours."""
import datetime
import json
import os
import subprocess
import tempfile
import uuid

import parentlib

COLUMNS = ("at", "received_at", "batch", "n", "device_id", "stream", "seq", "kind", "queue_id", "orig_queue_id", "next_queue_id", "sender",
           "recipient", "client", "client_name", "helo", "message_id", "subject", "size", "relay", "dsn", "status", "reason", "text",
           "delay_ms", "detail")
UTC = datetime.timezone.utc


def ms_text(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{ms % 1000:03d}+00"


def rfc3339(ms):
    return ms_text(ms).replace(" ", "T").replace("+00", "Z")


def cell(v):
    """One value of COPY ... (FORMAT text)."""
    if v is None:
        return "\\N"
    if isinstance(v, dict):
        v = json.dumps(v, ensure_ascii=False)
    return str(v).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


class Events:
    """Rows of the table event, in order; write() stores those that are new in one batch, as the ingest would."""

    def __init__(self, postgres):
        self.postgres, self.rows, self.seq = postgres, [], {}

    def add(self, device, kind, at, **members):
        self.seq[device] = self.seq.get(device, 0) + 1
        self.rows.append({"device_id": device, "kind": kind, "at": at, "stream": "postfix", "seq": self.seq[device], **members})

    # --- the life of a message

    def queued(self, device, queue_id, at, sender="a@example.org", nrcpt=1, **m):
        self.add(device, "message.queued", at, queue_id=queue_id, sender=sender, size=m.pop("size", 2345), detail={"nrcpt": nrcpt}, **m)

    def delivery(self, device, queue_id, at, recipient, status="sent", text="250 2.0.0 Ok", **m):
        self.add(device, "message.delivery", at, queue_id=queue_id, recipient=recipient, status=status, text=text,
                 dsn={"sent": "2.0.0", "deferred": "4.4.1"}.get(status, "5.1.1"), relay=m.pop("relay", "mx.example.net[192.0.2.25]:25"), **m)

    def removed(self, device, queue_id, at):
        self.add(device, "message.removed", at, queue_id=queue_id)

    def write(self):
        rows, self.rows = self.rows, []
        days = sorted({ms_text(r["at"])[:10] for r in rows})
        days_sql = "".join(f"SELECT event_make_day('{d}');" for d in days)
        out = self.postgres.psql(f"BEGIN; {days_sql} INSERT INTO event_batch (device_id, stream, received_at, first, last, n) VALUES "
                                 f"('{rows[0]['device_id']}', 'postfix', now(), 1, {len(rows)}, {len(rows)}) RETURNING id; COMMIT", user="inari")
        batch = int(out[-1][0])
        with tempfile.NamedTemporaryFile("w", dir="/tmp", suffix=".copy", encoding="utf-8", delete=False) as f:
            for n, r in enumerate(rows):
                r = {"received_at": ms_text(r["at"]), **r, "at": ms_text(r["at"]), "batch": batch, "n": n}
                f.write("\t".join(cell(r.get(c)) for c in COLUMNS) + "\n")
        os.chmod(f.name, 0o644)
        try:
            r = subprocess.run(parentlib.as_user("inari", [
                "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-h", self.postgres.socket, "-U", "inari", "-d", "inari", "-c",
                f"\\copy event ({', '.join(COLUMNS)}) FROM '{f.name}'"]), capture_output=True, text=True, cwd="/")
            assert r.returncode == 0, r.stderr
        finally:
            os.unlink(f.name)
        return batch


def device():
    return str(uuid.uuid4())
