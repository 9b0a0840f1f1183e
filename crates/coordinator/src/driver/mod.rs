//! The single writer.
//!
//! One thread owns every machine and the database. It takes requests, decides, commits the
//! decisions of a batch in one transaction, and only then replies and acts.
//!
//! A failed commit (such as on a full disk) undoes the batch in memory, and every requester gets
//! the error. Long work runs elsewhere ([`steps`]) and returns as a message.
//! [`federation::machine::Machine::outstanding`] alone determines the steps to run, so a restart
//! needs no special handling.

mod approval;
mod audited;
mod clock_jump;
mod clock_watch;
mod commit;
mod dataset_changes;
mod datasets;
mod device_index;
mod devices;
mod enroll;
mod error;
mod garbage_collection;
mod handle;
mod history;
mod job_changes;
mod jobs;
mod join_code_index;
mod join_codes;
mod lease_records;
mod leases;
mod long_polls;
mod model_changes;
mod models;
mod monitors;
mod notification_tables;
mod notifications;
mod quarantine;
mod reinstatement;
mod sessions;
mod sign_in_links;
mod state;
mod steps;
#[cfg(test)]
mod tests;
mod tokens;
mod transfer_tokens;
mod transfers;
mod writer;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use platform::FolderLock;
use protocol::{JobId, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use audited::JobAction;
pub(crate) use datasets::NewVersion;
pub(crate) use enroll::EnrollmentCredential;
pub(crate) use error::DriverError;
pub(crate) use garbage_collection::{live_blobs, upload_key};
pub(crate) use history::KEPT as LEASES_KEPT;
pub(crate) use join_codes::{MadeJoinCode, NewJoinCode};

pub(crate) use tokens::{TokenText, renew_this_machine, this_machine};

use crate::blobs::Blobs;
use crate::clock;
use crate::cluster::Current;
use crate::cluster::sealed_secrets::SecretKey;
use crate::notifications::WebhookSender;
use crate::steps::StepContext;
use crate::store::{Loaded, Store};
use crate::views::{Views, is_active};
use clock_watch::ClockWatch;
use long_polls::LongPolls;
use state::State;
use transfer_tokens::Transfers;
pub(crate) use writer::DriverHandle;
use writer::{BATCH, Driver, IDLE_MONITOR_INTERVAL, MONITOR_INTERVAL, Message, Pending};

/// Parts of a driver.
pub(crate) struct DriverParts {
    pub(crate) store: Store,
    pub(crate) loaded: Loaded,
    pub(crate) blobs: Blobs,
    pub(crate) views: Arc<Views>,
    pub(crate) revision: watch::Sender<u64>,
    pub(crate) lease_timeout: Duration,
    pub(crate) steps: StepContext,
    pub(crate) webhook_sender: WebhookSender,
    pub(crate) secrets: SecretKey,
    pub(crate) own_certificate: Option<Arc<Current>>,
    /// Lock of the data folder. It is released when the driver ends.
    pub(crate) lock: FolderLock,
    /// Cancelled when the driver ends, for whatever reason.
    pub(crate) ended: CancellationToken,
}

/// Starts the driver's thread.
pub(crate) fn spawn(parts: DriverParts) -> io::Result<(DriverHandle, thread::JoinHandle<()>)> {
    let (sender, inbox) = mpsc::channel();
    let handle = DriverHandle::new(sender);
    let (mut driver, ended, lock) = Driver::new(parts, handle.clone());
    let ended = ended.drop_guard();
    let thread = thread::Builder::new().name("driver".to_owned()).spawn(move || {
        let (_ended, _lock) = (ended, lock);
        driver.run(&inbox);
    })?;
    Ok((handle, thread))
}

impl Driver {
    /// Returns a driver that has published its state. The token and the lock live as long as it.
    fn new(parts: DriverParts, handle: DriverHandle) -> (Self, CancellationToken, FolderLock) {
        let now = clock::now();
        let mut driver = Self {
            state: State::from(parts.loaded),
            store: parts.store,
            blobs: parts.blobs,
            views: parts.views,
            revision: parts.revision,
            lease_timeout: parts.lease_timeout,
            steps: parts.steps,
            webhook_sender: parts.webhook_sender,
            secrets: parts.secrets,
            own_certificate: parts.own_certificate,
            deliveries_in_progress: HashSet::new(),
            handle,
            pending: Pending::default(),
            long_polls: LongPolls::default(),
            transfers: Transfers::default(),
            recheck_long_polls: false,
            running: HashMap::new(),
            garbage: HashSet::new(),
            grace_until: now.after(parts.lease_timeout),
            retry_at: now,
            flush_at: now,
            monitor_at: now,
            orphans_at: now.after(garbage_collection::ORPHAN_INTERVAL),
            trim_at: now.after(history::TRIM_EVERY),
            started_at: now,
            clock_watch: ClockWatch::new(now, Instant::now()),
        };
        let offline_after = driver.offline_after();
        let devices = driver.state.devices.values();
        let heard_lately = devices.filter(|row| is_active(row, now, offline_after));
        driver.state.active = heard_lately.map(|row| row.id).collect();
        driver.publish_everything();
        (driver, parts.ended, parts.lock)
    }

    fn run(&mut self, inbox: &mpsc::Receiver<Message>) {
        self.collect_garbage();
        let jobs: Vec<JobId> = self.state.jobs.keys().copied().collect();
        for job in jobs {
            self.notify_resumed(job);
            self.reconcile_steps(job);
        }
        loop {
            let next = match self.pause() {
                Some(pause) => inbox.recv_timeout(pause),
                None => inbox.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            };
            self.watch_clock(clock::now(), Instant::now());
            let mut stop = match next {
                Ok(message) => self.take(message),
                Err(mpsc::RecvTimeoutError::Timeout) => false,
                Err(mpsc::RecvTimeoutError::Disconnected) => true,
            };
            for message in inbox.try_iter().take(BATCH) {
                stop |= self.take(message);
            }
            self.run_timed_work(clock::now());
            self.commit();
            self.send_due(clock::now());
            if stop {
                self.stop();
                return;
            }
        }
    }

    /// Returns whether this was the last message.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Do(work) => {
                work(self);
                false
            }
            Message::Stop => true,
        }
    }

    /// Runs timed work, and serves waiting devices.
    fn run_timed_work(&mut self, now: Timestamp) {
        if now >= self.retry_at {
            self.tick(now);
            self.watch_jobs(now);
        }
        if now >= self.monitor_at {
            let quiet = self.state.active.is_empty();
            self.monitor_at =
                now.after(if quiet { IDLE_MONITOR_INTERVAL } else { MONITOR_INTERVAL });
            self.find_silent_devices(now);
            self.watch_disk();
            self.watch_certificate(now);
        }
        if now >= self.orphans_at {
            self.remove_orphans(now);
        }
        if now >= self.trim_at {
            self.trim_history(now);
        }
        if std::mem::take(&mut self.recheck_long_polls) {
            self.answer_long_polls(now);
        }
    }

    /// Returns the time until the next timed work, or `None` to wait for a request.
    fn pause(&self) -> Option<Duration> {
        let ticks = self.state.jobs.values().filter_map(|row| row.machine.deadline()).min();
        let ticks = ticks.map(|at| at.max(self.grace_until).max(self.retry_at));
        let flush = self.pending.owes_flush().then_some(self.flush_at);
        let stall = self.next_stall().map(|at| at.max(self.retry_at));
        let delivery = self.state.notifications.due_at(&self.deliveries_in_progress);
        let next = [ticks, flush, stall, delivery, Some(self.monitor_at), Some(self.orphans_at)];
        let next = next.into_iter().flatten().min()?;
        // At least 1 ms, to prevent a busy loop whatever the clock returns.
        Some(next.since(clock::now()).max(Duration::from_millis(1)))
    }

    fn stop(&mut self) {
        for (_, step) in self.running.drain() {
            step.cancel.cancel();
        }
        self.take_heartbeats();
        self.commit_all();
    }

    fn publish_everything(&mut self) {
        let jobs: Vec<JobId> = self.state.jobs.keys().copied().collect();
        for job in jobs {
            self.publish_job(job);
            if let Some(row) = self.state.jobs.get(&job) {
                let holders = row.machine.holders().map(|device| (device, true));
                self.views.publish_holders(job, holders);
            }
        }
        for (id, row) in &self.state.datasets {
            self.views.datasets.publish(id, Some(row));
        }
        for row in self.state.devices.values() {
            self.views.publish_device(row.clone());
        }
        for row in self.state.tokens.values() {
            self.views.publish_credential(row.hash, self.state.credential(row));
        }
        for row in self.state.sessions.values() {
            self.views.publish_credential(row.hash, sign_in_links::credential(row));
        }
        self.publish_notifications();
        self.revision.send_replace(self.store.revision());
    }
}
