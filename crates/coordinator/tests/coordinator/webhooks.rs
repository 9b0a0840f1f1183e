//! Notices and webhooks with a receiver that starts and stops.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::device::Device;
use crate::receiver::{Delivery, Receiver};
use crate::support::{Coordinator, tiny_job};

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn add(coordinator: &Coordinator, receiver: &Receiver, events: Value) -> String {
    let body = json!({ "url": receiver.url(), "events": events, "secret": SECRET });
    coordinator.post("/webhooks", body).await["id"].as_str().unwrap().to_owned()
}

/// Cancels a new job at once: the fastest way to raise a notice.
async fn cancel_a_job(coordinator: &Coordinator, name: &str) {
    let mut job = tiny_job();
    job["name"] = json!(name);
    let id = coordinator.post("/jobs", job).await["id"].as_str().unwrap().to_owned();
    coordinator.post(&format!("/jobs/{id}/cancel"), Value::Null).await;
}

pub(crate) fn check_signature(deliveries: &Delivery) {
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    let (id, at) = (deliveries.header("webhook-id"), deliveries.header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{at}.{}", deliveries.body).as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(deliveries.header("webhook-signature"), expected);
}

/// Waits until the webhook fulfills the condition, and returns it.
async fn webhook_when(coordinator: &Coordinator, asked: impl Fn(&Value) -> bool) -> Value {
    let waiting = async {
        loop {
            let webhook = coordinator.get("/webhooks").await[0].clone();
            if asked(&webhook) {
                return webhook;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), waiting).await.unwrap()
}

#[tokio::test]
async fn a_job_that_completes_is_told_signed_and_once() {
    let coordinator = Coordinator::start().await;
    let receiver = Receiver::start("204 No Content").await;
    add(&coordinator, &receiver, json!(["job_completed", "job_failed"])).await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    for round in 1..=2 {
        coordinator.job_when(&id, |job| job["reason"].to_string().contains("0 of 2 seats")).await;
        assert_eq!(device.work(&coordinator).await, 2);
        coordinator.job_when(&id, |job| job["current_epoch"] == round).await;
    }
    coordinator.job_in(&id, "completed").await;

    let deliveries = receiver.wait_for(1).await.remove(0);
    check_signature(&deliveries);
    assert!(deliveries.head.starts_with("POST /hook?key=secret HTTP/1.1"), "{}", deliveries.head);
    assert_eq!(deliveries.header("content-type"), "application/json");
    let payload = deliveries.json();
    assert_eq!(payload["type"], "job_completed");
    let text = payload["text"].as_str().unwrap();
    assert!(
        text.starts_with("test cluster: job 'tiny' completed after 2 rounds; test accuracy "),
        "{text}"
    );
    assert_eq!(payload["data"]["notice"]["subject"], id.as_str());
    let notices = coordinator.get("/notices").await;
    assert_eq!(notices[0]["id"], payload["data"]["notice"]["id"]);

    // It receives only subscribed notices, each once.
    cancel_a_job(&coordinator, "unheard").await;
    let webhook = webhook_when(&coordinator, |webhook| webhook["last"].is_object()).await;
    assert_eq!((&webhook["waiting"], &webhook["last"]["delivered"]), (&json!(0), &json!(true)));
    assert_eq!(webhook["last"]["detail"], "204 No Content");
    assert_eq!(receiver.wait_for(1).await.len(), 1);
}

#[tokio::test]
async fn a_receiver_that_was_away_hears_of_it_later_also_after_a_crash() {
    let coordinator = Coordinator::start().await;
    let mut receiver = Receiver::start("500 Internal Server Error").await;
    add(&coordinator, &receiver, json!([])).await;
    cancel_a_job(&coordinator, "lost").await;
    // A response without success is not a delivery.
    let first = receiver.wait_for(1).await.remove(0);
    receiver.stop().await;
    let webhook = webhook_when(&coordinator, |webhook| webhook["last"].is_object()).await;
    assert_eq!((&webhook["waiting"], &webhook["last"]["delivered"]), (&json!(1), &json!(false)));

    // The coordinator crashes, the receiver returns, and the same delivery arrives.
    let next = coordinator.after_a_crash().await;
    let Coordinator { running, folder, .. } = coordinator;
    running.stop().await;
    drop(folder);
    let coordinator = next;
    webhook_when(&coordinator, |webhook| webhook["waiting"] == 1).await;
    receiver.start_again("200 OK");
    let deliveries = receiver.wait_for(2).await;
    let again = deliveries.last().unwrap();
    check_signature(again);
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(again.body, first.body);
    webhook_when(&coordinator, |webhook| webhook["waiting"] == 0).await;

    // Successful deliveries are not sent again after a restart.
    let coordinator = coordinator.restart().await;
    cancel_a_job(&coordinator, "next").await;
    webhook_when(&coordinator, |webhook| webhook["waiting"] == 0).await;
    let names: Vec<Value> = receiver
        .wait_for(3)
        .await
        .iter()
        .map(|deliveries| deliveries.json()["text"].clone())
        .collect();
    let last = names.last().unwrap().as_str().unwrap();
    assert_eq!(last, "test cluster: job 'next' was cancelled");
    assert_eq!(names.iter().filter(|text| text.to_string().contains("next")).count(), 1);
}

#[tokio::test]
async fn the_test_button_says_how_it_went() {
    let coordinator = Coordinator::start().await;
    let mut receiver = Receiver::start("200 OK").await;
    let id = add(&coordinator, &receiver, json!([])).await;
    let path = format!("/webhooks/{id}/test");
    let result = coordinator.post(&path, Value::Null).await;
    assert_eq!((&result["delivered"], &result["detail"]), (&json!(true), &json!("200 OK")));
    let deliveries = receiver.wait_for(1).await.remove(0);
    check_signature(&deliveries);
    assert_eq!(deliveries.json()["type"], "test");
    assert_eq!(deliveries.json()["text"], "test cluster: this is a test; notices will arrive here");

    // Redirects are not followed, because they could lead anywhere.
    receiver.stop().await;
    receiver.start_again("302 Found\r\nLocation: http://127.0.0.1:1/");
    let result = coordinator.post(&path, Value::Null).await;
    assert_eq!((&result["delivered"], &result["detail"]), (&json!(false), &json!("302 Found")));

    receiver.stop().await;
    let result = coordinator.post(&path, Value::Null).await;
    assert_eq!(result["delivered"], json!(false));
    let detail = result["detail"].as_str().unwrap();
    assert!(!detail.contains("key=secret"), "{detail}");
    assert_eq!(coordinator.get("/webhooks").await[0]["last"], result);
}

#[tokio::test]
async fn a_webhook_is_added_shown_without_its_secret_and_removed() {
    let coordinator = Coordinator::start().await;
    let mut refused = Vec::new();
    for body in [
        json!({ "url": "chat" }),
        json!({ "url": "http://chat.example.com/" }),
        json!({ "url": "https://169.254.169.254/latest" }),
        json!({ "url": "https://me:word@chat.example.com/" }),
        json!({ "url": "https://chat.example.com/", "secret": "short" }),
        json!({ "url": "https://chat.example.com/", "events": ["everything"] }),
    ] {
        let (status, body) = coordinator.ask(Method::POST, "/webhooks", Some(body)).await;
        refused.push(json!([status.as_u16(), body["type"], body["field"], body["detail"]]));
    }
    insta::assert_json_snapshot!("refused_webhooks", refused);

    let body = json!({
        "url": "https://chat.example.com/hook?key=hidden",
        "events": ["job_failed"]
    });
    let created = coordinator.post("/webhooks", body).await;
    assert!(created["secret"].as_str().unwrap().starts_with("whsec_"));
    let coordinator = coordinator.restart().await;
    let shown = coordinator.get("/webhooks").await;
    assert_eq!(shown[0]["events"], json!(["job_failed"]));
    assert!(shown[0].get("secret").is_none(), "{shown}");
    let viewer = coordinator.token("viewer").await;
    let by_viewer = coordinator.request(Method::GET, "/webhooks", &viewer).send().await.unwrap();
    assert_eq!(by_viewer.status(), StatusCode::FORBIDDEN);

    // The audit log names the creator, but not the URL, which may contain secrets.
    let log = serde_json::to_string(&coordinator.audit().await).unwrap();
    assert!(log.contains("chat.example.com") && !log.contains("key=hidden"), "{log}");

    let path = format!("/webhooks/{}", created["id"].as_str().unwrap());
    assert_eq!(coordinator.ask(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let (status, body) = coordinator.ask(Method::DELETE, &path, None).await;
    assert_eq!((status, &body["type"]), (StatusCode::NOT_FOUND, &json!("unknown-webhook")));
    assert_eq!(coordinator.get("/webhooks").await, json!([]));
}

#[tokio::test]
async fn a_notice_is_an_event_and_can_be_dismissed() {
    let coordinator = Coordinator::start().await;
    let before = coordinator.get("/events").await["revision"].clone();
    cancel_a_job(&coordinator, "x").await;
    let notice = coordinator.get("/notices").await[0].clone();
    let deliveries = coordinator.get(&format!("/events?after={before}")).await;
    let change = json!({ "kind": "notice", "id": notice["id"] });
    assert!(deliveries["changes"].as_array().unwrap().contains(&change), "{deliveries}");
    let path = format!("/notices/{}/dismiss", notice["id"].as_str().unwrap());
    let dismissed = coordinator.post(&path, Value::Null).await;
    assert!(dismissed["dismissed_at"].is_string());
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.get("/notices").await, json!([]));
    assert_eq!(coordinator.get("/notices?all=true").await, json!([dismissed]));
    let unknown = "/notices/01890a5d-ac96-774b-bcce-b302099a8057/dismiss";
    let (status, body) = coordinator.ask(Method::POST, unknown, None).await;
    assert_eq!((status, &body["type"]), (StatusCode::NOT_FOUND, &json!("unknown-notice")));
}
