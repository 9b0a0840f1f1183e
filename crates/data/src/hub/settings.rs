//! Settings of the hub, from the environment.

use std::path::PathBuf;

/// Address and credentials of the hub.
#[derive(Clone, Default)]
pub struct HubSettings {
    /// `HF_ENDPOINT`. `None` = the hub itself.
    pub endpoint: Option<String>,
    /// `HF_HOME`. `None` = the hub's default folder.
    pub home: Option<PathBuf>,
    /// `HF_TOKEN`. `None` = the token file in `home`, if there is one.
    pub token: Option<String>,
    /// `HF_HUB_OFFLINE`: never use the network.
    pub offline: bool,
}

impl HubSettings {
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let no =
            |value: String| ["0", "false", "no", "off"].contains(&value.to_lowercase().as_str());
        Self {
            endpoint: variable("HF_ENDPOINT").map(|url| url.trim_end_matches('/').to_owned()),
            home: variable("HF_HOME").map(PathBuf::from),
            token: variable("HF_TOKEN").map(|token| token.trim().to_owned()),
            offline: variable("HF_HUB_OFFLINE").is_some_and(|value| !no(value)),
        }
    }
}

// Written by hand, so that no log shows the token.
impl std::fmt::Debug for HubSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("home", &self.home)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("offline", &self.offline)
            .finish()
    }
}
