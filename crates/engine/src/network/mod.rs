//! A model on a device: a host embedding, burn modules for all other layers, and conversion from
//! and to the flat vector.

mod host_embedding;
mod layer;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData, Transaction};
use protocol::model::{InputSpec, LayerSpec, ModelSpec, ParameterLayout, Shape};

pub(crate) use host_embedding::{EmbeddingInput, HostEmbedding, HostEmbeddingOptimizer};
pub(crate) use layer::Value;

use crate::batch::{Batch, BatchInput};
use crate::{EngineError, device_failed};
use host_embedding::HostEmbeddingKind;
use layer::{Layer, Parameters};

/// Model with loaded parameters.
#[derive(Debug)]
pub(crate) struct Network {
    /// The first layer, if it is an embedding.
    pub(crate) host_embedding: Option<HostEmbedding>,
    pub(crate) body: Body,
    pub(crate) layout: ParameterLayout,
    input: InputSpec,
    device: Device,
}

/// Layers on the device.
#[derive(Module, Debug)]
pub(crate) struct Body {
    layers: Vec<Layer>,
}

impl Network {
    /// Creates the model of a spec with these parameters, in layout order, on `device` (with
    /// autodiff for training, without for evaluation).
    pub(crate) fn new(
        spec: &ModelSpec,
        flat: &[f32],
        device: &Device,
    ) -> Result<Self, EngineError> {
        let layout = spec.layout()?;
        if flat.len() != layout.parameters {
            let (expected, actual) = (layout.parameters, flat.len());
            return Err(EngineError::Parameters { expected, actual });
        }
        let mut tensors = layout.tensors.iter();
        let host_embedding = host_embedding(spec, flat, &mut tensors)?;
        let mut parameters = Parameters { tensors, flat, device };
        let mut layers = Vec::with_capacity(spec.layers.len());
        for layer in &spec.layers {
            layers.extend(Layer::build(layer, &mut parameters)?);
        }
        let body = Body { layers };
        Ok(Self { host_embedding, body, input: spec.input, layout, device: device.clone() })
    }

    /// Computes a batch's logits `[rows, classes]` and returns them with the embedding's input. The
    /// embedding must have no pending steps. Pixels are moved to the device, so the batch is empty
    /// afterwards.
    pub(crate) fn forward(
        &self,
        batch: &mut Batch,
    ) -> Result<(Tensor<2>, Option<EmbeddingInput>), EngineError> {
        let (mut value, embedding_input) =
            match (&mut batch.input, &self.host_embedding, self.input) {
                (BatchInput::TokenIds(token_ids), Some(host_embedding), InputSpec::Text { .. }) => {
                    let (value, embedding_input) = host_embedding.forward(token_ids, &self.device);
                    (value, Some(embedding_input))
                }
                (
                    BatchInput::Pixels(pixels),
                    None,
                    InputSpec::Image { channels, height, width, .. },
                ) => {
                    let [channels, height, width] = [channels, height, width].map(|n| n as usize);
                    let data = TensorData::new(
                        std::mem::take(pixels),
                        [batch.rows, channels, height, width],
                    );
                    (Value::Image(Tensor::from_data(data, &self.device)), None)
                }
                (BatchInput::TokenIds(_) | BatchInput::Pixels(_), Some(_) | None, _) => {
                    return Err(EngineError::Internal(
                        "the batch does not fit the model's input".to_owned(),
                    ));
                }
            };
        let mut masks = batch.masks.iter();
        for layer in &self.body.layers {
            value = layer.forward(value, &mut masks)?;
        }
        match value {
            Value::Flat(logits) => Ok((logits, embedding_input)),
            Value::Sequence(_) | Value::Image(_) => {
                Err(EngineError::Internal("the last layer does not output a vector".to_owned()))
            }
        }
    }

    /// Returns the mean cross-entropy in nats of logits `[rows, classes]`, `[1]`.
    pub(crate) fn loss(&self, logits: Tensor<2>, batch: &Batch) -> Tensor<1> {
        let data = TensorData::new(batch.targets.clone(), logits.shape());
        let targets = Tensor::from_data(data, &self.device);
        burn::tensor::loss::cross_entropy_with_logits(logits, targets)
    }

    /// Returns the flat vector in layout order, with a single read from the device.
    pub(crate) fn flat(&self) -> Result<Vec<f32>, EngineError> {
        let body = self.body_flat()?;
        let mut out = Vec::with_capacity(self.layout.parameters);
        let mut tensors = self.layout.tensors.as_slice();
        if let (Some(host_embedding), [_, rest @ ..]) = (&self.host_embedding, tensors) {
            out.extend_from_slice(host_embedding.weights());
            tensors = rest;
        }
        for (layout, values) in tensors.iter().zip(body) {
            if let [rows, columns] = *layout.shape.as_slice() {
                out.extend(layer::transposed(&values, columns, rows));
            } else {
                out.extend(values);
            }
        }
        Ok(out)
    }

    /// Returns each parameter of the body, in the module's order and burn's layout.
    pub(crate) fn body_flat(&self) -> Result<Vec<Vec<f32>>, EngineError> {
        self.read(None)
    }

    /// Returns the parameters' gradients in the form of [`Self::body_flat`].
    pub(crate) fn body_gradients(
        &self,
        gradients: &Gradients,
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        self.read(Some(gradients))
    }

    /// Replaces the body without sharing its parameters in between, so that an optimizer can update
    /// them in place.
    pub(crate) fn update(&mut self, change: impl FnOnce(Body) -> Body) {
        let body = std::mem::replace(&mut self.body, Body { layers: Vec::new() });
        self.body = change(body);
    }

    /// Restores the concatenated values of [`Self::body_flat`] and the embedding's. Returns false
    /// and changes nothing if their number does not match.
    pub(crate) fn restore(&mut self, body: &[f32], weights: Vec<f32>) -> bool {
        let host_embedding =
            self.host_embedding.as_ref().map_or(0, |host_embedding| host_embedding.weights().len());
        if body.len() + host_embedding != self.layout.parameters || weights.len() != host_embedding
        {
            return false;
        }
        let mut writer = Writer { flat: body, device: self.device.clone() };
        self.update(|body| body.map(&mut writer));
        self.host_embedding.as_mut().is_none_or(|host_embedding| host_embedding.restore(weights))
    }

    fn read(&self, gradients: Option<&Gradients>) -> Result<Vec<Vec<f32>>, EngineError> {
        let mut reader = Reader { gradients, transaction: Transaction::default() };
        self.body.visit(&mut reader);
        let read = reader.transaction.try_execute().map_err(device_failed)?;
        read.into_iter().map(|data| data.try_into_vec::<f32>().map_err(device_failed)).collect()
    }
}

struct Reader<'a> {
    gradients: Option<&'a Gradients>,
    transaction: Transaction,
}

impl ModuleVisitor for Reader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = match self.gradients {
            None => param.val().inner(),
            Some(gradients) => {
                let zeros = || param.val().inner().zeros_like();
                param.val().grad(gradients).unwrap_or_else(zeros)
            }
        };
        self.transaction = std::mem::take(&mut self.transaction).register(tensor);
    }
}

struct Writer<'a> {
    flat: &'a [f32],
    device: Device,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.shape();
        let (values, rest) = self.flat.split_at(shape.num_elements().min(self.flat.len()));
        self.flat = rest;
        let (id, tensor, mapper) = param.consume();
        let data = TensorData::new(values.to_vec(), shape);
        let restored = Tensor::from_data(data, &self.device);
        Param::from_mapped_value(id, restored.set_require_grad(tensor.is_require_grad()), mapper)
    }
}

fn host_embedding(
    spec: &ModelSpec,
    flat: &[f32],
    tensors: &mut std::slice::Iter<'_, protocol::model::TensorLayout>,
) -> Result<Option<HostEmbedding>, EngineError> {
    let (kind, dimension) = match (spec.layers.first(), spec.input_shape()?) {
        (Some(LayerSpec::EmbeddingBag { dimension, combine }), _) => {
            (HostEmbeddingKind::Bag(*combine), *dimension)
        }
        (Some(LayerSpec::Embedding { dimension }), Shape::Words { max_words, .. }) => {
            (HostEmbeddingKind::Sequence { length: max_words as usize }, *dimension)
        }
        (Some(_) | None, _) => return Ok(None),
    };
    let Some(layout) = tensors.next() else { return Ok(None) };
    let weights = flat[layout.offset..layout.offset + layout.count()].to_vec();
    Ok(Some(HostEmbedding::new(kind, dimension as usize, weights)))
}

#[cfg(test)]
mod tests;
