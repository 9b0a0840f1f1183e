//! The coordinator is killed at every point there is, at several of its passings: started again, it
//! has everything that it had acknowledged, and the job ends with the bits of the undisturbed one.
//!
//! `CONSTELLATION_CRASH_PASSINGS=N` dies at N passings of each point instead of 3, spread over all
//! that an undisturbed run makes.

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

/// Deaths tried at a time; most of each is waiting for the disk.
const TOGETHER: usize = 4;

#[tokio::test]
async fn dying_at_any_point_loses_nothing_and_changes_no_bit() {
    let undisturbed = play(None).await;
    let counts = &undisturbed.passings;
    let unreached: Vec<_> =
        CrashPoint::ALL.iter().filter(|point| !counts.contains_key(point)).collect();
    assert!(unreached.is_empty(), "no run passes {unreached:?}");
    let most = std::env::var("CONSTELLATION_CRASH_PASSINGS");
    let most = most.map_or(3, |most| most.parse().unwrap());
    let deaths = counts.iter().flat_map(|(point, count)| {
        spread(*count, most).into_iter().map(|passing| (*point, passing))
    });
    let played = futures::stream::iter(deaths.collect::<Vec<_>>()).map(async |death| {
        let _named = Named(death);
        (death, play(Some(death)).await)
    });
    let mut died_at: BTreeMap<CrashPoint, u32> = BTreeMap::new();
    let mut played = std::pin::pin!(played.buffer_unordered(TOGETHER));
    while let Some((death, played)) = played.next().await {
        assert_eq!(played.model, undisturbed.model, "after dying at {death:?}");
        *died_at.entry(death.0).or_default() += u32::from(played.died);
    }
    // How often a point is passed depends on what comes together; its first passing comes always.
    let alive: Vec<_> =
        CrashPoint::ALL.iter().filter(|point| died_at.get(point) == Some(&0)).collect();
    assert!(alive.is_empty(), "no run died at {alive:?}");
    let deaths: u32 = died_at.values().sum();
    println!("{deaths} deaths at {} points, the same model after each", died_at.len());
}

/// `most` of the passings 1 to `count`: the first, the last, and some between.
fn spread(count: u32, most: u32) -> BTreeSet<u32> {
    let steps = most.clamp(1, count).saturating_sub(1);
    (0..=steps).map(|step| 1 + (count - 1) * step / steps.max(1)).collect()
}

/// Says after a failure which death it was.
struct Named((CrashPoint, u32));

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("(or one beside it) failed: {:?}", self.0);
        }
    }
}

/// What came of one run.
struct Played {
    model: Value,
    died: bool,
    passings: BTreeMap<CrashPoint, u32>,
}

/// Does everything that people and a device do with a small cluster.
async fn play(death: Option<(CrashPoint, u32)>) -> Played {
    let mut cluster = Cluster::start(death).await;
    let body = json!({ "role": "viewer", "name": "a viewer" });
    let token = cluster.post("/tokens", &body).await.1;
    cluster.ledger.viewer = token["token"].as_str().map(str::to_owned);
    let device = cluster.ask(async |client| Device::try_enroll(client, "one").await).await;
    cluster.ledger.device = Some(device.clone());
    cluster.add_dataset().await;
    let job = cluster.post("/jobs", &tiny_job()).await.1;
    let id = job["id"].as_str().unwrap().to_owned();
    cluster.ledger.job = Some(id.clone());
    // Asked again, it says that it runs.
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
    // Also a process that has not died yet ends here, by its orderly end or by its death in it.
    let passings = cluster.begin_anew().await;
    cluster.check_ledger().await;
    let models = cluster.get("/models").await;
    let of_job = models.as_array().unwrap().iter().filter(|model| model["name"] == "tiny");
    assert_eq!(of_job.count(), 1, "registered once");
    Played { model: cluster.ledger.model.clone().unwrap(), died: cluster.died, passings }
}

/// What the coordinator has acknowledged, and must know for ever.
#[derive(Default)]
struct Ledger {
    viewer: Option<String>,
    device: Option<Device>,
    dataset: bool,
    job: Option<String>,
    started: bool,
    /// Granted and not yet reported.
    lease: Option<LeaseId>,
    /// Its bytes were acknowledged and not yet reported.
    uploaded: Option<BlobHash>,
    updates: Vec<(LeaseId, BlobHash)>,
    rounds: u64,
    model: Option<Value>,
    kept: bool,
}

/// A coordinator that may die once, and who uses it.
struct Cluster {
    folder: TempDir,
    process: Process,
    died: bool,
    ledger: Ledger,
}

impl Cluster {
    async fn start(death: Option<(CrashPoint, u32)>) -> Self {
        let folder = TempDir::new().unwrap();
        let (process, died) = match Process::start(folder.path(), death).await {
            Ok(process) => (process, false),
            Err(status) => (restarted(folder.path(), status).await, true),
        };
        Self { folder, process, died, ledger: Ledger::default() }
    }

    /// Asks until there is an answer; a coordinator that died is started again.
    async fn ask<T>(&mut self, ask: impl AsyncFn(&Client) -> reqwest::Result<T>) -> T {
        if let Ok(answer) = ask(&self.process.client).await {
            return answer;
        }
        assert!(!self.died, "it does not answer, and was to die only once");
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
        // Asked again, the name may be taken by the first time.
        let taken = status == StatusCode::CONFLICT && self.died;
        assert!(status == StatusCode::CREATED || taken, "{status} {answer}");
        self.ledger.dataset = true;
    }

    async fn train(&mut self, device: &Device, lease: &Lease) {
        self.ledger.lease = Some(lease.id);
        let bytes = update(lease);
        let hash = BlobHash::of(&bytes);
        // From wherever the coordinator says that it has got to.
        let upload = async |client: &Client| {
            let offset = device.try_offset(client, lease.id, hash).await?;
            let rest = bytes[offset..].to_vec();
            device.try_upload(client, lease.id, hash, offset as u64, rest).await
        };
        let sent = self.ask(upload).await;
        assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
        self.ledger.uploaded = Some(hash);
        let tell = async |client: &Client| device.try_tell(client, lease.id, hash).await;
        let (status, answer) = self.ask(tell).await;
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

    /// Everything that was acknowledged is there.
    async fn check_ledger(&self) {
        let client = &self.process.client;
        // Its chain holds, and its end is as the database says.
        client.audit().await;
        let names = |list: Value, field: &str| -> Vec<String> {
            let list = list.as_array().unwrap().iter();
            list.map(|thing| thing[field].as_str().unwrap().to_owned()).collect()
        };
        if let Some(viewer) = &self.ledger.viewer {
            let look = client.request(Method::GET, "/jobs", viewer).send().await.unwrap();
            assert_eq!(look.status(), StatusCode::OK, "the viewer's token");
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
            let (_, answer) = device.tell(client, *lease, *hash).await;
            assert_eq!(answer["outcome"], "duplicate", "{answer}");
        }
        let Some(lease) = self.ledger.lease else { return };
        if let Some(hash) = self.ledger.uploaded {
            let path = format!("/blobs/{hash}?lease={lease}");
            let head = client.request(Method::HEAD, &path, &device.token).send().await.unwrap();
            // Unless the report that was under way took the seat, and its round is over since.
            let over = head.status() == StatusCode::GONE;
            let complete =
                head.headers().get("upload-complete").map(reqwest::header::HeaderValue::as_bytes);
            assert!(over || complete == Some(b"?1".as_slice()), "{head:?}");
        }
        // Unless the report that was under way is what took it.
        if let Some(granted) = device.next_job(client, 0).await
            && granted.id != lease
        {
            let hash = self.ledger.uploaded.expect("a lease that was not reported is kept");
            let (_, answer) = device.tell(client, lease, hash).await;
            assert_eq!(answer["outcome"], "duplicate", "{answer}");
        }
    }

    /// Ends the coordinator in an orderly way and starts another, which won't die; gives what the
    /// first one passed.
    async fn begin_anew(&mut self) -> BTreeMap<CrashPoint, u32> {
        drop(self.process.child.stdin.take());
        let status = self.process.child.wait().await.unwrap();
        let killed = died(status);
        assert!(status.success() || (killed && !self.died), "{status}");
        self.died |= killed;
        // Each is whole; there is none where the first one was still to be made.
        let backups = std::fs::read_dir(self.folder.path().join("data.backups"));
        for file in backups.into_iter().flatten() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "tar") {
                backup::verify(&path).unwrap();
            }
        }
        let next = Process::start(self.folder.path(), None).await.unwrap();
        std::mem::replace(&mut self.process, next).passed().await
    }
}

/// Another process on the folder of one that was killed.
async fn restarted(folder: &Path, status: ExitStatus) -> Process {
    assert!(died(status), "it ended by itself: {status}");
    Process::start(folder, None).await.unwrap_or_else(|status| panic!("no restart: {status}"))
}

fn died(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// A coordinator's process.
struct Process {
    child: Child,
    client: Client,
    said: watch::Receiver<()>,
    passings: Arc<Mutex<BTreeMap<CrashPoint, u32>>>,
}

impl Process {
    /// Once it listens, or how it ended before.
    async fn start(folder: &Path, death: Option<(CrashPoint, u32)>) -> Result<Self, ExitStatus> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crashing-coordinator"));
        let folder = folder.join("data");
        command.arg(&folder).arg(env!("CARGO_BIN_EXE_tiny-trainer"));
        if let Some((point, passing)) = death {
            let point = serde_json::to_value(point).unwrap();
            command.arg(point.as_str().unwrap()).arg(passing.to_string());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let passings: Arc<Mutex<BTreeMap<CrashPoint, u32>>> = Arc::default();
        let (counted, (talks, said)) = (passings.clone(), watch::channel(()));
        let (listens, url) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut listens = Some(listens);
            // Held until there is nothing more to be said.
            let _talks = talks;
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(name) = line.strip_prefix("passed ") {
                    let point = serde_json::from_value(json!(name)).unwrap();
                    *counted.lock().unwrap().entry(point).or_default() += 1;
                } else if let Some(url) = line.strip_prefix("listening ") {
                    drop(listens.take().map(|listens| listens.send(url.to_owned())));
                }
            }
        });
        let Ok(url) = url.await else { return Err(child.wait().await.unwrap()) };
        Ok(Self {
            child,
            client: Client::new(url, &folder, coordinator::pin_of(&folder).unwrap().unwrap()),
            said,
            passings,
        })
    }

    async fn passed(mut self) -> BTreeMap<CrashPoint, u32> {
        // An error says that the other end is gone: all was heard.
        while self.said.changed().await.is_ok() {}
        self.passings.lock().unwrap().clone()
    }
}
