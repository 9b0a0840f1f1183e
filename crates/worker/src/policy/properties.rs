//! Property tests of the idle policy, for arbitrary policies and readings.

use std::time::Duration;

use platform::sensors::{Network, Power, PowerSource, Pressure, SensorReading, Thermal};
use proptest::prelude::*;

use super::tests::{MONDAY, NOON, later};
use super::*;

fn readings() -> impl Strategy<Value = SensorReading> {
    let thermal = [Thermal::Nominal, Thermal::Fair, Thermal::Serious, Thermal::Critical];
    let pressure = [Pressure::Normal, Pressure::Warning, Pressure::Critical];
    let power = (any::<bool>(), proptest::option::of(0.0_f32..=1.0)).prop_map(|(mains, level)| {
        Power { source: if mains { PowerSource::Mains } else { PowerSource::Battery }, level }
    });
    let network = (any::<bool>(), any::<bool>())
        .prop_map(|(expensive, constrained)| Network { expensive, constrained });
    let flags = proptest::array::uniform7(any::<Option<bool>>());
    let optional = proptest::option::of::<std::ops::Range<u64>>;
    (
        optional(0..2_000_000),
        optional(0..1).prop_flat_map(|some| {
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
    let overrides = [
        UserOverride::None,
        UserOverride::Paused,
        UserOverride::PausedUntil(later()),
        UserOverride::PausedUntil(NOON),
        UserOverride::ContributeUntil(later()),
        UserOverride::ContributeUntil(NOON),
    ];
    let schedules = ["", "Mon-Fri 19:00-07:00", "Mon 08:00-13:00"];
    let flags = proptest::array::uniform5(any::<bool>());
    (0..overrides.len(), 0..schedules.len(), any::<bool>(), 1_u64..1_000, flags).prop_map(
        move |(user_override, schedule, always, idle, flags)| {
            let [battery, calls, video, full_screen, metered] = flags;
            IdlePolicy {
                when: if always { When::Always } else { When::Idle },
                idle: Duration::from_secs(idle),
                user_override: overrides[user_override],
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
    fn nobody_trains_while_paused(policy in policies(), was in presence(), reading in readings()) {
        let paused = matches!(policy.user_override, UserOverride::Paused)
            || matches!(policy.user_override, UserOverride::PausedUntil(until) if NOON < until);
        let decision = decide(&policy, was, &reading, MONDAY);
        prop_assert!(!paused || decision != Decision::Run);
    }

    #[test]
    fn a_touch_always_holds(policy in policies(), was in presence(), reading in readings()) {
        let touched = SensorReading { input: Some(Duration::from_millis(50)), ..reading };
        let contributing = matches!(policy.user_override, UserOverride::ContributeUntil(until) if NOON < until);
        let decision = decide(&policy, was, &touched, MONDAY);
        prop_assert!(policy.when == When::Always || contributing || decision != Decision::Run);
    }

    #[test]
    fn a_longer_idle_time_never_holds(
        policy in policies(),
        was in presence(),
        reading in readings(),
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
    fn continuing_needs_no_more_than_starting(policy in policies(), reading in readings()) {
        let starts = decide(&policy, Presence::Held, &reading, MONDAY) == Decision::Run;
        let continues = decide(&policy, Presence::Running, &reading, MONDAY) == Decision::Run;
        prop_assert!(!starts || continues);
    }

    #[test]
    fn unknown_readings_hold_nothing(
        policy in policies(),
        was in presence(),
        input in any::<Option<u16>>(),
        reading in readings(),
    ) {
        let input = input.map(|seconds| Duration::from_secs(seconds.into()));
        let known = decide(&policy, was, &SensorReading { input, ..reading }, MONDAY);
        let unknown = decide(&policy, was, &SensorReading { input, ..SensorReading::default() }, MONDAY);
        prop_assert!(known != Decision::Run || unknown == Decision::Run);
    }
}
