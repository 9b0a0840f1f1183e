//! Source of update checks, and the reasons against them.

use crate::settings::{Key, Settings};

/// Source of update notices: their address, and the public key of their signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateSource {
    /// URL of the file; the URL of its signature has `.minisig` appended.
    pub url: String,
    /// The publisher's public key in minisign's format: one line of base64.
    pub key: String,
}

impl UpdateSource {
    /// Reads the build-time variables `CONSTELLATION_UPDATE_URL` and `CONSTELLATION_UPDATE_KEY`; `None` if one of them was not
    /// set.
    pub fn built_in() -> Option<Self> {
        let (url, key) =
            (option_env!("CONSTELLATION_UPDATE_URL")?, option_env!("CONSTELLATION_UPDATE_KEY")?);
        let is_set = !url.is_empty() && !key.is_empty();
        is_set.then(|| Self { url: url.to_owned(), key: key.to_owned() })
    }
}

/// Returns why update checks are off; `None` if they are on.
pub(super) fn obstacle(
    source: Option<&UpdateSource>,
    settings: &Settings,
    is_own: bool,
) -> Option<&'static str> {
    if source.is_none() {
        Some("Update checks are not configured in this build.")
    } else if settings.is_managed() {
        Some("Your organization keeps this app up to date.")
    } else if !is_own {
        Some("This app was installed by an administrator, who keeps it up to date.")
    } else if !settings.is_on(Key::UpdateChecks) {
        Some("Update checks are turned off.")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Places;

    #[test]
    fn checks_are_off_if_the_app_is_managed_or_not_the_user_s_own() {
        let folder = tempfile::tempdir().unwrap();
        let source = UpdateSource { url: "https://example.com".into(), key: "x".into() };
        let reason = |user: &str, managed: &str, source: Option<&UpdateSource>, is_own: bool| {
            let file = |name: &str, text: &str| {
                let path = folder.path().join(name);
                std::fs::write(&path, text).unwrap();
                path
            };
            let places = Places {
                user: Some(file("settings.toml", user)),
                managed: platform::managed::Managed::File(file("managed.toml", managed)),
            };
            let settings = Settings::load_from(&places, |_| None).unwrap();
            obstacle(source, &settings, is_own)
        };
        let source = Some(&source);
        assert_eq!(reason("", "", source, true), None);
        assert_eq!(reason("UpdateChecks = true", "", source, true), None);
        let expect = |found: Option<&'static str>, text: &str| {
            assert!(found.is_some_and(|found| found.contains(text)), "{found:?}");
        };
        expect(reason("", "", None, true), "not configured");
        expect(reason("UpdateChecks = false", "", source, true), "turned off");
        expect(reason("", "IdleSeconds = 60", source, true), "Your organization");
        expect(reason("", "UpdateChecks = true", source, true), "Your organization");
        expect(reason("", "", source, false), "installed by an administrator");
    }
}
