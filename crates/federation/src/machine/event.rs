//! What happens to a job, and what is to be done about it.

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

/// A dataset divided and a model initialized: all that a job needs to open its first round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    pub spec: ModelSpec,
    /// The initial weights.
    pub base: BlobHash,
    /// In order; a partition's index is its number.
    pub partitions: Vec<Partition>,
    pub test: Vec<BlobHash>,
    /// Held out of train for early stopping; empty where the job has no target.
    pub validation: Vec<BlobHash>,
    /// Names of the classes, for the registered model.
    pub classes: Vec<String>,
}

/// A valid update that is durable: its blob is stored, finite, of the right length and in bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub blob: BlobHash,
    pub bytes: u64,
    /// The L2 norm of its changes ([`crate::aggregate::check_update`]).
    pub norm: f64,
    pub metrics: TrainMetrics,
    pub fingerprint: Fingerprint,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Start,
    Prepared(Box<Preparation>),
    /// The dataset can't be fetched or the model not be built: the job fails with these words.
    PreparationFailed {
        reason: String,
    },
    /// A device asks for work; `lease` names the lease if one is granted.
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
    /// The device says that it still holds the lease (its heartbeat).
    Renewed {
        lease: LeaseId,
        device: DeviceId,
        /// Of blobs that went between the device and the coordinator: a count that grows while
        /// they do, and may begin anew.
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
    /// The update under this lease was refused as a bad one, in these words: the lease ends and its
    /// seat counts a failure.
    Refused {
        lease: LeaseId,
        device: DeviceId,
        reason: String,
    },
    /// The device is revoked or gone: its leases go back.
    DeviceGone {
        device: DeviceId,
    },
    /// The new global model of this round is stored.
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
    /// Aggregating, evaluating or registering failed for good.
    StepFailed {
        reason: String,
    },
    Pause,
    Resume,
    Cancel,
    /// Close now and register what there is.
    Complete,
    /// The time that [`super::Machine::deadline`] named has come.
    Tick,
}

/// One update of a round, for the accumulator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedUpdate {
    pub partition: u32,
    pub blob: BlobHash,
    /// The partition's rows: its weight.
    pub rows: u64,
}

/// Something to do. Performing one twice does no harm.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Fetch and divide the dataset, make the initial weights; answer with `Prepared`.
    Prepare,
    /// Answer the device that asked.
    Grant(Box<Lease>),
    /// What became of the update just handled.
    Outcome(UpdateOutcome),
    /// Two updates for one seat differ where the job promised that they wouldn't.
    Nondeterminism { round: u32, partition: u32, first: BlobHash, second: BlobHash },
    /// Add this to the round's accumulator when convenient; [`Effect::Aggregate`] names all again.
    Accumulate { round: u32, update: WeightedUpdate },
    /// Make the round's global model: `base` + weighted mean of `updates`; answer `Aggregated`.
    Aggregate {
        round: u32,
        base: BlobHash,
        updates: Vec<WeightedUpdate>,
        /// Rows of all seats of the round: fixes the grid (DESIGN §11.6).
        seat_rows: u64,
    },
    /// Measure `model` on the test split and, where there is one, the validation split.
    Evaluate { round: u32, model: BlobHash },
    /// Store the result under the job's name; answer `Registered`.
    Register { model: BlobHash, evaluation: Option<EvalMetrics> },
    /// This lease no longer counts; its device should hear of it.
    LeaseEnded { lease: LeaseId, device: DeviceId, after_first_step: bool, why: LeaseEnd },
}

/// Why a lease ended without its device's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseEnd {
    /// Nothing was heard of it, or it stood still.
    Lapsed,
    /// Another device's update took the seat.
    Superseded,
    /// The round closed at its deadline without it.
    RoundClosed,
    /// Its device is revoked or gone.
    DeviceGone,
    /// The job was paused, completed or cancelled, or failed.
    Stopped,
}

impl LeaseEnd {
    /// Whether it is a loss, where work had begun.
    pub(super) const fn counts(self) -> bool {
        match self {
            Self::Lapsed | Self::Superseded | Self::RoundClosed | Self::DeviceGone => true,
            Self::Stopped => false,
        }
    }
}

/// An event that can't be taken now.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    #[error("the job is {status}; {action} needs it to be {needed}")]
    Status { status: &'static str, action: &'static str, needed: &'static str },
    #[error("lease {lease} is not part of this job's open round")]
    UnknownLease { lease: LeaseId },
    #[error("lease {lease} belongs to another device")]
    OtherDevice { lease: LeaseId },
    #[error("the update's fingerprint is {actual}, but the job takes {expected} only")]
    Fingerprint { expected: Box<Fingerprint>, actual: Box<Fingerprint> },
    #[error(
        "the update's norm of {norm:.3} is beyond {bound:.3}, the most that this round takes; lower \
         the learning rate, or set strategy.maximum_norm (0 = no bound)"
    )]
    Norm { norm: f64, bound: f64 },
    /// No seat suits this device now.
    #[error("nothing to do for this device now")]
    NothingToDo,
    /// An answer to a step that is no longer awaited; drop it.
    #[error("round {round} is not waiting for this")]
    Stale { round: u32 },
}
