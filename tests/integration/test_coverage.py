"""tests/coverage.tsv: "id<TAB>path::name" says which test proves which row of the specification; every one must exist."""
import os
import re

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TABLE = os.path.join(SOURCE, "tests", "coverage.tsv")
# Facts (A01) and their sections on screens (2.8), invariants (plan.P01), controls (sec.C38), fault cases of the protocol (7.A1) and numbered pains.
ID = re.compile(r"(?:[A-U]\d{2,3}|2\.\d{1,2}|plan\.P\d{2}|sec\.C\d{1,2}|7\.[A-G]\d{1,2}|pain-\d{1,2})\Z")


def rows():
    with open(TABLE, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if line.strip() and not line.startswith("#"):
                yield number, line.rstrip("\n").split("\t")


def defined(path, name):
    """Does the file define the test?  Python functions and methods, C functions, Playwright titles."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    name = name.split("[")[0].split("::")[-1]
    if path.endswith(".py"):
        return re.search(rf"^\s*def {re.escape(name)}\(", text, re.M) is not None
    if path.endswith(".c"):
        return re.search(rf"\b{re.escape(name)}\s*\(", text) is not None
    return name in text


def test_every_row_names_a_test_that_exists():
    bad = []
    for number, cells in rows():
        if len(cells) != 2:
            bad.append(f"line {number}: must be id, tab, path::name")
            continue
        ident, _, (path, _, name) = cells[0], None, cells[1].partition("::")
        if not ID.match(ident):
            bad.append(f"line {number}: {ident} has not the form of an id")
        if not os.path.isfile(os.path.join(SOURCE, path)):
            bad.append(f"line {number}: {path} does not exist")
        elif not name or not defined(os.path.join(SOURCE, path), name):
            bad.append(f"line {number}: {path} has no test {name}")
    assert bad == []


def test_no_row_is_said_twice():
    seen, twice = set(), []
    for number, cells in rows():
        if tuple(cells) in seen:
            twice.append(f"line {number}: {cells}")
        seen.add(tuple(cells))
    assert twice == []
