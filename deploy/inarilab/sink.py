#!/usr/bin/python3
"""The final mail server of the lab: SMTP in, one file a message, 250 only when the file is on the disk.

  sink.py ADDRESS PORT MAILDIR DOMAIN [ADDRESS ...]
Every other domain than DOMAIN is refused at RCPT.  A file begins with the envelope (Return-Path, one Delivered-To a
recipient, X-Lab-Client, X-Lab-Received with the time) and goes on with the message as it came (CRLF become LF).
Files: <microseconds>.<counter>.eml, complete when the name ends so.
"""
import asyncio
import os
import re
import sys
import time

ADDRESS = re.compile(rb"<([^<>\s]*)>")
LIMIT = 128 << 20


class Sink:
    def __init__(self, maildir, domain):
        self.maildir, self.domain, self.count = maildir, domain.lower(), 0

    def store(self, peer, sender, rcpts, body):
        self.count += 1
        now = time.time_ns() // 1000
        name = f"{now}.{self.count:08d}.eml"
        head = [b"Return-Path: <%s>" % sender] + [b"Delivered-To: %s" % r for r in rcpts]
        head += [b"X-Lab-Client: " + peer.encode(), b"X-Lab-Received: %d" % now]
        tmp = os.path.join(self.maildir, f".{name}")
        fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, b"\n".join(head) + b"\n")
            view = memoryview(body)
            while view:
                view = view[os.write(fd, view):]
            os.fdatasync(fd)
        finally:
            os.close(fd)
        os.rename(tmp, os.path.join(self.maildir, name))
        return name

    def wanted(self, rcpt):
        return rcpt.rpartition(b"@")[2].lower() == self.domain.encode() and b"@" in rcpt

    async def data(self, reader):
        """Lines up to the lone dot, dots unstuffed, LF line ends."""
        lines, size = [], 0
        while True:
            line = await asyncio.wait_for(reader.readline(), 300)
            if not line.endswith(b"\n"):
                return None
            if line == b".\r\n":
                return b"".join(lines)
            if line.startswith(b"."):
                line = line[1:]
            if line.endswith(b"\r\n"):
                line = line[:-2] + b"\n"
            size += len(line)
            if size <= LIMIT:
                lines.append(line)

    async def session(self, reader, writer):
        peer = writer.get_extra_info("peername")[0]
        sender, rcpts = None, []

        def reply(text):
            writer.write(text.encode() + b"\r\n")

        reply(f"220 inside.{self.domain} ESMTP")
        try:
            while True:
                await writer.drain()
                line = await asyncio.wait_for(reader.readline(), 300)
                if not line:
                    return
                verb = line.strip().upper()
                if verb.startswith(b"EHLO"):
                    sender, rcpts = None, []
                    writer.write(f"250-inside.{self.domain}\r\n250-PIPELINING\r\n250-SIZE {LIMIT}\r\n250-8BITMIME\r\n"
                                 "250-SMTPUTF8\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n".encode())
                elif verb.startswith((b"HELO", b"RSET")):
                    sender, rcpts = None, []
                    reply("250 2.0.0 ok")
                elif verb.startswith(b"MAIL FROM:"):
                    m = ADDRESS.search(line)
                    sender, rcpts = (m.group(1) if m else b""), []
                    reply("250 2.1.0 ok")
                elif verb.startswith(b"RCPT TO:"):
                    m = ADDRESS.search(line)
                    if sender is None or not m:
                        reply("503 5.5.1 MAIL first")
                    elif not self.wanted(m.group(1)):
                        reply(f"550 5.7.1 only {self.domain} lives here")
                    else:
                        rcpts.append(m.group(1))
                        reply("250 2.1.5 ok")
                elif verb == b"DATA":
                    if not rcpts:
                        reply("503 5.5.1 RCPT first")
                        continue
                    reply("354 go on")
                    await writer.drain()
                    body = await self.data(reader)
                    if body is None:
                        return
                    reply("250 2.0.0 kept as " + self.store(peer, sender, rcpts, body))
                    sender, rcpts = None, []
                elif verb == b"QUIT":
                    reply("221 2.0.0 bye")
                    await writer.drain()
                    return
                elif verb == b"NOOP":
                    reply("250 2.0.0 ok")
                else:
                    reply("502 5.5.2 not known")
        except (asyncio.TimeoutError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()


async def main():
    address, port, maildir, domain = sys.argv[1:5]
    sink = Sink(maildir, domain)
    servers = [await asyncio.start_server(sink.session, a, int(port), limit=1 << 20, backlog=512)
               for a in [address, *sys.argv[5:]]]
    await asyncio.gather(*(s.serve_forever() for s in servers))


asyncio.run(main())
