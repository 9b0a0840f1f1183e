//! Decisions about jobs, and the mathematics on flat f32 slices. No I/O, no clock and no burn: time
//! is an argument, random numbers are keyed by the job's seed, and actions are returned as effects.

pub mod aggregate;
pub mod explain;
pub mod machine;
pub mod partition;
pub mod schedule;
pub mod table;
