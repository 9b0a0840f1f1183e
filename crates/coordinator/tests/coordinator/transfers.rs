//! Slow transfers end when their authorization ends, and never look complete.

use protocol::BlobHash;
use protocol::lease::Lease;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::device::Device;
use crate::support::{Coordinator, tiny_job};

/// Larger than the buffers at both ends of a connection.
const LARGE: usize = 12 << 20;

/// Returns a job with a large model.
fn large_job() -> Value {
    let mut job = tiny_job();
    job["model"]["input"]["buckets"] = json!(1 << 16);
    job["model"]["layers"][0]["dimension"] = json!(LARGE / 4 / (1 << 16));
    job
}

async fn large_model(coordinator: &Coordinator) {
    let spec = large_job()["model"].clone();
    let parsed: protocol::model::ModelSpec = serde_json::from_value(spec.clone()).unwrap();
    let bytes = protocol::codec::encode(&vec![0.25; parsed.layout().unwrap().parameters]);
    let hash = BlobHash::compute(&bytes);
    let put = coordinator.request(Method::PUT, &format!("/blobs/{hash}"), &coordinator.admin);
    assert_eq!(put.body(bytes).send().await.unwrap().status(), StatusCode::CREATED);
    let body = json!({
        "name": "large", "blob": hash, "spec": spec, "model_type": "nlp",
        "dataset": "synthetic", "classes": ["a", "b", "c", "d"]
    });
    coordinator.post("/models", body).await;
}

async fn leased(coordinator: &Coordinator) -> (Device, Lease, String) {
    let device = Device::enroll(coordinator, "one").await;
    let job = coordinator.start_job(large_job()).await;
    let lease = device.next_job(coordinator, 60).await.unwrap();
    (device, lease, job)
}

/// Connects a peer that reads little at a time.
async fn connect(coordinator: &Coordinator) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(128 << 10).unwrap();
    socket.connect(coordinator.running.address).await.unwrap()
}

/// Started download whose body is not read yet.
struct Begun {
    stream: TcpStream,
    length: usize,
    received: usize,
}

impl Begun {
    async fn download(coordinator: &Coordinator, path: &str, token: &str) -> Self {
        Self::start(coordinator, path, &format!("Authorization: Bearer {token}\r\n")).await
    }

    async fn by_ticket(coordinator: &Coordinator, address: &str) -> Self {
        Self::start(coordinator, address, "").await
    }

    async fn start(coordinator: &Coordinator, path: &str, lines: &str) -> Self {
        let mut stream = connect(coordinator).await;
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        let mut piece = [0; 4096];
        let end = loop {
            let length = stream.read(&mut piece).await.unwrap();
            assert_ne!(length, 0, "{}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&piece[..length]);
            if let Some(end) = said.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&said[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length = length.lines().next().unwrap().parse().unwrap();
        Self { stream, length, received: said.len() - end }
    }

    /// Reads to the end. Returns the number of received bytes and the full length.
    async fn read_on(mut self) -> (usize, usize) {
        let mut piece = vec![0; 256 << 10];
        while let Ok(length @ 1..) = self.stream.read(&mut piece).await {
            self.received += length;
        }
        (self.received, self.length)
    }

    async fn breaks_off(self, why: &str) {
        let (received, length) = self.read_on().await;
        assert!(received < length, "{why}: all {length} bytes came");
    }
}

#[tokio::test]
async fn a_download_goes_on_while_nothing_ends_it() {
    let coordinator = Coordinator::start().await;
    let (device, lease, _) = leased(&coordinator).await;
    let path = format!("/blobs/{}", lease.base);
    let begun = Begun::download(&coordinator, &path, &device.token).await;
    // The end of another device's lease doesn't stop it.
    let other = Device::enroll(&coordinator, "other").await;
    coordinator.post(&format!("/devices/{}/revoke", other.id), Value::Null).await;
    let token = coordinator.post("/tokens", json!({ "role": "viewer", "name": "wall" })).await;
    let path = format!("/tokens/{}", token["id"].as_str().unwrap());
    coordinator.ask(Method::DELETE, &path, None).await;
    let (received, length) = begun.read_on().await;
    assert_eq!(received, length);
}

#[tokio::test]
async fn a_device_s_download_ends_with_the_device() {
    for end in ["revoke", "cleanup", "leave"] {
        let coordinator = Coordinator::start().await;
        let (device, lease, _) = leased(&coordinator).await;
        let path = format!("/blobs/{}", lease.base);
        let begun = Begun::download(&coordinator, &path, &device.token).await;
        match end {
            "revoke" => {
                let path = format!("/devices/{}/revoke", device.id);
                coordinator.post(&path, Value::Null).await;
            }
            "cleanup" => {
                coordinator.post("/devices/cleanup?inactive_days=0", Value::Null).await;
            }
            _ => {
                let path = format!("/devices/{}/leave", device.id);
                device.ask(&coordinator, Method::POST, &path, Value::Null).await;
            }
        }
        begun.breaks_off(end).await;
    }
}

#[tokio::test]
async fn a_device_s_download_ends_with_its_lease() {
    for end in ["return", "cancel"] {
        let coordinator = Coordinator::start().await;
        let (device, lease, job) = leased(&coordinator).await;
        let path = format!("/blobs/{}", lease.base);
        let begun = Begun::download(&coordinator, &path, &device.token).await;
        if end == "return" {
            let path = format!("/leases/{}/return", lease.id);
            let body = json!({ "reason": "disk" });
            let (status, _) = device.ask(&coordinator, Method::POST, &path, body).await;
            assert_eq!(status, StatusCode::NO_CONTENT);
        } else {
            coordinator.post(&format!("/jobs/{job}/cancel"), Value::Null).await;
        }
        begun.breaks_off(end).await;
    }
}

#[tokio::test]
async fn a_person_s_download_ends_with_the_token() {
    let coordinator = Coordinator::start().await;
    large_model(&coordinator).await;
    let path = "/models/large/download";
    let made = coordinator.post("/tokens", json!({ "role": "admin", "name": "script" })).await;
    let begun = Begun::download(&coordinator, path, made["token"].as_str().unwrap()).await;
    let token = format!("/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(coordinator.ask(Method::DELETE, &token, None).await.0, StatusCode::NO_CONTENT);
    begun.breaks_off("the token was deleted").await;

    // A download by ticket ends with the session that created the ticket.
    let code = coordinator.post("/sessions/links", json!({})).await["code"].clone();
    let request = coordinator.request(Method::POST, "/sessions", "");
    let session = request.json(&json!({ "code": code })).send().await.unwrap();
    let session = session.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let request = coordinator.request(Method::POST, "/downloads", &session);
    let made = request.json(&json!({ "path": path })).send().await.unwrap();
    let address = made.json::<Value>().await.unwrap()["path"].as_str().unwrap().to_owned();
    let begun = Begun::by_ticket(&coordinator, &address).await;
    assert_eq!(coordinator.ask(Method::DELETE, "/sessions", None).await.0, StatusCode::OK);
    begun.breaks_off("the session was ended").await;
}

/// Sends half of an upload. Returns the response that arrives without the rest.
async fn half_sent(
    coordinator: &Coordinator,
    device: &Device,
    lease: &Lease,
    end: impl AsyncFnOnce(),
) -> String {
    let hash = BlobHash::compute(b"something else");
    let mut stream = TcpStream::connect(coordinator.running.address).await.unwrap();
    let head = format!(
        "PUT /blobs/{hash}?lease={} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Upload-Offset: 0\r\nContent-Length: {LARGE}\r\n\r\n",
        lease.id, device.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![1; 1 << 20]).await.unwrap();
    while device.try_offset(coordinator, lease.id, hash).await.unwrap() < 1 << 20 {}
    end().await;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.windows(2).any(|two| two == b"\r\n") {
        let length = stream.read(&mut piece).await.unwrap();
        assert_ne!(length, 0);
        answer.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&answer).lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn an_upload_ends_with_its_device_and_with_its_lease() {
    let coordinator = Coordinator::start().await;
    let (device, lease, _) = leased(&coordinator).await;
    let path = format!("/devices/{}/revoke", device.id);
    let revoke = async || drop(coordinator.post(&path, Value::Null).await);
    let answer = half_sent(&coordinator, &device, &lease, revoke).await;
    assert_eq!(answer, "HTTP/1.1 401 Unauthorized");

    let coordinator = Coordinator::start().await;
    let (device, lease, job) = leased(&coordinator).await;
    let path = format!("/jobs/{job}/cancel");
    let cancel = async || drop(coordinator.post(&path, Value::Null).await);
    let answer = half_sent(&coordinator, &device, &lease, cancel).await;
    assert_eq!(answer, "HTTP/1.1 410 Gone");
}
