//! The demo's result line, which scripts read.

use std::fmt;

use protocol::BlobHash;
use serde::Serialize;

/// Result of a demo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) dataset: String,
    pub(super) rounds: u32,
    /// Accuracy of the final model on the test split.
    pub(super) test_accuracy: f64,
    pub(super) model_blake3: BlobHash,
    /// Seconds from the start of the processes to the registered model.
    pub(super) seconds: f64,
    pub(super) leases_lost: u64,
    #[serde(flatten)]
    pub(super) kills: Kills,
}

/// Number of SIGKILLs sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Kills {
    #[serde(rename = "worker_kills")]
    pub(super) workers: u32,
    #[serde(rename = "trainer_kills")]
    pub(super) trainers: u32,
    #[serde(rename = "coordinator_kills")]
    pub(super) coordinators: u32,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "demo: dataset={} rounds={} test_accuracy={:.4} model_blake3={} seconds={:.1} \
             leases_lost={} worker_kills={} trainer_kills={} coordinator_kills={}",
            self.dataset,
            self.rounds,
            self.test_accuracy,
            self.model_blake3,
            self.seconds,
            self.leases_lost,
            self.kills.workers,
            self.kills.trainers,
            self.kills.coordinators
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_the_agreed_fields_in_order() {
        let summary = Summary {
            dataset: "synthetic".into(),
            rounds: 3,
            test_accuracy: 0.912_345,
            model_blake3: BlobHash::compute(b""),
            seconds: 12.34,
            leases_lost: 3,
            kills: Kills { workers: 5, trainers: 1, coordinators: 1 },
        };
        insta::assert_snapshot!(summary);
    }
}
