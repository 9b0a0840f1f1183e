//! Datasets: the catalog, their sources, and reading, splitting and packing of rows into shards.
//! Rows stay raw (texts and pixels). A model's spec decides how they become numbers.

pub mod catalog;
mod columns;
mod error;
mod hub;
pub mod image_decode;
mod import;
mod layout;
mod parquet_guard;
mod published;
pub mod shard;
mod sources;
mod split;
pub mod synthetic;
pub mod text;
mod uploads;

pub use catalog::{CatalogEntry, Origin};
pub use error::DataError;
pub use hub::{HubSettings, RepositoryId};
pub use import::{AddReport, BadRow, ImportFile, ReadLimits, read_file};
pub use sources::{SourceStamp, Sources};

use protocol::dataset::DatasetInfo;

/// One example: a label (an index into the dataset's classes) and the sample to classify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub label: u32,
    pub sample: Sample,
}

/// Text or image of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sample {
    Text(String),
    /// `channels × height × width` bytes, row-major, 0 dark to 255 bright.
    Image(Vec<u8>),
}

impl Sample {
    /// Returns the canonical bytes: UTF-8 text, or pixels.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Image(pixels) => pixels,
        }
    }
}

/// Dataset in memory, with its published or derived test split.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    pub info: DatasetInfo,
    pub train: Vec<Row>,
    /// Empty if the dataset has no validation split of its own.
    pub validation: Vec<Row>,
    pub test: Vec<Row>,
}

/// Progress of a load, reported often enough for a progress bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadProgress {
    Downloading { file: String, done: u64, total: Option<u64> },
    Reading { rows: u64 },
}
