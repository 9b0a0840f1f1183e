//! Leases learn, resume with the same bits, stop immediately and report divergence.

use std::sync::atomic::{AtomicU64, Ordering};

use protocol::model::{Combine, InputSpec, LayerSpec, ModelSpec};
use protocol::plan::{LocalWork, Optimizer, Plan};

use super::*;
use crate::testing::{OPTIMIZERS, bag_spec, bits, dense_spec, images, sequence_spec, texts};
use crate::{evaluate, initialize};

#[test]
fn models_learn_learnable_data() {
    let adam = Optimizer::Adam { learning_rate: 0.02 };
    let convolutions = ModelSpec {
        input: dense_spec().input,
        layers: vec![
            LayerSpec::Conv2d { channels: 6, kernel: 3, stride: 1, padding: 1 },
            LayerSpec::Relu,
            LayerSpec::MaxPool2d { kernel: 2, stride: 2 },
            LayerSpec::Flatten,
            LayerSpec::Linear { outputs: 4 },
        ],
    };
    for (spec, expected) in [
        (dense_spec(), 0.97),
        (convolutions, 0.97),
        (bag_spec(Combine::Mean, 8), 0.75),
        (bag_spec(Combine::Sqrtn, 8), 0.75),
        (sequence_spec(), 0.75),
    ] {
        let rows = rows(&spec, 600);
        let (train_rows, test_rows) = rows.split_at(400);
        let base = initialize(&spec, 1).unwrap();
        let plan = plan(adam, LocalWork::Epochs(8), 16);
        let trained = done(&job(&spec, &plan, &base, train_rows), None);
        let model: Vec<f32> = base.iter().zip(&trained.delta).map(|(b, d)| b + d).collect();
        let quality = |model: &[f32]| {
            let compute = ComputeDevice::cpu("a test");
            let none = &mut |_| {};
            match evaluate(&compute, &spec, model, test_rows, 1, &|| false, none).unwrap() {
                TrainingEnd::Done(metrics) => metrics,
                TrainingEnd::Stopped { .. } => panic!("unexpected stop"),
            }
        };
        let (before, after) = (quality(&base), quality(&model));
        assert!(after.accuracy > expected, "{spec:?}: {after:?}");
        assert!(after.loss < before.loss);
        assert_eq!(trained.metrics.steps, 200);
        assert_eq!(trained.metrics.examples, 3200);
    }
}

#[test]
fn a_resumed_lease_ends_with_the_same_bits() {
    for spec in [dense_spec(), bag_spec(Combine::Sqrtn, 8), sequence_spec()] {
        for optimizer in OPTIMIZERS {
            let rows = rows(&spec, 30);
            let base = initialize(&spec, 2).unwrap();
            let plan = plan(optimizer, LocalWork::Steps(11), 8);
            let job = job(&spec, &plan, &base, &rows);
            let whole = done(&job, None);
            for stops in [vec![1], vec![4], vec![10], vec![3, 3, 2]] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("checkpoint");
                for steps in stops {
                    stopped_after(&job, &path, steps);
                }
                let resumed = done(&job, Some(&path));
                assert_eq!(bits(&whole.delta), bits(&resumed.delta), "{optimizer:?} {spec:?}");
                assert_eq!(whole.metrics.loss.to_bits(), resumed.metrics.loss.to_bits());
                assert_eq!(whole.metrics.examples, resumed.metrics.examples);
            }
        }
    }
}

#[test]
fn a_checkpoint_of_other_work_or_a_damaged_one_is_ignored() {
    let spec = dense_spec();
    let rows = images(30);
    let base = initialize(&spec, 2).unwrap();
    let plan = plan(Optimizer::Adam { learning_rate: 0.01 }, LocalWork::Steps(6), 8);
    let job = job(&spec, &plan, &base, &rows);
    let whole = done(&job, None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    stopped_after(&job, &path, 3);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(bits(&done(&job, Some(&path)).delta), bits(&whole.delta));

    std::fs::write(&path, &bytes).unwrap();
    let ended = run(&job, Some((&path, BlobHash::compute(b"other work"))), &|| true).unwrap();
    assert_eq!(ended, TrainingEnd::Stopped { step: 0 });
    let ended = run(&job, Some((&path, WORK)), &|| true).unwrap();
    assert_eq!(ended, TrainingEnd::Stopped { step: 3 }, "the same work resumes");
}

#[test]
fn too_high_a_learning_rate_is_reported_as_divergence() {
    let linear = ModelSpec {
        input: dense_spec().input,
        layers: vec![LayerSpec::Flatten, LayerSpec::Linear { outputs: 4 }],
    };
    for spec in [linear, bag_spec(Combine::Mean, 8)] {
        let rows = rows(&spec, 64);
        let base = initialize(&spec, 1).unwrap();
        let optimizer = Optimizer::Sgd { learning_rate: 1e38, momentum: 0.9, weight_decay: 0.0 };
        for work in [LocalWork::Steps(1), LocalWork::Steps(60)] {
            let plan = plan(optimizer, work, 16);
            match run(&job(&spec, &plan, &base, &rows), None, &|| false) {
                Err(EngineError::Diverged { .. }) => {}
                // A single step may still end with finite numbers.
                Ok(_) if work == LocalWork::Steps(1) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn rows_that_do_not_fit_are_refused_before_the_first_step() {
    let spec = dense_spec();
    let base = initialize(&spec, 1).unwrap();
    let plan = plan(OPTIMIZERS[0], LocalWork::Epochs(1), 8);
    let mut rows = images(3);
    rows[1].label = 4;
    let error = run(&job(&spec, &plan, &base, &rows), None, &|| false).unwrap_err();
    assert_eq!(error.to_string(), "row 1 has label 4, but there are 4 classes");
    rows[1].label = 0;
    rows[2].sample = data::Sample::Image(vec![0; 35]);
    let error = run(&job(&spec, &plan, &base, &rows), None, &|| false).unwrap_err();
    assert_eq!(error.to_string(), "row 2 has 35 pixels, but the model reads 36");
    let error = run(&job(&spec, &plan, &base, &texts(1)), None, &|| false).unwrap_err();
    assert_eq!(error.to_string(), "row 0 is text, but the model reads images");
    let error = run(&job(&spec, &plan, &base, &[]), None, &|| false).unwrap_err();
    assert!(matches!(error, EngineError::NoRows));
}

#[test]
fn evaluation_matches_a_calculation_by_hand() {
    // One pixel and two classes: logits [x, −x] with x = ±1, so the loss is ln(1 + e^∓2).
    let spec = ModelSpec {
        input: InputSpec::Image { channels: 1, height: 1, width: 1, mean: 0.5, deviation: 0.5 },
        layers: vec![LayerSpec::Flatten, LayerSpec::Linear { outputs: 2 }],
    };
    let row = |label, byte| Row { label, sample: data::Sample::Image(vec![byte]) };
    let rows = [row(0, 255), row(0, 0), row(1, 0), row(0, 255)];
    let compute = ComputeDevice::cpu("a test");
    let model = [1.0, -1.0, 0.0, 0.0];
    let mut reports = Vec::new();
    let ended = evaluate(&compute, &spec, &model, &rows, 1, &|| false, &mut |r| reports.push(r));
    let TrainingEnd::Done(metrics) = ended.unwrap() else { panic!("unexpected stop") };
    assert_eq!(metrics.confusion, [[2, 1], [0, 1]]);
    assert!((metrics.accuracy - 0.75).abs() < 1e-12);
    let (right, wrong) = ((1.0 + (-2.0_f64).exp()).ln(), (1.0 + 2.0_f64.exp()).ln());
    assert!((metrics.loss - (3.0 * right + wrong) / 4.0).abs() < 1e-6, "{metrics:?}");
    assert_eq!((reports.len(), reports[0].step, reports[0].steps), (1, 1, 1));
    let ended = evaluate(&compute, &spec, &model, &rows, 1, &|| true, &mut |_| {});
    assert_eq!(ended.unwrap(), TrainingEnd::Stopped { step: 0 });
}

const WORK: BlobHash = BlobHash::from_bytes([7; 32]);

fn rows(spec: &ModelSpec, count: usize) -> Vec<Row> {
    match spec.input {
        InputSpec::Text { .. } => texts(count),
        InputSpec::Image { .. } => images(count),
    }
}

fn plan(optimizer: Optimizer, local_work: LocalWork, batch_size: u32) -> Plan {
    Plan { local_work, batch_size, optimizer, threads: 1 }
}

fn job<'a>(spec: &'a ModelSpec, plan: &'a Plan, base: &'a [f32], rows: &'a [Row]) -> TrainJob<'a> {
    TrainJob { spec, plan, seed: 42, round: 3, partition: 1, base, rows }
}

fn run(
    job: &TrainJob<'_>,
    checkpoint: Option<(&Path, BlobHash)>,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<TrainingEnd<Trained>, EngineError> {
    let checkpoints =
        checkpoint.map(|(path, work)| Checkpoints { path, every: Duration::ZERO, work, key: None });
    let control = Control { stop, progress: &mut |_| {}, checkpoints };
    train(&ComputeDevice::cpu("a test"), job, control)
}

fn done(job: &TrainJob<'_>, checkpoint: Option<&Path>) -> Trained {
    match run(job, checkpoint.map(|path| (path, WORK)), &|| false).unwrap() {
        TrainingEnd::Done(trained) => trained,
        TrainingEnd::Stopped { .. } => panic!("unexpected stop"),
    }
}

/// Stops the run after this many of its own steps, with a checkpoint after each.
fn stopped_after(job: &TrainJob<'_>, path: &Path, steps: u64) {
    let calls = AtomicU64::new(0);
    let stop = || calls.fetch_add(1, Ordering::Relaxed) == steps;
    let ended = run(job, Some((path, WORK)), &stop).unwrap();
    assert!(matches!(ended, TrainingEnd::Stopped { .. }), "{ended:?}");
}
