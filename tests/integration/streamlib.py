"""Who follows GET /api/v1/events/stream: a thread that reads messages, and comes back with the last id when it is told to."""
import json
import threading

import requests
from parentlib import wait_until


class Follower:
    """One connection.  messages: those without a name, as objects; named: (name, object); places: every id that came."""

    def __init__(self, session, last=None, expect=200, **query):
        self.session, self.query = session, query
        self.messages, self.named, self.places, self.comments, self.retry = [], [], [], 0, None
        self.last, self.over = last, threading.Event()
        headers = {"Last-Event-ID": last} if last else {}
        self.answer = session.get(session.base + "/api/v1/events/stream", params=query, headers=headers, stream=True, timeout=(20, 60))
        assert self.answer.status_code == expect, f"{self.answer.status_code} {self.answer.text[:500]}"
        self.thread = threading.Thread(target=self._read, daemon=True)
        if expect == 200:
            self.thread.start()

    def _read(self):
        rest = b""
        try:
            for piece in self.answer.raw.read_chunked():
                rest += piece
                *whole, rest = rest.split(b"\n\n")
                for block in whole:
                    self._block(block.decode())
        except (requests.RequestException, OSError, ValueError, AttributeError, Exception):  # noqa: B014 - urllib3 has its own
            pass
        self.over.set()

    def _block(self, text):
        name, data, place = None, None, None
        for line in text.split("\n"):
            key, _, value = line.partition(": ")
            if line.startswith(":"):
                self.comments += 1
            elif key == "id":
                place = value
            elif key == "event":
                name = value
            elif key == "data":
                data = value
            elif key == "retry":
                self.retry = int(value)
        if data is not None and name is None:
            self.messages.append(json.loads(data))
            assert self.messages[-1]["id"] == place
        elif data is not None:
            self.named.append((name, json.loads(data)))
        if place is not None:
            self.places.append(place)
            self.last = place

    def ready(self):
        """It has a place: what is stored from now on comes."""
        wait_until(lambda: self.places or self.over.is_set(), "the first place", 20)
        assert not self.over.is_set(), self.named
        return self

    def wait(self, n, patience=30):
        wait_until(lambda: len(self.messages) >= n or self.over.is_set(), f"{n} events; there are {len(self.messages)}", patience)
        return self.messages

    def close(self):
        """As a client that is gone: no word of farewell."""
        try:
            sock = self.answer.raw._fp.fp.raw._sock
            sock.shutdown(2)
        except (AttributeError, OSError):
            pass
        self.answer.close()
        self.thread.join(20)

    def again(self, session=None):
        """The same once more, from the last id on."""
        return Follower(session or self.session, last=self.last, **self.query)


def order(place):
    return tuple(int(x) for x in place.split("."))
