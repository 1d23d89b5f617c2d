#!/usr/bin/env python3
"""Adds up the JUnit reports of ctest: lists what was skipped and what failed, then one last line with the sums.

usage: tests/summary.py REPORT.xml...
Exits 1 where a test failed, where none ran, or where a report is missing (ctest itself broke).
"""
import os
import sys
import xml.etree.ElementTree as ElementTree


def outcome(case):
    if case.find("failure") is not None or case.get("status") == "fail":
        return "failed"
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        # ctest reports a test whose program was not built as "not run" too; that is a failure.
        skipped = case.find("skipped")
        reason = (skipped.get("message") or "") if skipped is not None else ""
        return "skipped" if case.get("status") == "disabled" or reason.startswith("SKIP_") else "failed"
    return "passed"


def main(paths):
    names = {"passed": [], "failed": [], "skipped": []}
    for path in paths:
        if not os.path.exists(path):
            names["failed"].append(f"no report {path}")
            continue
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            names[outcome(case)].append(case.get("name"))
    for kind in ("skipped", "failed"):
        for name in names[kind]:
            print(f"{kind}: {name}")
    print(", ".join(f"{len(names[kind])} {kind}" for kind in ("passed", "failed", "skipped")))
    return 1 if names["failed"] or not names["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
