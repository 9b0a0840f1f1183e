//! Decides which process `--chaos` kills, and when. Pure: observations go in, actions come out.
//!
//! A kill counts once an observation confirms that it hit its target; one that missed is planned again. Nothing
//! depends on time: a machine that is slow delays the observations and what follows from them alike. While rounds are
//! plenty, chance picks the moments; once they are scarce, the first moment that fits is taken. A lost lease keeps its
//! round open, so even the last round has a moment for each kill of a worker.

use std::fmt;

use protocol::{LeaseId, RngDomain, SeededRng};

/// Activity of a worker, reduced to what the kills depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Completed steps, and the process id of its trainer.
    Training {
        lease: LeaseId,
        round: u32,
        step: u64,
        trainer: Option<u32>,
    },
    Uploading {
        lease: LeaseId,
    },
    /// The coordinator has acknowledged the update of this lease.
    Reported {
        lease: LeaseId,
    },
    Other,
}

/// Something that the demo has observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Observation {
    Worker {
        worker: usize,
        doing: Doing,
    },
    /// A killed worker has exited, and all of its output has been read.
    WorkerEnded {
        worker: usize,
    },
    /// The coordinator is about to aggregate the updates of this round.
    Aggregating {
        round: u32,
    },
    /// A restarted coordinator has resumed the interrupted aggregation.
    AggregationResumed,
    CoordinatorEnded,
    /// The trainer of this worker was killed. `false` if it had ended before.
    TrainerKilled {
        was_running: bool,
    },
    /// The job at one point in time: how many leases it has lost, and how many of its rounds are closed.
    Job {
        leases_lost: u64,
        closed_rounds: u32,
        rounds: u32,
    },
}

/// An action for the demo to perform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    KillWorker {
        worker: usize,
        why: &'static str,
    },
    StartWorker {
        worker: usize,
    },
    KillTrainer {
        worker: usize,
        pid: u32,
    },
    KillCoordinator {
        round: u32,
    },
    StartCoordinator,
    /// Uploads take twice as long, because a lease ended before its worker was killed. Applies to workers that are
    /// started from now on.
    SlowUploads,
}

/// A planned kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PlannedKill {
    /// Kill a training worker and restart it only after its lease has expired.
    LoseLease,
    /// Kill a training worker and restart it at once; it resumes its lease.
    Interrupt,
    /// Kill only the trainer.
    Trainer,
    /// Kill a worker while it uploads an update.
    Upload,
}

/// State of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WorkerState {
    Alive,
    /// Killed; its exit has not been observed yet.
    Dying {
        kill: PlannedKill,
        lease: LeaseId,
        /// Round of the lease; 0 if it does not matter.
        round: u32,
        reported: bool,
    },
    /// Stays down until a lease has expired, or the round of its lease is closed without that.
    Down {
        round: u32,
        lost_before: u64,
    },
    /// Restarted after a kill during an upload. If it works on the same lease again, the kill hit.
    Verifying {
        lease: LeaseId,
    },
}

/// Number of confirmed kills of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hits {
    pub(super) leases_lost: u64,
    pub(super) interrupted: u32,
    pub(super) trainers: u32,
    pub(super) uploads: u32,
    pub(super) aggregations: u32,
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leases_lost, interrupted, trainers, uploads, aggregations } = self;
        write!(
            f,
            "{leases_lost} leases expired, {interrupted} workers killed while they trained, {trainers} trainers killed, \
             {uploads} workers killed during an upload, {aggregations} aggregations interrupted"
        )
    }
}

/// Number of leases to lose after their first step.
const LEASES_TO_LOSE: u64 = 3;
/// Maximum number of times that uploads are slowed.
const MAXIMUM_SLOWDOWNS: u32 = 4;

#[derive(Debug)]
pub(super) struct Chaos {
    rng: SeededRng,
    workers: Vec<WorkerState>,
    /// Kills that are still to do, in order of preference.
    planned: Vec<PlannedKill>,
    /// Number of opportunities to skip before the next kill, while rounds are plenty.
    skips: u64,
    /// Rounds that are not closed; 0 until known.
    rounds_left: u32,
    /// First round in which the coordinator is killed during aggregation.
    aggregation_from: u32,
    coordinator_is_down: bool,
    /// How often uploads may still be slowed.
    slowdowns_left: u32,
    hits: Hits,
}

impl Chaos {
    pub(super) fn new(seed: u64, workers: usize) -> Self {
        let mut rng = SeededRng::new(RngDomain::Selection, seed, 0, 0, 0);
        let mut planned = vec![
            PlannedKill::LoseLease,
            PlannedKill::LoseLease,
            PlannedKill::LoseLease,
            PlannedKill::Interrupt,
            PlannedKill::Trainer,
            PlannedKill::Upload,
        ];
        rng.shuffle(&mut planned);
        let aggregation_from = 1 + u32::try_from(rng.below(2)).unwrap_or(0);
        Self {
            skips: rng.below(3),
            rng,
            rounds_left: 0,
            workers: vec![WorkerState::Alive; workers],
            planned,
            aggregation_from,
            coordinator_is_down: false,
            slowdowns_left: MAXIMUM_SLOWDOWNS,
            hits: Hits::default(),
        }
    }

    pub(super) fn handle(&mut self, observation: Observation) -> Vec<Action> {
        match observation {
            Observation::Worker { worker, doing } => self.observe_worker(worker, doing),
            Observation::WorkerEnded { worker } => self.worker_exited(worker),
            Observation::Aggregating { round } => self.maybe_kill_coordinator(round),
            Observation::AggregationResumed => {
                self.hits.aggregations += 1;
                Vec::new()
            }
            Observation::CoordinatorEnded if self.coordinator_is_down => {
                self.coordinator_is_down = false;
                vec![Action::StartCoordinator]
            }
            Observation::CoordinatorEnded => Vec::new(),
            Observation::TrainerKilled { was_running: true } => {
                self.hits.trainers += 1;
                Vec::new()
            }
            Observation::TrainerKilled { was_running: false } => {
                self.planned.push(PlannedKill::Trainer);
                Vec::new()
            }
            Observation::Job { leases_lost, closed_rounds, rounds } => {
                self.hits.leases_lost = leases_lost;
                self.rounds_left = rounds.saturating_sub(closed_rounds);
                self.restart_settled(closed_rounds)
            }
        }
    }

    /// Kills that have hit.
    pub(super) fn hits(&self) -> Hits {
        self.hits
    }

    /// Describes the kills that have not hit yet; `None` once all have.
    pub(super) fn missing(&self) -> Option<String> {
        let hits = self.hits;
        let missing: Vec<String> = [
            (hits.leases_lost < LEASES_TO_LOSE)
                .then(|| format!("only {} of {LEASES_TO_LOSE} leases expired", hits.leases_lost)),
            (hits.interrupted == 0).then(|| "no worker was killed while it trained".into()),
            (hits.trainers == 0).then(|| "no trainer was killed".into()),
            (hits.uploads == 0).then(|| "no worker was killed during an upload".into()),
            (hits.aggregations == 0)
                .then(|| "the coordinator was not killed during an aggregation".into()),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }

    fn observe_worker(&mut self, worker: usize, doing: Doing) -> Vec<Action> {
        match self.workers[worker] {
            WorkerState::Alive => self.maybe_kill_worker(worker, doing),
            WorkerState::Dying { kill, lease, round, reported: _ } => {
                // Output from before the kill: the update may have been acknowledged after all.
                if doing == (Doing::Reported { lease }) {
                    self.workers[worker] =
                        WorkerState::Dying { kill, lease, round, reported: true };
                }
                Vec::new()
            }
            WorkerState::Down { .. } => Vec::new(),
            WorkerState::Verifying { lease } => {
                match doing {
                    Doing::Training { lease: seen, .. }
                    | Doing::Uploading { lease: seen }
                    | Doing::Reported { lease: seen } => {
                        self.workers[worker] = WorkerState::Alive;
                        if seen == lease {
                            self.hits.uploads += 1;
                        } else {
                            self.planned.push(PlannedKill::Upload);
                            return self.slow_uploads().into_iter().collect();
                        }
                    }
                    Doing::Other => {}
                }
                Vec::new()
            }
        }
    }

    fn maybe_kill_worker(&mut self, worker: usize, doing: Doing) -> Vec<Action> {
        let fits = |kill: &PlannedKill| match (kill, doing) {
            (PlannedKill::LoseLease | PlannedKill::Interrupt, Doing::Training { step, .. }) => {
                step > 0
            }
            (PlannedKill::Trainer, Doing::Training { step, trainer, .. }) => {
                step > 0 && trainer.is_some()
            }
            (PlannedKill::Upload, Doing::Uploading { .. }) => true,
            (
                PlannedKill::LoseLease
                | PlannedKill::Interrupt
                | PlannedKill::Trainer
                | PlannedKill::Upload,
                _,
            ) => false,
        };
        // At most one lease is being lost at a time, so that other workers keep training.
        let is_losing = self.workers.iter().any(|state| {
            matches!(
                state,
                WorkerState::Down { .. } | WorkerState::Dying { kill: PlannedKill::LoseLease, .. }
            )
        });
        let may = |kill: &PlannedKill| !(is_losing && *kill == PlannedKill::LoseLease);
        let Some(chosen) = self.planned.iter().position(|kill| fits(kill) && may(kill)) else {
            return Vec::new();
        };
        if self.coordinator_is_down {
            return Vec::new();
        }
        if self.skips > 0 && self.has_rounds_to_spare() {
            self.skips -= 1;
            return Vec::new();
        }
        self.skips = self.rng.below(4);
        let kill = self.planned.remove(chosen);
        let (lease, round, why) = match (doing, kill) {
            (Doing::Training { trainer: Some(pid), .. }, PlannedKill::Trainer) => {
                return vec![Action::KillTrainer { worker, pid }];
            }
            (Doing::Training { lease, round, .. }, PlannedKill::LoseLease) => {
                (lease, round, "to lose its lease")
            }
            (Doing::Training { lease, round, .. }, _) => (lease, round, "while it trained"),
            (Doing::Uploading { lease } | Doing::Reported { lease }, _) => {
                (lease, 0, "during its upload")
            }
            (Doing::Other, _) => return Vec::new(),
        };
        self.workers[worker] = WorkerState::Dying { kill, lease, round, reported: false };
        vec![Action::KillWorker { worker, why }]
    }

    /// Whether there are more rounds than kills to do, so that a moment may be left to a later one.
    fn has_rounds_to_spare(&self) -> bool {
        let kills = u32::try_from(self.planned.len()).unwrap_or(u32::MAX);
        self.rounds_left > kills.saturating_add(1)
    }

    fn worker_exited(&mut self, worker: usize) -> Vec<Action> {
        let WorkerState::Dying { kill, lease, round, reported } = self.workers[worker] else {
            return Vec::new();
        };
        if reported {
            // The update was acknowledged before the kill.
            self.planned.push(kill);
            self.workers[worker] = WorkerState::Alive;
            let slow = self.slow_uploads();
            return slow.into_iter().chain([Action::StartWorker { worker }]).collect();
        }
        self.workers[worker] = match kill {
            PlannedKill::LoseLease => {
                let lost_before = self.hits.leases_lost;
                self.workers[worker] = WorkerState::Down { round, lost_before };
                return Vec::new();
            }
            PlannedKill::Interrupt => {
                self.hits.interrupted += 1;
                WorkerState::Alive
            }
            PlannedKill::Upload => WorkerState::Verifying { lease },
            PlannedKill::Trainer => WorkerState::Alive,
        };
        vec![Action::StartWorker { worker }]
    }

    /// Starts the worker again whose lease is settled: it has expired, or its round is closed without that, because
    /// the coordinator had acknowledged the update.
    fn restart_settled(&mut self, closed_rounds: u32) -> Vec<Action> {
        let mut actions = Vec::new();
        for worker in 0..self.workers.len() {
            let WorkerState::Down { round, lost_before } = self.workers[worker] else { continue };
            let has_expired = self.hits.leases_lost > lost_before;
            if has_expired || closed_rounds >= round {
                if !has_expired {
                    self.planned.push(PlannedKill::LoseLease);
                    actions.extend(self.slow_uploads());
                }
                self.workers[worker] = WorkerState::Alive;
                actions.push(Action::StartWorker { worker });
            }
        }
        actions
    }

    /// Slows uploads after a kill that came too late, so that the next one has more time.
    fn slow_uploads(&mut self) -> Option<Action> {
        self.slowdowns_left = self.slowdowns_left.checked_sub(1)?;
        Some(Action::SlowUploads)
    }

    fn maybe_kill_coordinator(&mut self, round: u32) -> Vec<Action> {
        let is_due = round >= self.aggregation_from || !self.has_rounds_to_spare();
        if !is_due || self.hits.aggregations > 0 || self.coordinator_is_down {
            return Vec::new();
        }
        self.coordinator_is_down = true;
        vec![Action::KillCoordinator { round }]
    }
}

#[cfg(test)]
mod tests;
