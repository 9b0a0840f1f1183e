//! Table of all settings. To add a setting, add one entry. Code reads a setting's value by its key.

use super::{ChangedBy, Choice, Declaration, Section, SettingKind, TakesEffect, Unit};

macro_rules! settings {
    ($($key:ident {
        name: $name:literal,
        variable: $variable:literal,
        about: $about:literal,
        title: $title:literal,
        kind: $kind:expr,
        $($field:ident: $value:expr,)*
    })*) => {
        /// Key of a setting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Key {
            $(#[doc = $about] $key,)*
        }

        impl Key {
            /// All settings, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$key),*];

            /// Returns the setting's entry in the table.
            pub const fn declaration(self) -> Declaration {
                match self {
                    $(Self::$key => {
                        const ENTRY: Declaration = Declaration {
                            name: $name,
                            variable: concat!("CONSTELLATION_", $variable),
                            about: $about,
                            title: $title,
                            kind: $kind,
                            $($field: $value,)*
                            ..Declaration::DEFAULTS
                        };
                        ENTRY
                    })*
                }
            }
        }
    };
}

settings! {
    Mode {
        name: "Mode",
        variable: "MODE",
        about: "Role of the app on this machine: worker, coordinator or both.",
        title: "Role",
        kind: SettingKind::Choice {
            choices: &[
                choice("worker", "Worker"),
                choice("coordinator", "Coordinator"),
                choice("both", "Both"),
            ],
            default: "worker",
        },
        section: Some(Section::App),
        takes_effect: TakesEffect::WorkerRestart,
    }
    CoordinatorUrl {
        name: "CoordinatorURL",
        variable: "COORDINATOR",
        about: "Address of the coordinator. If not set, workers search the local network.",
        title: "Coordinator address",
        kind: SettingKind::Url,
        hint: "If empty, the app searches the local network.",
        unset: "Automatic",
        section: Some(Section::App),
        takes_effect: TakesEffect::WorkerRestart,
    }
    CoordinatorPin {
        name: "CoordinatorPin",
        variable: "PIN",
        about: "SHA-256 fingerprint of the coordinator's public key.",
        title: "Coordinator pin",
        kind: SettingKind::Pin,
        unset: "From the join link",
        takes_effect: TakesEffect::WorkerRestart,
    }
    EnrollmentCode {
        name: "EnrollmentCode",
        variable: "JOIN",
        about: "Join code that enrolls this machine.",
        title: "Enrollment code",
        kind: SettingKind::JoinCode,
        unset: "None",
        takes_effect: TakesEffect::WorkerRestart,
    }
    ClusterName {
        name: "ClusterName",
        variable: "CLUSTER_NAME",
        about: "Name of the cluster that this machine coordinates.",
        title: "Cluster name",
        kind: SettingKind::Text { default: Some("Constellation") },
        takes_effect: TakesEffect::NextStart,
    }
    IdleSeconds {
        name: "IdleSeconds",
        variable: "IDLE_SECONDS",
        about: "Seconds without keyboard or mouse input before training starts.",
        title: "Start after no input for",
        kind: SettingKind::Duration { minimum: 0, maximum: YEAR, default: 300 },
        section: Some(Section::WhenToTrain),
    }
    AllowBattery {
        name: "AllowBattery",
        variable: "ALLOW_BATTERY",
        about: "Train on battery power.",
        title: "Train on battery",
        kind: SettingKind::Bool { default: false },
        hint: "When off, training runs only while plugged in.",
        section: Some(Section::WhenToTrain),
    }
    MinimumBattery {
        name: "MinimumBattery",
        variable: "MINIMUM_BATTERY",
        about: "Minimum battery charge for training on battery power, in percent.",
        title: "Stop when the battery is below",
        kind: SettingKind::Integer {
            unit: Unit::Percent, minimum: 0, maximum: 100, default: Some(50),
        },
        section: Some(Section::WhenToTrain),
    }
    Schedule {
        name: "Schedule",
        variable: "SCHEDULE",
        about: "Hours in which training is allowed, such as Mon-Fri 19:00-07:00. If not set, all hours.",
        title: "Schedule",
        kind: SettingKind::Schedule,
        unset: "At any time",
        section: Some(Section::WhenToTrain),
    }
    PauseDuringCalls {
        name: "PauseDuringCalls",
        variable: "PAUSE_DURING_CALLS",
        about: "Pause while a camera or a microphone is in use.",
        title: "Calls",
        kind: SettingKind::Bool { default: true },
        hint: "While a camera or microphone is in use.",
        section: Some(Section::PauseDuring),
    }
    PauseDuringVideo {
        name: "PauseDuringVideo",
        variable: "PAUSE_DURING_VIDEO",
        about: "Pause while a video or a presentation keeps the display awake.",
        title: "Videos and presentations",
        kind: SettingKind::Bool { default: true },
        hint: "While an app keeps the display awake.",
        section: Some(Section::PauseDuring),
    }
    PauseInFullScreen {
        name: "PauseInFullScreen",
        variable: "PAUSE_IN_FULL_SCREEN",
        about: "Pause while a program is in full screen.",
        title: "Full-screen apps",
        kind: SettingKind::Bool { default: true },
        section: Some(Section::PauseDuring),
    }
    MaximumThermalState {
        name: "MaximumThermalState",
        variable: "MAXIMUM_THERMAL_STATE",
        about: "Highest thermal state at which training continues: nominal, fair, serious or critical.",
        title: "Highest temperature for training",
        kind: SettingKind::Choice {
            choices: &[
                choice("nominal", "Normal"),
                choice("fair", "Slightly warm"),
                choice("serious", "Hot"),
                choice("critical", "Very hot"),
            ],
            default: "fair",
        },
        section: Some(Section::Limits),
    }
    KeepAwake {
        name: "KeepAwake",
        variable: "KEEP_AWAKE",
        about: "Keep the coordinator's machine awake while a job runs and the machine is on AC power.",
        title: "Stay awake while a job runs",
        kind: SettingKind::Bool { default: true },
        hint: "Only for a coordinator, and only while plugged in.",
        section: Some(Section::App),
    }
    MaximumMemoryGb {
        name: "MaximumMemoryGB",
        variable: "MAXIMUM_MEMORY_GB",
        about: "Maximum memory for training in gigabytes. If not set, half of the machine's memory.",
        title: "Memory",
        kind: SettingKind::Number { unit: Unit::Gigabytes, default: None },
        hint: "If empty, half of the machine's memory. Jobs that need more run on other devices.",
        unset: "Automatic",
        section: Some(Section::Limits),
        takes_effect: TakesEffect::WorkerRestart,
    }
    MaximumCacheGb {
        name: "MaximumCacheGB",
        variable: "MAXIMUM_CACHE_GB",
        about: "Maximum size of the worker's cache in gigabytes.",
        title: "Disk cache",
        kind: SettingKind::Number { unit: Unit::Gigabytes, default: Some(10.0) },
        hint: "For downloaded data and models.",
        section: Some(Section::Limits),
        takes_effect: TakesEffect::WorkerRestart,
    }
    MaximumUploadMbps {
        name: "MaximumUploadMbps",
        variable: "MAXIMUM_UPLOAD_MBPS",
        about: "Maximum upload rate in megabits per second. If not set, unlimited.",
        title: "Upload speed",
        kind: SettingKind::Number { unit: Unit::MegabitsPerSecond, default: None },
        unset: "No limit",
        section: Some(Section::Limits),
        takes_effect: TakesEffect::WorkerRestart,
    }
    Backend {
        name: "Backend",
        variable: "BACKEND",
        about: "Compute backend for training: auto, cpu or wgpu (GPU).",
        title: "Train on",
        kind: SettingKind::Choice {
            choices: &[choice("auto", "Automatic"), choice("cpu", "CPU"), choice("wgpu", "GPU")],
            default: "auto",
        },
        section: Some(Section::Limits),
        takes_effect: TakesEffect::WorkerRestart,
    }
    AllowUserPause {
        name: "AllowUserPause",
        variable: "ALLOW_USER_PAUSE",
        about: "Let the user pause training.",
        title: "The user may pause training",
        kind: SettingKind::Bool { default: true },
        changed_by: ChangedBy::Organization,
    }
    AllowUserQuit {
        name: "AllowUserQuit",
        variable: "ALLOW_USER_QUIT",
        about: "Let the user quit the app.",
        title: "The user may quit the app",
        kind: SettingKind::Bool { default: true },
        changed_by: ChangedBy::Organization,
    }
    StartAtLogin {
        name: "StartAtLogin",
        variable: "START_AT_LOGIN",
        about: "Start the app at login.",
        title: "Start at login",
        kind: SettingKind::Bool { default: false },
        section: Some(Section::App),
    }
    UpdateChecks {
        name: "UpdateChecks",
        variable: "UPDATE_CHECKS",
        about: "Check for new versions of the app.",
        title: "Check for updates",
        kind: SettingKind::Bool { default: true },
        section: Some(Section::App),
    }
    PresenceDetail {
        name: "PresenceDetail",
        variable: "PRESENCE_DETAIL",
        about: "Details that a Mac sends while it does not train: its state and the reason (reasons), or only its state (state).",
        title: "Shared with the coordinator while not training",
        kind: SettingKind::Choice {
            choices: &[choice("reasons", "State and reason"), choice("state", "State only")],
            default: "reasons",
        },
        hint: "The reason is general, such as “in use” or “on battery”.",
        section: Some(Section::App),
        takes_effect: TakesEffect::WorkerRestart,
    }
    LogLevel {
        name: "LogLevel",
        variable: "LOG",
        about: "Log filter, such as info or warn,worker=debug.",
        title: "Log filter",
        kind: SettingKind::LogFilter {
            default: "warn,node=info,coordinator=info,worker=info,trainer=info",
        },
        takes_effect: TakesEffect::NextStart,
    }
}

/// One year in seconds.
const YEAR: u64 = 31_536_000;

const fn choice(value: &'static str, label: &'static str) -> Choice {
    Choice { value, label }
}
