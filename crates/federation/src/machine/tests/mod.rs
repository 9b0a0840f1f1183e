//! Tests of the machine, and their shared helpers.

mod closing;
mod database;
mod leases;
mod norms;
mod random;
mod rejections;
mod simulation;
mod stored;
mod walk;

use std::time::Duration;

use protocol::dataset::SampleShape;
use protocol::fingerprint::{Backend, Fingerprint};
use protocol::job::JobSpec;
use protocol::lease::{Progress, ReturnReason};
use protocol::metrics::{EvalMetrics, TrainMetrics};
use protocol::model::Preset;
use protocol::{BlobHash, DeviceId, JobId, LeaseId, ModelId, Timestamp};
use serde_json::{Value, json};

use super::*;
use database::Database;

const LEASE_TIMEOUT: Duration = Duration::from_mins(1);

fn id(number: u64) -> String {
    format!("00000000-0000-7000-8000-{number:012x}")
}

fn device(number: u64) -> DeviceId {
    id(number).parse().unwrap()
}

fn lease(number: u64) -> LeaseId {
    id(number).parse().unwrap()
}

fn model_id() -> ModelId {
    id(1).parse().unwrap()
}

fn blob(name: &str) -> BlobHash {
    BlobHash::compute(name.as_bytes())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_763_888_400_000 + seconds * 1000)
}

fn cpu() -> Fingerprint {
    fingerprint(Backend::Cpu, "x86_64+avx2")
}

fn fingerprint(backend: Backend, hardware: &str) -> Fingerprint {
    Fingerprint {
        app: "0.1.0".to_owned(),
        burn: "0.22.1".to_owned(),
        backend,
        hardware: hardware.to_owned(),
    }
}

/// Creates a machine for a job of 3 rounds, with these fields of its job file changed.
#[expect(clippy::needless_pass_by_value, reason = "the JSON is written where it is handed over")]
fn machine(changes: Value) -> Machine {
    let mut spec = json!({
        "name": "job", "model_type": "nlp", "dataset": "synthetic",
        "run": {"rounds": 3}, "data": {}, "strategy": {}
    });
    for (section, fields) in changes.as_object().unwrap() {
        let section = spec[section].as_object_mut().unwrap();
        section.extend(fields.as_object().unwrap().clone());
    }
    let spec: JobSpec = serde_json::from_value(spec).unwrap();
    spec.check().unwrap();
    let job = id(7).parse::<JobId>().unwrap();
    Machine::new(MachineSettings { job, spec, lease_timeout: LEASE_TIMEOUT })
}

/// Partitions of 100, 101, 102 … rows.
fn preparation(partitions: u64) -> Preparation {
    let partition = |number: u64| Partition {
        rows: 100 + number,
        shards: vec![blob(&format!("shard {number}"))],
    };
    Preparation {
        spec: Preset::TextBag.spec(SampleShape::Text, 4).unwrap(),
        base: blob("base"),
        partitions: (0..partitions).map(partition).collect(),
        test: vec![blob("test")],
        validation: Vec::new(),
        classes: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
    }
}

/// Creates a machine whose first round is open at time 0.
fn running(partitions: u64, changes: Value) -> Machine {
    let mut machine = machine(changes);
    assert_eq!(machine.handle(at(0), Event::Start).unwrap(), [Effect::Prepare]);
    let prepared = Event::Prepared(Box::new(preparation(partitions)));
    assert_eq!(machine.handle(at(0), prepared).unwrap(), []);
    machine
}

fn request(lease_number: u64, device_number: u64) -> Event {
    Event::Requested {
        lease: lease(lease_number),
        device: device(device_number),
        fingerprint: cpu(),
    }
}

fn progress(lease_number: u64, device_number: u64, step: u64) -> Event {
    let progress = Progress { step, steps: 10, loss: 1.0, examples_per_second: 100.0 };
    Event::Progressed { lease: lease(lease_number), device: device(device_number), progress }
}

fn heartbeat(lease_number: u64, device_number: u64, bytes: u64) -> Event {
    Event::Renewed { lease: lease(lease_number), device: device(device_number), bytes }
}

fn returned(lease_number: u64, device_number: u64, reason: ReturnReason) -> Event {
    Event::Returned {
        lease: lease(lease_number),
        device: device(device_number),
        reason,
        detail: Some("out of paper".to_owned()),
    }
}

fn update(lease_number: u64, device_number: u64, name: &str) -> Event {
    update_of_norm(lease_number, device_number, name, 1.0)
}

fn update_of_norm(lease_number: u64, device_number: u64, name: &str, norm: f64) -> Event {
    let metrics = TrainMetrics { loss: 0.5, steps: 10, examples: 100, seconds: 1.0 };
    let receipt = Receipt { blob: blob(name), bytes: 40, norm, metrics, fingerprint: cpu() };
    Event::Updated { lease: lease(lease_number), device: device(device_number), receipt }
}

fn quality(accuracy: f64) -> EvalMetrics {
    EvalMetrics { accuracy, loss: 1.0 - accuracy, examples: 100, confusion: vec![vec![100]] }
}

fn evaluated(round: u32, accuracy: f64) -> Event {
    Event::Evaluated { round, test: quality(accuracy), validation: None }
}

fn aggregated(round: u32) -> Event {
    Event::Aggregated { round, model: blob(&format!("model {round}")) }
}

fn registered() -> Event {
    Event::Registered { model: model_id(), file: blob("file") }
}

/// Leases every seat of the open round, one device per seat, and reports its update.
fn fill(machine: &mut Machine, now: Timestamp, seats: u64) -> Vec<Effect> {
    let first = u64::from(machine.round()) * 1000;
    let mut last = Vec::new();
    for seat in first..first + seats {
        machine.handle(now, request(seat, seat)).unwrap();
        last = machine.handle(now, update(seat, seat, &format!("update {seat}"))).unwrap();
    }
    last
}

/// Closes a round of `seats`.
fn close(machine: &mut Machine, now: Timestamp, seats: u64) -> Vec<Effect> {
    let round = machine.round();
    fill(machine, now, seats);
    machine.handle(now, aggregated(round)).unwrap();
    machine.handle(now, evaluated(round, 0.5)).unwrap()
}

/// Restores a machine from its rows.
fn reload(machine: &Machine) -> Machine {
    Database::from_machine(machine).machine()
}

/// Effect for the lease and the device with this number.
fn lease_ended(number: u64, after_first_step: bool, why: LeaseEnd) -> Effect {
    Effect::LeaseEnded { lease: lease(number), device: device(number), after_first_step, why }
}
