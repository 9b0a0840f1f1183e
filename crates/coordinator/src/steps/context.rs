//! Input and shared resources of a step.

use std::sync::Arc;

use federation::machine::{Effect, Preparation};
use protocol::JobId;
use protocol::job::JobSpec;
use tokio::runtime::Handle;

use super::error::StepError;
use super::trainers::Trainers;
use crate::blobs::Blobs;
use crate::datasets::Datasets;
use crate::observer::Observer;
use crate::store::DatasetPin;

/// Input of a step.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) job: JobId,
    pub(crate) spec: JobSpec,
    /// Version of an uploaded dataset that the job uses.
    pub(crate) dataset: Option<DatasetPin>,
    /// Set for every step after the preparation.
    pub(crate) preparation: Option<Arc<Preparation>>,
    /// Number of closed rounds.
    pub(crate) rounds: usize,
    pub(crate) effect: Effect,
}

/// Shared resources of all steps.
#[derive(Debug, Clone)]
pub(crate) struct StepContext {
    pub(crate) runtime: Handle,
    pub(crate) blobs: Blobs,
    pub(crate) datasets: Datasets,
    pub(crate) trainers: Trainers,
    pub(crate) observer: Observer,
}

/// Callback for a step's progress notes.
pub(crate) type ProgressFn = Arc<dyn Fn(String) + Send + Sync>;

/// Runs blocking work on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StepError> + Send + 'static,
) -> Result<T, StepError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(StepError::Permanent(format!("internal: {error}"))))
}
