#!/usr/bin/env python3
"""Assembles Constellation.app from two programs: the app and the command.

APP_BINARY and COMMAND_BINARY name the programs. On a Mac they default to cargo's release build. On other systems a missing
program is replaced by a stand-in, a small Mach-O program that prints what it is. ConstellationBuild in Info.plist then says
so. Such a bundle only tests the packaging steps and must not be installed on a Mac.
"""

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import icons
import macho
import sbom
from product import APP, BUILT, CACHE, COMMAND, EXECUTABLE, NAME, OUT, ROOT, TARGET, build, commit_time, version

APP_CRATE = "constellation-app"
# Without this feature the app loads its pages from the build's folder, and contains its path.
RELEASE_FLAGS = "--features constellation-app/custom-protocol"
STAND_IN = """#include <stdio.h>
int main(void) {
    puts("%s: stand-in program, made by packaging/bundle.py on a machine without Apple's tools");
    return 1;
}
"""


def main():
    programs = {EXECUTABLE: program("APP_BINARY", APP_CRATE), COMMAND: program("COMMAND_BINARY", COMMAND)}
    kind = os.environ.get("BUILD_KIND") or ("release" if all(programs.values()) else "stand-in programs made without Apple's tools")
    shutil.rmtree(APP, ignore_errors=True)
    contents = APP / "Contents"
    resources = contents / "Resources"
    for folder in (contents / "MacOS", resources):
        folder.mkdir(parents=True)
    for name, source in programs.items():
        target = contents / "MacOS" / name
        if source:
            shutil.copyfile(source, target)
        else:
            stand_in(name, target)
        if target.read_bytes()[:4] != macho.MAGIC:
            sys.exit(f"bundle: {source} is not a 64-bit Mach-O program")
        target.chmod(0o755)
    (contents / "PkgInfo").write_text("APPL????")
    (contents / "Info.plist").write_bytes(information(kind))
    (resources / "icon.icns").write_bytes(icons.icns())
    count = sbom.write(resources)
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        shutil.copyfile(ROOT / name, resources / name)
    for name in ("uninstall.sh", "com.constellation.app.agent.plist"):
        shutil.copyfile(ROOT / "packaging/scripts" / name, resources / name)
    (resources / "uninstall.sh").chmod(0o755)
    set_times(APP)
    print(f"bundle: {APP} ({version()}, build {build()}, {kind}; {count} libraries in its bill of materials)")


def program(variable, name):
    """Returns the path of a program, or None for a stand-in."""
    path = os.environ.get(variable)
    if path:
        return Path(path)
    built = [BUILT / TARGET / "release" / name, BUILT / "release" / name]
    found = [path for path in built if path.is_file() and path.read_bytes()[:4] == macho.MAGIC]
    if not found and sys.platform == "darwin":
        sys.exit(f"bundle: {built[1]} does not exist: run cargo build --release {RELEASE_FLAGS}, or set {variable}")
    return found[0] if found else None


def stand_in(name, target):
    """Compiles a stand-in with Zig, which needs no SDK from Apple."""
    python = CACHE / "darwin/zig/bin/python"
    if not python.exists():
        sys.exit("bundle: Zig is not installed: run scripts/setup.sh darwin")
    source = OUT / f"{name}.c"
    source.write_text(STAND_IN % name)
    command = [python, "-m", "ziglang", "cc", "-target", "aarch64-macos.13.0", "-Os", "-s", "-o", target, source.name]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(CACHE / "darwin/zig-cache")}
    # A relative name, because a program must not contain paths of this machine.
    subprocess.run(command, cwd=OUT, check=True, env=environment)


def information(kind):
    info = plistlib.loads((ROOT / "Info.plist").read_bytes())
    info |= {"CFBundleShortVersionString": version(), "CFBundleVersion": build(), "ConstellationBuild": kind}
    return plistlib.dumps(info)


def set_times(folder):
    """Sets every time to the commit's, so that a commit gives the same bytes again."""
    time = commit_time()
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (time, time), follow_symlinks=False)


if __name__ == "__main__":
    main()
