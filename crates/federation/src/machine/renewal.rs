//! Lease renewal by heartbeats and progress reports.

use protocol::{DeviceId, LeaseId, Timestamp};

use super::lease_timeout::StepRate;
use super::phase::{Phase, Run, Stage};
use super::seat::{Occupancy, SeatLeaseState};
use super::{Effect, Machine, MachineSettings, Rejection, unknown_lease};

/// Message that renews a lease.
#[derive(Debug, Clone, Copy)]
pub(super) enum LeaseRenewal {
    /// Heartbeat with the bytes transferred so far between the device and the coordinator.
    Heartbeat { bytes: u64 },
    /// Progress report with the number of finished steps.
    Step { step: u64 },
    /// The device's process restarted and requested the lease again.
    Restart,
}

impl Machine {
    pub(super) fn renewed(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        device: DeviceId,
        renewal: LeaseRenewal,
    ) -> Result<Vec<Effect>, Rejection> {
        let paused = self.paused.is_some();
        match &mut self.phase {
            Phase::Running(run) => {
                run.locate(lease, device)?;
                run.renewed(&self.settings, now, lease, renewal, paused);
                Ok(Vec::new())
            }
            Phase::Finished { run: Some(run), .. } => run.locate(lease, device).map(|_| Vec::new()),
            Phase::Pending | Phase::Preparing | Phase::Finished { run: None, .. } => {
                Err(unknown_lease(lease))
            }
        }
    }
}

impl Run {
    pub(super) fn step_rate(&self, device: DeviceId) -> Option<StepRate> {
        self.step_rates.get(&device).copied()
    }

    /// Renews a lease: the deadline moves as far as the lease's progress allows. A lapsed lease
    /// whose seat is still open is held again, unless it makes no progress.
    pub(super) fn renewed(
        &mut self,
        settings: &MachineSettings,
        now: Timestamp,
        lease: LeaseId,
        renewal: LeaseRenewal,
        paused: bool,
    ) {
        let Some(device) = self.round.leases.get(&lease).map(|record| record.device) else {
            return;
        };
        self.seen.insert(device, now);
        let collecting = self.stage == Stage::Collecting && !paused;
        let idle = self.round.held_by(device).is_none();
        let rate = self.step_rate(device);
        let Some(record) = self.round.leases.get_mut(&lease) else { return };
        let seat = &mut self.round.seats[record.seat];
        let free = idle && collecting && seat.occupancy == Occupancy::Open;
        let lost = match record.state {
            SeatLeaseState::Held => false,
            SeatLeaseState::Lapsed { lost } if free => lost,
            SeatLeaseState::Lapsed { .. } | SeatLeaseState::Returned | SeatLeaseState::Accepted => {
                return;
            }
        };
        let before = record.progress.furthest();
        let measured = match renewal {
            LeaseRenewal::Heartbeat { bytes } => {
                record.progress.record_bytes(now, bytes);
                None
            }
            LeaseRenewal::Step { step } => record.progress.record_step(now, step, rate),
            LeaseRenewal::Restart => record.progress.record_step(now, 0, rate),
        };
        if let Some(measured) = measured {
            self.step_rates.insert(device, measured);
        }
        if record.progress.furthest() > before {
            self.moved_at = self.moved_at.max(now);
        }
        let rate = measured.or(rate);
        let deadline = record.progress.deadline(now, settings.lease_timeout(), rate);
        record.deadline = record.deadline.max(deadline);
        record.stepped |= match renewal {
            LeaseRenewal::Step { step } => step > 0,
            LeaseRenewal::Heartbeat { .. } | LeaseRenewal::Restart => false,
        };
        if record.deadline > now || record.state == SeatLeaseState::Held {
            self.leases_lost -= u64::from(lost);
            record.state = SeatLeaseState::Held;
            seat.occupancy = Occupancy::Leased { lease };
        }
    }
}
