//! The folder in which one lease is worked on: the lease, the trainer's checkpoint, and the finished
//! update until the coordinator answered for it.
//!
//! It is named by the work and not by the lease: a lease that lapsed and came back, or that a
//! restarted worker is given again, goes on where it stood.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::BlobHash;
use protocol::fingerprint::Fingerprint;
use protocol::lease::Lease;
use protocol::metrics::TrainMetrics;
use protocol::trainer::TrainRequest;
use serde::{Deserialize, Serialize};

const LEASE: &str = "lease.json";
const FINISHED: &str = "finished.json";

/// What training gave; the bytes are in [`Desk::update`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) update: BlobHash,
    pub(crate) metrics: TrainMetrics,
    pub(crate) fingerprint: Fingerprint,
}

#[derive(Debug, Clone)]
pub(crate) struct Desk {
    folder: PathBuf,
}

impl Desk {
    /// The desk for this lease in `desks`; all others are cleared, because a device holds one lease.
    pub(crate) fn open(desks: &Path, lease: &Lease) -> io::Result<Self> {
        let folder = desks.join(work(lease).to_string());
        fs::create_dir_all(&folder)?;
        for other in fs::read_dir(desks)? {
            let other = other?;
            if other.path() != folder && other.file_type()?.is_dir() {
                fs::remove_dir_all(other.path())?;
            }
        }
        let desk = Self { folder };
        let bytes = serde_json::to_vec(lease).unwrap_or_default();
        platform::files::write_private(&desk.folder.join(LEASE), &bytes)?;
        Ok(desk)
    }

    /// The desk with a finished update that nobody has answered for, where there is one.
    pub(crate) fn left_over(desks: &Path) -> Option<(Self, Lease)> {
        fs::read_dir(desks).ok()?.flatten().find_map(|entry| {
            let desk = Self { folder: entry.path() };
            desk.finished()?;
            let bytes = fs::read(desk.folder.join(LEASE)).ok()?;
            Some((desk, serde_json::from_slice(&bytes).ok()?))
        })
    }

    /// What the trainer is asked. `shards` are the files of the lease's shards, in order.
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
        }
    }

    /// Where the update's bytes are.
    pub(crate) fn update(&self) -> PathBuf {
        self.folder.join("update.f32")
    }

    pub(crate) fn finish(&self, finished: &Finished) -> io::Result<()> {
        fs::File::open(self.update())?.sync_all()?;
        let bytes = serde_json::to_vec(finished).unwrap_or_default();
        platform::files::write_private(&self.folder.join(FINISHED), &bytes)
    }

    /// None while training isn't done; a damaged record counts as none, and training does it again.
    pub(crate) fn finished(&self) -> Option<Finished> {
        let bytes = fs::read(self.folder.join(FINISHED)).ok()?;
        let finished = serde_json::from_slice(&bytes).ok()?;
        self.update().exists().then_some(finished)
    }

    pub(crate) fn clear(&self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "can't clear a lease's folder");
        }
    }
}

fn work(lease: &Lease) -> BlobHash {
    let desk = Desk { folder: PathBuf::new() };
    desk.request(lease, PathBuf::new(), Vec::new()).work(lease.base, &lease.shards)
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;
    use protocol::fingerprint::Backend;
    use protocol::model::{InputSpec, LayerSpec, ModelSpec};
    use protocol::plan::{LocalWork, Optimizer, Plan};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_same_work_under_another_lease_is_the_same_desk() {
        let desks = tempfile::tempdir().unwrap();
        let first = Desk::open(desks.path(), &lease(1, 0)).unwrap();
        fs::write(first.folder.join("checkpoint"), "half").unwrap();
        let again = Desk::open(desks.path(), &lease(2, 0)).unwrap();
        assert!(again.folder.join("checkpoint").exists());

        let other = Desk::open(desks.path(), &lease(3, 1)).unwrap();
        assert!(!again.folder.exists());
        other.clear();
        assert_eq!(fs::read_dir(desks.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_finished_update_is_found_after_a_restart() {
        let desks = tempfile::tempdir().unwrap();
        assert!(Desk::left_over(&desks.path().join("none yet")).is_none());
        let desk = Desk::open(desks.path(), &lease(1, 0)).unwrap();
        fs::write(desk.update(), "bytes").unwrap();
        assert!(Desk::left_over(desks.path()).is_none());
        let finished = Finished {
            update: BlobHash::of(b"bytes"),
            metrics: TrainMetrics { loss: 0.5, steps: 3, examples: 12, seconds: 0.1 },
            fingerprint: Fingerprint {
                app: "1".into(),
                burn: "2".into(),
                backend: Backend::Cpu,
                hardware: "x".into(),
            },
        };
        desk.finish(&finished).unwrap();
        let (found, of) = Desk::left_over(desks.path()).unwrap();
        assert_eq!(found.finished(), Some(finished));
        assert_eq!(of, lease(1, 0));
        fs::remove_file(desk.update()).unwrap();
        assert!(Desk::left_over(desks.path()).is_none());
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
            base: BlobHash::of(b"base"),
            shards: vec![BlobHash::of(b"shard")],
            rows: 12,
            granted_at: Timestamp::from_millis(0),
            deadline: Timestamp::from_millis(5000),
        }
    }
}
