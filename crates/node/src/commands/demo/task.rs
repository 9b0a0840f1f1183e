//! The job that a demo runs: the defaults of the dataset's model type.

use std::path::Path;

use anyhow::{Context, bail};
use protocol::dataset::{DatasetEntry, SampleShape};
use protocol::job::{JobSpec, ModelType};

use super::arguments::DemoArguments;
use crate::job_file;

/// Seconds that an upload takes under `--chaos`, long enough for a kill to interrupt it.
const UPLOAD_SECONDS: f64 = 0.4;

/// Builds the job from the command-line arguments.
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
    // The same as a job file with these three lines: the demo adds no defaults of its own.
    let head = serde_json::json!({ "name": format!("demo-{name}"), "model_type": model_type, "dataset": name });
    let mut job: JobSpec = serde_json::from_value(head).context("can't build the default job")?;
    job.run.rounds = arguments.rounds;
    job.check()?;
    Ok(job)
}

/// Returns the dataset of this name; the error lists the known names.
pub(super) fn find<'a>(
    datasets: &'a [DatasetEntry],
    name: &str,
) -> anyhow::Result<&'a DatasetEntry> {
    if let Some(dataset) = datasets.iter().find(|dataset| dataset.name == name) {
        return Ok(dataset);
    }
    let known: Vec<&str> = datasets.iter().map(|dataset| dataset.name.as_str()).collect();
    bail!("there is no dataset '{name}'. Available datasets: {}", known.join(", "))
}

/// Writes the job as a TOML file for `simulate` and `job submit`.
pub(super) fn write(job: &JobSpec, file: &Path) -> anyhow::Result<()> {
    let text = toml::to_string(job).context("can't convert the job to TOML")?;
    std::fs::write(file, text).with_context(|| format!("can't write {}", file.display()))
}

/// Upload limit in megabits per second at which an update of this job takes [`UPLOAD_SECONDS`].
pub(super) fn slow_upload(job: &JobSpec, dataset: &DatasetEntry) -> anyhow::Result<f64> {
    let classes = dataset.classes.as_ref().map_or(2, Vec::len);
    let spec = job.model_spec(dataset.sample, u32::try_from(classes)?)?;
    let bits = spec.layout()?.parameters as f64 * 32.0;
    Ok((bits / 1e6 / UPLOAD_SECONDS).max(0.01))
}
