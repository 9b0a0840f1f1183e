//! The result of one check of the doctor.

use serde::Serialize;

/// Outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Ok,
    /// Works, but needs attention.
    Warning,
    /// This machine can't train or can't reach its coordinator.
    Failed,
    /// Can't be determined on this machine.
    Unknown,
}

impl State {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// A check with its finding and, if there is a problem, the fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) found: String,
    /// Suggested fix. `None` if there is no problem.
    #[serde(rename = "mend")]
    pub(super) fix: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), fix: None }
    }

    pub(super) fn unknown(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Unknown, found: found.into(), fix: None }
    }

    pub(super) fn warning(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Warning, found: found.into(), fix: None }
    }

    pub(super) fn failed(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Failed, found: found.into(), fix: None }
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}
