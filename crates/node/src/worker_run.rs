//! Worker with coordinator discovery, for the command and the app.

use protocol::join::Join;
use tokio_util::sync::CancellationToken;
use worker::{Cluster, Status, WorkerError};

use crate::coordinator_locator::CoordinatorLocator;

/// Sources of the coordinator's address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// URL of the coordinator. `None` searches the local network.
    pub(crate) url: Option<String>,
    /// Id of the cluster to find on the local network. Other clusters are ignored.
    pub(crate) cluster: Option<String>,
}

/// Runs a worker until `stop` or until it can't continue. If the organization's code for another
/// cluster fails, the worker continues in the device's current cluster.
///
/// # Errors
/// See [`WorkerError`]. An unreadable folder is one of them.
pub(crate) async fn run_worker(
    settings: worker::WorkerSettings,
    place: Place,
    observe: impl Fn(&Status) + Send + Sync,
    stop: CancellationToken,
) -> anyhow::Result<Result<(), WorkerError>> {
    let ended = run_once(settings.clone(), place, &observe, stop.clone()).await?;
    let Err(error @ WorkerError::NotMoved { .. }) = ended else { return Ok(ended) };
    tracing::warn!(%error, "the worker continues in its current cluster");
    observe(&Status::JoinFailed { reason: error.to_string() });
    // The configured address and pin belong to the other cluster: its coordinator must not receive this
    // device's token.
    let settings = worker::WorkerSettings { join: None, pin: None, ..settings };
    run_once(settings, Place::default(), &observe, stop).await
}

async fn run_once(
    settings: worker::WorkerSettings,
    Place { url, cluster }: Place,
    observe: &(impl Fn(&Status) + Send + Sync),
    stop: CancellationToken,
) -> anyhow::Result<Result<(), WorkerError>> {
    let known = known_cluster(&settings)?;
    let (locator, coordinator) = CoordinatorLocator::new(url, cluster, known.as_ref());
    let settings = worker::WorkerSettings { coordinator, ..settings };
    let observe = |status: &Status| {
        locator.record_status(status);
        observe(status);
    };
    Ok(worker::run(settings, observe, stop).await)
}

/// Returns the cluster of the link or of the folder. A typed code names no cluster.
fn known_cluster(settings: &worker::WorkerSettings) -> anyhow::Result<Option<Cluster>> {
    match &settings.join {
        Some(Join::Link(code)) => Ok(Some(code.as_ref().into())),
        Some(Join::Typed(_)) | None => Ok(worker::enrolled_with(&settings.data_dir)?),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use coordinator::{HubSettings, Running, Sources};
    use protocol::join::{JoinCode, JoinSecret};
    use tempfile::TempDir;
    use tokio::sync::watch;
    use trainer::TrainerCommand;
    use worker::JoinSource;

    use super::*;
    use crate::client::{Access, Client};

    async fn coordinator(folder: &Path) -> Running {
        let home = Some(folder.join("hub"));
        let none = TrainerCommand { program: "none".into(), args: vec![] };
        let settings = coordinator::CoordinatorSettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            name: "lab".into(),
            lease_timeout: std::time::Duration::from_mins(1),
            trainer: none.clone(),
            predictor: none,
            nice: false,
            shown: Vec::new(),
            sources: Sources {
                data_dir: None,
                uploads: folder.join("datasets"),
                hub: HubSettings { endpoint: None, home, token: None, offline: true },
            },
            data_dir: folder.to_owned(),
            certificate: None,
            maximum_disk_bytes: None,
            backups: None,
            allow_origins: Vec::new(),
        };
        coordinator::start(settings).await.unwrap()
    }

    /// Creates a link of the coordinator in `folder`.
    async fn link(folder: &Path) -> JoinCode {
        let access = Access { data_dir: folder.to_owned(), ..Access::default() };
        let client = Client::new(&access).unwrap();
        let created: protocol::join::CreatedJoinCode =
            client.post("/join-codes", &serde_json::json!({})).await.unwrap();
        created.link.parse().unwrap()
    }

    /// Runs until the device is registered. Returns the reasons why codes failed.
    async fn failures(settings: worker::WorkerSettings, place: Place) -> Vec<String> {
        let (failed, stop) = (Mutex::new(Vec::new()), CancellationToken::new());
        let observe = |status: &Status| {
            if let Status::JoinFailed { reason } = status {
                failed.lock().unwrap().push(reason.clone());
            }
            if let Status::Registered { .. } = status {
                stop.cancel();
            }
        };
        run_worker(settings, place, observe, stop.clone()).await.unwrap().unwrap();
        failed.into_inner().unwrap()
    }

    #[tokio::test]
    async fn a_managed_code_that_is_refused_leaves_the_worker_in_its_cluster() {
        let folders = [(); 3].map(|()| TempDir::new().unwrap());
        let [one, two, device] = folders.each_ref().map(TempDir::path);
        let (_here, there) = (coordinator(one).await, coordinator(two).await);
        let ready = r#"{"reply":"ready","fingerprint":{"app":"0","burn":"0","backend":"cpu","hardware":"x"},"gpu_name":null,"reason":"x"}"#;
        let args = vec!["-c".into(), format!("echo '{ready}'; read line")];
        let trainer = TrainerCommand { program: "sh".into(), args };
        let settings = worker::WorkerSettings {
            join: Some(Join::Link(Box::new(link(one).await))),
            ..worker::WorkerSettings::new(device.to_owned(), watch::channel(None).1, trainer)
        };
        assert!(failures(settings.clone(), Place::default()).await.is_empty());

        let worthless = JoinCode { secret: JoinSecret::from_bytes([1; 10]), ..link(two).await };
        let settings = worker::WorkerSettings {
            pin: Some(there.cluster.pin),
            join: Some(Join::Link(Box::new(worthless))),
            join_source: JoinSource::Managed,
            ..settings
        };
        let place = Place { url: Some(there.https_url()), cluster: None };
        let failed = failures(settings, place).await;
        assert!(failed.len() == 1 && failed[0].contains("stays in the cluster"), "{failed:?}");
        let cluster = worker::enrolled_with(device).unwrap().unwrap();
        assert_eq!(cluster.id, link(one).await.cluster_id.to_string());
    }
}
