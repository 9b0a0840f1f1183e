//! Handle to the driver for the rest of the crate: one method for each write. Audited changes are
//! in [`super::audited`].

use std::time::Duration;

use federation::machine::Receipt;
use protocol::device::{Heartbeat, HeartbeatAnswer};
use protocol::lease::{Lease, LeaseReturn, Progress, ProgressAnswer, UpdateOutcome};
use protocol::notice::NoticeKind;
use protocol::{BlobHash, DeviceId, JobId, LeaseId};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::transfer_tokens::UploadLimit;
use super::writer::{DriverHandle, DriverResult, Message};
use super::{Driver, DriverError};
use crate::steps::{StepKey, StepOutcome};

impl DriverHandle {
    /// Reports the result of a job's step.
    pub(super) async fn step_ended(
        &self,
        job: JobId,
        key: StepKey,
        outcome: StepOutcome,
    ) -> DriverResult<()> {
        self.write(move |driver| driver.step_ended(job, key, outcome)).await
    }

    /// Reports the progress of a job's step.
    pub(super) async fn step_progress(
        &self,
        job: JobId,
        key: StepKey,
        note: String,
    ) -> DriverResult<()> {
        self.write(move |driver| {
            driver.step_progress(job, key, note);
            Ok(())
        })
        .await
    }

    pub(crate) async fn heartbeat(
        &self,
        device: DeviceId,
        heartbeat: Heartbeat,
    ) -> DriverResult<HeartbeatAnswer> {
        self.write(move |driver| driver.heartbeat(device, &heartbeat)).await
    }

    /// Raises a notice that scheduled backups fail, with the reason. `None` ends the notice.
    pub(crate) async fn backup_failing(&self, failure: Option<String>) -> DriverResult<()> {
        self.write(move |driver| {
            match failure {
                Some(text) => driver.raise(NoticeKind::BackupFailed, None, text),
                None => driver.end_notice(NoticeKind::BackupFailed, None),
            }
            Ok(())
        })
        .await
    }

    /// Returns a lease for the device as soon as one is available within `wait`, or `None`.
    pub(crate) async fn next_job(
        &self,
        device: DeviceId,
        wait: Duration,
    ) -> DriverResult<Option<Lease>> {
        let (reply, mut answer) = oneshot::channel();
        self.send(move |driver| driver.next_job(device, reply))?;
        if let Ok(answer) = tokio::time::timeout(wait, &mut answer).await {
            return answer.unwrap_or(Err(DriverError::Stopping));
        }
        // A lease may be granted at this moment, so the driver decides.
        self.send(move |driver| driver.stop_waiting(device))?;
        answer.await.unwrap_or(Ok(None))
    }

    pub(crate) async fn progress(
        &self,
        lease: LeaseId,
        device: DeviceId,
        progress: Progress,
    ) -> DriverResult<ProgressAnswer> {
        self.write(move |driver| driver.progress(lease, device, progress)).await
    }

    pub(crate) async fn return_lease(
        &self,
        lease: LeaseId,
        device: DeviceId,
        body: LeaseReturn,
    ) -> DriverResult<()> {
        self.write(move |driver| driver.return_lease(lease, device, body)).await
    }

    /// Returns what may be uploaded under this lease.
    pub(crate) async fn permit(
        &self,
        lease: LeaseId,
        device: DeviceId,
    ) -> DriverResult<UploadLimit> {
        self.read(move |driver| driver.permit(lease, device)).await
    }

    /// Like [`Self::permit`], but for an upload that starts now. The upload stops when the token is
    /// cancelled.
    pub(crate) async fn begin_upload(
        &self,
        lease: LeaseId,
        device: DeviceId,
    ) -> DriverResult<(UploadLimit, Option<CancellationToken>)> {
        self.read(move |driver| driver.begin_upload(lease, device)).await
    }

    /// Returns a token that is cancelled at the end of the lease that lets the device read this
    /// blob. `None` if no lease does.
    pub(crate) async fn begin_download(
        &self,
        device: DeviceId,
        blob: BlobHash,
    ) -> DriverResult<Option<CancellationToken>> {
        self.read(move |driver| Ok(driver.begin_download(device, blob))).await
    }

    /// Submits an update. `checked` is set if its bytes were validated.
    pub(crate) async fn update(
        &self,
        lease: LeaseId,
        device: DeviceId,
        receipt: Receipt,
        checked: bool,
    ) -> DriverResult<UpdateOutcome> {
        self.write(move |driver| driver.update(lease, device, receipt, checked)).await
    }

    /// Records that the update under this lease was invalid.
    pub(crate) async fn refuse_update(
        &self,
        lease: LeaseId,
        device: DeviceId,
        blob: BlobHash,
        reason: String,
    ) -> DriverResult<()> {
        self.write(move |driver| driver.refuse_update(lease, device, blob, &reason)).await
    }

    /// Stops the driver. Everything it answered before is stored.
    pub(crate) fn stop(&self) {
        // The driver may have ended already.
        drop(self.inbox.send(Message::Stop));
    }

    /// Replies once the changes of `work` are durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Driver) -> DriverResult<T> + Send + 'static,
    ) -> DriverResult<T> {
        let (reply, answer) = oneshot::channel();
        self.send(move |driver| {
            let result = work(driver);
            // The requester may be gone; the change stays.
            driver.after_commit(move |_, committed| drop(reply.send(committed.and(result))));
        })?;
        answer.await.unwrap_or(Err(DriverError::Stopping))
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Driver) -> DriverResult<T> + Send + 'static,
    ) -> DriverResult<T> {
        let (reply, answer) = oneshot::channel();
        self.send(move |driver| drop(reply.send(work(driver))))?;
        answer.await.unwrap_or(Err(DriverError::Stopping))
    }

    pub(super) fn send(&self, work: impl FnOnce(&mut Driver) + Send + 'static) -> DriverResult<()> {
        self.inbox.send(Message::Do(Box::new(work))).map_err(|_| DriverError::Stopping)
    }
}
