//! The job that a demo runs: its family's defaults, whatever the dataset is called.

use std::path::Path;

use anyhow::{Context, bail};
use protocol::dataset::{DatasetEntry, SampleShape};
use protocol::job::{JobSpec, ModelType};

use super::DemoArguments;
use crate::job_file;

/// Seconds that an upload takes where chaos wants to hit one.
const UPLOAD_SECONDS: f64 = 0.4;

/// The job of the arguments.
pub(super) fn job(arguments: &DemoArguments, datasets: &[DatasetEntry]) -> anyhow::Result<JobSpec> {
    if let Some(file) = &arguments.job {
        return Ok(job_file::read(file)?);
    }
    let name = &arguments.dataset;
    let dataset = find(datasets, name)?;
    let model_type = match dataset.sample {
        SampleShape::Text => ModelType::Nlp,
        SampleShape::Image { .. } => ModelType::Vision,
    };
    // As a job file with these three lines would be read: nothing here is the demo's own.
    let head = serde_json::json!({ "name": format!("demo-{name}"), "model_type": model_type, "dataset": name });
    let mut job: JobSpec = serde_json::from_value(head).context("the usual job can't be read")?;
    job.run.rounds = arguments.rounds;
    job.check()?;
    Ok(job)
}

/// The dataset of this name, or the names that there are.
pub(super) fn find<'a>(
    datasets: &'a [DatasetEntry],
    name: &str,
) -> anyhow::Result<&'a DatasetEntry> {
    if let Some(dataset) = datasets.iter().find(|dataset| dataset.name == name) {
        return Ok(dataset);
    }
    let known: Vec<&str> = datasets.iter().map(|dataset| dataset.name.as_str()).collect();
    bail!("unknown dataset '{name}': known are {}", known.join(", "))
}

/// Writes the job as `simulate` and `job submit` read it.
pub(super) fn write(job: &JobSpec, file: &Path) -> anyhow::Result<()> {
    let text = toml::to_string(job).context("the job can't be written as a file")?;
    std::fs::write(file, text).with_context(|| format!("can't write {}", file.display()))
}

/// Megabits a second at which an update of this job takes a while that a kill can hit.
pub(super) fn slow_upload(job: &JobSpec, dataset: &DatasetEntry) -> anyhow::Result<f64> {
    let classes = dataset.classes.as_ref().map_or(2, Vec::len);
    let spec = job.model_spec(dataset.sample, u32::try_from(classes)?)?;
    let bits = spec.layout()?.parameters as f64 * 32.0;
    Ok((bits / 1e6 / UPLOAD_SECONDS).max(0.01))
}
