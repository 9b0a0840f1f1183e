//! Job scheduling: the choice of a device's next job.

use std::cmp::Reverse;

use protocol::{JobId, Timestamp};

/// Job that has a seat for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    pub job: JobId,
    pub priority: i32,
    /// Number of leased seats.
    pub leased: usize,
    pub created_at: Timestamp,
}

/// Returns the job with the highest priority, then the fewest leased seats (fair share), then the
/// earliest creation.
pub fn choose(candidates: &[Candidate]) -> Option<JobId> {
    candidates
        .iter()
        .min_by_key(|job| (Reverse(job.priority), job.leased, job.created_at, job.job))
        .map(|job| job.job)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(number: u8, priority: i32, leased: usize, created_at: i64) -> Candidate {
        let job = format!("00000000-0000-7000-8000-0000000000{number:02x}").parse().unwrap();
        Candidate { job, priority, leased, created_at: Timestamp::from_millis(created_at) }
    }

    #[test]
    fn priority_comes_before_fair_share_and_age() {
        let old = candidate(1, 0, 3, 10);
        let young = candidate(2, 0, 3, 20);
        let idle = candidate(3, 0, 0, 30);
        let urgent = candidate(4, 1, 9, 40);
        for (candidates, chosen) in [
            (vec![], None),
            (vec![young, old], Some(old)),
            (vec![young, old, idle], Some(idle)),
            (vec![young, old, idle, urgent], Some(urgent)),
        ] {
            assert_eq!(choose(&candidates), chosen.map(|candidate| candidate.job));
        }
    }
}
