#!/usr/bin/env python3
"""Seconds and peak memory of an import of many PNG images, beside Pillow that decodes the same files.

    python bench/import_images.py --constellation target/release/constellation [--images 60000]

Writes gray images of 28x28 pixels in ten class folders, packs them as a zip file, and adds it to a coordinator of its own
with `dataset add`. Prints one JSON line for each reader: {reader, images, seconds, peak_mb}. The peak of the import is the
coordinator's. Pillow is optional.
"""

import argparse
import json
import os
import pathlib
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib

SIDE = 28


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--constellation", metavar="PROGRAM", required=True)
    parser.add_argument("--images", type=int, default=60_000)
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.constellation).resolve())
    with tempfile.TemporaryDirectory() as home:
        archive = pathlib.Path(home) / "images.zip"
        write(archive, arguments.images)
        for reader, (seconds, peak) in [
            ("constellation dataset add", added(program, archive, pathlib.Path(home))),
            ("Pillow", decoded(archive)),
        ]:
            line = {"reader": reader, "images": arguments.images, "seconds": seconds, "peak_mb": peak}
            print(json.dumps(line), flush=True)


def write(archive: pathlib.Path, images: int) -> None:
    """Writes images of random pixels, because those take the longest to decode."""
    chance = random.Random(0)
    with zipfile.ZipFile(archive, "w") as packed:
        for number in range(images):
            packed.writestr(f"images/{number % 10}/{number}.png", png(chance.randbytes(SIDE * SIDE)))


def png(pixels: bytes) -> bytes:
    rows = b"".join(b"\0" + pixels[at : at + SIDE] for at in range(0, len(pixels), SIDE))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def added(program: str, archive: pathlib.Path, home: pathlib.Path) -> tuple[float, int | None]:
    environment = os.environ | {"HOME": str(home), "XDG_DATA_HOME": str(home / "data")}
    coordinator = subprocess.Popen(
        [program, "coordinator", "--listen", "127.0.0.1:0", "--no-discovery", "--json"],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        json.loads(coordinator.stdout.readline())
        start = time.monotonic()
        command = [program, "dataset", "add", str(archive), "--name", "images", "--json"]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        seconds = round(time.monotonic() - start, 1)
        return seconds, peak_mb(coordinator.pid)
    finally:
        coordinator.terminate()
        coordinator.wait()


def peak_mb(pid: int) -> int | None:
    """Returns the peak memory of a process on Linux."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def decoded(archive: pathlib.Path) -> tuple[float | None, int | None]:
    try:
        from PIL import Image
    except ImportError:
        print("Pillow is not installed", file=sys.stderr)
        return None, None
    start = time.monotonic()
    with zipfile.ZipFile(archive) as packed:
        pixels = [Image.open(packed.open(name)).tobytes() for name in packed.namelist()]
    seconds = round(time.monotonic() - start, 1)
    assert all(len(image) == SIDE * SIDE for image in pixels)
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
