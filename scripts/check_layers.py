#!/usr/bin/env python3
"""Layering check: a crate in deny.toml's `bans.deny` may be a direct dependency of its `wrappers` only.

cargo-deny checks the same list for the whole dependency tree, and `make lint` runs it if it is installed. This script checks the
workspace's manifests in a second, without a build. It is stricter in two ways: a rule for `burn` also covers `burn-core`, and every
crate of the workspace must be in the list.
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
    """Lists the violations. `wrappers`: crate -> crates that may use it; `workspace`: crate -> its dependencies."""
    found = []
    for user, used in sorted(workspace.items()):
        if user not in wrappers and user != BOTTOM and user not in PROGRAMS:
            found.append(f"{user} is missing in deny.toml: add it to bans.deny with its wrappers")
        for name in sorted(used):
            if name in workspace and name in PROGRAMS | {user}:
                found.append(f"{user} uses {name}, which no crate may use")
            owned = rule_for(name, wrappers, workspace)
            if owned and user not in wrappers[owned]:
                allowed = ", ".join(sorted(wrappers[owned]))
                found.append(f"{user} uses {name}; deny.toml allows that only for {allowed}")
    if workspace.get(BOTTOM, set()) & set(workspace):
        found.append(f"{BOTTOM} is the bottom layer and may use no crate of the workspace")
    return found


def rule_for(name, wrappers, workspace):
    """Returns the entry for a crate: its own, or for an external crate that of its family, such as burn for burn-core."""
    if name in wrappers or name in workspace:
        return name if name in wrappers else None
    families = [owned for owned in wrappers if owned not in workspace]
    return next((owned for owned in families if re.match(re.escape(owned) + "[-_]", name)), None)


def read_wrappers(text):
    """Reads {crate: wrappers} from deny.toml, one entry on each line. (macOS's own Python has no TOML reader.)"""
    uncommented = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    entries = {crate: set(re.findall(r'"([^"]+)"', names)) for crate, names in ENTRY.findall(uncommented)}
    if not entries:
        sys.exit("layers: found no entry with wrappers in deny.toml")
    return entries


def read_workspace():
    """Returns {crate: names of its direct dependencies}, of every kind and for every system."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return {
        package["name"]: {dependency["name"] for dependency in package["dependencies"]} - {package["name"]}
        for package in metadata["packages"]
    }


if __name__ == "__main__":
    sys.exit(main())
