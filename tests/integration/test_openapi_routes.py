"""The parent's route table and api/openapi.yaml say the same, both ways: method, path and permission."""
import os
import subprocess

import parentlib
import yaml
from inarilab import system

API = os.path.join(parentlib.SOURCE, "api", "openapi.yaml")


def described():
    with open(API, encoding="utf-8") as f:
        document = yaml.safe_load(f)
    return {f"{method.upper()} {path} {op['x-permission']}"
            for path, item in document["paths"].items() for method, op in item.items()}


def test_routes_agree_with_the_description(installed):
    out = subprocess.run([system.programs(installed)["inarid"], "--routes"], capture_output=True, text=True, check=True, timeout=20).stdout
    served = set(out.splitlines())
    assert len(served) == len(out.splitlines()) > 20
    both = served & described()
    assert served == both, "served but not described (or with another permission)"
    assert described() == both, "described but not served (or with another permission)"
