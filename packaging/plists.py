"""Strict checks of property lists, profiles and settings manifests: they parse, no key occurs twice (Python's parser silently keeps
the last), and required keys are present.
"""

import datetime
import json
import plistlib
import re
import sys
import uuid
import xml.etree.ElementTree as xml

from product import IDENTIFIER, MINIMUM_SYSTEM, ROOT

FORBIDDEN_ENTITLEMENTS = ("camera", "audio-input", "microphone", "get-task-allow", "allow-dyld", "disable-library-validation")
PROFILE_KEYS = ("PayloadType", "PayloadIdentifier", "PayloadUUID", "PayloadVersion")
# Keys that we use and their types, from the wiki of ProfileCreator/ProfileManifests, "Manifest Format".
MANIFEST_KEYS = {
    "pfm_description": str,
    "pfm_domain": str,
    "pfm_format_version": int,
    "pfm_interaction": str,
    "pfm_last_modified": datetime.datetime,
    "pfm_platforms": list,
    "pfm_subkeys": list,
    "pfm_targets": list,
    "pfm_title": str,
    "pfm_unique": bool,
    "pfm_version": int,
}
PREFERENCE_KEYS = {
    "pfm_default": object,
    "pfm_description": str,
    "pfm_format": str,
    "pfm_name": str,
    "pfm_range_list": list,
    "pfm_range_max": int,
    "pfm_range_min": int,
    "pfm_require": str,
    "pfm_sensitive": bool,
    "pfm_title": str,
    "pfm_type": str,
    "pfm_value_placeholder": object,
}
PREFERENCE_TYPES = {"boolean": bool, "integer": int, "real": float, "string": str}


def read(data):
    """Parses a property list. Raises ValueError with the reason if it is invalid."""
    try:
        tree = xml.fromstring(data)
        value = plistlib.loads(data)
    except (xml.ParseError, plistlib.InvalidFileException, ValueError, AttributeError, IndexError) as error:
        raise ValueError(f"is not a property list: {error}") from error
    for each in tree.iter("dict"):
        children = list(each)
        keys, values = children[0::2], children[1::2]
        if len(keys) != len(values) or any(key.tag != "key" for key in keys) or any(one.tag == "key" for one in values):
            raise ValueError("has a dictionary in which keys and values do not alternate")
        names = [key.text for key in keys]
        duplicates = {name for name in names if names.count(name) > 1}
        if duplicates:
            raise ValueError(f"has duplicate keys: {', '.join(sorted(map(str, duplicates)))}")
    return value


def information(info, is_bundled):
    """Yields the problems of the app's Info.plist."""
    expected = {
        "CFBundleIdentifier": IDENTIFIER,
        "CFBundleExecutable": "ConstellationApp",
        "LSMinimumSystemVersion": MINIMUM_SYSTEM,
        "LSUIElement": True,
        "CFBundlePackageType": "APPL",
        "NSBonjourServices": [bonjour_service()],
    }
    yield from (f"{key} is {info.get(key)!r}, expected is {value!r}" for key, value in expected.items() if info.get(key) != value)
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
            yield f"{key} must not be in the template; packaging/bundle.py sets it"


def entitlements(value):
    for key in value:
        if any(word in key for word in FORBIDDEN_ENTITLEMENTS):
            yield f"{key} is not allowed"


def profile(value):
    """Yields the problems of a configuration profile."""
    seen = []
    for payload in [value, *value.get("PayloadContent", [])]:
        name = payload.get("PayloadIdentifier", "a payload")
        yield from (f"{name}: {key} is missing" for key in PROFILE_KEYS if key not in payload)
        if payload.get("PayloadVersion") != 1:
            yield f"{name}: PayloadVersion is not 1"
        try:
            seen.append(uuid.UUID(payload.get("PayloadUUID", "")))
        except ValueError:
            yield f"{name}: PayloadUUID is not a UUID"
    if len(seen) != len(set(seen)):
        yield "two payloads have the same PayloadUUID"
    if value.get("PayloadType") != "Configuration":
        yield "PayloadType is not Configuration"
    if not value.get("PayloadContent"):
        yield "the profile has no payload"


def manifest(value):
    """Yields the problems of a preference manifest."""
    yield from missing("the manifest", value, MANIFEST_KEYS, MANIFEST_KEYS)
    if value.get("pfm_domain") != IDENTIFIER:
        yield f"pfm_domain is {value.get('pfm_domain')!r}"
    names = [key.get("pfm_name") for key in value.get("pfm_subkeys", [])]
    yield from (f"{name} is described twice" for name in sorted(set(names)) if names.count(name) > 1)
    yield from (f"{name} is missing" for name in PROFILE_KEYS if name not in names)
    for key in value.get("pfm_subkeys", []):
        name = key.get("pfm_name", "a setting")
        yield from missing(name, key, PREFERENCE_KEYS, ("pfm_description", "pfm_name", "pfm_title", "pfm_type"))
        kind = PREFERENCE_TYPES.get(key.get("pfm_type"))
        if kind is None:
            yield f"{name}: pfm_type is {key.get('pfm_type')!r}"
            continue
        for entry in ("pfm_default", "pfm_value_placeholder"):
            if entry in key and type(key[entry]) is not kind:
                yield f"{name}: {entry} is not of the type {key['pfm_type']}"
        if "pfm_range_list" in key and key.get("pfm_default") not in key["pfm_range_list"]:
            yield f"{name}: pfm_default is not in pfm_range_list"


def missing(name, value, kinds, required):
    """Yields the missing keys, unknown keys and wrong types of a dictionary."""
    yield from (f"{name}: {key} is missing" for key in required if key not in value)
    for key, each in value.items():
        if key not in kinds:
            yield f"{name}: {key} is not a manifest key"
        elif not isinstance(each, kinds[key]):
            yield f"{name}: {key} has the type {type(each).__name__}"


def schema(value, plist):
    """Yields the differences of Jamf's schema from the manifest."""
    if value.get("$schema") != "http://json-schema.org/draft-04/schema#" or value.get("type") != "object":
        yield "it is not a draft 4 schema of an object"
    described = {key["pfm_name"]: key for key in plist["pfm_subkeys"] if not key["pfm_name"].startswith("Payload")}
    properties = value.get("properties", {})
    if list(properties) != sorted(described):
        yield "its settings differ from the manifest's"
        return
    orders = sorted(one.get("property_order", 0) for one in properties.values())
    if orders != list(range(1, len(properties) + 1)):
        yield "its property_order is not consecutive from 1"
    for name, one in properties.items():
        nothing, set_to = one.get("anyOf", [{}, {}])
        if nothing.get("type") != "null" or one.get("description") != described[name]["pfm_description"]:
            yield f"{name}: it can't be left unset, or its description differs"
        if set_to.get("default") != described[name].get("pfm_default") or set_to.get("enum") != described[name].get("pfm_range_list"):
            yield f"{name}: its default or its choices differ"


def bonjour_service():
    text = (ROOT / "crates/node/src/discovery.rs").read_text()
    return re.search(r'const SERVICE: &str = "([^"]+)\.local\."', text)[1]


def in_repository():
    """Yields (path, problem) for every committed property list and schema."""
    checks = {
        "Info.plist": lambda value: information(value, is_bundled=False),
        "entitlements.plist": entitlements,
        "packaging/scripts/com.constellation.app.agent.plist": lambda value: [],
    }
    checks |= {str(path.relative_to(ROOT)): profile for path in sorted((ROOT / "assets/mdm").glob("*.mobileconfig"))}
    checks[f"assets/mdm/{IDENTIFIER}.plist"] = manifest
    for path, check in checks.items():
        try:
            yield from ((path, problem) for problem in check(read((ROOT / path).read_bytes())))
        except ValueError as error:
            yield path, str(error)
    path = ROOT / f"assets/mdm/{IDENTIFIER}.json"
    plist = read(path.with_suffix(".plist").read_bytes())
    yield from ((str(path.relative_to(ROOT)), problem) for problem in schema(json.loads(path.read_text()), plist))


def main():
    found = list(in_repository())
    for path, problem in found:
        print(f"plists: {path}: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
