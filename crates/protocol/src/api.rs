//! Bodies of the HTTP API that aren't a domain's own: jobs, rounds, models, events, tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::job::{JobSpec, ModelType};
use crate::metrics::EvalMetrics;
use crate::model::ModelSpec;
use crate::{BlobHash, JobId, ModelId, Timestamp};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Created, not started.
    Pending,
    /// The dataset is fetched and divided.
    Preparing,
    Running,
    Paused,
    Completed,
    Failed,
    Cancelled,
}

impl JobStatus {
    /// Whether nothing more will happen to the job.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// A job as the API shows it: the kept fields first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    pub id: JobId,
    pub name: String,
    /// The preset, or `custom`.
    pub model_name: String,
    pub model_type: ModelType,
    pub dataset: String,
    pub status: JobStatus,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    /// Rounds to run.
    pub total_epochs: u32,
    /// Rounds closed.
    pub current_epoch: u32,
    /// 0 to 1, seats of the open round counted.
    pub progress: f64,
    pub config: JobSpec,
    /// Why the job is where it is, in plain words: what it waits for, or why it failed.
    pub reason: Option<String>,
    /// The resolved model, once the dataset is known.
    pub spec: Option<ModelSpec>,
    /// Parameters of the model.
    pub parameters: Option<u64>,
    /// The last closed round's quality on the test split.
    pub test_accuracy: Option<f64>,
    pub test_loss: Option<f64>,
    /// The registered result.
    pub model_id: Option<ModelId>,
    /// BLAKE3 of the registered model file.
    pub model_blake3: Option<BlobHash>,
    /// Leases that lapsed or were lost after their first step.
    pub leases_lost: u64,
    /// Who created it, as the audit log calls them; none where that is not known any more.
    #[serde(default)]
    pub created_by: Option<String>,
    /// Nothing moved for much longer than a lease of this job takes.
    #[serde(default)]
    pub stalled: bool,
    /// All that is known of why the job is where it is, a sentence each; only in `GET /jobs/{id}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explanation: Vec<String>,
}

/// Where a seat of a round stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeatState {
    Open,
    Leased,
    Reported,
    /// The round closed without it.
    Lost,
}

/// One round of a job, as `GET /jobs/{id}/rounds` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Round {
    /// From 1.
    pub round: u32,
    pub seats: u32,
    pub reported: u32,
    pub leased: u32,
    pub opened_at: Timestamp,
    pub closed_at: Option<Timestamp>,
    /// On the test split.
    pub evaluation: Option<EvalMetrics>,
    /// Row-weighted mean of the leases' training loss.
    pub train_loss: Option<f64>,
    /// Rows trained on, repeats counted.
    pub examples: u64,
    pub bytes_up: u64,
    pub bytes_down: u64,
    /// Of the L2 norms of its updates, once it is closed.
    #[serde(default)]
    pub median_norm: Option<f64>,
    #[serde(default)]
    pub largest_norm: Option<f64>,
    /// The round's global model, [`crate::codec::Codec::F32Le`].
    pub model: Option<BlobHash>,
}

/// One point of a curve, as `GET /jobs/{id}/metrics` gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricPoint {
    pub round: u32,
    pub at: Timestamp,
    /// Such as `test_accuracy`, `test_loss`, `train_loss`.
    pub name: String,
    pub value: f64,
}

/// Something that happened to a job, as `GET /jobs/{id}/log` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    pub at: Timestamp,
    /// `created`, `started`, `paused`, `resumed`, `cancelled`, `completed`, `round_closed`,
    /// `lease_lost`, `stalled`, `moving` or `ended`.
    pub kind: String,
    /// A sentence for people.
    pub text: String,
}

/// A registered model: the kept fields first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Model {
    pub id: ModelId,
    pub name: String,
    pub model_type: ModelType,
    /// Where its bytes are, as a path of this API.
    pub checkpoint_path: String,
    pub size_mb: f64,
    /// Such as `ready`.
    pub status: String,
    pub created_at: Timestamp,
    /// From 1, for each name.
    pub version: u32,
    pub blake3: BlobHash,
    pub job_id: Option<JobId>,
    pub dataset: String,
    pub classes: Vec<String>,
    pub spec: ModelSpec,
    pub parameters: u64,
    /// On the test split, at the job's last round.
    pub evaluation: Option<EvalMetrics>,
    /// What it is in use for, such as `production`; one version of a name has it at a time.
    #[serde(default)]
    pub stage: Option<String>,
}

/// Body of `PATCH /models/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelChange {
    /// Null takes it out of its stage; to be said, one way or the other.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    pub stage: Option<String>,
}

/// Body of `POST /models/{name}/predict`: a text or an image, as the model reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct PredictionRequest {
    /// At most 100,000 characters.
    #[serde(default)]
    pub text: Option<String>,
    /// A PNG or JPEG in base64, alone or as a `data:` address; it is scaled to the model's size, and made
    /// grey or coloured as the model reads. No side beyond 2,048, and the whole body within 1 MiB.
    #[serde(default)]
    pub image: Option<String>,
}

/// Answer to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Prediction {
    /// The most probable first.
    pub classes: Vec<ClassProbability>,
    /// From the question to the answer, reading the model included.
    pub seconds: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClassProbability {
    pub name: String,
    pub probability: f64,
}

/// What an event is about.
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

/// Something that changed; ask for it to see how.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Change {
    pub kind: ChangeKind,
    pub id: String,
}

/// Answer to `GET /events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Events {
    /// Ask again with `after` set to this.
    pub revision: u64,
    pub changes: Vec<Change>,
    /// `after` was too old: load everything anew.
    pub reset: bool,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Admin,
    Viewer,
    Device,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Admin, Self::Viewer, Self::Device];

    /// As JSON and the database have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::Device => "device",
        }
    }
}

/// A word that is no role.
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

/// Body of `POST /tokens`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TokenRequest {
    pub role: Role,
    #[serde(default)]
    pub name: String,
    /// Seconds from now after which it counts no more; for ever where none are given.
    #[serde(default)]
    pub expires_in: Option<u64>,
}

/// Answer to `POST /tokens`; the only time the token is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    pub id: String,
    pub token: String,
}

/// A token as `GET /tokens` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    pub id: String,
    pub role: Role,
    pub name: String,
    pub created_at: Timestamp,
    /// To a few minutes; none before the first use.
    pub last_used: Option<Timestamp>,
    /// None = it counts until it is deleted.
    pub expires_at: Option<Timestamp>,
}

/// Answer to `GET /health`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    pub status: String,
    pub version: String,
    pub protocol: u32,
    /// The cluster's name.
    pub name: String,
}
