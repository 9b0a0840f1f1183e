"""Compares a bundle's files with the hashes in its signature (`_CodeSignature/CodeResources`)."""

import hashlib
import plistlib

UNSEALED = ("Info.plist", "PkgInfo")  # the program's own signature covers Info.plist; Apple leaves out PkgInfo


def problems(app):
    """Yields the differences: changed files, missing files and files that are not sealed."""
    contents = app / "Contents"
    seal = plistlib.loads((contents / "_CodeSignature/CodeResources").read_bytes())
    sealed = seal["files2"]
    main = plistlib.loads((contents / "Info.plist").read_bytes())["CFBundleExecutable"]
    present = {path.relative_to(contents).as_posix() for path in contents.rglob("*") if path.is_file()}
    present -= {"_CodeSignature/CodeResources", f"MacOS/{main}", *UNSEALED}
    yield from (f"{name} is not sealed" for name in sorted(present - set(sealed)))
    for name, entry in sorted(sealed.items()):
        path = contents / name
        if not path.is_file():
            if name not in UNSEALED and not (isinstance(entry, dict) and entry.get("optional")):
                yield f"{name} is sealed and missing"
            continue
        entry = entry if isinstance(entry, dict) else {"hash2": entry}
        if "cdhash" in entry:
            continue  # a program, whose own signature rcodesign verifies
        if hashlib.sha256(path.read_bytes()).digest() != entry.get("hash2"):
            yield f"{name} differs from what was sealed"
