//! Enrollment against a coordinator with scripted responses.

use std::path::Path;
use std::sync::Mutex;

use protocol::enrollment::{DeviceRegistration, signed};
use protocol::join::JoinSecret;
use protocol::{Opaque, Pin, Problem};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use tokio::sync::watch;
use trainer::TrainerCommand;
use uuid::Uuid;

use super::*;
use crate::test_server::{Server, Step};

const DEVICE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn code() -> JoinCode {
    JoinCode {
        cluster_name: "lab".into(),
        cluster_id: Uuid::from_u128(1),
        addresses: vec![],
        pin: Pin::from_bytes([7; 32]),
        secret: JoinSecret::from_bytes([9; 10]),
    }
}

fn settings(folder: &Path, join: Option<Join>) -> WorkerSettings {
    let trainer = TrainerCommand { program: "none".into(), args: vec![] };
    WorkerSettings {
        join,
        ..WorkerSettings::new(folder.to_owned(), watch::channel(None).1, trainer)
    }
}

fn ready() -> Ready {
    let json = json!({
        "fingerprint": { "app": "0", "burn": "0", "backend": "cpu", "hardware": "x" },
        "gpu_name": null, "reason": "x"
    });
    serde_json::from_value(json).unwrap()
}

fn challenge() -> Step {
    Step::answer("200 OK", "", br#"{"challenge":"to sign","expires_in":120}"#)
}

fn registered() -> Step {
    let body = json!({
        "id": DEVICE, "token": "t", "heartbeat_seconds": 30, "enrolment": "new"
    });
    Step::answer("200 OK", "", body.to_string().as_bytes())
}

fn refusal(status: u16, kind: &str) -> Step {
    let body = serde_json::to_vec(&Problem::new(status, kind, "No", "words")).unwrap();
    Step::answer(&format!("{status} No"), "", &body)
}

/// Result of an enrollment.
struct Tried {
    /// Reason why the code failed, from the worker's status.
    failed: Option<String>,
    outcome: Result<Enrollment, WorkerError>,
    /// Bodies of the registrations.
    bodies: Vec<Value>,
    /// Number of offline statuses.
    offline: usize,
    /// The coordinator's pin.
    pin: Pin,
}

/// Enrolls `folder` with a person's join code, against these responses.
async fn enroll(folder: &Path, join: Option<Join>, steps: Vec<Step>) -> Tried {
    enroll_with(settings(folder, join), steps).await
}

/// Enrolls `folder` with the organization's code.
async fn enroll_managed(folder: &Path, join: Join, steps: Vec<Step>) -> Tried {
    let settings =
        WorkerSettings { join_source: JoinSource::Managed, ..settings(folder, Some(join)) };
    enroll_with(settings, steps).await
}

async fn enroll_with(settings: WorkerSettings, steps: Vec<Step>) -> Tried {
    let folder = settings.data_dir.as_path();
    let server = Server::start(steps).await;
    let (offline, failed) = (Mutex::new(0), Mutex::new(None));
    let observe = |status: &Status| {
        if let Status::JoinFailed { reason } = status {
            *failed.lock().unwrap() = Some(reason.clone());
        }
        if matches!(status, Status::Offline { .. }) {
            *offline.lock().unwrap() += 1;
        }
    };
    let reporter = StatusReporter::new(&observe, crate::PresenceDetail::Reasons);
    let mut identity = Identity::load(folder).unwrap();
    let session = identity.begin_session().unwrap();
    let settings = WorkerSettings { pin: Some(server.pin), ..settings.clone() };
    let client = server.client();
    let outcome = enrolled(&settings, &client, &reporter, &mut identity, &ready(), &session).await;
    let asked = server.requests();
    let bodies = asked.iter().filter(|asked| asked.line().contains("/devices/register"));
    let bodies = bodies.map(|asked| -> Value {
        let expected = format!("Bearer {}", code().secret.proof().bearer());
        assert_eq!(asked.header("authorization"), Some(expected.as_str()));
        serde_json::from_slice(&asked.body).unwrap()
    });
    drop(reporter);
    let bodies = bodies.collect();
    let (offline, failed) = (offline.into_inner().unwrap(), failed.into_inner().unwrap());
    Tried { outcome, bodies, offline, pin: server.pin, failed }
}

fn link() -> Join {
    Join::Link(Box::new(code()))
}

#[tokio::test]
async fn a_registration_is_signed_for_this_coordinator_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let tried = enroll(folder.path(), Some(link()), vec![challenge(), registered()]).await;
    assert_eq!(tried.outcome.unwrap().device.to_string(), DEVICE);
    let said: DeviceRegistration = serde_json::from_value(tried.bodies[0].clone()).unwrap();
    let hardware = &said.hardware_id;
    let message = signed("to sign", &tried.pin, hardware, said.instance, &said.fingerprint);
    UnparsedPublicKey::new(&ED25519, &said.public_key.0)
        .verify(&message, &said.signature.0)
        .unwrap();
    // The next start sends no request, with or without the code.
    for join in [Some(link()), None] {
        let again = enroll(folder.path(), join, vec![]).await;
        let cluster = again.outcome.unwrap().cluster;
        assert_eq!((cluster.pin, cluster.name.as_str()), (tried.pin, "lab"));
        assert_eq!(again.bodies.len(), 0);
    }
}

#[tokio::test]
async fn a_key_that_is_another_device_s_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let before = DeviceKey::open(folder.path()).unwrap().public();
    let steps = vec![challenge(), refusal(409, "copied-key"), challenge(), registered()];
    let tried = enroll(folder.path(), Some(link()), steps).await;
    tried.outcome.unwrap();
    assert_eq!(tried.bodies[0]["public_key"], json!(before));
    assert_ne!(tried.bodies[1]["public_key"], json!(before));
    let now: Opaque = DeviceKey::open(folder.path()).unwrap().public();
    assert_eq!(tried.bodies[1]["public_key"], json!(now));
}

#[tokio::test]
async fn a_folder_of_another_machine_becomes_a_device_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let steps = || vec![challenge(), registered()];
    enroll(folder.path(), Some(link()), steps()).await.outcome.unwrap();
    let key = DeviceKey::open(folder.path()).unwrap().public();
    let file = folder.path().join("identity.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    kept["enrolment"]["hardware_id"] = json!("another machine");
    std::fs::write(&file, kept.to_string()).unwrap();
    let tried = enroll(folder.path(), None, vec![]).await;
    assert!(matches!(tried.outcome, Err(WorkerError::Copied { .. })));
    let tried = enroll(folder.path(), Some(link()), steps()).await;
    tried.outcome.unwrap();
    assert_eq!(tried.bodies[0]["copy_of"], DEVICE);
    assert_ne!(tried.bodies[0]["public_key"], json!(key));
}

#[tokio::test]
async fn a_machine_whose_old_worker_was_just_heard_of_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let steps = vec![challenge(), refusal(409, "device-at-work"), challenge(), registered()];
    let tried = enroll(folder.path(), Some(link()), steps).await;
    tried.outcome.unwrap();
    assert_eq!((tried.bodies.len(), tried.offline), (2, 1));
}

#[tokio::test]
async fn a_code_that_does_not_count_ends_the_worker_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let steps = vec![challenge(), refusal(403, "join-code-not-open")];
    let tried = enroll(folder.path(), Some(link()), steps).await;
    assert!(matches!(tried.outcome, Err(WorkerError::Refused(problem)) if problem.status == 403));
    let tried = enroll(folder.path(), None, vec![]).await;
    assert!(matches!(tried.outcome, Err(WorkerError::NotRegistered)));
}

fn link_of_another() -> JoinCode {
    JoinCode { cluster_id: Uuid::from_u128(2), cluster_name: "other".into(), ..code() }
}

/// Returns an enrolled folder with work in its cache.
async fn enrolled_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let steps = vec![challenge(), registered()];
    enroll(folder.path(), Some(link()), steps).await.outcome.unwrap();
    crate::storage_key::key(folder.path()).unwrap();
    std::fs::create_dir_all(crate::storage_key::cache(folder.path())).unwrap();
    std::fs::write(crate::storage_key::cache(folder.path()).join("blob"), "sealed").unwrap();
    folder
}

fn kept(folder: &Path) -> Enrollment {
    Identity::load(folder).unwrap().enrollment.unwrap()
}

#[tokio::test]
async fn a_link_of_another_cluster_is_refused_before_anybody_is_asked() {
    let folder = enrolled_folder().await;
    let join = Some(Join::Link(Box::new(link_of_another())));
    let tried = enroll(folder.path(), join, vec![challenge(), registered()]).await;
    let error = tried.outcome.err().unwrap();
    assert!(matches!(&error, WorkerError::BelongsTo { cluster } if cluster == "lab"), "{error}");
    assert!(error.to_string().contains("run `constellation leave` first"), "{error}");
    assert_eq!(tried.bodies.len(), 0);
    assert_eq!(kept(folder.path()).cluster.name, "lab");
    enroll(folder.path(), None, vec![]).await.outcome.unwrap();
}

#[tokio::test]
async fn a_link_with_the_cluster_s_id_and_another_key_is_of_another_cluster() {
    let folder = enrolled_folder().await;
    let enrollment = kept(folder.path());
    let with_pin = |pin| {
        let join = Some(Join::Link(Box::new(JoinCode { pin, ..code() })));
        of_another(&settings(folder.path(), join), &enrollment).is_some()
    };
    assert!(!with_pin(enrollment.cluster.pin));
    assert!(with_pin(Pin::from_bytes([8; 32])));
}

/// The organization's code: the old coordinator is notified, and its key and files are destroyed.
#[tokio::test]
async fn a_managed_link_moves_the_device_which_leaves_its_old_cluster_properly() {
    let folder = enrolled_folder().await;
    let old = Server::start(vec![Step::answer("204 No Content", "", b"")]).await;
    let mut identity = Identity::load(folder.path()).unwrap();
    let mut before = kept(folder.path());
    before.cluster.pin = old.pin;
    before.cluster.addresses = vec![old.url.trim_start_matches("https://").to_owned()];
    identity.enroll(Some(before)).unwrap();
    let key = DeviceKey::open(folder.path()).unwrap().public();
    let sealing_key = crate::storage_key::key(folder.path()).unwrap();

    let join = Join::Link(Box::new(link_of_another()));
    let tried = enroll_managed(folder.path(), join, vec![challenge(), registered()]).await;
    assert_eq!(tried.outcome.unwrap().cluster.name, "other");
    assert_eq!((kept(folder.path()).cluster.name.as_str(), tried.bodies.len()), ("other", 1));
    let asked = old.requests();
    assert_eq!(asked[0].line(), format!("POST /devices/{DEVICE}/leave HTTP/1.1"));
    assert_eq!(asked[0].header("authorization"), Some("Bearer t"));
    assert!(!crate::storage_key::cache(folder.path()).exists());
    assert_ne!(crate::storage_key::key(folder.path()).unwrap(), sealing_key);
    let new_key = DeviceKey::open(folder.path()).unwrap().public();
    assert_ne!(new_key, key);
    assert_eq!(tried.bodies[0]["public_key"], json!(new_key));
}

#[tokio::test]
async fn a_managed_link_that_is_refused_leaves_the_device_where_it_is() {
    let folder = enrolled_folder().await;
    let key = DeviceKey::open(folder.path()).unwrap().public();
    let join = Join::Link(Box::new(link_of_another()));
    let steps = vec![challenge(), refusal(403, "join-code-not-open")];
    let tried = enroll_managed(folder.path(), join, steps).await;
    let error = tried.outcome.err().unwrap();
    assert!(matches!(&error, WorkerError::NotMoved { cluster, .. } if cluster == "lab"), "{error}");
    assert_eq!(kept(folder.path()).cluster.name, "lab");
    assert_eq!(DeviceKey::open(folder.path()).unwrap().public(), key);
    assert!(crate::storage_key::cache(folder.path()).join("blob").exists());
    enroll(folder.path(), None, vec![]).await.outcome.unwrap();
}

/// A code is needed because the device's compute fingerprint has changed since its registration.
#[tokio::test]
async fn a_code_that_is_refused_leaves_the_enrollment_working() {
    let folder = enrolled_folder().await;
    let mut identity = Identity::load(folder.path()).unwrap();
    let mut before = kept(folder.path());
    before.fingerprint.app = "older".into();
    identity.enroll(Some(before)).unwrap();
    let steps = vec![challenge(), refusal(403, "join-code-not-open")];
    let tried = enroll(folder.path(), Some(link()), steps).await;
    assert_eq!(tried.outcome.unwrap().device.to_string(), DEVICE);
    assert!(tried.failed.unwrap().contains("words"));
    // A valid code renews the enrollment.
    let steps = vec![challenge(), registered()];
    let tried = enroll(folder.path(), Some(link()), steps).await;
    assert_eq!(tried.outcome.unwrap().fingerprint.app, "0");
}
