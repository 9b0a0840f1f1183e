//! Tests of the idle policy: tables of decisions.

use std::time::Duration;

use platform::sensors::{Network, Power, PowerSource, Pressure, SensorReading, Thermal};
use protocol::Timestamp;
use protocol::device::HoldReason;

use super::*;

pub(super) const NOON: Timestamp = Timestamp::from_millis(1_000_000);
/// Monday, 12:00.
pub(super) const MONDAY: LocalTime =
    LocalTime { now: NOON, weekday: Weekday::Monday, minutes: 720 };

fn idle_for(seconds: f64) -> SensorReading {
    SensorReading { input: Some(Duration::from_secs_f64(seconds)), ..SensorReading::default() }
}

fn away() -> SensorReading {
    idle_for(3600.0)
}

pub(super) fn later() -> Timestamp {
    NOON.after(Duration::from_secs(1))
}

#[test]
fn input_and_overrides() {
    use Presence::{Held as WasHeld, Running as WasRunning};
    use When::{Always, Idle};
    let (pause, contribute) =
        (UserOverride::PausedUntil(later()), UserOverride::ContributeUntil(later()));
    let until = HoldDetail::PausedUntil { weekday: None, minutes: 721 };
    let no_input = SensorReading::default();
    let table = [
        // when, override, was, reading -> hold
        (Always, UserOverride::None, WasHeld, no_input, None),
        (Always, UserOverride::None, WasRunning, idle_for(0.0), None),
        (Always, pause, WasRunning, away(), Some(until.clone())),
        (Always, UserOverride::Paused, WasRunning, away(), Some(HoldDetail::Paused)),
        (Always, UserOverride::PausedUntil(NOON), WasHeld, no_input, None),
        (Idle, UserOverride::None, WasHeld, no_input, Some(HoldDetail::Unknown)),
        (Idle, UserOverride::None, WasRunning, no_input, Some(HoldDetail::Unknown)),
        (Idle, pause, WasRunning, no_input, Some(until)),
        (Idle, UserOverride::Paused, WasHeld, away(), Some(HoldDetail::Paused)),
        (Idle, UserOverride::PausedUntil(NOON), WasHeld, away(), None),
        (Idle, UserOverride::None, WasHeld, idle_for(0.0), Some(HoldDetail::InUse)),
        (Idle, UserOverride::None, WasHeld, idle_for(299.9), Some(HoldDetail::InUse)),
        (Idle, UserOverride::None, WasHeld, idle_for(300.0), None),
        (Idle, UserOverride::None, WasRunning, idle_for(299.9), None),
        (Idle, UserOverride::None, WasRunning, idle_for(295.0), None),
        (Idle, UserOverride::None, WasRunning, idle_for(294.9), Some(HoldDetail::InUse)),
        (Idle, UserOverride::None, WasRunning, idle_for(0.05), Some(HoldDetail::InUse)),
        (Idle, contribute, WasRunning, idle_for(0.0), None),
        (Idle, contribute, WasHeld, no_input, None),
        (
            Idle,
            UserOverride::ContributeUntil(NOON),
            WasRunning,
            idle_for(0.0),
            Some(HoldDetail::InUse),
        ),
    ];
    for (when, user_override, was, reading, hold) in table {
        let policy = IdlePolicy { when, user_override, ..IdlePolicy::default() };
        let expected = hold.map_or(Decision::Run, Decision::Hold);
        let decision = decide(&policy, was, &reading, MONDAY);
        assert_eq!(decision, expected, "{when:?} {user_override:?} {was:?} {reading:?}");
    }
}

fn battery(level: f32) -> Power {
    Power { source: PowerSource::Battery, level: Some(level) }
}

/// A name, a reading, the hold of a machine that waits and of one that trains, and a change of the policy
/// that lets it train anyway.
type Row =
    (&'static str, SensorReading, Option<HoldDetail>, Option<HoldDetail>, fn(&mut IdlePolicy));

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_other_reading() {
    let mains = Some(Power { source: PowerSource::Mains, level: Some(0.01) });
    let network = |expensive, constrained| Some(Network { expensive, constrained });
    let same = |hold: HoldDetail| (Some(hold.clone()), Some(hold));
    let row = |name, reading, (waiting, training), allow| -> Row {
        (name, reading, waiting, training, allow)
    };
    let nothing: fn(&mut IdlePolicy) = |_| {};
    let table = [
        row("nothing known", away(), (None, None), nothing),
        row("on mains", SensorReading { power: mains, ..away() }, (None, None), nothing),
        row(
            "on battery",
            SensorReading { power: Some(battery(1.0)), ..away() },
            same(HoldDetail::OnBattery),
            |policy| policy.allow_battery = true,
        ),
        row(
            "low power",
            SensorReading { low_power: Some(true), ..away() },
            same(HoldDetail::LowPower),
            |policy| policy.when = When::Always,
        ),
        row(
            "warm",
            SensorReading { thermal: Some(Thermal::Serious), ..away() },
            same(HoldDetail::TooWarm),
            |policy| policy.maximum_thermal = Thermal::Serious,
        ),
        row(
            "fair",
            SensorReading { thermal: Some(Thermal::Fair), ..away() },
            (None, None),
            nothing,
        ),
        row(
            "busy",
            SensorReading { other_load: Some(0.7), ..away() },
            same(HoldDetail::Busy),
            |policy| {
                policy.maximum_other_load = 0.7;
            },
        ),
        row(
            "rather busy",
            SensorReading { other_load: Some(0.55), ..away() },
            (Some(HoldDetail::Busy), None),
            |policy| policy.maximum_other_load = 0.6,
        ),
        row(
            "a memory warning",
            SensorReading { memory_pressure: Some(Pressure::Warning), ..away() },
            (Some(HoldDetail::LowMemory), None),
            |policy| policy.when = When::Always,
        ),
        row(
            "no memory",
            SensorReading { memory_pressure: Some(Pressure::Critical), ..away() },
            same(HoldDetail::LowMemory),
            |policy| policy.when = When::Always,
        ),
        row(
            "expensive",
            SensorReading { network: network(true, false), ..away() },
            same(HoldDetail::Metered),
            |policy| policy.allow_metered = true,
        ),
        row(
            "constrained",
            SensorReading { network: network(false, true), ..away() },
            same(HoldDetail::Metered),
            |policy| policy.allow_metered = true,
        ),
        row(
            "network",
            SensorReading { network: network(false, false), ..away() },
            (None, None),
            nothing,
        ),
        row(
            "has the screen",
            SensorReading { has_screen: Some(true), ..away() },
            (None, None),
            nothing,
        ),
        row(
            "another account",
            SensorReading { has_screen: Some(false), ..away() },
            same(HoldDetail::OtherAccount),
            |policy| policy.when = When::Always,
        ),
        row(
            "a call",
            SensorReading { camera_or_microphone: Some(true), ..away() },
            same(HoldDetail::Call),
            |policy| policy.pause_during_calls = false,
        ),
        row(
            "a call behind a locked screen",
            SensorReading { camera_or_microphone: Some(true), locked: Some(true), ..away() },
            same(HoldDetail::Call),
            |policy| policy.pause_during_calls = false,
        ),
        row(
            "a video",
            SensorReading { keeps_display_awake: Some(true), ..away() },
            same(HoldDetail::Video),
            |policy| policy.pause_during_video = false,
        ),
        row(
            "a video behind a locked screen",
            SensorReading { keeps_display_awake: Some(true), locked: Some(true), ..away() },
            (None, None),
            nothing,
        ),
        row(
            "full screen",
            SensorReading { full_screen: Some(true), display_on: Some(true), ..away() },
            same(HoldDetail::FullScreen),
            |policy| policy.pause_in_full_screen = false,
        ),
        row(
            "full screen, and the display is off",
            SensorReading { full_screen: Some(true), display_on: Some(false), ..away() },
            (None, None),
            nothing,
        ),
    ];
    for (name, reading, waiting, training, allow) in table {
        let mut policy = IdlePolicy::default();
        for (was, hold) in [(Presence::Held, waiting), (Presence::Running, training)] {
            let expected = hold.map_or(Decision::Run, Decision::Hold);
            assert_eq!(decide(&policy, was, &reading, MONDAY), expected, "{name}, {was:?}");
        }
        allow(&mut policy);
        let decision = decide(&policy, Presence::Held, &reading, MONDAY);
        assert_eq!(decision, Decision::Run, "{name}, allowed");
    }
}

#[test]
fn training_on_battery_needs_the_minimum_charge() {
    let policy = IdlePolicy { allow_battery: true, ..IdlePolicy::default() };
    let low = Decision::Hold(HoldDetail::BatteryLow);
    for (level, waiting, training) in [
        (0.49, low.clone(), low.clone()),
        (0.52, low.clone(), Decision::Run),
        (0.55, Decision::Run, Decision::Run),
    ] {
        let reading = SensorReading { power: Some(battery(level)), ..away() };
        assert_eq!(decide(&policy, Presence::Held, &reading, MONDAY), waiting, "{level}");
        assert_eq!(decide(&policy, Presence::Running, &reading, MONDAY), training, "{level}");
    }
    let unknown = Some(Power { source: PowerSource::Battery, level: None });
    let reading = SensorReading { power: unknown, ..away() };
    assert_eq!(decide(&policy, Presence::Held, &reading, MONDAY), Decision::Run);
}

#[test]
fn the_schedule_applies_to_dedicated_machines_and_not_to_an_override() {
    for when in [When::Idle, When::Always] {
        let schedule = "Mon-Fri 19:00-07:00".parse().unwrap();
        let mut policy = IdlePolicy { when, schedule, ..IdlePolicy::default() };
        let decision = decide(&policy, Presence::Running, &away(), MONDAY);
        let Decision::Hold(hold) = decision else { panic!("{decision:?}") };
        assert_eq!(hold.reason(), HoldReason::Scheduled);
        let message = hold.message(Kind::Mac);
        assert_eq!(message, "Waiting: outside its hours (Mon–Fri 19:00–07:00)");
        let evening = LocalTime { minutes: 19 * 60, ..MONDAY };
        assert_eq!(decide(&policy, Presence::Held, &away(), evening), Decision::Run);
        policy.user_override = UserOverride::ContributeUntil(later());
        assert_eq!(decide(&policy, Presence::Held, &away(), MONDAY), Decision::Run);
    }
}

#[test]
fn a_short_threshold_has_a_short_slack() {
    let policy = IdlePolicy { idle: Duration::from_secs(1), ..IdlePolicy::default() };
    let decision = decide(&policy, Presence::Running, &idle_for(0.05), MONDAY);
    assert_eq!(decision, Decision::Hold(HoldDetail::InUse));
}

#[test]
fn a_lease_is_kept_for_a_minute_or_half_of_what_is_left() {
    assert_eq!(keep_for(Duration::from_mins(10)), Duration::from_mins(1));
    assert_eq!(keep_for(Duration::from_secs(30)), Duration::from_secs(15));
    assert_eq!(keep_for(Duration::ZERO), Duration::ZERO);
}

#[test]
fn messages_name_the_reason() {
    let paused = |minutes| {
        let until = NOON.after(Duration::from_mins(minutes));
        let policy =
            IdlePolicy { user_override: UserOverride::PausedUntil(until), ..IdlePolicy::default() };
        match decide(&policy, Presence::Running, &away(), MONDAY) {
            Decision::Hold(hold) => hold.message(Kind::Mac),
            Decision::Run => "runs".into(),
        }
    };
    assert_eq!(paused(120), "Paused until 14:00");
    assert_eq!(paused(12 * 60), "Paused until Tue 00:00");
    assert_eq!(paused(7 * 24 * 60), "Paused until Mon 12:00");
    assert_eq!(
        HoldDetail::InUse.message(Kind::from_device_type("mac")),
        "Waiting: you're using the Mac"
    );
    assert_eq!(
        HoldDetail::InUse.message(Kind::from_device_type("linux")),
        "Waiting: the machine is in use"
    );
    assert!(HoldDetail::Unknown.message(Kind::Machine).contains("--when always"));
}
