//! Restoring a machine from its stored parts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::{DeviceId, LeaseId};
use serde::{Deserialize, Deserializer};

use super::collections::{Devices, JobDevice, LeaseIndex, Leases, PastLeases, SeatIndex, Seats};
use super::norm_bound::{Norms, usual_steps};
use super::phase::{Phase, Run, RunHead};
use super::seat::{MeanLoss, Occupancy, OpenRound, PastLease, RoundLease, Seat, SeatLeaseState};
use super::state::Journal;
use super::stored::{Head, HeadPhase, HeadRun, StoredRound};
use super::{Machine, MachineSettings, Preparation};

/// A part of a machine is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its {0} is missing")]
pub struct MissingPart(pub &'static str);

/// Stored parts of a machine, from which it is restored.
#[derive(Debug)]
pub struct MachineRows {
    head: Head,
    preparation: Option<Preparation>,
    seats: BTreeMap<u32, Seat>,
    leases: BTreeMap<LeaseId, RoundLease>,
    past_leases: BTreeMap<LeaseId, PastLease>,
    rounds: BTreeMap<u32, StoredRound>,
    devices: BTreeMap<DeviceId, JobDevice>,
}

impl MachineRows {
    /// Returns the parts of a job whose other rows follow. A document of version 5 has all of them.
    pub fn new(head: Head) -> Self {
        Self {
            head,
            preparation: None,
            seats: BTreeMap::new(),
            leases: BTreeMap::new(),
            past_leases: BTreeMap::new(),
            rounds: BTreeMap::new(),
            devices: BTreeMap::new(),
        }
    }

    pub fn set_preparation(&mut self, preparation: Preparation) {
        self.preparation = Some(preparation);
    }

    /// Adds the record of the seat at this index.
    ///
    /// # Errors
    /// If the record can't be read. The same applies to the other rows.
    pub fn add_seat<'de, D: Deserializer<'de>>(
        &mut self,
        index: u32,
        record: D,
    ) -> Result<(), D::Error> {
        self.seats.insert(index, Seat::deserialize(record)?);
        Ok(())
    }

    /// Adds the record of a lease of the open round.
    pub fn add_lease<'de, D: Deserializer<'de>>(
        &mut self,
        lease: LeaseId,
        record: D,
    ) -> Result<(), D::Error> {
        self.leases.insert(lease, RoundLease::deserialize(record)?);
        Ok(())
    }

    /// Adds the record of a lease of an earlier round.
    pub fn add_past_lease<'de, D: Deserializer<'de>>(
        &mut self,
        lease: LeaseId,
        record: D,
    ) -> Result<(), D::Error> {
        self.past_leases.insert(lease, PastLease::deserialize(record)?);
        Ok(())
    }

    /// Adds the record of a round.
    pub fn add_round<'de, D: Deserializer<'de>>(&mut self, record: D) -> Result<(), D::Error> {
        let round = StoredRound::deserialize(record)?;
        self.rounds.insert(round.round.round, round);
        Ok(())
    }

    /// Adds the record of a device.
    pub fn add_device<'de, D: Deserializer<'de>>(
        &mut self,
        device: DeviceId,
        record: D,
    ) -> Result<(), D::Error> {
        self.devices.insert(device, JobDevice::deserialize(record)?);
        Ok(())
    }

    /// Restores the machine.
    ///
    /// # Errors
    /// If a part is missing.
    pub fn machine(mut self) -> Result<Machine, MissingPart> {
        let phase = std::mem::replace(&mut self.head.phase, HeadPhase::Pending);
        let Head { settings, paused, started_at, completed_at, .. } = self.head.clone();
        let phase = match phase {
            HeadPhase::Pending => Phase::Pending,
            HeadPhase::Preparing => Phase::Preparing,
            HeadPhase::Running(run) => Phase::Running(Box::new(self.run(&settings, *run)?)),
            HeadPhase::Finished { ending, run: None } => Phase::Finished { ending, run: None },
            HeadPhase::Finished { ending, run: Some(run) } => {
                let run = Some(Box::new(self.run(&settings, *run)?));
                Phase::Finished { ending, run }
            }
        };
        let journal = Journal::default();
        Ok(Machine { settings, phase, paused, started_at, completed_at, journal })
    }

    fn run(mut self, settings: &MachineSettings, mut head: HeadRun) -> Result<Run, MissingPart> {
        self.take_version_5(&mut head);
        self.occupy_seats()?;
        let preparation = self.preparation.take().ok_or(MissingPart("preparation"))?;
        let norms = self.rounds.iter_mut().map(|(number, round)| {
            let norms = std::mem::take(&mut round.norms);
            (*number, norms)
        });
        let norms = Norms::stored(norms);
        let (_, current) = self.rounds.pop_last().ok_or(MissingPart("round"))?;
        let history = self.rounds.into_values().map(|round| round.round).collect();
        let number = head.round.number;
        let short = |of: fn(&JobDevice) -> Option<u32>| {
            let devices = self.devices.iter().filter(|(_, device)| of(device) == Some(number));
            Arc::new(devices.map(|(id, _)| *id).collect::<BTreeSet<DeviceId>>())
        };
        let round = OpenRound {
            number,
            base: head.round.base,
            closes_at: head.round.closes_at,
            overdue: head.round.overdue,
            short_of_memory: short(|device| device.short_of_memory),
            short_of_disk: short(|device| device.short_of_disk),
            loss: head.round.loss.unwrap_or_else(|| loss_of(&self.seats)),
        };
        let index = SeatIndex::new(self.past_leases.values(), number.saturating_sub(1));
        Ok(Run {
            usual_steps: usual_steps(settings, &preparation),
            preparation: Arc::new(preparation),
            parameters: head.parameters,
            head: RunHead {
                binding: head.binding,
                stage: head.stage,
                round,
                history: Arc::new(history),
                current: current.round,
                leases_lost: head.leases_lost,
                moved_at: head.moved_at,
                longest_lease: head.longest_lease,
                norms: Arc::new(norms),
                closing: head.closing,
            },
            seats: Seats::stored(self.seats, index),
            leases: Leases::stored(self.leases, LeaseIndex::default()),
            past_leases: PastLeases::stored(self.past_leases, ()),
            devices: Devices::stored(self.devices, ()),
            unwritten_rounds: BTreeSet::new(),
            is_preparation_unwritten: false,
        })
    }

    /// Marks the seats of held leases, because the grant of a lease does not write its seat.
    fn occupy_seats(&mut self) -> Result<(), MissingPart> {
        for seat in self.seats.values_mut() {
            if let Occupancy::Leased { .. } = seat.occupancy {
                seat.occupancy = Occupancy::Open;
            }
        }
        let held = self.leases.iter().filter(|(_, record)| record.state == SeatLeaseState::Held);
        for (lease, record) in held {
            let seat = self.seats.get_mut(&record.seat).ok_or(MissingPart("seat"))?;
            seat.occupancy = Occupancy::Leased { lease: *lease };
        }
        Ok(())
    }

    /// Adds the collections of a document of version 5.
    fn take_version_5(&mut self, head: &mut HeadRun) {
        self.preparation = self.preparation.take().or(head.preparation.take());
        self.seats.extend((0..).zip(std::mem::take(&mut head.round.seats)));
        self.leases.append(&mut head.round.leases);
        self.past_leases.append(&mut head.past_leases);
        for (device, at) in std::mem::take(&mut head.seen) {
            self.devices.entry(device).or_default().seen_at = Some(at);
        }
        for (device, rate) in std::mem::take(&mut head.step_rates) {
            self.devices.entry(device).or_default().step_rate = Some(rate);
        }
        let number = Some(head.round.number);
        for device in std::mem::take(&mut head.round.short_of_memory) {
            self.devices.entry(device).or_default().short_of_memory = number;
        }
        for device in std::mem::take(&mut head.round.short_of_disk) {
            self.devices.entry(device).or_default().short_of_disk = number;
        }
        let history = std::mem::take(&mut head.history).into_iter();
        let rounds = history.map(|round| (round.round, StoredRound { round, norms: Vec::new() }));
        self.rounds.extend(rounds);
        // They belong to the last rounds that closed with updates.
        let norms = std::mem::take(&mut head.norms.rounds).into_iter().rev();
        let closed = self.rounds.values_mut().rev().filter(|it| it.round.median_norm.is_some());
        for (round, norms) in closed.zip(norms) {
            round.norms = norms;
        }
    }
}

/// Returns the mean loss of the updates in these seats.
fn loss_of(seats: &BTreeMap<u32, Seat>) -> MeanLoss {
    let mut mean = MeanLoss::default();
    for (rows, report) in seats.values().filter_map(|seat| Some((seat.rows, seat.report()?))) {
        mean.add(rows, report.loss);
    }
    mean
}
