"""Writer and reader of the Installer's bill of materials (`Bom`): a store of numbered blocks with a tree of paths. The format is
documented by the free program bomutils. On a Mac `lsbom` reads it.
"""

import struct
import zlib

from archive import mode
from product import commit_time

BLOCK_SIZE = 4096
FILE, FOLDER = 1, 2
# Maximum of one leaf. More would need branches in the tree; our packages have some dozens of files.
MAXIMUM_PATHS = 256


def write(found):
    """Writes a bill of materials for found: [(name, path)] from `archive.entries`."""
    if len(found) > MAXIMUM_PATHS:
        raise ValueError(f"{len(found)} paths are too many: this writer supports at most {MAXIMUM_PATHS}")
    store = Store()
    info = struct.pack(">III", 1, len(found) + 1, 0)
    store.variable("BomInfo", info)
    numbers, indices = {}, []
    for number, (name, path) in enumerate(found, 1):
        numbers[name] = number
        parent, _, last = name.rpartition("/")
        details = store.block(path_details(path))
        first = store.block(struct.pack(">II", number, details))
        second = store.block(struct.pack(">I", numbers.get(parent, 0)) + last.encode() + b"\0")
        indices.append((first, second))
    store.variable("Paths", tree(store, indices))
    store.variable("HLIndex", tree(store, []))
    index = tree(store, [])
    store.variable("VIndex", struct.pack(">IIIB", 1, store.block(index), 0, 0))
    store.variable("Size64", tree(store, []))
    return store.bytes()


def path_details(path):
    is_folder = path.is_dir()
    data = b"" if is_folder else path.read_bytes()
    kind, checksum = (FOLDER, 0) if is_folder else (FILE, cksum(data))
    # Fields: type, 1, architecture, mode, owner, group, time, size, 1, checksum, length of a link's target.
    return struct.pack(">BBHHIIIIBII", kind, 1, 3, mode(path), 0, 0, commit_time(), len(data), 1, checksum, 0)


def tree(store, indices):
    leaf = struct.pack(">HHII", 1, len(indices), 0, 0) + b"".join(struct.pack(">II", *pair) for pair in indices)
    child = store.block(leaf.ljust(BLOCK_SIZE, b"\0"))
    return b"tree" + struct.pack(">IIIIB", 1, child, BLOCK_SIZE, len(indices), 0)


class Store:
    """Numbered blocks, the first of which is empty, and names for some of them."""

    HEADER = 512

    def __init__(self):
        self.blocks, self.variables = [b""], []

    def block(self, data):
        self.blocks.append(data)
        return len(self.blocks) - 1

    def variable(self, name, data):
        self.variables.append((name, self.block(data)))

    def bytes(self):
        body, places = bytearray(), []
        for data in self.blocks:
            places.append((self.HEADER + len(body), len(data)) if data else (0, 0))
            body += data
        variables = struct.pack(">I", len(self.variables))
        variables += b"".join(struct.pack(">IB", index, len(name)) + name.encode() for name, index in self.variables)
        table = struct.pack(">I", len(places)) + b"".join(struct.pack(">II", *place) for place in places)
        free = struct.pack(">I", 0) + bytes(16)
        at = self.HEADER + len(body)
        header = struct.pack(
            ">8sIIIIII", b"BOMStore", 1, len(self.blocks) - 1, at + len(variables), len(table) + len(free), at, len(variables)
        )
        return header.ljust(self.HEADER, b"\0") + bytes(body) + variables + table + free


def cksum(data):
    """Returns the POSIX cksum: CRC-32 of the data followed by its length, most significant bit first. zlib's CRC-32 has the
    opposite bit order and starts with all bits set."""
    length, tail = len(data), b""
    while length:
        tail += bytes([length & 0xFF])
        length >>= 8
    crc = zlib.crc32((data + tail).translate(REVERSED), 0xFFFFFFFF)
    return int(f"{crc ^ 0xFFFFFFFF:032b}"[::-1], 2) ^ 0xFFFFFFFF


REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def read(data):
    """Reads a bill with one leaf as {name: (mode, size, checksum)}."""
    magic, _, _, table_at, _, variables_at, _ = struct.unpack_from(">8sIIIIII", data)
    if magic != b"BOMStore":
        raise ValueError("not a bill of materials")
    count = struct.unpack_from(">I", data, table_at)[0]
    places = [struct.unpack_from(">II", data, table_at + 4 + 8 * n) for n in range(count)]
    block = lambda n: data[places[n][0] : places[n][0] + places[n][1]]  # noqa: E731
    variables, at = {}, variables_at + 4
    for _ in range(struct.unpack_from(">I", data, variables_at)[0]):
        index, length = struct.unpack_from(">IB", data, at)
        variables[data[at + 5 : at + 5 + length].decode()] = index
        at += 5 + length
    child = struct.unpack_from(">I", block(variables["Paths"]), 8)[0]
    leaf, names, found = block(child), {}, {}
    for n in range(struct.unpack_from(">H", leaf, 2)[0]):
        first, second = struct.unpack_from(">II", leaf, 12 + 8 * n)
        number, details = struct.unpack(">II", block(first))
        parent, last = struct.unpack_from(">I", block(second))[0], block(second)[4:-1].decode()
        names[number] = f"{names[parent]}/{last}" if parent else last
        fields = struct.unpack(">BBHHIIIIBII", block(details))
        found[names[number]] = (fields[3], fields[7], fields[9])
    return found
