//! Batches: rows converted to the numbers that a step needs, prepared ahead of the step and without
//! the device.

use std::ops::Range;

use data::{Row, Sample};
use protocol::dataset::SampleShape;
use protocol::model::{InputSpec, LayerSpec, ModelSpec, Shape};
use protocol::{RngDomain, SeededRng};

use crate::EngineError;
use crate::token_ids::{Ranks, TokenIds};

/// Rows of one step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch {
    pub(crate) rows: usize,
    pub(crate) input: BatchInput,
    /// One-hot, `[rows, classes]`.
    pub(crate) targets: Vec<f32>,
    /// Factors of each dropout layer, in order. Empty in evaluation.
    pub(crate) masks: Vec<Vec<f32>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BatchInput {
    TokenIds(TokenIds),
    /// `[rows, channels, height, width]`
    Pixels(Vec<f32>),
}

impl Batch {
    /// Returns the approximate memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let input = match &self.input {
            BatchInput::TokenIds(ids) => ids.values(),
            BatchInput::Pixels(pixels) => pixels.len(),
        };
        let masks: usize = self.masks.iter().map(Vec::len).sum();
        4 * (input + masks + self.targets.len())
    }
}

/// Key of a step's random numbers, from which dropout masks are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepKey {
    pub(crate) seed: u64,
    pub(crate) round: u32,
    pub(crate) partition: u32,
    /// Step number, from 0.
    pub(crate) step: u64,
}

/// Converter of rows to batches for one model.
#[derive(Debug, Clone)]
pub(crate) struct Featurizer {
    input: InputSpec,
    classes: usize,
    /// For each dropout layer, its probability and the number of its inputs per row.
    dropouts: Vec<(f64, usize)>,
    /// Input value for each pixel byte.
    levels: Vec<f32>,
    ranks: Ranks,
    /// Reused buffer for a batch's ids.
    ids: Vec<u32>,
}

impl Featurizer {
    pub(crate) fn new(spec: &ModelSpec) -> Result<Self, EngineError> {
        let shapes = spec.shapes()?;
        let classes = match shapes.last() {
            Some(Shape::Flat(classes)) => *classes as usize,
            Some(Shape::Words { .. } | Shape::Sequence { .. } | Shape::Image { .. }) | None => {
                return Err(EngineError::Plan("the model's last layer must output a vector"));
            }
        };
        let dropouts = spec.layers.iter().zip(&shapes).filter_map(|(layer, shape)| match layer {
            LayerSpec::Dropout { probability } => Some((*probability, values(*shape))),
            LayerSpec::EmbeddingBag { .. }
            | LayerSpec::Embedding { .. }
            | LayerSpec::ConvMaxPool { .. }
            | LayerSpec::Conv2d { .. }
            | LayerSpec::MaxPool2d { .. }
            | LayerSpec::GlobalAveragePool
            | LayerSpec::Flatten
            | LayerSpec::Linear { .. }
            | LayerSpec::LayerNorm
            | LayerSpec::Relu
            | LayerSpec::Tanh
            | LayerSpec::Gelu => None,
        });
        let (levels, buckets) = match spec.input {
            InputSpec::Text { buckets, .. } => (Vec::new(), buckets),
            InputSpec::Image { mean, deviation, .. } => {
                let level = |byte| (f32::from(byte) / 255.0 - mean) / deviation;
                ((0..=u8::MAX).map(level).collect(), 0)
            }
        };
        let (dropouts, ranks) = (dropouts.collect(), Ranks::new(buckets));
        Ok(Self { input: spec.input, classes, dropouts, levels, ranks, ids: Vec::new() })
    }

    pub(crate) const fn classes(&self) -> usize {
        self.classes
    }

    /// Checks that every row fits the model. Later, batches cannot fail.
    pub(crate) fn check(&self, rows: &[Row]) -> Result<(), EngineError> {
        if rows.is_empty() {
            return Err(EngineError::NoRows);
        }
        for (index, row) in rows.iter().enumerate() {
            let invalid = |problem: String| Err(EngineError::Row { row: index, problem });
            if row.label as usize >= self.classes {
                let (label, classes) = (row.label, self.classes);
                return invalid(format!("has label {label}, but there are {classes} classes"));
            }
            match (&self.input, &row.sample) {
                (InputSpec::Text { .. }, Sample::Text(_)) => {}
                (InputSpec::Image { channels, height, width, .. }, Sample::Image(pixels)) => {
                    let expected = (channels * height * width) as usize;
                    if pixels.len() != expected {
                        let actual = pixels.len();
                        return invalid(format!(
                            "has {actual} pixels, but the model reads {expected}"
                        ));
                    }
                }
                (InputSpec::Text { .. }, Sample::Image(_)) => {
                    return invalid("is an image, but the model reads text".to_owned());
                }
                (InputSpec::Image { .. }, Sample::Text(_)) => {
                    return invalid("is text, but the model reads images".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Checks that the model reads rows of this shape.
    pub(crate) fn reads(spec: &ModelSpec, sample: SampleShape) -> Result<(), EngineError> {
        Ok(spec.check_input(sample)?)
    }

    /// Converts rows to a batch. Dropout masks are included if a step's key is given.
    pub(crate) fn batch(&mut self, rows: &[&Row], key: Option<StepKey>) -> Batch {
        let mut targets = vec![0.0; rows.len() * self.classes];
        for (row, target) in rows.iter().zip(targets.chunks_exact_mut(self.classes)) {
            target[row.label as usize] = 1.0;
        }
        let masks = key.map_or_else(Vec::new, |key| self.masks(rows.len(), key));
        Batch { rows: rows.len(), input: self.input(rows), targets, masks }
    }

    fn input(&mut self, rows: &[&Row]) -> BatchInput {
        match self.input {
            InputSpec::Text { buckets, ngrams, max_words, unique } => {
                self.ids.clear();
                let mut ends = Vec::with_capacity(rows.len());
                for row in rows {
                    if let Sample::Text(text) = &row.sample {
                        data::text::ids(text, buckets, ngrams, max_words, &mut self.ids);
                    }
                    ends.push(self.ids.len());
                }
                BatchInput::TokenIds(TokenIds::new(&self.ids, ends, unique, &mut self.ranks))
            }
            InputSpec::Image { .. } => {
                let values = rows.first().map_or(0, |row| row.sample.bytes().len());
                let mut pixels = Vec::with_capacity(values * rows.len());
                for row in rows {
                    pixels.extend(row.sample.bytes().iter().map(|b| self.levels[*b as usize]));
                }
                BatchInput::Pixels(pixels)
            }
        }
    }

    fn masks(&self, rows: usize, key: StepKey) -> Vec<Vec<f32>> {
        if self.dropouts.is_empty() {
            return Vec::new();
        }
        let mut rng = SeededRng::new(RngDomain::Step, key.seed, key.round, key.partition, key.step);
        let mask = |(probability, values): &(f64, usize)| {
            #[expect(clippy::cast_possible_truncation, reason = "f32 is what the layers are in")]
            let kept = (1.0 / (1.0 - probability)) as f32;
            let mut draw = || if rng.uniform() < *probability { 0.0 } else { kept };
            (0..rows * values).map(|_| draw()).collect()
        };
        self.dropouts.iter().map(mask).collect()
    }
}

/// Returns the number of values of one row of this shape.
fn values(shape: Shape) -> usize {
    match shape {
        Shape::Words { max_words, ngrams, .. } => max_words as usize * ngrams as usize,
        Shape::Sequence { channels, length } => channels as usize * length as usize,
        Shape::Image { channels, height, width } => {
            channels as usize * height as usize * width as usize
        }
        Shape::Flat(size) => size as usize,
    }
}

/// Assignment of rows to steps: a new order in every epoch. The last step of an epoch takes the
/// remaining rows.
#[derive(Debug)]
pub(crate) struct Schedule {
    seed: u64,
    round: u32,
    partition: u32,
    batch: usize,
    epoch: Option<u64>,
    order: Vec<u32>,
}

impl Schedule {
    pub(crate) fn new(seed: u64, round: u32, partition: u32, batch: usize, rows: usize) -> Self {
        let order = vec![0; rows];
        Self { seed, round, partition, batch: batch.max(1), epoch: None, order }
    }

    /// Returns the row indices of step `step`, counted from 0.
    pub(crate) fn rows(&mut self, step: u64) -> &[u32] {
        let steps_per_epoch = self.order.len().div_ceil(self.batch).max(1) as u64;
        let (epoch, step_in_epoch) = (step / steps_per_epoch, step % steps_per_epoch);
        if self.epoch != Some(epoch) {
            for (index, row) in (0..).zip(&mut self.order) {
                *row = index;
            }
            SeededRng::new(RngDomain::Shuffling, self.seed, self.round, self.partition, epoch)
                .shuffle(&mut self.order);
            self.epoch = Some(epoch);
        }
        let start = usize::try_from(step_in_epoch).unwrap_or(usize::MAX).saturating_mul(self.batch);
        let range: Range<usize> = start..self.order.len().min(start + self.batch);
        &self.order[range]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_takes_every_row_once_in_a_new_order() {
        let mut schedule = Schedule::new(1, 2, 3, 4, 10);
        let mut epoch = |first: u64| -> Vec<u32> {
            (first..first + 3).flat_map(|step| schedule.rows(step).to_vec()).collect()
        };
        let (one, two) = (epoch(0), epoch(3));
        assert_ne!(one, two);
        for mut order in [one, two] {
            order.sort_unstable();
            assert_eq!(order, (0..10).collect::<Vec<_>>());
        }
        assert_eq!(schedule.rows(2).len(), 2);
        let again = Schedule::new(1, 2, 3, 4, 10).rows(5).to_vec();
        assert_eq!(schedule.rows(5), again, "a step's rows depend on its number alone");
    }
}
