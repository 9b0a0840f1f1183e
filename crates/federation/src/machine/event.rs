//! Events that a machine receives and effects that it returns.

use protocol::fingerprint::Fingerprint;
use protocol::lease::{Lease, Progress, ReturnReason, UpdateOutcome};
use protocol::metrics::{EvalMetrics, TrainMetrics};
use protocol::model::ModelSpec;
use protocol::{BlobHash, DeviceId, LeaseId};
use serde::{Deserialize, Serialize};

/// One partition of the prepared dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    pub rows: u64,
    pub shards: Vec<BlobHash>,
}

/// Partitioned dataset and initialized model: everything that the first round needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    pub spec: ModelSpec,
    /// The initial weights.
    pub base: BlobHash,
    /// In order. A partition's index is its number.
    pub partitions: Vec<Partition>,
    pub test: Vec<BlobHash>,
    /// Rows held out of the train split for early stopping. Empty if the job has no target
    /// accuracy.
    pub validation: Vec<BlobHash>,
    /// Names of the classes, for the registered model.
    pub classes: Vec<String>,
}

/// Valid and durable update: its blob is stored, finite, within bounds and of the right length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub blob: BlobHash,
    pub bytes: u64,
    /// L2 norm of the changes ([`crate::aggregate::check_update`]).
    pub norm: f64,
    pub metrics: TrainMetrics,
    pub fingerprint: Fingerprint,
}

/// Event of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Start,
    Prepared(Box<Preparation>),
    /// The dataset could not be loaded or the model not built. The job fails with this reason.
    PreparationFailed {
        reason: String,
    },
    /// A device requests work. `lease` is the id of the lease if one is granted.
    Requested {
        lease: LeaseId,
        device: DeviceId,
        fingerprint: Fingerprint,
    },
    Progressed {
        lease: LeaseId,
        device: DeviceId,
        progress: Progress,
    },
    /// A heartbeat: the device still holds the lease.
    Renewed {
        lease: LeaseId,
        device: DeviceId,
        /// Count of blob bytes transferred between the device and the coordinator. It grows during
        /// transfers and may restart at 0.
        bytes: u64,
    },
    Returned {
        lease: LeaseId,
        device: DeviceId,
        reason: ReturnReason,
        detail: Option<String>,
    },
    Updated {
        lease: LeaseId,
        device: DeviceId,
        receipt: Receipt,
    },
    /// The lease's update was rejected as invalid. The lease ends and its seat counts a failure.
    Refused {
        lease: LeaseId,
        device: DeviceId,
        reason: String,
    },
    /// The device was revoked or removed. Its lease ends.
    DeviceGone {
        device: DeviceId,
    },
    /// The round's new global model is stored.
    Aggregated {
        round: u32,
        model: BlobHash,
    },
    Evaluated {
        round: u32,
        test: EvalMetrics,
        validation: Option<EvalMetrics>,
    },
    Registered {
        model: protocol::ModelId,
        file: BlobHash,
    },
    /// Aggregation, evaluation or registration failed permanently.
    StepFailed {
        reason: String,
    },
    Pause,
    Resume,
    Cancel,
    /// Closes the job now and registers the last closed round's model.
    Complete,
    /// Somebody set the clock: it moved by this much more than time passed. Negative = back.
    ClockMoved {
        millis: i64,
    },
    /// The time of [`super::Machine::deadline`] has come.
    Tick,
}

/// One update of a round, for the accumulator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedUpdate {
    pub partition: u32,
    pub blob: BlobHash,
    /// Rows of the partition, which are the update's weight.
    pub rows: u64,
}

/// Action to perform. Performing it twice does no harm.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Load and partition the dataset and create the initial weights. Followed by `Prepared`.
    Prepare,
    /// Send the lease to the device that requested work.
    Grant(Box<Lease>),
    /// Outcome of the update that was just handled.
    Outcome(UpdateOutcome),
    /// Two updates for one seat differ although the job promised identical bits.
    Nondeterminism { round: u32, partition: u32, first: BlobHash, second: BlobHash },
    /// Add the update to the round's accumulator when convenient. [`Effect::Aggregate`] lists all
    /// updates again.
    Accumulate { round: u32, update: WeightedUpdate },
    /// Create the round's global model: `base` + weighted mean of `updates`. Followed by
    /// `Aggregated`.
    Aggregate {
        round: u32,
        base: BlobHash,
        updates: Vec<WeightedUpdate>,
        /// Rows of all seats of the round. They decide the grid of the exact sum.
        seat_rows: u64,
    },
    /// Evaluate `model` on the test split and on the validation split, if any.
    Evaluate { round: u32, model: BlobHash },
    /// Store the result under the job's name. Followed by `Registered`.
    Register { model: BlobHash, evaluation: Option<EvalMetrics> },
    /// The lease is no longer valid. Its device should be notified.
    LeaseEnded { lease: LeaseId, device: DeviceId, after_first_step: bool, why: LeaseEnd },
}

/// Reason for which a lease ended without an action of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseEnd {
    /// It expired without a heartbeat, or made no progress.
    Lapsed,
    /// Another device's update took the seat.
    Superseded,
    /// The round closed at its deadline without it.
    RoundClosed,
    /// Its device was revoked or removed.
    DeviceGone,
    /// The job was paused, completed, cancelled, or failed.
    Stopped,
}

impl LeaseEnd {
    /// Returns whether the end counts as a loss, if work had begun.
    pub(super) const fn counts(self) -> bool {
        match self {
            Self::Lapsed | Self::Superseded | Self::RoundClosed | Self::DeviceGone => true,
            Self::Stopped => false,
        }
    }
}

/// Event that is not allowed now.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RejectedEvent {
    #[error("the job is {status}; only a job that is {needed} can be {action}")]
    Status { status: &'static str, action: &'static str, needed: &'static str },
    #[error("lease {lease} is not part of this job's open round")]
    UnknownLease { lease: LeaseId },
    #[error("lease {lease} belongs to another device")]
    OtherDevice { lease: LeaseId },
    #[error("the update has numeric fingerprint {actual}, but the job accepts only {expected}")]
    Fingerprint { expected: Box<Fingerprint>, actual: Box<Fingerprint> },
    #[error(
        "the update's norm is {norm:.3}, above this round's limit of {bound:.3}; lower the \
         learning rate, or set strategy.maximum_norm (0 = no limit)"
    )]
    Norm { norm: f64, bound: f64 },
    /// No seat suits this device now.
    #[error("no work for this device now")]
    NothingToDo,
    /// Result of a step that is no longer awaited. It can be dropped.
    #[error("round {round} is not waiting for this result")]
    Stale { round: u32 },
}

/// Returns the error for an unknown lease.
pub(super) fn unknown_lease(lease: LeaseId) -> RejectedEvent {
    RejectedEvent::UnknownLease { lease }
}
