//! The worker inside the app.

use std::path::Path;
use std::sync::Arc;

use platform::sensors::Sensors;
use protocol::join::Join;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker::{IdlePolicy, Status, WorkerError};

use super::Options;
use crate::coordinator_locator::{CoordinatorLocator, known_cluster};
use crate::settings::Settings;

/// What a worker needs beside the settings.
pub(super) struct EmbeddedWorker<'a> {
    pub(super) folder: &'a Path,
    pub(super) options: &'a Options,
    pub(super) settings: &'a Settings,
    pub(super) join: Option<Join>,
    pub(super) policy: watch::Receiver<IdlePolicy>,
    pub(super) sensors: Arc<dyn Sensors>,
}

/// Runs a worker until `stop` or until it can't go on.
///
/// # Errors
/// See [`WorkerError`]; a folder that can't be read is one too.
pub(super) async fn run(
    job: EmbeddedWorker<'_>,
    observe: impl Fn(&Status) + Send + Sync,
    stop: CancellationToken,
) -> anyhow::Result<Result<(), WorkerError>> {
    let EmbeddedWorker { folder, options, settings, join, policy, sensors } = job;
    let url = settings.coordinator_url.value.clone();
    let known = known_cluster(folder, join.as_ref())?;
    let (whereabouts, coordinator) = CoordinatorLocator::new(url, None, known.as_ref());
    let worker = worker::WorkerSettings {
        pin: settings.coordinator_pin.value,
        join,
        policy,
        presence: settings.presence(),
        sensors,
        instance: options.instance,
        maximum_memory_bytes: settings.maximum_memory_bytes(),
        maximum_cache_bytes: settings.maximum_cache_bytes(),
        maximum_upload_mbps: settings.maximum_upload_mbps.value,
        ..worker::WorkerSettings::new(
            folder.to_owned(),
            coordinator,
            options.trainer(settings.backend.value)?,
        )
    };
    let observe = move |status: &Status| {
        whereabouts.heard(status);
        observe(status);
    };
    Ok(worker::run(worker, observe, stop).await)
}

/// Whether it can go on only with another join code.
pub(super) const fn needs_code(error: &WorkerError) -> bool {
    match error {
        WorkerError::NotRegistered
        | WorkerError::Copied { .. }
        | WorkerError::Revoked(_)
        | WorkerError::Refused(_)
        | WorkerError::NotProven(_) => true,
        WorkerError::Folder(_)
        | WorkerError::Disk { .. }
        | WorkerError::Trainer(_)
        | WorkerError::SecondSession(_)
        | WorkerError::Randomness
        | WorkerError::Coordinator(_) => false,
    }
}
