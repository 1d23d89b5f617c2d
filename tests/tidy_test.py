#!/usr/bin/env python3
"""Plants a violation of each rule of tests/tidy.py in a small tree and sees it found, and only it."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tidy

CLEAN = {
    "base/README.md": "base",
    "base/clock.h": "#pragma once\n",
    "ledger/README.md": "ledger",
    "ledger/CMakeLists.txt": "add_library(ledger_core apply.cc)\n",
    "ledger/apply.h": "#pragma once\n",
    "ledger/apply.cc": '#include "ledger/apply.h"\n#include "base/clock.h"\nint Apply(int amount) { return amount; }\n',
    "txn/README.md": "txn",
    "txn/CMakeLists.txt": "add_library(txn_core machine.cc)\nadd_library(txn_shell node.cc)\n",
    "txn/machine.h": "#pragma once\n",
    "txn/machine.cc": '#include "txn/machine.h"\n#include "ledger/apply.h"\n',
    "txn/node.cc": '#include "txn/machine.h"\nTask<void> Run() {\n  auto answer = co_await Ask();\n  co_return;\n}\n',
    "tests/README.md": "tests",
}


class Tidy(unittest.TestCase):
    def rules(self, changes):
        """The rules that are broken once `changes` (path -> text, or None to leave a file out) are made."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**CLEAN, **changes}.items():
                if text is None:
                    continue
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
            return [finding.rule for finding in tidy.findings(root)]

    def core(self, line):
        return self.rules({"ledger/apply.cc": CLEAN["ledger/apply.cc"] + line + "\n"})

    def shell(self, line):
        return self.rules({"txn/node.cc": CLEAN["txn/node.cc"] + "Task<void> More() {\n  " + line + "\n}\n"})

    def test_clean_tree_is_clean(self):
        self.assertEqual(self.rules({}), [])

    def test_includes_point_down_only(self):
        self.assertEqual(self.core('#include "txn/machine.h"'), ["include"])
        self.assertEqual(self.rules({"base/clock.h": '#pragma once\n#include "ledger/apply.h"\n'}), ["include"])
        audit = {"audit/README.md": "audit", "audit/CMakeLists.txt": "add_library(audit_core fold.cc)\n"}
        self.assertEqual(self.rules({**audit, "audit/fold.cc": '#include "txn/machine.h"\n'}), ["include"])
        core = {"replication/README.md": "r", "replication/CMakeLists.txt": "core/log.cc", "replication/replica.h": "#pragma once\n"}
        self.assertEqual(self.rules({**core, "replication/core/log.cc": '#include "replication/replica.h"\n'}), ["include"])

    def test_core_is_pure(self):
        for line in ("double ratio = 0;", "std::thread worker;", "auto now = std::chrono::steady_clock::now();",
                     "int dice = rand();", "std::mutex mutex;", "std::ifstream file;", "size_t h = absl::HashOf(1);",
                     "int F(E e) { switch (e) { default: return 0; } }", "std::random_device device;"):
            self.assertEqual(self.core(line), ["core"], line)
        self.assertEqual(self.core('const char* text = "a double"; // std::thread'), [])
        self.assertEqual(self.rules({"txn/machine.cc": CLEAN["txn/machine.cc"] + "float f;\n"}), ["core"])
        self.assertEqual(self.shell("float f;"), [])

    def test_hash_order_is_not_used(self):
        self.assertEqual(self.core("absl::flat_hash_map<int, int> m;\nint F() {\n  for (auto& x : m) return x.first;\n}"),
                         ["hash-order"])

    def test_words_that_no_code_uses(self):
        self.assertEqual(self.shell("throw 1;"), ["word"])
        self.assertEqual(self.shell("// TO" "DO: later"), ["word"])
        self.assertEqual(self.rules({"txn/machine.h": "#pragma once\nclass LogManager {};\n"}), ["word"])

    def test_reason_in_the_line_allows(self):
        self.assertEqual(self.core("double ratio = 0;  // tidy:allow(core) shown to people only"), [])
        self.assertEqual(self.core("double ratio = 0;  // tidy:allow(core)"), ["core"])

    def test_no_sleeping(self):
        self.assertEqual(self.shell("std::this_thread::sleep_for(delay);"), ["sleep"])

    def test_no_bool_parameters_in_headers(self):
        self.assertEqual(self.rules({"txn/machine.h": "#pragma once\nvoid Start(int n, bool fast);\n"}), ["bool"])
        for line in ("bool Start(int n);", "void set_fast(bool fast) { fast_ = fast; }"):
            self.assertEqual(self.rules({"txn/machine.h": f"#pragma once\n{line}\n"}), [], line)

    def test_sizes(self):
        self.assertEqual(self.core("\n" * 800), ["size"])
        self.assertEqual(self.core("int Long() {\n" + "  Step();\n" * 70 + "}"), ["size"])
        self.assertEqual(self.core("int Long() {\n" + "  Step();\n" * 60 + "}"), [])

    def test_co_await(self):
        for line in ("if (co_await Ready()) Go();", "auto x = f(co_await G());", "auto x = a ? co_await F() : 0;",
                     "co_return co_await F();", "auto x = co_await F([&] { return 1; });", "while (co_await More()) {}"):
            self.assertEqual(self.shell(line), ["co_await"], line)
        self.assertEqual(set(self.shell("auto x = co_await F(co_await G());")), {"co_await"})
        self.assertEqual(self.shell("absl::StatusOr<Answer> x = co_await F(a, b);"), [])
        for line in ("co_await F(a);", "if (a < b(c)) co_await F(a);", "if (a) return; else co_await F(a);"):
            self.assertEqual(self.shell(line), [], line)

    def test_dead_files(self):
        self.assertEqual(self.rules({"ledger/old.h": "#pragma once\n"}), ["dead"])
        self.assertEqual(self.rules({"ledger/old.cc": ""}), ["dead"])
        self.assertEqual(self.rules({"ledger/apply.h": "\n"}), ["dead"])

    def test_marks_are_named_in_tests(self):
        marked = CLEAN["ledger/apply.cc"] + 'void F() { Mark("apply.rare"); }\n'
        self.assertEqual(self.rules({"ledger/apply.cc": marked}), ["mark"])
        test = {"tests/CMakeLists.txt": "apply_test.cc", "tests/apply_test.cc": 'auto name = "apply.rare";\n'}
        self.assertEqual(self.rules({"ledger/apply.cc": marked, **test}), [])

    def test_formats_are_written_down(self):
        named = {"ledger/apply.h": "#pragma once\n/// Format:  docs/formats.md#account, #transfer\n"}
        self.assertEqual(self.rules({**named, "docs/formats.md": "# Formats\n## account\n"}), ["format"])
        self.assertEqual(self.rules({**named, "docs/formats.md": "## account\n## transfer\n"}), [])

    def test_readmes(self):
        self.assertEqual(self.rules({"txn/README.md": None}), ["readme"])


if __name__ == "__main__":
    unittest.main()
