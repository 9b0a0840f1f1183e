//! A layer of settings: the values from one source, which is a file, a configuration profile or the environment.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use platform::managed::Managed;
use protocol::setting::Key;

use super::check::check;
use super::error::SettingsError;
use super::value::{Chosen, Source};

/// Validated values from one source.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Layer(pub(super) BTreeMap<Key, Chosen<SettingText>>);

/// Text of a setting. `Debug` does not show it, because it can be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SettingText(pub(super) String);

impl std::fmt::Debug for SettingText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Layer {
    /// Reads a TOML file; a missing file has no settings. With `strict`, unknown names are errors: users make typing
    /// mistakes, while an organization may also configure newer versions.
    pub(super) fn from_file(
        path: &Path,
        source: &Source,
        strict: bool,
    ) -> Result<Self, SettingsError> {
        let mut layer = Self::default();
        for (name, value) in &table(path)? {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match Key::named(name) {
                Some(key) => {
                    let place = format!("{}: {key}", path.display());
                    layer.set(key, text, &place, source.clone())?;
                }
                None if strict => return Err(unknown(path.display().to_string(), name)),
                None => {}
            }
        }
        Ok(layer)
    }

    pub(super) fn from_managed(managed: &Managed) -> Result<Self, SettingsError> {
        match managed {
            Managed::File(path) => {
                Self::from_file(path, &Source::Managed(path.display().to_string()), false)
            }
            Managed::Forced(forced) => {
                let mut layer = Self::default();
                let profile = "a configuration profile";
                for (name, text) in forced {
                    if let Some(key) = Key::named(name) {
                        let (text, source) = (text.clone(), Source::Managed(profile.into()));
                        layer.set(key, text, &format!("{profile}: {key}"), source)?;
                    }
                }
                Ok(layer)
            }
        }
    }

    /// Reads the settings from environment variables, which `variable` looks up.
    pub(super) fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let mut layer = Self::default();
        for key in Key::ALL {
            let name = key.declaration().variable;
            // An empty variable counts as not set: a shell can override a variable for one command that way.
            if let Some(text) = variable(name).filter(|text| !text.is_empty()) {
                layer.set(*key, text, name, Source::Environment(name))?;
            }
        }
        Ok(layer)
    }

    /// Adds the settings of `weaker` that this layer does not have.
    pub(super) fn over(mut self, weaker: Self) -> Self {
        for (key, chosen) in weaker.0 {
            self.0.entry(key).or_insert(chosen);
        }
        self
    }

    fn set(
        &mut self,
        key: Key,
        text: String,
        place: &str,
        source: Source,
    ) -> Result<(), SettingsError> {
        check(key, &text, place)?;
        self.0.insert(key, Chosen { value: SettingText(text), source });
        Ok(())
    }
}

pub(super) fn unknown(place: String, name: &str) -> SettingsError {
    SettingsError::Unknown { place, key: name.to_owned(), nearest: Key::nearest(name) }
}

/// Parses a settings file without validation; a missing file is empty.
fn table(path: &Path) -> Result<toml::Table, SettingsError> {
    text(path)?.parse().map_err(|error: toml::de::Error| syntax(path, error.message()))
}

/// Parses a settings file like [`table`], with its comments and its order.
pub(super) fn document(path: &Path) -> Result<toml_edit::DocumentMut, SettingsError> {
    text(path)?.parse().map_err(|error: toml_edit::TomlError| syntax(path, error.message()))
}

fn text(path: &Path) -> Result<String, SettingsError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(SettingsError::Read { path: path.to_owned(), source }),
    }
}

fn syntax(path: &Path, message: &str) -> SettingsError {
    SettingsError::Syntax { path: path.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(path: &Path) -> Result<Layer, SettingsError> {
        Layer::from_file(path, &Source::User(path.to_owned()), true)
    }

    #[test]
    fn errors_name_the_file_and_the_setting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, "IdleSecond = 3").unwrap();
        let error = user(&path).unwrap_err().to_string();
        assert!(error.ends_with("unknown setting 'IdleSecond'; did you mean 'IdleSeconds'?"));
        std::fs::write(&path, "IdleSeconds = \"soon\"").unwrap();
        let error = user(&path).unwrap_err().to_string();
        let expected = "IdleSeconds: 'soon' is not a whole number from 0 to 31536000 (seconds)";
        assert!(error.ends_with(expected), "{error}");
    }

    #[test]
    fn a_join_code_is_accepted_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("managed.toml");
        std::fs::write(&path, "EnrollmentCode = \"0123-4567-89AB-CDEF\"").unwrap();
        let layer = Layer::from_managed(&Managed::File(path.clone())).unwrap();
        assert!(!format!("{layer:?}").contains("CDEF"), "{layer:?}");
        assert!(layer.0.contains_key(&Key::EnrollmentCode));
        std::fs::write(&path, "EnrollmentCode = \"0123-4567-89AB-CDE\"").unwrap();
        let error = Layer::from_managed(&Managed::File(path)).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "EnrollmentCode: a join code has 16 letters and digits, this one has 15"
            )
        );
    }

    #[test]
    fn a_missing_file_is_an_empty_layer() {
        assert_eq!(user(Path::new("/nowhere/at.all")).unwrap(), Layer::default());
    }
}
