//! Declarative models: what the layers are, which shapes they give, and where each parameter lies.

mod layout;
mod memory;
mod preset;
mod shape;
#[cfg(test)]
mod shape_tests;
mod spec;

pub use layout::{LayerOutline, ParameterLayout, TensorLayout};
pub use preset::Preset;
pub use shape::{Shape, SpecError, SpecProblem};
pub use spec::{Combine, InputSpec, LayerSpec, ModelSpec};
