//! Setting of a running node, as the API and the app show it.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::declaration::{ChangedBy, Declaration, Section, TakesEffect};
use super::kind::SettingKind;

/// Setting of a running node: its value, and its declaration.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Setting {
    /// Key as in settings files, such as `IdleSeconds`.
    pub key: &'static str,
    /// Null if it is not set. A secret's value only says that it is set.
    pub value: Value,
    pub origin: SettingOrigin,
    /// Description in one sentence.
    pub about: &'static str,
    /// Label of its control.
    pub title: &'static str,
    /// Addition to the label. Empty if the label says everything.
    pub hint: &'static str,
    /// Default value. Null if there is none.
    pub default: Value,
    /// Meaning of a missing value, such as `Automatic`. Empty if the setting has a default.
    pub unset: &'static str,
    pub kind: SettingKind,
    /// Allowed values in words, such as `a whole number from 0 to 100 (percent)`.
    pub allowed: String,
    /// Example of a value. Null if the allowed values need none.
    pub example: Option<&'static str>,
    /// Environment variable that sets it. Empty if there is none.
    pub variable: &'static str,
    /// Section of the app's settings page. Null if the page shows the value without a control.
    pub section: Option<Section>,
    pub changed_by: ChangedBy,
    pub takes_effect: TakesEffect,
}

/// Source of a setting's value, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingOrigin {
    Default,
    /// The user's settings file or the command line.
    User,
    Environment,
    /// The organization's managed settings. Nothing overrides them.
    Managed,
}

impl Declaration {
    /// Returns the setting with this value.
    pub fn setting(&self, value: Value, origin: SettingOrigin) -> Setting {
        Setting {
            key: self.name,
            value,
            origin,
            about: self.about,
            title: self.title,
            hint: self.hint,
            default: self.kind.default_value(),
            unset: self.unset,
            kind: self.kind,
            allowed: self.kind.allowed(),
            example: self.kind.example(),
            variable: self.variable,
            section: self.section,
            changed_by: self.changed_by,
            takes_effect: self.takes_effect,
        }
    }
}
