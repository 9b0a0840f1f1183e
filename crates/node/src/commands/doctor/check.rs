//! One thing that the doctor looks at, and what it found.

use serde::Serialize;

/// How it stands with a check, from good to bad; unknown is for what can't be told here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Ok,
    /// It works, and something should be seen to.
    Warning,
    /// This machine can't train, or can't be reached, because of it.
    Failed,
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

/// What was looked at, what was found, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) found: String,
    /// None where there is nothing to mend.
    pub(super) mend: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), mend: None }
    }

    pub(super) fn unknown(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Unknown, found: found.into(), mend: None }
    }

    pub(super) fn warning(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Warning, found: found.into(), mend: None }
    }

    pub(super) fn failed(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Failed, found: found.into(), mend: None }
    }

    pub(super) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}
