"""A cluster of real `ledgerd` processes on free ports, in a folder of its own, for the tests beside this file."""
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BIN = os.environ.get("PAXLEDGER_BIN", os.path.join(ROOT, "build", "release", "bin"))
DATA = os.environ.get("PAXLEDGER_DATA", os.path.join(ROOT, "..", "shared", "data"))
KEY = "integration-test-key"


def program(name):
    return os.path.join(BIN, name)


def free_ports(count):
    """Ports that nobody listens on, below those that the kernel gives to outgoing connections."""
    found, held = [], []
    while len(found) < count:
        port = random.randint(15000, 30000)
        probe = socket.socket()
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.close()
            continue
        held.append(probe)
        found.append(port)
    for probe in held:
        probe.close()
    return found


def until(condition, seconds, what):
    """Waits until `condition()` is true and returns what it returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Cluster:
    """Three data centres of one node each by default. Use as a context manager: it kills what it started and removes the
    folder. `names`: of the data centres; from then on those of the nodes, which are the same where each has one."""

    def __init__(self, names=("dc1", "dc2", "dc3"), shards=12, nodes_per_dc=1, mode="leaderless"):
        nodes = [""] if nodes_per_dc == 1 else [f"-{letter}" for letter in "abcdefgh"[:nodes_per_dc]]
        self.data_centres = {dc + node: dc for dc in names for node in nodes}  # by name of the node
        self.names = list(self.data_centres)
        self.folder = tempfile.mkdtemp(prefix="paxledger-")
        ports = free_ports(2 * len(self.names))
        self.https = dict(zip(self.names, ports))
        self.peers = dict(zip(self.names, ports[len(self.names):]))
        self.processes = {}
        self.joined = []  # names of nodes that are in no creation document
        self.environment = {}  # by name: variables that are added to those of the process
        self.certificates = os.path.join(self.folder, "certificates")
        self.genesis = os.path.join(self.folder, "genesis.json")
        self.run("ledgerd", "init", "--data-centres", ",".join(names), "--nodes-per-dc", str(nodes_per_dc),
                 "--shards", str(shards), "--mode", mode, "--out", self.genesis, "--peers",
                 ",".join(f"{n}=127.0.0.1:{self.peers[n]}" for n in self.names))
        subprocess.run([os.path.join(ROOT, "ops", "certificates"), self.certificates, self.genesis], check=True)
        self.ca = os.path.join(self.certificates, "ca.pem")
        self.key_file = os.path.join(self.folder, "api-key")
        with open(self.key_file, "w", encoding="utf-8") as file:
            file.write(KEY + "\n")
        self.tls = ssl.create_default_context(cafile=self.ca)
        for name in self.names:
            self.write_config(name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        if os.environ.get("PAXLEDGER_KEEP"):
            print("kept", self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, name, *arguments, check=True, timeout=600):
        """Runs one of our programs to its end."""
        done = subprocess.run([program(name), *arguments], capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{name} {arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    # --- configuration ---

    def config(self, name):
        pem = os.path.join(self.certificates, name)
        return {
            "genesis": self.genesis,
            "data_centre": self.data_centres[name],
            "data_dir": f"data-{name}",
            "https": {"listen": f"127.0.0.1:{self.https[name]}", "certificate": pem + ".pem", "private_key": pem + ".key"},
            "peers": {"certificate": pem + ".pem", "private_key": pem + ".key", "ca": self.ca},
            "api_keys": [{"name": "test", "sha256": hashlib.sha256(KEY.encode()).hexdigest(), "scopes": ["*"]}],
        }

    def config_path(self, name):
        return os.path.join(self.folder, f"{name}.json")

    def data_dir(self, name):
        return os.path.join(self.folder, f"data-{name}")

    def log_path(self, name):
        return os.path.join(self.folder, f"{name}.log")

    def log(self, name):
        with open(self.log_path(name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def write_config(self, name, **changes):
        """Writes the configuration; `changes` replace its top-level keys."""
        config = self.config(name)
        if self.data_centres[name] != name:
            config["node"] = name
        if name in self.joined:
            config["node"] = name
            config["peers"]["listen"] = f"127.0.0.1:{self.peers[name]}"
        with open(self.config_path(name), "w", encoding="utf-8") as file:
            json.dump({**config, **changes}, file)

    def prepare(self, name, data_centre):
        """What a node that is in no creation document needs, but its registration."""
        self.data_centres[name] = data_centre
        self.https[name], self.peers[name] = free_ports(2)
        self.joined.append(name)
        subprocess.run([os.path.join(ROOT, "ops", "certificates"), self.certificates, self.genesis, *self.joined], check=True)
        self.write_config(name)

    # --- processes ---

    def start(self, *names, entry="run"):
        for name in names or self.names:
            with open(self.log_path(name), "ab") as log:
                self.processes[name] = subprocess.Popen(
                    [program("ledgerd"), entry, "--config", self.config_path(name)], stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, env={**os.environ, **self.environment.get(name, {})})

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def stop(self, name):
        """SIGTERM; returns (exit code, seconds it took)."""
        begin = time.monotonic()
        self.processes[name].send_signal(signal.SIGTERM)
        return self.processes[name].wait(timeout=20), time.monotonic() - begin

    def end_of(self, name, seconds=20):
        """Waits for a process that is expected to end by itself; returns its exit code."""
        return self.processes[name].wait(timeout=seconds)

    def wait_ready(self, *names, seconds=60):
        for name in names or self.names:
            def ready(name=name):
                code = self.processes[name].poll()
                if code is not None:
                    raise AssertionError(f"{name} ended with {code}:\n{self.log(name)[-3000:]}")
                try:
                    return self.call(name, "GET", "/readyz")[0] == 200
                except OSError:
                    return False
            until(ready, seconds, f"{name} is ready")

    # --- requests ---

    def connect(self, name, timeout=15):
        return http.client.HTTPSConnection("127.0.0.1", self.https[name], context=self.tls, timeout=timeout)

    def call(self, name, method, path, body=None, connection=None):
        """One request; returns (status, decoded body)."""
        http_connection = connection or self.connect(name)
        try:
            headers = {"Authorization": f"Bearer {KEY}"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            http_connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
            answer = http_connection.getresponse()
            data = answer.read()
            is_json = "json" in (answer.getheader("Content-Type") or "")
            return answer.status, json.loads(data) if is_json and data else data.decode()
        finally:
            if connection is None:
                http_connection.close()

    def open_account(self, account, name=None, **fields):
        status, body = self.call(name or self.names[0], "POST", "/v1/ledgers/main/accounts",
                                 {"id": account, "asset": "USD/2", **fields})
        assert status in (200, 201), (status, body)
        return body

    def account(self, name, account):
        status, body = self.call(name, "GET", f"/v1/ledgers/main/accounts/{account}")
        assert status == 200, (status, body)
        return body

    def balance(self, name, account):
        return int(self.account(name, account)["balances"]["balance"])

    def metric(self, name, metric):
        """The sum over the labels of a metric."""
        status, text = self.call(name, "GET", "/metrics")
        assert status == 200, (status, text)
        values = [line.rsplit(" ", 1)[1] for line in text.splitlines()
                  if line.split("{")[0].split(" ")[0] == metric]
        assert values, f"no metric {metric}"
        return sum(float(value) for value in values)

    # --- tools ---

    def ledgerctl(self, *arguments, check=True, timeout=600):
        urls = ",".join(f"https://127.0.0.1:{self.https[n]}" for n in self.names)
        return self.run("ledgerctl", *arguments, "--endpoints", urls, "--ca", self.ca, "--api-key-file", self.key_file,
                        check=check, timeout=timeout)
