"""The API's description, cut for a test run.

usage: split.py OPENAPI KNOWN PREFIX SKIP OUT

One listener's operations: those whose path begins with PREFIX ("!PREFIX": does
not), without the operations named in SKIP (separated by commas; "=A,B": only
these). KNOWN is JSON: a parameter's or a property's name and values that
exist. Half of the generated requests then name what is there, the other half
anything that the description allows. Prints the operations as JSON.
"""

import json
import re
import sys

import yaml

METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}


def wanted(operation, skip):
    if skip.startswith("="):
        return operation["operationId"] in skip[1:].split(",")
    return operation["operationId"] not in skip.split(",")


def meet(schema, values):
    return {"anyOf": [{"enum": values}, schema]}


def enrich(node, known):
    """Parameters and the properties of request bodies that KNOWN names."""
    if isinstance(node, list):
        for item in node:
            enrich(item, known)
        return
    if not isinstance(node, dict):
        return
    if "in" in node and node.get("name") in known and "schema" in node:
        node["schema"] = meet(node["schema"], known[node["name"]])
        return
    properties = node.get("properties")
    if isinstance(properties, dict) and node.get("additionalProperties") is False:
        for name in properties.keys() & known.keys():
            properties[name] = meet(properties[name], known[name])
    for item in node.values():
        enrich(item, known)


def main():
    source, known, prefix, skip, out = sys.argv[1:]
    with open(source, encoding="utf-8") as f:
        api = yaml.safe_load(f)
    outside = prefix.startswith("!")
    paths = {}
    for path, item in api["paths"].items():
        if path.startswith(prefix.lstrip("!")) == outside:
            continue
        for method in METHODS & item.keys():
            if not wanted(item[method], skip):
                del item[method]
        if not METHODS & item.keys():
            continue
        # The base is given by the command line: paths are whole.
        servers = item.pop("servers", api["servers"])
        base = servers[0]["url"].split("/", 3)[3:]
        paths["/" + "/".join(base) + path if base else path] = item
    api["paths"] = paths
    api["servers"] = [{"url": "/"}]
    with open(known, encoding="utf-8") as f:
        enrich(api, json.load(f))
    with open(out, "w", encoding="utf-8") as f:
        yaml.safe_dump(api, f, allow_unicode=True, sort_keys=False)
    print(json.dumps([
        {"name": item[method]["operationId"], "method": method,
         "like": "^" + re.sub(r"{[^}]*}", "[^/]+", path) + "$"}
        for path, item in paths.items() for method in METHODS & item.keys()]))


main()
