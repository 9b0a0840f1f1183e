//! Detection of a clock that jumps: somebody set it, or the machine slept.
//!
//! Deadlines are times of the system clock, which restarts of the coordinator survive. A steady clock tells how
//! much time really passed. If the system clock moved by more or less than that, every deadline moves with it.

use std::time::Instant;

use protocol::Timestamp;

/// Difference of the two clocks that counts as a jump. Corrections of a few seconds change no deadline that
/// matters.
const JUMP_MILLIS: i64 = 10_000;

/// Both clocks when they were last read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClockWatch {
    system: Timestamp,
    steady: Instant,
}

impl ClockWatch {
    pub(super) fn new(system: Timestamp, steady: Instant) -> Self {
        Self { system, steady }
    }

    /// Returns by how many milliseconds the system clock jumped, if it did. Small differences add up until the
    /// sum is a jump.
    pub(super) fn jump(&mut self, system: Timestamp, steady: Instant) -> Option<i64> {
        let passed = steady.saturating_duration_since(self.steady);
        let jump = system.as_millis().saturating_sub(self.system.after(passed).as_millis());
        if jump.saturating_abs() < JUMP_MILLIS {
            return None;
        }
        *self = Self { system, steady };
        Some(jump)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_difference_of_the_two_clocks_is_a_jump() {
        let (start, begun) = (Timestamp::from_millis(1_764_000_000_000), Instant::now());
        let mut watch = ClockWatch::new(start, begun);
        let hour = Duration::from_hours(1);
        assert_eq!(watch.jump(start.after(hour), begun + hour), None);
        assert_eq!(watch.jump(start.after(hour).moved(-9_000), begun + hour), None);
        assert_eq!(watch.jump(start.after(hour).moved(-90_000), begun + hour), Some(-90_000));
        assert_eq!(watch.jump(start.after(hour).moved(-90_000), begun + hour), None);
        assert_eq!(watch.jump(start.after(hour), begun + hour), Some(90_000));
    }
}
