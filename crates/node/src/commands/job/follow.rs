//! Follows a job by the coordinator's events.

use std::time::Duration;

use protocol::JobId;
use protocol::api::{ChangeKind, Events, Job, Round};
use reqwest::Method;

use crate::client::{Client, ClientError};

/// Seconds that one question for events waits.
const WAIT: u64 = 25;
const RETRY: Duration = Duration::from_millis(200);
/// How long a coordinator may be away, as in a restart, before that is an error.
const PATIENCE: Duration = Duration::from_mins(1);

/// A job at one moment.
#[derive(Debug, Clone)]
pub struct News {
    pub job: Job,
    /// Rounds closed since the last news.
    pub closed: Vec<Round>,
}

/// Asks for a job each time it changed.
#[derive(Debug)]
pub struct Follower {
    client: Client,
    job: JobId,
    /// None before the first question.
    revision: Option<u64>,
    /// The last closed round that was told.
    told: u32,
}

impl Follower {
    pub fn new(client: Client, job: JobId) -> Self {
        Self { client, job, revision: None, told: 0 }
    }

    /// The job as it is, first at once and then whenever it has changed. A coordinator that
    /// restarts is waited for.
    pub async fn next(&mut self) -> Result<News, ClientError> {
        let mut away_since = None;
        loop {
            let error = match self.ask().await {
                Ok(news) => return Ok(news),
                Err(error) => error,
            };
            let since = *away_since.get_or_insert_with(tokio::time::Instant::now);
            if !error.is_passing() || since.elapsed() > PATIENCE || self.revision.is_none() {
                return Err(error);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn ask(&mut self) -> Result<News, ClientError> {
        // The revision comes first: what changes after it is asked for again.
        let revision = match self.revision {
            None => self.events(0, 0).await?.revision,
            Some(after) => self.changed(after).await?,
        };
        let job: Job = self.client.get(&format!("/jobs/{}", self.job)).await?;
        let rounds: Vec<Round> = self.client.get(&format!("/jobs/{}/rounds", self.job)).await?;
        self.revision = Some(revision);
        let closed: Vec<Round> = rounds
            .into_iter()
            .filter(|round| round.closed_at.is_some() && round.round > self.told)
            .collect();
        self.told = closed.iter().map(|round| round.round).max().unwrap_or(self.told);
        Ok(News { job, closed })
    }

    async fn changed(&self, mut after: u64) -> Result<u64, ClientError> {
        let id = self.job.to_string();
        loop {
            let events = self.events(after, WAIT).await?;
            let concerns_us = events
                .changes
                .iter()
                .any(|change| change.kind == ChangeKind::Job && change.id == id);
            if concerns_us || events.reset {
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
