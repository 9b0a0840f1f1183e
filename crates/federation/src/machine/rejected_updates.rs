//! Rejected updates: attribution of the fault to the device or to the job.

use std::collections::BTreeSet;

use protocol::lease::ReturnReason;
use protocol::{DeviceId, LeaseId, Timestamp};

use super::phase::{Ending, Phase, Run};
use super::seat::{Seat, SeatFailure};
use super::{Effect, Machine, Rejection};

/// Number of devices with rejected updates that fails a job, if its round accepted none.
const REJECTED_DEVICES: usize = 3;

impl Machine {
    /// Ends the lease of a rejected update and counts a failure for its seat. If every device of
    /// the round sends rejected updates, the job fails: it probably diverged.
    pub(super) fn refused(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        device: DeviceId,
        reason: &str,
    ) -> Result<Vec<Effect>, Rejection> {
        let before = self.phase.run().map_or(0, |run| run.failures().count());
        let mut effects =
            self.returned(now, lease, device, ReturnReason::Failed, Some(reason.to_owned()))?;
        if let Some(run) = self.phase.run_mut()
            && run.failures().count() > before
        {
            run.mark_rejected(lease);
        }
        let failure = match &self.phase {
            Phase::Running(run) => run.rejection_failure(reason),
            Phase::Pending | Phase::Preparing | Phase::Finished { .. } => None,
        };
        if let Some(reason) = failure {
            effects.extend(self.finish(now, Ending::Failed { reason }));
        }
        Ok(effects)
    }

    /// Returns whether the job failed because of failures on several devices. The fault is then
    /// probably the job's, and no device should be blamed.
    pub fn failed_on_many(&self) -> bool {
        match &self.phase {
            Phase::Finished { ending: Ending::Failed { .. }, run: Some(run) } => {
                run.round.seats.iter().any(Seat::failed_on_many) || run.rejected_everywhere()
            }
            Phase::Finished { .. } | Phase::Pending | Phase::Preparing | Phase::Running(_) => false,
        }
    }
}

impl Run {
    fn failures(&self) -> impl Iterator<Item = &SeatFailure> {
        self.round.seats.iter().flat_map(|seat| &seat.failures)
    }

    /// Marks the lease's failure as a rejected update.
    fn mark_rejected(&mut self, lease: LeaseId) {
        let Some(record) = self.round.leases.get(&lease) else { return };
        if let Some(failure) = self.round.seats[record.seat].failures.last_mut() {
            failure.rejected = true;
        }
    }

    fn rejected_devices(&self) -> BTreeSet<DeviceId> {
        self.failures().filter(|failure| failure.rejected).map(|failure| failure.device).collect()
    }

    /// Returns whether no update was accepted and several devices, three or all that are known, had
    /// theirs rejected.
    fn rejected_everywhere(&self) -> bool {
        let rejected = self.rejected_devices();
        let others = self.seen.keys().filter(|device| !rejected.contains(device)).count();
        let needed = (others + rejected.len()).min(REJECTED_DEVICES);
        let count = self.failures().filter(|failure| failure.rejected).count();
        self.round.reported() == 0
            && count >= REJECTED_DEVICES
            && rejected.len() >= 2
            && rejected.len() >= needed
    }

    fn rejection_failure(&self, reason: &str) -> Option<String> {
        let (round, devices) = (self.round.number, self.rejected_devices().len());
        self.rejected_everywhere().then(|| {
            format!(
                "the updates of {devices} devices were rejected in round {round} and none was \
                 accepted: {reason}"
            )
        })
    }
}
