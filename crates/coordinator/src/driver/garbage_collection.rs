//! Garbage collection of blobs.
//!
//! A blob is kept while one of these names it: an open job's data, its open round's updates, a model of
//! a job's rounds, a registered model, or a version of a dataset. It is also kept while it is younger than
//! a day and while a backup reads the blobs or a dataset is added. All other blobs are removed: at once if
//! a change of a job, a model or a dataset made them garbage, otherwise by the daily scan.

use std::collections::HashSet;
use std::time::Duration;

use federation::machine::{Effect, Machine, Preparation};
use protocol::{BlobHash, DeviceId, LeaseId, Timestamp};

use super::Driver;
use crate::crash_points::CrashPoint;
use crate::steps::StepKey;
use crate::store::DatasetRow;

/// Age after which a blob that no job names is garbage: a younger one may belong to a job that is being
/// made. Partial uploads of people expire after the same time.
const ORPHAN_AGE: Duration = Duration::from_hours(24);
/// Interval between two scans of all blobs.
pub(super) const ORPHAN_INTERVAL: Duration = Duration::from_hours(24);
/// Delay of a scan that a running step or backup prevented.
const RETRY_AFTER: Duration = Duration::from_mins(10);

/// Returns the key of a lease's uploads.
pub(crate) fn upload_key(lease: LeaseId, device: DeviceId) -> String {
    format!("{lease}_{device}")
}

/// Returns every blob that a preparation names.
pub(super) fn prepared_blobs(preparation: &Preparation) -> Vec<BlobHash> {
    let mut blobs = shards(preparation);
    blobs.push(preparation.base);
    blobs
}

fn shards(preparation: &Preparation) -> Vec<BlobHash> {
    let partitions = preparation.partitions.iter().flat_map(|partition| &partition.shards);
    partitions.chain(&preparation.test).chain(&preparation.validation).copied().collect()
}

/// Returns the blobs that the job needs only while it is open: its shards and the open round's updates.
fn temporary_blobs(machine: &Machine) -> HashSet<BlobHash> {
    if machine.status().is_final() {
        return HashSet::new();
    }
    let preparation = machine.preparation();
    let shards = preparation.map(|preparation| shards(preparation)).unwrap_or_default();
    let updates = machine.outstanding().into_iter().flat_map(|effect| match effect {
        Effect::Accumulate { update, .. } => vec![update.blob],
        Effect::Aggregate { updates, .. } => {
            updates.into_iter().map(|update| update.blob).collect()
        }
        Effect::Prepare
        | Effect::Grant(_)
        | Effect::Outcome(_)
        | Effect::Nondeterminism { .. }
        | Effect::Evaluate { .. }
        | Effect::Register { .. }
        | Effect::LeaseEnded { .. } => Vec::new(),
    });
    updates.chain(shards).collect()
}

/// Returns every blob that must be kept for the job.
pub(super) fn job_blobs(machine: &Machine) -> HashSet<BlobHash> {
    let mut blobs = temporary_blobs(machine);
    blobs.extend(machine.history().filter_map(|round| round.model));
    let base = machine.preparation().map(|preparation| preparation.base);
    blobs.extend(base.filter(|_| !machine.status().is_final()));
    blobs
}

/// Returns every blob that a job, a registered model or a dataset names.
pub(crate) fn live_blobs<'a>(
    machines: impl Iterator<Item = &'a Machine>,
    model_files: impl Iterator<Item = BlobHash>,
    datasets: impl Iterator<Item = &'a DatasetRow>,
) -> HashSet<BlobHash> {
    let shards = datasets.flat_map(DatasetRow::blobs);
    model_files.chain(shards).chain(machines.flat_map(job_blobs)).collect()
}

impl Driver {
    /// Runs after a commit: removes the blobs that a job no longer needs and nothing else names.
    pub(super) fn remove_unneeded(&mut self, released: Vec<BlobHash>) {
        if !released.is_empty() {
            self.garbage.extend(released);
            self.remove_partials();
        }
        self.remove_garbage();
    }

    fn remove_garbage(&mut self) {
        // A preparation stores shards before the job's machine names them.
        let preparing = self.running.values().any(|step| step.key == StepKey::Prepare);
        if self.garbage.is_empty() || preparing || self.blobs.are_held() {
            return;
        }
        let points = self.steps.observer.points.clone();
        let live_blobs = self.live_blobs();
        points.pass(CrashPoint::GarbageFound);
        for hash in std::mem::take(&mut self.garbage).difference(&live_blobs) {
            if let Err(error) = self.blobs.remove(*hash) {
                tracing::warn!(%hash, %error, "could not remove a blob");
            }
            points.pass(CrashPoint::GarbageRemoved);
        }
    }

    /// Removes all old garbage. Runs at the start, before any step.
    pub(super) fn collect_garbage(&mut self) {
        let live_blobs = self.live_blobs();
        let removed = self.blobs.remove_older(ORPHAN_AGE, |hash| live_blobs.contains(&hash));
        if let Err(error) = removed {
            tracing::warn!(%error, "could not scan the blobs");
        }
        self.remove_partials();
    }

    /// Runs the daily scan: lists the blobs on another thread; the driver then removes the garbage among
    /// them.
    pub(super) fn remove_orphans(&mut self, now: Timestamp) {
        self.orphans_at = now.after(ORPHAN_INTERVAL);
        let (blobs, handle) = (self.blobs.clone(), self.handle.clone());
        self.steps.runtime.spawn_blocking(move || {
            let found = blobs.older(ORPHAN_AGE);
            // Sending fails only if the driver has stopped.
            drop(handle.send(move |driver| match found {
                Ok(found) => driver.remove_found_orphans(&found, now),
                Err(error) => tracing::warn!(%error, "could not scan the blobs"),
            }));
        });
    }

    fn remove_found_orphans(&mut self, found: &[BlobHash], now: Timestamp) {
        // A running step may rely on a stored blob that no job names yet.
        if !self.running.is_empty() || self.blobs.are_held() {
            self.orphans_at = now.after(RETRY_AFTER);
            return;
        }
        self.garbage.extend(found);
        self.remove_garbage();
        self.remove_partials();
    }

    fn remove_partials(&self) {
        let is_awaited = |key: &str| {
            let (lease, device) = key.split_once('_')?;
            let (lease, device) = (lease.parse().ok()?, device.parse().ok()?);
            let mut jobs = self.state.jobs.values();
            Some(jobs.any(|row| row.machine.awaits(lease, device)))
        };
        // An upload without a lease's key is a person's.
        let keep = |key: &str, age: Duration| is_awaited(key).unwrap_or(age <= ORPHAN_AGE);
        if let Err(error) = self.blobs.remove_partials(keep) {
            tracing::warn!(%error, "could not scan the uploads");
        }
    }

    fn live_blobs(&self) -> HashSet<BlobHash> {
        let machines = self.state.jobs.values().map(|row| &row.machine);
        let model_files = self.state.model_files.values().copied();
        live_blobs(machines, model_files, self.state.datasets.values())
    }
}
