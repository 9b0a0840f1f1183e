#!/usr/bin/env python3
"""Import check: the files of a crate may not import each other in a circle.

An arrow goes from a file to each file that defines an item which the first one names by a path. Re-exports are followed to the file
that defines the item. A `mod` item and a re-export that its own file does not use are no arrows, so a folder's `mod.rs` may present
its children. But an item that is defined in `mod.rs` and used by a child makes a circle when `mod.rs` uses that child: such an item
belongs in a file of its own. Tests are exempt.

Usage: check_cycles.py [CRATE…] checks the crates named, else every crate.
"""

import sys
from pathlib import Path

from rust_modules import read_crate

ROOT = Path(__file__).resolve().parent.parent


def main(arguments):
    found = []
    for crate in sorted([*(ROOT / "crates").iterdir(), ROOT / "src-tauri"]):
        if not arguments or crate.name in arguments:
            found += problems(crate)
    for problem in found:
        print(f"cycles: {problem}", file=sys.stderr)
    return 1 if found else 0


def problems(crate):
    """Lists the circles of a crate, each as the files and the imports that make it."""
    found = []
    for root in [crate / "src/lib.rs", crate / "src/main.rs", *sorted((crate / "src/bin").glob("*.rs"))]:
        if root.is_file():
            arrows = arrows_of(read_crate(root))
            for circle in circles({(start, end) for start, end, _, _ in arrows}):
                name = lambda file: file.relative_to(crate / "src")
                lines = [f"{len(circle)} files of {crate.name} import each other:"]
                for start, end, line, path in sorted(arrows):
                    if start in circle and end in circle:
                        lines.append(f"  {name(start)}:{line} -> {name(end)}: {'::'.join(path)}")
                found.append("\n".join(lines))
    return found


def arrows_of(modules):
    """Returns the arrows between files: {(from, to, line, path)}, one for each path."""
    found = {}
    for module in modules.values():
        names = {path: name for name, paths in module.imports.items() for path in paths}
        imported = {names[path] for path, _, kind in module.uses if kind == "import" and files_of(modules, module, path)}
        for path, line, kind in module.uses:
            is_unused_export = kind == "export" and names[path] not in module.words
            if is_unused_export or (kind == "path" and path[0] in imported):
                continue  # of no use to this file, or counted at its import
            for file in files_of(modules, module, path, kind == "glob"):
                if file != module.file:
                    found.setdefault((module.file, file, path), line)
    return {(start, end, line, path) for (start, end, path), line in found.items()}


def files_of(modules, module, path, is_glob=False):
    """Returns the files that define the item that `path` names in `module`. A module itself is no item, unless `is_glob`."""
    found = resolve(modules, module, path, frozenset())
    return {
        target.file if isinstance(target, type(module)) else target
        for target in found
        if is_glob or not isinstance(target, type(module))
    }


def resolve(modules, module, path, seen):
    """Resolves a path. Returns modules, and the files that define items; nothing for names of other crates."""
    here = [module]
    for index, segment in enumerate(path):
        if segment == "crate":
            here = [modules[()]]
        elif segment == "super":
            here = [modules[place.path[:-1]] for place in here if place.path]
        elif segment != "self":
            is_last = index + 1 == len(path)
            found = set()
            for place in here:
                found |= lookup(modules, place, segment, seen, is_first=index == 0, is_last=is_last)
            items = {target for target in found if not isinstance(target, type(module))}
            here = [target for target in found if isinstance(target, type(module))]
            if is_last or not here:
                return items or set(here)
    return set(here)


def lookup(modules, module, name, seen, is_first, is_last):
    """Looks a name up in a module: its definitions, children, imports, then globs."""
    key = (module.path, name)
    if key in seen:
        return set()
    seen = seen | {key}
    found = set(module.children.get(name, []))
    if name in module.defined:
        found.add(module.file)
    for path in module.imports.get(name, []):
        found |= resolve(modules, module, path, seen)
    for path in [] if found else module.globs:
        for place in resolve(modules, module, path, seen):
            if place is not module and hasattr(place, "path") and hasattr(place, "defined"):
                found |= lookup(modules, place, name, seen, is_first=True, is_last=is_last)
    if not found and not is_first and name not in module.imports:
        found.add(module.file)  # a macro defines it
    return found


def circles(arrows):
    """Returns the strongly connected components of more than one file, by Tarjan's algorithm."""
    after = {}
    for start, end in sorted(arrows):
        after.setdefault(start, []).append(end)
    order, low, stack, found = {}, {}, [], []

    def visit(node):
        order[node] = low[node] = len(order)
        stack.append(node)
        for following in after.get(node, []):
            if following not in order:
                visit(following)
                low[node] = min(low[node], low[following])
            elif following in stack:
                low[node] = min(low[node], order[following])
        if low[node] == order[node]:
            component = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(component)

    for node in sorted(after):
        if node not in order:
            visit(node)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
