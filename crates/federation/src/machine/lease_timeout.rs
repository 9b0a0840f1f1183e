//! Lease timeout: the deadline of a lease, from its heartbeats and its measured speed.
//!
//! A lease ends for one of two reasons. *Silence*: no heartbeat and no progress report for the
//! lease timeout. *Standstill*: heartbeats arrive, but neither the step nor the transferred bytes
//! change for longer than the measured speed explains. A hanging trainer therefore loses its lease
//! although its device still sends heartbeats. The deadline is the earlier of the two. Results do
//! not depend on it.

use std::time::Duration;

use protocol::Timestamp;
use serde::{Deserialize, Serialize};

/// Steps that a device may fall behind its measured speed. A machine that is warm or busy with
/// other work is late by a factor of a few, not of ten.
const STEPS_BEHIND: u32 = 10;
/// Time to start the trainer and do the first step, for which no speed is known. It is twice the
/// trainer's longest start (a GPU's first shaders), so that one restart fits in. Transferred bytes
/// restart it.
const FIRST_STEP: Duration = Duration::from_mins(10);
/// Trainer restarts without new progress that still extend a lease. After each restart the repeated
/// steps count as progress.
const RESTARTS: u32 = 3;
/// Time constant of the mean. An older measurement weighs a third of a current one.
const MEMORY: Duration = Duration::from_mins(1);

/// Speed of a device in one job: the exponentially weighted mean of its seconds per step. Each
/// measurement is weighted by its duration, with time constant [`MEMORY`], because samples come at
/// uneven intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct StepRate {
    #[serde(rename = "seconds_a_step")]
    seconds_per_step: f64,
}

impl StepRate {
    /// Returns the mean after `steps` further steps took `time`. `steps` is above 0.
    pub(super) fn measured(before: Option<Self>, steps: u64, time: Duration) -> Self {
        let now = time.as_secs_f64() / steps as f64;
        let Some(before) = before else { return Self { seconds_per_step: now } };
        let weight = 1.0 - (-time.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        let seconds_per_step = before.seconds_per_step + weight * (now - before.seconds_per_step);
        Self { seconds_per_step }
    }

    /// Returns the expected time for this number of steps.
    pub(super) fn expected(self, steps: u64) -> Duration {
        let seconds = self.seconds_per_step * steps as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// Progress of a lease and its time. The default, which is long ago, applies to leases stored by
/// versions without this field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct LeaseProgress {
    /// Last reported step.
    step: u64,
    /// Highest reported step.
    furthest: u64,
    /// Times that the step went back since it was highest.
    restarts: u32,
    /// Last reported count of bytes to and from the device.
    bytes: u64,
    /// Time at which the step or the bytes changed last.
    at: Timestamp,
}

impl LeaseProgress {
    pub(super) fn started(now: Timestamp) -> Self {
        Self { step: 0, furthest: 0, restarts: 0, bytes: 0, at: now }
    }

    pub(super) fn furthest(&self) -> u64 {
        self.furthest
    }

    /// Records a reported step and returns the new step rate, if the step is a usable measurement.
    /// An earlier step means that the trainer restarted from its checkpoint.
    pub(super) fn record_step(
        &mut self,
        now: Timestamp,
        step: u64,
        rate: Option<StepRate>,
    ) -> Option<StepRate> {
        if step == self.step {
            return None;
        }
        let (before, since) = (self.step, now.since(self.at));
        // The first step includes the warm-up, and repeated steps may be reported late.
        let measurable = before > 0 && step > self.furthest && self.restarts <= RESTARTS;
        self.step = step;
        if step > self.furthest {
            (self.furthest, self.restarts) = (step, 0);
        } else if step < before {
            self.restarts = self.restarts.saturating_add(1);
        }
        if self.restarts <= RESTARTS {
            self.at = now;
        }
        measurable.then(|| StepRate::measured(rate, step - before, since))
    }

    /// Records the bytes that the coordinator counted. The count restarts at 0 with the
    /// coordinator.
    pub(super) fn record_bytes(&mut self, now: Timestamp, bytes: u64) {
        if bytes != self.bytes {
            (self.bytes, self.at) = (bytes, now);
        }
    }

    /// Moves its time with a clock that was set.
    pub(super) fn clock_moved(&mut self, millis: i64) {
        self.at = self.at.moved(millis);
    }

    /// Returns the deadline after a heartbeat or progress report at `now`.
    pub(super) fn deadline(
        &self,
        now: Timestamp,
        lease_timeout: Duration,
        rate: Option<StepRate>,
    ) -> Timestamp {
        let standstill = match rate {
            Some(rate) if self.step > 0 => rate.expected(u64::from(STEPS_BEHIND)),
            Some(_) | None => FIRST_STEP,
        };
        now.after(lease_timeout).min(self.at.after(standstill.max(lease_timeout)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEASE_TIMEOUT: Duration = Duration::from_mins(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(0).after(Duration::from_secs(seconds))
    }

    fn rate(seconds_per_step: f64) -> StepRate {
        StepRate { seconds_per_step }
    }

    #[test]
    fn a_steady_device_is_measured_exactly() {
        let mut progress = LeaseProgress::started(at(0));
        assert_eq!(progress.record_step(at(90), 1, None), None, "the first step warms up");
        let mut known = progress.record_step(at(94), 3, None);
        assert_eq!(known, Some(rate(2.0)));
        known = progress.record_step(at(114), 13, known);
        assert_eq!(known, Some(rate(2.0)));
        assert_eq!(progress.record_step(at(120), 13, known), None);
        assert_eq!(progress.record_step(at(121), 4, known), None, "the trainer restarted");
    }

    #[test]
    fn a_measurement_weighs_as_much_as_it_lasts() {
        let quick = StepRate::measured(Some(rate(1.0)), 1, Duration::from_secs(3));
        let long = StepRate::measured(Some(rate(1.0)), 40, Duration::from_mins(2));
        assert!((1.0..1.2).contains(&quick.seconds_per_step), "{quick:?}");
        assert!((2.7..3.0).contains(&long.seconds_per_step), "{long:?}");
    }

    #[test]
    fn the_deadline_is_the_earlier_of_silence_and_standstill() {
        let table = [
            // step, rate, time of the last heartbeat -> deadline, with progress at 0
            (0, None, 0, 60),
            (0, None, 599, 600),
            (0, Some(rate(2.0)), 300, 360),
            (5, None, 599, 600),
            (5, Some(rate(2.0)), 0, 60),
            (5, Some(rate(2.0)), 59, 60),
            (5, Some(rate(30.0)), 59, 119),
            (5, Some(rate(30.0)), 299, 300),
            (5, Some(rate(30.0)), 400, 300),
            (5, Some(rate(f64::MAX)), 400, 460),
        ];
        for (step, rate, heartbeat, expected) in table {
            let progress = LeaseProgress { step, ..LeaseProgress::started(at(0)) };
            let deadline = progress.deadline(at(heartbeat), LEASE_TIMEOUT, rate);
            assert_eq!(deadline, at(expected), "{step} {rate:?} {heartbeat}");
        }
    }

    #[test]
    fn bytes_are_progress_even_if_the_coordinator_s_count_restarts() {
        let mut progress = LeaseProgress { step: 9, bytes: 700, ..LeaseProgress::started(at(0)) };
        progress.record_bytes(at(50), 700);
        assert_eq!(progress.deadline(at(50), LEASE_TIMEOUT, Some(rate(0.1))), at(60));
        progress.record_bytes(at(50), 30);
        assert_eq!(progress.deadline(at(50), LEASE_TIMEOUT, Some(rate(0.1))), at(110));
    }

    #[test]
    fn repeated_restarts_are_not_progress() {
        let mut progress = LeaseProgress::started(at(0));
        let deadline = |progress: &LeaseProgress, now| {
            progress.deadline(at(now), LEASE_TIMEOUT, Some(rate(0.1)))
        };
        progress.record_step(at(1), 5, None);
        for turn in 1..=3 {
            progress.record_step(at(turn * 100), 2, None);
            progress.record_step(at(turn * 100 + 1), 5, None);
            assert_eq!(deadline(&progress, turn * 100 + 1), at(turn * 100 + 61));
        }
        progress.record_step(at(400), 2, None);
        assert_eq!(progress.record_step(at(401), 5, None), None, "nor is it a measurement");
        assert_eq!(deadline(&progress, 401), at(361));
        progress.record_step(at(402), 6, None);
        assert_eq!(deadline(&progress, 402), at(462), "new progress extends it again");
    }

    proptest! {
        #[test]
        fn a_rate_stays_between_its_measurements(
            samples in prop::collection::vec((1_u64..1000, 1_u64..1_000_000), 1..50),
        ) {
            let mut known = None;
            let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
            for (steps, millis) in samples {
                let time = Duration::from_millis(millis);
                let one = time.as_secs_f64() / steps as f64;
                (least, most) = (least.min(one), most.max(one));
                let rate = StepRate::measured(known, steps, time);
                known = Some(rate);
                prop_assert!(rate.seconds_per_step >= least * 0.999_999);
                prop_assert!(rate.seconds_per_step <= most * 1.000_001);
            }
        }
    }
}
