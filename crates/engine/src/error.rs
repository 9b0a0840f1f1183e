//! Errors of the engine, by what the caller can do about them.

use std::path::PathBuf;

use data::shard::ShardError;
use protocol::codec::CodecError;
use protocol::model::SpecError;
use protocol::trainer::TrainerFailure;

/// Error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The requested backend is not available on this machine.
    #[error("{0}")]
    Backend(String),
    /// The model cannot be built, or does not fit the rows.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The plan is invalid.
    #[error("{0}")]
    Plan(&'static str),
    #[error("can't read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}", path = path.display())]
    Shard { path: PathBuf, source: ShardError },
    #[error("{path}: {source}", path = path.display())]
    Model { path: PathBuf, source: CodecError },
    /// The number of parameters differs from the spec's.
    #[error("the model has {actual} parameters, but its spec has {expected}")]
    Parameters { expected: usize, actual: usize },
    /// A row does not fit the spec.
    #[error("row {row} {problem}")]
    Row { row: usize, problem: String },
    #[error("the shards have no rows")]
    NoRows,
    /// The loss or a parameter is no longer finite. A smaller learning rate helps.
    #[error(
        "training diverged at step {step}: {what} is no longer finite; try a lower learning rate"
    )]
    Diverged { step: u64, what: &'static str },
    #[error("can't write {path}: {source}", path = path.display())]
    Disk { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Internal(String),
}

impl EngineError {
    /// Returns the cause for the trainer protocol.
    pub const fn failure(&self) -> TrainerFailure {
        match self {
            Self::Backend(_) => TrainerFailure::Backend,
            Self::Spec(_) | Self::Plan(_) => TrainerFailure::Spec,
            Self::Read { .. }
            | Self::Shard { .. }
            | Self::Model { .. }
            | Self::Parameters { .. }
            | Self::Row { .. }
            | Self::NoRows => TrainerFailure::Data,
            Self::Diverged { .. } => TrainerFailure::Diverged,
            Self::Disk { .. } => TrainerFailure::Disk,
            Self::Internal(_) => TrainerFailure::Internal,
        }
    }
}
