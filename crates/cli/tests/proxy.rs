//! A coordinator that is only reachable through a proxy: only the proxy resolves its name. The
//! proxy is a small real one that requires a password.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use support::{Node, constellation, last_line, result};

const TARGET: &str = "coordinator.example:8000";
const URL: &str = "https://coordinator.example:8000";
/// anna:secret
const ACCOUNT: &str = "Basic YW5uYTpzZWNyZXQ=";

const JOB: &str = r#"
name = "synthetic"
model_type = "nlp"
dataset = "synthetic"
[data]
partitions = 2
train_limit = 400
[run]
rounds = 2
"#;

/// A proxy for one target that counts its responses.
struct Proxy {
    address: SocketAddr,
    /// Number of responses by status line.
    responses: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Proxy {
    fn start(coordinator: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, responses) = (listener.local_addr().unwrap(), Arc::default());
        let proxy = Self { address, responses: Arc::clone(&responses) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, responses) = (stream.unwrap(), Arc::clone(&responses));
                std::thread::spawn(move || serve(stream, coordinator, &responses));
            }
        });
        proxy
    }

    fn count(&self, response: &str) -> usize {
        self.responses.lock().unwrap().get(response).copied().unwrap_or(0)
    }

    /// Sets the command's environment to use this proxy with this password.
    fn configure(&self, command: &mut Command, password: &str) {
        for name in ["https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
            command.env_remove(name);
        }
        command.env("HTTPS_PROXY", format!("http://anna:{password}@{}", self.address));
    }
}

fn serve(
    mut client: TcpStream,
    coordinator: SocketAddr,
    responses: &Mutex<BTreeMap<&'static str, usize>>,
) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let response = if !request.contains(&format!("Proxy-Authorization: {ACCOUNT}\r\n")) {
        "407 Proxy Authentication Required"
    } else if request.starts_with(&format!("CONNECT {TARGET} HTTP/1.1\r\n")) {
        "200 Connection established"
    } else {
        "403 Forbidden"
    };
    *responses.lock().unwrap().entry(response).or_default() += 1;
    client.write_all(format!("HTTP/1.1 {response}\r\n\r\n").as_bytes()).unwrap();
    if !response.starts_with("200") {
        return;
    }
    let server = TcpStream::connect(coordinator).unwrap();
    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let upload = std::thread::spawn(move || carry(from, to));
    carry(server, client);
    drop(upload.join());
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    drop(std::io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Write));
}

#[test]
fn a_worker_enrolls_and_trains_through_a_proxy() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let arguments =
        ["coordinator", "--listen", "127.0.0.1:0", "--data-dir", "coordinator", "--no-discovery"];
    let mut coordinator = Node::start(home, &arguments);
    let line = coordinator.lines.next().unwrap().unwrap();
    let listening: Value = serde_json::from_str(&line).unwrap();
    let url = listening["url"].as_str().unwrap();
    let proxy = Proxy::start(url.rsplit_once('/').unwrap().1.parse().unwrap());
    std::fs::write(home.join("job.toml"), JOB).unwrap();
    let job = result(home, &["job", "submit", "job.toml"]);

    // The typed code contains no pin: even the first request goes through the proxy.
    let code = result(home, &["join-code", "create"]);
    let code = code["code"].as_str().unwrap();
    let arguments = ["worker", "--coordinator", URL, "--join", code, "--data-dir", "worker"];
    let more = ["--when", "always", "--backend", "cpu", "--json", "--exit-with-parent"];
    let mut command = constellation(home, &[&arguments[..], &more].concat());
    proxy.configure(&mut command, "secret");
    let mut worker = Node::start_as(&mut command);
    worker.until("registered");
    for _ in 0..4 {
        assert_eq!(worker.until("reported")["outcome"], "accepted");
    }
    let id = job["id"].as_str().unwrap();
    assert_eq!(last_line(home, &["job", "watch", id])["status"], "completed");
    assert!(proxy.count("200 Connection established") > 0);
    assert_eq!(proxy.count("403 Forbidden"), 0);
    assert_eq!(worker.stop(), Some(0));

    // The doctor uses the same proxy, and its report does not contain the password.
    let mut command = constellation(home, &["doctor", "--json", "--data-dir", "worker"]);
    proxy.configure(command.args(["--coordinator", URL]), "secret");
    let output = command.env("CONSTELLATION_BACKEND", "cpu").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let found = |name: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap().clone()
    };
    let description = found("proxy")["found"].as_str().unwrap().to_owned();
    let expected = format!("{URL} through the proxy {} (from HTTPS_PROXY)", proxy.address);
    assert!(description.contains(&expected), "{description}");
    assert_eq!(found("pin")["state"], "ok", "{report}");
    assert!(!text.contains("secret@") && !text.contains(ACCOUNT), "{text}");
    assert_eq!(coordinator.stop(), Some(0));
}

#[test]
fn a_proxy_that_refuses_is_reported_with_its_response() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let proxy = Proxy::start("127.0.0.1:1".parse().unwrap());
    let arguments = ["worker", "--coordinator", URL, "--join", "0123-4567-89ab-cdef"];
    let more = ["--data-dir", "worker", "--backend", "cpu", "--json", "--exit-with-parent"];
    let mut command = constellation(home, &[&arguments[..], &more].concat());
    proxy.configure(command.stderr(Stdio::null()), "wrong");
    let mut worker = Node::start_as(&mut command);
    let line = worker.until("offline");
    let reason = line["reason"].as_str().unwrap();
    let expected = format!("the proxy {} (from HTTPS_PROXY) refused to connect", proxy.address);
    assert!(reason.contains(&expected) && reason.contains("407 Proxy Auth"), "{reason}");
    assert!(!reason.contains("wrong"), "{reason}");
    assert_eq!(worker.stop(), Some(0));
}
