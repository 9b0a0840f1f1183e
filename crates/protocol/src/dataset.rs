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
