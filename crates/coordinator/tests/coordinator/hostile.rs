//! Hostile peers: limits of the resources that each can hold, while other peers are served. The
//! timeouts are covered by the unit tests of `http::connection`, `body_timeout` and `in_flight` on
//! a paused clock.

mod files;
mod http2;
mod names;

use protocol::BlobHash;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::device::{Device, update};
use crate::support::{Coordinator, tiny_job};

async fn connect(coordinator: &Coordinator) -> TcpStream {
    TcpStream::connect(coordinator.running.address).await.unwrap()
}

/// Reads the response until the coordinator closes. A peer with unsent bytes is reset.
async fn answer(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        said.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Returns the response to these bytes.
async fn said_to(coordinator: &Coordinator, bytes: &[u8]) -> String {
    let mut stream = connect(coordinator).await;
    // It may have closed before the last of them.
    drop(stream.write_all(bytes).await);
    answer(&mut stream).await
}

/// Returns the response to a request with an endless body.
async fn said_to_endless(coordinator: &Coordinator, head: &str) -> String {
    let (mut reading, mut writing) = connect(coordinator).await.into_split();
    writing.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n", vec![b' '; 0x10000].as_slice(), b"\r\n"].concat();
    let endless = async { while writing.write_all(&chunk).await.is_ok() {} };
    tokio::join!(answer(&mut reading), endless).0
}

fn status(answer: &str) -> &str {
    answer.lines().next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).unwrap_or(answer)
}

#[tokio::test]
async fn slow_peers_hold_up_nobody() {
    let coordinator = Coordinator::start().await;
    let beginnings: [&[u8]; 5] = [
        b"",
        &[0x16, 3, 1, 2, 0, 1],
        b"GET /health HTTP/1.1\r\nHost: local",
        b"POST /sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
          Content-Length: 1000\r\n\r\n{",
        b"POST /sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
          Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ];
    let mut slow = Vec::new();
    for beginning in beginnings.iter().cycle().take(200) {
        let mut stream = connect(&coordinator).await;
        stream.write_all(beginning).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(coordinator.get("/jobs").await, json!([]));
    // Slow connections stay open: one that finishes its request gets a response.
    slow[2].write_all(b"host\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(status(&answer(&mut slow[2]).await), "200 OK");
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let coordinator = Coordinator::start().await;
    let filler = "a".repeat(20 << 10);
    let many = "X: 1\r\n".repeat(101);
    for (request, expected) in [
        (format!("GET /{filler} HTTP/1.1\r\nHost: localhost\r\n\r\n"), "431"),
        (format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {filler}\r\n\r\n"), "431"),
        (format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), "431"),
        (format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{filler}"), "431"),
        ("GET /health\u{1} HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "400"),
        ("GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = said_to(&coordinator, request.as_bytes()).await;
        assert!(status(&answer).starts_with(expected), "{request:.60}: {answer}");
    }
}

#[tokio::test]
async fn a_length_that_is_no_length_is_refused() {
    let coordinator = Coordinator::start().await;
    let job = tiny_job().to_string();
    let request = |lengths: &str, body: &str| {
        format!(
            "POST /jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nConnection: close\r\n{lengths}\r\n\r\n{body}",
            coordinator.admin
        )
    };
    let (right, shorter) = (job.len(), job.len() - 1);
    for lengths in [
        format!("Content-Length: {right}\r\nContent-Length: {shorter}"),
        "Content-Length: -1".to_owned(),
        "Content-Length: many".to_owned(),
        format!("Content-Length: {}", u128::MAX),
        // The body ends in the middle of the object.
        format!("Content-Length: {shorter}"),
    ] {
        let answer = said_to(&coordinator, request(&lengths, &job).as_bytes()).await;
        assert!(status(&answer).starts_with("400"), "{lengths}: {answer}");
    }
    // One announced byte never arrives.
    let mut stream = connect(&coordinator).await;
    let lengths = format!("Content-Length: {}", right + 1);
    stream.write_all(request(&lengths, &job).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = answer(&mut stream).await;
    assert!(!status(&answer).starts_with('2'), "{answer}");
    assert_eq!(coordinator.get("/jobs").await, json!([]));
}

#[tokio::test]
async fn bodies_end_where_their_bound_is() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let bytes = update(&lease);
    let hash = BlobHash::compute(&bytes);
    let head = |line: &str, token: &str, lines: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{lines}\r\n\r\n"
        )
    };
    let (json, chunked) = ("Content-Type: application/json", "Transfer-Encoding: chunked");
    let upload = format!("PUT /blobs/{hash}?lease={}", lease.id);
    for (line, token, lines) in [
        ("POST /sessions", "", format!("{json}\r\n{chunked}")),
        ("POST /tokens", &coordinator.admin, format!("{json}\r\n{chunked}")),
        (&upload, &device.token, chunked.to_owned()),
    ] {
        let head = head(line, token, &lines);
        // Without a token.
        let head = head.replace("Authorization: Bearer \r\n", "");
        let answer = said_to_endless(&coordinator, &head).await;
        assert!(status(&answer).starts_with("413"), "{line}: {answer}");
    }
    // The overlong upload left no more than its limit, and the right bytes are still accepted.
    let path = format!("/blobs/{hash}?lease={}", lease.id);
    let stored = coordinator.request(Method::HEAD, &path, &device.token).send().await.unwrap();
    let stored: usize = stored.headers()["upload-offset"].to_str().unwrap().parse().unwrap();
    assert!(stored <= bytes.len(), "{stored}");
    // A body announced as too long is rejected before it is sent.
    let dataset = "POST /datasets?name=x&filename=x.csv";
    let person = format!("PUT /blobs/{hash}");
    for (line, token, length) in [
        (upload.as_str(), &device.token, bytes.len() as u64 + 1),
        (&person, &coordinator.admin, 400_000_001),
        (dataset, &coordinator.admin, (8 << 30) + 1),
    ] {
        let head = head(line, token, &format!("Content-Length: {length}\r\nConnection: close"));
        let answer = said_to(&coordinator, head.as_bytes()).await;
        assert!(status(&answer).starts_with("413"), "{line}: {answer}");
    }
}

#[tokio::test]
async fn a_lease_has_so_many_blobs_and_no_more() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let good = update(&lease);
    let other = |last: u8| {
        let mut bytes = good.clone();
        bytes[0] = last;
        bytes
    };
    for last in 1..=3 {
        let bytes = other(last);
        let sent = device.upload(&coordinator, lease.id, BlobHash::compute(&bytes), 0, bytes).await;
        assert_eq!(sent.status(), StatusCode::CREATED);
    }
    let (status, answer) = device.report(&coordinator, &lease, good.clone()).await;
    assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("accepted")));
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    for last in 11..=18 {
        let bytes = other(last);
        device.upload(&coordinator, lease.id, BlobHash::compute(&bytes), 0, bytes).await;
    }
    let bytes = other(19);
    let refused = device.upload(&coordinator, lease.id, BlobHash::compute(&bytes), 0, bytes).await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "too-many-blobs");
}
