//! Evaluation of a model on held-out rows, and predictions.

use std::time::Instant;

use data::Row;
use protocol::metrics::EvalMetrics;
use protocol::model::ModelSpec;

use crate::batch::Featurizer;
use crate::network::Network;
use crate::train::{StepReport, TrainingEnd};
use crate::{ComputeDevice, EngineError, device_failed};

/// Rows per step: enough to keep the device busy, and few enough to stop quickly.
const BATCH: usize = 256;

/// Evaluates the model with these parameters on the rows in order, on `threads` threads. `stop` is
/// called before every batch, and `progress` after it with the batch's mean loss.
pub fn evaluate(
    compute: &ComputeDevice,
    spec: &ModelSpec,
    model: &[f32],
    rows: &[Row],
    threads: u32,
    stop: &(dyn Fn() -> bool + Sync),
    progress: &mut (dyn FnMut(StepReport) + Send),
) -> Result<TrainingEnd<EvalMetrics>, EngineError> {
    let mut featurizer = Featurizer::new(spec)?;
    featurizer.check(rows)?;
    let ended = ComputeDevice::on_threads(threads, || {
        let network = Network::new(spec, model, &compute.device)?;
        measure(&network, &mut featurizer, rows, stop, progress)
    });
    compute.clean_up();
    ended
}

/// Predicts the class probabilities of one row, in the order of the model's outputs.
pub fn predict(
    compute: &ComputeDevice,
    spec: &ModelSpec,
    model: &[f32],
    row: &Row,
    threads: u32,
) -> Result<Vec<f64>, EngineError> {
    let mut featurizer = Featurizer::new(spec)?;
    featurizer.check(std::slice::from_ref(row))?;
    let probabilities = ComputeDevice::on_threads(threads, || {
        let network = Network::new(spec, model, &compute.device)?;
        let (logits, _) = network.forward(&mut featurizer.batch(&[row], None))?;
        let logits = logits.try_into_data().map_err(device_failed)?;
        let logits = logits.as_slice::<f32>().map_err(device_failed)?;
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err(EngineError::Diverged { step: 0, what: "the model's output" });
        }
        Ok(softmax(logits))
    });
    compute.clean_up();
    probabilities
}

/// Computes the softmax in f64, shifted to avoid overflow.
fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let powers: Vec<f64> = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

fn measure(
    network: &Network,
    featurizer: &mut Featurizer,
    rows: &[Row],
    stop: &(dyn Fn() -> bool + Sync),
    progress: &mut (dyn FnMut(StepReport) + Send),
) -> Result<TrainingEnd<EvalMetrics>, EngineError> {
    let started = Instant::now();
    let classes = featurizer.classes();
    let mut confusion = vec![vec![0_u64; classes]; classes];
    let (mut loss, mut examples, mut right) = (0.0_f64, 0_u64, 0_u64);
    let steps = rows.len().div_ceil(BATCH) as u64;
    for (step, rows) in (0_u64..).zip(rows.chunks(BATCH)) {
        if stop() {
            return Ok(TrainingEnd::Stopped { step });
        }
        let rows: Vec<&Row> = rows.iter().collect();
        let (logits, _) = network.forward(&mut featurizer.batch(&rows, None))?;
        let logits = logits.try_into_data().map_err(device_failed)?;
        let logits = logits.as_slice::<f32>().map_err(device_failed)?;
        let mut batch_loss = 0.0;
        for (row, logits) in rows.iter().zip(logits.chunks_exact(classes)) {
            let predicted = most_probable(logits);
            batch_loss += cross_entropy(logits, row.label as usize);
            confusion[row.label as usize][predicted] += 1;
            right += u64::from(predicted == row.label as usize);
        }
        loss += batch_loss;
        examples += rows.len() as u64;
        if !loss.is_finite() {
            return Err(EngineError::Diverged { step, what: "the loss" });
        }
        progress(StepReport {
            step: step + 1,
            steps,
            loss: batch_loss / rows.len() as f64,
            examples_per_second: examples as f64 / started.elapsed().as_secs_f64().max(1e-9),
        });
    }
    let (accuracy, loss) = (right as f64 / examples as f64, loss / examples as f64);
    Ok(TrainingEnd::Done(EvalMetrics { accuracy, loss, examples, confusion }))
}

/// Returns the first class with the largest logit.
fn most_probable(logits: &[f32]) -> usize {
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
    best
}

/// Computes `ln Σ exp(logits) − logits[label]` in f64.
fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
    sum.ln() + largest - f64::from(logits[label])
}
