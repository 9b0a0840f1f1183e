//! One lease from grant to report: fetch, train, send, tell; or yield, resume, give back.

use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};

use protocol::BlobHash;
use protocol::encrypted_file::StorageKey;
use protocol::lease::{Lease, ReturnReason};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use trainer::{Trained, TrainerError};

use crate::cache::{Cache, FetchError};
use crate::client::Client;
use crate::idle_monitor::{IdleMonitor, TRAINING};
use crate::lease_workspace::{self, Finished, LeaseWorkspace};
use crate::memory::{Budget, Shortage};
use crate::policy::{HoldDetail, keep_for};
use crate::renewal::{Renewal, RenewalEnd};
use crate::report;
use crate::status::{Status, StatusReporter};
use crate::trainers::Trainers;

/// Times that a trainer is started again for one lease.
const RESTARTS: u32 = 3;

/// What the work on a lease needs and doesn't change.
pub(crate) struct LeaseContext<'a> {
    pub(crate) client: &'a Client,
    pub(crate) voice: &'a StatusReporter<'a>,
    pub(crate) owner: &'a IdleMonitor,
    pub(crate) cache: &'a Cache,
    pub(crate) stop: &'a CancellationToken,
    /// Where desks are.
    pub(crate) desks: PathBuf,
    /// What everything on them and in the cache is sealed with.
    pub(crate) key: &'a StorageKey,
    pub(crate) maximum_upload_mbps: Option<f64>,
}

/// How the work on a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseOutcome {
    /// Reported or given back.
    Settled,
    /// Its seat went elsewhere; the desk stays, because the same work may come again.
    Lost,
    /// Given back because it failed or does not fit here: the next one may as well.
    Failed,
    /// The coordinator doesn't accept this device's token.
    Unauthorized,
    Stopped,
}

/// Why training ended before it was done.
enum LeaseError {
    HoldDetail(HoldDetail),
    RenewalEnd(RenewalEnd),
    Stop,
    Trainer(TrainerError),
    Fetch(FetchError),
    Memory(Shortage),
    Disk(io::Error),
}

/// Works on a lease until nothing is left to do for it.
pub(crate) async fn work(
    context: &LeaseContext<'_>,
    trainers: &mut Trainers,
    lease: &Lease,
) -> LeaseOutcome {
    let renewal = Renewal::new(context.client, lease);
    let desk = match LeaseWorkspace::open(&context.desks, context.key, lease) {
        Ok(desk) => desk,
        Err(error) => return failed(context, &renewal, &disk(&error)).await,
    };
    let mut restarts = 0;
    let finished = loop {
        if let Some(finished) = desk.finished() {
            break finished;
        }
        let trouble = match train(context, trainers, &desk, lease, &renewal).await {
            Ok(finished) => break finished,
            Err(trouble) => trouble,
        };
        match trouble {
            LeaseError::HoldDetail(hold) => {
                trainers.kill();
                if let Some(end) = keep(context, &renewal, hold).await {
                    return end;
                }
            }
            LeaseError::Stop => {
                report::give_back(context, &renewal, ReturnReason::ShuttingDown, None).await;
                return LeaseOutcome::Stopped;
            }
            LeaseError::RenewalEnd(RenewalEnd::Lost) => {
                context.voice.say(&Status::Lost { lease: lease.id });
                return LeaseOutcome::Lost;
            }
            LeaseError::RenewalEnd(RenewalEnd::Unauthorized) => return LeaseOutcome::Unauthorized,
            LeaseError::Trainer(error) => {
                if ended_abnormally(&error) {
                    trainers.ended_abnormally();
                    context.voice.limited(trainers.budget().words());
                } else if !error.is_alive() {
                    trainers.kill();
                }
                if !restarting_helps(&error) || restarts == RESTARTS {
                    return failed(context, &renewal, &error.to_string()).await;
                }
                restarts += 1;
                tracing::warn!(%error, restarts, "starting the trainer again");
            }
            LeaseError::Fetch(FetchError::Request(error)) if error.is_unauthorized() => {
                return LeaseOutcome::Unauthorized;
            }
            LeaseError::Fetch(FetchError::Shortage(shortage)) => {
                tracing::warn!(%shortage, "giving a lease back");
                report::give_back(context, &renewal, ReturnReason::Disk, None).await;
                return LeaseOutcome::Failed;
            }
            LeaseError::Memory(shortage) => {
                tracing::warn!(%shortage, "giving a lease back");
                let detail = Some(shortage.to_string());
                report::give_back(context, &renewal, ReturnReason::Memory, detail).await;
                return LeaseOutcome::Failed;
            }
            LeaseError::Fetch(error) => return failed(context, &renewal, &error.to_string()).await,
            LeaseError::Disk(error) => return failed(context, &renewal, &disk(&error)).await,
        }
    };
    report::report(context, &desk, &renewal, &finished).await
}

/// Fetches and trains; stops the trainer when somebody needs the machine or nobody the work.
async fn train(
    context: &LeaseContext<'_>,
    trainers: &mut Trainers,
    desk: &LeaseWorkspace,
    lease: &Lease,
    renewal: &Renewal<'_>,
) -> Result<Finished, LeaseError> {
    let mut interrupted = pin!(interruption(context, renewal));
    let Lease { id, round, partition, .. } = *lease;
    let (job_name, total_rounds) = (&lease.job_name, lease.total_rounds);
    context.voice.say(&Status::Fetching {
        lease: id,
        job_name: job_name.clone(),
        round,
        total_rounds,
        partition,
    });
    renewal.begin();
    context.voice.limited(trainers.budget().words());
    let fetching = fetch(context, trainers.budget(), desk, lease);
    let (base, shards) = unless(interrupted.as_mut(), fetching).await??;
    let starting = trainers.ready(lease.plan.threads);
    let (trainer, ready) = unless(interrupted.as_mut(), starting).await??;

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
    context.voice.say(&training(0, lease.plan.steps(lease.rows)));
    let mut on_progress = |progress: protocol::lease::Progress| {
        context.voice.say(&training(progress.step, progress.steps));
        renewal.note(progress);
    };
    let cancel = CancellationToken::new();
    let request = desk.request(lease, base, shards);
    let (result, trouble) = {
        let mut running = pin!(trainer.train(request, &mut on_progress, &cancel));
        tokio::select! {
            biased;
            trouble = &mut interrupted => {
                cancel.cancel();
                (running.await, Some(trouble))
            }
            result = &mut running => (result, None),
        }
    };
    match (result, trouble) {
        (Ok(Trained { update, metrics }), trouble) => {
            let finished = Finished { update, metrics, fingerprint: ready.fingerprint.clone() };
            desk.finish(&finished)?;
            match trouble {
                // Done just as the owner came: sending it costs the owner nothing.
                None | Some(LeaseError::HoldDetail(_)) => Ok(finished),
                Some(trouble) => Err(trouble),
            }
        }
        (Err(error), trouble) => {
            if trouble.is_some() && !error.is_alive() {
                trainers.kill();
            }
            Err(trouble.unwrap_or(LeaseError::Trainer(error)))
        }
    }
}

/// Fetches what the lease names, once it is sure to fit.
async fn fetch(
    context: &LeaseContext<'_>,
    budget: &Budget,
    desk: &LeaseWorkspace,
    lease: &Lease,
) -> Result<(PathBuf, Vec<PathBuf>), LeaseError> {
    let LeaseContext { client, cache, voice, .. } = context;
    let parameters = lease.spec.layout().map_or(0, |layout| layout.parameters as u64);
    let mut needed: Vec<(BlobHash, u64)> = Vec::with_capacity(lease.shards.len() + 1);
    for shard in &lease.shards {
        let length = if let Some(length) = cache.length(shard) {
            length
        } else {
            let ask = || client.length(shard);
            let answer = client.until_answered(ask, |error| voice.offline(error)).await;
            answer.map_err(FetchError::from)?
        };
        needed.push((*shard, length));
    }
    let rows: u64 = needed.iter().map(|(_, length)| length).sum();
    // A spec that can't be built is the trainer's to name.
    budget.admit(lease.spec.training_bytes(&lease.plan, rows).unwrap_or_default())?;
    needed.push((lease.base, parameters * 4));
    let desk_bytes = lease_workspace::most_bytes(parameters, &lease.plan);
    cache.make_room(&needed, desk_bytes, desk.bytes()?).await?;
    let mut paths = Vec::with_capacity(needed.len());
    for (blob, length) in &needed {
        paths.push(cache.fetch(client, blob, *length, |error| voice.offline(error)).await?);
    }
    // The base is the last one.
    let base = paths.pop().unwrap_or_default();
    Ok((base, paths))
}

/// Ends when the work must.
async fn interruption(context: &LeaseContext<'_>, renewal: &Renewal<'_>) -> LeaseError {
    tokio::select! {
        biased;
        () = context.stop.cancelled() => LeaseError::Stop,
        hold = context.owner.until_hold(TRAINING) => LeaseError::HoldDetail(hold),
        ended = renewal.until_ended() => LeaseError::RenewalEnd(ended),
    }
}

async fn unless<T>(
    interrupted: Pin<&mut impl Future<Output = LeaseError>>,
    work: impl Future<Output = T>,
) -> Result<T, LeaseError> {
    tokio::select! {
        biased;
        trouble = interrupted => Err(trouble),
        done = work => Ok(done),
    }
}

/// Keeps a lease while the owner uses the machine, as long as that is fair to the round; an end
/// where it was too long.
async fn keep(
    context: &LeaseContext<'_>,
    renewal: &Renewal<'_>,
    hold: HoldDetail,
) -> Option<LeaseOutcome> {
    context.voice.held(&hold);
    let mut reason = hold;
    let free = context.owner.until_run(|hold| {
        context.voice.held(&hold);
        reason = hold;
    });
    let end = tokio::select! {
        biased;
        () = context.stop.cancelled() => LeaseOutcome::Stopped,
        () = free => return None,
        () = sleep(keep_for(renewal.left())) => LeaseOutcome::Settled,
    };
    let reason = match end {
        LeaseOutcome::Stopped => ReturnReason::ShuttingDown,
        LeaseOutcome::Settled
        | LeaseOutcome::Lost
        | LeaseOutcome::Failed
        | LeaseOutcome::Unauthorized => context.voice.return_reason(&reason),
    };
    report::give_back(context, renewal, reason, None).await;
    Some(end)
}

async fn failed(context: &LeaseContext<'_>, renewal: &Renewal<'_>, detail: &str) -> LeaseOutcome {
    tracing::warn!(detail, "giving a lease back");
    report::give_back(context, renewal, ReturnReason::Failed, Some(detail.to_owned())).await;
    LeaseOutcome::Failed
}

/// Whether it ended by itself, as a process that ran out of memory does, or took more than it may.
const fn ended_abnormally(error: &TrainerError) -> bool {
    match error {
        TrainerError::Exited { .. } | TrainerError::Memory { .. } => true,
        TrainerError::Start { .. }
        | TrainerError::Failed { .. }
        | TrainerError::Protocol(_)
        | TrainerError::Cancelled { .. } => false,
    }
}

/// Whether another process may do better: not where the work itself is at fault.
const fn restarting_helps(error: &TrainerError) -> bool {
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
    format!("this device can't keep the work on its disk: {error}")
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
