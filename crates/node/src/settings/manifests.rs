//! Generates descriptions of the settings for MDM tools: a preference manifest (`ProfileCreator`, `iMazing` Profile Editor)
//! and a JSON schema (Jamf Pro).
//!
//! A test compares the files in `assets/mdm` with the generated text, and writes them on request.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Declaration, Key, Range};

const DOMAIN: &str = "com.constellation.app";
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
    let mut subkeys = String::new();
    for (name, title, about, default) in PAYLOAD {
        let entries = [
            ("pfm_default", string(default)),
            ("pfm_description", string(about)),
            ("pfm_name", string(name)),
            ("pfm_require", string("always")),
            ("pfm_title", string(title)),
            ("pfm_type", string("string")),
        ];
        subkeys += &dictionary(2, &entries);
    }
    let version = [
        ("pfm_default", "<integer>1</integer>".to_owned()),
        ("pfm_description", string("Version of the payload format.")),
        ("pfm_name", string("PayloadVersion")),
        ("pfm_require", string("always")),
        ("pfm_title", string("Payload Version")),
        ("pfm_type", string("integer")),
    ];
    subkeys += &dictionary(2, &version);
    for key in Key::ALL {
        subkeys += &dictionary(2, &preference(&key.declaration()));
    }
    let entries = [
        ("pfm_description", string(ABOUT)),
        ("pfm_domain", string(DOMAIN)),
        ("pfm_format_version", "<integer>1</integer>".to_owned()),
        ("pfm_interaction", string("combined")),
        ("pfm_last_modified", format!("<date>{LAST_MODIFIED}</date>")),
        ("pfm_platforms", array(2, &[string("macOS")])),
        ("pfm_subkeys", format!("<array>\n{subkeys}\t</array>")),
        ("pfm_targets", array(2, &[string("system"), string("user")])),
        ("pfm_title", string(TITLE)),
        ("pfm_unique", "<true/>".to_owned()),
        ("pfm_version", format!("<integer>{VERSION}</integer>")),
    ];
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n{}</plist>\n",
        dictionary(0, &entries)
    )
}

/// Returns the entries of one setting, sorted by name.
fn preference(declaration: &Declaration) -> Vec<(&'static str, String)> {
    let Declaration { name, range, default, .. } = *declaration;
    let (kind, element) = match range {
        Range::Flag => ("boolean", ""),
        Range::Whole { .. } => ("integer", "integer"),
        Range::Number => ("real", "real"),
        Range::Text
        | Range::Pin
        | Range::JoinCode
        | Range::Choice(_)
        | Range::Schedule
        | Range::Filter => ("string", "string"),
    };
    let value = |text: &str| match element {
        "" => format!("<{text}/>"),
        element => format!("<{element}>{}</{element}>", escaped(text)),
    };
    let mut entries = Vec::new();
    if !default.is_empty() {
        entries.push(("pfm_default", value(default)));
    }
    entries.push(("pfm_description", string(declaration.about)));
    entries.extend(pattern(range).map(|pattern| ("pfm_format", string(pattern))));
    entries.push(("pfm_name", string(name)));
    match range {
        Range::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| string(word)).collect();
            entries.push(("pfm_range_list", array(4, &words)));
        }
        Range::Whole { least, most } => {
            entries.push(("pfm_range_max", format!("<integer>{most}</integer>")));
            entries.push(("pfm_range_min", format!("<integer>{least}</integer>")));
        }
        Range::Text
        | Range::Pin
        | Range::JoinCode
        | Range::Flag
        | Range::Number
        | Range::Schedule
        | Range::Filter => {}
    }
    if range == Range::JoinCode {
        entries.push(("pfm_sensitive", "<true/>".to_owned()));
    }
    entries.push(("pfm_title", string(&title(name))));
    entries.push(("pfm_type", string(kind)));
    if let Some(example) = example(declaration) {
        entries.push(("pfm_value_placeholder", string(example)));
    }
    entries
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
    let mut schema = match declaration.range {
        Range::Flag => json!({ "type": "boolean" }),
        Range::Whole { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Range::Number => json!({ "type": "number", "minimum": 0, "exclusiveMinimum": true }),
        Range::Choice(words) => json!({ "type": "string", "enum": words }),
        Range::Text | Range::Pin | Range::JoinCode | Range::Schedule | Range::Filter => {
            json!({ "type": "string" })
        }
    };
    schema["title"] = "Configured".into();
    let text = declaration.default;
    if !text.is_empty() {
        schema["default"] = match declaration.range {
            Range::Flag | Range::Whole { .. } | Range::Number => {
                serde_json::from_str(text).unwrap_or_default()
            }
            Range::Text
            | Range::Pin
            | Range::JoinCode
            | Range::Choice(_)
            | Range::Schedule
            | Range::Filter => text.into(),
        };
    }
    if let Some(pattern) = pattern(declaration.range) {
        schema["pattern"] = pattern.into();
    }
    if let Some(example) = example(declaration) {
        schema["options"] = json!({ "inputAttributes": { "placeholder": example } });
    }
    schema
}

/// Returns the pattern of a value; the program's parsers check the rest.
const fn pattern(range: Range) -> Option<&'static str> {
    match range {
        Range::Pin => Some("^[A-Za-z0-9_-]{43}$"),
        Range::Text
        | Range::JoinCode
        | Range::Choice(_)
        | Range::Flag
        | Range::Whole { .. }
        | Range::Number
        | Range::Schedule
        | Range::Filter => None,
    }
}

/// Returns the placeholder of an empty input field.
fn example(declaration: &Declaration) -> Option<&'static str> {
    match declaration.range {
        Range::Text if declaration.default.is_empty() => {
            Some("https://coordinator.example.com:8000")
        }
        Range::JoinCode => Some("constellation://join/…"),
        Range::Schedule => Some("Mon-Fri 19:00-07:00"),
        Range::Text
        | Range::Pin
        | Range::Choice(_)
        | Range::Flag
        | Range::Whole { .. }
        | Range::Number
        | Range::Filter => None,
    }
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

fn dictionary(depth: usize, entries: &[(&str, String)]) -> String {
    let tabs = "\t".repeat(depth);
    let mut text = format!("{tabs}<dict>\n");
    for (key, value) in entries {
        let written = writeln!(text, "{tabs}\t<key>{key}</key>\n{tabs}\t{value}");
        debug_assert!(written.is_ok(), "writing to a String never fails");
    }
    text + &format!("{tabs}</dict>\n")
}

/// Writes an array: its items at `depth`, its end tag one level above.
fn array(depth: usize, items: &[String]) -> String {
    let tabs = "\t".repeat(depth);
    let items = items.iter().fold(String::new(), |text, item| format!("{text}{tabs}{item}\n"));
    format!("<array>\n{items}{}</array>", "\t".repeat(depth - 1))
}

fn string(text: &str) -> String {
    format!("<string>{}</string>", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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
    let template = std::fs::read_to_string(folder().join("constellation.mobileconfig")).unwrap();
    let payload = template
        .split("<dict>")
        .find(|payload| payload.contains(&format!("<string>{DOMAIN}</string>")))
        .unwrap();
    let mut found = Vec::new();
    for entry in payload.split("<key>").skip(1) {
        let (name, value) = entry.split_once("</key>").unwrap();
        if name.starts_with("Payload") {
            continue;
        }
        let key = Key::named(name).unwrap_or_else(|| panic!("{name} is not a setting"));
        let value = value.trim().split("</dict>").next().unwrap().trim();
        let text = match value {
            "<true/>" => "true",
            "<false/>" => "false",
            value => value.split(['<', '>']).nth(2).unwrap(),
        };
        assert_eq!(key.wrong(text), None, "{name} is {text}");
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
