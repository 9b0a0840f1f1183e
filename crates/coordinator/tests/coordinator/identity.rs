//! Who a device is (DESIGN §11.12): the table of key, machine and instance, over HTTP.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, register, registration};
use crate::support::Coordinator;

/// A code for as many devices as a test wants.
pub(crate) async fn proof(coordinator: &Coordinator) -> String {
    coordinator.join_code(json!({ "uses": 100 })).await.secret.proof().bearer()
}

/// As if nothing had been heard of any device for long.
pub(crate) async fn after_silence(coordinator: Coordinator) -> Coordinator {
    coordinator
        .changed(|database| {
            let sql = "UPDATE devices SET
                record = json_set(record, '$.last_seen', '2020-01-01T00:00:00Z')";
            database.execute(sql, []).unwrap();
        })
        .await
}

#[tokio::test]
async fn registering_again_is_the_same_device_with_a_new_token() {
    let coordinator = Coordinator::start().await;
    let proof = proof(&coordinator).await;
    let (_, first) = register(&coordinator, &proof, "one", registration("one")).await;
    let (status, second) = register(&coordinator, &proof, "one", registration("one")).await;
    assert_eq!((status, &second["enrolment"]), (StatusCode::OK, &json!("same")));
    assert_eq!(first["id"], second["id"]);
    assert_ne!(first["token"], second["token"]);
    assert_eq!(coordinator.get("/devices").await.as_array().unwrap().len(), 1);
    let path = format!("/devices/{}/next-job", first["id"].as_str().unwrap());
    for (token, expected) in
        [(&first["token"], StatusCode::UNAUTHORIZED), (&second["token"], StatusCode::NO_CONTENT)]
    {
        let request = coordinator.request(Method::GET, &path, token.as_str().unwrap());
        assert_eq!(request.send().await.unwrap().status(), expected);
    }
}

#[tokio::test]
async fn several_workers_on_one_machine_are_devices_of_their_own() {
    let coordinator = Coordinator::start().await;
    let proof = proof(&coordinator).await;
    for instance in 0..3 {
        let mut said = registration("one");
        said["instance"] = json!(instance);
        let key = format!("key {instance}");
        let (_, registered) = register(&coordinator, &proof, &key, said).await;
        assert_eq!(registered["enrolment"], "new");
    }
    assert_eq!(coordinator.get("/devices").await.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_wiped_mac_is_the_same_device_once_the_old_worker_is_silent_and_an_administrator_approves()
 {
    let coordinator = Coordinator::start().await;
    let proof = proof(&coordinator).await;
    let (_, first) = register(&coordinator, &proof, "old key", registration("one")).await;
    let (status, body) = register(&coordinator, &proof, "new key", registration("one")).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("device-at-work")));
    assert!(body["detail"].as_str().unwrap().contains("wait"), "{body}");
    assert_eq!(coordinator.get("/join-codes").await[0]["uses"], 1);

    let coordinator = after_silence(coordinator).await;
    let (status, second) = register(&coordinator, &proof, "new key", registration("one")).await;
    assert_eq!((status, &second["awaiting_approval"]), (StatusCode::OK, &json!(true)));
    let path = format!("/devices/{}/approve", Device::of(&second).id);
    coordinator.post(&path, json!({})).await;
    let devices = coordinator.get("/devices").await;
    assert_eq!(devices.as_array().unwrap().len(), 1);
    assert!(devices[0]["note"].as_str().unwrap().contains("wiped"), "{devices}");
    // The old key and the old token are worth nothing any more.
    let path = format!("/devices/{}/next-job", Device::of(&first).id);
    let (status, _) = Device::of(&first).ask(&coordinator, Method::GET, &path, Value::Null).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = register(&coordinator, &proof, "old key", registration("one")).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn an_administrator_s_token_rekeys_a_silent_mac_at_once_and_clears_its_labels() {
    let coordinator = Coordinator::start().await;
    let first = Device::enrol(&coordinator, "one").await;
    let path = format!("/devices/{}", first.id);
    let change = json!({ "name": "the lab's first", "labels": ["lab"] });
    coordinator.ask(Method::PATCH, &path, Some(change)).await;
    let coordinator = after_silence(coordinator).await;
    let admin = coordinator.admin.clone();
    let (status, second) = register(&coordinator, &admin, "new key", registration("one")).await;
    assert_eq!((status, &second["enrolment"]), (StatusCode::OK, &json!("rekeyed")));
    assert_eq!((&second["id"], second.get("awaiting_approval")), (&json!(first.id), None));
    let shown = &coordinator.get("/devices").await[0];
    assert_eq!((&shown["name"], &shown["labels"]), (&json!("the lab's first"), &json!([])));
}

#[tokio::test]
async fn a_copied_data_folder_on_another_machine_becomes_a_device_of_its_own() {
    let coordinator = Coordinator::start().await;
    let proof = proof(&coordinator).await;
    let (_, original) = register(&coordinator, &proof, "key", registration("one")).await;
    let (status, body) = register(&coordinator, &proof, "key", registration("two")).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("copied-key")));
    assert!(body["detail"].as_str().unwrap().contains("one's Mac"), "{body}");
    // The worker then makes a key of its own and says what it knows.
    let mut said = registration("two");
    said["copy_of"] = original["id"].clone();
    let (status, copy) = register(&coordinator, &proof, "a key of its own", said).await;
    assert_eq!((status, &copy["enrolment"]), (StatusCode::OK, &json!("copy")));
    assert_ne!(copy["id"], original["id"]);
    let devices = coordinator.get("/devices").await;
    assert_eq!(devices.as_array().unwrap().len(), 2);
    assert_eq!(devices[0]["note"], Value::Null);
    assert!(devices[1]["note"].as_str().unwrap().contains("one's Mac"), "{devices}");
    // The reason is still there after it registered again and after a restart.
    register(&coordinator, &proof, "a key of its own", registration("two")).await;
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.get("/devices").await[1]["note"], devices[1]["note"]);
}

#[tokio::test]
async fn two_workers_with_one_identity_never_work_at_once() {
    let coordinator = Coordinator::start().await;
    let device = Device::enrol(&coordinator, "one").await;
    let path = format!("/devices/{}/heartbeat", device.id);
    let beat = async |id: &str, after: &[&str]| {
        let body = json!({ "state": "waiting", "session": { "id": id, "after": after } });
        device.ask(&coordinator, Method::POST, &path, body).await
    };
    assert_eq!(beat("a", &[]).await.0, StatusCode::OK);
    // The same worker, started anew.
    assert_eq!(beat("b", &["a"]).await.0, StatusCode::OK);
    assert_eq!(beat("b", &["a"]).await.0, StatusCode::OK);
    // The copy of its folder, and the worker that it was copied from.
    for id in ["c", "a"] {
        let (status, body) = beat(id, &["a"]).await;
        assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("second-session")));
        assert!(body["detail"].as_str().unwrap().contains("--data-dir"), "{body}");
    }
    // Nor does it get a new token by registering.
    let mut said = registration("one");
    said["session"] = json!({ "id": "c", "after": ["a"] });
    let (status, body) = register(&coordinator, &coordinator.admin, "one", said).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("second-session")));
    assert_eq!(beat("b", &[]).await.0, StatusCode::OK);
    // A worker of before sessions is believed.
    let body = json!({ "state": "waiting" });
    assert_eq!(device.ask(&coordinator, Method::POST, &path, body).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_second_worker_takes_over_from_one_that_is_silent() {
    let coordinator = Coordinator::start().await;
    let device = Device::enrol(&coordinator, "one").await;
    let path = format!("/devices/{}/heartbeat", device.id);
    let beat = |id: &str| json!({ "state": "waiting", "session": { "id": id, "after": [] } });
    device.ask(&coordinator, Method::POST, &path, beat("a")).await;
    let coordinator = after_silence(coordinator).await;
    let (status, _) = device.ask(&coordinator, Method::POST, &path, beat("b")).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = device.ask(&coordinator, Method::POST, &path, beat("a")).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn cleaning_up_says_whom_it_forgot() {
    let coordinator = Coordinator::start().await;
    Device::enrol(&coordinator, "one").await;
    let gone = Device::enrol(&coordinator, "two").await;
    coordinator.post(&format!("/devices/{}/revoke", gone.id), Value::Null).await;
    let answer = coordinator.post("/devices/cleanup", Value::Null).await;
    assert_eq!(answer, json!({ "removed": [{ "id": gone.id, "name": "two's Mac" }] }));
    let coordinator = after_silence(coordinator).await;
    let answer = coordinator.post("/devices/cleanup", Value::Null).await;
    assert_eq!(answer["removed"][0]["name"], "one's Mac");
    assert_eq!(coordinator.get("/devices").await, json!([]));
    // They may enrol again, as new devices.
    let proof = proof(&coordinator).await;
    let (status, again) = register(&coordinator, &proof, "two", registration("two")).await;
    assert_eq!((status, &again["enrolment"]), (StatusCode::OK, &json!("new")));
    assert_ne!(again["id"], gone.id);
}
