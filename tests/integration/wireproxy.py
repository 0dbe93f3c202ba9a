"""A man in the middle who holds the parent's own TLS key: everything a child sends reaches the real parent, and what comes
back can be changed on the way.  And the parent's bundle key, to sign what a real parent never would."""
import contextlib
import email.utils
import hashlib
import http.client
import json
import os
import socket
import ssl
import threading
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from wireclient import Key, dumps, unb64u

HOP = ("connection", "content-length", "transfer-encoding")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.promised = None  # Content-Length when it is not the body's
        self.raw = None       # callable(tls) that sends something else instead

    def set_body(self, body, etag=True):
        """Another body; with the ETag that belongs to it, as a clever forger would send."""
        self.body = body if isinstance(body, bytes) else body.encode()
        if etag:
            self.headers["ETag"] = f'"{hashlib.sha256(self.body).hexdigest()}"'
        return self


class Request:
    """What a child asks; ask() may change it before the parent hears it."""

    def __init__(self, method, path, headers, body, send):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self._send = send  # send(request): the parent's Answer, on the same connection

    def is_(self, method, path):
        return self.method == method and self.path == path

    def also(self, body, **headers):
        """What the parent answers to the same with another body, sent before it."""
        return self._send(Request(self.method, self.path, {**self.headers, **headers}, body, self._send))


class Proxy:
    """change(answer): called with each bundle (200 of GET desired); None: nothing is changed.
    every(answer): called with each answer to a poll, whatever it is.  offset_s: moves the Date of all answers, which
    libmicrohttpd writes by the machine's clock and not by a shifted one.
    other(request, answer): called with each answer to anything else.
    ask(request): called with each request before it goes to the parent.  polls: how many there were; answered: what the
    parent said to them."""

    def __init__(self, address, parent, cert, key):
        self.parent, self.change, self.seen = parent, None, []
        self.other = None
        self.ask, self.every, self.polls, self.answered, self.offset_s = None, None, 0, [], 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.upstream = ssl.create_default_context(cafile=cert)
        self.upstream.check_hostname = False
        self.socket = socket.create_server((address, 0))
        self.url = f"https://{address}:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.socket.close()

    def _accept(self):
        while True:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        up = http.client.HTTPSConnection(*self.parent, context=self.upstream, timeout=75)
        with contextlib.suppress(OSError, ssl.SSLError, http.client.HTTPException, ValueError):
            plain.settimeout(90)
            tls = self.context.wrap_socket(plain, server_side=True)
            f = tls.makefile("rb")
            while self._one(tls, f, up):
                pass
        plain.close()
        up.close()

    def _one(self, tls, f, up):
        line = f.readline(8192).decode().split()
        if len(line) != 3:
            return False
        head = http.client.parse_headers(f)
        body = f.read(int(head.get("Content-Length", 0)))
        if head.get("Expect"):
            raise ValueError("nobody here waits for 100")
        asked = Request(line[0], line[1], {k: v for k, v in head.items() if k.lower() not in HOP and k.lower() != "host"},
                        body, lambda r: self._up(up, r))
        poll = asked.is_("GET", "/api/agent/v1/desired")
        self.polls += poll
        if self.ask is not None:
            self.ask(asked)
        a = self._up(up, asked)
        if poll:
            self.answered.append(a.status)
        if poll and a.status == 200:
            self.seen.append(a.body)
            if self.change is not None:
                self.change(a)
        if poll and self.every is not None:
            self.every(a)
        if not poll and self.other is not None:
            self.other(asked, a)
        return self._send(tls, a)

    def _up(self, up, r):
        up.request(r.method, r.path, r.body, {**r.headers, "Host": f"{self.parent[0]}:{self.parent[1]}"})
        got = up.getresponse()
        a = Answer(got.status, {k: v for k, v in got.getheaders() if k.lower() not in HOP}, got.read())
        if self.offset_s:
            a.headers["Date"] = email.utils.formatdate(time.time() + self.offset_s, usegmt=True)
        return a

    @staticmethod
    def _send(tls, a):
        if a.raw:
            a.raw(tls)
            return False
        length = len(a.body) if a.promised is None else a.promised
        text = f"HTTP/1.1 {a.status} x\r\n" + "".join(f"{k}: {v}\r\n" for k, v in a.headers.items())
        if a.status not in (204, 304):
            text += f"Content-Length: {length}\r\n"
        tls.sendall(text.encode() + b"\r\n" + a.body)
        return length == len(a.body)


class BundleKey(Key):
    """The parent's own bundle key, opened with its key file: what only a captured parent could do."""

    def __init__(self, kid, sealed, parent_key):
        super().__init__(AESGCM(parent_key).decrypt(sealed[:12], sealed[12:], kid.encode()))
        assert self.kid == kid

    def again(self, bundle, **members):
        """The bundle with other members, signed anew; its content digest is kept right."""
        payload = {**payload_of(bundle), **members}
        payload["content_digest"] = hashlib.sha256(json.dumps({"sections": payload["sections"]}, separators=(",", ":"),
                                                              sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        return self.jws("inari-bundle+jws", dumps(payload))


def payload_of(bundle):
    return json.loads(unb64u(json.loads(bundle)["payload"]))


SEALED = "SELECT kid || ' ' || encode(sealed, 'hex') FROM signing_key WHERE use = 'bundle' ORDER BY created_at DESC LIMIT 1"


def lab_bundle_key(lab):
    host = lab.lab.host("parent")
    row = lab.execute("parent", "setpriv", "--reuid=inari-db", "--regid=inari-db", "--init-groups", "psql", "-qXAt", "-h",
                      "/run/inari-db", "-U", "postgres", "-d", "inari", "-c", SEALED).stdout.split()
    with open(os.path.join(host.root, "var/lib/inari-parent/parent.key"), "rb") as f:
        return BundleKey(row[0], bytes.fromhex(row[1]), f.read())


def bundle_key(parent):
    """Of a parentlib.Parent."""
    row = parent.postgres.psql(SEALED)[0][0].split()
    with open(os.path.join(parent.state, "parent.key"), "rb") as f:
        return BundleKey(row[0], bytes.fromhex(row[1]), f.read())
