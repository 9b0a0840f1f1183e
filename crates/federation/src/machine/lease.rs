//! Lease requests, returns and updates.

use std::sync::Arc;
use std::time::Duration;

use protocol::fingerprint::Fingerprint;
use protocol::lease::{Lease, ReturnReason, UpdateOutcome};
use protocol::{DeviceId, LeaseId, Timestamp};

use super::event::unknown_lease;
use super::lease_timeout::LeaseProgress;
use super::phase::{Ending, Phase, Run, Stage};
use super::renewal::LeaseRenewal;
use super::seat::{Occupancy, Report, RoundLease, Seat, SeatFailure, SeatLeaseState};
use super::{Effect, LeaseEnd, Machine, MachineSettings, Receipt, RejectedEvent};
use crate::table::Durability;

/// Time, as a multiple of the lease timeout, within which another device must have been seen for a
/// failed seat to be withheld from the device that failed it.
const RECENTLY_SEEN: u32 = 5;
/// A shorter timeout would be shorter than the interval between heartbeats.
const MINIMUM_LEASE_TIMEOUT: Duration = Duration::from_secs(1);

impl MachineSettings {
    pub(super) fn lease_timeout(&self) -> Duration {
        self.lease_timeout.max(MINIMUM_LEASE_TIMEOUT)
    }
}

impl Machine {
    pub(super) fn requested(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        device: DeviceId,
        fingerprint: &Fingerprint,
    ) -> Result<Vec<Effect>, RejectedEvent> {
        match &mut self.phase {
            Phase::Running(run) if self.paused.is_none() => {
                run.requested(&self.settings, now, lease, device, fingerprint)
            }
            Phase::Running(_) | Phase::Pending | Phase::Preparing | Phase::Finished { .. } => {
                Err(RejectedEvent::NothingToDo)
            }
        }
    }

    pub(super) fn returned(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        device: DeviceId,
        reason: ReturnReason,
        detail: Option<String>,
    ) -> Result<Vec<Effect>, RejectedEvent> {
        let failure = match &mut self.phase {
            Phase::Running(run) => match run.locate(lease, device)? {
                Located::Open { seat } => {
                    run.returned(now, lease, seat, reason, detail);
                    run.failure_reason(seat)
                }
                Located::PastLease => None,
            },
            Phase::Finished { run: Some(run), .. } => run.locate(lease, device).map(|_| None)?,
            Phase::Pending | Phase::Preparing | Phase::Finished { run: None, .. } => {
                return Err(unknown_lease(lease));
            }
        };
        Ok(failure.map_or_else(Vec::new, |reason| self.finish(now, Ending::Failed { reason })))
    }

    pub(super) fn updated(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        device: DeviceId,
        receipt: Receipt,
    ) -> Result<Vec<Effect>, RejectedEvent> {
        let paused = self.paused.is_some();
        let over = match &self.phase {
            Phase::Running(_) => false,
            Phase::Pending | Phase::Preparing | Phase::Finished { .. } => true,
        };
        let run = self.phase.run_mut().ok_or_else(|| unknown_lease(lease))?;
        let seat = match run.locate(lease, device)? {
            Located::Open { seat } => seat,
            Located::PastLease => return Ok(vec![run.late_outcome(lease, &receipt)]),
        };
        if let Some(effects) = run.outcome_if_settled(seat, &receipt, over) {
            return Ok(effects);
        }
        run.admit(&self.settings, seat, &receipt)?;
        let mut effects = run.accept(now, lease, seat, receipt);
        run.record_lease_duration(now, lease);
        effects.extend(run.close_if_due(&self.settings, now, paused));
        Ok(effects)
    }
}

/// Round in which a lease was found.
pub(super) enum Located {
    Open { seat: u32 },
    PastLease,
}

impl Run {
    pub(super) fn locate(
        &self,
        lease: LeaseId,
        device: DeviceId,
    ) -> Result<Located, RejectedEvent> {
        let (owner, located) = match (self.leases.get(&lease), self.past_leases.get(&lease)) {
            (Some(record), _) => (record.device, Located::Open { seat: record.seat }),
            (None, Some(past)) => (past.device, Located::PastLease),
            (None, None) => return Err(unknown_lease(lease)),
        };
        if owner == device { Ok(located) } else { Err(RejectedEvent::OtherDevice { lease }) }
    }

    fn requested(
        &mut self,
        settings: &MachineSettings,
        now: Timestamp,
        lease: LeaseId,
        device: DeviceId,
        fingerprint: &Fingerprint,
    ) -> Result<Vec<Effect>, RejectedEvent> {
        let seat = self.seat_for(settings, device, fingerprint, now);
        let seat = seat.ok_or(RejectedEvent::NothingToDo)?;
        if let Some(held) = self.leases.index().held_by(device) {
            // Repeated request: the response was lost, or the device's process restarted.
            self.renewed(settings, now, held, LeaseRenewal::Restart, false);
            return self.grant(settings, held);
        }
        if self.leases.contains_key(&lease) || self.past_leases.contains_key(&lease) {
            return Err(RejectedEvent::NothingToDo);
        }
        let binding = self.head.binding.decided(settings.spec.run.reproducible, fingerprint);
        self.head.binding = binding;
        self.count_base(device);
        let progress = LeaseProgress::started(now);
        let record = RoundLease {
            device,
            seat,
            granted_at: now,
            deadline: progress.deadline(now, settings.lease_timeout(), self.step_rate(device)),
            progress,
            stepped: false,
            state: SeatLeaseState::Held,
        };
        self.leases.insert(lease, record);
        let held = Occupancy::Leased { lease };
        self.seats.change(&seat, Durability::Derived, |seat| seat.occupancy = held);
        self.see(device, now);
        self.grant(settings, lease)
    }

    fn grant(&self, settings: &MachineSettings, id: LeaseId) -> Result<Vec<Effect>, RejectedEvent> {
        let lease = self.lease(settings, id).ok_or(RejectedEvent::NothingToDo)?;
        Ok(vec![Effect::Grant(Box::new(lease))])
    }

    /// Returns the seat that the device would get now: the one it holds, or else an open one. A
    /// partition whose rows the device has from the last round comes first.
    pub(super) fn seat_for(
        &self,
        settings: &MachineSettings,
        device: DeviceId,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> Option<u32> {
        let collecting = self.head.stage == Stage::Collecting;
        let takes = self.head.binding.takes(fingerprint);
        if !collecting || !takes || self.head.round.is_too_much_for(device) {
            return None;
        }
        if let Some(held) = self.leases.index().held_by(device) {
            return self.leases.get(&held).map(|record| record.seat);
        }
        self.seats.index().open_for(device).find(|index| {
            let seat = self.seats.get(index);
            seat.is_some_and(|seat| self.may_try(settings, seat, device, now))
        })
    }

    fn may_try(
        &self,
        settings: &MachineSettings,
        seat: &Seat,
        device: DeviceId,
        now: Timestamp,
    ) -> bool {
        let recently = settings.lease_timeout().saturating_mul(RECENTLY_SEEN);
        let another = |(other, at): (DeviceId, Timestamp)| {
            other != device
                && !seat.failed_on(other)
                && !self.head.round.is_too_much_for(other)
                && now.since(at) <= recently
        };
        !seat.failed_on(device) || !self.seen().any(another)
    }

    fn returned(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        seat: u32,
        reason: ReturnReason,
        detail: Option<String>,
    ) {
        let Some(record) = self.leases.get(&lease) else { return };
        let (device, stepped) = (record.device, record.stepped);
        let held = match record.state {
            SeatLeaseState::Held => true,
            SeatLeaseState::Lapsed { .. } => false,
            SeatLeaseState::Returned | SeatLeaseState::Accepted => return,
        };
        let commit = Durability::Commit;
        self.leases.change(&lease, commit, |record| record.state = SeatLeaseState::Returned);
        self.see(device, now);
        if held {
            let open = Occupancy::Open;
            self.seats.change(&seat, Durability::Derived, |seat| seat.occupancy = open);
        }
        let number = Some(self.head.round.number);
        match reason {
            ReturnReason::Failed => {
                self.head.leases_lost += u64::from(held && stepped);
                let failure = SeatFailure { device, detail, rejected: false };
                self.seats.change(&seat, commit, |seat| seat.failures.push(failure));
            }
            ReturnReason::Memory => {
                Arc::make_mut(&mut self.head.round.short_of_memory).insert(device);
                self.change_device(device, commit, |row| row.short_of_memory = number);
            }
            ReturnReason::Disk => {
                Arc::make_mut(&mut self.head.round.short_of_disk).insert(device);
                self.change_device(device, commit, |row| row.short_of_disk = number);
            }
            ReturnReason::InUse
            | ReturnReason::OnBattery
            | ReturnReason::TooWarm
            | ReturnReason::Scheduled
            | ReturnReason::Paused
            | ReturnReason::Held
            | ReturnReason::ShuttingDown => {}
        }
    }

    /// Returns the reason if the seat failed for good and has no update.
    fn failure_reason(&self, seat: u32) -> Option<String> {
        let seat = self.seats.get(&seat).filter(|seat| seat.report().is_none())?;
        seat.failure_reason(self.head.round.number)
    }

    /// Returns the outcome of an update of an earlier round.
    fn late_outcome(&self, lease: LeaseId, receipt: &Receipt) -> Effect {
        let accepted = self.past_leases.get(&lease).and_then(|past| past.accepted);
        let same = accepted == Some(receipt.blob);
        Effect::Outcome(if same { UpdateOutcome::Duplicate } else { UpdateOutcome::Superseded })
    }

    /// Returns the outcome of an update whose seat no longer needs one, or `None` if it does.
    fn outcome_if_settled(&self, seat: u32, receipt: &Receipt, over: bool) -> Option<Vec<Effect>> {
        let seat = self.seats.get(&seat)?;
        let superseded = Effect::Outcome(UpdateOutcome::Superseded);
        match &seat.occupancy {
            Occupancy::Reported(report) if report.blob == receipt.blob => {
                Some(vec![Effect::Outcome(UpdateOutcome::Duplicate)])
            }
            Occupancy::Reported(report) => {
                let bound = self.head.binding.is_bound();
                let promised = bound && report.fingerprint == receipt.fingerprint;
                let differs = promised.then_some(Effect::Nondeterminism {
                    round: self.head.round.number,
                    partition: seat.partition,
                    first: report.blob,
                    second: receipt.blob,
                });
                Some(std::iter::once(superseded).chain(differs).collect())
            }
            Occupancy::Lost => Some(vec![superseded]),
            Occupancy::Open | Occupancy::Leased { .. } => over.then(|| vec![superseded]),
        }
    }

    /// Gives the seat to the update and ends another device's lease on it.
    fn accept(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        seat: u32,
        receipt: Receipt,
    ) -> Vec<Effect> {
        let mut effects = vec![Effect::Outcome(UpdateOutcome::Accepted)];
        let commit = Durability::Commit;
        let accepted = self.leases.change(&lease, commit, |record| {
            let before = std::mem::replace(&mut record.state, SeatLeaseState::Accepted);
            (before, record.device)
        });
        if let Some((before, device)) = accepted {
            let lost = before == (SeatLeaseState::Lapsed { lost: true });
            self.head.leases_lost -= u64::from(lost);
            self.see(device, now);
        }
        let report = Report::from(receipt);
        let (loss, examples, bytes) = (report.loss, report.examples, report.bytes);
        let reported = self.seats.change(&seat, commit, |seat| {
            let before = std::mem::replace(&mut seat.occupancy, Occupancy::Reported(report));
            (before, seat.update(), seat.rows)
        });
        let Some((before, update, rows)) = reported else { return effects };
        self.head.round.loss.add(rows, loss);
        let mean = self.head.round.loss.mean();
        let round = self.current();
        round.train_loss = mean;
        round.examples += examples;
        round.bytes_up += bytes;
        if let Occupancy::Leased { lease: other } = before
            && other != lease
        {
            effects.extend(self.lapse(other, LeaseEnd::Superseded));
        }
        let round = self.head.round.number;
        effects.extend(update.map(|update| Effect::Accumulate { round, update }));
        effects
    }

    /// Ends a held lease without an action of its device.
    pub(super) fn lapse(&mut self, lease: LeaseId, why: LeaseEnd) -> Option<Effect> {
        let record = self.leases.get(&lease)?;
        match record.state {
            SeatLeaseState::Held => {}
            SeatLeaseState::Lapsed { .. } | SeatLeaseState::Returned | SeatLeaseState::Accepted => {
                return None;
            }
        }
        let lost = why.counts() && record.stepped;
        let (seat, device, after_first_step) = (record.seat, record.device, record.stepped);
        let lapsed = SeatLeaseState::Lapsed { lost };
        self.leases.change(&lease, Durability::Commit, |record| record.state = lapsed);
        self.head.leases_lost += u64::from(lost);
        self.seats.change(&seat, Durability::Derived, |seat| {
            if seat.occupancy == (Occupancy::Leased { lease }) {
                seat.occupancy = Occupancy::Open;
            }
        });
        Some(Effect::LeaseEnded { lease, device, after_first_step, why })
    }

    /// Returns a held lease of the open round as it is sent to its device.
    pub(super) fn lease(&self, settings: &MachineSettings, id: LeaseId) -> Option<Lease> {
        let record = self.leases.get(&id)?;
        if record.state != SeatLeaseState::Held {
            return None;
        }
        let seat = self.seats.get(&record.seat)?;
        let partition = self.preparation.partitions.get(usize::try_from(seat.partition).ok()?)?;
        Some(Lease {
            id,
            job_id: settings.job,
            job_name: settings.spec.name.clone(),
            dataset: settings.spec.dataset.clone(),
            device_id: record.device,
            round: self.head.round.number,
            total_rounds: settings.spec.rounds(),
            partition: seat.partition,
            seed: settings.spec.seed,
            spec: self.preparation.spec.clone(),
            plan: settings.spec.plan(),
            base: self.head.round.base,
            shards: partition.shards.clone(),
            rows: seat.rows,
            granted_at: record.granted_at,
            deadline: record.deadline,
        })
    }
}
