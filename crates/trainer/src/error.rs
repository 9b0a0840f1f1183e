//! Errors of a trainer process.

use std::fmt;
use std::process::ExitStatus;

use protocol::trainer::TrainerFailure;

/// Why a request to a trainer failed. The process is gone after every error except
/// [`TrainerError::Failed`] and [`TrainerError::Cancelled`] with `killed: false`; see
/// [`TrainerError::is_alive`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrainerError {
    /// The program could not be started, or was not ready in time.
    #[error("can't start the trainer {program}: {detail}")]
    Start { program: String, detail: String },
    /// The process exited by itself or was killed by another process.
    #[error("the trainer ended unexpectedly{}{}", status_text(*.status), stderr_text(.stderr))]
    Exited {
        status: Option<ExitStatus>,
        /// Last lines on standard error, oldest first.
        stderr: Vec<String>,
    },
    /// The process exceeded its memory limit and was killed. Sizes in bytes.
    #[error(
        "the trainer used {} of memory, more than its limit of {}",
        megabytes(*.used),
        megabytes(*.limit)
    )]
    Memory { used: u64, limit: u64 },
    /// The process sent an invalid or unexpected reply and was killed.
    #[error("the trainer sent an invalid reply: {0}")]
    Protocol(String),
    /// The request failed. The process is still running.
    #[error("the trainer failed: {message}")]
    Failed { failure: TrainerFailure, message: String },
    /// The request was canceled. The process stopped working, or was killed because it did not in time.
    #[error("the trainer was stopped")]
    Cancelled { killed: bool },
}

impl TrainerError {
    /// Whether the same process can take another request.
    pub const fn is_alive(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Cancelled { killed: false })
    }
}

fn status_text(status: Option<ExitStatus>) -> String {
    status.map(|status| format!(" ({status})")).unwrap_or_default()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

fn stderr_text(stderr: &[String]) -> impl fmt::Display {
    if stderr.is_empty() { String::new() } else { format!(": {}", stderr.join(" | ")) }
}
