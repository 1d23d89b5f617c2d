#!/usr/bin/env python3
"""What an operator meets: each mistake ends ledgerd with a clear line and the exit code that `ledgerd --help` names."""
import glob
import json
import os
import shutil
import socket
import subprocess
import unittest

from cluster import Cluster, program, until

USAGE, DATA, PORT_TAKEN, REFUSED_BY_PEERS, DIRECTORY_LOCKED, CONFIGURATION = 64, 65, 69, 70, 75, 78
NO_ROOM, DISK = 73, 74


class CommandLine(unittest.TestCase):
    def run_ledgerd(self, *arguments):
        return subprocess.run([program("ledgerd"), *arguments], capture_output=True, text=True, timeout=20, check=False)

    def test_help_names_the_exit_codes(self):
        done = self.run_ledgerd("--help")
        self.assertEqual(done.returncode, 0)
        for code in (USAGE, DATA, PORT_TAKEN, REFUSED_BY_PEERS, NO_ROOM, DISK, DIRECTORY_LOCKED, CONFIGURATION):
            self.assertIn(f"\n  {code}  ", done.stdout)

    def test_wrong_command_lines(self):
        for arguments in ((), ("serve",), ("run",), ("run", "--confg", "x"), ("run", "--config"),
                          ("init", "--data-centres", "dc1"), ("init", "--data-centres", "dc1,dc2", "--peers", "dc1=h:1"),
                          ("init", "--data-centres", "dc1", "--peers", "dc1=nowhere"),
                          ("init", "--data-centres", "dc1", "--peers", "dc1=h:1", "--shards", "0")):
            done = self.run_ledgerd(*arguments)
            self.assertEqual(done.returncode, USAGE, (arguments, done.stderr))
            self.assertIn("ledgerd", done.stderr)


class Starts(unittest.TestCase):
    """One data centre of a cluster is enough to meet these."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__()

    def setUp(self):
        self.cluster.write_config("dc1")
        open(self.cluster.log_path("dc1"), "w", encoding="utf-8").close()

    def ends(self, code, *words):
        """dc1 ends by itself with `code` and says all of `words`."""
        self.cluster.start("dc1")
        self.assertEqual(self.cluster.end_of("dc1"), code, self.cluster.log("dc1"))
        for word in words:
            self.assertIn(word, self.cluster.log("dc1"))

    def config_with(self, **changes):
        self.cluster.write_config("dc1", **changes)

    def test_wrong_keys_and_values(self):
        good = self.cluster.config("dc1")
        for changes, word in (({"datadir": "x"}, "datadir"),
                              ({"https": {**good["https"], "lisen": "x"}}, "https.lisen"),
                              ({"https": {**good["https"], "listen": 7101}}, "https.listen"),
                              ({"data_centre": "dc9"}, "dc9"),
                              ({"memory_budget_mib": "much"}, "memory_budget_mib"),
                              ({"log_level": "loud"}, "log_level"),
                              ({"genesis": "nowhere.json"}, "nowhere.json"),
                              ({"api_keys": [{"name": "a", "sha256": "12", "scopes": ["*"]}]}, "api_keys[0].sha256"),
                              ({"api_keys": [{"name": "a", "sha256": "1" * 64, "scopes": ["fly"]}]}, "fly")):
            with self.subTest(word):
                self.config_with(**changes)
                self.ends(CONFIGURATION, word)

    def test_config_file_is_missing(self):
        os.remove(self.cluster.config_path("dc1"))
        self.ends(CONFIGURATION, "dc1.json")

    def test_taken_ports(self):
        for port in (self.cluster.https["dc1"], self.cluster.peers["dc1"]):
            with self.subTest(port), socket.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind(("127.0.0.1", port))
                taken.listen()
                self.ends(PORT_TAKEN, str(port))

    def test_bad_certificates(self):
        good = self.cluster.config("dc1")
        broken = os.path.join(self.cluster.folder, "broken.pem")
        with open(broken, "w", encoding="utf-8") as file:
            file.write("-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n")
        other_key = os.path.join(self.cluster.certificates, "dc2.key")
        other_pem = os.path.join(self.cluster.certificates, "dc2.pem")
        for door in ("https", "peers"):
            for changes in ({"certificate": broken}, {"certificate": "nowhere.pem"}, {"private_key": other_key}):
                with self.subTest((door, changes)):
                    self.config_with(**{door: {**good[door], **changes}})
                    self.ends(CONFIGURATION)
        with self.subTest("the certificate of another replica"):
            self.config_with(peers={**good["peers"], "certificate": other_pem, "private_key": other_key})
            self.ends(CONFIGURATION, "is not of dc1.")

    def test_data_of_a_newer_format(self):
        self.config_with(data_dir="newer")
        self.cluster.start("dc1")
        self.wait_for_format("newer")
        self.assertEqual(self.cluster.stop("dc1")[0], 0, self.cluster.log("dc1"))
        path = os.path.join(self.cluster.folder, "newer", "FORMAT")
        with open(path, "w", encoding="utf-8") as file:
            file.write("paxledger-data 99\n")
        self.ends(DATA, "has format 99; this program knows formats up to 3")

    def test_genesis_of_a_newer_format(self):
        with open(self.cluster.genesis, encoding="utf-8") as file:
            text = file.read()
        newer = os.path.join(self.cluster.folder, "other.json")
        with open(newer, "w", encoding="utf-8") as file:
            file.write(text.replace('"format_version": 1', '"format_version": 3'))
        self.config_with(genesis=newer)
        self.ends(DATA, "is newer than this program")

    def test_locked_data_directory(self):
        self.config_with(data_dir="locked")
        self.cluster.start("dc1")
        self.wait_for_format("locked")
        first = self.cluster.processes["dc1"]
        good = self.cluster.config("dc1")
        free = Cluster(names=("dc1",))
        try:
            self.config_with(data_dir="locked", https={**good["https"], "listen": f"127.0.0.1:{free.https['dc1']}"},
                             peers={**good["peers"], "listen": f"127.0.0.1:{free.peers['dc1']}"})
            self.ends(DIRECTORY_LOCKED, "locked")
        finally:
            free.__exit__()
            first.terminate()
            self.assertEqual(first.wait(timeout=20), 0)

    def wait_for_format(self, folder):
        until(lambda: "serving" in self.cluster.log("dc1"), 20, "dc1 serves")
        self.assertTrue(glob.glob(os.path.join(self.cluster.folder, folder, "FORMAT")))


class Peers(unittest.TestCase):
    """A disk that lost what it promised may not come back under the same replica id (consensus.md rules 1 and 18)."""

    def restart(self, cluster, name):
        cluster.kill(name)
        cluster.start(name)
        cluster.wait_ready(name)

    def test_emptied_disk_is_refused_by_the_peers(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.wait_ready()
            self.restart(cluster, "dc3")
            cluster.kill("dc3")
            os.rename(cluster.data_dir("dc3"), cluster.data_dir("dc3") + ".lost")
            cluster.start("dc3")
            self.assertEqual(cluster.end_of("dc3"), REFUSED_BY_PEERS, cluster.log("dc3"))
            # A supervisor tries again and again; each start takes a higher number, which must not lead past the peers.
            for _ in range(3):
                cluster.start("dc3")
                self.assertEqual(cluster.end_of("dc3"), DATA, cluster.log("dc3"))
                self.assertIn("rule 18", cluster.log("dc3"))

    def test_old_image_of_a_disk_is_refused_by_the_peers(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.wait_ready()
            cluster.kill("dc3")
            image = cluster.data_dir("dc3") + ".image"
            shutil.copytree(cluster.data_dir("dc3"), image)
            cluster.start("dc3")
            cluster.wait_ready("dc3")
            self.restart(cluster, "dc3")
            cluster.kill("dc3")
            shutil.rmtree(cluster.data_dir("dc3"))
            os.rename(image, cluster.data_dir("dc3"))
            cluster.start("dc3")
            self.assertEqual(cluster.end_of("dc3"), REFUSED_BY_PEERS, cluster.log("dc3"))

    def test_node_of_another_cluster_is_refused(self):
        with Cluster() as cluster, Cluster() as other:
            cluster.start()
            cluster.wait_ready()
            cluster.kill("dc3")
            # The right certificates and addresses, but the creation document of another cluster of the same shape.
            with open(other.genesis, encoding="utf-8") as file:
                genesis = json.load(file)
            with open(cluster.genesis, encoding="utf-8") as file:
                genesis["data_centres"] = json.load(file)["data_centres"]
            foreign = os.path.join(cluster.folder, "foreign.json")
            with open(foreign, "w", encoding="utf-8") as file:
                json.dump(genesis, file)
            cluster.write_config("dc3", genesis=foreign, data_dir="data-foreign")
            cluster.start("dc3")
            code = cluster.end_of("dc3")
            # Its own certificate names the other cluster, so it does not even start.
            self.assertEqual(code, CONFIGURATION, cluster.log("dc3"))


if __name__ == "__main__":
    unittest.main()
