//! Training engine, the only crate that uses burn: a spec becomes a module, a lease becomes an
//! update, a model becomes metrics. One code path over `&Device` serves every backend.

mod backend;
mod batch;
mod checkpoint;
mod compute_device;
mod error;
mod evaluate;
mod files;
mod fingerprint;
mod initial;
mod network;
mod optimizer;
mod prefetch;
#[cfg(test)]
mod testing;
mod token_ids;
mod train;
mod trainer_server;

pub use backend::{BackendChoice, UnknownBackend};
pub use compute_device::ComputeDevice;
pub use error::EngineError;
pub use evaluate::{evaluate, predict};
pub use initial::initialize;
pub use train::{Checkpoints, Control, StepReport, TrainJob, Trained, TrainingEnd, train};
pub use trainer_server::{ServeOptions, Served, serve};

/// Converts an error that the device reported.
fn device_failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Internal(format!("the device failed: {error}"))
}

/// Returns the message of a panic.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_else(|| "no message".to_owned()))
}
