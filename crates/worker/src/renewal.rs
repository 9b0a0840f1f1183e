//! Keeping a lease: progress that renews it, and word from the coordinator that it is over.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::LeaseId;
use protocol::lease::{Lease, LeaseStanding, Progress};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::answer::RequestError;
use crate::client::Client;

/// Between two reports at most.
const LONGEST: Duration = Duration::from_secs(2);
/// And at least, whatever the lease says.
const SHORTEST: Duration = Duration::from_millis(100);

/// Why there is nothing left to renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Lost,
    Unauthorized,
}

pub(crate) struct Renewal<'a> {
    client: &'a Client,
    lease: LeaseId,
    /// From a renewal to the deadline.
    length: Duration,
    renewed: Mutex<Instant>,
    latest: watch::Sender<Progress>,
}

impl<'a> Renewal<'a> {
    pub(crate) fn new(client: &'a Client, lease: &Lease) -> Self {
        let steps = lease.plan.steps(lease.rows);
        Self {
            client,
            lease: lease.id,
            length: lease.deadline.since(lease.granted_at),
            renewed: Mutex::new(Instant::now()),
            latest: watch::Sender::new(Progress {
                step: 0,
                steps,
                loss: 0.0,
                examples_per_second: 0.0,
            }),
        }
    }

    pub(crate) fn lease(&self) -> LeaseId {
        self.lease
    }

    /// What the next report tells.
    pub(crate) fn note(&self, progress: Progress) {
        self.latest.send_replace(progress);
    }

    /// Time until the lease lapses, by this machine's clock alone.
    pub(crate) fn left(&self) -> Duration {
        self.length.saturating_sub(self.renewed().elapsed())
    }

    /// Reports until there is nothing to report to. A coordinator that doesn't answer may come back.
    pub(crate) async fn until_ended(&self) -> Ended {
        let every = (self.length / 4).clamp(SHORTEST, LONGEST);
        let mut latest = self.latest.subscribe();
        let mut first = latest.borrow().step == 0;
        let mut due = self.renewed() + every;
        loop {
            tokio::select! {
                () = sleep_until(due) => {}
                Ok(_) = latest.wait_for(|progress| progress.step > 0), if first => {}
            }
            let progress = latest.borrow_and_update().clone();
            first = first && progress.step == 0;
            match self.client.progress(self.lease, &progress).await {
                Ok(answer) if answer.standing == LeaseStanding::Held => {
                    *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                }
                Ok(_) => return Ended::Lost,
                Err(error) if error.is_unauthorized() => return Ended::Unauthorized,
                Err(RequestError::Refused(problem)) => {
                    tracing::info!(%problem, "the lease is over");
                    return Ended::Lost;
                }
                Err(error) => tracing::debug!(%error, "progress"),
            }
            due = Instant::now() + every;
        }
    }

    fn renewed(&self) -> Instant {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
