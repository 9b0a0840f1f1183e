//! Trainer process for the coordinator's tests. It implements the trainer protocol with a trivial model that uses
//! only the biases of the last layer. It makes initial weights from the job's seed, and evaluates a model that
//! always predicts the class with the largest bias.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use data::shard;
use protocol::fingerprint::{Backend, Fingerprint};
use protocol::metrics::EvalMetrics;
use protocol::model::{ModelSpec, Shape};
use protocol::trainer::{
    EvaluateRequest, InitializeRequest, PredictRequest, Ready, TrainerFailure, TrainerReply,
    TrainerRequest,
};
use protocol::{BlobHash, RngDomain, SeededRng, codec, model_file};

fn main() {
    let fingerprint = Fingerprint {
        app: "test".to_owned(),
        burn: "none".to_owned(),
        backend: Backend::Cpu,
        hardware: "tiny".to_owned(),
    };
    let reason = "it is the only backend".to_owned();
    send(&TrainerReply::Ready(Ready { fingerprint, gpu_name: None, reason }));
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let reply = match serde_json::from_str(&line) {
            Ok(TrainerRequest::Initialize(request)) => initialize(&request),
            Ok(TrainerRequest::Evaluate(request)) => evaluate(&request),
            Ok(TrainerRequest::Predict(request)) => predict(&request),
            Ok(TrainerRequest::Stop) => Ok(TrainerReply::Stopped { step: 0 }),
            Ok(TrainerRequest::Train(_)) => Err("this trainer does not train".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        send(&reply.unwrap_or_else(|message| TrainerReply::Failed {
            failure: TrainerFailure::Data,
            message,
        }));
    }
}

fn send(reply: &TrainerReply) {
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    // Fails only if the parent process has ended.
    drop(out.write_all(&line).and_then(|()| out.flush()));
}

fn initialize(request: &InitializeRequest) -> Result<TrainerReply, String> {
    let mut rng = SeededRng::new(RngDomain::InitialWeights, request.seed, 0, 0, 0);
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    let weights: Vec<f32> =
        (0..parameters(&request.spec)?).map(|_| (rng.normal() * 0.1) as f32).collect();
    let bytes = codec::encode(&weights);
    std::fs::write(&request.output, &bytes).map_err(|error| error.to_string())?;
    Ok(TrainerReply::Initialized { model: BlobHash::compute(&bytes) })
}

fn evaluate(request: &EvaluateRequest) -> Result<TrainerReply, String> {
    let weights = codec::decode(&read(&request.model)?, parameters(&request.spec)?)
        .map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for path in &request.shards {
        rows.extend(shard::read(&read(path)?).map_err(|error| error.to_string())?.rows);
    }
    let classes = rows.iter().map(|row| row.label as usize + 1).max().unwrap_or(1);
    let logits: Vec<f64> =
        weights[weights.len() - classes..].iter().map(|weight| f64::from(*weight)).collect();
    let total = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
    let predicted = (0..classes).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap_or(0);
    let mut confusion = vec![vec![0; classes]; classes];
    let mut loss = 0.0;
    for row in &rows {
        confusion[row.label as usize][predicted] += 1;
        loss += total - logits[row.label as usize];
    }
    let count = rows.len().max(1) as f64;
    let metrics = EvalMetrics {
        accuracy: confusion[predicted][predicted] as f64 / count,
        loss: loss / count,
        examples: rows.len() as u64,
        confusion,
    };
    Ok(TrainerReply::Evaluated { metrics })
}

/// Predicts from the biases alone. The request must contain exactly one readable row.
fn predict(request: &PredictRequest) -> Result<TrainerReply, String> {
    let header = model_file::header(&request.spec).map_err(|error| error.to_string())?;
    let file = read(&request.model)?;
    let flat = file.strip_prefix(header.as_slice()).ok_or("this is not a model file")?;
    let weights =
        codec::decode(flat, parameters(&request.spec)?).map_err(|error| error.to_string())?;
    let rows = shard::read(&read(&request.shard)?).map_err(|error| error.to_string())?.rows;
    if rows.len() != 1 {
        return Err(format!("expected 1 row, got {}", rows.len()));
    }
    let shapes = request.spec.shapes().map_err(|error| error.to_string())?;
    let Some(Shape::Flat(classes)) = shapes.last() else { return Err("no classes".to_owned()) };
    let biases = &weights[weights.len() - *classes as usize..];
    let powers: Vec<f64> = biases.iter().map(|bias| f64::from(*bias).exp()).collect();
    let sum: f64 = powers.iter().sum();
    Ok(TrainerReply::Predicted { probabilities: powers.iter().map(|it| it / sum).collect() })
}

fn parameters(spec: &ModelSpec) -> Result<usize, String> {
    Ok(spec.layout().map_err(|error| error.to_string())?.parameters)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let path: PathBuf = path.to_owned();
    std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}
