//! Snapshots of the driver's state for the API. The driver replaces them after each commit;
//! handlers read them without a request to the driver.

mod job;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use federation::machine::JobSnapshot;
use protocol::api::JobStatus;
use protocol::device::{Device, DeviceState, Heartbeat};
use protocol::notice::Notice;
use protocol::webhook::Webhook;
use protocol::{DeviceId, JobId, Timestamp};
use tokio::sync::watch;

use crate::access::credential::Credential;
use crate::datasets::index::DatasetIndex;
use crate::poll_interval;
use crate::store::DeviceRow;
use crate::traffic::Traffic;
pub(crate) use job::{JobView, job_view, metric_points};

/// All snapshots.
#[derive(Debug, Default)]
pub(crate) struct Views {
    jobs: RwLock<BTreeMap<JobId, Arc<JobView>>>,
    /// Devices that hold a lease of each job.
    holders: RwLock<HashMap<JobId, BTreeSet<DeviceId>>>,
    /// Whether a job is in progress. A job that waits to be started or resumed is not.
    working: watch::Sender<bool>,
    devices: RwLock<BTreeMap<DeviceId, Arc<DeviceRow>>>,
    /// Devices with heartbeats that the driver has not applied yet.
    heard: Mutex<HashSet<DeviceId>>,
    /// Worker run that each device last reported.
    runs: RwLock<HashMap<DeviceId, String>>,
    /// Tokens and sessions of people, by the BLAKE3 hash of the secret.
    credentials: RwLock<HashMap<[u8; 32], Arc<Credential>>>,
    /// Oldest first.
    notices: RwLock<Vec<Notice>>,
    webhooks: RwLock<Vec<Webhook>>,
    pub(crate) datasets: DatasetIndex,
    pub(crate) traffic: Traffic,
}

impl Views {
    /// Returns all jobs, oldest first.
    pub(crate) fn jobs(&self) -> Vec<Arc<JobView>> {
        let mut jobs: Vec<_> = read(&self.jobs).values().cloned().collect();
        jobs.sort_by_key(|view| (view.job.created_at, view.job.id));
        jobs
    }

    pub(crate) fn job(&self, id: JobId) -> Option<Arc<JobView>> {
        read(&self.jobs).get(&id).cloned()
    }

    /// Returns a job's snapshot for [`crate::http::api::explain`].
    pub(crate) fn snapshot(&self, view: &JobView) -> JobSnapshot {
        let mut snapshot = view.outline.clone();
        if let JobSnapshot::Collecting(round) = &mut snapshot {
            let holders = read(&self.holders);
            round.training = holders.get(&view.job.id).cloned().unwrap_or_default();
        }
        snapshot
    }

    /// Publishes which of these devices hold a lease of the job.
    pub(crate) fn publish_holders(
        &self,
        job: JobId,
        devices: impl Iterator<Item = (DeviceId, bool)>,
    ) {
        let mut devices = devices.peekable();
        if devices.peek().is_none() {
            return;
        }
        let mut jobs = write(&self.holders);
        let holders = jobs.entry(job).or_default();
        for (device, holds) in devices {
            if holds {
                holders.insert(device);
            } else {
                holders.remove(&device);
            }
        }
        if holders.is_empty() {
            jobs.remove(&job);
        }
    }

    /// Returns all devices, in order of enrollment.
    pub(crate) fn devices(&self, now: Timestamp) -> Vec<Device> {
        let devices: Vec<_> = read(&self.devices).values().cloned().collect();
        let offline_after = poll_interval::offline_after(devices.len());
        devices.iter().map(|row| row.view(is_active(row, now, offline_after), now)).collect()
    }

    pub(crate) fn device(&self, id: DeviceId, now: Timestamp) -> Option<Device> {
        let devices = read(&self.devices);
        let (row, offline_after) = (devices.get(&id)?, poll_interval::offline_after(devices.len()));
        Some(row.view(is_active(row, now, offline_after), now))
    }

    /// Returns the name of a device.
    pub(crate) fn device_name(&self, id: DeviceId) -> Option<String> {
        read(&self.devices).get(&id).map(|row| row.name.clone())
    }

    /// Returns the number of enrolled devices.
    pub(crate) fn device_count(&self) -> usize {
        read(&self.devices).len()
    }

    /// Returns the credential with this hash. Lookup by hash leaks no timing information about the
    /// secret.
    pub(crate) fn credential(&self, hash: &[u8; 32]) -> Option<Arc<Credential>> {
        read(&self.credentials).get(hash).cloned()
    }

    /// Returns all kept notices, oldest first.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        read(&self.notices).clone()
    }

    pub(crate) fn webhooks(&self) -> Vec<Webhook> {
        read(&self.webhooks).clone()
    }

    pub(crate) fn publish_notifications(&self, notices: Vec<Notice>, webhooks: Vec<Webhook>) {
        *write(&self.notices) = notices;
        *write(&self.webhooks) = webhooks;
    }

    pub(crate) fn publish_job(&self, view: JobView) {
        let mut jobs = write(&self.jobs);
        jobs.insert(view.job.id, Arc::new(view));
        let working = jobs.values().any(|view| is_in_progress(view.job.status));
        self.working.send_if_modified(|was| std::mem::replace(was, working) != working);
    }

    pub(crate) fn remove_job(&self, id: JobId) {
        write(&self.jobs).remove(&id);
    }

    /// Returns a receiver that says whether a job is in progress.
    pub(crate) fn working(&self) -> watch::Receiver<bool> {
        self.working.subscribe()
    }

    pub(crate) fn publish_device(&self, mut row: DeviceRow) {
        let mut devices = write(&self.devices);
        if let Some(shown) = devices.get(&row.id) {
            row.last_seen = row.last_seen.max(shown.last_seen);
        }
        devices.insert(row.id, Arc::new(row));
    }

    /// Heartbeat fast path, without waiting for a commit. Returns `false` if the heartbeat or its
    /// response carries news, so that the driver must handle it. Most heartbeats carry none.
    pub(crate) fn record_heartbeat(&self, id: DeviceId, said: &Heartbeat, now: Timestamp) -> bool {
        let is_known_session = said.session.as_ref().is_none_or(|session| {
            read(&self.runs).get(&id).is_some_and(|known| *known == session.id)
        });
        let mut devices = write(&self.devices);
        let offline_after = poll_interval::offline_after(devices.len());
        let Some(row) = devices.get_mut(&id) else { return false };
        let tells_more = said.lease.is_some()
            || row.quarantined.is_some()
            || row.approval.is_some()
            || !is_known_session
            || (row.state, row.reason) != (said.state, said.reason)
            || !is_active(row, now, offline_after);
        if tells_more {
            return false;
        }
        let row = Arc::make_mut(row);
        row.last_seen = row.last_seen.max(now);
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        true
    }

    pub(crate) fn publish_session(&self, id: DeviceId, session: String) {
        write(&self.runs).insert(id, session);
    }

    pub(crate) fn end_session(&self, id: DeviceId) {
        write(&self.runs).remove(&id);
    }

    /// Returns the devices with heartbeats since the last call, with the time of each.
    pub(crate) fn take_heartbeats(&self) -> Vec<(DeviceId, Timestamp)> {
        let heard = std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        let devices = read(&self.devices);
        heard.iter().filter_map(|id| Some((*id, devices.get(id)?.last_seen))).collect()
    }

    pub(crate) fn remove_device(&self, id: DeviceId) {
        write(&self.devices).remove(&id);
    }

    pub(crate) fn publish_credential(&self, hash: [u8; 32], credential: Credential) {
        write(&self.credentials).insert(hash, Arc::new(credential));
    }

    pub(crate) fn remove_credential(&self, hash: &[u8; 32]) {
        let removed = write(&self.credentials).remove(hash);
        if let Some(credential) = removed {
            credential.revoke();
        }
    }
}

/// Returns whether the device sent a request within `offline_after`. Progress and work requests
/// count like heartbeats.
pub(crate) fn is_active(row: &DeviceRow, now: Timestamp, offline_after: Duration) -> bool {
    // A stored state of "offline" is the device's own last message.
    let is_stopped = row.state == DeviceState::Offline;
    !row.revoked && !is_stopped && now.since(row.last_seen) <= offline_after
}

const fn is_in_progress(status: JobStatus) -> bool {
    match status {
        JobStatus::Preparing | JobStatus::Running => true,
        JobStatus::Pending
        | JobStatus::Paused
        | JobStatus::Completed
        | JobStatus::Failed
        | JobStatus::Cancelled => false,
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use protocol::device::HoldReason;
    use protocol::enrollment::Session;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_a_heartbeat_that_tells_nothing_is_noted_beside_the_driver() {
        let views = Views::default();
        let id = DeviceId::from_uuid(Uuid::from_u128(1));
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let registration = json!({
            "name": "a", "device_type": "mac", "cores": 8, "ram_gb": 16.0, "gpu_available": false,
            "hardware_id": "h", "public_key": "", "challenge": "", "signature": "",
            "fingerprint": { "app": "1", "burn": "2", "backend": "cpu", "hardware": "x" }
        });
        let row = DeviceRow::new(id, serde_json::from_value(registration).unwrap(), at(0));
        let waiting =
            Heartbeat { state: DeviceState::Waiting, reason: None, lease: None, session: None };
        assert!(!views.record_heartbeat(id, &waiting, at(1)), "nobody knows it");
        views.publish_device(row.clone());
        assert!(views.record_heartbeat(id, &waiting, at(10)));
        assert!(views.record_heartbeat(id, &waiting, at(9)), "late, and no step back");
        let held = Heartbeat {
            state: DeviceState::Held,
            reason: Some(HoldReason::InUse),
            ..waiting.clone()
        };
        assert!(!views.record_heartbeat(id, &held, at(20)));
        let lease = Some(protocol::LeaseId::from_uuid(Uuid::from_u128(2)));
        assert!(!views.record_heartbeat(id, &Heartbeat { lease, ..waiting.clone() }, at(20)));
        let session = Some(Session { id: "run".into(), after: vec![] });
        let of_a_run = Heartbeat { session, ..waiting.clone() };
        assert!(
            !views.record_heartbeat(id, &of_a_run, at(20)),
            "the driver knows whether it may go on"
        );
        views.publish_session(id, "run".into());
        assert!(views.record_heartbeat(id, &of_a_run, at(10)));
        assert_eq!(views.take_heartbeats(), [(id, at(10))]);
        assert!(views.take_heartbeats().is_empty());

        // The driver's later snapshot is older in this field only.
        views.publish_device(row);
        assert_eq!(views.devices(at(10))[0].last_seen, at(10));
        assert!(!views.record_heartbeat(id, &waiting, at(1000)), "its coming back is news");
    }
}
