//! Updates with too large a norm, and the effect of rejections on seats and jobs.

use proptest::prelude::*;
use protocol::api::JobStatus;
use serde_json::json;

use super::*;

fn refused(lease_number: u64, device_number: u64) -> Event {
    Event::Refused {
        lease: lease(lease_number),
        device: device(device_number),
        reason: "not a finite number".to_owned(),
    }
}

/// Returns the bound from the rejection of an impossible norm.
fn bound(machine: &mut Machine, lease_number: u64, device_number: u64) -> f64 {
    let event = update_of_norm(lease_number, device_number, "huge", f64::MAX);
    let rejection = machine.handle(at(1), event).unwrap_err();
    let RejectedEvent::Norm { bound, .. } = rejection else { panic!("{rejection}") };
    bound
}

#[test]
fn the_first_round_is_bounded_by_the_size_of_the_model() {
    let mut machine = running(2, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    let root = (machine.parameters().unwrap() as f64).sqrt();
    assert_eq!(bound(&mut machine, 1, 1).to_bits(), root.to_bits());
    machine.handle(at(1), update_of_norm(1, 1, "a", root)).unwrap();
}

#[test]
fn a_later_round_is_bounded_by_the_norms_of_closed_rounds_alone() {
    let mut machine = running(5, json!({}));
    let norms = [30.0, 10.0, 50.0, 20.0, 40.0];
    for (number, norm) in (0..).zip(norms) {
        machine.handle(at(0), request(number, number)).unwrap();
        let event = update_of_norm(number, number, &number.to_string(), norm);
        machine.handle(at(0), event).unwrap();
    }
    machine.handle(at(0), aggregated(1)).unwrap();
    machine.handle(at(0), evaluated(1, 0.5)).unwrap();
    machine.handle(at(0), request(10, 0)).unwrap();
    machine.handle(at(0), request(11, 1)).unwrap();
    let before = bound(&mut machine, 11, 1);
    assert!((before - 300.0).abs() < 1e-9, "{before}");
    machine.handle(at(0), update_of_norm(10, 0, "b", 299.0)).unwrap();
    let mut machine = reload(&machine);
    assert_eq!(bound(&mut machine, 11, 1).to_bits(), before.to_bits());
}

#[test]
fn the_job_file_sets_or_removes_the_bound() {
    for (maximum_norm, accepted, too_large) in [(3.0, 3.0, 3.1), (0.0, 1e300, f64::INFINITY)] {
        let mut machine = running(2, json!({ "strategy": { "maximum_norm": maximum_norm } }));
        machine.handle(at(0), request(1, 1)).unwrap();
        for norm in [too_large, f64::NAN] {
            let error = machine.handle(at(1), update_of_norm(1, 1, "a", norm)).unwrap_err();
            assert!(matches!(error, RejectedEvent::Norm { .. }), "{norm}: {error}");
        }
        machine.handle(at(1), update_of_norm(1, 1, "a", accepted)).unwrap();
    }
}

#[test]
fn a_seat_with_a_rejected_update_goes_to_another_device() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(1), refused(1, 1)).unwrap();
    assert!(machine.lease_of(device(1)).is_none());
    machine.handle(at(2), request(2, 2)).unwrap();
    assert_eq!(machine.rejected_on_same_seat(lease(2)), [lease(1)]);
    machine.handle(at(3), update(2, 2, "good")).unwrap();
    assert_eq!(machine.rejected_on_same_seat(lease(2)), [lease(1)]);
    assert_eq!(machine.history().next().unwrap().reported, 1);
}

#[test]
fn a_failure_is_attributed_to_the_job_or_the_device() {
    let mut on_many = running(1, json!({}));
    for number in 1..=3 {
        on_many.handle(at(0), request(number, number)).unwrap();
        on_many.handle(at(1), refused(number, number)).unwrap();
    }
    let reason = on_many.reason().unwrap();
    assert_eq!(reason, "partition 0 of round 1 failed on 3 different devices: not a finite number");

    // No seat failed three times, but no update was accepted.
    let mut everywhere = running(8, json!({}));
    for number in 1..=3 {
        everywhere.handle(at(0), request(number, number)).unwrap();
    }
    for number in [1, 2] {
        everywhere.handle(at(1), refused(number, number)).unwrap();
    }
    assert_eq!(everywhere.status(), JobStatus::Running);
    let mut accepted = everywhere.clone();
    everywhere.handle(at(1), refused(3, 3)).unwrap();
    assert_eq!(
        everywhere.reason().unwrap(),
        "the updates of 3 devices were rejected in round 1 and none was accepted: not a finite number"
    );
    // One update was accepted, so the other devices are probably at fault.
    accepted.handle(at(1), request(4, 4)).unwrap();
    accepted.handle(at(1), update(4, 4, "good")).unwrap();
    accepted.handle(at(1), refused(3, 3)).unwrap();
    assert_eq!(accepted.status(), JobStatus::Running);

    let mut on_one = running(1, json!({}));
    for number in 1..=3 {
        on_one.handle(at(0), request(number, 1)).unwrap();
        on_one.handle(at(1), refused(number, 1)).unwrap();
    }
    assert_eq!(on_one.status(), JobStatus::Failed);
}

/// `shared/field/52-learning-rate-too-high.toml`: the only device was quarantined, and the job waited for ever.
#[test]
fn a_job_whose_updates_the_only_device_cant_make_fails() {
    let mut machine = running(8, json!({}));
    for number in 1..=3 {
        assert_eq!(machine.status(), JobStatus::Running);
        machine.handle(at(0), request(number, 1)).unwrap();
        machine.handle(at(1), refused(number, 1)).unwrap();
    }
    assert_eq!(machine.status(), JobStatus::Failed);
    let reason = machine.reason().unwrap();
    let expected = "partition 0 of round 1 failed 3 times on one device: not a finite number";
    assert_eq!(reason, expected);
}

proptest! {
    /// The bound of the next round is the same in any order of arrival.
    #[test]
    fn the_order_of_arrival_does_not_change_the_bound(
        norms in proptest::collection::vec(0.01_f64..5.0, 6),
        order in Just((0_u64..6).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let next_bound = |order: &[u64]| {
            let mut machine = running(6, json!({}));
            for number in 0..6 {
                machine.handle(at(0), request(number, number)).unwrap();
            }
            for number in order {
                let norm = norms[usize::try_from(*number).unwrap()];
                let event = update_of_norm(*number, *number, &number.to_string(), norm);
                machine.handle(at(0), event).unwrap();
            }
            machine.handle(at(0), aggregated(1)).unwrap();
            machine.handle(at(0), evaluated(1, 0.5)).unwrap();
            machine.handle(at(0), request(10, 0)).unwrap();
            bound(&mut machine, 10, 0)
        };
        let in_turn: Vec<u64> = (0..6).collect();
        prop_assert_eq!(next_bound(&in_turn).to_bits(), next_bound(&order).to_bits());
    }
}
