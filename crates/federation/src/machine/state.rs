//! State of a machine, and the image of it before the open transaction.

use protocol::{BlobHash, Timestamp};

use super::phase::{Ending, Phase, RunHead};
use super::settings::MachineSettings;

/// One job, from its creation to its end. The stored state is complete: a machine restored from its
/// rows ([`MachineRows`]) continues as if nothing had happened.
///
/// Events change it within a transaction, which [`Machine::commit`] or [`Machine::roll_back`] ends.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(super) settings: MachineSettings,
    pub(super) phase: Phase,
    /// Time at which the job was paused, if it is paused.
    pub(super) paused: Option<Timestamp>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) completed_at: Option<Timestamp>,
    pub(super) journal: Journal,
}

/// Uncommitted changes do not count.
impl PartialEq for Machine {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
            && self.phase == other.phase
            && self.paused == other.paused
            && self.started_at == other.started_at
            && self.completed_at == other.completed_at
    }
}

/// Changes of the open transaction, except those within the run's tables.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    pub(super) before: Option<Box<Before>>,
    /// Blobs that the job no longer needs.
    pub(super) released: Vec<BlobHash>,
}

/// Machine before the transaction, without the run's tables.
#[derive(Debug, Clone)]
pub(super) struct Before {
    pub(super) phase: PhaseBefore,
    pub(super) paused: Option<Timestamp>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) completed_at: Option<Timestamp>,
    /// `None` if there was no run.
    pub(super) run: Option<RunHead>,
}

#[derive(Debug, Clone)]
pub(super) enum PhaseBefore {
    Pending,
    Preparing,
    Running,
    Finished(Ending),
}
