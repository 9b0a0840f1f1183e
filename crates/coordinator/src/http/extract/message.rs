//! Plain messages for requests that can't be read.
//!
//! serde and axum report errors in terms of Rust types, such as `plan.batch_size: invalid type: string
//! "many", expected u32 at line 1 column 90`. The functions here turn them into messages that name the
//! field and say what is allowed.

use axum::extract::path::ErrorKind;
use protocol::JobId;

/// Beginnings of serde's own messages.
const SERDE_MESSAGES: [&str; 8] = [
    "invalid type: ",
    "invalid value: ",
    "invalid length ",
    "unknown variant ",
    "unknown field ",
    "missing field ",
    "duplicate field ",
    "data did not match ",
];
/// Beginning of the `uuid` crate's message.
const UUID_MESSAGE: &str = "UUID parsing failed";
/// Maximum length of a quoted value, in characters.
const LONGEST_QUOTE: usize = 60;

/// Describes JSON or a query string whose content is not allowed. `whole` names the whole of it, such as
/// `the body`.
pub(super) fn content(error: &str, whole: &str) -> String {
    let (error, _) = split_position(error);
    let (path, message) = split_path(error);
    if path.starts_with('[') {
        return format!("{whole} must be an object, not a list");
    }
    let subject = if path.is_empty() { whole } else { path };
    let field =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(name) = message.strip_prefix("missing field ") {
        return format!("{} is missing", field(name.trim_matches('`')));
    }
    if let Some(name) = message.strip_prefix("duplicate field ") {
        return format!("{} appears more than once", field(name.trim_matches('`')));
    }
    if let Some((name, known)) = expectation(message, "unknown field ") {
        let name = field(name.trim_matches('`'));
        return format!("{name} is not a known field; known are {}", alternatives(known));
    }
    if let Some((value, allowed)) = expectation(message, "unknown variant ") {
        let value = shortened(value.trim_matches('`'));
        return format!("{subject} must be {}, not '{value}'", alternatives(allowed));
    }
    let wrong_value = expectation(message, "invalid type: ");
    if let Some((value, allowed)) = wrong_value.or_else(|| expectation(message, "invalid value: "))
    {
        return format!("{subject} must be {}, not {}", type_name(allowed), value_text(value));
    }
    if let Some((length, allowed)) = expectation(message, "invalid length ") {
        return format!("{subject} must be {}, not of length {length}", type_name(allowed));
    }
    if message.starts_with("data did not match ") {
        return format!("{subject} has none of the allowed forms; see /docs");
    }
    match message {
        message if message.starts_with(UUID_MESSAGE) => {
            format!("{subject} must be {}", type_name("a UUID string"))
        }
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            format!("{subject} must be a whole number, 0 or more")
        }
        "number too large to fit in target type" => format!("{subject} must be a smaller number"),
        "invalid float literal" | "cannot parse float from empty string" => {
            format!("{subject} must be a number")
        }
        "provided string was not `true` or `false`" => format!("{subject} must be true or false"),
        own if path.is_empty() => own.to_owned(),
        own => format!("{path}: {own}"),
    }
}

/// Describes a body that is not JSON.
pub(super) fn syntax(error: &str) -> String {
    match split_position(error) {
        (_, Some((1, 0))) => "the body is empty; send a JSON object".to_owned(),
        (error, Some((line, column))) if error.contains("EOF while parsing") => {
            format!("the body ends before its JSON is complete, at line {line}, column {column}")
        }
        (_, Some((line, column))) => {
            format!("the body is not valid JSON: check line {line}, column {column}")
        }
        (_, None) => "the body is not valid JSON".to_owned(),
    }
}

/// Describes a parameter of a path.
pub(super) fn path(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::DeserializeError { value, message, .. } if message.starts_with(UUID_MESSAGE) => {
            match value.parse::<JobId>() {
                Err(error) => error.to_string(),
                Ok(_) => not_allowed(value),
            }
        }
        ErrorKind::Message(message) if message.starts_with(UUID_MESSAGE) => {
            format!("the path must contain {}", type_name("a UUID string"))
        }
        ErrorKind::Message(message) | ErrorKind::DeserializeError { message, .. } => {
            message.clone()
        }
        ErrorKind::ParseErrorAtKey { value, .. }
        | ErrorKind::ParseErrorAtIndex { value, .. }
        | ErrorKind::ParseError { value, .. } => not_allowed(value),
        ErrorKind::InvalidUtf8InPathParam { .. } => "the path must be UTF-8 text".to_owned(),
        ErrorKind::WrongNumberOfParameters { .. } | ErrorKind::UnsupportedType { .. } => {
            "the path can't be read".to_owned()
        }
        _ => "the path can't be read".to_owned(),
    }
}

fn not_allowed(value: &str) -> String {
    format!("'{}' is not allowed in this path", shortened(value))
}

/// Splits off the ` at line 1 column 2` that ends `serde_json`'s messages.
fn split_position(error: &str) -> (&str, Option<(usize, usize)>) {
    let position = |text: &str| {
        let (line, column) = text.split_once(" column ")?;
        Some((line.parse().ok()?, column.parse().ok()?))
    };
    match error.rsplit_once(" at line ") {
        Some((message, end)) if position(end).is_some() => (message, position(end)),
        Some(_) | None => (error, None),
    }
}

/// Splits `path: message`. The path is empty if the message is about the whole.
fn split_path(error: &str) -> (&str, &str) {
    if SERDE_MESSAGES.iter().any(|start| error.starts_with(start)) {
        return ("", error);
    }
    let start_of = |start: &&str| error.find(&format!(": {start}"));
    if let Some(at) = SERDE_MESSAGES.iter().filter_map(start_of).min() {
        return (error[..at].trim_end_matches(".?"), &error[at + 2..]);
    }
    let is_path =
        |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "._-[]".contains(c));
    match error.split_once(": ") {
        Some((path, message)) if is_path(path) => (path, message),
        Some(_) | None => ("", error),
    }
}

/// Splits a message of the form `{start}{value}, expected {allowed}`.
fn expectation<'a>(message: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    message.strip_prefix(start)?.rsplit_once(", expected ")
}

/// Turns serde's list of names in backticks into `a`, `a or b`, or `one of a, b or c`.
fn alternatives(text: &str) -> String {
    let options: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    match options.as_slice() {
        [] => "something else".to_owned(),
        [only] => (*only).to_owned(),
        [one, other] => format!("{one} or {other}"),
        [rest @ .., last] => format!("one of {} or {last}", rest.join(", ")),
    }
}

/// Turns serde's name of an expected type into words.
fn type_name(expected: &str) -> String {
    let name = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "string or map" => "text",
        "a sequence" => "a list",
        "a map" => "an object",
        "a UUID string" => "an id: a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057",
        _ if expected.starts_with("struct ") || expected.contains("tagged enum ") => "an object",
        _ if expected.starts_with("tuple ") => "a list",
        _ => expected,
    };
    name.to_owned()
}

/// Turns serde's description of a found value into words.
fn value_text(found: &str) -> String {
    if let Some(text) = found.strip_prefix("string ") {
        return format!("the text {}", shortened(text));
    }
    match found {
        "sequence" => "a list".to_owned(),
        "map" => "an object".to_owned(),
        "unit value" => "null".to_owned(),
        // `integer `1``, `boolean `true``
        _ => {
            found.split_once('`').map_or(found, |(_, value)| value.trim_end_matches('`')).to_owned()
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
