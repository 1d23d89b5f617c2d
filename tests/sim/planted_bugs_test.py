#!/usr/bin/env python3
"""Plants every bug of planted_bugs.txt, one at a time, and asserts that the simulator notices, within the stated bound.

usage: planted_bugs_test.py --build DIR [--jobs N] [--measure] [NAME ...]
Builds the target ledger-sim-bugs in DIR first and says how long that took. Asserts besides that the table and the `Bug` points of
the sources name the same bugs, that the same drivers find nothing where no bug is switched on, and that no production binary
in DIR holds the name of a bug. --measure: says where each bug is caught, up to ten times its bound.
"""
import argparse
import concurrent.futures
import dataclasses
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FOLDERS = ("base", "ledger", "replication", "cluster", "txn", "audit", "api", "ops")
# What a run says that only waited in vain. Good enough for a bug of liveness, and for no other.
IN_VAIN = ("not everything was decided", "nothing is on its way", "in time", "stays in doubt", "do not converge")
SEED_ARGUMENTS = ("--seconds", "20", "--transfers", "300")


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    rule: str
    driver: str  # "core 3", "cluster 5", "explore consensus", ...
    within: int  # steps, seeds or depth
    says: tuple  # parts of what the checkers may say, of which one is said
    liveness: bool


def read_table():
    rows = []
    with open(os.path.join(HERE, "planted_bugs.txt"), encoding="utf-8") as file:
        for line in file:
            if line.startswith("#") or not line.strip():
                continue
            name, rule, driver, within, says = (field.strip() for field in line.split("|"))
            rows.append(Row(name, rule, driver, int(within), tuple(part.strip() for part in says.removeprefix("(liveness) ").split(" or: ")),
                            says.startswith("(liveness)")))
    return rows


def names_in_sources():
    names = set()
    for folder in FOLDERS:
        for at, _, files in os.walk(os.path.join(ROOT, folder)):
            for name in files:
                if name.endswith((".cc", ".h")):
                    with open(os.path.join(at, name), encoding="utf-8") as file:
                        names |= set(re.findall(r'\bBug\(\s*"([^"]+)"', file.read()))
    return names


def run(program, arguments):
    done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          check=False)
    return done.returncode, done.stdout


def commands_of(row, limit, seed=1):
    """The runs that look for the bug, in order: each a list of arguments and the bound that it reaches."""
    driver = row.driver.split()
    if driver[0] == "core":
        yield ["--core", "--replicas", driver[1], "--steps", str(limit), "--seed", str(seed)], limit
    elif driver[0] == "cluster":
        for number in range(seed, seed + limit):
            yield ["--seed", str(number), "--dcs", driver[1], *driver[2:], *SEED_ARGUMENTS], number - seed + 1
    else:
        yield [f"--{driver[0]}", *driver[1:], "--depth", str(limit)], limit


def what_it_says(output):
    said = [line for line in output.split("\n") if line.startswith(("CHECK failed", "FAILED"))]
    return said[0] if said else ""


def reached(row, output, bound):
    steps = re.search(r"^(\d+) steps in", output, re.M)
    return int(steps.group(1)) if row.driver.startswith("core") and steps else bound


def look_for(program, row, limit):
    """(caught at, what was said); (None, ...) where it was not noticed."""
    for arguments, bound in commands_of(row, limit):
        code, output = run(program, ["--bug", row.name, *arguments])
        if code != 0:
            return reached(row, output, bound), what_it_says(output) or f"exit code {code}: {output[-300:]}"
    return None, "nothing"


def verdict(program, row, measure):
    at, said = look_for(program, row, row.within * (10 if measure else 1))
    line = f"{row.name}: {row.driver}, within {row.within}: "
    if at is None:
        return False, line + "NOT CAUGHT"
    line += f"caught at {at}: {said[:160]}"
    if not any(words in said for words in row.says):
        return False, line + f"\n    but the table expects: {' or: '.join(row.says)}"
    if not row.liveness and any(words in said for words in IN_VAIN):
        return False, line + "\n    but only by waiting in vain, and it is no bug of liveness"
    return True, line


def control(program, driver, rows):
    """The same driver, as far as the bounds of its bugs reach, without a bug: a checker that cries wolf catches nothing."""
    farthest = max((row for row in rows if row.driver == driver), key=lambda row: row.within)
    for arguments, bound in commands_of(farthest, farthest.within):
        code, output = run(program, arguments)
        if code != 0:
            return False, f"no bug, {driver}: FAILED at {bound}: {what_it_says(output)}"
    return True, f"no bug, {driver}, {farthest.within}: clean"


def production_is_clean(build, names):
    good = True
    looked = []
    for name in ("ledgerd", "ledgerctl", "ledger-sim"):
        path = os.path.join(build, "bin", name)
        if not os.path.exists(path):
            good = good and name != "ledgerd"  # the one that must be looked at
            continue
        looked.append(name)
        with open(path, "rb") as file:
            content = file.read()
        held = [bug for bug in sorted(names) if bug.encode() in content]
        if held:
            print(f"{name} holds the names of planted bugs: {', '.join(held)}")
            good = False
    print(f"{'no planted bug is built into' if good else 'looked for the names of planted bugs in'}: {', '.join(looked)}")
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    rows = read_table()
    good = True
    in_table, in_sources = {row.name for row in rows}, names_in_sources()
    for name in sorted(in_sources ^ in_table):
        print(f"{name}: only in the {'table' if name in in_table else 'sources'}")
        good = False
    began = time.monotonic()
    subprocess.run(["cmake", "--build", options.build, "--target", "ledger-sim-bugs", "--parallel", "2"], check=True,
                   stdout=subprocess.DEVNULL)
    print(f"built ledger-sim-bugs in {time.monotonic() - began:.0f} s")
    program = os.path.join(options.build, "bin", "ledger-sim-bugs")
    good &= production_is_clean(options.build, in_sources)
    rows = [row for row in rows if not options.names or row.name in options.names]
    later = [row.name for row in rows if row.driver == "later"]
    rows = [row for row in rows if row.driver != "later"]
    print(f"{len(later)} that nobody looks for yet: {', '.join(later)}" if later else "")
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        # Longest first, so that the end is not one slow bug alone.
        work = [pool.submit(control, program, driver, rows) for driver in sorted({row.driver for row in rows})]
        work += [pool.submit(verdict, program, row, options.measure) for row in rows]
        for future in work:
            passed, line = future.result()
            print(line if passed else f"FAILED {line}", flush=True)
            good &= passed
    print(f"{len(rows)} bugs in {time.monotonic() - began:.0f} s: {'all caught' if good else 'FAILED'}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
