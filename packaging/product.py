"""Names, versions and paths that all packaging steps share."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "Constellation"
IDENTIFIER = "com.constellation.app"
EXECUTABLE = "ConstellationApp"
COMMAND = "constellation"
MINIMUM_SYSTEM = "13.0"
TARGET = "aarch64-apple-darwin"

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "constellation"
BUILT = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
OUT = BUILT / "packaging"
APP = OUT / f"{NAME}.app"


def version():
    """Returns the workspace's version. (macOS's own Python has no TOML reader.)"""
    return re.search(r'^version = "([^"]+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]


def build():
    """Returns the number of commits as the build number, which macOS requires to grow with every release."""
    return git("rev-list", "--count", "HEAD")


def commit_time():
    """Returns the commit's time in seconds since the epoch. Every file of a package has it, so that a commit gives the same bytes
    again."""
    return int(git("log", "-1", "--format=%ct"))


def package():
    return OUT / f"{NAME}-{version()}.pkg"


def executables(app):
    return [app / "Contents/MacOS" / name for name in (EXECUTABLE, COMMAND)]


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
