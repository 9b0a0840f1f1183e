"""Property lists and profiles, read strictly: Python's parser, no key twice (the parser keeps the last in silence), and the
keys that each must have.
"""

import plistlib
import re
import sys
import uuid
import xml.etree.ElementTree as xml

from product import IDENTIFIER, MINIMUM_SYSTEM, ROOT

FORBIDDEN_ENTITLEMENTS = ("camera", "audio-input", "microphone", "get-task-allow", "allow-dyld", "disable-library-validation")
PROFILE_KEYS = ("PayloadType", "PayloadIdentifier", "PayloadUUID", "PayloadVersion")


def read(data):
    """The value, or a ValueError that says what is wrong."""
    try:
        tree = xml.fromstring(data)
        value = plistlib.loads(data)
    except (xml.ParseError, plistlib.InvalidFileException, ValueError, AttributeError, IndexError) as error:
        raise ValueError(f"is no property list: {error}") from error
    for each in tree.iter("dict"):
        children = list(each)
        keys, values = children[0::2], children[1::2]
        if len(keys) != len(values) or any(key.tag != "key" for key in keys) or any(one.tag == "key" for one in values):
            raise ValueError("has a dictionary that is not keys and values in turn")
        names = [key.text for key in keys]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"has a key twice: {', '.join(sorted(map(str, twice)))}")
    return value


def information(info, is_bundled):
    """What is wrong with the app's Info.plist."""
    wanted = {
        "CFBundleIdentifier": IDENTIFIER,
        "CFBundleExecutable": "ConstellationApp",
        "LSMinimumSystemVersion": MINIMUM_SYSTEM,
        "LSUIElement": True,
        "CFBundlePackageType": "APPL",
        "NSBonjourServices": [bonjour_service()],
    }
    yield from (f"{key} is {info.get(key)!r}, wanted is {value!r}" for key, value in wanted.items() if info.get(key) != value)
    for key in ("NSLocalNetworkUsageDescription", "NSHumanReadableCopyright", "LSApplicationCategoryType"):
        if not info.get(key):
            yield f"{key} is missing"
    schemes = [scheme for kind in info.get("CFBundleURLTypes", []) for scheme in kind.get("CFBundleURLSchemes", [])]
    if schemes != ["constellation"]:
        yield f"its URL schemes are {schemes}"
    for key in ("CFBundleShortVersionString", "CFBundleVersion", "ConstellationBuild"):
        if is_bundled and not info.get(key):
            yield f"{key} is missing"
        if not is_bundled and key in info:
            yield f"{key} stands in the template; packaging/bundle.py says it"


def entitlements(value):
    for key in value:
        if any(word in key for word in FORBIDDEN_ENTITLEMENTS):
            yield f"{key} must not be there"


def profile(value):
    """What is wrong with a configuration profile."""
    seen = []
    for payload in [value, *value.get("PayloadContent", [])]:
        name = payload.get("PayloadIdentifier", "a payload")
        yield from (f"{name}: {key} is missing" for key in PROFILE_KEYS if key not in payload)
        if payload.get("PayloadVersion") != 1:
            yield f"{name}: PayloadVersion is not 1"
        try:
            seen.append(uuid.UUID(payload.get("PayloadUUID", "")))
        except ValueError:
            yield f"{name}: its PayloadUUID is none"
    if len(seen) != len(set(seen)):
        yield "two payloads have the same PayloadUUID"
    if value.get("PayloadType") != "Configuration":
        yield "PayloadType is not Configuration"
    if not value.get("PayloadContent"):
        yield "it has no payload"


def bonjour_service():
    text = (ROOT / "crates/node/src/discovery.rs").read_text()
    return re.search(r'const SERVICE: &str = "([^"]+)\.local\."', text)[1]


def in_repository():
    """[(path, what is wrong)] of every list that is committed."""
    judges = {
        "Info.plist": lambda value: information(value, is_bundled=False),
        "entitlements.plist": entitlements,
        "packaging/scripts/com.constellation.app.agent.plist": lambda value: [],
    }
    judges |= {str(path.relative_to(ROOT)): profile for path in sorted((ROOT / "assets/mdm").glob("*.mobileconfig"))}
    for path, judge in judges.items():
        try:
            yield from ((path, problem) for problem in judge(read((ROOT / path).read_bytes())))
        except ValueError as error:
            yield path, str(error)


def main():
    found = list(in_repository())
    for path, problem in found:
        print(f"plists: {path}: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
