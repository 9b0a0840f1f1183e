//! Idle helper: a small process that reads macOS's second idle counter with a library that has memory
//! faults, and its supervisor.
//!
//! The process has one thread and does nothing else, so that the faults harm nothing here. It ends when
//! its standard input ends. A helper that dies, hangs or prints nonsense is replaced after a delay that
//! doubles. Its reading never replaces Core Graphics'; see [`decision`].

mod child;
mod decision;
mod lines;
mod supervisor;

use std::io::Write;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use child::serve_idle_time;
pub use decision::{HelperReading, HelperUse, idle_time};

use super::PollRate;
use lines::rate_line;

/// Whether this system's sensors use a helper.
pub const IS_USED: bool = cfg!(target_os = "macos");

/// Command that starts a helper, which calls [`serve_idle_time`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleHelperCommand {
    pub program: PathBuf,
    pub args: Vec<String>,
}

/// Supervised helper process. Starts with the first [`Self::idle_time`]; ends when dropped.
#[derive(Debug)]
pub struct IdleHelper {
    shared: Arc<Shared>,
}

/// State that the supervisor's thread shares with the readers.
#[derive(Debug)]
struct Shared {
    command: IdleHelperCommand,
    limits: Limits,
    state: Mutex<State>,
    /// Notified of every change of the state.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_started: bool,
    is_stopped: bool,
    rate: PollRate,
    /// Input of the running helper.
    input: Option<ChildStdin>,
    latest: Option<Latest>,
    /// Time since which every reading has been 0.
    zero_since: Option<Instant>,
    is_stuck_at_zero: bool,
    /// Why the last helper failed; removed once a later one has worked for a while.
    problem: Option<String>,
    /// Helper processes started so far.
    starts: u64,
}

#[derive(Debug, Clone, Copy)]
struct Latest {
    idle: Duration,
    at: Instant,
}

/// Time limits of the supervisor.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Time without a reading after which a helper is killed.
    silence: Duration,
    /// Delay before the first replacement of a failed helper; each further one doubles it.
    first_delay: Duration,
    longest_delay: Duration,
    /// Time after which a helper works: the delay starts again at the first.
    works_after: Duration,
    /// Time after which a helper may end by itself.
    may_end_after: Duration,
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

impl IdleHelper {
    pub fn new(command: IdleHelperCommand) -> Self {
        Self::with_limits(command, Limits::default())
    }

    fn with_limits(command: IdleHelperCommand, limits: Limits) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { command, limits, state, changed }) }
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes everyone who waits for a change.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

impl State {
    /// Returns the latest reading, as old as it is. A reading older than `limits.silence` is none.
    fn reading(&self, now: Instant, limits: Limits) -> Option<HelperReading> {
        let latest = self.latest?;
        let age = now.saturating_duration_since(latest.at);
        (age <= limits.silence).then(|| HelperReading {
            idle: latest.idle.saturating_add(age),
            zero_for: self.zero_since.map(|since| now.saturating_duration_since(since)),
        })
    }

    fn record(&mut self, idle: Duration, at: Instant) {
        self.latest = Some(Latest { idle, at });
        if idle.is_zero() {
            self.zero_since.get_or_insert(at);
        } else {
            self.zero_since = None;
            self.is_stuck_at_zero = false;
        }
    }

    fn fail(&mut self, problem: String) {
        self.latest = None;
        self.zero_since = None;
        self.is_stuck_at_zero = false;
        self.problem = Some(problem);
    }

    fn announce_rate(&mut self) {
        let line = rate_line(self.rate);
        // A helper that no longer reads has ended, which the supervisor notices by its output.
        if let Some(input) = &mut self.input
            && input.write_all(line.as_bytes()).is_err()
        {
            self.input = None;
        }
    }
}

#[cfg(test)]
mod tests;
