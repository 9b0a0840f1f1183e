//! Explanation of a job about devices that don't train for it: stopped, short of disk or memory, or about to ask.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::Device;
use crate::support::{Coordinator, tiny_job};

async fn heartbeat(coordinator: &Coordinator, device: &Device, state: &str) {
    let path = format!("/devices/{}/heartbeat", device.id);
    let (status, body) =
        device.ask(coordinator, Method::POST, &path, json!({ "state": state })).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

/// Takes a lease and returns it.
async fn return_for(coordinator: &Coordinator, device: &Device, reason: &str) {
    let lease = device.next_job(coordinator, 60).await.unwrap();
    let path = format!("/leases/{}/return", lease.id);
    let (status, body) =
        device.ask(coordinator, Method::POST, &path, json!({ "reason": reason })).await;
    assert!(status.is_success(), "{body}");
}

#[tokio::test]
async fn a_job_tells_stopped_from_out_of_disk_out_of_memory_and_about_to_ask() {
    let coordinator = Coordinator::start().await;
    let mut devices = Vec::new();
    for name in ["stops", "full", "small", "ready"] {
        devices.push(Device::enroll(&coordinator, name).await);
    }
    let id = coordinator.start_job(tiny_job()).await;
    return_for(&coordinator, &devices[1], "disk").await;
    return_for(&coordinator, &devices[2], "memory").await;
    heartbeat(&coordinator, &devices[0], "waiting").await;
    heartbeat(&coordinator, &devices[3], "waiting").await;
    let explanation =
        async || coordinator.get(&format!("/jobs/{id}")).await["explanation"].to_string();
    let before = explanation().await;
    assert!(
        before.contains(
            "2 about to ask for work, 1 with too little memory for this job, 1 with too little disk \
             space for this job"
        ),
        "{before}"
    );

    // A worker that stops says so, and is shown at once.
    let revision = coordinator.get("/events?after=0&wait=0").await["revision"].as_u64().unwrap();
    heartbeat(&coordinator, &devices[0], "offline").await;
    let events = coordinator.get(&format!("/events?after={revision}&wait=5")).await;
    assert!(events["changes"].to_string().contains(&devices[0].id), "{events}");
    let after = explanation().await;
    assert!(after.contains("1 about to ask for work") && after.contains("1 stopped"), "{after}");
    let shown = async || coordinator.get(&format!("/devices/{}", devices[0].id)).await;
    let device = shown().await;
    assert_eq!(
        (&device["state"], &device["stopped"], &device["is_active"]),
        (&json!("offline"), &json!(true), &json!(false))
    );
    // It is back with its next message.
    heartbeat(&coordinator, &devices[0], "waiting").await;
    let device = shown().await;
    assert_eq!((&device["state"], &device["stopped"]), (&json!("waiting"), &Value::Null));
}
