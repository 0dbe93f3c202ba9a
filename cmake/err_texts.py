"""The texts of err_set() and err_field() calls, for the test that all of them are translated."""
import re

# Errors of 500 and above show their title only (server/http/problem.c).
HIDDEN = {"ERR_INTERNAL", "ERR_NO_MEMORY", "ERR_STORAGE", "ERR_OVERLOADED", "ERR_UNAVAILABLE", "ERR_TIMEOUT", "ERR_OUTCOME_UNKNOWN",
          "ERR_FENCED", "ERR_MAINTENANCE"}
CALL = re.compile(r"\berr_(set|field)\(")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def arguments(text, at):
    """Source texts of a call's arguments, at: behind the bracket."""
    depth, start, out, i = 0, at, [], at
    while i < len(text):
        c = text[i]
        if c == '"':
            i = STRING.match(text, i).end()
            continue
        if c == "'":
            i = text.index("'", i + 1 + (text[i + 1] == "\\")) + 1
            continue
        if c in "([{":
            depth += 1
        elif c in ")]}":
            if depth == 0:
                return [*out, text[start:i].strip()]
            depth -= 1
        elif c == "," and depth == 0:
            out.append(text[start:i].strip())
            start = i + 1
        i += 1
    raise ValueError("unclosed call")


def literals(argument):
    """The literal a format argument is made of; several for a ?:, none when it is no literal."""
    found = []
    for part in re.split(r"[?:](?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", argument):
        pieces = STRING.findall(part)
        if pieces:
            found.append("".join(pieces).encode().decode("unicode_escape"))
    return found


def of_file(path):
    """(line, code, text) of every translatable message."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for m in CALL.finditer(text):
        args = arguments(text, m.end())
        code = args[1]
        if code.startswith("enum") or not code.startswith("ERR_") or code in HIDDEN:
            continue
        for t in literals(args[2 if m.group(1) == "set" else 3]):
            if t.strip("%s"):
                yield text.count("\n", 0, m.start()) + 1, code, t
