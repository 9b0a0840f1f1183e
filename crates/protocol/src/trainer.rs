//! What a trainer and the process that supervises it say to each other: one JSON value a line,
//! requests on the trainer's standard input, replies on its standard output.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::BlobHash;
use crate::encrypted_file::StorageKey;
use crate::fingerprint::Fingerprint;
use crate::metrics::{EvalMetrics, TrainMetrics};
use crate::model::ModelSpec;
use crate::plan::Plan;

/// From the supervisor. One job at a time: `stop` is the only request heard while one runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum TrainerRequest {
    Initialize(InitializeRequest),
    Train(TrainRequest),
    Evaluate(EvaluateRequest),
    Predict(PredictRequest),
    /// End the running request between two steps, without a checkpoint.
    Stop,
}

/// Make a job's initial weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InitializeRequest {
    pub spec: ModelSpec,
    pub seed: u64,
    /// Where the flat vector goes.
    pub output: PathBuf,
}

/// Train one lease.
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
    /// Where checkpoints are written and looked for; replaced atomically, removed at the end.
    /// A checkpoint of other work (see [`TrainRequest::work`]) is ignored.
    pub checkpoint: PathBuf,
    /// Seconds between checkpoints.
    pub checkpoint_seconds: f64,
    /// Where the update goes.
    pub output: PathBuf,
    /// What the files above are sealed with, those that are read and those that are written; none
    /// where they are plain. It travels in this pipe alone, never in arguments or the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<StorageKey>,
}

impl TrainRequest {
    /// What names the work whatever the folders are called: equal values mean equal results.
    pub fn work(&self, base: BlobHash, shards: &[BlobHash]) -> BlobHash {
        let named = (&self.spec, &self.plan, self.seed, self.round, self.partition, base, shards);
        BlobHash::of(&serde_json::to_vec(&named).unwrap_or_default())
    }
}

/// Measure a model on held-out rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluateRequest {
    pub spec: ModelSpec,
    /// A flat vector.
    pub model: PathBuf,
    pub shards: Vec<PathBuf>,
}

/// Tell of one row which class it is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictRequest {
    pub spec: ModelSpec,
    /// A model file ([`crate::model_file`]), or a flat vector.
    pub model: PathBuf,
    /// The row, alone in a shard; its label is not looked at.
    pub shard: PathBuf,
}

/// From the trainer. The first line is always `ready` or `failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum TrainerReply {
    Ready(Ready),
    /// At most ten a second; `step` is what is done. Also sent in evaluation.
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
    /// In the order of the model's outputs; together they are 1.
    Predicted {
        probabilities: Vec<f64>,
    },
    /// The answer to `stop`, and to a request that it ended.
    Stopped {
        step: u64,
    },
    /// The running request failed, or the trainer can't start. It stays alive unless it says
    /// nothing more.
    Failed {
        failure: TrainerFailure,
        message: String,
    },
}

/// A trainer that can work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    pub fingerprint: Fingerprint,
    /// The adapter's name; none on the CPU.
    pub gpu_name: Option<String>,
    /// Why this backend was taken, in plain words.
    pub reason: String,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainerFailure {
    /// The asked backend can't be had here.
    Backend,
    /// The spec or plan can't be built.
    Spec,
    /// A shard or model file is missing or broken.
    Data,
    /// Loss or parameters are no longer finite.
    Diverged,
    /// Writing failed: disk full, permissions.
    Disk,
    Internal,
}
