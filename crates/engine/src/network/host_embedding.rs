//! Host embedding: an embedding table that stays in the host's memory on every device.
//!
//! A batch touches a few thousand rows of a table with a hundred thousand or more. As a device
//! parameter the whole table would get a gradient and an optimizer step each time. Here the rows of
//! a batch are combined or laid out on the host, the device receives the result as its input, and
//! returns the gradient of that input. Rows without a gradient have pending optimizer steps, which
//! are applied in order when the row is next read ([`Rule::catch_up`]). The bits are the same as if
//! the whole table had been stepped each time, which tests verify.

use burn::tensor::{Device, Gradients, Tensor, TensorData};

use protocol::model::Combine;

use crate::EngineError;
use crate::network::Value;
use crate::optimizer::{Correction, Corrections, FlatMoments, Rule};
use crate::token_ids::TokenIds;

/// Embedding table `[buckets, dimension]`, row-major.
#[derive(Debug)]
pub(crate) struct HostEmbedding {
    kind: HostEmbeddingKind,
    dimension: usize,
    weights: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostEmbeddingKind {
    /// Combines a row's vectors into one. Zeros for an empty row.
    Bag(Combine),
    /// A row's vectors in order, padded with zeros to this length.
    Sequence { length: usize },
}

impl HostEmbedding {
    pub(crate) fn new(kind: HostEmbeddingKind, dimension: usize, weights: Vec<f32>) -> Self {
        Self { kind, dimension, weights }
    }

    #[cfg(test)]
    pub(super) fn kind(&self) -> HostEmbeddingKind {
        self.kind
    }

    /// Returns the current values. Some may have pending steps (see
    /// [`HostEmbeddingOptimizer::flush`]).
    pub(crate) fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Replaces the values. Returns false if their number does not match.
    pub(crate) fn restore(&mut self, weights: Vec<f32>) -> bool {
        let fits = weights.len() == self.weights.len();
        if fits {
            self.weights = weights;
        }
        fits
    }

    /// Returns the input of the first layer on the device: `[rows, dimension]`, or `[rows, length,
    /// dimension]`, as one slice.
    fn look_up(&self, token_ids: &TokenIds) -> Vec<f32> {
        let dimension = self.dimension;
        match self.kind {
            HostEmbeddingKind::Bag(combine) => {
                let mut out = vec![0.0_f32; token_ids.rows() * dimension];
                for (row, mean) in out.chunks_exact_mut(dimension).enumerate() {
                    let locals = token_ids.row(row);
                    for local in locals {
                        let vector = self.vector(token_ids.unique[*local as usize]);
                        for (sum, value) in mean.iter_mut().zip(vector) {
                            *sum += value;
                        }
                    }
                    let share = share(combine, locals.len());
                    for sum in mean {
                        *sum *= share;
                    }
                }
                out
            }
            HostEmbeddingKind::Sequence { length } => {
                let mut out = vec![0.0_f32; token_ids.rows() * length * dimension];
                for (row, vectors) in out.chunks_exact_mut(length * dimension).enumerate() {
                    let places = vectors.chunks_exact_mut(dimension);
                    for (place, local) in places.zip(token_ids.row(row)) {
                        place.copy_from_slice(self.vector(token_ids.unique[*local as usize]));
                    }
                }
                out
            }
        }
    }

    /// Returns the gradients of the batch's unique rows from the gradient of [`Self::look_up`]'s
    /// output, added in batch order.
    pub(super) fn gradients(&self, token_ids: &TokenIds, output: &[f32]) -> Vec<f32> {
        let dimension = self.dimension;
        let mut out = vec![0.0_f32; token_ids.unique.len() * dimension];
        let add = |out: &mut [f32], local: u32, gradient: &[f32], share: f32| {
            let start = local as usize * dimension;
            for (sum, value) in out[start..start + dimension].iter_mut().zip(gradient) {
                *sum += value * share;
            }
        };
        match self.kind {
            HostEmbeddingKind::Bag(combine) => {
                for (row, gradient) in output.chunks_exact(dimension).enumerate() {
                    let locals = token_ids.row(row);
                    let share = share(combine, locals.len());
                    for local in locals {
                        add(&mut out, *local, gradient, share);
                    }
                }
            }
            HostEmbeddingKind::Sequence { length } => {
                for (row, gradients) in output.chunks_exact(length * dimension).enumerate() {
                    let places = gradients.chunks_exact(dimension);
                    for (gradient, local) in places.zip(token_ids.row(row)) {
                        add(&mut out, *local, gradient, 1.0);
                    }
                }
            }
        }
        out
    }

    /// Returns the looked-up batch on a device, and the leaf tensor for its gradient if the device
    /// tracks gradients.
    pub(crate) fn forward(&self, token_ids: &TokenIds, device: &Device) -> (Value, EmbeddingInput) {
        let (rows, dimension) = (token_ids.rows(), self.dimension);
        let values = self.look_up(token_ids);
        match self.kind {
            HostEmbeddingKind::Bag(_) => {
                let data = TensorData::new(values, [rows, dimension]);
                let leaf = tracked(Tensor::<2>::from_data(data, device));
                (Value::Flat(leaf.clone()), EmbeddingInput::Bag(leaf))
            }
            HostEmbeddingKind::Sequence { length } => {
                let data = TensorData::new(values, [rows, length, dimension]);
                let leaf = tracked(Tensor::<3>::from_data(data, device));
                (Value::Sequence(leaf.clone().swap_dims(1, 2)), EmbeddingInput::Sequence(leaf))
            }
        }
    }

    fn vector(&self, bucket: u32) -> &[f32] {
        let start = bucket as usize * self.dimension;
        &self.weights[start..start + self.dimension]
    }
}

/// Input of the device that replaces the table.
pub(crate) enum EmbeddingInput {
    Bag(Tensor<2>),
    Sequence(Tensor<3>),
}

impl EmbeddingInput {
    /// Returns the input's gradient, flat.
    pub(crate) fn gradient(&self, gradients: &mut Gradients) -> Result<Tensor<1>, EngineError> {
        let gradient = match self {
            Self::Bag(leaf) => leaf.grad_remove(gradients).map(|gradient| gradient.reshape([-1])),
            Self::Sequence(leaf) => {
                leaf.grad_remove(gradients).map(|gradient| gradient.reshape([-1]))
            }
        };
        gradient.ok_or_else(|| EngineError::Internal("the embedding has no gradient".to_owned()))
    }
}

fn tracked<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.is_autodiff() { tensor.require_grad() } else { tensor }
}

/// Returns the weight of each of `count` vectors in their combination.
fn share(combine: Combine, count: usize) -> f32 {
    let count = count.max(1) as f32;
    match combine {
        Combine::Mean => 1.0 / count,
        Combine::Sqrtn => 1.0 / count.sqrt(),
    }
}

/// Optimizer of a host embedding, with each row's pending steps.
#[derive(Debug)]
pub(crate) struct HostEmbeddingOptimizer {
    rule: Rule,
    corrections: Corrections,
    step: u32,
    /// Number of steps applied to each row, or [`UNTOUCHED`] if its moments are zero.
    done: Vec<u32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// Marks a row that never had a gradient. Rules that leave such rows unchanged have no pending
/// steps for it.
const UNTOUCHED: u32 = u32::MAX;

impl HostEmbeddingOptimizer {
    pub(crate) fn new(rule: Rule, embedding: &HostEmbedding) -> Self {
        let size = embedding.weights.len();
        let moments = |present: bool| if present { vec![0.0; size] } else { Vec::new() };
        Self {
            rule,
            corrections: Corrections::new(),
            step: 0,
            done: vec![
                if rule.keeps_untouched() { UNTOUCHED } else { 0 };
                size / embedding.dimension.max(1)
            ],
            first: moments(rule.moments() > 0),
            second: moments(rule.moments() > 1),
        }
    }

    /// Restores the state after `step` steps from the result of [`Self::moments`] at that time.
    pub(crate) fn restore(&mut self, step: u32, moments: FlatMoments, embedding: &HostEmbedding) {
        self.step = step;
        (self.first, self.second) = (moments.first, moments.second);
        for (row, done) in self.done.iter_mut().enumerate() {
            let range = row * embedding.dimension..(row + 1) * embedding.dimension;
            let nonzero = |all: &[f32]| {
                all.get(range.clone()).is_some_and(|values| values.iter().any(|v| *v != 0.0))
            };
            if !self.rule.keeps_untouched() || nonzero(&self.first) || nonzero(&self.second) {
                *done = step;
            }
        }
    }

    /// Applies the pending steps of the batch's rows, so that they can be read.
    pub(crate) fn prepare(&mut self, embedding: &mut HostEmbedding, token_ids: &TokenIds) {
        if self.has_no_pending_steps() {
            return;
        }
        let all = self.corrections.between(0, self.step);
        let mut rows = Rows::new(self.rule, embedding, &mut self.first, &mut self.second);
        let done = &mut self.done;
        pulp::Arch::new().dispatch(|| {
            for bucket in &token_ids.unique {
                let done = &mut done[*bucket as usize];
                if *done != UNTOUCHED && (*done as usize) < all.len() {
                    rows.catch_up(*bucket as usize, &all[*done as usize..]);
                }
            }
        });
        for bucket in &token_ids.unique {
            let done = &mut self.done[*bucket as usize];
            if *done != UNTOUCHED {
                *done = self.step;
            }
        }
    }

    /// Does one step with the gradient of [`HostEmbedding::forward`]'s leaf tensor, for prepared
    /// rows.
    pub(crate) fn apply(
        &mut self,
        embedding: &mut HostEmbedding,
        token_ids: &TokenIds,
        output: &[f32],
    ) {
        let gradients = embedding.gradients(token_ids, output);
        self.step += 1;
        let correction = self.corrections.at(self.step);
        let dimension = embedding.dimension;
        let mut rows = Rows::new(self.rule, embedding, &mut self.first, &mut self.second);
        pulp::Arch::new().dispatch(|| {
            for (bucket, gradient) in token_ids.unique.iter().zip(gradients.chunks_exact(dimension))
            {
                rows.step(*bucket as usize, correction, gradient);
            }
        });
        for bucket in &token_ids.unique {
            self.done[*bucket as usize] = self.step;
        }
    }

    /// Applies all pending steps. The table then equals the result of a dense optimizer.
    pub(crate) fn flush(&mut self, embedding: &mut HostEmbedding) {
        if self.has_no_pending_steps() {
            return;
        }
        let all = self.corrections.between(0, self.step);
        let mut rows = Rows::new(self.rule, embedding, &mut self.first, &mut self.second);
        let (done, now) = (&mut self.done, self.step);
        pulp::Arch::new().dispatch(|| {
            for (bucket, done) in done.iter_mut().enumerate() {
                if *done != UNTOUCHED && *done < now {
                    rows.catch_up(bucket, &all[*done as usize..]);
                    *done = now;
                }
            }
        });
    }

    /// Returns whether steps without a gradient change nothing at all, as in plain SGD.
    fn has_no_pending_steps(&self) -> bool {
        self.rule.keeps_untouched() && self.rule.moments() == 0
    }

    /// Returns the state, which is complete only without pending steps.
    pub(crate) fn moments(&self) -> FlatMoments {
        FlatMoments { first: self.first.clone(), second: self.second.clone() }
    }
}

/// Rows of a table with their moments.
struct Rows<'a> {
    rule: Rule,
    dimension: usize,
    weights: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl<'a> Rows<'a> {
    fn new(
        rule: Rule,
        embedding: &'a mut HostEmbedding,
        first: &'a mut [f32],
        second: &'a mut [f32],
    ) -> Self {
        Self {
            rule,
            dimension: embedding.dimension,
            weights: &mut embedding.weights,
            first,
            second,
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "inlined into code compiled for wider vectors")]
    fn catch_up(&mut self, bucket: usize, missed: &[Correction]) {
        let range = bucket * self.dimension..(bucket + 1) * self.dimension;
        let first = self.first.get_mut(range.clone()).unwrap_or_default();
        let second = self.second.get_mut(range.clone()).unwrap_or_default();
        self.rule.catch_up(missed, &mut self.weights[range], first, second);
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "inlined into code compiled for wider vectors")]
    fn step(&mut self, bucket: usize, correction: Correction, gradient: &[f32]) {
        let range = bucket * self.dimension..(bucket + 1) * self.dimension;
        let first = self.first.get_mut(range.clone()).unwrap_or_default();
        let second = self.second.get_mut(range.clone()).unwrap_or_default();
        self.rule.step(correction, &mut self.weights[range], first, second, gradient);
    }
}
