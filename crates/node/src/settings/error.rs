//! Error of reading or changing settings.

use std::io;
use std::path::PathBuf;

use protocol::join::InvalidJoin;
use protocol::setting::Key;

/// Error of reading or changing settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("can't read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("can't write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}: {message}", path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("{place}: unknown setting '{key}'{}", suggest(*nearest))]
    Unknown { place: String, key: String, nearest: Option<&'static str> },
    #[error("{place}: '{value}' is not {expected}")]
    Value { place: String, value: String, expected: String },
    /// Does not show the value, because it is a secret.
    #[error("{place}: {source}")]
    JoinCode { place: String, source: InvalidJoin },
    #[error("{0}: Managed by your organization")]
    Managed(Key),
    #[error("{0}: only your organization can set it")]
    NotForUsers(Key),
    #[error(transparent)]
    NoHome(#[from] platform::folders::NoHome),
}

fn suggest(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |name| format!("; did you mean '{name}'?"))
}
