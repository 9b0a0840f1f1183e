//! Every decision about a job, and the mathematics on flat f32 slices. No I/O, no clock, no burn:
//! time comes in as an argument, chance is keyed by the job's seed, and what is to be done goes
//! out as effects.

pub mod aggregate;
pub mod explain;
pub mod machine;
pub mod partition;
pub mod schedule;
