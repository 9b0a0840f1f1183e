//! Observer: a callback for what the coordinator does by itself. Tests and demos that kill the
//! coordinator use it to find the right moment.

use std::fmt;
use std::sync::Arc;

use protocol::JobId;
use serde::{Deserialize, Serialize};

use crate::crash_points::CrashPoints;

/// An event of the coordinator, serialized as one line of JSON for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ObserverEvent {
    /// Aggregation of a round begins; none of its result is stored yet.
    Aggregating { job: JobId, round: u32 },
    /// A step was in progress before a restart and runs again.
    Resumed { job: JobId, round: u32, phase: StepPhase },
}

/// Kind of a step that the coordinator runs itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepPhase {
    Preparing,
    Aggregating,
    Evaluating,
    Registering,
}

/// Callback that receives every event. The work that causes an event waits for it, so it must return
/// quickly.
#[derive(Clone)]
pub struct Observer {
    observe: Arc<dyn Fn(&ObserverEvent) + Send + Sync>,
    pub(crate) points: CrashPoints,
}

impl Observer {
    pub fn new(observe: impl Fn(&ObserverEvent) + Send + Sync + 'static) -> Self {
        Self { observe: Arc::new(observe), points: CrashPoints::default() }
    }

    /// Also reports crash points.
    pub fn with_points(self, points: CrashPoints) -> Self {
        Self { points, ..self }
    }

    pub(crate) fn notify(&self, event: &ObserverEvent) {
        (self.observe)(event);
    }
}

impl Default for Observer {
    /// Ignores every event.
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}
