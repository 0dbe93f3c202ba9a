"""The console says how the same is done with inarictl: each of those lines is one that inarictl takes."""
import pathlib
import re
import subprocess

import pytest
from parentlib import SOURCE, build_dir

SRC = pathlib.Path(SOURCE, "webui", "src")
# ${...} in a line: what it stands for
FLAGS = "FLAGS"


def lines():
    """(file, line) of everything that begins with "inarictl " in the sources."""
    out = []
    for path in sorted([*SRC.rglob("*.tsx"), *SRC.rglob("*.ts")]):
        if path.name.endswith((".gen.ts", ".test.ts")):
            continue
        for m in re.finditer(r"(?P<q>[\"`])(?P<line>inarictl [^\"`]*(?:\$\{(?:[^{}`\"]|\"[^\"]*\"|`[^`]*`)*\}[^\"`]*)*)(?P=q)", path.read_text(encoding="utf-8")):
            line = re.sub(r"\s?\$\{(?:flags|layerFlag\(\w+\))\}", " " + FLAGS, m["line"])
            line = re.sub(r"\$\{(?:[^{}]|\{[^{}]*\})*\}", "X", line).replace("\\", "")
            out.append((path.relative_to(SRC).as_posix(), line.strip()))
    return out


@pytest.fixture(scope="module")
def helps():
    """verb -> (the ways to call it, its options), as inarictl's own help says."""
    program, known = f"{build_dir()}/cli/inarictl", {}

    def of(verb):
        if verb not in known:
            r = subprocess.run([program, "--lang", "en", "help", verb], capture_output=True, text=True, timeout=60)
            first, _, rest = r.stdout.partition("\n")
            known[verb] = None if r.returncode != 0 or not first.startswith(f"inarictl {verb}") else (
                ways(first[len(f"inarictl {verb}"):]), set(re.findall(r"(?m)^  --([a-z-]+)", rest)))
        return known[verb]
    return of


def ways(usage):
    """The positional words of each way: small ones as they are, others for any; those in brackets may be left out."""
    parts, depth, out = [""], 0, []
    for c in usage:
        depth += (c == "[") - (c == "]")
        if c == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    for p in parts:
        must = re.sub(r"--[a-z-]+ [A-Z][A-Z,.]*\S*|--[a-z-]+", "", re.sub(r"\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]", "", p)).split()
        may = [w for b in re.findall(r"\[([^\[\]]*)\]", p) if not b.startswith("--") for w in b.split()]
        out.append(([w for w in must if w != "..."], may, "..." in must))
    return out


def wrong(line, helps):
    words = line.split()[1:]
    verb, rest = words[0], words[1:]
    known = helps(verb)
    if known is None:
        return f'there is no verb "{verb}"'
    takes, options = known
    flags = [w[2:] for w in rest if w.startswith("--")]
    odd = [f for f in flags if f not in options]
    if odd:
        return f"{verb} has no option {odd}"
    positional, skip = [], False
    for w, after in zip(rest, [*rest[1:], ""]):
        if skip or w == FLAGS:
            skip = False
        elif w.startswith("--"):
            skip = not after.startswith("--") and after not in ("", FLAGS)
        else:
            positional.append(w)
    for must, may, more in list(takes):
        fits = len(must) <= len(positional) and (more or len(positional) <= len(must) + len(may))
        if fits and all(w == p or not w.islower() for w, p in zip([*must, *may], positional)):
            return None
    return f"{verb} is not called with {positional}"


def test_lines_are_found():
    found = {line for _, line in lines()}
    assert len(found) > 25
    assert {"inarictl recovery", "inarictl devices", "inarictl audit FLAGS"} <= found


def test_a_wrong_line_is_seen(helps):
    assert wrong("inarictl no-such-verb", helps) and wrong("inarictl recovery --no-such-option", helps)
    assert wrong("inarictl device", helps) and wrong("inarictl join-token drop X", helps) and wrong("inarictl devices X Y", helps)
    assert wrong("inarictl join-token list", helps) is None and wrong("inarictl test-message X --to ADDRESS", helps) is None


@pytest.mark.parametrize("place", lines(), ids=lambda p: f"{p[0]}: {p[1]}")
def test_inarictl_takes_it(place, helps):
    for one in place[1].split(" && "):
        assert wrong(one if one.startswith("inarictl") else f"inarictl {one}", helps) is None, place


def test_filters_become_options(helps):
    """Lines whose options come from the filters of a list: each filter is an option of that verb."""
    for file, verb in (("screens/messages/list.tsx", "messages"), ("screens/commands/list.tsx", "commands"), ("screens/audit/log.tsx", "audit")):
        text = (SRC / file).read_text(encoding="utf-8")
        options = helps(verb)[1]
        if verb == "audit":
            names = set(re.findall(r"`--([a-z]+) ", text))
        elif verb == "commands":
            names = set(re.findall(r'name: "([a-z_]+)"', text))
        else:
            names = set(re.findall(r'"([a-z_]+)"', re.search(r"const TEXTS = \[(.*?)\]", text, re.S).group(1))) | {"status", "reason", "since", "until"}
        assert names and {n.replace("_", "-") for n in names} <= options, (verb, names, options)
