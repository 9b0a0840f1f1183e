//! A cluster in a few lines: its observations reach [`Chaos`] late, as on a busy machine, and the kills act on what
//! it does by then.

use std::collections::VecDeque;

use proptest::prelude::*;
use protocol::LeaseId;
use uuid::Uuid;

use super::*;

/// Steps of a lease, ticks of an upload and of an aggregation.
const STEPS: u64 = 12;
const UPLOAD: u64 = 6;
const AGGREGATION: u64 = 6;
/// Ticks after which the lease of a dead worker expires.
const EXPIRY: u64 = 20;
const PARTITIONS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Work {
    None,
    Step(u64),
    Upload(u64),
}

#[derive(Debug, Clone, Copy)]
struct FakeWorker {
    is_alive: bool,
    lease: Option<(LeaseId, usize)>,
    work: Work,
    /// Ticks since it was killed.
    dead_for: u64,
}

struct FakeCluster {
    rounds: u32,
    closed_rounds: u32,
    leases: u128,
    leases_lost: u64,
    done: [bool; PARTITIONS],
    workers: Vec<FakeWorker>,
    upload: u64,
    /// Ticks until the aggregation ends.
    aggregating: Option<u64>,
    coordinator_is_alive: bool,
    observations: VecDeque<Observation>,
    trainer_kills: u32,
}

impl FakeCluster {
    fn new(rounds: u32, workers: usize) -> Self {
        let worker = FakeWorker { is_alive: true, lease: None, work: Work::None, dead_for: 0 };
        let mut cluster = Self {
            rounds,
            closed_rounds: 0,
            leases: 0,
            leases_lost: 0,
            done: [false; PARTITIONS],
            workers: vec![worker; workers],
            upload: UPLOAD,
            aggregating: None,
            coordinator_is_alive: true,
            observations: VecDeque::new(),
            trainer_kills: 0,
        };
        cluster.report_job();
        cluster
    }

    fn is_over(&self) -> bool {
        self.closed_rounds == self.rounds
    }

    fn report_job(&mut self) {
        let Self { leases_lost, closed_rounds, rounds, .. } = *self;
        self.observations.push_back(Observation::Job { leases_lost, closed_rounds, rounds });
    }

    fn report(&mut self, worker: usize, doing: Doing) {
        self.observations.push_back(Observation::Worker { worker, doing });
    }

    fn tick(&mut self) {
        if self.is_over() {
            return;
        }
        for worker in 0..self.workers.len() {
            if self.workers[worker].is_alive {
                self.work(worker);
            } else {
                self.expire(worker);
            }
        }
        if !self.coordinator_is_alive {
            return;
        }
        match self.aggregating {
            Some(0) => {
                self.aggregating = None;
                self.closed_rounds += 1;
                self.done = [false; PARTITIONS];
                self.report_job();
            }
            Some(left) => self.aggregating = Some(left - 1),
            None if self.done == [true; PARTITIONS] => self.aggregate(),
            None => {}
        }
    }

    fn aggregate(&mut self) {
        self.aggregating = Some(AGGREGATION);
        self.observations.push_back(Observation::Aggregating { round: self.closed_rounds + 1 });
    }

    fn work(&mut self, worker: usize) {
        let round = self.closed_rounds + 1;
        let FakeWorker { lease, work, .. } = self.workers[worker];
        let Some((lease, partition)) = lease else { return self.request(worker) };
        let training = |step| Doing::Training { lease, round, step, trainer: Some(100) };
        let work = match work {
            Work::None | Work::Step(STEPS) => {
                self.report(worker, Doing::Uploading { lease });
                Work::Upload(0)
            }
            Work::Step(step) => {
                self.report(worker, training(step + 1));
                Work::Step(step + 1)
            }
            Work::Upload(ticks) if ticks < self.upload => Work::Upload(ticks + 1),
            Work::Upload(_) if self.coordinator_is_alive => {
                self.done[partition] = true;
                self.workers[worker].lease = None;
                self.report(worker, Doing::Reported { lease });
                Work::None
            }
            Work::Upload(ticks) => Work::Upload(ticks),
        };
        self.workers[worker].work = work;
    }

    fn request(&mut self, worker: usize) {
        let is_leased = |partition: &usize| {
            self.workers.iter().any(|it| it.lease.is_some_and(|(_, other)| other == *partition))
        };
        let open =
            (0..PARTITIONS).find(|partition| !self.done[*partition] && !is_leased(partition));
        if let Some(partition) = open
            && self.coordinator_is_alive
        {
            self.leases += 1;
            let lease = LeaseId::from_uuid(Uuid::from_u128(self.leases));
            self.workers[worker].lease = Some((lease, partition));
            self.workers[worker].work = Work::Step(0);
        }
    }

    fn expire(&mut self, worker: usize) {
        self.workers[worker].dead_for += 1;
        if self.workers[worker].dead_for >= EXPIRY
            && self.coordinator_is_alive
            && self.workers[worker].lease.take().is_some()
        {
            self.leases_lost += 1;
            self.report_job();
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::KillWorker { worker, .. } => {
                self.workers[worker].is_alive = false;
                self.workers[worker].dead_for = 0;
                self.observations.push_back(Observation::WorkerEnded { worker });
            }
            Action::StartWorker { worker } => {
                assert!(!self.workers[worker].is_alive, "it runs already");
                self.workers[worker].is_alive = true;
                // It resumes its lease, and an upload from the start.
                if let Work::Upload(_) = self.workers[worker].work {
                    self.workers[worker].work = Work::Step(STEPS);
                }
            }
            Action::KillTrainer { worker, .. } => {
                let was_running = self.workers[worker].is_alive;
                self.trainer_kills += u32::from(was_running);
                self.observations.push_back(Observation::TrainerKilled { was_running });
            }
            Action::KillCoordinator { .. } => {
                self.coordinator_is_alive = false;
                self.observations.push_back(Observation::CoordinatorEnded);
            }
            Action::StartCoordinator => {
                self.coordinator_is_alive = true;
                if self.aggregating.is_some() {
                    self.observations.push_back(Observation::AggregationResumed);
                    self.aggregate();
                }
            }
            Action::SlowUploads => self.upload *= 2,
        }
    }
}

/// Runs a job. Observations arrive up to `lag` ticks late.
fn play(seed: u64, rounds: u32, workers: usize, lag: u64) -> (Chaos, FakeCluster) {
    let mut delays = SeededRng::new(RngDomain::Selection, seed, 1, 0, 0);
    let mut chaos = Chaos::new(seed, workers);
    let mut cluster = FakeCluster::new(rounds, workers);
    for _ in 0..100_000 {
        if cluster.is_over() && cluster.observations.is_empty() {
            return (chaos, cluster);
        }
        for _ in 0..delays.below(lag + 1) {
            cluster.tick();
        }
        // All that has arrived by now, as the demo reads it: without a tick in between.
        while let Some(observation) = cluster.observations.pop_front() {
            for action in chaos.handle(observation) {
                cluster.act(action);
            }
            let losing = chaos.workers.iter().filter(|it| matches!(it, WorkerState::Down { .. }));
            assert!(losing.count() <= 1, "the others keep training");
        }
        if lag == 0 {
            cluster.tick();
        }
    }
    panic!("the job never ends: {chaos:?}");
}

proptest! {
    #[test]
    fn every_kill_hits_within_the_rounds(
        seed: u64, rounds in 8_u32..14, workers in 2_usize..6, lag in 0_u64..4,
    ) {
        let (chaos, cluster) = play(seed, rounds, workers, lag);
        prop_assert_eq!(chaos.missing(), None, "{:?}", chaos);
        prop_assert_eq!(cluster.trainer_kills, 1);
        prop_assert!(chaos.hits().leases_lost == cluster.leases_lost);
    }

    /// Observations so late that most kills miss: the job ends all the same.
    #[test]
    fn a_job_ends_however_late_observations_are(
        seed: u64, rounds in 1_u32..6, workers in 1_usize..4, lag in 0_u64..200,
    ) {
        let (chaos, cluster) = play(seed, rounds, workers, lag);
        prop_assert!(chaos.hits().leases_lost <= cluster.leases_lost);
    }

    /// A lost lease keeps its round open, so one round has a moment for each kill.
    #[test]
    fn one_round_is_enough_for_every_kill(seed: u64, workers in 1_usize..4) {
        let (chaos, _) = play(seed, 1, workers, 0);
        prop_assert_eq!(chaos.missing(), None, "{:?}", chaos);
    }
}

#[test]
fn a_lost_lease_is_waited_for_and_not_timed() {
    let mut chaos = Chaos::new(1, 2);
    chaos.planned = vec![PlannedKill::LoseLease];
    let lease = LeaseId::from_uuid(Uuid::from_u128(1));
    let doing = Doing::Training { lease, round: 3, step: 1, trainer: None };
    let kill = chaos.handle(Observation::Worker { worker: 0, doing });
    assert!(matches!(kill[..], [Action::KillWorker { worker: 0, .. }]), "{kill:?}");
    assert_eq!(chaos.handle(Observation::WorkerEnded { worker: 0 }), []);
    let job =
        |leases_lost, closed_rounds| Observation::Job { leases_lost, closed_rounds, rounds: 9 };
    assert_eq!(chaos.handle(job(0, 2)), [], "neither lost nor settled");
    let mut missed = Chaos { workers: chaos.workers.clone(), ..Chaos::new(1, 2) };
    missed.planned.clear();
    let restarted = [Action::SlowUploads, Action::StartWorker { worker: 0 }];
    assert_eq!(missed.handle(job(0, 3)), restarted);
    assert_eq!(missed.planned, [PlannedKill::LoseLease], "planned again");
    assert_eq!(chaos.handle(job(1, 2)), [Action::StartWorker { worker: 0 }]);
    assert_eq!(chaos.planned, []);
}

#[test]
fn a_trainer_that_had_ended_is_no_hit() {
    let mut chaos = Chaos::new(1, 1);
    chaos.planned.clear();
    chaos.handle(Observation::TrainerKilled { was_running: false });
    assert_eq!((chaos.hits().trainers, &chaos.planned[..]), (0, &[PlannedKill::Trainer][..]));
    chaos.handle(Observation::TrainerKilled { was_running: true });
    assert_eq!(chaos.hits().trainers, 1);
}

#[test]
fn what_has_not_hit_is_listed() {
    let mut chaos = Chaos::new(1, 1);
    let all = chaos.missing().unwrap();
    assert_eq!(all.split(", ").count(), 5, "{all}");
    chaos.hits = Hits { leases_lost: 2, interrupted: 1, trainers: 1, uploads: 1, aggregations: 1 };
    assert_eq!(chaos.missing().as_deref(), Some("only 2 of 3 leases expired"));
    chaos.hits.leases_lost = 3;
    assert_eq!(chaos.missing(), None);
    assert!(chaos.hits().to_string().starts_with("3 leases expired, 1 workers killed"));
}
