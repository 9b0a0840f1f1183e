//! Trainer server: the trainer's side of the trainer protocol, with requests on the input and
//! replies on the output, one per line.
//!
//! A thread reads ahead, so that `stop` takes effect while a request runs. Each `stop` gets one
//! `stopped` reply: from the request that it ended, or its own if nothing was running.

use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use protocol::trainer::{
    EvaluateRequest, InitializeRequest, PredictRequest, TrainRequest, TrainerFailure, TrainerReply,
    TrainerRequest,
};
use protocol::{BlobHash, codec};

use crate::train::{Checkpoints, Control, StepReport, TrainJob, TrainingEnd};
use crate::{
    BackendChoice, ComputeDevice, EngineError, evaluate, files, initialize, predict, train,
};

/// Minimum interval between two progress replies.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Options of the trainer server.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    pub backend: BackendChoice,
    /// Folder in which a passed self-test is recorded.
    pub cache: Option<PathBuf>,
    /// CPU threads for evaluation. Training uses its plan's.
    pub threads: u32,
    /// Called when the input ends, because the supervisor is gone. A trainer exits here, even in
    /// the middle of a step.
    pub input_ended: fn(),
}

/// Reason for which the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// The input ended.
    InputEnded,
    /// The output cannot be written, because its reader is gone.
    OutputClosed,
    /// The requested backend is not available. `failed` was sent.
    NoBackend,
}

/// Serves requests until the input ends. The first reply is `ready` or `failed`.
pub fn serve(
    input: impl BufRead + Send + 'static,
    output: impl Write + Send,
    options: &ServeOptions,
) -> Served {
    let mut output = Output { writer: output, open: true };
    let stops = Arc::new(AtomicU64::new(0));
    let (sender, lines) = channel();
    // Started before the backend is opened: that can take long, and the supervisor may exit
    // meanwhile.
    let (counter, input_ended) = (Arc::clone(&stops), options.input_ended);
    std::thread::spawn(move || {
        read_lines(input, &sender, &counter);
        input_ended();
    });
    let chosen = catch_unwind(|| ComputeDevice::choose(options.backend, options.cache.as_deref()));
    let compute = match chosen
        .unwrap_or_else(|panic| Err(EngineError::Backend(crate::panic_message(panic.as_ref()))))
    {
        Ok(compute) => compute,
        Err(error) => {
            output.send(&failed(&error));
            return Served::NoBackend;
        }
    };
    output.send(&TrainerReply::Ready(compute.ready().clone()));
    Worker { compute, threads: options.threads, stops, output }.run(&lines)
}

/// One line of input, with the number of stops before it.
enum InputLine {
    Request { request: Box<TrainerRequest>, stops_before: u64 },
    Malformed(String),
}

fn read_lines(input: impl BufRead, sender: &Sender<InputLine>, stops: &AtomicU64) {
    for line in input.lines() {
        let Ok(line) = line else { return };
        if line.trim().is_empty() {
            continue;
        }
        let stops_before = stops.load(Ordering::Acquire);
        let input_line = match serde_json::from_str::<TrainerRequest>(&line) {
            Ok(request) => {
                if request == TrainerRequest::Stop {
                    stops.fetch_add(1, Ordering::Release);
                }
                InputLine::Request { request: Box::new(request), stops_before }
            }
            Err(error) => InputLine::Malformed(format!("invalid trainer request: {error}")),
        };
        if sender.send(input_line).is_err() {
            return;
        }
    }
}

struct Output<W> {
    writer: W,
    open: bool,
}

impl<W: Write> Output<W> {
    fn send(&mut self, reply: &TrainerReply) {
        let mut line = serde_json::to_vec(reply).unwrap_or_default();
        line.push(b'\n');
        self.open &= self.writer.write_all(&line).and_then(|()| self.writer.flush()).is_ok();
    }
}

struct Worker<W> {
    compute: ComputeDevice,
    threads: u32,
    stops: Arc<AtomicU64>,
    output: Output<W>,
}

impl<W: Write + Send> Worker<W> {
    fn run(mut self, lines: &Receiver<InputLine>) -> Served {
        // Number of stops that already ended an earlier request.
        let mut answered = 0;
        while let Ok(line) = lines.recv() {
            match line {
                InputLine::Malformed(message) => {
                    let failure = TrainerFailure::Internal;
                    self.output.send(&TrainerReply::Failed { failure, message });
                }
                InputLine::Request { request, stops_before } => {
                    if *request == TrainerRequest::Stop {
                        if answered > stops_before {
                            continue;
                        }
                        self.output.send(&TrainerReply::Stopped { step: 0 });
                    } else {
                        let reply = self.handle(&request, stops_before);
                        if let TrainerReply::Stopped { .. } = reply {
                            answered = stops_before + 1;
                        }
                        self.output.send(&reply);
                    }
                }
            }
            if !self.output.open {
                return Served::OutputClosed;
            }
        }
        Served::InputEnded
    }

    /// Handles a request. Any error becomes a reply, and the trainer keeps running.
    fn handle(&mut self, request: &TrainerRequest, stops_before: u64) -> TrainerReply {
        let done = catch_unwind(AssertUnwindSafe(|| match request {
            TrainerRequest::Initialize(request) => initialize_model(request),
            TrainerRequest::Train(request) => self.train(request, stops_before),
            TrainerRequest::Evaluate(request) => self.evaluate(request, stops_before),
            TrainerRequest::Predict(request) => self.predict(request),
            TrainerRequest::Stop => Ok(TrainerReply::Stopped { step: 0 }),
        }));
        match done {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => failed(&error),
            Err(panic) => {
                let message = crate::panic_message(panic.as_ref());
                TrainerReply::Failed { failure: TrainerFailure::Internal, message }
            }
        }
    }

    fn train(
        &mut self,
        request: &TrainRequest,
        stops_before: u64,
    ) -> Result<TrainerReply, EngineError> {
        let TrainRequest { spec, plan, seed, round, partition, .. } = request;
        let key = request.key.as_ref();
        let (base, base_hash) = files::read_model(&request.base, spec, key)?;
        let (rows, hashes) = files::read_shards(&request.shards, spec, key)?;
        let (seed, round, partition) = (*seed, *round, *partition);
        let job = TrainJob { spec, plan, seed, round, partition, base: &base, rows: &rows };
        let every = Duration::try_from_secs_f64(request.checkpoint_seconds)
            .map_err(|_| EngineError::Plan("checkpoint_seconds must be at least 0 and finite"))?;
        let checkpoints = Checkpoints {
            path: &request.checkpoint,
            every,
            work: request.work(base_hash, &hashes),
            key,
        };
        let stops = &self.stops;
        let stop = || stops.load(Ordering::Acquire) > stops_before;
        let mut progress = progress(&mut self.output);
        let control =
            Control { stop: &stop, progress: &mut progress, checkpoints: Some(checkpoints) };
        match train(&self.compute, &job, control)? {
            TrainingEnd::Stopped { step } => Ok(TrainerReply::Stopped { step }),
            TrainingEnd::Done(trained) => {
                let bytes = codec::encode(&trained.delta);
                files::write_atomically(&request.output, &bytes, key)?;
                // No longer needed. A file that remains is ignored or overwritten.
                let _ = std::fs::remove_file(&request.checkpoint);
                let update = BlobHash::compute(&bytes);
                Ok(TrainerReply::Trained { update, metrics: trained.metrics })
            }
        }
    }

    fn evaluate(
        &mut self,
        request: &EvaluateRequest,
        stops_before: u64,
    ) -> Result<TrainerReply, EngineError> {
        let EvaluateRequest { spec, model, shards } = request;
        let (model, _) = files::read_model(model, spec, None)?;
        let (rows, _) = files::read_shards(shards, spec, None)?;
        let stops = &self.stops;
        let stop = || stops.load(Ordering::Acquire) > stops_before;
        let mut progress = progress(&mut self.output);
        let ended =
            evaluate(&self.compute, spec, &model, &rows, self.threads, &stop, &mut progress)?;
        Ok(match ended {
            TrainingEnd::Stopped { step } => TrainerReply::Stopped { step },
            TrainingEnd::Done(metrics) => TrainerReply::Evaluated { metrics },
        })
    }

    /// Predicts one row. Too short to need a stop.
    fn predict(&mut self, request: &PredictRequest) -> Result<TrainerReply, EngineError> {
        let PredictRequest { spec, model, shard } = request;
        let model = files::read_model_file(model, spec)?;
        let (rows, _) = files::read_shards(&[shard], spec, None)?;
        let row = rows.first().ok_or(EngineError::NoRows)?;
        let probabilities = predict(&self.compute, spec, &model, row, self.threads)?;
        Ok(TrainerReply::Predicted { probabilities })
    }
}

fn initialize_model(request: &InitializeRequest) -> Result<TrainerReply, EngineError> {
    let bytes = codec::encode(&initialize(&request.spec, request.seed)?);
    files::write_atomically(&request.output, &bytes, None)?;
    Ok(TrainerReply::Initialized { model: BlobHash::compute(&bytes) })
}

fn failed(error: &EngineError) -> TrainerReply {
    TrainerReply::Failed { failure: error.failure(), message: error.to_string() }
}

/// Sends the first step, and later ones at most every [`PROGRESS_EVERY`].
fn progress<W: Write + Send>(output: &mut Output<W>) -> impl FnMut(StepReport) + Send {
    let mut sent: Option<Instant> = None;
    move |report| {
        if sent.is_some_and(|sent| sent.elapsed() < PROGRESS_EVERY) {
            return;
        }
        sent = Some(Instant::now());
        let StepReport { step, steps, loss, examples_per_second } = report;
        output.send(&TrainerReply::Progress { step, steps, loss, examples_per_second });
    }
}
