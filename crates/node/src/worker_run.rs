//! A worker that finds its coordinator: the same for the command and the app.

use protocol::join::Join;
use tokio_util::sync::CancellationToken;
use worker::{Cluster, Status, WorkerError};

use crate::whereabouts::Whereabouts;

/// Where the coordinator is looked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// Its address; none looks for it on the local network.
    pub(crate) url: Option<String>,
    /// On the local network, the coordinator of the cluster with this id alone.
    pub(crate) cluster: Option<String>,
}

/// Runs a worker until `stop` or until it can't go on. Where the organization's code of another
/// cluster fails, the worker goes on in the cluster that the device belongs to.
///
/// # Errors
/// See [`WorkerError`]; a folder that can't be read is one too.
pub(crate) async fn run_worker(
    settings: worker::Settings,
    place: Place,
    observe: impl Fn(&Status) + Send + Sync,
    stop: CancellationToken,
) -> anyhow::Result<Result<(), WorkerError>> {
    let ended = run_once(settings.clone(), place, &observe, stop.clone()).await?;
    let Err(error @ WorkerError::NotMoved { .. }) = ended else { return Ok(ended) };
    tracing::warn!(%error, "the worker goes on where it is enrolled");
    observe(&Status::JoinFailed { reason: error.to_string() });
    // Address and pin that are set belong to the other cluster: its coordinator must not see this
    // device's token.
    let settings = worker::Settings { join: None, pin: None, ..settings };
    run_once(settings, Place::default(), &observe, stop).await
}

async fn run_once(
    settings: worker::Settings,
    Place { url, cluster }: Place,
    observe: &(impl Fn(&Status) + Send + Sync),
    stop: CancellationToken,
) -> anyhow::Result<Result<(), WorkerError>> {
    let known = known_cluster(&settings)?;
    let (whereabouts, coordinator) = Whereabouts::new(url, cluster, known.as_ref());
    let settings = worker::Settings { coordinator, ..settings };
    let observe = |status: &Status| {
        whereabouts.heard(status);
        observe(status);
    };
    Ok(worker::run(settings, observe, stop).await)
}

/// The cluster that the code or the folder names; a typed code names none.
fn known_cluster(settings: &worker::Settings) -> anyhow::Result<Option<Cluster>> {
    match &settings.join {
        Some(Join::Link(code)) => Ok(Some(code.as_ref().into())),
        Some(Join::Typed(_)) | None => Ok(worker::enrolled_with(&settings.data_dir)?),
    }
}
