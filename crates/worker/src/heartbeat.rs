//! Heartbeats: report the device's activity when it changes, and periodically.

use std::time::Duration;

use protocol::device::Heartbeat;
use protocol::enrollment::Session;
use protocol::{DeviceId, Problem};
use tokio::time::sleep;

use crate::client::Client;
use crate::response::RequestError;
use crate::retry::jittered;
use crate::status::{Activity, StatusReporter, Suspension};

/// Problem kind for a second worker with the same identity.
pub(crate) const SECOND_SESSION: &str = "second-session";

/// Minimum interval between heartbeats. Faster changes are combined.
const CLOSEST: Duration = Duration::from_secs(1);

/// Reason why heartbeats ended, with the coordinator's message.
#[derive(Debug)]
pub(crate) enum HeartbeatEnd {
    /// The coordinator revoked or removed the device.
    LetGo(Problem),
    /// Another worker uses this identity.
    SecondSession(Problem),
}

/// Sends heartbeats until the coordinator removes the device or reports another worker with this identity.
/// A heartbeat that fails otherwise is not retried before the next one is due.
pub(crate) async fn beat(
    client: &Client,
    device: DeviceId,
    seconds: u32,
    session: &Session,
    reporter: &StatusReporter<'_>,
) -> HeartbeatEnd {
    let (mut activity, mut wakes) = (reporter.activity(), client.wakes());
    let mut every = period(seconds);
    loop {
        let Activity { state, reason, lease } = activity.borrow_and_update().clone();
        wakes.mark_unchanged();
        let session = Some(session.clone());
        match client.heartbeat(device, &Heartbeat { state, reason, lease, session }).await {
            Ok(answer) => {
                every = period(answer.heartbeat_seconds);
                client.set_spread(answer.return_within_seconds);
                reporter.set_suspension(Suspension::from_answer(answer));
            }
            Err(RequestError::Refused(problem)) if problem.kind == SECOND_SESSION => {
                return HeartbeatEnd::SecondSession(problem);
            }
            Err(error) => {
                if let Some(problem) = error.unenrolled_by() {
                    return HeartbeatEnd::LetGo(problem.clone());
                }
                tracing::debug!(%error, "heartbeat");
            }
        }
        sleep(CLOSEST).await;
        tokio::select! {
            () = sleep(jittered(every).saturating_sub(CLOSEST)) => {}
            Ok(()) = activity.changed() => {}
            Ok(()) = wakes.changed() => {}
        }
    }
}

fn period(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds.clamp(1, 3600)))
}
