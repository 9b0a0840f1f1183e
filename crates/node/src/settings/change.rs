//! Changing the user's settings; what the organization manages stays as it is.

use std::path::Path;

use super::layer::{Layer, check, table, unknown};
use super::{Key, Places, Range, Settings, SettingsError};

impl Settings {
    /// Sets one of the user's settings on this machine.
    ///
    /// # Errors
    /// An unknown key, a value that it can't have, one that is managed or not for users, and a file
    /// that can't be written.
    pub fn set_user(name: &str, text: &str) -> Result<(), SettingsError> {
        Places::of_system().set_user(name, text)
    }

    /// Forgets one of the user's settings on this machine; that it isn't set is fine.
    ///
    /// # Errors
    /// As [`Settings::set_user`].
    pub fn unset_user(name: &str) -> Result<(), SettingsError> {
        Places::of_system().unset_user(name)
    }
}

impl Places {
    /// As [`Settings::set_user`], here.
    ///
    /// # Errors
    /// As there.
    pub fn set_user(&self, name: &str, text: &str) -> Result<(), SettingsError> {
        let key = self.changeable(name)?;
        check(key, text, name)?;
        let value = match key.declaration().range {
            Range::Flag => text.parse().map(toml::Value::Boolean).ok(),
            Range::Whole { .. } => text.parse().map(toml::Value::Integer).ok(),
            Range::Number => text.parse().map(toml::Value::Float).ok(),
            Range::Text
            | Range::Pin
            | Range::JoinCode
            | Range::Choice(_)
            | Range::Schedule
            | Range::Filter => None,
        };
        let value = value.unwrap_or_else(|| text.into());
        self.change(|table| drop(table.insert(key.name().to_owned(), value)))
    }

    /// As [`Settings::unset_user`], here.
    ///
    /// # Errors
    /// As there.
    pub fn unset_user(&self, name: &str) -> Result<(), SettingsError> {
        let key = self.changeable(name)?;
        self.change(|table| drop(table.remove(key.name())))
    }

    fn changeable(&self, name: &str) -> Result<Key, SettingsError> {
        let key = Key::named(name).ok_or_else(|| unknown("settings".into(), name))?;
        if Layer::from_managed(&self.managed)?.0.contains_key(&key) {
            return Err(SettingsError::Managed(key));
        }
        if !key.declaration().for_user {
            return Err(SettingsError::NotForUsers(key));
        }
        Ok(key)
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
