//! Measurements of all devices: latencies, updates and failures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Number of failures whose text is stored; the others are only counted.
const STORED_ERRORS: usize = 10;

/// Stage of the test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Only failures are recorded.
    #[default]
    Setup,
    Steady,
    /// A round's updates are uploaded at the same time.
    Updates,
    Done,
}

#[derive(Default)]
pub(crate) struct Record {
    stage: Mutex<Stage>,
    steady: Heartbeats,
    during_updates: Heartbeats,
    polls: AtomicU64,
    open_polls: AtomicU64,
    uploads: Mutex<Vec<Upload>>,
    failed: AtomicU64,
    errors: Mutex<Vec<String>>,
}

/// Heartbeats of a stage: delays from the due time until sending, and until the response.
#[derive(Default)]
pub(crate) struct Heartbeats(Mutex<Vec<(Duration, Duration)>>);

/// One update, from the first byte sent until its acknowledgement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upload {
    pub(crate) started: Instant,
    pub(crate) finished: Instant,
    pub(crate) bytes: u64,
    pub(crate) partition: u32,
    pub(crate) rows: u64,
}

/// Quantiles of the durations of a stage.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quantiles {
    pub(crate) median: Duration,
    pub(crate) max: Duration,
    /// 99th percentile.
    pub(crate) p99: Duration,
}

impl Record {
    pub(crate) fn set_stage(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a heartbeat that was due at `due`, was sent `late` and has just been acknowledged.
    pub(crate) fn heartbeat(&self, due: Instant, late: Duration) {
        let heartbeats = match self.stage() {
            Stage::Steady => &self.steady,
            Stage::Updates => &self.during_updates,
            Stage::Setup | Stage::Done => return,
        };
        let mut heartbeats = heartbeats.0.lock().unwrap_or_else(PoisonError::into_inner);
        heartbeats.push((late, due.elapsed()));
    }

    pub(crate) fn steady(&self) -> &Heartbeats {
        &self.steady
    }

    pub(crate) fn during_updates(&self) -> &Heartbeats {
        &self.during_updates
    }

    pub(crate) fn poll_started(&self) {
        self.open_polls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn poll_ended(&self) {
        self.open_polls.fetch_sub(1, Ordering::Relaxed);
        self.polls.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests for work that the coordinator holds now.
    pub(crate) fn open_polls(&self) -> u64 {
        self.open_polls.load(Ordering::Relaxed)
    }

    /// Number of answered requests for work.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    pub(crate) fn upload(&self, upload: Upload) {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).push(upload);
    }

    pub(crate) fn uploads(&self) -> Vec<Upload> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn failure(&self, error: &anyhow::Error) {
        if self.stage() == Stage::Done {
            return;
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() < STORED_ERRORS {
            errors.push(format!("{error:#}"));
        }
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Heartbeats {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Delay between the due time and sending: the lag of this process.
    pub(crate) fn lag(&self) -> Quantiles {
        self.quantiles(|(late, _)| *late)
    }

    /// Time from the due time to the response.
    pub(crate) fn latency(&self) -> Quantiles {
        self.quantiles(|(_, latency)| *latency)
    }

    fn quantiles(&self, of: impl Fn(&(Duration, Duration)) -> Duration) -> Quantiles {
        let heartbeats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<Duration> = heartbeats.iter().map(of).collect();
        sorted.sort_unstable();
        let Some(max) = sorted.last().copied() else { return Quantiles::default() };
        // Nearest-rank percentile: the smallest value that at least this share does not exceed.
        let rank = |hundredths: usize| {
            let rank = (sorted.len() * hundredths).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or(max)
        };
        Quantiles { median: rank(50), p99: rank(99), max }
    }
}
