"""The app's icon: renders assets/icon.svg to PNG images in a macOS icon container (icns)."""

import shutil
import subprocess
import sys

from product import ROOT

# Entry type and size in pixels. ic11 to ic14 are the double-resolution images of 16, 32, 128 and 256 points.
IMAGES = [("ic11", 32), ("ic12", 64), ("ic07", 128), ("ic13", 256), ("ic08", 256), ("ic14", 512), ("ic09", 512), ("ic10", 1024)]


def icns():
    images = {size: draw(size) for size in sorted({size for _, size in IMAGES})}
    return container([(kind, images[size]) for kind, size in IMAGES])


def container(entries):
    """Writes a container: a header, then for each entry type, length including its header, and data; big-endian."""
    body = b"".join(kind.encode() + (len(data) + 8).to_bytes(4, "big") + data for kind, data in entries)
    return b"icns" + (len(body) + 8).to_bytes(4, "big") + body


def read(data):
    """Reads the entries of a container as [(type, bytes)]."""
    if data[:4] != b"icns" or int.from_bytes(data[4:8], "big") != len(data):
        raise ValueError("not an icns file, or truncated")
    entries, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "big")
        if length < 8 or at + length > len(data):
            raise ValueError(f"the entry at offset {at} has an invalid length of {length} bytes")
        entries.append((data[at : at + 4].decode("ascii"), data[at + 8 : at + length]))
        at += length
    return entries


def draw(size):
    renderer = shutil.which("rsvg-convert")
    if not renderer:
        sys.exit("bundle: rsvg-convert is not installed: run scripts/setup.sh sign (on a Mac: brew install librsvg)")
    command = [renderer, "--width", str(size), "--height", str(size), ROOT / "assets/icon.svg"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
