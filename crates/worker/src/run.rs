//! Worker main loop: probes the trainer, enrolls the device, then requests and works on leases until
//! stopped.

use std::ops::ControlFlow;
use std::time::Duration;

use platform::FolderLock;
use protocol::lease::Lease;
use protocol::{DeviceId, Problem};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Quota};
use crate::enroll::enrolled;
use crate::heartbeat::{HeartbeatEnd, beat, say_goodbye};
use crate::identity::Identity;
use crate::idle_monitor::{IdleMonitor, WAITING};
use crate::lease::{LeaseContext, LeaseOutcome, Renewal, run_lease, submit};
use crate::lease_workspace::LeaseWorkspace;
use crate::memory::Budget;
use crate::net::client::Client;
use crate::net::response::NextJob;
use crate::net::retry::Backoff;
use crate::status::{Status, StatusReporter};
use crate::trainers::Trainers;
use crate::{WorkerError, WorkerSettings, storage_key};

/// Time without work after which the trainer is stopped, to free its memory.
const TRAINER_IDLE: Duration = Duration::from_secs(20);
/// Minimum interval between two requests for work.
const REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// Threads of the trainer that is started to read its fingerprint, which does not depend on them.
const PROBE_THREADS: u32 = 1;

/// Runs a worker until `stop` fires. Calls `observe` with every change of its status.
///
/// # Errors
/// Problems that a person must fix; see [`WorkerError`]. An unreachable coordinator, failing work and
/// a returning owner are not errors.
pub async fn run(
    settings: WorkerSettings,
    observe: impl Fn(&Status) + Send + Sync,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let _lock = FolderLock::take(&settings.data_dir)?;
    let reporter = StatusReporter::new(&observe, settings.presence);
    reporter.report(&Status::Connecting);
    let budget = Budget::open(&settings.data_dir, settings.maximum_memory_bytes);
    let mut trainers = Trainers::new(settings.trainer.clone(), settings.nice, budget);
    let client = Client::new(settings.coordinator.clone(), settings.pin);
    let result = tokio::select! {
        // The future is large.
        result = Box::pin(run_enrolled(&settings, &client, &reporter, &mut trainers, &stop)) => result,
        never = client.watch_sleep() => match never {},
    };
    trainers.retire().await;
    reporter.report(&Status::Stopped);
    result
}

/// Enrolls the device and serves until stopped. Enrolls it again when the coordinator no longer knows it
/// and there is a join code.
async fn run_enrolled(
    settings: &WorkerSettings,
    client: &Client,
    reporter: &StatusReporter<'_>,
    trainers: &mut Trainers,
    stop: &CancellationToken,
) -> Result<(), WorkerError> {
    let idle_monitor = IdleMonitor::new(settings);
    let mut identity = Identity::load(&settings.data_dir)?;
    let session = identity.begin_session()?;
    let ready = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(()),
        ready = trainers.ready(PROBE_THREADS) => ready?.1.clone(),
    };
    let mut backoff = Backoff::default();
    loop {
        let enrolled = enrolled(settings, client, reporter, &mut identity, &ready, &session);
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
            reporter,
            idle_monitor: &idle_monitor,
            cache: &cache,
            stop,
            workspaces: storage_key::workspaces(&settings.data_dir),
            key: &key,
            maximum_upload_mbps: settings.maximum_upload_mbps,
        };
        let refusal = tokio::select! {
            refusal = serve_leases(&context, trainers, device) => refusal,
            ended = beat(client, device, seconds, &session, reporter) => match ended {
                HeartbeatEnd::LetGo(problem) => Some(problem),
                HeartbeatEnd::SecondSession(problem) => return Err(WorkerError::SecondSession(problem)),
            },
        };
        let Some(problem) = refusal else {
            say_goodbye(client, device, &session).await;
            return Ok(());
        };
        tracing::warn!(%problem, "the coordinator no longer accepts this device; removing its data");
        // The trainer may be in the middle of a lease, with rows in its memory.
        trainers.end().await;
        let bytes = storage_key::destroy(&settings.data_dir).map_err(disk)?;
        identity.enroll(None)?;
        reporter.report(&Status::Wiped { bytes });
        if settings.join.is_none() {
            return Err(WorkerError::Revoked(problem));
        }
        reporter.report(&Status::Connecting);
        client.pause(backoff.next(None)).await;
    }
}

/// Requests and works on leases until stopped. Returns the coordinator's refusal if it no longer accepts
/// this device.
async fn serve_leases(
    context: &LeaseContext<'_>,
    trainers: &mut Trainers,
    device: DeviceId,
) -> Option<Problem> {
    let mut backoff = Backoff::default();
    if let Some((workspace, lease)) =
        LeaseWorkspace::find_unsubmitted(&context.workspaces, context.key)
        && let Some(finished) = workspace.finished()
    {
        let renewal = Renewal::new(context.client, &lease);
        let outcome = submit(context, &workspace, &renewal, &finished).await;
        if let ControlFlow::Break(refusal) = after_lease(outcome) {
            return refusal;
        }
    }
    loop {
        let lease = match next_lease(context, trainers, device).await {
            Next::Lease(lease) => lease,
            Next::Again => continue,
            Next::Refused(problem) => return Some(problem),
            Next::Stop => return None,
        };
        tracing::info!(lease = %lease.id, round = lease.round, partition = lease.partition, "lease");
        let outcome = run_lease(context, trainers, &lease).await;
        match outcome {
            // The same work may be granted again and fail again at once.
            LeaseOutcome::Failed | LeaseOutcome::Lost => {
                context.client.pause(backoff.next(None)).await;
            }
            LeaseOutcome::Settled | LeaseOutcome::Unauthorized | LeaseOutcome::Stopped => {
                backoff = Backoff::default();
            }
        }
        if let ControlFlow::Break(refusal) = after_lease(outcome) {
            return refusal;
        }
    }
}

/// Decides whether to request another lease, or with which refusal to stop.
fn after_lease(outcome: LeaseOutcome) -> ControlFlow<Option<Problem>> {
    match outcome {
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

/// Result of waiting for work.
enum Next {
    Lease(Box<Lease>),
    Again,
    Refused(Problem),
    Stop,
}

/// Waits until the machine may train and the coordinator has work.
async fn next_lease(context: &LeaseContext<'_>, trainers: &mut Trainers, device: DeviceId) -> Next {
    let mut idle_since = Instant::now();
    tokio::select! {
        biased;
        () = context.stop.cancelled() => return Next::Stop,
        () = context.idle_monitor.until_run(|hold| {
            trainers.kill();
            context.reporter.held(&hold);
        }) => {}
    }
    context.reporter.report(&Status::Waiting);
    let mut request = std::pin::pin!(request_lease(context, device));
    loop {
        tokio::select! {
            biased;
            () = context.stop.cancelled() => return Next::Stop,
            next = &mut request => return next,
            _ = context.idle_monitor.until_hold(WAITING) => return Next::Again,
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

/// Requests a lease until the coordinator grants one or refuses the device.
async fn request_lease(context: &LeaseContext<'_>, device: DeviceId) -> Next {
    loop {
        let requested = Instant::now();
        let request = || context.client.next_job(device);
        let answer = context
            .client
            .retry_until_answered(request, |error| context.reporter.offline(error))
            .await;
        match answer {
            Ok(NextJob::Lease(lease)) => return Next::Lease(lease),
            Ok(NextJob::Nothing { retry_after }) => {
                context.reporter.report(&Status::Waiting);
                let minimum = REQUEST_INTERVAL.saturating_sub(requested.elapsed());
                context.client.pause(retry_after.max(minimum)).await;
            }
            Err(error) => {
                if let Some(problem) = error.unenrolled_by() {
                    return Next::Refused(problem.clone());
                }
                context.reporter.offline(&error);
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

    /// Proves at compile time that a worker can be spawned on any runtime.
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
    async fn a_missing_trainer_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = run(settings(folder.path()), |_| {}, CancellationToken::new()).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("no-such-trainer"), "{error}");
    }

    #[tokio::test]
    async fn a_device_without_enrollment_or_join_code_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let settings = WorkerSettings { trainer: ready_trainer(), ..settings(folder.path()) };
        let statuses = std::sync::Mutex::new(Vec::new());
        let observe = |status: &Status| statuses.lock().unwrap().push(status.clone());
        let error = run(settings, observe, CancellationToken::new()).await;
        assert!(matches!(error, Err(WorkerError::NotRegistered)));
        assert_eq!(statuses.into_inner().unwrap(), [Status::Connecting, Status::Stopped]);
    }

    #[tokio::test]
    async fn a_revoked_device_destroys_its_key_files_and_enrollment() {
        let folder = tempfile::tempdir().unwrap();
        let before = storage_key::key(folder.path()).unwrap();
        for directory in
            [storage_key::cache(folder.path()), storage_key::workspaces(folder.path()).join("work")]
        {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join("file"), [0; 100]).unwrap();
        }
        let unauthorized = || Step::answer("401 Unauthorized", "", b"");
        // The heartbeat and the request for work, in any order.
        let server = Server::start(vec![unauthorized(), unauthorized()]).await;
        crate::identity::tests::enrolled(folder.path(), server.pin);
        let coordinator = watch::channel(Some(server.url.clone())).1;
        let settings = WorkerSettings {
            trainer: ready_trainer(),
            coordinator,
            pin: Some(server.pin),
            policy: watch::channel(IdlePolicy { when: When::Always, ..IdlePolicy::default() }).1,
            ..settings(folder.path())
        };
        let statuses = std::sync::Mutex::new(Vec::new());
        let observe = |status: &Status| statuses.lock().unwrap().push(status.clone());
        let error = run(settings, observe, CancellationToken::new()).await;
        assert!(matches!(error, Err(WorkerError::Revoked(_))), "{error:?}");
        assert!(statuses.into_inner().unwrap().contains(&Status::Wiped { bytes: 200 }));
        assert!(
            !storage_key::cache(folder.path()).exists()
                && !storage_key::workspaces(folder.path()).exists()
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
