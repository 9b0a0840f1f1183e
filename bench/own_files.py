#!/usr/bin/env python3
"""What Constellation's defaults reach on files as people have them: DBpedia's sample (CSV) and UCI's digits (a zip of pictures).

    CONSTELLATION_DATA_DIR=... python bench/own_files.py --constellation target/release/constellation [dbpedia digits]

Each file goes to a coordinator of its own by `dataset add`, which sets a tenth of its rows aside for the test; then
`simulate` runs the three-line job on it. One JSON line a dataset: {dataset, rows, test_accuracy, rounds, seconds,
model_blake3}. Needs nothing but Python.
"""

import argparse
import csv
import gzip
import io
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib

DBPEDIA = "raw/dbpedia/dbpedia_csv/sample_7600.csv.gz"
DIGITS = ["raw/digits/optdigits.tra", "raw/digits/optdigits.tes"]
SIDE, BRIGHTEST = 8, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="*", default=["dbpedia", "digits"])
    parser.add_argument("--constellation", metavar="PROGRAM", required=True)
    arguments = parser.parse_args()
    folder = os.environ.get("CONSTELLATION_DATA_DIR")
    if not folder:
        sys.exit("set CONSTELLATION_DATA_DIR to the folder that holds the datasets (the layout of the hub)")
    program = str(pathlib.Path(arguments.constellation).resolve())
    for name in arguments.datasets:
        with tempfile.TemporaryDirectory() as home:
            print(json.dumps(run(program, name, pathlib.Path(folder), pathlib.Path(home))), flush=True)


def run(program: str, name: str, folder: pathlib.Path, home: pathlib.Path) -> dict:
    if name == "dbpedia":
        file, rows, family = dbpedia(folder / DBPEDIA, home), None, "nlp"
    else:
        file, rows, family = *digits([folder / path for path in DIGITS], home), "vision"
    environment = os.environ | {"HOME": str(home), "XDG_DATA_HOME": str(home / "data")}
    coordinator = subprocess.Popen(
        [program, "coordinator", "--listen", "127.0.0.1:0", "--no-discovery", "--json"],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        json.loads(coordinator.stdout.readline())
        command = [program, "dataset", "add", str(file), "--name", name, "--json"]
        added = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    finally:
        coordinator.terminate()
        coordinator.wait()
    job = home / "job.toml"
    job.write_text(f'name = "{name}"\nmodel_type = "{family}"\ndataset = "{name}"\n')
    command = [program, "simulate", str(job), "--json"]
    lines = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    rounds, last = [json.loads(line) for line in lines[:-1]], json.loads(lines[-1])
    return {
        "dataset": name,
        "added": json.loads(added.stdout.splitlines()[-1]),
        "rows": rows,
        "test_accuracy": rounds[-1]["test_accuracy"],
        "rounds": len(rounds),
        "seconds": round(sum(line["seconds"] for line in rounds), 1),
        "model_blake3": last["model_blake3"],
    }


def dbpedia(path: pathlib.Path, home: pathlib.Path) -> pathlib.Path:
    """Class (from 1), title, abstract; written again with a header, as a spreadsheet would have it."""
    file = home / "dbpedia.csv"
    with gzip.open(path) as raw, open(file, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["label", "text"])
        for label, title, abstract in csv.reader(io.TextIOWrapper(raw, encoding="utf-8", newline="")):
            writer.writerow([label, f"{title} {abstract}"])
    return file


def digits(paths: list[pathlib.Path], home: pathlib.Path) -> tuple[pathlib.Path, int]:
    """64 brightnesses of 0 to 16 and the digit, as a zip with a folder of gray pictures for each digit."""
    file, rows = home / "digits.zip", 0
    with zipfile.ZipFile(file, "w") as archive:
        for path in paths:
            for line in path.read_text().split():
                *pixels, label = [int(value) for value in line.split(",")]
                gray = bytes(pixel * 255 // BRIGHTEST for pixel in pixels)
                archive.writestr(f"{label}/{rows}.png", png(gray))
                rows += 1
    return file, rows


def png(gray: bytes) -> bytes:
    """A gray picture of SIDE x SIDE (PNG specification, third edition, sections 5 and 11)."""
    lines = b"".join(b"\0" + gray[start : start + SIDE] for start in range(0, len(gray), SIDE))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


if __name__ == "__main__":
    main()
