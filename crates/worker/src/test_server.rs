//! Scripted test server: each connection reads one request, sends the next prepared raw answer, and is
//! closed.

use std::sync::{Arc, Mutex};

use protocol::{DeviceId, Pin};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::ParsedCertificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::net::client::Client;

/// Script of one connection.
pub(crate) struct Step {
    /// Bytes of the request's body that are read before the answer.
    body: usize,
    answer: Vec<u8>,
    /// Whether the connection then stays open, as if the network had failed.
    stays: bool,
}

/// A received request, with the part of the body that the step read.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedRequest {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Server {
    pub(crate) url: String,
    /// Pin of the server's key.
    pub(crate) pin: Pin,
    asked: Arc<Mutex<Vec<ReceivedRequest>>>,
    /// Number of received requests.
    count: watch::Receiver<usize>,
}

impl Step {
    /// Reads the whole body and answers.
    pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Self {
        let mut answer = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        )
        .into_bytes();
        answer.extend_from_slice(body);
        Self { body: usize::MAX, answer, stays: false }
    }

    /// Like [`Step::answer`], but closes the connection after `after` bytes of the answer's body.
    pub(crate) fn broken(status: &str, headers: &str, body: &[u8], after: usize) -> Self {
        let mut step = Self::answer(status, headers, body);
        step.answer.truncate(step.answer.len() - (body.len() - after));
        step
    }

    /// Closes the connection after `after` bytes of the request's body, without an answer.
    pub(crate) fn deaf(after: usize) -> Self {
        Self { body: after, answer: Vec::new(), stays: false }
    }

    /// Reads `after` bytes of the request's body, then neither reads nor answers.
    pub(crate) fn silent(after: usize) -> Self {
        Self { body: after, answer: Vec::new(), stays: true }
    }
}

impl Server {
    pub(crate) async fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (acceptor, pin) = tls();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let (counted, count) = watch::channel(0);
        tokio::spawn(async move {
            let mut open = Vec::new();
            for step in steps {
                let (stream, _) = listener.accept().await.unwrap();
                // A client that trusts another key ends the handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                serve(&mut stream, &step, &seen, &counted).await;
                if step.stays {
                    open.push(stream);
                } else {
                    stream.shutdown().await.ok();
                }
            }
        });
        Self { url, pin, asked, count }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(watch::channel(Some(self.url.clone())).1, Some(self.pin))
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.asked.lock().unwrap().clone()
    }

    /// Completes when this many requests have arrived.
    pub(crate) async fn wait_for_requests(&self, requests: usize) {
        self.count.clone().wait_for(|count| *count >= requests).await.unwrap();
    }
}

impl ReceivedRequest {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

pub(crate) fn device() -> DeviceId {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
}

/// Makes a new key and certificate for each server.
fn tls() -> (TlsAcceptor, Pin) {
    let made = rcgen::generate_simple_self_signed(["test".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let parsed = ParsedCertificate::try_from(&certificate).unwrap();
    let pin = Pin::from_public_key(parsed.subject_public_key_info().as_ref());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    (TlsAcceptor::from(Arc::new(config)), pin)
}

async fn serve(
    stream: &mut TlsStream<TcpStream>,
    step: &Step,
    seen: &Mutex<Vec<ReceivedRequest>>,
    counted: &watch::Sender<usize>,
) {
    let mut received = Vec::new();
    let end = loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0, "the request ended early");
    };
    let head = String::from_utf8(received[..end].to_vec()).unwrap();
    let mut asked = ReceivedRequest { head, body: received.split_off(end) };
    let length = asked.header("content-length").map_or(0, |text| text.parse().unwrap());
    let wanted = step.body.min(length);
    while asked.body.len() < wanted {
        assert_ne!(stream.read_buf(&mut asked.body).await.unwrap(), 0, "the body ended early");
    }
    asked.body.truncate(wanted);
    seen.lock().unwrap().push(asked);
    counted.send_modify(|count| *count += 1);
    stream.write_all(&step.answer).await.unwrap();
}
