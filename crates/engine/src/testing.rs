//! Small models and rows for this crate's tests.

use data::{Row, Sample};
use protocol::model::{Combine, InputSpec, LayerSpec, ModelSpec};
use protocol::plan::Optimizer;
use protocol::{RngDomain, SeededRng};

/// Every optimizer, with every field in use.
pub(crate) const OPTIMIZERS: [Optimizer; 5] = [
    Optimizer::Sgd { learning_rate: 0.1, momentum: 0.0, weight_decay: 0.0 },
    Optimizer::Sgd { learning_rate: 0.05, momentum: 0.9, weight_decay: 0.0 },
    Optimizer::Sgd { learning_rate: 0.05, momentum: 0.9, weight_decay: 0.01 },
    Optimizer::Adam { learning_rate: 0.01 },
    Optimizer::AdamW { learning_rate: 0.01, weight_decay: 0.1 },
];

/// 6×6 images, four classes, with a layer norm and a dropout.
pub(crate) fn dense_spec() -> ModelSpec {
    ModelSpec {
        input: InputSpec::Image { channels: 1, height: 6, width: 6, mean: 0.5, deviation: 0.5 },
        layers: vec![
            LayerSpec::Flatten,
            LayerSpec::Linear { outputs: 16 },
            LayerSpec::LayerNorm,
            LayerSpec::Tanh,
            LayerSpec::Dropout { probability: 0.2 },
            LayerSpec::Linear { outputs: 4 },
        ],
    }
}

/// Bag of words and word pairs, four classes.
pub(crate) fn bag_spec(combine: Combine, dimension: u32) -> ModelSpec {
    ModelSpec {
        input: InputSpec::Text { buckets: 211, ngrams: 2, max_words: 20, unique: false },
        layers: vec![
            LayerSpec::EmbeddingBag { dimension, combine },
            LayerSpec::Linear { outputs: 4 },
        ],
    }
}

/// Words in order through convolutions, four classes.
pub(crate) fn sequence_spec() -> ModelSpec {
    ModelSpec {
        input: InputSpec::Text { buckets: 101, ngrams: 1, max_words: 9, unique: false },
        layers: vec![
            LayerSpec::Embedding { dimension: 6 },
            LayerSpec::ConvMaxPool { channels: 5, widths: vec![2, 3] },
            LayerSpec::Dropout { probability: 0.3 },
            LayerSpec::Linear { outputs: 4 },
        ],
    }
}

/// Images whose class is their bright quarter.
pub(crate) fn images(count: usize) -> Vec<Row> {
    let mut rng = SeededRng::new(RngDomain::SyntheticData, 7, 0, 0, 0);
    let row = |_| {
        let label = rng.index(4);
        let pixel = |place: usize| {
            let quarter = (place / 6 / 3) * 2 + place % 6 / 3;
            let light = if quarter == label { 150 } else { 0 };
            u8::try_from(light + rng.index(100)).unwrap()
        };
        Row {
            label: u32::try_from(label).unwrap(),
            sample: Sample::Image((0..36).map(pixel).collect()),
        }
    };
    (0..count).map(row).collect()
}

/// Texts whose class is named by most of their words. Some are empty.
pub(crate) fn texts(count: usize) -> Vec<Row> {
    let mut rng = SeededRng::new(RngDomain::SyntheticData, 8, 0, 0, 0);
    let row = |index| {
        let label = rng.index(4);
        let words = if index % 13 == 5 { 0 } else { 2 + rng.index(9) };
        let word = |_| {
            let topic = if rng.index(3) == 0 { rng.index(4) } else { label };
            format!("t{topic}w{} ", rng.index(9))
        };
        let text = (0..words).map(word).collect();
        Row { label: u32::try_from(label).unwrap(), sample: Sample::Text(text) }
    };
    (0..count).map(row).collect()
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
