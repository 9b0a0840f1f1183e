//! Every setting, declared once: loading, showing, changing and documenting read this table
//! (DESIGN §9).

use std::fmt;

use protocol::Pin;
use protocol::join::Join;
use serde_json::Value;
use worker::Schedule;

use super::BackendChoice;

/// What a setting may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    Text,
    Pin,
    /// A secret: shown only as set.
    JoinCode,
    Choice(&'static [&'static str]),
    Flag,
    Whole {
        least: u64,
        most: u64,
    },
    /// Above zero.
    Number,
    /// Days and hours.
    Schedule,
    /// Of the log.
    Filter,
}

/// A setting as it is declared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Declaration {
    /// In files and profiles.
    pub name: &'static str,
    /// In the environment.
    pub variable: &'static str,
    pub range: Range,
    /// Empty is not set.
    pub default: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Whether the person at the machine may change it where it isn't managed.
    pub for_user: bool,
}

macro_rules! keys {
    ($($key:ident $name:literal $variable:literal $range:expr, $default:literal, $who:ident, $about:literal;)*) => {
        /// A setting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Key {
            $(#[doc = $about] $key,)*
        }

        impl Key {
            /// In the order of the documentation.
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

/// Who decides a setting.
enum Who {
    User,
    Organization,
}

/// A year.
const LONGEST_IDLE: u64 = 31_536_000;

#[rustfmt::skip]
keys! {
    Mode "Mode" "MODE" Range::Choice(&["worker", "coordinator", "both"]), "worker", User,
        "What the app is on this machine: worker, coordinator or both.";
    CoordinatorUrl "CoordinatorURL" "COORDINATOR" Range::Text, "", User,
        "Where workers look for the coordinator; on the local network where it is not set.";
    CoordinatorPin "CoordinatorPin" "PIN" Range::Pin, "", User,
        "The pin of its key.";
    EnrollmentCode "EnrollmentCode" "JOIN" Range::JoinCode, "", User,
        "The join code that enrols this machine.";
    ClusterName "ClusterName" "CLUSTER_NAME" Range::Text, "Constellation", User,
        "What a cluster that this machine coordinates is called.";
    IdleSeconds "IdleSeconds" "IDLE_SECONDS" Range::Whole { least: 0, most: LONGEST_IDLE }, "300", User,
        "Seconds without input before a Mac may train.";
    AllowBattery "AllowBattery" "ALLOW_BATTERY" Range::Flag, "false", User,
        "Whether it trains on battery.";
    MinimumBattery "MinimumBattery" "MINIMUM_BATTERY" Range::Whole { least: 0, most: 100 }, "50", User,
        "Percent of charge below which it doesn't train on battery.";
    Schedule "Schedule" "SCHEDULE" Range::Schedule, "", User,
        "The hours in which it may train, such as Mon-Fri 19:00-07:00; all where it is not set.";
    PauseDuringCalls "PauseDuringCalls" "PAUSE_DURING_CALLS" Range::Flag, "true", User,
        "Whether it waits while a camera or a microphone is on.";
    PauseDuringVideo "PauseDuringVideo" "PAUSE_DURING_VIDEO" Range::Flag, "true", User,
        "Whether it waits while a video or a presentation keeps the display awake.";
    PauseInFullScreen "PauseInFullScreen" "PAUSE_IN_FULL_SCREEN" Range::Flag, "true", User,
        "Whether it waits while a program fills the screen.";
    MaximumThermalState "MaximumThermalState" "MAXIMUM_THERMAL_STATE"
        Range::Choice(&["nominal", "fair", "serious", "critical"]), "fair", User,
        "The warmest at which it trains: nominal, fair, serious or critical.";
    KeepAwake "KeepAwake" "KEEP_AWAKE" Range::Flag, "true", User,
        "Whether a coordinator on mains keeps the machine awake while a job runs.";
    MaximumMemoryGb "MaximumMemoryGB" "MAXIMUM_MEMORY_GB" Range::Number, "", User,
        "Gigabytes of memory that a trainer takes at most; half of the machine's where it is not set.";
    MaximumCacheGb "MaximumCacheGB" "MAXIMUM_CACHE_GB" Range::Number, "10", User,
        "Gigabytes that a worker keeps at most.";
    MaximumUploadMbps "MaximumUploadMbps" "MAXIMUM_UPLOAD_MBPS" Range::Number, "", User,
        "Megabits a second for uploads.";
    Backend "Backend" "BACKEND" Range::Choice(&["auto", "cpu", "wgpu"]), "auto", User,
        "Where trainers compute: auto, cpu or wgpu.";
    AllowUserPause "AllowUserPause" "ALLOW_USER_PAUSE" Range::Flag, "true", Organization,
        "Whether the person at the machine may pause it.";
    AllowUserQuit "AllowUserQuit" "ALLOW_USER_QUIT" Range::Flag, "true", Organization,
        "Whether the person at the machine may quit the app.";
    StartAtLogin "StartAtLogin" "START_AT_LOGIN" Range::Flag, "false", User,
        "Whether the app starts when somebody logs in.";
    UpdateChecks "UpdateChecks" "UPDATE_CHECKS" Range::Flag, "true", User,
        "Whether the app looks for newer versions.";
    PresenceDetail "PresenceDetail" "PRESENCE_DETAIL" Range::Choice(&["reasons", "state"]), "reasons", User,
        "What the coordinator hears of a Mac that waits: a coarse reason, or only that it waits.";
    LogLevel "LogLevel" "LOG" Range::Filter, "warn,node=info,coordinator=info,worker=info,trainer=info", User,
        "What is written to the log.";
}

impl Key {
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// The known name that looks most like this one.
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

    /// What a wrong value should have been; none where it is right. Of join codes the parser says
    /// it, because a code must not be shown.
    pub(super) fn wrong(self, text: &str) -> Option<String> {
        let number = || text.parse().ok().filter(|number: &f64| number.is_finite());
        match self.declaration().range {
            Range::Text if text.trim().is_empty() => Some("a text".into()),
            Range::Text => {
                protocol::text::check(text).err().map(|_| "a text that can be seen".into())
            }
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

    /// A right value as JSON has it; a secret says only that it is set.
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

impl std::str::FromStr for BackendChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        clap::ValueEnum::from_str(text, false)
    }
}
