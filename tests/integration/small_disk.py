"""A file system of a few MiB under one data centre of a cluster, to be filled and freed."""
import os
import subprocess
import unittest

MIB = 1 << 20


def needs_root():
    """Skips where nothing can be mounted."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("mounting a small file system needs root")
    if not os.path.exists("/dev/loop-control"):
        raise unittest.SkipTest("there are no loop devices to mount a small file system on")


class SmallDisk:
    """Mounted where data centre `name` has its data directory, before its first start. Use as a context manager inside that of
    the cluster."""

    def __init__(self, cluster, name, mib, min_free_mib):
        self.mount = cluster.data_dir(name)
        self.image = os.path.join(cluster.folder, f"{name}.image")
        self.filler = os.path.join(self.mount, "filler")
        with open(self.image, "wb") as file:
            file.truncate(mib * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self.image], check=True)
        os.makedirs(self.mount)
        subprocess.run(["mount", "-o", "loop", self.image, self.mount], check=True)
        cluster.write_config(name, min_free_mib=min_free_mib, memory_budget_mib=32)
        self.process_of = lambda: cluster.processes.get(name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        process = self.process_of()
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        subprocess.run(["umount", self.mount], check=True)

    def free_mib(self):
        found = os.statvfs(self.mount)
        return found.f_bavail * found.f_frsize // MIB

    def fill(self, leave_mib):
        """Somebody else takes all but `leave_mib`."""
        size = os.path.getsize(self.filler) if os.path.exists(self.filler) else 0
        fd = os.open(self.filler, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(fd, 0, size + max(0, self.free_mib() - leave_mib) * MIB)
        finally:
            os.close(fd)

    def clear(self):
        os.remove(self.filler)
