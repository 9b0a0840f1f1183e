//! Lease renewal: progress reports that extend the lease, until the coordinator says that it is over.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::LeaseId;
use protocol::lease::{Lease, LeaseStanding, Progress};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::net::client::Client;
use crate::net::response::RequestError;
use crate::net::retry::jittered;

/// Maximum wait before the first report. The coordinator's answer says when the next one is due.
const FIRST_REPORT: Duration = Duration::from_secs(2);
/// Bounds on the interval between reports that the coordinator asks for.
const MINIMUM_INTERVAL: Duration = Duration::from_millis(100);
const MAXIMUM_INTERVAL: Duration = Duration::from_mins(1);

/// Why the lease cannot be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenewalEnd {
    Lost,
    Unauthorized,
}

/// Renews one lease in the background of the work on it.
pub(crate) struct Renewal<'a> {
    client: &'a Client,
    lease: LeaseId,
    /// When the lease expires, by this machine's clock.
    expires_at: Mutex<Instant>,
    steps: u64,
    latest: watch::Sender<Progress>,
}

impl<'a> Renewal<'a> {
    pub(crate) fn new(client: &'a Client, lease: &Lease) -> Self {
        let steps = lease.plan.steps(lease.rows);
        Self {
            client,
            lease: lease.id,
            expires_at: Mutex::new(Instant::now() + lease.deadline.since(lease.granted_at)),
            steps,
            latest: watch::Sender::new(no_progress(steps)),
        }
    }

    pub(crate) fn lease(&self) -> LeaseId {
        self.lease
    }

    /// Sets the progress that the next report sends.
    pub(crate) fn set_progress(&self, progress: Progress) {
        self.latest.send_replace(progress);
    }

    /// Resets the progress, because a trainer starts from the beginning or a checkpoint.
    pub(crate) fn begin(&self) {
        self.set_progress(no_progress(self.steps));
    }

    /// Time until the lease expires, by this machine's clock alone.
    pub(crate) fn left(&self) -> Duration {
        self.expires_at().saturating_duration_since(Instant::now())
    }

    /// Sends reports until the lease is over. Network errors do not end it, because the coordinator may
    /// come back.
    pub(crate) async fn until_ended(&self) -> RenewalEnd {
        let mut interval = (self.left() / 4).clamp(MINIMUM_INTERVAL, FIRST_REPORT);
        let mut latest = self.latest.subscribe();
        let mut first = latest.borrow().step == 0;
        let mut due = Instant::now() + interval;
        loop {
            tokio::select! {
                () = sleep_until(due) => {}
                Ok(_) = latest.wait_for(|progress| progress.step > 0), if first => {}
            }
            let progress = latest.borrow_and_update().clone();
            first = progress.step == 0;
            match self.client.progress(self.lease, &progress).await {
                Ok(answer) if answer.standing == LeaseStanding::Held => {
                    let expires_at = Instant::now() + bounded_seconds(answer.seconds_left);
                    *self.expires_at.lock().unwrap_or_else(PoisonError::into_inner) = expires_at;
                    interval = bounded_seconds(answer.next_seconds)
                        .clamp(MINIMUM_INTERVAL, MAXIMUM_INTERVAL);
                }
                Ok(_) => return RenewalEnd::Lost,
                Err(error) if error.is_unauthorized() => return RenewalEnd::Unauthorized,
                Err(RequestError::Refused(problem)) => {
                    tracing::info!(%problem, "the lease is over");
                    return RenewalEnd::Lost;
                }
                Err(error) => tracing::debug!(%error, "a progress report failed"),
            }
            due = Instant::now() + jittered(interval);
        }
    }

    fn expires_at(&self) -> Instant {
        *self.expires_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_progress(steps: u64) -> Progress {
    Progress { step: 0, steps, loss: 0.0, examples_per_second: 0.0 }
}

/// Converts seconds from the coordinator, limited to one day.
fn bounded_seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default().min(Duration::from_hours(24))
}
