//! macOS sensors: Core Graphics, Core Audio, Core Media IO, IOKit, Network and Foundation. Type-checked
//! only; they have never run on a Mac.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use objc2_core_foundation::{CFDictionary, CFRetained};
use objc2_core_graphics::{
    CGDisplayIsAsleep, CGEventSource, CGEventSourceStateID, CGEventType, CGMainDisplayID,
    CGSessionCopyCurrentDictionary,
};
use objc2_foundation::{NSProcessInfo, NSProcessInfoThermalState};

use super::idle_helper::{IdleHelper, IdleHelperCommand};
use super::{Known, PollRate, Power, SensorReading, Sensors, Thermal, Unknown};

mod capture;
mod dictionary;
mod load;
mod network;
mod power;
mod screen;

use dictionary::flag;
use load::Load;

/// Sensors of the operating system.
#[derive(Debug)]
pub struct SystemSensors {
    idle_helper: Option<IdleHelper>,
    load: Mutex<Load>,
    unknowns: Mutex<Vec<Unknown>>,
}

impl SystemSensors {
    pub fn new() -> Self {
        network::begin();
        Self { idle_helper: None, load: Mutex::default(), unknowns: Mutex::default() }
    }

    /// Makes sensors that also use the second idle counter, which the helper reads.
    pub fn with_idle_helper(command: IdleHelperCommand) -> Self {
        Self { idle_helper: Some(IdleHelper::new(command)), ..Self::new() }
    }

    /// Returns the power source and charge now, `None` if unknown.
    pub fn power(&self) -> Option<Power> {
        power::power().ok()
    }

    /// Returns the time since the last hardware input. Unknown without Core Graphics, whatever the helper
    /// reads.
    fn since_input(&self) -> Result<Duration, String> {
        let core_graphics = since_input()?;
        Ok(match &self.idle_helper {
            Some(helper) => helper.idle_time(core_graphics),
            None => core_graphics,
        })
    }
}

impl Default for SystemSensors {
    fn default() -> Self {
        Self::new()
    }
}

impl Sensors for SystemSensors {
    fn input(&self) -> Option<Duration> {
        self.since_input().ok()
    }

    fn sense(&self) -> SensorReading {
        let mut unknowns = Vec::new();
        let mut known = Known(&mut unknowns);
        let load = {
            let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
            load.since_last(std::process::id())
        };
        let process = NSProcessInfo::processInfo();
        let reading = SensorReading {
            input: known.or("input", self.since_input()),
            has_screen: known.or("has_screen", has_screen()),
            locked: known.or("locked", is_locked()),
            display_on: Some(!CGDisplayIsAsleep(CGMainDisplayID())),
            power: known.or("power", power::power()),
            low_power: Some(process.isLowPowerModeEnabled()),
            thermal: Some(match process.thermalState() {
                NSProcessInfoThermalState::Nominal => Thermal::Nominal,
                NSProcessInfoThermalState::Fair => Thermal::Fair,
                NSProcessInfoThermalState::Serious => Thermal::Serious,
                // A state that a future macOS adds counts as the warmest.
                _ => Thermal::Critical,
            }),
            other_load: known.or("other_load", load),
            memory_pressure: known.or("memory_pressure", load::memory_pressure()),
            network: known.or("network", network::network()),
            camera_or_microphone: known.or("camera_or_microphone", capture::camera_or_microphone()),
            keeps_display_awake: known.or("keeps_display_awake", screen::keeps_display_awake()),
            full_screen: known.or("full_screen", screen::is_full()),
        };
        *self.unknowns.lock().unwrap_or_else(PoisonError::into_inner) = unknowns;
        reading
    }

    fn unknowns(&self) -> Vec<Unknown> {
        self.unknowns.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_poll_rate(&self, rate: PollRate) {
        if let Some(helper) = &self.idle_helper {
            helper.set_rate(rate);
        }
    }

    fn input_warning(&self) -> Option<String> {
        self.idle_helper.as_ref()?.warning()
    }
}

/// Returns Core Graphics' time since the last hardware input of any kind. Events that programs generate don't count.
fn since_input() -> Result<Duration, String> {
    // CGEventTypes.h: kCGAnyInputEventType is ~0.
    let any_input = CGEventType(u32::MAX);
    let seconds = CGEventSource::seconds_since_last_event_type(
        CGEventSourceStateID::HIDSystemState,
        any_input,
    );
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("the system reports an invalid idle time of {seconds} s"))
}

/// Whether the session has the screen and the keyboard (CGSession.h).
fn has_screen() -> Result<bool, String> {
    let session = session()?;
    flag(&session, "kCGSSessionOnConsoleKey")
        .ok_or_else(|| "macOS does not report whether the session has the screen".to_owned())
}

fn is_locked() -> Result<bool, String> {
    let session = session()?;
    // The key exists only while it is true.
    Ok(flag(&session, "CGSSessionScreenIsLocked").unwrap_or(false))
}

fn session() -> Result<CFRetained<CFDictionary>, String> {
    let session = CGSessionCopyCurrentDictionary();
    session.ok_or_else(|| "this process is not in a graphical session".to_owned())
}
