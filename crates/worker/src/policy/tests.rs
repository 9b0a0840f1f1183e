//! The policy's table, and what holds for every policy and reading.

use std::time::Duration;

use platform::sensors::{Network, Power, PowerSource, Pressure, SensorReading, Thermal};
use proptest::prelude::*;
use protocol::Timestamp;
use protocol::device::HoldReason;

use super::*;

const NOON: Timestamp = Timestamp::from_millis(1_000_000);
/// Monday, 12:00.
const MONDAY: LocalTime = LocalTime { now: NOON, weekday: Weekday::Monday, minutes: 720 };

fn idle_for(seconds: f64) -> SensorReading {
    SensorReading { input: Some(Duration::from_secs_f64(seconds)), ..SensorReading::default() }
}

fn away() -> SensorReading {
    idle_for(3600.0)
}

fn later() -> Timestamp {
    NOON.after(Duration::from_secs(1))
}

#[test]
fn input_and_wishes() {
    use Presence::{Held as WasHeld, Running as WasRunning};
    use When::{Always, Idle};
    let (pause, contribute) =
        (UserOverride::PausedUntil(later()), UserOverride::ContributeUntil(later()));
    let until = HoldDetail::PausedUntil { weekday: None, minutes: 721 };
    let no_input = SensorReading::default();
    let table = [
        // when, wish, was, reading -> what holds it
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
    for (when, wish, was, reading, hold) in table {
        let policy = IdlePolicy { when, wish, ..IdlePolicy::default() };
        let expected = hold.map_or(Decision::Run, Decision::HoldDetail);
        let decision = decide(&policy, was, &reading, MONDAY);
        assert_eq!(decision, expected, "{when:?} {wish:?} {was:?} {reading:?}");
    }
}

fn battery(level: f32) -> Power {
    Power { source: PowerSource::Battery, level: Some(level) }
}

/// A name, the reading, what holds a machine that waits and one that trains, and the policy that
/// lets it train all the same.
type Row =
    (&'static str, SensorReading, Option<HoldDetail>, Option<HoldDetail>, fn(&mut IdlePolicy));

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_other_reading() {
    let mains = Some(Power { source: PowerSource::Mains, level: Some(0.01) });
    let network = |expensive, constrained| Some(Network { expensive, constrained });
    let same = |hold: HoldDetail| (Some(hold.clone()), Some(hold));
    let row = |name, reading, (waiting, training), but| -> Row {
        (name, reading, waiting, training, but)
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
    for (name, reading, waiting, training, but) in table {
        let mut policy = IdlePolicy::default();
        for (was, hold) in [(Presence::Held, waiting), (Presence::Running, training)] {
            let expected = hold.map_or(Decision::Run, Decision::HoldDetail);
            assert_eq!(decide(&policy, was, &reading, MONDAY), expected, "{name}, {was:?}");
        }
        but(&mut policy);
        let decision = decide(&policy, Presence::Held, &reading, MONDAY);
        assert_eq!(decision, Decision::Run, "{name}, allowed");
    }
}

#[test]
fn a_battery_that_counts_is_charged_enough() {
    let policy = IdlePolicy { allow_battery: true, ..IdlePolicy::default() };
    let low = Decision::HoldDetail(HoldDetail::BatteryLow);
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
fn hours_count_for_servers_too_and_not_against_a_wish() {
    for when in [When::Idle, When::Always] {
        let schedule = "Mon-Fri 19:00-07:00".parse().unwrap();
        let mut policy = IdlePolicy { when, schedule, ..IdlePolicy::default() };
        let decision = decide(&policy, Presence::Running, &away(), MONDAY);
        let Decision::HoldDetail(hold) = decision else { panic!("{decision:?}") };
        assert_eq!(hold.reason(), HoldReason::Scheduled);
        let words = hold.words(Kind::Mac);
        assert_eq!(words, "Waiting: outside its hours (Mon–Fri 19:00–07:00)");
        let evening = LocalTime { minutes: 19 * 60, ..MONDAY };
        assert_eq!(decide(&policy, Presence::Held, &away(), evening), Decision::Run);
        policy.wish = UserOverride::ContributeUntil(later());
        assert_eq!(decide(&policy, Presence::Held, &away(), MONDAY), Decision::Run);
    }
}

#[test]
fn a_short_threshold_has_a_short_slack() {
    let policy = IdlePolicy { idle: Duration::from_secs(1), ..IdlePolicy::default() };
    let decision = decide(&policy, Presence::Running, &idle_for(0.05), MONDAY);
    assert_eq!(decision, Decision::HoldDetail(HoldDetail::InUse));
}

#[test]
fn a_lease_is_kept_for_a_minute_or_half_of_what_is_left() {
    assert_eq!(keep_for(Duration::from_mins(10)), Duration::from_mins(1));
    assert_eq!(keep_for(Duration::from_secs(30)), Duration::from_secs(15));
    assert_eq!(keep_for(Duration::ZERO), Duration::ZERO);
}

#[test]
fn the_words_say_what_it_waits_for() {
    let paused = |minutes| {
        let until = NOON.after(Duration::from_mins(minutes));
        let policy = IdlePolicy { wish: UserOverride::PausedUntil(until), ..IdlePolicy::default() };
        match decide(&policy, Presence::Running, &away(), MONDAY) {
            Decision::HoldDetail(hold) => hold.words(Kind::Mac),
            Decision::Run => "runs".into(),
        }
    };
    assert_eq!(paused(120), "Paused until 14:00");
    assert_eq!(paused(12 * 60), "Paused until Tue 00:00");
    assert_eq!(paused(7 * 24 * 60), "Paused until Mon 12:00");
    assert_eq!(HoldDetail::InUse.words(Kind::of("mac")), "Waiting: you're using the Mac");
    assert_eq!(HoldDetail::InUse.words(Kind::of("linux")), "Waiting: the machine is in use");
    assert!(HoldDetail::Unknown.words(Kind::Machine).contains("--when always"));
}

fn sensed() -> impl Strategy<Value = SensorReading> {
    let thermal = [Thermal::Nominal, Thermal::Fair, Thermal::Serious, Thermal::Critical];
    let pressure = [Pressure::Normal, Pressure::Warning, Pressure::Critical];
    let power = (any::<bool>(), proptest::option::of(0.0_f32..=1.0)).prop_map(|(mains, level)| {
        Power { source: if mains { PowerSource::Mains } else { PowerSource::Battery }, level }
    });
    let network = (any::<bool>(), any::<bool>())
        .prop_map(|(expensive, constrained)| Network { expensive, constrained });
    let flags = proptest::array::uniform7(any::<Option<bool>>());
    let of = proptest::option::of::<std::ops::Range<u64>>;
    (
        of(0..2_000_000),
        of(0..1).prop_flat_map(|some| {
            (Just(some), (0..4_usize, 0..3_usize)).prop_map(|(some, at)| some.map(|_| at))
        }),
        proptest::option::of(power),
        proptest::option::of(network),
        proptest::option::of(0.0_f32..=1.0),
        flags,
    )
        .prop_map(move |(input, scales, power, network, other_load, flags)| {
            let [
                has_screen,
                locked,
                display_on,
                low_power,
                camera_or_microphone,
                keeps_display_awake,
                full_screen,
            ] = flags;
            SensorReading {
                input: input.map(Duration::from_millis),
                has_screen,
                locked,
                display_on,
                power,
                low_power,
                thermal: scales.map(|(at, _)| thermal[at]),
                other_load,
                memory_pressure: scales.map(|(_, at)| pressure[at]),
                network,
                camera_or_microphone,
                keeps_display_awake,
                full_screen,
            }
        })
}

fn policies() -> impl Strategy<Value = IdlePolicy> {
    let wishes = [
        UserOverride::None,
        UserOverride::Paused,
        UserOverride::PausedUntil(later()),
        UserOverride::PausedUntil(NOON),
        UserOverride::ContributeUntil(later()),
        UserOverride::ContributeUntil(NOON),
    ];
    let schedules = ["", "Mon-Fri 19:00-07:00", "Mon 08:00-13:00"];
    let flags = proptest::array::uniform5(any::<bool>());
    (0..wishes.len(), 0..schedules.len(), any::<bool>(), 1_u64..1_000, flags).prop_map(
        move |(wish, schedule, always, idle, flags)| {
            let [battery, calls, video, full_screen, metered] = flags;
            IdlePolicy {
                when: if always { When::Always } else { When::Idle },
                idle: Duration::from_secs(idle),
                wish: wishes[wish],
                schedule: schedules[schedule].parse().unwrap(),
                allow_battery: battery,
                pause_during_calls: calls,
                pause_during_video: video,
                pause_in_full_screen: full_screen,
                allow_metered: metered,
                ..IdlePolicy::default()
            }
        },
    )
}

fn presence() -> impl Strategy<Value = Presence> {
    any::<bool>().prop_map(|running| if running { Presence::Running } else { Presence::Held })
}

proptest! {
    #[test]
    fn nobody_trains_while_paused(policy in policies(), was in presence(), reading in sensed()) {
        let paused = matches!(policy.wish, UserOverride::Paused)
            || matches!(policy.wish, UserOverride::PausedUntil(until) if NOON < until);
        let decision = decide(&policy, was, &reading, MONDAY);
        prop_assert!(!paused || decision != Decision::Run);
    }

    #[test]
    fn a_touch_always_holds(policy in policies(), was in presence(), reading in sensed()) {
        let touched = SensorReading { input: Some(Duration::from_millis(50)), ..reading };
        let wanted = matches!(policy.wish, UserOverride::ContributeUntil(until) if NOON < until);
        let decision = decide(&policy, was, &touched, MONDAY);
        prop_assert!(policy.when == When::Always || wanted || decision != Decision::Run);
    }

    #[test]
    fn longer_idle_never_stops(
        policy in policies(),
        was in presence(),
        reading in sensed(),
        longer in 0_u64..1_000_000,
    ) {
        if let Some(input) = reading.input
            && decide(&policy, was, &reading, MONDAY) == Decision::Run
        {
            let longer = Some(input + Duration::from_millis(longer));
            let reading = SensorReading { input: longer, ..reading };
            prop_assert_eq!(decide(&policy, was, &reading, MONDAY), Decision::Run);
        }
    }

    #[test]
    fn to_train_is_easier_than_to_begin(policy in policies(), reading in sensed()) {
        let begins = decide(&policy, Presence::Held, &reading, MONDAY) == Decision::Run;
        let goes_on = decide(&policy, Presence::Running, &reading, MONDAY) == Decision::Run;
        prop_assert!(!begins || goes_on);
    }

    #[test]
    fn what_is_unknown_stops_nothing(
        policy in policies(),
        was in presence(),
        input in any::<Option<u16>>(),
        reading in sensed(),
    ) {
        let input = input.map(|seconds| Duration::from_secs(seconds.into()));
        let known = decide(&policy, was, &SensorReading { input, ..reading }, MONDAY);
        let unknown = decide(&policy, was, &SensorReading { input, ..SensorReading::default() }, MONDAY);
        prop_assert!(known != Decision::Run || unknown == Decision::Run);
    }
}
