#!/usr/bin/env python3
"""Make migrations.c of schema/migrations/NNNN_name.sql.

usage: gen_migrations.py OUT.c FILE.sql ...
"""
import os
import re
import sys


def main():
    out, files = sys.argv[1], sorted(sys.argv[2:], key=os.path.basename)
    rows = []
    for i, path in enumerate(files, 1):
        name = os.path.basename(path)
        m = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", name)
        if not m or int(m.group(1)) != i:
            sys.exit("%s: expected %04d_name.sql; numbers have no gaps" % (name, i))
        with open(path, "rb") as f:
            rows.append((i, m.group(2), f.read()))
    with open(out, "w", encoding="ascii") as f:
        f.write('/* Generated from schema/migrations by cmake/gen_migrations.py: do not edit. */\n#include "migrate_private.h"\n\n')
        for n, _, text in rows:
            f.write("static const char text_%04d[] = {" % n)
            for k, b in enumerate(text):
                f.write(("\n    " if k % 24 == 0 else "") + "%d," % (b if b < 128 else b - 256))
            f.write("0};\n\n")
        f.write("const struct migration migrations[] = {\n")
        for n, name, _ in rows:
            f.write('    {%d, "%s", text_%04d},\n' % (n, name, n))
        f.write("    {0, NULL, NULL},\n};\n")


main()
