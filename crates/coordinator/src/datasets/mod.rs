//! Datasets as the dashboard shows them: a preview of each and a cache for it.

pub(crate) mod cache;
pub(crate) mod preview;
