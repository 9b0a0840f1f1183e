//! Requests to a trainer: sending, progress, cancellation, and the typed requests.

use protocol::BlobHash;
use protocol::lease::Progress;
use protocol::metrics::{EvalMetrics, TrainMetrics};
use protocol::trainer::{
    EvaluateRequest, InitializeRequest, PredictRequest, TrainRequest, TrainerReply, TrainerRequest,
};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{Trainer, TrainerError};

/// Result of training a lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// Hash of the file at the request's `output`.
    pub update: BlobHash,
    pub metrics: TrainMetrics,
}

impl Trainer {
    /// Sends a request and returns its final reply: `Initialized`, `Trained`, `Evaluated` or
    /// `Predicted`.
    ///
    /// When `cancel` fires, the trainer is asked to stop, and killed if it does not answer within
    /// `Limits::stop_grace`. A request that finishes just then still counts as finished. Dropping the
    /// future leaves the trainer working; the next call kills it.
    ///
    /// # Errors
    /// See [`TrainerError`]. Its `is_alive` says whether the trainer can take another request.
    pub async fn run(
        &mut self,
        request: &TrainerRequest,
        on_progress: &mut (dyn FnMut(Progress) + Send),
        cancel: &CancellationToken,
    ) -> Result<TrainerReply, TrainerError> {
        if cancel.is_cancelled() {
            return Err(TrainerError::Cancelled { killed: self.kill_if_busy().await });
        }
        if self.kill_if_busy().await {
            return Err(TrainerError::Cancelled { killed: true });
        }
        self.busy = true;
        tokio::select! {
            sent = self.send(request) => sent?,
            // Part of a line may have been written, so the trainer can't be used any more.
            () = cancel.cancelled() => {
                self.kill().await;
                return Err(TrainerError::Cancelled { killed: true });
            }
        }
        let mut over_limit = std::pin::pin!(Self::until_over_limit(self.pid(), self.limits.memory));
        let result = loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break self.stop_request().await,
                error = &mut over_limit => {
                    self.kill().await;
                    return Err(error);
                }
                reply = self.reply() => match reply? {
                    TrainerReply::Progress { step, steps, loss, examples_per_second } => {
                        on_progress(Progress { step, steps, loss, examples_per_second });
                    }
                    // Answers a `stop` that arrived after the previous request had ended.
                    TrainerReply::Stopped { .. } => {}
                    reply @ TrainerReply::Ready(_) => return Err(self.unexpected(&reply).await),
                    reply @ (TrainerReply::Initialized { .. }
                    | TrainerReply::Trained { .. }
                    | TrainerReply::Evaluated { .. }
                    | TrainerReply::Predicted { .. }
                    | TrainerReply::Failed { .. }) => break finished(reply),
                },
            }
        };
        self.busy = false;
        result
    }

    /// Creates a job's initial weights. Returns the hash of the file at `output`.
    pub async fn initialize(
        &mut self,
        request: InitializeRequest,
        cancel: &CancellationToken,
    ) -> Result<BlobHash, TrainerError> {
        let request = TrainerRequest::Initialize(request);
        let reply = self.run(&request, &mut |_| {}, cancel).await?;
        if let TrainerReply::Initialized { model } = reply {
            return Ok(model);
        }
        Err(self.unexpected(&reply).await)
    }

    /// Trains one lease.
    pub async fn train(
        &mut self,
        request: TrainRequest,
        on_progress: &mut (dyn FnMut(Progress) + Send),
        cancel: &CancellationToken,
    ) -> Result<Trained, TrainerError> {
        let request = TrainerRequest::Train(request);
        let reply = self.run(&request, on_progress, cancel).await?;
        if let TrainerReply::Trained { update, metrics } = reply {
            return Ok(Trained { update, metrics });
        }
        Err(self.unexpected(&reply).await)
    }

    /// Evaluates a model.
    pub async fn evaluate(
        &mut self,
        request: EvaluateRequest,
        on_progress: &mut (dyn FnMut(Progress) + Send),
        cancel: &CancellationToken,
    ) -> Result<EvalMetrics, TrainerError> {
        let request = TrainerRequest::Evaluate(request);
        let reply = self.run(&request, on_progress, cancel).await?;
        if let TrainerReply::Evaluated { metrics } = reply {
            return Ok(metrics);
        }
        Err(self.unexpected(&reply).await)
    }

    /// Predicts the probability of each class for one row.
    pub async fn predict(
        &mut self,
        request: PredictRequest,
        cancel: &CancellationToken,
    ) -> Result<Vec<f64>, TrainerError> {
        let request = TrainerRequest::Predict(request);
        let reply = self.run(&request, &mut |_| {}, cancel).await?;
        if let TrainerReply::Predicted { probabilities } = reply {
            return Ok(probabilities);
        }
        Err(self.unexpected(&reply).await)
    }

    async fn send(&mut self, request: &TrainerRequest) -> Result<(), TrainerError> {
        let mut line = serde_json::to_vec(request).unwrap_or_default();
        line.push(b'\n');
        let written = match &mut self.stdin {
            Some(stdin) => match stdin.write_all(&line).await {
                Ok(()) => stdin.flush().await.is_ok(),
                Err(_) => false,
            },
            None => false,
        };
        if written { Ok(()) } else { Err(self.exited().await) }
    }

    /// Stops the running request, by a kill if it does not stop within `Limits::stop_grace`.
    async fn stop_request(&mut self) -> Result<TrainerReply, TrainerError> {
        let deadline = Instant::now() + self.limits.stop_grace;
        let mut finished_before = None;
        let stopped = timeout_at(deadline, async {
            self.send(&TrainerRequest::Stop).await?;
            loop {
                match self.reply().await? {
                    TrainerReply::Stopped { .. } => return Ok(()),
                    TrainerReply::Progress { .. } | TrainerReply::Ready(_) => {}
                    reply @ (TrainerReply::Initialized { .. }
                    | TrainerReply::Trained { .. }
                    | TrainerReply::Evaluated { .. }
                    | TrainerReply::Predicted { .. }
                    | TrainerReply::Failed { .. }) => finished_before = Some(finished(reply)),
                }
            }
        })
        .await;
        match (finished_before, stopped) {
            (Some(result), _) => result,
            (None, Ok(Err(error))) => Err(error),
            (None, Ok(Ok(()))) => Err(TrainerError::Cancelled { killed: false }),
            (None, Err(_)) => {
                self.kill().await;
                Err(TrainerError::Cancelled { killed: true })
            }
        }
    }

    /// Kills the trainer if it is still working on a request whose future was dropped. Returns whether it
    /// was.
    async fn kill_if_busy(&mut self) -> bool {
        if self.busy {
            self.kill().await;
        }
        self.busy
    }
}

fn finished(reply: TrainerReply) -> Result<TrainerReply, TrainerError> {
    if let TrainerReply::Failed { failure, message } = reply {
        return Err(TrainerError::Failed { failure, message });
    }
    Ok(reply)
}
