"""api/openapi.yaml is an OpenAPI 3.1 document that holds together: structure, references, limits, problems, permissions."""
import json
import os
import re

import jsonschema
import pytest
import yaml

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
API = os.path.join(SOURCE, "api")
METHODS = ("get", "put", "post", "patch", "delete")
PERMISSIONS = ("none", "known", "session", "settings:read", "settings:write", "publish", "device:read", "device:write", "enrol",
               "audit:read", "admin", "command", "events:read", "device")
# The parts of the OpenAPI 3.1 schema that a document like ours uses (spec.openapis.org/oas/v3.1.0, sections 4.8.*).
REF = {"type": "object", "required": ["$ref"], "properties": {"$ref": {"type": "string"}}}
CONTENT = {"type": "object", "minProperties": 1, "propertyNames": {"pattern": r"^[a-z]+/[a-z0-9.+-]+$"},
           "additionalProperties": {"type": "object", "required": ["schema"], "additionalProperties": False,
                                    "properties": {"schema": {"type": ["object", "boolean"]}}}}
RESPONSE = {"anyOf": [REF, {"type": "object", "required": ["description"], "additionalProperties": False,
                            "properties": {"description": {"type": "string", "minLength": 1}, "content": CONTENT,
                                           "headers": {"type": "object"}}}]}
PARAMETER = {"anyOf": [REF, {"type": "object", "required": ["name", "in", "schema"], "additionalProperties": False,
                             "properties": {"name": {"type": "string"}, "in": {"enum": ["path", "query", "header"]},
                                            "required": {"type": "boolean"}, "description": {"type": "string"},
                                            "schema": {"type": "object"}}}]}
OPERATION = {"type": "object", "required": ["operationId", "summary", "tags", "x-permission", "responses"],
             "additionalProperties": False,
             "properties": {"operationId": {"type": "string", "pattern": "^[a-z0-9_]+$"}, "summary": {"type": "string"},
                            "tags": {"type": "array", "minItems": 1, "items": {"type": "string"}},
                            "x-permission": {"enum": list(PERMISSIONS)},
                            "security": {"type": "array", "items": {"type": "object"}},
                            "parameters": {"type": "array", "items": PARAMETER},
                            "requestBody": {"type": "object", "required": ["content"], "additionalProperties": False,
                                            "properties": {"required": {"type": "boolean"}, "content": CONTENT}},
                            "responses": {"type": "object", "minProperties": 1, "additionalProperties": RESPONSE,
                                          "propertyNames": {"pattern": "^([1-5][0-9][0-9]|default)$"}}}}
DOCUMENT = {"type": "object", "required": ["openapi", "info", "paths", "components"], "additionalProperties": False,
            "properties": {
                "openapi": {"type": "string", "pattern": r"^3\.1\."}, "jsonSchemaDialect": {"type": "string"},
                "info": {"type": "object", "required": ["title", "version"]},
                "servers": {"type": "array", "items": {"type": "object", "required": ["url"]}},
                "security": {"type": "array"},
                "tags": {"type": "array", "items": {"type": "object", "required": ["name"]}},
                "paths": {"type": "object", "propertyNames": {"pattern": "^/"},
                          "additionalProperties": {"type": "object", "additionalProperties": False,
                                                   "properties": {m: OPERATION for m in METHODS}}},
                "components": {"type": "object", "additionalProperties": False, "properties": {
                    "schemas": {"type": "object", "propertyNames": {"pattern": "^[A-Za-z0-9._-]+$"}},
                    "parameters": {"type": "object", "additionalProperties": PARAMETER},
                    "responses": {"type": "object", "additionalProperties": RESPONSE},
                    "headers": {"type": "object"}, "securitySchemes": {"type": "object"}}}}}


class UniqueKeys(yaml.SafeLoader):
    """YAML where a key given twice is an error, not the last one's win."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        twice = {k for k in keys if keys.count(k) > 1}
        assert not twice, f"given twice at {node.start_mark}: {twice}"
        return super().construct_mapping(node, deep)


@pytest.fixture(scope="module")
def document():
    with open(os.path.join(API, "openapi.yaml"), encoding="utf-8") as f:
        return yaml.load(f, UniqueKeys)


def walk(node, at="#"):
    yield at, node
    if isinstance(node, dict):
        for k, v in node.items():
            yield from walk(v, f"{at}/{k}")
    elif isinstance(node, list):
        for i, v in enumerate(node):
            yield from walk(v, f"{at}/{i}")


def resolve(document, ref):
    name, _, pointer = ref.partition("#")
    if name:
        with open(os.path.join(API, name), encoding="utf-8") as f:
            document = json.load(f) if name.endswith(".json") else yaml.load(f, UniqueKeys)
    for part in filter(None, pointer.split("/")):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_structure(document):
    jsonschema.Draft202012Validator(DOCUMENT).validate(document)


def test_schemas_are_json_schemas(document):
    for name, schema in document["components"]["schemas"].items():
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as e:
            raise AssertionError(f"schema {name}: {e.message}") from None


def test_references_resolve_and_are_used(document):
    used = set()
    for at, node in walk(document):
        if isinstance(node, dict) and isinstance(node.get("$ref"), str):
            used.add(node["$ref"])
            try:
                resolve(document, node["$ref"])
            except (KeyError, OSError) as e:
                raise AssertionError(f"{at}: {node['$ref']} leads nowhere: {e}") from None
    for kind in ("schemas", "parameters", "responses", "headers"):
        for name in document["components"][kind]:
            assert f"#/components/{kind}/{name}" in used, f"{kind}/{name} is used nowhere"


def test_operations(document):
    seen = set()
    tags = {t["name"] for t in document["tags"]}
    for path, method, op in operations(document):
        where = f"{method.upper()} {path}"
        assert op["operationId"] not in seen, f"{where}: operationId stands twice"
        seen.add(op["operationId"])
        assert set(op["tags"]) <= tags, where
        parameters = [resolve(document, p["$ref"]) if "$ref" in p else p for p in op.get("parameters", [])]
        in_path = {p["name"] for p in parameters if p["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path)), f"{where}: path parameters"
        assert all(p.get("required") for p in parameters if p["in"] == "path"), where
        assert (op["x-permission"] == "none") == (op.get("security") == []), f"{where}: x-permission against security"
        assert op["responses"]["default"] == {"$ref": "#/components/responses/Problem"}, where
        if op["x-permission"] != "none":
            assert {"401", "403"} <= set(op["responses"]), f"{where}: 401 and 403"
        names = {p["name"] for p in parameters}
        if method in ("patch", "delete") and "If-Match" in names:
            assert {"412", "428"} <= set(op["responses"]), where
        if method == "patch" and path != "/api/v1/session/preferences":  # nobody else's, and what was chosen last holds
            assert "If-Match" in names, f"{where}: a change needs If-Match"
            assert list(op["requestBody"]["content"]) == ["application/merge-patch+json"], where


def unlimited(document, schema, at, seen):
    """Inputs without a limit below schema."""
    if "$ref" in schema:
        if schema["$ref"] not in seen:
            yield from unlimited(document, resolve(document, schema["$ref"]), schema["$ref"], seen | {schema["$ref"]})
        return
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    if "string" in types and not {"maxLength", "const", "enum"} & set(schema):
        yield f"{at}: maxLength"
    if "integer" in types and "minimum" not in schema:
        yield f"{at}: minimum"
    if "array" in types and "maxItems" not in schema:
        yield f"{at}: maxItems"
    if "object" in types and schema.get("additionalProperties") is not False and not {"maxProperties", "required"} & set(schema):
        yield f"{at}: additionalProperties or maxProperties"
    for name, sub in schema.get("properties", {}).items():
        yield from unlimited(document, sub, f"{at}/{name}", seen)
    for sub in [schema["items"]] if "items" in schema else []:
        yield from unlimited(document, sub, f"{at}/items", seen)
    for sub in schema.get("oneOf", []) + schema.get("anyOf", []):
        yield from unlimited(document, sub, at, seen)


def test_every_input_has_a_limit(document):
    bad = []
    for path, method, op in operations(document):
        where = f"{method.upper()} {path}"
        for p in op.get("parameters", []):
            p = resolve(document, p["$ref"]) if "$ref" in p else p
            bad += unlimited(document, p["schema"], f"{where} {p['name']}", frozenset())
        for kind, content in op.get("requestBody", {}).get("content", {}).items():
            if kind != "application/jose+json":  # bounded as a whole (docs/internals/wire.md)
                bad += unlimited(document, content["schema"], where, frozenset())
    assert not bad, "\n".join(sorted(set(bad)))


def test_words_agree_with_the_other_tables(document):
    with open(os.path.join(API, "problems.json"), encoding="utf-8") as f:
        problems = json.load(f)
    pattern = document["components"]["schemas"]["Problem"]["properties"]["type"]["pattern"]
    for row in problems["problems"]:
        assert re.search(pattern, problems["type_prefix"] + row["id"]), row["id"]
    with open(os.path.join(SOURCE, "schema", "migrations", "0005_identity.sql"), encoding="utf-8") as f:
        sql = f.read()
    states = re.search(r"device_state_check CHECK \(state IN \(('pending'.*?)\)\)", sql, re.S).group(1)
    assert re.findall(r"'(\w+)'", states) == document["components"]["schemas"]["Device"]["properties"]["state"]["enum"]
