//! Sleep detection by two clocks: one counts time asleep, the other does not, so their difference grows only
//! during sleep.

use std::time::Duration;

/// Shortest time that counts as sleep. Smaller differences come from reading two clocks one after the other.
const MINIMUM_SLEEP: Duration = Duration::from_secs(1);
/// Maximum time between the readings of the two clocks; otherwise the reading is discarded.
const MAXIMUM_GAP: Duration = Duration::from_millis(50);
/// Number of attempts at a reading. A busy machine may interrupt this process between the clocks.
const ATTEMPTS: u32 = 5;

/// Reading of both clocks at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    /// Time since some point in the past, including sleep.
    with_sleep: Duration,
    /// Time since some point in the past, without sleep.
    awake: Duration,
}

/// Sleep detector. Call [`Self::slept`] regularly.
#[derive(Debug)]
pub struct SleepWatch {
    /// Difference of the clocks at the last reading.
    difference: Option<Duration>,
}

impl SleepWatch {
    /// Starts detecting now.
    pub fn new() -> Self {
        let mut watch = Self { difference: None };
        watch.slept();
        watch
    }

    /// Returns how long the machine slept since the last call, or `None` if it did not.
    pub fn slept(&mut self) -> Option<Duration> {
        self.update(read()?)
    }

    fn update(&mut self, now: Reading) -> Option<Duration> {
        let difference = now.with_sleep.saturating_sub(now.awake);
        let before = self.difference.replace(difference)?;
        Some(difference.saturating_sub(before)).filter(|slept| *slept >= MINIMUM_SLEEP)
    }
}

impl Default for SleepWatch {
    fn default() -> Self {
        Self::new()
    }
}

fn read() -> Option<Reading> {
    (0..ATTEMPTS).find_map(|_| {
        let awake = clock::awake()?;
        let with_sleep = clock::with_sleep()?;
        let is_close = clock::awake()?.saturating_sub(awake) <= MAXIMUM_GAP;
        is_close.then_some(Reading { with_sleep, awake })
    })
}

/// `CLOCK_BOOTTIME` and `CLOCK_MONOTONIC` (`clock_gettime(2)`).
#[cfg(target_os = "linux")]
mod clock {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    pub(super) fn with_sleep() -> Option<Duration> {
        clock_gettime(ClockId::Boottime).try_into().ok()
    }

    pub(super) fn awake() -> Option<Duration> {
        clock_gettime(ClockId::Monotonic).try_into().ok()
    }
}

/// `CLOCK_MONOTONIC_RAW` and `CLOCK_UPTIME_RAW`, which are `mach_continuous_time` and
/// `mach_absolute_time` in nanoseconds (`clock_gettime(3)`). Type-checked only; it has never run on a
/// Mac.
#[cfg(target_os = "macos")]
mod clock {
    use std::time::Duration;

    pub(super) fn with_sleep() -> Option<Duration> {
        read(libc::CLOCK_MONOTONIC_RAW)
    }

    pub(super) fn awake() -> Option<Duration> {
        read(libc::CLOCK_UPTIME_RAW)
    }

    #[expect(unsafe_code, reason = "no safe crate has macOS's own clocks")]
    fn read(clock: libc::clockid_t) -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` outlives the call, which writes nothing else.
        if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
            return None;
        }
        let (seconds, nanoseconds) = (time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?);
        Some(Duration::new(seconds, nanoseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reading in seconds.
    fn at(with_sleep: u64, awake: u64) -> Reading {
        let seconds = Duration::from_secs;
        Reading { with_sleep: seconds(with_sleep), awake: seconds(awake) }
    }

    #[test]
    fn only_a_growing_difference_of_the_clocks_is_sleep() {
        let mut watch = SleepWatch { difference: None };
        assert_eq!(watch.update(at(1000, 400)), None, "the first reading");
        assert_eq!(watch.update(at(9000, 8400)), None, "a long wait awake");
        assert_eq!(watch.update(at(9602, 8402)), Some(Duration::from_mins(10)));
        assert_eq!(watch.update(at(9604, 8404)), None, "reported once");
    }

    #[test]
    fn uneven_readings_are_not_sleep() {
        let mut watch = SleepWatch { difference: None };
        watch.update(at(1000, 400));
        let later = Reading { with_sleep: Duration::from_millis(1_002_040), ..at(0, 402) };
        assert_eq!(watch.update(later), None);
        assert_eq!(watch.update(at(1004, 404)), None, "the difference shrinks again");
        assert_eq!(watch.update(at(100, 404)), None, "an impossible reading");
    }

    #[test]
    fn this_machine_has_both_clocks() {
        let reading = read().unwrap();
        assert!(reading.awake <= reading.with_sleep + MAXIMUM_GAP, "{reading:?}");
        assert!(SleepWatch::new().difference.is_some());
    }
}
