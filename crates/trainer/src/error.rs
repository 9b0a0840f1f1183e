//! What can go wrong with a trainer.

use std::fmt;
use std::process::ExitStatus;

use protocol::trainer::TrainerFailure;

/// Why a trainer gave no answer. After every variant but [`TrainerError::Failed`] and
/// [`TrainerError::Cancelled`] with `killed: false` the process is gone: start another.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrainerError {
    /// It could not be started, or was not ready in time.
    #[error("can't start the trainer {program}: {detail}")]
    Start { program: String, detail: String },
    /// It ended by itself or was killed by somebody else.
    #[error("the trainer ended{}{}", described(*.status), quoted(.stderr))]
    Exited {
        status: Option<ExitStatus>,
        /// Its last lines on standard error, oldest first.
        stderr: Vec<String>,
    },
    /// It took more memory than it may, and has been killed.
    #[error("the trainer took {} of memory and may take {}", megabytes(*.taken), megabytes(*.limit))]
    Memory { taken: u64, limit: u64 },
    /// It said something that is no reply, or not now; it has been killed.
    #[error("the trainer said something that can't be understood: {0}")]
    Protocol(String),
    /// The request failed. The trainer lives.
    #[error("the trainer failed: {message}")]
    Failed { failure: TrainerFailure, message: String },
    /// It was asked to stop and did, or was killed for not doing so in time.
    #[error("the trainer was stopped")]
    Cancelled { killed: bool },
}

impl TrainerError {
    /// Whether the same trainer can be asked again.
    pub const fn is_alive(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Cancelled { killed: false })
    }
}

fn described(status: Option<ExitStatus>) -> String {
    status.map(|status| format!(" ({status})")).unwrap_or_default()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

fn quoted(stderr: &[String]) -> impl fmt::Display {
    if stderr.is_empty() { String::new() } else { format!(": {}", stderr.join(" | ")) }
}
