#!/usr/bin/python3
"""The lab's DNS server: UDP and TCP, answers from the zone files in a folder, read again when one changes.

  dnsd.py ZONES ADDRESS [ADDRESS ...]
A zone file is called <zone>.zone and has one record a line: NAME TYPE DATA (NAME "@" is the zone, a name without a
final dot is below the zone, "*" as first label answers for what has no record of its own).  Types: A AAAA MX TXT PTR
CNAME NS.  The server is authoritative for its zones; every other name does not exist.
"""
import os
import socket
import socketserver
import struct
import sys
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
TTL = 5


def wire_name(name):
    out = b""
    for label in filter(None, name.split(".")):
        raw = label.encode("ascii", "replace")[:63]
        out += bytes([len(raw)]) + raw
    return out + b"\0"


def rdata(kind, text):
    if kind == "A":
        return socket.inet_aton(text)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, text)
    if kind == "MX":
        pref, host = text.split()
        return struct.pack("!H", int(pref)) + wire_name(host)
    if kind == "TXT":
        raw = text.strip('"').encode()
        return b"".join(bytes([len(raw[i:i + 255])]) + raw[i:i + 255] for i in range(0, max(len(raw), 1), 255))
    return wire_name(text)


class Zones:
    """zone -> {(name, type): [rdata]}; swapped whole, so readers need no lock."""

    def __init__(self, folder):
        self.folder, self.stamp, self.zones, self.checked = folder, None, {}, 0.0
        self.lock = threading.Lock()

    def refresh(self):
        now = time.monotonic()
        if now - self.checked < 0.1:
            return
        with self.lock:
            self.checked = now
            files = sorted(f for f in os.listdir(self.folder) if f.endswith(".zone"))
            stamp = [(f, os.stat(os.path.join(self.folder, f)).st_mtime_ns) for f in files]
            if stamp != self.stamp:
                self.zones = {f[:-5].lower(): self.load(f) for f in files}
                self.stamp = stamp

    def load(self, file):
        zone, records = file[:-5].lower(), {}
        with open(os.path.join(self.folder, file)) as f:
            for number, line in enumerate(f, 1):
                words = line.split(None, 2)
                if not words or words[0].startswith(("#", ";")):
                    continue
                try:
                    name, kind, data = words[0].lower(), words[1].upper(), words[2].strip()
                    name = zone if name == "@" else name[:-1] if name.endswith(".") else f"{name}.{zone}"
                    records.setdefault((name, TYPES[kind]), []).append(rdata(kind, data))
                except (IndexError, KeyError, ValueError, OSError) as e:
                    print(f"{file}:{number}: {e!r}: line ignored", file=sys.stderr, flush=True)
        return records

    def find(self, name, kind):
        """(rcode, [(type, rdata)], zone)."""
        zone = max((z for z in self.zones if name == z or name.endswith("." + z)), key=len, default=None)
        if zone is None:
            return 3, [], None
        records = self.zones[zone]
        for who in (name, "*." + name.partition(".")[2], "*." + zone):
            kinds = {k for n, k in records if n == who}
            if who == name and not kinds and any(n.endswith("." + name) for n, _ in records):
                return 0, [], zone
            if not kinds:
                continue
            if (who, 5) in records and kind not in (5, 255):
                return 0, [(5, records[(who, 5)][0])], zone
            pick = kinds if kind == 255 else {kind} & kinds
            return 0, [(k, d) for k in pick for d in records[(who, k)]], zone
        return (0 if name == zone else 3), [], zone


def answer(zones, query, udp):
    if len(query) < 17:
        return None
    ident, flags, questions = struct.unpack("!HHH", query[:6])
    if flags & 0x8000 or questions != 1:
        return None
    at, labels = 12, []
    while at < len(query) and query[at]:
        if query[at] > 63:
            return None
        labels.append(query[at + 1:at + 1 + query[at]].decode("ascii", "replace").lower())
        at += 1 + query[at]
    question = query[12:at + 5]
    if len(question) < at - 12 + 5:
        return None
    kind = struct.unpack("!H", query[at + 1:at + 3])[0]
    zones.refresh()
    rcode, found, zone = zones.find(".".join(labels), kind)
    body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", k, 1, TTL, len(d)) + d for k, d in found)
    authority, n_auth = b"", 0
    if not found and zone:
        soa = wire_name(f"ns.{zone}") + wire_name(f"root.{zone}") + struct.pack("!IIIII", 1, 60, 60, 60, TTL)
        authority = wire_name(zone) + struct.pack("!HHIH", 6, 1, TTL, len(soa)) + soa
        n_auth = 1
    out_flags = 0x8000 | 0x0400 | (flags & 0x0100) | 0x0080 | rcode
    head = struct.pack("!HHHHHH", ident, out_flags, 1, len(found), n_auth, 0)
    whole = head + question + body + authority
    if udp and len(whole) > 1232:
        return struct.pack("!HHHHHH", ident, out_flags | 0x0200, 1, 0, 0, 0) + question
    return whole


def udp_loop(zones, sock):
    while True:
        query, peer = sock.recvfrom(4096)
        reply = answer(zones, query, True)
        if reply:
            sock.sendto(reply, peer)


class Tcp(socketserver.StreamRequestHandler):
    timeout = 5

    def handle(self):
        try:
            while head := self.rfile.read(2):
                reply = answer(self.server.zones, self.rfile.read(struct.unpack("!H", head)[0]), False)
                if not reply:
                    return
                self.wfile.write(struct.pack("!H", len(reply)) + reply)
        except (OSError, struct.error):
            pass


class TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


class Tcp6Server(TcpServer):
    address_family = socket.AF_INET6


def main():
    zones = Zones(sys.argv[1])
    zones.refresh()
    threads = []
    for a in sys.argv[2:]:
        sock = socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((a, 53))
        tcp = (Tcp6Server if ":" in a else TcpServer)((a, 53), Tcp)
        tcp.zones = zones
        threads += [threading.Thread(target=udp_loop, args=(zones, sock)), threading.Thread(target=tcp.serve_forever)]
    for t in threads:
        t.start()


main()
