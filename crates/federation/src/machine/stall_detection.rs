//! When a job last moved, and how long it may stand still before somebody should look: measured
//! by its own leases, not by a setting.

use std::time::Duration;

use protocol::{LeaseId, Timestamp};

use super::Machine;
use super::phase::{Phase, Run, Stage};

/// Times the longest lease that gave an update.
const LONGEST_LEASES: u32 = 3;
/// Times the lease patience that a job may stand still in any case.
const PATIENCES: u32 = 5;

impl Machine {
    /// When something moved last while seats are open: a step of a trainer, an update, a new round.
    /// None while the job waits for no device.
    pub fn moved_at(&self) -> Option<Timestamp> {
        self.collecting().map(|run| run.moved_at)
    }

    /// How long the job may stand still: three times the longest lease that gave an update, and at
    /// least five times as long as a lease lasts without a sign of life.
    pub fn lease_timeout(&self) -> Duration {
        let measured = self.phase.run().map_or(Duration::ZERO, |run| run.longest_lease);
        let least = self.settings.lease_timeout().saturating_mul(PATIENCES);
        measured.saturating_mul(LONGEST_LEASES).max(least)
    }

    /// The rounds, while seats are open and nobody has paused them.
    fn collecting(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Running(run) if self.paused.is_none() && *run.stage() == Stage::Collecting => {
                Some(run)
            }
            Phase::Running(_) | Phase::Pending | Phase::Preparing | Phase::Finished { .. } => None,
        }
    }
}

impl Run {
    /// A lease gave an update.
    pub(super) fn gave(&mut self, now: Timestamp, lease: LeaseId) {
        self.moved_at = self.moved_at.max(now);
        if let Some(record) = self.round.leases.get(&lease) {
            self.longest_lease = self.longest_lease.max(now.since(record.granted_at));
        }
    }
}

/// A duration as a person says it, in its largest unit.
pub(crate) fn words(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..=89 => format!("{seconds} s"),
        seconds @ 90..=5_399 => format!("{} min", (seconds + 30) / 60),
        seconds @ 5_400..=172_799 => format!("{} h", (seconds + 1_800) / 3_600),
        seconds => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_their_largest_unit() {
        let said = [0, 59, 89, 90, 3_600, 5_399, 5_400, 172_799, 172_800]
            .map(|seconds| words(Duration::from_secs(seconds)));
        let expected =
            ["0 s", "59 s", "89 s", "2 min", "60 min", "90 min", "2 h", "48 h", "2 days"];
        assert_eq!(said, expected);
    }
}
