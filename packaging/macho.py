"""Reader of 64-bit Mach-O programs (Apple's mach-o/loader.h, nlist.h and cs_blobs.h)."""

import struct

MAGIC = b"\xcf\xfa\xed\xfe"
ARM64 = 0x0100000C
LC_SYMTAB, LC_CODE_SIGNATURE, LC_BUILD_VERSION = 0x2, 0x1D, 0x32
# LC_LOAD_DYLIB, LC_LOAD_WEAK_DYLIB, LC_REEXPORT_DYLIB.
LC_LIBRARIES = (0xC, 0x80000018, 0x8000001F)
DEBUGGING, KIND, EXTERNAL = 0xE0, 0x0E, 0x01  # masks of a symbol's type: N_STAB, N_TYPE, N_EXT


def commands(data):
    """Yields (load command, its offset)."""
    at = 32
    for _ in range(struct.unpack_from("<I", data, 16)[0]):
        command, size = struct.unpack_from("<II", data, at)
        yield command, at
        at += size


def is_arm64(data):
    return data[:4] == MAGIC and struct.unpack_from("<I", data, 4)[0] == ARM64


def minimum_system(data):
    """Returns the minimum macOS version such as 13.0, or None if the program does not state it."""
    for command, at in commands(data):
        if command == LC_BUILD_VERSION:
            version = struct.unpack_from("<I", data, at + 12)[0]
            return f"{version >> 16}.{version >> 8 & 0xFF}"
    return None


def libraries(data):
    """Lists the install names of the loaded libraries, in the order of the ordinals that symbols use."""
    places = [at for command, at in commands(data) if command in LC_LIBRARIES]
    return [text_at(data, at + struct.unpack_from("<I", data, at + 8)[0]) for at in places]


def imports(data):
    """Returns {(library, symbol)} of all imported symbols."""
    loaded, found = libraries(data), set()
    for command, at in commands(data):
        if command != LC_SYMTAB:
            continue
        symbols, count, names = struct.unpack_from("<III", data, at + 8)
        for n in range(count):
            name, kind, _, description = struct.unpack_from("<IBBH", data, symbols + 16 * n)
            if kind & (DEBUGGING | KIND | EXTERNAL) == EXTERNAL:
                found.add((loaded[(description >> 8) - 1], text_at(data, names + name)))
    return found


def signature_part(data, slot):
    """Returns a part of the signature without its magic and length, or b"" if there is none."""
    for command, at in commands(data):
        if command != LC_CODE_SIGNATURE:
            continue
        start = struct.unpack_from("<I", data, at + 8)[0]
        for n in range(struct.unpack_from(">I", data, start + 8)[0]):
            kind, place = struct.unpack_from(">II", data, start + 12 + 8 * n)
            if kind == slot:
                length = struct.unpack_from(">I", data, start + place + 4)[0]
                return data[start + place + 8 : start + place + length]
    return b""


def text_at(data, at):
    return data[at : data.index(b"\0", at)].decode()
