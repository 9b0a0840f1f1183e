//! Benchmark: time and written bytes of a grant and of an update, in a job with many seats.
//!
//! `make bench` measures a job with 100,000 seats in a release build and prints the results.
//! Smaller jobs are measured by a test.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use federation::machine::{Event, Partition, Preparation, Receipt};
use protocol::dataset::SampleShape;
use protocol::enrollment::DeviceRegistration;
use protocol::metrics::TrainMetrics;
use protocol::model::Preset;
use protocol::{BlobHash, DeviceId, JobId, LeaseId, SeededRng};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::*;
use crate::access::caller::Caller;
use crate::blobs::DiskQuota;
use crate::datasets::Datasets;
use crate::datasets::index::DatasetIndex;
use crate::observer::Observer;
use crate::steps::Trainers;
use crate::store::DeviceRow;
use data::Sources;
use trainer::TrainerCommand;

/// Number of grants in a commit.
const GRANTS: usize = 256;
/// Maximum size of a commit of [`GRANTS`] grants, in bytes.
const COMMIT_BYTES: u64 = 300_000;

#[tokio::test]
async fn a_commit_of_grants_writes_the_same_for_any_number_of_seats() {
    let small = Cluster::new(800, 800, false).measure(3);
    let large = Cluster::new(20_000, 800, false).measure(3);
    for measured in [small, large] {
        assert!(measured.commit_bytes <= COMMIT_BYTES, "{measured:?}");
        assert!(
            measured.commit_bytes > 50_000,
            "{measured:?}: too small; part of the commit was not measured"
        );
    }
}

#[tokio::test]
#[ignore = "a benchmark: make bench"]
async fn benchmark_of_100_000_seats() {
    for in_random_order in [false, true] {
        let (seats, devices) = (100_000, 10_000);
        let measured = Cluster::new(seats, devices, in_random_order).measure(8);
        let Measured { grant, update, commit, commit_bytes, update_bytes } = measured;
        let order = if in_random_order { "random" } else { "enrollment" };
        writeln!(
            io::stdout(),
            "seats={seats} devices={devices} order={order} grant_us={:.1} update_us={:.1} \
             commit_256_grants_kB={:.0} commit_256_grants_ms={:.1} commit_256_updates_kB={:.0}",
            grant.as_secs_f64() * 1e6,
            update.as_secs_f64() * 1e6,
            commit_bytes as f64 / 1e3,
            commit.as_secs_f64() * 1e3,
            update_bytes as f64 / 1e3,
        )
        .unwrap();
    }
}

/// Medians of all turns.
#[derive(Debug)]
struct Measured {
    /// Time for one grant, without its commit.
    grant: Duration,
    /// Time for one update, without its commit.
    update: Duration,
    /// Time for a commit of [`GRANTS`] grants.
    commit: Duration,
    /// Size of that commit, in bytes.
    commit_bytes: u64,
    /// Size of a commit of [`GRANTS`] updates, in bytes.
    update_bytes: u64,
}

/// A driver without its thread, with enrolled devices and a job in its first round.
pub(super) struct Cluster {
    pub(super) driver: Driver,
    _lock: FolderLock,
    folder: TempDir,
    /// In the order of their requests.
    pub(super) devices: Vec<DeviceId>,
    update: BlobHash,
    pub(super) job: JobId,
}

impl Cluster {
    pub(super) fn new(seats: u64, devices: u32, in_random_order: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (driver, lock) = driver(folder.path());
        let (update, job) = (BlobHash::compute(b""), JobId::from_uuid(Uuid::nil()));
        let mut cluster = Self { driver, _lock: lock, folder, devices: Vec::new(), update, job };
        cluster.enroll(devices);
        if in_random_order {
            SeededRng::new(protocol::RngDomain::Selection, 1, 0, 0, 0)
                .shuffle(&mut cluster.devices);
        }
        cluster.start_job(seats);
        cluster
    }

    fn enroll(&mut self, devices: u32) {
        for number in 0..devices {
            let registration: DeviceRegistration = serde_json::from_value(json!({
                "name": format!("Mac {number}"), "device_type": "mac", "cores": 8, "ram_gb": 16.0,
                "gpu_available": false, "hardware_id": format!("{number:032}"),
                "fingerprint": { "app": "1", "burn": "2", "backend": "cpu", "hardware": "x" },
                "public_key": protocol::Opaque(number.to_le_bytes().to_vec()),
                "challenge": "", "signature": ""
            }))
            .unwrap();
            let id = DeviceId::from_uuid(Uuid::now_v7());
            let row = DeviceRow::new(id, registration, clock::now());
            self.driver.state.devices.insert(id, row);
            self.devices.push(id);
        }
        self.driver.commit();
    }

    fn start_job(&mut self, seats: u64) {
        let spec = json!({"name": "large", "model_type": "nlp", "dataset": "synthetic"});
        let spec = serde_json::from_value(spec).unwrap();
        let now = clock::now();
        self.job = self.driver.create_job(spec, &Caller::coordinator()).unwrap().id;
        self.driver.apply(now, self.job, Event::Start).unwrap();
        let partition = |number: u64| Partition {
            rows: 100 + number % 7,
            shards: vec![BlobHash::compute(&number.to_le_bytes())],
        };
        let preparation = Preparation {
            spec: Preset::Mlp.spec(IMAGE, 2).unwrap(),
            base: BlobHash::compute(b"base"),
            partitions: (0..seats).map(partition).collect(),
            test: Vec::new(),
            validation: Vec::new(),
            classes: Vec::new(),
        };
        self.driver.apply(now, self.job, Event::Prepared(Box::new(preparation))).unwrap();
        self.driver.commit_all();
        let bytes = usize::try_from(self.update_bytes()).unwrap();
        self.update = self.driver.blobs.put(&vec![0; bytes]).unwrap();
    }

    fn update_bytes(&self) -> u64 {
        let machine = &self.driver.state.jobs.get(&self.job).unwrap().machine;
        4 * machine.parameters().unwrap()
    }

    /// Measures `turns` turns. In each, [`GRANTS`] devices request a lease and submit an update.
    fn measure(&mut self, turns: usize) -> Measured {
        let (mut grants, mut updates, mut commits) = (Vec::new(), Vec::new(), Vec::new());
        let (mut bytes, mut update_bytes) = (Vec::new(), Vec::new());
        // What heartbeats change is flushed apart from grants.
        self.driver.flush_at = clock::now().after(Duration::from_hours(1));
        for turn in 0..turns {
            let requesting: Vec<DeviceId> =
                self.devices.iter().cycle().skip(turn * GRANTS).take(GRANTS).copied().collect();
            let begun = Instant::now();
            let replies: Vec<_> =
                requesting.iter().map(|device| self.request_lease(*device)).collect();
            grants.push(begun.elapsed() / u32::try_from(GRANTS).unwrap());
            self.truncate_log();
            let begun = Instant::now();
            self.driver.commit();
            commits.push(begun.elapsed());
            bytes.push(self.log_bytes());
            let leases: Vec<LeaseId> = replies
                .into_iter()
                .map(|mut reply| reply.try_recv().unwrap().unwrap().unwrap().id)
                .collect();
            let begun = Instant::now();
            for (lease, device) in leases.into_iter().zip(requesting) {
                self.submit_update(lease, device);
            }
            updates.push(begun.elapsed() / u32::try_from(GRANTS).unwrap());
            self.truncate_log();
            self.driver.commit();
            update_bytes.push(self.log_bytes());
        }
        Measured {
            grant: median(grants),
            update: median(updates),
            commit: median(commits),
            commit_bytes: median(bytes),
            update_bytes: median(update_bytes),
        }
    }

    pub(super) fn request_lease(&mut self, device: DeviceId) -> LeaseReceiver {
        let (sender, receiver) = oneshot::channel();
        self.driver.next_job(device, sender);
        receiver
    }

    fn submit_update(&mut self, lease: LeaseId, device: DeviceId) {
        let fingerprint = self.driver.state.devices.get(&device).unwrap().fingerprint.clone();
        let metrics = TrainMetrics { loss: 0.5, steps: 10, examples: 100, seconds: 1.0 };
        let bytes = self.update_bytes();
        let receipt = Receipt { blob: self.update, bytes, norm: 0.1, metrics, fingerprint };
        self.driver.update(lease, device, receipt, true).unwrap();
    }

    /// Empties the write-ahead log, so that its next size is the size of one commit.
    fn truncate_log(&self) {
        let database = rusqlite::Connection::open(self.folder.path().join("db")).unwrap();
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }

    fn log_bytes(&self) -> u64 {
        fs::metadata(self.folder.path().join("db-wal")).unwrap().len()
    }
}

pub(super) type LeaseReceiver =
    oneshot::Receiver<Result<Option<protocol::lease::Lease>, DriverError>>;

const IMAGE: SampleShape = SampleShape::Image { channels: 1, height: 2, width: 2 };

/// Returns a driver for this folder. Starts no thread for it.
fn driver(folder: &Path) -> (Driver, FolderLock) {
    let store = Store::open(&folder.join("db")).unwrap();
    let loaded = store.load("cluster").unwrap();
    let blobs =
        Blobs::open(&folder.join("blobs")).unwrap().with_quota(DiskQuota::new(folder, None));
    let sources = Sources::from_environment(folder.join("datasets"));
    let trainer = TrainerCommand { program: "none".into(), args: Vec::new() };
    let steps = StepContext {
        runtime: tokio::runtime::Handle::current(),
        blobs: blobs.clone(),
        datasets: Datasets::new(Arc::new(sources), DatasetIndex::default(), blobs.clone()),
        trainers: Trainers::new(trainer, false),
        observer: Observer::default(),
    };
    let (sender, _) = mpsc::channel();
    let parts = DriverParts {
        store,
        loaded,
        blobs,
        views: Arc::default(),
        revision: watch::channel(0).0,
        lease_timeout: Duration::from_mins(1),
        steps,
        webhook_sender: WebhookSender::new("cluster"),
        secrets: SecretKey::derive(b"key"),
        own_certificate: None,
        lock: FolderLock::take(folder).unwrap(),
        ended: CancellationToken::new(),
    };
    let (driver, _, lock) = Driver::new(parts, DriverHandle::new(sender));
    (driver, lock)
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}
