#!/usr/bin/env python3
"""A node whose disk is empty comes back by one command, by a snapshot and back-fill, in a cluster of real processes, while transfers run.

usage: rejoin_test.py [Class.test...], as unittest
"""
import json
import shutil
import time
import unittest

from cluster import Cluster, until
from payers import Payers, open_accounts

SHARDS = 4


class Rejoin(unittest.TestCase):
    def bench(self, cluster, seconds):
        urls = ",".join(f"https://127.0.0.1:{cluster.https[n]}" for n in cluster.names)
        done = cluster.run("ledger-bench", "--endpoints", urls, "--ca", cluster.ca, "--api-key-file", cluster.key_file, "--json",
                           "--accounts", "500", "--batch", "20", "--connections", "12", "--warmup", "100ms", "--duration",
                           f"{seconds}s")
        return json.loads(done.stdout)["accepted"]

    def entries(self, cluster, name):
        """Of the shard that has fewest."""
        status, view = cluster.call(name, "GET", "/v1/cluster")
        self.assertEqual(status, 200)
        return min(shard["applied"] for shard in view["shards"])

    def test_an_emptied_disk_is_back_with_equal_digests(self):
        with Cluster(shards=SHARDS) as cluster:
            cluster.start()
            cluster.wait_ready()
            while self.entries(cluster, "dc1") < 400:  # enough for a snapshot of each
                self.bench(cluster, 2)
            cluster.kill("dc2")
            shutil.rmtree(cluster.data_dir("dc2"))
            open_accounts(cluster)
            payers = Payers(cluster, ["dc1", "dc3"], 2, "rejoin")
            begun = time.monotonic()
            cluster.start("dc2", entry="rejoin")
            cluster.wait_ready("dc2", seconds=120)
            cluster.ledgerctl("cluster", "wait", "--timeout", "100s")

            def whole():
                return cluster.metric("dc2", "paxledger_backfill_shards") == 0 and all(
                    cluster.metric("dc2", f"paxledger_{what}_bytes_total") > 0 for what in ("snapshot", "backfill"))
            until(whole, 60, "the journal is filled in")
            print(f"  back after {time.monotonic() - begun:.1f} s: {cluster.metric('dc2', 'paxledger_snapshot_bytes_total'):.0f} bytes "
                  f"of state, {cluster.metric('dc2', 'paxledger_backfill_bytes_total'):.0f} of journal", flush=True)
            payers.stop()
            self.assertGreater(len(payers.posted), 0)
            done = cluster.ledgerctl("audit", "quick", "--json", "--wait", "60s", check=False)
            report = json.loads(done.stdout)
            self.assertEqual((done.returncode, report["verdict"]), (0, "pass"), report)
            self.assertGreaterEqual(report["digests_compared"], SHARDS * 2, report)
            # It votes again.
            cluster.kill("dc3")
            cluster.names.remove("dc3")
            transfer = {"id": "after", "debit_account": "bank", "credit_account": "alice-1", "amount": "5"}
            status, body = until(lambda: self.posted(cluster, transfer), 20, "two of three decide")
            self.assertIn(status, (200, 201), body)
            # What it read back from its disk is the journal that was applied.
            cluster.kill("dc2")
            cluster.start("dc2")
            cluster.wait_ready("dc2")
            self.assertEqual(cluster.metric("dc2", "paxledger_log_rows_damaged_total"), 0)

    def posted(self, cluster, transfer):
        status, body = cluster.call("dc2", "POST", "/v1/ledgers/main/transfers", transfer)
        return (status, body) if status in (200, 201) else None


if __name__ == "__main__":
    unittest.main()
