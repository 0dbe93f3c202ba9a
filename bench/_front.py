"""A release parent with its database, enrolled devices and an nginx beside it."""
import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import parentlib
import wireclient
from inarilab import system, users


@contextlib.contextmanager
def parent(**settings):
    """A running parentlib.Parent with a database of its own."""
    users.ensure()
    work = parentlib.new_folder("bench")
    db = parentlib.Postgres(parentlib.folder(work, "db"))
    p = None
    try:
        db.start()
        dest = os.path.join(work, "system")
        parentlib.install(dest)
        p = parentlib.Parent(parentlib.folder(work, "parent"), db, system.programs(dest),
                             {k.replace("__", "."): v for k, v in settings.items()})
        yield p.start()
    finally:
        if p is not None and p.alive():
            p.stop()
        if db.alive():
            db.stop()
        shutil.rmtree(work, ignore_errors=True)


def devices(p, n):
    """n children that have joined, fetched their bundle and reported: what an unchanged poll comes from."""
    token = uuid.uuid4().hex
    p.postgres.psql("INSERT INTO enrolment_token (id, name, token_hash, uses_max, created_by, expires_at) VALUES ("
                    f"'{uuid.uuid4()}', 'bench', '\\x{hashlib.sha256(token.encode()).hexdigest()}', {n}, 'bench', "
                    "now() + interval '1 hour')", user="inari")

    def one(i):
        d = wireclient.Device(p.base, p.ca, name=f"bench-{i}")
        while (answer := d.post_enrolment(token)).status_code == 429:  # ten a second are let in
            time.sleep(0.5)
        d.take(answer)
        d.sign_in()
        d.fetch(wait=3)
        assert d.put_status().status_code == 204
        d.http.close()
        return d
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, range(n)))


def poll_request(d, port, wait=0):
    """The bytes of a child's poll that finds nothing new."""
    return (f"GET /api/agent/v1/desired HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: inari-agent/0.1.0\r\n"
            f"Authorization: Bearer {d.access}\r\nIf-None-Match: \"{d.etag}\"\r\nPrefer: wait={wait}\r\n"
            f"Inari-Have: {d.have}\r\nInari-Boot: {d.boot}\r\nInari-Seq: {d.seq}\r\nInari-Status: {d.status_digest}\r\n"
            f"Inari-Api: 1\r\n\r\n").encode()


NGINX = """worker_processes {workers};
error_log {dir}/error.log warn;
pid {dir}/nginx.pid;
daemon off;
{user}
events {{ worker_connections 4096; }}
http {{
    access_log off; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    keepalive_requests 1000000; keepalive_timeout 60; etag off; server_tokens off; default_type "";
    ssl_certificate {crt}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    server {{
        listen 127.0.0.1:{port} ssl reuseport backlog=4096;
        location = /api/agent/v1/desired {{ {headers} add_header ETag '"{etag}"' always; return 304; }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(p, etag, headers, workers):
    """nginx with the parent's certificate, answering polls with a 304 that carries the same headers."""
    d = parentlib.new_folder("nginx")
    for name in ("server.crt", "server.key"):
        shutil.copy(os.path.join(p.state, "tls", name), d)
    port = parentlib.free_port()
    conf = os.path.join(d, "nginx.conf")
    with open(conf, "w") as f:
        f.write(NGINX.format(dir=d, port=port, etag=etag, workers=workers, user="user root;" if os.geteuid() == 0 else "",
                             crt=f"{d}/server.crt", key=f"{d}/server.key",
                             headers="".join(f"add_header {k} '{v}' always; " for k, v in headers)))
    proc = subprocess.Popen(["nginx", "-p", d, "-c", conf], stderr=subprocess.PIPE)
    try:
        pids = parentlib.wait_until(lambda: subprocess.run(["pgrep", "-P", str(proc.pid)], capture_output=True,
                                                           text=True).stdout.split(), "nginx")
        parentlib.wait_until(lambda: listening(port), "nginx to listen")
        yield port, [int(x) for x in pids]
    finally:
        proc.terminate()
        proc.wait(10)
        shutil.rmtree(d, ignore_errors=True)


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def program(name):
    return os.path.join(os.environ["INARI_BUILD"], "bench", name)


def cpu_s(pid):
    """CPU seconds of a process, all threads."""
    return time.clock_gettime(~pid << 3 | 2)


def children(pid):
    return [int(x) for x in subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()]


def sql_statements(p):
    """What the parent asked its database since it started."""
    return int(re.search(r"^inari_db_statements_total (\d+)", p.session().get("/metrics").text, re.M).group(1))


def median(values):
    v = sorted(values)
    return v[len(v) // 2] if len(v) % 2 else (v[len(v) // 2 - 1] + v[len(v) // 2]) / 2

