//! Versions of an uploaded dataset.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;

/// Version of an uploaded dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetVersion {
    /// From 1. The number of a deleted version is not used again.
    pub version: u32,
    /// Name of the version for jobs, such as `reviews@2`.
    pub name: String,
    pub created_at: Timestamp,
    /// Name of who added it, as in the audit log. Null if it is not known.
    pub created_by: Option<String>,
    /// Names of the uploaded files. Empty if they are not known.
    pub files: Vec<String>,
    pub classes: Vec<String>,
    pub train_rows: u64,
    /// 0 if the files had no validation split.
    pub validation_rows: u64,
    pub test_rows: u64,
    /// Size of the stored rows.
    pub bytes: u64,
    /// Plan by which the files were read. Null if it is not known.
    #[schema(value_type = Object)]
    pub plan: serde_json::Value,
}
