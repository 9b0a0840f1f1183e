//! Follows a job through the coordinator's event stream.

use std::time::Duration;

use protocol::JobId;
use protocol::api::{ChangeKind, Events, Job, Round};
use reqwest::Method;

use crate::client::{Client, ClientError};

/// Seconds that a long poll for events waits.
const POLL_WAIT: u64 = 25;
/// Delay between attempts to reach the coordinator.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// Time that a coordinator may be unreachable, for example during a restart, before the error is returned.
const RECONNECT_TIMEOUT: Duration = Duration::from_mins(1);

/// A job at one point in time.
#[derive(Debug, Clone)]
pub(crate) struct JobUpdate {
    pub job: Job,
    /// Rounds closed since the previous [`JobUpdate`].
    pub closed: Vec<Round>,
}

/// Fetches a job each time it changes.
#[derive(Debug)]
pub(crate) struct Follower {
    client: Client,
    job: JobId,
    /// Revision of the last fetch; `None` before the first one.
    revision: Option<u64>,
    /// Last closed round that was returned.
    last_round: u32,
}

impl Follower {
    pub(crate) fn new(client: Client, job: JobId) -> Self {
        Self { client, job, revision: None, last_round: 0 }
    }

    /// Returns the job: immediately on the first call, then whenever it has changed. Waits for a coordinator that
    /// restarts.
    pub(crate) async fn next(&mut self) -> Result<JobUpdate, ClientError> {
        let mut unreachable_since = None;
        loop {
            let error = match self.fetch().await {
                Ok(update) => return Ok(update),
                Err(error) => error,
            };
            let since = *unreachable_since.get_or_insert_with(tokio::time::Instant::now);
            if !error.is_transient()
                || since.elapsed() > RECONNECT_TIMEOUT
                || self.revision.is_none()
            {
                return Err(error);
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn fetch(&mut self) -> Result<JobUpdate, ClientError> {
        // The revision is read first, so that a later change triggers another fetch.
        let revision = match self.revision {
            None => self.events(0, 0).await?.revision,
            Some(after) => self.next_revision(after).await?,
        };
        let job: Job = self.client.get(&format!("/jobs/{}", self.job)).await?;
        let rounds: Vec<Round> = self.client.get(&format!("/jobs/{}/rounds", self.job)).await?;
        self.revision = Some(revision);
        let closed: Vec<Round> = rounds
            .into_iter()
            .filter(|round| round.closed_at.is_some() && round.round > self.last_round)
            .collect();
        self.last_round = closed.iter().map(|round| round.round).max().unwrap_or(self.last_round);
        Ok(JobUpdate { job, closed })
    }

    /// Waits until the job has changed after revision `after`; returns the new revision.
    async fn next_revision(&self, mut after: u64) -> Result<u64, ClientError> {
        let id = self.job.to_string();
        loop {
            let events = self.events(after, POLL_WAIT).await?;
            let is_this_job = events
                .changes
                .iter()
                .any(|change| change.kind == ChangeKind::Job && change.id == id);
            if is_this_job || events.reset {
                return Ok(events.revision);
            }
            after = events.revision;
        }
    }

    async fn events(&self, after: u64, wait: u64) -> Result<Events, ClientError> {
        let request = self
            .client
            .request(Method::GET, &format!("/events?after={after}&wait={wait}"))
            .timeout(Duration::from_secs(wait + 30));
        self.client.decode(self.client.send(request).await?).await
    }
}
