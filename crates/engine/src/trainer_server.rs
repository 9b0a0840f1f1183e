//! The child's side of the trainer protocol: requests a line on the input, replies on the output.
//!
//! A thread reads ahead of the work, so that `stop` is heard while a request runs. Each `stop` gets
//! one `stopped`: from the request that it ended, or by itself where there was nothing to end.

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

/// Progress is sent no more often than this.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// How a trainer serves.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    pub backend: BackendChoice,
    /// Where a passed self-test is remembered.
    pub cache: Option<PathBuf>,
    /// CPU threads for evaluation; training takes its plan's.
    pub threads: u32,
    /// Called when the input ends: whoever supervised is gone, and nothing here is worth a second
    /// more. A trainer exits in it, even in the middle of a step.
    pub input_ended: fn(),
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// The input ended.
    InputEnded,
    /// The output can't be written: nobody listens.
    OutputClosed,
    /// The asked backend can't be had; `failed` was said.
    NoBackend,
}

/// Serves until the input ends. The first line is `ready` or `failed`.
pub fn serve(
    input: impl BufRead + Send + 'static,
    output: impl Write + Send,
    options: &ServeOptions,
) -> Served {
    let mut output = Output { to: output, open: true };
    let stops = Arc::new(AtomicU64::new(0));
    let (sender, heard) = channel();
    // Before the backend is opened: that can take long, and the supervisor can go meanwhile.
    let (counter, input_ended) = (Arc::clone(&stops), options.input_ended);
    std::thread::spawn(move || {
        listen(input, &sender, &counter);
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
    Worker { compute, threads: options.threads, stops, output }.work(&heard)
}

/// One line of input, with the number of stops before it.
enum InputLine {
    Request { request: Box<TrainerRequest>, stops_before: u64 },
    Malformed(String),
}

fn listen(input: impl BufRead, heard: &Sender<InputLine>, stops: &AtomicU64) {
    for line in input.lines() {
        let Ok(line) = line else { return };
        if line.trim().is_empty() {
            continue;
        }
        let stops_before = stops.load(Ordering::Acquire);
        let heard_now = match serde_json::from_str::<TrainerRequest>(&line) {
            Ok(request) => {
                if request == TrainerRequest::Stop {
                    stops.fetch_add(1, Ordering::Release);
                }
                InputLine::Request { request: Box::new(request), stops_before }
            }
            Err(error) => InputLine::Malformed(format!("this line is not a request: {error}")),
        };
        if heard.send(heard_now).is_err() {
            return;
        }
    }
}

struct Output<W> {
    to: W,
    open: bool,
}

impl<W: Write> Output<W> {
    fn send(&mut self, reply: &TrainerReply) {
        let mut line = serde_json::to_vec(reply).unwrap_or_default();
        line.push(b'\n');
        self.open &= self.to.write_all(&line).and_then(|()| self.to.flush()).is_ok();
    }
}

struct Worker<W> {
    compute: ComputeDevice,
    threads: u32,
    stops: Arc<AtomicU64>,
    output: Output<W>,
}

impl<W: Write + Send> Worker<W> {
    fn work(mut self, heard: &Receiver<InputLine>) -> Served {
        // Stops that ended a request before their own turn came.
        let mut answered = 0;
        while let Ok(heard) = heard.recv() {
            match heard {
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
                        let reply = self.answer(&request, stops_before);
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

    /// Does a request; whatever goes wrong, the answer says so and the trainer stays alive.
    fn answer(&mut self, request: &TrainerRequest, stops_before: u64) -> TrainerReply {
        let done = catch_unwind(AssertUnwindSafe(|| match request {
            TrainerRequest::Initialize(request) => make(request),
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
            .map_err(|_| EngineError::Plan("the seconds between checkpoints make no sense"))?;
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
                // Useless from here on; a file that stays is ignored or written over.
                let _ = std::fs::remove_file(&request.checkpoint);
                let update = BlobHash::of(&bytes);
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

    /// One row: too short to be stopped in.
    fn predict(&mut self, request: &PredictRequest) -> Result<TrainerReply, EngineError> {
        let PredictRequest { spec, model, shard } = request;
        let model = files::read_model_file(model, spec)?;
        let (rows, _) = files::read_shards(&[shard], spec, None)?;
        let row = rows.first().ok_or(EngineError::NoRows)?;
        let probabilities = predict(&self.compute, spec, &model, row, self.threads)?;
        Ok(TrainerReply::Predicted { probabilities })
    }
}

fn make(request: &InitializeRequest) -> Result<TrainerReply, EngineError> {
    let bytes = codec::encode(&initialize(&request.spec, request.seed)?);
    files::write_atomically(&request.output, &bytes, None)?;
    Ok(TrainerReply::Initialized { model: BlobHash::of(&bytes) })
}

fn failed(error: &EngineError) -> TrainerReply {
    TrainerReply::Failed { failure: error.failure(), message: error.to_string() }
}

/// Sends the first step and then what the limit allows.
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
