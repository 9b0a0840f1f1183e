//! Checks values of settings.

use protocol::Pin;
use protocol::join::Join;
use protocol::setting::{Key, SettingKind};
use worker::Schedule;

use super::error::SettingsError;

/// Checks that the setting accepts this value.
pub(super) fn check(key: Key, text: &str, place: &str) -> Result<(), SettingsError> {
    let place = || place.to_owned();
    if key.declaration().kind == SettingKind::JoinCode {
        let parsed = text.parse::<Join>().map(drop);
        return parsed.map_err(|source| SettingsError::JoinCode { place: place(), source });
    }
    match wrong(key, text) {
        None => Ok(()),
        Some(expected) => {
            Err(SettingsError::Value { place: place(), value: text.to_owned(), expected })
        }
    }
}

/// Returns what an invalid value should have been, or `None` if the value is valid. The parser reports
/// invalid join codes itself, because a code must not be shown.
pub(super) fn wrong(key: Key, text: &str) -> Option<String> {
    let kind = key.declaration().kind;
    let is_valid = match kind {
        SettingKind::Text { .. } | SettingKind::Url if protocol::text::check(text).is_err() => {
            return Some("text without invisible characters".into());
        }
        SettingKind::Text { .. } | SettingKind::Url => !text.trim().is_empty(),
        SettingKind::Pin => text.parse::<Pin>().is_ok(),
        SettingKind::JoinCode => text.parse::<Join>().is_ok(),
        SettingKind::Choice { choices, .. } => choices.iter().any(|choice| choice.value == text),
        SettingKind::Bool { .. } => text.parse::<bool>().is_ok(),
        SettingKind::Integer { minimum, maximum, .. }
        | SettingKind::Duration { minimum, maximum, .. } => {
            text.parse().is_ok_and(|number| (minimum..=maximum).contains(&number))
        }
        SettingKind::Number { .. } => {
            text.parse().is_ok_and(|number: f64| number.is_finite() && number > 0.0)
        }
        SettingKind::Schedule => text.parse::<Schedule>().is_ok(),
        SettingKind::LogFilter { .. } => tracing_subscriber::EnvFilter::try_new(text).is_ok(),
    };
    (!is_valid).then(|| kind.allowed())
}
