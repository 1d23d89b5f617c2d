#!/usr/bin/env python3
"""Compares api/openapi.yaml with the code, and checks that it hangs together.

Every route of api/router.cc is documented with its method, parameters and scope, and nothing else is; every code of
api/problem.cc and ledger/outcome.cc is in the schema `Code`; every $ref leads somewhere and every component is used.
"""
import os
import re
import sys

import yaml

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}
NO_SCOPE = ""


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def scope_names():
    return dict(re.findall(r'case Scope::(\w+):\s*return "([^"]*)";', read("api/auth.cc")))


def routes():
    """(method, path) -> (scope, set of query parameters)."""
    table = read("api/router.cc")
    scopes = scope_names()
    pattern = r'RouteSpec\{\s*RouteId::\w+,\s*"(\w+)",\s*"([^"]+)",\s*Scope::(\w+),\s*\{([^}]*)\}\s*\}'
    return {
        (method.lower(), path): (scopes[scope], set(re.findall(r'"([^"]+)"', query)))
        for method, path, scope, query in re.findall(pattern, table)
    }


def resolve(document, ref):
    at = document
    for part in ref.removeprefix("#/").split("/"):
        if not isinstance(at, dict) or part not in at:
            return None
        at = at[part]
    return at


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def check_operation(document, key, shared, operation, scope, query):
    method, path = key
    where = f"{method.upper()} {path}"
    for member in ("operationId", "summary", "tags", "responses"):
        if member not in operation:
            yield f"{where}: {member} is missing"
    parameters = [
        resolve(document, p["$ref"]) if "$ref" in p else p for p in shared + operation.get("parameters", [])
    ]
    documented = {p["name"] for p in parameters if p["in"] == "query"}
    if documented != query:
        yield f"{where}: query parameters {sorted(documented)}, the code knows {sorted(query)}"
    in_path = {p["name"] for p in parameters if p["in"] == "path"}
    if in_path != set(re.findall(r"\{(\w+)\}", path)):
        yield f"{where}: path parameters {sorted(in_path)}"
    if any(p["in"] == "path" and p.get("required") is not True for p in parameters):
        yield f"{where}: path parameters are required"
    if scope == NO_SCOPE and operation.get("security") != []:
        yield f"{where}: asks no key, so it needs `security: []`"
    if scope != NO_SCOPE and "security" in operation:
        yield f"{where}: asks a key"
    if scope != NO_SCOPE and scope not in operation.get("description", ""):
        yield f"{where}: the description does not name the scope {scope}"
    if ("requestBody" in operation) != (method in ("post", "put")):
        yield f"{where}: a POST or PUT has a body, a GET has none"
    for status in operation["responses"]:
        if not re.fullmatch(r"[1-5](\d\d|XX)", str(status)):
            yield f"{where}: {status} is no status"


def check(document):
    if not str(document.get("openapi", "")).startswith("3.1."):
        yield "openapi must be 3.1.x"
    known = routes()
    if len(known) != len(re.findall(r"RouteSpec\{\s*RouteId", read("api/router.cc"))):
        yield "this check cannot read all of api/router.cc"
    documented = set()
    ids = []
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            documented.add((method, path))
            ids.append(item[method].get("operationId"))
            if (method, path) in known:
                scope, query = known[(method, path)]
                yield from check_operation(document, (method, path), item.get("parameters", []), item[method], scope, query)
    for method, path in sorted(documented - known.keys()):
        yield f"{method.upper()} {path} is documented, but there is no such route"
    for method, path in sorted(known.keys() - documented):
        yield f"{method.upper()} {path} is not documented"
    for twice in {i for i in ids if ids.count(i) > 1}:
        yield f"operationId {twice} is given twice"
    used = set(references(document))
    for ref in sorted(used):
        if resolve(document, ref) is None:
            yield f"{ref} leads nowhere"
    for kind, components in document["components"].items():
        for name, component in components.items():
            if kind != "securitySchemes" and f"#/components/{kind}/{name}" not in used:
                yield f"components/{kind}/{name} is used nowhere"
            if kind == "schemas" and isinstance(component, dict):
                for required in component.get("required", []):
                    if required not in component.get("properties", {}):
                        yield f"schema {name} requires {required}, which it does not describe"
    codes = set(re.findall(r'\{"(\w+)", [1-5]\d\d,', re.sub(r"\s+", " ", read("api/problem.cc"))))
    refusals = set(re.findall(r'return "(\w+)";', read("ledger/outcome.cc"))) - {"committed"}
    if set(document["components"]["schemas"]["Code"]["enum"]) != codes | refusals:
        yield f"schema Code differs by {sorted(set(document['components']['schemas']['Code']['enum']) ^ (codes | refusals))}"
    if set(document["components"]["schemas"]["Refusal"]["enum"]) != refusals:
        yield "schema Refusal differs from ledger/outcome.cc"


def main():
    found = list(check(yaml.safe_load(read("api/openapi.yaml"))))
    for line in found:
        print(f"api/openapi.yaml: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
