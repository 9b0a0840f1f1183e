//! The worker's life: know what this machine can, register, then ask, work, report, again.

use std::ops::ControlFlow;
use std::time::Duration;

use platform::FolderLock;
use protocol::lease::Lease;
use protocol::{DeviceId, Problem};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Quota};
use crate::client::Client;
use crate::enroll::enrolled;
use crate::heartbeat::{HeartbeatEnd, beat};
use crate::identity::Identity;
use crate::idle_monitor::{IdleMonitor, WAITING};
use crate::lease::{LeaseContext, LeaseOutcome, work};
use crate::lease_workspace::LeaseWorkspace;
use crate::memory::Budget;
use crate::renewal::Renewal;
use crate::report::report;
use crate::response::NextJob;
use crate::retry::Backoff;
use crate::status::{Status, StatusReporter};
use crate::trainers::Trainers;
use crate::{WorkerError, WorkerSettings, storage_key};

/// After so long without work the trainer gives its memory back.
const TRAINER_IDLE: Duration = Duration::from_secs(20);
/// Between two questions that are answered at once with nothing.
const CLOSEST_QUESTIONS: Duration = Duration::from_secs(1);
/// The trainer is asked what it can with one thread: the fingerprint doesn't depend on it.
const PROBE_THREADS: u32 = 1;

/// Runs a worker until `stop` fires; `observe` hears what it does.
///
/// # Errors
/// What a person must mend; see [`WorkerError`]. A coordinator that can't be reached, work that fails
/// and an owner who comes back are no errors.
pub async fn run(
    settings: WorkerSettings,
    observe: impl Fn(&Status) + Send + Sync,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let _lock = FolderLock::take(&settings.data_dir)?;
    let voice = StatusReporter::new(&observe, settings.presence);
    voice.say(&Status::Connecting);
    let budget = Budget::open(&settings.data_dir, settings.maximum_memory_bytes);
    let mut trainers = Trainers::new(settings.trainer.clone(), settings.nice, budget);
    let client = Client::new(settings.coordinator.clone(), settings.pin);
    let result = tokio::select! {
        // Its state is large.
        result = Box::pin(live(&settings, &client, &voice, &mut trainers, &stop)) => result,
        never = client.watch_sleep() => match never {},
    };
    trainers.retire().await;
    voice.say(&Status::Stopped);
    result
}

async fn live(
    settings: &WorkerSettings,
    client: &Client,
    voice: &StatusReporter<'_>,
    trainers: &mut Trainers,
    stop: &CancellationToken,
) -> Result<(), WorkerError> {
    let owner = IdleMonitor::new(settings);
    let mut identity = Identity::load(&settings.data_dir)?;
    let session = identity.begin_session()?;
    let ready = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(()),
        ready = trainers.ready(PROBE_THREADS) => ready?.1.clone(),
    };
    let mut backoff = Backoff::default();
    loop {
        let enrolled = enrolled(settings, client, voice, &mut identity, &ready, &session);
        let enrollment = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            enrollment = enrolled => enrollment?,
        };
        client.set_token(Some(enrollment.token));
        let (device, seconds) = (enrollment.device, enrollment.heartbeat_seconds);
        let disk = |source| WorkerError::Disk { path: settings.data_dir.clone(), source };
        let key = storage_key::key(&settings.data_dir).map_err(disk)?;
        let quota = Quota {
            maximum: settings.maximum_cache_bytes,
            minimum_free: settings.minimum_free_bytes,
        };
        let cache = Cache::open(storage_key::cache(&settings.data_dir), quota, key.clone())
            .map_err(disk)?;
        let context = LeaseContext {
            client,
            voice,
            owner: &owner,
            cache: &cache,
            stop,
            desks: storage_key::desks(&settings.data_dir),
            key: &key,
            maximum_upload_mbps: settings.maximum_upload_mbps,
        };
        let refused = tokio::select! {
            refused = serve(&context, trainers, device) => refused,
            ended = beat(client, device, seconds, &session, voice) => match ended {
                HeartbeatEnd::LetGo(problem) => Some(problem),
                HeartbeatEnd::SecondSession(problem) => return Err(WorkerError::SecondSession(problem)),
            },
        };
        let Some(problem) = refused else { return Ok(()) };
        tracing::warn!(%problem, "the coordinator doesn't know this device any more");
        // It may be in the middle of a lease, with rows in its memory.
        trainers.end().await;
        let bytes = storage_key::destroy(&settings.data_dir).map_err(disk)?;
        identity.enroll(None)?;
        voice.say(&Status::Wiped { bytes });
        if settings.join.is_none() {
            return Err(WorkerError::Revoked(problem));
        }
        voice.say(&Status::Connecting);
        client.pause(backoff.next(None)).await;
    }
}

/// Asks, works and reports until stopped; gives the coordinator's refusal of this device.
async fn serve(
    context: &LeaseContext<'_>,
    trainers: &mut Trainers,
    device: DeviceId,
) -> Option<Problem> {
    let mut backoff = Backoff::default();
    if let Some((desk, lease)) = LeaseWorkspace::left_over(&context.desks, context.key)
        && let Some(finished) = desk.finished()
    {
        let renewal = Renewal::new(context.client, &lease);
        let end = report(context, &desk, &renewal, &finished).await;
        if let ControlFlow::Break(refused) = after(end) {
            return refused;
        }
    }
    loop {
        let lease = match next(context, trainers, device).await {
            Next::Lease(lease) => lease,
            Next::Again => continue,
            Next::Refused(problem) => return Some(problem),
            Next::Stop => return None,
        };
        tracing::info!(lease = %lease.id, round = lease.round, partition = lease.partition, "lease");
        let end = work(context, trainers, &lease).await;
        match end {
            // The same may be granted and fail again at once.
            LeaseOutcome::Failed | LeaseOutcome::Lost => {
                context.client.pause(backoff.next(None)).await
            }
            LeaseOutcome::Settled | LeaseOutcome::Unauthorized | LeaseOutcome::Stopped => {
                backoff = Backoff::default()
            }
        }
        if let ControlFlow::Break(refused) = after(end) {
            return refused;
        }
    }
}

/// Whether serving goes on after this end of a lease, or what it ends with.
fn after(end: LeaseOutcome) -> ControlFlow<Option<Problem>> {
    match end {
        LeaseOutcome::Settled | LeaseOutcome::Lost | LeaseOutcome::Failed => {
            ControlFlow::Continue(())
        }
        LeaseOutcome::Stopped => ControlFlow::Break(None),
        LeaseOutcome::Unauthorized => {
            let title = "Device token not accepted";
            let problem = Problem::new(401, "unauthorized", title, "its token is not accepted");
            ControlFlow::Break(Some(problem))
        }
    }
}

/// What became of asking for work.
enum Next {
    Lease(Box<Lease>),
    Again,
    Refused(Problem),
    Stop,
}

/// Waits until the machine may train and the coordinator has work.
async fn next(context: &LeaseContext<'_>, trainers: &mut Trainers, device: DeviceId) -> Next {
    let mut idle_since = Instant::now();
    tokio::select! {
        biased;
        () = context.stop.cancelled() => return Next::Stop,
        () = context.owner.until_run(|hold| {
            trainers.kill();
            context.voice.held(&hold);
        }) => {}
    }
    context.voice.say(&Status::Waiting);
    let mut asking = std::pin::pin!(ask(context, device));
    loop {
        tokio::select! {
            biased;
            () = context.stop.cancelled() => return Next::Stop,
            answer = &mut asking => return answer,
            _ = context.owner.until_hold(WAITING) => return Next::Again,
            () = context.client.moved() => return Next::Again,
            () = sleep(TRAINER_IDLE.saturating_sub(idle_since.elapsed())),
                if trainers.is_running() =>
            {
                trainers.retire().await;
                idle_since = Instant::now();
            }
        }
    }
}

/// Asks until there is a lease.
async fn ask(context: &LeaseContext<'_>, device: DeviceId) -> Next {
    loop {
        let asked = Instant::now();
        let question = || context.client.next_job(device);
        let answer =
            context.client.until_answered(question, |error| context.voice.offline(error)).await;
        match answer {
            Ok(NextJob::Lease(lease)) => return Next::Lease(lease),
            Ok(NextJob::Nothing { retry_after }) => {
                context.voice.say(&Status::Waiting);
                let closest = CLOSEST_QUESTIONS.saturating_sub(asked.elapsed());
                context.client.pause(retry_after.max(closest)).await;
            }
            Err(error) => {
                if let Some(problem) = error.lets_go() {
                    return Next::Refused(problem.clone());
                }
                context.voice.offline(&error);
                context.client.pause(WAITING).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;
    use trainer::TrainerCommand;

    use super::*;
    use crate::policy::{IdlePolicy, When};
    use crate::test_server::{Server, Step};

    /// Also: a worker can be spawned on any runtime.
    fn spawnable<T: Send>(future: T) -> T {
        future
    }

    #[tokio::test]
    async fn a_folder_serves_one_worker() {
        let folder = tempfile::tempdir().unwrap();
        let _other = FolderLock::take(folder.path()).unwrap();
        let error = spawnable(run(settings(folder.path()), |_| {}, CancellationToken::new()));
        assert!(matches!(error.await, Err(WorkerError::Folder(_))));
    }

    #[tokio::test]
    async fn a_machine_without_a_trainer_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = run(settings(folder.path()), |_| {}, CancellationToken::new()).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("no-such-trainer"), "{error}");
    }

    #[tokio::test]
    async fn a_device_without_token_asks_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let settings = WorkerSettings { trainer: ready_trainer(), ..settings(folder.path()) };
        let said = std::sync::Mutex::new(Vec::new());
        let observe = |status: &Status| said.lock().unwrap().push(status.clone());
        let error = run(settings, observe, CancellationToken::new()).await;
        assert!(matches!(error, Err(WorkerError::NotRegistered)));
        assert_eq!(said.into_inner().unwrap(), [Status::Connecting, Status::Stopped]);
    }

    #[tokio::test]
    async fn a_revoked_device_destroys_what_it_keeps_and_forgets_its_enrollment() {
        let folder = tempfile::tempdir().unwrap();
        let before = storage_key::key(folder.path()).unwrap();
        for place in
            [storage_key::cache(folder.path()), storage_key::desks(folder.path()).join("work")]
        {
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(place.join("file"), [0; 100]).unwrap();
        }
        let out = || Step::answer("401 Unauthorized", "", b"");
        // The heartbeat and the question for work: whichever comes first.
        let server = Server::start(vec![out(), out()]).await;
        crate::identity::tests::enrolled(folder.path(), server.pin);
        let coordinator = watch::channel(Some(server.url.clone())).1;
        let settings = WorkerSettings {
            trainer: ready_trainer(),
            coordinator,
            pin: Some(server.pin),
            policy: watch::channel(IdlePolicy { when: When::Always, ..IdlePolicy::default() }).1,
            ..settings(folder.path())
        };
        let said = std::sync::Mutex::new(Vec::new());
        let observe = |status: &Status| said.lock().unwrap().push(status.clone());
        let error = run(settings, observe, CancellationToken::new()).await;
        assert!(matches!(error, Err(WorkerError::Revoked(_))), "{error:?}");
        assert!(said.into_inner().unwrap().contains(&Status::Wiped { bytes: 200 }));
        assert!(
            !storage_key::cache(folder.path()).exists()
                && !storage_key::desks(folder.path()).exists()
        );
        assert!(Identity::load(folder.path()).unwrap().enrollment.is_none());
        assert_ne!(storage_key::key(folder.path()).unwrap(), before, "the key is gone");
    }

    fn ready_trainer() -> TrainerCommand {
        let ready = r#"{"reply":"ready","fingerprint":{"app":"1","burn":"2","backend":"cpu","hardware":"x"},"gpu_name":null,"reason":"x"}"#;
        let args = vec!["-c".into(), format!("echo '{ready}'; read line")];
        TrainerCommand { program: "sh".into(), args }
    }

    fn settings(folder: &std::path::Path) -> WorkerSettings {
        let trainer = TrainerCommand { program: "no-such-trainer".into(), args: vec![] };
        WorkerSettings::new(folder.to_owned(), watch::channel(None).1, trainer)
    }
}
