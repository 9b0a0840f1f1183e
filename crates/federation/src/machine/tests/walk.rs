//! An undisturbed job, and its machine's state at each step.

use protocol::api::JobStatus;
use protocol::lease::UpdateOutcome;
use serde_json::json;

use super::*;

#[test]
fn a_job_runs_from_creation_to_its_model() {
    let mut machine = machine(json!({"run": {"rounds": 2}}));
    assert_eq!(machine.status(), JobStatus::Pending);
    assert_eq!(machine.handle(at(0), Event::Start).unwrap(), [Effect::Prepare]);
    assert_eq!(machine.status(), JobStatus::Preparing);
    assert_eq!(machine.outstanding(), [Effect::Prepare]);
    assert_eq!(machine.started_at(), Some(at(0)));
    machine.handle(at(1), Event::Prepared(Box::new(preparation(2)))).unwrap();
    assert_eq!((machine.status(), machine.round()), (JobStatus::Running, 1));
    assert_eq!(machine.reason().unwrap(), "0 of 2 seats reported; waiting for a device");

    let granted = machine.handle(at(2), request(1, 1)).unwrap();
    let [Effect::Grant(lease)] = &granted[..] else { panic!("{granted:?}") };
    assert_eq!((lease.round, lease.partition, lease.rows), (1, 0, 100));
    assert_eq!((lease.base, lease.deadline), (blob("base"), at(62)));
    assert_eq!(machine.lease_of(device(1)).as_ref(), Some(&**lease));
    assert_eq!(machine.reason().unwrap(), "0 of 2 seats reported, 1 training");

    machine.handle(at(3), request(2, 2)).unwrap();
    let accepted = machine.handle(at(4), update(2, 2, "b")).unwrap();
    let second = WeightedUpdate { partition: 1, blob: blob("b"), rows: 101 };
    assert_eq!(
        accepted,
        [
            Effect::Outcome(UpdateOutcome::Accepted),
            Effect::Accumulate { round: 1, update: second.clone() }
        ]
    );
    assert_eq!(machine.outstanding(), accepted[1..]);
    assert!((machine.progress() - 0.25).abs() < 1e-9);

    let accepted = machine.handle(at(5), update(1, 1, "a")).unwrap();
    let first = WeightedUpdate { partition: 0, blob: blob("a"), rows: 100 };
    let aggregate = Effect::Aggregate {
        round: 1,
        base: blob("base"),
        updates: vec![first, second],
        seat_rows: 201,
    };
    assert_eq!(accepted[2], aggregate);
    assert_eq!(machine.outstanding(), [aggregate]);
    assert_eq!(machine.reason().unwrap(), "aggregating the 2 updates of round 1");

    let evaluate = Effect::Evaluate { round: 1, model: blob("model 1") };
    assert_eq!(machine.handle(at(6), aggregated(1)).unwrap(), [evaluate]);
    assert_eq!(machine.handle(at(7), evaluated(1, 0.7)).unwrap(), []);
    assert_eq!((machine.round(), machine.rounds_closed()), (2, 1));
    let round = machine.history().next().unwrap();
    assert_eq!((round.reported, round.leased, round.examples), (2, 0, 200));
    assert_eq!((round.bytes_up, round.train_loss), (80, Some(0.5)));
    assert_eq!(round.bytes_down, 2 * 4 * machine.parameters().unwrap());
    assert_eq!((round.closed_at, round.model), (Some(at(7)), Some(blob("model 1"))));
    let granted = machine.handle(at(8), request(3, 3)).unwrap();
    let [Effect::Grant(lease)] = &granted[..] else { panic!("{granted:?}") };
    assert_eq!((lease.round, lease.base), (2, blob("model 1")));

    machine.handle(at(8), update(3, 3, "c")).unwrap();
    machine.handle(at(8), request(4, 3)).unwrap();
    machine.handle(at(8), update(4, 3, "d")).unwrap();
    machine.handle(at(9), aggregated(2)).unwrap();
    let register = Effect::Register { model: blob("model 2"), evaluation: Some(quality(0.8)) };
    assert_eq!(machine.handle(at(9), evaluated(2, 0.8)).unwrap(), std::slice::from_ref(&register));
    assert_eq!(machine.outstanding(), [register]);
    machine.handle(at(10), registered()).unwrap();
    assert_eq!(machine.status(), JobStatus::Completed);
    assert_eq!(machine.result(), Some((model_id(), blob("file"))));
    assert_eq!((machine.completed_at(), machine.reason()), (Some(at(10)), None));
    assert_eq!((machine.progress(), machine.leases_lost()), (1.0, 0));
    assert_eq!(machine.outstanding(), []);
}

#[test]
fn the_seed_alone_decides_the_drawn_partitions() {
    let drawn = |seed: u64| {
        let mut machine = machine(json!({"strategy": {"fraction": 0.3}}));
        machine.settings.spec.seed = seed;
        machine.handle(at(0), Event::Start).unwrap();
        machine.handle(at(0), Event::Prepared(Box::new(preparation(10)))).unwrap();
        let mut rounds = Vec::new();
        for round in 1..=3 {
            let effects = fill(&mut machine, at(0), 3);
            let Some(Effect::Aggregate { updates, .. }) = effects.last() else { panic!() };
            rounds.push(updates.iter().map(|update| update.partition).collect::<Vec<_>>());
            machine.handle(at(0), aggregated(round)).unwrap();
            machine.handle(at(0), evaluated(round, 0.5)).unwrap();
        }
        rounds
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    assert!(drawn(1).windows(2).any(|pair| pair[0] != pair[1]));
    assert!(drawn(1).concat().iter().all(|partition| *partition < 10));
}

#[test]
fn an_empty_partition_has_no_seat() {
    let mut machine = machine(json!({}));
    let mut preparation = preparation(3);
    preparation.partitions[1].rows = 0;
    machine.handle(at(0), Event::Start).unwrap();
    machine.handle(at(0), Event::Prepared(Box::new(preparation))).unwrap();
    let effects = fill(&mut machine, at(0), 2);
    let Some(Effect::Aggregate { updates, .. }) = effects.last() else { panic!() };
    assert_eq!(updates.iter().map(|update| update.partition).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn a_device_gets_the_partition_whose_rows_it_already_has() {
    let mut machine = running(3, json!({}));
    for number in [1, 2, 3] {
        machine.handle(at(0), request(number, number)).unwrap();
        machine.handle(at(0), update(number, number, &format!("{number}"))).unwrap();
    }
    machine.handle(at(1), aggregated(1)).unwrap();
    machine.handle(at(1), evaluated(1, 0.5)).unwrap();
    machine.handle(at(2), request(13, 3)).unwrap();
    assert_eq!(machine.lease(lease(13)).unwrap().partition, 2);
}

#[test]
fn a_failed_preparation_fails_the_job_with_its_reason() {
    let mut machine = machine(json!({}));
    machine.handle(at(0), Event::Start).unwrap();
    let mut failed = machine.clone();
    let reason = "the hub is out of reach; set HF_ENDPOINT".to_owned();
    failed.handle(at(1), Event::PreparationFailed { reason: reason.clone() }).unwrap();
    assert_eq!((failed.status(), failed.reason()), (JobStatus::Failed, Some(reason)));
    machine.handle(at(1), Event::Prepared(Box::new(preparation(0)))).unwrap();
    assert_eq!(machine.status(), JobStatus::Failed);
    assert!(machine.reason().unwrap().contains("no training rows"));
}
