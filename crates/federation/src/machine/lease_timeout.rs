//! How long a lease lasts, from what its device was seen to do.
//!
//! Two things end a lease. *Silence*: nothing was heard of it for the patience. *Standstill*: it is
//! heard of, but neither its step nor the bytes on their way for it change for as long as its
//! measured speed says that they should; a trainer that hangs loses its lease although its
//! device's heartbeat lives. The deadline is the earlier of the two. Results don't depend on it.

use std::time::Duration;

use protocol::Timestamp;
use serde::{Deserialize, Serialize};

/// Steps that a device may fall behind its measured speed. Generous: a machine that also does
/// something else, or is warm and slows down, is late by a factor of a few, not of ten.
const STEPS_BEHIND: u32 = 10;
/// For a device to start its trainer and do its first step, of which nothing is known: twice what
/// the trainer may take to start (a GPU's first shaders), so that a restart fits in. Bytes that
/// arrive begin it anew.
const FIRST_STEP: Duration = Duration::from_mins(10);
/// A trainer may be started again so often without coming further than before: each time its
/// earlier steps are headway once more.
const RESTARTS: u32 = 3;
/// What was measured so long ago counts a third of what is measured now.
const MEMORY: Duration = Duration::from_mins(1);

/// A device's speed in one job: the exponentially weighted mean of its seconds a step, each
/// measurement weighted by the time it took (with time constant [`MEMORY`], for samples at uneven
/// intervals).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct StepRate {
    seconds_a_step: f64,
}

impl StepRate {
    /// What is known after `steps` more steps took `time`; `steps` is above 0.
    pub(super) fn measured(before: Option<Self>, steps: u64, time: Duration) -> Self {
        let now = time.as_secs_f64() / steps as f64;
        let Some(before) = before else { return Self { seconds_a_step: now } };
        let weight = 1.0 - (-time.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        let seconds_a_step = before.seconds_a_step + weight * (now - before.seconds_a_step);
        Self { seconds_a_step }
    }

    /// The time that so many steps take.
    pub(super) fn expected(self, steps: u64) -> Duration {
        let seconds = self.seconds_a_step * steps as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// How far a lease is, and since when. The default is that of leases which were stored before there
/// was any: they begun long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct LeaseProgress {
    /// The step that was reported last.
    step: u64,
    /// The furthest that was.
    furthest: u64,
    /// Times that the step fell since it was furthest.
    restarts: u32,
    /// The count of bytes to and from the device that was seen last.
    bytes: u64,
    /// When either changed.
    at: Timestamp,
}

impl LeaseProgress {
    pub(super) fn begun(now: Timestamp) -> Self {
        Self { step: 0, furthest: 0, restarts: 0, bytes: 0, at: now }
    }

    pub(super) fn furthest(&self) -> u64 {
        self.furthest
    }

    /// A step was reported. An earlier one says that the trainer was started again, from its
    /// checkpoint. Gives what it tells of the pace.
    pub(super) fn stepped(
        &mut self,
        now: Timestamp,
        step: u64,
        pace: Option<StepRate>,
    ) -> Option<StepRate> {
        if step == self.step {
            return None;
        }
        let (before, since) = (self.step, now.since(self.at));
        // The first step warms up, and steps that are done again may be told of late.
        let tells = before > 0 && step > self.furthest && self.restarts <= RESTARTS;
        self.step = step;
        if step > self.furthest {
            (self.furthest, self.restarts) = (step, 0);
        } else if step < before {
            self.restarts = self.restarts.saturating_add(1);
        }
        if self.restarts <= RESTARTS {
            self.at = now;
        }
        tells.then(|| StepRate::measured(pace, step - before, since))
    }

    /// The coordinator counted bytes. It counts from 0 again when it starts.
    pub(super) fn moved(&mut self, now: Timestamp, bytes: u64) {
        if bytes != self.bytes {
            (self.bytes, self.at) = (bytes, now);
        }
    }

    /// Until when the lease is held by what was heard of it `now`.
    pub(super) fn deadline(
        &self,
        now: Timestamp,
        lease_timeout: Duration,
        pace: Option<StepRate>,
    ) -> Timestamp {
        let standstill = match pace {
            Some(pace) if self.step > 0 => pace.expected(u64::from(STEPS_BEHIND)),
            Some(_) | None => FIRST_STEP,
        };
        now.after(lease_timeout).min(self.at.after(standstill.max(lease_timeout)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(0).after(Duration::from_secs(seconds))
    }

    fn pace(seconds_a_step: f64) -> StepRate {
        StepRate { seconds_a_step }
    }

    #[test]
    fn a_steady_device_is_measured_exactly() {
        let mut headway = LeaseProgress::begun(at(0));
        assert_eq!(headway.stepped(at(90), 1, None), None, "the first step warms up");
        let mut known = headway.stepped(at(94), 3, None);
        assert_eq!(known, Some(pace(2.0)));
        known = headway.stepped(at(114), 13, known);
        assert_eq!(known, Some(pace(2.0)));
        assert_eq!(headway.stepped(at(120), 13, known), None);
        assert_eq!(headway.stepped(at(121), 4, known), None, "it was started again");
    }

    #[test]
    fn a_change_of_speed_is_followed_by_the_time_it_lasts() {
        let quick = StepRate::measured(Some(pace(1.0)), 1, Duration::from_secs(3));
        let long = StepRate::measured(Some(pace(1.0)), 40, Duration::from_mins(2));
        assert!((1.0..1.2).contains(&quick.seconds_a_step), "{quick:?}");
        assert!((2.7..3.0).contains(&long.seconds_a_step), "{long:?}");
    }

    #[test]
    fn silence_or_standstill_whichever_comes_first() {
        let table = [
            // step, pace, heard of at -> the deadline, with headway at 0
            (0, None, 0, 60),
            (0, None, 599, 600),
            (0, Some(pace(2.0)), 300, 360),
            (5, None, 599, 600),
            (5, Some(pace(2.0)), 0, 60),
            (5, Some(pace(2.0)), 59, 60),
            (5, Some(pace(30.0)), 59, 119),
            (5, Some(pace(30.0)), 299, 300),
            (5, Some(pace(30.0)), 400, 300),
            (5, Some(pace(f64::MAX)), 400, 460),
        ];
        for (step, pace, heard, expected) in table {
            let headway = LeaseProgress { step, ..LeaseProgress::begun(at(0)) };
            let deadline = headway.deadline(at(heard), PATIENCE, pace);
            assert_eq!(deadline, at(expected), "{step} {pace:?} {heard}");
        }
    }

    #[test]
    fn bytes_are_headway_also_when_the_coordinator_counts_anew() {
        let mut headway = LeaseProgress { step: 9, bytes: 700, ..LeaseProgress::begun(at(0)) };
        headway.moved(at(50), 700);
        assert_eq!(headway.deadline(at(50), PATIENCE, Some(pace(0.1))), at(60));
        headway.moved(at(50), 30);
        assert_eq!(headway.deadline(at(50), PATIENCE, Some(pace(0.1))), at(110));
    }

    #[test]
    fn starting_again_and_again_is_no_headway() {
        let mut headway = LeaseProgress::begun(at(0));
        let deadline =
            |headway: &LeaseProgress, now| headway.deadline(at(now), PATIENCE, Some(pace(0.1)));
        headway.stepped(at(1), 5, None);
        for turn in 1..=3 {
            headway.stepped(at(turn * 100), 2, None);
            headway.stepped(at(turn * 100 + 1), 5, None);
            assert_eq!(deadline(&headway, turn * 100 + 1), at(turn * 100 + 61));
        }
        headway.stepped(at(400), 2, None);
        assert_eq!(headway.stepped(at(401), 5, None), None, "nor does it tell of the pace");
        assert_eq!(deadline(&headway, 401), at(361));
        headway.stepped(at(402), 6, None);
        assert_eq!(deadline(&headway, 402), at(462), "and then it came further");
    }

    proptest! {
        #[test]
        fn a_pace_stays_between_what_was_measured(
            samples in prop::collection::vec((1_u64..1000, 1_u64..1_000_000), 1..50),
        ) {
            let mut known = None;
            let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
            for (steps, millis) in samples {
                let time = Duration::from_millis(millis);
                let one = time.as_secs_f64() / steps as f64;
                (least, most) = (least.min(one), most.max(one));
                let pace = StepRate::measured(known, steps, time);
                known = Some(pace);
                prop_assert!(pace.seconds_a_step >= least * 0.999_999);
                prop_assert!(pace.seconds_a_step <= most * 1.000_001);
            }
        }
    }
}
