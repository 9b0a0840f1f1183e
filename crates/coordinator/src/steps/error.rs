//! Error that ends a step.

use crate::blobs;

/// Error that ended a step. It decides whether the step is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StepError {
    /// The disk or the disk quota is full. The step is retried.
    #[error(
        "the coordinator's disk or disk quota is full: free space or raise --maximum-disk-gb; the job \
         resumes automatically"
    )]
    Full,
    /// A trainer or a connection broke. The step is retried.
    #[error("{0}")]
    Transient(String),
    /// The step can't succeed.
    #[error("{0}")]
    Permanent(String),
    /// The result is no longer needed.
    #[error("cancelled")]
    Cancelled,
}

impl StepError {
    /// Converts an I/O error of a blob; `what` says what failed.
    pub(crate) fn io(what: &str) -> impl Fn(std::io::Error) -> Self {
        move |error| {
            if blobs::is_full(&error) {
                return Self::Full;
            }
            Self::Permanent(format!("{what}: {error}"))
        }
    }
}
