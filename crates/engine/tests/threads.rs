//! The number of threads changes no bit. Otherwise a plan's threads would have to be part of the
//! fingerprint. See docs/decisions/0002-threads-and-bits.md.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use data::{Row, Sample};
use engine::{ComputeDevice, Control, TrainJob, TrainingEnd, initialize, train};
use protocol::dataset::SampleShape;
use protocol::model::Preset;
use protocol::plan::{LocalWork, Optimizer, Plan};
use protocol::{RngDomain, SeededRng};

const SGD: Optimizer = Optimizer::Sgd { learning_rate: 0.05, momentum: 0.9, weight_decay: 0.0 };
const ADAM: Optimizer = Optimizer::Adam { learning_rate: 0.001 };

#[test]
fn mlp_gives_the_same_bits_on_1_2_and_4_threads() {
    same_bits(Preset::Mlp, 64, 20);
}

#[test]
fn cnn_gives_the_same_bits_on_1_2_and_4_threads() {
    same_bits(Preset::Cnn, 32, steps(6));
}

#[test]
fn text_bag_gives_the_same_bits_on_1_2_and_4_threads() {
    same_bits(Preset::TextBag, 64, 20);
}

#[test]
fn text_cnn_gives_the_same_bits_on_1_2_and_4_threads() {
    same_bits(Preset::TextCnn, 32, steps(6));
}

/// More steps with `CONSTELLATION_THREADS_STEPS`. A few are enough in everyday tests.
fn steps(few: u32) -> u32 {
    std::env::var("CONSTELLATION_THREADS_STEPS").ok().and_then(|n| n.parse().ok()).unwrap_or(few)
}

fn same_bits(preset: Preset, batch_size: u32, steps: u32) {
    let image = SampleShape::Image { channels: 1, height: 28, width: 28 };
    let spec = preset.spec(SampleShape::Text, 10).or_else(|| preset.spec(image, 10)).unwrap();
    let rows = rows(spec.check_input(SampleShape::Text).is_ok(), batch_size as usize * 4);
    let base = initialize(&spec, 42).unwrap();
    for optimizer in [SGD, ADAM] {
        let [one, two, four] = [1, 2, 4].map(|threads| {
            let local_work = LocalWork::Steps(steps);
            let plan = Plan { local_work, batch_size, optimizer, threads };
            let (spec, plan) = (&spec, &plan);
            let job =
                TrainJob { spec, plan, seed: 42, round: 1, partition: 0, base: &base, rows: &rows };
            let control = Control { stop: &|| false, progress: &mut |_| {}, checkpoints: None };
            match train(&ComputeDevice::cpu("a test"), &job, control).unwrap() {
                TrainingEnd::Done(done) => {
                    done.delta.iter().map(|d| d.to_bits()).collect::<Vec<_>>()
                }
                TrainingEnd::Stopped { .. } => panic!("unexpected stop"),
            }
        });
        assert!(one == two, "{optimizer:?}: 2 threads give other bits than 1");
        assert!(one == four, "{optimizer:?}: 4 threads give other bits than 1");
    }
}

fn rows(text: bool, count: usize) -> Vec<Row> {
    let mut rng = SeededRng::new(RngDomain::SyntheticData, 1, 0, 0, 0);
    let row = |_| {
        let label = u32::try_from(rng.index(10)).unwrap();
        let sample = if text {
            let word = |_| format!("word{} ", rng.index(30_000));
            Sample::Text((0..40).map(word).collect())
        } else {
            Sample::Image((0..784).map(|_| u8::try_from(rng.index(256)).unwrap()).collect())
        };
        Row { label, sample }
    };
    (0..count).map(row).collect()
}
