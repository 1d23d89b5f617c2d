#!/usr/bin/env python3
"""What a node makes of its disk: group commit, a failing sync, damage to the write-ahead log.

usage: disk_test.py [Class.test...], as unittest
"""
import glob
import os
import time
import unittest

from cluster import Cluster, until
from disk_shim import FAIL_SYNCS, FAILED_SYNCS, LOG_SYNCS, REFUSE_WRITES, SYNC_DELAY_US
from disk_shim import DurableBytes, ShimmedDisk, now_ns
from payers import Payers, milliseconds, open_accounts, total

DATA, NO_ROOM, DISK = 65, 73, 74


class GroupCommit(unittest.TestCase):
    def test_whatever_was_answered_was_synced_by_a_majority_before(self):
        """And the more there is to do, the more writes share a sync."""
        with Cluster() as cluster:
            disks = {name: ShimmedDisk(cluster, name) for name in cluster.names}
            cluster.start()
            cluster.wait_ready()
            open_accounts(cluster)
            per_transfer = []
            posted = []
            for threads in (1, 24):
                before = sum(disk.get(LOG_SYNCS) for disk in disks.values())
                payers = Payers(cluster, cluster.names, threads, f"load{threads}")
                time.sleep(4)
                payers.stop()
                self.assertEqual(payers.others, [])
                syncs = sum(disk.get(LOG_SYNCS) for disk in disks.values()) - before
                per_transfer.append(syncs / len(payers.posted))
                posted += payers.posted
                print(f"{threads} clients: {len(payers.posted)} transfers, {syncs} syncs of three logs, "
                      f"{per_transfer[-1]:.2f} each")
            for name in cluster.names:
                cluster.kill(name)
            self.assertLess(per_transfer[1], per_transfer[0] / 2)
            self.check_covered(posted, {name: DurableBytes(disk, rb"load\d+-\d+-\d+\.") for name, disk in disks.items()})

    def check_covered(self, posted, logs):
        for identifier, asked, answered in posted:
            durable = 0
            for log in logs.values():
                found = log.durable_at(identifier.encode())
                if found is None or found[1] is None:
                    continue
                written, synced = found
                self.assertGreater(written, asked, identifier)
                if synced < answered:
                    durable += 1
            self.assertGreaterEqual(durable, 2, f"{identifier} was answered before two logs had synced it")

    def test_nothing_is_answered_while_the_disks_of_a_majority_still_sync(self):
        with Cluster() as cluster:
            disks = {name: ShimmedDisk(cluster, name) for name in cluster.names}
            cluster.start()
            cluster.wait_ready()
            open_accounts(cluster)
            for name in ("dc1", "dc3"):
                disks[name].set(SYNC_DELAY_US, 400_000)
            payers = Payers(cluster, cluster.names, 3, "slow")
            time.sleep(4)
            payers.stop()
            self.assertGreater(len(payers.posted), 0)
            self.assertGreater(min(milliseconds(payers.posted)), 400)


class FailingSync(unittest.TestCase):
    """A sync fails once and would succeed if tried again, as the kernel does it: the process must not try."""

    def test_process_stops_and_the_others_carry_on(self):
        with Cluster() as cluster:
            disk = ShimmedDisk(cluster, "dc2")
            cluster.start()
            cluster.wait_ready()
            open_accounts(cluster)
            payers = Payers(cluster, ("dc1", "dc3"), 4, "fail")
            until(lambda: len(payers.posted) > 100, 20, "transfers run")
            disk.set(FAIL_SYNCS, 1)
            self.assertEqual(cluster.end_of("dc2"), DISK, cluster.log("dc2"))
            ended = now_ns()
            self.assertIn("storage failed, the process stops", cluster.log("dc2"))
            until(lambda: sum(asked > ended for _, asked, _ in payers.posted) > 100, 20, "the others go on")
            payers.stop()
            self.assertEqual(payers.others, [])
            _, syncs, failed = disk.events()
            self.assertEqual((disk.get(FAILED_SYNCS), len(failed)), (1, 1))
            self.assertEqual([sync for sync in syncs if sync.end > failed[0].end], [], "the sync was tried again")
            # The worst that the failure may mean: nothing after the last good sync of that log reached the disk.
            durable = max(sync.covered for sync in syncs if sync.file == failed[0].file)
            log = os.path.join(cluster.data_dir("dc2"), "db", failed[0].file)
            self.assertGreater(os.path.getsize(log), durable)
            os.truncate(log, durable)
            cluster.environment.clear()
            cluster.start("dc2")
            cluster.wait_ready("dc2")
            for name in cluster.names:
                self.assertEqual(total(cluster, name), len(payers.posted))
            cluster.ledgerctl("audit", "quick")

    def test_no_space_in_spite_of_all_ends_the_process_too(self):
        with Cluster() as cluster:
            disk = ShimmedDisk(cluster, "dc2")
            cluster.start()
            cluster.wait_ready()
            open_accounts(cluster)
            disk.set(REFUSE_WRITES, 1)
            payers = Payers(cluster, ("dc1",), 1, "full")
            self.assertEqual(cluster.end_of("dc2"), NO_ROOM, cluster.log("dc2"))
            until(lambda: len(payers.posted) > 20, 20, "the others go on")
            payers.stop()
            # As long as there is none, it does not start.
            cluster.start("dc2")
            self.assertEqual(cluster.end_of("dc2"), NO_ROOM, cluster.log("dc2"))
            disk.set(REFUSE_WRITES, 0)
            cluster.start("dc2")
            cluster.wait_ready("dc2")
            self.assertEqual(total(cluster, "dc2"), len(payers.posted))


class DamagedLog(unittest.TestCase):
    """The write-ahead log of a real node (consensus.md rule 19)."""

    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.__exit__)
        self.cluster.start()
        self.cluster.wait_ready()
        open_accounts(self.cluster)
        payers = Payers(self.cluster, self.cluster.names, 4, "t")
        until(lambda: len(payers.posted) > 100, 20, "transfers run")
        payers.stop()
        self.posted = len(payers.posted)
        self.cluster.kill("dc3")
        logs = glob.glob(os.path.join(self.cluster.data_dir("dc3"), "db", "*.log"))
        self.log = max(logs, key=os.path.getsize)

    def test_flipped_byte_in_the_middle_is_refused(self):
        with open(self.log, "r+b") as file:
            file.seek(os.path.getsize(self.log) // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 0x40]))
        self.cluster.start("dc3")
        self.assertEqual(self.cluster.end_of("dc3"), DATA, self.cluster.log("dc3"))
        self.assertRegex(self.cluster.log("dc3"), "Corruption|is damaged at byte")

    def test_torn_tail_is_dropped(self):
        # What no sync covered may be torn; here that is what came after the last one.
        with open(self.log, "ab") as file:
            file.write(b"\x01\x02\x03\x04\xff\x00\x01half of a record")
        self.cluster.start("dc3")
        self.cluster.wait_ready("dc3")
        self.assertEqual(total(self.cluster, "dc3"), self.posted)


if __name__ == "__main__":
    unittest.main()
