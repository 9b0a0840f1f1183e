//! What the API shows of the driver's memory: snapshots that the driver replaces after each commit
//! and that handlers read without asking it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use federation::machine::{Machine, Outlook};
use protocol::api::{Job, JobStatus, MetricPoint, Round};
use protocol::device::Device;
use protocol::notice::Notice;
use protocol::webhook::Webhook;
use protocol::{DeviceId, JobId, Timestamp};

use crate::caller::Principal;
use crate::store::{DeviceRow, JobRow};

/// Seconds between two heartbeats.
pub(crate) const HEARTBEAT_SECONDS: u32 = 30;
/// A device is offline when this many heartbeats in a row didn't come.
pub(crate) const MISSED_HEARTBEATS: u32 = 3;

/// A job as it was after the last commit.
#[derive(Debug)]
pub(crate) struct JobView {
    pub(crate) job: Job,
    pub(crate) rounds: Vec<Round>,
    /// Names of the classes, once the dataset is known.
    pub(crate) classes: Vec<String>,
    /// For [`crate::explain`].
    pub(crate) outlook: Outlook,
}

/// The snapshots.
#[derive(Debug, Default)]
pub(crate) struct Views {
    jobs: RwLock<BTreeMap<JobId, Arc<JobView>>>,
    devices: RwLock<BTreeMap<DeviceId, Arc<DeviceRow>>>,
    /// By the BLAKE3 of the token.
    tokens: RwLock<HashMap<[u8; 32], Principal>>,
    /// The oldest first.
    notices: RwLock<Vec<Notice>>,
    webhooks: RwLock<Vec<Webhook>>,
}

impl Views {
    /// Every job, the oldest first.
    pub(crate) fn jobs(&self) -> Vec<Arc<JobView>> {
        let mut jobs: Vec<_> = read(&self.jobs).values().cloned().collect();
        jobs.sort_by_key(|view| (view.job.created_at, view.job.id));
        jobs
    }

    pub(crate) fn job(&self, id: JobId) -> Option<Arc<JobView>> {
        read(&self.jobs).get(&id).cloned()
    }

    /// Every device, in the order of their enrolment.
    pub(crate) fn devices(&self, now: Timestamp) -> Vec<Device> {
        let devices: Vec<_> = read(&self.devices).values().cloned().collect();
        devices.iter().map(|row| row.view(is_active(row, now))).collect()
    }

    /// Who this token is of. Looking a hash up tells nothing about the token it came near to.
    pub(crate) fn principal(&self, token: &str) -> Option<Principal> {
        read(&self.tokens).get(blake3::hash(token.as_bytes()).as_bytes()).cloned()
    }

    /// Every notice that is kept, the oldest first.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        read(&self.notices).clone()
    }

    pub(crate) fn webhooks(&self) -> Vec<Webhook> {
        read(&self.webhooks).clone()
    }

    pub(crate) fn publish_telling(&self, notices: Vec<Notice>, webhooks: Vec<Webhook>) {
        *write(&self.notices) = notices;
        *write(&self.webhooks) = webhooks;
    }

    pub(crate) fn publish_job(&self, view: JobView) {
        write(&self.jobs).insert(view.job.id, Arc::new(view));
    }

    pub(crate) fn publish_device(&self, row: DeviceRow) {
        write(&self.devices).insert(row.id, Arc::new(row));
    }

    pub(crate) fn remove_device(&self, id: DeviceId) {
        write(&self.devices).remove(&id);
    }

    pub(crate) fn publish_token(&self, hash: [u8; 32], principal: Principal) {
        write(&self.tokens).insert(hash, principal);
    }

    pub(crate) fn remove_token(&self, hash: &[u8; 32]) {
        write(&self.tokens).remove(hash);
    }
}

/// Whether a device was heard of lately. Progress and requests for work count as heartbeats do.
pub(crate) fn is_active(row: &DeviceRow, now: Timestamp) -> bool {
    let patience = Duration::from_secs(u64::from(HEARTBEAT_SECONDS * MISSED_HEARTBEATS));
    !row.revoked && now.since(row.last_seen) <= patience
}

/// A job as the API shows it; `note` is what the coordinator's own step has to say.
pub(crate) fn job_view(row: &JobRow, note: Option<&str>) -> JobView {
    let machine = &row.machine;
    let spec = machine.spec();
    let evaluation = machine.history().iter().rev().find_map(|round| round.evaluation.as_ref());
    let (model_id, model_blake3) = machine.result().unzip();
    let job = Job {
        id: row.id,
        name: spec.name.clone(),
        model_name: spec.model_name().to_owned(),
        model_type: spec.model_type,
        dataset: spec.dataset.clone(),
        status: machine.status(),
        created_at: row.created_at,
        started_at: machine.started_at(),
        completed_at: machine.completed_at(),
        total_epochs: spec.rounds(),
        current_epoch: machine.rounds_closed(),
        progress: machine.progress(),
        config: spec.clone(),
        reason: reason(machine, note),
        spec: machine.preparation().map(|preparation| preparation.spec.clone()),
        parameters: machine.parameters(),
        test_accuracy: evaluation.map(|evaluation| evaluation.accuracy),
        test_loss: evaluation.map(|evaluation| evaluation.loss),
        model_id,
        model_blake3,
        leases_lost: machine.leases_lost(),
        stalled: false,
        explanation: Vec::new(),
    };
    let classes = machine.preparation().map(|preparation| preparation.classes.clone());
    JobView {
        job,
        rounds: machine.history().to_vec(),
        classes: classes.unwrap_or_default(),
        outlook: machine.outlook(),
    }
}

fn reason(machine: &Machine, note: Option<&str>) -> Option<String> {
    match (machine.reason(), note) {
        (reason, None) => reason,
        (None, Some(note)) => Some(note.to_owned()),
        (Some(reason), Some(note)) => Some(format!("{reason}: {note}")),
    }
}

/// The curves of a job's closed rounds.
pub(crate) fn metric_points(rounds: &[Round]) -> Vec<MetricPoint> {
    let closed = rounds.iter().filter_map(|round| Some((round, round.closed_at?)));
    closed
        .flat_map(|(round, at)| {
            let evaluation = round.evaluation.as_ref();
            [
                ("test_accuracy", evaluation.map(|evaluation| evaluation.accuracy)),
                ("test_loss", evaluation.map(|evaluation| evaluation.loss)),
                ("train_loss", round.train_loss),
            ]
            .into_iter()
            .filter_map(move |(name, value)| {
                let (round, name) = (round.round, name.to_owned());
                Some(MetricPoint { round, at, name, value: value? })
            })
        })
        .collect()
}

/// The word that JSON has for a status.
pub(crate) const fn status_word(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Pending => "pending",
        JobStatus::Preparing => "preparing",
        JobStatus::Running => "running",
        JobStatus::Paused => "paused",
        JobStatus::Completed => "completed",
        JobStatus::Failed => "failed",
        JobStatus::Cancelled => "cancelled",
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
