"""Every condition that a device or the parent can show has a text in both languages: read from the sources that set them."""
import itertools
import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LITERAL = r'"(?:\\.|[^"\\])*"'
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def strings(text):
    """The C literals of a piece of source; neighbours are one."""
    return [json.loads('"%s"' % "".join(s[1:-1] for s in re.findall(LITERAL, m))) for m in re.findall(r"%s(?:\s*%s)*" % (LITERAL, LITERAL), text)]


def source(path):
    return re.sub(r"/\*.*?\*/", " ", (ROOT / path).read_text(encoding="utf-8"), flags=re.S)


def arguments(text, at):
    """Those of the call whose '(' is at."""
    depth, start, out, quoted, i = 0, at + 1, [], False, at
    while True:
        c = text[i]
        if c == "\\" and quoted:
            i += 1
        elif c == '"':
            quoted = not quoted
        elif not quoted and c in "([{":
            depth += 1
        elif not quoted and c in ")]}":
            depth -= 1
            if depth == 0:
                return out + [text[start:i].strip()]
        elif not quoted and c == "," and depth == 1:
            out.append(text[start:i].strip())
            start = i + 1
        i += 1


def functions(text):
    return re.split(r"(?m)^}", text)


def bundle_refusals():
    return dict(re.findall(r'\[(BUNDLE_\w+)\] = "(\w+)"', source("agent/loop/bundle.c")))


def type_names():
    text = source("agent/loop/conditions.c")
    names = strings(text[text.index("names[COND_COUNT]"):text.index("words[]")])
    enum = re.findall(r"COND_\w+", re.search(r"enum condition_type \{(.*?)\}", source("agent/loop/conditions.h"), re.S).group(1))[:-1]
    assert len(names) == len(enum) > 15
    return dict(zip(enum, names))


def formats(said, function, whole):
    """The forms of a message argument, "*" where the words come from elsewhere."""
    own = [s for s in strings(said) if "?" in said or s not in ("", "%s")]
    variable = re.fullmatch(r"[\w.\->]+", said)
    if variable and said.split(".")[0] == "text":
        own += [strings(m)[0] for m in re.findall(r"snprintf\(text, sizeof text,[^;]*;", function)]
        # filled by another function, which writes to what it was given
        for name in [] if own else re.findall(r"(\w+)\([^;{}]*\btext, sizeof text\)", function):
            body = next((f for f in functions(whole) if re.search(r"\b%s\([^;{}]*\)\s*\{" % name, f)), "")
            own += [f for m in re.findall(r"snprintf\(\w+, size,[^;]*;", body) for f in strings(m)[:1]]
    elif variable and said == "e.msg":
        own += [strings(m)[0] for m in re.findall(r"err_set\(&?e, ERR_\w+,[^;]*;", function)] + ["*"]
    elif said.startswith("json_str("):
        own = ["*"]
    elif not own and said != '""' and strings(said) != [""]:
        own = ["*"]
    return own


def shown():
    """(place, type, reason, form)."""
    types, out = type_names(), []
    for path in sorted((ROOT / "agent/loop").glob("*.c")):
        if path.name == "conditions.c":
            continue
        whole = source(path.relative_to(ROOT))
        for function in functions(whole):
            for m in re.finditer(r"\b(condition_set|cond)\(", function):
                args = arguments(function, m.end() - 1)
                kind = next((a for a in args if a.startswith("COND_") and a in types), None)
                if kind is None:
                    continue  # the one that hands its own arguments on
                i = args.index(kind)
                forms = strings(args[i + 3]) if m[1] == "condition_set" else []
                if m[1] == "cond" or re.fullmatch(r"%[.0-9]*s", forms[0]):
                    forms = formats(args[i + 3 + (m[1] == "condition_set")], function, whole)
                forms = [g for f in forms for g in ([f[:-4], f[:-4] + ": 7"] if f.endswith("%s%s") else [f])]
                reasons = strings(args[i + 2])
                if "bundle_refusal_word" in args[i + 2]:
                    reasons, forms = [w for k, w in bundle_refusals().items() if k != "BUNDLE_OK"], ["*"]
                elif args[i + 2] == "reason":
                    reasons = re.findall(r'return refused\(l, a, "(\w+)"\)', source("agent/loop/parent.c"))
                elif strings(args[i + 2]) and "strcmp" in args[i + 2]:
                    reasons = [r for r in reasons if r[0].isupper()]
                assert reasons, (path.name, args)
                paired = "?" in args[-1] and len(forms) == len(reasons) > 1  # one condition chooses both
                out += [(path.name, types[kind], r, f) for r, f in (zip(reasons, forms) if paired else itertools.product(reasons, forms or [""]))]
    verify = source("agent/loop/bundle.c").split("proof_time")[0]
    for m in re.finditer(r"\berr_(set|field)\(", verify):
        args = arguments(verify, m.end() - 1)
        out.append(("bundle.c", "ConfigVerified", "", strings(args[3 if m[1] == "field" else 2])[0]))
    own = source("server/domain/device_instance.c")
    for m in re.finditer(r"\badd_condition\(out, ", own):
        args = arguments(own, m.start() + len("add_condition"))
        out.append(("device_instance.c", "IdentityUnique", strings(args[1])[0], strings(args[3])[0]))
    return out


def rows():
    text = source("server/domain/condition_text.c")
    body = text[text.index("texts[] = {"):text.index("/* Does") if "/* Does" in text else text.index("static bool fits")]
    out = []
    for line in re.findall(r"(?m)^    \{(.*)\},$", body):
        parts = strings(line)
        reason = None if re.search(r'",\s*NULL,', line) else parts.pop(1)
        out.append((parts[0], reason, parts[1], parts[2]))
    return out


def example(form):
    return re.sub(r"%[-.0-9]*(?:lld|llu|zu|[sdu])", "7", form)


def fits(row, message):
    return re.fullmatch(".*".join(map(re.escape, row.split("*"))), message, re.S)


def test_conditions_are_found():
    """The reader of the sources sees them: what is known to be there is among them."""
    found = {(t, r) for _, t, r, _ in shown()}
    assert len(found) >= 70
    assert {("Authenticated", "IdentityFork"), ("ConfigVerified", "Rollback"), ("Drifted", "GaveUp"), ("Drained", "Empty"), ("Held", "LocalHold"),
            ("ConfigApplied", "Interrupted"), ("IdentityUnique", "MachineChanged")} <= found
    forms = {f for *_, f in shown()}
    assert {"drained by %s since %s: %s", "the helper does not answer", "Postfix is wanted to run and does not", "%s (until %s)"} <= forms


def test_every_message_has_both_languages():
    table, missing = rows(), []
    assert len(table) > 50
    for place, kind, reason, form in shown():
        if form == "":
            continue
        known = [r for r in table if r[0] == kind and (r[1] is None or reason in ("", r[1])) and fits(r[2], example(form))]
        if not known or (form != "*" and all(r[2] == "*" for r in known)):
            missing.append("%s: %s/%s: %s" % (place, kind, reason, form))
    assert missing == []


@pytest.mark.parametrize("row", rows(), ids=lambda r: "%s/%s" % r[:2])
def test_a_text_is_used_and_whole(row):
    kind, reason, en, ja = row
    assert JAPANESE.search(ja) and en.count("*") == ja.count("*") <= 4
    if kind == "Ready":
        return
    assert any(k == kind and (reason is None or r in ("", reason)) and (en == "*" or (f != "*" and fits(en, example(f))))
               for _, k, r, f in shown() if f) or any(en.split("*")[0].strip(" :") in "".join(strings(text)) for text in DETAILS), row


# The words of an attempt that failed, which become a condition's message as they are.
DETAILS = [source("agent/loop/%s.c" % n) for n in ("apply", "work", "rotate")]


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_console_names_every_condition_and_reason(lang):
    texts = json.loads((ROOT / ("webui/src/screens/devices/texts.%s.json" % lang)).read_text(encoding="utf-8"))
    names = set(type_names().values())
    found = shown()
    missing = sorted({"condition_" + t for t in names | {t for _, t, _, _ in found}} | {"reason_" + r for _, _, r, _ in found if r and r not in names})
    assert [k for k in missing if k not in texts] == []
