//! Settings as shown to users and in the dashboard: with their source and without secrets.

use protocol::setting::{Setting, SettingOrigin};
use serde::Serialize;

use super::{Chosen, Key, Settings, Source};

impl Source {
    /// Converts to the API's type.
    pub const fn origin(&self) -> SettingOrigin {
        match self {
            Self::Default => SettingOrigin::Default,
            Self::User(_) | Self::CommandLine => SettingOrigin::User,
            Self::Environment(_) => SettingOrigin::Environment,
            Self::Managed(_) => SettingOrigin::Managed,
        }
    }
}

/// Creates a setting whose value is shown.
pub fn shown(key: &str, value: impl Serialize, origin: SettingOrigin, about: &str) -> Setting {
    let value = serde_json::to_value(value).unwrap_or_default();
    Setting { key: key.to_owned(), value, origin, about: about.to_owned() }
}

impl Settings {
    /// Returns all settings, in the order of the documentation.
    pub fn shown(&self) -> Vec<Setting> {
        Key::ALL.iter().map(|key| self.one_shown(*key)).collect()
    }

    /// Returns one setting.
    pub fn one_shown(&self, key: Key) -> Setting {
        let Chosen { value, source } = self.text(key);
        let value = value.map(|text| key.json(&text));
        shown(key.name(), value, source.origin(), key.declaration().about)
    }
}
