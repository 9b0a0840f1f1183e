//! Stall detection: the time of a job's last progress, and the time without progress after which it
//! counts as stalled. The limit follows from the job's own leases, not from a setting.

use std::time::Duration;

use protocol::{LeaseId, Timestamp};

use super::Machine;
use super::phase::{Phase, Run, Stage};

/// Stall timeout as a multiple of the longest lease with an update.
const LONGEST_LEASES: u32 = 3;
/// Lowest stall timeout as a multiple of the lease timeout.
const LEASE_TIMEOUTS: u32 = 5;

impl Machine {
    /// Returns the time of the last progress while seats are open: a training step, an update or a
    /// new round. `None` while the job does not wait for devices.
    pub fn moved_at(&self) -> Option<Timestamp> {
        self.collecting().map(|run| run.head.moved_at)
    }

    /// Returns the time without progress after which the job counts as stalled: three times the
    /// longest lease with an update, and at least five lease timeouts.
    pub fn stall_timeout(&self) -> Duration {
        let measured = self.phase.run().map_or(Duration::ZERO, |run| run.head.longest_lease);
        let least = self.settings.lease_timeout().saturating_mul(LEASE_TIMEOUTS);
        measured.saturating_mul(LONGEST_LEASES).max(least)
    }

    /// Returns the run while seats are open and the job is not paused.
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
    /// Records the duration of a lease with an accepted update.
    pub(super) fn record_lease_duration(&mut self, now: Timestamp, lease: LeaseId) {
        self.head.moved_at = self.head.moved_at.max(now);
        if let Some(record) = self.leases.get(&lease) {
            let duration = now.since(record.granted_at);
            self.head.longest_lease = self.head.longest_lease.max(duration);
        }
    }
}

/// Formats a duration in its largest unit.
pub(crate) fn duration_text(duration: Duration) -> String {
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
    fn durations_are_formatted_in_their_largest_unit() {
        let texts = [0, 59, 89, 90, 3_600, 5_399, 5_400, 172_799, 172_800]
            .map(|seconds| duration_text(Duration::from_secs(seconds)));
        let expected =
            ["0 s", "59 s", "89 s", "2 min", "60 min", "90 min", "2 h", "48 h", "2 days"];
        assert_eq!(texts, expected);
    }
}
