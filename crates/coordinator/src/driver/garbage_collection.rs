//! Removing blobs that nothing needs any more. A blob stays while an open job's data, its open
//! round's updates, a model that a job keeps of its rounds, or a registered model names it, while it
//! is younger than a day, and while a backup reads the blobs. Everything else goes: at once where a
//! job's change made it garbage, else with the daily look through all of them.

use std::collections::HashSet;
use std::time::Duration;

use federation::machine::{Effect, Machine, Preparation};
use protocol::{BlobHash, DeviceId, JobId, LeaseId, Timestamp};

use super::Driver;
use super::steps::StepKey;
use crate::crash_points::CrashPoint;

/// A blob that no job names may be on its way to a job; after this long it is not. What a person
/// sent up in part is forgotten after the same time.
const ORPHAN_AGE: Duration = Duration::from_hours(24);
/// Between two looks through all blobs.
pub(super) const LOOK_EVERY: Duration = Duration::from_hours(24);
/// Where a step or a backup was in the way.
const LOOK_AGAIN: Duration = Duration::from_mins(10);

/// The key of a lease's uploads.
pub(crate) fn upload_key(lease: LeaseId, device: DeviceId) -> String {
    format!("{lease}_{device}")
}

/// Every blob that a preparation names.
pub(super) fn prepared_blobs(preparation: &Preparation) -> Vec<BlobHash> {
    let mut blobs = shards(preparation);
    blobs.push(preparation.base);
    blobs
}

fn shards(preparation: &Preparation) -> Vec<BlobHash> {
    let partitions = preparation.partitions.iter().flat_map(|partition| &partition.shards);
    partitions.chain(&preparation.test).chain(&preparation.validation).copied().collect()
}

/// What the job needs only while it goes on: its shards, and the updates of the open round.
fn passing(machine: &Machine) -> HashSet<BlobHash> {
    if machine.status().is_final() {
        return HashSet::new();
    }
    let shards = machine.preparation().map(shards).unwrap_or_default();
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

/// Every blob that the job names, and that must stay for its sake.
fn named(machine: &Machine) -> HashSet<BlobHash> {
    let mut named = passing(machine);
    named.extend(machine.history().iter().filter_map(|round| round.model));
    let base = machine.preparation().map(|preparation| preparation.base);
    named.extend(base.filter(|_| !machine.status().is_final()));
    named
}

/// Every blob that a job or a registered model names.
pub(crate) fn needed<'a>(
    machines: impl Iterator<Item = &'a Machine>,
    model_files: impl Iterator<Item = BlobHash>,
) -> HashSet<BlobHash> {
    model_files.chain(machines.flat_map(named)).collect()
}

impl Driver {
    /// After a commit: what the job has no more need of may go, unless another has.
    pub(super) fn sort_out(&mut self, id: JobId, before: &Machine) {
        let Some(row) = self.state.jobs.get(&id) else { return };
        let machine = &row.machine;
        let round_ended = machine.history().last().map(|round| round.model)
            != before.history().last().map(|round| round.model);
        if round_ended || machine.status().is_final() {
            let now_named = named(machine);
            self.garbage.extend(named(before).difference(&now_named));
            self.remove_partials();
        }
        self.remove_garbage();
    }

    fn remove_garbage(&mut self) {
        // A job that is being prepared stores shards before its machine names them.
        let preparing = self.running.values().any(|step| step.key == StepKey::Prepare);
        if self.garbage.is_empty() || preparing || self.blobs.are_held() {
            return;
        }
        let points = self.steps.observer.points.clone();
        let needed = self.needed();
        points.pass(CrashPoint::GarbageFound);
        for hash in std::mem::take(&mut self.garbage).difference(&needed) {
            if let Err(error) = self.blobs.remove(*hash) {
                tracing::warn!(%hash, %error, "could not remove a blob");
            }
            points.pass(CrashPoint::GarbageRemoved);
        }
    }

    /// At the start, before any step runs.
    pub(super) fn sweep_all(&mut self) {
        let needed = self.needed();
        let removed = self.blobs.remove_older(ORPHAN_AGE, |hash| needed.contains(&hash));
        if let Err(error) = removed {
            tracing::warn!(%error, "could not look through the blobs");
        }
        self.remove_partials();
    }

    /// The daily look: the blobs are listed beside the driver, which then removes what it still
    /// doesn't need.
    pub(super) fn look_for_orphans(&mut self, now: Timestamp) {
        self.look_through_at = now.after(LOOK_EVERY);
        let (blobs, handle) = (self.blobs.clone(), self.handle.clone());
        self.steps.runtime.spawn_blocking(move || {
            let found = blobs.older(ORPHAN_AGE);
            // Without a driver there is nobody to remove them.
            drop(handle.send(move |driver| match found {
                Ok(found) => driver.remove_orphans(&found, now),
                Err(error) => tracing::warn!(%error, "could not look through the blobs"),
            }));
        });
    }

    fn remove_orphans(&mut self, found: &[BlobHash], now: Timestamp) {
        // A step may have found a blob stored that no job names yet.
        if !self.running.is_empty() || self.blobs.are_held() {
            self.look_through_at = now.after(LOOK_AGAIN);
            return;
        }
        self.garbage.extend(found);
        self.remove_garbage();
        self.remove_partials();
    }

    fn remove_partials(&self) {
        let awaited = |key: &str| {
            let (lease, device) = key.split_once('_')?;
            let (lease, device) = (lease.parse().ok()?, device.parse().ok()?);
            let mut jobs = self.state.jobs.values();
            Some(jobs.any(|row| row.machine.awaits(lease, device)))
        };
        // What isn't a lease's is a person's upload.
        let keep = |key: &str, age: Duration| awaited(key).unwrap_or(age <= ORPHAN_AGE);
        if let Err(error) = self.blobs.remove_partials(keep) {
            tracing::warn!(%error, "could not look through the uploads");
        }
    }

    fn needed(&self) -> HashSet<BlobHash> {
        let machines = self.state.jobs.values().map(|row| &row.machine);
        needed(machines, self.state.model_files.iter().copied())
    }
}
