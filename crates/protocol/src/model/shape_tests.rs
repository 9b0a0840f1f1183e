//! Error messages of invalid specs, and properties of random specs.

use proptest::prelude::*;

use super::{Combine, InputSpec, LayerSpec, ModelSpec, Shape};

fn image(layers: Vec<LayerSpec>) -> ModelSpec {
    let input = InputSpec::Image { channels: 1, height: 28, width: 28, mean: 0.5, deviation: 0.5 };
    ModelSpec { input, layers }
}

fn error_message(spec: &ModelSpec) -> String {
    spec.check(10).unwrap_err().to_string()
}

#[test]
fn impossible_specs_are_refused_with_the_layer_and_the_reason() {
    let conv = |channels, kernel| LayerSpec::Conv2d { channels, kernel, stride: 1, padding: 0 };
    let cases = [
        (vec![], "model: has no layers; add at least one whose outputs are the classes"),
        (
            vec![LayerSpec::Linear { outputs: 10 }],
            "layer 0 (linear): takes a vector (add a flatten layer before it), \
             but gets an image 1×28×28",
        ),
        (vec![conv(0, 3)], "layer 0 (conv2d): channels is 0; it must be from 1 to 16777216"),
        (vec![conv(4, 29)], "layer 0 (conv2d): a window of 29 does not fit an image 1×28×28"),
        (
            vec![LayerSpec::Flatten, LayerSpec::Linear { outputs: 7 }],
            "layer 1 (linear): outputs a vector of 7, but the dataset has 10 classes",
        ),
        (
            vec![LayerSpec::Flatten, LayerSpec::Linear { outputs: 1_000_000 }],
            "layer 1 (linear): has 785000000 parameters up to and including this layer; \
             at most 100000000 are allowed",
        ),
        (
            vec![conv(100_000, 3)],
            "layer 0 (conv2d): would output 67600000 values per row; \
             at most 16777216 are allowed",
        ),
        (
            vec![LayerSpec::Dropout { probability: 1.0 }],
            "layer 0 (dropout): probability is 1, which is not at least 0 and below 1",
        ),
        (
            vec![LayerSpec::EmbeddingBag { dimension: 8, combine: Combine::Mean }],
            "layer 0 (embedding_bag): takes words (a text input), but gets an image 1×28×28",
        ),
    ];
    for (layers, message) in cases {
        assert_eq!(error_message(&image(layers)), message);
    }
}

#[test]
fn sizes_at_the_edge_of_u32_do_not_overflow() {
    let pool = LayerSpec::MaxPool2d { kernel: u32::MAX, stride: u32::MAX };
    let conv = LayerSpec::Conv2d { channels: 1, kernel: 4096, stride: 1, padding: u32::MAX };
    let bank = LayerSpec::ConvMaxPool { channels: u32::MAX, widths: vec![u32::MAX; 16] };
    for layer in [pool, conv, bank] {
        assert!(image(vec![layer]).shapes().is_err());
    }
}

fn layer() -> impl Strategy<Value = LayerSpec> {
    let number = prop_oneof![0_u32..40, any::<u32>()];
    prop_oneof![
        number
            .clone()
            .prop_map(|dimension| LayerSpec::EmbeddingBag { dimension, combine: Combine::Mean }),
        number.clone().prop_map(|dimension| LayerSpec::Embedding { dimension }),
        (number.clone(), proptest::collection::vec(number.clone(), 0..4))
            .prop_map(|(channels, widths)| LayerSpec::ConvMaxPool { channels, widths }),
        (number.clone(), number.clone(), number.clone(), number.clone()).prop_map(
            |(channels, kernel, stride, padding)| LayerSpec::Conv2d {
                channels,
                kernel,
                stride,
                padding
            }
        ),
        (number.clone(), number.clone())
            .prop_map(|(kernel, stride)| LayerSpec::MaxPool2d { kernel, stride }),
        Just(LayerSpec::GlobalAveragePool),
        Just(LayerSpec::Flatten),
        number.prop_map(|outputs| LayerSpec::Linear { outputs }),
        Just(LayerSpec::LayerNorm),
        Just(LayerSpec::Relu),
        any::<f64>().prop_map(|probability| LayerSpec::Dropout { probability }),
    ]
}

proptest! {
    /// A spec that has shapes has a layout without gaps, within the limits.
    #[test]
    fn any_spec_is_refused_or_laid_out(
        text in any::<bool>(),
        layers in proptest::collection::vec(layer(), 0..6),
    ) {
        let input = if text {
            InputSpec::Text { buckets: 64, ngrams: 1, max_words: 16, unique: false }
        } else {
            InputSpec::Image { channels: 3, height: 9, width: 7, mean: 0.0, deviation: 1.0 }
        };
        let spec = ModelSpec { input, layers };
        if let Ok(shapes) = spec.shapes() {
            let layout = spec.layout().unwrap();
            let mut next = 0;
            for tensor in &layout.tensors {
                prop_assert_eq!(tensor.offset, next);
                prop_assert!(tensor.count() > 0);
                next += tensor.count();
            }
            prop_assert_eq!(layout.parameters, next);
            prop_assert!(next <= 100_000_000);
            prop_assert!(!shapes.contains(&Shape::Flat(0)));
        } else {
            prop_assert!(spec.layout().is_err());
        }
    }
}
