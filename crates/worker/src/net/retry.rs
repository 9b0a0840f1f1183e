//! Retry delays: exponential backoff with jitter.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
/// Maximum of a doubled delay. A coordinator that is back is found within this time.
const LONGEST: Duration = Duration::from_secs(15);
/// Maximum `Retry-After` that is followed. A longer one may be in another unit by mistake.
const MAXIMUM_RETRY_AFTER: Duration = Duration::from_mins(10);
/// Maximum spread of a fleet's reconnection: the heartbeat interval of 24,000 devices.
const LONGEST_SPREAD: Duration = Duration::from_mins(1);

/// Exponential backoff. Each delay is uniform between zero and the doubled limit, so that a fleet does not
/// reconnect at once ("full jitter": the fewest attempts in all for the same load,
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
    spread: Duration,
}

impl Backoff {
    /// Backoff whose delays, including the first, are drawn from at least `spread`.
    pub(crate) fn over(spread: Duration) -> Self {
        Self { attempts: 0, spread: spread.min(LONGEST_SPREAD) }
    }

    /// Returns the next delay. It is at least `retry_after`, limited to ten minutes.
    pub(crate) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        self.delay(retry_after, rand::random_range(0.0..=1.0))
    }

    /// `fraction` is the random number, 0 to 1.
    fn delay(&mut self, retry_after: Option<Duration>, fraction: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        let wait = doubled.max(self.spread).mul_f64(fraction);
        let minimum = retry_after.unwrap_or_default().min(MAXIMUM_RETRY_AFTER);
        if minimum.is_zero() { wait } else { minimum + wait.min(minimum / 4) }
    }
}

/// Shortens a repeated interval by up to a fifth, so that devices that started together drift apart.
pub(crate) fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.8..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_are_jittered_from_zero() {
        let waits = |fraction| {
            let mut backoff = Backoff::default();
            (0..40).map(|_| backoff.delay(None, fraction)).collect::<Vec<_>>()
        };
        let (whole, half) = (waits(1.0), waits(0.5));
        assert_eq!((whole[0], whole[3], whole[39]), (FIRST, FIRST * 8, LONGEST));
        assert_eq!((half[0], half[3], half[39]), (FIRST / 2, FIRST * 4, LONGEST / 2));
        assert!(waits(0.0).iter().all(Duration::is_zero));
    }

    #[test]
    fn a_large_fleet_reconnects_over_its_spread() {
        let mut backoff = Backoff::over(Duration::from_secs(25));
        assert_eq!(backoff.delay(None, 1.0), Duration::from_secs(25));
        assert_eq!(backoff.delay(None, 0.1), Duration::from_millis(2500));
        assert_eq!(Backoff::over(Duration::MAX).delay(None, 1.0), LONGEST_SPREAD);
    }

    #[test]
    fn retry_after_is_a_lower_bound_up_to_a_maximum() {
        let wait = |seconds| Backoff::default().delay(Some(Duration::from_secs(seconds)), 1.0);
        assert_eq!(wait(7), Duration::from_millis(7250));
        assert_eq!(wait(u64::MAX), MAXIMUM_RETRY_AFTER + FIRST);
    }

    #[test]
    fn intervals_are_jittered_downwards() {
        let interval = Duration::from_secs(10);
        let waits: Vec<Duration> = (0..100).map(|_| jittered(interval)).collect();
        assert!(waits.iter().all(|wait| (interval * 4 / 5..=interval).contains(wait)));
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
}
