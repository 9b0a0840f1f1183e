//! Presets: names of model specs that are known to work.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::spec::{Combine, InputSpec, LayerSpec, ModelSpec};
use crate::dataset::SampleShape;

/// Named model spec. The dataset decides its input and its number of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Two hidden layers of 200 (McMahan et al. 2017, "2NN").
    Mlp,
    /// Two 5×5 convolutions and a dense layer of 512 (McMahan et al. 2017; 1,663,370 parameters on
    /// MNIST).
    Cnn,
    /// Hashed words and word pairs, averaged (Joulin et al. 2017, fastText).
    TextBag,
    /// Parallel convolutions over words (Kim 2014).
    TextCnn,
}

impl Preset {
    pub const ALL: [Self; 4] = [Self::Mlp, Self::Cnn, Self::TextBag, Self::TextCnn];

    /// Returns the name in job files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mlp => "mlp",
            Self::Cnn => "cnn",
            Self::TextBag => "text_bag",
            Self::TextCnn => "text_cnn",
        }
    }

    /// Returns the default preset for rows of this shape.
    pub const fn for_sample(sample: SampleShape) -> Self {
        match sample {
            SampleShape::Text => Self::TextBag,
            SampleShape::Image { .. } => Self::Cnn,
        }
    }

    /// Returns the spec for rows of this shape, or `None` if the preset reads another kind.
    pub fn spec(self, sample: SampleShape, classes: u32) -> Option<ModelSpec> {
        let (input, mut layers) = match (self, sample) {
            (Self::Mlp, SampleShape::Image { channels, height, width }) => {
                (image(channels, height, width), mlp())
            }
            (Self::Cnn, SampleShape::Image { channels, height, width }) => {
                (image(channels, height, width), cnn())
            }
            (Self::TextBag, SampleShape::Text) => (
                InputSpec::Text { buckets: 1 << 17, ngrams: 2, max_words: 512, unique: true },
                vec![LayerSpec::EmbeddingBag { dimension: 8, combine: Combine::Sqrtn }],
            ),
            (Self::TextCnn, SampleShape::Text) => (
                InputSpec::Text { buckets: 1 << 15, ngrams: 1, max_words: 96, unique: false },
                text_cnn(),
            ),
            (Self::Mlp | Self::Cnn, SampleShape::Text)
            | (Self::TextBag | Self::TextCnn, SampleShape::Image { .. }) => return None,
        };
        layers.push(LayerSpec::Linear { outputs: classes });
        Some(ModelSpec { input, layers })
    }
}

fn image(channels: u32, height: u32, width: u32) -> InputSpec {
    InputSpec::Image { channels, height, width, mean: 0.5, deviation: 0.5 }
}

fn mlp() -> Vec<LayerSpec> {
    vec![
        LayerSpec::Flatten,
        LayerSpec::Linear { outputs: 200 },
        LayerSpec::Relu,
        LayerSpec::Linear { outputs: 200 },
        LayerSpec::Relu,
    ]
}

fn cnn() -> Vec<LayerSpec> {
    vec![
        LayerSpec::Conv2d { channels: 32, kernel: 5, stride: 1, padding: 2 },
        LayerSpec::Relu,
        LayerSpec::MaxPool2d { kernel: 2, stride: 2 },
        LayerSpec::Conv2d { channels: 64, kernel: 5, stride: 1, padding: 2 },
        LayerSpec::Relu,
        LayerSpec::MaxPool2d { kernel: 2, stride: 2 },
        LayerSpec::Flatten,
        LayerSpec::Linear { outputs: 512 },
        LayerSpec::Relu,
    ]
}

fn text_cnn() -> Vec<LayerSpec> {
    vec![
        LayerSpec::Embedding { dimension: 32 },
        LayerSpec::ConvMaxPool { channels: 64, widths: vec![3, 4, 5] },
        LayerSpec::Dropout { probability: 0.5 },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MNIST: SampleShape = SampleShape::Image { channels: 1, height: 28, width: 28 };

    #[test]
    fn the_cnn_has_the_papers_parameter_count() {
        let layout = Preset::Cnn.spec(MNIST, 10).unwrap().layout().unwrap();
        assert_eq!(layout.parameters, 1_663_370);
        assert_eq!(layout.tensors[0].name, "layers.0.weight");
        assert_eq!(layout.tensors[0].shape, [32, 1, 5, 5]);
    }

    #[test]
    fn the_mlp_has_the_papers_parameter_count() {
        assert_eq!(Preset::Mlp.spec(MNIST, 10).unwrap().layout().unwrap().parameters, 199_210);
    }

    #[test]
    fn every_preset_builds_for_its_model_type_alone() {
        for preset in Preset::ALL {
            let text = preset.spec(SampleShape::Text, 4);
            let image = preset.spec(MNIST, 10);
            assert!(text.is_some() != image.is_some(), "{}", preset.name());
            if let Some(spec) = text {
                spec.check(4).unwrap();
            }
            if let Some(spec) = image {
                spec.check(10).unwrap();
            }
        }
    }
}
