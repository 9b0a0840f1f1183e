//! Linux: power, session, heat and memory, from the kernel's and logind's files.

use std::path::Path;

use super::files::{entries, text};
use crate::sensors::{Power, PowerSource, Pressure, Thermal};

/// Distance below a zone's first trip point at which the state is [`Thermal::Fair`], in millidegrees
/// Celsius.
const FAIR_BELOW_TRIP: i64 = 10_000;
/// Pressure thresholds: percent of the last ten seconds in which some or all processes waited for memory.
const SOME_WAITED: f32 = 20.0;
const ALL_WAITED: f32 = 10.0;

/// Reads `/sys/class/power_supply`. A machine without a battery is on mains.
pub(super) fn power(root: &Path) -> Result<Power, String> {
    let folder = root.join("sys/class/power_supply");
    if !folder.is_dir() {
        return Err(format!("{} does not exist", folder.display()));
    }
    let (mut mains, mut discharging, mut levels) = (false, false, Vec::new());
    for supply in entries(&folder) {
        match text(&supply.join("type")).as_deref() {
            Ok("Mains" | "USB") => mains |= text(&supply.join("online")).is_ok_and(|on| on == "1"),
            // Batteries of peripherals such as a mouse have the scope `Device`.
            Ok("Battery") if text(&supply.join("scope")).as_deref() != Ok("Device") => {
                discharging |= text(&supply.join("status")).is_ok_and(|is| is == "Discharging");
                let percent =
                    text(&supply.join("capacity")).ok().and_then(|text| text.parse().ok());
                levels.extend(percent.map(|percent: f32| (percent / 100.0).clamp(0.0, 1.0)));
            }
            Ok(_) | Err(_) => {}
        }
    }
    let source = if discharging && !mains { PowerSource::Battery } else { PowerSource::Mains };
    let level = levels.into_iter().reduce(f32::min);
    Ok(Power { source, level })
}

/// Whether logind's session `session` has its seat's screen and keyboard. A session without a seat, such as
/// one of ssh, counts as if it had.
pub(super) fn has_screen(root: &Path, session: Option<&str>) -> Result<bool, String> {
    let session = session.ok_or("this process is in no logind session")?;
    // The same file that sd-login reads.
    let state = text(&root.join("run/systemd/sessions").join(session))?;
    let active = state.lines().find_map(|line| line.strip_prefix("ACTIVE="));
    active.map(|active| active == "1").ok_or_else(|| "logind does not report it".to_owned())
}

/// Whether the platform profile, which power-profiles-daemon sets, is `low-power`.
pub(super) fn low_power(root: &Path) -> Result<bool, String> {
    Ok(text(&root.join("sys/firmware/acpi/platform_profile"))? == "low-power")
}

/// Returns the state of the warmest thermal zone that has trip points. At a passive trip point the system
/// slows down.
pub(super) fn thermal(root: &Path) -> Result<Thermal, String> {
    let zones = entries(&root.join("sys/class/thermal"));
    let states = zones.iter().filter_map(|zone| zone_state(zone));
    states.max().ok_or_else(|| "no thermal zone has a trip point".to_owned())
}

fn zone_state(zone: &Path) -> Option<Thermal> {
    let number = |path: &Path| text(path).ok()?.parse::<i64>().ok();
    let now = number(&zone.join("temp"))?;
    let (mut slow, mut critical) = (None, None);
    for index in 0.. {
        let Ok(kind) = text(&zone.join(format!("trip_point_{index}_type"))) else { break };
        // Unused trip points have a temperature of 0 or below.
        let at = number(&zone.join(format!("trip_point_{index}_temp"))).filter(|at| *at > 0);
        match kind.as_str() {
            "passive" | "hot" => slow = minimum(slow, at),
            "critical" => critical = minimum(critical, at),
            // Active trip points turn on a fan.
            _ => {}
        }
    }
    let slow = slow.or(critical.map(|at| at - FAIR_BELOW_TRIP))?;
    Some(match now {
        now if critical.is_some_and(|at| now >= at) => Thermal::Critical,
        now if now >= slow => Thermal::Serious,
        now if now >= slow - FAIR_BELOW_TRIP => Thermal::Fair,
        _ => Thermal::Nominal,
    })
}

fn minimum(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

/// Reads the kernel's pressure stall information.
pub(super) fn memory_pressure(root: &Path) -> Result<Pressure, String> {
    let path = root.join("proc/pressure/memory");
    let stalls = text(&path)?;
    let waited = |kind: &str| {
        let line = stalls.lines().find_map(|line| line.strip_prefix(kind))?;
        line.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?.parse::<f32>().ok()
    };
    let some = waited("some ").ok_or_else(|| format!("{}: avg10 is missing", path.display()))?;
    Ok(if waited("full ").is_some_and(|all| all >= ALL_WAITED) {
        Pressure::Critical
    } else if some >= SOME_WAITED {
        Pressure::Warning
    } else {
        Pressure::Normal
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;

    /// Writes files below a root.
    pub(in super::super) fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn a_notebook_on_battery_and_on_mains() {
        let root = tempfile::tempdir().unwrap();
        let supplies = "sys/class/power_supply";
        write(
            root.path(),
            &[
                ("sys/class/power_supply/AC/type", "Mains\n"),
                ("sys/class/power_supply/AC/online", "0\n"),
                ("sys/class/power_supply/BAT0/type", "Battery\n"),
                ("sys/class/power_supply/BAT0/status", "Discharging\n"),
                ("sys/class/power_supply/BAT0/capacity", "73\n"),
                ("sys/class/power_supply/hid-mouse/type", "Battery\n"),
                ("sys/class/power_supply/hid-mouse/scope", "Device\n"),
                ("sys/class/power_supply/hid-mouse/status", "Discharging\n"),
                ("sys/class/power_supply/hid-mouse/capacity", "5\n"),
            ],
        );
        let battery = Power { source: PowerSource::Battery, level: Some(0.73) };
        assert_eq!(power(root.path()).unwrap(), battery);
        fs::write(root.path().join(supplies).join("AC/online"), "1\n").unwrap();
        assert_eq!(power(root.path()).unwrap().source, PowerSource::Mains);
    }

    #[test]
    fn a_server_is_on_mains() {
        let root = tempfile::tempdir().unwrap();
        assert!(power(root.path()).unwrap_err().contains("power_supply"));
        fs::create_dir_all(root.path().join("sys/class/power_supply")).unwrap();
        let mains = Power { source: PowerSource::Mains, level: None };
        assert_eq!(power(root.path()).unwrap(), mains);
    }

    #[test]
    fn the_active_session_has_the_screen() {
        let root = tempfile::tempdir().unwrap();
        let sessions = "run/systemd/sessions";
        write(
            root.path(),
            &[
                ("run/systemd/sessions/3", "UID=1000\nSEAT=seat0\nACTIVE=0\n"),
                ("run/systemd/sessions/5", "UID=1001\nSEAT=seat0\nACTIVE=1\n"),
                ("run/systemd/sessions/7", "UID=1001\n"),
            ],
        );
        assert_eq!(has_screen(root.path(), Some("3")), Ok(false));
        assert_eq!(has_screen(root.path(), Some("5")), Ok(true));
        for (session, reason) in
            [(None, "no logind session"), (Some("7"), "does not report"), (Some("9"), sessions)]
        {
            let error = has_screen(root.path(), session).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn the_thermal_state_follows_the_trip_points() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &[
                ("sys/class/thermal/thermal_zone0/temp", "20000\n"),
                ("sys/class/thermal/thermal_zone1/trip_point_0_type", "active\n"),
                ("sys/class/thermal/thermal_zone1/trip_point_0_temp", "40000\n"),
                ("sys/class/thermal/thermal_zone1/trip_point_1_type", "passive\n"),
                ("sys/class/thermal/thermal_zone1/trip_point_1_temp", "90000\n"),
                ("sys/class/thermal/thermal_zone1/trip_point_2_type", "critical\n"),
                ("sys/class/thermal/thermal_zone1/trip_point_2_temp", "105000\n"),
            ],
        );
        for (now, expected) in [
            ("50000", Thermal::Nominal),
            ("80000", Thermal::Fair),
            ("90000", Thermal::Serious),
            ("106000", Thermal::Critical),
        ] {
            write(root.path(), &[("sys/class/thermal/thermal_zone1/temp", now)]);
            assert_eq!(thermal(root.path()), Ok(expected), "{now}");
        }
    }

    #[test]
    fn memory_pressure_and_the_power_profile_are_read() {
        let root = tempfile::tempdir().unwrap();
        for (some, full, expected) in [
            ("0.00", "0.00", Pressure::Normal),
            ("35.10", "4.00", Pressure::Warning),
            ("60.00", "12.50", Pressure::Critical),
        ] {
            let stalls = format!(
                "some avg10={some} avg60=0.00 avg300=0.00 total=1\nfull avg10={full} avg60=0 total=0\n"
            );
            write(root.path(), &[("proc/pressure/memory", &stalls)]);
            assert_eq!(memory_pressure(root.path()), Ok(expected));
        }
        assert!(low_power(root.path()).is_err());
        write(root.path(), &[("sys/firmware/acpi/platform_profile", "low-power\n")]);
        assert_eq!(low_power(root.path()), Ok(true));
    }
}
