"""A disk under one data centre of a cluster that can be watched, slowed and broken; see disk_shim.c."""
import bisect
import collections
import mmap
import os
import re
import struct
import time

from cluster import program

WORDS = 64
LOG_SYNCS, OTHER_SYNCS, LOG_WRITES, FAILED_SYNCS, REFUSED_WRITES = range(5)
SYNC_DELAY_US, FAIL_SYNCS, REFUSE_WRITES = 16, 17, 18

Write = collections.namedtuple("Write", "file offset bytes begin end")
Sync = collections.namedtuple("Sync", "file covered begin end")


def now_ns():
    return time.monotonic_ns()  # CLOCK_MONOTONIC, as the shim's


class ShimmedDisk:
    """From the next start of data centre `name` of `cluster` on."""

    def __init__(self, cluster, name):
        self.folder = cluster.data_dir(name)
        self.trace_path = os.path.join(cluster.folder, f"{name}.trace")
        control = os.path.join(cluster.folder, f"{name}.control")
        with open(control, "wb") as file:
            file.write(bytes(8 * WORDS))
        with open(control, "r+b") as file:
            self.words = mmap.mmap(file.fileno(), 8 * WORDS)
        cluster.environment[name] = {
            "LD_PRELOAD": program("paxledger_disk_shim.so"),
            "PAXLEDGER_SHIM_CONTROL": control,
            "PAXLEDGER_SHIM_TRACE": self.trace_path,
            "PAXLEDGER_SHIM_DIR": self.folder,
        }

    def get(self, word):
        return struct.unpack_from("<Q", self.words, 8 * word)[0]

    def set(self, word, value):
        struct.pack_into("<Q", self.words, 8 * word, value)

    def events(self):
        """(writes, syncs, failed syncs) of write-ahead logs so far."""
        writes, syncs, failed = [], [], []
        with open(self.trace_path, encoding="ascii") as file:
            for line in file:
                kind, name, *numbers = line.split()
                numbers = [int(number) for number in numbers]
                if kind == "W":
                    writes.append(Write(name, *numbers))
                else:
                    (syncs if kind == "S" else failed).append(Sync(name, *numbers))
        return writes, syncs, failed


class DurableBytes:
    """When what stands in the write-ahead logs of a data centre was durable there. Made after the run.

    pattern: of the texts that will be asked for
    """

    def __init__(self, disk, pattern):
        writes, syncs, _ = disk.events()
        self.writes = collections.defaultdict(list)
        self.syncs = collections.defaultdict(list)
        for write in writes:
            self.writes[write.file].append(write)
        for sync in syncs:
            self.syncs[sync.file].append(sync)
        self.first = {}  # text: (file, offset)
        for name in sorted(self.writes):
            try:
                with open(os.path.join(disk.folder, "db", name), "rb") as file:
                    content = file.read()
            except FileNotFoundError:  # its rows are in a sorted file by now
                continue
            for match in re.finditer(pattern, content):
                self.first.setdefault(match.group(0), (name, match.start()))

    def durable_at(self, text):
        """(end of the write that holds `text` first, end of the first sync that began after it and covers it), or None."""
        if text not in self.first:
            return None
        name, at = self.first[text]
        write = self.writes[name][bisect.bisect_right(self.writes[name], at, key=lambda write: write.offset) - 1]
        syncs = self.syncs[name]
        after = bisect.bisect_left(syncs, write.end, key=lambda sync: sync.begin)
        covering = (sync.end for sync in syncs[after:] if sync.covered >= write.offset + write.bytes)
        return write.end, next(covering, None)
