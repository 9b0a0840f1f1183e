//! Compares the memory estimate, by which leases are rejected, with the memory that trainers really
//! use: the estimate must be above it, and not far above.

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
/// Upper bound of what the estimate allows for a trainer without work, in bytes.
const IDLE_TRAINER: u64 = 100_000_000;
const SGD: Optimizer = Optimizer::Sgd { learning_rate: 0.01, momentum: 0.0, weight_decay: 0.0 };
const ADAM: Optimizer = Optimizer::Adam { learning_rate: 0.001 };

#[tokio::test]
async fn trainers_use_at_most_the_estimated_memory() {
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
        let (used, estimated) = measure(&spec, batch, optimizer).await;
        let [used_mb, estimated_mb] = [used, estimated].map(|bytes| bytes / 1_000_000);
        println!("{name}: used {used_mb} MB, estimated {estimated_mb} MB");
        assert!(used <= estimated, "{name}: used {used_mb} MB, estimated {estimated_mb} MB");
        let generous = 4 * used + IDLE_TRAINER;
        assert!(estimated <= generous, "{name}: used {used_mb} MB, estimated {estimated_mb} MB");
    }
}

/// Peak memory of a real trainer during three steps and their checkpoints, and the estimate, both
/// in bytes.
async fn measure(spec: &ModelSpec, batch_size: u32, optimizer: Optimizer) -> (u64, u64) {
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
    // The limit that a worker sets: the estimate must be enough.
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
    encrypt(&at("base"), &request);
    encrypt(&at("shard"), &request);
    let peak = PeakMemory::start(trainer.pid().unwrap());
    trainer.train(request, &mut |_| {}, &never).await.unwrap();
    (peak.finish(), estimated)
}

/// Encrypts a file in place.
fn encrypt(path: &Path, request: &TrainRequest) {
    let encrypted = protocol::encrypted_file::seal(
        request.key.as_ref().unwrap(),
        &std::fs::read(path).unwrap(),
        [9; 32],
    );
    std::fs::write(path, encrypted.unwrap()).unwrap();
}

fn rows(text: bool, count: usize) -> Vec<Row> {
    let mut rng = SeededRng::new(RngDomain::SyntheticData, 1, 0, 0, 0);
    let row = |_| {
        let label = u32::try_from(rng.index(10)).unwrap();
        let sample = if text {
            let word = |_| format!("word{} ", rng.index(30_000));
            Sample::Text((0..200).map(word).collect())
        } else {
            Sample::Image((0..784).map(|_| u8::try_from(rng.index(256)).unwrap()).collect())
        };
        Row { label, sample }
    };
    (0..count).map(row).collect()
}

/// Thread that samples the memory of a process until it is stopped, and keeps the maximum.
struct PeakMemory {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl PeakMemory {
    fn start(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stop_flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut peak = 0;
            while !stop_flag.load(Ordering::Relaxed) {
                peak = peak.max(platform::memory::used_by(pid).unwrap_or_default());
                std::thread::sleep(Duration::from_millis(1));
            }
            peak
        });
        Self { stop, thread }
    }

    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
