//! Selection and partitioning of a job's training rows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Selection and partitioning of the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DataSpec {
    pub partitions: u32,
    pub partitioner: Partitioner,
    /// Training rows used; 0 = all.
    pub train_limit: u64,
}

impl Default for DataSpec {
    fn default() -> Self {
        Self { partitions: 12, partitioner: Partitioner::Iid, train_limit: 0 }
    }
}

/// Method of dividing rows among partitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Partitioner {
    /// Random, in equal parts.
    Iid,
    /// Class shares of each partition drawn from a symmetric Dirichlet distribution (Hsu et al.
    /// 2019). A smaller alpha is more uneven.
    Dirichlet { alpha: f64 },
    /// Rows sorted by class, cut into `partitions × per_partition` runs and dealt at random
    /// (McMahan et al. 2017, §3).
    Shards { per_partition: u32 },
    /// Partition sizes drawn from a symmetric Dirichlet distribution, rows at random (Li et al.
    /// 2022, §III-C).
    Quantity { alpha: f64 },
}
