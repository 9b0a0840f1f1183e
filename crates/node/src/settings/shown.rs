//! Settings as shown to users and in the dashboard: with their source and without secrets.

use protocol::setting::{Setting, SettingOrigin};
use serde_json::Value;

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

impl Settings {
    /// Returns all settings, in the order of the documentation.
    pub fn shown(&self) -> Vec<Setting> {
        Key::ALL.iter().map(|key| self.one_shown(*key)).collect()
    }

    /// Returns all settings in the order of the app's page: by section, those without a section last.
    pub fn shown_by_section(&self) -> Vec<Setting> {
        let mut settings = self.shown();
        settings.sort_by_key(|setting| (setting.section.is_none(), setting.section));
        settings
    }

    /// Returns one setting.
    pub fn one_shown(&self, key: Key) -> Setting {
        let Chosen { value, source } = self.text(key);
        let declaration = key.declaration();
        let value = value.map_or(Value::Null, |text| declaration.kind.value(&text));
        declaration.setting(value, source.origin())
    }
}
