//! Shapes: of a row between two layers, and of a layer's parameter tensors.

use std::fmt;

use super::spec::LayerSpec;

/// Shape of one row between two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Ids of words and n-grams.
    Words {
        buckets: u32,
        max_words: u32,
        ngrams: u32,
    },
    /// `channels × length`.
    Sequence {
        channels: u32,
        length: u32,
    },
    /// `channels × height × width`.
    Image {
        channels: u32,
        height: u32,
        width: u32,
    },
    Flat(u32),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words { max_words, .. } => write!(f, "up to {max_words} words"),
            Self::Sequence { channels, length } => write!(f, "a sequence {channels}×{length}"),
            Self::Image { channels, height, width } => {
                write!(f, "an image {channels}×{height}×{width}")
            }
            Self::Flat(size) => write!(f, "a vector of {size}"),
        }
    }
}

impl Shape {
    /// Returns the sizes of one row, outermost first.
    pub fn sizes(self) -> Vec<u32> {
        match self {
            Self::Words { max_words, .. } => vec![max_words],
            Self::Sequence { channels, length } => vec![channels, length],
            Self::Image { channels, height, width } => vec![channels, height, width],
            Self::Flat(size) => vec![size],
        }
    }

    /// Returns the number of values of one row.
    pub(super) fn values(self) -> u64 {
        match self {
            Self::Words { max_words, ngrams, .. } => u64::from(max_words) * u64::from(ngrams),
            Self::Sequence { channels, length } => u64::from(channels) * u64::from(length),
            Self::Image { channels, height, width } => {
                u64::from(channels).saturating_mul(u64::from(height) * u64::from(width))
            }
            Self::Flat(size) => u64::from(size),
        }
    }
}

/// Returns the parameter tensors of a layer between these shapes, by name.
pub(super) fn parameter_tensors(
    layer: &LayerSpec,
    input: Shape,
    output: Shape,
) -> Vec<(String, Vec<u32>)> {
    let named = |name: &str, shape: Vec<u32>| (name.to_owned(), shape);
    let channels = match input {
        Shape::Words { buckets, .. } => buckets,
        Shape::Sequence { channels, .. } | Shape::Image { channels, .. } => channels,
        Shape::Flat(size) => size,
    };
    match layer {
        LayerSpec::EmbeddingBag { dimension, .. } | LayerSpec::Embedding { dimension } => {
            vec![named("weight", vec![channels, *dimension])]
        }
        LayerSpec::ConvMaxPool { channels: outputs, widths } => widths
            .iter()
            .enumerate()
            .flat_map(|(branch, width)| {
                [
                    (format!("{branch}.weight"), vec![*outputs, channels, *width]),
                    (format!("{branch}.bias"), vec![*outputs]),
                ]
            })
            .collect(),
        LayerSpec::Conv2d { channels: outputs, kernel, .. } => vec![
            named("weight", vec![*outputs, channels, *kernel, *kernel]),
            named("bias", vec![*outputs]),
        ],
        LayerSpec::Linear { outputs } => {
            vec![named("weight", vec![*outputs, channels]), named("bias", vec![*outputs])]
        }
        LayerSpec::LayerNorm => match output {
            Shape::Flat(size) => vec![named("weight", vec![size]), named("bias", vec![size])],
            Shape::Words { .. } | Shape::Sequence { .. } | Shape::Image { .. } => Vec::new(),
        },
        LayerSpec::MaxPool2d { .. }
        | LayerSpec::GlobalAveragePool
        | LayerSpec::Flatten
        | LayerSpec::Relu
        | LayerSpec::Tanh
        | LayerSpec::Gelu
        | LayerSpec::Dropout { .. } => Vec::new(),
    }
}
