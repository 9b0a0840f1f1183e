//! Sensors: input, screen, power, heat, load, memory, network, calls.
//!
//! Every value is optional. A value that can't be read has a reason for people. Reading never fails,
//! panics or blocks for long: a server without a display and a display that does not respond are just
//! reasons.

use std::time::Duration;

pub mod idle_helper;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;

pub use system::SystemSensors;

/// Source of sensor readings.
pub trait Sensors: Send + Sync {
    /// Returns the time since the last input, `None` if unknown. Cheap: called many times a second while
    /// training.
    fn input(&self) -> Option<Duration>;

    /// Reads all sensors. May take tens of milliseconds. Rates such as load are measured since the last
    /// call.
    fn sense(&self) -> SensorReading;

    /// Returns the values that the last [`Self::sense`] could not read, with reasons.
    fn unknowns(&self) -> Vec<Unknown>;

    /// Sets how often [`Self::input`] is called, for sensors that are read in the background.
    fn set_poll_rate(&self, _rate: PollRate) {}

    /// Returns why the input may be incomplete although it is known, for a person.
    fn input_warning(&self) -> Option<String> {
        None
    }
}

/// How often the input is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PollRate {
    /// While training.
    Fast,
    #[default]
    Slow,
}

impl PollRate {
    /// Returns the time between two readings.
    pub const fn interval(self) -> Duration {
        match self {
            Self::Fast => Duration::from_millis(50),
            Self::Slow => Duration::from_secs(1),
        }
    }
}

/// Reading of all sensors. `None` means unknown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SensorReading {
    /// Time since the last input.
    pub input: Option<Duration>,
    /// Whether this process's account has the screen. With fast user switching another one may have it.
    pub has_screen: Option<bool>,
    /// Whether the session's screen is locked.
    pub locked: Option<bool>,
    pub display_on: Option<bool>,
    pub power: Option<Power>,
    /// Whether a power-saving mode is on.
    pub low_power: Option<bool>,
    pub thermal: Option<Thermal>,
    /// Load of other processes, as a share of all cores, 0 to 1. This process and its descendants don't
    /// count.
    pub other_load: Option<f32>,
    pub memory_pressure: Option<Pressure>,
    pub network: Option<Network>,
    /// Whether any process uses a camera or a microphone.
    pub camera_or_microphone: Option<bool>,
    /// Whether another process keeps the display awake, as for a call, a video or a presentation.
    pub keeps_display_awake: Option<bool>,
    /// Whether a window fills a screen.
    pub full_screen: Option<bool>,
}

/// Power source and battery charge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Power {
    pub source: PowerSource,
    /// Battery charge, 0 to 1; `None` without a battery.
    pub level: Option<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerSource {
    Mains,
    Battery,
}

/// Thermal state, with the levels of Apple's `NSProcessInfo.ThermalState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thermal {
    Nominal,
    /// Slightly warm; fans may be audible.
    Fair,
    /// The system slows down to cool off.
    Serious,
    Critical,
}

impl Thermal {
    /// Returns the state of this name, such as `fair`.
    pub const fn named(text: &str) -> Option<Self> {
        match text.as_bytes() {
            b"nominal" => Some(Self::Nominal),
            b"fair" => Some(Self::Fair),
            b"serious" => Some(Self::Serious),
            b"critical" => Some(Self::Critical),
            _ => None,
        }
    }
}

/// Memory pressure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    Normal,
    Warning,
    Critical,
}

/// Cost of the current network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// A hotspot or a mobile network.
    pub expensive: bool,
    /// Low Data Mode is on.
    pub constrained: bool,
}

/// A value that can't be read, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Name of a field of [`SensorReading`].
    pub name: &'static str,
    /// Message for a person.
    pub reason: String,
}

/// Collects the values that can't be read while a reading is made.
struct Known<'a>(&'a mut Vec<Unknown>);

impl Known<'_> {
    /// Returns the value, or records why it is unknown.
    fn or<T>(&mut self, name: &'static str, reading: Result<T, String>) -> Option<T> {
        reading.map_err(|reason| self.0.push(Unknown { name, reason })).ok()
    }
}
