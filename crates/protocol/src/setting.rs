//! Settings as people see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A setting of a running Constellation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Setting {
    /// As files have it, such as `IdleSeconds`.
    pub key: String,
    /// Null where it is not set. Of a secret only that it is set.
    pub value: serde_json::Value,
    pub origin: SettingOrigin,
    /// What it does, in a sentence.
    pub about: String,
}

/// Who decided it, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingOrigin {
    Default,
    /// The user's file, or the command line.
    User,
    Environment,
    /// The organization: nothing goes over it.
    Managed,
}
