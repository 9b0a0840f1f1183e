//! Table of all settings. Loading, displaying, changing and documenting settings use this table.

use std::fmt;

use protocol::Pin;
use protocol::join::Join;
use serde_json::Value;
use worker::Schedule;

use super::value::BackendSetting;

/// Type of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    Text,
    Pin,
    /// Secret: only displayed as set or not set.
    JoinCode,
    Choice(&'static [&'static str]),
    Flag,
    Whole {
        least: u64,
        most: u64,
    },
    /// Number above zero.
    Number,
    /// Days and hours.
    Schedule,
    /// Log filter.
    Filter,
}

/// Declaration of a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Declaration {
    /// Name in files and profiles.
    pub name: &'static str,
    /// Name of the environment variable.
    pub variable: &'static str,
    pub range: Range,
    /// Default value. Empty means not set.
    pub default: &'static str,
    /// Description in one sentence.
    pub about: &'static str,
    /// Whether users may change the setting if it isn't managed.
    pub for_user: bool,
}

macro_rules! keys {
    ($($key:ident $name:literal $variable:literal $range:expr, $default:literal, $who:ident, $about:literal;)*) => {
        /// Key of a setting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Key {
            $(#[doc = $about] $key,)*
        }

        impl Key {
            /// All settings, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$key),*];

            pub const fn declaration(self) -> Declaration {
                match self {
                    $(Self::$key => Declaration {
                        name: $name,
                        variable: concat!("CONSTELLATION_", $variable),
                        range: $range,
                        default: $default,
                        about: $about,
                        for_user: matches!(Who::$who, Who::User),
                    },)*
                }
            }
        }
    };
}

/// Who may set a setting.
enum Who {
    User,
    Organization,
}

/// One year in seconds.
const LONGEST_IDLE: u64 = 31_536_000;

#[rustfmt::skip]
keys! {
    Mode "Mode" "MODE" Range::Choice(&["worker", "coordinator", "both"]), "worker", User,
        "Role of the app on this machine: worker, coordinator or both.";
    CoordinatorUrl "CoordinatorURL" "COORDINATOR" Range::Text, "", User,
        "Address of the coordinator. If not set, workers search the local network.";
    CoordinatorPin "CoordinatorPin" "PIN" Range::Pin, "", User,
        "SHA-256 fingerprint of the coordinator's public key.";
    EnrollmentCode "EnrollmentCode" "JOIN" Range::JoinCode, "", User,
        "Join code that enrolls this machine.";
    ClusterName "ClusterName" "CLUSTER_NAME" Range::Text, "Constellation", User,
        "Name of the cluster that this machine coordinates.";
    IdleSeconds "IdleSeconds" "IDLE_SECONDS" Range::Whole { least: 0, most: LONGEST_IDLE }, "300", User,
        "Seconds without keyboard or mouse input before training starts.";
    AllowBattery "AllowBattery" "ALLOW_BATTERY" Range::Flag, "false", User,
        "Train on battery power.";
    MinimumBattery "MinimumBattery" "MINIMUM_BATTERY" Range::Whole { least: 0, most: 100 }, "50", User,
        "Battery charge in percent below which training on battery power stops.";
    Schedule "Schedule" "SCHEDULE" Range::Schedule, "", User,
        "Hours in which training is allowed, such as Mon-Fri 19:00-07:00. If not set, all hours.";
    PauseDuringCalls "PauseDuringCalls" "PAUSE_DURING_CALLS" Range::Flag, "true", User,
        "Pause while a camera or a microphone is in use.";
    PauseDuringVideo "PauseDuringVideo" "PAUSE_DURING_VIDEO" Range::Flag, "true", User,
        "Pause while a video or a presentation keeps the display awake.";
    PauseInFullScreen "PauseInFullScreen" "PAUSE_IN_FULL_SCREEN" Range::Flag, "true", User,
        "Pause while a program is in full screen.";
    MaximumThermalState "MaximumThermalState" "MAXIMUM_THERMAL_STATE"
        Range::Choice(&["nominal", "fair", "serious", "critical"]), "fair", User,
        "Highest thermal state at which training continues: nominal, fair, serious or critical.";
    KeepAwake "KeepAwake" "KEEP_AWAKE" Range::Flag, "true", User,
        "Keep the coordinator's machine awake while a job runs and the machine is on AC power.";
    MaximumMemoryGb "MaximumMemoryGB" "MAXIMUM_MEMORY_GB" Range::Number, "", User,
        "Maximum memory for training in gigabytes. If not set, half of the machine's memory.";
    MaximumCacheGb "MaximumCacheGB" "MAXIMUM_CACHE_GB" Range::Number, "10", User,
        "Maximum size of the worker's cache in gigabytes.";
    MaximumUploadMbps "MaximumUploadMbps" "MAXIMUM_UPLOAD_MBPS" Range::Number, "", User,
        "Maximum upload rate in megabits per second. If not set, unlimited.";
    Backend "Backend" "BACKEND" Range::Choice(&["auto", "cpu", "wgpu"]), "auto", User,
        "Compute backend for training: auto, cpu or wgpu (GPU).";
    AllowUserPause "AllowUserPause" "ALLOW_USER_PAUSE" Range::Flag, "true", Organization,
        "Let the user pause training.";
    AllowUserQuit "AllowUserQuit" "ALLOW_USER_QUIT" Range::Flag, "true", Organization,
        "Let the user quit the app.";
    StartAtLogin "StartAtLogin" "START_AT_LOGIN" Range::Flag, "false", User,
        "Start the app at login.";
    UpdateChecks "UpdateChecks" "UPDATE_CHECKS" Range::Flag, "true", User,
        "Check for new versions of the app.";
    PresenceDetail "PresenceDetail" "PRESENCE_DETAIL" Range::Choice(&["reasons", "state"]), "reasons", User,
        "What a Mac reports while it does not train: the reason (reasons), or only that it is waiting (state).";
    LogLevel "LogLevel" "LOG" Range::Filter, "warn,node=info,coordinator=info,worker=info,trainer=info", User,
        "Log filter, such as info or warn,worker=debug.";
}

impl Key {
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// Returns the known name that is most similar to this one.
    pub fn nearest(name: &str) -> Option<&'static str> {
        Self::ALL
            .iter()
            .map(|key| (strsim::jaro_winkler(key.name(), name), key.name()))
            .filter(|(similarity, _)| *similarity > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name)
    }

    pub const fn name(self) -> &'static str {
        self.declaration().name
    }

    /// Returns what an invalid value should have been, or `None` if the value is valid. The parser reports
    /// invalid join codes itself, because a code must not be shown.
    pub(super) fn wrong(self, text: &str) -> Option<String> {
        let number = || text.parse().ok().filter(|number: &f64| number.is_finite());
        match self.declaration().range {
            Range::Text if text.trim().is_empty() => Some("a text".into()),
            Range::Text => protocol::text::check(text)
                .err()
                .map(|_| "text without invisible characters".into()),
            Range::Pin => text.parse::<Pin>().err().map(|_| "a pin of 43 characters".into()),
            Range::JoinCode => text.parse::<Join>().err().map(|error| error.to_string()),
            Range::Choice(words) => (!words.contains(&text)).then(|| one_of(words)),
            Range::Flag => text.parse::<bool>().err().map(|_| "true or false".into()),
            Range::Whole { least, most } => {
                let whole = text.parse().ok().filter(|number| (least..=most).contains(number));
                whole.is_none().then(|| format!("a whole number from {least} to {most}"))
            }
            Range::Number => {
                let above = number().filter(|number| *number > 0.0);
                above.is_none().then(|| "a number above 0".into())
            }
            Range::Schedule => text
                .parse::<Schedule>()
                .err()
                .map(|_| "days and hours such as Mon-Fri 19:00-07:00".into()),
            Range::Filter => tracing_subscriber::EnvFilter::try_new(text)
                .err()
                .map(|_| "a filter such as info or warn,worker=debug".into()),
        }
    }

    /// Returns a valid value as JSON. A secret only shows that it is set.
    pub(super) fn json(self, text: &str) -> Value {
        match self.declaration().range {
            Range::JoinCode => "set".into(),
            Range::Flag | Range::Whole { .. } | Range::Number => {
                serde_json::from_str(text).unwrap_or_else(|_| text.into())
            }
            Range::Text | Range::Pin | Range::Choice(_) | Range::Schedule | Range::Filter => {
                text.into()
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [start @ .., last] if !start.is_empty() => format!("{} or {last}", start.join(", ")),
        _ => words.join(", "),
    }
}

impl std::str::FromStr for BackendSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        clap::ValueEnum::from_str(text, false)
    }
}
