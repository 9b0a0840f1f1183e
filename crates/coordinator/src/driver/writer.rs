//! State of the writer thread: its inbox, the tables in memory and the batch in progress.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use protocol::api::{Change, ChangeKind};
use protocol::audit::Record;
use protocol::{BlobHash, DeviceId, JobId, Timestamp, WebhookId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::clock_watch::ClockWatch;
use super::error::DriverError;
use super::long_polls::LongPolls;
use super::state::State;
use super::transfer_tokens::Transfers;
use crate::blobs::Blobs;
use crate::cluster::Current;
use crate::cluster::sealed_secrets::SecretKey;
use crate::notifications::WebhookSender;
use crate::steps::{StepContext, StepKey};
use crate::store::{Store, Trim, Uses};
use crate::views::Views;

/// Maximum number of requests in one transaction.
pub(super) const BATCH: usize = 256;
/// Interval between writes of data that may be lost (heartbeats).
pub(super) const FLUSH: Duration = Duration::from_secs(5);
/// Number of devices that one flush writes. The driver answers no requests meanwhile, so writing a
/// whole fleet at once would delay heartbeats.
pub(super) const FLUSHED_DEVICES: usize = 512;
/// Number of leases, and of devices, of each job that one flush writes.
pub(super) const FLUSHED_ROWS: usize = 2048;
/// Interval between checks for silent devices and disk usage.
pub(super) const MONITOR_INTERVAL: Duration = Duration::from_secs(10);
/// Like [`MONITOR_INTERVAL`], while no device is connected.
pub(super) const IDLE_MONITOR_INTERVAL: Duration = Duration::from_mins(1);
/// Delay after a failed commit.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Message to the writer thread.
pub(super) enum Message {
    Do(Box<dyn FnOnce(&mut Driver) + Send>),
    Stop,
}

/// The writer: the state that it owns.
pub(crate) struct Driver {
    pub(super) store: Store,
    pub(super) blobs: Blobs,
    pub(super) views: Arc<Views>,
    pub(super) revision: watch::Sender<u64>,
    pub(super) lease_timeout: Duration,
    pub(super) steps: StepContext,
    pub(super) webhook_sender: WebhookSender,
    pub(super) secrets: SecretKey,
    pub(super) own_certificate: Option<Arc<Current>>,
    /// Webhooks with a delivery in progress.
    pub(super) deliveries_in_progress: HashSet<WebhookId>,
    pub(super) handle: DriverHandle,
    pub(super) state: State,
    pub(super) pending: Pending,
    pub(super) long_polls: LongPolls,
    pub(super) transfers: Transfers,
    /// A change may provide work for a waiting device.
    pub(super) recheck_long_polls: bool,
    pub(super) running: HashMap<JobId, RunningStep>,
    /// Blobs that may no longer be needed.
    pub(super) garbage: HashSet<BlobHash>,
    /// No lease expires before this time, so that devices can find the coordinator again.
    pub(super) grace_until: Timestamp,
    /// A failed commit is not retried before this time.
    pub(super) retry_at: Timestamp,
    pub(super) flush_at: Timestamp,
    pub(super) monitor_at: Timestamp,
    /// Time of the next scan of all blobs.
    pub(super) orphans_at: Timestamp,
    /// Time when old lease records are trimmed again.
    pub(super) trim_at: Timestamp,
    pub(super) started_at: Timestamp,
    pub(super) clock_watch: ClockWatch,
}

/// Handle to the driver. Clones share the same driver.
#[derive(Debug, Clone)]
pub(crate) struct DriverHandle {
    pub(super) inbox: mpsc::Sender<Message>,
}

pub(super) type DriverResult<T> = Result<T, DriverError>;

impl DriverHandle {
    pub(super) fn new(inbox: mpsc::Sender<Message>) -> Self {
        Self { inbox }
    }
}

/// A running step.
#[derive(Debug)]
pub(super) struct RunningStep {
    pub(super) key: StepKey,
    pub(super) cancel: CancellationToken,
    /// Latest progress note.
    pub(super) note: Option<String>,
}

/// Action that runs once a batch is committed, or its commit has failed.
pub(super) type Settle = Box<dyn FnOnce(&mut Driver, Result<(), DriverError>) + Send>;

/// Batch in progress: the changes outside of [`State`] that the next commit writes, and the replies
/// that follow it.
#[derive(Default)]
pub(super) struct Pending {
    /// Jobs to write and publish.
    pub(super) jobs: BTreeSet<JobId>,
    /// Jobs whose machines handled an event in this batch.
    pub(super) handled: BTreeSet<JobId>,
    pub(super) trim: Option<Trim>,
    pub(super) changes: Vec<Change>,
    pub(super) audit: Vec<Record>,
    pub(super) settle: Vec<Settle>,
    /// Jobs with changes that a crash may lose. The next flush writes them.
    pub(super) idle_jobs: BTreeSet<JobId>,
    pub(super) idle_devices: BTreeSet<DeviceId>,
    pub(super) uses: Uses,
    /// Last idle device that was written. The next flush continues after it.
    pub(super) flushed_to: Option<DeviceId>,
}

impl Pending {
    pub(super) fn owes_flush(&self) -> bool {
        !self.idle_jobs.is_empty() || !self.idle_devices.is_empty() || !self.uses.is_empty()
    }

    pub(super) fn job_changed(&mut self, job: JobId) {
        self.jobs.insert(job);
        self.changed(ChangeKind::Job, job.to_string());
    }

    /// Marks a change that a crash may lose.
    pub(super) fn defer_job(&mut self, job: JobId) {
        self.idle_jobs.insert(job);
    }

    /// Marks a change that a crash may lose.
    pub(super) fn defer_device(&mut self, device: DeviceId) {
        self.idle_devices.insert(device);
    }

    /// Adds an event for clients that watch changes.
    pub(super) fn changed(&mut self, kind: ChangeKind, id: String) {
        let change = Change { kind, id };
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    /// Returns the next idle devices to flush, at most `most`. The order is round-robin, so every
    /// device gets its turn however often others send heartbeats.
    pub(super) fn next_idle(&self, most: usize) -> Vec<DeviceId> {
        let behind = match self.flushed_to {
            Some(last) => (Bound::Excluded(last), Bound::Unbounded),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        let idle = &self.idle_devices;
        let around = idle.range(behind).chain(idle);
        around.take(most.min(idle.len())).copied().collect()
    }

    pub(super) fn writes(&self) -> bool {
        !self.jobs.is_empty()
            || self.trim.is_some()
            || !self.changes.is_empty()
            || !self.audit.is_empty()
    }
}
