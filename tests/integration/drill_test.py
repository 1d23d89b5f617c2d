#!/usr/bin/env python3
"""The drill of ops/drill, bounded: a data centre is killed, and one frozen, under load, and no client notices more than a pause.

What is promised is asserted without allowance: no request fails, no outcome stays unknown, no transfer is lost or doubled,
digests are equal. Times are printed, and asserted with room for a machine that does other things as well.
usage: drill_test.py [Class.test...], as unittest
"""
import json
import os
import subprocess
import sys
import unittest

from cluster import BIN, ROOT

CLIENTS = 200
SECONDS = 15


class LosesADataCentreUnderLoad(unittest.TestCase):
    def drill(self, fault, name):
        done = subprocess.run(
            [sys.executable, os.path.join(ROOT, "ops", "drill"), fault, "--clients", str(CLIENTS), "--seconds", str(SECONDS),
             "--data-centres", name, "--json", "-"],
            env={**os.environ, "PAXLEDGER_BIN": BIN}, capture_output=True, text=True, timeout=300, check=False)
        self.assertIn(done.returncode, (0, 1, 3), done.stdout + done.stderr)
        run = json.loads(done.stdout)["runs"][0]
        shown = {key: run[key] for key in run if key not in ("per_100_ms", "client", "marks")}
        print(f"{fault} {name}:", json.dumps(shown, indent=1))
        print("transfers per 100 ms:", run["per_100_ms"])
        return run

    def assert_promises(self, run):
        self.assertEqual(run["problems"], [])
        self.assertEqual((run["failed"], run["unknown"], run["refused"]), (0, 0, 0))
        self.assertGreater(run["transfers"], 1000)
        self.assertIsNotNone(run["ready_after_ms"])
        self.assertEqual(run["owned_shards"]["without it"][run["data_centre"]], 0)

    def test_kill(self):
        run = self.drill("kill", "dc2")
        self.assert_promises(run)
        self.assertLess(run["phases"]["without"]["longest_gap_ms"], 400)  # target: 100
        self.assertLess(run["slowest_request_ms"], 5000)

    def test_freeze(self):
        run = self.drill("freeze", "dc3")
        self.assert_promises(run)
        self.assertLess(run["phases"]["without"]["longest_gap_ms"], 900)  # target: 500
        self.assertLess(run["slowest_request_ms"], 5000)  # the frozen door was asked, and its deadline not waited for


if __name__ == "__main__":
    unittest.main()
