//! A device that does what a worker does, with updates that a test can foretell.

use protocol::codec;
use protocol::enrolment::signed;
use protocol::lease::Lease;
use protocol::{BlobHash, LeaseId, Opaque};
use reqwest::{Method, Response, StatusCode};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::support::{Coordinator, answer};

pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) token: String,
}

pub(crate) fn registration(hardware: &str) -> Value {
    json!({
        "name": format!("{hardware}'s Mac"),
        "device_type": "mac",
        "cores": 8,
        "ram_gb": 16.0,
        "gpu_available": true,
        "gpu_name": "M2",
        "hardware_id": hardware,
        "fingerprint": fingerprint()
    })
}

/// Registers with a fresh challenge, signed by the key of this name.
pub(crate) async fn register(
    coordinator: &Coordinator,
    credential: &str,
    key: &str,
    body: Value,
) -> (StatusCode, Value) {
    let body = signed_by(coordinator, key, body).await;
    let request = coordinator.request(Method::POST, "/devices/register", credential);
    answer(request.json(&body)).await
}

/// The registration with a fresh challenge and a signature.
pub(crate) async fn signed_by(coordinator: &Coordinator, key: &str, mut body: Value) -> Value {
    let request = coordinator.request(Method::POST, "/devices/challenge", "");
    let (status, challenge) = answer(request).await;
    assert_eq!(status, StatusCode::OK);
    body["challenge"] = challenge["challenge"].clone();
    sign(coordinator, key, &mut body);
    body
}

pub(crate) fn sign(coordinator: &Coordinator, key: &str, body: &mut Value) {
    let key = Ed25519KeyPair::from_seed_unchecked(blake3::hash(key.as_bytes()).as_bytes()).unwrap();
    let message = signed(
        body["challenge"].as_str().unwrap(),
        &coordinator.running.cluster.pin,
        body["hardware_id"].as_str().unwrap(),
        u32::try_from(body["instance"].as_u64().unwrap_or(0)).unwrap(),
        &serde_json::from_value(body["fingerprint"].clone()).unwrap(),
    );
    body["public_key"] = json!(Opaque(key.public_key().as_ref().to_vec()));
    body["signature"] = json!(Opaque(key.sign(&message).as_ref().to_vec()));
}

pub(crate) fn fingerprint() -> Value {
    json!({ "app": "test", "burn": "none", "backend": "cpu", "hardware": "tiny" })
}

impl Device {
    /// Enrolled by an administrator, with the key that is named as the hardware is.
    pub(crate) async fn enrol(coordinator: &Coordinator, hardware: &str) -> Self {
        let body = registration(hardware);
        let (status, body) = register(coordinator, &coordinator.admin, hardware, body).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        Self::of(&body)
    }

    /// As a registration's answer says.
    pub(crate) fn of(registered: &Value) -> Self {
        let text = |field: &str| registered[field].as_str().unwrap().to_owned();
        Self { id: text("id"), token: text("token") }
    }

    pub(crate) async fn ask(
        &self,
        coordinator: &Coordinator,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        answer(coordinator.request(method, path, &self.token).json(&body)).await
    }

    /// The next lease; none where there is nothing to do within `wait` seconds.
    pub(crate) async fn next_job(&self, coordinator: &Coordinator, wait: u32) -> Option<Lease> {
        let path = format!("/devices/{}/next-job?wait={wait}", self.id);
        let request = coordinator.request(Method::GET, &path, &self.token);
        let (status, body) = answer(request).await;
        match status {
            StatusCode::NO_CONTENT => None,
            StatusCode::OK => Some(serde_json::from_value(body).unwrap()),
            other => panic!("{other}: {body}"),
        }
    }

    pub(crate) async fn blob(&self, coordinator: &Coordinator, hash: BlobHash) -> Vec<u8> {
        let request = coordinator.request(Method::GET, &format!("/blobs/{hash}"), &self.token);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let bytes = response.bytes().await.unwrap().to_vec();
        assert_eq!(BlobHash::of(&bytes), hash);
        bytes
    }

    pub(crate) async fn upload(
        &self,
        coordinator: &Coordinator,
        lease: LeaseId,
        hash: BlobHash,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Response {
        let path = format!("/blobs/{hash}?lease={lease}");
        let request = coordinator.request(Method::PUT, &path, &self.token);
        request.header("Upload-Offset", offset).body(bytes).send().await.unwrap()
    }

    /// Sends an update's bytes and reports it.
    pub(crate) async fn report(
        &self,
        coordinator: &Coordinator,
        lease: &Lease,
        bytes: Vec<u8>,
    ) -> (StatusCode, Value) {
        let hash = BlobHash::of(&bytes);
        let sent = self.upload(coordinator, lease.id, hash, 0, bytes).await;
        assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
        self.tell(coordinator, lease.id, hash).await
    }

    /// Reports an update whose bytes are there.
    pub(crate) async fn tell(
        &self,
        coordinator: &Coordinator,
        lease: LeaseId,
        blob: BlobHash,
    ) -> (StatusCode, Value) {
        let body = json!({
            "blob": blob,
            "codec": "f32-le",
            "metrics": { "loss": 0.5, "steps": 1, "examples": 20, "seconds": 0.25 },
            "fingerprint": fingerprint()
        });
        self.ask(coordinator, Method::PUT, &format!("/leases/{lease}/update"), body).await
    }

    /// Takes leases and reports what `update` makes of them until there are none for now.
    pub(crate) async fn work(&self, coordinator: &Coordinator) -> usize {
        let mut done = 0;
        while let Some(lease) = self.next_job(coordinator, 0).await {
            let (status, answer) = self.report(coordinator, &lease, update(&lease)).await;
            assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("accepted")));
            done += 1;
        }
        done
    }
}

/// What training a lease gives here: every parameter moves by the same step, which depends on round
/// and partition.
pub(crate) fn update(lease: &Lease) -> Vec<u8> {
    let parameters = lease.spec.layout().unwrap().parameters;
    let step = lease.round as f32 * 0.25 + lease.partition as f32 * 0.125;
    codec::encode(&vec![step; parameters])
}
