//! Long work of the coordinator itself: preparing, aggregating, evaluating, registering. Each step
//! can be done again from the beginning and gives the same; what it gives comes back as a message.

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

/// What breaks this often in one step won't hold.
const MOST_BREAKS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Which step it is; a job does one at a time.
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

    /// The moment between its result and the driver's knowing of it.
    const fn done(self) -> CrashPoint {
        match self {
            Self::Prepare => CrashPoint::Prepared,
            Self::Aggregate { .. } => CrashPoint::Aggregated,
            Self::Evaluate { .. } => CrashPoint::Evaluated,
            Self::Register => CrashPoint::ModelWritten,
        }
    }

    /// None for effects that are done at once.
    pub(super) fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Prepare => Some(Self::Prepare),
            Effect::Aggregate { round, .. } => Some(Self::Aggregate { round: *round }),
            Effect::Evaluate { round, .. } => Some(Self::Evaluate { round: *round }),
            Effect::Register { .. } => Some(Self::Register),
            // An aggregation names every update again.
            Effect::Accumulate { .. }
            | Effect::Grant(_)
            | Effect::Outcome(_)
            | Effect::Nondeterminism { .. }
            | Effect::LeaseEnded { .. } => None,
        }
    }
}

/// A step that runs.
#[derive(Debug)]
pub(super) struct RunningStep {
    pub(super) key: StepKey,
    pub(super) cancel: CancellationToken,
    /// What it says of itself.
    pub(super) note: Option<String>,
}

/// What a step gave.
#[derive(Debug, Clone)]
pub(super) enum StepOutcome {
    Event(Box<Event>),
    Registered(Box<NewModel>),
}

/// Why a step did not get to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StepError {
    /// There is no room on the disk; there may be later.
    #[error(
        "the disk is full, or all that the coordinator may store is stored: make room, it goes on by \
         itself"
    )]
    Full,
    /// A trainer broke or a connection broke; another may hold.
    #[error("{0}")]
    Transient(String),
    /// It can't be done.
    #[error("{0}")]
    Permanent(String),
    /// Nobody wants it any more.
    #[error("cancelled")]
    Cancelled,
}

impl StepError {
    /// Of reading and writing blobs.
    pub(crate) fn io(what: &str) -> impl Fn(std::io::Error) -> Self {
        move |error| {
            if crate::blobs::is_full(&error) {
                return Self::Full;
            }
            Self::Permanent(format!("{what}: {error}"))
        }
    }
}

/// What a step works on.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) job: JobId,
    pub(crate) spec: JobSpec,
    /// There for every step after the preparation.
    pub(crate) preparation: Option<Preparation>,
    /// Rounds so far.
    pub(crate) rounds: usize,
    pub(crate) effect: Effect,
}

/// What steps need.
#[derive(Debug, Clone)]
pub(crate) struct StepContext {
    pub(crate) runtime: Handle,
    pub(crate) blobs: Blobs,
    pub(crate) sources: Arc<Sources>,
    pub(crate) trainers: Trainers,
    pub(crate) observer: Observer,
}

/// How a step tells how far it is.
pub(crate) type ProgressFn = Arc<dyn Fn(String) + Send + Sync>;

impl StepContext {
    /// Starts a step; cancelling what this gives ends it.
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
    let say = speaker(context, key, task.job, driver);
    let (mut pause, mut breaks) = (FIRST_PAUSE, 0);
    let points = &context.observer.points;
    loop {
        points.pass(CrashPoint::StepBegun);
        let fault = match attempt(context, task, cancel, &say).await {
            Ok(outcome) => {
                points.pass(key.done());
                match deliver(key, task.job, driver, outcome).await {
                    Delivered::Taken => return,
                    Delivered::Again => continue,
                }
            }
            Err(fault) => fault,
        };
        tracing::warn!(job = %task.job, ?key, %fault, "a step did not get to its end");
        let broke = matches!(fault, StepError::Transient(_));
        breaks += u32::from(broke);
        match fault {
            StepError::Cancelled => return,
            StepError::Full => say(fault.to_string()),
            StepError::Transient(_) if breaks < MOST_BREAKS => say(fault.to_string()),
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
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What became of a step's result.
enum Delivered {
    Taken,
    /// The step must be done again.
    Again,
}

/// Hands the result in, for as long as the disk is full.
async fn deliver(
    key: StepKey,
    job: JobId,
    driver: &DriverHandle,
    outcome: StepOutcome,
) -> Delivered {
    let mut pause = FIRST_PAUSE;
    loop {
        match driver.step_ended(job, key, outcome.clone()).await {
            Ok(()) => return Delivered::Taken,
            Err(DriverError::Store(StoreError::Full | StoreError::Sqlite(_))) => {}
            Err(DriverError::MissingBlob(_)) => return Delivered::Again,
            // The job went on without it, or the coordinator is going.
            Err(refusal) => {
                tracing::info!(%job, ?key, %refusal, "a step's result was not wanted");
                return Delivered::Taken;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Sends what a step says, in the order it says it.
fn speaker(context: &StepContext, key: StepKey, job: JobId, driver: &DriverHandle) -> ProgressFn {
    let (sender, mut notes) = tokio::sync::watch::channel(String::new());
    let driver = driver.clone();
    context.runtime.spawn(async move {
        while notes.changed().await.is_ok() {
            let note = notes.borrow_and_update().clone();
            // A note that can't be stored now is followed by another.
            drop(driver.step_says(job, key, note).await);
            tokio::time::sleep(FIRST_PAUSE).await;
        }
    });
    Arc::new(move |note| drop(sender.send(note)))
}

async fn attempt(
    context: &StepContext,
    task: &Task,
    cancel: &CancellationToken,
    say: &ProgressFn,
) -> Result<StepOutcome, StepError> {
    let event = match &task.effect {
        Effect::Prepare => {
            let preparation = prepare::prepare(context, &task.spec, cancel, say).await?;
            Event::Prepared(Box::new(preparation))
        }
        Effect::Aggregate { round, base, updates, seat_rows } => {
            let parameters = parameters(task)?;
            context.observer.tell(&ObserverEvent::Aggregating { job: task.job, round: *round });
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
            let work = move || register::result(&blobs, &task, &preparation, model, evaluation);
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

/// Runs what would hold up an async thread.
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
    Ok(layout.map_err(|error| StepError::Permanent(format!("model: {error}")))?.parameters)
}
