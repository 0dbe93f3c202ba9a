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
         "hostport", "path", "mail", "secret", "list"]
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
    if s["type"] == "secret":
        need(s.get("optional_empty") and s.get("default") == "" and s.get("min", 0) >= 1 and "max" in s, key,
             "a secret is empty by default and has bounds")
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


# --- docs/settings.md, docs/settings.ja.md ---

WORDS = {
    "en": {
        "title": "Settings", "type": "Type", "default": "Default", "scope": "Layers", "param": "Postfix parameter",
        "apply": "Takes effect", "reload": "by reload", "restart": "by restart", "values": "Values", "needs": "Needs",
        "rows": "Rows", "row": "Row member", "meaning": "Meaning", "upto": "up to {}", "range": "{} to {}", "derived": "derived",
        "empty": "empty", "required": "required", "key": "row key", "ports": "Ports on loopback",
        "hops": "up to {}, separated by commas", "advanced": "advanced", "chars": "{} to {} characters",
        "intro": "Generated from api/catalog by cmake/gen_catalog.py: do not edit. Every setting stands here once; a value is set in the layers "
                 "fleet, group or device, the later one wins. `{\"$unset\": true}` as a value goes back to the default, `{\"$remove\": true}` as a "
                 "row takes an inherited row away.",
        "port_text": "Owned by Inari on every managed device and reachable from the device itself only.",
        "types": {"bool": "true / false", "int": "number", "bytes": "bytes", "duration": "seconds", "port": "TCP port", "enum": "choice",
                  "text": "text", "address": "IP address", "cidr": "address or network", "host": "host name", "domain": "domain",
                  "hostport": "next hop", "path": "path of a file", "mail": "mail address", "secret": "secret, sealed; never shown again", "list": "list"},
        "layers": {"fleet": "fleet", "group": "group", "device": "device"},
        "file": "File",
        "port_names": {2500: "Postfix behind the sender filter, PROXY protocol v2, on the mail path front (sender_filter.backend_port)",
                       10025: "scan service (scan.port)", 10026: "re-injection (scan.reinject_port)", 10027: "probe listener, PROXY protocol v2",
                       10028: "sink of the test message (LMTP)", 10029: "digest listener"},
    },
    "ja": {
        "title": "設定一覧", "type": "型", "default": "既定値", "scope": "レイヤー", "param": "Postfix パラメータ",
        "apply": "反映", "reload": "再読み込み", "restart": "再起動", "values": "値", "needs": "必要条件",
        "rows": "行数", "row": "行の項目", "meaning": "意味", "upto": "{} まで", "range": "{} から {}", "derived": "自動的に決まる",
        "empty": "空", "required": "必須", "key": "行のキー", "ports": "ループバックのポート",
        "hops": "コンマ区切りで {} 個まで", "advanced": "詳細設定", "chars": "{} から {} 文字",
        "intro": "cmake/gen_catalog.py が api/catalog から生成します。編集しないでください。設定はここに 1 回だけ現れます。値はフリート、グループ、装置の"
                 "各レイヤーで設定でき、後のものが優先します。値として `{\"$unset\": true}` を置くと既定値に戻り、行として `{\"$remove\": true}` を置くと"
                 "引き継いだ行を取り除きます。",
        "port_text": "管理対象の装置で Inari が使用し、その装置自身からだけ接続できます。",
        "types": {"bool": "true / false", "int": "数値", "bytes": "バイト数", "duration": "秒数", "port": "TCP ポート", "enum": "選択",
                  "text": "文字列", "address": "IP アドレス", "cidr": "アドレスまたはネットワーク", "host": "ホスト名", "domain": "ドメイン",
                  "hostport": "配送先", "path": "ファイルのパス", "mail": "メールアドレス", "secret": "秘密情報（封印して保存、再表示なし）", "list": "一覧"},
        "layers": {"fleet": "フリート", "group": "グループ", "device": "装置"},
        "file": "ファイル",
        "port_names": {2500: "送信者フィルタの後ろの Postfix、PROXY プロトコル v2、メール経路 front（sender_filter.backend_port）",
                       10025: "検索サービス（scan.port）", 10026: "再投入（scan.reinject_port）", 10027: "プローブ用リスナー、PROXY プロトコル v2",
                       10028: "試験メールの受け口（LMTP）", 10029: "ダイジェスト用リスナー"},
    },
}


def shown(v, w):
    if v == "" or v == {}:
        return w["empty"]
    return "`%s`" % (v if isinstance(v, str) else json.dumps(v))


def type_text(f, w):
    text = w["types"][f["type"]]
    lo, hi = bounds(f)
    if f["type"] in ("int", "bytes", "duration", "port"):
        text += ", " + w["range"].format(lo, hi)
    elif f["type"] in ("text", "secret"):
        text += ", " + w["chars"].format(lo, hi)
    elif f["type"] == "hostport" and hi > 1:
        text += ", " + w["hops"].format(hi)
    return text


def gen_docs(rows, lang, out):
    w = WORDS[lang]
    out.write("# %s\n\n%s\n" % (w["title"], w["intro"]))
    area = None
    for s in sorted(rows, key=lambda s: (s["area_label"]["en"] != "SMTP routing", s["area"], s["key"])):
        if s["area"] != area:
            area = s["area"]
            out.write("\n## %s\n" % s["area_label"][lang])
        facts = [(w["type"], type_text(s, w)), (w["default"], shown(s["default"], w)),
                 (w["scope"], ", ".join(w["layers"][x] for x in s["scope"])),
                 (w["file"], "`foxproxy.ini`") if s["target"].get("daemon") == "foxproxy" else
                 (w["param"], "`%s`" % s["target"]["param"] if s["target"].get("param") else w["derived"]), (w["apply"], w[s["apply"]])]
        if s["needs"]:
            facts.append((w["needs"], "`%s`" % s["needs"]))
        if s["type"] == "list":
            facts.append((w["rows"], w["upto"].format(s["max_rows"])))
        out.write("\n### `%s`\n\n**%s**%s. %s\n\n%s\n" % (
            s["key"], s["label"][lang], " (%s)" % w["advanced"] if s.get("advanced") else "", s["help"][lang],
            " · ".join("%s: %s" % x for x in facts)))
        values(s, w, lang, out)
        if s["type"] == "list":
            out.write("\n| %s | %s | %s |\n|---|---|---|\n" % (w["row"], w["type"], w["meaning"]))
            for f in [s["row_key"]] + s["fields"]:
                extra = w["key"] if f is s["row_key"] else w["required"] if f.get("required") else (
                    "%s: %s" % (w["default"], shown(f["default"], w)) if "default" in f else "")
                choice = ", ".join("`%s` %s" % (x["v"], x["label"][lang]) for x in f.get("enum", []))
                out.write("| `%s` | %s | %s%s%s |\n" % (f["name"], type_text(f, w), f["label"][lang],
                                                     " (%s)" % extra if extra else "", ": " + choice if choice else ""))
    out.write("\n## %s\n\n%s\n\n" % (w["ports"], w["port_text"]))
    for port, name in sorted(w["port_names"].items()):
        out.write("* %d: %s\n" % (port, name))


def values(s, w, lang, out):
    if s["type"] == "enum":
        out.write("\n%s:\n\n" % w["values"])
        for x in s["enum"]:
            out.write("* `%s`: %s\n" % (x["v"], x["label"][lang]))


# --- api/settings.schema.json ---

MARKER = {"type": "object", "properties": {"$unset": {"const": True}}, "required": ["$unset"], "additionalProperties": False}
REMOVE = {"type": "object", "properties": {"$remove": {"const": True}}, "required": ["$remove"], "additionalProperties": False}


def value_schema(f):
    lo, hi = bounds(f)
    t = f["type"]
    if t == "bool":
        return {"type": "boolean"}
    if t in ("int", "bytes", "duration", "port"):
        return {"type": "integer", "minimum": lo, "maximum": hi}
    if t == "enum":
        return {"type": "string", "enum": [x["v"] for x in f["enum"]]}
    s = {"type": "string", "x-inari-type": t}
    if t == "secret":
        s.update(maxLength=hi, writeOnly=True)
    elif t == "text":
        s.update(minLength=lo, maxLength=hi)
    elif not f.get("optional_empty"):
        s["minLength"] = 1
    return s


def setting_schema(s):
    if s["type"] == "list":
        row = {"type": "object", "properties": {f["name"]: dict(value_schema(f), title=f["label"]["en"]) for f in s["fields"]},
               "additionalProperties": False}
        needed = [f["name"] for f in s["fields"] if f.get("required")]
        if needed:
            row["required"] = needed
        value = {"type": "object", "maxProperties": s["max_rows"], "additionalProperties": {"anyOf": [row, REMOVE]},
                 "propertyNames": {"pattern": "^[^$]"}, "x-inari-row-key": s["row_key"]["type"]}
    else:
        value = value_schema(s)
    return {"title": s["label"]["en"], "description": s["help"]["en"], "default": s["default"], "x-inari-scope": s["scope"],
            "x-inari-area": s["area"], "anyOf": [value, MARKER]}


def gen_schema(rows, out):
    defs = {s["key"]: setting_schema(s) for s in rows}
    json.dump({"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:inari:schema:settings",
               "$comment": "Generated from api/catalog by cmake/gen_catalog.py: do not edit.",
               "title": "A layer of settings", "type": "object", "additionalProperties": False,
               "properties": {k: {"$ref": "#/$defs/" + k} for k in defs}, "$defs": defs}, out, indent=1, ensure_ascii=False)
    out.write("\n")


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what not in ("c", "docs", "schema"):
        sys.exit(__doc__)
    lang = args.pop(0) if what == "docs" else None
    rows = load(args[1:])
    with open(args[0], "w", encoding="utf-8") as out:
        if what == "c":
            gen_c(rows, out)
        elif what == "docs":
            gen_docs(rows, lang, out)
        else:
            gen_schema(rows, out)


main()
