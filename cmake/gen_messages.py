#!/usr/bin/env python3
"""Make lib/base/messages.c of api/messages.json.

usage: gen_messages.py INPUT OUT.c
"""
import json
import re
import sys

CONVERSION = re.compile(r"%[-+ #0]*[0-9.*]*(?:hh|h|ll|l|z|j|t)?[a-zA-Z%]")


def c(s):
    return '"' + "".join(
        ch if 32 <= ord(ch) < 127 and ch not in '"\\?' else
        {'"': '\\"', "\\": "\\\\", "?": "\\?"}.get(ch) or
        "".join('\\%03o' % b for b in ch.encode()) for ch in s) + '"'


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        rows = json.load(f)["messages"]
    rows.sort(key=lambda r: r["en"].encode())
    for a, b in zip(rows, rows[1:]):
        if a["en"] == b["en"]:
            sys.exit("stands twice: " + a["en"])
    with open(sys.argv[2], "w", encoding="ascii") as f:
        f.write('/* Generated from api/messages.json by cmake/gen_messages.py: do not edit. */\n#include "base/messages.h"\n\n'
                "const struct message_text message_texts[] = {\n")
        for r in rows:
            if CONVERSION.findall(r["en"]) != CONVERSION.findall(r["ja"]):
                sys.exit("the conversions differ: " + r["en"])
            f.write("    {%s, %s},\n" % (c(r["en"]), c(r["ja"])))
        f.write("};\nconst size_t message_texts_n = sizeof message_texts / sizeof message_texts[0];\n")


main()
