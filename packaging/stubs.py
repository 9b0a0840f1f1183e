#!/usr/bin/env python3
"""Stubs of Apple's libraries, for linking the app and the command without a Mac: text files (`.tbd`, version 4) with exactly the
symbols of packaging/symbols.txt. The stub of the C library comes with Zig, which derives it from Apple's.

Usage: stubs.py write SDK-FOLDER   writes the stubs as an SDK for the linker
       stubs.py linker             prints the path of the linker that comes with Rust
       stubs.py check PROGRAM…     checks that the programs import exactly the listed symbols
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
# Install names, which programs use. They differ from the paths where the linker finds the stubs.
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
    imported = set().union(*(macho.imports(program.read_bytes()) for program in programs))
    imported = {(library, symbol) for library, symbol in imported if library != SYSTEM}
    expected = {(installed(library), symbol) for library, symbols in listed.items() for symbol in symbols}
    if imported != expected:
        lines = [f"  {library} {symbol}" for library, symbol in sorted(imported ^ expected)]
        sys.exit("\n".join(["stubs: symbols.txt and the programs' imports differ in", *lines]))
    return f"stubs: the programs import the {len(expected)} symbols of symbols.txt from {len(listed)} libraries, and the C library"


def read(text):
    """Parses lines such as `AppKit _NSBeep`, sorted, to {library: symbols}. `#` starts a comment. A library that is only loaded is
    alone on its line."""
    found, last = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) > 2 or words <= last:
            raise ValueError(f"symbols.txt:{number}: expected is 'LIBRARY SYMBOL', sorted and without duplicates: {line}")
        last = words
        found.setdefault(words[0], []).extend(words[1:])
    return found


def system_of_zig(python):
    code = "import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).parent / 'lib/libc/darwin/libSystem.tbd')"
    return Path(output([python, "-c", code])).read_text()


def linker():
    host = re.search("^host: (.+)$", output(["rustc", "-vV"]), re.MULTILINE)[1]
    path = Path(output(["rustc", "--print", "sysroot"])) / "lib/rustlib" / host / "bin/rust-lld"
    if not path.exists():
        sys.exit("stubs: this Rust has no rust-lld: install Rust with rustup")
    return path


def output(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def installed(library):
    return INSTALLED_LIBRARIES.get(library) or INSTALLED_FRAMEWORK.format(library)


def files(listed, system):
    """Yields (path in the SDK, text)."""
    # Zig's stub lists only arm64e targets.
    system = re.sub(r"\barm64e(\.\w+)?-", "arm64-", system)
    yield from ((LIBRARY.format(name), system) for name in ("libSystem", "libc", "libm"))
    for library, symbols in listed.items():
        path = LIBRARY if library in INSTALLED_LIBRARIES else FRAMEWORK
        yield path.format(library), stub(installed(library), symbols)


def stub(install_name, symbols):
    lines = ["--- !tapi-tbd", "tbd-version: 4", f"targets: [ {TARGET} ]", f"install-name: '{install_name}'"]
    if symbols:
        names = ", ".join(f"'{symbol}'" for symbol in symbols)
        lines += ["exports:", f"  - targets: [ {TARGET} ]", f"    symbols: [ {names} ]"]
    return "\n".join([*lines, "...", ""])


if __name__ == "__main__":
    main()
