#!/usr/bin/env python3
"""Assembles Constellation.app from two programs: the app and the command.

APP_BINARY and COMMAND_BINARY name them; on a Mac the default is what cargo built for release. Elsewhere what is missing is
stood in for by a small real Mach-O program that only says what it is: the bundle then says so too (ConstellationBuild), and
is for checking the steps, never for a Mac.
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
# Without it the app looks for its pages where it was built, and names the place.
RELEASE_FLAGS = "--features constellation-app/custom-protocol"
STAND_IN = """#include <stdio.h>
int main(void) {
    puts("%s: this is no Constellation: packaging/bundle.py made it on a machine without Apple's tools");
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
            sys.exit(f"bundle: {source} is no Mach-O program of 64 bits")
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
    same_times(APP)
    print(f"bundle: {APP} ({version()}, build {build()}, {kind}; {count} libraries in its bill of materials)")


def program(variable, name):
    """The Mach-O to take; none for a stand-in."""
    given = os.environ.get(variable)
    if given:
        return Path(given)
    built = [BUILT / TARGET / "release" / name, BUILT / "release" / name]
    found = [path for path in built if path.is_file() and path.read_bytes()[:4] == macho.MAGIC]
    if not found and sys.platform == "darwin":
        sys.exit(f"bundle: there is no {built[1]}: build it by cargo build --release {RELEASE_FLAGS}, or name it by {variable}")
    return found[0] if found else None


def stand_in(name, target):
    """Linked by Zig, which needs nothing of Apple's for this."""
    python = CACHE / "darwin/zig/bin/python"
    if not python.exists():
        sys.exit("bundle: Zig is missing: run scripts/setup.sh darwin")
    source = OUT / f"{name}.c"
    source.write_text(STAND_IN % name)
    command = [python, "-m", "ziglang", "cc", "-target", "aarch64-macos.13.0", "-Os", "-s", "-o", target, source.name]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(CACHE / "darwin/zig-cache")}
    # By a relative name: none of this machine's paths may be in a program.
    subprocess.run(command, cwd=OUT, check=True, env=environment)


def information(kind):
    info = plistlib.loads((ROOT / "Info.plist").read_bytes())
    info |= {"CFBundleShortVersionString": version(), "CFBundleVersion": build(), "ConstellationBuild": kind}
    return plistlib.dumps(info)


def same_times(folder):
    moment = commit_time()
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (moment, moment), follow_symlinks=False)


if __name__ == "__main__":
    main()
