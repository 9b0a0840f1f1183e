//! Upload rate limit: a token bucket.

use std::time::{Duration, Instant};

/// Token bucket of bytes, filled at the allowed rate up to one second's worth.
#[derive(Debug)]
pub(crate) struct Throttle {
    bytes_per_second: f64,
    /// Bytes that may be sent now; negative after bytes were sent early.
    allowed: f64,
    filled_at: Instant,
}

impl Throttle {
    /// Makes a limit of `megabits` per second. Returns `None`, no limit, for `None` and for rates that are
    /// not finite and positive.
    pub(crate) fn new(megabits: Option<f64>, now: Instant) -> Option<Self> {
        let bytes_per_second = megabits? * 1e6 / 8.0;
        (bytes_per_second.is_finite() && bytes_per_second > 0.0).then_some(Self {
            bytes_per_second,
            allowed: bytes_per_second,
            filled_at: now,
        })
    }

    /// Takes `bytes` from the bucket and returns how long to wait before sending them.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> Duration {
        let filled = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.allowed = (self.allowed + filled * self.bytes_per_second).min(self.bytes_per_second)
            - bytes as f64;
        Duration::try_from_secs_f64(-self.allowed / self.bytes_per_second).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_delayed_to_the_rate_after_a_burst_of_one_second() {
        let start = Instant::now();
        let mut throttle = Throttle::new(Some(8.0), start).unwrap();
        assert_eq!(throttle.take(1_000_000, start), Duration::ZERO);
        assert_eq!(throttle.take(500_000, start), Duration::from_millis(500));
        let later = start + Duration::from_secs(100);
        assert_eq!(throttle.take(1_000_000, later), Duration::ZERO);
        assert_eq!(throttle.take(1_000_000, later), Duration::from_secs(1));
    }

    #[test]
    fn rates_that_are_not_positive_mean_no_limit() {
        for rate in [None, Some(0.0), Some(-1.0), Some(f64::NAN), Some(f64::INFINITY)] {
            assert!(Throttle::new(rate, Instant::now()).is_none(), "{rate:?}");
        }
    }
}
