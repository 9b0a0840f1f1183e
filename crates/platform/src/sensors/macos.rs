//! macOS: Core Graphics, IOKit and Foundation. Type-checked; no Mac has run it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use objc2_core_foundation::{
    CFArray, CFBoolean, CFDictionary, CFNumber, CFRetained, CFString, CFType,
};
use objc2_core_graphics::{
    CGDisplayIsAsleep, CGEventSource, CGEventSourceStateID, CGEventType, CGMainDisplayID,
    CGSessionCopyCurrentDictionary,
};
use objc2_foundation::{NSProcessInfo, NSProcessInfoThermalState};

use super::{Power, PowerSource, Sensed, Sensors, Thermal, Unknown};

/// What the operating system says.
#[derive(Debug, Default)]
pub struct SystemSensors {
    unknowns: Mutex<Vec<Unknown>>,
}

impl SystemSensors {
    pub fn new() -> Self {
        Self::default()
    }
}

impl Sensors for SystemSensors {
    fn input(&self) -> Option<Duration> {
        since_input().ok()
    }

    fn sense(&self) -> Sensed {
        let mut unknowns = Vec::new();
        let mut unknown = |name, reason: &str| {
            unknowns.push(Unknown { name, reason: reason.to_owned() });
        };
        let not_yet = "this version doesn't ask macOS for it";
        for name in [
            "other_load",
            "memory_pressure",
            "network",
            "camera_or_microphone",
            "keeps_display_awake",
            "full_screen",
        ] {
            unknown(name, not_yet);
        }
        let input = since_input().map_err(|reason| unknown("input", &reason)).ok();
        let locked = is_locked();
        if locked.is_none() {
            unknown("locked", "this process is in no session with a screen");
        }
        let power = power();
        if power.is_none() {
            unknown("power", "IOKit names no source of power");
        }
        let process = NSProcessInfo::processInfo();
        let sensed = Sensed {
            input,
            locked,
            display_on: Some(!CGDisplayIsAsleep(CGMainDisplayID())),
            power,
            low_power: Some(process.isLowPowerModeEnabled()),
            thermal: Some(match process.thermalState() {
                NSProcessInfoThermalState::Nominal => Thermal::Nominal,
                NSProcessInfoThermalState::Fair => Thermal::Fair,
                NSProcessInfoThermalState::Serious => Thermal::Serious,
                // A state that doesn't exist yet is no cooler than those that do.
                _ => Thermal::Critical,
            }),
            ..Sensed::default()
        };
        *self.unknowns.lock().unwrap_or_else(PoisonError::into_inner) = unknowns;
        sensed
    }

    fn unknowns(&self) -> Vec<Unknown> {
        self.unknowns.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Hardware input of every kind: a program's own events don't count.
fn since_input() -> Result<Duration, String> {
    // CGEventTypes.h: kCGAnyInputEventType is ~0.
    let any_input = CGEventType(u32::MAX);
    let seconds = CGEventSource::seconds_since_last_event_type(
        CGEventSourceStateID::HIDSystemState,
        any_input,
    );
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("the system says that the last input was {seconds} s ago"))
}

fn is_locked() -> Option<bool> {
    let session = CGSessionCopyCurrentDictionary()?;
    // The key is there only while it is true.
    Some(flag(&session, "CGSSessionScreenIsLocked").unwrap_or(false))
}

#[expect(unsafe_code, reason = "IOKit's calls take references of any type")]
fn power() -> Option<Power> {
    use objc2_io_kit::{
        IOPSCopyPowerSourcesInfo, IOPSCopyPowerSourcesList, IOPSGetPowerSourceDescription,
        IOPSGetProvidingPowerSourceType,
    };
    let snapshot = IOPSCopyPowerSourcesInfo()?;
    // SAFETY: the snapshot is what IOPSCopyPowerSourcesInfo gave.
    let providing = unsafe { IOPSGetProvidingPowerSourceType(Some(&snapshot)) }?;
    // IOPSKeys.h: kIOPMACPowerKey; the others are a battery and an uninterruptible supply.
    let source =
        if providing.to_string() == "AC Power" { PowerSource::Mains } else { PowerSource::Battery };
    // SAFETY: as above.
    let list = unsafe { IOPSCopyPowerSourcesList(Some(&snapshot)) }?;
    // SAFETY: the list holds objects, whatever their type.
    let list: CFRetained<CFArray<CFType>> = unsafe { CFRetained::cast_unchecked(list) };
    let levels = list.iter().filter_map(|entry| {
        // SAFETY: the entry is of this snapshot's list.
        let about = unsafe { IOPSGetPowerSourceDescription(Some(&snapshot), Some(&entry)) }?;
        let (now, most) = (number(&about, "Current Capacity")?, number(&about, "Max Capacity")?);
        (most > 0.0).then(|| (now / most).clamp(0.0, 1.0))
    });
    Some(Power { source, level: levels.reduce(f32::min) })
}

fn flag(dictionary: &CFDictionary, key: &str) -> Option<bool> {
    Some(value(dictionary, key)?.downcast_ref::<CFBoolean>()?.as_bool())
}

fn number(dictionary: &CFDictionary, key: &str) -> Option<f32> {
    value(dictionary, key)?.downcast_ref::<CFNumber>()?.as_f32()
}

#[expect(unsafe_code, reason = "the bindings leave the types of a dictionary open")]
fn value(dictionary: &CFDictionary, key: &str) -> Option<CFRetained<CFType>> {
    // SAFETY: the system's dictionaries have strings as keys and objects as values.
    let dictionary = unsafe { dictionary.cast_unchecked::<CFString, CFType>() };
    dictionary.get(&CFString::from_str(key))
}
