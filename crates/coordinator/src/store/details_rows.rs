//! Rows for what people change of jobs and models: names and archiving.

use protocol::{JobId, Timestamp};

/// Name and archived state of a job, which people can change, and the dataset version that the job uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct JobDetails {
    /// Replaces the name in the job's settings.
    pub(crate) name: Option<String>,
    /// Set while the job is hidden from lists.
    pub(crate) archived_at: Option<Timestamp>,
    /// `None` for embedded and published datasets.
    pub(crate) dataset: Option<DatasetPin>,
}

/// Details with the job that they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobDetailsRow {
    pub(crate) job: JobId,
    pub(crate) details: JobDetails,
}

/// Version of a dataset that a job uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatasetPin {
    /// Id of the dataset.
    pub(crate) dataset: String,
    /// Current name of the dataset, or the last one if it was deleted.
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) deleted: bool,
}

impl DatasetPin {
    /// Returns the version's name, such as `reviews@2`.
    pub(crate) fn label(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// Name of registered models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ModelName {
    /// Newest version that was ever registered. A deleted version's number is not used again.
    pub(crate) newest: u32,
    /// Set while the model is hidden from lists.
    pub(crate) archived_at: Option<Timestamp>,
}

/// Model name with its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelNameRow {
    pub(crate) name: String,
    pub(crate) row: ModelName,
}
