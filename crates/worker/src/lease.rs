//! One lease from grant to report: fetch, train, send, tell; or yield, resume, give back.

use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};

use protocol::lease::{Lease, ReturnReason};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use trainer::{Trained, TrainerError};

use crate::cache::{Cache, FetchError};
use crate::client::Client;
use crate::desk::{Desk, Finished};
use crate::owner::{Owner, TRAINING};
use crate::policy::{Hold, keep_for};
use crate::renewal::{Ended, Renewal};
use crate::report;
use crate::status::{Status, Voice};
use crate::trainers::Trainers;

/// Times that a trainer is started again for one lease.
const RESTARTS: u32 = 3;

/// What the work on a lease needs and doesn't change.
pub(crate) struct Context<'a> {
    pub(crate) client: &'a Client,
    pub(crate) voice: &'a Voice<'a>,
    pub(crate) owner: &'a Owner,
    pub(crate) cache: &'a Cache,
    pub(crate) stop: &'a CancellationToken,
    /// Where desks are.
    pub(crate) desks: PathBuf,
    pub(crate) maximum_shard_bytes: u64,
    pub(crate) maximum_upload_mbps: Option<f64>,
}

/// How the work on a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Reported or given back.
    Settled,
    /// Its seat went elsewhere; the desk stays, because the same work may come again.
    Lost,
    /// Given back because it failed here: the next one may as well.
    Failed,
    /// The coordinator doesn't accept this device's token.
    Unauthorized,
    Stopped,
}

/// Why training ended before it was done.
enum Trouble {
    Hold(Hold),
    Ended(Ended),
    Stop,
    Trainer(TrainerError),
    Fetch(FetchError),
    Disk(io::Error),
}

/// Works on a lease until nothing is left to do for it.
pub(crate) async fn work(context: &Context<'_>, trainers: &mut Trainers, lease: &Lease) -> End {
    let renewal = Renewal::new(context.client, lease);
    let desk = match Desk::open(&context.desks, lease) {
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
            Trouble::Hold(hold) => {
                trainers.kill();
                if let Some(end) = keep(context, &renewal, hold).await {
                    return end;
                }
            }
            Trouble::Stop => {
                report::give_back(context, &renewal, ReturnReason::ShuttingDown, None).await;
                return End::Stopped;
            }
            Trouble::Ended(Ended::Lost) => {
                context.voice.say(&Status::Lost { lease: lease.id });
                return End::Lost;
            }
            Trouble::Ended(Ended::Unauthorized) => return End::Unauthorized,
            Trouble::Trainer(error) => {
                if !error.is_alive() {
                    trainers.kill();
                }
                if !restarting_helps(&error) || restarts == RESTARTS {
                    return failed(context, &renewal, &error.to_string()).await;
                }
                restarts += 1;
                tracing::warn!(%error, restarts, "starting the trainer again");
            }
            Trouble::Fetch(FetchError::Request(error)) if error.is_unauthorized() => {
                return End::Unauthorized;
            }
            Trouble::Fetch(error) => return failed(context, &renewal, &error.to_string()).await,
            Trouble::Disk(error) => return failed(context, &renewal, &disk(&error)).await,
        }
    };
    report::report(context, &desk, &renewal, &finished).await
}

/// Fetches and trains; stops the trainer when somebody needs the machine or nobody the work.
async fn train(
    context: &Context<'_>,
    trainers: &mut Trainers,
    desk: &Desk,
    lease: &Lease,
    renewal: &Renewal<'_>,
) -> Result<Finished, Trouble> {
    let mut interrupted = pin!(interruption(context, renewal));
    let Lease { id, round, partition, .. } = *lease;
    context.voice.say(&Status::Fetching { lease: id, round, partition });
    let (base, shards) = unless(interrupted.as_mut(), fetch(context, lease)).await??;
    let starting = trainers.ready(lease.plan.threads);
    let (trainer, ready) = unless(interrupted.as_mut(), starting).await??;

    let trainer_pid = trainer.pid();
    let training =
        |step, steps| Status::Training { lease: id, round, partition, step, steps, trainer_pid };
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
                None | Some(Trouble::Hold(_)) => Ok(finished),
                Some(trouble) => Err(trouble),
            }
        }
        (Err(error), trouble) => {
            if trouble.is_some() && !error.is_alive() {
                trainers.kill();
            }
            Err(trouble.unwrap_or(Trouble::Trainer(error)))
        }
    }
}

async fn fetch(context: &Context<'_>, lease: &Lease) -> Result<(PathBuf, Vec<PathBuf>), Trouble> {
    let fetch = |blob, at_most| {
        context.cache.fetch(context.client, blob, at_most, |error| context.voice.offline(error))
    };
    let parameters = lease.spec.layout().map_or(0, |layout| layout.parameters);
    let base = fetch(&lease.base, parameters as u64 * 4).await?;
    let mut shards = Vec::new();
    for shard in &lease.shards {
        shards.push(fetch(shard, context.maximum_shard_bytes).await?);
    }
    let mut needed = lease.shards.clone();
    needed.push(lease.base);
    context.cache.trim(&needed).await?;
    Ok((base, shards))
}

/// Ends when the work must.
async fn interruption(context: &Context<'_>, renewal: &Renewal<'_>) -> Trouble {
    tokio::select! {
        biased;
        () = context.stop.cancelled() => Trouble::Stop,
        hold = context.owner.until_hold(TRAINING) => Trouble::Hold(hold),
        ended = renewal.until_ended() => Trouble::Ended(ended),
    }
}

async fn unless<T>(
    interrupted: Pin<&mut impl Future<Output = Trouble>>,
    work: impl Future<Output = T>,
) -> Result<T, Trouble> {
    tokio::select! {
        biased;
        trouble = interrupted => Err(trouble),
        done = work => Ok(done),
    }
}

/// Keeps a lease while the owner uses the machine, as long as that is fair to the round; an end
/// where it was too long.
async fn keep(context: &Context<'_>, renewal: &Renewal<'_>, hold: Hold) -> Option<End> {
    context.voice.held(hold);
    let mut reason = hold;
    let free = context.owner.until_run(|hold| {
        reason = hold;
        context.voice.held(hold);
    });
    let end = tokio::select! {
        biased;
        () = context.stop.cancelled() => End::Stopped,
        () = free => return None,
        () = sleep(keep_for(renewal.left())) => End::Settled,
    };
    let reason = match end {
        End::Stopped => ReturnReason::ShuttingDown,
        End::Settled | End::Lost | End::Failed | End::Unauthorized => reason.return_reason(),
    };
    report::give_back(context, renewal, reason, None).await;
    Some(end)
}

async fn failed(context: &Context<'_>, renewal: &Renewal<'_>, detail: &str) -> End {
    tracing::warn!(detail, "giving a lease back");
    report::give_back(context, renewal, ReturnReason::Failed, Some(detail.to_owned())).await;
    End::Failed
}

/// Whether another process may do better: not where the work itself is at fault.
const fn restarting_helps(error: &TrainerError) -> bool {
    use protocol::trainer::TrainerFailure;
    match error {
        TrainerError::Failed { failure, .. } => matches!(failure, TrainerFailure::Internal),
        TrainerError::Start { .. }
        | TrainerError::Exited { .. }
        | TrainerError::Protocol(_)
        | TrainerError::Cancelled { .. } => true,
    }
}

fn disk(error: &io::Error) -> String {
    format!("this device can't keep the work on its disk: {error}")
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<FetchError> for Trouble {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl From<TrainerError> for Trouble {
    fn from(error: TrainerError) -> Self {
        Self::Trainer(error)
    }
}
