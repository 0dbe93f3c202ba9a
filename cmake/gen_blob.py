#!/usr/bin/env python3
"""A file as bytes in a C source.

usage: gen_blob.py INPUT OUT.c NAME    const unsigned char NAME[]; const size_t NAME_n;
"""
import sys


def main():
    inp, out, name = sys.argv[1:]
    with open(inp, "rb") as f:
        data = f.read()
    with open(out, "w", encoding="ascii") as f:
        f.write(f"/* Generated: do not edit. */\n#include <stddef.h>\n\nextern const unsigned char {name}[];\n"
                f"extern const size_t {name}_n;\nconst size_t {name}_n = {len(data)};\nconst unsigned char {name}[] = {{\n")
        for i in range(0, len(data), 24):
            f.write(",".join(str(b) for b in data[i:i + 24]) + ",\n")
        f.write("0};\n")


main()
