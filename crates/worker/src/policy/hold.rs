//! Reasons why a machine does not train: detailed for its owner, coarse for the coordinator. See "What the
//! company sees" in `docs/design/idle-policy.md`.

use protocol::device::HoldReason;
use protocol::lease::ReturnReason;
use protocol::setting::Key;

use crate::schedule::{Clock, Weekday};

/// Reason why a machine does not train, in full detail. It stays on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldDetail {
    /// There was input within the idle time.
    InUse,
    /// Another account has the screen after fast user switching. Its own worker trains.
    OtherAccount,
    /// A camera or a microphone is on.
    Call,
    /// A program keeps the display awake.
    Video,
    FullScreen,
    /// Other programs use the processor.
    Busy,
    LowMemory,
    OnBattery,
    BatteryLow,
    LowPower,
    TooWarm,
    /// Outside the allowed hours, which are given as [`crate::Schedule`] formats them.
    OutsideHours(String),
    /// The network is metered or in Low Data Mode.
    Metered,
    Paused,
    /// Paused until this local time: minutes since midnight, and the weekday if it is not today.
    PausedUntil {
        weekday: Option<Weekday>,
        minutes: u16,
    },
    Unknown,
}

/// How much of a hold leaves the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceDetail {
    /// One of a few coarse reasons.
    Reasons,
    /// Only that the machine waits.
    State,
}

impl Default for PresenceDetail {
    /// Returns the default of the setting.
    fn default() -> Self {
        const {
            match Self::named(Key::PresenceDetail.default_str()) {
                Some(detail) => detail,
                None => panic!("the default is not a detail"),
            }
        }
    }
}

impl PresenceDetail {
    /// Returns the detail that the setting calls `text`.
    pub const fn named(text: &str) -> Option<Self> {
        match text.as_bytes() {
            b"reasons" => Some(Self::Reasons),
            b"state" => Some(Self::State),
            _ => None,
        }
    }

    /// Returns the reason to send with a heartbeat.
    pub const fn reason(self, reason: HoldReason) -> Option<HoldReason> {
        match self {
            Self::Reasons => Some(reason),
            Self::State => None,
        }
    }

    /// Returns the reason to send when a lease is returned.
    pub const fn return_reason(self, hold: &HoldDetail) -> ReturnReason {
        match self {
            Self::Reasons => hold.return_reason(),
            Self::State => ReturnReason::Held,
        }
    }
}

/// Kind of machine, for the wording of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Mac,
    Machine,
}

impl Kind {
    /// Returns the kind for a device type.
    pub fn from_device_type(device_type: &str) -> Self {
        if device_type == "mac" { Self::Mac } else { Self::Machine }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Mac => "Mac",
            Self::Machine => "machine",
        }
    }
}

impl HoldDetail {
    /// Returns the coarse reason, which may leave the machine.
    pub const fn reason(&self) -> HoldReason {
        match self {
            Self::InUse
            | Self::OtherAccount
            | Self::Call
            | Self::Video
            | Self::FullScreen
            | Self::Busy
            | Self::LowMemory => HoldReason::InUse,
            Self::OnBattery | Self::BatteryLow | Self::LowPower => HoldReason::OnBattery,
            Self::TooWarm => HoldReason::TooWarm,
            Self::OutsideHours(_) => HoldReason::Scheduled,
            // A metered network would reveal where the owner is, so it is sent as a pause.
            Self::Metered | Self::Paused | Self::PausedUntil { .. } => HoldReason::Paused,
            Self::Unknown => HoldReason::Unknown,
        }
    }

    const fn return_reason(&self) -> ReturnReason {
        match self.reason() {
            HoldReason::InUse => ReturnReason::InUse,
            HoldReason::OnBattery => ReturnReason::OnBattery,
            HoldReason::TooWarm => ReturnReason::TooWarm,
            HoldReason::Scheduled => ReturnReason::Scheduled,
            // There is no return reason for an unknown presence.
            HoldReason::Paused | HoldReason::Unknown => ReturnReason::Paused,
        }
    }

    /// Returns the reason as a message for the machine's owner.
    pub fn message(&self, kind: Kind) -> String {
        let machine = kind.noun();
        match self {
            Self::InUse => match kind {
                Kind::Mac => "Waiting: you're using the Mac".into(),
                Kind::Machine => "Waiting: the machine is in use".into(),
            },
            Self::OtherAccount => format!("Waiting: another account is using this {machine}"),
            Self::Call => "Waiting: a call is on".into(),
            Self::Video => "Waiting: a video or presentation is on".into(),
            Self::FullScreen => "Waiting: a program fills the screen".into(),
            Self::Busy => format!("Waiting: other programs keep the {machine} busy"),
            Self::LowMemory => format!("Waiting: the {machine} is short of memory"),
            Self::OnBattery => "Waiting: on battery".into(),
            Self::BatteryLow => "Waiting: the battery is low".into(),
            Self::LowPower => match kind {
                Kind::Mac => "Waiting: Low Power Mode is on".into(),
                Kind::Machine => "Waiting: power saving is on".into(),
            },
            Self::TooWarm => format!("Waiting: the {machine} is too warm"),
            Self::OutsideHours(hours) => format!("Waiting: outside its hours ({hours})"),
            Self::Metered => "Waiting: the network is metered".into(),
            Self::Paused => "Paused".into(),
            Self::PausedUntil { weekday: None, minutes } => {
                format!("Paused until {}", Clock(*minutes))
            }
            Self::PausedUntil { weekday: Some(weekday), minutes } => {
                format!("Paused until {} {}", weekday.short(), Clock(*minutes))
            }
            Self::Unknown => format!(
                "Waiting: this {machine} can't detect whether it is in use. Start the worker with \
                 `--when always` to train anyway"
            ),
        }
    }
}
