//! The four steps.

use federation::machine::Effect;

use crate::crash_points::CrashPoint;
use crate::observer::StepPhase;

/// Identifies a step of a job. A job runs one step at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepKey {
    Prepare,
    Aggregate { round: u32 },
    Evaluate { round: u32 },
    Register,
}

impl StepKey {
    pub(crate) const fn phase(self) -> StepPhase {
        match self {
            Self::Prepare => StepPhase::Preparing,
            Self::Aggregate { .. } => StepPhase::Aggregating,
            Self::Evaluate { .. } => StepPhase::Evaluating,
            Self::Register => StepPhase::Registering,
        }
    }

    /// Returns the crash point between the step's result and its delivery to the driver.
    pub(crate) const fn crash_point(self) -> CrashPoint {
        match self {
            Self::Prepare => CrashPoint::Prepared,
            Self::Aggregate { .. } => CrashPoint::Aggregated,
            Self::Evaluate { .. } => CrashPoint::Evaluated,
            Self::Register => CrashPoint::ModelWritten,
        }
    }

    /// Returns the step for an effect, or `None` if the effect needs no step.
    pub(crate) fn for_effect(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Prepare => Some(Self::Prepare),
            Effect::Aggregate { round, .. } => Some(Self::Aggregate { round: *round }),
            Effect::Evaluate { round, .. } => Some(Self::Evaluate { round: *round }),
            Effect::Register { .. } => Some(Self::Register),
            // The aggregation step gets every update, so accumulating needs no step.
            Effect::Accumulate { .. }
            | Effect::Grant(_)
            | Effect::Outcome(_)
            | Effect::Nondeterminism { .. }
            | Effect::LeaseEnded { .. } => None,
        }
    }
}
