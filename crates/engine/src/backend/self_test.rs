//! Start-up self-test: losses and gradients of every layer kind on a device, compared with flex.
//!
//! Drivers and tuned kernels have computed wrong values without an error (cubecl #1636, burn
//! #5626). A device is used only after its results matched the CPU's.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use data::{Row, Sample};
use protocol::model::{Combine, InputSpec, LayerSpec, ModelSpec, Shape};
use protocol::{RngDomain, SeededRng};

use crate::batch::{Featurizer, StepKey};
use crate::network::Network;
use crate::{EngineError, device_failed, files, initialize};

/// Version of the test. Increase it when the test changes, so that recorded passes expire.
const VERSION: u32 = 1;
const ROWS: usize = 16;
/// Allowed difference as a share of the tensor's largest value: a hundred times the effect of
/// reordered f32 sums at these sizes, and far below the effect of a wrong kernel.
const TOLERANCE: f64 = 1e-3;
/// Allowed absolute difference, for tensors near zero.
const FLOOR: f64 = 1e-5;

/// Mismatch between a device and flex.
#[derive(Debug, thiserror::Error)]
pub(super) enum SelfTestError {
    #[error(
        "{tensor} of the {model} model differs by {difference:.1e} (largest value {largest:.1e})"
    )]
    Differs { model: &'static str, tensor: String, difference: f64, largest: f64 },
    #[error("the {model} model could not be computed: {error}")]
    Failed { model: &'static str, error: EngineError },
}

/// Results of a device for one model.
#[derive(Debug, Clone, PartialEq)]
struct Measured {
    model: &'static str,
    /// The loss, then the gradients, by name.
    tensors: Vec<(String, Vec<f32>)>,
}

/// Compares a device with flex for every layer kind.
pub(super) fn run(device: &Device) -> Result<(), SelfTestError> {
    let flex = Device::flex();
    for (model, spec) in models() {
        let failed = |error| SelfTestError::Failed { model, error };
        let expected = measure(model, &spec, &flex).map_err(failed)?;
        compare(&expected, &measure(model, &spec, device).map_err(failed)?)?;
    }
    Ok(())
}

/// Returns all compared numbers of one device.
pub(super) fn values(device: &Device) -> Result<Vec<Vec<f32>>, EngineError> {
    let mut all = Vec::new();
    for (model, spec) in models() {
        let measured = measure(model, &spec, device)?;
        all.extend(measured.tensors.into_iter().map(|(_, values)| values));
    }
    Ok(all)
}

/// Returns whether this fingerprint has passed the test before.
pub(super) fn passed_before(cache: Option<&Path>, fingerprint: &str) -> bool {
    let recorded = cache.and_then(|folder| std::fs::read_to_string(record_path(folder)).ok());
    recorded.is_some_and(|text| text == record_text(fingerprint))
}

/// Records a pass. If it cannot be written, the test runs again next time.
pub(super) fn record_pass(cache: Option<&Path>, fingerprint: &str) {
    if let Some(folder) = cache {
        let _ = std::fs::create_dir_all(folder);
        let text = record_text(fingerprint);
        let _ = files::write_atomically(&record_path(folder), text.as_bytes(), None);
    }
}

fn record_path(folder: &Path) -> PathBuf {
    folder.join("self-test.txt")
}

fn record_text(fingerprint: &str) -> String {
    format!("passed {VERSION} {fingerprint}\n")
}

/// Small models that contain every layer kind between them.
fn models() -> [(&'static str, ModelSpec); 4] {
    let text =
        |ngrams, max_words| InputSpec::Text { buckets: 97, ngrams, max_words, unique: false };
    let image = InputSpec::Image { channels: 2, height: 20, width: 20, mean: 0.5, deviation: 0.5 };
    let conv =
        |channels, kernel, stride, padding| LayerSpec::Conv2d { channels, kernel, stride, padding };
    let bag = vec![
        LayerSpec::EmbeddingBag { dimension: 24, combine: Combine::Sqrtn },
        LayerSpec::LayerNorm,
        LayerSpec::Linear { outputs: 20 },
        LayerSpec::Gelu,
        LayerSpec::Dropout { probability: 0.25 },
        LayerSpec::Linear { outputs: 5 },
    ];
    let sequence = vec![
        LayerSpec::Embedding { dimension: 12 },
        LayerSpec::ConvMaxPool { channels: 10, widths: vec![2, 3] },
        LayerSpec::Tanh,
        LayerSpec::Linear { outputs: 5 },
    ];
    let image_layers = vec![
        conv(8, 5, 1, 2),
        LayerSpec::Relu,
        LayerSpec::MaxPool2d { kernel: 2, stride: 2 },
        conv(12, 3, 2, 1),
        LayerSpec::Relu,
        LayerSpec::Flatten,
        LayerSpec::Linear { outputs: 5 },
    ];
    let mut pooled = image_layers[..5].to_vec();
    pooled.extend([LayerSpec::GlobalAveragePool, LayerSpec::Linear { outputs: 5 }]);
    [
        ("bag", ModelSpec { input: text(2, 16), layers: bag }),
        ("sequence", ModelSpec { input: text(1, 16), layers: sequence }),
        ("image", ModelSpec { input: image, layers: image_layers }),
        ("pooled image", ModelSpec { input: image, layers: pooled }),
    ]
}

fn measure(
    model: &'static str,
    spec: &ModelSpec,
    device: &Device,
) -> Result<Measured, EngineError> {
    let mut featurizer = Featurizer::new(spec)?;
    let rows = rows(spec, featurizer.classes())?;
    let key = StepKey { seed: 1, round: 1, partition: 0, step: 0 };
    let mut batch = featurizer.batch(&rows.iter().collect::<Vec<_>>(), Some(key));
    let network = Network::new(spec, &initialize(spec, 1)?, &device.clone().autodiff())?;
    let (logits, embedding_input) = network.forward(&mut batch)?;
    let loss = network.loss(logits, &batch);
    let mut gradients = loss.backward();
    let body = network.body_gradients(&gradients)?;
    let names = network.layout.tensors.iter().map(|tensor| format!("gradient of {}", tensor.name));
    let mut names = names.skip(usize::from(embedding_input.is_some()));
    let mut tensors = vec![("the loss".to_owned(), read(loss.inner())?)];
    if let Some(embedding_input) = embedding_input {
        let gradient = read(embedding_input.gradient(&mut gradients)?)?;
        tensors.push(("the embedding's gradient".to_owned(), gradient));
    }
    tensors.extend(body.into_iter().map(|values| (names.next().unwrap_or_default(), values)));
    Ok(Measured { model, tensors })
}

fn read(tensor: burn::tensor::Tensor<1>) -> Result<Vec<f32>, EngineError> {
    tensor.try_into_vec_as::<f32>().map_err(device_failed)
}

fn rows(spec: &ModelSpec, classes: usize) -> Result<Vec<Row>, EngineError> {
    let mut rng = SeededRng::new(RngDomain::SyntheticData, 1, 0, 0, 0);
    let shape = spec.input_shape()?;
    let row = |_| {
        let label = u32::try_from(rng.index(classes)).unwrap_or_default();
        let sample = match shape {
            Shape::Image { channels, height, width } => Sample::Image(
                (0..channels * height * width)
                    .map(|_| u8::try_from(rng.index(256)).unwrap_or_default())
                    .collect(),
            ),
            Shape::Words { .. } | Shape::Sequence { .. } | Shape::Flat(_) => {
                let words = 3 + rng.index(20);
                let word = |_| format!("word{} ", rng.index(60));
                Sample::Text((0..words).map(word).collect())
            }
        };
        Row { label, sample }
    };
    Ok((0..ROWS).map(row).collect())
}

fn compare(expected: &Measured, actual: &Measured) -> Result<(), SelfTestError> {
    for ((tensor, expected_values), (_, actual_values)) in
        expected.tensors.iter().zip(&actual.tensors)
    {
        let largest =
            expected_values.iter().fold(0.0_f64, |most, value| most.max(f64::from(value.abs())));
        let difference = difference(expected_values, actual_values);
        // Written so that NaN counts as a difference.
        let close = difference <= largest * TOLERANCE + FLOOR;
        if !close {
            let (model, tensor) = (expected.model, tensor.clone());
            return Err(SelfTestError::Differs { model, tensor, difference, largest });
        }
    }
    Ok(())
}

fn difference(expected: &[f32], actual: &[f32]) -> f64 {
    if expected.len() != actual.len() {
        return f64::INFINITY;
    }
    expected.iter().zip(actual).fold(0.0, |most, (expected, actual)| {
        let difference = (f64::from(*expected) - f64::from(*actual)).abs();
        if difference.is_nan() { f64::INFINITY } else { difference.max(most) }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn flex_matches_itself() {
        run(&Device::flex()).unwrap();
    }

    #[test]
    fn one_wrong_number_in_any_tensor_is_detected() {
        for (model, spec) in models() {
            let right = measure(model, &spec, &Device::flex()).unwrap();
            for index in 0..right.tensors.len() {
                let value = *right.tensors[index].1.last().unwrap();
                for wrong_value in [f32::NAN, f32::INFINITY, value + 0.5] {
                    let mut wrong = right.clone();
                    *wrong.tensors[index].1.last_mut().unwrap() = wrong_value;
                    let error = compare(&right, &wrong).unwrap_err().to_string();
                    assert!(error.contains(&right.tensors[index].0), "{error}");
                }
            }
        }
    }

    #[test]
    fn every_layer_kind_is_tested() {
        let tested: BTreeSet<&str> =
            models().iter().flat_map(|(_, spec)| spec.layers.iter().map(LayerSpec::kind)).collect();
        assert_eq!(tested.len(), 13, "{tested:?}");
    }

    #[test]
    fn a_pass_is_recorded_for_its_fingerprint_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("new");
        assert!(!passed_before(Some(&cache), "one"));
        record_pass(Some(&cache), "one");
        assert!(passed_before(Some(&cache), "one"));
        assert!(!passed_before(Some(&cache), "another"));
        assert!(!passed_before(None, "one"));
    }
}
