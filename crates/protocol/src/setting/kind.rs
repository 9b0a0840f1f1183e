//! Kind of a setting: the type, allowed values and default of its value.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Type of a setting's value, with its allowed values and its default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SettingKind {
    Bool {
        #[serde(skip)]
        default: bool,
    },
    /// Whole number, limits included.
    Integer {
        unit: Unit,
        minimum: u64,
        maximum: u64,
        #[serde(skip)]
        default: Option<u64>,
    },
    /// Whole number of seconds, limits included.
    Duration {
        minimum: u64,
        maximum: u64,
        #[serde(skip)]
        default: u64,
    },
    /// Number above zero.
    Number {
        unit: Unit,
        #[serde(skip)]
        default: Option<f64>,
    },
    Choice {
        #[schema(value_type = Vec<Choice>)]
        choices: &'static [Choice],
        #[serde(skip)]
        default: &'static str,
    },
    Text {
        #[serde(skip)]
        default: Option<&'static str>,
    },
    Url,
    /// SHA-256 fingerprint of a public key.
    Pin,
    /// Join code. Nothing shows its value.
    #[serde(rename = "secret")]
    JoinCode,
    /// Days and hours.
    Schedule,
    LogFilter {
        #[serde(skip)]
        default: &'static str,
    },
}

/// Allowed value of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Choice {
    pub value: &'static str,
    /// Name for people.
    pub label: &'static str,
}

/// Unit of a number, named as controls show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum Unit {
    #[serde(rename = "%")]
    Percent,
    #[serde(rename = "GB")]
    Gigabytes,
    #[serde(rename = "Mbit/s")]
    MegabitsPerSecond,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Percent => "percent",
            Self::Gigabytes => "gigabytes",
            Self::MegabitsPerSecond => "megabits per second",
        })
    }
}

impl SettingKind {
    /// Returns the allowed values in words. They complete "'x' is not …".
    pub fn allowed(&self) -> String {
        let whole = |minimum, maximum, unit: &dyn fmt::Display| {
            format!("a whole number from {minimum} to {maximum} ({unit})")
        };
        match self {
            Self::Bool { .. } => "true or false".into(),
            Self::Integer { unit, minimum, maximum, .. } => whole(minimum, maximum, unit),
            Self::Duration { minimum, maximum, .. } => whole(minimum, maximum, &"seconds"),
            Self::Number { unit, .. } => format!("a number above 0 ({unit})"),
            Self::Choice { choices, .. } => {
                let values: Vec<&str> = choices.iter().map(|choice| choice.value).collect();
                one_of(&values)
            }
            Self::Text { .. } => "a text".into(),
            Self::Url => "an address such as https://coordinator.example.com:8000".into(),
            Self::Pin => "a pin of 43 characters".into(),
            Self::JoinCode => "a join link, or a code of 16 letters and digits".into(),
            Self::Schedule => "days and hours such as Mon-Fri 19:00-07:00".into(),
            Self::LogFilter { .. } => "a filter such as info or warn,worker=debug".into(),
        }
    }

    /// Returns an example for an empty input field.
    pub const fn example(&self) -> Option<&'static str> {
        match self {
            Self::Url => Some("https://coordinator.example.com:8000"),
            Self::JoinCode => Some("constellation://join/…"),
            Self::Schedule => Some("Mon-Fri 19:00-07:00"),
            Self::Bool { .. }
            | Self::Integer { .. }
            | Self::Duration { .. }
            | Self::Number { .. }
            | Self::Choice { .. }
            | Self::Text { .. }
            | Self::Pin
            | Self::LogFilter { .. } => None,
        }
    }

    /// Returns the default as a settings file has it, without quotes. `None` if there is none.
    pub fn default_text(&self) -> Option<String> {
        match *self {
            Self::Bool { default } => Some(default.to_string()),
            Self::Integer { default, .. } => default.map(|number| number.to_string()),
            Self::Duration { default, .. } => Some(default.to_string()),
            Self::Number { default, .. } => default.map(|number| number.to_string()),
            Self::Text { default } => default.map(str::to_owned),
            Self::Choice { default, .. } | Self::LogFilter { default } => Some(default.to_owned()),
            Self::Url | Self::Pin | Self::JoinCode | Self::Schedule => None,
        }
    }

    /// Returns the default as JSON, or null.
    pub fn default_value(&self) -> Value {
        self.default_text().map_or(Value::Null, |text| self.value(&text))
    }

    /// Returns a valid value as JSON. A secret only shows that it is set.
    pub fn value(&self, text: &str) -> Value {
        match self {
            Self::JoinCode => "set".into(),
            Self::Bool { .. }
            | Self::Integer { .. }
            | Self::Duration { .. }
            | Self::Number { .. } => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            Self::Text { .. }
            | Self::Url
            | Self::Pin
            | Self::Choice { .. }
            | Self::Schedule
            | Self::LogFilter { .. } => text.into(),
        }
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [start @ .., last] if !start.is_empty() => format!("{} or {last}", start.join(", ")),
        _ => words.join(", "),
    }
}
