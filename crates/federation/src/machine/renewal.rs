//! Lease renewal by heartbeats and progress reports.

use protocol::{DeviceId, LeaseId, Timestamp};

use super::collections::JobDevice;
use super::event::unknown_lease;
use super::lease_timeout::StepRate;
use super::phase::{Phase, Run, Stage};
use super::seat::{Occupancy, RoundLease, SeatLeaseState};
use super::{Effect, Machine, MachineSettings, RejectedEvent};
use crate::table::Durability;

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
    ) -> Result<Vec<Effect>, RejectedEvent> {
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
        self.devices.get(&device)?.step_rate
    }

    /// Returns the devices that were seen in this job, with the time of each.
    pub(super) fn seen(&self) -> impl Iterator<Item = (DeviceId, Timestamp)> {
        self.devices.iter().filter_map(|(id, device)| Some((*id, device.seen_at?)))
    }

    /// Notes that a device was seen. A crash may lose it.
    pub(super) fn see(&mut self, device: DeviceId, now: Timestamp) {
        self.change_device(device, Durability::Flush, |row| row.seen_at = Some(now));
    }

    pub(super) fn change_device(
        &mut self,
        device: DeviceId,
        durability: Durability,
        change: impl FnOnce(&mut JobDevice),
    ) {
        self.devices.ensure(device, durability);
        self.devices.change(&device, durability, change);
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
        let Some(record) = self.leases.get(&lease) else { return };
        let (device, seat, state) = (record.device, record.seat, record.state);
        self.see(device, now);
        let free = self.head.stage == Stage::Collecting
            && !paused
            && self.leases.index().held_by(device).is_none()
            && self.seats.get(&seat).is_some_and(|seat| seat.occupancy == Occupancy::Open);
        let (lost, durability) = match state {
            SeatLeaseState::Held => (false, Durability::Flush),
            SeatLeaseState::Lapsed { lost } if free => (lost, Durability::Commit),
            SeatLeaseState::Lapsed { .. } | SeatLeaseState::Returned | SeatLeaseState::Accepted => {
                return;
            }
        };
        let rate = self.step_rate(device);
        let renewed = self
            .leases
            .change(&lease, durability, |record| renew(record, settings, now, renewal, rate));
        let Some(Renewed { measured, is_further, is_held }) = renewed else { return };
        if let Some(measured) = measured {
            let flush = Durability::Flush;
            self.change_device(device, flush, |row| row.step_rate = Some(measured));
        }
        if is_further {
            self.head.moved_at = self.head.moved_at.max(now);
        }
        if is_held && state != SeatLeaseState::Held {
            self.head.leases_lost -= u64::from(lost);
            let held = Occupancy::Leased { lease };
            self.seats.change(&seat, Durability::Derived, |seat| seat.occupancy = held);
        }
    }
}

/// Result of a renewal.
struct Renewed {
    measured: Option<StepRate>,
    /// The lease is further than ever.
    is_further: bool,
    is_held: bool,
}

fn renew(
    record: &mut RoundLease,
    settings: &MachineSettings,
    now: Timestamp,
    renewal: LeaseRenewal,
    rate: Option<StepRate>,
) -> Renewed {
    let before = record.progress.furthest();
    let measured = match renewal {
        LeaseRenewal::Heartbeat { bytes } => {
            record.progress.record_bytes(now, bytes);
            None
        }
        LeaseRenewal::Step { step } => record.progress.record_step(now, step, rate),
        LeaseRenewal::Restart => record.progress.record_step(now, 0, rate),
    };
    let deadline = record.progress.deadline(now, settings.lease_timeout(), measured.or(rate));
    record.deadline = record.deadline.max(deadline);
    record.stepped |= match renewal {
        LeaseRenewal::Step { step } => step > 0,
        LeaseRenewal::Heartbeat { .. } | LeaseRenewal::Restart => false,
    };
    if record.deadline > now {
        record.state = SeatLeaseState::Held;
    }
    let is_held = record.state == SeatLeaseState::Held;
    Renewed { measured, is_further: record.progress.furthest() > before, is_held }
}
