//! What the fuzz targets share. A target finds what panics, what takes too long or too much memory, and what breaks a
//! promise: it asserts more than that nothing panics.

pub mod datasets;
pub mod jobs;
pub mod json;
pub mod seeds;
