//! Phases of a job, each with its own data.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use protocol::api::Round;
use protocol::fingerprint::{Backend, Fingerprint};
use protocol::{BlobHash, ModelId, Timestamp};
use serde::{Deserialize, Serialize};

use super::collections::{Devices, Leases, PastLeases, Seats};
use super::norm_bound::Norms;
use super::seat::OpenRound;
use super::{Preparation, RejectedEvent};

/// Phase of a job.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    Pending,
    Preparing,
    Running(Box<Run>),
    Finished {
        ending: Ending,
        /// The run until the end, or `None` if the job ended before its first round.
        run: Option<Box<Run>>,
    },
}

impl Phase {
    /// Returns the run of a job that has not ended.
    pub(super) fn running(&mut self, round: u32) -> Result<&mut Run, RejectedEvent> {
        match self {
            Self::Running(run) => Ok(run),
            Self::Pending | Self::Preparing | Self::Finished { .. } => {
                Err(RejectedEvent::Stale { round })
            }
        }
    }

    /// Returns the run of a running or finished job.
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

/// End of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    Completed { model: ModelId, file: BlobHash },
    Failed { reason: String },
    Cancelled,
}

/// The rounds of a job whose data is prepared.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) preparation: Arc<Preparation>,
    /// Parameters of the model.
    pub(super) parameters: u64,
    /// Lower median of the partitions' step counts.
    pub(super) usual_steps: f64,
    pub(super) head: RunHead,
    pub(super) seats: Seats,
    pub(super) leases: Leases,
    pub(super) past_leases: PastLeases,
    pub(super) devices: Devices,
    /// Numbers of the rounds to write with the next commit.
    pub(super) unwritten_rounds: BTreeSet<u32>,
    /// The preparation is to be written with the next commit.
    pub(super) is_preparation_unwritten: bool,
}

/// Ignores which rows the next commit writes.
impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.preparation == other.preparation
            && self.head == other.head
            && self.seats == other.seats
            && self.leases == other.leases
            && self.past_leases == other.past_leases
            && self.devices == other.devices
    }
}

/// State of a run apart from its collections. A copy costs little.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunHead {
    pub(super) binding: Binding,
    pub(super) stage: Stage,
    pub(super) round: OpenRound,
    /// Earlier rounds, closed.
    pub(super) history: Arc<Vec<Round>>,
    /// The open round, or the last one of a finished job.
    pub(super) current: Round,
    pub(super) leases_lost: u64,
    /// Time of the last step, update or new round.
    pub(super) moved_at: Timestamp,
    /// Longest lease with an accepted update, from grant to update.
    pub(super) longest_lease: Duration,
    /// Norms of the updates of closed rounds.
    pub(super) norms: Arc<Norms>,
    /// Reason for which the job ends after this round, unless the number of rounds is reached.
    pub(super) closing: Option<Closing>,
}

impl Run {
    pub(super) fn stage(&self) -> &Stage {
        &self.head.stage
    }
}

/// Stage of the open round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Seats are leased and updates are received.
    Collecting,
    Aggregating,
    Evaluating {
        model: BlobHash,
    },
    /// `model` is the global model of the last closed round.
    Registering {
        model: BlobHash,
    },
}

/// Reason for which a job ends before its last round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Closing {
    /// The validation accuracy reached the target.
    Target { accuracy: f64 },
    /// A person completed the job.
    #[serde(rename = "asked")]
    Requested,
}

/// Numeric fingerprints that the job accepts. See docs/design/randomness-and-exact-sums.md.
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

    /// Returns whether identical bits are promised.
    pub(super) fn is_bound(&self) -> bool {
        match self {
            Self::One { .. } => true,
            Self::Undecided | Self::Any => false,
        }
    }

    pub(super) fn check(&self, actual: &Fingerprint) -> Result<(), RejectedEvent> {
        match self {
            Self::One { fingerprint: bound } if bound != actual => {
                Err(RejectedEvent::Fingerprint {
                    expected: Box::new(bound.clone()),
                    actual: Box::new(actual.clone()),
                })
            }
            Self::One { .. } | Self::Undecided | Self::Any => Ok(()),
        }
    }

    /// Returns the binding after the first lease is granted to a device with fingerprint `first`.
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
