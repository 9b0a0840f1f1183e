//! The worker inside the app.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use platform::sensors::Sensors;
use protocol::join::Join;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker::{IdlePolicy, Status, WorkerError};

use super::Options;
use crate::candidates::Candidates;
use crate::commands::worker::{known_cluster, look};
use crate::settings::Settings;

/// What a worker needs beside the settings.
pub(super) struct Job<'a> {
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
    job: Job<'_>,
    observe: impl Fn(&Status) + Send + Sync,
    stop: CancellationToken,
) -> anyhow::Result<Result<(), WorkerError>> {
    let Job { folder, options, settings, join, policy, sensors } = job;
    let url = settings.coordinator_url.value.clone();
    let known = known_cluster(folder, join.as_ref())?;
    let (found, coordinator) = watch::channel(url.clone());
    let candidates = Arc::new(Mutex::new(Candidates::new(known.as_ref())));
    if url.is_none() {
        let first = candidates.lock().unwrap_or_else(PoisonError::into_inner).url();
        found.send_replace(first);
        look(known.map(|cluster| cluster.id), candidates.clone(), found.clone());
    }
    let worker = worker::Settings {
        pin: settings.coordinator_pin.value,
        join,
        policy,
        sensors,
        instance: options.instance,
        maximum_cache_bytes: settings.maximum_cache_bytes(),
        maximum_upload_mbps: settings.maximum_upload_mbps.value,
        ..worker::Settings::new(
            folder.to_owned(),
            coordinator,
            options.trainer(settings.backend.value)?,
        )
    };
    // An address that was given stays.
    let moving = url.is_none().then_some(found);
    let observe = move |status: &Status| {
        if let (Some(moving), Status::Offline { .. }) = (&moving, status) {
            // Nobody answered there: perhaps elsewhere.
            let next = candidates.lock().unwrap_or_else(PoisonError::into_inner).next();
            moving.send_if_modified(|current| {
                let is_new = *current != next;
                *current = next;
                is_new
            });
        }
        observe(status);
    };
    Ok(worker::run(worker, observe, stop).await)
}
