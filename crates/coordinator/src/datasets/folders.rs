//! Datasets of earlier versions of this program, which stored each in a folder: they become rows and blobs.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use data::{Dataset, Origin, Sources};
use protocol::Timestamp;
use uuid::Uuid;

use super::shards::store_version;
use crate::blobs::{Blobs, is_full};
use crate::clock;
use crate::store::{
    Batch, DatasetPin, DatasetRow, DatasetVersionRow, JobDetails, JobDetailsRow, Loaded, Store,
    StoreError,
};

/// Stores the datasets in the folder of uploads as version 1 of their names, and then removes their folders.
/// A folder that can't be read stays, with a warning.
///
/// # Errors
/// If the disk is full, or the database can't be written.
pub(crate) fn adopt(
    sources: &Sources,
    blobs: &Blobs,
    store: &mut Store,
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let uploaded = sources.list().into_iter().filter(|entry| entry.origin == Origin::Uploaded);
    for name in uploaded.map(|entry| entry.name) {
        let folder = sources.uploads.join(&name);
        let version = match read(sources, blobs, &name) {
            Ok(version) => version,
            Err(error) if is_full(&error) => return Err(StoreError::Full),
            Err(error) => {
                tracing::error!(folder = %folder.display(), %error, "an uploaded dataset can't be read");
                continue;
            }
        };
        let existing = loaded.datasets.iter().find(|row| row.name == name);
        if let Some(existing) = existing.filter(|row| !row.versions.is_empty()) {
            let same = |row: &DatasetVersionRow| row.blobs().eq(version.blobs());
            if !existing.versions.values().any(same) {
                let folder = folder.display();
                tracing::error!(%folder, "there is another dataset of this name; the folder is not used");
                continue;
            }
        } else {
            let row = dataset(&name, version, &folder);
            add(row, store, loaded)?;
        }
        remove(&folder);
    }
    Ok(())
}

fn read(sources: &Sources, blobs: &Blobs, name: &str) -> io::Result<DatasetVersionRow> {
    let unreadable = |error: data::DataError| io::Error::other(error.to_string());
    let dataset: Option<Dataset> = sources.load_offline(name, &mut |_| {}).map_err(unreadable)?;
    let dataset = dataset.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    store_version(blobs, &dataset, Vec::new(), serde_json::Value::Null)
}

fn dataset(name: &str, version: DatasetVersionRow, folder: &Path) -> DatasetRow {
    let changed = folder.metadata().and_then(|metadata| metadata.modified()).ok();
    let created_at = changed
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .map_or_else(clock::now, Timestamp::from_millis);
    let version = DatasetVersionRow { created_at, ..version };
    DatasetRow {
        id: Uuid::now_v7().to_string(),
        name: name.to_owned(),
        created_at,
        archived_at: None,
        newest: 1,
        versions: BTreeMap::from([(1, version)]),
    }
}

/// Commits the dataset. Its jobs and their models now name its version 1.
fn add(row: DatasetRow, store: &mut Store, loaded: &mut Loaded) -> Result<(), StoreError> {
    let pin =
        DatasetPin { dataset: row.id.clone(), name: row.name.clone(), version: 1, deleted: false };
    let pinned = |details: &JobDetailsRow| details.details.dataset.is_some();
    let mut job_details = Vec::new();
    for job in loaded.jobs.iter().filter(|job| job.machine.spec().dataset == row.name) {
        let known = loaded.job_details.iter().find(|details| details.job == job.id);
        if known.is_some_and(pinned) {
            continue;
        }
        let details = known.map_or_else(JobDetails::default, |known| known.details.clone());
        let details = JobDetails { dataset: Some(pin.clone()), ..details };
        job_details.push(JobDetailsRow { job: job.id, details });
    }
    let mut models = Vec::new();
    for model in &mut loaded.models {
        let trained = job_details.iter().any(|details| model.model.job_id == Some(details.job));
        if trained && model.model.dataset_version.is_none() {
            model.model.dataset_version = Some(pin.label());
            model.card["model"]["dataset_version"] = pin.label().into();
            models.push(model.clone());
        }
    }
    let batch = Batch {
        datasets: vec![row.clone()],
        job_details: job_details.clone(),
        models,
        ..Batch::default()
    };
    store.commit(&batch)?;
    let changed = |job| job_details.iter().any(|details| details.job == job);
    loaded.job_details.retain(|details| !changed(details.job));
    loaded.job_details.extend(job_details);
    loaded.datasets.retain(|other| other.name != row.name);
    loaded.datasets.push(row);
    Ok(())
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        let folder = folder.display();
        tracing::warn!(%folder, %error, "could not remove the folder of a dataset that is stored elsewhere");
    }
}
