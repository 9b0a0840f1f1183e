#!/usr/bin/env python3
"""Checks the output of `make bundle sign pkg` with other tools than those that made it. Prints a line with "ok" for each check that
passes, and stops at the first that fails.
"""

import plistlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import bom
import macho
import plists
import seal
from product import APP, CACHE, COMMAND, IDENTIFIER, MINIMUM_SYSTEM, NAME, ROOT, build, executables, package, version
from sign import RCODESIGN

ENTITLEMENTS_SLOT = 5


def main():
    if not package().exists():
        sys.exit(f"check: {package()} does not exist: run make bundle sign pkg")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        lists()
        programs()
        signatures(folder)
        seals(folder)
        contents(folder)
        no_paths_of_this_machine(folder)
    print(f"check: {NAME} {version()} build {build()} passed every check that this machine can run")


def lists():
    found = list(plists.in_repository())
    ensure(not found, f"property lists: {found}")
    info = plists.read((APP / "Contents/Info.plist").read_bytes())
    ensure(not list(plists.information(info, is_bundled=True)), list(plists.information(info, is_bundled=True)))
    ensure((info["CFBundleShortVersionString"], info["CFBundleVersion"]) == (version(), build()), "the bundle was made from another commit")
    ok(f"property lists; version {version()}, build {build()}, {info['ConstellationBuild']}")


def programs():
    for program in executables(APP):
        data = program.read_bytes()
        ensure(macho.is_arm64(data), f"{program.name} is not for Apple silicon")
        ensure(macho.minimum_system(data) == MINIMUM_SYSTEM, f"{program.name} requires macOS {macho.minimum_system(data)}")
        loaded = macho.libraries(data)
        foreign = [path for path in loaded if not path.startswith(("/usr/lib/", "/System/Library/"))]
        ensure(not foreign, f"{program.name} loads libraries that are not part of macOS: {foreign}")
        ok(f"{program.name}: arm64, macOS {MINIMUM_SYSTEM} or later, {len(data) / 1e6:.1f} MB, loads {len(loaded)} libraries, all part of macOS")


def signatures(folder):
    expected = plistlib.loads((ROOT / "entitlements.plist").read_bytes())
    for program, identifier in zip(executables(APP), (IDENTIFIER, f"{IDENTIFIER}.{COMMAND}"), strict=True):
        ensure(verify(program), f"rcodesign does not accept {program}")
        signed = rcodesign("print-signature-info", program)
        ensure(f"identifier: {identifier}\n" in signed, f"{program.name} is not signed as {identifier}")
        ensure("RUNTIME" in signed, f"{program.name} is signed without the hardened runtime")
        text = macho.signature_part(program.read_bytes(), ENTITLEMENTS_SLOT).decode()
        ensure(plists.read(text.encode()) == expected, f"{program.name} has other entitlements: {text}")
        requirement = requirement_of(program)
        ensure(f'identifier "{identifier}"' in requirement, f"{program.name} has the requirement {requirement!r}")
        ok(f"{program.name}: signed as {identifier}, hardened runtime, entitlements {expected}, requirement: {requirement}")
        altered = folder / "altered"
        data = bytearray(program.read_bytes())
        data[len(data) // 4] ^= 1
        altered.write_bytes(data)
        ensure(not verify(altered), f"rcodesign accepts {program.name} with a changed byte")
        ok(f"{program.name}: one changed byte is refused")


def verify(program):
    return subprocess.run([RCODESIGN, "verify", "--config-file", "/dev/null", program], capture_output=True).returncode == 0


def requirement_of(program):
    return " ".join(rcodesign("extract", "requirements", program).split())


def seals(folder):
    ensure(not list(seal.problems(APP)), list(seal.problems(APP)))
    changed = folder / APP.name
    shutil.copytree(APP, changed)
    icon = changed / "Contents/Resources/icon.icns"
    icon.write_bytes(icon.read_bytes() + b"\0")
    (changed / "Contents/Resources/added").write_text("")
    found = list(seal.problems(changed))
    ensure(len(found) == 2, f"a changed and an added file are reported as {found}")
    shutil.rmtree(changed)
    ok("every file of the bundle matches the signature; a changed and an added file are detected")


def contents(folder):
    unpacked, payload, scripts = (folder / name for name in ("package", "payload", "scripts"))
    for target, source in [(unpacked, package()), (payload, unpacked / "constellation.pkg/Payload"), (scripts, unpacked / "constellation.pkg/Scripts")]:
        target.mkdir()
        subprocess.run(["bsdtar", "-xf", source, "-C", target], check=True)
    ensure(tree(payload / APP.name) == tree(APP), "the payload differs from the bundle")
    names = {path.name: (ROOT / "packaging/scripts" / path.name).read_bytes() == path.read_bytes() for path in scripts.iterdir()}
    ensure(names == {"preinstall": True, "postinstall": True}, f"the package's scripts are {names}")
    billed = bom.read((unpacked / "constellation.pkg/Bom").read_bytes())
    listed = {"./" + path.relative_to(payload).as_posix(): path for path in payload.rglob("*")} | {".": payload}
    ensure(set(billed) == set(listed), f"the bill of materials lists other files: {set(billed) ^ set(listed)}")
    for name, path in listed.items():
        if path.is_file():
            crc, size = subprocess.run(["cksum"], stdin=path.open("rb"), check=True, stdout=subprocess.PIPE, text=True).stdout.split()
            ensure(billed[name][1:] == (int(size), int(crc)), f"the bill of materials has {billed[name]} for {name}")
    signed = rcodesign("print-signature-info", package())
    ensure("checksum_verifies: true" in signed and "style: CMS" in signed, "the package is not signed")
    subject = re.search(r"subject: '([^']+)'", signed)[1]
    ok(f"the package has the bundle's {len(tree(APP))} files and folders, byte for byte, and a matching bill of materials; signed by {subject}")


def tree(folder):
    """Returns {path: (is a folder, is executable, content)} of a folder."""
    return {
        path.relative_to(folder).as_posix(): (path.is_dir(), bool(path.stat().st_mode & 0o100), b"" if path.is_dir() else path.read_bytes())
        for path in folder.rglob("*")
    }


def no_paths_of_this_machine(folder):
    # The compiler may embed cargo's home folder, the user's, and the checkout.
    paths = {str(ROOT), str(Path.home()), str(CACHE), str(APP.parent)}
    for path in (folder / "payload").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found = [local for local in paths if len(local) > 1 and local.encode() + b"/" in data]
            ensure(not found, f"{path.name} contains paths of this machine: {found}")
    ok("no file of the payload contains a path of this machine")


def rcodesign(command, *arguments):
    ran = subprocess.run([RCODESIGN, command, *arguments], capture_output=True, text=True)
    ensure(ran.returncode == 0, f"rcodesign {command}: {ran.stderr}")
    return ran.stdout


def ensure(condition, message):
    if not condition:
        sys.exit(f"check: {message}")


def ok(message):
    print(f"ok {message}")


if __name__ == "__main__":
    main()
