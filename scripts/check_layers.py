#!/usr/bin/env python3
"""Dependency arrows: every crate named in deny.toml's `bans.deny` is used directly by its `wrappers` alone.

cargo-deny holds the same list over the whole dependency tree, and `make lint` runs it where it is installed. This script
holds it over the workspace's own manifests in a second, with nothing to build. It is stricter in two ways: what holds for
`burn` holds for `burn-core` too, and a crate of the workspace that takes part in no arrow must be added to the list.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENTRY = re.compile(r'^\s*\{\s*crate\s*=\s*"([^"]+)".*?wrappers\s*=\s*\[([^\]]*)\]', re.MULTILINE | re.DOTALL)
BOTTOM = "protocol"
PROGRAMS = {"cli", "constellation-app"}


def main():
    wrappers = read_wrappers((ROOT / "deny.toml").read_text())
    found = problems(wrappers, read_workspace())
    for problem in found:
        print(f"layers: {problem}", file=sys.stderr)
    return 1 if found else 0


def problems(wrappers, workspace):
    """Says what breaks the arrows. `wrappers`: crate -> who may use it; `workspace`: crate -> what it uses."""
    found = []
    for user, used in sorted(workspace.items()):
        if user not in wrappers and user != BOTTOM and user not in PROGRAMS:
            found.append(f"{user} is a crate that deny.toml does not know: add it to bans.deny with its wrappers")
        for name in sorted(used):
            if name in workspace and name in PROGRAMS | {user}:
                found.append(f"{user} uses {name}, which nothing may use")
            owned = rule_for(name, wrappers, workspace)
            if owned and user not in wrappers[owned]:
                allowed = ", ".join(sorted(wrappers[owned]))
                found.append(f"{user} uses {name}; deny.toml lets only {allowed} do that")
    if workspace.get(BOTTOM, set()) & set(workspace):
        found.append(f"{BOTTOM} is the bottom layer and may use no crate of the workspace")
    return found


def rule_for(name, wrappers, workspace):
    """The entry that speaks for a crate: its own, or for crates from outside that of the family it belongs to."""
    if name in wrappers or name in workspace:
        return name if name in wrappers else None
    families = [owned for owned in wrappers if owned not in workspace]
    return next((owned for owned in families if re.match(re.escape(owned) + "[-_]", name)), None)


def read_wrappers(text):
    """crate -> wrappers, one entry of deny.toml a line. (macOS's own Python has no TOML reader.)"""
    uncommented = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    entries = {crate: set(re.findall(r'"([^"]+)"', names)) for crate, names in ENTRY.findall(uncommented)}
    if not entries:
        sys.exit("layers: deny.toml has no entry with wrappers that this script can read")
    return entries


def read_workspace():
    """crate -> the names of its direct dependencies, of every kind and for every system."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return {
        package["name"]: {dependency["name"] for dependency in package["dependencies"]} - {package["name"]}
        for package in metadata["packages"]
    }


if __name__ == "__main__":
    sys.exit(main())
