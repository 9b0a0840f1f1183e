//! Lease workspace: the folder with a lease, the trainer's checkpoint, and the finished update until the
//! coordinator has accepted it. All files are encrypted.
//!
//! The folder is named by a hash of the work, not by the lease. If the same work is granted again, after
//! an expiry or a restart of the worker, training resumes from the checkpoint.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::BlobHash;
use protocol::encrypted_file::{self, StorageKey};
use protocol::fingerprint::Fingerprint;
use protocol::lease::Lease;
use protocol::metrics::TrainMetrics;
use protocol::plan::Plan;
use protocol::trainer::TrainRequest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const LEASE: &str = "lease";
const FINISHED: &str = "finished";
/// Allowance in bytes for the files of a workspace that are not vectors.
const SMALL_FILES: u64 = 1 << 20;

/// Result of training. The update's bytes are in the file [`LeaseWorkspace::update`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) update: BlobHash,
    pub(crate) metrics: TrainMetrics,
    pub(crate) fingerprint: Fingerprint,
}

#[derive(Debug, Clone)]
pub(crate) struct LeaseWorkspace {
    folder: PathBuf,
    key: StorageKey,
}

impl LeaseWorkspace {
    /// Opens the workspace for this lease in the folder `parent`. Removes all others, because a device
    /// holds one lease.
    pub(crate) fn open(parent: &Path, key: &StorageKey, lease: &Lease) -> io::Result<Self> {
        let folder = parent.join(work_hash(lease, key).to_string());
        fs::create_dir_all(&folder)?;
        for other in fs::read_dir(parent)? {
            let other = other?;
            if other.path() != folder && other.file_type()?.is_dir() {
                fs::remove_dir_all(other.path())?;
            }
        }
        let workspace = Self { folder, key: key.clone() };
        workspace.write(LEASE, lease)?;
        Ok(workspace)
    }

    /// Finds a workspace whose finished update was not submitted yet.
    pub(crate) fn find_unsubmitted(parent: &Path, key: &StorageKey) -> Option<(Self, Lease)> {
        fs::read_dir(parent).ok()?.flatten().find_map(|entry| {
            let workspace = Self { folder: entry.path(), key: key.clone() };
            workspace.finished()?;
            let lease = workspace.read(LEASE)?;
            Some((workspace, lease))
        })
    }

    /// Request to the trainer. `shards` are the files of the lease's shards, in order.
    pub(crate) fn request(
        &self,
        lease: &Lease,
        base: PathBuf,
        shards: Vec<PathBuf>,
    ) -> TrainRequest {
        let length = lease.deadline.since(lease.granted_at);
        let checkpoint =
            (length / 4).clamp(Duration::from_millis(500), Duration::from_secs(15)).as_secs_f64();
        TrainRequest {
            spec: lease.spec.clone(),
            plan: lease.plan.clone(),
            seed: lease.seed,
            round: lease.round,
            partition: lease.partition,
            base,
            shards,
            checkpoint: self.folder.join("checkpoint"),
            checkpoint_seconds: checkpoint,
            output: self.update(),
            key: Some(self.key.clone()),
        }
    }

    /// Path of the update's file.
    pub(crate) fn update(&self) -> PathBuf {
        self.folder.join("update.f32")
    }

    /// Records that training is done, after making the update durable.
    pub(crate) fn finish(&self, finished: &Finished) -> io::Result<()> {
        fs::File::open(self.update())?.sync_all()?;
        self.write(FINISHED, finished)
    }

    /// Result of training, or `None` if training is not done or the record is damaged. Training then
    /// runs again.
    pub(crate) fn finished(&self) -> Option<Finished> {
        let finished = self.read(FINISHED)?;
        self.update().exists().then_some(finished)
    }

    /// Bytes that the workspace's files take now.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.folder)? {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }

    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let plain = serde_json::to_vec(value).unwrap_or_default();
        let sealed = encrypted_file::seal(&self.key, &plain, rand::random())?;
        platform::files::write_private(&self.folder.join(name), &sealed)
    }

    /// Reads a record; `None` if it is missing or damaged.
    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let sealed = fs::read(self.folder.join(name)).ok()?;
        serde_json::from_slice(&encrypted_file::open(&self.key, sealed).ok()?).ok()
    }

    pub(crate) fn clear(&self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "can't remove a lease's folder");
        }
    }
}

/// Upper bound in bytes on the workspace of a model with this many parameters: a checkpoint and its
/// successor while that is written. The update is no larger than a checkpoint and is written when no
/// new checkpoint is.
pub(crate) fn maximum_bytes(parameters: u64, plan: &Plan) -> u64 {
    let checkpoint = parameters.saturating_mul(4).saturating_mul(1 + plan.optimizer.moments());
    encrypted_file::encrypted_length(checkpoint).saturating_mul(2).saturating_add(SMALL_FILES)
}

fn work_hash(lease: &Lease, key: &StorageKey) -> BlobHash {
    let workspace = LeaseWorkspace { folder: PathBuf::new(), key: key.clone() };
    workspace.request(lease, PathBuf::new(), Vec::new()).work(lease.base, &lease.shards)
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;
    use protocol::fingerprint::Backend;
    use protocol::model::{InputSpec, LayerSpec, ModelSpec};
    use protocol::plan::{LocalWork, Optimizer};
    use uuid::Uuid;

    use super::*;

    const KEY: StorageKey = StorageKey::from_bytes([7; 32]);

    #[test]
    fn the_same_work_under_another_lease_has_the_same_workspace() {
        let parent = tempfile::tempdir().unwrap();
        let first = LeaseWorkspace::open(parent.path(), &KEY, &lease(1, 0)).unwrap();
        fs::write(first.folder.join("checkpoint"), "half").unwrap();
        let again = LeaseWorkspace::open(parent.path(), &KEY, &lease(2, 0)).unwrap();
        assert!(again.folder.join("checkpoint").exists());

        let other = LeaseWorkspace::open(parent.path(), &KEY, &lease(3, 1)).unwrap();
        assert!(!again.folder.exists());
        other.clear();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_unsubmitted_update_is_found_after_a_restart() {
        let parent = tempfile::tempdir().unwrap();
        assert!(LeaseWorkspace::find_unsubmitted(&parent.path().join("none yet"), &KEY).is_none());
        let workspace = LeaseWorkspace::open(parent.path(), &KEY, &lease(1, 0)).unwrap();
        fs::write(workspace.update(), "bytes").unwrap();
        assert!(LeaseWorkspace::find_unsubmitted(parent.path(), &KEY).is_none());
        let finished = Finished {
            update: BlobHash::compute(b"bytes"),
            metrics: TrainMetrics { loss: 0.5, steps: 3, examples: 12, seconds: 0.1 },
            fingerprint: Fingerprint {
                app: "1".into(),
                burn: "2".into(),
                backend: Backend::Cpu,
                hardware: "x".into(),
            },
        };
        workspace.finish(&finished).unwrap();
        let (found, found_lease) = LeaseWorkspace::find_unsubmitted(parent.path(), &KEY).unwrap();
        assert_eq!(found.finished(), Some(finished));
        assert_eq!(found_lease, lease(1, 0));
        let name = lease(1, 0).job_name;
        for file in [LEASE, FINISHED] {
            let bytes = fs::read(workspace.folder.join(file)).unwrap();
            assert!(!bytes.windows(name.len()).any(|window| window == name.as_bytes()), "{file}");
        }
        let another = StorageKey::from_bytes([8; 32]);
        assert!(LeaseWorkspace::find_unsubmitted(parent.path(), &another).is_none());
        fs::remove_file(workspace.update()).unwrap();
        assert!(LeaseWorkspace::find_unsubmitted(parent.path(), &KEY).is_none());
    }

    #[test]
    fn a_workspace_needs_space_for_two_checkpoints() {
        let plan = |optimizer| Plan { optimizer, ..lease(1, 0).plan };
        let sgd = |momentum| Optimizer::Sgd { learning_rate: 0.1, momentum, weight_decay: 0.0 };
        let megabytes = |optimizer| maximum_bytes(1_000_000, &plan(optimizer)) / 1_000_000;
        assert_eq!(megabytes(sgd(0.0)), 9);
        assert_eq!(megabytes(sgd(0.9)), 17);
        assert_eq!(megabytes(Optimizer::Adam { learning_rate: 0.1 }), 25);
    }

    fn lease(id: u128, partition: u32) -> Lease {
        let input =
            InputSpec::Image { channels: 1, height: 2, width: 2, mean: 0.0, deviation: 1.0 };
        Lease {
            id: protocol::LeaseId::from_uuid(Uuid::from_u128(id)),
            job_id: protocol::JobId::from_uuid(Uuid::from_u128(9)),
            job_name: "digits".into(),
            dataset: "mnist".into(),
            device_id: protocol::DeviceId::from_uuid(Uuid::from_u128(8)),
            round: 1,
            total_rounds: 2,
            partition,
            seed: 42,
            spec: ModelSpec { input, layers: vec![LayerSpec::Flatten] },
            plan: Plan {
                local_work: LocalWork::Epochs(1),
                batch_size: 4,
                optimizer: Optimizer::Adam { learning_rate: 0.1 },
                threads: 1,
            },
            base: BlobHash::compute(b"base"),
            shards: vec![BlobHash::compute(b"shard")],
            rows: 12,
            granted_at: Timestamp::from_millis(0),
            deadline: Timestamp::from_millis(5000),
        }
    }
}
