//! Whole jobs in virtual time, with messages dropped, delayed and doubled, trainers that hang, devices
//! that crash and a coordinator that is killed and reloaded: the same updates are aggregated as when nothing happens.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::api::JobStatus;
use protocol::lease::Lease;
use protocol::{RngDomain, SeededRng};
use serde_json::json;

use super::*;

const DEVICES: u64 = 5;
const PARTITIONS: u64 = 7;

/// What is about to happen somewhere.
#[derive(Debug, Clone)]
enum SimulatedEvent {
    /// A device asks for work.
    Ask { device: u64 },
    /// A device's message about a lease arrives; it was sent in this life of the device.
    Arrive { device: u64, life: u32, event: Event, last: bool },
    /// A trainer hangs at this step, and its device goes on saying that it is there.
    Hang { device: u64, life: u32, lease: LeaseId, step: u64 },
    /// A step of the coordinator is done; it was begun in this life of the coordinator.
    Done { life: u32, event: Event },
    /// A device's process is killed and started anew.
    DeviceCrash { device: u64 },
    /// The coordinator is killed and started anew.
    CoordinatorCrash,
}

struct World {
    chance: SeededRng,
    /// Whether things go wrong.
    trouble: bool,
    machine: Machine,
    /// Milliseconds.
    now: i64,
    /// By time and order of planning.
    agenda: BTreeMap<(i64, u64), SimulatedEvent>,
    planned: u64,
    leases: u64,
    lives: BTreeMap<u64, u32>,
    coordinator_life: u32,
    hangs: u32,
    /// Every round's aggregation, once.
    aggregated: Vec<(u32, BlobHash, Vec<WeightedUpdate>)>,
}

impl World {
    fn new(seed: u64, trouble: bool) -> Self {
        let changes = json!({
            "run": {"rounds": 4}, "strategy": {"fraction": 0.8}, "data": {"partitions": PARTITIONS}
        });
        let mut world = Self {
            chance: SeededRng::new(RngDomain::SyntheticData, seed, 0, 0, 0),
            trouble,
            machine: machine(changes),
            now: 0,
            agenda: BTreeMap::new(),
            planned: 0,
            leases: 0,
            lives: BTreeMap::new(),
            coordinator_life: 0,
            hangs: 0,
            aggregated: Vec::new(),
        };
        world.take(Event::Start);
        for device in 1..=DEVICES {
            world.plan(device.cast_signed() * 10, SimulatedEvent::Ask { device });
        }
        if trouble {
            for _ in 0..12 {
                let device = 1 + world.chance.below(DEVICES);
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
        self.chance.below(milliseconds).cast_signed()
    }

    fn goes_wrong(&mut self, share: f64) -> bool {
        self.trouble && self.chance.uniform() < share
    }

    fn plan(&mut self, after: i64, happening: SimulatedEvent) {
        self.planned += 1;
        self.agenda.insert((self.now + after, self.planned), happening);
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_millis(at(0).as_millis() + self.now)
    }

    /// The one writer: handles, stores, and begins what is to be done.
    fn take(&mut self, event: Event) -> Option<Box<Lease>> {
        let effects = self.machine.handle(self.time(), event).ok()?;
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

    fn begin(&mut self, effect: &Effect) {
        let Some(event) = done(effect) else { return };
        let life = self.coordinator_life;
        let times = if self.goes_wrong(0.2) { 2 } else { 1 };
        for _ in 0..times {
            let takes = 500 + self.within(3_000);
            self.plan(takes, SimulatedEvent::Done { life, event: event.clone() });
        }
    }

    fn step(&mut self) {
        let ((when, _), happening) = self.agenda.pop_first().expect("devices always ask again");
        while let Some(deadline) = self.machine.deadline() {
            let due = deadline.as_millis() - at(0).as_millis();
            if due > when {
                break;
            }
            self.now = self.now.max(due);
            self.take(Event::Tick);
        }
        self.now = when;
        match happening {
            SimulatedEvent::Ask { device } => self.ask(device),
            SimulatedEvent::Arrive { device, life, event, last } => {
                if life == self.life(device) {
                    self.take(event);
                    if last {
                        self.plan(100, SimulatedEvent::Ask { device });
                    }
                }
            }
            SimulatedEvent::Hang { device, life, lease, step } => {
                if life == self.life(device) {
                    self.hang(device, life, lease, step);
                }
            }
            SimulatedEvent::Done { life, event } => {
                if life == self.coordinator_life {
                    self.take(event);
                }
            }
            SimulatedEvent::DeviceCrash { device } => {
                *self.lives.entry(device).or_default() += 1;
                let pause = self.within(90_000);
                self.plan(pause, SimulatedEvent::Ask { device });
            }
            SimulatedEvent::CoordinatorCrash => {
                self.coordinator_life += 1;
                self.machine = reload(&self.machine);
                for effect in self.machine.outstanding() {
                    self.begin(&effect);
                }
            }
        }
    }

    fn life(&self, device: u64) -> u32 {
        self.lives.get(&device).copied().unwrap_or_default()
    }

    fn ask(&mut self, device: u64) {
        self.leases += 1;
        let granted = self.take(request(self.leases, device));
        match granted.filter(|_| !self.trouble || self.chance.uniform() >= 0.1) {
            Some(lease) => self.train(device, &lease),
            // Nothing to do, or the answer was lost.
            None => self.plan(1_500, SimulatedEvent::Ask { device }),
        }
    }

    /// Says the same again, until the coordinator says that the lease is over.
    fn hang(&mut self, device: u64, life: u32, lease: LeaseId, step: u64) {
        let (id, progress) = (super::device(device), Progress { step, ..nothing_done() });
        self.take(Event::Renewed { lease, device: id, bytes: 0 });
        self.take(Event::Progressed { lease, device: id, progress });
        if self.machine.lease(lease).is_some() {
            self.plan(5_000, SimulatedEvent::Hang { device, life, lease, step });
        } else {
            self.plan(100, SimulatedEvent::Ask { device });
        }
    }

    /// Sends progress, then the update, a pure function of what the lease says.
    fn train(&mut self, device: u64, lease: &Lease) {
        let life = self.life(device);
        let steps = 1 + self.within(10);
        let send = |world: &mut Self, after: i64, event: Event, last: bool| {
            if world.goes_wrong(0.1) && !last {
                return;
            }
            let late = if world.goes_wrong(0.1) { world.within(200_000) } else { 0 };
            let arrives = SimulatedEvent::Arrive { device, life, event, last };
            world.plan(after + late, arrives);
        };
        if self.goes_wrong(0.05) {
            let step = self.within(10).cast_unsigned();
            let hang = SimulatedEvent::Hang { device, life, lease: lease.id, step };
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
        if self.goes_wrong(0.2) {
            send(self, steps * 2_000 + 400, event.clone(), false);
        }
        if self.goes_wrong(0.1) {
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

/// What the coordinator answers when the step is done; the model is a pure function of it.
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
    fn trouble_changes_the_time_never_the_model(seed in any::<u64>()) {
        let mut calm = World::new(0, false);
        calm.run();
        let mut troubled = World::new(seed, true);
        troubled.run();
        prop_assert_eq!(troubled.machine.status(), JobStatus::Completed);
        prop_assert_eq!(calm.aggregated.len(), 4);
        prop_assert_eq!(&troubled.aggregated, &calm.aggregated);
        prop_assert_eq!(troubled.machine.result(), calm.machine.result());
        prop_assert_eq!(calm.machine.leases_lost(), 0);
    }
}

#[test]
fn the_trouble_is_real() {
    let (mut lost, mut hangs) = (0, 0);
    for seed in 0..20 {
        let mut world = World::new(seed, true);
        world.run();
        lost += world.machine.leases_lost();
        hangs += world.hangs;
    }
    assert!(lost > 20 && hangs > 20, "{lost} leases lost, {hangs} trainers hung");
}
