//! A model as data. Input sizes are inferred, so a spec states only each layer's output.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// Conversion of a row to the first layer's input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InputSpec {
    /// Lowercase words and word n-grams, each hashed to an id in `1..buckets`. Id 0 is padding.
    Text {
        buckets: u32,
        /// Longest n-gram: 1 = words alone, 2 = words and pairs (Joulin et al. 2017, §2.2).
        ngrams: u32,
        /// Words read from a text. The rest is dropped.
        max_words: u32,
        /// Keeps each id at most once per row, in the order of first occurrence.
        #[serde(default)]
        unique: bool,
    },
    /// Pixels as `(byte / 255 − mean) / deviation`.
    Image {
        channels: u32,
        height: u32,
        width: u32,
        #[serde(deserialize_with = "single")]
        mean: f32,
        #[serde(deserialize_with = "single")]
        deviation: f32,
    },
}

/// Reads a number that fits into 32 bits. A larger number would become infinite, which JSON cannot
/// represent.
fn single<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    let number = f32::deserialize(deserializer)?;
    let error = || D::Error::custom(format!("must be finite and at most {:e}", f32::MAX));
    number.is_finite().then_some(number).ok_or_else(error)
}

/// Combination of a bag's vectors into one. An empty bag gives zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// Their sum divided by their count.
    #[default]
    Mean,
    /// Their sum divided by the square root of their count, so one learning rate suits short and
    /// long rows.
    Sqrtn,
}

/// One layer. Parameter shapes follow PyTorch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LayerSpec {
    /// Words and n-grams → one combined vector. Weight `[buckets, dimension]`.
    EmbeddingBag {
        dimension: u32,
        #[serde(default)]
        combine: Combine,
    },
    /// Words in order → `dimension × max_words`. Padding gives zeros. Weight `[buckets,
    /// dimension]`.
    Embedding {
        dimension: u32,
    },
    /// Parallel 1-d convolutions of these widths over the words, each followed by a `ReLU` and a
    /// maximum over time, concatenated (Kim 2014, §2). Weights `[channels, in, width]` and
    /// `[channels]`.
    ConvMaxPool {
        channels: u32,
        widths: Vec<u32>,
    },
    /// Weight `[channels, in, kernel, kernel]`, bias `[channels]`. Zero padding.
    Conv2d {
        channels: u32,
        kernel: u32,
        #[serde(default = "one")]
        stride: u32,
        #[serde(default)]
        padding: u32,
    },
    MaxPool2d {
        kernel: u32,
        stride: u32,
    },
    /// Mean over height and width.
    GlobalAveragePool,
    Flatten,
    /// Weight `[outputs, inputs]`, bias `[outputs]`.
    Linear {
        outputs: u32,
    },
    /// Normalizes the last dimension of a flat input. Weight and bias `[inputs]`, epsilon 1e-5.
    LayerNorm,
    Relu,
    Tanh,
    Gelu,
    /// Sets a share of the inputs to 0 in training and scales the rest by `1 / (1 − probability)`.
    Dropout {
        probability: f64,
    },
}

fn one() -> u32 {
    1
}

impl LayerSpec {
    /// Returns the value of `kind` in JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::EmbeddingBag { .. } => "embedding_bag",
            Self::Embedding { .. } => "embedding",
            Self::ConvMaxPool { .. } => "conv_max_pool",
            Self::Conv2d { .. } => "conv2d",
            Self::MaxPool2d { .. } => "max_pool2d",
            Self::GlobalAveragePool => "global_average_pool",
            Self::Flatten => "flatten",
            Self::Linear { .. } => "linear",
            Self::LayerNorm => "layer_norm",
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Gelu => "gelu",
            Self::Dropout { .. } => "dropout",
        }
    }
}

/// Complete classifier. The last layer's outputs are the classes' logits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelSpec {
    pub input: InputSpec,
    pub layers: Vec<LayerSpec>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beyond_32_bits_is_refused_when_parsed() {
        let read = |deviation: &str| {
            let mean = r#""channels":1,"height":2,"width":2,"mean":0.5"#;
            let json = format!(r#"{{"kind":"image",{mean},"deviation":{deviation}}}"#);
            serde_json::from_str::<InputSpec>(&json)
        };
        assert!(read("3e38").is_ok());
        let error = read("3e58").unwrap_err().to_string();
        assert!(error.contains("must be finite and at most 3.4028235e38"), "{error}");
    }

    #[test]
    fn kind_is_the_name_in_json() {
        let layers = [
            LayerSpec::EmbeddingBag { dimension: 1, combine: Combine::Sqrtn },
            LayerSpec::Embedding { dimension: 1 },
            LayerSpec::ConvMaxPool { channels: 1, widths: vec![1] },
            LayerSpec::Conv2d { channels: 1, kernel: 1, stride: 1, padding: 0 },
            LayerSpec::MaxPool2d { kernel: 1, stride: 1 },
            LayerSpec::GlobalAveragePool,
            LayerSpec::Flatten,
            LayerSpec::Linear { outputs: 1 },
            LayerSpec::LayerNorm,
            LayerSpec::Relu,
            LayerSpec::Tanh,
            LayerSpec::Gelu,
            LayerSpec::Dropout { probability: 0.5 },
        ];
        for layer in layers {
            let json = serde_json::to_value(&layer).unwrap();
            assert_eq!(json["kind"], layer.kind());
            assert_eq!(serde_json::from_value::<LayerSpec>(json).unwrap(), layer);
        }
    }
}
