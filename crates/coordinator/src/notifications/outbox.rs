//! How long deliveries are tried, how often, and how many may wait.

use std::time::Duration;

use protocol::DeliveryId;

/// The most webhooks.
pub(crate) const MOST_WEBHOOKS: usize = 20;
/// The most notices that are kept; the oldest go first.
pub(crate) const MOST_NOTICES: usize = 1000;
/// The most deliveries that wait for one webhook; the oldest are given up first.
pub(crate) const MOST_WAITING: usize = 100;
/// A delivery that is older than this is given up.
pub(crate) const GIVE_UP: Duration = Duration::from_hours(3 * 24);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// The pause before the next attempt, after `attempts` (1 or more) that failed: doubled each time,
/// up to an hour, and up to a quarter longer by the delivery's id, so that what failed together does
/// not come back together.
pub(crate) fn pause_after(attempts: u32, delivery: DeliveryId) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    // The last byte of a UUIDv7 is random.
    let spread = u32::from(delivery.as_uuid().as_bytes()[15]);
    pause + pause / 4 * spread / 255
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let even = DeliveryId::from_uuid(Uuid::from_u128(0));
        let pauses = [1, 2, 3, 11, 12, 13, 14, u32::MAX].map(|n| pause_after(n, even).as_secs());
        assert_eq!(pauses, [1, 2, 4, 1024, 2048, 3600, 3600, 3600]);
    }

    #[test]
    fn deliveries_that_failed_together_are_spread() {
        let late = DeliveryId::from_uuid(Uuid::from_u128(255));
        assert_eq!(pause_after(3, late), Duration::from_secs(5));
        assert_eq!(pause_after(99, late), Duration::from_mins(75));
    }
}
