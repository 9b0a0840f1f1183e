"""What a signed bundle promises of its files (`_CodeSignature/CodeResources`), held against the files themselves."""

import hashlib
import plistlib

UNSEALED = ("Info.plist", "PkgInfo")  # Info.plist is in the signature of the program itself; PkgInfo is left out by Apple


def problems(app):
    """Says what differs: a file that is other than promised, one that is promised and missing, one that nobody promised."""
    contents = app / "Contents"
    seal = plistlib.loads((contents / "_CodeSignature/CodeResources").read_bytes())
    promised = seal["files2"]
    main = plistlib.loads((contents / "Info.plist").read_bytes())["CFBundleExecutable"]
    there = {path.relative_to(contents).as_posix() for path in contents.rglob("*") if path.is_file()}
    there -= {"_CodeSignature/CodeResources", f"MacOS/{main}", *UNSEALED}
    yield from (f"{name} is not sealed" for name in sorted(there - set(promised)))
    for name, entry in sorted(promised.items()):
        path = contents / name
        if not path.is_file():
            if name not in UNSEALED and not (isinstance(entry, dict) and entry.get("optional")):
                yield f"{name} is sealed and missing"
            continue
        entry = entry if isinstance(entry, dict) else {"hash2": entry}
        if "cdhash" in entry:
            continue  # a program: its own signature says it, and rcodesign verifies that
        if hashlib.sha256(path.read_bytes()).digest() != entry.get("hash2"):
            yield f"{name} is not what was sealed"
