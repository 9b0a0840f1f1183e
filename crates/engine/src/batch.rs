//! Rows as the numbers that a step needs, made ahead of the step and without the device.

use std::ops::Range;

use data::{Row, Sample};
use protocol::dataset::SampleShape;
use protocol::model::{InputSpec, LayerSpec, ModelSpec, Shape};
use protocol::{Chance, Purpose};

use crate::EngineError;

/// One step's rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch {
    pub(crate) rows: usize,
    pub(crate) input: BatchInput,
    /// One-hot, `[rows, classes]`.
    pub(crate) targets: Vec<f32>,
    /// What each dropout layer multiplies with, in order; empty in evaluation.
    pub(crate) masks: Vec<Vec<f32>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BatchInput {
    Words(Words),
    /// `[rows, channels, height, width]`
    Pixels(Vec<f32>),
}

impl Batch {
    /// About how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let input = match &self.input {
            BatchInput::Words(words) => words.unique.len() + words.locals.len(),
            BatchInput::Pixels(pixels) => pixels.len(),
        };
        let masks: usize = self.masks.iter().map(Vec::len).sum();
        4 * (input + masks + self.targets.len())
    }
}

/// Ids of a batch's texts.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Words {
    /// Each id once, ascending.
    pub(crate) unique: Vec<u32>,
    /// Indices into `unique`, row after row.
    locals: Vec<u32>,
    /// Where each row's indices end.
    ends: Vec<usize>,
}

impl Words {
    pub(crate) fn rows(&self) -> usize {
        self.ends.len()
    }

    /// Indices into `unique` of one row, in order.
    pub(crate) fn row(&self, row: usize) -> &[u32] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.locals[start..self.ends[row]]
    }

    /// From ids row after row and where each row ends; `once` drops a row's repeats.
    pub(crate) fn new(ids: &[u32], mut ends: Vec<usize>, once: bool) -> Self {
        let (unique, mut locals) = ranked(ids);
        if once {
            // The row, counted from 1, that each id was last seen in.
            let mut seen = vec![0; unique.len()];
            let (mut start, mut kept) = (0, 0);
            for (row, end) in (1_usize..).zip(&mut ends) {
                for place in start..*end {
                    let local = locals[place];
                    if seen[local as usize] != row {
                        seen[local as usize] = row;
                        locals[kept] = local;
                        kept += 1;
                    }
                }
                (start, *end) = (*end, kept);
            }
            locals.truncate(kept);
        }
        Self { unique, locals, ends }
    }
}

/// Each id once, ascending, and for every id in `ids` its place among them. By a radix sort, from the
/// lowest digit up: where steps are short, sorting by comparison and searching is what they wait for.
fn ranked(ids: &[u32]) -> (Vec<u32>, Vec<u32>) {
    const DIGIT: u32 = 11;
    const MASK: u32 = (1 << DIGIT) - 1;
    let largest = ids.iter().copied().max().unwrap_or_default();
    // (id, place in `ids`)
    let mut sorted: Vec<(u32, u32)> = ids.iter().copied().zip(0..).collect();
    let mut other = vec![(0, 0); sorted.len()];
    let mut shift = 0;
    while shift < u32::BITS && largest >> shift > 0 {
        let digit = |id: u32| (id >> shift & MASK) as usize;
        let mut starts = [0_usize; 1 << DIGIT];
        for (id, _) in &sorted {
            starts[digit(*id)] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            (*start, sum) = (sum, sum + *start);
        }
        for pair in &sorted {
            let start = &mut starts[digit(pair.0)];
            other[*start] = *pair;
            *start += 1;
        }
        std::mem::swap(&mut sorted, &mut other);
        shift += DIGIT;
    }
    let mut unique: Vec<u32> = Vec::with_capacity(ids.len());
    let mut places = vec![0; ids.len()];
    let mut rank = 0;
    for (id, place) in sorted {
        if unique.last() != Some(&id) {
            rank = u32::try_from(unique.len()).unwrap_or_default();
            unique.push(id);
        }
        places[place as usize] = rank;
    }
    (unique, places)
}

/// Which step's chance dropout masks are drawn from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepKey {
    pub(crate) seed: u64,
    pub(crate) round: u32,
    pub(crate) partition: u32,
    /// From 0.
    pub(crate) step: u64,
}

/// What makes batches for a model.
#[derive(Debug, Clone)]
pub(crate) struct Featurizer {
    input: InputSpec,
    classes: usize,
    /// Of each dropout layer: its probability and the values that it sees of one row.
    dropouts: Vec<(f64, usize)>,
    /// What each byte of a pixel becomes.
    levels: Vec<f32>,
}

impl Featurizer {
    pub(crate) fn new(spec: &ModelSpec) -> Result<Self, EngineError> {
        let shapes = spec.shapes()?;
        let classes = match shapes.last() {
            Some(Shape::Flat(classes)) => *classes as usize,
            Some(Shape::Words { .. } | Shape::Sequence { .. } | Shape::Image { .. }) | None => {
                return Err(EngineError::Plan("the model's last layer must give a vector"));
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
        let levels = match spec.input {
            InputSpec::Text { .. } => Vec::new(),
            InputSpec::Image { mean, deviation, .. } => {
                (0..=u8::MAX).map(|byte| (f32::from(byte) / 255.0 - mean) / deviation).collect()
            }
        };
        Ok(Self { input: spec.input, classes, dropouts: dropouts.collect(), levels })
    }

    pub(crate) const fn classes(&self) -> usize {
        self.classes
    }

    /// Whether every row fits the model: checked once, so that batches can't fail.
    pub(crate) fn check(&self, rows: &[Row]) -> Result<(), EngineError> {
        if rows.is_empty() {
            return Err(EngineError::NoRows);
        }
        for (index, row) in rows.iter().enumerate() {
            let fault = |problem: String| Err(EngineError::Row { row: index, problem });
            if row.label as usize >= self.classes {
                let (label, classes) = (row.label, self.classes);
                return fault(format!("has label {label}, but there are {classes} classes"));
            }
            match (&self.input, &row.sample) {
                (InputSpec::Text { .. }, Sample::Text(_)) => {}
                (InputSpec::Image { channels, height, width, .. }, Sample::Image(pixels)) => {
                    let expected = (channels * height * width) as usize;
                    if pixels.len() != expected {
                        let actual = pixels.len();
                        return fault(format!("has {actual} pixels where {expected} are read"));
                    }
                }
                (InputSpec::Text { .. }, Sample::Image(_)) => {
                    return fault("is an image, but the model reads text".to_owned());
                }
                (InputSpec::Image { .. }, Sample::Text(_)) => {
                    return fault("is text, but the model reads images".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Whether the model reads rows of this shape.
    pub(crate) fn reads(spec: &ModelSpec, sample: SampleShape) -> Result<(), EngineError> {
        Ok(spec.check_input(sample)?)
    }

    /// The batch of these rows; with masks where a step's key is given.
    pub(crate) fn batch(&self, rows: &[&Row], key: Option<StepKey>) -> Batch {
        let mut targets = vec![0.0; rows.len() * self.classes];
        for (row, target) in rows.iter().zip(targets.chunks_exact_mut(self.classes)) {
            target[row.label as usize] = 1.0;
        }
        let masks = key.map_or_else(Vec::new, |key| self.masks(rows.len(), key));
        Batch { rows: rows.len(), input: self.input(rows), targets, masks }
    }

    fn input(&self, rows: &[&Row]) -> BatchInput {
        match self.input {
            InputSpec::Text { buckets, ngrams, max_words, unique } => {
                let (mut ids, mut ends) = (Vec::new(), Vec::with_capacity(rows.len()));
                for row in rows {
                    if let Sample::Text(text) = &row.sample {
                        data::text::ids(text, buckets, ngrams, max_words, &mut ids);
                    }
                    ends.push(ids.len());
                }
                BatchInput::Words(Words::new(&ids, ends, unique))
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
        let mut chance = Chance::new(Purpose::Step, key.seed, key.round, key.partition, key.step);
        let mask = |(probability, values): &(f64, usize)| {
            #[expect(clippy::cast_possible_truncation, reason = "f32 is what the layers are in")]
            let kept = (1.0 / (1.0 - probability)) as f32;
            let mut draw = || if chance.uniform() < *probability { 0.0 } else { kept };
            (0..rows * values).map(|_| draw()).collect()
        };
        self.dropouts.iter().map(mask).collect()
    }
}

/// Values of one row of this shape.
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

/// Which rows each step takes: a new order every epoch, and the rest of it in its last step.
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

    /// Indices of the rows of step `step`, counted from 0.
    pub(crate) fn rows(&mut self, step: u64) -> &[u32] {
        let in_epoch = self.order.len().div_ceil(self.batch).max(1) as u64;
        let (epoch, place) = (step / in_epoch, step % in_epoch);
        if self.epoch != Some(epoch) {
            for (index, row) in (0..).zip(&mut self.order) {
                *row = index;
            }
            Chance::new(Purpose::Shuffling, self.seed, self.round, self.partition, epoch)
                .shuffle(&mut self.order);
            self.epoch = Some(epoch);
        }
        let start = usize::try_from(place).unwrap_or(usize::MAX).saturating_mul(self.batch);
        let range: Range<usize> = start..self.order.len().min(start + self.batch);
        &self.order[range]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_takes_every_row_once_and_each_epoch_another_order() {
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

    #[test]
    fn ids_are_ranked_as_sorting_ranks_them() {
        let mut chance = Chance::new(Purpose::Step, 1, 2, 3, 4);
        for (count, buckets) in
            [(0, 2), (1, 2), (300, 7), (3_000, 1 << 17), (500, u64::from(u32::MAX))]
        {
            let draw = |_| u32::try_from(chance.below(buckets)).unwrap();
            let ids: Vec<u32> = (0..count).map(draw).collect();
            let (unique, places) = ranked(&ids);
            let mut expected = ids.clone();
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(unique, expected);
            let back: Vec<u32> = places.iter().map(|place| unique[*place as usize]).collect();
            assert_eq!(back, ids);
        }
    }

    #[test]
    fn words_are_looked_up_once_and_keep_their_order() {
        let words = Words::new(&[7, 3, 7, 9, 3], vec![3, 3, 5], false);
        assert_eq!(words.unique, [3, 7, 9]);
        assert_eq!(words.row(0), [1, 0, 1]);
        assert!(words.row(1).is_empty());
        assert_eq!(words.row(2), [2, 0]);
        let once = Words::new(&[7, 3, 7, 9, 3], vec![3, 3, 5], true);
        assert_eq!((once.row(0), once.row(2)), ([1, 0].as_slice(), [2, 0].as_slice()));
    }
}
