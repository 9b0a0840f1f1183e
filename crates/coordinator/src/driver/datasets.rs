//! Versions of uploaded datasets: the version that a job uses, and new versions.

use std::collections::BTreeMap;

use data::is_reserved;
use protocol::api::ChangeKind;
use protocol::audit::{Action, SubjectKind};
use protocol::split_version;
use uuid::Uuid;

use super::audited::Audited;
use super::{Driver, DriverError};
use crate::access::caller::{Caller, detail};
use crate::clock;
use crate::store::{DatasetPin, DatasetRow, DatasetVersionRow};

/// Version to add. Its shards are stored already.
#[derive(Debug, Clone)]
pub(crate) struct NewVersion {
    pub(crate) name: String,
    /// Whether the name may have versions already.
    pub(crate) is_next: bool,
    /// The driver sets its time and its creator.
    pub(crate) row: DatasetVersionRow,
}

impl Driver {
    /// Returns the version of an uploaded dataset that a new job on this dataset uses: the one that it
    /// names, or the newest. `None` for embedded and published datasets.
    pub(super) fn pin(&self, dataset: &str) -> Result<Option<DatasetPin>, DriverError> {
        let (name, wanted) = split_version(dataset);
        if is_reserved(name) && wanted.is_none() {
            return Ok(None);
        }
        let unknown = || DriverError::UnknownDataset(dataset.to_owned());
        let row = self.dataset_named(name).ok_or_else(unknown)?;
        if row.archived_at.is_some() {
            return Err(DriverError::ArchivedDataset(name.to_owned()));
        }
        let newest = row.current().map(|(number, _)| number);
        let version = wanted.or(newest).ok_or_else(unknown)?;
        if !row.versions.contains_key(&version) {
            return Err(unknown());
        }
        let (dataset, name) = (row.id.clone(), row.name.clone());
        Ok(Some(DatasetPin { dataset, name, version, deleted: false }))
    }

    /// Returns the dataset with this name. It has no versions if they were deleted.
    pub(super) fn dataset_named(&self, name: &str) -> Option<&DatasetRow> {
        self.state.datasets.values().find(|row| row.name == name)
    }

    /// Adds a version and returns its number.
    fn add_version(&mut self, new: NewVersion, caller: &Caller) -> Result<u32, DriverError> {
        self.check_blobs(&new.row.blobs().collect::<Vec<_>>())?;
        let now = clock::now();
        let mut dataset = match self.dataset_named(&new.name) {
            Some(row) if row.versions.is_empty() => DatasetRow { archived_at: None, ..row.clone() },
            Some(_) if !new.is_next => return Err(DriverError::DatasetExists(new.name)),
            Some(row) if row.archived_at.is_some() => {
                return Err(DriverError::ArchivedDataset(new.name));
            }
            Some(row) => row.clone(),
            None => DatasetRow {
                id: Uuid::now_v7().to_string(),
                name: new.name,
                created_at: now,
                archived_at: None,
                newest: 0,
                versions: BTreeMap::new(),
            },
        };
        dataset.newest += 1;
        let number = dataset.newest;
        let row = DatasetVersionRow { created_at: now, created_by: Some(caller.name()), ..new.row };
        dataset.versions.insert(number, row);
        self.put_dataset(dataset);
        Ok(number)
    }

    pub(super) fn put_dataset(&mut self, row: DatasetRow) {
        self.pending.changed(ChangeKind::Dataset, row.name.clone());
        self.state.datasets.insert(row.id.clone(), row);
    }
}

impl Audited<'_> {
    /// Adds a version of a dataset and returns its number.
    pub(crate) async fn add_version(&self, new: NewVersion) -> Result<u32, DriverError> {
        self.write(move |driver, caller| {
            let name = new.name.clone();
            let number = driver.add_version(new, caller)?;
            let detail = detail([("version", number.to_string())]);
            driver.record(caller, Action::Added, SubjectKind::Dataset, name, detail);
            Ok(number)
        })
        .await
    }
}
