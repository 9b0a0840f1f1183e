//! Datasets for the dashboard: previews, and a cache of previews and rows.

pub(crate) mod cache;
pub(crate) mod preview;
