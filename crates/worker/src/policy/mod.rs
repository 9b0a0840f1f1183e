//! When a machine may train. Pure: readings and the time are arguments (DESIGN §8).

use std::time::Duration;

use platform::sensors::{PowerSource, Pressure, SensorReading, Thermal};
use protocol::Timestamp;

use crate::schedule::{Schedule, Weekday};

mod hold;
#[cfg(test)]
mod tests;

pub use hold::{HoldDetail, Kind, PresenceDetail};

/// Which of its hours a machine gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// Those in which nobody uses it.
    #[default]
    Idle,
    /// All of them, whatever the sensors say: for servers and for machines that do nothing else.
    /// The schedule and a pause still count.
    Always,
}

/// What the owner asked for until further notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserOverride {
    #[default]
    None,
    PausedUntil(Timestamp),
    Paused,
    /// Train although the machine is used and outside its hours; what protects the machine (power,
    /// heat, memory, network) still counts.
    ContributeUntil(Timestamp),
}

/// What is allowed, as the owner and the organization set it.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct IdlePolicy {
    pub when: When,
    /// Without input for so long the machine counts as idle.
    pub idle: Duration,
    pub wish: UserOverride,
    pub schedule: Schedule,
    pub allow_battery: bool,
    /// Of the charge, 0 to 1: with less it doesn't train on battery where it may.
    pub minimum_battery: f32,
    pub pause_during_calls: bool,
    pub pause_during_video: bool,
    pub pause_in_full_screen: bool,
    /// The warmest at which it trains.
    pub maximum_thermal: Thermal,
    /// Share of all cores, 0 to 1: where others use more it waits.
    pub maximum_other_load: f32,
    /// On networks that cost money or that the owner wants to spare.
    pub allow_metered: bool,
}

impl Default for IdlePolicy {
    /// Five minutes without input, on mains, at most slightly warm, and not while anything is on.
    fn default() -> Self {
        Self {
            when: When::Idle,
            idle: Duration::from_mins(5),
            wish: UserOverride::None,
            schedule: Schedule::default(),
            allow_battery: false,
            minimum_battery: 0.5,
            pause_during_calls: true,
            pause_during_video: true,
            pause_in_full_screen: true,
            maximum_thermal: Thermal::Fair,
            maximum_other_load: 0.5,
            allow_metered: false,
        }
    }
}

/// A point in time, and where it is in the machine's local week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    pub now: Timestamp,
    pub weekday: Weekday,
    /// Since local midnight, below 1440.
    pub minutes: u16,
}

/// Whether the machine was training when it was last decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Running,
    Held,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Run,
    HoldDetail(HoldDetail),
}

/// Readings come a little late and a little unevenly: a machine that trains isn't stopped by that.
const LARGEST_SLACK: Duration = Duration::from_secs(5);
/// Of the cores: load goes up and down.
const LOAD_SLACK: f32 = 0.1;
/// Of the charge: training itself takes from it.
const BATTERY_SLACK: f32 = 0.05;

/// Whether to train now. A reading that can't be had stops nothing, but for the input: without it
/// nobody knows whether the machine is used.
pub fn decide(
    policy: &IdlePolicy,
    was: Presence,
    reading: &SensorReading,
    moment: LocalTime,
) -> Decision {
    let held = match policy.wish {
        UserOverride::Paused => Some(HoldDetail::Paused),
        UserOverride::PausedUntil(until) if moment.now < until => Some(paused_until(until, moment)),
        UserOverride::ContributeUntil(until) if moment.now < until => match policy.when {
            When::Always => None,
            When::Idle => elsewhere(reading).or_else(|| unfit(policy, was, reading)),
        },
        UserOverride::None | UserOverride::PausedUntil(_) | UserOverride::ContributeUntil(_) => {
            match policy.when {
                When::Always => outside(policy, moment),
                When::Idle => outside(policy, moment)
                    .or_else(|| elsewhere(reading))
                    .or_else(|| used(policy, was, reading))
                    .or_else(|| unfit(policy, was, reading)),
            }
        }
    };
    held.map_or(Decision::Run, Decision::HoldDetail)
}

/// How long a machine that yields keeps its lease, of which `left` is left (DESIGN §11.5).
pub fn keep_for(left: Duration) -> Duration {
    (left / 2).min(Duration::from_mins(1))
}

fn outside(policy: &IdlePolicy, moment: LocalTime) -> Option<HoldDetail> {
    let allowed = policy.schedule.allows(moment.weekday, moment.minutes);
    (!allowed).then(|| HoldDetail::OutsideHours(policy.schedule.to_string()))
}

/// One worker a machine: that of the account that has the screen.
fn elsewhere(reading: &SensorReading) -> Option<HoldDetail> {
    (reading.has_screen == Some(false)).then_some(HoldDetail::OtherAccount)
}

/// Somebody or something needs the machine.
fn used(policy: &IdlePolicy, was: Presence, reading: &SensorReading) -> Option<HoldDetail> {
    let Some(idle) = reading.input else { return Some(HoldDetail::Unknown) };
    if idle < enough(policy, was) {
        return Some(HoldDetail::InUse);
    }
    // Nobody watches a screen that is off or locked; a call goes on behind it.
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

/// The machine itself can't give anything now.
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
        // Our own memory is part of it: a warning stops nothing, and nothing begins in one.
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

fn enough(policy: &IdlePolicy, was: Presence) -> Duration {
    match was {
        Presence::Held => policy.idle,
        Presence::Running => policy.idle.saturating_sub((policy.idle / 10).min(LARGEST_SLACK)),
    }
}

/// The end by this machine's clock, as far as no clocks are changed until then.
fn paused_until(until: Timestamp, moment: LocalTime) -> HoldDetail {
    const DAY: u64 = 24 * 60;
    // The minute that begins next is the first in which it may train.
    let left = until.since(moment.now).as_secs().div_ceil(60);
    let minutes = u64::from(moment.minutes) + left;
    let days = minutes / DAY;
    let weekday = match days {
        0 => None,
        days => Some(moment.weekday.plus(usize::try_from(days % 7).unwrap_or(0))),
    };
    HoldDetail::PausedUntil { weekday, minutes: u16::try_from(minutes % DAY).unwrap_or(0) }
}
