//! What this machine knows of its owner and of itself: input, power, heat, load, calls.
//!
//! Every value is optional, and what can't be had has a reason that a person can read. Asking never
//! fails, panics or waits: a server without a display says so, and a display that doesn't answer is
//! one more reason.

use std::time::Duration;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;

pub use system::SystemSensors;

/// Something that can be asked how the machine is.
pub trait Sensors: Send + Sync {
    /// Time since the last input; none where this machine can't tell. Cheap: asked many times a
    /// second while training.
    fn input(&self) -> Option<Duration>;

    /// Everything. It may take tens of milliseconds; what has a rate, such as load, is measured
    /// since the last call.
    fn sense(&self) -> SensorReading;

    /// What can't be told here, and why; after [`Self::sense`] what that found.
    fn unknowns(&self) -> Vec<Unknown>;
}

/// What the sensors say; none where this machine can't tell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SensorReading {
    /// Since the last input.
    pub input: Option<Duration>,
    /// This process's account has the screen: with fast user switching another one may have it.
    pub has_screen: Option<bool>,
    /// The session's screen is locked.
    pub locked: Option<bool>,
    pub display_on: Option<bool>,
    pub power: Option<Power>,
    /// The owner or the system saves energy.
    pub low_power: Option<bool>,
    pub thermal: Option<Thermal>,
    /// Share of all cores, 0 to 1, that other processes use: this process and its descendants don't
    /// count.
    pub other_load: Option<f32>,
    pub memory_pressure: Option<Pressure>,
    pub network: Option<Network>,
    /// Some process uses a camera or a microphone.
    pub camera_or_microphone: Option<bool>,
    /// Another process keeps the display awake: a call, a video, a presentation.
    pub keeps_display_awake: Option<bool>,
    pub full_screen: Option<bool>,
}

/// Where the machine's power comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Power {
    pub source: PowerSource,
    /// The battery's charge, 0 to 1; none without a battery.
    pub level: Option<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerSource {
    Mains,
    Battery,
}

/// How warm the machine is, as Apple's `NSProcessInfo.ThermalState` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thermal {
    Nominal,
    /// Slightly warm; fans may be heard.
    Fair,
    /// The system slows down to cool.
    Serious,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    Normal,
    Warning,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// A hotspot or a mobile network.
    pub expensive: bool,
    /// The owner asked for little traffic.
    pub constrained: bool,
}

/// A reading that can't be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// A field of [`SensorReading`].
    pub name: &'static str,
    /// In words for a person.
    pub reason: String,
}

/// Readings of a moment: what can't be had is noted with its reason.
struct Known<'a>(&'a mut Vec<Unknown>);

impl Known<'_> {
    fn or<T>(&mut self, name: &'static str, reading: Result<T, String>) -> Option<T> {
        reading.map_err(|reason| self.0.push(Unknown { name, reason })).ok()
    }
}
