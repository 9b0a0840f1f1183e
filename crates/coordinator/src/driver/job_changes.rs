//! Archiving, renaming and deletion of jobs.

use protocol::JobId;
use protocol::api::{ChangeKind, Job};
use protocol::audit::{Action, SubjectKind};

use super::audited::Audited;
use super::garbage_collection::job_blobs;
use super::{Driver, DriverError};
use crate::access::caller::detail;
use crate::clock;
use crate::store::{JobDetails, JobRow};

impl Driver {
    /// Returns a job's current name.
    pub(super) fn job_name<'a>(&'a self, row: &'a JobRow) -> &'a str {
        let details = self.state.job_details.get(&row.id);
        let name = details.and_then(|details| details.name.as_deref());
        name.unwrap_or(&row.machine.spec().name)
    }

    /// Changes a job's details and returns the job.
    pub(super) fn change_job(
        &mut self,
        id: JobId,
        change: impl FnOnce(&mut JobDetails),
    ) -> Result<Job, DriverError> {
        if !self.state.jobs.contains_key(&id) {
            return Err(DriverError::UnknownJob(id));
        }
        let mut details = self.state.job_details.get(&id).cloned().unwrap_or_default();
        change(&mut details);
        self.state.job_details.insert(id, details);
        self.pending.job_changed(id);
        self.shown_job(id)
    }

    /// Removes an ended job with its rounds and lease records. Registered models stay.
    fn delete_job(&mut self, id: JobId) -> Result<String, DriverError> {
        let row = self.ended_job(id)?;
        let (name, blobs) = (self.job_name(row).to_owned(), job_blobs(&row.machine));
        self.state.jobs.remove(&id);
        self.state.job_details.remove(&id);
        self.garbage.extend(blobs);
        self.pending.jobs.insert(id);
        self.pending.changed(ChangeKind::Job, id.to_string());
        Ok(name)
    }

    fn ended_job(&self, id: JobId) -> Result<&JobRow, DriverError> {
        let row = self.state.jobs.get(&id).ok_or(DriverError::UnknownJob(id))?;
        let status = row.machine.status();
        if status.is_final() {
            return Ok(row);
        }
        Err(DriverError::NotEnded { name: self.job_name(row).to_owned(), status: status.name() })
    }
}

impl Audited<'_> {
    pub(crate) async fn rename_job(&self, id: JobId, name: String) -> Result<Job, DriverError> {
        self.write(move |driver, caller| {
            let before = driver.shown_job(id)?.name;
            let job = driver.change_job(id, |details| details.name = Some(name))?;
            let detail = detail([("name", job.name.clone()), ("before", before)]);
            driver.record(caller, Action::Renamed, SubjectKind::Job, id, detail);
            Ok(job)
        })
        .await
    }

    /// Hides an ended job from lists, or shows it again.
    pub(crate) async fn archive_job(&self, id: JobId, hide: bool) -> Result<Job, DriverError> {
        self.write(move |driver, caller| {
            if driver.shown_job(id)?.archived == hide {
                return driver.shown_job(id);
            }
            driver.ended_job(id)?;
            let archived_at = hide.then(clock::now);
            let job = driver.change_job(id, |details| details.archived_at = archived_at)?;
            let detail = detail([("name", job.name.clone())]);
            driver.record(caller, archive_action(hide), SubjectKind::Job, id, detail);
            Ok(job)
        })
        .await
    }

    pub(crate) async fn delete_job(&self, id: JobId) -> Result<(), DriverError> {
        self.write(move |driver, caller| {
            let detail = detail([("name", driver.delete_job(id)?)]);
            driver.record(caller, Action::Removed, SubjectKind::Job, id, detail);
            Ok(())
        })
        .await
    }
}

pub(super) const fn archive_action(hide: bool) -> Action {
    if hide { Action::Archived } else { Action::Unarchived }
}
