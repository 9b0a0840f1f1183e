//! Running steps: starts them outside the driver, repeats them after transient errors and sends their
//! results back as messages.

use std::sync::Arc;
use std::time::Duration;

use federation::machine::Event;
use protocol::JobId;
use tokio_util::sync::CancellationToken;

use super::{DriverError, DriverHandle};
use crate::crash_points::CrashPoint;
use crate::steps::{ProgressFn, StepContext, StepError, StepKey, StepOutcome, Task, attempt};
use crate::store::StoreError;

/// Number of transient errors after which a step fails the job.
const MAXIMUM_TRANSIENT_ERRORS: u32 = 5;
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(1);
const MAXIMUM_RETRY_DELAY: Duration = Duration::from_secs(30);

/// Starts a step and returns the token that cancels it.
pub(super) fn spawn(
    context: &StepContext,
    key: StepKey,
    task: Task,
    driver: DriverHandle,
) -> CancellationToken {
    let cancel = CancellationToken::new();
    let (owned, ended) = (context.clone(), cancel.clone());
    context.runtime.spawn(async move {
        tokio::select! {
            () = ended.cancelled() => {}
            () = run(&owned, key, &task, &driver, &ended) => {}
        }
    });
    cancel
}

async fn run(
    context: &StepContext,
    key: StepKey,
    task: &Task,
    driver: &DriverHandle,
    cancel: &CancellationToken,
) {
    let report = progress_reporter(context, key, task.job, driver);
    let (mut delay, mut transient_errors) = (FIRST_RETRY_DELAY, 0);
    let points = &context.observer.points;
    loop {
        points.pass(CrashPoint::StepBegun);
        let error = match attempt(context, task, cancel, &report).await {
            Ok(outcome) => {
                points.pass(key.crash_point());
                match deliver(key, task.job, driver, outcome).await {
                    Delivery::Accepted => return,
                    Delivery::Repeat => continue,
                }
            }
            Err(error) => error,
        };
        tracing::warn!(job = %task.job, ?key, %error, "a step failed");
        transient_errors += u32::from(matches!(error, StepError::Transient(_)));
        match error {
            StepError::Cancelled => return,
            StepError::Full => report(error.to_string()),
            StepError::Transient(_) if transient_errors < MAXIMUM_TRANSIENT_ERRORS => {
                report(error.to_string());
            }
            StepError::Transient(reason) | StepError::Permanent(reason) => {
                let event = match key {
                    StepKey::Prepare => Event::PreparationFailed { reason },
                    StepKey::Aggregate { .. } | StepKey::Evaluate { .. } | StepKey::Register => {
                        Event::StepFailed { reason }
                    }
                };
                deliver(key, task.job, driver, StepOutcome::Event(Box::new(event))).await;
                return;
            }
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(MAXIMUM_RETRY_DELAY);
    }
}

/// Reaction of the driver to a step's result.
enum Delivery {
    /// Applied it, or no longer needed it.
    Accepted,
    /// Refused it because a blob is missing: the step must run again.
    Repeat,
}

/// Sends a step's result to the driver, and retries while the database can't be written.
async fn deliver(
    key: StepKey,
    job: JobId,
    driver: &DriverHandle,
    outcome: StepOutcome,
) -> Delivery {
    let mut delay = FIRST_RETRY_DELAY;
    loop {
        match driver.step_ended(job, key, outcome.clone()).await {
            Ok(()) => return Delivery::Accepted,
            Err(DriverError::Store(StoreError::Full | StoreError::Sqlite(_))) => {}
            Err(DriverError::MissingBlob(_)) => return Delivery::Repeat,
            // The job moved on without this result, or the coordinator is stopping.
            Err(error) => {
                tracing::info!(%job, ?key, %error, "a step's result was no longer needed");
                return Delivery::Accepted;
            }
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(MAXIMUM_RETRY_DELAY);
    }
}

/// Returns a callback that forwards a step's notes to the driver, at most one a second; only the newest
/// waiting note is kept.
fn progress_reporter(
    context: &StepContext,
    key: StepKey,
    job: JobId,
    driver: &DriverHandle,
) -> ProgressFn {
    let (sender, mut notes) = tokio::sync::watch::channel(String::new());
    let driver = driver.clone();
    context.runtime.spawn(async move {
        while notes.changed().await.is_ok() {
            let note = notes.borrow_and_update().clone();
            // A note that can't be stored is dropped: the next one replaces it.
            drop(driver.step_progress(job, key, note).await);
            tokio::time::sleep(FIRST_RETRY_DELAY).await;
        }
    });
    Arc::new(move |note| drop(sender.send(note)))
}
