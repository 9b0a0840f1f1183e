//! Idle helper: a small process that reads macOS's second idle counter with a library that has memory
//! faults, and its supervisor.
//!
//! The process has one thread and does nothing else, so that the faults harm nothing here. It ends when
//! its standard input ends. A helper that dies, hangs or prints nonsense is replaced after a delay that
//! doubles. Its reading never replaces Core Graphics'; see [`decision`].

mod child;
mod decision;
mod lines;
mod state;
mod supervisor;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use child::serve_idle_time;
pub use decision::{HelperReading, HelperUse, idle_time};

use super::PollRate;
pub use state::IdleHelperCommand;
use state::{Limits, SharedState, State};

/// Whether this system's sensors use a helper.
pub const IS_USED: bool = cfg!(target_os = "macos");

/// Supervised helper process. Starts with the first [`Self::idle_time`]; ends when dropped.
#[derive(Debug)]
pub struct IdleHelper {
    shared: Arc<SharedState>,
}

impl IdleHelper {
    pub fn new(command: IdleHelperCommand) -> Self {
        Self::with_limits(command, Limits::default())
    }

    fn with_limits(command: IdleHelperCommand, limits: Limits) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(SharedState { command, limits, state, changed }) }
    }

    /// Returns the time since the last input, from Core Graphics' reading and the helper's, see
    /// [`decision`]. Starts the helper at the first call. Never waits for it.
    pub fn idle_time(&self, core_graphics: Duration) -> Duration {
        let now = Instant::now();
        let mut state = self.started();
        let (idle, helper_use) = idle_time(core_graphics, state.reading(now, self.shared.limits));
        state.is_stuck_at_zero |= helper_use == HelperUse::StuckAtZero;
        idle
    }

    /// Sets how often the helper reads.
    pub fn set_rate(&self, rate: PollRate) {
        let mut state = self.shared.lock();
        if state.rate != rate {
            state.rate = rate;
            state.announce_rate();
        }
    }

    /// Returns why the helper's reading does not count, for a person. `None` while it counts.
    pub fn warning(&self) -> Option<String> {
        let state = self.shared.lock();
        if state.is_stuck_at_zero {
            return Some(STUCK.to_owned());
        }
        state.problem.clone()
    }

    /// Starts the helper and waits for its first reading.
    ///
    /// # Errors
    /// Returns why there is none, or that there is none within `timeout`.
    pub fn first_reading(&self, timeout: Duration) -> Result<Duration, String> {
        let state = self.started();
        let is_waiting = |state: &mut State| state.latest.is_none() && state.problem.is_none();
        let waited = self.shared.changed.wait_timeout_while(state, timeout, is_waiting);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (&state.latest, &state.problem) {
            (Some(latest), _) => Ok(latest.idle),
            (None, Some(problem)) => Err(problem.clone()),
            (None, None) => Err(format!("no reading within {} s", timeout.as_secs())),
        }
    }

    /// Starts the supervisor unless it runs.
    fn started(&self) -> MutexGuard<'_, State> {
        let mut state = self.shared.lock();
        if !state.is_started {
            state.is_started = true;
            let shared = Arc::clone(&self.shared);
            let run = move || supervisor::run(&shared);
            let thread = std::thread::Builder::new().name("idle helper".into()).spawn(run);
            if let Err(error) = thread {
                state.problem = Some(format!("can't start a thread: {error}"));
            }
        }
        state
    }
}

const STUCK: &str = "the counter stays at 0 although there is no input";

impl Drop for IdleHelper {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_stopped = true;
        // The end of its input ends the helper, which wakes the supervisor.
        state.input = None;
        drop(state);
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
