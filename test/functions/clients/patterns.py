"""Compiles every pattern of an OpenAPI document and matches the example beside it; prints how many there are."""

import json
import re
import sys

found = 0


def visit(value):
    global found
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            assert re.search(value["pattern"], value["example"]), value
            found += 1
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            visit(each)


visit(json.load(open(sys.argv[1], encoding="utf-8")))
print(found)
