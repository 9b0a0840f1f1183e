//! Audited changes.
//!
//! [`DriverHandle::by`] is the only way to make them, so each has a caller. Each is written to the
//! audit log in the transaction of the change.

use std::net::SocketAddr;
use std::time::Duration;

use federation::machine::Event;
use protocol::api::{CreatedToken, Job, Model, TokenRequest};
use protocol::audit::{Action, SubjectKind};
use protocol::device::{Device, RemovedDevice};
use protocol::enrollment::{DeviceRegistration, EnrollmentKind, Registered};
use protocol::job::JobSpec;
use protocol::{DeviceId, JobId};

use super::writer::DriverResult;
use super::{Driver, DriverHandle, EnrollmentCredential};
use crate::access::caller::{Caller, Detail, detail};
use crate::clock;
use crate::steps::register::NewModel;

/// Driver handle of one caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Audited<'a> {
    pub(super) driver: &'a DriverHandle,
    pub(super) caller: &'a Caller,
}

impl DriverHandle {
    /// Returns the handle for audited changes, which are recorded as this caller's.
    pub(crate) fn audited<'a>(&'a self, caller: &'a Caller) -> Audited<'a> {
        Audited { driver: self, caller }
    }
}

/// Job control requested by a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobAction {
    Start,
    Pause,
    Resume,
    Cancel,
    /// Closes the job now and registers the current model.
    Complete,
}

impl JobAction {
    const fn event(self) -> Event {
        match self {
            Self::Start => Event::Start,
            Self::Pause => Event::Pause,
            Self::Resume => Event::Resume,
            Self::Cancel => Event::Cancel,
            Self::Complete => Event::Complete,
        }
    }

    const fn action(self) -> Action {
        match self {
            Self::Start => Action::Started,
            Self::Pause => Action::Paused,
            Self::Resume => Action::Resumed,
            Self::Cancel => Action::Cancelled,
            Self::Complete => Action::Completed,
        }
    }
}

impl Audited<'_> {
    /// Records that the coordinator has started and listens.
    pub(crate) async fn started(
        &self,
        cluster_id: String,
        address: SocketAddr,
    ) -> DriverResult<()> {
        self.write(move |driver, caller| {
            let version = env!("CARGO_PKG_VERSION").to_owned();
            let detail = detail([("version", version), ("address", address.to_string())]);
            driver.record(caller, Action::Started, SubjectKind::Coordinator, cluster_id, detail);
            Ok(())
        })
        .await
    }

    pub(crate) async fn create_job(&self, spec: JobSpec) -> DriverResult<Job> {
        self.write(|driver, caller| {
            let job = driver.create_job(spec, caller)?;
            let dataset = job.dataset_version.as_ref().unwrap_or(&job.dataset).clone();
            let detail = detail([("name", job.name.clone()), ("dataset", dataset)]);
            driver.record(caller, Action::Created, SubjectKind::Job, job.id, detail);
            Ok(job)
        })
        .await
    }

    pub(crate) async fn command_job(&self, id: JobId, command: JobAction) -> DriverResult<Job> {
        self.write(move |driver, caller| {
            let job = driver.command_job(id, command.event())?;
            let detail = detail([("name", job.name.clone())]);
            driver.record(caller, command.action(), SubjectKind::Job, id, detail);
            Ok(job)
        })
        .await
    }

    pub(crate) async fn add_model(&self, model: NewModel) -> DriverResult<Model> {
        self.write(|driver, caller| {
            let model = driver.add_model(model);
            driver.record_model(caller, &model);
            Ok(model)
        })
        .await
    }

    /// Records that a backup was written to a file of this name.
    pub(crate) async fn backup_written(&self, name: String, bytes: u64) -> DriverResult<()> {
        self.write(move |driver, caller| {
            let detail = detail([("bytes", bytes.to_string())]);
            driver.record(caller, Action::Written, SubjectKind::Backup, name, detail);
            Ok(())
        })
        .await
    }

    /// Enrolls a device whose signature was checked.
    pub(crate) async fn register(
        &self,
        registration: DeviceRegistration,
        voucher: EnrollmentCredential,
    ) -> DriverResult<Registered> {
        self.write(move |driver, caller| {
            let name = registration.name.clone();
            let registered = driver.register(registration, voucher)?;
            let (action, words) = match registered.enrollment {
                EnrollmentKind::New if registered.awaiting_approval => {
                    (Action::Enrolled, "awaiting_approval")
                }
                EnrollmentKind::New => (Action::Enrolled, "new"),
                EnrollmentKind::Same => (Action::Rekeyed, "same"),
                EnrollmentKind::Copy => (Action::Enrolled, "copy"),
                EnrollmentKind::Rekeyed => (Action::Rekeyed, "rekeyed"),
            };
            let mut detail = detail([("name", name), ("enrolment", words.to_owned())]);
            let row = driver.state.devices.get(&registered.id);
            let code = row.and_then(|row| row.join_code.clone());
            let replaces = row.and_then(|row| row.approval.as_ref()).map(|it| it.replaces);
            detail.extend(code.map(|code| ("join_code".to_owned(), code)));
            detail.extend(replaces.map(|id| ("for_machine_of".to_owned(), id.to_string())));
            driver.record(caller, action, SubjectKind::Device, registered.id, detail);
            Ok(registered)
        })
        .await
    }

    pub(crate) async fn revoke(&self, device: DeviceId) -> DriverResult<Device> {
        self.write(move |driver, caller| {
            let view = driver.revoke(device)?;
            let detail = detail([("name", view.name.clone())]);
            driver.record(caller, Action::Revoked, SubjectKind::Device, device, detail);
            Ok(view)
        })
        .await
    }

    /// Removes a device at its own request.
    pub(crate) async fn leave(&self, device: DeviceId) -> DriverResult<()> {
        self.write(move |driver, caller| {
            driver.leave(device)?;
            driver.record(caller, Action::Left, SubjectKind::Device, device, Detail::new());
            Ok(())
        })
        .await
    }

    /// Removes revoked devices and those without a heartbeat for `unheard_for` or longer.
    pub(crate) async fn clean_up(&self, unheard_for: Duration) -> DriverResult<Vec<RemovedDevice>> {
        self.write(move |driver, caller| {
            let gone = driver.clean_up(unheard_for);
            for RemovedDevice { id, name } in &gone {
                let detail = detail([("name", name.clone())]);
                driver.record(caller, Action::Removed, SubjectKind::Device, id, detail);
            }
            Ok(gone)
        })
        .await
    }

    pub(crate) async fn create_token(&self, request: TokenRequest) -> DriverResult<CreatedToken> {
        self.write(|driver, caller| {
            let role = request.role.word().to_owned();
            let detail = detail([("name", request.name.clone()), ("role", role)]);
            let created = driver.create_token(request);
            driver.record(caller, Action::Created, SubjectKind::Token, &created.id, detail);
            Ok(created)
        })
        .await
    }

    pub(crate) async fn delete_token(&self, id: String) -> DriverResult<()> {
        self.write(|driver, caller| {
            let row = driver.delete_token(&id)?;
            let detail = detail([("name", row.name), ("role", row.role.word().to_owned())]);
            driver.record(caller, Action::Removed, SubjectKind::Token, id, detail);
            Ok(())
        })
        .await
    }

    /// Like [`DriverHandle::write`], but also passes the caller to `work`.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Driver, &Caller) -> DriverResult<T> + Send + 'static,
    ) -> DriverResult<T> {
        let caller = self.caller.clone();
        self.driver.write(move |driver| work(driver, &caller)).await
    }
}

impl Driver {
    /// Records who did what in the transaction of the change. Call it once the change can no longer
    /// be rejected.
    pub(super) fn record(
        &mut self,
        caller: &Caller,
        action: Action,
        kind: SubjectKind,
        id: impl ToString,
        detail: Detail,
    ) {
        self.pending.audit.push(caller.record(clock::now(), action, kind, id, detail));
    }

    /// Records a model that a person or a job added.
    pub(super) fn record_model(&mut self, caller: &Caller, model: &Model) {
        let version = model.version.to_string();
        let mut detail = detail([
            ("name", model.name.clone()),
            ("version", version),
            ("blake3", model.blake3.to_string()),
        ]);
        detail.extend(model.job_id.map(|job| ("job".to_owned(), job.to_string())));
        self.record(caller, Action::Added, SubjectKind::Model, model.id, detail);
    }
}
