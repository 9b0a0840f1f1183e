//! Validation of jobs before they start.

use std::time::Duration;

use super::{JobSpec, ModelType, Partitioner};
use crate::dataset::SampleShape;
use crate::device::check_labels;
use crate::duration;
use crate::model::{ModelSpec, Preset, SpecError};
use crate::plan::{LocalWork, Optimizer};
use crate::text;

const MAXIMUM_PARTITIONS: u32 = 100_000;
const MAXIMUM_ROUNDS: u32 = 100_000;
const MAXIMUM_BATCH: u32 = 65_536;
const MAXIMUM_THREADS: u32 = 256;

/// Invalid job: the invalid field and what to change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JobError {
    #[error("{field}: {message}")]
    Field { field: &'static str, message: String },
    #[error("model: {0}")]
    Spec(#[from] SpecError),
}

impl JobError {
    /// Returns the invalid field as a dotted path.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Field { field, .. } => field,
            Self::Spec(_) => "model.layers",
        }
    }
}

fn wrong(field: &'static str, message: impl Into<String>) -> JobError {
    JobError::Field { field, message: message.into() }
}

fn within(field: &'static str, value: u64, minimum: u64, maximum: u64) -> Result<(), JobError> {
    if (minimum..=maximum).contains(&value) {
        return Ok(());
    }
    Err(wrong(field, format!("{value} is not from {minimum} to {maximum}")))
}

fn share(field: &'static str, value: f64) -> Result<(), JobError> {
    if value > 0.0 && value <= 1.0 {
        return Ok(());
    }
    Err(wrong(field, format!("{value} must be above 0 and at most 1")))
}

fn positive(field: &'static str, value: f64) -> Result<(), JobError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(wrong(field, format!("{value} must be a number above 0")))
}

impl JobSpec {
    /// Checks everything that does not depend on the dataset.
    pub fn check(&self) -> Result<(), JobError> {
        if self.name.trim().is_empty() || self.name.chars().count() > 100 {
            return Err(wrong("name", "must be 1 to 100 characters on one line"));
        }
        text::check(&self.name).map_err(|hidden| wrong("name", hidden.to_string()))?;
        text::check(&self.dataset).map_err(|hidden| wrong("dataset", hidden.to_string()))?;
        if self.dataset.is_empty() {
            return Err(wrong("dataset", "is empty; `constellation dataset list` shows the names"));
        }
        if i64::try_from(self.seed).is_err() {
            // TOML and JavaScript support at most signed 64-bit integers.
            return Err(wrong("seed", "must be at most 9223372036854775807"));
        }
        if self.model.preset.is_some() && self.model.layers.is_some() {
            return Err(wrong("model", "has both a preset and layers; keep one of them"));
        }
        if self.model.input.is_some() && self.model.layers.is_none() {
            return Err(wrong("model.input", "goes only with model.layers; remove it"));
        }
        self.check_data()?;
        self.check_plan()?;
        share("strategy.fraction", self.strategy.fraction)?;
        let norm = self.strategy.maximum_norm.unwrap_or(0.0);
        if !norm.is_finite() || norm < 0.0 {
            return Err(wrong("strategy.maximum_norm", "must be 0 (no bound) or more"));
        }
        within("run.rounds", u64::from(self.rounds()), 1, u64::from(MAXIMUM_ROUNDS))?;
        share("run.minimum_fraction", self.run.minimum_fraction)?;
        if !(0.0..=1.0).contains(&self.run.target_accuracy) {
            return Err(wrong("run.target_accuracy", "must be from 0 (off) to 1"));
        }
        check_labels(&self.run.labels).map_err(|words| wrong("run.labels", words))?;
        self.round_deadline().map(|_| ())
    }

    fn check_data(&self) -> Result<(), JobError> {
        let partitions = u64::from(self.data.partitions);
        within("data.partitions", partitions, 1, u64::from(MAXIMUM_PARTITIONS))?;
        match self.data.partitioner {
            Partitioner::Iid => Ok(()),
            Partitioner::Dirichlet { alpha } | Partitioner::Quantity { alpha } => {
                positive("data.partitioner.alpha", alpha)
            }
            Partitioner::Shards { per_partition } => {
                within("data.partitioner.per_partition", u64::from(per_partition), 1, 10_000)
            }
        }
    }

    fn check_plan(&self) -> Result<(), JobError> {
        if self.plan.local_epochs.is_some() && self.plan.local_steps.is_some() {
            return Err(wrong("plan", "has both local_epochs and local_steps; keep one of them"));
        }
        let plan = self.plan();
        match plan.local_work {
            LocalWork::Epochs(epochs) => {
                within("plan.local_epochs", u64::from(epochs), 1, 10_000)?;
            }
            LocalWork::Steps(steps) => {
                within("plan.local_steps", u64::from(steps), 1, 10_000_000)?;
            }
        }
        let batch_size = u64::from(plan.batch_size);
        within("plan.batch_size", batch_size, 1, u64::from(MAXIMUM_BATCH))?;
        within("plan.threads", u64::from(plan.threads), 1, u64::from(MAXIMUM_THREADS))?;
        let (learning_rate, momentum, weight_decay) = match plan.optimizer {
            Optimizer::Sgd { learning_rate, momentum, weight_decay } => {
                (learning_rate, momentum, weight_decay)
            }
            Optimizer::Adam { learning_rate } => (learning_rate, 0.0, 0.0),
            Optimizer::AdamW { learning_rate, weight_decay } => (learning_rate, 0.0, weight_decay),
        };
        positive("plan.optimizer.learning_rate", learning_rate)?;
        if !(0.0..1.0).contains(&momentum) {
            return Err(wrong("plan.optimizer.momentum", "must be at least 0 and below 1"));
        }
        if !weight_decay.is_finite() || weight_decay < 0.0 {
            return Err(wrong("plan.optimizer.weight_decay", "must be 0 or more"));
        }
        Ok(())
    }

    /// Returns the time after which a round closes with the minimum of updates. `None` without a deadline.
    pub fn round_deadline(&self) -> Result<Option<Duration>, JobError> {
        let text = self.run.round_deadline.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let deadline = duration::parse(text).ok().filter(|deadline| !deadline.is_zero());
        deadline.map(Some).ok_or_else(|| {
            wrong("run.round_deadline", format!("'{text}' is not a duration such as 30m or 2h"))
        })
    }
}

impl JobSpec {
    /// Returns the model to train on rows of this shape. This is the only place where presets
    /// become layers.
    pub fn model_spec(&self, sample: SampleShape, classes: u32) -> Result<ModelSpec, JobError> {
        if !self.model_type.reads(sample) {
            let (family, other) = match self.model_type {
                ModelType::Vision => ("vision", "nlp"),
                ModelType::Nlp => ("nlp", "vision"),
            };
            let message =
                format!("'{family}' does not read the rows of '{}'; use '{other}'", self.dataset);
            return Err(wrong("model_type", message));
        }
        let usual = Preset::for_sample(sample);
        let preset = self.model.preset.unwrap_or(usual);
        let spec = preset.spec(sample, classes).ok_or_else(|| {
            let message = format!(
                "'{}' does not read the rows of '{}'; '{}' does",
                preset.name(),
                self.dataset,
                usual.name()
            );
            wrong("model.preset", message)
        })?;
        let spec = match &self.model.layers {
            None => spec,
            Some(layers) => {
                ModelSpec { input: self.model.input.unwrap_or(spec.input), layers: layers.clone() }
            }
        };
        spec.check(classes)?;
        spec.check_input(sample)?;
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(text: &str) -> JobSpec {
        let head = serde_json::json!({"name": "n", "model_type": "nlp", "dataset": "synthetic"});
        let mut whole = head.as_object().unwrap().clone();
        let more: serde_json::Value = serde_json::from_str(text).unwrap();
        whole.extend(more.as_object().unwrap().clone());
        serde_json::from_value(serde_json::Value::Object(whole)).unwrap()
    }

    #[test]
    fn a_job_of_three_fields_works() {
        let job = job("{}");
        job.check().unwrap();
        assert_eq!(job.model_name(), "text_bag");
        job.model_spec(SampleShape::Text, 4).unwrap();
    }

    #[test]
    fn impossible_jobs_name_their_field() {
        for (text, field) in [
            (r#"{"data": {"partitions": 0}}"#, "data.partitions"),
            (
                r#"{"data": {"partitioner": {"kind": "dirichlet", "alpha": -1.0}}}"#,
                "data.partitioner.alpha",
            ),
            (r#"{"plan": {"batch_size": 0}}"#, "plan.batch_size"),
            (r#"{"plan": {"local_epochs": 1, "local_steps": 1}}"#, "plan"),
            (
                r#"{"plan": {"optimizer": {"kind": "sgd", "learning_rate": 0.0}}}"#,
                "plan.optimizer.learning_rate",
            ),
            (r#"{"strategy": {"fraction": 1.5}}"#, "strategy.fraction"),
            (r#"{"strategy": {"maximum_norm": -1.0}}"#, "strategy.maximum_norm"),
            (r#"{"run": {"rounds": 0}}"#, "run.rounds"),
            (r#"{"run": {"labels": [" lab"]}}"#, "run.labels"),
            (r#"{"run": {"round_deadline": "soon"}}"#, "run.round_deadline"),
            (r#"{"name": " "}"#, "name"),
        ] {
            assert_eq!(job(text).check().unwrap_err().field(), field, "{text}");
        }
    }

    #[test]
    fn a_preset_of_the_other_family_names_the_right_one() {
        let error = job(r#"{"model": {"preset": "cnn"}}"#).model_spec(SampleShape::Text, 4);
        assert_eq!(
            error.unwrap_err().to_string(),
            "model.preset: 'cnn' does not read the rows of 'synthetic'; 'text_bag' does"
        );
    }

    #[test]
    fn layers_that_do_not_meet_are_refused_with_the_layer_and_the_reason() {
        let text = r#"{"model": {"layers": [
            {"kind": "embedding_bag", "dimension": 8},
            {"kind": "conv2d", "channels": 4, "kernel": 3},
            {"kind": "linear", "outputs": 4}]}}"#;
        assert_eq!(
            job(text).model_spec(SampleShape::Text, 4).unwrap_err().to_string(),
            "model: layer 1 (conv2d): takes an image, but gets a vector of 8"
        );
    }
}
