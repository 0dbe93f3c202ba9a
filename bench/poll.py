"""Server CPU of an unchanged poll: Prefer: wait=0, kept alive, 304, real token and routing, against nginx serving a 304
with the same headers over the same TLS in the same run; and of a held cycle, apart."""
import json
import os
import socket
import ssl
import subprocess
import tempfile

import _front

ROUNDS, CONNECTIONS, POLLS = 5, 64, 24  # a device may poll 30 times at once, then once a second


def client(requests, polls, *servers, status=304):
    """What each server (port, pids) spent on the requests, polls times each."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"".join(requests))
        f.flush()
        r = subprocess.run([_front.program("pollclient"), f.name, str(CONNECTIONS), str(polls), str(status),
                            *(f"{port}:{','.join(map(str, pids))}" for port, pids in servers)], capture_output=True, text=True)
    if r.returncode != 0:
        raise SystemExit(f"pollclient: {r.stderr}{r.stdout}")
    return json.loads(r.stdout)


def answer_headers(p, request):
    """The headers of our own 304, for nginx to send too (Date and ETag it sends itself).  It cannot leave out Server and
    Connection, 39 bytes; Inari-Request-Id, 35 bytes, is left out of its answer instead, so that both send as much."""
    ctx = ssl.create_default_context(cafile=p.ca)
    with ctx.wrap_socket(socket.create_connection(("127.0.0.1", p.port)), server_hostname="localhost") as s:
        s.sendall(request)
        head = s.recv(65536).decode().partition("\r\n\r\n")[0]
    assert head.startswith("HTTP/1.1 304"), head
    rows = [line.split(": ", 1) for line in head.split("\r\n")[1:]]
    return [(k, v) for k, v in rows if k not in ("Date", "ETag", "Connection", "Server", "Content-Length", "Inari-Request-Id")]


def run():
    with _front.parent() as p:
        per_round = CONNECTIONS
        all_devices = _front.devices(p, per_round * ROUNDS + CONNECTIONS)
        first = all_devices.pop()
        with _front.nginx(p, first.etag, answer_headers(p, _front.poll_request(first, p.port)), os.cpu_count()) as (port, pids):
            ours, theirs, rates, peer_rates, sizes = [], [], [], [], []
            for i in range(ROUNDS):
                batch = [_front.poll_request(d, p.port) for d in all_devices[i * per_round:(i + 1) * per_round]]
                a, b = client(batch, POLLS, (p.port, [p.pid]), (port, pids))
                ours += a["round_us"]
                theirs += b["round_us"]
                rates.append(a["requests"] / a["wall_us"] * 1e6)
                peer_rates.append(b["requests"] / b["wall_us"] * 1e6)
                sizes.append((a["bytes"] / (a["requests"] + per_round), b["bytes"] / (b["requests"] + per_round)))
        # Medians over all rounds of 64 polls: what else the machine and the parent's jobs do in some of them is left out.
        yield {"name": "poll.cpu", "value": round(_front.median(ours), 2), "unit": "us", "peer": "nginx",
               "peer_value": round(_front.median(theirs), 2),
               "ratio": round(_front.median(theirs) / _front.median(ours), 3), "bar": 0.8}
        yield {"name": "poll.cpu.mean", "value": round(sum(ours) / len(ours), 2), "unit": "us, with all the process did meanwhile",
               "peer": "nginx", "peer_value": round(sum(theirs) / len(theirs), 2), "ratio": round(sum(theirs) / sum(ours), 3)}
        yield {"name": "poll.rate", "value": round(_front.median(rates)), "unit": "1/s (client on the same cores)",
               "peer": "nginx", "peer_value": round(_front.median(peer_rates)),
               "ratio": round(_front.median([o / t for o, t in zip(rates, peer_rates)]), 3)}
        yield {"name": "poll.answer", "value": round(sizes[0][0]), "unit": "bytes", "peer": "nginx",
               "peer_value": round(sizes[0][1]), "ratio": round(sizes[0][1] / sizes[0][0], 3)}
        before = _front.sql_statements(p)
        held, = client([_front.poll_request(d, p.port, wait=1) for d in all_devices[-CONNECTIONS:]], 2, (p.port, [p.pid]))
        yield {"name": "poll.held_cycle.cpu", "value": round(held["cpu_us"] / held["requests"], 1), "unit": "us"}
        yield {"name": "poll.held_cycle.sql", "value": _front.sql_statements(p) - before,
               "unit": f"statements of the whole process during {held['requests']} held polls (its jobs run on)"}
