//! How the rest of the crate asks the driver: one method for each thing that is written.

use std::sync::mpsc;
use std::time::Duration;

use federation::machine::{Event, Receipt};
use protocol::api::{CreatedToken, Job, Model, TokenRequest};
use protocol::device::{Device, DeviceRegistration, Heartbeat, HeartbeatAnswer, Registered};
use protocol::job::JobSpec;
use protocol::lease::{Lease, LeaseReturn, Progress, ProgressAnswer, UpdateOutcome};
use protocol::{BlobHash, DeviceId, JobId, LeaseId};
use tokio::sync::oneshot;

use super::leases::Permit;
use super::steps::{StepKey, StepOutcome};
use super::{Driver, Message, Refusal};
use crate::register::NewModel;

/// Asks the driver. Clones ask the same one.
#[derive(Debug, Clone)]
pub(crate) struct DriverHandle {
    inbox: mpsc::Sender<Message>,
}

type Answer<T> = Result<T, Refusal>;

impl DriverHandle {
    pub(super) fn new(inbox: mpsc::Sender<Message>) -> Self {
        Self { inbox }
    }

    pub(crate) async fn create_job(&self, spec: JobSpec) -> Answer<Job> {
        self.write(|driver| Ok(driver.create_job(spec))).await
    }

    /// A person's wish: start, pause, resume, cancel, complete.
    pub(crate) async fn command_job(&self, job: JobId, event: Event) -> Answer<Job> {
        self.write(move |driver| driver.command_job(job, event)).await
    }

    pub(crate) async fn add_model(&self, model: NewModel) -> Answer<Model> {
        self.write(|driver| Ok(driver.add_model(model))).await
    }

    /// What a step of a job gave.
    pub(super) async fn step_ended(
        &self,
        job: JobId,
        key: StepKey,
        outcome: StepOutcome,
    ) -> Answer<()> {
        self.write(move |driver| driver.step_ended(job, key, outcome)).await
    }

    /// What a step of a job has to say while it goes on.
    pub(super) async fn step_says(&self, job: JobId, key: StepKey, note: String) -> Answer<()> {
        self.write(move |driver| {
            driver.step_says(job, key, note);
            Ok(())
        })
        .await
    }

    pub(crate) async fn dataset_added(&self, name: String) -> Answer<()> {
        self.write(|driver| {
            driver.dataset_added(name);
            Ok(())
        })
        .await
    }

    /// Enrols a device; `by_admin` where an administrator's token vouches for it.
    pub(crate) async fn register(
        &self,
        registration: DeviceRegistration,
        by_admin: bool,
    ) -> Answer<Registered> {
        self.write(move |driver| driver.register(registration, by_admin)).await
    }

    pub(crate) async fn heartbeat(
        &self,
        device: DeviceId,
        heartbeat: Heartbeat,
    ) -> Answer<HeartbeatAnswer> {
        self.write(move |driver| driver.heartbeat(device, &heartbeat)).await
    }

    pub(crate) async fn revoke(&self, device: DeviceId) -> Answer<Device> {
        self.write(move |driver| driver.revoke(device)).await
    }

    /// Forgets revoked devices and those that were not heard of for `unheard_for`.
    pub(crate) async fn clean_up(&self, unheard_for: Duration) -> Answer<Vec<DeviceId>> {
        self.write(move |driver| Ok(driver.clean_up(unheard_for))).await
    }

    pub(crate) async fn create_token(&self, request: TokenRequest) -> Answer<CreatedToken> {
        self.write(|driver| Ok(driver.create_token(request))).await
    }

    pub(crate) async fn delete_token(&self, id: String) -> Answer<()> {
        self.write(|driver| driver.delete_token(id)).await
    }

    /// A lease for the device, as soon as there is one within `wait`; none where there is none.
    pub(crate) async fn next_job(&self, device: DeviceId, wait: Duration) -> Answer<Option<Lease>> {
        let (reply, mut answer) = oneshot::channel();
        self.send(move |driver| driver.next_job(device, reply))?;
        if let Ok(answer) = tokio::time::timeout(wait, &mut answer).await {
            return answer.unwrap_or(Err(Refusal::Stopping));
        }
        // A lease may be granted at this very moment: the driver has the last word.
        self.send(move |driver| driver.stop_waiting(device))?;
        answer.await.unwrap_or(Ok(None))
    }

    pub(crate) async fn progress(
        &self,
        lease: LeaseId,
        device: DeviceId,
        progress: Progress,
    ) -> Answer<ProgressAnswer> {
        self.write(move |driver| driver.progress(lease, device, progress)).await
    }

    pub(crate) async fn return_lease(
        &self,
        lease: LeaseId,
        device: DeviceId,
        body: LeaseReturn,
    ) -> Answer<()> {
        self.write(move |driver| driver.return_lease(lease, device, body)).await
    }

    /// What may be sent up under this lease.
    pub(crate) async fn permit(&self, lease: LeaseId, device: DeviceId) -> Answer<Permit> {
        self.read(move |driver| driver.permit(lease, device)).await
    }

    /// Whether a lease that the device holds names this blob.
    pub(crate) async fn may_read(&self, device: DeviceId, blob: BlobHash) -> Answer<bool> {
        self.read(move |driver| Ok(driver.may_read(device, blob))).await
    }

    /// Takes an update; `checked` where its bytes were found good.
    pub(crate) async fn update(
        &self,
        lease: LeaseId,
        device: DeviceId,
        receipt: Receipt,
        checked: bool,
    ) -> Answer<UpdateOutcome> {
        self.write(move |driver| driver.update(lease, device, receipt, checked)).await
    }

    /// Ends the driver; what it answered before is stored.
    pub(crate) fn stop(&self) {
        // It may have ended already.
        drop(self.inbox.send(Message::Stop));
    }

    /// Answers once what `work` did is durable.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Driver) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        self.send(move |driver| {
            let result = work(driver);
            // Who asked may have gone; what was done stays done.
            driver.after_commit(move |_, committed| drop(reply.send(committed.and(result))));
        })?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Driver) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        self.send(move |driver| drop(reply.send(work(driver))))?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }

    fn send(&self, work: impl FnOnce(&mut Driver) + Send + 'static) -> Answer<()> {
        self.inbox.send(Message::Do(Box::new(work))).map_err(|_| Refusal::Stopping)
    }
}
