//! The phases of a job, each with the data that it alone has.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::api::Round;
use protocol::fingerprint::{Backend, Fingerprint};
use protocol::{BlobHash, DeviceId, LeaseId, ModelId, Timestamp};
use serde::{Deserialize, Serialize};

use super::lease_timeout::StepRate;
use super::norm_bound::Norms;
use super::seat::{OpenRound, PastLease};
use super::{Preparation, Rejection};

/// How far the job is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    Pending,
    Preparing,
    Running(Box<Run>),
    Finished {
        ending: Ending,
        /// What was done until then; none where the job ended before its first round.
        run: Option<Box<Run>>,
    },
}

impl Phase {
    /// The rounds, while they go on.
    pub(super) fn running(&mut self, round: u32) -> Result<&mut Run, Rejection> {
        match self {
            Self::Running(run) => Ok(run),
            Self::Pending | Self::Preparing | Self::Finished { .. } => {
                Err(Rejection::Stale { round })
            }
        }
    }

    /// The rounds, going on or ended.
    pub(super) fn run(&self) -> Option<&Run> {
        match self {
            Self::Running(run) => Some(run),
            Self::Finished { run, .. } => run.as_deref(),
            Self::Pending | Self::Preparing => None,
        }
    }

    pub(super) fn run_mut(&mut self) -> Option<&mut Run> {
        match self {
            Self::Running(run) => Some(run),
            Self::Finished { run, .. } => run.as_deref_mut(),
            Self::Pending | Self::Preparing => None,
        }
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    Completed { model: ModelId, file: BlobHash },
    Failed { reason: String },
    Cancelled,
}

/// The rounds of a job whose data is ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) preparation: Preparation,
    /// Of the model.
    pub(super) parameters: u64,
    pub(super) binding: Binding,
    pub(super) stage: Stage,
    pub(super) round: OpenRound,
    /// Leases of the two rounds before the open one, for updates that come late.
    pub(super) earlier: BTreeMap<LeaseId, PastLease>,
    /// When each device was last heard of in this job.
    pub(super) seen: BTreeMap<DeviceId, Timestamp>,
    /// How fast each device was in this job.
    #[serde(default)]
    pub(super) paces: BTreeMap<DeviceId, StepRate>,
    /// Rounds closed and, last, the open one.
    pub(super) history: Vec<Round>,
    pub(super) leases_lost: u64,
    /// When a step, an update or a new round came last.
    #[serde(default)]
    pub(super) moved_at: Timestamp,
    /// Of those that gave an update: from the grant on.
    #[serde(default)]
    pub(super) longest_lease: Duration,
    /// Of the updates of closed rounds.
    #[serde(default)]
    pub(super) norms: Norms,
    /// Why the job ends after this round, where not for the count of rounds.
    pub(super) closing: Option<Closing>,
}

impl Run {
    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }
}

/// What goes on in the open round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Seats are leased and updates come in.
    Collecting,
    Aggregating,
    Evaluating {
        model: BlobHash,
    },
    /// `model` is the last closed round's.
    Registering {
        model: BlobHash,
    },
}

/// Why a job ends before its last round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Closing {
    /// The validation split reached the target.
    Target { accuracy: f64 },
    /// A person asked for it.
    Asked,
}

/// Which numeric fingerprints the job takes (DESIGN §11.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Binding {
    /// No lease was granted yet.
    Undecided,
    Any,
    One {
        fingerprint: Fingerprint,
    },
}

impl Binding {
    pub(super) fn takes(&self, fingerprint: &Fingerprint) -> bool {
        match self {
            Self::Undecided | Self::Any => true,
            Self::One { fingerprint: bound } => bound == fingerprint,
        }
    }

    /// Whether identity was promised.
    pub(super) fn is_bound(&self) -> bool {
        match self {
            Self::One { .. } => true,
            Self::Undecided | Self::Any => false,
        }
    }

    pub(super) fn check(&self, actual: &Fingerprint) -> Result<(), Rejection> {
        match self {
            Self::One { fingerprint: bound } if bound != actual => Err(Rejection::Fingerprint {
                expected: Box::new(bound.clone()),
                actual: Box::new(actual.clone()),
            }),
            Self::One { .. } | Self::Undecided | Self::Any => Ok(()),
        }
    }

    /// What the first device that gets a lease decides.
    pub(super) fn decided(&self, reproducible: Option<bool>, first: &Fingerprint) -> Self {
        match self {
            Self::Undecided if reproducible.unwrap_or(first.backend == Backend::Cpu) => {
                Self::One { fingerprint: first.clone() }
            }
            Self::Undecided => Self::Any,
            Self::Any | Self::One { .. } => self.clone(),
        }
    }
}
