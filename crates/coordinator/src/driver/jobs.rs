//! Jobs: creation, commands, events and step results, and the models that jobs register.

use federation::machine::{Effect, Event, Machine, MachineSettings};
use protocol::api::{ChangeKind, Job, JobStatus, Model};
use protocol::job::JobSpec;
use protocol::lease::{Lease, UpdateOutcome};
use protocol::{BlobHash, JobId, ModelId, Timestamp};
use uuid::Uuid;

use super::garbage_collection::prepared_blobs;
use super::history::lease_end_reason;
use super::steps;
use super::writer::RunningStep;
use super::{Driver, DriverError};
use crate::access::caller::Caller;
use crate::clock;
use crate::observer::ObserverEvent;
use crate::steps::register::NewModel;
use crate::steps::{StepKey, StepOutcome, Task};
use crate::store::{JobDetails, JobRow};
use crate::views::job_view;

/// Result of an event for its caller.
#[derive(Debug, Default)]
pub(super) struct ApplyOutcome {
    pub(super) grant: Option<Lease>,
    pub(super) outcome: Option<UpdateOutcome>,
}

impl Driver {
    /// Stores a job, with the version of the dataset that exists now. The caller has checked its spec.
    pub(super) fn create_job(
        &mut self,
        spec: JobSpec,
        caller: &Caller,
    ) -> Result<Job, DriverError> {
        let details = JobDetails { dataset: self.pin(&spec.dataset)?, ..JobDetails::default() };
        let id = JobId::from_uuid(Uuid::now_v7());
        let lease_timeout = self.lease_timeout;
        let machine = Machine::new(MachineSettings { job: id, spec, lease_timeout });
        let row = JobRow { id, created_at: clock::now(), created_by: Some(caller.name()), machine };
        let job = job_view(&row, Some(&details), None).job;
        self.state.jobs.insert(id, row);
        if details.dataset.is_some() {
            self.state.job_details.insert(id, details);
        }
        self.pending.job_changed(id);
        Ok(job)
    }

    pub(super) fn command_job(&mut self, id: JobId, event: Event) -> Result<Job, DriverError> {
        self.apply(clock::now(), id, event)?;
        self.shown_job(id)
    }

    /// Returns a job as the API shows it.
    pub(super) fn shown_job(&self, id: JobId) -> Result<Job, DriverError> {
        let row = self.state.jobs.get(&id).ok_or(DriverError::UnknownJob(id))?;
        Ok(job_view(row, self.state.job_details.get(&id), None).job)
    }

    /// Applies an event to a job's machine. The changes are written with this batch. Progress and
    /// renewals are written with the next flush, because losing them in a crash is harmless.
    pub(super) fn apply(
        &mut self,
        now: Timestamp,
        id: JobId,
        event: Event,
    ) -> Result<ApplyOutcome, DriverError> {
        let row = self.state.jobs.get_mut(&id).ok_or(DriverError::UnknownJob(id))?;
        self.pending.handled.insert(id);
        // These events never end a lease.
        if let Event::Progressed { .. } | Event::Renewed { .. } = event {
            let effects = row.machine.handle(now, event)?;
            self.pending.defer_job(id);
            return Ok(Self::collect_outcome(id, effects));
        }
        let old_status = row.machine.status();
        let effects = row.machine.handle(now, event)?;
        let new_status = row.machine.status();
        self.pending.job_changed(id);
        self.recheck_long_polls = true;
        if new_status.is_final() && !old_status.is_final() {
            self.job_ended(id);
        }
        for effect in &effects {
            if let Effect::LeaseEnded { lease, why, .. } = effect {
                let (outcome, reason) = lease_end_reason(*why);
                self.lease_ended(id, *lease, outcome, reason);
            }
        }
        Ok(Self::collect_outcome(id, effects))
    }

    /// Collects what the event's caller needs from the effects. Steps are started after the commit,
    /// by [`Driver::reconcile_steps`].
    fn collect_outcome(job: JobId, effects: Vec<Effect>) -> ApplyOutcome {
        let mut outcome = ApplyOutcome::default();
        for effect in effects {
            match effect {
                Effect::Grant(lease) => outcome.grant = Some(*lease),
                Effect::Outcome(update) => outcome.outcome = Some(update),
                Effect::Nondeterminism { round, partition, first, second } => tracing::warn!(
                    %job, round, partition, %first, %second,
                    "two updates of one seat differ although the job is reproducible"
                ),
                // The response to the device's next progress report informs the device.
                Effect::LeaseEnded { lease, device, after_first_step, why } => {
                    tracing::info!(%job, %lease, %device, after_first_step, ?why, "a lease ended");
                }
                Effect::Prepare
                | Effect::Accumulate { .. }
                | Effect::Aggregate { .. }
                | Effect::Evaluate { .. }
                | Effect::Register { .. } => {}
            }
        }
        outcome
    }

    /// Sends a tick to every job whose deadline has passed.
    pub(super) fn tick(&mut self, now: Timestamp) {
        if now < self.grace_until {
            return;
        }
        let due = |row: &&JobRow| row.machine.deadline().is_some_and(|at| at <= now);
        let jobs: Vec<JobId> = self.state.jobs.values().filter(due).map(|row| row.id).collect();
        for job in jobs {
            if let Err(error) = self.apply(now, job, Event::Tick) {
                tracing::error!(%job, %error, "a job rejected a tick");
            }
        }
    }

    /// Starts the step that the job waits for. Cancels any other running step of the job.
    pub(super) fn reconcile_steps(&mut self, id: JobId) {
        let Some(row) = self.state.jobs.get(&id) else { return };
        let wanted = wanted_step(&row.machine);
        let running = self.running.get(&id).map(|step| step.key);
        if running == wanted.as_ref().map(|(key, _)| *key) {
            return;
        }
        if let Some(step) = self.running.remove(&id) {
            step.cancel.cancel();
        }
        let Some((key, effect)) = wanted else { return };
        let task = Task {
            job: id,
            spec: row.machine.spec().clone(),
            dataset: self.state.job_details.get(&id).and_then(|details| details.dataset.clone()),
            preparation: row.machine.preparation().cloned(),
            rounds: row.machine.history().count(),
            effect,
        };
        let cancel = steps::spawn(&self.steps, key, task, self.handle.clone());
        self.running.insert(id, RunningStep { key, cancel, note: None });
    }

    /// Notifies the observer that an interrupted step runs again after a restart.
    pub(super) fn notify_resumed(&self, id: JobId) {
        let Some(row) = self.state.jobs.get(&id) else { return };
        if let Some((key, _)) = wanted_step(&row.machine) {
            let event =
                ObserverEvent::Resumed { job: id, round: row.machine.round(), phase: key.phase() };
            self.steps.observer.notify(&event);
        }
    }

    /// Handles a step's result. Ignores it if another step has replaced the step.
    pub(super) fn step_ended(
        &mut self,
        id: JobId,
        key: StepKey,
        outcome: StepOutcome,
    ) -> Result<(), DriverError> {
        if self.running.get(&id).is_none_or(|step| step.key != key) {
            return Ok(());
        }
        let now = clock::now();
        match outcome {
            StepOutcome::Event(event) => {
                if let Event::Prepared(preparation) = event.as_ref() {
                    self.check_blobs(&prepared_blobs(preparation))?;
                }
                self.apply(now, id, *event).map(|_| ())
            }
            StepOutcome::Registered(mut new) => {
                let (model, file) = (ModelId::from_uuid(Uuid::now_v7()), new.file);
                self.apply(now, id, Event::Registered { model, file })?;
                // The dataset may have been renamed since the step began.
                let details = self.state.job_details.get(&id);
                if let Some(pin) = details.and_then(|details| details.dataset.as_ref()) {
                    new.dataset.clone_from(&pin.name);
                    new.dataset_version = Some(pin.label());
                }
                let model = self.insert_model(model, *new);
                self.record_model(&Caller::coordinator(), &model);
                Ok(())
            }
        }
    }

    /// Publishes a running step's progress note.
    pub(super) fn step_progress(&mut self, id: JobId, key: StepKey, note: String) {
        if let Some(step) = self.running.get_mut(&id).filter(|step| step.key == key) {
            step.note = Some(note);
            self.publish_job(id);
            self.pending.changed(ChangeKind::Job, id.to_string());
        }
    }

    pub(super) fn add_model(&mut self, new: NewModel) -> Model {
        self.insert_model(ModelId::from_uuid(Uuid::now_v7()), new)
    }

    fn insert_model(&mut self, id: ModelId, new: NewModel) -> Model {
        let mut name = self.state.model_names.get(&new.name).copied().unwrap_or_default();
        name.newest += 1;
        // A new version is shown in lists.
        name.archived_at = None;
        let row = new.row(id, name.newest, clock::now());
        let model = row.model.clone();
        self.state.model_names.insert(model.name.clone(), name);
        self.state.model_files.insert(id, model.blake3);
        self.pending.changed(ChangeKind::Model, id.to_string());
        self.state.models.insert(id, row);
        model
    }

    /// Returns whether the job has started and not ended.
    pub(super) fn is_open(row: &JobRow) -> bool {
        match row.machine.status() {
            JobStatus::Pending
            | JobStatus::Completed
            | JobStatus::Failed
            | JobStatus::Cancelled => false,
            JobStatus::Preparing | JobStatus::Running | JobStatus::Paused => true,
        }
    }

    /// Checks that every blob still exists. A step that finds a blob already stored doesn't write
    /// it again, but the end of another job may then remove the blob.
    pub(super) fn check_blobs(&self, hashes: &[BlobHash]) -> Result<(), DriverError> {
        hashes.iter().try_for_each(|hash| match self.blobs.length(*hash) {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => Err(DriverError::MissingBlob(*hash)),
        })
    }
}

/// Returns the step that a job waits for, if any.
fn wanted_step(machine: &Machine) -> Option<(StepKey, Effect)> {
    let effect = machine.awaited_step()?;
    Some((StepKey::for_effect(&effect)?, effect))
}
