#!/usr/bin/env python3
"""Nodes come, go, are lost and replaced, and shards move, in clusters of real processes, while transfers run.

No transfer fails for a client that uses the client library, the books balance afterwards, and all replicas agree.
usage: membership_test.py [Class.test...], as unittest
"""
import json
import os
import shutil
import threading
import time
import unittest

from cluster import Cluster, until

CONFIGURATION, DATA, REFUSED_BY_PEERS = 78, 65, 70


class Load:
    """Transfers through the client library, over the nodes of the beginning, until it is left."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.urls = ",".join(f"https://127.0.0.1:{cluster.https[n]}" for n in cluster.names)
        self.stopping = threading.Event()
        self.results = []
        self.error = None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.stopping.is_set():
                done = self.cluster.run("ledger-bench", "--endpoints", self.urls, "--ca", self.cluster.ca, "--api-key-file",
                                        self.cluster.key_file, "--json", "--accounts", "200", "--rate", "100", "--connections",
                                        "12", "--warmup", "100ms", "--duration", "3s", check=False)
                if not done.stdout:
                    raise AssertionError(f"ledger-bench ended with {done.returncode}: {done.stderr}")
                self.results.append(json.loads(done.stdout))
        except Exception as error:  # it is the test's to raise
            self.error = error

    def __enter__(self):
        self.thread.start()
        until(lambda: self.results or self.error, 60, "the first transfers")
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def check(self, test):
        """After it has stopped."""
        if self.error:
            raise self.error
        failed = [(r["failed"], r["first_failure"]) for r in self.results if r["failed"]]
        test.assertEqual(failed, [], "transfers that failed")
        accepted = sum(r["accepted"] for r in self.results)
        test.assertGreater(accepted, 0)
        return accepted


class Membership(unittest.TestCase):
    def setUp(self):
        self.began = time.monotonic()

    def note(self, what):
        print(f"  {time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    def ctl(self, cluster, *words, check=True):
        done = cluster.ledgerctl("cluster", *words, "--json", check=check, timeout=300)
        self.note(f"cluster {' '.join(words)}: {done.returncode}")
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else done

    def place(self, cluster, name=None):
        """The cluster as a node sees it."""
        status, body = cluster.call(name or cluster.names[0], "GET", "/v1/cluster")
        assert status == 200, (status, body)
        return body

    def number(self, cluster, name):
        return next(node["number"] for node in self.place(cluster)["nodes"] if node["name"] == name)

    def members(self, cluster):
        """By shard, the names of the nodes that vote."""
        view = self.place(cluster)
        names = {node["number"]: node["name"] for node in view["nodes"]}
        return {shard["shard"]: sorted(names.get(m, f"gone-{m}") for m in shard["members"]) for shard in view["shards"]}

    def join(self, cluster, name, data_centre, command="add-node"):
        cluster.prepare(name, data_centre)
        words = [command, "--node", name] if command == "grow" else [command, name]
        self.ctl(cluster, *words, "--dc", data_centre, "--peer", f"127.0.0.1:{cluster.peers[name]}")
        cluster.start(name)
        cluster.names.append(name)

    def settled(self, cluster):
        cluster.wait_ready(seconds=120)
        self.ctl(cluster, "wait", "--timeout", "200s")
        # What is given up is given up soon.
        def clean():
            return all(replica["member"] for name in cluster.names for shard in self.place(cluster, name)["shards"]
                       for replica in shard["replicas"])
        until(clean, 60, "nobody but members holds replicas")

    def fill(self, cluster):
        """Some tens of thousands of transfers, so that there is something to fetch."""
        urls = ",".join(f"https://127.0.0.1:{cluster.https[n]}" for n in cluster.names)
        done = cluster.run("ledger-bench", "--endpoints", urls, "--ca", cluster.ca, "--api-key-file", cluster.key_file, "--json",
                           "--accounts", "2000", "--batch", "1000", "--connections", "6", "--warmup", "100ms", "--duration", "5s")
        self.note(f"{json.loads(done.stdout)['accepted']} transfers in the journal")

    def audit(self, cluster):
        done = cluster.ledgerctl("audit", "quick", "--json", "--wait", "60s", check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((report["verdict"], report["books_balanced"]), ("pass", True), report)
        self.assertGreaterEqual(report["digests_compared"], report["shards"] * 2, report)
        self.note(f"audit: {report['digests_compared']} digests compared over {report['shards']} shards")

    # --- the tests ---

    def test_a_node_is_added_a_shard_moves_and_a_node_is_drained_and_removed(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.wait_ready()
            with Load(cluster) as load:
                self.join(cluster, "dc1-b", "dc1")
                self.settled(cluster)
                members = self.members(cluster)
                held = [shard for shard, names in members.items() if "dc1-b" in names]
                self.assertTrue(0 < len(held) < 12, members)  # it shares the data centre's part
                self.assertTrue(all(len(names) == 3 for names in members.values()), members)

                moved = next(shard for shard in members if shard not in held)
                self.ctl(cluster, "move", str(moved), "--to", "dc1-b")
                self.assertIn("dc1-b", self.members(cluster)[moved])
                self.ctl(cluster, "move", str(moved), "--to", "dc1-b")  # again: nothing
                self.ctl(cluster, "unpin", str(moved))
                self.assertNotIn("dc1-b", self.members(cluster)[moved])

                refused = self.ctl(cluster, "drain", "dc2", check=False)
                self.assertEqual(refused.returncode, 1, refused.stderr)
                self.assertIn("last active node of its data centre", refused.stderr)
                self.ctl(cluster, "drain", "dc1-b")
                self.settled(cluster)
                self.assertFalse([s for s, names in self.members(cluster).items() if "dc1-b" in names])
                self.ctl(cluster, "remove", "dc1-b")
                self.assertEqual(cluster.end_of("dc1-b", 30), REFUSED_BY_PEERS, cluster.log("dc1-b")[-2000:])
                cluster.names.remove("dc1-b")
                self.ctl(cluster, "remove", "dc1-b")  # again: nothing
            accepted = load.check(self)
            self.note(f"{accepted} transfers")
            self.audit(cluster)

    def test_a_dead_node_is_replaced(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.wait_ready()
            with Load(cluster) as load:
                cluster.kill("dc3")
                shutil.rmtree(cluster.data_dir("dc3"))
                until(lambda: not next(n["up"] for n in self.place(cluster)["nodes"] if n["name"] == "dc3"), 20, "dc3 is down")
                answer = self.ctl(cluster, "replace", "dc3")
                self.assertEqual(answer["number"], 4)
                self.ctl(cluster, "replace", "dc3")
                # A second number could only be given out where the first one had held something.
                cluster.start("dc3", entry="rejoin")
                self.settled(cluster)
                self.assertTrue(all(names == ["dc1", "dc2", "dc3"] for names in self.members(cluster).values()))
                # From then on it is a node like any other.
                self.assertEqual(cluster.stop("dc3")[0], 0)
                cluster.start("dc3")
                cluster.wait_ready("dc3")
            load.check(self)
            self.audit(cluster)

    def test_an_emptied_disk_rejoins_by_one_command(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.wait_ready()
            with Load(cluster) as load:
                # Twice as the same node, so that the peers know of an incarnation that the new process cannot have.
                self.assertEqual(cluster.stop("dc2")[0], 0)
                cluster.start("dc2")
                cluster.wait_ready("dc2")
                cluster.kill("dc2")
                shutil.rmtree(cluster.data_dir("dc2"))
                cluster.start("dc2")
                self.assertEqual(cluster.end_of("dc2"), REFUSED_BY_PEERS, cluster.log("dc2")[-2000:])
                self.assertIn("ledgerd rejoin --config", cluster.log("dc2"))
                cluster.start("dc2", entry="rejoin")
                self.assertEqual(cluster.end_of("dc2"), DATA, cluster.log("dc2")[-2000:])  # not empty: data, though void
                shutil.rmtree(cluster.data_dir("dc2"))
                cluster.start("dc2", entry="rejoin")
                self.settled(cluster)
                self.assertEqual(self.number(cluster, "dc2"), 4)
                # A supervisor may run the same command for ever.
                cluster.kill("dc2")
                cluster.start("dc2", entry="rejoin")
                cluster.wait_ready("dc2")
                self.assertEqual(self.number(cluster, "dc2"), 4)
            load.check(self)
            self.audit(cluster)

    def test_it_grows_to_five_data_centres_and_survives_two(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.wait_ready()
            with Load(cluster) as load:
                for name in ("dc4", "dc5"):
                    self.join(cluster, name, name, command="grow")
                self.settled(cluster)
                self.assertTrue(all(len(names) == 5 for names in self.members(cluster).values()), self.members(cluster))
            load.check(self)
            self.audit(cluster)
            for name in ("dc1", "dc2"):
                cluster.kill(name)
                cluster.names.remove(name)
            transfer = {"id": "after-two", "debit_account": "bank", "credit_account": "alice", "amount": "5"}
            cluster.open_account("bank", normal_side="debit", limit="none")
            cluster.open_account("alice")
            status, body = cluster.call("dc4", "POST", "/v1/ledgers/main/transfers", transfer)
            self.assertEqual(status, 201, body)

    def test_moves_go_on_though_the_nodes_that_make_them_are_killed(self):
        with Cluster(shards=24) as cluster:
            cluster.start()
            cluster.wait_ready()
            self.fill(cluster)
            with Load(cluster) as load:
                self.join(cluster, "dc2-b", "dc2")
                interrupted = 0
                # Back and forth: each time the shards of dc2 are on their way when a node dies.
                for turn, name in enumerate(("dc1", "dc2-b", "dc3", "dc1", "dc2")):
                    leaver, taker = ("dc2", "dc2-b") if turn % 2 == 0 else ("dc2-b", "dc2")
                    self.ctl(cluster, "activate", taker, "--no-wait")
                    self.ctl(cluster, "drain", leaver, "--no-wait")
                    time.sleep(0.2 * turn)
                    left = sum(shard["state"] != "in_place" for shard in self.place(cluster)["shards"])
                    interrupted += left > 0
                    cluster.kill(name)
                    self.note(f"{name} killed while {left} shards were not in place")
                    time.sleep(1)
                    cluster.start(name)
                    cluster.wait_ready(name)
                self.assertGreater(interrupted, 2)
                self.settled(cluster)
                self.assertTrue(all(names == ["dc1", "dc2-b", "dc3"] for names in self.members(cluster).values()))
            load.check(self)
            self.audit(cluster)

    def test_two_nodes_in_each_data_centre_share_its_shards(self):
        with Cluster(nodes_per_dc=2) as cluster:
            cluster.start()
            cluster.wait_ready()
            members = self.members(cluster)
            self.assertEqual({name for names in members.values() for name in names}, set(cluster.names))
            with Load(cluster) as load:
                cluster.kill("dc2-a")
                time.sleep(2)
                cluster.start("dc2-a")
                cluster.wait_ready("dc2-a")
            load.check(self)
            self.audit(cluster)

    def test_who_is_not_registered_does_not_run(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.wait_ready()
            cluster.prepare("dc1-b", "dc1")
            cluster.start("dc1-b")
            self.assertEqual(cluster.end_of("dc1-b"), CONFIGURATION, cluster.log("dc1-b"))
            self.assertIn("ledgerctl cluster add-node", cluster.log("dc1-b"))
            self.assertFalse(os.path.exists(os.path.join(cluster.data_dir("dc1-b"), "db")))


if __name__ == "__main__":
    unittest.main()
