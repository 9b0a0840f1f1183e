//! Client optimizer for the parameters on the device.
//!
//! It has the semantics of burn's optimizers and two advantages. On the CPU a step is one pass over
//! parameters, moments and gradient instead of about a dozen. The state is flat vectors, so a
//! checkpoint needs neither parameter ids nor burn's default device, which panics on a machine
//! without a GPU if wgpu is compiled in. A test compares it with burn's optimizers.

mod rule;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData, Transaction};

pub(crate) use rule::{Correction, Corrections, Rule};

use crate::EngineError;

/// Parameters per thread. Fewer are not worth waking another thread.
const PART: usize = 1 << 18;

/// Optimizer with its state for each parameter tensor, in the module's order.
#[derive(Debug)]
pub(crate) struct DenseOptimizer {
    rule: Rule,
    corrections: Corrections,
    step: u32,
    moments: Vec<Moments>,
    placement: Placement,
    device: Device,
}

/// Placement of the arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// On slices, for the CPU.
    Host,
    /// On tensors.
    Device,
}

#[derive(Debug, Clone)]
enum Moments {
    Host { first: Vec<f32>, second: Vec<f32> },
    Device(Box<OnDevice>),
}

#[derive(Debug, Clone)]
struct OnDevice {
    first: Option<Tensor<1>>,
    second: Option<Tensor<1>>,
}

/// State of an optimizer: the moments of all parameters, in the module's order and burn's layout.
/// Empty if the rule has none.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FlatMoments {
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

impl DenseOptimizer {
    /// Creates the state before the first step. `device` has autodiff.
    pub(crate) fn new(rule: Rule, placement: Placement, device: &Device) -> Self {
        let corrections = Corrections::new();
        let device = device.clone();
        Self { rule, corrections, step: 0, moments: Vec::new(), placement, device }
    }

    /// Restores the state after `step` steps from the result of [`Self::moments`] at that time.
    pub(crate) fn restore<M: Module>(&mut self, step: u32, moments: &FlatMoments, module: &M) {
        let mut sizes = Sizes(Vec::new());
        module.visit(&mut sizes);
        let mut offset = 0;
        self.moments.clear();
        for size in sizes.0 {
            let cut = |all: &[f32]| all.get(offset..offset + size).unwrap_or_default().to_vec();
            let (first, second) = (cut(&moments.first), cut(&moments.second));
            self.moments.push(self.placed(first, second));
            offset += size;
        }
        self.step = step;
    }

    /// Returns the module after one step with these gradients.
    pub(crate) fn apply<M: Module>(&mut self, module: M, gradients: Gradients) -> M {
        self.step += 1;
        let correction = self.corrections.at(self.step);
        module.map(&mut Stepper { optimizer: self, gradients, correction, index: 0 })
    }

    /// Returns the state, with a single read from the device.
    pub(crate) fn moments(&self) -> Result<FlatMoments, EngineError> {
        let mut flat = FlatMoments::default();
        let mut transaction = Transaction::default();
        let mut seconds = Vec::new();
        for moments in &self.moments {
            match moments {
                Moments::Host { first, second } => {
                    flat.first.extend_from_slice(first);
                    flat.second.extend_from_slice(second);
                }
                Moments::Device(moments) => {
                    let both = [(&moments.first, false), (&moments.second, true)];
                    for (tensor, is_second) in both {
                        if let Some(tensor) = tensor {
                            transaction = transaction.register(tensor.clone());
                            seconds.push(is_second);
                        }
                    }
                }
            }
        }
        if seconds.is_empty() {
            return Ok(flat);
        }
        let read = transaction.try_execute().map_err(crate::device_failed)?;
        for (data, is_second) in read.iter().zip(seconds) {
            let values = data.as_slice::<f32>().map_err(crate::device_failed)?;
            if is_second { &mut flat.second } else { &mut flat.first }.extend_from_slice(values);
        }
        Ok(flat)
    }

    fn placed(&self, first: Vec<f32>, second: Vec<f32>) -> Moments {
        match self.placement {
            Placement::Host => Moments::Host { first, second },
            Placement::Device => {
                let device = self.device.clone().inner();
                let tensor = |values: Vec<f32>| {
                    let size = values.len();
                    let data = TensorData::new(values, [size]);
                    (size > 0).then(|| Tensor::<1>::from_data(data, &device))
                };
                Moments::Device(Box::new(OnDevice { first: tensor(first), second: tensor(second) }))
            }
        }
    }
}

struct Sizes(Vec<usize>);

impl burn::module::ModuleVisitor for Sizes {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.shape().num_elements());
    }
}

struct Stepper<'a> {
    optimizer: &'a mut DenseOptimizer,
    gradients: Gradients,
    correction: Correction,
    index: usize,
}

impl ModuleMapper for Stepper<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let gradient = tensor.grad_remove(&mut self.gradients);
        let size = tensor.shape().num_elements();
        if self.index == self.optimizer.moments.len() {
            let count = self.optimizer.rule.moments();
            let zeros = |present: bool| if present { vec![0.0; size] } else { Vec::new() };
            let moments = self.optimizer.placed(zeros(count > 0), zeros(count > 1));
            self.optimizer.moments.push(moments);
        }
        let index = self.index;
        self.index += 1;
        let Some(gradient) = gradient else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let rule = self.optimizer.rule;
        let tensor = tensor.inner();
        let updated = match &mut self.optimizer.moments[index] {
            Moments::Host { first, second } => {
                on_slices(rule, self.correction, tensor, first, second, gradient)
            }
            Moments::Device(moments) => {
                let shape = tensor.shape();
                let (flat, gradient) = (tensor.reshape([size]), gradient.reshape([size]));
                on_tensors(rule, self.correction, flat, moments, gradient).reshape(shape)
            }
        };
        Param::from_mapped_value(id, updated.autodiff().require_grad(), mapper)
    }
}

fn on_slices<const D: usize>(
    rule: Rule,
    correction: Correction,
    tensor: Tensor<D>,
    first: &mut [f32],
    second: &mut [f32],
    gradient: Tensor<D>,
) -> Tensor<D> {
    let device = tensor.device();
    let mut data = tensor.into_data();
    let gradient = gradient.into_data();
    // Both are f32 by construction. The tests would detect a change in burn.
    if let (Ok(parameters), Ok(gradient)) = (data.as_mut_slice::<f32>(), gradient.as_slice::<f32>())
    {
        in_parts(rule, correction, parameters, first, second, gradient);
    }
    Tensor::from_data(data, &device)
}

/// Applies [`Rule::step`] on all threads if there is enough work. Parameters are independent, so
/// splitting changes no bit.
fn in_parts(
    rule: Rule,
    correction: Correction,
    parameters: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
) {
    if parameters.len() <= PART {
        pulp::Arch::new().dispatch(|| rule.step(correction, parameters, first, second, gradient));
        return;
    }
    let middle = parameters.len() / 2;
    let (parameters, parameters_b) = parameters.split_at_mut(middle);
    // Empty if the rule has none.
    let (first, first_b) = first.split_at_mut(middle.min(first.len()));
    let (second, second_b) = second.split_at_mut(middle.min(second.len()));
    let (gradient, gradient_b) = gradient.split_at(middle.min(gradient.len()));
    rayon::join(
        || in_parts(rule, correction, parameters, first, second, gradient),
        || in_parts(rule, correction, parameters_b, first_b, second_b, gradient_b),
    );
}

/// Applies the operations of [`Rule::step`] in the same order.
fn on_tensors(
    rule: Rule,
    correction: Correction,
    parameters: Tensor<1>,
    moments: &mut OnDevice,
    gradient: Tensor<1>,
) -> Tensor<1> {
    match rule {
        Rule::Sgd { rate, momentum, decay } => {
            let mut change = gradient;
            if decay != 0.0 {
                change = parameters.clone().mul_scalar(decay) + change;
            }
            if let Some(m) = moments.first.take() {
                change = m.mul_scalar(momentum) + change;
                moments.first = Some(change.clone());
            }
            parameters - change.mul_scalar(rate)
        }
        Rule::Adam { rate, decay } => {
            let (beta_1, beta_2) = rule::ADAM;
            let (Some(m), Some(v)) = (moments.first.take(), moments.second.take()) else {
                return parameters;
            };
            let m = m.mul_scalar(beta_1) + gradient.clone().mul_scalar(1.0 - beta_1);
            let square = gradient.clone() * gradient;
            let v = v.mul_scalar(beta_2) + square.mul_scalar(1.0 - beta_2);
            let root = v.clone().sqrt().add_scalar(correction.epsilon);
            let step = m.clone().mul_scalar(correction.scale) / root;
            moments.first = Some(m);
            moments.second = Some(v);
            parameters.mul_scalar(1.0 - decay) - step.mul_scalar(rate)
        }
    }
}

#[cfg(test)]
mod tests;
