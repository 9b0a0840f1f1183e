//! How the rest of the crate asks the driver: one method for each thing that is written. Changes that
//! somebody answers for are in [`super::by`].

use std::sync::mpsc;
use std::time::Duration;

use federation::machine::Receipt;
use protocol::device::{Heartbeat, HeartbeatAnswer};
use protocol::lease::{Lease, LeaseReturn, Progress, ProgressAnswer, UpdateOutcome};
use protocol::notice::NoticeKind;
use protocol::{BlobHash, DeviceId, JobId, LeaseId};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::by::By;
use super::leases::Permit;
use super::steps::{StepKey, StepOutcome};
use super::{Driver, Message, Refusal};
use crate::caller::Caller;

/// Asks the driver. Clones ask the same one.
#[derive(Debug, Clone)]
pub(crate) struct DriverHandle {
    inbox: mpsc::Sender<Message>,
}

pub(super) type Answer<T> = Result<T, Refusal>;

impl DriverHandle {
    pub(super) fn new(inbox: mpsc::Sender<Message>) -> Self {
        Self { inbox }
    }

    /// For changes: they are written down as this caller's.
    pub(crate) fn by<'a>(&'a self, caller: &'a Caller) -> By<'a> {
        By { driver: self, caller }
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

    pub(crate) async fn heartbeat(
        &self,
        device: DeviceId,
        heartbeat: Heartbeat,
    ) -> Answer<HeartbeatAnswer> {
        self.write(move |driver| driver.heartbeat(device, &heartbeat)).await
    }

    /// Tells people that scheduled backups fail, and why; none where they don't any more.
    pub(crate) async fn backup_failing(&self, failure: Option<String>) -> Answer<()> {
        self.write(move |driver| {
            match failure {
                Some(text) => driver.raise(NoticeKind::BackupFailed, None, text),
                None => driver.end_notice(NoticeKind::BackupFailed, None),
            }
            Ok(())
        })
        .await
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

    /// As [`Self::permit`], for bytes that come now: they stop when the token is cancelled.
    pub(crate) async fn begin_upload(
        &self,
        lease: LeaseId,
        device: DeviceId,
    ) -> Answer<(Permit, Option<CancellationToken>)> {
        self.read(move |driver| driver.begin_upload(lease, device)).await
    }

    /// The end of the lease that lets the device read this blob; none where no lease of it does.
    pub(crate) async fn begin_download(
        &self,
        device: DeviceId,
        blob: BlobHash,
    ) -> Answer<Option<CancellationToken>> {
        self.read(move |driver| Ok(driver.begin_download(device, blob))).await
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

    /// Takes down that the update under this lease was found bad.
    pub(crate) async fn refuse_update(
        &self,
        lease: LeaseId,
        device: DeviceId,
        blob: BlobHash,
        reason: String,
    ) -> Answer<()> {
        self.write(move |driver| driver.refuse_update(lease, device, blob, &reason)).await
    }

    /// Ends the driver; what it answered before is stored.
    pub(crate) fn stop(&self) {
        // It may have ended already.
        drop(self.inbox.send(Message::Stop));
    }

    /// Answers once what `work` did is durable.
    pub(super) async fn write<T: Send + 'static>(
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

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Driver) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        self.send(move |driver| drop(reply.send(work(driver))))?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }

    pub(super) fn send(&self, work: impl FnOnce(&mut Driver) + Send + 'static) -> Answer<()> {
        self.inbox.send(Message::Do(Box::new(work))).map_err(|_| Refusal::Stopping)
    }
}
