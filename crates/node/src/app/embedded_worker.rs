//! Worker inside the app.

use std::path::Path;
use std::sync::Arc;

use platform::sensors::Sensors;
use protocol::join::Join;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker::{IdlePolicy, JoinSource, Status, WorkerError};

use super::Options;
use crate::settings::Settings;
use crate::worker_run::{Place, run_worker};

/// Inputs of a worker other than the settings.
pub(super) struct EmbeddedWorker<'a> {
    pub(super) folder: &'a Path,
    pub(super) options: &'a Options,
    pub(super) settings: &'a Settings,
    pub(super) join: Option<Join>,
    pub(super) join_source: JoinSource,
    pub(super) policy: watch::Receiver<IdlePolicy>,
    pub(super) sensors: Arc<dyn Sensors>,
}

/// Runs a worker until `stop` or until it can't continue.
///
/// # Errors
/// See [`WorkerError`]. An unreadable folder is one of them.
pub(super) async fn run(
    job: EmbeddedWorker<'_>,
    observe: impl Fn(&Status) + Send + Sync,
    stop: CancellationToken,
) -> anyhow::Result<Result<(), WorkerError>> {
    let EmbeddedWorker { folder, options, settings, join, join_source, policy, sensors } = job;
    let worker = worker::WorkerSettings {
        pin: settings.coordinator_pin.value,
        join,
        join_source,
        policy,
        presence: settings.presence(),
        sensors,
        instance: options.instance,
        maximum_memory_bytes: settings.maximum_memory_bytes(),
        maximum_cache_bytes: settings.maximum_cache_bytes(),
        maximum_upload_mbps: settings.maximum_upload_mbps.value,
        ..worker::WorkerSettings::new(
            folder.to_owned(),
            watch::channel(None).1,
            options.trainer(settings.backend.value)?,
        )
    };
    let place = Place { url: settings.coordinator_url.value.clone(), cluster: None };
    run_worker(worker, place, observe, stop).await
}

/// Returns whether the worker needs another join code to continue.
pub(super) const fn needs_code(error: &WorkerError) -> bool {
    match error {
        WorkerError::NotRegistered
        | WorkerError::Copied { .. }
        | WorkerError::Revoked(_)
        | WorkerError::Refused(_)
        | WorkerError::NotProven(_) => true,
        WorkerError::BelongsTo { .. }
        | WorkerError::NotMoved { .. }
        | WorkerError::Folder(_)
        | WorkerError::Disk { .. }
        | WorkerError::Trainer(_)
        | WorkerError::SecondSession(_)
        | WorkerError::Randomness
        | WorkerError::Coordinator(_) => false,
    }
}
