//! Parameter layout: the offset of each parameter in the flat vector, with PyTorch's names, shapes
//! and row-major order.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::inference::SpecError;
use super::shape::parameter_tensors;
use super::spec::ModelSpec;

/// One parameter tensor in the flat vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TensorLayout {
    /// Name as in PyTorch's `state_dict`, such as `layers.0.weight`.
    pub name: String,
    pub shape: Vec<usize>,
    /// Index of the tensor's first value in the flat vector.
    pub offset: usize,
}

impl TensorLayout {
    /// Returns the number of values in the tensor.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// All parameters of a spec, in order of layers, then in PyTorch's order of registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParameterLayout {
    pub tensors: Vec<TensorLayout>,
    /// Number of values in the flat vector.
    pub parameters: usize,
}

/// Output shape and parameter count of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LayerOutline {
    pub kind: String,
    /// Shape of the output for one row, outermost size first.
    pub shape: Vec<u32>,
    pub parameters: u64,
}

impl ModelSpec {
    /// Returns each layer's output shape and parameter count, in order.
    ///
    /// # Errors
    /// Fails if the spec cannot be built.
    pub fn outline(&self) -> Result<Vec<LayerOutline>, SpecError> {
        let mut input = self.input_shape()?;
        let layers = self.layers.iter().zip(self.shapes()?);
        let outline = layers.map(|(layer, output)| {
            let tensors = parameter_tensors(layer, std::mem::replace(&mut input, output), output);
            let count = |sizes: &Vec<u32>| sizes.iter().map(|size| u64::from(*size)).product();
            LayerOutline {
                kind: layer.kind().to_owned(),
                shape: output.sizes(),
                parameters: tensors.iter().map(|(_, sizes)| -> u64 { count(sizes) }).sum(),
            }
        });
        Ok(outline.collect())
    }

    /// Returns the offset of each parameter.
    ///
    /// # Errors
    /// Fails if the spec cannot be built.
    pub fn layout(&self) -> Result<ParameterLayout, SpecError> {
        let shapes = self.shapes()?;
        let mut input = self.input_shape()?;
        let mut layout = ParameterLayout { tensors: Vec::new(), parameters: 0 };
        for (index, (layer, output)) in self.layers.iter().zip(shapes).enumerate() {
            for (name, dimensions) in parameter_tensors(layer, input, output) {
                let shape: Vec<usize> = dimensions.iter().map(|d| *d as usize).collect();
                let offset = layout.parameters;
                layout.parameters += shape.iter().product::<usize>();
                layout.tensors.push(TensorLayout {
                    name: format!("layers.{index}.{name}"),
                    shape,
                    offset,
                });
            }
            input = output;
        }
        Ok(layout)
    }
}
