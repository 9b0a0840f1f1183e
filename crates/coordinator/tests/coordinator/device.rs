//! A test device: a worker's requests, with predictable updates.

use protocol::codec;
use protocol::enrollment::signed;
use protocol::lease::Lease;
use protocol::{BlobHash, LeaseId, Opaque};
use reqwest::{Method, Response, StatusCode};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::support::{Client, try_answer};

#[derive(Clone)]
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

/// Registers with a new challenge, signed by the key derived from `key`.
pub(crate) async fn register(
    coordinator: &Client,
    credential: &str,
    key: &str,
    body: Value,
) -> (StatusCode, Value) {
    try_register(coordinator, credential, key, body).await.unwrap()
}

async fn try_register(
    coordinator: &Client,
    credential: &str,
    key: &str,
    body: Value,
) -> reqwest::Result<(StatusCode, Value)> {
    let body = try_signed_by(coordinator, key, body).await?;
    let request = coordinator.request(Method::POST, "/devices/register", credential);
    try_answer(request.json(&body)).await
}

/// Adds a new challenge and a signature to a registration.
pub(crate) async fn signed_by(coordinator: &Client, key: &str, body: Value) -> Value {
    try_signed_by(coordinator, key, body).await.unwrap()
}

async fn try_signed_by(coordinator: &Client, key: &str, mut body: Value) -> reqwest::Result<Value> {
    let request = coordinator.request(Method::POST, "/devices/challenge", "");
    let (status, challenge) = try_answer(request).await?;
    assert_eq!(status, StatusCode::OK);
    body["challenge"] = challenge["challenge"].clone();
    sign(coordinator, key, &mut body);
    Ok(body)
}

pub(crate) fn sign(coordinator: &Client, key: &str, body: &mut Value) {
    let key = Ed25519KeyPair::from_seed_unchecked(blake3::hash(key.as_bytes()).as_bytes()).unwrap();
    let message = signed(
        body["challenge"].as_str().unwrap(),
        &coordinator.pin,
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
    /// Enrolls a device as an administrator, with a key derived from the hardware id.
    pub(crate) async fn enroll(coordinator: &Client, hardware: &str) -> Self {
        Self::try_enroll(coordinator, hardware).await.unwrap()
    }

    /// Like [`Device::enroll`], for a coordinator that may die during the request.
    pub(crate) async fn try_enroll(coordinator: &Client, hardware: &str) -> reqwest::Result<Self> {
        let body = registration(hardware);
        let (status, body) = try_register(coordinator, &coordinator.admin, hardware, body).await?;
        assert_eq!(status, StatusCode::OK, "{body}");
        Ok(Self::from_registration(&body))
    }

    /// Makes a device from the answer to its registration.
    pub(crate) fn from_registration(registered: &Value) -> Self {
        let text = |field: &str| registered[field].as_str().unwrap().to_owned();
        Self { id: text("id"), token: text("token") }
    }

    pub(crate) async fn ask(
        &self,
        coordinator: &Client,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        self.try_ask(coordinator, method, path, body).await.unwrap()
    }

    pub(crate) async fn try_ask(
        &self,
        coordinator: &Client,
        method: Method,
        path: &str,
        body: Value,
    ) -> reqwest::Result<(StatusCode, Value)> {
        try_answer(coordinator.request(method, path, &self.token).json(&body)).await
    }

    /// Returns the next lease, or `None` if there is none within `wait` seconds.
    pub(crate) async fn next_job(&self, coordinator: &Client, wait: u32) -> Option<Lease> {
        self.try_next_job(coordinator, wait).await.unwrap()
    }

    pub(crate) async fn try_next_job(
        &self,
        coordinator: &Client,
        wait: u32,
    ) -> reqwest::Result<Option<Lease>> {
        let path = format!("/devices/{}/next-job?wait={wait}", self.id);
        let (status, body) =
            try_answer(coordinator.request(Method::GET, &path, &self.token)).await?;
        match status {
            StatusCode::NO_CONTENT => Ok(None),
            StatusCode::OK => Ok(Some(serde_json::from_value(body).unwrap())),
            other => panic!("{other}: {body}"),
        }
    }

    pub(crate) async fn blob(&self, coordinator: &Client, hash: BlobHash) -> Vec<u8> {
        let request = coordinator.request(Method::GET, &format!("/blobs/{hash}"), &self.token);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let bytes = response.bytes().await.unwrap().to_vec();
        assert_eq!(BlobHash::compute(&bytes), hash);
        bytes
    }

    /// Returns the coordinator's offset of an upload.
    pub(crate) async fn try_offset(
        &self,
        coordinator: &Client,
        lease: LeaseId,
        hash: BlobHash,
    ) -> reqwest::Result<usize> {
        let path = format!("/blobs/{hash}?lease={lease}");
        let head = coordinator.request(Method::HEAD, &path, &self.token).send().await?;
        assert_eq!(head.status(), StatusCode::OK);
        Ok(head.headers()["upload-offset"].to_str().unwrap().parse().unwrap())
    }

    pub(crate) async fn upload(
        &self,
        coordinator: &Client,
        lease: LeaseId,
        hash: BlobHash,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Response {
        self.try_upload(coordinator, lease, hash, offset, bytes).await.unwrap()
    }

    pub(crate) async fn try_upload(
        &self,
        coordinator: &Client,
        lease: LeaseId,
        hash: BlobHash,
        offset: u64,
        bytes: Vec<u8>,
    ) -> reqwest::Result<Response> {
        let path = format!("/blobs/{hash}?lease={lease}");
        let request = coordinator.request(Method::PUT, &path, &self.token);
        request.header("Upload-Offset", offset).body(bytes).send().await
    }

    /// Uploads an update's bytes and submits it.
    pub(crate) async fn report(
        &self,
        coordinator: &Client,
        lease: &Lease,
        bytes: Vec<u8>,
    ) -> (StatusCode, Value) {
        let hash = BlobHash::compute(&bytes);
        let sent = self.upload(coordinator, lease.id, hash, 0, bytes).await;
        assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
        self.submit(coordinator, lease.id, hash).await
    }

    /// Submits an update whose bytes are uploaded.
    pub(crate) async fn submit(
        &self,
        coordinator: &Client,
        lease: LeaseId,
        blob: BlobHash,
    ) -> (StatusCode, Value) {
        self.try_submit(coordinator, lease, blob).await.unwrap()
    }

    pub(crate) async fn try_submit(
        &self,
        coordinator: &Client,
        lease: LeaseId,
        blob: BlobHash,
    ) -> reqwest::Result<(StatusCode, Value)> {
        let body = json!({
            "blob": blob,
            "codec": "f32-le",
            "metrics": { "loss": 0.5, "steps": 1, "examples": 20, "seconds": 0.25 },
            "fingerprint": fingerprint()
        });
        self.try_ask(coordinator, Method::PUT, &format!("/leases/{lease}/update"), body).await
    }

    /// Takes leases and reports their updates until there are no more. Returns their number.
    pub(crate) async fn work(&self, coordinator: &Client) -> usize {
        let mut done = 0;
        while let Some(lease) = self.next_job(coordinator, 0).await {
            let (status, answer) = self.report(coordinator, &lease, update(&lease)).await;
            assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("accepted")));
            done += 1;
        }
        done
    }
}

/// Returns the update of a lease: every parameter changes by the same amount, which depends on the round
/// and the partition.
pub(crate) fn update(lease: &Lease) -> Vec<u8> {
    let parameters = lease.spec.layout().unwrap().parameters;
    let step = lease.round as f32 * 0.25 + lease.partition as f32 * 0.125;
    codec::encode(&vec![step; parameters])
}
