//! The trainer's side of the trainer protocol, over pipes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Lines, PipeReader, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use data::{Row, Sample};
use engine::{BackendChoice, ServeOptions, Served, serve};
use protocol::dataset::SampleShape;
use protocol::encrypted_file::{StorageKey, open, seal};
use protocol::model::{InputSpec, LayerSpec, ModelSpec};
use protocol::plan::{LocalWork, Optimizer, Plan};
use protocol::trainer::{
    EvaluateRequest, InitializeRequest, PredictRequest, TrainRequest, TrainerFailure, TrainerReply,
    TrainerRequest,
};
use protocol::{BlobHash, codec, model_file};

#[test]
fn a_model_is_initialized_trained_and_evaluated() {
    let mut trainer = Trainer::start();
    let folder = tempfile::tempdir().unwrap();
    let request = train_request(folder.path(), LocalWork::Epochs(3));
    let model = folder.path().join("base");
    let reply = trainer.request(&TrainerRequest::Train(request.clone()));
    assert!(matches!(reply, TrainerReply::Trained { .. }), "{reply:?}");
    let TrainerReply::Trained { update, metrics } = reply else { unreachable!() };
    let bytes = std::fs::read(&request.output).unwrap();
    assert_eq!(update, BlobHash::compute(&bytes));
    assert_eq!((metrics.steps, metrics.examples), (12, 90));
    assert!(metrics.loss.is_finite());
    assert!(!request.checkpoint.exists(), "a finished lease leaves no checkpoint");

    let shards = request.shards.clone();
    let evaluate = EvaluateRequest { spec: spec(), model, shards };
    let TrainerReply::Evaluated { metrics } = trainer.request(&TrainerRequest::Evaluate(evaluate))
    else {
        panic!("not evaluated");
    };
    assert_eq!(metrics.examples, 30);
    assert_eq!(trainer.end(), Served::InputEnded);
}

#[test]
fn a_prediction_agrees_with_the_evaluation_of_its_row() {
    let mut trainer = Trainer::start();
    let folder = tempfile::tempdir().unwrap();
    let request = train_request(folder.path(), LocalWork::Epochs(3));
    let flat = folder.path().join("base");
    // As downloaded, with its header.
    let model = folder.path().join("model.safetensors");
    let file = [model_file::header(&spec()).unwrap(), std::fs::read(&flat).unwrap()].concat();
    std::fs::write(&model, file).unwrap();
    let known = data::shard::read(&std::fs::read(&request.shards[0]).unwrap()).unwrap();
    let shard = folder.path().join("row");
    for row in &known.rows[..5] {
        std::fs::write(&shard, data::shard::write(known.sample, &[row])).unwrap();
        let request = PredictRequest { spec: spec(), model: model.clone(), shard: shard.clone() };
        let reply = trainer.request(&TrainerRequest::Predict(request.clone()));
        let TrainerReply::Predicted { probabilities } = reply else { panic!("{reply:?}") };
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{probabilities:?}");
        let flat = PredictRequest { model: flat.clone(), ..request };
        let again = trainer.request(&TrainerRequest::Predict(flat));
        assert_eq!(again, TrainerReply::Predicted { probabilities: probabilities.clone() });
        let evaluate = EvaluateRequest {
            spec: spec(),
            model: folder.path().join("base"),
            shards: vec![shard.clone()],
        };
        let reply = trainer.request(&TrainerRequest::Evaluate(evaluate));
        let TrainerReply::Evaluated { metrics } = reply else { panic!("{reply:?}") };
        // The evaluation's loss follows from the probability of the row's own class.
        let loss = -probabilities[row.label as usize].ln();
        assert!((metrics.loss - loss).abs() < 1e-9, "{} {loss}", metrics.loss);
    }
    let broken = PredictRequest { spec: spec(), model: shard.clone(), shard };
    let reply = trainer.request(&TrainerRequest::Predict(broken));
    assert!(
        matches!(reply, TrainerReply::Failed { failure: TrainerFailure::Data, .. }),
        "{reply:?}"
    );
    assert_eq!(trainer.end(), Served::InputEnded);
}

#[test]
fn encrypted_files_give_the_same_bits_and_leave_no_plain_files() {
    let mut trainer = Trainer::start();
    let (plain_folder, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plain = train_request(plain_folder.path(), LocalWork::Epochs(3));
    let TrainerReply::Trained { update, metrics } =
        trainer.request(&TrainerRequest::Train(plain.clone()))
    else {
        panic!("not trained");
    };
    let key = StorageKey::from_bytes([5; 32]);
    let request = encrypted_request(folder.path(), LocalWork::Epochs(3), &key);
    let reply = trainer.request(&TrainerRequest::Train(request.clone()));
    let TrainerReply::Trained { update: again, metrics: same } = reply else { panic!("{reply:?}") };
    assert_eq!((again, same.loss.to_bits()), (update, metrics.loss.to_bits()));
    let written = std::fs::read(&request.output).unwrap();
    let bytes = std::fs::read(&plain.output).unwrap();
    assert!(!written.windows(8).any(|window| bytes.windows(8).any(|plain| plain == window)));
    assert_eq!(open(&key, written).unwrap(), bytes);

    let another = Some(StorageKey::from_bytes([6; 32]));
    for key in [another, None] {
        let request = TrainRequest { key, ..request.clone() };
        assert_eq!(
            failure(&trainer.request(&TrainerRequest::Train(request))),
            TrainerFailure::Data
        );
    }
    let mut damaged = std::fs::read(&request.shards[1]).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&request.shards[1], damaged).unwrap();
    let reply = trainer.request(&TrainerRequest::Train(request));
    assert_eq!(failure(&reply), TrainerFailure::Data);
    let TrainerReply::Failed { message, .. } = reply else { unreachable!() };
    assert!(message.contains("shard-1: damaged at byte"), "{message}");
    trainer.end();
}

#[test]
fn an_encrypted_lease_resumes_from_its_encrypted_checkpoint() {
    let mut trainer = Trainer::start();
    let folder = tempfile::tempdir().unwrap();
    let key = StorageKey::from_bytes([5; 32]);
    let mut request = encrypted_request(folder.path(), LocalWork::Steps(2_000_000), &key);
    request.checkpoint_seconds = 0.0;
    trainer.send(&TrainerRequest::Train(request.clone()));
    assert!(matches!(trainer.receive(), TrainerReply::Progress { step: 1, .. }));
    trainer.send(&TrainerRequest::Stop);
    let TrainerReply::Stopped { step } = trainer.receive_final() else { panic!("not stopped") };
    let checkpoint = std::fs::read(&request.checkpoint).unwrap();
    assert!(open(&key, checkpoint).unwrap().starts_with(b"CNCKPT01"));
    trainer.send(&TrainerRequest::Train(request));
    let TrainerReply::Progress { step: again, .. } = trainer.receive() else {
        panic!("no progress")
    };
    assert_eq!(again, step + 1, "the lease resumes");
    trainer.send(&TrainerRequest::Stop);
    assert!(matches!(trainer.receive_final(), TrainerReply::Stopped { .. }));
    trainer.end();
}

#[test]
fn stop_is_answered_once_and_the_lease_resumes_from_its_checkpoint() {
    let mut trainer = Trainer::start();
    let folder = tempfile::tempdir().unwrap();
    let mut request = train_request(folder.path(), LocalWork::Steps(2_000_000));
    request.checkpoint_seconds = 0.0;
    trainer.send(&TrainerRequest::Train(request.clone()));
    let TrainerReply::Progress { step: 1, steps: 2_000_000, .. } = trainer.receive() else {
        panic!("the first step's progress is always sent");
    };
    trainer.send(&TrainerRequest::Stop);
    let stopped = trainer.receive_final();
    let TrainerReply::Stopped { step } = stopped else { panic!("{stopped:?}") };
    assert!(step >= 1);
    assert!(!request.output.exists());
    // Nothing runs, so the stop gets its own reply, and only one.
    assert_eq!(trainer.request(&TrainerRequest::Stop), TrainerReply::Stopped { step: 0 });
    trainer.send(&TrainerRequest::Train(request));
    let TrainerReply::Progress { step: again, .. } = trainer.receive() else {
        panic!("no progress")
    };
    assert_eq!(again, step + 1, "the lease resumes");
    trainer.send(&TrainerRequest::Stop);
    assert!(matches!(trainer.receive_final(), TrainerReply::Stopped { .. }));
    trainer.end();
}

#[test]
fn a_stop_ends_the_request_before_it_and_not_the_one_after() {
    let mut trainer = Trainer::start();
    let folder = tempfile::tempdir().unwrap();
    trainer.send(&TrainerRequest::Stop);
    trainer.send(&TrainerRequest::Train(train_request(folder.path(), LocalWork::Epochs(1))));
    assert_eq!(trainer.receive_final(), TrainerReply::Stopped { step: 0 });
    assert!(matches!(trainer.receive_final(), TrainerReply::Trained { .. }));
    trainer.send(&TrainerRequest::Train(train_request(folder.path(), LocalWork::Steps(2_000_000))));
    trainer.send(&TrainerRequest::Stop);
    assert!(matches!(trainer.receive_final(), TrainerReply::Stopped { .. }));
    trainer.end();
}

#[test]
fn errors_are_reported_and_the_trainer_keeps_running() {
    let mut trainer = Trainer::start();
    let folder = tempfile::tempdir().unwrap();
    let good = || train_request(folder.path(), LocalWork::Epochs(1));

    for line in ["", "not json\n", "{\"request\":\"fly\"}\n", "{\"request\":\"train\"}\n"] {
        trainer.input.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(failure(&trainer.receive()), TrainerFailure::Internal);
    }

    let missing = TrainRequest { base: folder.path().join("none"), ..good() };
    assert_eq!(failure(&trainer.request(&TrainerRequest::Train(missing))), TrainerFailure::Data);

    let short = TrainRequest { base: good().shards[0].clone(), ..good() };
    assert_eq!(failure(&trainer.request(&TrainerRequest::Train(short))), TrainerFailure::Data);

    let truncated = folder.path().join("truncated");
    let bytes = std::fs::read(&good().shards[0]).unwrap();
    std::fs::write(&truncated, &bytes[..bytes.len() - 3]).unwrap();
    let truncated = TrainRequest { shards: vec![truncated], ..good() };
    assert_eq!(failure(&trainer.request(&TrainerRequest::Train(truncated))), TrainerFailure::Data);

    let text = folder.path().join("text");
    let row = Row { label: 0, sample: Sample::Text("words".to_owned()) };
    std::fs::write(&text, data::shard::write(SampleShape::Text, &[&row])).unwrap();
    let text = TrainRequest { shards: vec![text], ..good() };
    assert_eq!(failure(&trainer.request(&TrainerRequest::Train(text))), TrainerFailure::Spec);

    let mut bad_spec = good();
    bad_spec.spec.layers.remove(0);
    assert_eq!(failure(&trainer.request(&TrainerRequest::Train(bad_spec))), TrainerFailure::Spec);

    let mut no_batch = good();
    no_batch.plan.batch_size = 0;
    assert_eq!(failure(&trainer.request(&TrainerRequest::Train(no_batch))), TrainerFailure::Spec);

    let mut wild = good();
    wild.plan.optimizer = Optimizer::Sgd { learning_rate: 1e38, momentum: 0.0, weight_decay: 0.0 };
    wild.plan.local_work = LocalWork::Steps(50);
    assert_eq!(failure(&trainer.request(&TrainerRequest::Train(wild))), TrainerFailure::Diverged);

    let nowhere = TrainRequest { output: folder.path().join("no/such/folder"), ..good() };
    assert_eq!(failure(&trainer.request(&TrainerRequest::Train(nowhere))), TrainerFailure::Disk);

    let reply = trainer.request(&TrainerRequest::Train(good()));
    assert!(matches!(reply, TrainerReply::Trained { .. }), "{reply:?}");
    trainer.end();
}

#[test]
fn initial_weights_follow_from_the_seed() {
    let mut trainer = Trainer::start();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("model");
    let request = InitializeRequest { spec: spec(), seed: 5, output: output.clone() };
    let reply = trainer.request(&TrainerRequest::Initialize(request));
    let bytes = std::fs::read(&output).unwrap();
    assert_eq!(reply, TrainerReply::Initialized { model: BlobHash::compute(&bytes) });
    assert_eq!(bytes, codec::encode(&engine::initialize(&spec(), 5).unwrap()));
    trainer.end();
}

fn failure(reply: &TrainerReply) -> TrainerFailure {
    let TrainerReply::Failed { failure, .. } = reply else { panic!("{reply:?}") };
    *failure
}

struct Trainer {
    input: Option<PipeWriter>,
    replies: Lines<BufReader<PipeReader>>,
    serving: JoinHandle<Served>,
}

impl Trainer {
    fn start() -> Self {
        let (requests, input) = std::io::pipe().unwrap();
        let (replies, output) = std::io::pipe().unwrap();
        let options = ServeOptions {
            backend: BackendChoice::Cpu,
            cache: None,
            threads: 1,
            input_ended: || {},
        };
        let serving = std::thread::spawn(move || serve(BufReader::new(requests), output, &options));
        let replies = BufReader::new(replies).lines();
        let mut trainer = Self { input: Some(input), replies, serving };
        let TrainerReply::Ready(ready) = trainer.receive() else { panic!("not ready") };
        assert_eq!(ready.gpu_name, None);
        trainer
    }

    fn send(&mut self, request: &TrainerRequest) {
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        self.input.as_mut().unwrap().write_all(&line).unwrap();
    }

    fn receive(&mut self) -> TrainerReply {
        serde_json::from_str(&self.replies.next().unwrap().unwrap()).unwrap()
    }

    /// Returns the next reply that is not progress.
    fn receive_final(&mut self) -> TrainerReply {
        loop {
            let reply = self.receive();
            if !matches!(reply, TrainerReply::Progress { .. }) {
                return reply;
            }
        }
    }

    fn request(&mut self, request: &TrainerRequest) -> TrainerReply {
        self.send(request);
        self.receive_final()
    }

    fn end(mut self) -> Served {
        self.input = None;
        assert!(self.replies.next().is_none(), "an unexpected reply");
        self.serving.join().unwrap()
    }
}

fn spec() -> ModelSpec {
    ModelSpec {
        input: InputSpec::Image { channels: 1, height: 2, width: 2, mean: 0.5, deviation: 0.5 },
        layers: vec![LayerSpec::Flatten, LayerSpec::Linear { outputs: 3 }],
    }
}

/// Request with existing files: two shards of fifteen rows.
fn train_request(folder: &Path, local_work: LocalWork) -> TrainRequest {
    let base = folder.join("base");
    std::fs::write(&base, codec::encode(&engine::initialize(&spec(), 1).unwrap())).unwrap();
    let shape = SampleShape::Image { channels: 1, height: 2, width: 2 };
    let shards = [0_u8, 1].map(|shard| {
        let rows: Vec<Row> = (0..15_u8)
            .map(|row| Row {
                label: u32::from(row % 3),
                sample: Sample::Image(vec![row * 17, row % 3 * 100, shard * 9, 255 - row]),
            })
            .collect();
        let path: PathBuf = folder.join(format!("shard-{shard}"));
        let bytes = data::shard::write(shape, &rows.iter().collect::<Vec<_>>());
        std::fs::write(&path, bytes).unwrap();
        path
    });
    TrainRequest {
        spec: spec(),
        plan: Plan {
            local_work,
            batch_size: 8,
            optimizer: Optimizer::Adam { learning_rate: 0.01 },
            threads: 1,
        },
        seed: 1,
        round: 1,
        partition: 0,
        base,
        shards: shards.to_vec(),
        checkpoint: folder.join("checkpoint"),
        checkpoint_seconds: 1000.0,
        output: folder.join("update"),
        key: None,
    }
}

/// The same request with encrypted files.
fn encrypted_request(folder: &Path, local_work: LocalWork, key: &StorageKey) -> TrainRequest {
    let request = train_request(folder, local_work);
    for (number, path) in (0..).zip([&request.base].into_iter().chain(&request.shards)) {
        let plain = std::fs::read(path).unwrap();
        std::fs::write(path, seal(key, &plain, [number; 32]).unwrap()).unwrap();
    }
    TrainRequest { key: Some(key.clone()), ..request }
}
