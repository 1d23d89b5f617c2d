#!/usr/bin/env python3
"""A disk without room under a cluster (ARCHITECTURE.md, "When something breaks").

usage: full_disk_test.py [Class.test...], as unittest
"""
import json
import time
import unittest

from cluster import Cluster, KEY, until
from payers import Payers, open_accounts, resident_mib, total
from small_disk import SmallDisk, needs_root

NO_ROOM = 73
DISK_MIB, MIN_FREE_MIB = 256, 64


def is_full(cluster, name):
    return cluster.metric(name, "paxledger_disk_full") == 1


def post(cluster, name, identifier, **fields):
    """One transfer; (status, headers, body)."""
    connection = cluster.connect(name)
    try:
        body = json.dumps({"id": identifier, "debit_account": "bank", "credit_account": "alice-1", "amount": "1", **fields})
        connection.request("POST", "/v1/ledgers/main/transfers", body=body,
                           headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())
    finally:
        connection.close()


class FullDisk(unittest.TestCase):
    def setUp(self):
        needs_root()
        self.cluster = Cluster()
        self.addCleanup(self.cluster.__exit__)

    def small_disks(self, *names):
        disks = [SmallDisk(self.cluster, name, DISK_MIB, MIN_FREE_MIB) for name in names]
        for disk in disks:
            self.addCleanup(disk.__exit__)
        self.cluster.start()
        self.cluster.wait_ready()
        open_accounts(self.cluster)
        return disks

    def equal_everywhere(self, expected):
        cluster = self.cluster
        for name in cluster.names:
            self.assertEqual(total(cluster, name), expected)
        audit = cluster.ledgerctl("audit", "quick", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

    def test_one_of_three_is_served_by_the_other_two_and_catches_up(self):
        cluster = self.cluster
        (disk,) = self.small_disks("dc2")
        payers = Payers(cluster, cluster.names, 6, "one")
        until(lambda: len(payers.posted) > 100, 20, "transfers run")
        disk.fill(leave_mib=MIN_FREE_MIB // 2)
        until(lambda: is_full(cluster, "dc2"), 5, "dc2 sees it")
        groups = cluster.metric("dc2", "paxledger_engine_groups_total")
        before = len(payers.posted)
        time.sleep(3)
        self.assertEqual(cluster.metric("dc2", "paxledger_engine_groups_total"), groups, "something was written")
        self.assertGreater(len(payers.posted), before + 100)
        lanes = {identifier.split("-")[1] for identifier, _, _ in payers.posted[before:]}
        self.assertEqual(lanes, set("012345"), "each data centre took some")
        self.assertEqual(cluster.call("dc2", "GET", "/readyz")[0], 200)
        self.assertIn("no room: nothing is written", cluster.log("dc2"))
        disk.clear()
        until(lambda: not is_full(cluster, "dc2"), 5, "dc2 sees it")
        until(lambda: cluster.metric("dc2", "paxledger_engine_groups_total") > groups, 5, "it writes again")
        payers.stop()
        self.assertEqual(payers.others, [])
        # Whatever was answered while it was full is on its disk now.
        until(lambda: cluster.metric("dc2", "paxledger_engine_queued_bytes") == 0, 10, "all is written")
        cluster.kill("dc1")
        cluster.kill("dc2")
        cluster.start("dc1", "dc2")
        cluster.wait_ready()
        self.equal_everywhere(len(payers.posted))

    def test_two_of_three_refuse_writes_and_answer_reads_until_space_returns(self):
        cluster = self.cluster
        disks = self.small_disks("dc2", "dc3")
        self.assertEqual(post(cluster, "dc1", "first")[0], 201)
        time.sleep(1)  # its Finish is through: nothing is under way
        for disk in disks:
            disk.fill(leave_mib=MIN_FREE_MIB // 2)
        until(lambda: all(is_full(cluster, name) for name in ("dc2", "dc3")), 5, "both see it")
        time.sleep(0.5)  # and have told dc1
        for name in cluster.names:
            status, headers, body = post(cluster, name, f"refused-{name}")
            self.assertEqual((status, body["code"], body["retryable"]), (503, "unavailable", True), body)
            self.assertIn("disk", body["detail"])
            self.assertIn("Retry-After", headers)
            self.assertEqual(cluster.balance(name, "alice-1"), 1)  # a strong read
            self.assertGreater(cluster.metric(name, "paxledger_disk_refusals_total"), 0)
        for disk in disks:
            disk.clear()
        until(lambda: not any(is_full(cluster, name) for name in ("dc2", "dc3")), 5, "both see it")
        for name in cluster.names:
            until(lambda name=name: post(cluster, name, f"refused-{name}")[0] in (200, 201), 10, "writes go on")
        self.equal_everywhere(4)

    def test_what_waits_for_the_disk_is_bounded(self):
        """dc2 follows the others in memory as far as that is bounded; then it refuses, and catches up when space returns."""
        cluster = self.cluster
        (disk,) = self.small_disks("dc2")
        disk.fill(leave_mib=MIN_FREE_MIB // 2)
        until(lambda: is_full(cluster, "dc2"), 5, "dc2 sees it")
        before = resident_mib(cluster.processes["dc2"])
        payers = Payers(cluster, ("dc1", "dc3"), 12, "big", metadata={"text": "x" * 3500})
        until(lambda: cluster.metric("dc2", "paxledger_engine_backlogged") == 1, 120, "the queue is full")
        status, headers, body = post(cluster, "dc2", "refused")
        self.assertEqual((status, body["code"]), (503, "unavailable"), body)
        self.assertIn("disk", body["detail"])
        posted = len(payers.posted)
        time.sleep(5)
        self.assertGreater(len(payers.posted), posted + 100, "the others go on")
        grown = resident_mib(cluster.processes["dc2"]) - before
        print(f"{posted} transfers of 3.5 KiB until the queue was full; dc2 grew by {grown} MiB")
        self.assertLess(grown, 512)
        disk.clear()
        until(lambda: cluster.metric("dc2", "paxledger_engine_backlogged") == 0, 30, "the queue is written")
        payers.stop()
        self.assertEqual(payers.others, [])
        until(lambda: post(cluster, "dc2", "refused")[0] in (200, 201), 60, "dc2 serves again")
        self.equal_everywhere(len(payers.posted) + 1)

    def test_no_start_without_room(self):
        cluster = self.cluster
        (disk,) = self.small_disks("dc2")
        cluster.stop("dc2")
        disk.fill(leave_mib=MIN_FREE_MIB // 2)
        cluster.start("dc2")
        self.assertEqual(cluster.end_of("dc2"), NO_ROOM, cluster.log("dc2"))
        self.assertIn("no room on the disk", cluster.log("dc2"))
        disk.clear()
        cluster.start("dc2")
        cluster.wait_ready("dc2")


if __name__ == "__main__":
    unittest.main()
