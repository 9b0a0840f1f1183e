//! Rows of lease records and of daily totals.

use protocol::lease::{LeaseOutcome, LeaseRecord};
use protocol::{JobId, Timestamp};
use serde::{Deserialize, Serialize};

/// Maximum number of stored leases of a job; older ones are removed.
pub(crate) const MOST_LEASES: u64 = 2000;

/// A lease record, stored once the lease has ended. Until then the machine stores the lease.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LeaseRow {
    pub(crate) job: JobId,
    pub(crate) record: LeaseRecord,
}

impl LeaseRow {
    /// Returns whether the lease is held.
    pub(crate) fn is_open(&self) -> bool {
        self.record.outcome == LeaseOutcome::Open
    }
}

/// Totals of the accepted updates of one day.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Day {
    pub(crate) gpu_seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) examples: u64,
    pub(crate) leases: u64,
    /// An estimate; see [`crate::http::api::usage_report`].
    pub(crate) watt_hours: f64,
}

/// The totals of one date.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DayRow {
    /// UTC date, such as `2026-11-24`.
    pub(crate) date: String,
    pub(crate) day: Day,
}

/// History that is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trim {
    /// Removes leases granted before this time.
    pub(crate) before: Timestamp,
    /// Removes the leases of these jobs beyond [`MOST_LEASES`].
    pub(crate) jobs: Vec<JobId>,
    /// Removes days before this date.
    pub(crate) date: String,
}
