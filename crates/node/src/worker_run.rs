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
        let settings = coordinator::Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            name: "lab".into(),
            lease_patience: std::time::Duration::from_mins(1),
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

    /// A link that the coordinator in `folder` made.
    async fn link(folder: &Path) -> JoinCode {
        let access = Access { data_dir: folder.to_owned(), ..Access::default() };
        let client = Client::new(&access).unwrap();
        let created: protocol::join::CreatedJoinCode =
            client.post("/join-codes", &serde_json::json!({})).await.unwrap();
        created.link.parse().unwrap()
    }

    /// Runs until the device is registered; gives the reasons why codes failed.
    async fn failures(settings: worker::Settings, place: Place) -> Vec<String> {
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
        let settings = worker::Settings {
            join: Some(Join::Link(Box::new(link(one).await))),
            ..worker::Settings::new(device.to_owned(), watch::channel(None).1, trainer)
        };
        assert!(failures(settings.clone(), Place::default()).await.is_empty());

        let worthless = JoinCode { secret: JoinSecret::from_bytes([1; 10]), ..link(two).await };
        let settings = worker::Settings {
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
