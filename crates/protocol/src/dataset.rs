//! What is known of a dataset without its rows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Problem;
use crate::job::DataSpec;

/// What one row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SampleShape {
    /// A text of any length.
    Text,
    /// `channels × height × width` bytes, row-major, 0 dark to 255 bright.
    Image { channels: u32, height: u32, width: u32 },
}

/// A dataset in the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetInfo {
    pub name: String,
    pub sample: SampleShape,
    /// Class names; a row's label is an index into them.
    pub classes: Vec<String>,
    pub train_rows: u64,
    pub test_rows: u64,
    /// Where the rows come from, e.g. `fancyzhx/ag_news`, `embedded` or `uploaded`.
    pub source: String,
    /// The terms of use as its publisher states them.
    pub licence: String,
}

/// A dataset as `GET /datasets` shows it. Classes and counts are missing where only a download would
/// tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetEntry {
    pub name: String,
    pub sample: SampleShape,
    pub source: String,
    pub licence: String,
    /// Where a load would take it from now: `embedded`, `local`, `cached`, `hub` or `uploaded`.
    pub origin: String,
    pub classes: Option<Vec<String>>,
    pub train_rows: Option<u64>,
    pub test_rows: Option<u64>,
}

/// A dataset as `GET /datasets/{name}` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetDetail {
    #[serde(flatten)]
    pub entry: DatasetEntry,
    /// Rows of each class; none where the rows are not on the coordinator's machine.
    pub train_class_counts: Option<Vec<u64>>,
    pub test_class_counts: Option<Vec<u64>>,
    /// Whether the rows are on the coordinator's machine.
    pub here: bool,
}

/// Which part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    #[default]
    Train,
    Test,
}

/// A row as `GET /datasets/{name}/rows` shows it: a text or an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetRow {
    /// Index into the dataset's classes.
    pub label: u32,
    /// Cut after 10,000 characters.
    pub text: Option<String>,
    /// A PNG, as a `data:` address.
    pub image: Option<String>,
}

/// Body of `POST /datasets/{name}/partitions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PartitionsRequest {
    pub seed: u64,
    #[serde(default)]
    pub data: DataSpec,
}

/// Answer to it: how a job with this seed would divide the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Partitions {
    pub classes: Vec<String>,
    /// By the partitions' numbers.
    pub partitions: Vec<PartitionCounts>,
}

/// One partition's rows, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionCounts {
    pub rows: u64,
    /// By class.
    pub class_counts: Vec<u64>,
}

/// Answer to `POST /datasets`: what became of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AddedDataset {
    pub info: DatasetInfo,
    /// How the columns were understood, in words.
    pub understood: String,
    /// Rows that were left out.
    pub bad_rows: u64,
    /// The first of them.
    pub problems: Vec<RowProblem>,
}

/// What a problem with a file's rows says besides: extension members of the problem details.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileProblem {
    #[serde(flatten)]
    pub problem: Problem,
    /// Rows that can't be used.
    pub bad_rows: u64,
    /// The first 20 of them.
    pub rows: Vec<RowProblem>,
}

/// A row that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RowProblem {
    pub file: String,
    /// From 1; for Parquet the row, for text files the line where the row begins.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
    /// What to change, as an order.
    #[serde(default)]
    pub change: String,
}
