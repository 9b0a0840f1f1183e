//! The worker inside the app.

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

/// What a worker needs beside the settings.
pub(super) struct Job<'a> {
    pub(super) folder: &'a Path,
    pub(super) options: &'a Options,
    pub(super) settings: &'a Settings,
    pub(super) join: Option<Join>,
    pub(super) join_source: JoinSource,
    pub(super) policy: watch::Receiver<IdlePolicy>,
    pub(super) sensors: Arc<dyn Sensors>,
}

/// Runs a worker until `stop` or until it can't go on.
///
/// # Errors
/// See [`WorkerError`]; a folder that can't be read is one too.
pub(super) async fn run(
    job: Job<'_>,
    observe: impl Fn(&Status) + Send + Sync,
    stop: CancellationToken,
) -> anyhow::Result<Result<(), WorkerError>> {
    let Job { folder, options, settings, join, join_source, policy, sensors } = job;
    let worker = worker::Settings {
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
        ..worker::Settings::new(
            folder.to_owned(),
            watch::channel(None).1,
            options.trainer(settings.backend.value)?,
        )
    };
    let place = Place { url: settings.coordinator_url.value.clone(), cluster: None };
    run_worker(worker, place, observe, stop).await
}

/// Whether it can go on only with another join code.
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
