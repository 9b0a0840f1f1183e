//! How long to wait before trying again what may pass by itself.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);

/// Waits that double, each with chance in it, so that a fleet doesn't come back all at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next wait: between half and the whole of the doubled one, and never less than `told` (a
    /// `Retry-After`, itself at most ten minutes).
    pub(crate) fn next(&mut self, told: Option<Duration>) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        let wait = whole.mul_f64(rand::random_range(0.5..=1.0));
        let told = told.unwrap_or_default().min(Duration::from_mins(10));
        if told.is_zero() { wait } else { told + wait.min(told / 4) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next(None)).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST, "{:?}", waits[0]);
        assert!(waits[3] >= FIRST * 4 && waits[3] <= FIRST * 8, "{:?}", waits[3]);
        assert!(waits[39] >= LONGEST / 2 && waits[39] <= LONGEST, "{:?}", waits[39]);
    }

    #[test]
    fn what_the_server_says_is_a_floor_within_reason() {
        let wait = |told| Backoff::default().next(Some(Duration::from_secs(told)));
        assert!(wait(7) >= Duration::from_secs(7));
        assert!(wait(u64::MAX) <= Duration::from_secs(601));
    }
}
