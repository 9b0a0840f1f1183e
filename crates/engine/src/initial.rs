//! Initial weights, computed on the host so that every backend starts from the same bits.

use protocol::model::{LayerSpec, ModelSpec, TensorLayout};
use protocol::{RngDomain, SeededRng};

use crate::EngineError;

/// Returns the flat vector of a new model, with PyTorch's default initialization for everything but
/// embeddings.
pub fn initialize(spec: &ModelSpec, seed: u64) -> Result<Vec<f32>, EngineError> {
    let layout = spec.layout()?;
    let mut flat = Vec::with_capacity(layout.parameters);
    let mut fan_in = 1;
    for (index, tensor) in (0..).zip(&layout.tensors) {
        let mut rng = SeededRng::new(RngDomain::InitialWeights, seed, 0, index, 0);
        if let [_, inner @ ..] = tensor.shape.as_slice()
            && !inner.is_empty()
        {
            // A bias follows its weight and uses the same bound.
            fan_in = inner.iter().product();
        }
        let (low, high) = bounds(layer_of(spec, tensor)?, tensor, fan_in);
        let values = (0..tensor.count()).map(|_| low + (high - low) * rng.uniform());
        #[expect(clippy::cast_possible_truncation, reason = "f32 is what parameters are in")]
        flat.extend(values.map(|value| value as f32));
    }
    Ok(flat)
}

/// Returns the range of a tensor's uniform initial values.
fn bounds(layer: &LayerSpec, tensor: &TensorLayout, fan_in: usize) -> (f64, f64) {
    match layer {
        // As in fastText: small compared with what a few steps add, because a bag's mean starts
        // near zero.
        LayerSpec::EmbeddingBag { dimension, .. } => around_zero(1.0 / f64::from(*dimension)),
        LayerSpec::Embedding { .. } => around_zero(0.1),
        LayerSpec::LayerNorm if tensor.name.ends_with("weight") => (1.0, 1.0),
        LayerSpec::LayerNorm => (0.0, 0.0),
        // kaiming_uniform_(a=√5), as torch.nn.Linear.reset_parameters does.
        LayerSpec::Linear { .. } | LayerSpec::Conv2d { .. } | LayerSpec::ConvMaxPool { .. } => {
            around_zero(1.0 / (fan_in as f64).sqrt())
        }
        LayerSpec::MaxPool2d { .. }
        | LayerSpec::GlobalAveragePool
        | LayerSpec::Flatten
        | LayerSpec::Relu
        | LayerSpec::Tanh
        | LayerSpec::Gelu
        | LayerSpec::Dropout { .. } => (0.0, 0.0),
    }
}

fn around_zero(bound: f64) -> (f64, f64) {
    (-bound, bound)
}

/// Returns the layer of a tensor named `layers.{index}.…`.
fn layer_of<'a>(spec: &'a ModelSpec, tensor: &TensorLayout) -> Result<&'a LayerSpec, EngineError> {
    let index = tensor.name.split('.').nth(1).and_then(|index| index.parse::<usize>().ok());
    index
        .and_then(|index| spec.layers.get(index))
        .ok_or_else(|| EngineError::Internal(format!("no layer has the parameter {}", tensor.name)))
}

#[cfg(test)]
mod tests {
    use protocol::dataset::SampleShape;
    use protocol::model::{Combine, Preset};

    use super::*;

    #[test]
    fn initial_weights_are_within_bounds_and_follow_from_the_seed() {
        let sample = SampleShape::Image { channels: 1, height: 28, width: 28 };
        let spec = Preset::Cnn.spec(sample, 10).unwrap();
        let flat = initialize(&spec, 42).unwrap();
        assert_eq!(flat.len(), 1_663_370);
        assert_eq!(flat, initialize(&spec, 42).unwrap());
        assert_ne!(flat, initialize(&spec, 43).unwrap());
        // The first convolution's 800 weights and 32 biases: 1 / √25.
        let largest = flat[..832].iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        assert!(largest <= 0.2 && largest > 0.19, "{largest}");
    }

    #[test]
    fn layer_norm_starts_as_the_identity() {
        let spec = ModelSpec {
            input: protocol::model::InputSpec::Text {
                buckets: 8,
                ngrams: 1,
                max_words: 4,
                unique: false,
            },
            layers: vec![
                LayerSpec::EmbeddingBag { dimension: 2, combine: Combine::Mean },
                LayerSpec::LayerNorm,
            ],
        };
        assert_eq!(initialize(&spec, 1).unwrap()[16..], [1.0, 1.0, 0.0, 0.0]);
    }
}
