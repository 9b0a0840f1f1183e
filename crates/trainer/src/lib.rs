//! The trainer child process seen from its parent: start, ask, stop, kill.
//!
//! The child computes; the parent stays small and alive whatever happens to the child. Everything
//! that can go wrong with it is a [`TrainerError`], and after one that says so the child is gone.

mod error;
mod lines;
mod process;
mod run;

use std::path::PathBuf;
use std::time::Duration;

pub use error::TrainerError;
pub use process::Trainer;
pub use run::Trained;

/// The program that is a trainer, such as `constellation trainer --backend cpu`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainerCommand {
    pub program: PathBuf,
    pub args: Vec<String>,
}

/// What a trainer may take and how long it may be waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Threads it computes with; part of what decides its bits, so a trainer with other threads is
    /// another trainer.
    pub threads: u32,
    /// At background priority.
    pub nice: bool,
    /// Bytes of memory of its own that it may take: with more it is killed. None is without limit.
    pub memory: Option<u64>,
    /// From its start to its first line: a GPU compiles its shaders for the self-test in it.
    pub start_timeout: Duration,
    /// From `stop` to its answer; then it is killed.
    pub stop_grace: Duration,
}

impl Limits {
    /// Background priority, memory as it comes, a start of at most five minutes, 30 ms to stop: then it is gone
    /// within 40, and within 100 after a touch, which is seen after 50 at the latest (DESIGN §1).
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
