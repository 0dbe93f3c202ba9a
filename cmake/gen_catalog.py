#!/usr/bin/env python3
"""Make everything that follows from the settings catalog (api/catalog/*.json).

usage: gen_catalog.py c OUT.c FILE...             the C tables of lib/catalog
       gen_catalog.py docs en|ja OUT.md FILE...   docs/settings.md, docs/settings.ja.md
       gen_catalog.py schema OUT.json FILE...     api/settings.schema.json, JSON Schema of a layer
A row that does not hold together ends the build with its key and what is wrong.
"""
import json
import sys

TYPES = ["bool", "int", "bytes", "duration", "port", "enum", "text", "address", "cidr", "host", "domain",
         "hostport", "path", "mail", "list"]
SCOPES = {"fleet": 1, "group": 2, "device": 4}
MEMBERS = {"key", "type", "default", "min", "max", "enum", "optional_empty", "row_key", "fields", "max_rows", "scope",
           "target", "apply", "needs", "facts", "advanced", "label", "help", "required", "name", "note", "area", "area_label"}


def c(s):
    if s is None:
        return "NULL"
    return '"' + "".join(
        ch if 32 <= ord(ch) < 127 and ch not in '"\\?' else
        {"\n": "\\n", '"': '\\"', "\\": "\\\\", "?": "\\?"}.get(ch) or
        "".join('\\%03o' % b for b in ch.encode()) for ch in s) + '"'


def canonical(v):
    return json.dumps(v, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def need(ok, key, what):
    if not ok:
        sys.exit("catalog: %s: %s" % (key, what))


def check(s, key):
    need(set(s) <= MEMBERS, key, "unknown members %s" % sorted(set(s) - MEMBERS))
    need(s.get("type") in TYPES, key, "unknown type")
    for text in ("label", "help"):
        if text in s:
            need(set(s[text]) == {"en", "ja"} and all(s[text].values()), key, text + " needs en and ja")
    if s["type"] == "enum":
        need(s.get("enum"), key, "an enum needs values")
        need(s.get("default") in [x["v"] for x in s["enum"]], key, "the default is none of the values")
    if s["type"] in ("int", "bytes", "duration"):
        need("min" in s and "max" in s, key, "a number needs min and max")
        if "default" in s:
            need(s["min"] <= s["default"] <= s["max"], key, "the default is out of bounds")


def load(files):
    rows = []
    for path in files:
        with open(path, encoding="utf-8") as f:
            doc = json.load(f)
        for s in doc["settings"]:
            s["area"], s["area_label"] = doc["area"], doc["label"]
            check(s, s["key"])
            need("label" in s and "help" in s and "default" in s and "facts" in s, s["key"], "needs label, help, default, facts")
            for f in s.get("fields", []) + ([s["row_key"]] if "row_key" in s else []):
                check(f, s["key"] + "/" + f["name"])
                need("label" in f, s["key"] + "/" + f["name"], "needs a label")
            if s["type"] == "list":
                need("row_key" in s and "max_rows" in s, s["key"], "a list needs row_key and max_rows")
            s.setdefault("scope", ["fleet", "group", "device"])
            s.setdefault("apply", "reload")
            s.setdefault("needs", "")
            s.setdefault("target", {})
            rows.append(s)
    rows.sort(key=lambda s: s["key"])
    keys = [s["key"] for s in rows]
    need(len(keys) == len(set(keys)), "catalog", "a key stands twice")
    return rows


def bounds(f):
    if f["type"] == "port":
        return 1, 65535
    return f.get("min", 0), f.get("max", 1 if f["type"] == "hostport" else 0)


class Tables:
    def __init__(self, out):
        self.out, self.n = out, 0

    def names(self, f):
        """Names and labels of an enum: identifiers of three arrays, or NULL."""
        if f["type"] != "enum":
            return "NULL", "{NULL, NULL}"
        self.n += 1
        for suffix, values in (("v", [x["v"] for x in f["enum"]]), ("en", [x["label"]["en"] for x in f["enum"]]),
                               ("ja", [x["label"]["ja"] for x in f["enum"]])):
            self.out.write("static const char *const e%d_%s[] = {%s, NULL};\n" % (self.n, suffix, ", ".join(map(c, values))))
        return "e%d_v" % self.n, "{e%d_en, e%d_ja}" % (self.n, self.n)

    def field(self, f, name):
        """The initialiser of a struct setting_field."""
        v, labels = self.names(f)
        lo, hi = bounds(f)
        label = f.get("label", {"en": None, "ja": None})
        return ("{.name = %s, .type = SET_%s, .required = %s, .optional_empty = %s, .note = %s, .min = %d, .max = %d, "
                ".names = %s, .name_labels = %s, .label = {%s, %s}, .default_json = %s}" % (
                    c(name), f["type"].upper(), str(bool(f.get("required"))).lower(), str(bool(f.get("optional_empty"))).lower(),
                    str(bool(f.get("note"))).lower(), lo, hi, v, labels, c(label["en"]), c(label["ja"]),
                    c(canonical(f["default"])) if "default" in f else "NULL")), v, labels


def gen_c(rows, out):
    out.write('/* Generated from api/catalog by cmake/gen_catalog.py: do not edit. */\n#include "catalog/catalog_private.h"\n\n')
    t, done = Tables(out), []
    for i, s in enumerate(rows):
        fields = [t.field(f, f["name"])[0] for f in s.get("fields", [])]
        if fields:
            out.write("static const struct setting_field f%d[] = {\n    %s};\n" % (i, ",\n    ".join(fields)))
        value, _, labels = t.field(dict(s, required=True), "")
        key = t.field(s["row_key"], s["row_key"]["name"])[0] if "row_key" in s else "{.name = NULL}"
        done.append(
            "    {.key = %s, .area = %s, .area_label = {%s, %s},\n     .value = %s,\n     .key_field = %s,\n"
            "     .fields = %s, .n_fields = %d, .max_rows = %d, .scope = %d, .default_json = %s, .apply = APPLY_%s,\n"
            "     .daemon = %s, .param = %s, .needs = %s, .facts = %s, .advanced = %s,\n"
            "     .label = {%s, %s},\n     .help = {%s, %s}, .enum_labels = %s},\n" % (
                c(s["key"]), c(s["area"]), c(s["area_label"]["en"]), c(s["area_label"]["ja"]), value, key,
                "f%d" % i if fields else "NULL", len(fields), s.get("max_rows", 0), sum(SCOPES[x] for x in s["scope"]),
                c(canonical(s["default"])), s["apply"].upper(), c(s["target"].get("daemon", "postfix")),
                c(s["target"].get("param", "")), c(s["needs"]), c(s["facts"]), str(bool(s.get("advanced"))).lower(),
                c(s["label"]["en"]), c(s["label"]["ja"]), c(s["help"]["en"]), c(s["help"]["ja"]), labels))
    out.write("\nconst struct setting catalog_rows[] = {\n%s};\nconst size_t catalog_n_rows = %d;\n" % ("".join(done), len(rows)))


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "c":
        with open(args[0], "w", encoding="utf-8") as out:
            gen_c(load(args[1:]), out)
    else:
        sys.exit(__doc__)


main()
