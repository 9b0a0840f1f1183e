//! How long to wait before trying again what may pass by itself.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
/// Of a doubled wait: a coordinator that is back is found within this.
const LONGEST: Duration = Duration::from_secs(15);
/// Longer than this no server is obeyed: it may have meant another unit.
const LONGEST_TOLD: Duration = Duration::from_mins(10);
/// The spread of a cluster's return is no longer than this: a heartbeat interval of 24,000 devices.
const LONGEST_SPREAD: Duration = Duration::from_mins(1);

/// Waits that double, each drawn anew from nothing to the whole ("full jitter": the fewest tries in
/// all for the same load, <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>),
/// so that a fleet doesn't come back all at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
    spread: Duration,
}

impl Backoff {
    /// Waits of which even the first is drawn from so long a time.
    pub(crate) fn over(spread: Duration) -> Self {
        Self { attempts: 0, spread: spread.min(LONGEST_SPREAD) }
    }

    /// The next wait; `told` is a `Retry-After`, of which no less is waited, up to ten minutes.
    pub(crate) fn next(&mut self, told: Option<Duration>) -> Duration {
        self.drawn(told, rand::random_range(0.0..=1.0))
    }

    fn drawn(&mut self, told: Option<Duration>, chance: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        let wait = doubled.max(self.spread).mul_f64(chance);
        let told = told.unwrap_or_default().min(LONGEST_TOLD);
        if told.is_zero() { wait } else { told + wait.min(told / 4) }
    }
}

/// An interval between what is done again and again: up to a fifth shorter, so that devices which
/// began together don't stay together.
pub(crate) fn jittered(every: Duration) -> Duration {
    every.mul_f64(rand::random_range(0.8..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_drawn_from_the_whole() {
        let waits = |chance| {
            let mut backoff = Backoff::default();
            (0..40).map(|_| backoff.drawn(None, chance)).collect::<Vec<_>>()
        };
        let (whole, half) = (waits(1.0), waits(0.5));
        assert_eq!((whole[0], whole[3], whole[39]), (FIRST, FIRST * 8, LONGEST));
        assert_eq!((half[0], half[3], half[39]), (FIRST / 2, FIRST * 4, LONGEST / 2));
        assert!(waits(0.0).iter().all(Duration::is_zero));
    }

    #[test]
    fn a_large_fleet_comes_back_over_its_spread() {
        let mut backoff = Backoff::over(Duration::from_secs(25));
        assert_eq!(backoff.drawn(None, 1.0), Duration::from_secs(25));
        assert_eq!(backoff.drawn(None, 0.1), Duration::from_millis(2500));
        assert_eq!(Backoff::over(Duration::MAX).drawn(None, 1.0), LONGEST_SPREAD);
    }

    #[test]
    fn what_the_server_says_is_a_floor_within_reason() {
        let wait = |told| Backoff::default().drawn(Some(Duration::from_secs(told)), 1.0);
        assert_eq!(wait(7), Duration::from_millis(7250));
        assert_eq!(wait(u64::MAX), LONGEST_TOLD + FIRST);
    }

    #[test]
    fn intervals_are_jittered_downwards() {
        let every = Duration::from_secs(10);
        let drawn: Vec<Duration> = (0..100).map(|_| jittered(every)).collect();
        assert!(drawn.iter().all(|wait| (every * 4 / 5..=every).contains(wait)));
        assert!(drawn.iter().any(|wait| *wait != drawn[0]));
    }
}
