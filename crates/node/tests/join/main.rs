//! A worker joins a real coordinator over TLS, by a link and by a typed code, and with somebody in
//! between.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod between;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use between::Between;
use coordinator::{HubSettings, Running, Sources};
use node::client::{Access, Client};
use protocol::Pin;
use protocol::join::{CreatedJoinCode, Join, JoinSecret};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trainer::TrainerCommand;
use worker::{JoinSource, Status, WorkerError, enrolled_with};

/// A test that waits this long fails.
const PATIENCE: Duration = Duration::from_mins(1);

struct Coordinator {
    running: Running,
    folder: TempDir,
}

impl Coordinator {
    async fn start() -> Self {
        Self::start_in(TempDir::new().unwrap()).await
    }

    async fn start_in(folder: TempDir) -> Self {
        let home = Some(folder.path().join("hub"));
        let settings = coordinator::Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            name: "lab".into(),
            lease_patience: std::time::Duration::from_mins(1),
            trainer: TrainerCommand { program: "none".into(), args: vec![] },
            predictor: TrainerCommand { program: "none".into(), args: vec![] },
            nice: false,
            shown: Vec::new(),
            sources: Sources {
                data_dir: None,
                uploads: folder.path().join("datasets"),
                hub: HubSettings { endpoint: None, home, token: None, offline: true },
            },
            data_dir: folder.path().to_owned(),
            certificate: None,
            maximum_disk_bytes: None,
            backups: None,
            allow_origins: Vec::new(),
        };
        Self { running: coordinator::start(settings).await.unwrap(), folder }
    }

    /// For the administrator on this machine.
    fn client(&self) -> Client {
        let data_dir = self.folder.path().to_owned();
        Client::new(&Access { data_dir, ..Access::default() }).unwrap()
    }

    async fn code(&self) -> (Join, JoinSecret) {
        let created: CreatedJoinCode = self.client().post("/join-codes", &json!({})).await.unwrap();
        (created.link.parse().unwrap(), created.code.parse().unwrap())
    }

    async fn devices(&self) -> Vec<Value> {
        self.client().get("/devices").await.unwrap()
    }

    fn url(&self) -> String {
        format!("https://{}", self.running.address)
    }

    fn pin(&self) -> Pin {
        self.running.cluster.pin
    }
}

fn worker_settings(folder: &Path, url: &str, join: Option<Join>) -> worker::Settings {
    let ready = r#"{"reply":"ready","fingerprint":{"app":"0","burn":"0","backend":"cpu","hardware":"x"},"gpu_name":null,"reason":"x"}"#;
    let args = vec!["-c".into(), format!("echo '{ready}'; read line")];
    let trainer = TrainerCommand { program: "sh".into(), args };
    let coordinator = watch::channel(Some(url.to_owned())).1;
    worker::Settings { join, ..worker::Settings::new(folder.to_owned(), coordinator, trainer) }
}

/// Runs a worker until it is enrolled or until it ends by itself.
async fn until_enrolled(settings: worker::Settings) -> Result<(), WorkerError> {
    let stop = CancellationToken::new();
    let enrolled = stop.clone();
    let observe = move |status: &Status| {
        if matches!(status, Status::Registered { .. }) {
            enrolled.cancel();
        }
    };
    tokio::time::timeout(PATIENCE, worker::run(settings, observe, stop)).await.unwrap()
}

/// Runs a worker until it says that it is offline; gives the reason.
async fn until_offline(settings: worker::Settings) -> String {
    let stop = CancellationToken::new();
    let reason = Arc::new(std::sync::Mutex::new(String::new()));
    let (told, offline) = (reason.clone(), stop.clone());
    let observe = move |status: &Status| {
        if let Status::Offline { reason } = status {
            told.lock().unwrap().clone_from(reason);
            offline.cancel();
        }
    };
    let ended = tokio::time::timeout(PATIENCE, worker::run(settings, observe, stop)).await;
    ended.unwrap().unwrap();
    let reason = reason.lock().unwrap().clone();
    assert!(!reason.is_empty());
    reason
}

#[tokio::test]
async fn by_a_link() {
    let coordinator = Coordinator::start().await;
    let (link, _) = coordinator.code().await;
    let folder = TempDir::new().unwrap();
    until_enrolled(worker_settings(folder.path(), &coordinator.url(), Some(link))).await.unwrap();
    let cluster = enrolled_with(folder.path()).unwrap().unwrap();
    assert_eq!((cluster.pin, cluster.name.as_str()), (coordinator.pin(), "lab"));
    let devices = coordinator.devices().await;
    assert_eq!((devices.len(), &devices[0]["note"]), (1, &Value::Null));
}

#[tokio::test]
async fn by_a_typed_code_that_pins_from_then_on() {
    let coordinator = Coordinator::start().await;
    let (_, code) = coordinator.code().await;
    let folder = TempDir::new().unwrap();
    let settings = worker_settings(folder.path(), &coordinator.url(), Some(Join::Typed(code)));
    until_enrolled(settings).await.unwrap();
    let cluster = enrolled_with(folder.path()).unwrap().unwrap();
    assert_eq!(cluster.pin, coordinator.pin());
    assert_eq!(cluster.id, coordinator.running.cluster.id);
    assert_eq!(cluster.addresses, [coordinator.running.address.to_string()]);
    let codes: Value = coordinator.client().get("/join-codes").await.unwrap();
    assert_eq!((&codes[0]["state"], &codes[0]["tries"]), (&json!("used_up"), &json!(0)));

    // Without the code from now on, also after the coordinator was started anew.
    let Coordinator { running, folder: data } = coordinator;
    running.stop().await;
    let coordinator = Coordinator::start_in(data).await;
    until_enrolled(worker_settings(folder.path(), &coordinator.url(), None)).await.unwrap();
    assert_eq!(coordinator.devices().await.len(), 1);
}

#[tokio::test]
async fn a_wrong_code_enrols_nobody_and_says_so() {
    let coordinator = Coordinator::start().await;
    coordinator.code().await;
    let folder = TempDir::new().unwrap();
    let wrong = Some(Join::Typed(JoinSecret::from_bytes([1; 10])));
    let outcome = until_enrolled(worker_settings(folder.path(), &coordinator.url(), wrong)).await;
    let words = outcome.unwrap_err().to_string();
    assert!(words.contains("no join code of this cluster"), "{words}");
    assert!(coordinator.devices().await.is_empty());
}

#[tokio::test]
async fn a_typed_code_is_tried_at_each_cluster_that_is_found() {
    let (one, two) = (Coordinator::start().await, Coordinator::start().await);
    let (_, code) = two.code().await;
    let folder = TempDir::new().unwrap();
    let (found, coordinator) = watch::channel(Some(one.url()));
    let settings = worker_settings(folder.path(), "", Some(Join::Typed(code)));
    let settings = worker::Settings { coordinator, ..settings };
    let (stop, next) = (CancellationToken::new(), two.url());
    let enrolled = stop.clone();
    let observe = move |status: &Status| {
        if matches!(status, Status::Offline { .. }) {
            found.send_replace(Some(next.clone()));
        }
        if matches!(status, Status::Registered { .. }) {
            enrolled.cancel();
        }
    };
    let ended = tokio::time::timeout(PATIENCE, worker::run(settings, observe, stop)).await;
    ended.unwrap().unwrap();
    assert_eq!(enrolled_with(folder.path()).unwrap().unwrap().pin, two.pin());
    assert_eq!((one.devices().await.len(), two.devices().await.len()), (0, 1));
}

#[tokio::test]
async fn a_device_goes_to_another_cluster_by_the_organization_s_link_alone() {
    let (one, two) = (Coordinator::start().await, Coordinator::start().await);
    let ((link, _), (other, _)) = (one.code().await, two.code().await);
    let folder = TempDir::new().unwrap();
    until_enrolled(worker_settings(folder.path(), &one.url(), Some(link))).await.unwrap();

    let by_person = worker_settings(folder.path(), &two.url(), Some(other));
    let refused = until_enrolled(by_person.clone()).await.unwrap_err();
    assert!(matches!(refused, WorkerError::BelongsTo { .. }), "{refused}");
    assert_eq!((one.devices().await.len(), two.devices().await.len()), (1, 0));

    let managed = worker::Settings { join_source: JoinSource::Managed, ..by_person };
    until_enrolled(managed).await.unwrap();
    assert_eq!(enrolled_with(folder.path()).unwrap().unwrap().pin, two.pin());
    assert_eq!((one.devices().await.len(), two.devices().await.len()), (0, 1));
}

#[tokio::test]
async fn somebody_between_is_refused_by_name_and_learns_nothing() {
    let coordinator = Coordinator::start().await;
    let (link, code) = coordinator.code().await;
    let between = Between::start(coordinator.running.address).await;
    let folder = TempDir::new().unwrap();
    let typed = Some(Join::Typed(code.clone()));
    let outcome = until_enrolled(worker_settings(folder.path(), &between.url(), typed)).await;
    let words = outcome.unwrap_err().to_string();
    assert!(words.contains(&between.pin.to_string()) && words.contains("between"), "{words}");

    // Everything went through its hands; what it saw is no proof, and no code.
    let seen = between.seen();
    assert!(seen.contains("POST /join "), "{seen}");
    for secret in [code.proof().bearer(), code.typed(), code.typed().replace('-', "")] {
        assert!(!seen.contains(&secret));
    }
    assert!(!seen.contains("/devices/register"), "{seen}");
    assert!(coordinator.devices().await.is_empty());

    // By the link nothing is said to it at all.
    let other = TempDir::new().unwrap();
    let before = between.seen().len();
    let words = until_offline(worker_settings(other.path(), &between.url(), Some(link))).await;
    assert!(words.contains(&between.pin.to_string()), "{words}");
    assert_eq!(between.seen().len(), before);
}
