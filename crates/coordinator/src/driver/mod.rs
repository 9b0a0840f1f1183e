//! The one writer. A thread owns every machine and the database: it takes what is asked, decides,
//! commits the decisions of a whole batch in one transaction, and only then answers and acts.
//!
//! A commit that fails (a full disk) undoes the batch in memory, and everybody who asked hears why.
//! Long work runs elsewhere ([`steps`]) and comes back as a message. Which steps must run follows
//! from [`federation::machine::Machine::outstanding`] alone, so going on after a restart is nothing special.

mod approval;
mod by;
mod commit;
mod devices;
mod enrol;
mod handle;
mod history;
mod jobs;
mod join_codes;
mod leases;
mod lookout;
mod models;
mod quarantine;
mod refusal;
mod roster;
mod sessions;
mod steps;
mod sweep;
mod telling;
mod tokens;
mod transfers;
mod waiters;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use platform::FolderLock;
use protocol::{BlobHash, DeviceId, JobId, LeaseId, Timestamp, WebhookId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use by::JobCommand;
pub(crate) use enrol::Voucher;
pub(crate) use handle::DriverHandle;
pub(crate) use history::KEPT as LEASES_KEPT;
pub(crate) use join_codes::{MadeJoinCode, NewJoinCode};
pub(crate) use refusal::Refusal;
pub(crate) use steps::{Say, StepContext, StepFault, Task, blocking};
pub(crate) use sweep::{needed, upload_key};
pub(crate) use tokens::{TokenText, renew_this_machine, this_machine};

use crate::blobs::Blobs;
use crate::clock;
use crate::cluster::Current;
use crate::sealed_secrets::SecretKey;
use crate::store::{Day, JobRow, LeaseRow, Loaded, SessionRow, Store, TokenRow};
use crate::telling::Courier;
use crate::views::{Views, is_active};
use commit::Pending;
use join_codes::JoinCodes;
use roster::Devices;
use sessions::Links;
use steps::RunningStep;
use telling::Telling;
use transfers::Transfers;
use waiters::Waiters;

/// Requests that share one transaction at most.
const BATCH: usize = 256;
/// How often what needs no promise (signs of life) is written.
const FLUSH: Duration = Duration::from_secs(5);
/// Devices that one flush writes: the driver answers nobody meanwhile, and a fleet's signs of life
/// in one piece would hold up its heartbeats.
const FLUSHED_DEVICES: usize = 512;
/// How often the driver looks whether devices went silent, and how full the disk is.
const ROUNDS: Duration = Duration::from_secs(10);
/// As [`ROUNDS`], while no device is there.
const QUIET_ROUNDS: Duration = Duration::from_mins(1);
/// After a commit that failed.
const RETRY: Duration = Duration::from_secs(1);

pub(super) enum Message {
    Do(Box<dyn FnOnce(&mut Driver) + Send>),
    Stop,
}

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) loaded: Loaded,
    pub(crate) blobs: Blobs,
    pub(crate) views: Arc<Views>,
    pub(crate) revision: watch::Sender<u64>,
    pub(crate) lease_patience: Duration,
    pub(crate) steps: StepContext,
    pub(crate) courier: Courier,
    pub(crate) secrets: SecretKey,
    pub(crate) own_certificate: Option<Arc<Current>>,
    /// Of the data folder; given up when the driver ends.
    pub(crate) lock: FolderLock,
    /// Cancelled when the driver ends, however it does.
    pub(crate) ended: CancellationToken,
}

pub(crate) struct Driver {
    store: Store,
    blobs: Blobs,
    views: Arc<Views>,
    revision: watch::Sender<u64>,
    lease_patience: Duration,
    steps: StepContext,
    courier: Courier,
    secrets: SecretKey,
    own_certificate: Option<Arc<Current>>,
    /// Webhooks to which a delivery is under way.
    under_way: HashSet<WebhookId>,
    handle: DriverHandle,
    state: State,
    pending: Pending,
    waiters: Waiters,
    transfers: Transfers,
    /// Something changed that may give a waiting device work.
    work_may_be_there: bool,
    running: HashMap<JobId, RunningStep>,
    /// Blobs that may be no longer needed.
    garbage: HashSet<BlobHash>,
    /// Before this no lease lapses: devices must first find the coordinator again.
    patient_until: Timestamp,
    /// Before this nothing that failed to commit is tried again.
    retry_at: Timestamp,
    flush_at: Timestamp,
    rounds_at: Timestamp,
    /// When all blobs are looked through again.
    look_through_at: Timestamp,
    /// When what is kept of leases is trimmed again.
    trim_at: Timestamp,
    started_at: Timestamp,
}

/// What the database keeps, in memory.
#[derive(Debug, Default)]
struct State {
    jobs: BTreeMap<JobId, JobRow>,
    devices: Devices,
    /// The run of the worker that each device was last heard of by; a restart forgets them.
    runs: HashMap<DeviceId, String>,
    join_codes: JoinCodes,
    tokens: BTreeMap<String, TokenRow>,
    sessions: BTreeMap<String, SessionRow>,
    links: Links,
    /// The newest version of each model's name.
    versions: HashMap<String, u32>,
    model_files: HashSet<BlobHash>,
    /// What active devices showed last, to notice who goes silent.
    active: HashSet<DeviceId>,
    telling: Telling,
    /// Jobs that a notice says stand still.
    stalled: HashSet<JobId>,
    /// Leases that are held.
    leases: HashMap<LeaseId, LeaseRow>,
    /// By date.
    days: BTreeMap<String, Day>,
    /// Jobs that were granted leases since the last trim.
    leased_jobs: HashSet<JobId>,
}

/// Starts the driver's thread.
pub(crate) fn spawn(parts: Parts) -> io::Result<(DriverHandle, thread::JoinHandle<()>)> {
    let (sender, inbox) = mpsc::channel();
    let handle = DriverHandle::new(sender);
    let now = clock::now();
    let mut driver = Driver {
        state: State::from(&parts.loaded),
        store: parts.store,
        blobs: parts.blobs,
        views: parts.views,
        revision: parts.revision,
        lease_patience: parts.lease_patience,
        steps: parts.steps,
        courier: parts.courier,
        secrets: parts.secrets,
        own_certificate: parts.own_certificate,
        under_way: HashSet::new(),
        handle: handle.clone(),
        pending: Pending::default(),
        waiters: Waiters::default(),
        transfers: Transfers::default(),
        work_may_be_there: false,
        running: HashMap::new(),
        garbage: HashSet::new(),
        patient_until: now.after(parts.lease_patience),
        retry_at: now,
        flush_at: now,
        rounds_at: now,
        look_through_at: now.after(sweep::LOOK_EVERY),
        trim_at: now.after(history::TRIM_EVERY),
        started_at: now,
    };
    let patience = driver.offline_after();
    let devices = driver.state.devices.values();
    let heard_lately = devices.filter(|row| is_active(row, now, patience));
    driver.state.active = heard_lately.map(|row| row.id).collect();
    driver.publish_everything();
    let (ended, lock) = (parts.ended.drop_guard(), parts.lock);
    let thread = thread::Builder::new().name("driver".to_owned()).spawn(move || {
        let (_ended, _lock) = (ended, lock);
        driver.run(&inbox);
    })?;
    Ok((handle, thread))
}

impl Driver {
    fn run(&mut self, inbox: &mpsc::Receiver<Message>) {
        self.sweep_all();
        let jobs: Vec<JobId> = self.state.jobs.keys().copied().collect();
        for job in jobs {
            self.tell_resumed(job);
            self.match_steps(job);
        }
        loop {
            let next = match self.pause() {
                Some(pause) => inbox.recv_timeout(pause),
                None => inbox.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            };
            let mut stop = match next {
                Ok(message) => self.take(message),
                Err(mpsc::RecvTimeoutError::Timeout) => false,
                Err(mpsc::RecvTimeoutError::Disconnected) => true,
            };
            for message in inbox.try_iter().take(BATCH) {
                stop |= self.take(message);
            }
            self.look_after(clock::now());
            self.commit();
            self.send_due(clock::now());
            if stop {
                self.stop();
                return;
            }
        }
    }

    /// Whether this was the last message.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Do(work) => {
                work(self);
                false
            }
            Message::Stop => true,
        }
    }

    /// What happens by the clock, and what devices wait for.
    fn look_after(&mut self, now: Timestamp) {
        if now >= self.retry_at {
            self.tick(now);
            self.watch_jobs(now);
        }
        if now >= self.rounds_at {
            let quiet = self.state.active.is_empty();
            self.rounds_at = now.after(if quiet { QUIET_ROUNDS } else { ROUNDS });
            self.find_silent_devices(now);
            self.watch_disk();
            self.watch_certificate(now);
        }
        if now >= self.look_through_at {
            self.look_for_orphans(now);
        }
        if now >= self.trim_at {
            self.trim_history(now);
        }
        if std::mem::take(&mut self.work_may_be_there) {
            self.serve_waiters(now);
        }
    }

    /// How long nothing happens by the clock; none = until somebody asks.
    fn pause(&self) -> Option<Duration> {
        let ticks = self.state.jobs.values().filter_map(|row| row.machine.deadline()).min();
        let ticks = ticks.map(|at| at.max(self.patient_until).max(self.retry_at));
        let flush = self.pending.owes_flush().then_some(self.flush_at);
        let stall = self.next_stall().map(|at| at.max(self.retry_at));
        let delivery = self.state.telling.due_at(&self.under_way);
        let next =
            [ticks, flush, stall, delivery, Some(self.rounds_at), Some(self.look_through_at)];
        let next = next.into_iter().flatten().min()?;
        // Never a busy loop, whatever the clock says.
        Some(next.since(clock::now()).max(Duration::from_millis(1)))
    }

    fn stop(&mut self) {
        for (_, step) in self.running.drain() {
            step.cancel.cancel();
        }
        self.take_heard();
        self.commit_all();
    }

    fn publish_everything(&mut self) {
        let jobs: Vec<JobId> = self.state.jobs.keys().copied().collect();
        for job in jobs {
            self.publish_job(job);
        }
        for row in self.state.devices.values() {
            self.views.publish_device(row.clone());
        }
        for row in self.state.tokens.values() {
            self.views.publish_credential(row.hash, self.state.credential(row));
        }
        for row in self.state.sessions.values() {
            self.views.publish_credential(row.hash, sessions::credential(row));
        }
        self.publish_telling();
        self.revision.send_replace(self.store.revision());
    }
}

impl From<&Loaded> for State {
    fn from(loaded: &Loaded) -> Self {
        let mut state = Self {
            jobs: loaded.jobs.iter().map(|row| (row.id, row.clone())).collect(),
            devices: loaded.devices.iter().cloned().collect(),
            join_codes: loaded.join_codes.iter().cloned().collect(),
            tokens: loaded.tokens.iter().map(|row| (row.id.clone(), row.clone())).collect(),
            sessions: loaded.sessions.iter().map(|row| (row.id.clone(), row.clone())).collect(),
            telling: Telling::from(&loaded.told),
            leases: loaded.leases.iter().map(|row| (row.record.id, row.clone())).collect(),
            days: loaded.days.iter().map(|row| (row.date.clone(), row.day)).collect(),
            ..Self::default()
        };
        state.stalled = state.telling.stalled();
        for row in &loaded.models {
            let newest = state.versions.entry(row.model.name.clone()).or_default();
            *newest = row.model.version.max(*newest);
            state.model_files.insert(row.model.blake3);
        }
        state
    }
}
