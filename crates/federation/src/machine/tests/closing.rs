//! Closing of rounds and jobs: deadlines, pauses, targets and requests.

use protocol::api::JobStatus;
use protocol::lease::UpdateOutcome;
use serde_json::json;

use super::*;

fn outcomes(effects: &[Effect]) -> Vec<UpdateOutcome> {
    let outcome = |effect: &Effect| {
        if let Effect::Outcome(outcome) = effect { Some(*outcome) } else { None }
    };
    effects.iter().filter_map(outcome).collect()
}

#[test]
fn a_round_closes_at_its_deadline_with_the_minimum() {
    let mut machine =
        running(4, json!({"run": {"minimum_fraction": 0.5, "round_deadline": "10m"}}));
    fill(&mut machine, at(0), 2);
    machine.handle(at(590), request(1, 1)).unwrap();
    machine.handle(at(591), progress(1, 1, 1)).unwrap();
    assert_eq!(machine.deadline(), Some(at(600)));
    let effects = machine.handle(at(600), Event::Tick).unwrap();
    let ended = lease_ended(1, true, LeaseEnd::RoundClosed);
    assert_eq!(effects[0], ended);
    let Effect::Aggregate { updates, seat_rows, .. } = &effects[1] else { panic!() };
    assert_eq!((updates.len(), *seat_rows, machine.leases_lost()), (2, 406, 1));
    let late = machine.handle(at(601), update(1, 1, "late")).unwrap();
    assert_eq!(late, [Effect::Outcome(UpdateOutcome::Superseded)]);
}

#[test]
fn below_the_minimum_a_round_waits_past_its_deadline_and_reports_it() {
    let mut machine =
        running(4, json!({"run": {"minimum_fraction": 0.5, "round_deadline": "10m"}}));
    fill(&mut machine, at(0), 1);
    assert_eq!(machine.handle(at(600), Event::Tick).unwrap(), []);
    assert_eq!(machine.deadline(), None);
    assert!(machine.reason().unwrap().contains("the round closes when 2 seats have reported"));
    machine.handle(at(700), request(1, 1)).unwrap();
    let effects = machine.handle(at(701), update(1, 1, "second")).unwrap();
    assert!(matches!(&effects[2], Effect::Aggregate { updates, .. } if updates.len() == 2));
}

#[test]
fn a_pause_ends_leases_grants_none_and_accepts_late_updates() {
    let mut machine = running(2, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(1), progress(1, 1, 3)).unwrap();
    let effects = machine.handle(at(2), Event::Pause).unwrap();
    let ended = lease_ended(1, true, LeaseEnd::Stopped);
    assert_eq!(effects, [ended]);
    assert_eq!((machine.status(), machine.leases_lost()), (JobStatus::Paused, 0));
    assert_eq!(machine.deadline(), None);
    assert!(!machine.offers(device(2), &cpu(), at(3)));
    machine.handle(at(3), progress(1, 1, 4)).unwrap();
    assert_eq!(machine.lease(lease(1)), None);
    assert!(machine.awaits(lease(1), device(1)));
    assert_eq!(
        outcomes(&machine.handle(at(4), update(1, 1, "a")).unwrap()),
        [UpdateOutcome::Accepted]
    );
    assert_eq!(machine.reason().unwrap(), "paused; 1 of 2 seats reported");
    machine.handle(at(5), Event::Resume).unwrap();
    assert_eq!(machine.status(), JobStatus::Running);
    assert!(machine.offers(device(2), &cpu(), at(6)));
}

#[test]
fn a_pause_suspends_the_round_deadline() {
    let mut machine =
        running(4, json!({"run": {"minimum_fraction": 0.5, "round_deadline": "10m"}}));
    fill(&mut machine, at(0), 2);
    machine.handle(at(100), Event::Pause).unwrap();
    assert_eq!(machine.handle(at(5000), Event::Tick).unwrap(), []);
    assert_eq!(machine.handle(at(10_100), Event::Resume).unwrap(), []);
    assert_eq!(machine.deadline(), Some(at(10_600)));
}

#[test]
fn a_paused_job_continues_with_the_coordinator_s_steps() {
    let mut machine = running(1, json!({}));
    fill(&mut machine, at(0), 1);
    machine.handle(at(1), Event::Pause).unwrap();
    machine.handle(at(2), aggregated(1)).unwrap();
    machine.handle(at(3), evaluated(1, 0.5)).unwrap();
    assert_eq!((machine.round(), machine.status()), (2, JobStatus::Paused));
    assert_eq!(machine.handle(at(4), request(9, 9)), Err(RejectedEvent::NothingToDo));
}

#[test]
fn a_job_stops_early_at_its_target() {
    let mut machine = running(1, json!({"run": {"target_accuracy": 0.9}}));
    for (round, accuracy) in [(1, 0.89), (2, 0.9)] {
        fill(&mut machine, at(0), 1);
        machine.handle(at(1), aggregated(round)).unwrap();
        let validation = Some(quality(accuracy));
        machine.handle(at(2), Event::Evaluated { round, test: quality(0.99), validation }).unwrap();
    }
    assert_eq!((machine.rounds_closed(), machine.outstanding().len()), (2, 1));
    machine.handle(at(3), registered()).unwrap();
    assert_eq!(
        machine.reason().unwrap(),
        "stopped after round 2: the validation accuracy of 0.9000 reached the target of 0.9"
    );
}

#[test]
fn completing_registers_the_last_closed_round() {
    let mut machine = running(2, json!({}));
    machine.handle(at(0), Event::Complete).unwrap_err();
    close(&mut machine, at(0), 2);
    fill(&mut machine, at(1), 1);
    machine.handle(at(1), request(1, 1)).unwrap();
    machine.handle(at(1), Event::Pause).unwrap();
    let effects = machine.handle(at(2), Event::Complete).unwrap();
    let register = Effect::Register { model: blob("model 1"), evaluation: Some(quality(0.5)) };
    assert_eq!(effects, [register]);
    let late = machine.handle(at(3), update(1, 1, "late")).unwrap();
    assert_eq!(late, [Effect::Outcome(UpdateOutcome::Superseded)]);
    assert_eq!(machine.handle(at(3), Event::Complete).unwrap(), []);
    machine.handle(at(4), registered()).unwrap();
    assert_eq!(machine.status(), JobStatus::Completed);
    assert_eq!(machine.reason().unwrap(), "completed by request after round 1");
}

#[test]
fn completing_during_aggregation_finishes_the_round() {
    let mut machine = running(1, json!({}));
    fill(&mut machine, at(0), 1);
    assert_eq!(machine.handle(at(0), Event::Complete).unwrap(), []);
    machine.handle(at(1), aggregated(1)).unwrap();
    let effects = machine.handle(at(2), evaluated(1, 0.6)).unwrap();
    assert!(matches!(&effects[..], [Effect::Register { model, .. }] if *model == blob("model 1")));
}

#[test]
fn cancelling_ends_leases_in_any_phase() {
    let mut machine = running(2, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    let ended = lease_ended(1, false, LeaseEnd::Stopped);
    assert_eq!(machine.handle(at(1), Event::Cancel).unwrap(), [ended]);
    assert_eq!((machine.status(), machine.completed_at()), (JobStatus::Cancelled, Some(at(1))));
    assert_eq!(
        outcomes(&machine.handle(at(2), update(1, 1, "late")).unwrap()),
        [UpdateOutcome::Superseded]
    );
    machine.handle(at(2), progress(1, 1, 5)).unwrap();
    assert_eq!(machine.lease(lease(1)), None);
    for mut machine in [super::machine(json!({})), running(1, json!({}))] {
        machine.handle(at(1), Event::Cancel).unwrap();
        assert_eq!(machine.status(), JobStatus::Cancelled);
    }
}

#[test]
fn a_step_that_fails_fails_the_job() {
    let mut machine = running(1, json!({}));
    let failed = Event::StepFailed { reason: "the disk is full".to_owned() };
    machine.handle(at(0), failed.clone()).unwrap_err();
    fill(&mut machine, at(0), 1);
    machine.handle(at(1), failed).unwrap();
    assert_eq!(machine.status(), JobStatus::Failed);
    assert_eq!(machine.reason().unwrap(), "the disk is full");
}

#[test]
fn a_diverged_model_fails_the_job_and_the_machine_can_be_reloaded() {
    let mut machine = running(1, json!({}));
    let Event::Updated { lease, device, mut receipt } = update(1, 1, "a") else { panic!() };
    receipt.metrics.loss = f64::NAN;
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(0), Event::Updated { lease, device, receipt }).unwrap();
    assert_eq!(machine.history().next().unwrap().train_loss, None);
    machine.handle(at(1), aggregated(1)).unwrap();
    machine.handle(at(2), evaluated(1, f64::NAN)).unwrap();
    assert!(machine.reason().unwrap().contains("lower the learning rate"));
    assert_eq!(reload(&machine), machine);
}
