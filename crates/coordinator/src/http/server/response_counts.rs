//! Counts of responses, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Number of responses, by the first digit of their status.
#[derive(Debug, Default)]
pub(crate) struct ResponseCounts([AtomicU64; 5]);

impl ResponseCounts {
    pub(crate) fn count(&self, status: u16) {
        let class = usize::from(status / 100).wrapping_sub(1);
        if let Some(counter) = self.0.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the number of responses of each class, `1xx` first.
    pub(crate) fn counts(&self) -> [u64; 5] {
        self.0.each_ref().map(|counter| counter.load(Ordering::Relaxed))
    }
}
