//! Declarative models: what the layers are, which shapes they give, and where each parameter lies.

mod inference;
mod layout;
mod memory;
mod preset;
mod shape;
#[cfg(test)]
mod shape_tests;
mod spec;

pub use inference::{SpecError, SpecProblem};
pub use layout::{LayerOutline, ParameterLayout, TensorLayout};
pub use preset::Preset;
pub use shape::Shape;
pub use spec::{Combine, InputSpec, LayerSpec, ModelSpec};
