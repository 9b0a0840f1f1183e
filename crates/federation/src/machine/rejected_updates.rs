//! Updates that were refused as bad ones: whose fault they are, the device's or the job's.

use std::collections::BTreeSet;

use protocol::lease::ReturnReason;
use protocol::{DeviceId, LeaseId, Timestamp};

use super::phase::{Ending, Phase, Run};
use super::seat::{Seat, SeatFailure};
use super::{Effect, Machine, Rejection};

/// Refused updates of as many devices fail a job whose round took none.
const REFUSED: usize = 3;

impl Machine {
    /// The lease ends and its seat counts a failure. Where every device of the round sends what must
    /// be refused, the job fails: it is more likely to diverge than they are to be bad.
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
            run.mark_refused(lease);
        }
        let verdict = match &self.phase {
            Phase::Running(run) => run.refusals_verdict(reason),
            Phase::Pending | Phase::Preparing | Phase::Finished { .. } => None,
        };
        if let Some(reason) = verdict {
            effects.extend(self.finish(now, Ending::Failed { reason }));
        }
        Ok(effects)
    }

    /// Whether the job failed by what several devices could not do: then the fault is likely to be
    /// its own, and no device should be blamed for it.
    pub fn failed_on_many(&self) -> bool {
        match &self.phase {
            Phase::Finished { ending: Ending::Failed { .. }, run: Some(run) } => {
                run.round.seats.iter().any(Seat::failed_on_many) || run.refused_everywhere()
            }
            Phase::Finished { .. } | Phase::Pending | Phase::Preparing | Phase::Running(_) => false,
        }
    }
}

impl Run {
    fn failures(&self) -> impl Iterator<Item = &SeatFailure> {
        self.round.seats.iter().flat_map(|seat| &seat.failures)
    }

    /// The lease's failure was a refused update.
    fn mark_refused(&mut self, lease: LeaseId) {
        let Some(record) = self.round.leases.get(&lease) else { return };
        if let Some(failure) = self.round.seats[record.seat].failures.last_mut() {
            failure.refused = true;
        }
    }

    fn refused_devices(&self) -> BTreeSet<DeviceId> {
        self.failures().filter(|failure| failure.refused).map(|failure| failure.device).collect()
    }

    /// Whether several devices, and three or all that there are, were refused and none accepted.
    fn refused_everywhere(&self) -> bool {
        let refused = self.refused_devices();
        let known = self.seen.keys().filter(|device| !refused.contains(device)).count();
        let needed = (known + refused.len()).min(REFUSED);
        let count = self.failures().filter(|failure| failure.refused).count();
        self.round.reported() == 0
            && count >= REFUSED
            && refused.len() >= 2
            && refused.len() >= needed
    }

    fn refusals_verdict(&self, reason: &str) -> Option<String> {
        let (round, devices) = (self.round.number, self.refused_devices().len());
        self.refused_everywhere().then(|| {
            format!(
                "the updates of {devices} devices were refused in round {round} and none was \
                 accepted: {reason}"
            )
        })
    }
}
