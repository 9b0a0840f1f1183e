#!/usr/bin/env python3
"""The libraries of Apple's that the app and the command are linked against where there is no Mac: text files (`.tbd`, version 4)
with the symbols that packaging/symbols.txt names and no others. The C library's comes with Zig, made from Apple's own.

Usage: stubs.py write SDK-FOLDER   the linker takes the folder for an SDK
       stubs.py linker             where the linker is: the one that comes with Rust
       stubs.py check PROGRAM…     the programs take from libraries what the list names, no more and no less
"""

import re
import subprocess
import sys
from pathlib import Path

import macho
from product import CACHE

ZIG = CACHE / "darwin/zig/bin/python"
LIST = Path(__file__).resolve().parent / "symbols.txt"
TARGET = "arm64-macos"
FRAMEWORK, LIBRARY = "System/Library/Frameworks/{0}.framework/{0}.tbd", "usr/lib/{0}.tbd"
# A program names a library by where it is installed, which differs from where the linker finds it.
INSTALLED_FRAMEWORK = "/System/Library/Frameworks/{0}.framework/Versions/A/{0}"
INSTALLED_LIBRARIES = {"libobjc": "/usr/lib/libobjc.A.dylib", "libiconv": "/usr/lib/libiconv.2.dylib"}
SYSTEM = "/usr/lib/libSystem.B.dylib"


def main():
    listed = read(LIST.read_text())
    match sys.argv[1:]:
        case ["write", sdk]:
            write(Path(sdk), listed, system_of_zig(ZIG))
        case ["linker"]:
            print(linker())
        case ["check", *programs] if programs:
            print(check(listed, [Path(program) for program in programs]))
        case _:
            sys.exit(__doc__)


def write(sdk, listed, system):
    for path, text in files(listed, system):
        target = sdk / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def check(listed, programs):
    taken = set().union(*(macho.imports(program.read_bytes()) for program in programs))
    taken = {(library, symbol) for library, symbol in taken if library != SYSTEM}
    named = {(installed(library), symbol) for library, symbols in listed.items() for symbol in symbols}
    if taken != named:
        lines = [f"  {library} {symbol}" for library, symbol in sorted(taken ^ named)]
        sys.exit("\n".join(["stubs: symbols.txt and the programs differ in", *lines]))
    return f"stubs: the programs take the {len(named)} symbols of symbols.txt, of {len(listed)} libraries, and what is in the C library"


def read(text):
    """{library: its symbols}, of lines such as `AppKit _NSBeep`, sorted; `#` begins a comment. A library that is only loaded
    stands alone on its line."""
    found, last = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) > 2 or words <= last:
            raise ValueError(f"symbols.txt:{number}: wanted is 'LIBRARY SYMBOL', sorted and once: {line}")
        last = words
        found.setdefault(words[0], []).extend(words[1:])
    return found


def system_of_zig(python):
    where = "import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).parent / 'lib/libc/darwin/libSystem.tbd')"
    return Path(said([python, "-c", where])).read_text()


def linker():
    host = re.search("^host: (.+)$", said(["rustc", "-vV"]), re.MULTILINE)[1]
    path = Path(said(["rustc", "--print", "sysroot"])) / "lib/rustlib" / host / "bin/rust-lld"
    if not path.exists():
        sys.exit("stubs: this Rust comes without rust-lld: install it by rustup")
    return path


def said(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def installed(library):
    return INSTALLED_LIBRARIES.get(library) or INSTALLED_FRAMEWORK.format(library)


def files(listed, system):
    """[(path in the SDK, text)]"""
    # Zig's names Apple's later processors alone.
    system = re.sub(r"\barm64e(\.\w+)?-", "arm64-", system)
    yield from ((LIBRARY.format(name), system) for name in ("libSystem", "libc", "libm"))
    for library, symbols in listed.items():
        path = LIBRARY if library in INSTALLED_LIBRARIES else FRAMEWORK
        yield path.format(library), stub(installed(library), symbols)


def stub(place, symbols):
    lines = ["--- !tapi-tbd", "tbd-version: 4", f"targets: [ {TARGET} ]", f"install-name: '{place}'"]
    if symbols:
        names = ", ".join(f"'{symbol}'" for symbol in symbols)
        lines += ["exports:", f"  - targets: [ {TARGET} ]", f"    symbols: [ {names} ]"]
    return "\n".join([*lines, "...", ""])


if __name__ == "__main__":
    main()
