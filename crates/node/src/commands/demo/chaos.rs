//! Who is killed when: decided from what the processes say, told as actions. Nothing here acts.
//!
//! A kill counts only once it is shown to have hit what it was meant to hit; one that missed is
//! tried again later.

use std::time::Duration;

use protocol::{LeaseId, RngDomain, SeededRng, Timestamp};

/// What a worker is doing, as far as chaos cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Steps done so far, and its trainer's process.
    Training {
        lease: LeaseId,
        step: u64,
        trainer: Option<u32>,
    },
    Uploading {
        lease: LeaseId,
    },
    /// The coordinator has acknowledged the lease's update.
    Reported {
        lease: LeaseId,
    },
    Other,
}

/// What there is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Observation {
    Worker {
        worker: usize,
        doing: Doing,
    },
    /// A worker that was killed is gone, and all its words were heard.
    WorkerEnded {
        worker: usize,
    },
    /// The coordinator is about to sum this round's updates.
    Aggregating {
        round: u32,
    },
    /// A restarted coordinator found this round's aggregation undone.
    AggregationResumed,
    CoordinatorEnded,
    /// How many leases the job has lost so far.
    LeasesLost {
        count: u64,
    },
    /// Time has passed.
    Tick,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    KillWorker { worker: usize, why: &'static str },
    StartWorker { worker: usize },
    KillTrainer { worker: usize, pid: u32 },
    KillCoordinator { round: u32 },
    StartCoordinator,
}

/// A kill that is meant to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strike {
    /// A worker that trains, started again only after its lease has lapsed.
    LoseLease,
    /// A worker that trains, started again at once: it goes on with its lease.
    Interrupt,
    /// The trainer alone.
    Trainer,
    /// A worker whose update is on its way.
    Upload,
}

/// What became of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Alive,
    /// Killed; its end was not heard yet.
    Dying {
        strike: Strike,
        lease: LeaseId,
        reported: bool,
    },
    /// Not started again before the lease has lapsed, or this time has come.
    Gone {
        until: Timestamp,
        lost_before: u64,
    },
    /// Started again after a kill in an upload: the same lease again shows that the kill hit.
    Proving {
        lease: LeaseId,
    },
}

/// Kills that hit, against what was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hits {
    pub(super) leases_lost: u64,
    pub(super) interrupted: u32,
    pub(super) trainers: u32,
    pub(super) uploads: u32,
    pub(super) aggregations: u32,
}

/// Leases that are meant to be lost after their first step.
const LEASES_TO_LOSE: u64 = 3;

#[derive(Debug)]
pub(super) struct Chaos {
    chance: SeededRng,
    lease_seconds: u32,
    workers: Vec<Fate>,
    /// What is still meant to happen; the first that fits is taken.
    strikes: Vec<Strike>,
    /// Opportunities to let pass before the next strike.
    patience: u64,
    /// The round from which on the coordinator is killed while it aggregates.
    aggregation_from: u32,
    coordinator_is_down: bool,
    hits: Hits,
}

impl Chaos {
    pub(super) fn new(seed: u64, workers: usize, lease_seconds: u32) -> Self {
        let mut chance = SeededRng::new(RngDomain::Selection, seed, 0, 0, 0);
        let mut strikes = vec![
            Strike::LoseLease,
            Strike::LoseLease,
            Strike::LoseLease,
            Strike::Interrupt,
            Strike::Trainer,
            Strike::Upload,
        ];
        chance.shuffle(&mut strikes);
        let aggregation_from = 1 + u32::try_from(chance.below(2)).unwrap_or(0);
        Self {
            patience: chance.below(3),
            chance,
            lease_seconds,
            workers: vec![Fate::Alive; workers],
            strikes,
            aggregation_from,
            coordinator_is_down: false,
            hits: Hits::default(),
        }
    }

    pub(super) fn handle(&mut self, now: Timestamp, sight: Observation) -> Vec<Action> {
        let mut actions = match sight {
            Observation::Worker { worker, doing } => self.see(worker, doing),
            Observation::WorkerEnded { worker } => self.bury(now, worker),
            Observation::Aggregating { round } => self.strike_coordinator(round),
            Observation::AggregationResumed => {
                self.hits.aggregations += 1;
                Vec::new()
            }
            Observation::CoordinatorEnded if self.coordinator_is_down => {
                self.coordinator_is_down = false;
                vec![Action::StartCoordinator]
            }
            Observation::CoordinatorEnded | Observation::Tick => Vec::new(),
            Observation::LeasesLost { count } => {
                self.hits.leases_lost = count;
                Vec::new()
            }
        };
        actions.extend(self.revive(now));
        actions
    }

    /// What has not hit yet, in words; none once everything has.
    pub(super) fn missing(&self) -> Option<String> {
        let hits = self.hits;
        let missing: Vec<String> = [
            (hits.leases_lost < LEASES_TO_LOSE)
                .then(|| format!("{} of {LEASES_TO_LOSE} leases were lost", hits.leases_lost)),
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

    fn see(&mut self, worker: usize, doing: Doing) -> Vec<Action> {
        match self.workers[worker] {
            Fate::Alive => self.strike_worker(worker, doing),
            Fate::Dying { strike, lease, reported: _ } => {
                // Words from before the kill: the update may have been acknowledged after all.
                if doing == (Doing::Reported { lease }) {
                    self.workers[worker] = Fate::Dying { strike, lease, reported: true };
                }
                Vec::new()
            }
            Fate::Gone { .. } => Vec::new(),
            Fate::Proving { lease } => {
                match doing {
                    Doing::Training { lease: seen, .. } | Doing::Uploading { lease: seen } => {
                        self.workers[worker] = Fate::Alive;
                        if seen == lease {
                            self.hits.uploads += 1;
                        } else {
                            self.strikes.push(Strike::Upload);
                        }
                    }
                    Doing::Reported { .. } | Doing::Other => {}
                }
                Vec::new()
            }
        }
    }

    fn strike_worker(&mut self, worker: usize, doing: Doing) -> Vec<Action> {
        let fits = |strike: &Strike| match (strike, doing) {
            (Strike::LoseLease | Strike::Interrupt, Doing::Training { step, .. }) => step > 0,
            (Strike::Trainer, Doing::Training { step, trainer, .. }) => {
                step > 0 && trainer.is_some()
            }
            (Strike::Upload, Doing::Uploading { .. }) => true,
            (Strike::LoseLease | Strike::Interrupt | Strike::Trainer | Strike::Upload, _) => false,
        };
        // One lease is lost after another, so that somebody is left to train.
        let is_losing = self.workers.iter().any(|fate| {
            matches!(fate, Fate::Gone { .. } | Fate::Dying { strike: Strike::LoseLease, .. })
        });
        let may = |strike: &Strike| !(is_losing && *strike == Strike::LoseLease);
        let Some(chosen) = self.strikes.iter().position(|strike| fits(strike) && may(strike))
        else {
            return Vec::new();
        };
        if self.coordinator_is_down {
            return Vec::new();
        }
        if self.patience > 0 {
            self.patience -= 1;
            return Vec::new();
        }
        self.patience = self.chance.below(4);
        let strike = self.strikes.remove(chosen);
        let (lease, why) = match (doing, strike) {
            (Doing::Training { trainer: Some(pid), .. }, Strike::Trainer) => {
                self.hits.trainers += 1;
                return vec![Action::KillTrainer { worker, pid }];
            }
            (Doing::Training { lease, .. }, Strike::LoseLease) => (lease, "to lose its lease"),
            (Doing::Training { lease, .. }, _) => (lease, "while it trained"),
            (Doing::Uploading { lease } | Doing::Reported { lease }, _) => {
                (lease, "during its upload")
            }
            (Doing::Other, _) => return Vec::new(),
        };
        self.workers[worker] = Fate::Dying { strike, lease, reported: false };
        vec![Action::KillWorker { worker, why }]
    }

    fn bury(&mut self, now: Timestamp, worker: usize) -> Vec<Action> {
        let Fate::Dying { strike, lease, reported } = self.workers[worker] else {
            return Vec::new();
        };
        match strike {
            Strike::LoseLease => {
                // Twice the lease and a little: by then it has lapsed or was reported after all.
                let until = now.after(Duration::from_secs(2 * u64::from(self.lease_seconds) + 2));
                let lost_before = self.hits.leases_lost;
                self.workers[worker] = Fate::Gone { until, lost_before };
                return Vec::new();
            }
            Strike::Interrupt => {
                self.hits.interrupted += 1;
                self.workers[worker] = Fate::Alive;
            }
            Strike::Upload if reported => {
                self.strikes.push(Strike::Upload);
                self.workers[worker] = Fate::Alive;
            }
            Strike::Upload => self.workers[worker] = Fate::Proving { lease },
            Strike::Trainer => self.workers[worker] = Fate::Alive,
        }
        vec![Action::StartWorker { worker }]
    }

    fn revive(&mut self, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        for worker in 0..self.workers.len() {
            let Fate::Gone { until, lost_before } = self.workers[worker] else { continue };
            let has_lapsed = self.hits.leases_lost > lost_before;
            if has_lapsed || now >= until {
                if !has_lapsed {
                    self.strikes.push(Strike::LoseLease);
                }
                self.workers[worker] = Fate::Alive;
                actions.push(Action::StartWorker { worker });
            }
        }
        actions
    }

    fn strike_coordinator(&mut self, round: u32) -> Vec<Action> {
        let is_due = self.hits.aggregations == 0 && round >= self.aggregation_from;
        if !is_due || self.coordinator_is_down {
            return Vec::new();
        }
        self.coordinator_is_down = true;
        vec![Action::KillCoordinator { round }]
    }
}
