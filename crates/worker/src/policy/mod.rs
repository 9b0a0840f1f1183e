//! Idle policy: decides whether a machine may train. Pure: sensor readings and the time are arguments. See
//! `docs/design/idle-policy.md`.

use std::time::Duration;

use platform::sensors::{PowerSource, Pressure, SensorReading, Thermal};
use protocol::Timestamp;
use protocol::setting::Key;

use crate::schedule::{Schedule, Weekday};

mod hold;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use hold::PresenceDetail;
pub(crate) use hold::{HoldDetail, Kind};

/// Whether a machine trains only while idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// Only while nobody uses the machine.
    #[default]
    Idle,
    /// Always, for servers and dedicated machines: ignores the sensors. The schedule and a pause still
    /// count.
    Always,
}

/// The owner's manual override of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserOverride {
    #[default]
    None,
    PausedUntil(Timestamp),
    Paused,
    /// Train even while the machine is in use and outside its hours. The checks that protect the machine
    /// (power, heat, memory, network) still count.
    ContributeUntil(Timestamp),
}

/// Settings of the owner and the organization that decide when a machine may train.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct IdlePolicy {
    pub when: When,
    /// Time without input after which the machine counts as idle.
    pub idle: Duration,
    pub user_override: UserOverride,
    pub schedule: Schedule,
    pub allow_battery: bool,
    /// Minimum battery charge, 0 to 1, if training on battery is allowed.
    pub minimum_battery: f32,
    pub pause_during_calls: bool,
    pub pause_during_video: bool,
    pub pause_in_full_screen: bool,
    /// Highest thermal state in which the machine trains.
    pub maximum_thermal: Thermal,
    /// Maximum load of other programs, as a share of all cores, 0 to 1.
    pub maximum_other_load: f32,
    /// Train on metered networks and in Low Data Mode.
    pub allow_metered: bool,
}

impl Default for IdlePolicy {
    /// Returns the defaults of the settings; no override, at most half of the cores busy, no metered network.
    fn default() -> Self {
        Self {
            when: When::Idle,
            idle: const { Duration::from_secs(Key::IdleSeconds.default_integer()) },
            user_override: UserOverride::None,
            schedule: Schedule::default(),
            allow_battery: const { Key::AllowBattery.default_bool() },
            minimum_battery: const { Key::MinimumBattery.default_integer() as f32 / 100.0 },
            pause_during_calls: const { Key::PauseDuringCalls.default_bool() },
            pause_during_video: const { Key::PauseDuringVideo.default_bool() },
            pause_in_full_screen: const { Key::PauseInFullScreen.default_bool() },
            maximum_thermal: const {
                match Thermal::named(Key::MaximumThermalState.default_str()) {
                    Some(state) => state,
                    None => panic!("the default is not a thermal state"),
                }
            },
            maximum_other_load: 0.5,
            allow_metered: false,
        }
    }
}

/// A point in time, and its weekday and time of day by the machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalTime {
    pub now: Timestamp,
    pub weekday: Weekday,
    /// Minutes since local midnight, below 1440.
    pub minutes: u16,
}

/// The previous decision. Thresholds have some slack while running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Running,
    Held,
}

/// Whether the machine may train.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Run,
    Hold(HoldDetail),
}

/// Maximum slack of the idle time: readings come a little late and at uneven intervals.
const MAXIMUM_IDLE_SLACK: Duration = Duration::from_secs(5);
/// Slack of the load while training, as a share of all cores, because load fluctuates.
const LOAD_SLACK: f32 = 0.1;
/// Charge above the minimum that is needed to start training, because training drains the battery.
const BATTERY_SLACK: f32 = 0.05;

/// Decides whether to train now. An unknown reading holds nothing, except an unknown input: without it
/// the machine may be in use.
pub(crate) fn decide(
    policy: &IdlePolicy,
    was: Presence,
    reading: &SensorReading,
    time: LocalTime,
) -> Decision {
    let hold = match policy.user_override {
        UserOverride::Paused => Some(HoldDetail::Paused),
        UserOverride::PausedUntil(until) if time.now < until => Some(paused_until(until, time)),
        UserOverride::ContributeUntil(until) if time.now < until => match policy.when {
            When::Always => None,
            When::Idle => other_account(reading).or_else(|| unfit(policy, was, reading)),
        },
        UserOverride::None | UserOverride::PausedUntil(_) | UserOverride::ContributeUntil(_) => {
            match policy.when {
                When::Always => outside_hours(policy, time),
                When::Idle => outside_hours(policy, time)
                    .or_else(|| other_account(reading))
                    .or_else(|| in_use(policy, was, reading))
                    .or_else(|| unfit(policy, was, reading)),
            }
        }
    };
    hold.map_or(Decision::Run, Decision::Hold)
}

/// Returns how long a machine that yields to its owner keeps a lease with `left` remaining time. See
/// "How fast it stops" in `docs/design/idle-policy.md`.
pub(crate) fn keep_for(left: Duration) -> Duration {
    (left / 2).min(Duration::from_mins(1))
}

fn outside_hours(policy: &IdlePolicy, time: LocalTime) -> Option<HoldDetail> {
    let allowed = policy.schedule.allows(time.weekday, time.minutes);
    (!allowed).then(|| HoldDetail::OutsideHours(policy.schedule.to_string()))
}

/// Only the worker of the account that has the screen trains.
fn other_account(reading: &SensorReading) -> Option<HoldDetail> {
    (reading.has_screen == Some(false)).then_some(HoldDetail::OtherAccount)
}

/// Checks whether a person or other programs use the machine.
fn in_use(policy: &IdlePolicy, was: Presence, reading: &SensorReading) -> Option<HoldDetail> {
    let Some(idle) = reading.input else { return Some(HoldDetail::Unknown) };
    if idle < idle_threshold(policy, was) {
        return Some(HoldDetail::InUse);
    }
    // Video and full screen count only on a screen that is on and unlocked. A call may go on without.
    let watched = reading.locked != Some(true) && reading.display_on != Some(false);
    let slack = if was == Presence::Running { LOAD_SLACK } else { 0.0 };
    let busy = |load: f32| load > policy.maximum_other_load + slack;
    if policy.pause_during_calls && reading.camera_or_microphone == Some(true) {
        Some(HoldDetail::Call)
    } else if watched && policy.pause_during_video && reading.keeps_display_awake == Some(true) {
        Some(HoldDetail::Video)
    } else if watched && policy.pause_in_full_screen && reading.full_screen == Some(true) {
        Some(HoldDetail::FullScreen)
    } else if reading.other_load.is_some_and(busy) {
        Some(HoldDetail::Busy)
    } else {
        None
    }
}

/// Checks whether power, heat, memory or network keep the machine from training.
fn unfit(policy: &IdlePolicy, was: Presence, reading: &SensorReading) -> Option<HoldDetail> {
    if let Some(power) = reading.power
        && power.source == PowerSource::Battery
    {
        if !policy.allow_battery {
            return Some(HoldDetail::OnBattery);
        }
        let slack = if was == Presence::Held { BATTERY_SLACK } else { 0.0 };
        let enough = (policy.minimum_battery + slack).min(1.0);
        if power.level.is_some_and(|level| level < enough) {
            return Some(HoldDetail::BatteryLow);
        }
    }
    let metered = reading.network.is_some_and(|network| network.expensive || network.constrained);
    let pressed = match was {
        // The trainer's own memory contributes to the pressure, so a warning only prevents a start.
        Presence::Running => Pressure::Critical,
        Presence::Held => Pressure::Warning,
    };
    if reading.low_power == Some(true) {
        Some(HoldDetail::LowPower)
    } else if reading.thermal.is_some_and(|thermal| thermal > policy.maximum_thermal) {
        Some(HoldDetail::TooWarm)
    } else if reading.memory_pressure.is_some_and(|pressure| pressure >= pressed) {
        Some(HoldDetail::LowMemory)
    } else if metered && !policy.allow_metered {
        Some(HoldDetail::Metered)
    } else {
        None
    }
}

fn idle_threshold(policy: &IdlePolicy, was: Presence) -> Duration {
    match was {
        Presence::Held => policy.idle,
        Presence::Running => policy.idle.saturating_sub((policy.idle / 10).min(MAXIMUM_IDLE_SLACK)),
    }
}

/// Converts the end of a pause to this machine's local time, assuming no clock change until then.
fn paused_until(until: Timestamp, time: LocalTime) -> HoldDetail {
    const DAY: u64 = 24 * 60;
    // Rounded up to the first full minute in which the machine may train.
    let left = until.since(time.now).as_secs().div_ceil(60);
    let minutes = u64::from(time.minutes) + left;
    let days = minutes / DAY;
    let weekday = match days {
        0 => None,
        days => Some(time.weekday.plus(usize::try_from(days % 7).unwrap_or(0))),
    };
    HoldDetail::PausedUntil { weekday, minutes: u16::try_from(minutes % DAY).unwrap_or(0) }
}
