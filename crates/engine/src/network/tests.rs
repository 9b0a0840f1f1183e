//! Networks compared with their layout, and with burn's results for parameters on the device.

use burn::nn::{Embedding, EmbeddingConfig};
use burn::tensor::Int;
use protocol::dataset::SampleShape;
use protocol::model::{Combine, Preset};
use protocol::plan::Optimizer;

use super::*;
use crate::batch::Featurizer;
use crate::initialize;
use crate::optimizer::Rule;
use crate::testing::{OPTIMIZERS, bag_spec, bits, dense_spec, sequence_spec, texts};
use crate::token_ids::{Ranks, TokenIds};

#[test]
fn parameters_follow_the_layout_for_every_preset_and_layer_kind() {
    let image = SampleShape::Image { channels: 3, height: 14, width: 10 };
    let presets = Preset::ALL.iter().flat_map(|preset| {
        [SampleShape::Text, image].into_iter().filter_map(|sample| preset.spec(sample, 6))
    });
    let own = [dense_spec(), sequence_spec(), bag_spec(Combine::Mean, 5)];
    for spec in presets.chain(own) {
        let layout = spec.layout().unwrap();
        // Every value equals its index, so that a swap or a missing transposition is visible.
        let flat: Vec<f32> = (0..layout.parameters).map(|place| place as f32).collect();
        let network = Network::new(&spec, &flat, &Device::flex()).unwrap();
        assert_eq!(network.flat().unwrap(), flat);
        let host_embedding = network
            .host_embedding
            .as_ref()
            .map_or(0, |host_embedding| host_embedding.weights().len());
        assert_eq!(host_embedding + network.body.num_params(), layout.parameters);
        let shapes = shapes(&network);
        let tensors = &layout.tensors[usize::from(network.host_embedding.is_some())..];
        assert_eq!(shapes.len(), tensors.len());
        for (mut shape, tensor) in shapes.into_iter().zip(tensors) {
            if shape.len() == 2 {
                shape.reverse();
            }
            assert_eq!(shape, tensor.shape, "{}", tensor.name);
        }
    }
}

#[test]
fn too_many_or_too_few_parameters_are_refused() {
    let spec = dense_spec();
    let mut flat = initialize(&spec, 1).unwrap();
    flat.pop();
    assert!(matches!(
        Network::new(&spec, &flat, &Device::flex()),
        Err(EngineError::Parameters { .. })
    ));
}

#[test]
fn a_linear_layer_matches_pytorch() {
    let spec = ModelSpec {
        input: InputSpec::Image { channels: 1, height: 1, width: 2, mean: 0.0, deviation: 1.0 },
        layers: vec![LayerSpec::Flatten, LayerSpec::Linear { outputs: 3 }],
    };
    // weight [[1, 2], [3, 4], [5, 6]], bias [10, 20, 30], x = [1, 0.2]
    let flat = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 20.0, 30.0];
    let network = Network::new(&spec, &flat, &Device::flex()).unwrap();
    let row = data::Row { label: 0, sample: data::Sample::Image(vec![255, 51]) };
    let mut batch = Featurizer::new(&spec).unwrap().batch(&[&row], None);
    let logits = network.forward(&mut batch).unwrap().0.into_data();
    let logits = logits.as_slice::<f32>().unwrap();
    for (logit, expected) in logits.iter().zip([11.4, 23.8, 36.2]) {
        assert!((logit - expected).abs() < 1e-5, "{logits:?}");
    }
}

/// Compares with the same model whose table is burn's `Embedding` on the device.
#[test]
fn a_host_embedding_matches_burn_s_embedding() {
    let device = Device::flex().autodiff();
    for spec in [bag_spec(Combine::Mean, 16), bag_spec(Combine::Sqrtn, 5), sequence_spec()] {
        let rows = texts(14);
        let rows: Vec<&data::Row> = rows.iter().collect();
        let mut batch = Featurizer::new(&spec).unwrap().batch(&rows, None);
        let network = Network::new(&spec, &initialize(&spec, 5).unwrap(), &device).unwrap();
        let (logits, embedding_input) = network.forward(&mut batch).unwrap();
        let BatchInput::TokenIds(token_ids) = &batch.input else { panic!("not token ids") };
        let loss = network.loss(logits, &batch);
        let mut gradients = loss.backward();
        let embedding_input =
            embedding_input.unwrap().gradient(&mut gradients).unwrap().into_data();
        let host_embedding = network.host_embedding.as_ref().unwrap();
        let ours = host_embedding.gradients(token_ids, embedding_input.as_slice::<f32>().unwrap());

        let (embedding, reference_loss) = with_embedding(&network, &batch, &device);
        let mut gradients = reference_loss.backward();
        let theirs = embedding.weight.val().grad_remove(&mut gradients).unwrap().into_data();
        let theirs = theirs.as_slice::<f32>().unwrap();
        let (loss, reference_loss): (f32, f32) = (loss.into_scalar(), reference_loss.into_scalar());
        assert!((loss - reference_loss).abs() < 1e-6, "{loss} {reference_loss}");
        let dimension = theirs.len() / embedding.weight.dims()[0];
        let mut seen = 0.0;
        for (bucket, row) in token_ids.unique.iter().zip(ours.chunks_exact(dimension)) {
            let start = *bucket as usize * dimension;
            for (ours, theirs) in row.iter().zip(&theirs[start..start + dimension]) {
                assert!((ours - theirs).abs() < 1e-7, "{ours} {theirs}");
                seen += theirs.abs();
            }
        }
        let all: f32 = theirs.iter().map(|value| value.abs()).sum();
        assert!((all - seen).abs() < 1e-4, "a row outside the batch has a gradient");
    }
}

fn with_embedding(network: &Network, batch: &Batch, device: &Device) -> (Embedding, Tensor<1>) {
    let weights = network.host_embedding.as_ref().unwrap().weights().to_vec();
    let [buckets, dimension] = *network.layout.tensors[0].shape.as_slice() else { panic!() };
    let mut embedding = EmbeddingConfig::new(buckets, dimension).init(device);
    embedding.weight = Param::from_data(TensorData::new(weights, [buckets, dimension]), device);
    let BatchInput::TokenIds(token_ids) = &batch.input else { panic!("not token ids") };
    let rows = (0..token_ids.rows()).map(|row| {
        let ids: Vec<i64> = token_ids
            .row(row)
            .iter()
            .map(|local| i64::from(token_ids.unique[*local as usize]))
            .collect();
        let count = ids.len();
        if count == 0 {
            return None;
        }
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, count]), device);
        Some(embedding.forward(ids))
    });
    let value = match network.host_embedding.as_ref().unwrap().kind() {
        HostEmbeddingKind::Bag(combine) => {
            let means = rows.map(|vectors| {
                vectors.map_or_else(
                    || Tensor::<2>::zeros([1, dimension], device),
                    |vectors| {
                        let count = vectors.dims()[1] as f32;
                        let divisor = match combine {
                            Combine::Mean => count,
                            Combine::Sqrtn => count.sqrt(),
                        };
                        vectors.sum_dim(1).div_scalar(divisor).squeeze_dim::<2>(1)
                    },
                )
            });
            Value::Flat(Tensor::cat(means.collect(), 0))
        }
        HostEmbeddingKind::Sequence { length } => {
            let padded = rows.map(|vectors| {
                let zeros = |count| Tensor::<3>::zeros([1, count, dimension], device);
                match vectors {
                    None => zeros(length),
                    Some(vectors) if vectors.dims()[1] == length => vectors,
                    Some(vectors) => {
                        let missing = length - vectors.dims()[1];
                        Tensor::cat(vec![vectors, zeros(missing)], 1)
                    }
                }
            });
            Value::Sequence(Tensor::cat(padded.collect(), 0).swap_dims(1, 2))
        }
    };
    let mut masks = batch.masks.iter();
    let value = network
        .body
        .layers
        .iter()
        .fold(value, |value, layer| layer.forward(value, &mut masks).unwrap());
    let Value::Flat(logits) = value else { panic!("not a vector") };
    (embedding, network.loss(logits, batch))
}

/// Compares pending steps, flushed at irregular times, with stepping every row each time.
#[test]
fn pending_steps_match_stepping_every_row() {
    for (optimizer, dimension) in OPTIMIZERS.iter().flat_map(|o| [(o, 16), (o, 11)]) {
        let spec = bag_spec(Combine::Mean, dimension);
        let rows = texts(40);
        let mut featurizer = Featurizer::new(&spec).unwrap();
        let flat = initialize(&spec, 6).unwrap();
        let size = 211 * dimension as usize;
        let host_embedding = || {
            HostEmbedding::new(
                HostEmbeddingKind::Bag(Combine::Mean),
                dimension as usize,
                flat[..size].to_vec(),
            )
        };
        let (mut lazy, mut eager) = (host_embedding(), host_embedding());
        let mut lazy_optimizer = HostEmbeddingOptimizer::new(Rule::new(optimizer), &lazy);
        let mut eager_optimizer = HostEmbeddingOptimizer::new(Rule::new(optimizer), &eager);
        for step in 0..25_usize {
            let rows: Vec<&data::Row> = rows.iter().skip(step * 7 % 36).take(3).collect();
            let batch = featurizer.batch(&rows, None);
            let BatchInput::TokenIds(token_ids) = &batch.input else { panic!("not token ids") };
            let gradient: Vec<f32> = (0..token_ids.rows() * dimension as usize)
                .map(|place| ((place * 37 + step * 11) % 19) as f32 / 19.0 - 0.5)
                .collect();
            lazy_optimizer.prepare(&mut lazy, token_ids);
            lazy_optimizer.apply(&mut lazy, token_ids, &gradient);
            eager_optimizer.prepare(&mut eager, token_ids);
            eager_optimizer.apply(&mut eager, token_ids, &gradient);
            eager_optimizer.flush(&mut eager);
            if step == 12 {
                lazy_optimizer.flush(&mut lazy);
                let moments = lazy_optimizer.moments();
                lazy_optimizer = HostEmbeddingOptimizer::new(Rule::new(optimizer), &lazy);
                lazy_optimizer.restore(13, moments, &lazy);
            }
        }
        lazy_optimizer.flush(&mut lazy);
        assert_eq!(bits(lazy.weights()), bits(eager.weights()), "{optimizer:?}");
        assert_eq!(lazy_optimizer.moments(), eager_optimizer.moments(), "{optimizer:?}");
    }
}

/// Compares with the dense optimizer, with the table as one of its tensors.
#[test]
fn a_host_embedding_matches_the_dense_optimizer() {
    for optimizer in OPTIMIZERS {
        let expected = dense_steps(&optimizer);
        let mut host_embedding =
            HostEmbedding::new(HostEmbeddingKind::Bag(Combine::Mean), 1, start());
        let mut optimizer_under_test =
            HostEmbeddingOptimizer::new(Rule::new(&optimizer), &host_embedding);
        let mut ranks = Ranks::new(10);
        for step in 0..20 {
            let token_ids = TokenIds::new(&[touched(step)], vec![1], false, &mut ranks);
            optimizer_under_test.prepare(&mut host_embedding, &token_ids);
            optimizer_under_test.apply(&mut host_embedding, &token_ids, &[gradient(step)]);
        }
        optimizer_under_test.flush(&mut host_embedding);
        assert_eq!(bits(host_embedding.weights()), bits(&expected), "{optimizer:?}");
    }
}

fn start() -> Vec<f32> {
    (0..10_u8).map(|row| f32::from(row) / 10.0 - 0.45).collect()
}

fn touched(step: u32) -> u32 {
    step * step % 7
}

fn gradient(step: u32) -> f32 {
    (step as f32 - 8.0) / 10.0
}

fn dense_steps(optimizer: &Optimizer) -> Vec<f32> {
    let rule = Rule::new(optimizer);
    let mut corrections = crate::optimizer::Corrections::new();
    let (mut weights, mut first, mut second) = (start(), vec![0.0; 10], vec![0.0; 10]);
    for step in 0..20 {
        let mut gradients = vec![0.0; 10];
        gradients[touched(step) as usize] = gradient(step);
        let correction = corrections.at(step + 1);
        rule.step(correction, &mut weights, &mut first, &mut second, &gradients);
    }
    weights
}

fn shapes(network: &Network) -> Vec<Vec<usize>> {
    struct Shapes(Vec<Vec<usize>>);
    impl ModuleVisitor for Shapes {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.dims().to_vec());
        }
    }
    let mut shapes = Shapes(Vec::new());
    network.body.visit(&mut shapes);
    shapes.0
}
