//! Steps: long-running work of the coordinator itself (prepare, aggregate, evaluate, register).
//!
//! A step gets its input and returns its result; the driver starts it and applies the result.
//! Repeating a step from the beginning gives the same result.

mod aggregate;
mod attempt;
mod context;
mod error;
mod evaluate;
mod kind;
pub mod prepare;
pub(crate) mod register;
mod trainers;

pub(crate) use attempt::{StepOutcome, attempt};
pub(crate) use context::{ProgressFn, StepContext, Task, blocking};
pub(crate) use error::StepError;
pub(crate) use kind::StepKey;
pub(crate) use trainers::Trainers;
