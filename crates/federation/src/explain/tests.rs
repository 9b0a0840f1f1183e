//! Sentences for every case.

use std::collections::BTreeSet;

use protocol::fingerprint::Backend;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_763_888_400_000);

fn device(number: u64) -> DeviceId {
    format!("00000000-0000-7000-8000-{number:012x}").parse().unwrap()
}

fn fingerprint(hardware: &str) -> Fingerprint {
    Fingerprint {
        app: "0.1.0".to_owned(),
        burn: "0.22.1".to_owned(),
        backend: Backend::Cpu,
        hardware: hardware.to_owned(),
    }
}

fn snapshot(number: u64, state: DeviceState) -> DeviceSnapshot {
    DeviceSnapshot {
        device: device(number),
        state,
        stopped: false,
        reason: None,
        fingerprint: fingerprint("x86_64+avx2"),
        quarantined: false,
        labeled: true,
        other_job: None,
    }
}

fn held(number: u64, reason: HoldReason) -> DeviceSnapshot {
    DeviceSnapshot { reason: Some(reason), ..snapshot(number, DeviceState::Held) }
}

fn works_for(number: u64, name: &str, ahead: bool) -> DeviceSnapshot {
    let other_job = Some(OtherJob { name: name.to_owned(), ahead });
    DeviceSnapshot { other_job, ..snapshot(number, DeviceState::Training) }
}

fn round() -> RoundSnapshot {
    RoundSnapshot {
        seats: 12,
        reported: 3,
        open: 9,
        training: BTreeSet::new(),
        paused: false,
        fingerprint: None,
        short_of_memory: BTreeSet::new().into(),
        short_of_disk: BTreeSet::new().into(),
        failed_all: BTreeSet::new(),
        failure: None,
        moved_at: NOW,
        closes_at: None,
        overdue: false,
        minimum: 6,
    }
}

fn explanation(round: RoundSnapshot, devices: &[DeviceSnapshot]) -> String {
    explain(Some("…"), &JobSnapshot::Collecting(Box::new(round)), &[], devices, NOW).join("\n")
}

#[test]
fn a_job_that_does_not_wait_for_devices_returns_its_reason() {
    let devices = [snapshot(1, DeviceState::Waiting)];
    for reason in [
        "waiting to be started",
        "fetching and dividing the dataset: 34 of 120 MB",
        "adding up the 12 updates of round 1: the disk is full: free some space, it goes on by itself",
    ] {
        assert_eq!(
            explain(Some(reason), &JobSnapshot::NotCollecting, &[], &devices, NOW),
            [reason]
        );
    }
    assert!(explain(None, &JobSnapshot::NotCollecting, &[], &devices, NOW).is_empty());
}

#[test]
fn without_devices_it_explains_how_to_enroll_one() {
    insta::assert_snapshot!("no_devices", explanation(round(), &[]));
}

#[test]
fn each_device_state_has_its_text() {
    let reasons = [
        HoldReason::InUse,
        HoldReason::OnBattery,
        HoldReason::TooWarm,
        HoldReason::Scheduled,
        HoldReason::Paused,
        HoldReason::Unknown,
    ];
    let mut one: Vec<DeviceSnapshot> =
        (1..).zip(reasons).map(|(n, reason)| held(n, reason)).collect();
    one.push(snapshot(7, DeviceState::Held));
    one.push(snapshot(8, DeviceState::Offline));
    one.push(snapshot(9, DeviceState::Waiting));
    one.push(DeviceSnapshot { quarantined: true, ..snapshot(10, DeviceState::Waiting) });
    one.push(works_for(11, "urgent", true));
    one.push(works_for(12, "usual", false));
    one.push(DeviceSnapshot {
        fingerprint: fingerprint("aarch64+neon"),
        ..snapshot(13, DeviceState::Waiting)
    });
    one.push(snapshot(14, DeviceState::Waiting));
    one.push(snapshot(15, DeviceState::Waiting));
    one.push(snapshot(16, DeviceState::Waiting));
    one.push(DeviceSnapshot { stopped: true, ..snapshot(17, DeviceState::Offline) });
    let round = || RoundSnapshot {
        short_of_disk: BTreeSet::from([device(16), device(116)]).into(),
        fingerprint: Some(fingerprint("x86_64+avx2")),
        short_of_memory: BTreeSet::from([device(14), device(114)]).into(),
        failed_all: [device(15), device(115)].into(),
        ..round()
    };
    insta::assert_snapshot!("one_of_each", explanation(round(), &one).replace(", ", ",\n"));
    let more = one.iter().map(|snapshot| {
        let number = u64::from(snapshot.device.as_uuid().as_bytes()[15]);
        DeviceSnapshot { device: device(100 + number), ..snapshot.clone() }
    });
    let two: Vec<DeviceSnapshot> = one.iter().cloned().chain(more).collect();
    insta::assert_snapshot!("two_of_each", explanation(round(), &two).replace(", ", ",\n"));
}

#[test]
fn all_offline() {
    let devices: Vec<DeviceSnapshot> = (1..=4).map(|n| snapshot(n, DeviceState::Offline)).collect();
    let moved_at = Timestamp::from_millis(NOW.as_millis() - 3 * 3_600_000);
    insta::assert_snapshot!(
        "all_offline",
        explanation(RoundSnapshot { moved_at, ..round() }, &devices)
    );
}

#[test]
fn a_job_with_training_devices() {
    let mut devices = vec![snapshot(1, DeviceState::Training), snapshot(2, DeviceState::Training)];
    let round = RoundSnapshot { training: [device(1), device(2)].into(), open: 7, ..round() };
    insta::assert_snapshot!("in_full_swing", explanation(round.clone(), &devices));
    devices.extend((3..=6).map(|n| held(n, HoldReason::InUse)));
    devices.push(held(7, HoldReason::OnBattery));
    let moved_at = Timestamp::from_millis(NOW.as_millis() - 240_000);
    insta::assert_snapshot!(
        "in_full_swing_with_others",
        explanation(RoundSnapshot { moved_at, ..round }, &devices)
    );
}

#[test]
fn only_other_fingerprints_are_available() {
    let arm = |n| DeviceSnapshot {
        fingerprint: fingerprint("aarch64+neon"),
        ..snapshot(n, DeviceState::Waiting)
    };
    let round = RoundSnapshot { fingerprint: Some(fingerprint("x86_64+avx2")), ..round() };
    insta::assert_snapshot!(
        "only_other_fingerprints",
        explanation(round.clone(), &[arm(1), arm(2)])
    );
    // One device is available, so the fingerprint is not what delays the job.
    let devices = [arm(1), snapshot(2, DeviceState::Waiting)];
    insta::assert_snapshot!("one_of_them_free", explanation(round, &devices));
}

#[test]
fn a_paused_job_is_explained_first() {
    let devices = [snapshot(1, DeviceState::Waiting)];
    insta::assert_snapshot!(
        "paused",
        explanation(RoundSnapshot { paused: true, ..round() }, &devices)
    );
}

#[test]
fn a_deadline_ahead() {
    let closes_at = Some(Timestamp::from_millis(NOW.as_millis() + 600_000));
    let round = RoundSnapshot { closes_at, ..round() };
    insta::assert_snapshot!(
        "deadline_ahead",
        explanation(round, &[snapshot(1, DeviceState::Waiting)])
    );
}

#[test]
fn a_deadline_below_the_minimum_and_a_seat_that_fails() {
    let round = RoundSnapshot {
        closes_at: Some(Timestamp::from_millis(NOW.as_millis() - 300_000)),
        overdue: true,
        failure: Some((4, 2, "out of memory".to_owned())),
        failed_all: [device(1)].into(),
        ..round()
    };
    insta::assert_snapshot!(
        "deadline_passed",
        explanation(round, &[snapshot(1, DeviceState::Waiting)])
    );
}

#[test]
fn labels_that_no_device_has_are_reported_with_a_remedy() {
    let labels = ["lab".to_owned(), "studio".to_owned()];
    let other = DeviceSnapshot { labeled: false, ..snapshot(1, DeviceState::Waiting) };
    let explained = |devices: &[DeviceSnapshot]| {
        explain(Some("…"), &JobSnapshot::Collecting(Box::new(round())), &labels, devices, NOW)
    };
    let none = explained(std::slice::from_ref(&other));
    assert_eq!(none[1], "devices: 1 without a required label");
    assert!(none[2].contains("'lab' or 'studio', but no device has it"), "{none:?}");
    let one = explained(&[other, snapshot(2, DeviceState::Offline)]);
    assert_eq!(one[1], "devices: 1 without a required label, 1 offline");
    assert!(!one.iter().any(|sentence| sentence.contains("label a device")), "{one:?}");
}
