"""Searching stored events over HTTPS: a week of mail in the partitions and indexes of the schema, each filter alone and a trace,
against the same traffic as compressed log files searched with zgrep and ripgrep.  INARI_SEARCH_MESSAGES=100000 makes it short."""
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import _front
import parentlib

MESSAGES = int(os.environ.get("INARI_SEARCH_MESSAGES", "10000000"))
ASKED = int(os.environ.get("INARI_SEARCH_ASKED", "30"))  # of each kind
LOADERS = int(os.environ.get("INARI_SEARCH_LOADERS", "2"))
DAYS, DAY_MS = 7, 86_400_000
COLUMNS = ("at, received_at, batch, n, device_id, stream, seq, kind, queue_id, orig_queue_id, next_queue_id, sender, recipient, client, client_name, "
           "helo, message_id, subject, size, relay, dsn, status, reason, text, delay_ms, detail")


def say(text):
    print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def psql(p, sql, **kw):
    """As the plain owner, with memory for building indexes."""
    return subprocess.Popen(parentlib.as_user("inari", ["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-h", p.postgres.socket, "-U", "inari", "-d", "inari",
                                                        *(["-c", sql] if sql else [])]), cwd="/",
                            env={**os.environ, "PGOPTIONS": "-c maintenance_work_mem=1GB -c synchronous_commit=off"}, **kw)


def indexes(p):
    """{name: definition} of what every partition gets."""
    return dict(p.postgres.psql("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'event'"))


def copy_into(p, table, first, count, begin, log, head="", tail=""):
    """Made-up mail into a table; its log lines, packed, into log (None: nowhere)."""
    pack = subprocess.Popen(["gzip", "-1"], stdin=subprocess.PIPE, stdout=open(log, "wb")) if log else None
    to = psql(p, None, stdin=subprocess.PIPE)
    to.stdin.write(f"{head}COPY {table} ({COLUMNS}) FROM STDIN{' WITH (FREEZE)' if head else ''};\n".encode())
    to.stdin.flush()
    subprocess.run([_front.program("mailgen"), str(first), str(count), str(MESSAGES), str(begin), str(DAYS * DAY_MS), "1",
                    f"/proc/self/fd/{pack.stdin.fileno()}" if pack else "/dev/null"], stdout=to.stdin,
                   pass_fds=[pack.stdin.fileno()] if pack else [], check=True)
    to.stdin.write(f"\\.\n{tail}".encode())
    to.stdin.close()
    assert to.wait() == 0
    if pack:
        pack.stdin.close()
        assert pack.wait() == 0


def load_day(p, defs, day, begin, logs):
    """One day's partition, filled before it has indexes, which are then made one after another."""
    name = "event_" + time.strftime("%Y%m%d", time.gmtime(begin / 1000 + day * 86400))
    first, last = MESSAGES * day // DAYS, MESSAGES * (day + 1) // DAYS
    copy_into(p, name, first, last - first, begin, os.path.join(logs, f"mail.log.{day}.gz"),
              f"BEGIN; CREATE TABLE {name} (LIKE event INCLUDING DEFAULTS INCLUDING STORAGE);\n", "COMMIT;\n")
    say(f"{name}: filled")
    for index, text in defs.items():
        make = text.replace(f"INDEX {index} ON ONLY public.event ", f"INDEX {name}_{index} ON {name} ")
        assert make != text and psql(p, make).wait() == 0
    lo, hi = (time.strftime("%Y-%m-%d 00:00:00+00", time.gmtime(begin / 1000 + (day + i) * 86400)) for i in (0, 1))
    # A little of the day's last mail ends on the next, and by rounding its first may begin on the one before.
    assert psql(p, f"DELETE FROM {name} WHERE at >= '{hi}' OR at < '{lo}'").wait() == 0
    return name, f"ALTER TABLE event ATTACH PARTITION {name} FOR VALUES FROM ('{lo}') TO ('{hi}')"


def quick_to_fill(p):
    """What is not asked yet needs no log of its own for a crash."""
    for setting in ("wal_level = minimal", "max_wal_senders = 0", "max_wal_size = '8GB'", "checkpoint_timeout = '30min'"):
        p.postgres.psql(f"ALTER SYSTEM SET {setting}")
    p.stop()
    p.postgres.stop()
    p.postgres.start()
    p.start()


def load(p, begin, logs):
    quick_to_fill(p)
    p.postgres.psql("UPDATE event_policy SET size_budget_bytes = 1000000000000, keep_days = 60")
    defs = indexes(p)
    with ThreadPoolExecutor(LOADERS) as pool:
        made = list(pool.map(lambda d: load_day(p, defs, d, begin, logs), range(DAYS)))
    for name, attach in made:
        assert psql(p, attach).wait() == 0 and psql(p, f"VACUUM (ANALYZE) {name}").wait() == 0
    assert psql(p, "INSERT INTO event_batch (device_id, stream, received_at, first, last, n) VALUES (gen_random_uuid(), 'postfix', now(), 1, 1, 1)").wait() == 0
    say("all days are attached")
    return [name for name, _ in made]


def sizes(p, names):
    """Bytes of all days, by table and index."""
    days = "'{" + ",".join(names) + "}'"
    rows = p.postgres.psql(f"SELECT 'rows', sum(pg_relation_size(oid)) FROM pg_class WHERE relname = ANY ({days}) UNION ALL "
                           "SELECT regexp_replace(i.indexrelid::regclass::text, '^event_[0-9]+_', ''), sum(pg_relation_size(i.indexrelid)) FROM pg_class c "
                           f"JOIN pg_index i ON i.indrelid = c.oid WHERE c.relname = ANY ({days}) GROUP BY 1 ORDER BY 2 DESC")
    return {k: int(v) for k, v in rows}


def samples(p, names, column, where, n):
    """Values as often as they are in the data: frequent ones are asked for more often."""
    got = []
    for name in names:
        got += [r[0] for r in p.postgres.psql(f"SELECT {column} FROM {name} TABLESAMPLE SYSTEM (2) WHERE {where} AND {column} IS NOT NULL LIMIT {400}")]
    random.Random(4).shuffle(got)
    return got[:n] or [""]


def rfc3339(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms / 1000))


def questions(p, names, begin, end):
    """{kind: [parameters]}"""
    q, d = "kind = 'message.queued'", "kind = 'message.delivery'"
    whole = {"since": rfc3339(begin), "until": rfc3339(end)}
    senders = samples(p, names, "sender", q, ASKED)
    asked = {
        "sender": [{"sender": v} for v in [*senders, "user0@dom0.example"]],
        "sender domain": [{"sender": "@" + v.rpartition("@")[2]} for v in senders],
        "recipient": [{"recipient": v} for v in samples(p, names, "recipient", d, ASKED)],
        "recipient domain": [{"recipient": "@" + v.rpartition("@")[2]} for v in samples(p, names, "recipient", d, ASKED)],
        "client": [{"client": v} for v in samples(p, names, "host(client)", q, ASKED)],
        "client network": [{"client": v.rpartition(".")[0] + ".0/24"} for v in samples(p, names, "host(client)", q, ASKED)],
        "message id": [{"message_id": v} for v in samples(p, names, "message_id", q, ASKED)],
        "queue id": [{"queue_id": v} for v in samples(p, names, "queue_id", q, ASKED)],
        "subject": [{"subject": v} for v in samples(p, names, "subject", q, ASKED)],
        "subject, one word": [{"subject": v.split()[0] if "Re:" not in v else v.split()[1]} for v in samples(p, names, "subject", q, ASKED)],
        "status": [{"status": v} for v in ("deferred", "bounced", "rejected", "delivered")] * 3,
        "reason": [{"reason": v} for v in ("greylisted", "timeout", "connect", "quota", "user-unknown", "relay-denied")] * 3,
        "time alone": [{}] * 10,
        "nobody": [{"sender": f"nobody{i}@nowhere.example"} for i in range(10)],
    }
    out = {k: [{**whole, **v} for v in vs] for k, vs in asked.items()}
    out["sender and time"] = []
    for i, v in enumerate(senders):
        at = begin + (end - begin) * (i + 1) // (len(senders) + 2)
        out["sender and time"].append({"sender": v, "since": rfc3339(at), "until": rfc3339(at + 3_600_000)})
    return out


def ask(api, path, query):
    start = time.perf_counter()
    r = api.get(api.base + path, params=query)
    ms = (time.perf_counter() - start) * 1000
    assert r.status_code == 200, f"{query}: {r.status_code} {r.text[:300]}"
    return ms, r.json()


def p95(values):
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def figure(name, values, bar, unit="ms p95"):
    say(f"{name}: median {sorted(values)[len(values) // 2]:.0f}, p95 {p95(values):.0f}, most {max(values):.0f} ms of {len(values)}")
    return {"name": name, "value": p95(values), "unit": unit, "bar": bar}


def peers(logs, sender):
    """Seconds of one search in the packed log files; the lines it found."""
    files = [os.path.join(logs, f) for f in sorted(os.listdir(logs))]
    for name, command in (("zgrep", ["zgrep", "-h", "-c", "-F", f"from=<{sender}>"]), ("rg", ["rg", "-z", "-c", "-F", f"from=<{sender}>"])):
        if shutil.which(command[0]):
            start = time.perf_counter()
            subprocess.run([*command, *files], stdout=subprocess.DEVNULL, check=False)
            yield name, time.perf_counter() - start


def copy_rates(p, begin):
    """Rows a second of COPY as the indexes grow: none, those of the first table (time, queue id), all but the words, all."""
    defs = indexes(p)
    first = {k: v for k, v in defs.items() if k in ("event_at", "event_queue_id")}
    words = {k: v for k, v in defs.items() if k != "event_subject"}
    n = min(100_000, MESSAGES)
    for name, some in (("no index", {}), ("time and queue id", first), ("all but words", words), ("all", defs)):
        assert psql(p, "DROP TABLE IF EXISTS bench_copy; CREATE TABLE bench_copy (LIKE event INCLUDING DEFAULTS INCLUDING STORAGE)").wait() == 0
        for index, text in some.items():
            assert psql(p, text.replace(f"INDEX {index} ON ONLY public.event ", f"INDEX bench_{index} ON bench_copy ")).wait() == 0
        copy_into(p, "bench_copy", 0, n // 2, begin, None)
        start = time.perf_counter()
        before = int(p.postgres.psql("SELECT count(*) FROM bench_copy")[0][0])
        start = time.perf_counter()
        copy_into(p, "bench_copy", n // 2, n // 2, begin, None)
        took = time.perf_counter() - start
        rows = int(p.postgres.psql("SELECT count(*) FROM bench_copy")[0][0]) - before
        yield name, rows / took
    assert psql(p, "DROP TABLE bench_copy").wait() == 0


def run():
    begin = (int(time.time()) // 86400 - DAYS - 1) * DAY_MS
    end = begin + DAYS * DAY_MS
    with _front.parent() as p:
        logs = parentlib.folder(p.dir, "logs")
        start = time.monotonic()
        names = load(p, begin, logs)
        say(f"{MESSAGES} messages are there after {time.monotonic() - start:.0f} s")
        rows = int(p.postgres.psql("SELECT sum(reltuples)::bigint FROM pg_class WHERE relname = ANY ('{" + ",".join(names) + "}')")[0][0])
        yield {"name": "events", "value": rows, "unit": f"rows of {MESSAGES} messages"}
        for name, size in sizes(p, names).items():
            say(f"size of {name}: {size / 1e6:.0f} MB")
        api = p.token()
        asked = questions(p, names, begin, end)
        ids, times = [], {k: [] for k in asked}
        for k, queries in asked.items():  # twice: once when nothing of the kind was read yet
            for query in queries:
                ms, answer = ask(api, "/api/v1/messages", query)
                times[k].append(ms)
                if answer["partial"]:
                    say(f"{k} {query}: partial, {len(answer['items'])} found")
                ids += [m["id"] for m in answer["items"][:1]]
            yield figure(k, times[k], 100 if k == "sender and time" else 300)
        random.Random(5).shuffle(ids)
        yield figure("trace", [ask(api, f"/api/v1/messages/{i}", {})[0] for i in ids[:60]], 300)
        sender = asked["sender"][0]["sender"]
        mine = ask(api, "/api/v1/messages", asked["sender"][0])[0] / 1000
        for name, seconds in peers(logs, sender):
            yield {"name": f"a sender's messages, beside {name}", "value": mine, "unit": "s", "peer": name, "peer_value": seconds, "ratio": seconds / mine, "bar": 1}
        for name, rate in copy_rates(p, begin):
            yield {"name": f"COPY, indexes: {name}", "value": rate, "unit": "rows/s"}
