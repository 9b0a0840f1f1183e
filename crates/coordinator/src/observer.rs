//! What the coordinator does by itself, told at once to whoever started it: tests and demos that
//! kill it at the worst moment need to know when that is.

use std::fmt;
use std::sync::Arc;

use protocol::JobId;
use serde::{Deserialize, Serialize};

use crate::crash_points::CrashPoints;

/// A line of JSON for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ObserverEvent {
    /// A round's updates are about to be summed; nothing of it is stored yet.
    Aggregating { job: JobId, round: u32 },
    /// After a restart: this step was under way and is done again.
    Resumed { job: JobId, round: u32, phase: StepPhase },
}

/// A step of the coordinator's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepPhase {
    Preparing,
    Aggregating,
    Evaluating,
    Registering,
}

/// Where moments are told. It is called where work waits for it: it must be quick.
#[derive(Clone)]
pub struct Observer {
    observe: Arc<dyn Fn(&ObserverEvent) + Send + Sync>,
    pub(crate) points: CrashPoints,
}

impl Observer {
    pub fn new(observe: impl Fn(&ObserverEvent) + Send + Sync + 'static) -> Self {
        Self { observe: Arc::new(observe), points: CrashPoints::default() }
    }

    /// Tells of the points too.
    pub fn with_points(self, points: CrashPoints) -> Self {
        Self { points, ..self }
    }

    pub(crate) fn tell(&self, moment: &ObserverEvent) {
        (self.observe)(moment);
    }
}

impl Default for Observer {
    /// Hears everything and does nothing.
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}
