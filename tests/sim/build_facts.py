#!/usr/bin/env python3
"""Writes the git revision and the names of all coverage marks as C++, where they changed.

usage: build_facts.py ROOT OUTPUT.cc
"""
import os
import re
import subprocess
import sys

FOLDERS = ("base", "ledger", "replication", "cluster", "txn", "audit", "api", "ops")


def git(root, *arguments):
    done = subprocess.run(("git", "-C", root) + arguments, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def revision(root):
    head = git(root, "rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    return head + ("+" if git(root, "status", "--porcelain", "--untracked-files=no") else "")


def marks(root):
    names = set()
    for folder in FOLDERS:
        for at, _, files in os.walk(os.path.join(root, folder)):
            for name in files:
                if name.endswith((".cc", ".h")):
                    with open(os.path.join(at, name), encoding="utf-8") as file:
                        names.update(re.findall(r'\b(?:Mark|Fault)\("([^"]+)"\)', file.read()))
    return sorted(names)


def main(root, output):
    lines = ['#include "tests/sim/build_facts.h"', "", "namespace paxledger::sim {", ""]
    lines.append(f'const char* const kRevision = "{revision(root)}";')
    lines.append("const char* const kMarks[] = {")
    names = marks(root)
    lines += [f'    "{name}",' for name in names]
    lines += ["    nullptr,", "};", f"const size_t kMarkCount = {len(names)};", "", "}  // namespace paxledger::sim", ""]
    text = "\n".join(lines)
    try:
        with open(output, encoding="utf-8") as file:
            if file.read() == text:
                return
    except FileNotFoundError:
        pass
    with open(output, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
