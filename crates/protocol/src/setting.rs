//! Settings as returned by the API and shown to people.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Setting of a running node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Setting {
    /// Key as in settings files, such as `IdleSeconds`.
    pub key: String,
    /// Null if it is not set. A secret's value only says that it is set.
    pub value: serde_json::Value,
    pub origin: SettingOrigin,
    /// Description in one sentence.
    pub about: String,
}

/// Source of a setting's value, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingOrigin {
    Default,
    /// The user's settings file or the command line.
    User,
    Environment,
    /// The organization's managed settings. Nothing overrides them.
    Managed,
}
