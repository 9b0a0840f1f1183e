//! Generates descriptions of the settings for MDM tools: a preference manifest (`ProfileCreator`, `iMazing` Profile Editor)
//! and a JSON schema (Jamf Pro).
//!
//! A test compares the files in `assets/mdm` with the generated text, and writes them on request.

use std::path::{Path, PathBuf};

use protocol::profile::DOMAIN;
use protocol::property_list::to_xml;
use protocol::setting::{Declaration, SettingKind};
use serde_json::{Value, json};

use super::Key;
use super::check::wrong;

const TITLE: &str = "Constellation";
const ABOUT: &str =
    "Trains models on this Mac while it is idle, or coordinates the training of other Macs.";
/// Version of the manifest, incremented by hand when a setting is added or changed, so that tools load the newer one.
const VERSION: u32 = 1;
/// Date of that change.
const LAST_MODIFIED: &str = "2026-11-27T00:00:00Z";

/// Entries of every payload besides the settings: name, title, description and default.
const PAYLOAD: [(&str, &str, &str, &str); 5] = [
    ("PayloadDescription", "Payload Description", "Description of the payload.", ABOUT),
    ("PayloadDisplayName", "Payload Display Name", "Name of the payload.", TITLE),
    ("PayloadIdentifier", "Payload Identifier", "Unique identifier of the payload.", DOMAIN),
    ("PayloadType", "Payload Type", "Preference domain.", DOMAIN),
    ("PayloadUUID", "Payload UUID", "Unique UUID of the payload.", ""),
];

/// Generates Apple's preference manifest, with the extensions of `ProfileManifests`. Its keys begin with `pfm_`.
fn preference_manifest() -> String {
    let mut subkeys = Vec::new();
    for (name, title, about, default) in PAYLOAD {
        subkeys.push(dictionary([
            ("pfm_default", default.into()),
            ("pfm_description", about.into()),
            ("pfm_name", name.into()),
            ("pfm_require", "always".into()),
            ("pfm_title", title.into()),
            ("pfm_type", "string".into()),
        ]));
    }
    subkeys.push(dictionary([
        ("pfm_default", 1.into()),
        ("pfm_description", "Version of the payload format.".into()),
        ("pfm_name", "PayloadVersion".into()),
        ("pfm_require", "always".into()),
        ("pfm_title", "Payload Version".into()),
        ("pfm_type", "integer".into()),
    ]));
    subkeys.extend(Key::ALL.iter().map(|key| preference(&key.declaration())));
    let manifest = dictionary([
        ("pfm_description", ABOUT.into()),
        ("pfm_domain", DOMAIN.into()),
        ("pfm_format_version", 1.into()),
        ("pfm_interaction", "combined".into()),
        ("pfm_last_modified", plist::Date::from_xml_format(LAST_MODIFIED).unwrap().into()),
        ("pfm_platforms", strings(["macOS"])),
        ("pfm_subkeys", plist::Value::Array(subkeys)),
        ("pfm_targets", strings(["system", "user"])),
        ("pfm_title", TITLE.into()),
        ("pfm_unique", true.into()),
        ("pfm_version", VERSION.into()),
    ]);
    to_xml(&manifest, b'\t', 1)
}

/// Returns the entries of one setting, sorted by name.
fn preference(declaration: &Declaration) -> plist::Value {
    let kind = declaration.kind;
    let (type_name, default): (_, Option<plist::Value>) = match kind {
        SettingKind::Bool { default } => ("boolean", Some(default.into())),
        SettingKind::Integer { default, .. } => ("integer", default.map(Into::into)),
        SettingKind::Duration { default, .. } => ("integer", Some(default.into())),
        SettingKind::Number { default, .. } => ("real", default.map(Into::into)),
        SettingKind::Text { .. }
        | SettingKind::Url
        | SettingKind::Pin
        | SettingKind::JoinCode
        | SettingKind::Choice { .. }
        | SettingKind::Schedule
        | SettingKind::LogFilter { .. } => ("string", kind.default_text().map(Into::into)),
    };
    let mut entries = Vec::new();
    entries.extend(default.map(|default| ("pfm_default", default)));
    entries.push(("pfm_description", declaration.about.into()));
    entries.extend(pattern(&kind).map(|pattern| ("pfm_format", pattern.into())));
    entries.push(("pfm_name", declaration.name.into()));
    match kind {
        SettingKind::Choice { choices, .. } => {
            let values = strings(choices.iter().map(|choice| choice.value));
            entries.push(("pfm_range_list", values));
        }
        SettingKind::Integer { minimum, maximum, .. }
        | SettingKind::Duration { minimum, maximum, .. } => {
            entries.push(("pfm_range_max", maximum.into()));
            entries.push(("pfm_range_min", minimum.into()));
        }
        SettingKind::JoinCode => entries.push(("pfm_sensitive", true.into())),
        SettingKind::Text { .. }
        | SettingKind::Url
        | SettingKind::Pin
        | SettingKind::Bool { .. }
        | SettingKind::Number { .. }
        | SettingKind::Schedule
        | SettingKind::LogFilter { .. } => {}
    }
    entries.push(("pfm_title", title(declaration.name).into()));
    entries.push(("pfm_type", type_name.into()));
    entries.extend(kind.example().map(|example| ("pfm_value_placeholder", example.into())));
    dictionary(entries)
}

fn dictionary(entries: impl IntoIterator<Item = (&'static str, plist::Value)>) -> plist::Value {
    let entries = entries.into_iter().map(|(key, value)| (key.to_owned(), value));
    plist::Value::Dictionary(entries.collect())
}

fn strings(texts: impl IntoIterator<Item = &'static str>) -> plist::Value {
    plist::Value::Array(texts.into_iter().map(Into::into).collect())
}

/// Generates the JSON schema for Jamf Pro. Every setting is "Not Configured" initially, because a form filled with the
/// defaults would force all of them.
fn jamf_schema() -> String {
    let properties = Key::ALL.iter().zip(1..).map(|(key, order)| {
        let declaration = key.declaration();
        let property = json!({
            "title": title(declaration.name),
            "description": declaration.about,
            "property_order": order,
            "anyOf": [{ "type": "null", "title": "Not Configured" }, configured(&declaration)],
        });
        (declaration.name.to_owned(), property)
    });
    let schema = json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": format!("{TITLE} ({DOMAIN})"),
        "description": ABOUT,
        "type": "object",
        "options": { "remove_empty_properties": true },
        "properties": properties.collect::<serde_json::Map<_, _>>(),
    });
    format!("{:#}\n", sorted(schema))
}

/// Sorts the names of every object. Without this, their order would depend on a feature of `serde_json` that other crates
/// of the build may enable.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<_> =
                entries.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn configured(declaration: &Declaration) -> Value {
    let kind = declaration.kind;
    let mut schema = match kind {
        SettingKind::Bool { .. } => json!({ "type": "boolean" }),
        SettingKind::Integer { minimum, maximum, .. }
        | SettingKind::Duration { minimum, maximum, .. } => {
            json!({ "type": "integer", "minimum": minimum, "maximum": maximum })
        }
        SettingKind::Number { .. } => {
            json!({ "type": "number", "minimum": 0, "exclusiveMinimum": true })
        }
        SettingKind::Choice { choices, .. } => {
            let values: Vec<&str> = choices.iter().map(|choice| choice.value).collect();
            json!({ "type": "string", "enum": values })
        }
        SettingKind::Text { .. }
        | SettingKind::Url
        | SettingKind::Pin
        | SettingKind::JoinCode
        | SettingKind::Schedule
        | SettingKind::LogFilter { .. } => json!({ "type": "string" }),
    };
    schema["title"] = "Configured".into();
    let default = kind.default_value();
    if !default.is_null() {
        schema["default"] = default;
    }
    if let Some(pattern) = pattern(&kind) {
        schema["pattern"] = pattern.into();
    }
    if let Some(example) = kind.example() {
        schema["options"] = json!({ "inputAttributes": { "placeholder": example } });
    }
    schema
}

/// Returns the pattern of a value; the program's parsers check the rest.
fn pattern(kind: &SettingKind) -> Option<&'static str> {
    matches!(kind, SettingKind::Pin).then_some("^[A-Za-z0-9_-]{43}$")
}

/// Splits a name into words: `MaximumMemoryGB` becomes `Maximum Memory GB`.
fn title(name: &str) -> String {
    let mut title = String::new();
    let mut was_lower = false;
    for letter in name.chars() {
        if letter.is_uppercase() && was_lower {
            title.push(' ');
        }
        was_lower = letter.is_lowercase();
        title.push(letter);
    }
    title
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mdm")
}

#[test]
fn kept_manifests_match_the_generated_ones() {
    for (name, made) in [("plist", preference_manifest()), ("json", jamf_schema())] {
        let file = folder().join(format!("{DOMAIN}.{name}"));
        if std::env::var_os("CONSTELLATION_WRITE_MANIFESTS").is_some() {
            std::fs::write(&file, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            kept,
            made,
            "{}: write it again with CONSTELLATION_WRITE_MANIFESTS=1",
            file.display()
        );
    }
}

#[test]
fn every_setting_of_the_template_is_known_and_valid() {
    let template = plist::Value::from_file(folder().join("constellation.mobileconfig")).unwrap();
    let payloads = template.as_dictionary().unwrap()["PayloadContent"].as_array().unwrap();
    let mut payloads = payloads.iter().map(|payload| payload.as_dictionary().unwrap());
    let payload = payloads.find(|payload| payload["PayloadType"].as_string() == Some(DOMAIN));
    let mut found = Vec::new();
    for (name, value) in payload.unwrap() {
        if name.starts_with("Payload") {
            continue;
        }
        let key = Key::named(name).unwrap_or_else(|| panic!("{name} is not a setting"));
        let flag = value.as_boolean().map(|flag| flag.to_string());
        let text = flag.or_else(|| value.as_string().map(str::to_owned)).unwrap();
        assert_eq!(wrong(key, &text), None, "{name} is {text}");
        found.push(key);
    }
    let expected = [
        Key::Mode,
        Key::CoordinatorUrl,
        Key::CoordinatorPin,
        Key::EnrollmentCode,
        Key::StartAtLogin,
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_title_is_the_name_split_into_words() {
    for (name, expected) in [
        ("MaximumMemoryGB", "Maximum Memory GB"),
        ("CoordinatorURL", "Coordinator URL"),
        ("Mode", "Mode"),
    ] {
        assert_eq!(title(name), expected);
    }
}
