//! Malicious HTTP/2 frames.

use protocol::pin::server_name;
use rustls::version;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::Coordinator;
use crate::tls::{certificate_of, connect, trusting};

// RFC 9113 §6 and §7.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// An HTTP/2 connection after its preface.
struct Http2(TlsStream<TcpStream>);

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Http2 {
    async fn connect(coordinator: &Coordinator) -> Self {
        let connector = trusting(&[certificate_of(coordinator)], &[&version::TLS13], &["h2"]);
        let name = server_name(&coordinator.running.cluster.id);
        let mut stream = connect(&connector, coordinator.running.address, &name).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self(stream)
    }

    /// Sends bytes. Ignores errors, because the coordinator may close the connection before the last byte.
    async fn send(&mut self, bytes: &[u8]) {
        drop(self.0.write_all(bytes).await);
        drop(self.0.flush().await);
    }

    /// Returns the next frame, or `None` if the connection is closed.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Returns the first frame of this kind on this stream.
    async fn first(&mut self, kind: u8, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if (frame.kind, frame.stream) == (kind, stream) {
                return Some(frame);
            }
        }
    }
}

impl Frame {
    /// Returns the error code of a `RST_STREAM` or `GOAWAY` frame.
    fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Encodes a header field without indexing; name and value must be shorter than 127 bytes (RFC 7541 §6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    let (name, value) = ((length(name), name.as_bytes()), (length(value), value.as_bytes()));
    [&[0, name.0], name.1, &[value.0], value.1].concat()
}

/// Encodes the fields of a GET or POST request over https, with the static table.
fn request(method: u8, path: &str) -> Vec<u8> {
    [vec![method, 0x87], field(":path", path), field(":authority", "x")].concat()
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

#[tokio::test]
async fn endless_resets_end_the_connection() {
    let coordinator = Coordinator::start().await;
    let mut peer = Http2::connect(&coordinator).await;
    let mut flood = Vec::new();
    for stream in (1..4000).step_by(2) {
        let fields = request(GET, "/health");
        flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields));
        flood.extend(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
    }
    peer.send(&flood).await;
    let goaway = peer.first(GOAWAY, 0).await.expect("a GOAWAY frame");
    assert_eq!(goaway.code(), ENHANCE_YOUR_CALM);
    assert_eq!(coordinator.get("/jobs").await, json!([]));
}

#[tokio::test]
async fn endless_headers_end_the_connection() {
    let coordinator = Coordinator::start().await;
    let mut peer = Http2::connect(&coordinator).await;
    peer.send(&frame(HEADERS, END_STREAM, 1, &request(GET, "/health"))).await;
    let more = frame(CONTINUATION, 0, 1, &field("x", "y").repeat(2000));
    for _ in 0..40 {
        peer.send(&more).await;
    }
    let goaway = peer.first(GOAWAY, 0).await.expect("a GOAWAY frame");
    assert_eq!(goaway.code(), ENHANCE_YOUR_CALM);
    assert_eq!(coordinator.get("/jobs").await, json!([]));
}

#[tokio::test]
async fn too_large_headers_are_answered_with_431() {
    let coordinator = Coordinator::start().await;
    let mut peer = Http2::connect(&coordinator).await;
    let filler = field("x", &"y".repeat(120)).repeat(130);
    let fields = [request(GET, "/health"), filler].concat();
    let (first, rest) = fields.split_at(16_000);
    peer.send(&frame(HEADERS, END_STREAM, 1, first)).await;
    peer.send(&frame(CONTINUATION, END_HEADERS, 1, rest)).await;
    let answer = peer.first(HEADERS, 1).await.expect("an answer");
    // The status "431" is not in the static table: it is three bytes of Huffman code (RFC 7541 §5.2).
    assert!(answer.payload.windows(4).any(|four| four == [0x83, 0x69, 0x90, 0xff]), "{answer:?}");
}

#[tokio::test]
async fn requests_in_flight_are_limited_per_connection() {
    let coordinator = Coordinator::start().await;
    let mut peer = Http2::connect(&coordinator).await;
    let fields = [request(POST, "/sessions"), field("content-type", "application/json")].concat();
    // The bodies of these requests never arrive.
    for stream in (1..=129).step_by(2) {
        peer.send(&frame(HEADERS, END_HEADERS, stream, &fields)).await;
    }
    let refused = peer.first(RST_STREAM, 129).await.expect("a refusal");
    assert_eq!(refused.code(), REFUSED_STREAM);
}

#[tokio::test]
async fn many_settings_and_pings_are_answered_without_delaying_others() {
    const COUNT: usize = 2000;
    let coordinator = Coordinator::start().await;
    let mut peer = Http2::connect(&coordinator).await;
    peer.send(&[frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[7; 8])].concat().repeat(COUNT))
        .await;
    assert_eq!(coordinator.get("/jobs").await, json!([]));
    let mut answered = 0;
    while answered < 2 * COUNT {
        let frame = peer.next().await.expect("it stays open");
        let is_answer = [SETTINGS, PING].contains(&frame.kind) && frame.flags & ACK != 0;
        answered += usize::from(is_answer);
    }
}
