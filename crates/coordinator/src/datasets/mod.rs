//! Datasets that jobs can use: embedded and published ones, and the versions of uploaded ones, whose rows are
//! in the blob store.

pub(crate) mod cache;
mod catalog;
pub(crate) mod folders;
pub(crate) mod index;
pub(crate) mod preview;
mod shards;

pub use catalog::Datasets;
pub(crate) use catalog::{KnownDataset, UploadedVersion};
pub(crate) use shards::store_version;
