//! What devices saw: latencies, updates, and everything that went wrong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that are kept in words; the rest is counted.
const KEPT_ERRORS: usize = 10;

/// What goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing counts yet but failures.
    #[default]
    Before,
    Steady,
    /// A round's updates come in beside.
    Updates,
    Over,
}

#[derive(Default)]
pub(crate) struct Record {
    stage: Mutex<Stage>,
    steady: Beats,
    beside_updates: Beats,
    polls: AtomicU64,
    open_polls: AtomicU64,
    uploads: Mutex<Vec<Upload>>,
    failed: AtomicU64,
    errors: Mutex<Vec<String>>,
}

/// Heartbeats of a stage: how long after it was due each was sent, and answered.
#[derive(Default)]
pub(crate) struct Beats(Mutex<Vec<(Duration, Duration)>>);

/// One update, from the first byte sent to its acknowledgement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upload {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) bytes: u64,
    pub(crate) partition: u32,
    pub(crate) rows: u64,
}

/// Quantiles of a stage's durations.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quantiles {
    pub(crate) half: Duration,
    pub(crate) most: Duration,
    /// 99 of 100 are at most this.
    pub(crate) p99: Duration,
}

impl Record {
    pub(crate) fn enter(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A heartbeat that was due a while ago, was sent `late` and is answered now.
    pub(crate) fn beat(&self, due: Instant, late: Duration) {
        let beats = match self.stage() {
            Stage::Steady => &self.steady,
            Stage::Updates => &self.beside_updates,
            Stage::Before | Stage::Over => return,
        };
        let mut beats = beats.0.lock().unwrap_or_else(PoisonError::into_inner);
        beats.push((late, due.elapsed()));
    }

    pub(crate) fn steady(&self) -> &Beats {
        &self.steady
    }

    pub(crate) fn beside_updates(&self) -> &Beats {
        &self.beside_updates
    }

    pub(crate) fn poll_opens(&self) {
        self.open_polls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn poll_ends(&self) {
        self.open_polls.fetch_sub(1, Ordering::Relaxed);
        self.polls.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests for work that are held by the coordinator now.
    pub(crate) fn open_polls(&self) -> u64 {
        self.open_polls.load(Ordering::Relaxed)
    }

    /// Requests for work that were answered.
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
        if self.stage() == Stage::Over {
            return;
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() < KEPT_ERRORS {
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

impl Beats {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How late they were sent: this process's own lag.
    pub(crate) fn lag(&self) -> Quantiles {
        self.quantiles(|(late, _)| *late)
    }

    /// From when they were due to their answers.
    pub(crate) fn latency(&self) -> Quantiles {
        self.quantiles(|(_, latency)| *latency)
    }

    fn quantiles(&self, of: impl Fn(&(Duration, Duration)) -> Duration) -> Quantiles {
        let beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<Duration> = beats.iter().map(of).collect();
        sorted.sort_unstable();
        let Some(most) = sorted.last().copied() else { return Quantiles::default() };
        // The smallest that at least this share does not exceed.
        let rank = |hundredths: usize| {
            let rank = (sorted.len() * hundredths).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or(most)
        };
        Quantiles { half: rank(50), p99: rank(99), most }
    }
}
