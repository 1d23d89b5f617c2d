"""Clients that pay as fast as they are answered, and note what they were told."""
import threading
import time


class Payers:
    """Threads that pay from `bank` to `alice`, one request after another each, and note when each was answered."""

    def __init__(self, cluster, names, threads, prefix, **fields):
        self.cluster, self.names, self.prefix, self.fields = cluster, names, prefix, fields
        self.posted = []  # (id, asked at, answered at)
        self.others = []  # (id, status, body)
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.pay, args=(n,)) for n in range(threads)]
        for thread in self.threads:
            thread.start()

    def pay(self, lane):
        name = self.names[lane % len(self.names)]
        connection = self.cluster.connect(name)
        n = 0
        while not self.stopping.is_set():
            n += 1
            transfer = {"id": f"{self.prefix}-{lane}-{n}.", "debit_account": "bank", "credit_account": f"alice-{lane % 8}",
                        "amount": "1", **self.fields}
            asked = time.monotonic_ns()
            try:
                status, body = self.cluster.call(name, "POST", "/v1/ledgers/main/transfers", transfer, connection)
            except OSError as error:
                connection.close()
                connection = self.cluster.connect(name)
                status, body = 0, str(error)
                time.sleep(0.05)
            if status == 201:
                self.posted.append((transfer["id"], asked, time.monotonic_ns()))
            else:
                self.others.append((transfer["id"], status, body))
        connection.close()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def open_accounts(cluster):
    cluster.open_account("bank", normal_side="debit", limit="none")
    for n in range(8):
        cluster.open_account(f"alice-{n}")


def total(cluster, name):
    return sum(cluster.balance(name, f"alice-{n}") for n in range(8))


def percentile(values, hundredths):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * hundredths // 100)]


def milliseconds(posted):
    return [(answered - asked) / 1e6 for _, asked, answered in posted]


def resident_mib(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) // 1024
