//! State of the idle helper that the supervisor's thread shares with the readers.

use std::io::Write;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::child;
use super::decision::HelperReading;
use super::lines::rate_line;
use crate::sensors::PollRate;

/// Command that starts a helper, which calls [`serve_idle_time`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleHelperCommand {
    pub program: PathBuf,
    pub args: Vec<String>,
}

/// State that the supervisor's thread shares with the readers.
#[derive(Debug)]
pub(super) struct SharedState {
    pub(super) command: IdleHelperCommand,
    pub(super) limits: Limits,
    pub(super) state: Mutex<State>,
    /// Notified of every change of the state.
    pub(super) changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) is_started: bool,
    pub(super) is_stopped: bool,
    pub(super) rate: PollRate,
    /// Input of the running helper.
    pub(super) input: Option<ChildStdin>,
    pub(super) latest: Option<Latest>,
    /// Time since which every reading has been 0.
    pub(super) zero_since: Option<Instant>,
    pub(super) is_stuck_at_zero: bool,
    /// Why the last helper failed; removed once a later one has worked for a while.
    pub(super) problem: Option<String>,
    /// Helper processes started so far.
    pub(super) starts: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Latest {
    pub(super) idle: Duration,
    pub(super) at: Instant,
}

/// Time limits of the supervisor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Time without a reading after which a helper is killed.
    pub(super) silence: Duration,
    /// Delay before the first replacement of a failed helper; each further one doubles it.
    pub(super) first_delay: Duration,
    pub(super) longest_delay: Duration,
    /// Time after which a helper works: the delay starts again at the first.
    pub(super) works_after: Duration,
    /// Time after which a helper may end by itself.
    pub(super) may_end_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(5),
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_mins(5),
            works_after: Duration::from_secs(30),
            may_end_after: child::LIFETIME / 2,
        }
    }
}

impl SharedState {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes everyone who waits for a change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

impl State {
    /// Returns the latest reading, as old as it is. A reading older than `limits.silence` is none.
    pub(super) fn reading(&self, now: Instant, limits: Limits) -> Option<HelperReading> {
        let latest = self.latest?;
        let age = now.saturating_duration_since(latest.at);
        (age <= limits.silence).then(|| HelperReading {
            idle: latest.idle.saturating_add(age),
            zero_for: self.zero_since.map(|since| now.saturating_duration_since(since)),
        })
    }

    pub(super) fn record(&mut self, idle: Duration, at: Instant) {
        self.latest = Some(Latest { idle, at });
        if idle.is_zero() {
            self.zero_since.get_or_insert(at);
        } else {
            self.zero_since = None;
            self.is_stuck_at_zero = false;
        }
    }

    pub(super) fn fail(&mut self, problem: String) {
        self.latest = None;
        self.zero_since = None;
        self.is_stuck_at_zero = false;
        self.problem = Some(problem);
    }

    pub(super) fn announce_rate(&mut self) {
        let line = rate_line(self.rate);
        // A helper that no longer reads has ended, which the supervisor notices by its output.
        if let Some(input) = &mut self.input
            && input.write_all(line.as_bytes()).is_err()
        {
            self.input = None;
        }
    }
}
