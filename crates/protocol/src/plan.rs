//! Training plan of a lease.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Client optimizer. Its state starts fresh in every lease.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Optimizer {
    Sgd {
        learning_rate: f64,
        #[serde(default)]
        momentum: f64,
        #[serde(default)]
        weight_decay: f64,
    },
    /// Kingma & Ba 2015; betas 0.9 and 0.999, epsilon 1e-8.
    Adam { learning_rate: f64 },
    /// Loshchilov & Hutter 2019; betas 0.9 and 0.999, epsilon 1e-8.
    #[serde(rename = "adamw")]
    AdamW {
        learning_rate: f64,
        #[serde(default = "default_decoupled_decay")]
        weight_decay: f64,
    },
}

fn default_decoupled_decay() -> f64 {
    0.01
}

/// Length of a lease's training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LocalWork {
    /// Whole passes over the partition.
    Epochs(u32),
    /// Optimizer steps. The partition repeats as often as needed.
    Steps(u32),
}

/// Work of one lease, the same for every lease of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    pub local_work: LocalWork,
    /// Rows per step. The last step of an epoch takes the remaining rows.
    pub batch_size: u32,
    pub optimizer: Optimizer,
    /// Threads of a CPU trainer.
    pub threads: u32,
}

impl Plan {
    /// Returns the optimizer steps for a partition of `rows` rows, saturating at `u64::MAX`. 0 for
    /// an empty partition.
    pub fn steps(&self, rows: u64) -> u64 {
        if rows == 0 {
            return 0;
        }
        match self.local_work {
            LocalWork::Epochs(epochs) => {
                let steps_per_epoch = rows.div_ceil(u64::from(self.batch_size.max(1)));
                u64::from(epochs).saturating_mul(steps_per_epoch)
            }
            LocalWork::Steps(steps) => u64::from(steps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found when fuzzing was set up: the step count overflowed for absurdly many rows.
    #[test]
    fn the_step_count_of_absurdly_many_rows_saturates() {
        let optimizer = Optimizer::Adam { learning_rate: 0.1 };
        let local_work = LocalWork::Epochs(3);
        let plan = Plan { local_work, batch_size: 2, optimizer, threads: 1 };
        assert_eq!(plan.steps(5), 9);
        assert_eq!(plan.steps(u64::MAX), u64::MAX);
    }
}
