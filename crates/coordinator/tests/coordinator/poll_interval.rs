//! Times that the coordinator sends to devices: the interval of heartbeats and progress reports, and the rest of
//! a lease's timeout.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::Device;
use crate::support::{Coordinator, tiny_job};

#[tokio::test]
async fn answers_contain_the_next_heartbeat_and_progress_times() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let beat = json!({ "state": "waiting" });
    let path = format!("/devices/{}/heartbeat", device.id);
    let (_, answer) = device.ask(&coordinator, Method::POST, &path, beat).await;
    assert_eq!(answer["heartbeat_seconds"], 30);
    // One device's share of 400 requests per second.
    assert_eq!(answer["return_within_seconds"], 0.0025);

    let path = format!("/devices/{}/next-job?wait=0", device.id);
    let request = coordinator.request(Method::GET, &path, &device.token);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()["retry-after"], "1");

    coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let progress = json!({ "step": 1, "steps": 2, "loss": 0.5, "examples_per_second": 1.0 });
    let path = format!("/leases/{}/progress", lease.id);
    let (_, answer) = device.ask(&coordinator, Method::POST, &path, progress).await;
    assert_eq!(answer["standing"], "held");
    assert_eq!(answer["next_seconds"], 2.0);
    assert_eq!(answer["seconds_left"], 60.0);
    let body = json!({ "reason": "paused" });
    let path = format!("/leases/{}/return", lease.id);
    assert_eq!(
        device.ask(&coordinator, Method::POST, &path, body).await,
        (StatusCode::NO_CONTENT, Value::Null)
    );
    let progress = json!({ "step": 2, "steps": 2, "loss": 0.5, "examples_per_second": 1.0 });
    let path = format!("/leases/{}/progress", lease.id);
    let (_, answer) = device.ask(&coordinator, Method::POST, &path, progress).await;
    assert_eq!((&answer["standing"], &answer["seconds_left"]), (&json!("lost"), &json!(0.0)));
}
