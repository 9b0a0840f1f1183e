//! What ends a worker.

use std::io;
use std::path::PathBuf;

use protocol::Problem;
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
    #[error("this device is not registered: give a join token with --join")]
    NotRegistered,
    /// The coordinator doesn't know the device's token any more, and there is no join token.
    #[error(
        "the coordinator doesn't accept this device any more ({0}): it was revoked, or the \
         coordinator's data is gone; register again with a new --join token"
    )]
    Revoked(Problem),
    #[error("the coordinator refused to register this device: {0}")]
    Refused(Problem),
    /// The coordinator speaks another protocol.
    #[error("{0}; do the coordinator and this worker have the same version?")]
    Coordinator(String),
}
