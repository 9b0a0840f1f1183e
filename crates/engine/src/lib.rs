//! The only crate that knows burn: a spec becomes a module, a lease becomes an update, a model
//! becomes metrics. One code path over `&Device` for every backend.

mod batch;
mod checkpoint;
mod compute;
mod error;
mod evaluate;
mod files;
mod fingerprint;
mod initial;
mod network;
mod optimizer;
mod prefetch;
mod train;

pub use compute::Compute;
pub use error::EngineError;
pub use evaluate::evaluate;
pub use initial::initialize;
pub use train::{Checkpoints, Control, Ended, StepReport, TrainJob, Trained, train};

/// What the device reported in place of a result.
fn device_failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Internal(format!("the device failed: {error}"))
}
