//! What an organization forces on this machine: on macOS the forced part of the preferences domain,
//! which a configuration profile sets; elsewhere a file that only an administrator can write.
//!
//! No variable and no flag leads elsewhere: who uses the machine can't escape what manages it.

use std::path::PathBuf;

/// Where managed settings are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Managed {
    /// A TOML file.
    File(PathBuf),
    /// Keys of the preferences domain that are forced, as text.
    Forced(Vec<(String, String)>),
}

/// Those of this machine; `keys` are looked for where the system can't be asked for all.
#[cfg(not(target_os = "macos"))]
pub fn settings(_keys: &[&str]) -> Managed {
    Managed::File("/etc/constellation/managed.toml".into())
}

/// Those of this machine; `keys` are looked for where the system can't be asked for all.
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

    /// The value as a settings file would have it; what is of no kind that a setting has is text
    /// that no setting accepts, so that it is named and not passed over.
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
