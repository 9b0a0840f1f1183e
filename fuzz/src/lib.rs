//! Shared parts of the fuzz targets. A target finds panics, excessive time or memory, and violated
//! invariants: it asserts more than the absence of panics.

pub mod datasets;
pub mod jobs;
pub mod json;
pub mod seeds;
