//! Crashes in each phase of a job: everything acknowledged is kept, and the job ends with the same model.

use protocol::BlobHash;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, update};
use crate::support::{Coordinator, tiny_job};

/// Returns the model of the tiny job without a crash.
async fn undisturbed() -> Value {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    finish(&coordinator, &device, &id).await
}

/// Completes the job and returns the hash of its model.
async fn finish(coordinator: &Coordinator, device: &Device, id: &str) -> Value {
    loop {
        let path = format!("/jobs/{id}");
        let job = coordinator.get(&path).await;
        if job["status"] == "completed" {
            return job["model_blake3"].clone();
        }
        if device.work(coordinator).await == 0 {
            let done = job["current_epoch"].clone();
            let moved = |job: &Value| {
                job["status"] == "completed"
                    || job["current_epoch"] != done
                    || (job["status"] == "running" && device_may_work(job))
            };
            coordinator.job_when(id, moved).await;
        }
    }
}

fn device_may_work(job: &Value) -> bool {
    job["reason"].as_str().is_some_and(|reason| reason.contains("waiting for a device"))
}

/// Starts a coordinator and enrolls a device.
async fn pair() -> (Coordinator, Device) {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    (coordinator, device)
}

#[tokio::test]
async fn crashes_in_every_phase_of_a_round_do_not_change_the_model() {
    let expected = undisturbed().await;
    let (first, device) = pair().await;
    let id = first.start_job(tiny_job()).await;

    // During the preparation, or just after it.
    let second = first.after_a_crash().await;
    second.job_in(&id, "running").await;

    // With a granted lease.
    let lease = device.next_job(&second, 60).await.unwrap();
    let bytes = update(&lease);
    let hash = BlobHash::compute(&bytes);
    let third = second.after_a_crash().await;
    assert_eq!(device.next_job(&third, 0).await.unwrap().id, lease.id, "the lease is kept");

    // With an accepted update whose answer is lost.
    let (_, answer) = device.report(&third, &lease, bytes).await;
    assert_eq!(answer["outcome"], "accepted");
    let fourth = third.after_a_crash().await;
    let (status, answer) = device.submit(&fourth, lease.id, hash).await;
    assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("duplicate")));

    // Between the last update of a round and the next round: aggregating or evaluating.
    device.work(&fourth).await;
    let fifth = fourth.after_a_crash().await;
    fifth.job_when(&id, |job| job["current_epoch"] == 1).await;

    // At the end of the last round: aggregating, evaluating or registering.
    device.work(&fifth).await;
    let sixth = fifth.after_a_crash().await;
    let finished = finish(&sixth, &device, &id).await;
    assert_eq!(finished, expected);
    assert_eq!(sixth.get("/models").await.as_array().unwrap().len(), 1);

    // After the end of the job.
    let seventh = sixth.after_a_crash().await;
    let job = seventh.get(&format!("/jobs/{id}")).await;
    assert_eq!((&job["status"], &job["model_blake3"]), (&json!("completed"), &expected));
    assert_eq!(seventh.get("/models").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_partial_upload_survives_a_crash() {
    let (first, device) = pair().await;
    first.start_job(tiny_job()).await;
    let lease = device.next_job(&first, 60).await.unwrap();
    let bytes = update(&lease);
    let hash = BlobHash::compute(&bytes);
    // The connection breaks after half of the bytes.
    let half = bytes[..bytes.len() / 2].to_vec();
    crate::uploads::broken_upload(&first, &device, lease.id, hash, &half).await;
    let second = first.after_a_crash().await;
    let path = format!("/blobs/{hash}?lease={}", lease.id);
    let head = second.request(Method::HEAD, &path, &device.token).send().await.unwrap();
    assert_eq!(head.headers()["upload-offset"], half.len().to_string().as_str());
    let rest = bytes[half.len()..].to_vec();
    let sent = device.upload(&second, lease.id, hash, half.len() as u64, rest).await;
    assert_eq!(sent.status(), StatusCode::CREATED);
    let (_, answer) = device.submit(&second, lease.id, hash).await;
    assert_eq!(answer["outcome"], "accepted");
}

#[tokio::test]
async fn an_orderly_restart_keeps_people_devices_and_jobs() {
    let (coordinator, device) = pair().await;
    let viewer = coordinator.token("viewer").await;
    let job = coordinator.post("/jobs", tiny_job()).await;
    let cluster = coordinator.running.cluster.id.clone();
    let (admin, devices) = (coordinator.admin.clone(), coordinator.get("/devices").await);
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.running.cluster.id, cluster);
    assert_eq!(coordinator.admin, admin);
    assert_eq!(coordinator.get("/devices").await[0]["id"], devices[0]["id"]);
    assert_eq!(coordinator.get("/jobs").await[0], job);
    let response = coordinator.request(Method::GET, "/jobs", &viewer).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(device.next_job(&coordinator, 0).await.is_none());
}

#[tokio::test]
async fn an_incompletely_added_dataset_is_removed() {
    let folder = tempfile::TempDir::new().unwrap();
    let half = folder.path().join("datasets/.adding-x");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("train.shard"), "half").unwrap();
    let coordinator = Coordinator::start_in(folder).await;
    assert!(!half.exists());
    assert!(coordinator.folder.path().join("datasets").exists());
}

/// Such heartbeats take the fast path, without a message to the driver for each.
#[tokio::test]
async fn the_time_of_an_unchanged_heartbeat_is_stored() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let path = format!("/devices/{}/heartbeat", device.id);
    let seen = loop {
        let beat = json!({ "state": "waiting" });
        let (status, answer) = device.ask(&coordinator, Method::POST, &path, beat).await;
        assert_eq!((status, &answer["lease_held"]), (StatusCode::OK, &json!(true)));
        let shown = coordinator.get("/devices").await[0].clone();
        // Repeat until the clock has advanced.
        if shown["last_seen"] != shown["created_at"] {
            break shown["last_seen"].clone();
        }
    };
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.get("/devices").await[0]["last_seen"], seen);
}
