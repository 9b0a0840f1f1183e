//! Joining by a typed code: asks each coordinator that is found whether it knows the code.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::join::JoinSecret;

use crate::WorkerError;
use crate::client::Client;
use crate::enroll::refused;
use crate::identity::Cluster;
use crate::response::RequestError;
use crate::status::{Status, StatusReporter};

/// Problem kind for a typed code that the cluster doesn't know.
const WRONG_CODE: &str = "wrong-join-code";
/// Time to find another coordinator after one that did not know the code.
const ELSEWHERE: Duration = Duration::from_secs(5);

/// Returns the cluster that knows the code. There may be several clusters on the network, so each one found is
/// tried once.
pub(crate) async fn by_typed_code(
    client: &Client,
    reporter: &StatusReporter<'_>,
    secret: &JoinSecret,
) -> Result<Cluster, WorkerError> {
    let mut asked = BTreeSet::new();
    loop {
        let mut url = None;
        let ask = || {
            url = client.url();
            let url = url.clone();
            async move { client.join(url.as_deref(), secret).await }
        };
        let answer = client.retry_until_answered(ask, |error| reporter.offline(error)).await;
        let error = match answer {
            Ok(Ok(cluster)) => return Ok(cluster),
            Ok(Err(not_proven)) => WorkerError::from(not_proven),
            Err(RequestError::Refused(problem)) if problem.kind == WRONG_CODE => {
                WorkerError::Refused(problem)
            }
            Err(error) => return Err(refused(error)),
        };
        asked.extend(url);
        if !client.may_move() {
            return Err(error);
        }
        // The observer provides the next address when it receives this status.
        reporter.report(&Status::Offline { reason: error.to_string() });
        let is_new = || client.url().is_some_and(|url| !asked.contains(&url));
        if !is_new() {
            client.pause(ELSEWHERE).await;
        }
        if !is_new() {
            return Err(error);
        }
    }
}
