#!/usr/bin/env python3
"""What `dataset add` costs for large files, beside pandas and DuckDB reading the same files.

    make bench-import       or:
    CONSTELLATION_DATA_DIR=... python bench/import_files.py --constellation target/release/constellation --environment FOLDER

The inputs are the whole AG News (train and test) as one CSV file, and 60,000 PNGs of 28×28 gray pixels in ten folders. The
script makes both in a temporary folder. pandas and DuckDB are installed into a virtual environment in FOLDER; without
them their lines are left out, and so is AG News, which DuckDB writes from the hub's Parquet files. Neither reads images:
for the PNGs they read the bytes of the files, without decoding them.

One JSON line for each reader: {input, reader, rows, seconds, peak_mb} (MB = 10^6 bytes). For Constellation `peak_mb` is the
coordinator's, which reads the files, and `command_mb` that of the command, which sends them.
"""

import argparse
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time
import zlib

AG_NEWS = "fancyzhx/ag_news/data"
PACKAGES = ["pandas==2.3.3", "duckdb==1.4.2"]
PICTURES, CLASSES, SIDE = 60_000, 10, 28

# Each program reads `sys.argv[1]` and prints its number of rows.
READERS = {
    ("csv", "pandas"): "import pandas; print(len(pandas.read_csv(sys.argv[1])))",
    ("csv", "duckdb"): "import duckdb; print(len(duckdb.sql(f\"select * from read_csv('{sys.argv[1]}')\").fetchall()))",
    ("png", "pandas"): "import pandas, pathlib; files = sorted(pathlib.Path(sys.argv[1]).rglob('*.png')); "
    "print(len(pandas.DataFrame({'png': [file.read_bytes() for file in files], 'class': [file.parent.name for file in files]})))",
    ("png", "duckdb"): "import duckdb; print(len(duckdb.sql(f\"select content, filename from read_blob('{sys.argv[1]}/*/*.png')\").fetchall()))",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--constellation", metavar="PROGRAM", required=True)
    parser.add_argument("--environment", metavar="FOLDER", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.constellation).resolve())
    python = environment(arguments.environment.resolve())
    with tempfile.TemporaryDirectory() as home:
        home = pathlib.Path(home)
        inputs = {"png": pictures(home / "pictures")}
        table = ag_news(python, home / "ag_news.csv")
        if table:
            inputs = {"csv": table, **inputs}
        for kind, path in inputs.items():
            report(input=path.name, reader="constellation", **constellation(program, path, home / f"cluster-{kind}"))
            for reader in ["pandas", "duckdb"]:
                if python:
                    report(input=path.name, reader=reader, **other(python, READERS[kind, reader], path))


def report(**line: object) -> None:
    print(json.dumps(line), flush=True)


def environment(folder: pathlib.Path) -> str | None:
    """Returns Python with pandas and DuckDB, or None if they can't be installed."""
    python = folder / "bin" / "python"
    made = python.exists() or run_quietly([sys.executable, "-m", "venv", str(folder)])
    if made and run_quietly([str(python), "-m", "pip", "install", "--quiet", *PACKAGES]):
        return str(python)
    print("skipped: pandas and DuckDB: pip can't install them here", file=sys.stderr)
    return None


def run_quietly(command: list[str]) -> bool:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def ag_news(python: str | None, file: pathlib.Path) -> pathlib.Path | None:
    """Writes AG News as CSV. Returns None if the dataset or DuckDB is not here."""
    folder = pathlib.Path(os.environ.get("CONSTELLATION_DATA_DIR", "")) / AG_NEWS
    if not python or not folder.is_dir():
        print(f"skipped: AG News: it needs DuckDB and CONSTELLATION_DATA_DIR with {AG_NEWS}", file=sys.stderr)
        return None
    copy = f"copy (select text, label from read_parquet('{folder}/*.parquet')) to '{file}' (header, delimiter ',')"
    subprocess.run([python, "-c", "import duckdb, sys; duckdb.sql(sys.argv[1])", copy], check=True)
    return file


def pictures(folder: pathlib.Path) -> pathlib.Path:
    """Writes the PNGs: each class has a brightness of its own, with noise."""
    noise = random.Random(1)
    for number in range(PICTURES):
        kind = number % CLASSES
        place = folder / f"class-{kind}" / f"{number:05}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = bytes(min(255, kind * 25 + noise.randrange(30)) for _ in range(SIDE * SIDE))
        place.write_bytes(png(pixels))
    return folder


def png(pixels: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    lines = b"".join(b"\0" + pixels[at : at + SIDE] for at in range(0, len(pixels), SIDE))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def constellation(program: str, path: pathlib.Path, home: pathlib.Path) -> dict:
    """Adds the files to a coordinator of their own."""
    home.mkdir()
    own = os.environ | {"HOME": str(home), "XDG_DATA_HOME": str(home / "data")}
    data = ["--data-dir", str(home / "coordinator"), "--json"]
    coordinator = subprocess.Popen(
        [program, "coordinator", "--listen", "127.0.0.1:0", "--no-discovery", *data],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=own,
    )
    coordinator.stdout.readline()
    try:
        words = [program, "dataset", "add", str(path), "--name", "added", *data]
        printed, seconds, command_mb = timed(words, own)
    finally:
        coordinator.terminate()
        peak_mb = peak(os.wait4(coordinator.pid, 0)[2])
    info = json.loads(printed)["info"]
    rows = info["train_rows"] + info["validation_rows"] + info["test_rows"]
    return {"rows": rows, "seconds": seconds, "peak_mb": peak_mb, "command_mb": command_mb}


def other(python: str, code: str, path: pathlib.Path) -> dict:
    printed, seconds, peak_mb = timed([python, "-c", f"import sys; {code}", str(path)], os.environ)
    # DuckDB shows its progress before the result.
    return {"rows": int(printed.split()[-1]), "seconds": seconds, "peak_mb": peak_mb}


def timed(words: list[str], own: dict) -> tuple[str, float, float]:
    """Runs a command. Returns its output, its seconds and its peak memory."""
    start = time.monotonic()
    child = subprocess.Popen(words, stdout=subprocess.PIPE, env=own, text=True)
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(words)} failed")
    return printed, round(time.monotonic() - start, 2), peak(usage)


def peak(usage) -> float:
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(usage.ru_maxrss * unit / 1e6, 1)


if __name__ == "__main__":
    main()
