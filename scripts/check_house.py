#!/usr/bin/env python3
"""House rules that no other linter checks: length and first line of files, use of `target_os`, inherited lints, and names that belong
to one machine.

Checks tracked and untracked files that git does not ignore, so a new file is checked before it is added.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LAST_LINE = 399
ARCHITECTURE_LAST_LINE = 199
CODE = {".rs", ".py", ".sh", ".sql", ".ts", ".js", ".svelte", ".css"}
GENERATED = re.compile(r"(^|/)(schema\.ts|.*\.gen\.\w+)$|(^|/)generated/")

TARGET_OS = re.compile(r"\btarget_os\b")
TARGET_OS_HOMES = re.compile(r"^crates/platform/|^src-tauri/src/macos\.rs$")

LOCK_FILE = "Cargo.lock"  # cargo writes its registry's name there
LOCAL_NAMES = [
    # The brackets prevent matches in this file.
    (re.compile(r"(?<![\w.~-])/(?:[w]ork|[r]oot)/|/var/tmp/[c]onstellation"), "a path of one machine"),
    (
        re.compile(
            r"crates[.]io|pypi[.]org|pythonhosted[.]org|(?:deb|security|ftp)[.]debian[.]org"
            r"|npmjs[.](?:org|com)|yarnpkg[.]com|static[.]rust-lang[.]org|proxy[.]golang[.]org"
        ),
        "a package registry's host",
    ),
]


def main():
    found = []
    for path in tracked_files():
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # an image, or deleted and not committed yet
        found += problems(path, text)
        found += clippy_settings(path, text, (ROOT / "clippy.toml").read_text())
    for problem in found:
        print(f"house: {problem}", file=sys.stderr)
    return 1 if found else 0


def problems(path, text):
    """Lists the violations in one file, each as `path:line: reason`."""
    return [*size_and_opening(path, text), *target_os(path, text), *lints(path, text), *local_names(path, text)]


def size_and_opening(path, text):
    suffix, lines = Path(path).suffix, text.splitlines()
    last = ARCHITECTURE_LAST_LINE if path == "ARCHITECTURE.md" else LAST_LINE
    if (suffix in CODE or path == "ARCHITECTURE.md") and len(lines) > last and not GENERATED.search(path):
        yield f"{path}:{len(lines)}: ends after line {last}: split it by subject"
    if suffix == ".rs" and not text.startswith("//!") and not GENERATED.search(path):
        yield f"{path}:1: does not start with a `//!` comment that says what it is"
    if path.startswith("scripts/") and suffix in {".py", ".sh"}:
        opening = lines[1] if len(lines) > 1 else ""
        if not re.match(r'# \S|"""\S', opening):
            yield f"{path}:2: does not start with a comment that says what it is"


def target_os(path, text):
    if Path(path).suffix != ".rs" or TARGET_OS_HOMES.search(path):
        return
    for number, line in enumerate(text.splitlines(), 1):
        if TARGET_OS.search(line.split("//")[0]):
            yield f"{path}:{number}: target_os is allowed only in crates/platform and src-tauri/src/macos.rs"


def lints(path, text):
    if not re.match(r"^(crates/[^/]+|src-tauri)/Cargo\.toml$", path):
        return
    if not re.search(r"^\[lints\]\s*\nworkspace = true$", text, re.MULTILINE):
        yield f"{path}:1: does not inherit the workspace's lints ([lints] workspace = true)"


def clippy_settings(path, text, root):
    """Checks that a crate's clippy.toml repeats the root's settings, because clippy reads only the nearest file."""
    settings = root.split("\n", 1)[1]
    if re.match(r"crates/[^/]+/clippy\.toml$", path) and settings not in text:
        yield f"{path}:1: does not repeat the root's clippy.toml, which it replaces"


def local_names(path, text):
    if Path(path).name == LOCK_FILE:
        return
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, what in LOCAL_NAMES:
            if pattern.search(line):
                yield f"{path}:{number}: contains {what}"


def tracked_files():
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    return sorted({name for name in output.decode().split("\0") if name})


if __name__ == "__main__":
    sys.exit(main())
