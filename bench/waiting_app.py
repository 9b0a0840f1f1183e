#!/usr/bin/env python3
"""What the app costs while it waits in the menu bar: enrolled, nothing to train, no window open.

    make bench-app          or, on a display with a session bus:
    python bench/waiting_app.py --folder target/release [--seconds 300]

It starts a coordinator and the app as a worker, waits until the device is listed and the trainer has gone, lets both
settle and then watches the app's own process. One JSON line: resident memory at the end and at its highest, what of it
is not shared with other processes (MB = 10^6 bytes), processor time in percent of one core, its children, and how large
the two programs are. Linux (/proc); needs nothing but Python.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import waiting_worker

SETTLE_SECONDS = 40  # a trainer that has nothing to do leaves after 20
LOOK_SECONDS = 1
ENROL_SECONDS = 60
FIRST_SECONDS = 5
RESIDENT_MB, CORE_PERCENT, BINARY_MB = 80, 0.2, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="where constellation and constellation-app are")
    parser.add_argument("--seconds", type=float, default=300)
    arguments = parser.parse_args()
    if not pathlib.Path("/proc/self/stat").exists():
        sys.exit("this script reads /proc: run it on Linux")
    if "DISPLAY" not in os.environ:
        sys.exit("there is no display: `make bench-app` starts one")
    with tempfile.TemporaryDirectory() as home:
        line = run(arguments.folder.resolve(), pathlib.Path(home), arguments.seconds)
    print(json.dumps(line))
    app, size = line["app"], line["binaries_mb"]["constellation-app"]
    if app["resident_mb"] >= RESIDENT_MB or app["core_percent"] >= CORE_PERCENT or size >= BINARY_MB:
        sys.exit(f"over the budget of {RESIDENT_MB} MB resident, {CORE_PERCENT} % of a core, {BINARY_MB} MB on disk")


def run(folder: pathlib.Path, home: pathlib.Path, seconds: float) -> dict:
    program, app_program = str(folder / "constellation"), str(folder / "constellation-app")
    data = ["--data-dir", str(home / "coordinator")]
    listen = ["--listen", "127.0.0.1:0", "--no-discovery", "--json"]
    choose_visuals(app_program, home / "first")
    coordinator = subprocess.Popen(
        [program, "coordinator", *data, *listen], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    app = None
    try:
        url = json.loads(coordinator.stdout.readline())["url"]
        code = waiting_worker.ask(program, ["join-code", "create", "--no-qr", *data])["link"]
        own = home / "app"
        own.mkdir()
        settings = {"Mode": "worker", "CoordinatorURL": url, "EnrollmentCode": code}
        (own / "settings.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
        app = subprocess.Popen([app_program, "--data-dir", str(own), "--another"], stdout=subprocess.DEVNULL)
        begun = time.monotonic()
        while not waiting_worker.ask(program, ["device", "list", *data]):
            if app.poll() is not None or time.monotonic() - begun > ENROL_SECONDS:
                sys.exit("the app was not enrolled")
            time.sleep(0.2)
        time.sleep(SETTLE_SECONDS)
        line = {"seconds": seconds, "app": watch(app.pid, seconds)}
        megabytes = lambda path: round((folder / path).stat().st_size / 1e6, 1)
        return line | {"binaries_mb": {name: megabytes(name) for name in ("constellation-app", "constellation")}}
    finally:
        for process in filter(None, [app, coordinator]):
            process.terminate()
            process.wait()


def choose_visuals(program: str, folder: pathlib.Path) -> None:
    """Starts and ends the app. The first program with GTK on a display loads OpenGL to choose the display's visuals, and
    keeps it; it writes down what it chose, for all that come after it. In a session somebody else was the first."""
    first = subprocess.Popen([program, "--data-dir", str(folder), "--another"], stdout=subprocess.DEVNULL)
    time.sleep(FIRST_SECONDS)
    first.terminate()
    first.wait()


def watch(pid: int, seconds: float) -> dict:
    begun, before, highest = time.monotonic(), own_seconds(pid), 0
    while time.monotonic() - begun < seconds:
        time.sleep(LOOK_SECONDS)
        highest = max(highest, memory(pid)["Rss"])
    passed, now = time.monotonic() - begun, memory(pid)
    children = waiting_worker.family(pid)[1:]
    names = [pathlib.Path(f"/proc/{child}/comm").read_text().strip() for child in children]
    return {
        "resident_mb": round(now["Rss"] / 1e6, 1),
        "resident_mb_highest": round(highest / 1e6, 1),
        "not_shared_mb": round((now["Private_Clean"] + now["Private_Dirty"]) / 1e6, 1),
        "core_percent": round(100 * (own_seconds(pid) - before) / passed, 3),
        "children": names,
    }


def own_seconds(pid: int) -> float:
    return sum(map(int, waiting_worker.fields(pid)[11:13])) / waiting_worker.TICKS


def memory(pid: int) -> dict[str, int]:
    """Bytes by kind, as the kernel adds them up over the process's mappings (proc(5), smaps_rollup)."""
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}


if __name__ == "__main__":
    main()
