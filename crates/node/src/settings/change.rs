//! Changes the user's settings. Managed settings can't be changed.

use std::path::Path;

use protocol::setting::{ChangedBy, SettingKind};

use super::check::check;
use super::layer::{Layer, table, unknown};
use super::{Key, Places, Settings, SettingsError};

impl Settings {
    /// Sets one of the user's settings on this machine.
    ///
    /// # Errors
    /// Fails for unknown and managed settings, for settings that users can't change, for invalid values, and if the file
    /// can't be written.
    pub fn set_user(name: &str, text: &str) -> Result<(), SettingsError> {
        Places::system().set_user(name, text)
    }

    /// Removes one of the user's settings on this machine, if it is set.
    ///
    /// # Errors
    /// The same as for [`Settings::set_user`].
    pub fn unset_user(name: &str) -> Result<(), SettingsError> {
        Places::system().unset_user(name)
    }
}

impl Places {
    /// Like [`Settings::set_user`], for these locations.
    ///
    /// # Errors
    /// The same.
    pub fn set_user(&self, name: &str, text: &str) -> Result<(), SettingsError> {
        let key = self.changeable(name)?;
        check(key, text, name)?;
        let value = match key.declaration().kind {
            SettingKind::Bool { .. } => text.parse().map(toml::Value::Boolean).ok(),
            SettingKind::Integer { .. } | SettingKind::Duration { .. } => {
                text.parse().map(toml::Value::Integer).ok()
            }
            SettingKind::Number { .. } => text.parse().map(toml::Value::Float).ok(),
            SettingKind::Text { .. }
            | SettingKind::Url
            | SettingKind::Pin
            | SettingKind::JoinCode
            | SettingKind::Choice { .. }
            | SettingKind::Schedule
            | SettingKind::LogFilter { .. } => None,
        };
        let value = value.unwrap_or_else(|| text.into());
        self.change(|table| drop(table.insert(key.name().to_owned(), value)))
    }

    /// Like [`Settings::unset_user`], for these locations.
    ///
    /// # Errors
    /// The same.
    pub fn unset_user(&self, name: &str) -> Result<(), SettingsError> {
        let key = self.changeable(name)?;
        self.change(|table| drop(table.remove(key.name())))
    }

    fn changeable(&self, name: &str) -> Result<Key, SettingsError> {
        let key = Key::named(name).ok_or_else(|| unknown("settings".into(), name))?;
        if Layer::from_managed(&self.managed)?.0.contains_key(&key) {
            return Err(SettingsError::Managed(key));
        }
        match key.declaration().changed_by {
            ChangedBy::User => Ok(key),
            ChangedBy::Organization | ChangedBy::CommandLine => {
                Err(SettingsError::NotForUsers(key))
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut toml::Table)) -> Result<(), SettingsError> {
        let path = self.user.as_deref().ok_or(platform::folders::NoHome)?;
        let mut table = table(path)?;
        change(&mut table);
        write(path, &table).map_err(|source| SettingsError::Write { path: path.to_owned(), source })
    }
}

fn write(path: &Path, table: &toml::Table) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
        platform::private::tighten(folder)?;
    }
    platform::files::write_private(path, table.to_string().as_bytes())
}
