//! Declaration of a setting: its names, texts, values and effect.

use serde::Serialize;
use utoipa::ToSchema;

use super::kind::SettingKind;

/// Declaration of a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Declaration {
    /// Name in files, profiles and commands.
    pub name: &'static str,
    /// Name of the environment variable. Empty if there is none.
    pub variable: &'static str,
    /// Description in one sentence, for documents, commands and MDM tools.
    pub about: &'static str,
    /// Label of the control.
    pub title: &'static str,
    /// Addition to the label. Empty if the label says everything.
    pub hint: &'static str,
    /// Meaning of a missing value, such as `Automatic`. Empty if the setting has a default.
    pub unset: &'static str,
    /// Type, allowed values and default.
    pub kind: SettingKind,
    /// Section of the app's settings page. `None` if the page shows the value without a control.
    pub section: Option<Section>,
    pub changed_by: ChangedBy,
    pub takes_effect: TakesEffect,
}

impl Declaration {
    /// Fields that most settings share: a user can change them, at once.
    pub const DEFAULTS: Self = Self {
        name: "",
        variable: "",
        about: "",
        title: "",
        hint: "",
        unset: "",
        kind: SettingKind::Text { default: None },
        section: None,
        changed_by: ChangedBy::User,
        takes_effect: TakesEffect::AtOnce,
    };
}

/// Section of the app's settings page, in the page's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub enum Section {
    #[serde(rename = "When to train")]
    WhenToTrain,
    #[serde(rename = "Pause during")]
    PauseDuring,
    Limits,
    App,
}

/// Right to change a setting that the organization does not manage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangedBy {
    /// The user: in the app, with a command or in the settings file.
    User,
    /// Nobody: it has an effect only as a managed setting or an environment variable.
    Organization,
    /// The person who starts the coordinator, with a flag.
    CommandLine,
}

/// When a change takes effect in the running app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TakesEffect {
    AtOnce,
    /// At once: the app restarts its worker.
    WorkerRestart,
    /// At the next start of the program.
    NextStart,
}
