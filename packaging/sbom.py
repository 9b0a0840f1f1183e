"""Software bill of materials (CycloneDX 1.5) and third-party licenses, from `cargo metadata` for Apple silicon. Covers what is linked
into the programs; build and test dependencies are left out.
"""

import hashlib
import json
import subprocess
import uuid
from pathlib import Path

from product import IDENTIFIER, NAME, ROOT, TARGET, version

# Crates of the programs in the bundle.
PROGRAMS = {"cli", "constellation-app"}
LICENSE_FILES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")


def write(folder):
    packages = linked()
    (folder / "sbom.cdx.json").write_text(json.dumps(bill(packages), indent=1) + "\n")
    (folder / "third-party-licenses.txt").write_text(licenses(packages))
    return len(packages)


def linked():
    """Lists the third-party packages that are linked into a program, sorted by name and version."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    found = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return reachable(found)


def reachable(metadata):
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting = [id for id, package in packages.items() if package["name"] in PROGRAMS and package["source"] is None]
    seen = set()
    while waiting:
        id = waiting.pop()
        if id in seen:
            continue
        seen.add(id)
        for edge in nodes[id]["deps"]:
            if any(kind["kind"] is None for kind in edge["dep_kinds"]):
                waiting.append(edge["pkg"])
    foreign = [packages[id] for id in seen if packages[id]["source"] is not None]
    return sorted(foreign, key=lambda package: (package["name"], package["version"]))


def bill(packages):
    components = [
        {
            "type": "library",
            "bom-ref": purl(package),
            "name": package["name"],
            "version": package["version"],
            "purl": purl(package),
            "licenses": [{"expression": (package["license"] or "NOASSERTION").replace("/", " OR ")}],
        }
        for package in packages
    ]
    # The serial number is derived from the content, so the same content has the same number.
    content = json.dumps(components).encode()
    serial = uuid.uuid5(uuid.NAMESPACE_URL, hashlib.sha256(content).hexdigest())
    product = {"type": "application", "bom-ref": IDENTIFIER, "name": NAME, "version": version()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": product},
        "components": components,
        "dependencies": [{"ref": IDENTIFIER, "dependsOn": [purl(package) for package in packages]}],
    }


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def licenses(packages):
    """Returns each license text once, below the packages that have it. Packages without a text are listed with their license
    expression."""
    texts, without = {}, []
    for package in packages:
        name = f"{package['name']} {package['version']} ({package['license'] or 'no license named'})"
        found = license_texts(Path(package["manifest_path"]).parent)
        for text in found:
            texts.setdefault(text, []).append(name)
        if not found:
            without.append(name)
    parts = ["Constellation contains the following software of others.\n"]
    for text, names in sorted(texts.items(), key=lambda item: item[1]):
        parts.append("\n".join(["=" * 100, *names, "-" * 100, text]))
    if without:
        parts.append("\n".join(["=" * 100, "Published without a text of their license:", *without]))
    return "\n".join(parts) + "\n"


def license_texts(folder):
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name.upper().startswith(LICENSE_FILES))
    return [path.read_text(encoding="utf-8", errors="replace").strip() for path in files]
