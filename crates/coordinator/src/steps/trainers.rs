//! The coordinator's own trainer process: makes initial weights, evaluates models and predicts. It
//! starts on demand and stops after [`IDLE_TIMEOUT`].

use std::sync::Arc;
use std::time::Duration;

use protocol::BlobHash;
use protocol::metrics::EvalMetrics;
use protocol::trainer::{EvaluateRequest, InitializeRequest, PredictRequest, TrainerFailure};
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;
use trainer::{Limits, Trainer, TrainerCommand, TrainerError};

use super::error::StepError;

/// Time without a request after which the trainer is stopped.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that a trainer has to exit before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// Thread limit: more threads don't make evaluation faster.
const MAXIMUM_THREADS: usize = 8;

/// One trainer process, shared by all jobs or by all predictions and started on demand.
#[derive(Clone)]
pub(crate) struct Trainers {
    command: TrainerCommand,
    limits: Limits,
    slot: Arc<Mutex<TrainerSlot>>,
}

#[derive(Default)]
struct TrainerSlot {
    trainer: Option<Trainer>,
    /// Requests so far. The idle timer stops the trainer only if this has not changed.
    uses: u64,
}

impl std::fmt::Debug for Trainers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainers").field("command", &self.command).finish_non_exhaustive()
    }
}

impl Trainers {
    /// Trainers run at background priority if `nice` is true.
    pub(crate) fn new(command: TrainerCommand, nice: bool) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = u32::try_from(threads.min(MAXIMUM_THREADS)).unwrap_or(1);
        let mut limits = Limits::new(threads);
        limits.nice = nice;
        limits.stop_grace = STOP_TIMEOUT;
        Self { command, limits, slot: Arc::default() }
    }

    pub(crate) async fn initialize(
        &self,
        request: InitializeRequest,
        cancel: &CancellationToken,
    ) -> Result<BlobHash, StepError> {
        let mut slot = self.acquire().await?;
        let Some(trainer) = slot.trainer.as_mut() else { return Err(StepError::Cancelled) };
        let result = trainer.initialize(request, cancel).await;
        self.release(slot, result)
    }

    pub(super) async fn measure(
        &self,
        request: EvaluateRequest,
        cancel: &CancellationToken,
    ) -> Result<EvalMetrics, StepError> {
        let mut slot = self.acquire().await?;
        let Some(trainer) = slot.trainer.as_mut() else { return Err(StepError::Cancelled) };
        let result = trainer.evaluate(request, &mut |_| {}, cancel).await;
        self.release(slot, result)
    }

    /// Returns the probability of each class for one row.
    pub(crate) async fn predict(
        &self,
        request: PredictRequest,
        cancel: &CancellationToken,
    ) -> Result<Vec<f64>, StepError> {
        let mut slot = self.acquire().await?;
        let Some(trainer) = slot.trainer.as_mut() else { return Err(StepError::Cancelled) };
        let result = trainer.predict(request, cancel).await;
        self.release(slot, result)
    }

    /// Stops the trainer if one is running.
    pub(crate) async fn stop(&self) {
        if let Some(trainer) = self.slot.lock().await.trainer.take() {
            trainer.stop(STOP_TIMEOUT).await;
        }
    }

    /// Locks the trainer for one request, starting it if necessary.
    async fn acquire(&self) -> Result<MutexGuard<'_, TrainerSlot>, StepError> {
        let mut slot = self.slot.lock().await;
        slot.uses += 1;
        if slot.trainer.is_none() {
            let started = Trainer::start(&self.command, &self.limits)
                .await
                .map_err(|error| step_error(&error))?;
            slot.trainer = Some(started.0);
        }
        Ok(slot)
    }

    /// Ends a request: drops a dead trainer, or starts the idle timer of a living one.
    fn release<T>(
        &self,
        mut slot: MutexGuard<'_, TrainerSlot>,
        result: Result<T, TrainerError>,
    ) -> Result<T, StepError> {
        if result.as_ref().is_err_and(|error| !error.is_alive()) {
            slot.trainer = None;
            return result.map_err(|error| step_error(&error));
        }
        let (uses, shared) = (slot.uses, Arc::clone(&self.slot));
        tokio::spawn(async move {
            tokio::time::sleep(IDLE_TIMEOUT).await;
            let mut slot = shared.lock().await;
            if slot.uses == uses
                && let Some(trainer) = slot.trainer.take()
            {
                trainer.stop(STOP_TIMEOUT).await;
            }
        });
        result.map_err(|error| step_error(&error))
    }
}

fn step_error(error: &TrainerError) -> StepError {
    match error {
        TrainerError::Failed { failure, message } => match failure {
            TrainerFailure::Disk => StepError::Full,
            TrainerFailure::Internal => StepError::Transient(message.clone()),
            TrainerFailure::Backend
            | TrainerFailure::Spec
            | TrainerFailure::Data
            | TrainerFailure::Diverged => StepError::Permanent(message.clone()),
        },
        TrainerError::Start { .. } => StepError::Permanent(error.to_string()),
        TrainerError::Exited { .. } | TrainerError::Memory { .. } | TrainerError::Protocol(_) => {
            StepError::Transient(error.to_string())
        }
        TrainerError::Cancelled { .. } => StepError::Cancelled,
    }
}
