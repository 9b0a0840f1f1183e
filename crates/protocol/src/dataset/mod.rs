//! Metadata of datasets.

pub mod import;
pub mod import_check;
mod sample;
pub mod upload;
mod version;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use sample::SampleShape;
pub use version::DatasetVersion;

use self::import::{ImportPlan, OpenQuestion};
use crate::Problem;
use crate::job::DataSpec;

/// Dataset in the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetInfo {
    pub name: String,
    pub sample: SampleShape,
    /// Class names. A row's label is an index into them.
    pub classes: Vec<String>,
    pub train_rows: u64,
    #[serde(default)]
    pub validation_rows: u64,
    pub test_rows: u64,
    /// Number of the version, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Source of the rows, such as `fancyzhx/ag_news`, `embedded` or `uploaded`.
    pub source: String,
    /// Terms of use as the publisher states them.
    pub licence: String,
}

const fn first_version() -> u32 {
    1
}

/// Dataset as returned by `GET /datasets`. Classes and counts are null if they are unknown before a
/// download.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetEntry {
    pub name: String,
    pub sample: SampleShape,
    pub source: String,
    pub licence: String,
    /// Source of the next load: `embedded`, `local`, `cached`, `hub` or `uploaded`.
    pub origin: String,
    pub classes: Option<Vec<String>>,
    pub train_rows: Option<u64>,
    /// 0 if the dataset has no validation split of its own.
    #[serde(default)]
    pub validation_rows: Option<u64>,
    pub test_rows: Option<u64>,
    /// Version of an uploaded dataset: the newest, unless another was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Whether the dataset is hidden from lists and refused for new jobs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub archived: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Dataset as returned by `GET /datasets/{name}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetDetail {
    #[serde(flatten)]
    pub entry: DatasetEntry,
    /// Rows of each class. Null if the rows are not on the coordinator's machine.
    pub train_class_counts: Option<Vec<u64>>,
    pub test_class_counts: Option<Vec<u64>>,
    /// Whether the rows are on the coordinator's machine.
    pub here: bool,
    /// Versions of an uploaded dataset, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<DatasetVersion>,
}

/// Split of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    #[default]
    Train,
    Test,
}

/// Row as returned by `GET /datasets/{name}/rows`: a text or an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetRow {
    /// Index into the dataset's classes.
    pub label: u32,
    /// Truncated to 10,000 characters.
    pub text: Option<String>,
    /// PNG as a `data:` URL.
    pub image: Option<String>,
}

/// Request body of `POST /datasets/{name}/partitions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PartitionsRequest {
    pub seed: u64,
    #[serde(default)]
    pub data: DataSpec,
}

/// Response of `POST /datasets/{name}/partitions`: how a job with this seed would divide the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Partitions {
    pub classes: Vec<String>,
    /// In order of partition number.
    pub partitions: Vec<PartitionCounts>,
}

/// Row counts of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionCounts {
    pub rows: u64,
    /// Rows of each class.
    pub class_counts: Vec<u64>,
}

/// Response of `POST /datasets`: result of the upload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AddedDataset {
    pub info: DatasetInfo,
    /// Plain-language description of how the columns were interpreted.
    pub understood: String,
    /// Rows that were skipped.
    pub bad_rows: u64,
    /// The first of the skipped rows.
    pub problems: Vec<RowProblem>,
    /// How the files were read.
    #[serde(default)]
    pub plan: ImportPlan,
}

/// Problem details with extension members for the rows of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileProblem {
    #[serde(flatten)]
    pub problem: Problem,
    /// Rows that cannot be used.
    pub bad_rows: u64,
    /// The first 20 of them.
    pub rows: Vec<RowProblem>,
    /// Decisions that the files leave open, with the type `import-undecided`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<OpenQuestion>,
}

/// Row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RowProblem {
    pub file: String,
    /// Line at which the row begins in text files, row number in Parquet files. From 1.
    pub line: u64,
    /// Reason why the row can't be used.
    pub reason: String,
    /// Instruction for mending the row.
    #[serde(default)]
    pub change: String,
}
