//! Look-up of settings by name, and typed defaults.

use std::fmt;

use super::{Key, SettingKind};

impl Key {
    /// Returns the setting of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// Returns the known name that is most similar to this one.
    pub fn nearest(name: &str) -> Option<&'static str> {
        Self::ALL
            .iter()
            .map(|key| (strsim::jaro_winkler(key.name(), name), key.name()))
            .filter(|(similarity, _)| *similarity > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name)
    }

    pub const fn name(self) -> &'static str {
        self.declaration().name
    }

    /// Returns the default of a boolean. For use in constants.
    ///
    /// # Panics
    /// The setting is of another kind, so a constant does not compile.
    pub const fn default_bool(self) -> bool {
        let SettingKind::Bool { default } = self.declaration().kind else {
            panic!("the setting is not a boolean")
        };
        default
    }

    /// Returns the default of a whole number or of a duration in seconds. For use in constants.
    ///
    /// # Panics
    /// The setting is of another kind or has no default, so a constant does not compile.
    pub const fn default_integer(self) -> u64 {
        let (SettingKind::Integer { default: Some(default), .. }
        | SettingKind::Duration { default, .. }) = self.declaration().kind
        else {
            panic!("the setting is not a whole number with a default")
        };
        default
    }

    /// Returns the default of a number. For use in constants.
    ///
    /// # Panics
    /// The setting is of another kind or has no default, so a constant does not compile.
    pub const fn default_number(self) -> f64 {
        let SettingKind::Number { default: Some(default), .. } = self.declaration().kind else {
            panic!("the setting is not a number with a default")
        };
        default
    }

    /// Returns the default of a text or a choice. For use in constants.
    ///
    /// # Panics
    /// The setting is of another kind or has no default, so a constant does not compile.
    pub const fn default_str(self) -> &'static str {
        let (SettingKind::Text { default: Some(default) }
        | SettingKind::Choice { default, .. }
        | SettingKind::LogFilter { default }) = self.declaration().kind
        else {
            panic!("the setting is not a text with a default")
        };
        default
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ChangedBy, Declaration};
    use super::*;

    #[test]
    fn a_setting_without_a_default_says_what_that_means() {
        for key in Key::ALL {
            let declaration = key.declaration();
            let has_default = declaration.kind.default_text().is_some();
            assert_ne!(has_default, !declaration.unset.is_empty(), "{key}");
            assert!(declaration.about.ends_with('.') && !declaration.title.is_empty(), "{key}");
        }
    }

    #[test]
    fn the_default_of_a_choice_is_one_of_its_values() {
        for key in Key::ALL {
            if let SettingKind::Choice { choices, default } = key.declaration().kind {
                assert!(choices.iter().any(|choice| choice.value == default), "{key}");
            }
        }
    }

    /// The page draws a control only for settings that a user may change.
    #[test]
    fn what_only_the_organization_changes_has_no_control() {
        for key in Key::ALL {
            let Declaration { section, changed_by, .. } = key.declaration();
            assert!(section.is_none() || changed_by == ChangedBy::User, "{key}");
        }
    }
}
