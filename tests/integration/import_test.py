#!/usr/bin/env python3
"""Real payment data through the whole system, against figures that were computed without it (../shared/data/README.md).

Found by PAXLEDGER_DATA; where it is absent these are skipped, or fail under PAXLEDGER_REQUIRE_DATA.
"""
import json
import os
import unittest

from cluster import DATA, Cluster

ORDERS = os.path.join(DATA, "berka", "order.csv")
ACCOUNTS = os.path.join(DATA, "berka", "account.csv")
NODES = os.path.join(DATA, "amlsim", "nodes.csv")
TRANSACTIONS = os.path.join(DATA, "amlsim", "transactions.csv")


def needs_data(test):
    there = all(os.path.exists(path) for path in (ORDERS, ACCOUNTS, NODES, TRANSACTIONS))
    if there or os.environ.get("PAXLEDGER_REQUIRE_DATA"):
        return test
    return unittest.skip(f"no payment data at PAXLEDGER_DATA={DATA}")(test)


def balances(cluster, name, prefix):
    """Every account whose id begins with `prefix`, as `name` reads it: id -> balance."""
    found = {}
    connection = cluster.connect(name, timeout=30)
    cursor = ""
    while True:
        status, page = cluster.call(
            name, "GET", f"/v1/ledgers/main/accounts?prefix={prefix}&limit=1000" + (f"&cursor={cursor}" if cursor else ""),
            connection=connection)
        assert status == 200, (status, page)
        for account in page["data"]:
            found[account["id"]] = int(account["balances"]["balance"])
        if not page["has_more"]:
            connection.close()
            return found
        cursor = page["next_cursor"]


class Import(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.__exit__)
        self.cluster.start()
        self.cluster.wait_ready()

    def run_import(self, *arguments):
        return json.loads(self.cluster.ledgerctl("import", *arguments, "--json", timeout=1500).stdout)

    def import_orders(self, *arguments):
        return self.run_import(
            ORDERS, "--delimiter", ";", "--id", "ord-{order_id}", "--debit", "acct:{account_id}",
            "--credit", "ext:{bank_to}:{account_to}", "--amount", "{amount}", "--asset", "CZK/2",
            "--open-accounts", "debits_must_not_exceed_credits", *arguments)

    def audit(self):
        audit = self.cluster.ledgerctl("audit", "quick", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

    def resident_mib(self, name):
        with open(f"/proc/{self.cluster.processes[name].pid}/status", encoding="utf-8") as file:
            line = next(line for line in file if line.startswith("VmRSS:"))
        return int(line.split()[1]) // 1024

    @needs_data
    def test_orders_funded_by_their_sum_are_all_accepted_and_importing_again_changes_nothing(self):
        result = self.import_orders("--fund", "exact", "--funding-account", "world")
        self.assertEqual((result["rows"], result["accepted"], result["refused"], result["failed"]), (6471, 6471, 0, 0))
        for name in self.cluster.names:
            sources = balances(self.cluster, name, "acct:")
            self.assertEqual(len(sources), 3758)
            self.assertEqual(set(sources.values()), {0})
            self.assertEqual(sum(balances(self.cluster, name, "ext:").values()), 2_122_899_360)
        before = balances(self.cluster, "dc1", "ext:")
        again = self.import_orders("--fund", "exact", "--funding-account", "world")
        self.assertEqual((again["accepted"], again["refused"], again["failed"]), (6471, 0, 0))
        self.assertEqual(balances(self.cluster, "dc2", "ext:"), before)
        self.audit()

    @needs_data
    def test_orders_with_5000_on_each_account_in_file_order(self):
        result = self.import_orders("--accounts", ACCOUNTS, "--account-id", "acct:{account_id}",
                                    "--account-fund", "5000.00", "--clients", "1")
        self.assertEqual((result["accepted"], result["failed"]), (4458, 0))
        self.assertEqual(result["refused_by_code"], {"insufficient_funds": 2013})
        self.audit()

    @needs_data
    def test_amlsim_in_file_order(self):
        result = self.run_import(
            TRANSACTIONS, "--id", "aml-{row}", "--debit", "node:{sourceNodeId}", "--credit", "node:{targetNodeId}",
            "--amount", "{value}", "--asset", "USD/2", "--open-accounts", "debits_must_not_exceed_credits",
            "--accounts", NODES, "--account-id", "node:{nodeid}", "--account-fund", "{init_balance}", "--ordered")
        self.assertEqual((result["accepted"], result["failed"]), (46538, 0))
        self.assertEqual(result["refused_by_code"]["same_account"], 15)
        self.assertEqual(result["refused"], 120558 - 46538)
        nodes = balances(self.cluster, "dc3", "node:")
        self.assertEqual(len(nodes), 20000)
        self.assertEqual(sum(nodes.values()), 560_095_352)
        self.audit()
        for name in self.cluster.names:
            resident = self.resident_mib(name)
            print(f"{name} holds {resident} MiB resident after {result['rows']} rows in {result['seconds']} s")
            self.assertLess(resident, 300)


if __name__ == "__main__":
    unittest.main()
