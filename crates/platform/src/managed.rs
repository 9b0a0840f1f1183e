//! Managed settings, which the organization forces on this machine: on macOS the forced keys of the
//! preferences domain, set by a configuration profile; elsewhere a file that only an administrator can
//! write.
//!
//! No environment variable and no flag changes the location, so a user can't evade managed settings.

use std::path::PathBuf;

/// Source of the managed settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Managed {
    /// A TOML file.
    File(PathBuf),
    /// Forced keys of the preferences domain, with their values as text.
    Forced(Vec<(String, String)>),
}

/// Returns the managed settings of this machine. On macOS only `keys` are looked up.
#[cfg(not(target_os = "macos"))]
pub fn settings(_keys: &[&str]) -> Managed {
    Managed::File("/etc/constellation/managed.toml".into())
}

/// Returns the managed settings of this machine. On macOS only `keys` are looked up.
#[cfg(target_os = "macos")]
pub fn settings(keys: &[&str]) -> Managed {
    let forced = keys.iter().filter_map(|key| Some(((*key).to_owned(), macos::forced(key)?)));
    Managed::Forced(forced.collect())
}

#[cfg(target_os = "macos")]
mod macos {
    use objc2_core_foundation::{
        CFBoolean, CFNumber, CFPreferencesAppValueIsForced, CFPreferencesCopyAppValue, CFString,
    };

    const DOMAIN: &str = "com.constellation.app";

    /// Returns the value as text, as in a settings file. A value of an unsupported type becomes text that no
    /// setting accepts, so that it is reported instead of ignored.
    pub(super) fn forced(key: &str) -> Option<String> {
        let (key, domain) = (CFString::from_str(key), CFString::from_str(DOMAIN));
        if !CFPreferencesAppValueIsForced(&key, &domain) {
            return None;
        }
        let value = CFPreferencesCopyAppValue(&key, &domain)?;
        if let Some(text) = value.downcast_ref::<CFString>() {
            return Some(text.to_string());
        }
        if let Some(flag) = value.downcast_ref::<CFBoolean>() {
            return Some(flag.as_bool().to_string());
        }
        let number = value.downcast_ref::<CFNumber>().and_then(CFNumber::as_f64);
        Some(
            number
                .map_or_else(|| "a value of another type".to_owned(), |number| number.to_string()),
        )
    }
}
