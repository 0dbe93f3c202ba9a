"""Gates on the sources: what may never appear, who may include whom, and that every text has both languages."""
import json
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = sorted(p for d in ("lib", "server", "agent", "cli", "backup", "mail") for p in (ROOT / d).rglob("*.[ch]"))

# May-not-use rules of ARCHITECTURE.md: folder -> include prefixes that are refused there.
FORBIDDEN = {
    "lib": ("server/", "agent/", "http/", "store/", "domain/", "handlers/"),
    "lib/plan": ("proc/", "curl/"),
    "lib/catalog": ("proc/", "curl/", "plan/"),
    "server": ("proc/", "agent/", "targets/", "apply/", "loop/"),
    "server/store": ("http/", "handlers/", "microhttpd"),
    "server/domain": ("handlers/", "microhttpd", "libpq"),
    "server/handlers": ("libpq", "microhttpd"),
    "server/http": ("libpq",),
    "server/notify": ("store/", "http/", "handlers/", "domain/", "jobs/", "libpq", "microhttpd"),
    "agent": ("store/", "domain/", "handlers/", "libpq", "microhttpd"),
    "backup": ("domain/", "handlers/", "http/", "agent/", "libpq", "microhttpd"),
    "mail": ("server/", "agent/", "http/", "store/", "domain/", "handlers/", "libpq", "microhttpd", "proc/"),
    "mail/reputation": ("foxproxy/", "control/"),
    "cli": ("store/", "domain/", "handlers/", "libpq", "microhttpd", "proc/"),
}


def code_of(path):
    """The file without comments and string literals."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', lambda m: '""' if m.group(0)[0] == '"' else " ", text, flags=re.S)


def test_there_are_sources():
    assert len(SOURCES) > 30


@pytest.mark.parametrize("name", ["strcpy", "strcat", "sprintf", "vsprintf", "gets", "strtok", "atoi", "atol", "alloca", "system", "popen", "mktemp", "tmpnam"])
def test_banned_functions(name):
    hits = [str(p.relative_to(ROOT)) for p in SOURCES if re.search(r"(?<![\w.>])%s\s*\(" % name, code_of(p))]
    assert hits == []


def test_only_proc_starts_programs():
    hits = [str(p.relative_to(ROOT)) for p in SOURCES
            if re.search(r"\b(execve|execv|execvp|execl|execlp|posix_spawnp?)\s*\(", code_of(p)) and "lib/proc/" not in str(p)]
    assert hits == ["server/hand_over.c"]  # becomes inari-backup before it is a server


def test_time_and_randomness_have_one_door():
    clocks = [str(p.relative_to(ROOT)) for p in SOURCES
              if re.search(r"\b(gettimeofday|clock_gettime|time)\s*\((?:NULL|&|CLOCK|0)", code_of(p)) and p.name != "clock.c"]
    rands = [str(p.relative_to(ROOT)) for p in SOURCES if re.search(r"\b(rand|random|getrandom|RAND_bytes|srand)\s*\(", code_of(p)) and p.name != "rand.c"]
    assert clocks == [] and rands == []


def test_who_includes_whom():
    bad = []
    for p in SOURCES:
        rel = str(p.relative_to(ROOT))
        rules = [w for folder, words in FORBIDDEN.items() if rel.startswith(folder + "/") for w in words]
        for inc in re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)', p.read_text(encoding="utf-8"), flags=re.M):
            if any(inc.startswith(w) for w in rules):
                bad.append("%s includes %s" % (rel, inc))
    assert bad == []


def test_sql_stands_in_the_store_only():
    bad = [str(p.relative_to(ROOT)) for p in SOURCES if "server/store/" not in str(p)
           and re.search(r'"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM)\s+\w', p.read_text(encoding="utf-8"))]
    assert bad == []


@pytest.mark.parametrize("name,key,fields", [("problems", "problems", ("title", "remedy")), ("findings", "findings", ("message", "remedy"))])
def test_every_error_text_has_both_languages(name, key, fields):
    rows = json.loads((ROOT / "api" / (name + ".json")).read_text(encoding="utf-8"))[key]
    assert len(rows) > 4
    for row in rows:
        for f in fields:
            en, ja = row[f]["en"], row[f]["ja"]
            assert en.strip() and ja.strip(), row["id"]
            assert re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", ja), row["id"]
            assert sorted(re.findall(r"\{\d\}", en)) == sorted(re.findall(r"\{\d\}", ja)), row["id"]


def test_every_setting_has_both_languages():
    rows = [s for f in sorted((ROOT / "api" / "catalog").glob("*.json")) for s in json.loads(f.read_text(encoding="utf-8"))["settings"]]
    assert len(rows) >= 50
    for s in rows:
        for f in ("label", "help"):
            assert s[f]["en"].strip() and re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", s[f]["ja"]), s["key"]


def test_findings_are_used():
    """A text nobody can see is dead; an id in the sources that is not in the table does not compile."""
    rows = json.loads((ROOT / "api" / "findings.json").read_text(encoding="utf-8"))["findings"]
    code = "\n".join(p.read_text(encoding="utf-8") for p in SOURCES)
    unused = [r["id"] for r in rows if not re.search(r"\bF_%s\b" % re.sub(r"[-.]", "_", r["id"]).upper(), code)]
    assert unused == []


def test_no_words_of_unfinished_work():
    hits = []
    for p in SOURCES:
        for i, line in enumerate(p.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b|not implemented|unimplemented", line):
                hits.append("%s:%d" % (p.relative_to(ROOT), i))
    assert hits == []


def test_scripts_parse():
    for script in ("tests/run", ".ci/run", "deploy/quickstart"):
        if (ROOT / script).exists() and (ROOT / script).read_text(encoding="utf-8").startswith(("#!/bin/bash", "#!/usr/bin/env bash", "#!/bin/sh")):
            subprocess.run(["bash", "-n", str(ROOT / script)], check=True)


@pytest.mark.parametrize("name", ["json_dumps", "json_dumpb", "json_loads"])
def test_texts_of_json_are_whole(name):
    """jansson forgets a part when memory ends: json_text(), json_in_parse() and json_in_own() notice."""
    hits = [str(p.relative_to(ROOT)) for p in SOURCES if p.parent.name != "json" and re.search(rf"\b{name}\s*\(", code_of(p))]
    assert hits == []


PLANTED = sorted((ROOT / "tests" / "planted").glob("*.patch"))


def test_there_are_planted_bugs():
    assert len(PLANTED) >= 10


@pytest.mark.parametrize("patch", PLANTED, ids=lambda p: p.stem)
def test_planted_bugs_still_fit(patch):
    """tests/planted/run: the patch applies, and the test it names is there."""
    r = subprocess.run(["git", "apply", "--check", str(patch)], cwd=ROOT, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    words = dict(line.split(": ", 1) for line in patch.read_text(encoding="utf-8").split("\n\n", 1)[0].splitlines())
    assert set(words) == {"What", "Build", "Test"}
    kind, name = words["Test"].split(" ", 1)
    if kind == "pytest":
        path, _, test = name.partition("::")
        assert re.search(rf"^def {test}\(", (ROOT / path).read_text(encoding="utf-8"), re.M)
    else:
        places = [p.read_text(encoding="utf-8") for p in (ROOT / "tests" / "unit").rglob("CMakeLists.txt")]
        prefix = name.rpartition("_")[0] + "_"
        assert kind == "ctest" and any(f"({name} " in t or prefix + "${" in t for t in places)
