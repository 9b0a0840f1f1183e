//! What can go wrong in an engine, by what whoever asked can do about it.

use std::path::PathBuf;

use data::shard::ShardError;
use protocol::codec::CodecError;
use protocol::model::SpecError;
use protocol::trainer::TrainerFailure;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The asked backend can't be had on this machine.
    #[error("{0}")]
    Backend(String),
    /// The model can't be built, or doesn't fit the rows.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The plan makes no sense.
    #[error("{0}")]
    Plan(&'static str),
    #[error("{path} can't be read: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}", path = path.display())]
    Shard { path: PathBuf, source: ShardError },
    #[error("{path}: {source}", path = path.display())]
    Model { path: PathBuf, source: CodecError },
    /// Not as many parameters as the spec has.
    #[error("the model has {actual} parameters, but its spec has {expected}")]
    Parameters { expected: usize, actual: usize },
    /// A row doesn't fit the spec.
    #[error("row {row} {problem}")]
    Row { row: usize, problem: String },
    #[error("there are no rows")]
    NoRows,
    /// Loss or parameters are no longer finite: a smaller learning rate helps.
    #[error(
        "training diverged at step {step}: {what} is no longer finite; try a lower learning rate"
    )]
    Diverged { step: u64, what: &'static str },
    #[error("{path} can't be written: {source}", path = path.display())]
    Disk { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Internal(String),
}

impl EngineError {
    /// Whose fault it is, in the trainer's protocol.
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
