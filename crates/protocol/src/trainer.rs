//! Trainer protocol between a trainer and its supervising process: one JSON value per line,
//! requests on the trainer's standard input, replies on its standard output.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::BlobHash;
use crate::encrypted_file::StorageKey;
use crate::fingerprint::Fingerprint;
use crate::metrics::{EvalMetrics, TrainMetrics};
use crate::model::ModelSpec;
use crate::plan::Plan;

/// Request from the supervisor. One runs at a time. While one runs, only `stop` is processed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum TrainerRequest {
    Initialize(InitializeRequest),
    Train(TrainRequest),
    Evaluate(EvaluateRequest),
    Predict(PredictRequest),
    /// Ends the running request between two steps, without a checkpoint.
    Stop,
}

/// Creates a job's initial weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InitializeRequest {
    pub spec: ModelSpec,
    pub seed: u64,
    /// Output file for the flat vector.
    pub output: PathBuf,
}

/// Trains one lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainRequest {
    pub spec: ModelSpec,
    pub plan: Plan,
    pub seed: u64,
    pub round: u32,
    pub partition: u32,
    /// The round's base model, a flat vector.
    pub base: PathBuf,
    pub shards: Vec<PathBuf>,
    /// Checkpoint file to read and write. It is replaced atomically and removed at the end. A
    /// checkpoint of other work (see [`TrainRequest::work`]) is ignored.
    pub checkpoint: PathBuf,
    /// Seconds between checkpoints.
    pub checkpoint_seconds: f64,
    /// Output file for the update.
    pub output: PathBuf,
    /// Encryption key of the files above, read and written. `None` if they are plain. It travels in
    /// this pipe alone, never in arguments or the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<StorageKey>,
}

impl TrainRequest {
    /// Returns an id of the work that is independent of paths. Equal ids mean equal results.
    pub fn work(&self, base: BlobHash, shards: &[BlobHash]) -> BlobHash {
        let named = (&self.spec, &self.plan, self.seed, self.round, self.partition, base, shards);
        BlobHash::compute(&serde_json::to_vec(&named).unwrap_or_default())
    }
}

/// Evaluates a model on held-out rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluateRequest {
    pub spec: ModelSpec,
    /// Flat vector.
    pub model: PathBuf,
    pub shards: Vec<PathBuf>,
}

/// Predicts the class of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictRequest {
    pub spec: ModelSpec,
    /// Model file ([`crate::model_file`]) or flat vector.
    pub model: PathBuf,
    /// Shard with exactly one row. Its label is ignored.
    pub shard: PathBuf,
}

/// Reply from the trainer. The first line is always `ready` or `failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum TrainerReply {
    Ready(Ready),
    /// Sent at most ten times a second, also in evaluation. `step` counts finished steps.
    Progress {
        step: u64,
        steps: u64,
        loss: f64,
        examples_per_second: f64,
    },
    Initialized {
        model: BlobHash,
    },
    Trained {
        update: BlobHash,
        metrics: TrainMetrics,
    },
    Evaluated {
        metrics: EvalMetrics,
    },
    /// Probabilities in the order of the model's outputs. Their sum is 1.
    Predicted {
        probabilities: Vec<f64>,
    },
    /// Response to `stop`, and to the request that it ended.
    Stopped {
        step: u64,
    },
    /// The running request failed, or the trainer cannot start. Afterwards the trainer accepts
    /// further requests, unless it could not start.
    Failed {
        failure: TrainerFailure,
        message: String,
    },
}

/// Trainer that is ready for requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    pub fingerprint: Fingerprint,
    /// Name of the GPU adapter. `None` on the CPU.
    pub gpu_name: Option<String>,
    /// Plain-language reason for the choice of backend.
    pub reason: String,
}

/// Cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainerFailure {
    /// The requested backend is not available on this machine.
    Backend,
    /// The spec or plan cannot be built.
    Spec,
    /// A shard or model file is missing or damaged.
    Data,
    /// The loss or a parameter is no longer finite.
    Diverged,
    /// Writing failed, such as a full disk or missing permissions.
    Disk,
    Internal,
}
