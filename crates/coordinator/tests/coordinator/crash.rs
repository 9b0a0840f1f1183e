//! Crash tests: the coordinator is killed at every crash point. After the restart it has everything that it
//! had acknowledged, and the job ends with the same bits as an undisturbed run.
//!
//! Each point is tested at 3 of its passings. `CONSTELLATION_CRASH_PASSINGS=N` tests N of them, spread over
//! those of an undisturbed run.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use coordinator::{CrashPoint, backup};
use futures::StreamExt;
use protocol::lease::Lease;
use protocol::{BlobHash, LeaseId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::device::{Device, update};
use crate::support::{Client, small_csv, tiny_job, try_answer};

/// Number of runs at a time. A run mostly waits for the disk.
const CONCURRENT_RUNS: usize = 4;

#[tokio::test]
async fn dying_at_any_point_loses_nothing_and_changes_no_bit() {
    let undisturbed = run(None).await;
    let counts = &undisturbed.passings;
    let unreached: Vec<_> =
        CrashPoint::ALL.iter().filter(|point| !counts.contains_key(point)).collect();
    assert!(unreached.is_empty(), "no run passes {unreached:?}");
    let per_point = std::env::var("CONSTELLATION_CRASH_PASSINGS");
    let per_point = per_point.map_or(3, |count| count.parse().unwrap());
    let crashes = counts.iter().flat_map(|(point, count)| {
        spread(*count, per_point).into_iter().map(|passing| (*point, passing))
    });
    let runs = futures::stream::iter(crashes.collect::<Vec<_>>()).map(async |crash| {
        let _printed = PrintOnPanic(crash);
        (crash, run(Some(crash)).await)
    });
    let mut died_at: BTreeMap<CrashPoint, u32> = BTreeMap::new();
    let mut runs = std::pin::pin!(runs.buffer_unordered(CONCURRENT_RUNS));
    while let Some((crash, result)) = runs.next().await {
        assert_eq!(result.model, undisturbed.model, "after the crash at {crash:?}");
        *died_at.entry(crash.0).or_default() += u32::from(result.died);
    }
    // The number of passings varies with timing, but every point is passed at least once.
    let survived: Vec<_> =
        CrashPoint::ALL.iter().filter(|point| died_at.get(point) == Some(&0)).collect();
    assert!(survived.is_empty(), "no run died at {survived:?}");
    let crashes: u32 = died_at.values().sum();
    println!("{crashes} crashes at {} points, the same model after each", died_at.len());
}

/// Chooses `number` of the passings 1 to `count`: the first, the last, and some between.
fn spread(count: u32, number: u32) -> BTreeSet<u32> {
    let steps = number.clamp(1, count).saturating_sub(1);
    (0..=steps).map(|step| 1 + (count - 1) * step / steps.max(1)).collect()
}

/// Prints the crash of a run that panicked.
struct PrintOnPanic((CrashPoint, u32));

impl Drop for PrintOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("failed with the crash at {:?}, or in a run beside it", self.0);
        }
    }
}

/// Result of one run.
struct RunResult {
    model: Value,
    died: bool,
    passings: BTreeMap<CrashPoint, u32>,
}

/// Runs a job on a small cluster with one device, with all that people do around it.
async fn run(crash: Option<(CrashPoint, u32)>) -> RunResult {
    let mut cluster = Cluster::start(crash).await;
    let body = json!({ "role": "viewer", "name": "a viewer" });
    let token = cluster.post("/tokens", &body).await.1;
    cluster.ledger.viewer = token["token"].as_str().map(str::to_owned);
    let device = cluster.ask(async |client| Device::try_enroll(client, "one").await).await;
    cluster.ledger.device = Some(device.clone());
    cluster.add_dataset().await;
    let job = cluster.post("/jobs", &tiny_job()).await.1;
    let id = job["id"].as_str().unwrap().to_owned();
    cluster.ledger.job = Some(id.clone());
    // A repeated request after the crash gets a conflict, because the job has started.
    let (status, answer) = cluster.post(&format!("/jobs/{id}/start"), &Value::Null).await;
    assert!(matches!(status, StatusCode::OK | StatusCode::CONFLICT), "{status} {answer}");
    cluster.ledger.started = true;
    loop {
        let lease = cluster.ask(async |client| device.try_next_job(client, 0).await).await;
        if let Some(lease) = lease {
            cluster.train(&device, &lease).await;
            continue;
        }
        let job = cluster.get(&format!("/jobs/{id}")).await;
        cluster.ledger.rounds = job["current_epoch"].as_u64().unwrap();
        if job["status"] == "completed" {
            cluster.ledger.model = Some(job["model_blake3"].clone());
            break;
        }
        assert!(job["status"] == "preparing" || job["status"] == "running", "{job}");
        cluster.wait_for_change().await;
    }
    let body = json!({ "name": "kept", "job": id, "round": 1 });
    let (status, answer) = cluster.post("/models", &body).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    cluster.ledger.kept = true;
    // A process that has not died yet is stopped here, and may die while it stops.
    let passings = cluster.stop_and_restart().await;
    cluster.check_ledger().await;
    let models = cluster.get("/models").await;
    let job_models = models.as_array().unwrap().iter().filter(|model| model["name"] == "tiny");
    assert_eq!(job_models.count(), 1, "registered once");
    RunResult { model: cluster.ledger.model.clone().unwrap(), died: cluster.died, passings }
}

/// Everything that the coordinator has acknowledged and must not lose.
#[derive(Default)]
struct Ledger {
    viewer: Option<String>,
    device: Option<Device>,
    dataset: bool,
    job: Option<String>,
    started: bool,
    /// Granted, not submitted yet.
    lease: Option<LeaseId>,
    /// Update whose bytes were acknowledged and that is not submitted yet.
    uploaded: Option<BlobHash>,
    updates: Vec<(LeaseId, BlobHash)>,
    rounds: u64,
    model: Option<Value>,
    kept: bool,
}

/// A coordinator that may die once, with its users.
struct Cluster {
    folder: TempDir,
    process: Process,
    died: bool,
    ledger: Ledger,
}

impl Cluster {
    async fn start(crash: Option<(CrashPoint, u32)>) -> Self {
        let folder = TempDir::new().unwrap();
        let (process, died) = match Process::start(folder.path(), crash).await {
            Ok(process) => (process, false),
            Err(status) => (restarted(folder.path(), status).await, true),
        };
        Self { folder, process, died, ledger: Ledger::default() }
    }

    /// Sends a request. If the coordinator has died, restarts it and sends the request again.
    async fn ask<T>(&mut self, ask: impl AsyncFn(&Client) -> reqwest::Result<T>) -> T {
        if let Ok(answer) = ask(&self.process.client).await {
            return answer;
        }
        assert!(!self.died, "the coordinator does not answer, but has died once already");
        self.died = true;
        let status = self.process.child.wait().await.unwrap();
        self.process = restarted(self.folder.path(), status).await;
        self.check_ledger().await;
        ask(&self.process.client).await.unwrap()
    }

    async fn get(&mut self, path: &str) -> Value {
        let (status, body) =
            self.ask(async |client| client.try_ask(Method::GET, path, None).await).await;
        assert!(status.is_success(), "GET {path}: {status} {body}");
        body
    }

    async fn post(&mut self, path: &str, body: &Value) -> (StatusCode, Value) {
        let ask =
            async |client: &Client| client.try_ask(Method::POST, path, Some(body.clone())).await;
        self.ask(ask).await
    }

    async fn add_dataset(&mut self) {
        let path = "/datasets?name=ours&filename=ours.csv";
        let ask = async |client: &Client| {
            let request = client.request(Method::POST, path, &client.admin);
            try_answer(request.body(small_csv())).await
        };
        let (status, answer) = self.ask(ask).await;
        // If the request is repeated after the crash, the first one may have added the dataset.
        let is_added = status == StatusCode::CONFLICT && self.died;
        assert!(status == StatusCode::CREATED || is_added, "{status} {answer}");
        self.ledger.dataset = true;
    }

    async fn train(&mut self, device: &Device, lease: &Lease) {
        self.ledger.lease = Some(lease.id);
        let bytes = update(lease);
        let hash = BlobHash::compute(&bytes);
        // Resumes at the coordinator's offset.
        let upload = async |client: &Client| {
            let offset = device.try_offset(client, lease.id, hash).await?;
            let rest = bytes[offset..].to_vec();
            device.try_upload(client, lease.id, hash, offset as u64, rest).await
        };
        let sent = self.ask(upload).await;
        assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
        self.ledger.uploaded = Some(hash);
        let submit = async |client: &Client| device.try_submit(client, lease.id, hash).await;
        let (status, answer) = self.ask(submit).await;
        let outcome = answer["outcome"].as_str().unwrap_or_default();
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(matches!(outcome, "accepted" | "duplicate"), "{answer}");
        self.ledger.lease = None;
        self.ledger.uploaded = None;
        self.ledger.updates.push((lease.id, hash));
    }

    async fn wait_for_change(&mut self) {
        let revision = self.get("/events").await["revision"].clone();
        let id = self.ledger.job.clone().unwrap_or_default();
        let reason = self.get(&format!("/jobs/{id}")).await["reason"].clone();
        let ready = reason.as_str().is_some_and(|reason| reason.contains("waiting for a device"));
        if !ready && !reason.is_null() {
            self.get(&format!("/events?after={revision}&wait=5")).await;
        }
    }

    /// Checks that everything acknowledged is still there.
    async fn check_ledger(&self) {
        let client = &self.process.client;
        // Verifies the hash chain of the audit log.
        client.audit().await;
        let names = |list: Value, field: &str| -> Vec<String> {
            let list = list.as_array().unwrap().iter();
            list.map(|item| item[field].as_str().unwrap().to_owned()).collect()
        };
        if let Some(viewer) = &self.ledger.viewer {
            let response = client.request(Method::GET, "/jobs", viewer).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "the viewer's token");
        }
        if self.ledger.dataset {
            let datasets = names(client.get("/datasets").await, "name");
            assert!(datasets.contains(&"ours".to_owned()), "{datasets:?}");
        }
        if self.ledger.kept {
            let models = names(client.get("/models").await, "name");
            assert!(models.contains(&"kept".to_owned()), "{models:?}");
        }
        if let Some(id) = &self.ledger.job {
            let job = client.get(&format!("/jobs/{id}")).await;
            assert!(!self.ledger.started || job["status"] != "pending", "{job}");
            assert!(job["current_epoch"].as_u64().unwrap() >= self.ledger.rounds, "{job}");
            if let Some(model) = &self.ledger.model {
                assert_eq!((&job["status"], &job["model_blake3"]), (&json!("completed"), model));
            }
        }
        let Some(device) = &self.ledger.device else { return };
        for (lease, hash) in &self.ledger.updates {
            let (_, answer) = device.submit(client, *lease, *hash).await;
            assert_eq!(answer["outcome"], "duplicate", "{answer}");
        }
        let Some(lease) = self.ledger.lease else { return };
        if let Some(hash) = self.ledger.uploaded {
            let path = format!("/blobs/{hash}?lease={lease}");
            let head = client.request(Method::HEAD, &path, &device.token).send().await.unwrap();
            // Gone if the interrupted submission was accepted and its round has ended since.
            let is_gone = head.status() == StatusCode::GONE;
            let complete =
                head.headers().get("upload-complete").map(reqwest::header::HeaderValue::as_bytes);
            assert!(is_gone || complete == Some(b"?1".as_slice()), "{head:?}");
        }
        // Another lease is granted only if the interrupted submission was accepted.
        if let Some(granted) = device.next_job(client, 0).await
            && granted.id != lease
        {
            let hash = self.ledger.uploaded.expect("a lease that was not submitted is kept");
            let (_, answer) = device.submit(client, lease, hash).await;
            assert_eq!(answer["outcome"], "duplicate", "{answer}");
        }
    }

    /// Stops the coordinator in an orderly way and starts another without a crash. Returns the crash points
    /// that the first one passed.
    async fn stop_and_restart(&mut self) -> BTreeMap<CrashPoint, u32> {
        drop(self.process.child.stdin.take());
        let status = self.process.child.wait().await.unwrap();
        let killed = died(status);
        assert!(status.success() || (killed && !self.died), "{status}");
        self.died |= killed;
        // Every backup is complete. There is none if the crash came before the first one.
        let backups = std::fs::read_dir(self.folder.path().join("data.backups"));
        for file in backups.into_iter().flatten() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "tar") {
                backup::verify(&path).unwrap();
            }
        }
        let next = Process::start(self.folder.path(), None).await.unwrap();
        std::mem::replace(&mut self.process, next).passings().await
    }
}

/// Starts another process on the folder of one that was killed.
async fn restarted(folder: &Path, status: ExitStatus) -> Process {
    assert!(died(status), "the coordinator was not killed, but ended with {status}");
    Process::start(folder, None).await.unwrap_or_else(|status| panic!("no restart: {status}"))
}

fn died(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// A coordinator's process.
struct Process {
    child: Child,
    client: Client,
    output_ended: watch::Receiver<()>,
    passings: Arc<Mutex<BTreeMap<CrashPoint, u32>>>,
}

impl Process {
    /// Starts the process and waits until it listens. Returns its exit status if it ends before.
    async fn start(folder: &Path, crash: Option<(CrashPoint, u32)>) -> Result<Self, ExitStatus> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crashing-coordinator"));
        let folder = folder.join("data");
        command.arg(&folder).arg(env!("CARGO_BIN_EXE_tiny-trainer"));
        if let Some((point, passing)) = crash {
            let point = serde_json::to_value(point).unwrap();
            command.arg(point.as_str().unwrap()).arg(passing.to_string());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let passings: Arc<Mutex<BTreeMap<CrashPoint, u32>>> = Arc::default();
        let (counted, (reading, output_ended)) = (passings.clone(), watch::channel(()));
        let (url_sender, url) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut url_sender = Some(url_sender);
            // Dropped at the end of the output.
            let _reading = reading;
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(name) = line.strip_prefix("passed ") {
                    let point = serde_json::from_value(json!(name)).unwrap();
                    *counted.lock().unwrap().entry(point).or_default() += 1;
                } else if let Some(url) = line.strip_prefix("listening ") {
                    drop(url_sender.take().map(|sender| sender.send(url.to_owned())));
                }
            }
        });
        let Ok(url) = url.await else { return Err(child.wait().await.unwrap()) };
        Ok(Self {
            child,
            client: Client::new(url, &folder, coordinator::pin_of(&folder).unwrap().unwrap()),
            output_ended,
            passings,
        })
    }

    /// Returns how often each crash point was passed, after the process's output has ended.
    async fn passings(mut self) -> BTreeMap<CrashPoint, u32> {
        // Fails when the reading task has ended.
        while self.output_ended.changed().await.is_ok() {}
        self.passings.lock().unwrap().clone()
    }
}
