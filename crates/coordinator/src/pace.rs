//! How often devices are to be heard: told to each with every answer, and longer the more devices
//! there are, so that a coordinator is asked no more often than it can answer.

use std::time::Duration;

use protocol::device::HeartbeatAnswer;

/// Signs of life of each kind (heartbeats, progress, questions for work) a second, in all. A
/// coordinator on two cores answers several thousand; the rest is for the work itself.
const SIGNS_A_SECOND: f64 = 400.0;
/// The shortest time between two heartbeats: up to 12,000 devices this is the interval.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// The shortest time between two reports of progress: as often as a person looks.
const PROGRESS: Duration = Duration::from_secs(2);
/// Reports that must fail to arrive before a lease's patience ends, so that lost ones don't count.
const REPORTS_A_PATIENCE: u32 = 4;
/// Between two questions for work that were answered with none.
const NEXT_QUESTION: Duration = Duration::from_secs(1);
/// A heartbeat may come so many intervals late before its device counts as offline.
const MISSED_HEARTBEATS: u32 = 3;

/// The time between two heartbeats in a cluster of so many devices.
pub(crate) fn heartbeat(devices: usize) -> Duration {
    spread(devices).max(HEARTBEAT)
}

/// What a heartbeat is answered.
pub(crate) fn heartbeat_answer(devices: usize, lease_held: bool) -> HeartbeatAnswer {
    HeartbeatAnswer {
        heartbeat_seconds: heartbeat_seconds(devices),
        return_within_seconds: spread(devices).as_secs_f64(),
        lease_held,
        quarantined: None,
        awaiting_approval: false,
    }
}

/// [`heartbeat`] in whole seconds.
pub(crate) fn heartbeat_seconds(devices: usize) -> u32 {
    u32::try_from(heartbeat(devices).as_secs()).unwrap_or(u32::MAX)
}

/// Without a word for so long a device counts as offline.
pub(crate) fn offline_after(devices: usize) -> Duration {
    heartbeat(devices) * MISSED_HEARTBEATS
}

/// The time between two reports of a lease's progress; `patience` is how long a lease lasts without
/// one.
pub(crate) fn progress(devices: usize, patience: Duration) -> Duration {
    spread(devices).max(PROGRESS).min(patience / REPORTS_A_PATIENCE)
}

/// The time over which so many devices that lost their connection at once come back.
pub(crate) fn spread(devices: usize) -> Duration {
    Duration::from_secs_f64(devices as f64 / SIGNS_A_SECOND)
}

/// When a device asks again that got no work; `chance` is drawn from 0 to 1. A quarter of the
/// spread pulls apart, question by question, devices that once came at the same time.
pub(crate) fn next_question(devices: usize, chance: f64) -> Duration {
    NEXT_QUESTION + (spread(devices) / 4).mul_f64(chance)
}

/// When a device comes back to a coordinator that stops now, perhaps to start again at once;
/// `chance` is drawn from 0 to 1.
pub(crate) fn return_after_stop(devices: usize, chance: f64) -> Duration {
    NEXT_QUESTION + spread(devices).mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_with_the_fleet_and_the_rate_does_not() {
        let patience = Duration::from_mins(1);
        let table = [
            // devices -> seconds between heartbeats, and between reports of progress
            (0, 30, 2),
            (3, 30, 2),
            (1_000, 30, 2),
            (2_000, 30, 5),
            (10_000, 30, 15),
            (12_000, 30, 15),
            (40_000, 100, 15),
        ];
        for (devices, beat, report) in table {
            assert_eq!(heartbeat(devices), Duration::from_secs(beat), "{devices}");
            assert_eq!(progress(devices, patience).as_secs(), report, "{devices}");
            assert_eq!(offline_after(devices), heartbeat(devices) * 3);
            assert!(devices as f64 / heartbeat(devices).as_secs_f64() <= SIGNS_A_SECOND);
        }
        assert_eq!(progress(3, Duration::from_secs(4)), Duration::from_secs(1));
    }

    #[test]
    fn a_small_cluster_waits_for_nobody_and_a_large_one_comes_back_bit_by_bit() {
        assert!(next_question(3, 1.0) < Duration::from_millis(1010));
        assert_eq!(next_question(10_000, 0.0), Duration::from_secs(1));
        assert_eq!(next_question(10_000, 1.0), Duration::from_millis(7250));
        assert_eq!(return_after_stop(10_000, 0.5), Duration::from_millis(13_500));
        assert_eq!(spread(10_000), Duration::from_secs(25));
    }
}
