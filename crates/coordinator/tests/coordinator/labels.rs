//! Names and labels of devices, and jobs that require labels.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::Device;
use crate::support::{Coordinator, tiny_job};

#[tokio::test]
async fn a_device_keeps_its_assigned_name_and_labels() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let path = format!("/devices/{}", device.id);
    let known = coordinator.audit().await.len();
    let change = json!({ "labels": ["studio", " lab ", "lab"] });
    let (status, changed) = coordinator.ask(Method::PATCH, &path, Some(change)).await;
    assert_eq!((status, &changed["name"]), (StatusCode::OK, &json!("one's Mac")));
    assert_eq!(changed["labels"], json!(["lab", "studio"]));
    let change = json!({ "name": "the lab's first" });
    coordinator.ask(Method::PATCH, &path, Some(change)).await;
    assert_eq!(
        coordinator.audit_after(known).await,
        [
            "this machine (admin, 127.0.0.1): device changed name=one's Mac",
            "this machine (admin, 127.0.0.1): device changed name=the lab's first"
        ]
    );
    // It registers again, with its own name for itself.
    Device::enroll(&coordinator, "one").await;
    let coordinator = coordinator.restart().await;
    let shown = &coordinator.get("/devices").await[0];
    assert_eq!((&shown["name"], &shown["labels"]), (&changed_name(), &changed["labels"]));

    for (change, field) in [
        (json!({ "name": " " }), "name"),
        (json!({ "name": "two\nlines" }), "name"),
        (json!({ "labels": [""] }), "labels"),
        (json!({ "labels": vec!["x".repeat(51)] }), "labels"),
        (json!({ "labels": (0..21).map(|n| n.to_string()).collect::<Vec<_>>() }), "labels"),
    ] {
        let (status, problem) = coordinator.ask(Method::PATCH, &path, Some(change)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem["field"], field, "{problem}");
    }
    let unknown = "/devices/01890a5d-ac96-774b-bcce-b302099a8057";
    let (status, problem) = coordinator.ask(Method::PATCH, unknown, Some(json!({}))).await;
    assert_eq!((status, &problem["type"]), (StatusCode::NOT_FOUND, &json!("unknown-device")));
}

fn changed_name() -> Value {
    json!("the lab's first")
}

#[tokio::test]
async fn a_job_with_labels_is_leased_to_devices_that_have_one() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let mut job = tiny_job();
    job["run"]["labels"] = json!(["lab", "studio"]);
    let id = coordinator.start_job(job).await;
    coordinator.job_in(&id, "running").await;
    assert!(device.next_job(&coordinator, 0).await.is_none());
    let explanation = coordinator.get(&format!("/jobs/{id}")).await["explanation"].to_string();
    assert!(explanation.contains("'lab' or 'studio', but no device has it"), "{explanation}");

    // The device gets the label while it waits for work.
    let path = format!("/devices/{}", device.id);
    let label = coordinator.ask(Method::PATCH, &path, Some(json!({ "labels": ["studio"] })));
    let (lease, _) = tokio::join!(device.next_job(&coordinator, 60), label);
    assert_eq!(lease.unwrap().job_id.to_string(), id);
    let explanation = coordinator.get(&format!("/jobs/{id}")).await["explanation"].to_string();
    assert!(!explanation.contains("label"), "{explanation}");

    let mut job = tiny_job();
    job["run"]["labels"] = json!([""]);
    let (status, problem) = coordinator.ask(Method::POST, "/jobs", Some(job)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["field"], "run.labels");
}
