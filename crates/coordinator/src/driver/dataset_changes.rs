//! Archiving, renaming and deletion of uploaded datasets.

use protocol::JobId;
use protocol::api::ChangeKind;
use protocol::audit::{Action, SubjectKind};
use protocol::split_version;

use super::audited::Audited;
use super::job_changes::archive_action;
use super::{Driver, DriverError};
use crate::access::caller::detail;
use crate::clock;
use crate::store::{DatasetPin, DatasetRow};

/// Maximum number of users that an error names.
const MOST_USERS: usize = 5;

impl Driver {
    /// Returns an uploaded dataset that has versions.
    fn existing_dataset(&self, name: &str) -> Result<DatasetRow, DriverError> {
        let found = self.dataset_named(name).filter(|row| !row.versions.is_empty());
        found.cloned().ok_or_else(|| DriverError::UnknownDataset(name.to_owned()))
    }

    /// Renames a dataset. Its jobs and models show the new name.
    fn rename_dataset(&mut self, name: &str, new: &str) -> Result<(), DriverError> {
        let mut row = self.existing_dataset(name)?;
        match self.dataset_named(new).cloned() {
            Some(other) if !other.versions.is_empty() => {
                return Err(DriverError::NameTaken { kind: "dataset", name: new.to_owned() });
            }
            // The numbers of its deleted versions are not used again.
            Some(other) => {
                row.newest = row.newest.max(other.newest);
                self.state.datasets.remove(&other.id);
            }
            None => {}
        }
        self.pending.changed(ChangeKind::Dataset, name.to_owned());
        new.clone_into(&mut row.name);
        for job in self.jobs_of(&row.id) {
            self.change_job(job, |details| {
                if let Some(pin) = &mut details.dataset {
                    new.clone_into(&mut pin.name);
                }
            })?;
        }
        for mut model in self.with_pending(self.store.models()?).into_values() {
            let version = model.model.dataset_version.as_deref().map(split_version);
            if let Some((dataset, Some(number))) = version
                && dataset == name
            {
                model.model.dataset_version = Some(format!("{new}@{number}"));
                new.clone_into(&mut model.model.dataset);
                self.put_model(model);
            }
        }
        self.put_dataset(row);
        Ok(())
    }

    /// Removes a version, or all of them. Ended jobs and models keep its name.
    fn delete_dataset(&mut self, name: &str, version: Option<u32>) -> Result<(), DriverError> {
        let mut row = self.existing_dataset(name)?;
        if let Some(version) = version.filter(|version| !row.versions.contains_key(version)) {
            return Err(DriverError::UnknownDataset(format!("{name}@{version}")));
        }
        let concerns = |pin: &DatasetPin| version.is_none_or(|version| version == pin.version);
        let mut jobs = self.jobs_of(&row.id);
        jobs.retain(|job| self.pin_of(*job).is_some_and(concerns));
        let users: Vec<String> = jobs.iter().filter_map(|job| self.user(*job)).collect();
        if !users.is_empty() {
            let what = version.map_or(name.to_owned(), |version| format!("{name}@{version}"));
            return Err(DriverError::InUse {
                what: format!("dataset '{what}'"),
                users: few(users),
            });
        }
        for job in jobs {
            self.change_job(job, |details| {
                if let Some(pin) = &mut details.dataset {
                    pin.deleted = true;
                }
            })?;
        }
        let gone: Vec<u32> = match version {
            Some(version) => vec![version],
            None => row.versions.keys().copied().collect(),
        };
        for number in gone {
            if let Some(version) = row.versions.remove(&number) {
                self.garbage.extend(version.blobs());
            }
        }
        if row.versions.is_empty() {
            row.archived_at = None;
        }
        self.put_dataset(row);
        Ok(())
    }

    fn pin_of(&self, job: JobId) -> Option<&DatasetPin> {
        self.state.job_details.get(&job)?.dataset.as_ref()
    }

    /// Returns the jobs that use, or used, a version of the dataset with this id.
    fn jobs_of(&self, dataset: &str) -> Vec<JobId> {
        let pinned = self.state.job_details.iter().filter(|(_, details)| {
            details.dataset.as_ref().is_some_and(|pin| pin.dataset == dataset)
        });
        pinned.map(|(job, _)| *job).collect()
    }

    /// Returns how a job uses its dataset, in words. `None` if it has ended.
    fn user(&self, job: JobId) -> Option<String> {
        let row = self.state.jobs.get(&job)?;
        let status = row.machine.status();
        let name = self.job_name(row);
        (!status.is_final()).then(|| format!("job '{name}' ({job}) is {}", status.name()))
    }
}

/// Limits a list of users and counts the rest.
fn few(mut users: Vec<String>) -> Vec<String> {
    let more = users.len().saturating_sub(MOST_USERS);
    users.truncate(MOST_USERS);
    if more > 0 {
        users.push(format!("and {more} more"));
    }
    users.push("cancel the jobs, or wait until they end".to_owned());
    users
}

impl Audited<'_> {
    pub(crate) async fn rename_dataset(
        &self,
        name: String,
        new: String,
    ) -> Result<(), DriverError> {
        self.write(move |driver, caller| {
            driver.rename_dataset(&name, &new)?;
            let detail = detail([("name", new.clone()), ("before", name)]);
            driver.record(caller, Action::Renamed, SubjectKind::Dataset, new, detail);
            Ok(())
        })
        .await
    }

    /// Hides a dataset from lists and from new jobs, or shows it again.
    pub(crate) async fn archive_dataset(
        &self,
        name: String,
        hide: bool,
    ) -> Result<(), DriverError> {
        self.write(move |driver, caller| {
            let row = driver.existing_dataset(&name)?;
            if row.archived_at.is_some() != hide {
                driver.put_dataset(DatasetRow { archived_at: hide.then(clock::now), ..row });
                let detail = detail([("name", name.clone())]);
                driver.record(caller, archive_action(hide), SubjectKind::Dataset, name, detail);
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn delete_dataset(
        &self,
        name: String,
        version: Option<u32>,
    ) -> Result<(), DriverError> {
        self.write(move |driver, caller| {
            driver.delete_dataset(&name, version)?;
            let mut detail = detail([("name", name.clone())]);
            detail.extend(version.map(|version| ("version".to_owned(), version.to_string())));
            driver.record(caller, Action::Removed, SubjectKind::Dataset, name, detail);
            Ok(())
        })
        .await
    }
}
