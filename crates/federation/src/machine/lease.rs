//! What devices do: ask for a lease, keep it, give it back, report its update.

use std::time::Duration;

use protocol::fingerprint::Fingerprint;
use protocol::lease::{Lease, ReturnReason, UpdateOutcome};
use protocol::{DeviceId, LeaseId, Timestamp};

use super::lease_timeout::LeaseProgress;
use super::phase::{Ending, Phase, Run, Stage};
use super::renewal::LeaseRenewal;
use super::seat::{Occupancy, PastLease, Report, RoundLease, Seat, SeatFailure, SeatLeaseState};
use super::{Effect, LeaseEnd, Machine, MachineSettings, Receipt, Rejection, unknown};

/// A device that failed a seat is kept from it while another that was heard of within so many times
/// the lease patience may try it.
const WAITS_FOR_ANOTHER: u32 = 5;
/// A shorter patience would be shorter than what separates two signs of life.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(1);

impl MachineSettings {
    pub(super) fn lease_timeout(&self) -> Duration {
        self.lease_timeout.max(SHORTEST_PATIENCE)
    }
}

impl Machine {
    pub(super) fn requested(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        device: DeviceId,
        fingerprint: &Fingerprint,
    ) -> Result<Vec<Effect>, Rejection> {
        match &mut self.phase {
            Phase::Running(run) if self.paused.is_none() => {
                run.requested(&self.settings, now, lease, device, fingerprint)
            }
            Phase::Running(_) | Phase::Pending | Phase::Preparing | Phase::Finished { .. } => {
                Err(Rejection::NothingToDo)
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
    ) -> Result<Vec<Effect>, Rejection> {
        let verdict = match &mut self.phase {
            Phase::Running(run) => match run.locate(lease, device)? {
                Located::Open { seat } => {
                    run.returned(now, lease, seat, reason, detail);
                    run.verdict()
                }
                Located::PastLease => None,
            },
            Phase::Finished { run: Some(run), .. } => run.locate(lease, device).map(|_| None)?,
            Phase::Pending | Phase::Preparing | Phase::Finished { run: None, .. } => {
                return Err(unknown(lease));
            }
        };
        Ok(verdict.map_or_else(Vec::new, |reason| self.finish(now, Ending::Failed { reason })))
    }

    pub(super) fn updated(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        device: DeviceId,
        receipt: Receipt,
    ) -> Result<Vec<Effect>, Rejection> {
        let paused = self.paused.is_some();
        let over = match &self.phase {
            Phase::Running(_) => false,
            Phase::Pending | Phase::Preparing | Phase::Finished { .. } => true,
        };
        let run = self.phase.run_mut().ok_or_else(|| unknown(lease))?;
        let seat = match run.locate(lease, device)? {
            Located::Open { seat } => seat,
            Located::PastLease => return Ok(vec![run.late(lease, &receipt)]),
        };
        if let Some(effects) = run.settled(seat, &receipt, over) {
            return Ok(effects);
        }
        run.admit(&self.settings, seat, &receipt)?;
        let mut effects = run.accept(now, lease, seat, receipt);
        run.gave(now, lease);
        effects.extend(run.close_if_due(&self.settings, now, paused));
        Ok(effects)
    }
}

/// Where a lease was found.
pub(super) enum Located {
    Open { seat: usize },
    PastLease,
}

impl Run {
    pub(super) fn locate(&self, lease: LeaseId, device: DeviceId) -> Result<Located, Rejection> {
        let (owner, located) = match (self.round.leases.get(&lease), self.earlier.get(&lease)) {
            (Some(record), _) => (record.device, Located::Open { seat: record.seat }),
            (None, Some(earlier)) => (earlier.device, Located::PastLease),
            (None, None) => return Err(unknown(lease)),
        };
        if owner == device { Ok(located) } else { Err(Rejection::OtherDevice { lease }) }
    }

    fn requested(
        &mut self,
        settings: &MachineSettings,
        now: Timestamp,
        lease: LeaseId,
        device: DeviceId,
        fingerprint: &Fingerprint,
    ) -> Result<Vec<Effect>, Rejection> {
        let seat = self.seat_for(settings, device, fingerprint, now);
        let seat = seat.ok_or(Rejection::NothingToDo)?;
        if let Some((held, _)) = self.round.held_by(device) {
            // Asked again: its answer was lost, or its process started anew.
            self.renewed(settings, now, held, LeaseRenewal::Again, false);
            return self.grant(settings, held);
        }
        if self.round.leases.contains_key(&lease) || self.earlier.contains_key(&lease) {
            return Err(Rejection::NothingToDo);
        }
        self.binding = self.binding.decided(settings.spec.run.reproducible, fingerprint);
        self.count_base(device);
        let headway = LeaseProgress::begun(now);
        let record = RoundLease {
            device,
            seat,
            granted_at: now,
            deadline: headway.deadline(now, settings.lease_timeout(), self.pace(device)),
            headway,
            stepped: false,
            standing: SeatLeaseState::Held,
        };
        self.round.leases.insert(lease, record);
        self.round.seats[seat].occupancy = Occupancy::Leased { lease };
        self.seen.insert(device, now);
        self.grant(settings, lease)
    }

    fn grant(&self, settings: &MachineSettings, id: LeaseId) -> Result<Vec<Effect>, Rejection> {
        let lease = self.lease(settings, id).ok_or(Rejection::NothingToDo)?;
        Ok(vec![Effect::Grant(Box::new(lease))])
    }

    /// The seat that the device would get now: the one it holds, else an open one, first the
    /// partition whose rows it has from the last round.
    pub(super) fn seat_for(
        &self,
        settings: &MachineSettings,
        device: DeviceId,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> Option<usize> {
        let collecting = self.stage == Stage::Collecting;
        if !collecting || !self.binding.takes(fingerprint) || self.round.is_too_much_for(device) {
            return None;
        }
        if let Some((_, record)) = self.round.held_by(device) {
            return Some(record.seat);
        }
        let last_round = self.round.number.saturating_sub(1);
        let of_last_round =
            |earlier: &&PastLease| earlier.device == device && earlier.round == last_round;
        let had: Vec<u32> =
            self.earlier.values().filter(of_last_round).map(|earlier| earlier.partition).collect();
        let open = self.round.seats.iter().enumerate().filter(|(_, seat)| {
            seat.occupancy == Occupancy::Open && self.may_try(settings, seat, device, now)
        });
        open.min_by_key(|(index, seat)| (!had.contains(&seat.partition), *index))
            .map(|(index, _)| index)
    }

    fn may_try(
        &self,
        settings: &MachineSettings,
        seat: &Seat,
        device: DeviceId,
        now: Timestamp,
    ) -> bool {
        let lease_timeout = settings.lease_timeout().saturating_mul(WAITS_FOR_ANOTHER);
        let another = |(other, at): (&DeviceId, &Timestamp)| {
            *other != device
                && !seat.failed_on(*other)
                && !self.round.is_too_much_for(*other)
                && now.since(*at) <= lease_timeout
        };
        !seat.failed_on(device) || !self.seen.iter().any(another)
    }

    fn returned(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        seat: usize,
        reason: ReturnReason,
        detail: Option<String>,
    ) {
        let Some(record) = self.round.leases.get_mut(&lease) else { return };
        let held = match record.standing {
            SeatLeaseState::Held => true,
            SeatLeaseState::Lapsed { .. } => false,
            SeatLeaseState::Returned | SeatLeaseState::Accepted => return,
        };
        record.standing = SeatLeaseState::Returned;
        let (device, stepped) = (record.device, record.stepped);
        self.seen.insert(device, now);
        if held {
            self.round.seats[seat].occupancy = Occupancy::Open;
        }
        match reason {
            ReturnReason::Failed => {
                self.leases_lost += u64::from(held && stepped);
                self.round.seats[seat].failures.push(SeatFailure {
                    device,
                    detail,
                    refused: false,
                });
            }
            ReturnReason::Memory => {
                self.round.short_of_memory.insert(device);
            }
            ReturnReason::Disk => {
                self.round.short_of_disk.insert(device);
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

    fn verdict(&self) -> Option<String> {
        let open = self.round.seats.iter().filter(|seat| seat.report().is_none());
        open.into_iter().find_map(|seat| seat.verdict(self.round.number))
    }

    /// What becomes of an update of an earlier round.
    fn late(&self, lease: LeaseId, receipt: &Receipt) -> Effect {
        let accepted = self.earlier.get(&lease).and_then(|earlier| earlier.accepted);
        let same = accepted == Some(receipt.blob);
        Effect::Outcome(if same { UpdateOutcome::Duplicate } else { UpdateOutcome::Superseded })
    }

    /// What becomes of an update whose seat needs none; none where the seat still does.
    fn settled(&self, seat: usize, receipt: &Receipt, over: bool) -> Option<Vec<Effect>> {
        let seat = &self.round.seats[seat];
        let superseded = Effect::Outcome(UpdateOutcome::Superseded);
        match &seat.occupancy {
            Occupancy::Reported(report) if report.blob == receipt.blob => {
                Some(vec![Effect::Outcome(UpdateOutcome::Duplicate)])
            }
            Occupancy::Reported(report) => {
                let promised = self.binding.is_bound() && report.fingerprint == receipt.fingerprint;
                let differs = promised.then_some(Effect::Nondeterminism {
                    round: self.round.number,
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

    /// Gives the seat to the update; another device that works on it is told.
    fn accept(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        seat: usize,
        receipt: Receipt,
    ) -> Vec<Effect> {
        let mut effects = vec![Effect::Outcome(UpdateOutcome::Accepted)];
        if let Some(record) = self.round.leases.get_mut(&lease) {
            let lost = record.standing == (SeatLeaseState::Lapsed { lost: true });
            record.standing = SeatLeaseState::Accepted;
            self.leases_lost -= u64::from(lost);
            self.seen.insert(record.device, now);
        }
        let place = &mut self.round.seats[seat];
        let was =
            std::mem::replace(&mut place.occupancy, Occupancy::Reported(Report::from(receipt)));
        let update = place.update();
        if let Occupancy::Leased { lease: other } = was
            && other != lease
        {
            effects.extend(self.lapse(other, LeaseEnd::Superseded));
        }
        let round = self.round.number;
        effects.extend(update.map(|update| Effect::Accumulate { round, update }));
        effects
    }

    /// Ends a held lease without its device's doing.
    pub(super) fn lapse(&mut self, lease: LeaseId, why: LeaseEnd) -> Option<Effect> {
        let record = self.round.leases.get_mut(&lease)?;
        match record.standing {
            SeatLeaseState::Held => {}
            SeatLeaseState::Lapsed { .. } | SeatLeaseState::Returned | SeatLeaseState::Accepted => {
                return None;
            }
        }
        let lost = why.counts() && record.stepped;
        record.standing = SeatLeaseState::Lapsed { lost };
        self.leases_lost += u64::from(lost);
        let place = &mut self.round.seats[record.seat];
        if place.occupancy == (Occupancy::Leased { lease }) {
            place.occupancy = Occupancy::Open;
        }
        let (device, after_first_step) = (record.device, record.stepped);
        Some(Effect::LeaseEnded { lease, device, after_first_step, why })
    }

    /// A lease of the open round, as its device knows it; none where it isn't held.
    pub(super) fn lease(&self, settings: &MachineSettings, id: LeaseId) -> Option<Lease> {
        let record = self.round.leases.get(&id)?;
        if record.standing != SeatLeaseState::Held {
            return None;
        }
        let seat = self.round.seats.get(record.seat)?;
        let partition = self.preparation.partitions.get(usize::try_from(seat.partition).ok()?)?;
        Some(Lease {
            id,
            job_id: settings.job,
            job_name: settings.spec.name.clone(),
            dataset: settings.spec.dataset.clone(),
            device_id: record.device,
            round: self.round.number,
            total_rounds: settings.spec.rounds(),
            partition: seat.partition,
            seed: settings.spec.seed,
            spec: self.preparation.spec.clone(),
            plan: settings.spec.plan(),
            base: self.round.base,
            shards: partition.shards.clone(),
            rows: seat.rows,
            granted_at: record.granted_at,
            deadline: record.deadline,
        })
    }
}
