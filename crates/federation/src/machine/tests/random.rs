//! Random events at any time: the machine keeps its invariants, every event can be undone, the rows
//! that each commit writes restore the machine, and it always ends while devices keep requesting
//! work.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::api::JobStatus;
use protocol::lease::UpdateOutcome;
use serde_json::json;

use super::*;

const PARTITIONS: u64 = 4;
const DEVICES: u64 = 4;
/// Number of events in a transaction.
const COMMIT: u64 = 2;

/// Event whose ids are filled in from the leases granted so far.
#[derive(Debug, Clone)]
enum Action {
    Wait { seconds: i64 },
    Request { device: u64, arm: bool },
    Progress { lease: u64, device: Option<u64>, step: u64 },
    Heartbeat { lease: u64, bytes: u64 },
    Return { lease: u64, reason: ReturnReason },
    Update { lease: u64, device: Option<u64>, variant: bool },
    Gone { device: u64 },
    Aggregated { round: Option<u32> },
    Evaluated { round: Option<u32> },
    Other(Event),
}

fn action() -> impl Strategy<Value = Action> {
    let lease = || 0_u64..40;
    let device = || 1..=DEVICES;
    let stray = || prop::option::weighted(0.1, 1..=DEVICES);
    let reason = prop_oneof![
        4 => Just(ReturnReason::InUse),
        1 => Just(ReturnReason::Failed),
        1 => Just(ReturnReason::Memory),
        1 => Just(ReturnReason::Disk),
    ];
    prop_oneof![
        12 => (device(), prop::bool::weighted(0.1)).prop_map(|(device, arm)| Action::Request { device, arm }),
        6 => (lease(), stray(), 0_u64..3)
            .prop_map(|(lease, device, step)| Action::Progress { lease, device, step }),
        3 => (lease(), 0_u64..3).prop_map(|(lease, bytes)| Action::Heartbeat { lease, bytes }),
        3 => (lease(), reason).prop_map(|(lease, reason)| Action::Return { lease, reason }),
        14 => (lease(), stray(), prop::bool::weighted(0.1))
            .prop_map(|(lease, device, variant)| Action::Update { lease, device, variant }),
        1 => device().prop_map(|device| Action::Gone { device }),
        4 => (0_i64..50).prop_map(|seconds| Action::Wait { seconds }),
        3 => prop::option::weighted(0.2, 0_u32..4).prop_map(|round| Action::Aggregated { round }),
        3 => prop::option::weighted(0.2, 0_u32..4).prop_map(|round| Action::Evaluated { round }),
        2 => prop_oneof![
            6 => Just(Event::Pause),
            8 => Just(Event::Resume),
            4 => Just(Event::Start),
            4 => Just(Event::Prepared(Box::new(preparation(PARTITIONS)))),
            2 => Just(Event::Complete),
            2 => Just(registered()),
            1 => Just(Event::Cancel),
            1 => Just(Event::StepFailed { reason: "no".to_owned() }),
            1 => Just(Event::PreparationFailed { reason: "no".to_owned() }),
        ].prop_map(Action::Other),
    ]
}

/// A machine and the expected state derived from its effects.
struct World {
    machine: Machine,
    database: Database,
    /// Machine at the last commit.
    committed: Machine,
    handled: u64,
    now: i64,
    /// By lease number: the device, and the round and partition once granted.
    leases: Vec<(u64, Option<(u32, u32)>)>,
    accepted: BTreeMap<(u32, u32), BlobHash>,
    aggregated: BTreeMap<u32, Vec<WeightedUpdate>>,
}

impl World {
    fn new(mut machine: Machine) -> Self {
        machine.commit(usize::MAX);
        Self {
            database: Database::from_machine(&machine),
            committed: machine.clone(),
            handled: 0,
            machine,
            now: 0,
            leases: Vec::new(),
            accepted: BTreeMap::new(),
            aggregated: BTreeMap::new(),
        }
    }

    fn perform(&mut self, action: Action) {
        let event = match action {
            Action::Wait { seconds } => {
                self.now += seconds;
                Event::Tick
            }
            Action::Request { device, arm } => {
                self.leases.push((device, None));
                let number = self.leases.len() as u64 - 1;
                let fingerprint =
                    if arm { fingerprint(Backend::Cpu, "aarch64+neon") } else { cpu() };
                Event::Requested {
                    lease: lease(number),
                    device: super::device(device),
                    fingerprint,
                }
            }
            Action::Progress { lease, device, step } => {
                progress(lease, device.unwrap_or(self.owner(lease)), step)
            }
            Action::Heartbeat { lease, bytes } => heartbeat(lease, self.owner(lease), bytes),
            Action::Return { lease, reason } => returned(lease, self.owner(lease), reason),
            Action::Update { lease, device, variant } => {
                let name = match self.work(lease) {
                    Some((round, partition)) => format!("{round}/{partition}/{variant}"),
                    None => "stray".to_owned(),
                };
                self.update(lease, device.unwrap_or(self.owner(lease)), &name)
            }
            Action::Gone { device } => Event::DeviceGone { device: super::device(device) },
            Action::Aggregated { round } => aggregated(round.unwrap_or(self.machine.round())),
            Action::Evaluated { round } => evaluated(round.unwrap_or(self.machine.round()), 0.5),
            Action::Other(event) => event,
        };
        self.handle(event);
    }

    fn owner(&self, lease: u64) -> u64 {
        usize::try_from(lease)
            .ok()
            .and_then(|at| self.leases.get(at))
            .map_or(1, |(device, _)| *device)
    }

    /// Fingerprint to which the job is bound, so that most updates are accepted.
    fn fingerprint(&self) -> Fingerprint {
        self.machine.fingerprint().cloned().unwrap_or_else(cpu)
    }

    fn update(&self, lease: u64, device: u64, name: &str) -> Event {
        let Event::Updated { lease, device, receipt } = update(lease, device, name) else {
            unreachable!("update makes an update");
        };
        let receipt = Receipt { fingerprint: self.fingerprint(), ..receipt };
        Event::Updated { lease, device, receipt }
    }

    fn work(&self, lease: u64) -> Option<(u32, u32)> {
        self.leases.get(usize::try_from(lease).unwrap())?.1
    }

    #[expect(clippy::needless_pass_by_value, reason = "an event is made where it is handed over")]
    fn handle(&mut self, event: Event) -> Vec<Effect> {
        let before = self.machine.clone();
        let effects = self.machine.handle(at(self.now), event.clone());
        let mut undone = self.machine.clone();
        undone.roll_back();
        assert_eq!(undone, self.committed, "{event:?} was not undone");
        self.handled += 1;
        if self.handled.is_multiple_of(COMMIT) {
            self.commit();
        }
        let Ok(effects) = effects else {
            assert_eq!(self.machine, before, "a rejected {event:?} changed the machine");
            return Vec::new();
        };
        for effect in &effects {
            self.record(&event, effect);
        }
        if matches!(event, Event::Tick) {
            assert!(self.machine.deadline().is_none_or(|deadline| deadline > at(self.now)));
        }
        self.check();
        effects
    }

    /// Writes the changes and continues with the machine that the rows restore.
    fn commit(&mut self) {
        self.database.write(self.machine.changes(usize::MAX));
        let restored = self.database.machine();
        assert_eq!(restored, self.machine);
        assert_eq!(reload(&restored), restored);
        self.committed = restored.clone();
        self.machine = restored;
    }

    fn record(&mut self, event: &Event, effect: &Effect) {
        match (event, effect) {
            (_, Effect::Grant(granted)) => {
                let number = u64::try_from(granted.id.as_uuid().as_u128() & 0xffff).unwrap();
                let work = &mut self.leases[usize::try_from(number).unwrap()].1;
                *work = Some((granted.round, granted.partition));
            }
            (Event::Updated { lease, receipt, .. }, Effect::Outcome(outcome)) => {
                let number = u64::try_from(lease.as_uuid().as_u128() & 0xffff).unwrap();
                let seat = self.work(number).expect("only a granted lease has an outcome");
                match outcome {
                    UpdateOutcome::Accepted => {
                        let first = self.accepted.insert(seat, receipt.blob);
                        assert_eq!(first, None, "seat {seat:?} was reported twice");
                    }
                    UpdateOutcome::Duplicate => {
                        assert_eq!(self.accepted.get(&seat), Some(&receipt.blob));
                    }
                    UpdateOutcome::Superseded => {
                        let same = self.accepted.get(&seat) == Some(&receipt.blob);
                        assert!(!same, "a duplicate was called superseded");
                    }
                }
            }
            (_, Effect::Aggregate { round, updates, seat_rows, .. }) => {
                let all = (0..PARTITIONS).map(|partition| 100 + partition);
                assert_eq!(
                    updates.iter().map(|u| u.rows).collect::<Vec<_>>(),
                    all.clone().collect::<Vec<_>>()
                );
                assert_eq!(*seat_rows, all.sum::<u64>());
                for update in updates {
                    assert_eq!(self.accepted.get(&(*round, update.partition)), Some(&update.blob));
                }
                let before = self.aggregated.insert(*round, updates.clone());
                assert_eq!(before, None, "round {round} was aggregated twice");
            }
            _ => {}
        }
    }

    fn check(&self) {
        let machine = &self.machine;
        let held = (1..=DEVICES + 1).filter_map(|number| machine.lease_of(device(number)));
        let held: Vec<protocol::lease::Lease> = held.collect();
        let longest = at(self.now).after(LEASE_TIMEOUT);
        assert!(held.iter().all(|lease| lease.deadline <= longest), "beyond the lease timeout");
        let seats: Vec<u32> = held.iter().map(|lease| lease.partition).collect();
        let distinct: std::collections::BTreeSet<u32> = seats.iter().copied().collect();
        assert_eq!((distinct.len(), machine.leased_seats()), (seats.len(), seats.len()));
        if machine.status() != JobStatus::Running {
            assert!(seats.is_empty());
        }
        assert!((0.0..=1.0).contains(&machine.progress()));
        assert_eq!(machine.completed_at().is_some(), machine.status().is_final());
        assert_eq!(machine.result().is_some(), machine.status() == JobStatus::Completed);
        if let Some(open) = machine.history().next_back() {
            assert_eq!(open.round, machine.round());
            assert_eq!(open.leased as usize, seats.len());
            let reported = self.accepted.keys().filter(|(round, _)| *round == open.round).count();
            assert_eq!(open.reported as usize, reported);
        }
        let _ = machine.reason();
    }

    /// Runs to the end: devices keep requesting work and the coordinator performs all effects.
    fn run_to_the_end(&mut self) {
        self.handle(Event::Start);
        self.handle(Event::Resume);
        for turn in 0..400 {
            self.now += 1;
            for answer in self.machine.outstanding().iter().filter_map(answer) {
                self.handle(answer);
            }
            self.handle(Event::Tick);
            // The last device is new to the job and has enough memory.
            let requesting = 1 + turn % (DEVICES + 1);
            let number = self.leases.len() as u64;
            self.leases.push((requesting, None));
            let effects = self.handle(Event::Requested {
                lease: lease(number),
                device: device(requesting),
                fingerprint: self.fingerprint(),
            });
            if let [Effect::Grant(granted)] = &effects[..] {
                let number = u64::try_from(granted.id.as_uuid().as_u128() & 0xffff).unwrap();
                let name = format!("{}/{}/false", granted.round, granted.partition);
                self.handle(self.update(number, requesting, &name));
            }
            if self.machine.status().is_final() {
                return;
            }
        }
        panic!("the job did not end: {:?}", self.machine.reason());
    }
}

/// Returns the coordinator's event after an outstanding effect.
fn answer(effect: &Effect) -> Option<Event> {
    match effect {
        Effect::Prepare => Some(Event::Prepared(Box::new(preparation(PARTITIONS)))),
        Effect::Aggregate { round, .. } => Some(aggregated(*round)),
        Effect::Evaluate { round, .. } => Some(evaluated(*round, 0.5)),
        Effect::Register { .. } => Some(registered()),
        Effect::Accumulate { .. }
        | Effect::Grant(_)
        | Effect::Outcome(_)
        | Effect::Nondeterminism { .. }
        | Effect::LeaseEnded { .. } => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_order_of_events_keeps_the_invariants(
        actions in prop::collection::vec(action(), 0..250),
        started in prop::bool::weighted(0.9),
    ) {
        let machine = if started { running(PARTITIONS, json!({})) } else { machine(json!({})) };
        let mut world = World::new(machine);
        for action in actions {
            world.perform(action);
        }
        world.run_to_the_end();
        let status = world.machine.status();
        if status == JobStatus::Completed {
            prop_assert!(world.aggregated.len() >= world.machine.rounds_closed() as usize);
        }
        // No event restarts a job that has ended.
        let ended = world.machine.clone();
        for event in [Event::Start, Event::Pause, Event::Resume, Event::Complete, Event::Cancel] {
            world.handle(event);
        }
        world.handle(Event::Tick);
        prop_assert_eq!(world.machine, ended);
    }
}
