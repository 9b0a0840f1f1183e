//! View of the app as one value. The menu bar, the menu and the app's pages only display it.

use protocol::setting::Setting;
use serde::Serialize;
use utoipa::ToSchema;

/// All displayed state of a running app.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct View {
    pub mode: ModeView,
    pub icon: Icon,
    /// State in plain words: the menu's first line.
    pub line: String,
    /// Reason for the state, or how to fix it. Empty if there is nothing to add.
    pub detail: String,
    /// Current training.
    pub work: Option<WorkView>,
    pub membership: Membership,
    /// Opened join link that waits for the person's decision.
    pub invitation: Option<InvitationView>,
    pub given: GivenView,
    pub wish: OverrideView,
    /// Actions that the organization allows on this machine.
    pub may: MayView,
    /// Data about this Mac that the company sees, by name, with the current values.
    pub company_sees: Vec<Seen>,
    pub coordinator: CoordinatorView,
    /// Missing features of this machine and their effects, such as a tray that isn't displayed.
    pub notes: Vec<String>,
    /// Result of the update check.
    pub update: UpdateView,
    /// `Mac`, or `computer` on other systems.
    pub machine: String,
    pub version: String,
}

/// Mode of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "four answers to four questions")]
pub struct ModeView {
    /// Whether a mode was chosen. If false, the first page asks for it.
    pub is_chosen: bool,
    /// Whether the organization manages the mode.
    pub is_managed: bool,
    pub worker: bool,
    pub coordinator: bool,
}

/// Menu-bar image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Icon {
    Waiting,
    /// `progress` is the lease's progress from 0 to 1.
    Training {
        progress: f64,
    },
    Paused,
    /// Something needs a person's attention.
    Attention,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WorkView {
    pub job_name: String,
    /// Round number, from 1.
    pub round: u32,
    pub total_rounds: u32,
    /// Partition number, from 0.
    pub partition: u32,
    /// Completed steps; `steps` is the total. Both are 0 while data is downloaded.
    pub step: u64,
    pub steps: u64,
}

/// Membership of this machine in a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Membership {
    /// Not a member: a join code is needed. `problem` says why the last one failed.
    None { problem: Option<String> },
    /// A join code was entered, and the worker is enrolling.
    Joining,
    /// Member. `cluster` is the cluster's name.
    Member { cluster: String },
}

/// Invitation of a join link. The creator of the link chose its texts; only the pin proves the
/// coordinator's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct InvitationView {
    /// Id of the invitation, used to accept or decline it.
    pub id: String,
    /// Name of the cluster according to the link.
    pub cluster: String,
    /// SHA-256 fingerprint of the coordinator's public key, in groups of four characters.
    pub pin: Vec<String>,
    /// Possible addresses of the coordinator, each `host:port`.
    pub addresses: Vec<String>,
    /// Reason why it can't be accepted, and how to fix it. Null if it can.
    pub obstacle: Option<String>,
}

/// Contribution of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, ToSchema)]
pub struct GivenView {
    pub today: Amount,
    pub total: Amount,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, serde::Deserialize, ToSchema)]
pub struct Amount {
    pub leases: u64,
    /// Rows trained on, including repeats.
    pub examples: u64,
    /// Time spent in training steps.
    pub gpu_seconds: f64,
    pub cpu_seconds: f64,
    /// Estimate for this kind of machine; see [`protocol::usage::watts`].
    pub watt_hours: f64,
}

/// Override by the user.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OverrideView {
    None,
    /// `until` is a time such as `14:00` or `tomorrow`. Null until training is resumed by hand.
    Paused {
        until: Option<String>,
    },
    /// Trains even if the machine is in use.
    Contributing {
        until: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct MayView {
    pub pause: bool,
    pub quit: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Seen {
    pub name: String,
    pub value: String,
}

/// Coordinator part of this node.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CoordinatorView {
    Off,
    Starting,
    Running {
        cluster: String,
        url: String,
        /// Warning about machine state that affects a running job, such as battery power.
        warning: Option<String>,
    },
    Failed {
        reason: String,
    },
}

/// Result of the update check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum UpdateView {
    /// Not checked yet.
    Unknown,
    /// Update checks are off, with the reason.
    Off {
        reason: String,
    },
    /// This is the newest version.
    Current,
    /// A newer version exists, with its download location.
    Newer {
        version: String,
        page: String,
    },
    Failed {
        reason: String,
    },
}

/// Contents of the settings page.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SettingsView {
    /// Settings by section, in the page's order. Those without a section come last.
    pub settings: Vec<Setting>,
    /// Sensors that this machine lacks, each with the reason.
    pub unknown: Vec<Seen>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use utoipa::OpenApi;

    use super::*;

    #[derive(OpenApi)]
    #[openapi(components(schemas(View, SettingsView)))]
    struct Pages;

    /// The pages' types are generated from `ui/app-openapi.json`.
    #[test]
    fn kept_openapi_is_what_the_pages_get() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/app-openapi.json");
        let made = format!("{}\n", Pages::openapi().to_pretty_json().unwrap());
        if std::env::var_os("CONSTELLATION_WRITE_OPENAPI").is_some() {
            std::fs::write(&file, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap();
        assert_eq!(kept, made, "write it again with CONSTELLATION_WRITE_OPENAPI=1");
    }
}
