//! A coordinator for each test, and a client for it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coordinator::{CoordinatorSettings, HubSettings, Running, Sources, TrainerCommand};
use protocol::Pin;
use protocol::join::JoinCode;
use protocol::setting::{Key, SettingOrigin};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Timeout of requests and waits, long enough for a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// A running coordinator with a temporary data folder.
pub(crate) struct Coordinator {
    pub(crate) running: Running,
    pub(crate) folder: TempDir,
    pub(crate) client: Client,
}

/// An administrator's client of a coordinator.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) url: String,
    pub(crate) admin: String,
    pub(crate) pin: Pin,
    pub(crate) http: reqwest::Client,
}

impl Deref for Coordinator {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Coordinator {
    pub(crate) async fn start() -> Self {
        Self::start_in(TempDir::new().unwrap()).await
    }

    pub(crate) async fn start_in(folder: TempDir) -> Self {
        let running = coordinator::start(settings(folder.path())).await.unwrap();
        Self::from_running(running, folder)
    }

    pub(crate) fn from_running(running: Running, folder: TempDir) -> Self {
        let client = Client::new(running.url(), folder.path(), running.cluster.pin);
        Self { running, folder, client }
    }

    /// Stops the coordinator in an orderly way and starts it again on the same folder.
    pub(crate) async fn restart(self) -> Self {
        let Self { running, folder, .. } = self;
        running.stop().await;
        Self::start_in(folder).await
    }

    /// Stops the coordinator, changes its database, and starts it again.
    pub(crate) async fn changed(self, change: impl FnOnce(&rusqlite::Connection)) -> Self {
        let Self { running, folder, .. } = self;
        running.stop().await;
        change(&rusqlite::Connection::open(folder.path().join("constellation.db")).unwrap());
        Self::start_in(folder).await
    }

    /// Simulates a crash: starts another coordinator on a copy of the disk.
    pub(crate) async fn after_a_crash(&self) -> Self {
        Self::start_in(self.copy_of_the_disk()).await
    }

    /// Copies the data folder consistently: repeats the copy if the database was written to meanwhile.
    pub(crate) fn copy_of_the_disk(&self) -> TempDir {
        loop {
            let (before, copy) = (self.database(), TempDir::new().unwrap());
            copy_folder(self.folder.path(), copy.path());
            if self.database() == before {
                return copy;
            }
        }
    }

    /// Returns the bytes of the database and of its write-ahead log.
    fn database(&self) -> [Vec<u8>; 2] {
        ["constellation.db", "constellation.db-wal"]
            .map(|name| std::fs::read(self.folder.path().join(name)).unwrap())
    }
}

impl Client {
    /// Makes a client with the administrator's token from the coordinator's folder.
    pub(crate) fn new(url: String, folder: &Path, pin: Pin) -> Self {
        let admin = std::fs::read_to_string(folder.join("admin-token")).unwrap();
        Self { url, admin, pin, http: client() }
    }

    pub(crate) fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.url);
        let request = self.http.request(method, url).header("Constellation-Protocol", "1");
        if token.is_empty() { request } else { request.bearer_auth(token) }
    }

    /// Sends a request as an administrator. Returns the status and the body.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        self.try_ask(method, path, body).await.unwrap()
    }

    /// Like [`Client::ask`], for a coordinator that may die during the request.
    pub(crate) async fn try_ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<(StatusCode, Value)> {
        let mut request = self.request(method, path, &self.admin);
        if let Some(body) = body {
            request = request.json(&body);
        }
        try_answer(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, None).await;
        assert!(status.is_success(), "GET {path}: {status} {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(Method::POST, path, Some(body)).await;
        assert!(status.is_success(), "POST {path}: {status} {answer}");
        answer
    }

    pub(crate) async fn token(&self, role: &str) -> String {
        let body = json!({ "role": role, "name": format!("a {role}") });
        self.post("/tokens", body).await["token"].as_str().unwrap().to_owned()
    }

    /// Makes a join code and returns the content of its link.
    pub(crate) async fn join_code(&self, request: Value) -> JoinCode {
        let created = self.post("/join-codes", request).await;
        created["link"].as_str().unwrap().parse().unwrap()
    }

    /// Creates and starts a job. Returns its id.
    pub(crate) async fn start_job(&self, spec: Value) -> String {
        let id = self.post("/jobs", spec).await["id"].as_str().unwrap().to_owned();
        self.post(&format!("/jobs/{id}/start"), Value::Null).await;
        id
    }

    /// Waits until the job satisfies a condition, which is checked after every change.
    pub(crate) async fn job_when(&self, id: &str, is_met: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/jobs/{id}");
        let mut revision = 0;
        let waiting = async {
            loop {
                let job = self.get(&path).await;
                if is_met(&job) {
                    return job;
                }
                let events = self.get(&format!("/events?after={revision}&wait=5")).await;
                revision = events["revision"].as_u64().unwrap();
            }
        };
        if let Ok(job) = tokio::time::timeout(WAIT_TIMEOUT, waiting).await {
            return job;
        }
        panic!("timeout; the job is {}", self.get(&path).await)
    }

    pub(crate) async fn job_in(&self, id: &str, status: &str) -> Value {
        self.job_when(id, |job| job["status"] == status).await
    }
}

pub(crate) fn settings(folder: &Path) -> CoordinatorSettings {
    CoordinatorSettings {
        data_dir: folder.to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        name: "test cluster".to_owned(),
        certificate: None,
        lease_timeout: Duration::from_mins(1),
        trainer: tiny_trainer(),
        predictor: tiny_trainer(),
        nice: false,
        shown: vec![
            Key::ClusterName.declaration().setting(json!("test cluster"), SettingOrigin::User),
            Key::MinimumBattery.declaration().setting(json!(50), SettingOrigin::Default),
        ],
        sources: sources(folder.join("datasets")),
        allow_origins: Vec::new(),
        maximum_disk_bytes: None,
        backups: None,
    }
}

fn tiny_trainer() -> TrainerCommand {
    TrainerCommand { program: env!("CARGO_BIN_EXE_tiny-trainer").into(), args: vec![] }
}

/// Returns dataset sources without a network.
fn sources(uploads: PathBuf) -> Sources {
    let home = Some(uploads.join("hub"));
    let hub = HubSettings { endpoint: None, home, token: None, offline: true };
    Sources { data_dir: None, uploads, hub }
}

pub(crate) fn client() -> reqwest::Client {
    // Fails if another test of this process has installed it already.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().timeout(WAIT_TIMEOUT).build().unwrap()
}

pub(crate) async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    try_answer(request).await.unwrap()
}

pub(crate) async fn try_answer(request: RequestBuilder) -> reqwest::Result<(StatusCode, Value)> {
    let response = request.send().await?;
    let status = response.status();
    let kind = response.headers().get("content-type").cloned();
    let bytes = response.bytes().await?;
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(kind.unwrap(), "application/problem+json");
    }
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    if let Some(stated) = body.get("status").and_then(Value::as_u64) {
        assert_eq!(stated, u64::from(status.as_u16()));
    }
    Ok((status, body))
}

/// Returns a job that is small enough for tests: two rounds over two partitions.
pub(crate) fn tiny_job() -> Value {
    json!({
        "name": "tiny",
        "model_type": "nlp",
        "dataset": "synthetic",
        "model": {
            "input": { "kind": "text", "buckets": 16, "ngrams": 1, "max_words": 8 },
            "layers": [
                { "kind": "embedding_bag", "dimension": 2 },
                { "kind": "linear", "outputs": 4 }
            ]
        },
        "data": { "partitions": 2, "train_limit": 40 },
        "run": { "rounds": 2 }
    })
}

/// Returns the smallest dataset that can be added.
pub(crate) fn small_csv() -> String {
    let rows: Vec<String> = (0..20).map(|row| format!("text {row},{}\n", row % 2)).collect();
    format!("text,label\n{}", rows.concat())
}

/// Replaces values that differ from run to run, for snapshots.
pub(crate) fn redacted(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact(text)),
        Value::Array(items) => items.into_iter().map(redacted).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, redacted(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

fn redact(text: String) -> String {
    let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if text.len() == 36 && text.parse::<uuid::Uuid>().is_ok() {
        "[id]".to_owned()
    } else if text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok() {
        "[time]".to_owned()
    } else if is_hex(&text) {
        "[blake3]".to_owned()
    } else if text.starts_with("constellation-") {
        "[token]".to_owned()
    } else {
        text
    }
}

/// Copies a folder. Skips files that the running coordinator removes meanwhile.
fn copy_folder(from: &Path, to: &Path) {
    if let Err(error) = try_copy_folder(from, to) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
    }
}

fn try_copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    let entries = std::fs::read_dir(from)?;
    std::fs::create_dir_all(to)?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else if let Err(error) = std::fs::copy(entry.path(), target) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
    Ok(())
}
