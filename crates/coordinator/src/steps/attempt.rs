//! One run of a step.

use std::sync::Arc;

use federation::machine::{Effect, Event, Preparation};
use tokio_util::sync::CancellationToken;

use super::aggregate::{self, Aggregation};
use super::context::{ProgressFn, StepContext, Task, blocking};
use super::error::StepError;
use super::register::{self, NewModel};
use super::{evaluate, prepare};
use crate::observer::ObserverEvent;

/// Result of a step.
#[derive(Debug, Clone)]
pub(crate) enum StepOutcome {
    Event(Box<Event>),
    Registered(Box<NewModel>),
}

/// Runs a step once.
pub(crate) async fn attempt(
    context: &StepContext,
    task: &Task,
    cancel: &CancellationToken,
    report: &ProgressFn,
) -> Result<StepOutcome, StepError> {
    let event = match &task.effect {
        Effect::Prepare => {
            let preparation = prepare::prepare(context, task, cancel, report).await?;
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

fn preparation(task: &Task) -> Result<&Arc<Preparation>, StepError> {
    let missing = || StepError::Permanent("internal: the job has no preparation".to_owned());
    task.preparation.as_ref().ok_or_else(missing)
}

fn parameters(task: &Task) -> Result<usize, StepError> {
    let layout = preparation(task)?.spec.layout();
    Ok(layout
        .map_err(|error| StepError::Permanent(format!("the model can't be built: {error}")))?
        .parameters)
}
