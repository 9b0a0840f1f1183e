//! A webhook receiver with a real socket, which can be closed and opened again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Timeout of a test's wait, long enough for a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Delivery {
    pub(crate) fn header(&self, name: &str) -> String {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("no {name} in {}", self.head)).1.to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Default)]
struct SharedState {
    deliveries: Mutex<Vec<Delivery>>,
    received: Notify,
}

pub(crate) struct Receiver {
    pub(crate) port: u16,
    shared: Arc<SharedState>,
    task: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Starts a receiver that answers every request with this status line, such as `204 No Content`.
    pub(crate) async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut receiver = Self { port, shared: Arc::default(), task: None };
        receiver.listen(listener, answer);
        receiver
    }

    /// Closes the socket.
    pub(crate) async fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // The result is always the abort.
            drop(task.await);
        }
    }

    /// Listens again on the same port.
    pub(crate) fn start_again(&mut self, answer: &'static str) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], self.port).into()).unwrap();
        self.listen(socket.listen(16).unwrap(), answer);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?key=secret", self.port)
    }

    /// Waits for `count` requests and returns all that were received.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Delivery> {
        let waiting = async {
            loop {
                let received = self.shared.received.notified();
                let deliveries = self.shared.deliveries.lock().unwrap().clone();
                if deliveries.len() >= count {
                    return deliveries;
                }
                received.await;
            }
        };
        let deliveries = tokio::time::timeout(WAIT_TIMEOUT, waiting).await;
        deliveries.unwrap_or_else(|_| panic!("fewer than {count} requests arrived"))
    }

    fn listen(&mut self, listener: TcpListener, answer: &'static str) {
        let shared = self.shared.clone();
        self.task = Some(tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // One request at a time, so that an aborted receiver leaves none unfinished.
                if let Some(deliveries) = serve(stream, answer).await {
                    shared.deliveries.lock().unwrap().push(deliveries);
                    shared.received.notify_one();
                }
            }
        }));
    }
}

/// Reads and answers one request. Returns `None` if it is incomplete.
async fn serve(mut stream: TcpStream, answer: &str) -> Option<Delivery> {
    let mut text = Vec::new();
    let (head, length) = loop {
        if stream.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, _)) = whole.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>())
            });
            break (head.to_owned(), length.unwrap().unwrap());
        }
    };
    let whole = head.len() + 4 + length;
    while text.len() < whole {
        if stream.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(text[head.len() + 4..].to_vec()).unwrap();
    let reply = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(reply.as_bytes()).await.ok()?;
    Some(Delivery { head, body })
}
