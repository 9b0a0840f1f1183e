//! Decides which of two readings of the idle time counts. Pure.

use std::time::Duration;

/// Time for which the helper must have read exactly 0, and Core Graphics must have counted, before the
/// helper's reading is ignored.
const STUCK_AFTER: Duration = Duration::from_mins(1);

/// Reading of the helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HelperReading {
    /// Time since the last input.
    pub idle: Duration,
    /// Time for which every reading has been exactly 0. `None` if the last one was not.
    pub zero_for: Option<Duration>,
}

/// Part of the helper in a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelperUse {
    /// There is no reading.
    Absent,
    Counts,
    /// The reading stays at 0, which is a fault of the helper.
    StuckAtZero,
}

/// Returns the time for which the owner counts as idle: the smaller of the two readings, because each
/// misses input that the other detects. BOINC does the same. The helper can only shorten the time of Core
/// Graphics, so a fault of the helper never starts training while the machine is in use.
pub fn idle_time(core_graphics: Duration, helper: Option<HelperReading>) -> (Duration, HelperUse) {
    let Some(helper) = helper else { return (core_graphics, HelperUse::Absent) };
    let stays_zero = helper.zero_for.is_some_and(|zero_for| zero_for >= STUCK_AFTER);
    if stays_zero && core_graphics > STUCK_AFTER {
        (core_graphics, HelperUse::StuckAtZero)
    } else {
        (core_graphics.min(helper.idle), HelperUse::Counts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn durations() -> impl Strategy<Value = Duration> {
        // Around the limit, where the decision changes, and anywhere.
        prop_oneof![
            (0_u64..180_000).prop_map(Duration::from_millis),
            any::<u64>().prop_map(Duration::from_nanos),
            Just(Duration::ZERO),
            Just(STUCK_AFTER),
        ]
    }

    fn readings() -> impl Strategy<Value = HelperReading> {
        (durations(), prop::option::of(durations()))
            .prop_map(|(idle, zero_for)| HelperReading { idle, zero_for })
    }

    proptest! {
        #[test]
        fn the_helper_can_only_shorten(
            core_graphics in durations(), helper in prop::option::of(readings()),
        ) {
            prop_assert!(idle_time(core_graphics, helper).0 <= core_graphics);
        }

        #[test]
        fn without_the_helper_core_graphics_decides(core_graphics in durations()) {
            prop_assert_eq!(idle_time(core_graphics, None), (core_graphics, HelperUse::Absent));
        }

        #[test]
        fn a_reading_counts_unless_it_stays_at_zero(
            core_graphics in durations(), helper in readings(),
        ) {
            let (idle, helper_use) = idle_time(core_graphics, Some(helper));
            let stays = helper.zero_for.is_some_and(|time| time >= STUCK_AFTER);
            if stays && core_graphics > STUCK_AFTER {
                prop_assert_eq!((idle, helper_use), (core_graphics, HelperUse::StuckAtZero));
            } else {
                prop_assert_eq!(
                    (idle, helper_use), (core_graphics.min(helper.idle), HelperUse::Counts)
                );
            }
        }

        #[test]
        fn longer_readings_never_shorten_the_result(
            core_graphics in durations(), more in durations(), helper in readings(),
        ) {
            let later = core_graphics.saturating_add(more);
            let idle = |core_graphics| idle_time(core_graphics, Some(helper)).0;
            prop_assert!(idle(core_graphics) <= idle(later));
        }
    }
}
