//! The audit log: every change is recorded with its caller and address, and records are kept.

use protocol::audit::{Chain, Entry};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, update};
use crate::support::{Client, Coordinator, tiny_job};

impl Client {
    /// Returns the whole log after verifying its hash chain.
    pub(crate) async fn audit(&self) -> Vec<Entry> {
        let mut before = self.get("/audit/head").await;
        loop {
            let entries = self.get("/audit?limit=1000").await;
            let head = self.get("/audit/head").await;
            if head != before {
                // The coordinator added an entry in between.
                before = head;
                continue;
            }
            let entries: Vec<Entry> = serde_json::from_value(entries).unwrap();
            let mut chain = Chain::default();
            for entry in &entries {
                chain.follow(entry).unwrap();
            }
            assert_eq!(head, json!({ "number": chain.number, "hash": chain.head }));
            return entries;
        }
    }

    /// Returns the entries after number `number` as text.
    pub(crate) async fn audit_after(&self, number: usize) -> Vec<String> {
        self.audit().await.iter().skip(number).map(to_text).collect()
    }
}

fn to_text(entry: &Entry) -> String {
    let record = &entry.record;
    let role = record.role.map_or("-", |role| role.word());
    let from = record.from.as_deref().unwrap_or("inside");
    let (kind, action) = (record.subject.kind.word(), record.action.word());
    let shown = ["name", "role", "dataset", "version"];
    let detail = record.detail.iter().filter(|(name, _)| shown.contains(&name.as_str()));
    let detail: Vec<String> = detail.map(|(name, value)| format!("{name}={value}")).collect();
    format!("{} ({role}, {from}): {kind} {action} {}", record.who, detail.join(" "))
}

#[tokio::test]
async fn every_change_is_recorded_with_caller_and_address() {
    let coordinator = Coordinator::start().await;
    let lease = {
        let device = Device::enroll(&coordinator, "one").await;
        let id = coordinator.start_job(tiny_job()).await;
        for command in ["pause", "resume"] {
            coordinator.post(&format!("/jobs/{id}/{command}"), Value::Null).await;
        }
        let lease = device.next_job(&coordinator, 60).await.unwrap();
        device.report(&coordinator, &lease, update(&lease)).await;
        coordinator.post(&format!("/jobs/{id}/cancel"), Value::Null).await;
        Device::enroll(&coordinator, "one").await;
        coordinator.post(&format!("/devices/{}/revoke", device.id), Value::Null).await;
        coordinator.post("/devices/cleanup", Value::Null).await;
        lease
    };
    let viewer = coordinator.post("/tokens", json!({ "role": "viewer", "name": "wall" })).await;
    let path = format!("/tokens/{}", viewer["id"].as_str().unwrap());
    coordinator.ask(Method::DELETE, &path, None).await;
    let request = coordinator.request(
        Method::POST,
        "/datasets?name=ours&filename=ours.jsonl",
        &coordinator.admin,
    );
    let rows: Vec<String> = (0..40)
        .map(|n| format!("{{\"text\": \"row {n}\", \"label\": \"{}\"}}\n", ["a", "b"][n % 2]))
        .collect();
    let rows = rows.concat();
    assert_eq!(request.body(rows).send().await.unwrap().status(), StatusCode::CREATED);
    let entries = coordinator.audit().await;
    insta::assert_snapshot!(entries.iter().map(to_text).collect::<Vec<_>>().join("\n"));
    // Subjects are the ids that the API shows.
    assert!(entries.iter().any(|entry| entry.record.subject.id == lease.job_id.to_string()));
}

#[tokio::test]
async fn a_finished_job_records_its_model_and_heartbeats_are_not_recorded() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    let known = coordinator.audit().await.len();
    while coordinator.get(&format!("/jobs/{id}")).await["status"] != "completed" {
        let path = format!("/devices/{}/heartbeat", device.id);
        device.ask(&coordinator, Method::POST, &path, json!({ "state": "waiting" })).await;
        device.work(&coordinator).await;
    }
    assert_eq!(
        coordinator.audit_after(known).await,
        ["coordinator (-, inside): model added name=tiny version=1"]
    );
}

#[tokio::test]
async fn refused_changes_are_not_recorded() {
    let coordinator = Coordinator::start().await;
    let id = coordinator.post("/jobs", tiny_job()).await["id"].as_str().unwrap().to_owned();
    let known = coordinator.audit().await.len();
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    for path in [
        format!("/jobs/{id}/pause"),
        format!("/jobs/{nobody}/start"),
        format!("/devices/{nobody}/revoke"),
    ] {
        let (status, _) = coordinator.ask(Method::POST, &path, None).await;
        assert!(status.is_client_error(), "{path}: {status}");
    }
    let (status, _) = coordinator.ask(Method::DELETE, "/tokens/none", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(coordinator.audit_after(known).await, [""; 0]);
}

#[tokio::test]
async fn the_log_continues_after_a_restart_and_a_crash() {
    let coordinator = Coordinator::start().await;
    coordinator.token("viewer").await;
    let known = coordinator.audit().await;
    let after_crash = coordinator.after_a_crash().await;
    let entries = after_crash.audit().await;
    assert_eq!(entries[..known.len()], known);
    assert_eq!(
        after_crash.audit_after(known.len()).await,
        ["coordinator (-, inside): coordinator started version=0.1.0"]
    );
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.audit().await.len(), known.len() + 1);
}

#[tokio::test]
async fn the_export_has_one_line_per_entry_over_many_pages() {
    let coordinator = Coordinator::start().await;
    let job = coordinator.post("/jobs", tiny_job()).await;
    let path = format!("/jobs/{}/start", job["id"].as_str().unwrap());
    coordinator.post(&path, Value::Null).await;
    // More entries than one read returns.
    let tokens = (0..1100).map(|_| coordinator.token("viewer"));
    futures::future::join_all(tokens).await;
    let request = coordinator.request(Method::GET, "/audit/export", &coordinator.admin);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/jsonl");
    let text = response.text().await.unwrap();
    let mut chain = Chain::default();
    for line in text.lines() {
        chain.follow(&serde_json::from_str(line).unwrap()).unwrap();
    }
    let head = coordinator.get("/audit/head").await;
    assert_eq!(head, json!({ "number": chain.number, "hash": chain.head }));
    assert!(chain.number > 1100, "{}", chain.number);
    let page = coordinator.get("/audit?after=3&limit=2").await;
    assert_eq!((&page[0]["number"], &page[1]["number"]), (&json!(4), &json!(5)));
    assert_eq!(page.as_array().unwrap().len(), 2);
    assert_eq!(coordinator.get("/audit").await.as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn a_change_from_within_the_process_is_recorded_as_local_admin() {
    let coordinator = Coordinator::start().await;
    let known = coordinator.audit().await.len();
    let body = json!({ "role": "viewer", "name": "wall" }).to_string();
    let mut request = axum::http::Request::post("/tokens")
        .header("content-type", "application/json")
        .body(axum::body::Body::from(body))
        .unwrap();
    request.extensions_mut().insert(coordinator::Principal::local_admin());
    let router = coordinator.running.router.clone();
    let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(
        coordinator.audit_after(known).await,
        ["local admin (admin, inside): token created name=wall role=viewer"]
    );
}
