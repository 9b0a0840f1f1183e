//! Poll intervals of devices. Each response sets the device's next interval. It grows with the
//! number of devices, so that the coordinator receives no more requests than it can handle.

use std::time::Duration;

use protocol::device::HeartbeatAnswer;

/// Total request rate of each kind (heartbeats, progress, work requests), per second. A coordinator
/// on two cores handles several thousand; the rest is for other work.
const SIGNS_A_SECOND: f64 = 400.0;
/// Shortest heartbeat interval. It applies up to 12,000 devices.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Shortest progress interval, about as often as a person looks.
const PROGRESS: Duration = Duration::from_secs(2);
/// Reports that must fail before a lease times out, so that single lost reports don't matter.
const REPORTS_A_TIMEOUT: u32 = 4;
/// Shortest delay between two work requests that got no work.
const NEXT_QUESTION: Duration = Duration::from_secs(1);
/// Number of missed heartbeats after which a device counts as offline.
const MISSED_HEARTBEATS: u32 = 3;

/// Returns the heartbeat interval in a cluster of this size.
pub(crate) fn heartbeat(devices: usize) -> Duration {
    spread(devices).max(HEARTBEAT)
}

/// Returns the response to a heartbeat.
pub(crate) fn heartbeat_answer(devices: usize, lease_held: bool) -> HeartbeatAnswer {
    HeartbeatAnswer {
        heartbeat_seconds: heartbeat_seconds(devices),
        return_within_seconds: spread(devices).as_secs_f64(),
        lease_held,
        quarantined: None,
        awaiting_approval: false,
    }
}

/// Returns [`heartbeat`] in whole seconds.
pub(crate) fn heartbeat_seconds(devices: usize) -> u32 {
    u32::try_from(heartbeat(devices).as_secs()).unwrap_or(u32::MAX)
}

/// Returns the time without a request after which a device counts as offline.
pub(crate) fn offline_after(devices: usize) -> Duration {
    heartbeat(devices) * MISSED_HEARTBEATS
}

/// Returns the interval between two progress reports of a lease. `lease_timeout` is how long a
/// lease lasts without one.
pub(crate) fn progress(devices: usize, lease_timeout: Duration) -> Duration {
    spread(devices).max(PROGRESS).min(lease_timeout / REPORTS_A_TIMEOUT)
}

/// Returns the time over which devices reconnect after all lost their connection at once.
pub(crate) fn spread(devices: usize) -> Duration {
    Duration::from_secs_f64(devices as f64 / SIGNS_A_SECOND)
}

/// Returns the delay after which a device without work asks again. `chance` is random, from 0 to 1.
/// A quarter of the spread separates, request by request, devices that once came at the same time.
pub(crate) fn next_question(devices: usize, chance: f64) -> Duration {
    NEXT_QUESTION + (spread(devices) / 4).mul_f64(chance)
}

/// Returns the delay after which a device reconnects to a stopping coordinator, which may restart
/// at once. `chance` is random, from 0 to 1.
pub(crate) fn return_after_stop(devices: usize, chance: f64) -> Duration {
    NEXT_QUESTION + spread(devices).mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_with_the_fleet_and_the_rate_does_not() {
        let lease_timeout = Duration::from_mins(1);
        let table = [
            // devices -> seconds between heartbeats, and between progress reports
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
            assert_eq!(progress(devices, lease_timeout).as_secs(), report, "{devices}");
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
