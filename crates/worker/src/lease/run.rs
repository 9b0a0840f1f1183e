//! Work on one lease: fetches its blobs, trains, yields to the Mac's owner and resumes, and hands over
//! to [`super::submit`].

use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};

use protocol::BlobHash;
use protocol::lease::{Lease, ReturnReason};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use trainer::{Trained, TrainerError};

use super::renew::{Renewal, RenewalEnd};
use super::submit::{return_lease, submit};
use super::{LeaseContext, LeaseOutcome};
use crate::cache::FetchError;
use crate::idle_monitor::TRAINING;
use crate::lease_workspace::{self, Finished, LeaseWorkspace};
use crate::memory::{Budget, Shortage};
use crate::policy::{HoldDetail, keep_for};
use crate::status::Status;
use crate::trainers::Trainers;

/// Maximum number of trainer restarts for one lease.
const RESTARTS: u32 = 3;

/// Why training ended before it was done.
enum LeaseError {
    Hold(HoldDetail),
    LeaseEnded(RenewalEnd),
    Stop,
    Trainer(TrainerError),
    Fetch(FetchError),
    Memory(Shortage),
    Disk(io::Error),
}

/// Works on a lease until its update is submitted, or the lease is returned or lost.
pub(crate) async fn run_lease(
    context: &LeaseContext<'_>,
    trainers: &mut Trainers,
    lease: &Lease,
) -> LeaseOutcome {
    let renewal = Renewal::new(context.client, lease);
    let workspace = match LeaseWorkspace::open(&context.workspaces, context.key, lease) {
        Ok(workspace) => workspace,
        Err(error) => return failed(context, &renewal, &disk(&error)).await,
    };
    let mut restarts = 0;
    let finished = loop {
        if let Some(finished) = workspace.finished() {
            break finished;
        }
        let error = match train(context, trainers, &workspace, lease, &renewal).await {
            Ok(finished) => break finished,
            Err(error) => error,
        };
        match error {
            LeaseError::Hold(hold) => {
                trainers.kill();
                if let Some(outcome) = wait_for_owner(context, &renewal, hold).await {
                    return outcome;
                }
            }
            LeaseError::Stop => {
                return_lease(context, &renewal, ReturnReason::ShuttingDown, None).await;
                return LeaseOutcome::Stopped;
            }
            LeaseError::LeaseEnded(RenewalEnd::Lost) => {
                context.reporter.report(&Status::Lost { lease: lease.id });
                return LeaseOutcome::Lost;
            }
            LeaseError::LeaseEnded(RenewalEnd::Unauthorized) => return LeaseOutcome::Unauthorized,
            LeaseError::Trainer(error) => {
                if ended_abnormally(&error) {
                    trainers.ended_abnormally();
                    context.reporter.report_memory_limit(trainers.budget().limit_message());
                } else if !error.is_alive() {
                    trainers.kill();
                }
                if !restart_may_help(&error) || restarts == RESTARTS {
                    return failed(context, &renewal, &error.to_string()).await;
                }
                restarts += 1;
                tracing::warn!(%error, restarts, "the trainer ended; restarting it");
            }
            LeaseError::Fetch(FetchError::Request(error)) if error.is_unauthorized() => {
                return LeaseOutcome::Unauthorized;
            }
            LeaseError::Fetch(FetchError::Shortage(shortage)) => {
                tracing::warn!(%shortage, "too little disk space; returning the lease");
                return_lease(context, &renewal, ReturnReason::Disk, None).await;
                return LeaseOutcome::Failed;
            }
            LeaseError::Memory(shortage) => {
                tracing::warn!(%shortage, "too little memory; returning the lease");
                let detail = Some(shortage.to_string());
                return_lease(context, &renewal, ReturnReason::Memory, detail).await;
                return LeaseOutcome::Failed;
            }
            LeaseError::Fetch(error) => return failed(context, &renewal, &error.to_string()).await,
            LeaseError::Disk(error) => return failed(context, &renewal, &disk(&error)).await,
        }
    };
    submit(context, &workspace, &renewal, &finished).await
}

/// Fetches the blobs and trains. Stops the trainer when the machine must be free, the worker stops or
/// the lease ends.
async fn train(
    context: &LeaseContext<'_>,
    trainers: &mut Trainers,
    workspace: &LeaseWorkspace,
    lease: &Lease,
    renewal: &Renewal<'_>,
) -> Result<Finished, LeaseError> {
    let mut interruption = pin!(interruption(context, renewal));
    let Lease { id, round, partition, .. } = *lease;
    let (job_name, total_rounds) = (&lease.job_name, lease.total_rounds);
    context.reporter.report(&Status::Fetching {
        lease: id,
        job_name: job_name.clone(),
        round,
        total_rounds,
        partition,
    });
    renewal.begin();
    context.reporter.report_memory_limit(trainers.budget().limit_message());
    let fetching = fetch(context, trainers.budget(), workspace, lease);
    let (base, shards) = unless_interrupted(interruption.as_mut(), fetching).await??;
    let starting = trainers.ready(lease.plan.threads);
    let (trainer, ready) = unless_interrupted(interruption.as_mut(), starting).await??;

    let trainer_pid = trainer.pid();
    let training = |step, steps| Status::Training {
        lease: id,
        job_name: job_name.clone(),
        round,
        total_rounds,
        partition,
        step,
        steps,
        trainer_pid,
    };
    context.reporter.report(&training(0, lease.plan.steps(lease.rows)));
    let mut on_progress = |progress: protocol::lease::Progress| {
        context.reporter.report(&training(progress.step, progress.steps));
        renewal.set_progress(progress);
    };
    let cancel = CancellationToken::new();
    let request = workspace.request(lease, base, shards);
    let (result, interrupted) = {
        let mut running = pin!(trainer.train(request, &mut on_progress, &cancel));
        tokio::select! {
            biased;
            reason = &mut interruption => {
                cancel.cancel();
                (running.await, Some(reason))
            }
            result = &mut running => (result, None),
        }
    };
    match (result, interrupted) {
        (Ok(Trained { update, metrics }), interrupted) => {
            let finished = Finished { update, metrics, fingerprint: ready.fingerprint.clone() };
            workspace.finish(&finished)?;
            match interrupted {
                // Training ended just as the owner came back. Uploading does not disturb them.
                None | Some(LeaseError::Hold(_)) => Ok(finished),
                Some(reason) => Err(reason),
            }
        }
        (Err(error), interrupted) => {
            if interrupted.is_some() && !error.is_alive() {
                trainers.kill();
            }
            Err(interrupted.unwrap_or(LeaseError::Trainer(error)))
        }
    }
}

/// Fetches the base model and the shards after checking that the work fits into memory and disk.
async fn fetch(
    context: &LeaseContext<'_>,
    budget: &Budget,
    workspace: &LeaseWorkspace,
    lease: &Lease,
) -> Result<(PathBuf, Vec<PathBuf>), LeaseError> {
    let LeaseContext { client, cache, reporter, .. } = context;
    let parameters = lease.spec.layout().map_or(0, |layout| layout.parameters as u64);
    let mut needed: Vec<(BlobHash, u64)> = Vec::with_capacity(lease.shards.len() + 1);
    for shard in &lease.shards {
        let length = if let Some(length) = cache.length(shard) {
            length
        } else {
            let request = || client.blob_length(shard);
            let length =
                client.retry_until_answered(request, |error| reporter.offline(error)).await;
            length.map_err(FetchError::from)?
        };
        needed.push((*shard, length));
    }
    let shard_bytes: u64 = needed.iter().map(|(_, length)| length).sum();
    // Without an estimate the trainer reports why the spec can't be built.
    budget.admit(lease.spec.training_bytes(&lease.plan, shard_bytes).unwrap_or_default())?;
    needed.push((lease.base, parameters * 4));
    let workspace_bytes = lease_workspace::maximum_bytes(parameters, &lease.plan);
    cache.make_room(&needed, workspace_bytes, workspace.bytes()?).await?;
    let mut paths = Vec::with_capacity(needed.len());
    for (blob, length) in &needed {
        paths.push(cache.fetch(client, blob, *length, |error| reporter.offline(error)).await?);
    }
    // The base model was added last.
    let base = paths.pop().unwrap_or_default();
    Ok((base, paths))
}

/// Completes when the work must end, with the reason.
async fn interruption(context: &LeaseContext<'_>, renewal: &Renewal<'_>) -> LeaseError {
    tokio::select! {
        biased;
        () = context.stop.cancelled() => LeaseError::Stop,
        hold = context.idle_monitor.until_hold(TRAINING) => LeaseError::Hold(hold),
        end = renewal.until_ended() => LeaseError::LeaseEnded(end),
    }
}

async fn unless_interrupted<T>(
    interruption: Pin<&mut impl Future<Output = LeaseError>>,
    work: impl Future<Output = T>,
) -> Result<T, LeaseError> {
    tokio::select! {
        biased;
        reason = interruption => Err(reason),
        done = work => Ok(done),
    }
}

/// Keeps the lease while the owner uses the machine, for at most [`keep_for`]. Returns `None` if the
/// machine is free again; otherwise returns the lease and says how the work ended.
async fn wait_for_owner(
    context: &LeaseContext<'_>,
    renewal: &Renewal<'_>,
    hold: HoldDetail,
) -> Option<LeaseOutcome> {
    context.reporter.held(&hold);
    let mut last_hold = hold;
    let free = context.idle_monitor.until_run(|hold| {
        context.reporter.held(&hold);
        last_hold = hold;
    });
    let outcome = tokio::select! {
        biased;
        () = context.stop.cancelled() => LeaseOutcome::Stopped,
        () = free => return None,
        () = sleep(keep_for(renewal.left())) => LeaseOutcome::Settled,
    };
    let reason = match outcome {
        LeaseOutcome::Stopped => ReturnReason::ShuttingDown,
        LeaseOutcome::Settled
        | LeaseOutcome::Lost
        | LeaseOutcome::Failed
        | LeaseOutcome::Unauthorized => context.reporter.return_reason(&last_hold),
    };
    return_lease(context, renewal, reason, None).await;
    Some(outcome)
}

/// Returns a lease whose work failed, with the reason.
async fn failed(context: &LeaseContext<'_>, renewal: &Renewal<'_>, detail: &str) -> LeaseOutcome {
    tracing::warn!(detail, "the work failed; returning the lease");
    return_lease(context, renewal, ReturnReason::Failed, Some(detail.to_owned())).await;
    LeaseOutcome::Failed
}

/// Whether the trainer died by itself, as a process that ran out of memory does, or exceeded its memory
/// limit.
const fn ended_abnormally(error: &TrainerError) -> bool {
    match error {
        TrainerError::Exited { .. } | TrainerError::Memory { .. } => true,
        TrainerError::Start { .. }
        | TrainerError::Failed { .. }
        | TrainerError::Protocol(_)
        | TrainerError::Cancelled { .. } => false,
    }
}

/// Whether a new trainer process may succeed. It cannot if the work itself is at fault.
const fn restart_may_help(error: &TrainerError) -> bool {
    use protocol::trainer::TrainerFailure;
    match error {
        TrainerError::Failed { failure, .. } => matches!(failure, TrainerFailure::Internal),
        TrainerError::Start { .. }
        | TrainerError::Exited { .. }
        | TrainerError::Memory { .. }
        | TrainerError::Protocol(_)
        | TrainerError::Cancelled { .. } => true,
    }
}

fn disk(error: &io::Error) -> String {
    format!("can't write the lease's files to this device's disk: {error}")
}

impl From<io::Error> for LeaseError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<Shortage> for LeaseError {
    fn from(shortage: Shortage) -> Self {
        Self::Memory(shortage)
    }
}

impl From<FetchError> for LeaseError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl From<TrainerError> for LeaseError {
    fn from(error: TrainerError) -> Self {
        Self::Trainer(error)
    }
}
