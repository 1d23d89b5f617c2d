#!/usr/bin/env python3
"""Writes an OpenAPI document in YAML as a C++ source that holds it as JSON.

usage: openapi_to_cc.py OPENAPI.YAML OUT.CC
"""
import json
import sys

import yaml


def main():
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        text = json.dumps(yaml.safe_load(file), ensure_ascii=False, separators=(",", ":"))
    # Compilers bound the length of one literal: write it in parts.
    parts = [text[i : i + 8000] for i in range(0, len(text), 8000)]
    with open(target, "w", encoding="utf-8") as file:
        file.write("#include <string_view>\n\nnamespace paxledger {\n\nstd::string_view OpenApiJson();\n")
        file.write("std::string_view OpenApiJson() {\n  return\n")
        file.writelines(f'      R"openapi({part})openapi"\n' for part in parts)
        file.write("      ;\n}\n\n}  // namespace paxledger\n")


if __name__ == "__main__":
    main()
