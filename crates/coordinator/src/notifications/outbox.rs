//! Limits and retry delays of deliveries.

use std::time::Duration;

use protocol::DeliveryId;

/// Maximum number of webhooks.
pub(crate) const MOST_WEBHOOKS: usize = 20;
/// Maximum number of stored notices; the oldest are removed first.
pub(crate) const MOST_NOTICES: usize = 1000;
/// Maximum number of pending deliveries of one webhook; the oldest are dropped first.
pub(crate) const MOST_WAITING: usize = 100;
/// Age at which a delivery is dropped.
pub(crate) const GIVE_UP: Duration = Duration::from_hours(3 * 24);
const FIRST_DELAY: Duration = Duration::from_secs(1);
const MAXIMUM_DELAY: Duration = Duration::from_hours(1);

/// Returns the delay before the next attempt after `attempts` (1 or more) failed ones.
///
/// The delay doubles up to an hour. A jitter of up to a quarter, taken from the delivery's id, keeps
/// deliveries that failed together from being retried together.
pub(crate) fn pause_after(attempts: u32, delivery: DeliveryId) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let delay = FIRST_DELAY.saturating_mul(1 << doublings).min(MAXIMUM_DELAY);
    // The last byte of a UUIDv7 is random.
    let jitter = u32::from(delivery.as_uuid().as_bytes()[15]);
    delay + delay / 4 * jitter / 255
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn delays_double_up_to_an_hour() {
        let even = DeliveryId::from_uuid(Uuid::from_u128(0));
        let delays = [1, 2, 3, 11, 12, 13, 14, u32::MAX].map(|n| pause_after(n, even).as_secs());
        assert_eq!(delays, [1, 2, 4, 1024, 2048, 3600, 3600, 3600]);
    }

    #[test]
    fn deliveries_that_failed_together_are_spread() {
        let late = DeliveryId::from_uuid(Uuid::from_u128(255));
        assert_eq!(pause_after(3, late), Duration::from_secs(5));
        assert_eq!(pause_after(99, late), Duration::from_mins(75));
    }
}
