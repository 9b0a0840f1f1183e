//! Opening and closing of rounds.

use std::time::Duration;

use protocol::api::Round;
use protocol::metrics::EvalMetrics;
use protocol::{BlobHash, DeviceId, LeaseId, RngDomain, SeededRng, Timestamp};

use super::norm_bound::Norms;
use super::phase::{Binding, Closing, Run, Stage};
use super::seat::{Occupancy, OpenRound, PastLease, Seat, SeatLeaseState};
use super::{Effect, LeaseEnd, MachineSettings, Preparation, Rejection};

/// Number of closed rounds whose leases are still known, for late updates.
const REMEMBERED_ROUNDS: u32 = 2;
/// Number of closed rounds whose models a job keeps. A registered model is a separate file.
const KEPT_MODELS: usize = 10;
/// Longest round deadline, because JSON times end in the year 9999.
const LONGEST_DEADLINE: Duration = Duration::from_hours(100 * 365 * 24);

impl Run {
    /// Opens round 1.
    ///
    /// # Errors
    /// The reason as text, if the preparation does not allow a round.
    pub(super) fn open(
        settings: &MachineSettings,
        preparation: Preparation,
        now: Timestamp,
    ) -> Result<Self, String> {
        let layout = preparation.spec.layout().map_err(|error| format!("model: {error}"))?;
        if preparation.partitions.iter().all(|partition| partition.rows == 0) {
            return Err("the dataset has no training rows; choose another dataset or raise \
                        data.train_limit"
                .to_owned());
        }
        let mut run = Self {
            round: open_round(settings, &preparation, 1, preparation.base, now),
            parameters: layout.parameters as u64,
            preparation,
            binding: Binding::Undecided,
            stage: Stage::Collecting,
            past_leases: std::collections::BTreeMap::new(),
            seen: std::collections::BTreeMap::new(),
            step_rates: std::collections::BTreeMap::new(),
            history: Vec::new(),
            leases_lost: 0,
            moved_at: now,
            longest_lease: Duration::ZERO,
            norms: Norms::default(),
            closing: None,
        };
        run.record(now);
        Ok(run)
    }

    /// Appends the open round to the history.
    fn record(&mut self, now: Timestamp) {
        self.history.push(Round {
            round: self.round.number,
            seats: count(self.round.seats.len()),
            reported: 0,
            leased: 0,
            opened_at: now,
            closed_at: None,
            evaluation: None,
            train_loss: None,
            examples: 0,
            bytes_up: 0,
            bytes_down: 0,
            median_norm: None,
            largest_norm: None,
            model: None,
        });
    }

    /// Updates the history's last round.
    pub(super) fn sync(&mut self) {
        let (reported, leased) = (count(self.round.reported()), count(self.round.leased()));
        let Some(last) = self.history.last_mut() else { return };
        if last.round != self.round.number || (last.reported, last.leased) == (reported, leased) {
            return;
        }
        let reports = || {
            let seats = self.round.seats.iter();
            seats.filter_map(|seat| seat.report().map(|report| (seat.rows as f64, report)))
        };
        let losses = || reports().filter_map(|(rows, report)| Some((rows, report.loss?)));
        let total: f64 = losses().map(|(rows, _)| rows).sum();
        last.reported = reported;
        last.leased = leased;
        last.train_loss =
            (total > 0.0).then(|| losses().map(|(rows, loss)| rows / total * loss).sum());
        last.examples = reports().map(|(_, report)| report.examples).sum();
        last.bytes_up = reports().map(|(_, report)| report.bytes).sum();
    }

    /// Counts the download of the round's base model, which a device fetches once per round.
    pub(super) fn count_base(&mut self, device: DeviceId) {
        let fetched = self.round.leases.values().any(|record| record.device == device);
        if let (false, Some(last)) = (fetched, self.history.last_mut()) {
            last.bytes_down = last.bytes_down.saturating_add(self.parameters.saturating_mul(4));
        }
    }

    pub(super) fn tick(
        &mut self,
        settings: &MachineSettings,
        now: Timestamp,
        paused: bool,
    ) -> Vec<Effect> {
        let expired: Vec<LeaseId> = self
            .round
            .leases
            .iter()
            .filter(|(_, record)| record.state == SeatLeaseState::Held && record.deadline <= now)
            .map(|(lease, _)| *lease)
            .collect();
        let mut effects: Vec<Effect> =
            expired.into_iter().filter_map(|lease| self.lapse(lease, LeaseEnd::Lapsed)).collect();
        effects.extend(self.close_if_due(settings, now, paused));
        effects
    }

    pub(super) fn device_gone(&mut self, device: DeviceId) -> Vec<Effect> {
        self.seen.remove(&device);
        self.step_rates.remove(&device);
        let held = self.round.held_by(device).map(|(lease, _)| lease);
        held.and_then(|lease| self.lapse(lease, LeaseEnd::DeviceGone)).into_iter().collect()
    }

    /// Ends every held lease because of a person's action. They do not count as lost.
    pub(super) fn end_leases(&mut self) -> Vec<Effect> {
        let leases: Vec<LeaseId> = self.round.leases.keys().copied().collect();
        leases.into_iter().filter_map(|lease| self.lapse(lease, LeaseEnd::Stopped)).collect()
    }

    /// Closes the round if all seats have reported, or if the deadline has passed and enough have.
    pub(super) fn close_if_due(
        &mut self,
        settings: &MachineSettings,
        now: Timestamp,
        paused: bool,
    ) -> Vec<Effect> {
        if self.stage != Stage::Collecting {
            return Vec::new();
        }
        let reported = self.round.reported();
        self.round.overdue |= !paused && self.round.closes_at.is_some_and(|at| at <= now);
        let due = self.round.overdue && !paused && reported >= self.minimum(settings);
        if reported < self.round.seats.len() && !due {
            return Vec::new();
        }
        let mut effects = self.give_up_open_seats(LeaseEnd::RoundClosed);
        self.stage = Stage::Aggregating;
        effects.push(self.aggregate());
        effects
    }

    fn give_up_open_seats(&mut self, why: LeaseEnd) -> Vec<Effect> {
        let leases: Vec<LeaseId> = self.round.leases.keys().copied().collect();
        let effects = leases.into_iter().filter_map(|lease| self.lapse(lease, why)).collect();
        for seat in &mut self.round.seats {
            if seat.report().is_none() {
                seat.occupancy = Occupancy::Lost;
            }
        }
        effects
    }

    pub(super) fn aggregate(&self) -> Effect {
        Effect::Aggregate {
            round: self.round.number,
            base: self.round.base,
            updates: self.round.updates(),
            seat_rows: self.round.seat_rows(),
        }
    }

    /// Returns the number of seats that must have reported for the round to close at its deadline.
    pub(super) fn minimum(&self, settings: &MachineSettings) -> usize {
        share(settings.spec.run.minimum_fraction, self.round.seats.len())
    }

    pub(super) fn aggregated(
        &mut self,
        round: u32,
        model: BlobHash,
    ) -> Result<Vec<Effect>, Rejection> {
        match self.stage {
            Stage::Aggregating if round == self.round.number => {
                self.stage = Stage::Evaluating { model };
                if let Some(last) = self.history.last_mut() {
                    last.model = Some(model);
                }
                Ok(vec![Effect::Evaluate { round, model }])
            }
            Stage::Collecting
            | Stage::Aggregating
            | Stage::Evaluating { .. }
            | Stage::Registering { .. } => Err(Rejection::Stale { round }),
        }
    }

    /// Returns the model under evaluation, if it is this round's.
    pub(super) fn evaluating(&self, round: u32) -> Result<BlobHash, Rejection> {
        match self.stage {
            Stage::Evaluating { model } if round == self.round.number => Ok(model),
            Stage::Collecting
            | Stage::Aggregating
            | Stage::Evaluating { .. }
            | Stage::Registering { .. } => Err(Rejection::Stale { round }),
        }
    }

    pub(super) fn evaluated(
        &mut self,
        settings: &MachineSettings,
        now: Timestamp,
        model: BlobHash,
        test: EvalMetrics,
        validation: Option<&EvalMetrics>,
    ) -> Vec<Effect> {
        if let Some(last) = self.history.last_mut() {
            last.evaluation = Some(test);
            last.closed_at = Some(now);
        }
        for round in self.history.iter_mut().rev().skip(KEPT_MODELS) {
            round.model = None;
        }
        self.close_norms();
        let target = settings.spec.run.target_accuracy;
        let reached = validation
            .map(|metrics| metrics.accuracy)
            .filter(|accuracy| target > 0.0 && *accuracy >= target);
        self.closing = self.closing.or(reached.map(|accuracy| Closing::Target { accuracy }));
        if self.closing.is_some() || self.round.number >= settings.spec.rounds() {
            return vec![self.register(model)];
        }
        let number = self.round.number + 1;
        let next = open_round(settings, &self.preparation, number, model, now);
        let closed = std::mem::replace(&mut self.round, next);
        self.remember(closed);
        self.stage = Stage::Collecting;
        self.moved_at = now;
        self.record(now);
        Vec::new()
    }

    /// Ends the job with the last closed round's model. Returns `None` if no round has closed.
    pub(super) fn complete(&mut self) -> Option<Vec<Effect>> {
        match self.stage {
            Stage::Collecting if self.round.number == 1 => return None,
            Stage::Collecting => {
                self.closing = Some(Closing::Requested);
                let mut effects = self.give_up_open_seats(LeaseEnd::Stopped);
                effects.push(self.register(self.round.base));
                return Some(effects);
            }
            // The round already has its updates, so it is finished first.
            Stage::Aggregating | Stage::Evaluating { .. } => {
                self.closing = Some(Closing::Requested);
            }
            Stage::Registering { .. } => {}
        }
        Some(Vec::new())
    }

    fn register(&mut self, model: BlobHash) -> Effect {
        self.stage = Stage::Registering { model };
        Effect::Register { model, evaluation: self.evaluation().cloned() }
    }

    /// Returns the evaluation of the last closed round.
    pub(super) fn evaluation(&self) -> Option<&EvalMetrics> {
        self.history.iter().rev().find_map(|round| round.evaluation.as_ref())
    }

    /// Moves the deadline by the length of the pause. A deadline that had passed before the pause
    /// stays passed.
    pub(super) fn resumed(
        &mut self,
        settings: &MachineSettings,
        since: Timestamp,
        now: Timestamp,
    ) -> Vec<Effect> {
        self.moved_at = now;
        let opened_at = self.history.last().map_or(since, |round| round.opened_at);
        let pause = now.since(since.max(opened_at));
        self.round.closes_at = self.round.closes_at.map(|at| at.after(pause));
        self.close_if_due(settings, now, false)
    }

    /// Keeps a closed round's leases for late updates.
    fn remember(&mut self, closed: OpenRound) {
        let oldest = self.round.number.saturating_sub(REMEMBERED_ROUNDS);
        self.past_leases.retain(|_, past| past.round >= oldest);
        let OpenRound { number, seats, leases, .. } = closed;
        self.past_leases.extend(leases.into_iter().filter_map(|(lease, record)| {
            let seat = seats.get(record.seat)?;
            let accepted = seat.report().map(|report| report.blob);
            let past = PastLease {
                round: number,
                partition: seat.partition,
                device: record.device,
                accepted,
            };
            Some((lease, past))
        }));
    }
}

fn open_round(
    settings: &MachineSettings,
    preparation: &Preparation,
    number: u32,
    base: BlobHash,
    now: Timestamp,
) -> OpenRound {
    // An unreadable deadline was refused when the job was created.
    let deadline = settings.spec.round_deadline().ok().flatten();
    OpenRound {
        number,
        base,
        closes_at: deadline.map(|deadline| now.after(deadline.min(LONGEST_DEADLINE))),
        overdue: false,
        seats: select(settings, preparation, number),
        leases: std::collections::BTreeMap::new(),
        short_of_memory: std::collections::BTreeSet::new(),
        short_of_disk: std::collections::BTreeSet::new(),
    }
}

/// Draws the round's seats: a share of the partitions. Empty partitions have no seat.
fn select(settings: &MachineSettings, preparation: &Preparation, round: u32) -> Vec<Seat> {
    let partitions = preparation.partitions.len();
    let mut seats: Vec<Seat> = (0_u32..)
        .zip(&preparation.partitions)
        .filter(|(_, partition)| partition.rows > 0)
        .map(|(number, partition)| Seat {
            partition: number,
            rows: partition.rows,
            occupancy: Occupancy::Open,
            failures: Vec::new(),
        })
        .collect();
    SeededRng::new(RngDomain::Selection, settings.spec.seed, round, 0, 0).shuffle(&mut seats);
    seats.truncate(share(settings.spec.strategy.fraction, partitions));
    seats.sort_unstable_by_key(|seat| seat.partition);
    seats
}

/// Returns ⌈fraction · count⌉, at least 1. Rounding errors just above a whole number are ignored
/// (0.1 · 30 is 3).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and a count of partitions"
)]
fn share(fraction: f64, count: usize) -> usize {
    let share = (fraction * count as f64 - 1e-9).ceil();
    (share.max(1.0) as usize).min(count.max(1))
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}
