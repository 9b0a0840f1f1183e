//! Trainer child process, from its parent's side: start, send requests, stop, kill.
//!
//! The child computes. The parent survives whatever happens to the child: every failure of the child is
//! a [`TrainerError`], which says whether the child is still running.

mod error;
mod lines;
mod process;
mod run;

use std::path::PathBuf;
use std::time::Duration;

pub use error::TrainerError;
pub use process::Trainer;
pub use run::Trained;

/// Command line of a trainer, such as `constellation trainer --backend cpu`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainerCommand {
    pub program: PathBuf,
    pub args: Vec<String>,
}

/// Resource and time limits of a trainer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Number of computing threads, fixed for the life of the process.
    pub threads: u32,
    /// Whether to run at background priority.
    pub nice: bool,
    /// Maximum private memory in bytes; the process is killed above it. `None` means no limit.
    pub memory: Option<u64>,
    /// Time from the start to the first reply. A GPU compiles its shaders for the self-test meanwhile.
    pub start_timeout: Duration,
    /// Time from a stop request to its answer, after which the process is killed.
    pub stop_grace: Duration,
}

impl Limits {
    /// Limits with background priority, no memory limit, five minutes to start and 30 ms to stop.
    ///
    /// A touch is noticed within 50 ms, and a kill after the 30 ms takes less than 10 ms more, so
    /// computing ends within 100 ms of the touch. See "How fast it stops" in
    /// `docs/design/idle-policy.md`.
    pub const fn new(threads: u32) -> Self {
        Self {
            threads,
            nice: true,
            memory: None,
            start_timeout: Duration::from_mins(5),
            stop_grace: Duration::from_millis(30),
        }
    }
}
