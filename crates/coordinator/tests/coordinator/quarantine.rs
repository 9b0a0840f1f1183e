//! Quarantine of devices that send bad updates.

use protocol::audit::Action;
use protocol::codec;
use protocol::lease::Lease;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, register, registration, update};
use crate::support::{Coordinator, tiny_job};

/// Returns a job with this number of partitions.
fn job_with_partitions(partitions: u32) -> Value {
    let mut job = tiny_job();
    job["data"] = json!({ "partitions": partitions, "train_limit": 40 });
    job
}

/// Returns an update whose values are all the same.
fn filled(lease: &Lease, value: f32) -> Vec<u8> {
    codec::encode(&vec![value; lease.spec.layout().unwrap().parameters])
}

/// Takes a lease and reports an update of this value, which must be refused. Returns the detail.
async fn report_bad_update(coordinator: &Coordinator, device: &Device, value: f32) -> String {
    let lease = device.next_job(coordinator, 60).await.unwrap();
    let (status, body) = device.report(coordinator, &lease, filled(&lease, value)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    assert_eq!((&body["type"], &body["field"]), (&json!("bad-update"), &json!("blob")));
    body["detail"].as_str().unwrap().to_owned()
}

async fn quarantine_of(coordinator: &Coordinator, device: &Device) -> Value {
    let devices = coordinator.get("/devices").await;
    let rows = devices.as_array().unwrap();
    rows.iter().find(|row| row["id"] == device.id.as_str()).unwrap()["quarantined"].clone()
}

#[tokio::test]
async fn three_bad_updates_quarantine_a_device_and_others_do_its_work() {
    let coordinator = Coordinator::start().await;
    let (bad, good) =
        (Device::enroll(&coordinator, "bad").await, Device::enroll(&coordinator, "good").await);
    // This device works for the job, so it gets the seats that fail elsewhere, and shows that the job can be done.
    let id = coordinator.start_job(job_with_partitions(4)).await;
    let lease = good.next_job(&coordinator, 60).await.unwrap();

    let detail = report_bad_update(&coordinator, &bad, f32::NAN).await;
    assert!(detail.contains("not a finite number"), "{detail}");
    let detail = report_bad_update(&coordinator, &bad, 17.0).await;
    assert!(detail.contains("larger than 16"), "{detail}");
    assert_eq!(quarantine_of(&coordinator, &bad).await, Value::Null);
    // The count survives a restart.
    let coordinator = coordinator.restart().await;
    let detail = report_bad_update(&coordinator, &bad, 15.0).await;
    assert!(detail.contains("norm"), "{detail}");
    assert_eq!(quarantine_of(&coordinator, &bad).await, Value::Null);
    let (_, answer) = good.report(&coordinator, &lease, update(&lease)).await;
    assert_eq!(answer["outcome"], "accepted");
    assert_eq!(good.work(&coordinator).await, 3);

    let quarantined = quarantine_of(&coordinator, &bad).await;
    let reason = quarantined["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("3 updates were rejected; last reason: the update's norm"),
        "{reason}"
    );
    let notices = coordinator.get("/notices").await;
    assert_eq!(notices[0]["kind"], "device_quarantined");
    assert_eq!(notices[0]["subject"], bad.id.as_str());
    let text = notices[0]["text"].as_str().unwrap();
    assert!(text.starts_with("bad's Mac gets no work: 3 updates were rejected"), "{text}");

    let entries = coordinator.audit().await;
    let record = &entries.iter().find(|it| it.record.action == Action::Quarantined).unwrap().record;
    assert_eq!((record.who.as_str(), &record.subject.id), ("coordinator", &bad.id));

    // Heartbeats still work. The device gets no work, not even after a restart and a new enrollment.
    let coordinator = coordinator.restart().await;
    let path = format!("/devices/{}/heartbeat", bad.id);
    let beat = json!({ "state": "waiting" });
    let (status, answer) = bad.ask(&coordinator, Method::POST, &path, beat).await;
    assert_eq!((status, &answer["quarantined"]), (StatusCode::OK, &quarantined));
    assert!(bad.next_job(&coordinator, 0).await.is_none());
    let (_, again) = register(&coordinator, &coordinator.admin, "bad", registration("bad")).await;
    let bad = Device { token: again["token"].as_str().unwrap().to_owned(), ..bad };
    assert!(bad.next_job(&coordinator, 0).await.is_none());
    let job = coordinator.job_when(&id, |job| job["current_epoch"] == 1).await;
    let explanation = job["explanation"].to_string();
    assert!(explanation.contains("1 quarantined"), "{explanation}");

    // The good device does all the work, and the job completes.
    assert_eq!(good.work(&coordinator).await, 4);
    coordinator.job_in(&id, "completed").await;
}

#[tokio::test]
async fn an_administrator_releases_a_device() {
    let coordinator = Coordinator::start().await;
    let (bad, good) =
        (Device::enroll(&coordinator, "bad").await, Device::enroll(&coordinator, "good").await);
    coordinator.start_job(job_with_partitions(7)).await;
    let lease = good.next_job(&coordinator, 60).await.unwrap();
    let path = format!("/devices/{}/release", bad.id);
    let (status, body) = coordinator.ask(Method::POST, &path, None).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("not-quarantined")));
    for _ in 0..3 {
        report_bad_update(&coordinator, &bad, f32::INFINITY).await;
    }
    good.report(&coordinator, &lease, update(&lease)).await;
    assert_eq!(good.work(&coordinator).await, 6);
    let viewer = coordinator.token("viewer").await;
    let by_viewer = coordinator.request(Method::POST, &path, &viewer).send().await.unwrap();
    assert_eq!(by_viewer.status(), StatusCode::FORBIDDEN);
    let device = coordinator.post(&path, Value::Null).await;
    assert_eq!(device["quarantined"], Value::Null);
    let entries = coordinator.audit().await;
    let released = entries.iter().find(|it| it.record.action == Action::Released).unwrap();
    assert_eq!(released.record.role, Some(protocol::api::Role::Admin));
    assert_eq!(coordinator.get("/notices").await, json!([]));
    let all = coordinator.get("/notices?all=true").await;
    assert!(all[0]["ended_at"].is_string(), "{all}");

    // The count starts again, and good updates are accepted.
    report_bad_update(&coordinator, &bad, f32::NAN).await;
    report_bad_update(&coordinator, &bad, f32::NAN).await;
    assert_eq!(quarantine_of(&coordinator, &bad).await, Value::Null);
    let next = bad.next_job(&coordinator, 60).await.unwrap();
    let (_, answer) = bad.report(&coordinator, &next, update(&next)).await;
    assert_eq!(answer["outcome"], "accepted");
}

#[tokio::test]
async fn a_lease_counts_once_and_a_quarantined_device_loses_its_lease() {
    let coordinator = Coordinator::start().await;
    let (bad, good) =
        (Device::enroll(&coordinator, "bad").await, Device::enroll(&coordinator, "good").await);
    coordinator.start_job(job_with_partitions(7)).await;
    let first = good.next_job(&coordinator, 60).await.unwrap();
    let lease = bad.next_job(&coordinator, 60).await.unwrap();
    for value in [f32::NAN, 17.0, f32::NAN, -17.0] {
        let (status, _) = bad.report(&coordinator, &lease, filled(&lease, value)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(quarantine_of(&coordinator, &bad).await, Value::Null);
    report_bad_update(&coordinator, &bad, f32::NAN).await;
    report_bad_update(&coordinator, &bad, f32::NAN).await;
    let lease = bad.next_job(&coordinator, 60).await.unwrap();
    good.report(&coordinator, &first, update(&first)).await;
    // The six others: also the one that the quarantine took from its device.
    assert_eq!(good.work(&coordinator).await, 6);
    assert!(quarantine_of(&coordinator, &bad).await.is_object());

    // The device no longer holds its earlier lease.
    let path = format!("/devices/{}/heartbeat", bad.id);
    let beat = json!({ "state": "training", "lease": lease.id });
    let (_, answer) = bad.ask(&coordinator, Method::POST, &path, beat).await;
    assert_eq!(answer["lease_held"], json!(false));
    let progress = json!({ "step": 1, "steps": 9, "loss": 0.5, "examples_per_second": 10.0 });
    let path = format!("/leases/{}/progress", lease.id);
    let (_, answer) = bad.ask(&coordinator, Method::POST, &path, progress).await;
    assert_eq!(answer["standing"], "lost");
    let blob = protocol::BlobHash::compute(&update(&lease));
    let (status, body) = bad.submit(&coordinator, lease.id, blob).await;
    assert_eq!((status, &body["type"]), (StatusCode::FORBIDDEN, &json!("quarantined")));
}

#[tokio::test]
async fn a_job_that_fails_everywhere_blames_no_device() {
    let coordinator = Coordinator::start().await;
    let devices = [
        Device::enroll(&coordinator, "one").await,
        Device::enroll(&coordinator, "two").await,
        Device::enroll(&coordinator, "three").await,
    ];
    let id = coordinator.start_job(job_with_partitions(8)).await;
    // Updates of all devices are refused, as with a far too high learning rate.
    let [one, two, three] = devices.each_ref();
    let lease = two.next_job(&coordinator, 60).await.unwrap();
    let last = three.next_job(&coordinator, 60).await.unwrap();
    for _ in 0..3 {
        report_bad_update(&coordinator, one, f32::NAN).await;
    }
    assert_eq!(quarantine_of(&coordinator, one).await, Value::Null);
    for (device, lease) in [(two, lease), (three, last)] {
        let (status, _) = device.report(&coordinator, &lease, filled(&lease, f32::NAN)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let job = coordinator.job_in(&id, "failed").await;
    let reason = job["reason"].as_str().unwrap();
    assert!(reason.starts_with("the updates of 3 devices were rejected in round 1"), "{reason}");
    for device in &devices {
        assert_eq!(quarantine_of(&coordinator, device).await, Value::Null);
    }
    let notices = coordinator.get("/notices").await;
    let kinds: Vec<&Value> =
        notices.as_array().unwrap().iter().map(|notice| &notice["kind"]).collect();
    assert_eq!(kinds, ["job_failed"]);
}

/// `shared/field/52-learning-rate-too-high.toml`: the only device of the cluster was quarantined, and later jobs
/// waited for ever.
#[tokio::test]
async fn a_job_that_diverges_fails_and_its_only_device_stays() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    for value in [f32::NAN, 17.0] {
        let id = coordinator.start_job(job_with_partitions(4)).await;
        for _ in 0..3 {
            report_bad_update(&coordinator, &device, value).await;
        }
        let job = coordinator.job_in(&id, "failed").await;
        let reason = job["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("partition 0 of round 1 failed 3 times on one device"),
            "{reason}"
        );
        assert!(reason.contains("lower the learning rate"), "{reason}");
        assert_eq!(quarantine_of(&coordinator, &device).await, Value::Null);
    }
    let notices = coordinator.get("/notices").await;
    assert!(notices.as_array().unwrap().iter().all(|notice| notice["kind"] == "job_failed"));
    let id = coordinator.start_job(job_with_partitions(2)).await;
    assert!(device.next_job(&coordinator, 60).await.is_some());
    assert_eq!(device.work(&coordinator).await, 2);
    coordinator.job_when(&id, |job| job["current_epoch"] == 1).await;
}

#[tokio::test]
async fn updates_of_two_jobs_are_evidence_against_a_device() {
    let coordinator = Coordinator::start().await;
    let (bad, good) =
        (Device::enroll(&coordinator, "bad").await, Device::enroll(&coordinator, "good").await);
    coordinator.start_job(job_with_partitions(8)).await;
    good.next_job(&coordinator, 60).await.unwrap();
    for _ in 0..4 {
        report_bad_update(&coordinator, &bad, f32::NAN).await;
    }
    assert_eq!(quarantine_of(&coordinator, &bad).await, Value::Null);
    let mut other = job_with_partitions(4);
    other["run"]["priority"] = json!(5);
    let id = coordinator.start_job(other).await;
    coordinator.job_in(&id, "running").await;
    report_bad_update(&coordinator, &bad, f32::NAN).await;
    assert!(quarantine_of(&coordinator, &bad).await.is_object());
    // A job that did not complete is no evidence.
    coordinator.post(&format!("/jobs/{id}/cancel"), Value::Null).await;
    assert_eq!(quarantine_of(&coordinator, &bad).await, Value::Null);
}

#[tokio::test]
async fn the_only_device_is_not_quarantined_without_a_word() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(job_with_partitions(2)).await;
    let path = format!("/devices/{}/quarantine", device.id);
    coordinator.post(&path, json!({ "reason": "its fan is broken" })).await;
    let notices = coordinator.get("/notices").await;
    let text = notices[0]["text"].as_str().unwrap();
    assert!(text.contains("no other device can work now"), "{text}");
    let job = coordinator.job_in(&id, "running").await;
    let explanation = job["explanation"].to_string();
    assert!(explanation.contains("release one with"), "{explanation}");
}

#[tokio::test]
async fn an_administrator_quarantines_a_device_until_it_is_released() {
    let coordinator = Coordinator::start().await;
    let (one, two) =
        (Device::enroll(&coordinator, "one").await, Device::enroll(&coordinator, "two").await);
    let id = coordinator.start_job(tiny_job()).await;
    let held = one.next_job(&coordinator, 60).await.unwrap();
    let path = format!("/devices/{}/quarantine", one.id);
    let viewer = coordinator.token("viewer").await;
    let request = json!({ "reason": " its fan is broken " });
    let by_viewer = coordinator.request(Method::POST, &path, &viewer).json(&request);
    assert_eq!(by_viewer.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    for reason in ["  ", "two\nlines", &"x".repeat(201)] {
        let body = json!({ "reason": reason });
        let (status, body) = coordinator.ask(Method::POST, &path, Some(body)).await;
        assert_eq!((status, &body["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("reason")));
    }
    assert_eq!(quarantine_of(&coordinator, &one).await, Value::Null);

    let device = coordinator.post(&path, request.clone()).await;
    let quarantined = &device["quarantined"];
    assert_eq!(
        (&quarantined["reason"], &quarantined["by"]),
        (&json!("its fan is broken"), &json!("this machine"))
    );
    // A repeated request changes nothing and is not recorded.
    let again = coordinator.post(&path, json!({ "reason": "another" })).await;
    assert_eq!(&again["quarantined"], quarantined);
    let entries = coordinator.audit().await;
    let records: Vec<_> =
        entries.iter().filter(|it| it.record.action == Action::Quarantined).collect();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].record.who, "this machine");
    assert_eq!(records[0].record.detail["reason"], "its fan is broken");
    let notices = coordinator.get("/notices").await;
    assert_eq!(notices[0]["text"], "one's Mac gets no work: its fan is broken");

    // Another device gets its lease, and it gets no work, not even after a restart.
    let coordinator = coordinator.restart().await;
    assert!(one.next_job(&coordinator, 0).await.is_none());
    let partition = two.next_job(&coordinator, 60).await.unwrap().partition;
    assert_eq!(partition, held.partition);
    let leases = coordinator.get(&format!("/jobs/{id}/leases")).await;
    assert_eq!(leases[0]["outcome"], "ended");

    coordinator.post(&format!("/devices/{}/release", one.id), Value::Null).await;
    assert!(one.next_job(&coordinator, 60).await.is_some());
}

#[tokio::test]
async fn a_revoked_device_is_not_quarantined() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    coordinator.post(&format!("/devices/{}/revoke", device.id), Value::Null).await;
    let path = format!("/devices/{}/quarantine", device.id);
    let request = json!({ "reason": "late" });
    let (status, body) = coordinator.ask(Method::POST, &path, Some(request.clone())).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("device-revoked")));
    assert!(body["detail"].as_str().unwrap().starts_with("one's Mac was revoked"), "{body}");
    assert_eq!(quarantine_of(&coordinator, &device).await, Value::Null);
    let unknown = "/devices/01890a5d-ac96-774b-bcce-b302099a8057/quarantine";
    let (status, _) = coordinator.ask(Method::POST, unknown, Some(request)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_failed_job_does_not_release_a_device_that_an_administrator_quarantined() {
    let coordinator = Coordinator::start().await;
    let devices = [
        Device::enroll(&coordinator, "one").await,
        Device::enroll(&coordinator, "two").await,
        Device::enroll(&coordinator, "three").await,
    ];
    let mut job = tiny_job();
    job["data"]["partitions"] = json!(1);
    let id = coordinator.start_job(job).await;
    report_bad_update(&coordinator, &devices[0], f32::NAN).await;
    let path = format!("/devices/{}/quarantine", devices[0].id);
    coordinator.post(&path, json!({ "reason": "its fan is broken" })).await;
    for device in &devices[1..] {
        report_bad_update(&coordinator, device, f32::NAN).await;
    }
    coordinator.job_in(&id, "failed").await;
    assert!(quarantine_of(&coordinator, &devices[0]).await.is_object());
}
