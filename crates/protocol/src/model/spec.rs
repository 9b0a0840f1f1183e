//! A model as data. Sizes of inputs are inferred, so a spec says only what each layer gives.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// How a row becomes the first layer's input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InputSpec {
    /// Lower-cased words and word n-grams, each hashed to an id in `1..buckets`; id 0 is padding.
    Text {
        buckets: u32,
        /// The longest n-gram: 1 = words alone, 2 = words and pairs (Joulin et al. 2017, §2.2).
        ngrams: u32,
        /// Words read of a text; the rest is dropped.
        max_words: u32,
        /// Each id at most once a row: what is there, not how often. Order is kept otherwise.
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

/// A number that 32 bits hold. One that they don't would become infinite, and be written as nothing.
fn single<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    let number = f32::deserialize(deserializer)?;
    let refusal = || D::Error::custom(format!("must be finite and at most {:e}", f32::MAX));
    number.is_finite().then_some(number).ok_or_else(refusal)
}

/// How a bag's vectors become one. An empty bag gives zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// Their sum over their number.
    #[default]
    Mean,
    /// Their sum over the square root of their number: one learning rate then suits short and long
    /// rows alike.
    Sqrtn,
}

/// One layer. Parameter shapes are PyTorch's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LayerSpec {
    /// Words and n-grams → their vectors as one. Weight `[buckets, dimension]`.
    EmbeddingBag {
        dimension: u32,
        #[serde(default)]
        combine: Combine,
    },
    /// Words in order → `dimension × max_words`; padding gives zeros. Weight
    /// `[buckets, dimension]`.
    Embedding {
        dimension: u32,
    },
    /// Parallel 1-d convolutions of these widths over the words, each through a `ReLU` and a
    /// maximum over time, side by side (Kim 2014, §2). Weights `[channels, in, width]` and `[channels]`.
    ConvMaxPool {
        channels: u32,
        widths: Vec<u32>,
    },
    /// Weight `[channels, in, kernel, kernel]`, bias `[channels]`; zero padding.
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
    /// The mean over height and width.
    GlobalAveragePool,
    Flatten,
    /// Weight `[outputs, inputs]`, bias `[outputs]`.
    Linear {
        outputs: u32,
    },
    /// Over the last dimension of a flat input; weight and bias `[inputs]`, epsilon 1e-5.
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
    /// The name that `kind` has in JSON.
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

/// A whole classifier: the last layer's outputs are the logits of the classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelSpec {
    pub input: InputSpec,
    pub layers: Vec<LayerSpec>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beyond_32_bits_is_refused_where_it_is_read() {
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
