//! Whether the estimate that refuses leases is above what trainers really take, and not far above.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use data::{Row, Sample};
use protocol::dataset::SampleShape;
use protocol::model::{InputSpec, LayerSpec, ModelSpec, Preset};
use protocol::plan::{LocalWork, Optimizer, Plan};
use protocol::trainer::{InitializeRequest, TrainRequest};
use protocol::{RngDomain, SeededRng};
use tokio_util::sync::CancellationToken;
use trainer::{Limits, Trainer, TrainerCommand};

const IMAGE: SampleShape = SampleShape::Image { channels: 1, height: 28, width: 28 };
/// What the estimate has for a trainer without work, and more.
const IDLE_TRAINER: u64 = 100_000_000;
const SGD: Optimizer = Optimizer::Sgd { learning_rate: 0.01, momentum: 0.0, weight_decay: 0.0 };
const ADAM: Optimizer = Optimizer::Adam { learning_rate: 0.001 };

#[tokio::test]
async fn trainers_take_what_was_estimated() {
    let wide = |layers| {
        let input =
            InputSpec::Image { channels: 1, height: 28, width: 28, mean: 0.5, deviation: 0.5 };
        ModelSpec { input, layers }
    };
    let linear = |outputs| LayerSpec::Linear { outputs };
    let conv = |channels| LayerSpec::Conv2d { channels, kernel: 3, stride: 1, padding: 1 };
    let many = vec![LayerSpec::Flatten, linear(4000), LayerSpec::Relu, linear(4000), linear(10)];
    let images =
        vec![conv(32), LayerSpec::Relu, conv(32), LayerSpec::Gelu, LayerSpec::Flatten, linear(10)];
    let preset = |preset: Preset| {
        preset.spec(SampleShape::Text, 10).or_else(|| preset.spec(IMAGE, 10)).unwrap()
    };
    let cases = [
        ("mlp", preset(Preset::Mlp), 64, SGD),
        ("cnn", preset(Preset::Cnn), 64, ADAM),
        ("cnn, a large batch", preset(Preset::Cnn), 512, SGD),
        ("text_bag", preset(Preset::TextBag), 64, ADAM),
        ("text_cnn", preset(Preset::TextCnn), 256, ADAM),
        ("many parameters", wide(many), 32, ADAM),
        ("wide layers", wide(images), 256, SGD),
    ];
    for (name, spec, batch, optimizer) in cases {
        let (taken, estimated) = measured(&spec, batch, optimizer).await;
        let [taken_mb, estimated_mb] = [taken, estimated].map(|bytes| bytes / 1_000_000);
        println!("{name}: took {taken_mb} MB, estimated {estimated_mb} MB");
        assert!(taken <= estimated, "{name}: took {taken_mb} MB, estimated {estimated_mb} MB");
        let generous = 4 * taken + IDLE_TRAINER;
        assert!(estimated <= generous, "{name}: took {taken_mb} MB, estimated {estimated_mb} MB");
    }
}

/// Bytes at the most of a real trainer for three steps and their checkpoints, and the estimate.
async fn measured(spec: &ModelSpec, batch_size: u32, optimizer: Optimizer) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let text = spec.check_input(SampleShape::Text).is_ok();
    let rows = rows(text, 4 * batch_size as usize);
    let sample = if text { SampleShape::Text } else { IMAGE };
    let shard = data::shard::write(sample, &rows.iter().collect::<Vec<_>>());
    std::fs::write(at("shard"), &shard).unwrap();
    let plan = Plan { local_work: LocalWork::Steps(3), batch_size, optimizer, threads: 2 };
    let estimated = spec.training_bytes(&plan, shard.len() as u64).unwrap();

    let command = TrainerCommand {
        program: env!("CARGO_BIN_EXE_constellation").into(),
        args: ["trainer", "--backend", "cpu"].map(String::from).to_vec(),
    };
    // Bound as a worker binds it: the estimate must be enough.
    let limits = Limits { memory: Some(estimated), ..Limits::new(2) };
    let (mut trainer, _) = Trainer::start(&command, &limits).await.unwrap();
    let never = CancellationToken::new();
    let initialize = InitializeRequest { spec: spec.clone(), seed: 1, output: at("base") };
    trainer.initialize(initialize, &never).await.unwrap();
    let request = TrainRequest {
        spec: spec.clone(),
        plan,
        seed: 1,
        round: 1,
        partition: 0,
        base: at("base"),
        shards: vec![at("shard")],
        checkpoint: at("checkpoint"),
        checkpoint_seconds: 0.0,
        output: at("update"),
        key: Some(protocol::encrypted_file::StorageKey::from_bytes([7; 32])),
    };
    seal(&at("base"), &request);
    seal(&at("shard"), &request);
    let highest = Highest::of(trainer.pid().unwrap());
    trainer.train(request, &mut |_| {}, &never).await.unwrap();
    (highest.seen(), estimated)
}

/// Puts the sealed file in the place of the plain one.
fn seal(path: &Path, request: &TrainRequest) {
    let sealed = protocol::encrypted_file::seal(
        request.key.as_ref().unwrap(),
        &std::fs::read(path).unwrap(),
        [9; 32],
    );
    std::fs::write(path, sealed.unwrap()).unwrap();
}

fn rows(text: bool, count: usize) -> Vec<Row> {
    let mut chance = SeededRng::new(RngDomain::SyntheticData, 1, 0, 0, 0);
    let row = |_| {
        let label = u32::try_from(chance.index(10)).unwrap();
        let sample = if text {
            let word = |_| format!("word{} ", chance.index(30_000));
            Sample::Text((0..200).map(word).collect())
        } else {
            Sample::Image((0..784).map(|_| u8::try_from(chance.index(256)).unwrap()).collect())
        };
        Row { label, sample }
    };
    (0..count).map(row).collect()
}

/// Looks at a process as often as it can until it is told to stop.
struct Highest {
    stop: Arc<AtomicBool>,
    looking: JoinHandle<u64>,
}

impl Highest {
    fn of(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let looking = std::thread::spawn(move || {
            let mut highest = 0;
            while !told.load(Ordering::Relaxed) {
                highest = highest.max(platform::memory::used_by(pid).unwrap_or_default());
                std::thread::sleep(Duration::from_millis(1));
            }
            highest
        });
        Self { stop, looking }
    }

    fn seen(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.looking.join().unwrap()
    }
}
