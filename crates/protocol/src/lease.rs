//! Leases: one partition of one round given to one device, and what comes back.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::codec::Codec;
use crate::fingerprint::Fingerprint;
use crate::metrics::TrainMetrics;
use crate::model::ModelSpec;
use crate::plan::Plan;
use crate::{BlobHash, DeviceId, JobId, LeaseId, Timestamp};

/// A granted lease: everything a device needs to do the work, and nothing it could execute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    pub id: LeaseId,
    pub job_id: JobId,
    pub job_name: String,
    pub dataset: String,
    pub device_id: DeviceId,
    /// From 1.
    pub round: u32,
    pub total_rounds: u32,
    /// From 0.
    pub partition: u32,
    /// The job's seed; every draw is keyed by it, the round, the partition and the step.
    pub seed: u64,
    pub spec: ModelSpec,
    pub plan: Plan,
    /// The round's base model, [`Codec::F32Le`].
    pub base: BlobHash,
    /// The partition's rows, in order.
    pub shards: Vec<BlobHash>,
    /// Rows in the shards together.
    pub rows: u64,
    pub granted_at: Timestamp,
    /// After this the seat may go to another device; progress moves it.
    pub deadline: Timestamp,
}

/// Body of `POST /leases/{id}/progress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Steps done so far.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// The latest step's training loss.
    pub loss: f64,
    pub examples_per_second: f64,
}

/// Whether a lease still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseStanding {
    /// Go on.
    Held,
    /// Stop: the seat has gone elsewhere, or the job was paused, cancelled or closed.
    Lost,
}

/// Answer to progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProgressAnswer {
    pub standing: LeaseStanding,
    pub deadline: Timestamp,
    /// Seconds from this answer to the deadline: the device's clock may differ.
    pub seconds_left: f64,
    /// Seconds until the next report is due.
    pub next_seconds: f64,
}

/// Why a device gives a lease back. Coarse on purpose (DESIGN §11.22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReturnReason {
    InUse,
    OnBattery,
    TooWarm,
    Scheduled,
    Paused,
    /// Its owner or its policy holds the device back, and it isn't said why.
    Held,
    ShuttingDown,
    /// The work does not fit the device's memory limit.
    Memory,
    /// The work does not fit the device's disk: its quota, or what must stay free.
    Disk,
    /// The trainer failed; counts against the seat.
    Failed,
}

impl ReturnReason {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::InUse => "in use",
            Self::OnBattery => "on battery",
            Self::TooWarm => "too warm",
            Self::Scheduled => "outside its hours",
            Self::Paused => "paused by its owner",
            Self::Held => "held back",
            Self::ShuttingDown => "shutting down",
            Self::Memory => "too little memory",
            Self::Disk => "too little disk",
            Self::Failed => "its trainer failed",
        }
    }
}

/// Body of `POST /leases/{id}/return`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeaseReturn {
    pub reason: ReturnReason,
    /// What went wrong, for the admin; only with `failed` and `memory`.
    #[serde(default)]
    pub detail: Option<String>,
}

/// Body of `PUT /leases/{id}/update`, sent after the blob is up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Update {
    /// The delta on the round's base model.
    pub blob: BlobHash,
    pub codec: Codec,
    pub metrics: TrainMetrics,
    pub fingerprint: Fingerprint,
}

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateOutcome {
    /// It takes the seat.
    Accepted,
    /// The same update was accepted before.
    Duplicate,
    /// Another update took the seat, or the round is closed: this one isn't needed.
    Superseded,
}

/// Answer to an update; durable before it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateAnswer {
    pub outcome: UpdateOutcome,
}

/// How a lease ended, or that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseOutcome {
    /// Its device holds it.
    Open,
    /// Its update counts.
    Reported,
    /// Its device gave it back.
    Returned,
    /// Nothing was heard of it, or it stood still.
    Lapsed,
    /// Its update was refused as a bad one.
    Refused,
    /// The coordinator ended it: the job or its device stopped, or the seat needed it no more.
    Ended,
}

impl LeaseOutcome {
    /// As JSON and the database have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Reported => "reported",
            Self::Returned => "returned",
            Self::Lapsed => "lapsed",
            Self::Refused => "refused",
            Self::Ended => "ended",
        }
    }
}

/// What is kept of a lease, as `GET /jobs/{id}/leases` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeaseRecord {
    pub id: LeaseId,
    pub device: DeviceId,
    pub device_name: String,
    pub round: u32,
    pub partition: u32,
    pub granted_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub outcome: LeaseOutcome,
    /// Why it ended otherwise than by its update, in a few coarse words.
    pub reason: Option<String>,
    /// Steps done, as far as its device told.
    pub steps: u64,
    /// Rows trained on, repeats counted; 0 without an update.
    pub examples: u64,
}

/// What is kept of a lease, as `GET /devices/{id}/leases` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeviceLease {
    pub job: JobId,
    pub job_name: String,
    #[serde(flatten)]
    pub lease: LeaseRecord,
}
