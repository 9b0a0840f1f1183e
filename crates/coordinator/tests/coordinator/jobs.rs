//! Commands for jobs.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, update};
use crate::support::{Coordinator, tiny_job};

#[tokio::test]
async fn a_paused_job_grants_no_leases_until_it_is_resumed() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let paused = coordinator.post(&format!("/jobs/{id}/pause"), Value::Null).await;
    assert_eq!(paused["status"], "paused");
    let progress = json!({ "step": 1, "steps": 1, "loss": 0.5, "examples_per_second": 10.0 });
    let path = format!("/leases/{}/progress", lease.id);
    let (_, answer) = device.ask(&coordinator, Method::POST, &path, progress).await;
    assert_eq!(answer["standing"], "lost");
    assert!(device.next_job(&coordinator, 0).await.is_none());
    // An update that arrives after the pause is still accepted.
    let (status, answer) = device.report(&coordinator, &lease, update(&lease)).await;
    assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("accepted")));

    let (status, body) = coordinator.ask(Method::POST, &format!("/jobs/{id}/pause"), None).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("job-status")));
    coordinator.post(&format!("/jobs/{id}/resume"), Value::Null).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    assert_eq!(lease.round, 1);
}

#[tokio::test]
async fn a_canceled_job_ends_its_leases_and_removes_its_shards() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let shard = lease.shards[0];
    device.blob(&coordinator, shard).await;
    let job = coordinator.post(&format!("/jobs/{id}/cancel"), Value::Null).await;
    assert_eq!(job["status"], "cancelled");
    let path = format!("/blobs/{shard}");
    let (status, body) = coordinator.ask(Method::GET, &path, None).await;
    assert_eq!((status, &body["type"]), (StatusCode::NOT_FOUND, &json!("unknown-blob")));
    let hash = protocol::BlobHash::compute(b"late");
    let late = device.upload(&coordinator, lease.id, hash, 0, b"late".to_vec()).await;
    assert_eq!(late.status(), StatusCode::GONE);
    for action in ["start", "pause", "resume", "cancel", "complete"] {
        let path = format!("/jobs/{id}/{action}");
        let (status, body) = coordinator.ask(Method::POST, &path, None).await;
        assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("job-status")), "{path}");
    }
}

#[tokio::test]
async fn the_running_coordinator_reports_whether_a_job_is_in_progress() {
    let coordinator = Coordinator::start().await;
    let mut working = coordinator.running.working.clone();
    assert!(!*working.borrow());
    let id = coordinator.start_job(tiny_job()).await;
    for (action, is_in_progress) in [("pause", false), ("resume", true), ("cancel", false)] {
        working.wait_for(|working| *working != is_in_progress).await.unwrap();
        coordinator.post(&format!("/jobs/{id}/{action}"), Value::Null).await;
        working.wait_for(|working| *working == is_in_progress).await.unwrap();
    }
}

#[tokio::test]
async fn jobs_are_served_by_priority() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let usual = coordinator.start_job(tiny_job()).await;
    let mut urgent = tiny_job();
    urgent["run"]["priority"] = json!(5);
    urgent["name"] = json!("urgent");
    let urgent = coordinator.start_job(urgent).await;
    coordinator.job_in(&usual, "running").await;
    coordinator.job_in(&urgent, "running").await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    assert_eq!(lease.job_id.to_string(), urgent);
}

#[tokio::test]
async fn an_unreachable_dataset_fails_the_job_with_the_setting_to_change() {
    let coordinator = Coordinator::start().await;
    let mut job = tiny_job();
    job["dataset"] = json!("ag_news");
    let id = coordinator.start_job(job).await;
    let job = coordinator.job_in(&id, "failed").await;
    let reason = job["reason"].as_str().unwrap();
    assert!(reason.contains("CONSTELLATION_DATA_DIR"), "{reason}");
}

#[tokio::test]
async fn a_target_is_reached_on_the_validation_split() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let mut job = tiny_job();
    job["run"] = json!({ "rounds": 5, "target_accuracy": 0.01 });
    job["data"]["train_limit"] = json!(400);
    let id = coordinator.start_job(job).await;
    coordinator.job_in(&id, "running").await;
    device.work(&coordinator).await;
    let job = coordinator.job_in(&id, "completed").await;
    assert_eq!((&job["current_epoch"], &job["total_epochs"]), (&json!(1), &json!(5)));
    let reason = job["reason"].as_str().unwrap();
    assert!(reason.contains("target"), "{reason}");
}
