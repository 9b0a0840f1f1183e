//! Linux sensors: files below `/proc` and `/sys`, and the X11 display if there is one.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::idle_helper::IdleHelperCommand;
use super::{Known, Power, SensorReading, Sensors, Unknown};

mod capture;
mod display;
mod files;
mod load;
mod machine;

use display::Display;
use load::Load;

/// Sensors of the operating system.
#[derive(Debug)]
pub struct SystemSensors {
    root: PathBuf,
    display: Display,
    /// logind's id of this process's session.
    session: Option<String>,
    load: Mutex<Load>,
    unknowns: Mutex<Vec<Unknown>>,
}

impl SystemSensors {
    pub fn new() -> Self {
        let session = std::env::var("XDG_SESSION_ID").ok();
        Self { session, ..Self::below(Path::new("/"), Display::from_session()) }
    }

    /// The same as [`Self::new`]: this system needs no helper.
    pub fn with_idle_helper(_command: IdleHelperCommand) -> Self {
        Self::new()
    }

    /// Returns the power source and charge now, `None` if unknown.
    pub fn power(&self) -> Option<Power> {
        machine::power(&self.root).ok()
    }

    fn below(root: &Path, display: Display) -> Self {
        let (load, unknowns) = (Mutex::default(), Mutex::default());
        Self { root: root.to_owned(), display, session: None, load, unknowns }
    }
}

impl Default for SystemSensors {
    fn default() -> Self {
        Self::new()
    }
}

impl Sensors for SystemSensors {
    fn input(&self) -> Option<Duration> {
        self.display.input().ok()
    }

    fn sense(&self) -> SensorReading {
        let mut unknowns = Vec::new();
        let mut known = Known(&mut unknowns);
        let root = &self.root;
        let load = {
            let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
            load.since_last(root, std::process::id())
        };
        let reading = SensorReading {
            input: known.or("input", self.display.input()),
            has_screen: known.or("has_screen", machine::has_screen(root, self.session.as_deref())),
            locked: known.or("locked", Err("reading it from logind needs D-Bus".into())),
            display_on: known.or("display_on", self.display.is_on()),
            power: known.or("power", machine::power(root)),
            low_power: known.or("low_power", machine::low_power(root)),
            thermal: known.or("thermal", machine::thermal(root)),
            other_load: known.or("other_load", load),
            memory_pressure: known.or("memory_pressure", machine::memory_pressure(root)),
            network: known.or("network", Err("reading it from NetworkManager needs D-Bus".into())),
            camera_or_microphone: known
                .or("camera_or_microphone", capture::camera_or_microphone(root)),
            keeps_display_awake: known
                .or("keeps_display_awake", Err("reading inhibitors needs D-Bus".into())),
            full_screen: known.or("full_screen", self.display.is_full_screen()),
        };
        *self.unknowns.lock().unwrap_or_else(PoisonError::into_inner) = unknowns;
        reading
    }

    fn unknowns(&self) -> Vec<Unknown> {
        self.unknowns.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_sensors_has_only_unknowns() {
        let root = tempfile::tempdir().unwrap();
        let sensors = SystemSensors::below(root.path(), Display::named("no such display"));
        assert_eq!(sensors.input(), None);
        assert_eq!(sensors.sense(), SensorReading::default());
        let unknowns = sensors.unknowns();
        assert_eq!(unknowns.len(), 13, "{unknowns:?}");
        assert!(unknowns.iter().all(|unknown| !unknown.reason.is_empty()));
    }

    #[test]
    fn this_machine_s_sensors_can_be_read_twice() {
        let sensors = SystemSensors::new();
        sensors.sense();
        let reading = sensors.sense();
        let names: Vec<_> = sensors.unknowns().iter().map(|unknown| unknown.name).collect();
        assert_eq!(reading.other_load.is_none(), names.contains(&"other_load"));
    }
}
