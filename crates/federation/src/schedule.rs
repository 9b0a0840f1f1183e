//! Which job a device works on.

use std::cmp::Reverse;

use protocol::{JobId, Timestamp};

/// A job that offers the device a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    pub job: JobId,
    pub priority: i32,
    /// Seats of the job that are leased now.
    pub leased: usize,
    pub created_at: Timestamp,
}

/// The job that the device gets work from: the highest priority, then the fewest leased seats (fair
/// share), then the oldest.
pub fn choose(candidates: &[Candidate]) -> Option<JobId> {
    candidates
        .iter()
        .min_by_key(|job| (Reverse(job.priority), job.leased, job.created_at, job.job))
        .map(|job| job.job)
}
