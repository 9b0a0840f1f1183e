//! What the coordinator tells its devices of time: when the next word is due, and how long a lease
//! lasts by the device's own clock.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::Device;
use crate::support::{Coordinator, tiny_job};

#[tokio::test]
async fn a_device_is_told_when_its_next_word_is_due() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let beat = json!({ "state": "waiting" });
    let path = format!("/devices/{}/heartbeat", device.id);
    let (_, answer) = device.ask(&coordinator, Method::POST, &path, beat).await;
    assert_eq!(answer["heartbeat_seconds"], 30);
    // One of 400 that a second may take.
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
    let gone = json!({ "reason": "paused" });
    let path = format!("/leases/{}/return", lease.id);
    assert_eq!(
        device.ask(&coordinator, Method::POST, &path, gone).await,
        (StatusCode::NO_CONTENT, Value::Null)
    );
    let progress = json!({ "step": 2, "steps": 2, "loss": 0.5, "examples_per_second": 1.0 });
    let path = format!("/leases/{}/progress", lease.id);
    let (_, answer) = device.ask(&coordinator, Method::POST, &path, progress).await;
    assert_eq!((&answer["standing"], &answer["seconds_left"]), (&json!("lost"), &json!(0.0)));
}
