//! Values of columns: JSON, numbers and words.

use protocol::api::ChangeKind;
use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;

/// Parses a value from JSON.
pub(super) fn read<T: DeserializeOwned>(what: &'static str, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json)
        .map_err(|error| StoreError::Unreadable { what, reason: error.to_string() })
}

/// Parses a value from text.
pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| StoreError::Unreadable { what, reason: error.to_string() })
}

/// Converts to SQLite's signed integers. Revisions never come near their maximum.
pub(super) fn sqlite_integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Returns the stored word for a kind of change.
pub(super) const fn kind_word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Job => "job",
        ChangeKind::Device => "device",
        ChangeKind::Model => "model",
        ChangeKind::Dataset => "dataset",
        ChangeKind::JoinCode => "join_code",
        ChangeKind::Notice => "notice",
    }
}

/// Serializes a value to JSON.
pub(super) fn json<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Unreadable { what, reason: error.to_string() })
}

/// Reads two columns of text.
pub(super) fn texts(row: &Row<'_>) -> Result<(String, String), rusqlite::Error> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Converts from SQLite's signed integers.
pub(super) fn unsigned(integer: i64) -> u64 {
    u64::try_from(integer).unwrap_or(0)
}
