//! Noticing that the machine slept: one clock goes on while it sleeps, another stands still, and how
//! far they are apart only grows by sleep.

use std::time::Duration;

/// Less than this between two looks is no sleep, but how unevenly two clocks are read.
const LEAST: Duration = Duration::from_secs(1);
/// The two clocks are read within so long of each other, or the reading doesn't count.
const CLOSE: Duration = Duration::from_millis(50);
/// Times that a reading is tried: a busy machine may let this process wait in the middle of it.
const TRIES: u32 = 5;

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    /// Since some time in the past, sleep counted.
    with_sleep: Duration,
    /// Since some time in the past, sleep left out.
    awake: Duration,
}

/// Tells whoever asks it now and then whether the machine slept meanwhile.
#[derive(Debug)]
pub struct SleepWatch {
    /// Between the clocks, at the last look.
    apart: Option<Duration>,
}

impl SleepWatch {
    /// Begins now.
    pub fn new() -> Self {
        let mut watch = Self { apart: None };
        watch.slept();
        watch
    }

    /// How long the machine slept since this was asked last; none where it didn't.
    pub fn slept(&mut self) -> Option<Duration> {
        self.follow(read()?)
    }

    fn follow(&mut self, now: Reading) -> Option<Duration> {
        let apart = now.with_sleep.saturating_sub(now.awake);
        let before = self.apart.replace(apart)?;
        Some(apart.saturating_sub(before)).filter(|slept| *slept >= LEAST)
    }
}

impl Default for SleepWatch {
    fn default() -> Self {
        Self::new()
    }
}

fn read() -> Option<Reading> {
    (0..TRIES).find_map(|_| {
        let awake = clock::awake()?;
        let with_sleep = clock::with_sleep()?;
        let is_close = clock::awake()?.saturating_sub(awake) <= CLOSE;
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
/// `mach_absolute_time` in nanoseconds (`clock_gettime(3)`). Type-checked; no Mac has run it.
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
    fn only_what_the_clocks_move_apart_is_sleep() {
        let mut watch = SleepWatch { apart: None };
        assert_eq!(watch.follow(at(1000, 400)), None, "the first look");
        assert_eq!(watch.follow(at(9000, 8400)), None, "a long wait awake");
        assert_eq!(watch.follow(at(9602, 8402)), Some(Duration::from_mins(10)));
        assert_eq!(watch.follow(at(9604, 8404)), None, "told once");
    }

    #[test]
    fn clocks_that_are_read_unevenly_are_no_sleep() {
        let mut watch = SleepWatch { apart: None };
        watch.follow(at(1000, 400));
        let later = Reading { with_sleep: Duration::from_millis(1_002_040), ..at(0, 402) };
        assert_eq!(watch.follow(later), None);
        assert_eq!(watch.follow(at(1004, 404)), None, "nor when they come together again");
        assert_eq!(watch.follow(at(100, 404)), None, "nor where they make no sense");
    }

    #[test]
    fn this_machine_has_both_clocks() {
        let reading = read().unwrap();
        assert!(reading.awake <= reading.with_sleep + CLOSE, "{reading:?}");
        assert!(SleepWatch::new().apart.is_some());
    }
}
