//! The coordinator's own trainer: it makes initial weights and measures models, and is let go when
//! there was nothing to do for a while.

use std::sync::Arc;
use std::time::Duration;

use federation::machine::Preparation;
use protocol::BlobHash;
use protocol::metrics::EvalMetrics;
use protocol::trainer::{EvaluateRequest, InitializeRequest, PredictRequest, TrainerFailure};
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;
use trainer::{Limits, Trainer, TrainerCommand, TrainerError};

use crate::driver::{StepContext, StepError};

/// A trainer without work is kept this long.
const IDLE: Duration = Duration::from_secs(30);
/// For a trainer that is let go to end by itself.
const GRACE: Duration = Duration::from_secs(1);
/// More threads than this don't make evaluation faster.
const MOST_THREADS: usize = 8;

/// One trainer for all jobs, or for all predictions, started when it is needed.
#[derive(Clone)]
pub(crate) struct Trainers {
    command: TrainerCommand,
    limits: Limits,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    trainer: Option<Trainer>,
    /// Requests so far: tells an idle trainer from one that was asked again meanwhile.
    uses: u64,
}

impl std::fmt::Debug for Trainers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainers").field("command", &self.command).finish_non_exhaustive()
    }
}

impl Trainers {
    /// At background priority where `nice`.
    pub(crate) fn new(command: TrainerCommand, nice: bool) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = u32::try_from(threads.min(MOST_THREADS)).unwrap_or(1);
        let mut limits = Limits::new(threads);
        limits.nice = nice;
        limits.stop_grace = GRACE;
        Self { command, limits, kept: Arc::default() }
    }

    pub(crate) async fn initialize(
        &self,
        request: InitializeRequest,
        cancel: &CancellationToken,
    ) -> Result<BlobHash, StepError> {
        let mut kept = self.trainer().await?;
        let Some(trainer) = kept.trainer.as_mut() else { return Err(StepError::Cancelled) };
        let result = trainer.initialize(request, cancel).await;
        self.give_back(kept, result)
    }

    async fn measure(
        &self,
        request: EvaluateRequest,
        cancel: &CancellationToken,
    ) -> Result<EvalMetrics, StepError> {
        let mut kept = self.trainer().await?;
        let Some(trainer) = kept.trainer.as_mut() else { return Err(StepError::Cancelled) };
        let result = trainer.evaluate(request, &mut |_| {}, cancel).await;
        self.give_back(kept, result)
    }

    /// How probable each class is for one row.
    pub(crate) async fn predict(
        &self,
        request: PredictRequest,
        cancel: &CancellationToken,
    ) -> Result<Vec<f64>, StepError> {
        let mut kept = self.trainer().await?;
        let Some(trainer) = kept.trainer.as_mut() else { return Err(StepError::Cancelled) };
        let result = trainer.predict(request, cancel).await;
        self.give_back(kept, result)
    }

    /// Ends the trainer, where there is one.
    pub(crate) async fn stop(&self) {
        if let Some(trainer) = self.kept.lock().await.trainer.take() {
            trainer.stop(GRACE).await;
        }
    }

    /// The trainer for one request, alone.
    async fn trainer(&self) -> Result<MutexGuard<'_, Kept>, StepError> {
        let mut kept = self.kept.lock().await;
        kept.uses += 1;
        if kept.trainer.is_none() {
            let started =
                Trainer::start(&self.command, &self.limits).await.map_err(|error| fault(&error))?;
            kept.trainer = Some(started.0);
        }
        Ok(kept)
    }

    fn give_back<T>(
        &self,
        mut kept: MutexGuard<'_, Kept>,
        result: Result<T, TrainerError>,
    ) -> Result<T, StepError> {
        if result.as_ref().is_err_and(|error| !error.is_alive()) {
            kept.trainer = None;
            return result.map_err(|error| fault(&error));
        }
        let (uses, keeper) = (kept.uses, Arc::clone(&self.kept));
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            let mut kept = keeper.lock().await;
            if kept.uses == uses
                && let Some(trainer) = kept.trainer.take()
            {
                trainer.stop(GRACE).await;
            }
        });
        result.map_err(|error| fault(&error))
    }
}

fn fault(error: &TrainerError) -> StepError {
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

/// A model's quality on the test split and, where there is one, on the validation split.
pub(crate) async fn evaluate(
    context: &StepContext,
    preparation: &Preparation,
    model: BlobHash,
    cancel: &CancellationToken,
) -> Result<(EvalMetrics, Option<EvalMetrics>), StepError> {
    let request = |shards: &[BlobHash]| EvaluateRequest {
        spec: preparation.spec.clone(),
        model: context.blobs.path(model),
        shards: shards.iter().map(|shard| context.blobs.path(*shard)).collect(),
    };
    let test = context.trainers.measure(request(&preparation.test), cancel).await?;
    if preparation.validation.is_empty() {
        return Ok((test, None));
    }
    let validation = context.trainers.measure(request(&preparation.validation), cancel).await?;
    Ok((test, Some(validation)))
}
