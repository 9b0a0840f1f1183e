//! Keeping a lease: progress that renews it, and word from the coordinator that it is over.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::LeaseId;
use protocol::lease::{Lease, LeaseStanding, Progress};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::response::RequestError;
use crate::retry::jittered;

/// Until the first report, which is told when the next is due.
const FIRST: Duration = Duration::from_secs(2);
/// Between two reports at least, and at most, whatever the coordinator says.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_mins(1);

/// Why there is nothing left to renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenewalEnd {
    Lost,
    Unauthorized,
}

pub(crate) struct Renewal<'a> {
    client: &'a Client,
    lease: LeaseId,
    /// When the lease lapses, by this machine's clock.
    until: Mutex<Instant>,
    steps: u64,
    latest: watch::Sender<Progress>,
}

impl<'a> Renewal<'a> {
    pub(crate) fn new(client: &'a Client, lease: &Lease) -> Self {
        let steps = lease.plan.steps(lease.rows);
        Self {
            client,
            lease: lease.id,
            until: Mutex::new(Instant::now() + lease.deadline.since(lease.granted_at)),
            steps,
            latest: watch::Sender::new(nothing_of(steps)),
        }
    }

    pub(crate) fn lease(&self) -> LeaseId {
        self.lease
    }

    /// What the next report tells.
    pub(crate) fn note(&self, progress: Progress) {
        self.latest.send_replace(progress);
    }

    /// A trainer begins, perhaps anew: the next report tells that nothing is done yet.
    pub(crate) fn begin(&self) {
        self.note(nothing_of(self.steps));
    }

    /// Time until the lease lapses, by this machine's clock alone.
    pub(crate) fn left(&self) -> Duration {
        self.until().saturating_duration_since(Instant::now())
    }

    /// Reports until there is nothing to report to. A coordinator that doesn't answer may come back.
    pub(crate) async fn until_ended(&self) -> RenewalEnd {
        let mut every = (self.left() / 4).clamp(SHORTEST, FIRST);
        let mut latest = self.latest.subscribe();
        let mut first = latest.borrow().step == 0;
        let mut due = Instant::now() + every;
        loop {
            tokio::select! {
                () = sleep_until(due) => {}
                Ok(_) = latest.wait_for(|progress| progress.step > 0), if first => {}
            }
            let progress = latest.borrow_and_update().clone();
            first = progress.step == 0;
            match self.client.progress(self.lease, &progress).await {
                Ok(answer) if answer.standing == LeaseStanding::Held => {
                    let until = Instant::now() + within_reason(answer.seconds_left);
                    *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
                    every = within_reason(answer.next_seconds).clamp(SHORTEST, LONGEST);
                }
                Ok(_) => return RenewalEnd::Lost,
                Err(error) if error.is_unauthorized() => return RenewalEnd::Unauthorized,
                Err(RequestError::Refused(problem)) => {
                    tracing::info!(%problem, "the lease is over");
                    return RenewalEnd::Lost;
                }
                Err(error) => tracing::debug!(%error, "progress"),
            }
            due = Instant::now() + jittered(every);
        }
    }

    fn until(&self) -> Instant {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nothing_of(steps: u64) -> Progress {
    Progress { step: 0, steps, loss: 0.0, examples_per_second: 0.0 }
}

/// Seconds that the coordinator named, at most a day.
fn within_reason(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default().min(Duration::from_hours(24))
}
