//! Metrics of training and evaluation.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Metrics that a device measured while it trained one lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrainMetrics {
    /// Mean training loss over all steps of the lease, in nats.
    pub loss: f64,
    /// Optimizer steps done.
    pub steps: u64,
    /// Rows trained on, counting repeats.
    pub examples: u64,
    /// Seconds spent in steps.
    pub seconds: f64,
}

/// Quality of a model on a held-out split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvalMetrics {
    /// Share of rows whose most probable class is correct, 0 to 1.
    pub accuracy: f64,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    pub examples: u64,
    /// Row counts, `confusion[actual][predicted]`.
    pub confusion: Vec<Vec<u64>>,
}
