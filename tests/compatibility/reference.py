#!/usr/bin/env python3
"""Writes the operations of the reference server's OpenAPI document, for docs/COMPATIBILITY.md.

Usage: reference.py OPENAPI.json > reference.tsv

One line an operation: method, path and operation id, in the order of the document. Comments say where they
come from. Then `UPDATE_COMPATIBILITY=1 cargo test -p http-api compatibility` writes the page.
"""

import datetime
import json
import sys

METHODS = ("get", "put", "post", "delete", "patch")

with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)
version = document["info"]["version"]
print("# Source: the OpenAPI document of the OpenHands agent server (GET /openapi.json)")
print(f"# Version: {version}")
print(f"# Date: {datetime.date.today().isoformat()}")
for path, item in document["paths"].items():
    for method in METHODS:
        if method in item:
            print(method.upper(), path, item[method]["operationId"], sep="\t")
