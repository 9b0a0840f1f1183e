//! Heartbeats: that the device is there, and what it does, when that changes and every so often.

use std::time::Duration;

use protocol::device::Heartbeat;
use protocol::enrolment::Session;
use protocol::{DeviceId, Problem};
use tokio::time::sleep;

use crate::answer::RequestError;
use crate::client::Client;
use crate::retry::jittered;
use crate::status::{Activity, Voice, Withheld};

/// The kind of problem by which the coordinator tells of a second worker.
pub(crate) const SECOND_SESSION: &str = "second-session";

/// Between two heartbeats at least: what changes faster is told once.
const CLOSEST: Duration = Duration::from_secs(1);

/// Why there are no more heartbeats, in the coordinator's words.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The device is none of its devices any more.
    LetGo(Problem),
    /// Another worker has this identity.
    SecondSession(Problem),
}

/// Beats until the coordinator lets the device go, or says that another worker has this identity. A
/// heartbeat that fails otherwise is not tried again before the next is due.
pub(crate) async fn beat(
    client: &Client,
    device: DeviceId,
    seconds: u32,
    session: &Session,
    voice: &Voice<'_>,
) -> Ended {
    let (mut activity, mut wakes) = (voice.activity(), client.wakes());
    let mut every = period(seconds);
    loop {
        let Activity { state, reason, lease } = activity.borrow_and_update().clone();
        wakes.mark_unchanged();
        let session = Some(session.clone());
        match client.heartbeat(device, &Heartbeat { state, reason, lease, session }).await {
            Ok(answer) => {
                every = period(answer.heartbeat_seconds);
                client.set_spread(answer.return_within_seconds);
                voice.withheld(Withheld::from_answer(answer));
            }
            Err(RequestError::Refused(problem)) if problem.kind == SECOND_SESSION => {
                return Ended::SecondSession(problem);
            }
            Err(error) => {
                if let Some(problem) = error.lets_go() {
                    return Ended::LetGo(problem.clone());
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
