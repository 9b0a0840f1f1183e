#!/usr/bin/env python3
"""What a worker costs while it waits: connected to a coordinator, nothing to train.

    python bench/waiting_worker.py --constellation target/release/constellation [--seconds 300]

It starts a coordinator and a worker with a join code on this machine, waits until the device is listed, lets both settle
for ten seconds and then watches them. One JSON line: resident memory at the end and at its highest (MB = 10^6 bytes), and
processor time in percent of one core, for the worker with all its children and for the coordinator. Linux (/proc);
needs nothing but Python.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

SETTLE_SECONDS = 10
LOOK_SECONDS = 1
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--constellation", metavar="PROGRAM", required=True)
    parser.add_argument("--seconds", type=float, default=300)
    arguments = parser.parse_args()
    if not pathlib.Path("/proc/self/stat").exists():
        sys.exit("this script reads /proc: run it on Linux")
    program = str(pathlib.Path(arguments.constellation).resolve())
    with tempfile.TemporaryDirectory() as home:
        print(json.dumps(run(program, pathlib.Path(home), arguments.seconds)))


def run(program: str, home: pathlib.Path, seconds: float) -> dict:
    folder, quiet = ["--data-dir", str(home / "coordinator")], {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    listen = ["--listen", "127.0.0.1:0", "--no-discovery", "--json"]
    coordinator = subprocess.Popen(
        [program, "coordinator", *folder, *listen], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    worker = None
    try:
        json.loads(coordinator.stdout.readline())
        code = ask(program, ["join-code", "create", "--no-qr", *folder])["link"]
        own = ["--data-dir", str(home / "worker"), "--join", code, "--when", "always", "--backend", "cpu"]
        worker = subprocess.Popen([program, "worker", *own], **quiet)
        while not ask(program, ["device", "list", *folder]):
            if worker.poll() is not None:
                sys.exit("the worker ended before it was enrolled")
            time.sleep(0.2)
        time.sleep(SETTLE_SECONDS)
        return watch({"worker": worker.pid, "coordinator": coordinator.pid}, seconds)
    finally:
        for process in filter(None, [worker, coordinator]):
            process.terminate()
            process.wait()


def ask(program: str, command: list[str]) -> dict | list:
    out = subprocess.run([program, *command, "--json"], stdout=subprocess.PIPE, text=True, check=True).stdout
    answer = json.loads(out)
    return answer["devices"] if isinstance(answer, dict) and "devices" in answer else answer


def watch(roots: dict[str, int], seconds: float) -> dict:
    begun = time.monotonic()
    before = {name: processor_seconds(pid) for name, pid in roots.items()}
    highest = dict.fromkeys(roots, 0)
    while time.monotonic() - begun < seconds:
        time.sleep(LOOK_SECONDS)
        for name, pid in roots.items():
            highest[name] = max(highest[name], resident(pid))
    passed = time.monotonic() - begun
    line = {"seconds": round(passed, 1)}
    for name, pid in roots.items():
        line[name] = {
            "resident_mb": round(resident(pid) / 1e6, 1),
            "resident_mb_highest": round(highest[name] / 1e6, 1),
            "core_percent": round(100 * (processor_seconds(pid) - before[name]) / passed, 3),
            "processes": len(family(pid)),
        }
    return line


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    tasks = pathlib.Path(f"/proc/{pid}/task")
    children = [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    return [pid, *(member for child in children for member in family(child))]


def processor_seconds(pid: int) -> float:
    """User and system time, of children that ended too: fields 14 to 17 of /proc/PID/stat (proc(5))."""
    return sum(sum(map(int, fields(member)[11:15])) for member in family(pid)) / TICKS


def resident(pid: int) -> int:
    """Bytes: field 24 of /proc/PID/stat."""
    return sum(int(fields(member)[21]) for member in family(pid)) * PAGE


def fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: the second may hold anything, also spaces."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


if __name__ == "__main__":
    main()
