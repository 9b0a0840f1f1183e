//! The changes that somebody answers for: asked through [`DriverHandle::by`], so that none of them
//! can be made without saying who makes it. Each is written to the audit log in the transaction that
//! makes it.

use std::net::SocketAddr;
use std::time::Duration;

use federation::machine::Event;
use protocol::api::{CreatedToken, Job, Model, TokenRequest};
use protocol::audit::{Action, SubjectKind};
use protocol::device::{Device, RemovedDevice};
use protocol::enrolment::{DeviceRegistration, Enrolment, Registered};
use protocol::job::JobSpec;
use protocol::{DeviceId, JobId};

use super::handle::Answer;
use super::{Driver, DriverHandle, Voucher};
use crate::caller::{Caller, Detail, detail};
use crate::clock;
use crate::register::NewModel;

/// The driver, asked by somebody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By<'a> {
    pub(super) driver: &'a DriverHandle,
    pub(super) caller: &'a Caller,
}

/// A person's wish for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobCommand {
    Start,
    Pause,
    Resume,
    Cancel,
    /// Close now, and register what there is.
    Complete,
}

impl JobCommand {
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

impl By<'_> {
    /// The coordinator is there and listens.
    pub(crate) async fn started(&self, cluster_id: String, address: SocketAddr) -> Answer<()> {
        self.write(move |driver, caller| {
            let version = env!("CARGO_PKG_VERSION").to_owned();
            let detail = detail([("version", version), ("address", address.to_string())]);
            driver.record(caller, Action::Started, SubjectKind::Coordinator, cluster_id, detail);
            Ok(())
        })
        .await
    }

    pub(crate) async fn create_job(&self, spec: JobSpec) -> Answer<Job> {
        self.write(|driver, caller| {
            let job = driver.create_job(spec, caller);
            let detail = detail([("name", job.name.clone()), ("dataset", job.dataset.clone())]);
            driver.record(caller, Action::Created, SubjectKind::Job, job.id, detail);
            Ok(job)
        })
        .await
    }

    pub(crate) async fn command_job(&self, id: JobId, command: JobCommand) -> Answer<Job> {
        self.write(move |driver, caller| {
            let job = driver.command_job(id, command.event())?;
            let detail = detail([("name", job.name.clone())]);
            driver.record(caller, command.action(), SubjectKind::Job, id, detail);
            Ok(job)
        })
        .await
    }

    pub(crate) async fn add_model(&self, model: NewModel) -> Answer<Model> {
        self.write(|driver, caller| {
            let model = driver.add_model(model);
            driver.record_model(caller, &model);
            Ok(model)
        })
        .await
    }

    pub(crate) async fn dataset_added(&self, name: String) -> Answer<()> {
        self.write(|driver, caller| {
            driver.record(caller, Action::Added, SubjectKind::Dataset, &name, Detail::new());
            driver.dataset_added(name);
            Ok(())
        })
        .await
    }

    /// Everything that the coordinator is was written to a file of this name.
    pub(crate) async fn backup_written(&self, name: String, bytes: u64) -> Answer<()> {
        self.write(move |driver, caller| {
            let detail = detail([("bytes", bytes.to_string())]);
            driver.record(caller, Action::Written, SubjectKind::Backup, name, detail);
            Ok(())
        })
        .await
    }

    /// Enrols a device whose signature was checked.
    pub(crate) async fn register(
        &self,
        registration: DeviceRegistration,
        voucher: Voucher,
    ) -> Answer<Registered> {
        self.write(move |driver, caller| {
            let name = registration.name.clone();
            let registered = driver.register(registration, voucher)?;
            let (action, words) = match registered.enrolment {
                Enrolment::New if registered.awaiting_approval => {
                    (Action::Enrolled, "awaiting_approval")
                }
                Enrolment::New => (Action::Enrolled, "new"),
                Enrolment::Same => (Action::Rekeyed, "same"),
                Enrolment::Copy => (Action::Enrolled, "copy"),
                Enrolment::Rekeyed => (Action::Rekeyed, "rekeyed"),
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

    pub(crate) async fn revoke(&self, device: DeviceId) -> Answer<Device> {
        self.write(move |driver, caller| {
            let view = driver.revoke(device)?;
            let detail = detail([("name", view.name.clone())]);
            driver.record(caller, Action::Revoked, SubjectKind::Device, device, detail);
            Ok(view)
        })
        .await
    }

    /// A device goes by itself.
    pub(crate) async fn leave(&self, device: DeviceId) -> Answer<()> {
        self.write(move |driver, caller| {
            driver.leave(device)?;
            driver.record(caller, Action::Left, SubjectKind::Device, device, Detail::new());
            Ok(())
        })
        .await
    }

    /// Forgets revoked devices and those that were not heard of for `unheard_for` or longer.
    pub(crate) async fn clean_up(&self, unheard_for: Duration) -> Answer<Vec<RemovedDevice>> {
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

    pub(crate) async fn create_token(&self, request: TokenRequest) -> Answer<CreatedToken> {
        self.write(|driver, caller| {
            let role = request.role.word().to_owned();
            let detail = detail([("name", request.name.clone()), ("role", role)]);
            let created = driver.create_token(request);
            driver.record(caller, Action::Created, SubjectKind::Token, &created.id, detail);
            Ok(created)
        })
        .await
    }

    pub(crate) async fn delete_token(&self, id: String) -> Answer<()> {
        self.write(|driver, caller| {
            let row = driver.delete_token(&id)?;
            let detail = detail([("name", row.name), ("role", row.role.word().to_owned())]);
            driver.record(caller, Action::Removed, SubjectKind::Token, id, detail);
            Ok(())
        })
        .await
    }

    /// As [`DriverHandle::write`]; `work` also hears who asks.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Driver, &Caller) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let caller = self.caller.clone();
        self.driver.write(move |driver| work(driver, &caller)).await
    }
}

impl Driver {
    /// Writes down who did what, in the transaction of what was done. To be called once it can't be
    /// refused any more.
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

    /// A model that a person or a job added.
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
