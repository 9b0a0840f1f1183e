//! Embeddings: a table of vectors that stays in the host's memory, whatever the device.
//!
//! A batch touches a few thousand rows of a table of a hundred thousand or more. As a device
//! parameter the whole table would get a gradient and an optimizer step each time; here the rows of
//! a batch are averaged or laid out on the host, the device gets that as its input, and what comes
//! back is the gradient of that input. Rows without a gradient are owed their optimizer steps and
//! get them when they are next read, one after the other ([`Rule::catch_up`]): every bit is as if
//! the whole table had been stepped each time (tests hold it against that).

use burn::tensor::{Device, Gradients, Tensor, TensorData};

use protocol::model::Combine;

use crate::EngineError;
use crate::network::Value;
use crate::optimizer::{Correction, Corrections, FlatMoments, Rule};
use crate::token_ids::TokenIds;

/// The table `[buckets, dimension]`, row-major.
#[derive(Debug)]
pub(crate) struct HostEmbedding {
    kind: HostEmbeddingKind,
    dimension: usize,
    weights: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostEmbeddingKind {
    /// A row's vectors combined into one; zeros for a row without any.
    Bag(Combine),
    /// A row's vectors in order, then zeros up to this many.
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

    /// Current values; steps may be owed (see [`HostEmbeddingOptimizer::settle`]).
    pub(crate) fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Takes other values; false where they are not as many.
    pub(crate) fn restore(&mut self, weights: Vec<f32>) -> bool {
        let fits = weights.len() == self.weights.len();
        if fits {
            self.weights = weights;
        }
        fits
    }

    /// What the first layer on the device gets: `[rows, dimension]`, or `[rows, length,
    /// dimension]`, as one slice.
    fn look_up(&self, words: &TokenIds) -> Vec<f32> {
        let dimension = self.dimension;
        match self.kind {
            HostEmbeddingKind::Bag(combine) => {
                let mut out = vec![0.0_f32; words.rows() * dimension];
                for (row, mean) in out.chunks_exact_mut(dimension).enumerate() {
                    let locals = words.row(row);
                    for local in locals {
                        let vector = self.vector(words.unique[*local as usize]);
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
                let mut out = vec![0.0_f32; words.rows() * length * dimension];
                for (row, vectors) in out.chunks_exact_mut(length * dimension).enumerate() {
                    let places = vectors.chunks_exact_mut(dimension);
                    for (place, local) in places.zip(words.row(row)) {
                        place.copy_from_slice(self.vector(words.unique[*local as usize]));
                    }
                }
                out
            }
        }
    }

    /// The gradients of the batch's unique rows from that of [`Self::look_up`]'s output, added in
    /// the order of the batch.
    pub(super) fn gradients(&self, words: &TokenIds, output: &[f32]) -> Vec<f32> {
        let dimension = self.dimension;
        let mut out = vec![0.0_f32; words.unique.len() * dimension];
        let add = |out: &mut [f32], local: u32, gradient: &[f32], share: f32| {
            let start = local as usize * dimension;
            for (sum, value) in out[start..start + dimension].iter_mut().zip(gradient) {
                *sum += value * share;
            }
        };
        match self.kind {
            HostEmbeddingKind::Bag(combine) => {
                for (row, gradient) in output.chunks_exact(dimension).enumerate() {
                    let locals = words.row(row);
                    let share = share(combine, locals.len());
                    for local in locals {
                        add(&mut out, *local, gradient, share);
                    }
                }
            }
            HostEmbeddingKind::Sequence { length } => {
                for (row, gradients) in output.chunks_exact(length * dimension).enumerate() {
                    let places = gradients.chunks_exact(dimension);
                    for (gradient, local) in places.zip(words.row(row)) {
                        add(&mut out, *local, gradient, 1.0);
                    }
                }
            }
        }
        out
    }

    /// The looked-up batch on a device, and the leaf whose gradient it is if the device tracks any.
    pub(crate) fn forward(&self, words: &TokenIds, device: &Device) -> (Value, EmbeddingInput) {
        let (rows, dimension) = (words.rows(), self.dimension);
        let values = self.look_up(words);
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

/// The device's input that stands for the table.
pub(crate) enum EmbeddingInput {
    Bag(Tensor<2>),
    Sequence(Tensor<3>),
}

impl EmbeddingInput {
    /// The gradient that the device has for it, flat.
    pub(crate) fn gradient(&self, gradients: &mut Gradients) -> Result<Tensor<1>, EngineError> {
        let gradient = match self {
            Self::Bag(leaf) => leaf.grad_remove(gradients).map(|gradient| gradient.reshape([-1])),
            Self::Sequence(leaf) => {
                leaf.grad_remove(gradients).map(|gradient| gradient.reshape([-1]))
            }
        };
        gradient.ok_or_else(|| EngineError::Internal("the embedding got no gradient".to_owned()))
    }
}

fn tracked<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.is_autodiff() { tensor.require_grad() } else { tensor }
}

/// What each of `count` vectors counts for in their combination.
fn share(combine: Combine, count: usize) -> f32 {
    let count = count.max(1) as f32;
    match combine {
        Combine::Mean => 1.0 / count,
        Combine::Sqrtn => 1.0 / count.sqrt(),
    }
}

/// The optimizer of a table, with what each row is owed.
#[derive(Debug)]
pub(crate) struct HostEmbeddingOptimizer {
    rule: Rule,
    corrections: Corrections,
    step: u32,
    /// Steps each row has had; [`UNTOUCHED`] where its moments are zero.
    done: Vec<u32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// A row that never had a gradient. Under rules that leave such rows as they are it is owed nothing.
const UNTOUCHED: u32 = u32::MAX;

impl HostEmbeddingOptimizer {
    pub(crate) fn new(rule: Rule, table: &HostEmbedding) -> Self {
        let size = table.weights.len();
        let moments = |present: bool| if present { vec![0.0; size] } else { Vec::new() };
        Self {
            rule,
            corrections: Corrections::new(),
            step: 0,
            done: vec![if rule.rests() { UNTOUCHED } else { 0 }; size / table.dimension.max(1)],
            first: moments(rule.moments() > 0),
            second: moments(rule.moments() > 1),
        }
    }

    /// As it was after `step` steps, with the state that [`Self::moments`] gave then.
    pub(crate) fn restore(&mut self, step: u32, moments: FlatMoments, table: &HostEmbedding) {
        self.step = step;
        (self.first, self.second) = (moments.first, moments.second);
        for (row, done) in self.done.iter_mut().enumerate() {
            let range = row * table.dimension..(row + 1) * table.dimension;
            let moving = |all: &[f32]| {
                all.get(range.clone()).is_some_and(|values| values.iter().any(|v| *v != 0.0))
            };
            if !self.rule.rests() || moving(&self.first) || moving(&self.second) {
                *done = step;
            }
        }
    }

    /// Gives the batch's rows the steps they are owed, so that they can be read.
    pub(crate) fn prepare(&mut self, table: &mut HostEmbedding, words: &TokenIds) {
        if self.owes_nothing() {
            return;
        }
        let all = self.corrections.between(0, self.step);
        let mut rows = Rows::new(self.rule, table, &mut self.first, &mut self.second);
        let done = &mut self.done;
        pulp::Arch::new().dispatch(|| {
            for bucket in &words.unique {
                let done = &mut done[*bucket as usize];
                if *done != UNTOUCHED && (*done as usize) < all.len() {
                    rows.catch_up(*bucket as usize, &all[*done as usize..]);
                }
            }
        });
        for bucket in &words.unique {
            let done = &mut self.done[*bucket as usize];
            if *done != UNTOUCHED {
                *done = self.step;
            }
        }
    }

    /// One step down the gradient of [`HostEmbedding::forward`]'s leaf, for rows that were prepared.
    pub(crate) fn apply(&mut self, table: &mut HostEmbedding, words: &TokenIds, output: &[f32]) {
        let gradients = table.gradients(words, output);
        self.step += 1;
        let correction = self.corrections.at(self.step);
        let dimension = table.dimension;
        let mut rows = Rows::new(self.rule, table, &mut self.first, &mut self.second);
        pulp::Arch::new().dispatch(|| {
            for (bucket, gradient) in words.unique.iter().zip(gradients.chunks_exact(dimension)) {
                rows.step(*bucket as usize, correction, gradient);
            }
        });
        for bucket in &words.unique {
            self.done[*bucket as usize] = self.step;
        }
    }

    /// Gives every row what it is owed: the table is then what a dense optimizer would have made.
    pub(crate) fn settle(&mut self, table: &mut HostEmbedding) {
        if self.owes_nothing() {
            return;
        }
        let all = self.corrections.between(0, self.step);
        let mut rows = Rows::new(self.rule, table, &mut self.first, &mut self.second);
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

    /// Whether steps without a gradient change nothing at all: plain SGD.
    fn owes_nothing(&self) -> bool {
        self.rule.rests() && self.rule.moments() == 0
    }

    /// The state of a settled table.
    pub(crate) fn moments(&self) -> FlatMoments {
        FlatMoments { first: self.first.clone(), second: self.second.clone() }
    }
}

/// A table's rows with their moments.
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
        table: &'a mut HostEmbedding,
        first: &'a mut [f32],
        second: &'a mut [f32],
    ) -> Self {
        Self { rule, dimension: table.dimension, weights: &mut table.weights, first, second }
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
