//! What is known of a dataset without its rows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// A row that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RowProblem {
    pub file: String,
    /// From 1; for Parquet the row, for text files the line where the row begins.
    pub line: u64,
    pub reason: String,
}
