//! Staged files: uploads that wait for their import as a dataset, and the requests that name them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::import::{FileRole, ImportOptions};
use crate::UploadId;

/// File that was uploaded for an import. It is deleted after an hour without use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StagedUpload {
    pub id: UploadId,
    pub filename: String,
    /// Number of stored bytes. The upload resumes there.
    pub received: u64,
    /// Length of the whole file in bytes.
    pub length: u64,
    /// Number of rows that the running import or inspection has read. Null if none runs.
    pub rows_read: Option<u64>,
}

impl StagedUpload {
    /// Returns whether all bytes are stored.
    pub const fn is_complete(&self) -> bool {
        self.received == self.length
    }
}

/// Uploaded file of an import, and what its rows are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportSource {
    pub id: UploadId,
    #[serde(default)]
    pub role: FileRole,
}

/// Request body of `POST /datasets/inspect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InspectRequest {
    /// The files, in the order in which they are read.
    #[serde(default)]
    pub uploads: Vec<ImportSource>,
    /// Repository of the Hugging Face hub instead of files: `OWNER/NAME`, or `OWNER/NAME:CONFIG`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    #[serde(default)]
    pub plan: ImportOptions,
}

/// Request body of `POST /datasets` with the content type `application/json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// Name of the new dataset.
    pub name: String,
    /// Whether the files become the next version of an uploaded dataset of this name, if there is one.
    #[serde(default)]
    pub new_version: bool,
    /// The files, in the order in which they are read. They are deleted after the import.
    #[serde(default)]
    pub uploads: Vec<ImportSource>,
    /// Repository of the Hugging Face hub instead of files: `OWNER/NAME`, or `OWNER/NAME:CONFIG`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    #[serde(default)]
    pub plan: ImportOptions,
}
