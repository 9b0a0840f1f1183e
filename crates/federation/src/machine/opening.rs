//! Opening of rounds: the choice of seats, and the first round.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::api::Round;
use protocol::{BlobHash, RngDomain, SeededRng, Timestamp};

use super::collections::{Devices, Leases, PastLeases, SeatIndex, Seats};
use super::norm_bound::usual_steps;
use super::phase::{Binding, Run, RunHead, Stage};
use super::seat::{MeanLoss, Occupancy, OpenRound, Seat};
use super::{MachineSettings, Preparation};

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
        let preparation = Arc::new(preparation);
        let (round, seats) = open_round(settings, &preparation, 1, preparation.base, now);
        let seat_count = count(seats.len());
        let mut run = Self {
            parameters: layout.parameters as u64,
            usual_steps: usual_steps(settings, &preparation),
            preparation,
            head: RunHead {
                binding: Binding::Undecided,
                stage: Stage::Collecting,
                current: opened(round.number, seat_count, now),
                round,
                history: Arc::default(),
                leases_lost: 0,
                moved_at: now,
                longest_lease: Duration::ZERO,
                norms: Arc::default(),
                closing: None,
            },
            seats: Seats::default(),
            leases: Leases::default(),
            past_leases: PastLeases::default(),
            devices: Devices::default(),
            unwritten_rounds: BTreeSet::from([1]),
            is_preparation_unwritten: true,
        };
        run.seats.replace(seats, SeatIndex::default());
        Ok(run)
    }
}

/// Returns the record of a new round.
pub(super) fn opened(number: u32, seats: u32, now: Timestamp) -> Round {
    Round {
        round: number,
        seats,
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
    }
}

pub(super) fn open_round(
    settings: &MachineSettings,
    preparation: &Preparation,
    number: u32,
    base: BlobHash,
    now: Timestamp,
) -> (OpenRound, BTreeMap<u32, Seat>) {
    // An unreadable deadline was refused when the job was created.
    let deadline = settings.spec.round_deadline().ok().flatten();
    let round = OpenRound {
        number,
        base,
        closes_at: deadline.map(|deadline| now.after(deadline.min(LONGEST_DEADLINE))),
        overdue: false,
        short_of_memory: Arc::default(),
        short_of_disk: Arc::default(),
        loss: MeanLoss::default(),
    };
    (round, (0..).zip(select(settings, preparation, number)).collect())
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
pub(super) fn share(fraction: f64, count: usize) -> usize {
    let share = (fraction * count as f64 - 1e-9).ceil();
    (share.max(1.0) as usize).min(count.max(1))
}

pub(super) fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}
