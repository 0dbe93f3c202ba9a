#!/usr/bin/env python3
"""Make lib/base/problems.{h,c} and findings.{h,c} of api/problems.json and api/findings.json.

usage: gen_texts.py problems|findings INPUT OUT.h OUT.c
"""
import json
import sys


def c(s):
    return '"' + "".join(
        ch if 32 <= ord(ch) < 127 and ch not in '"\\?' else
        {"\n": "\\n", '"': '\\"', "\\": "\\\\", "?": "\\?"}.get(ch) or
        "".join('\\%03o' % b for b in ch.encode()) for ch in s) + '"'


def problems(doc, h, src):
    rows = doc["problems"]
    ids = [r["id"] for r in rows]
    assert len(ids) == len(set(ids)), "an id stands twice"
    h.write("/* Generated from api/problems.json by cmake/gen_texts.py: do not edit. */\n#pragma once\n\n"
            "/* ERR_OK, then one code a problem. */\nenum err_code {\n    ERR_OK = 0,\n")
    for r in rows:
        h.write("    ERR_%s,\n" % r["id"].upper().replace("-", "_"))
    h.write("    ERR_CODE_COUNT\n};\n\nstruct problem_text {\n    const char *id;\n    int status;\n"
            "    const char *title[2]; /* by enum lang */\n    const char *remedy[2];\n};\n\n"
            "extern const struct problem_text problem_texts[ERR_CODE_COUNT];\n"
            "#define PROBLEM_TYPE_PREFIX %s\n" % c(doc["type_prefix"]))
    src.write('/* Generated: do not edit. */\n#include "base/problems.h"\n\n'
              "const struct problem_text problem_texts[ERR_CODE_COUNT] = {\n"
              '    [ERR_OK] = {"ok", 200, {"ok", "ok"}, {"", ""}},\n')
    for r in rows:
        src.write("    [ERR_%s] = {%s, %d, {%s, %s}, {%s, %s}},\n" % (
            r["id"].upper().replace("-", "_"), c(r["id"]), r["status"],
            c(r["title"]["en"]), c(r["title"]["ja"]), c(r["remedy"]["en"]), c(r["remedy"]["ja"])))
    src.write("};\n")


def findings(doc, h, src):
    rows = doc["findings"]
    ids = [r["id"] for r in rows]
    assert len(ids) == len(set(ids)), "an id stands twice"
    h.write("/* Generated from api/findings.json by cmake/gen_texts.py: do not edit. */\n#pragma once\n\n"
            "enum finding_id {\n")
    for r in rows:
        h.write("    F_%s, /* %s */\n" % (r["id"].upper().replace("-", "_").replace(".", "_"), r["message"]["en"].replace("*/", "* /")))
    h.write("    FINDING_COUNT\n};\n\nstruct finding_text {\n    const char *id;        /* \"P05.too-wide\" */\n"
            "    const char *invariant; /* \"P05\", or \"V\" for a value that does not fit its type */\n"
            "    const char *message[2]; /* by enum lang, with {0}..{3} */\n    const char *remedy[2];\n};\n\n"
            "extern const struct finding_text finding_texts[FINDING_COUNT];\n")
    src.write('/* Generated: do not edit. */\n#include "base/findings.h"\n\n'
              "const struct finding_text finding_texts[FINDING_COUNT] = {\n")
    for r in rows:
        inv = r["id"].split(".")[0]
        src.write("    [F_%s] = {%s, %s, {%s, %s}, {%s, %s}},\n" % (
            r["id"].upper().replace("-", "_").replace(".", "_"), c(r["id"]), c(inv),
            c(r["message"]["en"]), c(r["message"]["ja"]), c(r["remedy"]["en"]), c(r["remedy"]["ja"])))
    src.write("};\n")


def main():
    kind, inp, oh, oc = sys.argv[1:]
    with open(inp, encoding="utf-8") as f:
        doc = json.load(f)
    with open(oh, "w", encoding="utf-8") as h, open(oc, "w", encoding="utf-8") as src:
        {"problems": problems, "findings": findings}[kind](doc, h, src)


main()
