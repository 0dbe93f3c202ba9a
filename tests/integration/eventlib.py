"""Events as a device sends them (docs/internals/events.md): batches, zstd, a spool that repeats what was not acknowledged."""
import ctypes
import ctypes.util
import json
import random
import time
import uuid

import requests
import wireclient

_zstd = ctypes.CDLL(ctypes.util.find_library("zstd"))
_zstd.ZSTD_compressBound.restype = _zstd.ZSTD_compress.restype = ctypes.c_size_t
_zstd.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
_zstd.ZSTD_compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]


def zstd(data, level=1):
    """One frame."""
    out = ctypes.create_string_buffer(_zstd.ZSTD_compressBound(len(data)))
    n = _zstd.ZSTD_compress(out, len(out), data, len(data), level)
    assert not _zstd.ZSTD_isError(n)
    return out.raw[:n]


def now_ms():
    return int(time.time() * 1000)


def event(kind="raw", at=None, **members):
    return {"at": now_ms() if at is None else at, "kind": kind, **members}


def batch(spool, first, events, n=None, dropped=0, **head):
    """The body, not packed; an event is a dict, or a line as bytes."""
    lines = [json.dumps({"spool": spool, "first": first, "n": len(events) if n is None else n, "dropped": {"total": dropped}, **head})]
    raw = [x if isinstance(x, bytes) else json.dumps(x, ensure_ascii=False).encode() for x in events]
    return b"\n".join([lines[0].encode(), *raw, b""])


def send(device, stream, body, coding="zstd", **headers):
    """POST it as it is; the answer."""
    h = {**device.auth(), "Content-Type": "application/x-ndjson", **headers}
    if coding:
        h["Content-Encoding"] = coding
    return device.call("POST", f"{wireclient.AGENT}/events/{stream}", data=body, headers=h)


class Spool:
    """What a device keeps of one stream until the parent has it."""

    def __init__(self, device, stream="postfix"):
        self.device, self.stream, self.id = device, stream, str(uuid.uuid4())
        self.acknowledged, self.kept, self.written = 0, [], 0
        self.answers = []

    def append(self, *events):
        self.kept += events
        self.written += len(events)

    def post(self, most=5000, dropped=0, **head):
        """One batch of what is not acknowledged yet; the answer."""
        body = batch(self.id, self.acknowledged + 1, self.kept[:most], dropped=dropped, **head)
        r = send(self.device, self.stream, zstd(body))
        self.answers.append(r.status_code)
        if r.status_code == 200:
            n = r.json()["acknowledged"]
            assert n >= self.acknowledged, (n, self.acknowledged)
            self.kept = self.kept[n - self.acknowledged:]
            self.acknowledged = n
        return r

    def ship(self, most=5000, until=None, patience=60):
        """Until all is acknowledged, whatever is between: what an agent does."""
        end = time.monotonic() + patience
        while self.kept:
            assert time.monotonic() < end, f"{len(self.kept)} events were not taken in {patience} s: {self.answers[-5:]}"
            try:
                r = self.post(random.randint(1, most) if most > 1 else 1)
            except requests.RequestException:
                time.sleep(0.1)
                continue
            if r.status_code == 401:
                self.device.access = None
            elif r.status_code != 200:
                assert r.status_code in (429, 503, 500, 504), f"{r.status_code} {r.text[:500]}"
                time.sleep(0.1)
        return self
