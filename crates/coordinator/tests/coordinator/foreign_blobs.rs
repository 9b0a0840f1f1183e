//! A lease reveals nothing about blobs that it doesn't name: requests for another device's blob
//! get, byte for byte, the response for a missing blob.

use protocol::BlobHash;
use protocol::lease::Lease;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use crate::device::{Device, fingerprint, update};
use crate::support::{Coordinator, tiny_job};

/// Returns a comparable response: status, headers and body, without the time and the blob's name.
async fn seen(request: RequestBuilder, blob: BlobHash) -> String {
    let response = request.send().await.unwrap();
    let mut headers: Vec<String> = response
        .headers()
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    let status = response.status();
    let body = response.text().await.unwrap();
    format!("{status}\n{}\n\n{body}", headers.join("\n")).replace(&blob.to_string(), "[blob]")
}

/// Sends every request that a device can make for a blob.
async fn everything(
    coordinator: &Coordinator,
    device: &Device,
    lease: &Lease,
    blob: BlobHash,
) -> Vec<String> {
    let path = format!("/blobs/{blob}");
    let under = format!("{path}?lease={}", lease.id);
    let request = |method, path: &str| coordinator.request(method, path, &device.token);
    let report = json!({
        "blob": blob,
        "codec": "f32-le",
        "metrics": { "loss": 0.5, "steps": 1, "examples": 20, "seconds": 0.25 },
        "fingerprint": fingerprint()
    });
    let update = format!("/leases/{}/update", lease.id);
    let asked = [
        request(Method::GET, &path),
        request(Method::GET, &path).header("range", "bytes=0-3"),
        request(Method::HEAD, &path),
        request(Method::HEAD, &under),
        request(Method::PUT, &update).json(&report),
        request(Method::PUT, &under).header("upload-offset", 3).body(""),
        request(Method::PUT, &under).header("upload-offset", 0).body("guessed"),
        request(Method::HEAD, &under),
    ];
    let mut answers = Vec::new();
    for request in asked {
        answers.push(seen(request, blob).await);
    }
    answers
}

#[tokio::test]
async fn a_blob_of_another_is_as_if_there_was_none() {
    let coordinator = Coordinator::start().await;
    let (one, other) =
        (Device::enroll(&coordinator, "one").await, Device::enroll(&coordinator, "other").await);
    coordinator.start_job(tiny_job()).await;
    let lease = one.next_job(&coordinator, 60).await.unwrap();
    let others = other.next_job(&coordinator, 60).await.unwrap();
    let sent = update(&others);
    let (uploaded, shard) = (BlobHash::compute(&sent), others.shards[0]);
    assert!(!lease.shards.contains(&shard));
    other.upload(&coordinator, others.id, uploaded, 0, sent).await;
    let of_a_person = BlobHash::compute(b"a person's");
    let put =
        coordinator.request(Method::PUT, &format!("/blobs/{of_a_person}"), &coordinator.admin);
    assert_eq!(put.body("a person's").send().await.unwrap().status(), StatusCode::CREATED);

    let missing = BlobHash::compute(b"never stored");
    let expected = everything(&coordinator, &one, &lease, missing).await;
    for (what, blob) in [("an update", uploaded), ("a shard", shard), ("a person's", of_a_person)] {
        let answers = everything(&coordinator, &one, &lease, blob).await;
        for (answer, expected) in answers.iter().zip(&expected) {
            assert_eq!(answer, expected, "{what}");
        }
    }
    // It can read its own blobs, and must upload the bytes that it names as its update.
    one.blob(&coordinator, lease.base).await;
    let (status, body) = one.submit(&coordinator, lease.id, uploaded).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("missing-blob")));
}

/// Equal work gives equal bytes: a device must send its own even if another has stored them first.
#[tokio::test]
async fn bytes_that_are_stored_already_are_sent_and_count() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let bytes = update(&lease);
    let hash = BlobHash::compute(&bytes);
    let path = format!("/blobs/{hash}");
    let put = coordinator.request(Method::PUT, &path, &coordinator.admin).body(bytes.clone());
    assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
    let offset = async || device.try_offset(&coordinator, lease.id, hash).await.unwrap();
    assert_eq!(offset().await, 0);
    let (first, rest) = bytes.split_at(20);
    crate::uploads::broken_upload(&coordinator, &device, lease.id, hash, first).await;
    assert_eq!(offset().await, 20);
    let sent = device.upload(&coordinator, lease.id, hash, 20, rest.to_vec()).await;
    assert_eq!(sent.status(), StatusCode::CREATED);
    assert_eq!(offset().await, bytes.len());
    // Uploads are recorded across a crash.
    let again = coordinator.after_a_crash().await;
    assert_eq!(device.try_offset(&again, lease.id, hash).await.unwrap(), bytes.len());
    let (status, answer) = device.submit(&again, lease.id, hash).await;
    assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("accepted")));
}
