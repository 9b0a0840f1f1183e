//! Training of one lease: steps of the plan's optimizer over a partition, from the round's base
//! model.

use std::path::Path;
use std::time::{Duration, Instant};

use burn::tensor::Transaction;
use data::Row;
use protocol::BlobHash;
use protocol::encrypted_file::StorageKey;
use protocol::metrics::TrainMetrics;
use protocol::model::ModelSpec;
use protocol::plan::Plan;

use crate::batch::{Batch, BatchInput, Featurizer, Schedule, StepKey};
use crate::checkpoint::{self, Checkpoint, Totals};
use crate::network::{HostEmbeddingOptimizer, Network};
use crate::optimizer::{DenseOptimizer, Rule};
use crate::prefetch::{Prefetch, Source};
use crate::{ComputeDevice, EngineError, device_failed};

/// Training work of a lease.
#[derive(Debug, Clone, Copy)]
pub struct TrainJob<'a> {
    pub spec: &'a ModelSpec,
    pub plan: &'a Plan,
    pub seed: u64,
    pub round: u32,
    pub partition: u32,
    /// The round's base model, a flat vector in layout order.
    pub base: &'a [f32],
    pub rows: &'a [Row],
}

/// Control of a run: stop, progress and checkpoints.
pub struct Control<'a> {
    /// Called between steps. Returning true ends the run.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// Called after every step.
    pub progress: &'a mut (dyn FnMut(StepReport) + Send),
    pub checkpoints: Option<Checkpoints<'a>>,
}

/// Location and frequency of a lease's checkpoints.
#[derive(Debug, Clone, Copy)]
pub struct Checkpoints<'a> {
    pub path: &'a Path,
    pub every: Duration,
    /// Id of the work. A checkpoint of other work is ignored.
    pub work: BlobHash,
    /// Encryption key, or `None` for plain checkpoints.
    pub key: Option<&'a StorageKey>,
}

/// Report of a finished step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Steps done so far.
    pub step: u64,
    /// Total steps.
    pub steps: u64,
    /// Loss of the step in nats.
    pub loss: f64,
    /// Rows per second since this process started the lease.
    pub examples_per_second: f64,
}

/// End of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainingEnd<T> {
    Done(T),
    /// It was stopped after this many steps.
    Stopped {
        step: u64,
    },
}

/// Result of a lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// New parameters minus the base model's, in layout order.
    pub delta: Vec<f32>,
    pub metrics: TrainMetrics,
    /// Seconds that steps of this process waited for a batch.
    pub wait_seconds: f64,
}

/// Trains one lease on `plan.threads` threads.
pub fn train(
    compute: &ComputeDevice,
    job: &TrainJob<'_>,
    mut control: Control<'_>,
) -> Result<TrainingEnd<Trained>, EngineError> {
    if job.plan.batch_size == 0 {
        return Err(EngineError::Plan("the batch size is 0; it must be at least 1"));
    }
    let featurizer = Featurizer::new(job.spec)?;
    featurizer.check(job.rows)?;
    let ended = ComputeDevice::on_threads(job.plan.threads, || {
        let mut run = Run::new(compute, job)?;
        let first_step = run.resume(&control);
        std::thread::scope(|scope| {
            let key = StepKey {
                seed: job.seed,
                round: job.round,
                partition: job.partition,
                step: first_step,
            };
            let batch = job.plan.batch_size as usize;
            let schedule = Schedule::new(job.seed, job.round, job.partition, batch, job.rows.len());
            let steps = job.plan.steps(job.rows.len() as u64);
            let source = Source { featurizer, rows: job.rows, schedule, key, steps };
            run.steps(Prefetch::start(scope, source)?, steps, &mut control)
        })
    });
    compute.clean_up();
    ended
}

/// Lease in progress.
struct Run<'a> {
    job: &'a TrainJob<'a>,
    network: Network,
    dense: DenseOptimizer,
    host_embedding: Option<HostEmbeddingOptimizer>,
    done: Totals,
}

impl<'a> Run<'a> {
    fn new(compute: &ComputeDevice, job: &'a TrainJob<'a>) -> Result<Self, EngineError> {
        let device = compute.device.clone().autodiff();
        let network = Network::new(job.spec, job.base, &device)?;
        let rule = Rule::new(&job.plan.optimizer);
        let dense = DenseOptimizer::new(rule, compute.placement, &device);
        let host_embedding = network
            .host_embedding
            .as_ref()
            .map(|host_embedding| HostEmbeddingOptimizer::new(rule, host_embedding));
        Ok(Self { job, network, dense, host_embedding, done: Totals::default() })
    }

    /// Restores a checkpoint's state. A checkpoint that does not fit is ignored.
    fn restore(&mut self, checkpoint: Checkpoint) {
        let Checkpoint { totals, body, dense, weights, embedding } = checkpoint;
        let Ok(step) = u32::try_from(totals.steps) else { return };
        if !self.network.restore(&body, weights) {
            return;
        }
        self.dense.restore(step, &dense, &self.network.body);
        if let (Some(optimizer), Some(network)) =
            (&mut self.host_embedding, &self.network.host_embedding)
        {
            optimizer.restore(step, embedding, network);
        }
        self.done = totals;
    }

    /// Resumes from a checkpoint of this work, if there is one, and returns the steps done.
    fn resume(&mut self, control: &Control<'_>) -> u64 {
        let Some(checkpoints) = &control.checkpoints else { return 0 };
        if let Some(checkpoint) =
            checkpoint::read(checkpoints.path, checkpoints.work, checkpoints.key)
        {
            self.restore(checkpoint);
        }
        self.done.steps
    }

    fn steps(
        mut self,
        mut batches: Prefetch,
        steps: u64,
        control: &mut Control<'_>,
    ) -> Result<TrainingEnd<Trained>, EngineError> {
        let started = Instant::now();
        let (examples_before, seconds_before) = (self.done.examples, self.done.seconds);
        let mut saved = Instant::now();
        while self.done.steps < steps {
            if (control.stop)() {
                return Ok(TrainingEnd::Stopped { step: self.done.steps });
            }
            let batch = batches.next()?;
            let rows = batch.rows as u64;
            let loss = self.step(batch)?;
            self.done.steps += 1;
            self.done.loss += loss;
            self.done.examples += rows;
            let elapsed = started.elapsed().as_secs_f64();
            self.done.seconds = seconds_before + elapsed;
            let examples = (self.done.examples - examples_before) as f64;
            (control.progress)(StepReport {
                step: self.done.steps,
                steps,
                loss,
                examples_per_second: examples / elapsed.max(1e-9),
            });
            if let Some(checkpoints) = &control.checkpoints
                && self.done.steps < steps
                && saved.elapsed() >= checkpoints.every
            {
                let Checkpoints { path, work, key, .. } = *checkpoints;
                checkpoint::write(path, work, &self.checkpoint()?, key)?;
                saved = Instant::now();
            }
        }
        let trained = self.trained(batches.waited().as_secs_f64())?;
        Ok(TrainingEnd::Done(trained))
    }

    /// Does one optimizer step and returns the batch's mean loss before it.
    fn step(&mut self, mut batch: Batch) -> Result<f64, EngineError> {
        if let (Some(optimizer), Some(host_embedding), BatchInput::TokenIds(token_ids)) =
            (&mut self.host_embedding, &mut self.network.host_embedding, &batch.input)
        {
            optimizer.prepare(host_embedding, token_ids);
        }
        let (logits, embedding_input) = self.network.forward(&mut batch)?;
        let loss = self.network.loss(logits, &batch);
        let mut gradients = loss.backward();
        // One read for both. It also keeps an asynchronous device in step.
        let mut reads = Transaction::default().register(loss.inner());
        if let Some(embedding_input) = embedding_input {
            reads = reads.register(embedding_input.gradient(&mut gradients)?);
        }
        self.network.update(|body| self.dense.apply(body, gradients));
        let mut reads = reads.try_execute().map_err(device_failed)?.into_iter();
        let loss = reads.next().and_then(|data| data.as_slice::<f32>().ok()?.first().copied());
        let loss = loss.ok_or_else(|| device_failed("the loss has no value"))?;
        if !loss.is_finite() {
            let step = self.done.steps + 1;
            return Err(EngineError::Diverged { step, what: "the loss" });
        }
        if let (
            Some(optimizer),
            Some(host_embedding),
            BatchInput::TokenIds(token_ids),
            Some(gradient),
        ) =
            (&mut self.host_embedding, &mut self.network.host_embedding, &batch.input, reads.next())
        {
            let gradient = gradient.as_slice::<f32>().map_err(device_failed)?;
            optimizer.apply(host_embedding, token_ids, gradient);
        }
        Ok(f64::from(loss))
    }

    fn trained(mut self, wait_seconds: f64) -> Result<Trained, EngineError> {
        self.flush();
        let mut delta = self.network.flat()?;
        for (new, base) in delta.iter_mut().zip(self.job.base) {
            *new -= base;
        }
        if !delta.iter().all(|change| change.is_finite()) {
            let step = self.done.steps;
            return Err(EngineError::Diverged { step, what: "a parameter" });
        }
        let Totals { steps, loss, examples, seconds } = self.done;
        let loss = if steps == 0 { 0.0 } else { loss / steps as f64 };
        let metrics = TrainMetrics { loss, steps, examples, seconds };
        Ok(Trained { delta, metrics, wait_seconds })
    }

    fn flush(&mut self) {
        if let (Some(optimizer), Some(host_embedding)) =
            (&mut self.host_embedding, &mut self.network.host_embedding)
        {
            optimizer.flush(host_embedding);
        }
    }

    /// Returns the state that determines the rest of the lease. Applying pending steps early
    /// changes no bit.
    fn checkpoint(&mut self) -> Result<Checkpoint, EngineError> {
        self.flush();
        Ok(Checkpoint {
            totals: self.done,
            body: self.network.body_flat()?.concat(),
            dense: self.dense.moments()?,
            weights: self
                .network
                .host_embedding
                .as_ref()
                .map_or_else(Vec::new, |t| t.weights().to_vec()),
            embedding: self
                .host_embedding
                .as_ref()
                .map(HostEmbeddingOptimizer::moments)
                .unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests;
