#!/usr/bin/env python3
"""The rules of the house that no compiler knows, checked over the whole tree.

usage: tests/tidy.py [ROOT]
Prints "file:line: [rule] what is wrong and what to do instead" and exits 1 where it found anything.
A line that breaks a rule with good reason says so in the line: `// tidy:allow(rule) the reason`.
tests/tidy_test.py plants a violation of every rule and sees it found.
"""
import dataclasses
import os
import re
import sys

# Each folder may include itself and these (design §2, "The house").
MAY_INCLUDE = {
    "base": set(),
    "ledger": {"base"},
    "replication": {"base"},
    "cluster": {"base", "replication"},
    "txn": {"base", "ledger", "replication", "cluster"},
    "audit": {"base", "ledger", "replication", "cluster", "txn"},
    "api": {"base", "ledger", "replication", "cluster", "txn", "audit"},
    "ops": {"base", "ledger", "replication", "cluster", "txn", "audit", "api"},
}
MAY_INCLUDE["tests"] = set(MAY_INCLUDE)

# Words that pure code may not use, and what to use instead.
NOT_IN_CORE = [
    (r"std::(jthread|thread|async)\b", "core runs on its caller's strand; threads belong to the shell"),
    (r"std::(mutex|shared_mutex|atomic|condition_variable)\b|absl::Mutex\b", "core is not shared between threads"),
    (r"std::chrono\b|absl::Now\b|absl::GetCurrentTimeNanos\b|\bclock_gettime\b|\bgettimeofday\b|\btime\(nullptr\)",
     "time is an input of pure code"),
    (r"\bs?rand\(|std::random_device\b|std::mt19937|std::\w+_distribution\b", "take base/random.h's Random as an input"),
    (r"\b(float|double)\b", "use integers: Amount, or a fraction as two integers"),
    (r"std::(unordered_map|unordered_set)\b", "use a sorted map, or absl's and never iterate it"),
    (r"absl::(Hash|HashOf)\b|std::hash\b", "it differs by run; use PlacementHash64, Checksum64 or Sha256 of base/digest.h"),
    (r"std::(if|of|f)stream\b|\bfopen\(|std::filesystem\b|\bgetenv\(|std::(cout|cerr)\b|\bf?printf\(",
     "files and the environment are reached through ports, by the shell"),
    (r"\bdefault:", "name every value, so that the compiler finds the one that is missing"),
]
# Words that no code of ours uses.
NOWHERE = [
    (r"\bthrow\b", "return absl::Status; exceptions are converted at the edge"),
    (r"\b(TODO|FIXME|XXX|HACK)\b", "file an issue, or do it"),
    (r"\b(class|struct) \w*(Manager|Helper|Util|Utils|Processor|Impl|Base)\b", "name it by what it is in the domain"),
]
SLEEP = r"sleep_for\b|sleep_until\b|\bu?sleep\(|\bnanosleep\(|absl::SleepFor\b"
LINES_MAX = 800
FUNCTION_LINES_MAX = 70
CODE = (".cc", ".h")


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    rule: str
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: [{self.rule}] {self.text}"


class Tree:
    """The files of the repository, read once."""

    def __init__(self, root):
        self.text = {}
        for top in sorted(MAY_INCLUDE) + ["docs"]:
            for folder, folders, files in os.walk(os.path.join(root, top)):
                folders[:] = sorted(f for f in folders if f not in ("__pycache__", "node_modules"))
                for name in sorted(files):
                    if name.endswith(CODE + (".proto", ".cmake", ".py", ".txt", ".md", ".trace")):
                        path = os.path.join(folder, name)
                        with open(path, encoding="utf-8", errors="replace") as file:
                            self.text[os.path.relpath(path, root)] = file.read()
        self.findings = []

    def files(self, suffixes=CODE, tops=None):
        for path, text in self.text.items():
            if path.endswith(suffixes) and (tops is None or path.split("/")[0] in tops):
                yield path, text

    def report(self, path, line, rule, text):
        lines = self.text.get(path, "").split("\n")
        allowed = re.search(rf"// tidy:allow\({rule}\) \S+", lines[line - 1]) if 0 < line <= len(lines) else None
        if not allowed:
            self.findings.append(Finding(path, line, rule, text))


def without_comments_and_strings(text):
    """The same text with comments and string contents blanked, line breaks kept."""

    def blank(match):
        found = match.group(0)
        if found.startswith(("/", "R")):
            return re.sub(r"[^\n]", " ", found)
        return found[0] + " " * (len(found) - 2) + found[-1]

    pattern = r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\''
    return re.sub(pattern, blank, text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def sources_of_target(tree, target):
    """The .cc files named in add_library(target ...), as paths."""
    found = set()
    for path, text in tree.files((".txt", ".cmake")):
        for match in re.finditer(rf"(?:add_library|target_sources)\({target}\b([^)]*)\)", text):
            for source in re.findall(r"[\w/.${}]+\.cc", match.group(1)):
                source = source.replace("${CMAKE_CURRENT_SOURCE_DIR}/", "").replace("${CMAKE_SOURCE_DIR}/", "")
                for candidate in (os.path.join(os.path.dirname(path), source), source):
                    if candidate in tree.text:
                        found.add(candidate)
    return found


def core_files(tree):
    """Pure code: ledger/, replication/core/, and what txn_core and audit_core are made of."""
    stems = {path[: -len(".cc")] for t in ("txn_core", "audit_core") for path in sources_of_target(tree, t)}
    for path, text in tree.files(tops={"ledger", "replication", "txn", "audit"}):
        if path.startswith(("ledger/", "replication/core/")) or path.rsplit(".", 1)[0] in stems:
            yield path, text


def check_includes(tree):
    for path, text in tree.files():
        top = path.split("/")[0]
        for match in re.finditer(r'^#include "([^"]+)"', text, re.M):
            target = match.group(1)
            line = line_of(text, match.start())
            to = target.split("/")[0]
            if to not in MAY_INCLUDE:
                continue
            if to != top and to not in MAY_INCLUDE[top]:
                tree.report(path, line, "include", f"{top}/ may not include {to}/ (design §2)")
            if path.startswith("replication/core/") and not target.startswith(("base/", "replication/core/")):
                tree.report(path, line, "include", "replication/core/ is pure: only base/ and itself")
            if re.match(r"audit/fold", path) and to in ("ledger", "txn"):
                tree.report(path, line, "include", "the fold of audit is a second opinion: neither ledger/ nor txn/")


def check_core(tree):
    for path, text in core_files(tree):
        code = without_comments_and_strings(text)
        for pattern, instead in NOT_IN_CORE:
            for match in re.finditer(pattern, code):
                tree.report(path, line_of(code, match.start()), "core", f"`{match.group(0)}`: {instead}")
        for include in ("base/log.h", "base/executor.h", "base/task.h", "base/metrics.h"):
            for match in re.finditer(rf'^#include "{include}"', text, re.M):
                tree.report(path, line_of(text, match.start()), "core", f"{include} belongs to the shell")


def check_hash_order(tree):
    """No loop of pure code runs over a hash map or set: the order differs by run."""
    cores = dict(core_files(tree))
    for path, text in cores.items():
        stem = path.rsplit(".", 1)[0]
        code = without_comments_and_strings(text)
        declared = code + without_comments_and_strings(cores.get(stem + ".h", ""))
        names = set(re.findall(r"flat_hash_(?:map|set)<[^;={]*>\s+(\w+)\s*[;={]", declared))
        names |= set(re.findall(r"node_hash_(?:map|set)<[^;={]*>\s+(\w+)\s*[;={]", declared))
        for match in re.finditer(r"\bfor \([^;)]*:\s*([\w.>-]+)\)", code):
            if re.split(r"[.>]", match.group(1))[-1] in names:
                tree.report(path, line_of(code, match.start()), "hash-order",
                            f"`{match.group(1)}` is a hash map: its order differs by run; sort, or keep a sorted map")


def check_words(tree):
    for path, text in tree.files():
        code = without_comments_and_strings(text)
        for pattern, instead in NOWHERE:
            comments_too = text if "TODO" in pattern else code
            for match in re.finditer(pattern, comments_too):
                tree.report(path, line_of(comments_too, match.start()), "word", f"`{match.group(0)}`: {instead}")
        if not path.startswith("tests/integration/"):
            for match in re.finditer(SLEEP, code):
                tree.report(path, line_of(code, match.start()), "sleep",
                            f"`{match.group(0)}`: wait for what you wait for; sleeping is for tests/integration")
        if path.endswith(".h"):
            for match in re.finditer(r"(\w+)\(([^(){};]*)\)\s*(?:const|override|noexcept|;|\{|= 0)", code):
                if not match.group(1).startswith("set_") and re.search(r"\bbool \w+\s*(,|$|=)", match.group(2)):
                    tree.report(path, line_of(code, match.start()), "bool",
                                "a bool parameter says nothing where it is called: use an enum")


def check_sizes(tree):
    for path, text in tree.files(CODE + (".py", ".proto")):
        lines = text.split("\n")
        if len(lines) - 1 > LINES_MAX:
            tree.report(path, 1, "size", f"{len(lines) - 1} lines, more than {LINES_MAX}: split its state")
        if not path.endswith(".cc"):
            continue
        start = None
        for number, line in enumerate(lines, 1):
            if start is None:
                if re.match(r"(?![A-Z_]+\()[A-Za-z~].*\(", line) and not line.rstrip().endswith(";") and "namespace" not in line:
                    start = number
            elif line.startswith("}"):
                if number - start + 1 > FUNCTION_LINES_MAX:
                    tree.report(path, start, "size", f"a function of {number - start + 1} lines, more than {FUNCTION_LINES_MAX}")
                start = None
            elif line and not line.startswith(" ") and line.rstrip().endswith(";"):
                start = None


def without_heads(statement):
    """`if (x) f(` as `f(`: what stands before the statement itself."""
    while True:
        head = re.match(r"\s*(?:else\b|(?:if|for|while) ?(?=\())", statement)
        if not head:
            return statement
        rest = statement[head.end() :]
        depth = 0
        for at, char in enumerate(rest):
            depth += {"(": 1, ")": -1}.get(char, 0)
            if depth == 0:
                break
        else:
            return statement  # the head is not closed: the co_await stands inside it
        statement = rest[at + 1 :] if rest.startswith("(") else rest


def check_co_await(tree):
    for path, text in tree.files():
        code = without_comments_and_strings(text)
        for match in re.finditer(r"\bco_await\b", code):
            line = line_of(code, match.start())
            before = without_heads(re.split(r"[;{}]", code[: match.start()])[-1])
            after = code[match.end() :].split(";")[0]
            if "operator" in before.split("\n")[-1]:
                continue
            if "co_await" in before or "co_await" in after:
                tree.report(path, line, "co_await", "one co_await per statement, its result in a named local")
            elif "(" in re.sub(r"<[^<>]*>|\bASSERT\w*", "", before) or "?" in before or "co_return" in before:
                tree.report(path, line, "co_await", "not inside a condition, an argument or ?:; use a named local first")
            elif re.search(r"\[[^\]]*(&|=|\bthis\b)[^\]]*\]\s*[({]", after):
                tree.report(path, line, "co_await", "not in an expression that holds a capturing lambda")


def check_dead_files(tree):
    lists = "\n".join(text for _, text in tree.files((".txt", ".cmake")))
    includes = {}
    for path, text in tree.files(CODE):
        for target in re.findall(r'^#include "([^"]+)"', text, re.M):
            includes.setdefault(target, set()).add(path)
    for path, text in tree.files(CODE + (".proto",)):
        name = os.path.basename(path)
        if path.endswith(".h"):
            if not includes.get(path, set()) - {path}:
                tree.report(path, 1, "dead", "no file includes this header")
            if "#pragma once" not in text:
                tree.report(path, 1, "dead", "a header begins with #pragma once")
        elif not re.search(rf"(?<![\w-]){re.escape(name)}\b", lists):
            tree.report(path, 1, "dead", f"no CMake list names {name}")


def check_marks(tree):
    tests = "\n".join(text for _, text in tree.files(CODE + (".py", ".txt", ".trace"), tops={"tests"}))
    for path, text in tree.files(tops=set(MAY_INCLUDE) - {"tests"}):
        for match in re.finditer(r'\b(?:Mark|Fault)\("([^"]+)"\)', text):
            if f'"{match.group(1)}"' not in tests:
                tree.report(path, line_of(text, match.start()), "mark", f'no test names the mark "{match.group(1)}"')


def check_formats(tree):
    """A contract that names a format names a section that is there."""
    sections = set(re.findall(r"^## ([\w-]+)$", tree.text.get("docs/formats.md", ""), re.M))
    for path, text in tree.files(CODE + (".proto",)):
        for match in re.finditer(r"docs/formats\.md((?:,? ?#[\w-]+)+)", text):
            for name in re.findall(r"#([\w-]+)", match.group(1)):
                if name not in sections:
                    tree.report(path, line_of(text, match.start()), "format", f"docs/formats.md has no section {name}")


def check_readmes(tree):
    for top in sorted(MAY_INCLUDE):
        if any(True for _ in tree.files(tops={top})) and f"{top}/README.md" not in tree.text:
            tree.report(f"{top}/README.md", 1, "readme", "each folder has a README of a few lines")


CHECKS = (check_includes, check_core, check_hash_order, check_words, check_sizes, check_co_await, check_dead_files,
          check_marks, check_formats, check_readmes)


def findings(root):
    tree = Tree(root)
    for check in CHECKS:
        check(tree)
    return sorted(set(tree.findings))


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    found = findings(root)
    for finding in found:
        print(finding)
    print(f"{len(found)} findings" if found else "tidy")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
