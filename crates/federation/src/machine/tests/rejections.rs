//! Rejected events: the message, and an unchanged machine.

use serde_json::json;

use super::*;

/// Returns the message of a rejected event and checks that the machine is unchanged.
fn rejection_message(machine: &mut Machine, event: Event) -> String {
    let before = machine.clone();
    let rejection = machine.handle(at(9), event).unwrap_err();
    assert_eq!(*machine, before);
    rejection.to_string()
}

#[test]
fn a_request_in_the_wrong_status_names_the_required_status() {
    let pending = || machine(json!({}));
    let started = || running(1, json!({}));
    let paused = || {
        let mut machine = started();
        machine.handle(at(1), Event::Pause).unwrap();
        machine
    };
    let cancelled = || {
        let mut machine = started();
        machine.handle(at(1), Event::Cancel).unwrap();
        machine
    };
    for (mut machine, event, message) in [
        (started(), Event::Start, "the job is running; only a job that is pending can be started"),
        (
            cancelled(),
            Event::Start,
            "the job is cancelled; only a job that is pending can be started",
        ),
        (pending(), Event::Pause, "the job is pending; only a job that is running can be paused"),
        (paused(), Event::Pause, "the job is paused; only a job that is running can be paused"),
        (
            cancelled(),
            Event::Pause,
            "the job is cancelled; only a job that is running can be paused",
        ),
        (started(), Event::Resume, "the job is running; only a job that is paused can be resumed"),
        (
            cancelled(),
            Event::Cancel,
            "the job is cancelled; only a job that is unfinished can be cancelled",
        ),
        (
            pending(),
            Event::Complete,
            "the job is pending; only a job that is running and past its first round can be completed",
        ),
        (
            started(),
            Event::Complete,
            "the job is running; only a job that is running and past its first round can be completed",
        ),
    ] {
        assert_eq!(rejection_message(&mut machine, event), message);
    }
}

#[test]
fn results_of_steps_that_are_not_awaited_are_stale() {
    let failed = || Event::StepFailed { reason: String::new() };
    let prepared = || Event::Prepared(Box::new(preparation(1)));
    let mut aggregating = running(1, json!({}));
    fill(&mut aggregating, at(0), 1);
    let mut evaluating = aggregating.clone();
    evaluating.handle(at(0), aggregated(1)).unwrap();
    for (mut machine, events) in [
        (machine(json!({})), vec![prepared(), aggregated(1), registered(), failed()]),
        (
            running(1, json!({})),
            vec![prepared(), aggregated(1), evaluated(1, 0.5), registered(), failed()],
        ),
        (aggregating, vec![aggregated(2), aggregated(0), evaluated(1, 0.5), registered()]),
        (evaluating, vec![aggregated(1), evaluated(2, 0.5), registered(), prepared()]),
    ] {
        for event in events {
            let message = rejection_message(&mut machine, event.clone());
            assert!(message.ends_with("is not waiting for this result"), "{event:?}: {message}");
        }
    }
    let reason = String::new();
    let failed = Event::PreparationFailed { reason };
    let late = rejection_message(&mut running(1, json!({})), failed);
    assert!(late.ends_with("is not waiting for this result"));
}

#[test]
fn unknown_leases_and_other_devices_leases_are_refused() {
    let mut machine = running(2, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    let events = |lease, device| {
        let renewed = heartbeat(lease, device, 0);
        [
            progress(lease, device, 1),
            renewed,
            returned(lease, device, ReturnReason::InUse),
            update(lease, device, "a"),
        ]
    };
    for event in events(2, 1) {
        assert_eq!(
            rejection_message(&mut machine, event),
            format!("lease {} is not part of this job's open round", lease(2))
        );
    }
    for event in events(1, 2) {
        assert_eq!(
            rejection_message(&mut machine, event),
            format!("lease {} belongs to another device", lease(1))
        );
    }
    for event in events(1, 1) {
        let message = rejection_message(&mut super::machine(json!({})), event);
        assert!(message.ends_with("is not part of this job's open round"), "{message}");
    }
}

#[test]
fn an_update_with_another_fingerprint_is_refused() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    let Event::Updated { lease, device, mut receipt } = update(1, 1, "a") else { panic!() };
    receipt.fingerprint = fingerprint(Backend::Wgpu, "apple-m2");
    assert_eq!(
        rejection_message(&mut machine, Event::Updated { lease, device, receipt }),
        "the update has numeric fingerprint 0.1.0/0.22.1/wgpu/apple-m2, but the job accepts only \
         0.1.0/0.22.1/cpu/x86_64+avx2"
    );
}

#[test]
fn there_is_no_work_without_an_open_seat() {
    let mut full = running(1, json!({}));
    full.handle(at(0), request(1, 1)).unwrap();
    let mut paused = running(1, json!({}));
    paused.handle(at(0), Event::Pause).unwrap();
    let mut aggregating = running(1, json!({}));
    fill(&mut aggregating, at(0), 1);
    let mut taken = running(2, json!({}));
    taken.handle(at(0), request(5, 1)).unwrap();
    for mut machine in [machine(json!({})), full, paused, aggregating, taken] {
        // The last machine has a free seat, but another lease has the requested id.
        assert_eq!(rejection_message(&mut machine, request(5, 2)), "no work for this device now");
    }
}
