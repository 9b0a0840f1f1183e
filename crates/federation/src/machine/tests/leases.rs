//! Leases: renewed, lapsed, returned, held again; and the choice of a device's seat.

use protocol::api::JobStatus;
use protocol::lease::UpdateOutcome;
use serde_json::json;

use super::*;

fn outcome(effects: &[Effect]) -> UpdateOutcome {
    let [Effect::Outcome(outcome), ..] = effects else { panic!("{effects:?}") };
    *outcome
}

fn request_with(lease_number: u64, device_number: u64, fingerprint: Fingerprint) -> Event {
    Event::Requested { lease: lease(lease_number), device: device(device_number), fingerprint }
}

#[test]
fn a_repeated_request_returns_the_held_lease() {
    let mut machine = running(2, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    let again = machine.handle(at(30), request(2, 1)).unwrap();
    let [Effect::Grant(granted)] = &again[..] else { panic!("{again:?}") };
    assert_eq!((granted.id, granted.granted_at, granted.deadline), (lease(1), at(0), at(90)));
    assert_eq!(machine.leased_seats(), 1);
}

#[test]
fn progress_and_heartbeats_move_the_deadline() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(40), progress(1, 1, 0)).unwrap();
    assert_eq!(machine.deadline(), Some(at(100)));
    machine.handle(at(70), heartbeat(1, 1, 0)).unwrap();
    assert_eq!(machine.deadline(), Some(at(130)));
    assert_eq!(machine.handle(at(129), Event::Tick).unwrap(), []);
}

#[test]
fn a_hanging_trainer_loses_its_lease_despite_heartbeats() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(5), progress(1, 1, 1)).unwrap();
    machine.handle(at(25), progress(1, 1, 2)).unwrap();
    // A step takes 20 seconds: without another one it counts as hanging after ten times that.
    for now in (30..225).step_by(10) {
        machine.handle(at(now), heartbeat(1, 1, 0)).unwrap();
        machine.handle(at(now), progress(1, 1, 2)).unwrap();
        assert_eq!(machine.handle(at(now), Event::Tick).unwrap(), [], "{now}");
    }
    assert_eq!(machine.deadline(), Some(at(225)));
    let ended = machine.handle(at(225), Event::Tick).unwrap();
    assert!(matches!(&ended[..], [Effect::LeaseEnded { after_first_step: true, .. }]));
    // A heartbeat does not renew it, a new step does.
    machine.handle(at(226), heartbeat(1, 1, 0)).unwrap();
    machine.handle(at(226), progress(1, 1, 2)).unwrap();
    assert_eq!((machine.lease(lease(1)), machine.leases_lost()), (None, 1));
    machine.handle(at(227), progress(1, 1, 3)).unwrap();
    assert_eq!((machine.lease(lease(1)).unwrap().deadline, machine.leases_lost()), (at(287), 0));
}

#[test]
fn a_device_without_a_first_step_has_ten_minutes() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    for now in (30..600).step_by(30) {
        machine.handle(at(now), heartbeat(1, 1, 0)).unwrap();
        // A repeated request, as from a process that crashes and restarts, does not extend the
        // lease.
        machine.handle(at(now), request(2, 1)).unwrap();
        assert_eq!(machine.handle(at(now), Event::Tick).unwrap(), [], "{now}");
    }
    let ended = machine.handle(at(600), Event::Tick).unwrap();
    assert!(matches!(&ended[..], [Effect::LeaseEnded { after_first_step: false, .. }]));
}

#[test]
fn transferred_bytes_keep_a_lease() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    // A slow download, ten quick training steps, a slow upload.
    let mut bytes = 0;
    let mut keep = |machine: &mut Machine, now| {
        bytes += 1000;
        machine.handle(at(now), heartbeat(1, 1, bytes)).unwrap();
        assert_eq!(machine.handle(at(now), Event::Tick).unwrap(), [], "{now}");
    };
    for now in (50..2000).step_by(50) {
        keep(&mut machine, now);
    }
    for step in 1..=10 {
        let now = 2000 + i64::try_from(step).unwrap();
        machine.handle(at(now), progress(1, 1, step)).unwrap();
    }
    for now in (2050..4000).step_by(50) {
        machine.handle(at(now), progress(1, 1, 10)).unwrap();
        keep(&mut machine, now);
    }
    assert_eq!(machine.leases_lost(), 0);
    assert_eq!(machine.handle(at(4011), Event::Tick).unwrap().len(), 1, "the transfer stopped");
}

#[test]
fn a_device_s_speed_is_known_in_the_next_round() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(10), progress(1, 1, 1)).unwrap();
    machine.handle(at(40), progress(1, 1, 2)).unwrap();
    machine.handle(at(70), update(1, 1, "a")).unwrap();
    machine.handle(at(70), aggregated(1)).unwrap();
    machine.handle(at(70), evaluated(1, 0.5)).unwrap();
    let mut machine = reload(&machine);
    machine.handle(at(70), request(2, 1)).unwrap();
    machine.handle(at(75), progress(2, 1, 1)).unwrap();
    for now in (100..375).step_by(25) {
        machine.handle(at(now), heartbeat(2, 1, 0)).unwrap();
    }
    assert_eq!(machine.deadline(), Some(at(375)), "ten steps of 30 seconds");
}

#[test]
fn a_lease_without_heartbeats_lapses_and_counts_as_lost_after_its_first_step() {
    let mut machine = running(2, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(0), request(2, 2)).unwrap();
    machine.handle(at(0), progress(2, 2, 1)).unwrap();
    let ended = |number, after_first_step| lease_ended(number, after_first_step, LeaseEnd::Lapsed);
    let effects = machine.handle(at(60), Event::Tick).unwrap();
    assert_eq!(effects, [ended(1, false), ended(2, true)]);
    assert_eq!((machine.leases_lost(), machine.leased_seats()), (1, 0));
    assert_eq!(machine.deadline(), None);
    machine.handle(at(61), request(3, 3)).unwrap();
    assert_eq!(machine.lease(lease(3)).unwrap().partition, 0);
}

#[test]
fn progress_renews_a_lapsed_lease_whose_seat_is_open() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(1), progress(1, 1, 1)).unwrap();
    machine.handle(at(100), Event::Tick).unwrap();
    assert_eq!((machine.lease(lease(1)), machine.leases_lost()), (None, 1));
    machine.handle(at(101), progress(1, 1, 7)).unwrap();
    assert_eq!((machine.lease(lease(1)).unwrap().deadline, machine.leases_lost()), (at(161), 0));
}

#[test]
fn a_lapsed_lease_whose_seat_is_leased_again_stays_lapsed() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(60), Event::Tick).unwrap();
    machine.handle(at(61), request(2, 2)).unwrap();
    machine.handle(at(62), progress(1, 1, 7)).unwrap();
    assert_eq!(machine.lease(lease(1)), None);
    assert_eq!(machine.lease_of(device(2)).unwrap().id, lease(2));
}

#[test]
fn a_late_update_takes_an_open_seat_and_ends_the_other_lease() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(1), progress(1, 1, 9)).unwrap();
    machine.handle(at(61), Event::Tick).unwrap();
    machine.handle(at(62), request(2, 2)).unwrap();
    let effects = machine.handle(at(63), update(1, 1, "a")).unwrap();
    assert_eq!(outcome(&effects), UpdateOutcome::Accepted);
    let ended = lease_ended(2, false, LeaseEnd::Superseded);
    assert_eq!((&effects[1], machine.leases_lost()), (&ended, 0));
    let same = machine.handle(at(64), update(2, 2, "a")).unwrap();
    assert_eq!(outcome(&same), UpdateOutcome::Duplicate);
}

#[test]
fn a_different_update_is_superseded_and_reported_if_identical_bits_were_promised() {
    for (reproducible, promised) in [(true, true), (false, false)] {
        let mut machine = running(2, json!({"run": {"reproducible": reproducible}}));
        machine.handle(at(0), request(1, 1)).unwrap();
        machine.handle(at(61), Event::Tick).unwrap();
        machine.handle(at(62), request(2, 2)).unwrap();
        machine.handle(at(63), update(2, 2, "a")).unwrap();
        let effects = machine.handle(at(64), update(1, 1, "b")).unwrap();
        assert_eq!(outcome(&effects), UpdateOutcome::Superseded);
        let differs =
            Effect::Nondeterminism { round: 1, partition: 0, first: blob("a"), second: blob("b") };
        assert_eq!(effects.get(1), promised.then_some(&differs));
    }
}

#[test]
fn updates_of_earlier_rounds_are_known_for_two_rounds() {
    let mut machine = running(1, json!({"run": {"rounds": 5}}));
    for _ in 0..2 {
        close(&mut machine, at(0), 1);
        let same = machine.handle(at(1), update(1000, 1000, "update 1000")).unwrap();
        assert_eq!(outcome(&same), UpdateOutcome::Duplicate);
        let other = machine.handle(at(1), update(1000, 1000, "other")).unwrap();
        assert_eq!(other, [Effect::Outcome(UpdateOutcome::Superseded)]);
    }
    close(&mut machine, at(0), 1);
    assert_eq!(
        machine.handle(at(1), update(1000, 1000, "update 1000")),
        Err(RejectedEvent::UnknownLease { lease: lease(1000) })
    );
}

#[test]
fn an_orderly_return_reopens_the_seat_and_loses_nothing() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(1), progress(1, 1, 5)).unwrap();
    assert_eq!(machine.handle(at(2), returned(1, 1, ReturnReason::InUse)).unwrap(), []);
    assert_eq!((machine.leases_lost(), machine.leased_seats()), (0, 0));
    // A delayed message does not renew it.
    machine.handle(at(3), progress(1, 1, 6)).unwrap();
    assert_eq!(machine.leased_seats(), 0);
    machine.handle(at(4), request(2, 1)).unwrap();
    assert_eq!(machine.leased_seats(), 1);
}

#[test]
fn removing_a_device_reopens_its_seat() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(1), progress(1, 1, 1)).unwrap();
    let gone = Event::DeviceGone { device: device(1) };
    let effects = machine.handle(at(2), gone.clone()).unwrap();
    assert!(matches!(&effects[..], [Effect::LeaseEnded { after_first_step: true, .. }]));
    assert_eq!(machine.handle(at(3), gone).unwrap(), []);
    assert_eq!(machine.leases_lost(), 1);
}

#[test]
fn a_seat_that_failed_on_three_devices_fails_the_job() {
    let mut machine = running(1, json!({}));
    for number in 1..=3 {
        assert_eq!(machine.status(), JobStatus::Running);
        machine.handle(at(0), request(number, number)).unwrap();
        machine.handle(at(0), returned(number, number, ReturnReason::Failed)).unwrap();
    }
    assert_eq!(machine.status(), JobStatus::Failed);
    assert_eq!(
        machine.reason().unwrap(),
        "partition 0 of round 1 failed on 3 different devices: out of paper"
    );
}

#[test]
fn a_failed_seat_is_withheld_from_its_device_while_another_may_try() {
    let mut machine = running(2, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(0), request(2, 2)).unwrap();
    machine.handle(at(0), returned(1, 1, ReturnReason::Failed)).unwrap();
    assert!(!machine.offers(device(1), &cpu(), at(1)), "device 2 may try it");
    assert!(machine.reason().unwrap().contains("partition 0 failed 1 time: out of paper"));
    machine.handle(at(2), update(2, 2, "b")).unwrap();
    assert!(machine.offers(device(2), &cpu(), at(3)));
    let recently = 5 * i64::try_from(LEASE_TIMEOUT.as_secs()).unwrap();
    assert!(!machine.offers(device(1), &cpu(), at(2 + recently)));
    assert!(machine.offers(device(1), &cpu(), at(3 + recently)), "device 2 was not seen recently");
    machine.handle(at(4), Event::DeviceGone { device: device(2) }).unwrap();
    assert!(machine.offers(device(1), &cpu(), at(5)), "device 2 is gone");
}

#[test]
fn a_lone_device_that_fails_a_seat_three_times_fails_the_job() {
    let mut machine = running(1, json!({}));
    for number in 1..=3 {
        machine.handle(at(0), request(number, 1)).unwrap();
        machine.handle(at(0), returned(number, 1, ReturnReason::Failed)).unwrap();
        // A repeated return of the same lease is not a second failure.
        machine.handle(at(0), returned(number, 1, ReturnReason::Failed)).unwrap();
    }
    assert_eq!(
        machine.reason().unwrap(),
        "partition 0 of round 1 failed 3 times on one device: out of paper"
    );
}

#[test]
fn a_failure_after_the_lease_lapsed_counts_against_the_seat() {
    let mut machine = running(1, json!({}));
    for number in 1..=3 {
        machine.handle(at(100 * i64::try_from(number).unwrap()), request(number, number)).unwrap();
        let later = at(100 * i64::try_from(number).unwrap() + 60);
        machine.handle(later, Event::Tick).unwrap();
        machine.handle(later, returned(number, number, ReturnReason::Failed)).unwrap();
    }
    assert_eq!(machine.status(), JobStatus::Failed);
}

#[test]
fn a_device_with_too_little_memory_gets_no_lease_until_the_next_round() {
    let mut machine = running(1, json!({}));
    machine.handle(at(0), request(1, 1)).unwrap();
    machine.handle(at(0), returned(1, 1, ReturnReason::Memory)).unwrap();
    assert!(!machine.offers(device(1), &cpu(), at(1)));
    assert!(machine.reason().unwrap().ends_with("too little memory on 1 device"));
    close(&mut machine, at(2), 1);
    assert!(machine.offers(device(1), &cpu(), at(3)));
}

#[test]
fn too_little_disk_space_is_no_failure_and_lasts_until_the_next_round() {
    let mut machine = running(2, json!({}));
    for lease in 1..=4 {
        machine.handle(at(0), request(lease, lease)).unwrap();
        machine.handle(at(0), returned(lease, lease, ReturnReason::Disk)).unwrap();
        assert!(!machine.offers(device(lease), &cpu(), at(1)));
    }
    assert_eq!(machine.status(), JobStatus::Running, "no seat has failed");
    assert!(machine.reason().unwrap().ends_with("too little disk space on 4 devices"));
    close(&mut machine, at(2), 2);
    assert!(machine.offers(device(1), &cpu(), at(3)));
}

#[test]
fn a_reproducible_job_is_bound_to_the_first_fingerprint() {
    let metal = fingerprint(Backend::Wgpu, "apple-m2");
    let arm = fingerprint(Backend::Cpu, "aarch64+neon");
    // (reproducible in the job file, first device, other device, whether the other gets a lease)
    for (reproducible, first, other, both) in [
        (json!(null), cpu(), arm.clone(), false),
        (json!(null), metal.clone(), arm.clone(), true),
        (json!(true), metal.clone(), arm.clone(), false),
        (json!(false), cpu(), arm.clone(), true),
    ] {
        let mut machine = running(3, json!({"run": {"reproducible": reproducible}}));
        machine.handle(at(0), request_with(1, 1, first.clone())).unwrap();
        assert_eq!(machine.handle(at(0), request_with(2, 2, other)).is_ok(), both);
        assert_eq!(machine.fingerprint(), (!both).then_some(&first));
        machine.handle(at(60), Event::Tick).unwrap();
        let reason = machine.reason().unwrap();
        let bound = reason.ends_with(&format!("with numeric fingerprint {first}"));
        assert_eq!(bound, !both, "{reason}");
    }
}

/// The clock is set by a day, forward or back: nothing that devices do or leave out has changed.
#[test]
fn a_clock_that_jumps_expires_no_lease_and_stalls_no_job() {
    const DAY: i64 = 24 * 3600;
    for jump in [DAY, -DAY] {
        let mut machine = running(2, json!({ "run": { "round_deadline": "1h" } }));
        machine.handle(at(0), request(1, 1)).unwrap();
        machine.handle(at(30), progress(1, 1, 3)).unwrap();
        let (deadline, moved_at) = (machine.deadline().unwrap(), machine.moved_at().unwrap());
        machine.handle(at(31 + jump), Event::ClockMoved { millis: jump * 1000 }).unwrap();
        assert_eq!(machine.deadline(), Some(deadline.moved(jump * 1000)));
        assert_eq!(machine.moved_at(), Some(moved_at.moved(jump * 1000)));
        let mut machine = reload(&machine);
        machine.handle(at(40 + jump), Event::Tick).unwrap();
        assert!(machine.lease_of(device(1)).is_some());
        machine.handle(at(45 + jump), update(1, 1, "a")).unwrap();
        assert_eq!(machine.history().next().map_or(0, |round| round.reported), 1);
        // A device that is gone still loses its lease in time.
        machine.handle(at(50 + jump), request(2, 2)).unwrap();
        machine.handle(at(50 + jump + 61), Event::Tick).unwrap();
        assert!(machine.lease_of(device(2)).is_none());
    }
}
