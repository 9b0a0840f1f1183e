//! Changes the user's settings file. Its comments and its order stay. Managed settings can't be changed.

use std::path::Path;

use protocol::setting::{ChangedBy, SettingKind};
use toml_edit::{DocumentMut, Value};

use super::check::check;
use super::layer::{Layer, document, unknown};
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
            SettingKind::Bool { .. } => text.parse::<bool>().map(Value::from).ok(),
            SettingKind::Integer { .. } | SettingKind::Duration { .. } => {
                text.parse::<i64>().map(Value::from).ok()
            }
            SettingKind::Number { .. } => text.parse::<f64>().map(Value::from).ok(),
            SettingKind::Text { .. }
            | SettingKind::Url
            | SettingKind::Pin
            | SettingKind::JoinCode
            | SettingKind::Choice { .. }
            | SettingKind::Schedule
            | SettingKind::LogFilter { .. } => None,
        };
        let value = value.unwrap_or_else(|| text.into());
        self.change(|document| set(document, key.name(), value))
    }

    /// Like [`Settings::unset_user`], for these locations.
    ///
    /// # Errors
    /// The same.
    pub fn unset_user(&self, name: &str) -> Result<(), SettingsError> {
        let key = self.changeable(name)?;
        self.change(|document| unset(document, key.name()))
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

    fn change(&self, change: impl FnOnce(&mut DocumentMut)) -> Result<(), SettingsError> {
        let path = self.user.as_deref().ok_or(platform::folders::NoHome)?;
        let mut document = document(path)?;
        change(&mut document);
        write(path, &document.to_string())
            .map_err(|source| SettingsError::Write { path: path.to_owned(), source })
    }
}

/// Sets a value. Comments above and after the old value stay.
fn set(document: &mut DocumentMut, name: &str, mut value: Value) {
    // Inserting would replace the key too, with the comments above it.
    if let Some(old) = document.get_mut(name).and_then(toml_edit::Item::as_value_mut) {
        *value.decor_mut() = old.decor().clone();
        *old = value;
    } else {
        document.insert(name, toml_edit::Item::Value(value));
    }
}

/// Removes a value. Comments above it stay: they move to the next entry, or to the end of the file.
fn unset(document: &mut DocumentMut, name: &str) {
    let names: Vec<String> = document.iter().map(|(name, _)| name.to_owned()).collect();
    let Some(place) = names.iter().position(|one| one == name) else { return };
    let above = document.key(name).map_or(String::new(), |key| prefix(key.leaf_decor()));
    document.remove(name);
    let next = names.get(place + 1).and_then(|next| document.key_mut(next));
    if let Some(mut next) = next {
        let decor = next.leaf_decor_mut();
        let joined = above + &prefix(decor);
        decor.set_prefix(joined);
    } else {
        let joined = above + document.trailing().as_str().unwrap_or_default();
        document.set_trailing(joined);
    }
}

/// Comments and empty lines above a key.
fn prefix(decor: &toml_edit::Decor) -> String {
    decor.prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned()
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
        platform::private::tighten(folder)?;
    }
    platform::files::write_private(path, text.as_bytes())
}
