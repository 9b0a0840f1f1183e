//! Layers as burn modules, built from a spec and the parameters' values.
//!
//! Embeddings are in [`super::host_embedding`].

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::activation::{gelu, relu, tanh};
use burn::tensor::module::{adaptive_avg_pool2d, conv1d, conv2d, linear, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};
use protocol::model::{LayerSpec, TensorLayout};

use crate::EngineError;

/// Value between two layers. The first dimension is the batch.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// `[batch, channels, length]`
    Sequence(Tensor<3>),
    /// `[batch, channels, height, width]`
    Image(Tensor<4>),
    /// `[batch, size]`
    Flat(Tensor<2>),
}

#[derive(Module, Debug)]
pub(crate) enum Layer {
    Linear(Linear),
    Conv2d(Conv2d),
    ConvMaxPool(ConvMaxPool),
    LayerNorm(LayerNorm),
    Plain(Plain),
}

/// `x · weight + bias`
#[derive(Module, Debug)]
pub(crate) struct Linear {
    /// `[inputs, outputs]`: PyTorch's weight transposed, because burn multiplies from the right.
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
pub(crate) struct Conv2d {
    /// `[channels, in, kernel, kernel]`
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    stride: usize,
    padding: usize,
}

/// Parallel 1-d convolutions, each followed by ReLU and a maximum over time (Kim 2014, §2).
#[derive(Module, Debug)]
pub(crate) struct ConvMaxPool {
    branches: Vec<Branch>,
}

#[derive(Module, Debug)]
pub(crate) struct Branch {
    /// `[channels, in, width]`
    weight: Param<Tensor<3>>,
    bias: Param<Tensor<1>>,
}

/// Layer without parameters.
#[derive(Module, Debug)]
pub(crate) struct Plain {
    #[module(skip)]
    operation: Operation,
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    MaxPool2d { kernel: usize, stride: usize },
    GlobalAveragePool,
    Flatten,
    Relu,
    Tanh,
    Gelu,
    Dropout,
}

/// Parameters for building layers, in layout order.
pub(crate) struct Parameters<'a> {
    pub(crate) tensors: std::slice::Iter<'a, TensorLayout>,
    pub(crate) flat: &'a [f32],
    pub(crate) device: &'a Device,
}

impl Parameters<'_> {
    fn next<const D: usize>(&mut self) -> Result<Param<Tensor<D>>, EngineError> {
        let layout = self.tensors.next().ok_or_else(|| mismatch("a parameter"))?;
        let values = self.flat.get(layout.offset..layout.offset + layout.count());
        let values = values.ok_or_else(|| mismatch(&layout.name))?;
        if layout.shape.len() != D {
            return Err(mismatch(&layout.name));
        }
        let data = if let (2, [rows, columns]) = (D, layout.shape.as_slice()) {
            TensorData::new(transposed(values, *rows, *columns), [*columns, *rows])
        } else {
            TensorData::new(values.to_vec(), layout.shape.clone())
        };
        Ok(Param::from_tensor(Tensor::from_data(data, self.device)))
    }
}

fn mismatch(name: &str) -> EngineError {
    EngineError::Internal(format!("the layout and the layers disagree at {name}"))
}

/// Transposes `[rows, columns]`, row-major, to `[columns, rows]`.
pub(crate) fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for (row, line) in values.chunks_exact(columns.max(1)).enumerate() {
        for (column, value) in line.iter().enumerate() {
            out[column * rows + row] = *value;
        }
    }
    out
}

impl Layer {
    /// Builds the layer of a spec. Returns `None` for embeddings, which the host embedding
    /// computes.
    pub(crate) fn build(
        spec: &LayerSpec,
        parameters: &mut Parameters<'_>,
    ) -> Result<Option<Self>, EngineError> {
        let plain = |operation| Self::Plain(Plain { operation });
        Ok(Some(match spec {
            LayerSpec::EmbeddingBag { .. } | LayerSpec::Embedding { .. } => return Ok(None),
            LayerSpec::Linear { .. } => {
                Self::Linear(Linear { weight: parameters.next()?, bias: parameters.next()? })
            }
            LayerSpec::Conv2d { stride, padding, .. } => Self::Conv2d(Conv2d {
                weight: parameters.next()?,
                bias: parameters.next()?,
                stride: *stride as usize,
                padding: *padding as usize,
            }),
            LayerSpec::ConvMaxPool { widths, .. } => {
                let branches = widths
                    .iter()
                    .map(|_| Ok(Branch { weight: parameters.next()?, bias: parameters.next()? }))
                    .collect::<Result<_, EngineError>>()?;
                Self::ConvMaxPool(ConvMaxPool { branches })
            }
            LayerSpec::LayerNorm => {
                let (gamma, beta) = (parameters.next()?, parameters.next()?);
                let size = gamma.dims()[0];
                let mut layer =
                    LayerNormConfig::new(size).with_epsilon(1e-5).init(parameters.device);
                layer.gamma = gamma;
                layer.beta = Some(beta);
                Self::LayerNorm(layer)
            }
            LayerSpec::MaxPool2d { kernel, stride } => {
                plain(Operation::MaxPool2d { kernel: *kernel as usize, stride: *stride as usize })
            }
            LayerSpec::GlobalAveragePool => plain(Operation::GlobalAveragePool),
            LayerSpec::Flatten => plain(Operation::Flatten),
            LayerSpec::Relu => plain(Operation::Relu),
            LayerSpec::Tanh => plain(Operation::Tanh),
            LayerSpec::Gelu => plain(Operation::Gelu),
            LayerSpec::Dropout { .. } => plain(Operation::Dropout),
        }))
    }

    /// Computes the layer's output. `masks` has the factors of each dropout layer, in order. It is
    /// empty in evaluation.
    pub(crate) fn forward(
        &self,
        input: Value,
        masks: &mut std::slice::Iter<'_, Vec<f32>>,
    ) -> Result<Value, EngineError> {
        match self {
            Self::Linear(layer) => {
                let (weight, bias) = (layer.weight.val(), layer.bias.val());
                Ok(Value::Flat(linear(flat(input)?, weight, Some(bias))))
            }
            Self::Conv2d(layer) => {
                let (stride, padding) = ([layer.stride; 2], [layer.padding; 2]);
                let options = ConvOptions::<2>::new(stride, padding, [1, 1], 1);
                let bias = Some(layer.bias.val());
                Ok(Value::Image(conv2d(image(input)?, layer.weight.val(), bias, options)))
            }
            Self::ConvMaxPool(layer) => layer.forward(input),
            Self::LayerNorm(layer) => Ok(Value::Flat(layer.forward(flat(input)?))),
            Self::Plain(layer) => layer.forward(input, masks),
        }
    }
}

impl ConvMaxPool {
    fn forward(&self, input: Value) -> Result<Value, EngineError> {
        let Value::Sequence(input) = input else { return Err(unexpected_input("a sequence")) };
        let outputs = self.branches.iter().map(|branch| {
            let options = ConvOptions::<1>::new([1], [0], [1], 1);
            let bias = Some(branch.bias.val());
            let output = conv1d(input.clone(), branch.weight.val(), bias, options);
            // ReLU is monotonic, so applying it after the maximum gives the same result with less
            // work.
            relu(output.max_dim(2).squeeze_dim::<2>(2))
        });
        Ok(Value::Flat(Tensor::cat(outputs.collect(), 1)))
    }
}

impl Plain {
    fn forward(
        &self,
        input: Value,
        masks: &mut std::slice::Iter<'_, Vec<f32>>,
    ) -> Result<Value, EngineError> {
        match self.operation {
            Operation::MaxPool2d { kernel, stride } => {
                let options = MaxPoolOptions::new([kernel; 2]).with_stride([stride; 2]);
                Ok(Value::Image(max_pool2d(image(input)?, options)))
            }
            Operation::GlobalAveragePool => {
                Ok(Value::Flat(adaptive_avg_pool2d(image(input)?, [1, 1]).flatten(1, 3)))
            }
            Operation::Flatten => Ok(Value::Flat(match input {
                Value::Image(tensor) => tensor.flatten(1, 3),
                Value::Sequence(tensor) => tensor.flatten(1, 2),
                Value::Flat(tensor) => tensor,
            })),
            Operation::Relu => Ok(input.map(relu, relu, relu)),
            Operation::Tanh => Ok(input.map(tanh, tanh, tanh)),
            Operation::Gelu => Ok(input.map(gelu, gelu, gelu)),
            Operation::Dropout => match masks.next() {
                None => Ok(input),
                Some(mask) => Ok(input.map(
                    |tensor| masked(tensor, mask),
                    |tensor| masked(tensor, mask),
                    |tensor| masked(tensor, mask),
                )),
            },
        }
    }
}

fn masked<const D: usize>(tensor: Tensor<D>, mask: &[f32]) -> Tensor<D> {
    let data = TensorData::new(mask.to_vec(), tensor.shape());
    let mask = Tensor::from_data(data, &tensor.device());
    tensor.mul(mask)
}

impl Value {
    fn map(
        self,
        sequence: impl FnOnce(Tensor<3>) -> Tensor<3>,
        image: impl FnOnce(Tensor<4>) -> Tensor<4>,
        flat: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Self {
        match self {
            Self::Sequence(tensor) => Self::Sequence(sequence(tensor)),
            Self::Image(tensor) => Self::Image(image(tensor)),
            Self::Flat(tensor) => Self::Flat(flat(tensor)),
        }
    }
}

fn flat(value: Value) -> Result<Tensor<2>, EngineError> {
    match value {
        Value::Flat(tensor) => Ok(tensor),
        Value::Sequence(_) | Value::Image(_) => Err(unexpected_input("a vector")),
    }
}

fn image(value: Value) -> Result<Tensor<4>, EngineError> {
    match value {
        Value::Image(tensor) => Ok(tensor),
        Value::Sequence(_) | Value::Flat(_) => Err(unexpected_input("an image")),
    }
}

/// Shape inference rejects such specs before anything is built.
fn unexpected_input(expected: &str) -> EngineError {
    EngineError::Internal(format!("a layer expected {expected}"))
}
