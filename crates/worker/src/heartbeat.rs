//! Heartbeats: report the device's activity when it changes, and periodically.

use std::time::Duration;

use protocol::device::{DeviceState, Heartbeat};
use protocol::enrollment::Session;
use protocol::{DeviceId, Problem};
use tokio::time::{sleep, timeout};

use crate::client::Client;
use crate::response::RequestError;
use crate::retry::jittered;
use crate::status::{Activity, StatusReporter, Suspension};

/// Problem kind for a second worker with the same identity.
pub(crate) const SECOND_SESSION: &str = "second-session";

/// Minimum interval between heartbeats. Faster changes are combined.
const CLOSEST: Duration = Duration::from_secs(1);

/// Time for the last heartbeat of a worker that stops.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

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

/// Tells the coordinator that this worker stops, so that it does not wait for heartbeats. Waits a moment at most.
pub(crate) async fn say_goodbye(client: &Client, device: DeviceId, session: &Session) {
    let (state, session) = (DeviceState::Offline, Some(session.clone()));
    let goodbye = Heartbeat { state, reason: None, lease: None, session };
    match timeout(GOODBYE_TIMEOUT, client.heartbeat(device, &goodbye)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::debug!(%error, "the coordinator was not told that this worker stops");
        }
        Err(_) => tracing::debug!(
            "the coordinator does not answer; it notices by itself that this worker stopped"
        ),
    }
}

fn period(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds.clamp(1, 3600)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{Server, Step};

    #[tokio::test]
    async fn a_worker_that_stops_says_so() {
        let answer = br#"{"heartbeat_seconds":30,"return_within_seconds":0.0,"lease_held":true}"#;
        let server = Server::start(vec![Step::answer("200 OK", "", answer)]).await;
        let device = crate::test_server::device();
        let session = Session { id: "one".to_owned(), after: Vec::new() };
        let client = server.client();
        client.set_token(Some("secret".into()));
        say_goodbye(&client, device, &session).await;
        let asked = server.requests();
        assert!(asked[0].head.starts_with(&format!("POST /devices/{device}/heartbeat ")));
        let said: Heartbeat = serde_json::from_slice(&asked[0].body).unwrap();
        assert_eq!((said.state, said.session), (DeviceState::Offline, Some(session)));
    }
}
