//! Errors that end a worker.

use std::io;
use std::path::PathBuf;

use protocol::Problem;
use protocol::join::exchange::NotProven;
use trainer::TrainerError;

/// Reason why a worker can't continue. Temporary problems are retried instead.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Folder(#[from] platform::LockError),
    #[error("can't use {}: {source}; check the disk space and the folder's owner", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("this machine can't train: {0}")]
    Trainer(#[from] TrainerError),
    /// The device has neither a token nor a join code.
    #[error(
        "this device is not enrolled: pass a join code with --join (an administrator creates one with \
         `constellation join-code create`)"
    )]
    NotRegistered,
    /// A person's join code belongs to another cluster.
    #[error(
        "this device belongs to the cluster \"{cluster}\": run `constellation leave` first, then \
         join the other cluster"
    )]
    BelongsTo { cluster: String },
    /// The organization's join code for another cluster failed. The enrollment is unchanged.
    #[error(
        "this device stays in the cluster \"{cluster}\", because the managed join code of another \
         cluster failed: {reason}"
    )]
    NotMoved { cluster: String, reason: Box<WorkerError> },
    /// The folder was enrolled on other hardware, and there is no join code.
    #[error(
        "{} was enrolled on another machine or as another --instance, so this is a copy: pass a \
         join code with --join to enroll it as a new device", path.display()
    )]
    Copied { path: PathBuf },
    /// The coordinator no longer accepts the device's token, and there is no join code.
    #[error(
        "the coordinator no longer accepts this device ({0}): the device was revoked, or the \
         coordinator lost its data; enroll the device again with a new --join code"
    )]
    Revoked(Problem),
    #[error("the coordinator refused to enroll this device: {0}")]
    Refused(Problem),
    #[error("{0}")]
    SecondSession(Problem),
    #[error(transparent)]
    NotProven(#[from] NotProven),
    #[error("can't create a key for this device: the system provides no random numbers")]
    Randomness,
    /// The coordinator uses another protocol version.
    #[error("{0}; use the same version for the coordinator and this worker")]
    Coordinator(String),
}
