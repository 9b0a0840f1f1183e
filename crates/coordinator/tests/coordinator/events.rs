//! Long polls for changes.

use serde_json::{Value, json};

use crate::device::Device;
use crate::support::{Coordinator, tiny_job};

#[tokio::test]
async fn a_long_poll_returns_when_something_changes() {
    let coordinator = Coordinator::start().await;
    let before = coordinator.get("/events").await["revision"].as_u64().unwrap();
    let path = format!("/events?after={before}&wait=60");
    let (events, device) =
        tokio::join!(coordinator.get(&path), Device::enroll(&coordinator, "one"));
    assert_eq!(events["changes"], json!([{ "kind": "device", "id": device.id }]));
    assert_eq!(events["reset"], json!(false));
    assert!(events["revision"].as_u64().unwrap() > before);
}

#[tokio::test]
async fn the_revision_survives_a_restart_and_a_later_one_gets_a_reset() {
    let coordinator = Coordinator::start().await;
    let job = coordinator.post("/jobs", tiny_job()).await;
    let before = coordinator.get("/events").await;
    assert_eq!(before["changes"][0], json!({ "kind": "job", "id": job["id"] }));
    let coordinator = coordinator.restart().await;
    let after = coordinator.get("/events").await;
    assert_eq!(after["revision"], before["revision"]);
    let revision = after["revision"].as_u64().unwrap();
    let nothing = coordinator.get(&format!("/events?after={revision}")).await;
    assert_eq!(nothing["changes"], json!([]));
    let foreign = coordinator.get(&format!("/events?after={}&wait=60", revision + 7)).await;
    assert_eq!((&foreign["reset"], &foreign["revision"]), (&json!(true), &json!(revision)));
}

#[tokio::test]
async fn long_polls_are_answered_when_the_coordinator_stops() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let revision = coordinator.get("/events").await["revision"].as_u64().unwrap();
    let path = format!("/events?after={revision}&wait=60");
    let events = coordinator.request(reqwest::Method::GET, &path, &coordinator.admin);
    let path = format!("/devices/{}/next-job?wait=60", device.id);
    let next_job = coordinator.request(reqwest::Method::GET, &path, &device.token);
    let events = tokio::spawn(events.send());
    let next_job = tokio::spawn(next_job.send());
    // After later requests are answered, both long polls are waiting.
    for _ in 0..20 {
        coordinator.get("/devices").await;
    }
    let Coordinator { running, folder, .. } = coordinator;
    running.stop().await;
    let events = events.await.unwrap().unwrap();
    assert_eq!(events.json::<Value>().await.unwrap()["changes"], json!([]));
    assert_eq!(next_job.await.unwrap().unwrap().status(), 204);
    drop(folder);
}
