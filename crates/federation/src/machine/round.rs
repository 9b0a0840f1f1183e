//! Closing of rounds, and what follows until the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::api::Round;
use protocol::metrics::EvalMetrics;
use protocol::{BlobHash, DeviceId, Timestamp};

use super::collections::{JobDevice, LeaseIndex, SeatIndex};
use super::opening::{count, open_round, opened, share};
use super::phase::{Closing, Run, Stage};
use super::seat::{Occupancy, PastLease, Seat};
use super::{Effect, LeaseEnd, MachineSettings, RejectedEvent, WeightedUpdate};
use crate::table::Durability;

/// Number of closed rounds whose leases are still known, for late updates.
const REMEMBERED_ROUNDS: u32 = 2;
/// Number of closed rounds whose models a job keeps. A registered model is a separate file.
const KEPT_MODELS: usize = 10;

impl Run {
    /// Returns the open round's record for a change.
    pub(super) fn current(&mut self) -> &mut Round {
        self.unwritten_rounds.insert(self.head.current.round);
        &mut self.head.current
    }

    /// Updates the counts of the open round's record.
    pub(super) fn sync(&mut self) {
        let index = self.seats.index();
        let (reported, leased) = (count(index.reported), count(index.leased));
        let current = &self.head.current;
        if (current.reported, current.leased) != (reported, leased) {
            let current = self.current();
            (current.reported, current.leased) = (reported, leased);
        }
    }

    /// Computes the round's loss once more, in order of partition, so that it does not depend on the
    /// order of arrival.
    pub(super) fn settle_loss(&mut self) {
        let reports = || {
            let seats = self.seats.values();
            seats.filter_map(|seat| seat.report().map(|report| (seat.rows as f64, report)))
        };
        let losses = || reports().filter_map(|(rows, report)| Some((rows, report.loss?)));
        let total: f64 = losses().map(|(rows, _)| rows).sum();
        let loss =
            (total > 0.0).then(|| losses().map(|(rows, loss)| rows / total * loss).sum::<f64>());
        self.current().train_loss = loss;
    }

    /// Counts the download of the round's base model, which a device fetches once per round.
    pub(super) fn count_base(&mut self, device: DeviceId) {
        if self.leases.index().had_lease(device) {
            return;
        }
        let bytes = self.parameters.saturating_mul(4);
        let current = self.current();
        current.bytes_down = current.bytes_down.saturating_add(bytes);
    }

    pub(super) fn tick(
        &mut self,
        settings: &MachineSettings,
        now: Timestamp,
        paused: bool,
    ) -> Vec<Effect> {
        let expired = self.leases.index().expired(now);
        let mut effects: Vec<Effect> =
            expired.into_iter().filter_map(|lease| self.lapse(lease, LeaseEnd::Lapsed)).collect();
        effects.extend(self.close_if_due(settings, now, paused));
        effects
    }

    pub(super) fn device_gone(&mut self, device: DeviceId) -> Vec<Effect> {
        if let Some(known) = self.devices.get(&device) {
            let rest = JobDevice { seen_at: None, step_rate: None, ..known.clone() };
            if rest == JobDevice::default() {
                self.devices.remove(&device);
            } else {
                self.devices.insert(device, rest);
            }
        }
        let held = self.leases.index().held_by(device);
        held.and_then(|lease| self.lapse(lease, LeaseEnd::DeviceGone)).into_iter().collect()
    }

    /// Ends every held lease because of a person's action. They do not count as lost.
    pub(super) fn end_leases(&mut self) -> Vec<Effect> {
        let held = self.leases.index().held();
        held.into_iter().filter_map(|lease| self.lapse(lease, LeaseEnd::Stopped)).collect()
    }

    /// Closes the round if all seats have reported, or if the deadline has passed and enough have.
    pub(super) fn close_if_due(
        &mut self,
        settings: &MachineSettings,
        now: Timestamp,
        paused: bool,
    ) -> Vec<Effect> {
        if self.head.stage != Stage::Collecting {
            return Vec::new();
        }
        let reported = self.seats.index().reported;
        let round = &mut self.head.round;
        round.overdue |= !paused && round.closes_at.is_some_and(|at| at <= now);
        let due = round.overdue && !paused && reported >= self.minimum(settings);
        if reported < self.seats.len() && !due {
            return Vec::new();
        }
        let mut effects = self.give_up_open_seats(LeaseEnd::RoundClosed);
        self.head.stage = Stage::Aggregating;
        effects.push(self.aggregate());
        effects
    }

    fn give_up_open_seats(&mut self, why: LeaseEnd) -> Vec<Effect> {
        let held = self.leases.index().held();
        let effects = held.into_iter().filter_map(|lease| self.lapse(lease, why)).collect();
        let without_update = self.seats.iter().filter(|(_, seat)| seat.report().is_none());
        for seat in without_update.map(|(index, _)| *index).collect::<Vec<_>>() {
            let lost = Occupancy::Lost;
            self.seats.change(&seat, Durability::Commit, |seat| seat.occupancy = lost);
        }
        self.settle_loss();
        effects
    }

    pub(super) fn aggregate(&self) -> Effect {
        Effect::Aggregate {
            round: self.head.round.number,
            base: self.head.round.base,
            updates: self.updates(),
            seat_rows: self.seats.index().rows,
        }
    }

    /// Returns the updates to aggregate, in order of partition.
    pub(super) fn updates(&self) -> Vec<WeightedUpdate> {
        self.seats.values().filter_map(Seat::update).collect()
    }

    /// Returns the blobs that the job needs only while it is open.
    pub(super) fn temporary_blobs(&self) -> impl Iterator<Item = BlobHash> {
        let preparation = &self.preparation;
        let partitions = preparation.partitions.iter().flat_map(|partition| &partition.shards);
        let splits = preparation.test.iter().chain(&preparation.validation);
        let shards = partitions.chain(splits).chain(std::iter::once(&preparation.base)).copied();
        shards.chain(self.updates().into_iter().map(|update| update.blob))
    }

    /// Returns the number of seats that must have reported for the round to close at its deadline.
    pub(super) fn minimum(&self, settings: &MachineSettings) -> usize {
        share(settings.spec.run.minimum_fraction, self.seats.len())
    }

    pub(super) fn aggregated(
        &mut self,
        round: u32,
        model: BlobHash,
    ) -> Result<Vec<Effect>, RejectedEvent> {
        match self.head.stage {
            Stage::Aggregating if round == self.head.round.number => {
                self.head.stage = Stage::Evaluating { model };
                self.current().model = Some(model);
                Ok(vec![Effect::Evaluate { round, model }])
            }
            Stage::Collecting
            | Stage::Aggregating
            | Stage::Evaluating { .. }
            | Stage::Registering { .. } => Err(RejectedEvent::Stale { round }),
        }
    }

    /// Returns the model under evaluation, if it is this round's.
    pub(super) fn evaluating(&self, round: u32) -> Result<BlobHash, RejectedEvent> {
        match self.head.stage {
            Stage::Evaluating { model } if round == self.head.round.number => Ok(model),
            Stage::Collecting
            | Stage::Aggregating
            | Stage::Evaluating { .. }
            | Stage::Registering { .. } => Err(RejectedEvent::Stale { round }),
        }
    }

    /// Closes the round. Also returns the blobs that the job no longer needs.
    pub(super) fn evaluated(
        &mut self,
        settings: &MachineSettings,
        now: Timestamp,
        model: BlobHash,
        test: EvalMetrics,
        validation: Option<&EvalMetrics>,
    ) -> (Vec<Effect>, Vec<BlobHash>) {
        let current = self.current();
        current.evaluation = Some(test);
        current.closed_at = Some(now);
        let released = self.release_models();
        self.close_norms();
        let target = settings.spec.run.target_accuracy;
        let reached = validation
            .map(|metrics| metrics.accuracy)
            .filter(|accuracy| target > 0.0 && *accuracy >= target);
        let reached = reached.map(|accuracy| Closing::Target { accuracy });
        self.head.closing = self.head.closing.or(reached);
        if self.head.closing.is_some() || self.head.round.number >= settings.spec.rounds() {
            return (vec![self.register(model)], released);
        }
        self.next_round(settings, model, now);
        (Vec::new(), released)
    }

    /// Forgets the models of old rounds and returns them.
    fn release_models(&mut self) -> Vec<BlobHash> {
        let history = &self.head.history;
        // The open round's model is one of those that are kept.
        let old = history.len().saturating_sub(KEPT_MODELS - 1);
        let first = history[..old].partition_point(|round| round.model.is_none());
        if first == old {
            return Vec::new();
        }
        let rounds = &mut Arc::make_mut(&mut self.head.history)[first..old];
        self.unwritten_rounds.extend(rounds.iter().map(|round| round.round));
        rounds.iter_mut().filter_map(|round| round.model.take()).collect()
    }

    /// Opens the next round. `model` is its base.
    fn next_round(&mut self, settings: &MachineSettings, model: BlobHash, now: Timestamp) {
        self.remember_leases();
        let number = self.head.round.number + 1;
        let (round, seats) = open_round(settings, &self.preparation, number, model, now);
        let record = opened(number, count(seats.len()), now);
        self.unwritten_rounds.insert(number);
        let closed = std::mem::replace(&mut self.head.current, record);
        Arc::make_mut(&mut self.head.history).push(closed);
        let index = SeatIndex::new(self.past_leases.values(), self.head.round.number);
        self.seats.replace(seats, index);
        self.head.round = round;
        self.head.stage = Stage::Collecting;
        self.head.moved_at = now;
    }

    /// Ends the job with the last closed round's model. Returns `None` if no round has closed.
    pub(super) fn complete(&mut self) -> Option<Vec<Effect>> {
        match self.head.stage {
            Stage::Collecting if self.head.round.number == 1 => return None,
            Stage::Collecting => {
                self.head.closing = Some(Closing::Requested);
                let mut effects = self.give_up_open_seats(LeaseEnd::Stopped);
                effects.push(self.register(self.head.round.base));
                return Some(effects);
            }
            // The round already has its updates, so it is finished first.
            Stage::Aggregating | Stage::Evaluating { .. } => {
                self.head.closing = Some(Closing::Requested);
            }
            Stage::Registering { .. } => {}
        }
        Some(Vec::new())
    }

    fn register(&mut self, model: BlobHash) -> Effect {
        self.head.stage = Stage::Registering { model };
        Effect::Register { model, evaluation: self.evaluation().cloned() }
    }

    /// Returns the evaluation of the last closed round.
    pub(super) fn evaluation(&self) -> Option<&EvalMetrics> {
        self.rounds().rev().find_map(|round| round.evaluation.as_ref())
    }

    /// Moves the deadline by the length of the pause. A deadline that had passed before the pause
    /// stays passed.
    pub(super) fn resumed(
        &mut self,
        settings: &MachineSettings,
        since: Timestamp,
        now: Timestamp,
    ) -> Vec<Effect> {
        self.head.moved_at = now;
        let pause = now.since(since.max(self.head.current.opened_at));
        let round = &mut self.head.round;
        round.closes_at = round.closes_at.map(|at| at.after(pause));
        self.close_if_due(settings, now, false)
    }

    /// Keeps the closed round's leases for late updates.
    fn remember_leases(&mut self) {
        let number = self.head.round.number;
        let oldest = (number + 1).saturating_sub(REMEMBERED_ROUNDS);
        let old = self.past_leases.iter().filter(|(_, past)| past.round < oldest);
        for lease in old.map(|(lease, _)| *lease).collect::<Vec<_>>() {
            self.past_leases.remove(&lease);
        }
        for (lease, record) in &self.leases {
            let Some(seat) = self.seats.get(&record.seat) else { continue };
            let past = PastLease {
                round: number,
                partition: seat.partition,
                device: record.device,
                accepted: seat.report().map(|report| report.blob),
            };
            self.past_leases.insert(*lease, past);
        }
        self.leases.replace(BTreeMap::new(), LeaseIndex::default());
    }

    /// Returns the closed rounds, followed by the open one.
    pub(super) fn rounds(&self) -> impl DoubleEndedIterator<Item = &Round> {
        self.head.history.iter().chain(std::iter::once(&self.head.current))
    }
}
