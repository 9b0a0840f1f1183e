//! Bodies of the HTTP API for jobs, rounds, models, events and tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::job::{JobSpec, ModelType};
use crate::metrics::EvalMetrics;
use crate::model::ModelSpec;
use crate::{BlobHash, JobId, ModelId, Timestamp};

/// Status of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Created, not started.
    Pending,
    /// The coordinator fetches and partitions the dataset.
    Preparing,
    Running,
    Paused,
    Completed,
    Failed,
    Cancelled,
}

impl JobStatus {
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Preparing,
        Self::Running,
        Self::Paused,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Returns the status as it is written in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether the job has ended.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// Job as returned by the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    pub id: JobId,
    pub name: String,
    /// The preset's name, or `custom`.
    pub model_name: String,
    pub model_type: ModelType,
    /// Current name of the dataset. `config` has the name that the job was created with.
    pub dataset: String,
    /// Version of the dataset that the job uses, such as `reviews@2`. Absent for embedded and
    /// published datasets, which have one version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_version: Option<String>,
    /// Whether this version was deleted after the job ended.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dataset_deleted: bool,
    /// Whether the job is hidden from lists.
    #[serde(default, skip_serializing_if = "is_false")]
    pub archived: bool,
    pub status: JobStatus,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    /// Rounds to run.
    pub total_epochs: u32,
    /// Rounds closed.
    pub current_epoch: u32,
    /// 0 to 1. Includes the open round's seats.
    pub progress: f64,
    pub config: JobSpec,
    /// Plain-language reason for the status: what the job waits for, or why it failed.
    pub reason: Option<String>,
    /// The resolved model, once the dataset is loaded.
    pub spec: Option<ModelSpec>,
    /// Parameters of the model.
    pub parameters: Option<u64>,
    /// Quality of the last closed round on the test split.
    pub test_accuracy: Option<f64>,
    pub test_loss: Option<f64>,
    /// The registered model.
    pub model_id: Option<ModelId>,
    /// BLAKE3 of the registered model file.
    pub model_blake3: Option<BlobHash>,
    /// Leases that expired or were lost after their first step.
    pub leases_lost: u64,
    /// Creator's name as in the audit log, or null if it is no longer known.
    #[serde(default)]
    pub created_by: Option<String>,
    /// No progress for much longer than a lease of this job takes.
    #[serde(default)]
    pub stalled: bool,
    /// Full explanation of the status, one sentence per entry. Only in `GET /jobs/{id}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explanation: Vec<String>,
}

/// State of a seat in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeatState {
    Open,
    Leased,
    Reported,
    /// The round closed without an update for it.
    Lost,
}

/// Round of a job as returned by `GET /jobs/{id}/rounds`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Round {
    /// From 1.
    pub round: u32,
    pub seats: u32,
    pub reported: u32,
    pub leased: u32,
    pub opened_at: Timestamp,
    pub closed_at: Option<Timestamp>,
    /// Quality on the test split.
    pub evaluation: Option<EvalMetrics>,
    /// Row-weighted mean of the leases' training loss.
    pub train_loss: Option<f64>,
    /// Rows trained on, counting repeats.
    pub examples: u64,
    pub bytes_up: u64,
    pub bytes_down: u64,
    /// Median L2 norm of the round's updates, once the round is closed.
    #[serde(default)]
    pub median_norm: Option<f64>,
    #[serde(default)]
    pub largest_norm: Option<f64>,
    /// The round's global model, in [`crate::codec::Codec::F32Le`].
    pub model: Option<BlobHash>,
}

/// One point of a curve as returned by `GET /jobs/{id}/metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricPoint {
    pub round: u32,
    pub at: Timestamp,
    /// Metric such as `test_accuracy`, `test_loss`, `train_loss`.
    pub name: String,
    pub value: f64,
}

/// Log entry of a job as returned by `GET /jobs/{id}/log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    pub at: Timestamp,
    /// `created`, `started`, `paused`, `resumed`, `cancelled`, `completed`, `round_closed`,
    /// `lease_lost`, `stalled`, `moving` or `ended`.
    pub kind: String,
    /// Sentence for people.
    pub text: String,
}

/// Registered model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Model {
    pub id: ModelId,
    pub name: String,
    pub model_type: ModelType,
    /// Path of its bytes in this API.
    pub checkpoint_path: String,
    pub size_mb: f64,
    /// Status such as `ready`.
    pub status: String,
    pub created_at: Timestamp,
    /// Version number, counted from 1 for each name.
    pub version: u32,
    pub blake3: BlobHash,
    pub job_id: Option<JobId>,
    pub dataset: String,
    /// Version of the dataset that the model was trained on, such as `reviews@2`. Absent for embedded
    /// and published datasets, and for models from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_version: Option<String>,
    pub classes: Vec<String>,
    pub spec: ModelSpec,
    pub parameters: u64,
    /// Quality on the test split at the job's last round.
    pub evaluation: Option<EvalMetrics>,
    /// Deployment stage such as `production`. Only one version of a name can have a stage.
    #[serde(default)]
    pub stage: Option<String>,
    /// Whether the model, with all its versions, is hidden from lists.
    #[serde(default, skip_serializing_if = "is_false")]
    pub archived: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Request body of `PATCH /models/{name}`: a stage for a version, or a name for all versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ModelChange {
    /// New stage, or null to remove the stage.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub stage: Option<Option<String>>,
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Distinguishes null from a missing field.
#[expect(clippy::option_option, reason = "a missing field, null and a text are three cases")]
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Request body of `PATCH /jobs/{id}` and `PATCH /datasets/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NameChange {
    pub name: String,
}

/// Request body of `POST /models/{name}/predict`: a text or an image, depending on the model.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct PredictionRequest {
    /// At most 100,000 characters.
    #[serde(default)]
    pub text: Option<String>,
    /// PNG, JPEG, WebP, GIF, BMP or TIFF in base64, plain or as a `data:` URL. It is scaled to the model's size and
    /// converted to the model's color channels. At most 2,048 pixels per side and 1 MiB for the
    /// whole body.
    #[serde(default)]
    pub image: Option<String>,
}

/// Response of `POST /models/{name}/predict`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Prediction {
    /// Most probable class first.
    pub classes: Vec<ClassProbability>,
    /// Time to answer in seconds, including loading the model.
    pub seconds: f64,
}

/// Probability of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClassProbability {
    pub name: String,
    pub probability: f64,
}

/// Kind of object that an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    Job,
    Device,
    Model,
    Dataset,
    JoinCode,
    Notice,
}

/// Object that changed. Fetch it to see its new state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Change {
    pub kind: ChangeKind,
    pub id: String,
}

/// Response of `GET /events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Events {
    /// Value of `after` for the next request.
    pub revision: u64,
    pub changes: Vec<Change>,
    /// `after` was too old: load everything again.
    pub reset: bool,
}

/// Permissions of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Admin,
    Viewer,
    Device,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Admin, Self::Viewer, Self::Device];

    /// Returns the name in JSON and in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::Device => "device",
        }
    }
}

/// Text that is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no role '{0}'")]
pub struct UnknownRole(String);

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        let known = Self::ALL.into_iter().find(|role| role.word() == word);
        known.ok_or_else(|| UnknownRole(word.to_owned()))
    }
}

/// Request body of `POST /tokens`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TokenRequest {
    pub role: Role,
    #[serde(default)]
    pub name: String,
    /// Seconds until it expires. If missing, it never expires.
    #[serde(default)]
    pub expires_in: Option<u64>,
}

/// Response of `POST /tokens`. The token is shown only here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    pub id: String,
    pub token: String,
}

/// Token as returned by `GET /tokens`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    pub id: String,
    pub role: Role,
    pub name: String,
    pub created_at: Timestamp,
    /// Accurate to a few minutes. Null before the first use.
    pub last_used: Option<Timestamp>,
    /// Null = valid until it is deleted.
    pub expires_at: Option<Timestamp>,
}

/// Response of `GET /health`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    pub status: String,
    pub version: String,
    pub protocol: u32,
    /// Name of the cluster.
    pub name: String,
}
