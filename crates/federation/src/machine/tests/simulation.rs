//! Simulation of whole jobs in virtual time. Messages are dropped, delayed and duplicated, trainers
//! hang, devices crash, and the coordinator is killed and restored from the rows that it wrote. The
//! same updates are aggregated as in a run without faults.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::api::JobStatus;
use protocol::lease::Lease;
use protocol::{RngDomain, SeededRng};
use serde_json::json;

use super::*;

const DEVICES: u64 = 5;
const PARTITIONS: u64 = 7;
/// Number of events between two flushes of what a crash may lose.
const FLUSH: u64 = 25;

/// Event of the simulation.
#[derive(Debug, Clone)]
enum SimulatedEvent {
    /// A device requests work.
    Request { device: u64 },
    /// A device's message about a lease arrives. It was sent in this incarnation of the device.
    Arrive { device: u64, incarnation: u32, event: Event, last: bool },
    /// A trainer hangs at this step while its device keeps sending heartbeats.
    Hang { device: u64, incarnation: u32, lease: LeaseId, step: u64 },
    /// A step of the coordinator is done. It began in this incarnation of the coordinator.
    Done { incarnation: u32, event: Event },
    /// A device's process is killed and restarted.
    DeviceCrash { device: u64 },
    /// The coordinator is killed and restarted.
    CoordinatorCrash,
}

struct World {
    rng: SeededRng,
    /// Whether faults occur.
    faults: bool,
    machine: Machine,
    database: Database,
    handled: u64,
    /// Current time in milliseconds.
    now: i64,
    /// Planned events by time and order of planning.
    queue: BTreeMap<(i64, u64), SimulatedEvent>,
    planned: u64,
    leases: u64,
    incarnations: BTreeMap<u64, u32>,
    coordinator_incarnation: u32,
    hangs: u32,
    /// Every aggregation, once per round.
    aggregated: Vec<(u32, BlobHash, Vec<WeightedUpdate>)>,
}

impl World {
    fn new(seed: u64, faults: bool) -> Self {
        let changes = json!({
            "run": {"rounds": 4}, "strategy": {"fraction": 0.8}, "data": {"partitions": PARTITIONS}
        });
        let mut world = Self {
            rng: SeededRng::new(RngDomain::SyntheticData, seed, 0, 0, 0),
            faults,
            database: Database::from_machine(&machine(changes.clone())),
            machine: machine(changes),
            handled: 0,
            now: 0,
            queue: BTreeMap::new(),
            planned: 0,
            leases: 0,
            incarnations: BTreeMap::new(),
            coordinator_incarnation: 0,
            hangs: 0,
            aggregated: Vec::new(),
        };
        world.take(Event::Start);
        for device in 1..=DEVICES {
            world.plan(device.cast_signed() * 10, SimulatedEvent::Request { device });
        }
        if faults {
            for _ in 0..12 {
                let device = 1 + world.rng.below(DEVICES);
                let crash = world.within(600_000);
                world.plan(crash, SimulatedEvent::DeviceCrash { device });
            }
            for _ in 0..8 {
                let crash = world.within(600_000);
                world.plan(crash, SimulatedEvent::CoordinatorCrash);
            }
        }
        world
    }

    fn within(&mut self, milliseconds: u64) -> i64 {
        self.rng.below(milliseconds).cast_signed()
    }

    fn fault_occurs(&mut self, share: f64) -> bool {
        self.faults && self.rng.uniform() < share
    }

    fn plan(&mut self, after: i64, event: SimulatedEvent) {
        self.planned += 1;
        self.queue.insert((self.now + after, self.planned), event);
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_millis(at(0).as_millis() + self.now)
    }

    /// Handles and stores an event and begins its effects, as the coordinator's single writer does.
    fn take(&mut self, event: Event) -> Option<Box<Lease>> {
        let may_be_lost = matches!(event, Event::Progressed { .. } | Event::Renewed { .. });
        let effects = self.machine.handle(self.time(), event);
        self.store(may_be_lost);
        let effects = effects.ok()?;
        let mut granted = None;
        for effect in effects {
            if let Effect::Aggregate { round, base, updates, .. } = &effect {
                self.aggregated.push((*round, *base, updates.clone()));
            }
            self.begin(&effect);
            if let Effect::Grant(lease) = effect {
                granted = Some(lease);
            }
        }
        granted
    }

    fn store(&mut self, may_be_lost: bool) {
        self.handled += 1;
        let flush = self.handled.is_multiple_of(FLUSH);
        if may_be_lost && !flush {
            self.machine.keep();
        } else {
            let most = if flush { usize::MAX } else { 0 };
            self.database.write(self.machine.changes(most));
            self.machine.commit(most);
        }
        if flush {
            assert_eq!(self.database.machine(), self.machine);
        }
        assert_eq!(reload(&self.machine), self.machine);
    }

    fn begin(&mut self, effect: &Effect) {
        let Some(event) = done(effect) else { return };
        let incarnation = self.coordinator_incarnation;
        let times = if self.fault_occurs(0.2) { 2 } else { 1 };
        for _ in 0..times {
            let takes = 500 + self.within(3_000);
            self.plan(takes, SimulatedEvent::Done { incarnation, event: event.clone() });
        }
    }

    fn step(&mut self) {
        let ((when, _), planned) = self.queue.pop_first().expect("devices keep requesting work");
        while let Some(deadline) = self.machine.deadline() {
            let due = deadline.as_millis() - at(0).as_millis();
            if due > when {
                break;
            }
            self.now = self.now.max(due);
            self.take(Event::Tick);
        }
        self.now = when;
        match planned {
            SimulatedEvent::Request { device } => self.request(device),
            SimulatedEvent::Arrive { device, incarnation, event, last } => {
                if incarnation == self.incarnation(device) {
                    self.take(event);
                    if last {
                        self.plan(100, SimulatedEvent::Request { device });
                    }
                }
            }
            SimulatedEvent::Hang { device, incarnation, lease, step } => {
                if incarnation == self.incarnation(device) {
                    self.hang(device, incarnation, lease, step);
                }
            }
            SimulatedEvent::Done { incarnation, event } => {
                if incarnation == self.coordinator_incarnation {
                    self.take(event);
                }
            }
            SimulatedEvent::DeviceCrash { device } => {
                *self.incarnations.entry(device).or_default() += 1;
                let pause = self.within(90_000);
                self.plan(pause, SimulatedEvent::Request { device });
            }
            SimulatedEvent::CoordinatorCrash => {
                self.coordinator_incarnation += 1;
                self.machine = self.database.machine();
                for effect in self.machine.outstanding() {
                    self.begin(&effect);
                }
            }
        }
    }

    fn incarnation(&self, device: u64) -> u32 {
        self.incarnations.get(&device).copied().unwrap_or_default()
    }

    fn request(&mut self, device: u64) {
        self.leases += 1;
        let granted = self.take(request(self.leases, device));
        match granted.filter(|_| !self.faults || self.rng.uniform() >= 0.1) {
            Some(lease) => self.train(device, &lease),
            // No work, or the response was lost.
            None => self.plan(1_500, SimulatedEvent::Request { device }),
        }
    }

    /// Repeats the same message until the coordinator has ended the lease.
    fn hang(&mut self, device: u64, incarnation: u32, lease: LeaseId, step: u64) {
        let (id, progress) = (super::device(device), Progress { step, ..nothing_done() });
        self.take(Event::Renewed { lease, device: id, bytes: 0 });
        self.take(Event::Progressed { lease, device: id, progress });
        if self.machine.lease(lease).is_some() {
            self.plan(5_000, SimulatedEvent::Hang { device, incarnation, lease, step });
        } else {
            self.plan(100, SimulatedEvent::Request { device });
        }
    }

    /// Sends progress and then the update, which is a pure function of the lease.
    fn train(&mut self, device: u64, lease: &Lease) {
        let incarnation = self.incarnation(device);
        let steps = 1 + self.within(10);
        let send = |world: &mut Self, after: i64, event: Event, last: bool| {
            if world.fault_occurs(0.1) && !last {
                return;
            }
            let late = if world.fault_occurs(0.1) { world.within(200_000) } else { 0 };
            let arrives = SimulatedEvent::Arrive { device, incarnation, event, last };
            world.plan(after + late, arrives);
        };
        if self.fault_occurs(0.05) {
            let step = self.within(10).cast_unsigned();
            let hang = SimulatedEvent::Hang { device, incarnation, lease: lease.id, step };
            self.hangs += 1;
            self.plan(2_000, hang);
            return;
        }
        for step in 1..=steps {
            let progress = Progress {
                step: step.cast_unsigned(),
                steps: steps.cast_unsigned(),
                loss: 1.0,
                examples_per_second: 1.0,
            };
            let event = Event::Progressed { lease: lease.id, device: lease.device_id, progress };
            send(self, step * 2_000, event, false);
        }
        let metrics = TrainMetrics { loss: 0.5, steps: 1, examples: lease.rows, seconds: 1.0 };
        let name = format!("{} {} {}", lease.round, lease.partition, lease.base);
        let receipt =
            Receipt { blob: blob(&name), bytes: 4, norm: 1.0, metrics, fingerprint: cpu() };
        let event = Event::Updated { lease: lease.id, device: lease.device_id, receipt };
        if self.fault_occurs(0.2) {
            send(self, steps * 2_000 + 400, event.clone(), false);
        }
        if self.fault_occurs(0.1) {
            let reason = ReturnReason::InUse;
            let returned =
                Event::Returned { lease: lease.id, device: lease.device_id, reason, detail: None };
            send(self, steps * 1_000, returned, true);
            return;
        }
        send(self, steps * 2_000 + 500, event, true);
    }

    fn run(&mut self) {
        for _ in 0..100_000 {
            if self.machine.status().is_final() {
                return;
            }
            self.step();
        }
        panic!("the job did not end: {:?}", self.machine.reason());
    }
}

fn nothing_done() -> Progress {
    Progress { step: 0, steps: 10, loss: 1.0, examples_per_second: 1.0 }
}

/// Returns the coordinator's event after a step. The model is a pure function of the effect.
fn done(effect: &Effect) -> Option<Event> {
    match effect {
        Effect::Prepare => Some(Event::Prepared(Box::new(preparation(PARTITIONS)))),
        Effect::Aggregate { round, base, updates, .. } => {
            let model = blob(&format!("{base} {updates:?}"));
            Some(Event::Aggregated { round: *round, model })
        }
        Effect::Evaluate { round, .. } => Some(evaluated(*round, 0.5)),
        Effect::Register { model, .. } => {
            Some(Event::Registered { model: model_id(), file: *model })
        }
        Effect::Accumulate { .. }
        | Effect::Grant(_)
        | Effect::Outcome(_)
        | Effect::Nondeterminism { .. }
        | Effect::LeaseEnded { .. } => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn faults_change_the_time_but_never_the_model(seed in any::<u64>()) {
        let mut calm = World::new(0, false);
        calm.run();
        let mut faulty = World::new(seed, true);
        faulty.run();
        prop_assert_eq!(faulty.machine.status(), JobStatus::Completed);
        prop_assert_eq!(calm.aggregated.len(), 4);
        prop_assert_eq!(&faulty.aggregated, &calm.aggregated);
        prop_assert_eq!(faulty.machine.result(), calm.machine.result());
        prop_assert_eq!(calm.machine.leases_lost(), 0);
    }
}

#[test]
fn faults_do_occur() {
    let (mut lost, mut hangs) = (0, 0);
    for seed in 0..20 {
        let mut world = World::new(seed, true);
        world.run();
        lost += world.machine.leases_lost();
        hangs += world.hangs;
    }
    assert!(lost > 20 && hangs > 20, "{lost} leases lost, {hangs} trainers hung");
}
