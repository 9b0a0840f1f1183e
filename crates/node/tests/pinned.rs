//! Certificate checks of commands, over real sockets.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;

use coordinator::{CoordinatorSettings, HubSettings, Running, Sources, TrainerCommand};
use node::client::{Access, Client, ClientError};
use protocol::Pin;
use protocol::api::Job;
use tempfile::TempDir;

async fn coordinator(folder: &Path) -> Running {
    let uploads = folder.join("datasets");
    let home = Some(uploads.join("hub"));
    let hub = HubSettings { endpoint: None, home, token: None, offline: true };
    let settings = CoordinatorSettings {
        data_dir: folder.to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        name: "test cluster".to_owned(),
        certificate: None,
        maximum_disk_bytes: None,
        backups: None,
        allow_origins: Vec::new(),
        lease_timeout: std::time::Duration::from_mins(1),
        trainer: TrainerCommand { program: "no-such-trainer".into(), args: vec![] },
        predictor: TrainerCommand { program: "no-such-trainer".into(), args: vec![] },
        nice: false,
        shown: Vec::new(),
        sources: Sources { data_dir: None, uploads, hub },
    };
    coordinator::start(settings).await.unwrap()
}

#[tokio::test]
async fn on_the_coordinator_s_machine_a_command_reads_address_pin_and_token_from_the_folder() {
    let folder = TempDir::new().unwrap();
    let running = coordinator(folder.path()).await;
    let data_dir = folder.path().to_owned();
    let client = Client::new(&Access { data_dir, ..Access::default() }).unwrap();
    assert_eq!(client.address(), running.https_url());
    assert_eq!(client.get::<Vec<Job>>("/jobs").await.unwrap(), []);
    running.stop().await;
}

#[tokio::test]
async fn on_another_machine_the_pin_is_checked() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let running = coordinator(folder.path()).await;
    let token = std::fs::read_to_string(folder.path().join("admin-token")).unwrap();
    let access = |pin: Option<Pin>| Access {
        address: Some(running.https_url()),
        pin,
        token: Some(token.clone()),
        data_dir: elsewhere.path().to_owned(),
    };
    let get_jobs = async |pin| Client::new(&access(pin)).unwrap().get::<Vec<Job>>("/jobs").await;

    assert_eq!(get_jobs(Some(running.cluster.pin)).await.unwrap(), []);

    let other = Pin::from_bytes([7; 32]);
    let error = get_jobs(Some(other)).await.unwrap_err();
    assert!(matches!(error, ClientError::WrongPin(_)), "{error}");
    assert!(!error.is_transient());
    let message = error.to_string();
    for expected in [running.https_url(), other.to_string(), running.cluster.pin.to_string()] {
        assert!(message.contains(&expected), "{message}");
    }

    let error = get_jobs(None).await.unwrap_err();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error}");
    assert!(error.to_string().contains("--pin"), "{error}");
    running.stop().await;
}
