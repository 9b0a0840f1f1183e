//! End of a lease: submits the update, or returns the lease.

use std::time::Duration;

use protocol::codec::Codec;
use protocol::encrypted_file::plain_length;
use protocol::lease::{LeaseReturn, ReturnReason, Update, UpdateOutcome};
use tokio::time::timeout;

use super::renew::{Renewal, RenewalEnd};
use super::{LeaseContext, LeaseOutcome};
use crate::lease_workspace::{Finished, LeaseWorkspace};
use crate::net::response::RequestError;
use crate::status::{LeaseContribution, Status};
use crate::upload::{CHECK_INTERVAL, Upload, UploadError};

/// Time limit for returning a lease while the worker stops.
const STOPPING_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit for returning a lease otherwise. After it the lease expires by itself.
const RETURN_TIMEOUT: Duration = Duration::from_mins(1);

/// Uploads a finished update and submits it, retrying until the coordinator answers. The workspace is
/// cleared after the answer.
pub(crate) async fn submit(
    context: &LeaseContext<'_>,
    workspace: &LeaseWorkspace,
    renewal: &Renewal<'_>,
    finished: &Finished,
) -> LeaseOutcome {
    let lease = renewal.lease();
    let bytes = tokio::fs::metadata(workspace.update()).await.map_or(0, |file| file.len());
    let bytes = plain_length(bytes).unwrap_or_default();
    context.reporter.report(&Status::Uploading { lease, bytes });
    // The update of an expired lease still counts while its seat is open, so a lost lease does not
    // end the upload. The coordinator's answer to the update decides.
    let unauthorized = async {
        if renewal.until_ended().await == RenewalEnd::Lost {
            std::future::pending::<()>().await;
        }
    };
    let sent = tokio::select! {
        biased;
        // The update stays in the workspace until the next start.
        () = context.stop.cancelled() => return LeaseOutcome::Stopped,
        () = unauthorized => return LeaseOutcome::Unauthorized,
        sent = send(context, workspace, renewal, finished) => sent,
    };
    match sent {
        Ok(outcome) => {
            workspace.clear();
            let (backend, metrics) = (finished.fingerprint.backend, &finished.metrics);
            let contribution =
                LeaseContribution { backend, seconds: metrics.seconds, examples: metrics.examples };
            context.reporter.report(&Status::Reported { lease, outcome, given: contribution });
            LeaseOutcome::Settled
        }
        Err(UploadError::Request(error)) if error.is_unauthorized() => LeaseOutcome::Unauthorized,
        Err(UploadError::Request(RequestError::Refused(problem)))
            if matches!(problem.status, 403 | 404 | 409 | 410) =>
        {
            tracing::info!(%problem, "the update came too late; its seat is taken or closed");
            // The workspace stays: the same work may be granted again under another lease.
            context.reporter.report(&Status::Lost { lease });
            LeaseOutcome::Lost
        }
        Err(error) => {
            tracing::warn!(%error, "the update could not be submitted; returning the lease");
            workspace.clear();
            let detail = Some(error.to_string());
            return_lease(context, renewal, ReturnReason::Failed, detail).await;
            LeaseOutcome::Failed
        }
    }
}

/// Returns a lease, so that its seat is open before the deadline. Gives up after a timeout; the lease
/// then expires by itself.
pub(crate) async fn return_lease(
    context: &LeaseContext<'_>,
    renewal: &Renewal<'_>,
    reason: ReturnReason,
    detail: Option<String>,
) {
    let lease = renewal.lease();
    let body = LeaseReturn { reason, detail };
    let request = || context.client.return_lease(lease, &body);
    let returning =
        context.client.retry_until_answered(request, |error| context.reporter.offline(error));
    let stopping = async {
        context.stop.cancelled().await;
        tokio::time::sleep(STOPPING_TIMEOUT).await;
    };
    tokio::select! {
        returned = timeout(RETURN_TIMEOUT, returning) => match returned {
            Ok(Ok(())) => context.reporter.report(&Status::Returned { lease, reason }),
            Ok(Err(error)) => tracing::info!(%error, "the coordinator refused the lease's return"),
            Err(_) => tracing::warn!("the lease could not be returned; it expires by itself"),
        },
        () = stopping => {}
    }
}

async fn send(
    context: &LeaseContext<'_>,
    workspace: &LeaseWorkspace,
    renewal: &Renewal<'_>,
    finished: &Finished,
) -> Result<UpdateOutcome, UploadError> {
    let path = workspace.update();
    let upload = Upload {
        client: context.client,
        lease: renewal.lease(),
        blob: finished.update,
        path: &path,
        key: context.key,
        maximum_mbps: context.maximum_upload_mbps,
        check_interval: CHECK_INTERVAL,
    };
    upload.run(|error| context.reporter.offline(error)).await?;
    let update = Update {
        blob: finished.update,
        codec: Codec::F32Le,
        metrics: finished.metrics.clone(),
        fingerprint: finished.fingerprint.clone(),
    };
    let request = || context.client.submit_update(renewal.lease(), &update);
    let answer = context
        .client
        .retry_until_answered(request, |error| context.reporter.offline(error))
        .await?;
    Ok(answer.outcome)
}
