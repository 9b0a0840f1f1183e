//! Why a machine doesn't train: whole for its owner, coarse for the coordinator (DESIGN §11.22).

use protocol::device::HoldReason;
use protocol::lease::ReturnReason;

use crate::schedule::{Clock, Weekday};

/// Why a machine doesn't train.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldDetail {
    /// Input came lately.
    InUse,
    /// Another account has the screen, by fast user switching: its own worker trains.
    OtherAccount,
    /// A camera or a microphone is on.
    Call,
    /// Something keeps the display awake.
    Video,
    FullScreen,
    /// Other programs compute.
    Busy,
    LowMemory,
    OnBattery,
    BatteryLow,
    LowPower,
    TooWarm,
    /// With its hours, as [`crate::Schedule`] shows them.
    OutsideHours(String),
    /// The network costs money or is to be spared.
    Metered,
    Paused,
    /// By the machine's clock; a day only where it isn't today.
    PausedUntil {
        weekday: Option<Weekday>,
        minutes: u16,
    },
    Unknown,
}

/// How much of a hold leaves the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PresenceDetail {
    /// One of a few coarse reasons.
    #[default]
    Reasons,
    /// Only that the machine is held back.
    State,
}

impl PresenceDetail {
    /// The reason that a heartbeat tells.
    pub const fn reason(self, reason: HoldReason) -> Option<HoldReason> {
        match self {
            Self::Reasons => Some(reason),
            Self::State => None,
        }
    }

    /// The reason that goes with a lease given back.
    pub const fn return_reason(self, hold: &HoldDetail) -> ReturnReason {
        match self {
            Self::Reasons => hold.return_reason(),
            Self::State => ReturnReason::Held,
        }
    }
}

/// What its owner calls the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Mac,
    Machine,
}

impl Kind {
    /// From a device's type.
    pub fn of(device_type: &str) -> Self {
        if device_type == "mac" { Self::Mac } else { Self::Machine }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Mac => "Mac",
            Self::Machine => "machine",
        }
    }
}

impl HoldDetail {
    /// The reason as it leaves the machine.
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
            // Where its owner is, and by which network, is nobody's business.
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
            // The owner's machine stopped telling; to the coordinator that is a pause.
            HoldReason::Paused | HoldReason::Unknown => ReturnReason::Paused,
        }
    }

    /// The reason in a sentence for the machine's owner.
    pub fn words(&self, kind: Kind) -> String {
        let machine = kind.word();
        match self {
            Self::InUse => match kind {
                Kind::Mac => "Waiting: you're using the Mac".into(),
                Kind::Machine => "Waiting: the machine is in use".into(),
            },
            Self::OtherAccount => format!("Waiting: another account uses this {machine}"),
            Self::Call => "Waiting: a call is on".into(),
            Self::Video => "Waiting: a video or presentation is on".into(),
            Self::FullScreen => "Waiting: a program fills the screen".into(),
            Self::Busy => format!("Waiting: other programs keep the {machine} busy"),
            Self::LowMemory => format!("Waiting: the {machine} is short of memory"),
            Self::OnBattery => "Waiting: on battery".into(),
            Self::BatteryLow => "Waiting: the battery is low".into(),
            Self::LowPower => match kind {
                Kind::Mac => "Waiting: Low Power Mode is on".into(),
                Kind::Machine => "Waiting: the machine saves power".into(),
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
                "Waiting: this {machine} can't tell whether somebody uses it; start the worker with \
                 `--when always` to train anyway"
            ),
        }
    }
}
