//! What ends a worker.

use std::io;
use std::path::PathBuf;

use protocol::Problem;
use protocol::join::exchange::NotProven;
use trainer::TrainerError;

/// Why a worker can't go on. Whatever may pass by itself is waited for instead.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Folder(#[from] platform::LockError),
    #[error("can't use {}: {source}; is the disk full, or the folder somebody else's?", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("this machine can't train: {0}")]
    Trainer(#[from] TrainerError),
    /// The device has no token, and none to get one with.
    #[error(
        "this device is not enrolled: give a join code with --join (an administrator makes one by \
         `constellation join-code create`)"
    )]
    NotRegistered,
    /// The join code is of another cluster, and a person gave it.
    #[error(
        "this device belongs to the cluster \"{cluster}\": run `constellation leave` first, then \
         join the other cluster"
    )]
    BelongsTo { cluster: String },
    /// The organization's join code of another cluster failed; the enrollment is as it was.
    #[error(
        "this device stays in the cluster \"{cluster}\", because the managed join code of another \
         cluster failed: {reason}"
    )]
    NotMoved { cluster: String, reason: Box<WorkerError> },
    /// The hardware is not that which the folder was enrolled on, and there is no join code.
    #[error(
        "{} was enrolled on another machine or as another --instance, so this is a copy: give a \
         join code with --join, and it becomes a device of its own", path.display()
    )]
    Copied { path: PathBuf },
    /// The coordinator doesn't know the device's token any more, and there is no join code.
    #[error(
        "the coordinator doesn't accept this device any more ({0}): it was revoked, or the \
         coordinator's data is gone; enrol it again with a new --join code"
    )]
    Revoked(Problem),
    #[error("the coordinator refused to enrol this device: {0}")]
    Refused(Problem),
    #[error("{0}")]
    SecondSession(Problem),
    #[error(transparent)]
    NotProven(#[from] NotProven),
    #[error("can't make a key for this device: the system gives no randomness")]
    Randomness,
    /// The coordinator speaks another protocol.
    #[error("{0}; do the coordinator and this worker have the same version?")]
    Coordinator(String),
}
