//! Notices that the coordinator raises by itself, and the explanation of a stalled job.

use coordinator::{CoordinatorSettings, OwnCertificate};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::device::Device;
use crate::disk::SmallDisk;
use crate::support::{Coordinator, settings, tiny_job};

async fn explanation(coordinator: &Coordinator, id: &str) -> Vec<String> {
    let job = coordinator.get(&format!("/jobs/{id}")).await;
    serde_json::from_value(job["explanation"].clone()).unwrap()
}

async fn beat(coordinator: &Coordinator, device: &Device, state: Value) {
    let path = format!("/devices/{}/heartbeat", device.id);
    let (status, body) = device.ask(coordinator, Method::POST, &path, state).await;
    assert!(status.is_success(), "{body}");
}

#[tokio::test]
async fn a_stalled_job_raises_a_notice_until_it_moves() {
    let folder = TempDir::new().unwrap();
    // Before its first lease, a job may stand still for five lease timeouts.
    let settings = CoordinatorSettings {
        lease_timeout: std::time::Duration::from_secs(1),
        ..settings(folder.path())
    };
    let running = coordinator::start(settings).await.unwrap();
    let coordinator = Coordinator::from_running(running, folder);
    let id = coordinator.start_job(tiny_job()).await;
    coordinator.job_when(&id, |job| job["stalled"] == true).await;
    let notices = coordinator.get("/notices").await;
    assert_eq!(notices.as_array().unwrap().len(), 1);
    assert_eq!((&notices[0]["kind"], &notices[0]["subject"]), (&json!("job_stalled"), &json!(id)));
    assert_eq!(
        notices[0]["text"],
        "job 'tiny' is stalled: 0 of 2 seats reported; waiting for a device"
    );
    let device = Device::enroll(&coordinator, "one").await;
    device.work(&coordinator).await;
    coordinator.job_when(&id, |job| job["stalled"] == false).await;
    assert_eq!(coordinator.get("/notices").await, json!([]));
    let log = coordinator.get(&format!("/jobs/{id}/log")).await;
    let logged = |kind: &str| {
        let mut lines = log.as_array().unwrap().iter().filter(|line| line["kind"] == kind);
        lines.next().map(|line| line["text"].clone())
    };
    assert_eq!(logged("stalled").as_ref(), Some(&notices[0]["text"]));
    assert_eq!(logged("moving"), Some(json!("the job progresses again")));
}

#[tokio::test]
async fn a_lease_without_heartbeats_is_recorded_as_lapsed() {
    let folder = TempDir::new().unwrap();
    let lease_timeout = std::time::Duration::from_millis(200);
    let settings = CoordinatorSettings { lease_timeout, ..settings(folder.path()) };
    let running = coordinator::start(settings).await.unwrap();
    let coordinator = Coordinator::from_running(running, folder);
    let (silent, other) =
        (Device::enroll(&coordinator, "silent").await, Device::enroll(&coordinator, "other").await);
    let id = coordinator.start_job(tiny_job()).await;
    let lost = silent.next_job(&coordinator, 60).await.unwrap();
    // Another device gets the seat after the lease has lapsed.
    loop {
        let Some(lease) = other.next_job(&coordinator, 60).await else { continue };
        if lease.partition == lost.partition && lease.round == lost.round {
            break;
        }
        other.report(&coordinator, &lease, crate::device::update(&lease)).await;
    }
    let leases = coordinator.get(&format!("/jobs/{id}/leases")).await;
    let record = leases.as_array().unwrap().iter().find(|it| it["id"] == json!(lost.id)).unwrap();
    assert_eq!(
        (&record["outcome"], &record["reason"]),
        (&json!("lapsed"), &json!("offline or stalled"))
    );
    assert!(record["ended_at"].is_string(), "{record}");
    let log = coordinator.get(&format!("/jobs/{id}/log")).await;
    let lines = log.as_array().unwrap().iter().filter(|line| line["kind"] == "lease_lost");
    let texts: Vec<&str> = lines.map(|line| line["text"].as_str().unwrap()).collect();
    let expected = format!(
        "silent's Mac lost partition {} of round 1 after 0 steps: offline or stalled",
        lost.partition
    );
    assert!(texts.contains(&expected.as_str()), "{texts:?}");
}

#[tokio::test]
async fn the_explanation_counts_devices_by_state() {
    let coordinator = Coordinator::start().await;
    let id = coordinator.start_job(tiny_job()).await;
    coordinator.job_in(&id, "running").await;
    let lines = explanation(&coordinator, &id).await;
    assert_eq!(lines[0], "0 of 2 seats reported");
    assert!(lines[1].starts_with("no device is enrolled; create a join code"), "{lines:?}");

    let one = Device::enroll(&coordinator, "one").await;
    let two = Device::enroll(&coordinator, "two").await;
    let three = Device::enroll(&coordinator, "three").await;
    beat(&coordinator, &one, json!({ "state": "held", "reason": "on_battery" })).await;
    beat(&coordinator, &two, json!({ "state": "held", "reason": "in_use" })).await;
    let lines = explanation(&coordinator, &id).await;
    assert_eq!(lines[1], "devices: 1 about to ask for work, 1 in use, 1 on battery");

    // A job with a higher priority takes the available device.
    let mut urgent = tiny_job();
    urgent["name"] = json!("urgent");
    urgent["run"]["priority"] = json!(5);
    let urgent = coordinator.start_job(urgent).await;
    coordinator.job_in(&urgent, "running").await;
    three.next_job(&coordinator, 60).await.unwrap();
    let lines = explanation(&coordinator, &id).await;
    assert_eq!(
        lines[1],
        "devices: 1 working on 'urgent' (higher priority), 1 in use, 1 on battery"
    );
    let lines = explanation(&coordinator, &urgent).await;
    assert_eq!(lines[0], "0 of 2 seats reported, 1 training");
    // The list of jobs has no explanations.
    let jobs = coordinator.get("/jobs").await;
    assert!(jobs.as_array().unwrap().iter().all(|job| job.get("explanation").is_none()));
}

#[tokio::test]
async fn a_nearly_full_disk_raises_a_notice_until_it_has_space() {
    let Some(disk) = SmallDisk::mount_of("40m") else { return };
    let start = async || coordinator::start(disk.settings()).await.unwrap();
    start().await.stop().await;
    let notices = async |coordinator: &Coordinator| {
        let revision = coordinator.get("/events").await["revision"].clone();
        coordinator.get(&format!("/events?after={revision}&wait=1")).await;
        coordinator.get("/notices").await
    };
    let around = |running| {
        let copy = TempDir::new().unwrap();
        let token = disk.settings().data_dir.join("admin-token");
        std::fs::copy(token, copy.path().join("admin-token")).unwrap();
        Coordinator::from_running(running, copy)
    };

    let ballast = disk.settings().data_dir.join("ballast");
    std::fs::write(&ballast, vec![1; 77 << 19]).unwrap();
    let coordinator = around(start().await);
    let active = notices(&coordinator).await;
    assert_eq!(active[0]["kind"], "disk_nearly_full", "{active}");
    coordinator.running.stop().await;

    std::fs::remove_file(&ballast).unwrap();
    let coordinator = around(start().await);
    assert_eq!(notices(&coordinator).await, json!([]));
    let all = coordinator.get("/notices?all=true").await;
    assert!(all[0]["ended_at"].is_string(), "{all}");
    coordinator.running.stop().await;
}

#[tokio::test]
async fn an_expiring_certificate_raises_a_notice_until_it_is_renewed() {
    let folder = TempDir::new().unwrap();
    let files = OwnCertificate {
        certificate: folder.path().join("lab.crt"),
        key: folder.path().join("lab.key"),
    };
    let write = |days: i64| {
        let mut params = rcgen::CertificateParams::new(["lab.example".to_owned()]).unwrap();
        let end = jiff::Timestamp::now().as_second() + days * 86_400;
        params.not_after =
            rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(end.unsigned_abs());
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
    };
    let data = TempDir::new().unwrap();
    let certificate = Some(files.clone());

    write(3);
    let first = CoordinatorSettings { certificate: certificate.clone(), ..settings(data.path()) };
    let running = coordinator::start(first).await.unwrap();
    let coordinator = Coordinator::from_running(running, data);
    let (_, active) = (coordinator.get("/events?wait=1").await, coordinator.get("/notices").await);
    assert_eq!(active[0]["kind"], "certificate_expiring", "{active}");
    let Coordinator { running, folder: data, .. } = coordinator;
    running.stop().await;

    write(300);
    let second = CoordinatorSettings { certificate, ..settings(data.path()) };
    let coordinator = Coordinator::from_running(coordinator::start(second).await.unwrap(), data);
    coordinator.get("/events?wait=1").await;
    let all = coordinator.get("/notices?all=true").await;
    assert!(all[0]["ended_at"].is_string(), "{all}");
}
