//! What the app shows, as one value: the menu bar, the menu and the app's pages only draw it.

use protocol::setting::Setting;
use serde::Serialize;
use utoipa::ToSchema;

/// Everything that is seen of a running app.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct View {
    pub mode: ModeView,
    pub icon: Icon,
    /// The state in plain words; the menu's first line.
    pub line: String,
    /// Why it is so, or what would mend it; empty where there is nothing more to say.
    pub detail: String,
    /// What is trained now.
    pub work: Option<WorkView>,
    pub membership: Membership,
    /// A link that somebody opened and that waits for the person's answer.
    pub invitation: Option<InvitationView>,
    pub given: GivenView,
    pub wish: WishView,
    /// What the organization lets a person do here.
    pub may: MayView,
    /// What the company sees of this Mac, name by name, with what each is now.
    pub company_sees: Vec<Seen>,
    pub coordinator: CoordinatorView,
    /// What this machine lacks, and what that means, such as a tray that nothing shows.
    pub notes: Vec<String>,
    /// Whether there is a newer version.
    pub update: UpdateView,
    /// `Mac`, or `computer` on other systems.
    pub machine: String,
    pub version: String,
}

/// What this node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "four answers to four questions")]
pub struct ModeView {
    /// False until somebody has said what this machine is for: then the first page asks.
    pub is_chosen: bool,
    /// The organization chose.
    pub is_managed: bool,
    pub worker: bool,
    pub coordinator: bool,
}

/// Which picture stands in the menu bar.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Icon {
    Waiting,
    /// `progress` of the lease, 0 to 1.
    Training {
        progress: f64,
    },
    Paused,
    /// Somebody should look.
    Attention,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WorkView {
    pub job_name: String,
    /// From 1.
    pub round: u32,
    pub total_rounds: u32,
    /// From 0.
    pub partition: u32,
    /// Steps done and in all; both 0 while it fetches.
    pub step: u64,
    pub steps: u64,
}

/// Whether this machine is in a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Membership {
    /// No: a join code is needed. `problem` says what was wrong with the last one.
    None { problem: Option<String> },
    /// A code was given and the coordinator is asked.
    Joining,
    /// Yes. `cluster` is its name.
    Member { cluster: String },
}

/// A link into a cluster. Whoever made the link chose what it says of the cluster; only the pin
/// proves who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct InvitationView {
    /// Names it in the person's answer.
    pub id: String,
    /// The cluster's name, as the link has it.
    pub cluster: String,
    /// SHA-256 fingerprint of the coordinator's public key, in groups of four characters.
    pub pin: Vec<String>,
    /// Where the coordinator may be, each `host:port`.
    pub addresses: Vec<String>,
    /// Why it can't be accepted, and what would help; null where it can.
    pub hindrance: Option<String>,
}

/// What this machine gave.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, ToSchema)]
pub struct GivenView {
    pub today: Amount,
    pub total: Amount,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, serde::Deserialize, ToSchema)]
pub struct Amount {
    pub leases: u64,
    /// Rows trained on, repeats counted.
    pub examples: u64,
    /// Spent in steps.
    pub gpu_seconds: f64,
    pub cpu_seconds: f64,
    /// An estimate by the kind of machine; see [`protocol::usage::watts`].
    pub watt_hours: f64,
}

/// What the owner asked for.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WishView {
    None,
    /// `until` is a time such as `14:00` or `tomorrow`, null until somebody resumes.
    Paused {
        until: Option<String>,
    },
    /// Trains though somebody uses the machine.
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

/// This node as a coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CoordinatorView {
    Off,
    Starting,
    Running {
        cluster: String,
        url: String,
        /// Where the machine's state matters to a running job, such as on battery.
        warning: Option<String>,
    },
    Failed {
        reason: String,
    },
}

/// What is known of newer versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum UpdateView {
    /// Nobody has looked yet.
    Unknown,
    /// Nobody looks, and why.
    Off {
        reason: String,
    },
    /// This is the newest.
    Current,
    /// It isn't, and where a person gets the newest.
    Newer {
        version: String,
        page: String,
    },
    Failed {
        reason: String,
    },
}

/// The settings page.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SettingsView {
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

    /// The pages' types are made from `ui/app-openapi.json`.
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
