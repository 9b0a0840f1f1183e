//! The end of a lease: its update is sent and answered for, or it is given back.

use std::time::Duration;

use protocol::codec::Codec;
use protocol::encrypted_file::plain_length;
use protocol::lease::{LeaseReturn, ReturnReason, Update, UpdateOutcome};
use tokio::time::timeout;

use crate::lease::{LeaseContext, LeaseOutcome};
use crate::lease_workspace::{Finished, LeaseWorkspace};
use crate::renewal::{Renewal, RenewalEnd};
use crate::response::RequestError;
use crate::status::{LeaseContribution, Status};
use crate::upload::{LOOK, Upload, UploadError};

/// For giving back a lease when the worker is stopping.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// And otherwise: then it lapses by itself.
const PATIENCE: Duration = Duration::from_mins(1);

/// Sends a finished update and tells of it, as often as it takes. The desk is cleared when the
/// coordinator answered.
pub(crate) async fn report(
    context: &LeaseContext<'_>,
    desk: &LeaseWorkspace,
    renewal: &Renewal<'_>,
    finished: &Finished,
) -> LeaseOutcome {
    let lease = renewal.lease();
    let bytes = tokio::fs::metadata(desk.update()).await.map_or(0, |file| file.len());
    let bytes = plain_length(bytes).unwrap_or_default();
    context.voice.say(&Status::Uploading { lease, bytes });
    // A lease that lapsed may still be reported while its seat is open: the answer to the sending
    // says so, and only that one counts.
    let unauthorized = async {
        if renewal.until_ended().await == RenewalEnd::Lost {
            std::future::pending::<()>().await;
        }
    };
    let sent = tokio::select! {
        biased;
        // The update stays on the desk for the next start.
        () = context.stop.cancelled() => return LeaseOutcome::Stopped,
        () = unauthorized => return LeaseOutcome::Unauthorized,
        sent = send(context, desk, renewal, finished) => sent,
    };
    match sent {
        Ok(outcome) => {
            desk.clear();
            let (backend, metrics) = (finished.fingerprint.backend, &finished.metrics);
            let given =
                LeaseContribution { backend, seconds: metrics.seconds, examples: metrics.examples };
            context.voice.say(&Status::Reported { lease, outcome, given });
            LeaseOutcome::Settled
        }
        Err(UploadError::Request(error)) if error.is_unauthorized() => LeaseOutcome::Unauthorized,
        Err(UploadError::Request(RequestError::Refused(problem)))
            if matches!(problem.status, 403 | 404 | 409 | 410) =>
        {
            tracing::info!(%problem, "the update comes too late");
            // The desk stays: the same work may come again under another lease.
            context.voice.say(&Status::Lost { lease });
            LeaseOutcome::Lost
        }
        Err(error) => {
            tracing::warn!(%error, "the update is not wanted as it is");
            desk.clear();
            let detail = Some(error.to_string());
            give_back(context, renewal, ReturnReason::Failed, detail).await;
            LeaseOutcome::Failed
        }
    }
}

/// Gives a lease back, so that its seat is free before the deadline. Tried for a while only: a lease
/// that can't be given back lapses.
pub(crate) async fn give_back(
    context: &LeaseContext<'_>,
    renewal: &Renewal<'_>,
    reason: ReturnReason,
    detail: Option<String>,
) {
    let lease = renewal.lease();
    let body = LeaseReturn { reason, detail };
    let give = || context.client.give_back(lease, &body);
    let giving = context.client.until_answered(give, |error| context.voice.offline(error));
    let stopping = async {
        context.stop.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        given = timeout(PATIENCE, giving) => match given {
            Ok(Ok(())) => context.voice.say(&Status::Returned { lease, reason }),
            Ok(Err(error)) => tracing::info!(%error, "the lease was not ours to give back"),
            Err(_) => tracing::warn!("a lease could not be given back; it lapses"),
        },
        () = stopping => {}
    }
}

async fn send(
    context: &LeaseContext<'_>,
    desk: &LeaseWorkspace,
    renewal: &Renewal<'_>,
    finished: &Finished,
) -> Result<UpdateOutcome, UploadError> {
    let path = desk.update();
    let upload = Upload {
        client: context.client,
        lease: renewal.lease(),
        blob: finished.update,
        path: &path,
        key: context.key,
        maximum_mbps: context.maximum_upload_mbps,
        look: LOOK,
    };
    upload.run(|error| context.voice.offline(error)).await?;
    let update = Update {
        blob: finished.update,
        codec: Codec::F32Le,
        metrics: finished.metrics.clone(),
        fingerprint: finished.fingerprint.clone(),
    };
    let tell = || context.client.update(renewal.lease(), &update);
    let answer = context.client.until_answered(tell, |error| context.voice.offline(error)).await?;
    Ok(answer.outcome)
}
