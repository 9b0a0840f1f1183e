//! Leases: one seat of one round granted to one device, and the device's update.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::codec::Codec;
use crate::fingerprint::Fingerprint;
use crate::metrics::TrainMetrics;
use crate::model::ModelSpec;
use crate::plan::Plan;
use crate::{BlobHash, DeviceId, JobId, LeaseId, Timestamp};

/// Granted lease: everything that a device needs for the work, and nothing executable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    pub id: LeaseId,
    pub job_id: JobId,
    pub job_name: String,
    pub dataset: String,
    pub device_id: DeviceId,
    /// Round number, from 1.
    pub round: u32,
    pub total_rounds: u32,
    /// Partition number, from 0.
    pub partition: u32,
    /// The job's seed. All random numbers are keyed by seed, round, partition and step.
    pub seed: u64,
    pub spec: ModelSpec,
    pub plan: Plan,
    /// The round's base model, in [`Codec::F32Le`].
    pub base: BlobHash,
    /// The partition's rows, in order.
    pub shards: Vec<BlobHash>,
    /// Rows in all shards.
    pub rows: u64,
    pub granted_at: Timestamp,
    /// Time after which the seat may go to another device. Progress extends it.
    pub deadline: Timestamp,
}

/// Request body of `POST /leases/{id}/progress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Steps done so far.
    pub step: u64,
    /// Total steps.
    pub steps: u64,
    /// Training loss of the latest step.
    pub loss: f64,
    pub examples_per_second: f64,
}

/// Whether a lease is still valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseStanding {
    /// The device continues.
    Held,
    /// The device stops: another device has the seat, or the job was paused, cancelled or closed.
    Lost,
}

/// Response of `POST /leases/{id}/progress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProgressAnswer {
    pub standing: LeaseStanding,
    pub deadline: Timestamp,
    /// Seconds from this response to the deadline, because the device's clock may differ.
    pub seconds_left: f64,
    /// Seconds until the next report is due.
    pub next_seconds: f64,
}

/// Reason for which a device returns a lease. Coarse by design, so that it reveals little about the
/// device's owner. See docs/design/idle-policy.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReturnReason {
    InUse,
    OnBattery,
    TooWarm,
    Scheduled,
    Paused,
    /// The owner or the idle policy holds the device, and the device does not report why.
    Held,
    ShuttingDown,
    /// The work does not fit the device's memory limit.
    Memory,
    /// The work does not fit the device's disk quota or the disk space that must stay free.
    Disk,
    /// The trainer failed. Counts against the seat.
    Failed,
}

impl ReturnReason {
    /// Returns the reason as text for people.
    pub const fn to_text(self) -> &'static str {
        match self {
            Self::InUse => "in use",
            Self::OnBattery => "on battery",
            Self::TooWarm => "too warm",
            Self::Scheduled => "outside its hours",
            Self::Paused => "paused by its owner",
            Self::Held => "held back",
            Self::ShuttingDown => "shutting down",
            Self::Memory => "not enough memory",
            Self::Disk => "not enough disk space",
            Self::Failed => "trainer failed",
        }
    }
}

/// Request body of `POST /leases/{id}/return`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeaseReturn {
    pub reason: ReturnReason,
    /// Details for administrators. Only with `failed` and `memory`.
    #[serde(default)]
    pub detail: Option<String>,
}

/// Request body of `PUT /leases/{id}/update`, sent after the blob is uploaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Update {
    /// Change relative to the round's base model.
    pub blob: BlobHash,
    pub codec: Codec,
    pub metrics: TrainMetrics,
    pub fingerprint: Fingerprint,
}

/// Result of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateOutcome {
    /// The update takes the seat.
    Accepted,
    /// The same update was accepted before.
    Duplicate,
    /// Another update took the seat, or the round is closed. This one is not needed.
    Superseded,
}

/// Response of `PUT /leases/{id}/update`. The outcome is durable before the response is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateAnswer {
    pub outcome: UpdateOutcome,
}

/// Outcome of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseOutcome {
    /// The lease has not ended.
    Open,
    /// Its update was accepted.
    Reported,
    /// Its device returned it.
    Returned,
    /// It expired without a heartbeat, or its steps stopped advancing.
    Lapsed,
    /// Its update was rejected as invalid.
    Refused,
    /// The coordinator ended it: the job or device stopped, or the seat no longer needed it.
    Ended,
}

impl LeaseOutcome {
    /// Returns the name in JSON and in the database.
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

/// Record of a lease as returned by `GET /jobs/{id}/leases`.
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
    /// Coarse reason, if it ended without an update.
    pub reason: Option<String>,
    /// Steps done, as far as the device reported.
    pub steps: u64,
    /// Rows trained on, counting repeats. 0 without an update.
    pub examples: u64,
}

/// Record of a device's lease as returned by `GET /devices/{id}/leases`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeviceLease {
    pub job: JobId,
    pub job_name: String,
    #[serde(flatten)]
    pub lease: LeaseRecord,
}
