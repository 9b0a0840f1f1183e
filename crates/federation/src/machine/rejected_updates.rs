//! Rejected updates: attribution of the fault to the device or to the job.

use std::collections::BTreeSet;

use protocol::lease::ReturnReason;
use protocol::{DeviceId, LeaseId, Timestamp};

use super::phase::{Ending, Phase, Run};
use super::seat::{Seat, SeatFailure};
use super::{Effect, Machine, RejectedEvent};
use crate::explain::plural;
use crate::table::Durability;

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
    ) -> Result<Vec<Effect>, RejectedEvent> {
        let before = self.phase.run().map_or(0, |run| run.failures_of(lease));
        let mut effects =
            self.returned(now, lease, device, ReturnReason::Failed, Some(reason.to_owned()))?;
        if let Some(run) = self.phase.run_mut()
            && run.failures_of(lease) > before
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

    /// Returns the leases of other devices whose updates for the same seat were rejected. If this lease's
    /// update was accepted, it shows that the job was not at fault.
    pub fn rejected_on_same_seat(&self, lease: LeaseId) -> Vec<LeaseId> {
        self.phase.run().map_or_else(Vec::new, |run| run.rejected_on_same_seat(lease))
    }
}

impl Run {
    /// Returns the seats with failures.
    fn failed_seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.index().failed().filter_map(|seat| self.seats.get(&seat))
    }

    fn failures(&self) -> impl Iterator<Item = &SeatFailure> {
        self.failed_seats().flat_map(|seat| &seat.failures)
    }

    fn rejected_on_same_seat(&self, lease: LeaseId) -> Vec<LeaseId> {
        let Some(good) = self.leases.get(&lease) else { return Vec::new() };
        let Some(seat) = self.seats.get(&good.seat) else { return Vec::new() };
        let rejected = seat.failures.iter().filter(|failure| failure.rejected);
        let bad: BTreeSet<DeviceId> = rejected.map(|failure| failure.device).collect();
        if bad.is_empty() {
            return Vec::new();
        }
        let of_seat = self.leases.iter().filter(|(_, record)| record.seat == good.seat);
        let of_others =
            of_seat.filter(|(_, it)| it.device != good.device && bad.contains(&it.device));
        of_others.map(|(lease, _)| *lease).collect()
    }

    /// Returns the number of failures of a lease's seat.
    fn failures_of(&self, lease: LeaseId) -> usize {
        let seat = self.leases.get(&lease).and_then(|record| self.seats.get(&record.seat));
        seat.map_or(0, |seat| seat.failures.len())
    }

    /// Marks the lease's failure as a rejected update.
    fn mark_rejected(&mut self, lease: LeaseId) {
        let Some(record) = self.leases.get(&lease) else { return };
        self.seats.change(&record.seat, Durability::Commit, |seat| {
            if let Some(failure) = seat.failures.last_mut() {
                failure.rejected = true;
            }
        });
    }

    fn rejected_devices(&self) -> BTreeSet<DeviceId> {
        self.failures().filter(|failure| failure.rejected).map(|failure| failure.device).collect()
    }

    /// Returns whether no update was accepted, and three devices, or all that are known, had theirs
    /// rejected. Several updates of a single device are enough if it is the only one.
    fn rejected_everywhere(&self) -> bool {
        let rejected = self.rejected_devices();
        let others = self.seen().filter(|(device, _)| !rejected.contains(device)).count();
        let needed = (others + rejected.len()).min(REJECTED_DEVICES);
        let count = self.failures().filter(|failure| failure.rejected).count();
        self.seats.index().reported == 0 && count >= REJECTED_DEVICES && rejected.len() >= needed
    }

    fn rejection_failure(&self, reason: &str) -> Option<String> {
        let (round, devices) = (self.head.round.number, self.rejected_devices().len());
        self.rejected_everywhere().then(|| {
            let devices = plural(devices, "device");
            format!(
                "the updates of {devices} were rejected in round {round} and none was accepted: \
                 {reason}"
            )
        })
    }
}
