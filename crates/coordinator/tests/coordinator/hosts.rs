//! In the clear the coordinator answers to this machine's own names alone, so that a foreign name which
//! resolves to 127.0.0.1 (DNS rebinding) reaches nothing, public paths included.

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;

use crate::sessions::{NAME, afar};
use crate::support::Coordinator;

/// What the coordinator answers to these bytes in the clear.
async fn said_to(coordinator: &Coordinator, bytes: &str) -> String {
    let mut stream = TcpStream::connect(coordinator.running.address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A peer that still had something to say is reset.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

async fn status(coordinator: &Coordinator, line: &str, lines: &str) -> String {
    let request = format!("{line} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n");
    let answer = said_to(coordinator, &request).await;
    answer.strip_prefix("HTTP/1.1 ").unwrap_or(&answer).chars().take(3).collect()
}

#[tokio::test]
async fn a_host_that_is_not_ours_reaches_nothing() {
    let coordinator = Coordinator::start().await;
    let port = coordinator.running.address.port();
    let token = format!("Authorization: Bearer {}\r\n", coordinator.admin);
    let body = "Content-Type: application/json\r\nContent-Length: 2\r\n";
    for foreign in [
        format!("evil.example:{port}"),
        "evil.example".to_owned(),
        format!("localhost.evil.example:{port}"),
        format!("a.localhost:{port}"),
        format!("127.0.0.1:{}", port.wrapping_add(1)),
        format!("[::]:{port}"),
        String::new(),
    ] {
        for (line, more) in [
            ("GET /health", ""),
            ("GET /", ""),
            ("GET /docs/", ""),
            ("GET /openapi.json", ""),
            ("GET /nothing", ""),
            ("OPTIONS /jobs", ""),
            ("POST /sessions", body),
            ("POST /join", body),
            ("POST /devices/challenge", ""),
            ("POST /devices/register", body),
            ("GET /jobs", token.as_str()),
        ] {
            let lines = format!("Host: {foreign}\r\n{more}");
            assert_eq!(status(&coordinator, line, &lines).await, "421", "{foreign} {line}");
        }
    }
    for ours in ["127.0.0.1", "localhost", "LOCALHOST", "localhost.", "[::1]"] {
        for host in [ours.to_owned(), format!("{ours}:{port}")] {
            let lines = format!("Host: {host}\r\n{token}");
            assert_eq!(status(&coordinator, "GET /jobs", &lines).await, "200", "{host}");
        }
    }
}

#[tokio::test]
async fn a_host_is_named_once_and_in_every_place_that_names_it() {
    let coordinator = Coordinator::start().await;
    for (line, lines, expected) in [
        ("GET /health", "", "400"),
        ("GET /health", "Host: localhost\r\nHost: localhost\r\n", "400"),
        ("GET /health", "Host: localhost\r\nHost: evil.example\r\n", "400"),
        ("GET http://evil.example/health", "Host: localhost\r\n", "421"),
        ("GET http://localhost/health", "Host: evil.example\r\n", "421"),
        ("GET http://localhost/health", "Host: localhost\r\n", "200"),
    ] {
        assert_eq!(status(&coordinator, line, lines).await, expected, "{line} {lines:?}");
    }
    let answer = said_to(&coordinator, "GET /health HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 400") || answer.starts_with("HTTP/1.1 400"), "{answer}");
    // HTTP/2 is not spoken in the clear, neither at once nor after an upgrade.
    let answer = said_to(&coordinator, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!answer.contains(" 200"), "{answer}");
    let upgrade = "Host: evil.example\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    assert_eq!(status(&coordinator, "GET /health", upgrade).await, "421");
}

#[tokio::test]
async fn the_refusal_says_what_to_do() {
    let coordinator = Coordinator::start().await;
    let port = coordinator.running.address.port();
    let request =
        format!("GET / HTTP/1.1\r\nHost: evil.example:{port}\r\nConnection: close\r\n\r\n");
    let answer = said_to(&coordinator, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    let problem: Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["type"], "misdirected");
    let words = problem["detail"].as_str().unwrap();
    assert!(words.contains("https://") && words.contains(&format!("127.0.0.1:{port}")), "{words}");
}

#[tokio::test]
async fn over_tls_and_inside_the_process_any_host_will_do() {
    let coordinator = Coordinator::start().await;
    let (client, origin) = afar(&coordinator);
    assert!(origin.contains(NAME));
    let response = client.get(format!("{origin}/health")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let router = coordinator.running.router.clone();
    let request = Request::get("/health").body(Body::empty()).unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), 200);
}
