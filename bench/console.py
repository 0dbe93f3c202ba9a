"""The console in Chromium on a parent with 1,000 simulated devices and a million messages: first contentful paint of a first
visit, interactions (from the input to the next paint, Event Timing), what a first visit downloads, how many rows a list draws, and
what an overview that nobody touches costs the parent. INARI_CONSOLE_DEVICES and INARI_SEARCH_MESSAGES set other numbers.

Browser, PostgreSQL and parent share the machine's cores, so times are upper limits.
"""
import json
import os
import subprocess
import time

os.environ.setdefault("INARI_SEARCH_MESSAGES", "1000000")
import _front  # noqa: E402
import fleet  # noqa: E402
import parentlib  # noqa: E402
import search  # noqa: E402

DEVICES = int(os.environ.get("INARI_CONSOLE_DEVICES", "1000"))
IDLE_S = 60
BROWSER = os.path.join(parentlib.SOURCE, "tests", "browser")


def figure(name, value, unit, bar=None):
    return {"name": f"console.{name}", "value": value, "unit": unit, "bar": bar}


class Page:
    """console.mjs: one order a line, one answer a line."""

    def __init__(self, p, user, password):
        if not os.path.isdir(os.path.join(BROWSER, "node_modules")):
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=BROWSER, check=True, stdout=subprocess.DEVNULL)
        env = {**os.environ, "INARI_API": p.base, "INARI_USER": user, "INARI_PASSWORD": password, "NODE_EXTRA_CA_CERTS": p.ca}
        self.process = subprocess.Popen(["node", os.path.join(parentlib.SOURCE, "bench", "console.mjs")], env=env, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the browser ended at {word}"
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0


def rank(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * percent / 100))]


def cpu_while(p):
    """% of one core of the parent and of its database over IDLE_S."""
    cpu, db, began = _front.cpu_s(p.pid), fleet.cpu_of_database(p), time.monotonic()
    time.sleep(IDLE_S)
    took = time.monotonic() - began
    return (_front.cpu_s(p.pid) - cpu) / took * 100, (fleet.cpu_of_database(p) - db) / took * 100


def run():
    web = {"web_dir": "system/usr/share/inari/web"}
    with _front.parent(enrol__rate=10000, lab="yes") as p:
        p.stop()
        p.extra.update({k: os.path.join(os.path.dirname(p.dir), v) for k, v in web.items()})
        p.start()
        begin = (int(time.time()) // 86400 - search.DAYS - 1) * search.DAY_MS
        search.load(p, begin, parentlib.folder(p.dir, "logs"))
        with fleet.crowd(p, DEVICES) as (sim, _):
            sim.joined(300)
            user, password = p.reset_admin()
            page = Page(p, user, password)
            for name in ("overview", "devices"):
                seen = [page.ask(f"first {name}") for _ in range(5)]
                yield figure(f"{name}.fcp", rank([s["fcp"] for s in seen], 50), f"ms to the first contentful paint of a first visit ({DEVICES} devices, {search.MESSAGES} messages)", 1000)
                yield figure(f"{name}.content", rank([s["content"] for s in seen], 50), "ms until its content is there")
            yield figure("download", round(max(s["bytes"] for s in seen) / 1024, 1), "KiB that a first visit downloads, answers of the API included")
            since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin / 1000))
            done = page.ask(f"interact {since}")
            yield figure("interaction.p95", rank(done["times"], 95), f"ms from the input to the next paint, {len(done['times'])} inputs", 100)
            for line in done["slow"]:
                search.say(f"slow: {line}")
            yield figure("rows", done["rows"], "rows of the longest list drawn", 100)
            without = cpu_while(p)
            page.ask("rest")
            with_page = cpu_while(p)
            yield figure("idle.parent", round(with_page[0] - without[0], 2), f"% of a core of the parent for an idle overview ({without[0]:.2f} without it)", 0.5)
            yield figure("idle.database", round(with_page[1] - without[1], 2), "% of a core of PostgreSQL for the same")
            page.close()
