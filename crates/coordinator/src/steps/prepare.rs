//! Preparation of a job's first round: dataset shards and initial weights.

use std::sync::Arc;
use std::time::{Duration, Instant};

use data::{DataError, Dataset, LoadProgress, Row, shard};
use federation::machine::{Partition, Preparation};
use federation::partition::{PartitionError, partition, split_validation};
use protocol::dataset::DatasetInfo;
use protocol::job::{DataSpec, JobError, JobSpec};
use protocol::model::ModelSpec;
use protocol::trainer::InitializeRequest;
use protocol::{BlobHash, RngDomain, SeededRng, codec};
use tokio_util::sync::CancellationToken;

use super::context::{ProgressFn, StepContext, Task, blocking};
use super::error::StepError;
use crate::blobs::Blobs;
use crate::crash_points::CrashPoint;

/// Interval between progress reports of a dataset load.
const SAY: Duration = Duration::from_millis(500);

/// Dataset divided for a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    pub spec: ModelSpec,
    /// In order of partition number.
    pub partitions: Vec<PreparedPartition>,
    /// Shard of the held-out split.
    pub test: Vec<u8>,
    /// Shard of the validation rows: the dataset's own or, if it has none, training rows that are held
    /// back. `None` unless the job has a target accuracy.
    pub validation: Option<Vec<u8>>,
    pub info: DatasetInfo,
}

/// Rows of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedPartition {
    /// Bytes of the shard.
    pub shard: Vec<u8>,
    pub rows: u64,
}

/// Divides the dataset by the job's settings. The same job and rows give the same bytes.
///
/// # Errors
/// The model can't be built for these rows, or there are too few rows. The error names the invalid
/// field.
pub fn divide(job: &JobSpec, dataset: &Dataset) -> Result<Prepared, JobError> {
    let info = &dataset.info;
    let classes = u32::try_from(info.classes.len()).unwrap_or(u32::MAX);
    let spec = job.model_spec(info.sample, classes)?;
    let rows = limited(job.seed, &job.data, &dataset.train);
    let (rows, validation) = if job.run.target_accuracy <= 0.0 {
        (rows, None)
    } else if dataset.validation.is_empty() {
        let split = split_validation(job.seed, &labels(&rows), classes)
            .map_err(|error| too_few_rows(&error))?;
        (picked(&rows, &split.train), Some(picked(&rows, &split.validation)))
    } else {
        (rows, Some(dataset.validation.iter().collect()))
    };
    let parts = dealt(job.seed, &job.data, &rows, classes)?;
    let partitions = parts.iter().map(|part| PreparedPartition {
        shard: shard::write(info.sample, part),
        rows: part.len() as u64,
    });
    Ok(Prepared {
        spec,
        partitions: partitions.collect(),
        test: shard::write(info.sample, &dataset.test.iter().collect::<Vec<_>>()),
        validation: validation.map(|rows| shard::write(info.sample, &rows)),
        info: info.clone(),
    })
}

/// Returns the rows of each partition for a job with this seed and no target accuracy, which may hold
/// rows back.
///
/// # Errors
/// As [`divide`].
pub(crate) fn partitions<'a>(
    seed: u64,
    data: &DataSpec,
    dataset: &'a Dataset,
) -> Result<Vec<Vec<&'a Row>>, JobError> {
    let classes = u32::try_from(dataset.info.classes.len()).unwrap_or(u32::MAX);
    dealt(seed, data, &limited(seed, data, &dataset.train), classes)
}

fn dealt<'a>(
    seed: u64,
    data: &DataSpec,
    rows: &[&'a Row],
    classes: u32,
) -> Result<Vec<Vec<&'a Row>>, JobError> {
    let parts = partition(seed, &data.partitioner, &labels(rows), classes, data.partitions);
    let parts = parts.map_err(|error| too_few_rows(&error))?;
    Ok(parts.iter().map(|part| picked(rows, part)).collect())
}

fn labels(rows: &[&Row]) -> Vec<u32> {
    rows.iter().map(|row| row.label).collect()
}

fn too_few_rows(error: &PartitionError) -> JobError {
    JobError::Field { field: "data.partitions", message: error.to_string() }
}

/// Returns the rows that the job trains on, in the dataset's order: all of them, or a random sample
/// of the limit's size. The sample is random because files are often sorted.
fn limited<'a>(seed: u64, data: &DataSpec, train: &'a [Row]) -> Vec<&'a Row> {
    let limit = usize::try_from(data.train_limit).unwrap_or(usize::MAX);
    if limit == 0 || limit >= train.len() {
        return train.iter().collect();
    }
    let mut drawn: Vec<usize> = (0..train.len()).collect();
    SeededRng::new(RngDomain::Selection, seed, 0, 0, 0).shuffle(&mut drawn);
    drawn.truncate(limit);
    drawn.sort_unstable();
    drawn.into_iter().map(|index| &train[index]).collect()
}

fn picked<'a>(rows: &[&'a Row], indices: &[u32]) -> Vec<&'a Row> {
    indices.iter().filter_map(|index| rows.get(*index as usize).copied()).collect()
}

/// Stores everything that the first round needs.
pub(crate) async fn prepare(
    context: &StepContext,
    task: &Task,
    cancel: &CancellationToken,
    report: &ProgressFn,
) -> Result<Preparation, StepError> {
    let (loaded, report) = (context.clone(), Arc::clone(report));
    let (owned, ended) = (task.clone(), cancel.clone());
    let divided = blocking(move || {
        let prepared = load(&loaded, &owned, &report)?;
        report(format!("storing {} shards", prepared.partitions.len()));
        store(&loaded.blobs, &prepared, &ended)
    });
    let divided = divided.await?;
    context.observer.points.pass(CrashPoint::ShardsStored);
    let base = initialize(context, &task.spec, &divided.spec, cancel).await?;
    Ok(Preparation { base, ..divided })
}

fn load(context: &StepContext, task: &Task, report: &ProgressFn) -> Result<Prepared, StepError> {
    let Task { spec, dataset, .. } = task;
    let mut said = Instant::now();
    let mut progress = |progress: LoadProgress| {
        if said.elapsed() >= SAY {
            said = Instant::now();
            report(progress_text(&progress));
        }
    };
    let loaded = context.datasets.load_for_job(&spec.dataset, dataset.as_ref(), &mut progress);
    let dataset = loaded.map_err(|error| data_fault(&error))?;
    report("dividing".to_owned());
    divide(spec, &dataset).map_err(|error| StepError::Permanent(error.to_string()))
}

fn progress_text(progress: &LoadProgress) -> String {
    match progress {
        LoadProgress::Downloading { file, done, total: Some(total) } if *total > 0 => {
            let share = *done as f64 / *total as f64 * 100.0;
            format!("downloading {file}, {share:.0} %")
        }
        LoadProgress::Downloading { file, done, .. } => {
            format!("downloading {file}, {} MB", done >> 20)
        }
        LoadProgress::Reading { rows } => format!("{rows} rows read"),
    }
}

fn data_fault(error: &DataError) -> StepError {
    match error {
        DataError::Io { source, .. } if crate::blobs::is_full(source) => StepError::Full,
        DataError::Interrupted { .. } => StepError::Transient(error.to_string()),
        DataError::Unknown { .. }
        | DataError::Offline { .. }
        | DataError::Denied { .. }
        | DataError::Missing { .. }
        | DataError::Refused { .. }
        | DataError::Damaged { .. }
        | DataError::Io { .. }
        | DataError::Row { .. }
        | DataError::File { .. }
        | DataError::Shard { .. }
        | DataError::BadName(_)
        | DataError::TooManyBadRows { .. }
        | DataError::ClassTooSmall { .. }
        | DataError::HiddenClass(_)
        | DataError::TooFewClasses(_)
        | DataError::Undecided { .. } => StepError::Permanent(error.to_string()),
    }
}

/// Stores the shards. The result lacks the base model.
fn store(
    blobs: &Blobs,
    prepared: &Prepared,
    cancel: &CancellationToken,
) -> Result<Preparation, StepError> {
    let put = |bytes: &[u8]| {
        if cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        blobs.put(bytes).map_err(StepError::io("could not store a shard"))
    };
    let partitions = prepared.partitions.iter().map(|partition| {
        let shards = if partition.rows == 0 { Vec::new() } else { vec![put(&partition.shard)?] };
        Ok(Partition { rows: partition.rows, shards })
    });
    let validation = prepared.validation.iter().map(|shard| put(shard));
    Ok(Preparation {
        spec: prepared.spec.clone(),
        base: BlobHash::from_bytes([0; 32]),
        partitions: partitions.collect::<Result<_, _>>()?,
        test: vec![put(&prepared.test)?],
        validation: validation.collect::<Result<_, _>>()?,
        classes: prepared.info.classes.clone(),
    })
}

/// Creates initial weights with a trainer.
async fn initialize(
    context: &StepContext,
    job: &JobSpec,
    spec: &ModelSpec,
    cancel: &CancellationToken,
) -> Result<BlobHash, StepError> {
    let folder = context.blobs.scratch_dir().map_err(StepError::io("could not create a folder"))?;
    let output = folder.path().join("initial");
    let request = InitializeRequest { spec: spec.clone(), seed: job.seed, output: output.clone() };
    context.trainers.initialize(request, cancel).await?;
    let (blobs, spec) = (context.blobs.clone(), spec.clone());
    blocking(move || {
        let layout = spec.layout();
        let layout = layout.map_err(|error| StepError::Permanent(format!("model: {error}")))?;
        let bytes = std::fs::read(&output);
        let bytes = bytes.map_err(StepError::io("could not read the initial weights"))?;
        let weights = codec::decode(&bytes, layout.parameters);
        let weights = weights.map_err(|error| {
            StepError::Permanent(format!("the trainer made unusable initial weights: {error}"))
        })?;
        if weights.iter().any(|weight| !weight.is_finite()) {
            let reason = "the trainer made initial weights that are not finite numbers";
            return Err(StepError::Permanent(reason.to_owned()));
        }
        // The folder must exist until the read has finished.
        drop(folder);
        blobs.put(&bytes).map_err(StepError::io("could not store the initial weights"))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use data::synthetic::Synthetic;

    use super::*;

    fn job(more: &serde_json::Value) -> JobSpec {
        let mut job = serde_json::json!({
            "name": "n", "model_type": "nlp", "dataset": "synthetic",
            "data": { "partitions": 3, "train_limit": 100 }
        });
        for (field, value) in more.as_object().unwrap() {
            job[field] = value.clone();
        }
        serde_json::from_value(job).unwrap()
    }

    fn texts(shard: &[u8]) -> BTreeSet<Vec<u8>> {
        let rows = shard::read(shard).unwrap().rows;
        rows.iter().map(|row| row.sample.bytes().to_vec()).collect()
    }

    #[test]
    fn every_row_within_the_limit_is_in_one_partition() {
        let dataset = Synthetic::Topics.generate();
        let prepared = divide(&job(&serde_json::json!({})), &dataset).unwrap();
        let rows: u64 = prepared.partitions.iter().map(|partition| partition.rows).sum();
        assert_eq!((prepared.partitions.len(), rows), (3, 100));
        for partition in &prepared.partitions {
            assert_eq!(shard::read(&partition.shard).unwrap().rows.len() as u64, partition.rows);
        }
        assert_eq!(shard::read(&prepared.test).unwrap().rows, dataset.test);
        assert_eq!(prepared.validation, None);
        assert_eq!(divide(&job(&serde_json::json!({})), &dataset).unwrap(), prepared);
    }

    #[test]
    fn partitions_that_are_looked_at_are_those_of_the_job() {
        let dataset = Synthetic::Topics.generate();
        let skewed = serde_json::json!({ "seed": 7, "data": {
            "partitions": 4, "train_limit": 500, "partitioner": { "kind": "dirichlet", "alpha": 0.3 }
        } });
        let job = job(&skewed);
        let shown = partitions(7, &job.data, &dataset).unwrap();
        let shards: Vec<Vec<u8>> =
            shown.iter().map(|rows| shard::write(dataset.info.sample, rows)).collect();
        let prepared = divide(&job, &dataset).unwrap();
        let drawn: Vec<Vec<u8>> = prepared.partitions.into_iter().map(|it| it.shard).collect();
        assert_eq!(shards, drawn);
    }

    #[test]
    fn the_validation_split_comes_from_train_and_is_not_trained_on() {
        let dataset = Synthetic::Topics.generate();
        let target = serde_json::json!({ "run": { "target_accuracy": 0.5 } });
        let prepared = divide(&job(&target), &dataset).unwrap();
        let validation = texts(prepared.validation.as_ref().unwrap());
        assert!(!validation.is_empty());
        let train: BTreeSet<Vec<u8>> =
            dataset.train.iter().map(|row| row.sample.bytes().to_vec()).collect();
        assert!(validation.is_subset(&train));
        let rows: u64 = prepared.partitions.iter().map(|partition| partition.rows).sum();
        let held = shard::read(prepared.validation.as_ref().unwrap()).unwrap().rows.len() as u64;
        assert_eq!(rows + held, 100);
    }

    #[test]
    fn the_validation_rows_of_a_dataset_are_used_and_no_training_row_is_held_back() {
        let mut dataset = Synthetic::Topics.generate();
        let plain = divide(&job(&serde_json::json!({})), &dataset).unwrap();
        dataset.validation = dataset.test.split_off(1990);
        let target = job(&serde_json::json!({ "run": { "target_accuracy": 0.5 } }));
        let prepared = divide(&target, &dataset).unwrap();
        let validation = shard::read(prepared.validation.as_ref().unwrap()).unwrap().rows;
        assert_eq!(validation, dataset.validation);
        assert_eq!(prepared.partitions, plain.partitions);
        assert_eq!(divide(&target, &dataset).unwrap(), prepared);

        // Without a target accuracy, nothing is evaluated on them.
        let prepared = divide(&job(&serde_json::json!({})), &dataset).unwrap();
        assert_eq!((prepared.validation, prepared.partitions), (None, plain.partitions));
    }

    #[test]
    fn more_partitions_than_rows_name_their_field() {
        let dataset = Synthetic::Topics.generate();
        let many = serde_json::json!({ "data": { "partitions": 11, "train_limit": 10 } });
        assert_eq!(divide(&job(&many), &dataset).unwrap_err().field(), "data.partitions");
    }
}
