//! Leases and updates.

use federation::aggregate::Accumulator;
use protocol::{BlobHash, codec};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::device::{Device, update};
use crate::support::{Coordinator, tiny_job};

#[tokio::test]
async fn the_global_model_is_the_exact_mean_of_the_updates() {
    let coordinator = Coordinator::start().await;
    let devices =
        [Device::enroll(&coordinator, "one").await, Device::enroll(&coordinator, "two").await];
    let id = coordinator.start_job(tiny_job()).await;
    let first = devices[0].next_job(&coordinator, 60).await.unwrap();
    let second = devices[1].next_job(&coordinator, 60).await.unwrap();
    assert_ne!(first.partition, second.partition);
    assert_eq!(
        devices[0].next_job(&coordinator, 0).await.unwrap().id,
        first.id,
        "the same lease again"
    );
    let base = devices[0].blob(&coordinator, first.base).await;
    let base = codec::decode(&base, base.len() / 4).unwrap();
    let shard = devices[1].blob(&coordinator, second.shards[0]).await;
    assert_eq!(data_rows(&shard), second.rows);

    let mut mean = Accumulator::new(base.len(), first.rows + second.rows);
    // Reported in reverse order, which must not change the mean.
    for (device, lease) in [(&devices[1], &second), (&devices[0], &first)] {
        let bytes = update(lease);
        mean.add(&[(bytes.as_slice(), lease.rows)]).unwrap();
        let (status, answer) = device.report(&coordinator, lease, bytes).await;
        assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("accepted")));
    }
    let expected = BlobHash::compute(&codec::encode(&mean.finish(&base)));
    coordinator.job_when(&id, |job| job["current_epoch"] == 1).await;
    let rounds = coordinator.get(&format!("/jobs/{id}/rounds")).await;
    assert_eq!(rounds[0]["model"], json!(expected));
    let next = devices[0].next_job(&coordinator, 60).await.unwrap();
    assert_eq!(next.base, expected);
    // Updates of a closed round are removed.
    let removed = BlobHash::compute(&update(&first));
    let (status, _) = coordinator.ask(Method::GET, &format!("/blobs/{removed}"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

fn data_rows(shard: &[u8]) -> u64 {
    data::shard::read(shard).unwrap().rows.len() as u64
}

#[tokio::test]
async fn an_update_counts_once_however_often_and_late_it_arrives() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let bytes = update(&lease);
    let hash = BlobHash::compute(&bytes);
    let (_, answer) = device.report(&coordinator, &lease, bytes).await;
    assert_eq!(answer["outcome"], "accepted");
    let (status, answer) = device.submit(&coordinator, lease.id, hash).await;
    assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("duplicate")));
    let (status, answer) = device.submit(&coordinator, lease.id, BlobHash::compute(b"other")).await;
    assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("superseded")));

    // After its round, when its bytes are removed.
    device.work(&coordinator).await;
    coordinator.job_when(&id, |job| job["current_epoch"] == 1).await;
    let (status, answer) = device.submit(&coordinator, lease.id, hash).await;
    assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("duplicate")));
    let (_, answer) = device.submit(&coordinator, lease.id, BlobHash::compute(b"other")).await;
    assert_eq!(answer["outcome"], "superseded");
}

#[tokio::test]
async fn bad_updates_are_refused_and_the_device_keeps_its_lease() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let good = update(&lease);
    let parameters = good.len() / 4;
    let with = |value: f32| {
        let mut values = vec![0.5; parameters];
        values[parameters - 1] = value;
        codec::encode(&values)
    };
    let truncated = good[..good.len() - 4].to_vec();
    for (bytes, expected) in [
        (truncated, "bytes"),
        (good[..good.len() - 1].to_vec(), "bytes"),
        (with(f32::NAN), "finite"),
        (with(f32::INFINITY), "finite"),
        (with(16.5), "16"),
    ] {
        let (status, body) = device.report(&coordinator, &lease, bytes).await;
        assert_eq!(
            (status, &body["type"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("bad-update"))
        );
        assert!(body["detail"].as_str().unwrap().contains(expected), "{body}");
    }
    let too_long = [good.as_slice(), &[0; 4]].concat();
    let hash = BlobHash::compute(&too_long);
    let refused = device.upload(&coordinator, lease.id, hash, 0, too_long).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);

    let (status, body) =
        device.submit(&coordinator, lease.id, BlobHash::compute(b"never sent")).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("missing-blob")));

    let (status, answer) = device.report(&coordinator, &lease, good).await;
    assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("accepted")));
}

#[tokio::test]
async fn a_lease_belongs_to_one_device_and_reads_only_its_own_blobs() {
    let coordinator = Coordinator::start().await;
    let one = Device::enroll(&coordinator, "one").await;
    let other = Device::enroll(&coordinator, "other").await;
    coordinator.start_job(tiny_job()).await;
    let lease = one.next_job(&coordinator, 60).await.unwrap();
    let foreign = other.next_job(&coordinator, 60).await.unwrap();
    let (status, body) = other.submit(&coordinator, lease.id, BlobHash::compute(b"x")).await;
    assert_eq!((status, &body["type"]), (StatusCode::FORBIDDEN, &json!("other-device")));
    let path = format!("/blobs/{}", foreign.shards[0]);
    let request = coordinator.request(Method::GET, &path, &one.token);
    let (status, body) = crate::support::answer(request).await;
    assert_eq!((status, &body["type"]), (StatusCode::FORBIDDEN, &json!("blob-not-leased")));
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    let (status, body) = one.submit(&coordinator, unknown, BlobHash::compute(b"x")).await;
    assert_eq!((status, &body["type"]), (StatusCode::NOT_FOUND, &json!("unknown-lease")));
}

#[tokio::test]
async fn a_returned_lease_goes_to_another_device() {
    let coordinator = Coordinator::start().await;
    let one = Device::enroll(&coordinator, "one").await;
    let other = Device::enroll(&coordinator, "other").await;
    let mut job = tiny_job();
    job["data"]["partitions"] = json!(1);
    coordinator.start_job(job).await;
    let lease = one.next_job(&coordinator, 60).await.unwrap();
    let return_lease = async {
        let path = format!("/leases/{}/return", lease.id);
        let body = json!({ "reason": "in_use" });
        let (status, _) = one.ask(&coordinator, Method::POST, &path, body).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    };
    // The other device is waiting when the seat becomes open.
    let (next, ()) = tokio::join!(other.next_job(&coordinator, 60), return_lease);
    assert_eq!(next.unwrap().partition, lease.partition);
}

#[tokio::test]
async fn three_failures_fail_the_job_with_their_reason() {
    let coordinator = Coordinator::start().await;
    let mut job = tiny_job();
    job["data"]["partitions"] = json!(1);
    let id = coordinator.start_job(job).await;
    for hardware in ["one", "two", "three"] {
        let device = Device::enroll(&coordinator, hardware).await;
        let lease = device.next_job(&coordinator, 60).await.unwrap();
        let path = format!("/leases/{}/return", lease.id);
        let body = json!({ "reason": "failed", "detail": "the GPU fell off" });
        device.ask(&coordinator, Method::POST, &path, body).await;
    }
    let job = coordinator.job_in(&id, "failed").await;
    assert!(job["reason"].as_str().unwrap().contains("the GPU fell off"), "{job}");
}

#[tokio::test]
async fn a_heartbeat_returns_whether_the_lease_is_held() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let path = format!("/devices/{}/heartbeat", device.id);
    let beat = json!({ "state": "training", "lease": lease.id });
    let (_, answer) = device.ask(&coordinator, Method::POST, &path, beat.clone()).await;
    assert_eq!(answer["lease_held"], json!(true));
    assert_eq!(coordinator.get("/devices").await[0]["state"], "training");
    coordinator.post(&format!("/jobs/{id}/cancel"), serde_json::Value::Null).await;
    let (_, answer) = device.ask(&coordinator, Method::POST, &path, beat).await;
    assert_eq!(answer["lease_held"], json!(false));
}
