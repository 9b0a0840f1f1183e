//! Removing blobs that nothing needs any more: updates of closed rounds, shards of ended jobs, and
//! what nobody asked for. Models of rounds stay.

use std::collections::HashSet;
use std::time::Duration;

use federation::machine::{Effect, Machine, Preparation};
use protocol::{BlobHash, DeviceId, JobId, LeaseId};

use super::Driver;
use super::steps::StepKey;

/// A blob that no job names may be on its way to a job; after this long it is not.
const ORPHAN_AGE: Duration = Duration::from_hours(24);

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

impl Driver {
    /// After a commit: what the job has no more need of may go, unless another has.
    pub(super) fn sort_out(&mut self, id: JobId, before: &Machine) {
        let Some(row) = self.state.jobs.get(&id) else { return };
        let machine = &row.machine;
        let round_ended = machine.history().last().map(|round| round.model)
            != before.history().last().map(|round| round.model);
        if round_ended || machine.status().is_final() {
            let now_passing = passing(machine);
            self.garbage.extend(passing(before).difference(&now_passing));
            self.remove_partials();
        }
        // A job that is being prepared stores shards before its machine names them.
        let preparing = self.running.values().any(|step| step.key == StepKey::Prepare);
        if self.garbage.is_empty() || preparing {
            return;
        }
        let needed = self.needed();
        for hash in std::mem::take(&mut self.garbage).difference(&needed) {
            if let Err(error) = self.blobs.remove(*hash) {
                tracing::warn!(%hash, %error, "could not remove a blob");
            }
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

    fn remove_partials(&self) {
        let awaited = |key: &str| {
            let (lease, device) = key.split_once('_')?;
            let (lease, device) = (lease.parse().ok()?, device.parse().ok()?);
            let mut jobs = self.state.jobs.values();
            Some(jobs.any(|row| row.machine.awaits(lease, device)))
        };
        // What isn't a lease's is a person's upload.
        if let Err(error) = self.blobs.remove_partials(|key| awaited(key).unwrap_or(true)) {
            tracing::warn!(%error, "could not look through the uploads");
        }
    }

    /// Every blob that a job or a model names.
    fn needed(&self) -> HashSet<BlobHash> {
        let mut needed = self.state.model_files.clone();
        for row in self.state.jobs.values() {
            let machine = &row.machine;
            needed.extend(passing(machine));
            needed.extend(machine.history().iter().filter_map(|round| round.model));
            let base = machine.preparation().map(|preparation| preparation.base);
            needed.extend(base.filter(|_| !machine.status().is_final()));
        }
        needed
    }
}
