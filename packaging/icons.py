"""The app's icon: assets/icon.svg as the container of PNG pictures that macOS reads (icns)."""

import shutil
import subprocess
import sys

from product import ROOT

# Type of an entry, and the pixels of its picture. ic11 to ic14 are the doubled ones of 16, 32, 128 and 256 points.
PICTURES = [("ic11", 32), ("ic12", 64), ("ic07", 128), ("ic13", 256), ("ic08", 256), ("ic14", 512), ("ic09", 512), ("ic10", 1024)]


def icns():
    drawn = {size: draw(size) for size in sorted({size for _, size in PICTURES})}
    return container([(kind, drawn[size]) for kind, size in PICTURES])


def container(entries):
    """A header, then each entry: type, length with its own header, data; all big-endian."""
    body = b"".join(kind.encode() + (len(data) + 8).to_bytes(4, "big") + data for kind, data in entries)
    return b"icns" + (len(body) + 8).to_bytes(4, "big") + body


def read(data):
    """The entries of a container, as [(type, bytes)]."""
    if data[:4] != b"icns" or int.from_bytes(data[4:8], "big") != len(data):
        raise ValueError("not an icns file, or cut off")
    entries, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "big")
        if length < 8 or at + length > len(data):
            raise ValueError(f"an entry at {at} reaches beyond the end")
        entries.append((data[at : at + 4].decode("ascii"), data[at + 8 : at + length]))
        at += length
    return entries


def draw(size):
    renderer = shutil.which("rsvg-convert")
    if not renderer:
        sys.exit("bundle: rsvg-convert is missing: `scripts/setup.sh sign` installs it (on a Mac: brew install librsvg)")
    command = [renderer, "--width", str(size), "--height", str(size), ROOT / "assets/icon.svg"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
