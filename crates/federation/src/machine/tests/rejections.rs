//! What can't be taken is refused in words, and changes nothing.

use serde_json::json;

use super::*;

/// The words with which `machine` refuses `event`; it is then as before.
fn refused(machine: &mut Machine, event: Event) -> String {
    let before = machine.clone();
    let rejection = machine.handle(at(9), event).unwrap_err();
    assert_eq!(*machine, before);
    rejection.to_string()
}

#[test]
fn a_persons_wish_at_the_wrong_time_says_what_it_needs() {
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
    for (mut machine, event, words) in [
        (started(), Event::Start, "the job is running; starting needs it to be pending"),
        (cancelled(), Event::Start, "the job is cancelled; starting needs it to be pending"),
        (pending(), Event::Pause, "the job is pending; pausing needs it to be running"),
        (paused(), Event::Pause, "the job is paused; pausing needs it to be running"),
        (cancelled(), Event::Pause, "the job is cancelled; pausing needs it to be running"),
        (started(), Event::Resume, "the job is running; resuming needs it to be paused"),
        (
            cancelled(),
            Event::Cancel,
            "the job is cancelled; cancelling needs it to be not at its end",
        ),
        (
            pending(),
            Event::Complete,
            "the job is pending; completing needs it to be running and past its first round",
        ),
        (
            started(),
            Event::Complete,
            "the job is running; completing needs it to be running and past its first round",
        ),
    ] {
        assert_eq!(refused(&mut machine, event), words);
    }
}

#[test]
fn answers_to_steps_that_are_not_awaited_are_stale() {
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
            let words = refused(&mut machine, event.clone());
            assert!(words.ends_with("is not waiting for this"), "{event:?}: {words}");
        }
    }
    let reason = String::new();
    let late = refused(&mut running(1, json!({})), Event::PreparationFailed { reason });
    assert!(late.ends_with("is not waiting for this"));
}

#[test]
fn leases_that_are_unknown_or_anothers_are_refused() {
    let mut machine = running(2, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    let events = |lease, device| {
        let renewed = alive(lease, device, 0);
        [
            progress(lease, device, 1),
            renewed,
            returned(lease, device, ReturnReason::InUse),
            update(lease, device, "a"),
        ]
    };
    for event in events(2, 1) {
        assert_eq!(
            refused(&mut machine, event),
            format!("lease {} is not part of this job's open round", lease(2))
        );
    }
    for event in events(1, 2) {
        assert_eq!(
            refused(&mut machine, event),
            format!("lease {} belongs to another device", lease(1))
        );
    }
    for event in events(1, 1) {
        let words = refused(&mut super::machine(json!({})), event);
        assert!(words.ends_with("is not part of this job's open round"), "{words}");
    }
}

#[test]
fn an_update_with_another_fingerprint_is_refused() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    let Event::Updated { lease, device, mut receipt } = update(1, 1, "a") else { panic!() };
    receipt.fingerprint = fingerprint(Backend::Wgpu, "apple-m2");
    assert_eq!(
        refused(&mut machine, Event::Updated { lease, device, receipt }),
        "the update's fingerprint is 0.1.0/0.22.1/wgpu/apple-m2, but the job takes \
         0.1.0/0.22.1/cpu/x86_64+avx2 only"
    );
}

#[test]
fn there_is_nothing_to_do_without_an_open_seat() {
    let mut full = running(1, json!({}));
    full.handle(at(0), request(1, 1)).unwrap();
    let mut paused = running(1, json!({}));
    paused.handle(at(0), Event::Pause).unwrap();
    let mut aggregating = running(1, json!({}));
    fill(&mut aggregating, at(0), 1);
    let mut taken = running(2, json!({}));
    taken.handle(at(0), request(5, 1)).unwrap();
    for mut machine in [machine(json!({})), full, paused, aggregating, taken] {
        // The last one's for its id alone, which another lease has.
        assert_eq!(refused(&mut machine, request(5, 2)), "nothing to do for this device now");
    }
}
