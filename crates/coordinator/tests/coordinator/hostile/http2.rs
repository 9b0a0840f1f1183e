//! HTTP/2 frame by frame, as no honest client sends it.

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

/// A connection after its preface.
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

    /// It may have closed before the last of them.
    async fn send(&mut self, bytes: &[u8]) {
        drop(self.0.write_all(bytes).await);
        drop(self.0.flush().await);
    }

    /// The next frame; none where it was closed.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// The first frame of this kind, on this stream.
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
    /// Why a stream is reset or the connection ends.
    fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field that no table has, of a name and value below 127 bytes (RFC 7541 §6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    let (name, value) = ((length(name), name.as_bytes()), (length(value), value.as_bytes()));
    [&[0, name.0], name.1, &[value.0], value.1].concat()
}

/// The fields of a request, by the static table: GET or POST over https.
fn request(method: u8, path: &str) -> Vec<u8> {
    [vec![method, 0x87], field(":path", path), field(":authority", "x")].concat()
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

#[tokio::test]
async fn requests_that_are_taken_back_without_end_end_the_connection() {
    let coordinator = Coordinator::start().await;
    let mut peer = Http2::connect(&coordinator).await;
    let mut flood = Vec::new();
    for stream in (1..4000).step_by(2) {
        let fields = request(GET, "/health");
        flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields));
        flood.extend(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
    }
    peer.send(&flood).await;
    let goodbye = peer.first(GOAWAY, 0).await.expect("a goodbye");
    assert_eq!(goodbye.code(), ENHANCE_YOUR_CALM);
    assert_eq!(coordinator.get("/jobs").await, json!([]));
}

#[tokio::test]
async fn headers_that_go_on_without_end_end_the_connection() {
    let coordinator = Coordinator::start().await;
    let mut peer = Http2::connect(&coordinator).await;
    peer.send(&frame(HEADERS, END_STREAM, 1, &request(GET, "/health"))).await;
    let more = frame(CONTINUATION, 0, 1, &field("x", "y").repeat(2000));
    for _ in 0..40 {
        peer.send(&more).await;
    }
    let goodbye = peer.first(GOAWAY, 0).await.expect("a goodbye");
    assert_eq!(goodbye.code(), ENHANCE_YOUR_CALM);
    assert_eq!(coordinator.get("/jobs").await, json!([]));
}

#[tokio::test]
async fn headers_beyond_their_bound_are_answered_by_431() {
    let coordinator = Coordinator::start().await;
    let mut peer = Http2::connect(&coordinator).await;
    let filler = field("x", &"y".repeat(120)).repeat(130);
    let fields = [request(GET, "/health"), filler].concat();
    let (first, rest) = fields.split_at(16_000);
    peer.send(&frame(HEADERS, END_STREAM, 1, first)).await;
    peer.send(&frame(CONTINUATION, END_HEADERS, 1, rest)).await;
    let answer = peer.first(HEADERS, 1).await.expect("an answer");
    // The status is no table's: three bytes of Huffman code (RFC 7541 §5.2) say "431".
    assert!(answer.payload.windows(4).any(|four| four == [0x83, 0x69, 0x90, 0xff]), "{answer:?}");
}

#[tokio::test]
async fn a_connection_has_so_many_requests_under_way() {
    let coordinator = Coordinator::start().await;
    let mut peer = Http2::connect(&coordinator).await;
    let fields = [request(POST, "/sessions"), field("content-type", "application/json")].concat();
    // Their bodies never come.
    for stream in (1..=129).step_by(2) {
        peer.send(&frame(HEADERS, END_HEADERS, stream, &fields)).await;
    }
    let refused = peer.first(RST_STREAM, 129).await.expect("a refusal");
    assert_eq!(refused.code(), REFUSED_STREAM);
}

#[tokio::test]
async fn settings_and_pings_are_answered_one_by_one_and_hold_up_nobody() {
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
