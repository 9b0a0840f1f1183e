//! Lease records, job logs, and the contribution of devices.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, update};
use crate::support::{Coordinator, tiny_job};

fn kinds(log: &Value) -> Vec<String> {
    log.as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lease_records_show_how_each_lease_ended() {
    let coordinator = Coordinator::start().await;
    let (one, two) =
        (Device::enroll(&coordinator, "one").await, Device::enroll(&coordinator, "two").await);
    let id = coordinator.start_job(tiny_job()).await;
    let path = format!("/jobs/{id}/leases");
    let first = one.next_job(&coordinator, 60).await.unwrap();
    let progress = json!({ "step": 3, "steps": 9, "loss": 0.5, "examples_per_second": 80.0 });
    let progress_path = format!("/leases/{}/progress", first.id);
    one.ask(&coordinator, Method::POST, &progress_path, progress).await;
    let open = coordinator.get(&path).await;
    assert_eq!(
        open,
        json!([{
            "id": first.id, "device": one.id, "device_name": "one's Mac", "round": 1,
            "partition": first.partition, "granted_at": first.granted_at, "ended_at": null,
            "outcome": "open", "reason": null, "steps": 3, "examples": 0
        }])
    );
    assert_eq!(coordinator.get("/usage").await["examples_per_second"], 80.0);

    let return_path = format!("/leases/{}/return", first.id);
    one.ask(&coordinator, Method::POST, &return_path, json!({ "reason": "on_battery" })).await;
    let again = two.next_job(&coordinator, 60).await.unwrap();
    assert_eq!(again.partition, first.partition);
    two.report(&coordinator, &again, update(&again)).await;
    let other = two.next_job(&coordinator, 60).await.unwrap();
    coordinator.post(&format!("/jobs/{id}/pause"), Value::Null).await;

    // The records are the same after a restart.
    let coordinator = coordinator.restart().await;
    let leases = coordinator.get(&path).await;
    let table: Vec<Value> = leases
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            assert_ne!(it["ended_at"], Value::Null, "{it}");
            json!([it["id"], it["outcome"], it["reason"], it["steps"], it["examples"]])
        })
        .collect();
    assert_eq!(
        table,
        [
            json!([first.id, "returned", "on battery", 3, 0]),
            json!([again.id, "reported", null, 1, 20]),
            json!([other.id, "ended", "the job stopped", 0, 0])
        ]
    );
    let last = leases[2]["granted_at"].as_str().unwrap();
    let newer = coordinator.get(&format!("{path}?after={last}")).await;
    assert_eq!(newer.as_array().unwrap().last().unwrap()["id"], json!(other.id));
    let newer = coordinator.get(&format!("{path}?after=2999-01-01T00:00:00Z")).await;
    assert_eq!(newer, json!([]));

    // An update that arrives after the end of its lease is accepted and changes the record.
    coordinator.post(&format!("/jobs/{id}/resume"), Value::Null).await;
    two.report(&coordinator, &other, update(&other)).await;
    assert_eq!(coordinator.get(&path).await[2]["outcome"], "reported");
    let unknown = "/jobs/01890a5d-ac96-774b-bcce-b302099a8057/leases";
    assert_eq!(coordinator.ask(Method::GET, unknown, None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_device_s_leases_are_listed_for_all_jobs() {
    let coordinator = Coordinator::start().await;
    let (one, two) =
        (Device::enroll(&coordinator, "one").await, Device::enroll(&coordinator, "two").await);
    let shown = coordinator.get(&format!("/devices/{}", one.id)).await;
    assert_eq!(shown, coordinator.get("/devices").await[0]);
    let path = format!("/devices/{}/leases", one.id);
    assert_eq!(coordinator.get(&path).await, json!([]));

    let id = coordinator.start_job(tiny_job()).await;
    let first = one.next_job(&coordinator, 60).await.unwrap();
    let other_lease = two.next_job(&coordinator, 60).await.unwrap();
    one.report(&coordinator, &first, update(&first)).await;
    two.report(&coordinator, &other_lease, update(&other_lease)).await;
    coordinator.post(&format!("/jobs/{id}/cancel"), Value::Null).await;
    let mut other_job = tiny_job();
    other_job["name"] = json!("another");
    let other = coordinator.start_job(other_job).await;
    let held = one.next_job(&coordinator, 60).await.unwrap();
    let progress = json!({ "step": 2, "steps": 9, "loss": 0.5, "examples_per_second": 80.0 });
    let held_path = format!("/leases/{}/progress", held.id);
    one.ask(&coordinator, Method::POST, &held_path, progress).await;

    let leases = coordinator.get(&path).await;
    let table: Vec<Value> = leases
        .as_array()
        .unwrap()
        .iter()
        .map(|it| json!([it["id"], it["job"], it["job_name"], it["outcome"], it["steps"]]))
        .collect();
    assert_eq!(
        table,
        [
            json!([first.id, id, "tiny", "reported", 1]),
            json!([held.id, other, "another", "open", 2])
        ]
    );
    assert_eq!(leases[0]["device_name"], "one's Mac");
    let newest = coordinator.get(&format!("{path}?limit=1")).await;
    assert_eq!((newest.as_array().unwrap().len(), &newest[0]["id"]), (1, &json!(held.id)));
    let after = leases[1]["granted_at"].as_str().unwrap();
    let newer = coordinator.get(&format!("{path}?after={after}")).await;
    assert_eq!(newer.as_array().unwrap().last().unwrap()["id"], json!(held.id));
    assert_eq!(coordinator.get(&format!("{path}?after=2999-01-01T00:00:00Z")).await, json!([]));

    let unknown = "/devices/01890a5d-ac96-774b-bcce-b302099a8057";
    for path in [unknown.to_owned(), format!("{unknown}/leases")] {
        assert_eq!(coordinator.ask(Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_job_shows_its_creator() {
    let coordinator = Coordinator::start().await;
    let named = json!({ "role": "admin", "name": "Ada's laptop" });
    let token = coordinator.post("/tokens", named).await["token"].as_str().unwrap().to_owned();
    let request = coordinator.request(Method::POST, "/jobs", &token).json(&tiny_job());
    let (status, job) = crate::support::answer(request).await;
    assert_eq!((status, &job["created_by"]), (StatusCode::CREATED, &json!("Ada's laptop")));
    // Somebody else starts it, and the coordinator restarts.
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    coordinator.post(&format!("{path}/start"), Value::Null).await;
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.get(&path).await["created_by"], "Ada's laptop");
}

#[tokio::test]
async fn a_refused_update_and_a_revoked_device_have_different_outcomes() {
    let coordinator = Coordinator::start().await;
    let (bad, revoked) =
        (Device::enroll(&coordinator, "bad").await, Device::enroll(&coordinator, "revoked").await);
    let id = coordinator.start_job(tiny_job()).await;
    let lease = bad.next_job(&coordinator, 60).await.unwrap();
    let nan = protocol::codec::encode(&vec![f32::NAN; update(&lease).len() / 4]);
    bad.report(&coordinator, &lease, nan).await;
    revoked.next_job(&coordinator, 60).await.unwrap();
    coordinator.post(&format!("/devices/{}/revoke", revoked.id), Value::Null).await;
    let leases = coordinator.get(&format!("/jobs/{id}/leases")).await;
    let outcomes = leases.as_array().unwrap().iter().map(|it| it["outcome"].clone());
    assert_eq!(outcomes.collect::<Vec<_>>(), ["refused", "ended"]);
    let log = coordinator.get(&format!("/jobs/{id}/log")).await;
    assert_eq!(kinds(&log), ["created", "started", "lease_lost"]);
    let text = log[2]["text"].as_str().unwrap();
    assert!(text.starts_with("bad's Mac sent an invalid update for partition"), "{text}");
}

#[tokio::test]
async fn a_job_s_log_lists_actions_lost_leases_and_rounds() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let return_path = format!("/leases/{}/return", lease.id);
    let failed = json!({ "reason": "failed", "detail": "the GPU fell off" });
    device.ask(&coordinator, Method::POST, &return_path, failed).await;
    coordinator.post(&format!("/jobs/{id}/pause"), Value::Null).await;
    coordinator.post(&format!("/jobs/{id}/resume"), Value::Null).await;
    while coordinator.get(&format!("/jobs/{id}")).await["status"] != "completed" {
        device.work(&coordinator).await;
    }
    let viewer = coordinator.token("viewer").await;
    let request = coordinator.request(Method::GET, &format!("/jobs/{id}/log"), &viewer);
    let (status, log) = crate::support::answer(request).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        kinds(&log),
        [
            "created",
            "started",
            "lease_lost",
            "paused",
            "resumed",
            "round_closed",
            "round_closed",
            "ended"
        ]
    );
    let text = |index: usize| log[index]["text"].as_str().unwrap();
    assert_eq!(text(0), "created by this machine");
    let partition = lease.partition;
    assert_eq!(
        text(2),
        format!(
            "one's Mac gave back partition {partition} of round 1 after 0 steps: trainer failed"
        )
    );
    let rounds = coordinator.get(&format!("/jobs/{id}/rounds")).await;
    let accuracy = rounds[1]["evaluation"]["accuracy"].as_f64().unwrap() * 100.0;
    let closed = format!("round 2 closed with 2 of 2 updates, test accuracy {accuracy:.2} %");
    assert_eq!(text(6), closed);
    assert_eq!(text(7), "completed");
}

#[tokio::test]
async fn contributions_are_counted_once_and_stored() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let bytes = update(&lease);
    for _ in 0..2 {
        device.report(&coordinator, &lease, bytes.clone()).await;
    }
    let other = device.next_job(&coordinator, 60).await.unwrap();
    device.report(&coordinator, &other, update(&other)).await;
    coordinator.job_when(&id, |job| job["current_epoch"] == 1).await;
    let coordinator = coordinator.after_a_crash().await;
    let device = &coordinator.get("/devices").await[0];
    let expected = json!({ "examples": 40, "seconds": 0.5, "leases": 2, "seconds_today": 0.5 });
    assert_eq!(device["contribution"], expected);
    assert_eq!((&device["version"], &device["labels"]), (&json!("test"), &json!([])));
    assert_eq!(device["examples_per_second"], 80.0);
    let usage = coordinator.get("/usage").await;
    let today = &usage["today"];
    assert_eq!((&today["cpu_seconds"], &today["gpu_seconds"]), (&json!(0.5), &json!(0.0)));
    assert_eq!((&today["examples"], &today["leases"]), (&json!(40), &json!(2)));
    // Half a second of a Mac's CPU at 35 W.
    let hours = today["kilowatt_hours"].as_f64().unwrap();
    assert!((hours - 0.5 * 35.0 / 3.6e6).abs() < 1e-15, "{hours}");
    let days = usage["days"].as_array().unwrap();
    assert_eq!(days.len(), 14);
    assert_eq!((&days[13]["seconds"], &days[12]["seconds"]), (&json!(0.5), &json!(0.0)));
    assert!(days.is_sorted_by_key(|day| day["date"].as_str().unwrap()), "{days:?}");
    assert_eq!(usage["examples_per_second"], 0.0, "no device is training");

    // Yesterday's contribution is not counted for today.
    let yesterday =
        "UPDATE devices SET record = json_set(record, '$.contributed_on', '2026-01-01')";
    let coordinator = coordinator
        .changed(|database| {
            assert_eq!(database.execute(yesterday, []).unwrap(), 1);
        })
        .await;
    let contribution = &coordinator.get("/devices").await[0]["contribution"];
    assert_eq!(
        (&contribution["seconds"], &contribution["seconds_today"]),
        (&json!(0.5), &json!(0.0))
    );
}
