//! Training on a GPU, or on lavapipe without one, compared with flex. Run by `make test-wgpu`.

#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

use data::{Row, Sample};
use engine::{
    BackendChoice, ComputeDevice, Control, TrainJob, TrainingEnd, evaluate, initialize, train,
};
use protocol::model::{Combine, InputSpec, LayerSpec, ModelSpec};
use protocol::plan::{LocalWork, Optimizer, Plan};
use protocol::{RngDomain, SeededRng};

/// Tolerance for reordered f32 sums over a few steps, with updates of about 0.01 to 1.
const TOLERANCE: f32 = 1e-4;

#[test]
fn an_adapter_trains_and_evaluates_like_flex() {
    let gpu = match ComputeDevice::choose(BackendChoice::Wgpu, None) {
        Ok(compute) => compute,
        Err(error) => {
            println!("skipped: no adapter passed ({error}); install mesa-vulkan-drivers");
            return;
        }
    };
    println!("{}", gpu.ready().reason);
    let flex = ComputeDevice::cpu("the reference");
    let optimizers = [
        Optimizer::Sgd { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.01 },
        Optimizer::AdamW { learning_rate: 0.01, weight_decay: 0.01 },
    ];
    for (name, spec) in [("mlp", mlp()), ("text_bag", text_bag())] {
        let rows = rows(name == "text_bag");
        let base = initialize(&spec, 1).unwrap();
        for optimizer in optimizers {
            let plan =
                Plan { local_work: LocalWork::Steps(10), batch_size: 16, optimizer, threads: 1 };
            let [on_flex, on_gpu] = [&flex, &gpu].map(|compute| {
                let (spec, plan) = (&spec, &plan);
                let (base, rows) = (base.as_slice(), rows.as_slice());
                let job = TrainJob { spec, plan, seed: 1, round: 1, partition: 0, base, rows };
                let control = Control { stop: &|| false, progress: &mut |_| {}, checkpoints: None };
                let TrainingEnd::Done(trained) = train(compute, &job, control).unwrap() else {
                    panic!("unexpected stop");
                };
                let model: Vec<f32> = base.iter().zip(&trained.delta).map(|(b, d)| b + d).collect();
                let ended = evaluate(compute, spec, &model, rows, 1, &|| false, &mut |_| {});
                let TrainingEnd::Done(metrics) = ended.unwrap() else { panic!("unexpected stop") };
                (trained.delta, metrics.loss)
            });
            let worst = on_flex
                .0
                .iter()
                .zip(&on_gpu.0)
                .fold(0.0_f32, |most, (flex, gpu)| most.max((flex - gpu).abs()));
            assert!(worst < TOLERANCE, "{name} {optimizer:?}: an update differs by {worst}");
            assert!((on_flex.1 - on_gpu.1).abs() < 1e-3, "{name}: {} {}", on_flex.1, on_gpu.1);
        }
    }
}

fn mlp() -> ModelSpec {
    ModelSpec {
        input: InputSpec::Image { channels: 1, height: 6, width: 6, mean: 0.5, deviation: 0.5 },
        layers: vec![
            LayerSpec::Flatten,
            LayerSpec::Linear { outputs: 16 },
            LayerSpec::Relu,
            LayerSpec::Linear { outputs: 3 },
        ],
    }
}

fn text_bag() -> ModelSpec {
    ModelSpec {
        input: InputSpec::Text { buckets: 500, ngrams: 2, max_words: 20, unique: true },
        layers: vec![
            LayerSpec::EmbeddingBag { dimension: 8, combine: Combine::Sqrtn },
            LayerSpec::Linear { outputs: 3 },
        ],
    }
}

fn rows(text: bool) -> Vec<Row> {
    let mut rng = SeededRng::new(RngDomain::SyntheticData, 3, 0, 0, 0);
    let row = |index: u32| {
        let sample = if text {
            let word = |_| format!("word{} ", rng.index(90) + index as usize % 3 * 20);
            Sample::Text((0..9).map(word).collect())
        } else {
            Sample::Image((0..36).map(|_| u8::try_from(rng.index(256)).unwrap()).collect())
        };
        Row { label: index % 3, sample }
    };
    (0..48).map(row).collect()
}
