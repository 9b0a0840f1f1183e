"""Property lists, profiles and the manifests of the settings, read strictly: Python's parser, no key twice (the parser keeps the
last in silence), and the keys that each must have.
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
# Of ProfileCreator/ProfileManifests' wiki, "Manifest Format": the keys that we use, each with its kind.
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


def manifest(value):
    """What is wrong with a preference manifest."""
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
                yield f"{name}: {entry} is no {key['pfm_type']}"
        if "pfm_range_list" in key and key.get("pfm_default") not in key["pfm_range_list"]:
            yield f"{name}: pfm_default is none of pfm_range_list"


def missing(name, value, kinds, wanted):
    """Of a dictionary: what it lacks, what nobody knows, and what is of another kind."""
    yield from (f"{name}: {key} is missing" for key in wanted if key not in value)
    for key, each in value.items():
        if key not in kinds:
            yield f"{name}: {key} is no key of a manifest"
        elif not isinstance(each, kinds[key]):
            yield f"{name}: {key} is {type(each).__name__}"


def schema(value, plist):
    """What is wrong with Jamf's schema, beside the manifest that says the same."""
    if value.get("$schema") != "http://json-schema.org/draft-04/schema#" or value.get("type") != "object":
        yield "it is no schema of an object in draft 4"
    described = {key["pfm_name"]: key for key in plist["pfm_subkeys"] if not key["pfm_name"].startswith("Payload")}
    properties = value.get("properties", {})
    if list(properties) != sorted(described):
        yield "its settings are not the manifest's"
        return
    orders = sorted(one.get("property_order", 0) for one in properties.values())
    if orders != list(range(1, len(properties) + 1)):
        yield "its property_order does not count up"
    for name, one in properties.items():
        nothing, set_to = one.get("anyOf", [{}, {}])
        if nothing.get("type") != "null" or one.get("description") != described[name]["pfm_description"]:
            yield f"{name}: it can't be left alone, or is described otherwise"
        if set_to.get("default") != described[name].get("pfm_default") or set_to.get("enum") != described[name].get("pfm_range_list"):
            yield f"{name}: its default or its choices are others"


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
    judges[f"assets/mdm/{IDENTIFIER}.plist"] = manifest
    for path, judge in judges.items():
        try:
            yield from ((path, problem) for problem in judge(read((ROOT / path).read_bytes())))
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
