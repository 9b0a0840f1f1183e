//! Signs of life: what a device lets hear of a lease, and how far that keeps it.

use protocol::{DeviceId, LeaseId, Timestamp};

use super::lease_timeout::StepRate;
use super::phase::{Phase, Run, Stage};
use super::seat::{Occupancy, SeatLeaseState};
use super::{Effect, Machine, MachineSettings, Rejection, unknown};

/// What a device lets hear of a lease.
#[derive(Debug, Clone, Copy)]
pub(super) enum LeaseRenewal {
    /// That it is there, and how many bytes went between it and the coordinator so far.
    Alive { bytes: u64 },
    /// That it has done so many steps.
    Step { step: u64 },
    /// Its process has started anew and asks for the lease again.
    Again,
}

impl Machine {
    pub(super) fn renewed(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        device: DeviceId,
        sign: LeaseRenewal,
    ) -> Result<Vec<Effect>, Rejection> {
        let paused = self.paused.is_some();
        match &mut self.phase {
            Phase::Running(run) => {
                run.locate(lease, device)?;
                run.renewed(&self.settings, now, lease, sign, paused);
                Ok(Vec::new())
            }
            Phase::Finished { run: Some(run), .. } => run.locate(lease, device).map(|_| Vec::new()),
            Phase::Pending | Phase::Preparing | Phase::Finished { run: None, .. } => {
                Err(unknown(lease))
            }
        }
    }
}

impl Run {
    pub(super) fn pace(&self, device: DeviceId) -> Option<StepRate> {
        self.paces.get(&device).copied()
    }

    /// A sign of life: the deadline moves as far as the lease's headway allows; a lapsed lease
    /// whose seat is still open is taken up, unless it stands still.
    pub(super) fn renewed(
        &mut self,
        settings: &MachineSettings,
        now: Timestamp,
        lease: LeaseId,
        sign: LeaseRenewal,
        paused: bool,
    ) {
        let Some(device) = self.round.leases.get(&lease).map(|record| record.device) else {
            return;
        };
        self.seen.insert(device, now);
        let collecting = self.stage == Stage::Collecting && !paused;
        let idle = self.round.held_by(device).is_none();
        let pace = self.pace(device);
        let Some(record) = self.round.leases.get_mut(&lease) else { return };
        let at_seat = &mut self.round.seats[record.seat];
        let free = idle && collecting && at_seat.occupancy == Occupancy::Open;
        let lost = match record.standing {
            SeatLeaseState::Held => false,
            SeatLeaseState::Lapsed { lost } if free => lost,
            SeatLeaseState::Lapsed { .. } | SeatLeaseState::Returned | SeatLeaseState::Accepted => {
                return;
            }
        };
        let before = record.headway.furthest();
        let measured = match sign {
            LeaseRenewal::Alive { bytes } => {
                record.headway.moved(now, bytes);
                None
            }
            LeaseRenewal::Step { step } => record.headway.stepped(now, step, pace),
            LeaseRenewal::Again => record.headway.stepped(now, 0, pace),
        };
        if let Some(measured) = measured {
            self.paces.insert(device, measured);
        }
        if record.headway.furthest() > before {
            self.moved_at = self.moved_at.max(now);
        }
        let pace = measured.or(pace);
        let deadline = record.headway.deadline(now, settings.lease_timeout(), pace);
        record.deadline = record.deadline.max(deadline);
        record.stepped |= match sign {
            LeaseRenewal::Step { step } => step > 0,
            LeaseRenewal::Alive { .. } | LeaseRenewal::Again => false,
        };
        if record.deadline > now || record.standing == SeatLeaseState::Held {
            self.leases_lost -= u64::from(lost);
            record.standing = SeatLeaseState::Held;
            at_seat.occupancy = Occupancy::Leased { lease };
        }
    }
}
