"""api/openapi.yaml as a judge of real answers."""
import json
import os
import re

import jsonschema
import parentlib
import yaml

PATH = os.path.join(parentlib.SOURCE, "api", "openapi.yaml")


class Description:
    def __init__(self):
        with open(PATH, encoding="utf-8") as f:
            self.document = yaml.safe_load(f)
        with open(os.path.join(os.path.dirname(PATH), "settings.schema.json"), encoding="utf-8") as f:
            layer = json.load(f)
        # One document for the resolver: the layer's own references are to #/$defs.
        self.document["$defs"] = layer.pop("$defs", {})
        layer.pop("$id", None)
        self.document["components"]["schemas"]["Layer"] = layer
        self.resolver = jsonschema.RefResolver("file://" + PATH, self.document)
        self.seen = set()  # "GET /api/v1/devices 200"

    def operations(self):
        """(method, path template, operation)"""
        for path, item in self.document["paths"].items():
            for method, op in item.items():
                yield method.upper(), path, op

    def template(self, method, path):
        """The path of the document that a called path is one of; a fixed one before one with a placeholder."""
        fits = [t for m, t, _ in self.operations() if m == method and
                re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(t)), path)]
        return min(fits, key=lambda t: t.count("{"), default=None)

    def check(self, answer):
        """A requests answer: its status and body must be described."""
        method, path = answer.request.method, answer.request.path_url.partition("?")[0]
        template = self.template(method, path)
        if template is None:  # the page's own files, and what does not exist
            assert answer.status_code >= 400 or not path.startswith(("/api/", "/oauth2/")), f"{method} {path} is not described"
            return answer
        responses = self.document["paths"][template][method.lower()]["responses"]
        said = responses.get(str(answer.status_code)) or (responses["default"] if answer.status_code >= 400 else None)
        assert said, f"{method} {template}: status {answer.status_code} is not described"
        if "$ref" in said:
            _, said = self.resolver.resolve(said["$ref"])
        self.seen.add(f"{method} {template} {answer.status_code}")
        content = said.get("content", {})
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        assert (kind in content) == bool(content), f"{method} {template}: {kind} instead of {list(content)}"
        if kind.endswith("json") and kind != "application/x-ndjson" and kind in content:
            validator = jsonschema.Draft202012Validator(content[kind]["schema"], resolver=self.resolver)
            errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}"[:300] for e in validator.iter_errors(answer.json())]
            assert not errors, f"{method} {template} {answer.status_code}: " + "; ".join(errors[:5])
        return answer
