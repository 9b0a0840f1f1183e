//! Steps: long-running work of the coordinator itself (prepare, aggregate, evaluate, register).
//!
//! A step runs outside the driver and sends its result back as a message. Repeating a step from the
//! beginning gives the same result.

use std::sync::Arc;
use std::time::Duration;

use data::Sources;
use federation::machine::{Effect, Event, Preparation};
use protocol::JobId;
use protocol::job::JobSpec;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{DriverError, DriverHandle};
use crate::aggregate::{self, Aggregation};
use crate::blobs::Blobs;
use crate::crash_points::CrashPoint;
use crate::evaluate::Trainers;
use crate::observer::{Observer, ObserverEvent, StepPhase};
use crate::register::{self, NewModel};
use crate::store::StoreError;
use crate::{evaluate, prepare};

/// Number of transient errors after which a step fails the job.
const MAXIMUM_TRANSIENT_ERRORS: u32 = 5;
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(1);
const MAXIMUM_RETRY_DELAY: Duration = Duration::from_secs(30);

/// Identifies a step of a job. A job runs one step at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepKey {
    Prepare,
    Aggregate { round: u32 },
    Evaluate { round: u32 },
    Register,
}

impl StepKey {
    pub(super) const fn phase(self) -> StepPhase {
        match self {
            Self::Prepare => StepPhase::Preparing,
            Self::Aggregate { .. } => StepPhase::Aggregating,
            Self::Evaluate { .. } => StepPhase::Evaluating,
            Self::Register => StepPhase::Registering,
        }
    }

    /// Returns the crash point between the step's result and its delivery to the driver.
    const fn crash_point(self) -> CrashPoint {
        match self {
            Self::Prepare => CrashPoint::Prepared,
            Self::Aggregate { .. } => CrashPoint::Aggregated,
            Self::Evaluate { .. } => CrashPoint::Evaluated,
            Self::Register => CrashPoint::ModelWritten,
        }
    }

    /// Returns the step for an effect, or `None` if the effect needs no step.
    pub(super) fn for_effect(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Prepare => Some(Self::Prepare),
            Effect::Aggregate { round, .. } => Some(Self::Aggregate { round: *round }),
            Effect::Evaluate { round, .. } => Some(Self::Evaluate { round: *round }),
            Effect::Register { .. } => Some(Self::Register),
            // The aggregation step gets every update, so accumulating needs no step.
            Effect::Accumulate { .. }
            | Effect::Grant(_)
            | Effect::Outcome(_)
            | Effect::Nondeterminism { .. }
            | Effect::LeaseEnded { .. } => None,
        }
    }
}

/// A running step.
#[derive(Debug)]
pub(super) struct RunningStep {
    pub(super) key: StepKey,
    pub(super) cancel: CancellationToken,
    /// Latest progress note.
    pub(super) note: Option<String>,
}

/// Result of a step.
#[derive(Debug, Clone)]
pub(super) enum StepOutcome {
    Event(Box<Event>),
    Registered(Box<NewModel>),
}

/// Error that ended a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StepError {
    /// The disk or the disk quota is full. The step is retried.
    #[error(
        "the coordinator's disk or disk quota is full: free space or raise --maximum-disk-gb; the job \
         resumes automatically"
    )]
    Full,
    /// A trainer or a connection broke. The step is retried.
    #[error("{0}")]
    Transient(String),
    /// The step can't succeed.
    #[error("{0}")]
    Permanent(String),
    /// The result is no longer needed.
    #[error("cancelled")]
    Cancelled,
}

impl StepError {
    /// Converts an I/O error of a blob; `what` says what failed.
    pub(crate) fn io(what: &str) -> impl Fn(std::io::Error) -> Self {
        move |error| {
            if crate::blobs::is_full(&error) {
                return Self::Full;
            }
            Self::Permanent(format!("{what}: {error}"))
        }
    }
}

/// Input of a step.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) job: JobId,
    pub(crate) spec: JobSpec,
    /// Set for every step after the preparation.
    pub(crate) preparation: Option<Preparation>,
    /// Number of closed rounds.
    pub(crate) rounds: usize,
    pub(crate) effect: Effect,
}

/// Shared resources of all steps.
#[derive(Debug, Clone)]
pub(crate) struct StepContext {
    pub(crate) runtime: Handle,
    pub(crate) blobs: Blobs,
    pub(crate) sources: Arc<Sources>,
    pub(crate) trainers: Trainers,
    pub(crate) observer: Observer,
}

/// Callback for a step's progress notes.
pub(crate) type ProgressFn = Arc<dyn Fn(String) + Send + Sync>;

impl StepContext {
    /// Starts a step and returns the token that cancels it.
    pub(super) fn spawn(
        &self,
        key: StepKey,
        task: Task,
        driver: DriverHandle,
    ) -> CancellationToken {
        let cancel = CancellationToken::new();
        let (context, ended) = (self.clone(), cancel.clone());
        self.runtime.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = run(&context, key, &task, &driver, &ended) => {}
            }
        });
        cancel
    }
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

/// What the driver did with a step's result.
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
            drop(driver.step_says(job, key, note).await);
            tokio::time::sleep(FIRST_RETRY_DELAY).await;
        }
    });
    Arc::new(move |note| drop(sender.send(note)))
}

/// Runs a step once.
async fn attempt(
    context: &StepContext,
    task: &Task,
    cancel: &CancellationToken,
    report: &ProgressFn,
) -> Result<StepOutcome, StepError> {
    let event = match &task.effect {
        Effect::Prepare => {
            let preparation = prepare::prepare(context, &task.spec, cancel, report).await?;
            Event::Prepared(Box::new(preparation))
        }
        Effect::Aggregate { round, base, updates, seat_rows } => {
            let parameters = parameters(task)?;
            context.observer.notify(&ObserverEvent::Aggregating { job: task.job, round: *round });
            let (blobs, updates, round) = (context.blobs.clone(), updates.clone(), *round);
            let work = Aggregation { base: *base, updates, seat_rows: *seat_rows, parameters };
            let ended = cancel.clone();
            let model = blocking(move || aggregate::aggregate(&blobs, &work, &ended)).await?;
            Event::Aggregated { round, model }
        }
        Effect::Evaluate { round, model } => {
            let preparation = preparation(task)?;
            let (test, validation) =
                evaluate::evaluate(context, preparation, *model, cancel).await?;
            Event::Evaluated { round: *round, test, validation }
        }
        Effect::Register { model, evaluation } => {
            let (blobs, task) = (context.blobs.clone(), task.clone());
            let preparation = preparation(&task)?.clone();
            let (model, evaluation) = (*model, evaluation.clone());
            let work =
                move || register::write_result(&blobs, &task, &preparation, model, evaluation);
            return Ok(StepOutcome::Registered(Box::new(blocking(work).await?)));
        }
        Effect::Grant(_)
        | Effect::Outcome(_)
        | Effect::Nondeterminism { .. }
        | Effect::Accumulate { .. }
        | Effect::LeaseEnded { .. } => return Err(StepError::Cancelled),
    };
    Ok(StepOutcome::Event(Box::new(event)))
}

/// Runs blocking work on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StepError> + Send + 'static,
) -> Result<T, StepError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(StepError::Permanent(format!("internal: {error}"))))
}

fn preparation(task: &Task) -> Result<&Preparation, StepError> {
    let missing = || StepError::Permanent("internal: the job has no preparation".to_owned());
    task.preparation.as_ref().ok_or_else(missing)
}

fn parameters(task: &Task) -> Result<usize, StepError> {
    let layout = preparation(task)?.spec.layout();
    Ok(layout
        .map_err(|error| StepError::Permanent(format!("the model can't be built: {error}")))?
        .parameters)
}
