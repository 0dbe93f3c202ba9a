"""The committed files that follow from api/catalog are current, and the schema holds what the catalog says.

usage: test_generated.py SOURCE_DIR"""
import glob
import json
import os
import subprocess
import sys
import tempfile

source = sys.argv[1]
areas = sorted(glob.glob(source + "/api/catalog/*.json"))
stale = []
for args, path in ((["docs", "en"], "docs/settings.md"), (["docs", "ja"], "docs/settings.ja.md"), (["schema"], "api/settings.schema.json")):
    with tempfile.TemporaryDirectory() as tmp:
        out = os.path.join(tmp, "out")
        subprocess.run([sys.executable, source + "/cmake/gen_catalog.py", *args, out, *areas], check=True)
        with open(out, encoding="utf-8") as new, open(os.path.join(source, path), encoding="utf-8") as old:
            if new.read() != old.read():
                stale.append(path)
if stale:
    sys.exit("stale: %s; build the target catalog_docs and commit the result" % ", ".join(stale))

try:
    import jsonschema
except ImportError:
    sys.exit(0)
with open(source + "/api/settings.schema.json", encoding="utf-8") as f:
    schema = json.load(f)
jsonschema.Draft202012Validator.check_schema(schema)
check = jsonschema.Draft202012Validator(schema)
good = [{}, {"smtp.message_size_limit": 65536}, {"smtp.message_size_limit": {"$unset": True}},
        {"smtp.relay_domains": {"a.test": {"subdomains": True}, "b.test": {"$remove": True}}}]
bad = [{"smtp.message_size_limit": 1}, {"no.such": 1}, {"smtp.message_size_limit": {"$unset": False}}, {"path.mode": "none"},
       {"smtp.relay_domains": {"a.test": 1}}, {"smtp.routes": {"a.test": {}}}, {"smtp.relay_domains": {"$unset": True, "a.test": {}}}]
for layer in good:
    assert check.is_valid(layer), layer
for layer in bad:
    assert not check.is_valid(layer), layer
defaults = {k: v["default"] for k, v in schema["$defs"].items()}
assert check.is_valid(defaults), list(check.iter_errors(defaults))
