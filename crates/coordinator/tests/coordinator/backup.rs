//! Backups: written while the coordinator works, rejected if incomplete, and restored elsewhere,
//! where devices and jobs continue.

use std::path::{Path, PathBuf};
use std::time::Duration;

use coordinator::BackupSchedule;
use coordinator::backup::{self, BackupError, RestoreError};
use protocol::audit::Action;
use protocol::model::ModelSpec;
use protocol::{BlobHash, Timestamp, codec};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::device::{Device, update};
use crate::support::{Client, Coordinator, answer, settings, small_csv, tiny_job};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

#[tokio::test]
async fn a_restored_cluster_goes_on_elsewhere_to_the_same_model() {
    let first = Coordinator::start().await;
    let device = Device::enroll(&first, "one").await;
    let viewer = first.token("viewer").await;
    add_dataset(&first).await;
    let id = first.start_job(tiny_job()).await;
    let lease = device.next_job(&first, 60).await.unwrap();
    device.report(&first, &lease, update(&lease)).await;
    let open = device.next_job(&first, 0).await.unwrap();
    let folder = TempDir::new().unwrap();
    let file = save(&first, folder.path()).await;

    // Changes after the backup are lost with the old machine.
    device.report(&first, &open, update(&open)).await;
    first.job_when(&id, |job| job["current_epoch"] == 1).await;
    let later = device.next_job(&first, 60).await.unwrap();
    let revision = first.get("/events").await["revision"].as_u64().unwrap();
    device.report(&first, &later, update(&later)).await;
    device.work(&first).await;
    let undisturbed = first.job_in(&id, "completed").await["model_blake3"].clone();
    let cluster = first.running.cluster.id.clone();
    let key = std::fs::read(first.folder.path().join("cluster/key.pem")).unwrap();
    first.running.stop().await;

    let moved = TempDir::new().unwrap();
    let restored = backup::restore(&file, moved.path(), false, NOW, |_| {}).unwrap();
    assert_eq!((restored.before, restored.manifest.cluster_id), (None, cluster.clone()));
    let second = Coordinator::start_in(moved).await;
    assert_eq!(second.running.cluster.id, cluster);
    // The pin is the same, so devices trust it as before.
    assert_eq!(std::fs::read(second.folder.path().join("cluster/key.pem")).unwrap(), key);
    let look = second.request(Method::GET, "/jobs", &viewer).send().await.unwrap();
    assert_eq!(look.status(), StatusCode::OK);
    let datasets = second.get("/datasets").await;
    assert!(datasets.as_array().unwrap().iter().any(|dataset| dataset["name"] == "ours"));

    // The audit log continues and records the restore.
    let log = second.audit().await;
    let restored: Vec<_> =
        log.iter().filter(|entry| entry.record.action == Action::Restored).collect();
    assert_eq!(restored.len(), 1);
    assert_eq!(restored[0].record.subject.id, cluster);

    // Clients that watch events start again, and revisions don't go back.
    let events = second.get(&format!("/events?after={revision}")).await;
    assert_eq!(events["reset"], true);
    assert!(events["revision"].as_u64().unwrap() > revision, "{events}");

    // A lease newer than the backup has ended; a lease in the backup is open again.
    let path = format!("/leases/{}/progress", later.id);
    let body = json!({ "step": 1, "steps": 2, "loss": 0.5, "examples_per_second": 1.0 });
    let (status, answer) = device.ask(&second, Method::POST, &path, body).await;
    assert_eq!((status, &answer["type"]), (StatusCode::NOT_FOUND, &json!("unknown-lease")));
    let bytes = update(&later);
    let sent = device.upload(&second, later.id, BlobHash::compute(&bytes), 0, bytes).await;
    assert_eq!(sent.status(), StatusCode::NOT_FOUND);
    assert_eq!(device.next_job(&second, 60).await.unwrap().id, open.id);
    let model = finish(&second, &device, &id).await;
    assert_eq!(model, undisturbed);
    assert_eq!(second.get("/models").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_folder_is_replaced_only_by_force_and_kept_beside() {
    let old = Coordinator::start().await;
    old.post("/jobs", tiny_job()).await;
    let folder = TempDir::new().unwrap();
    let file = save(&old, folder.path()).await;
    let error = backup::restore(&file, old.folder.path(), true, NOW, |_| {}).unwrap_err();
    assert!(matches!(error, RestoreError::InUse(_)), "{error}");
    let place = folder.path().join("place");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("something"), "else").unwrap();
    let error = backup::restore(&file, &place, false, NOW, |_| {}).unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty { .. }), "{error}");
    assert!(error.to_string().contains("--force"), "{error}");
    assert!(!place.join("constellation.db").exists());

    let restored = backup::restore(&file, &place, true, NOW, |_| {}).unwrap();
    let before = restored.before.unwrap();
    assert_eq!(std::fs::read(before.join("something")).unwrap(), b"else");
    assert!(!place.join("something").exists());
    let running = coordinator::start(settings(&place)).await.unwrap();
    let client = Client::new(running.url(), &place, running.cluster.pin);
    assert_eq!(client.get("/jobs").await.as_array().unwrap().len(), 1);
    running.stop().await;
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(left.len(), 3, "the backup, the folder and the one before: {left:?}");
}

#[tokio::test]
async fn a_backup_that_is_not_whole_is_refused_and_nothing_is_touched() {
    let coordinator = Coordinator::start().await;
    let folder = TempDir::new().unwrap();
    let file = save(&coordinator, folder.path()).await;
    let whole = std::fs::read(&file).unwrap();
    let place = folder.path().join("place");
    let refuse = |bytes: &[u8], words: &str| {
        let changed = folder.path().join("changed");
        std::fs::write(&changed, bytes).unwrap();
        let error = backup::restore(&changed, &place, false, NOW, |_| {}).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert!(backup::verify(&changed).is_err());
        let names: Vec<_> = std::fs::read_dir(&place).unwrap().map(Result::unwrap).collect();
        assert_eq!(names.len(), 1, "the lock alone: {names:?}");
    };
    refuse(b"", "not a backup");
    refuse(b"PK and so on", "not a backup");
    refuse(&whole[..whole.len() / 2], "damaged");
    // The last byte of the database, which is the last entry: two empty blocks end the archive.
    let mut flipped = whole.clone();
    let last = flipped.iter().rposition(|byte| *byte != 0).unwrap();
    flipped[last] ^= 1;
    refuse(&flipped, "damaged");
    let newer = |from: &str, to: &str| {
        let at = whole.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
        [&whole[..at], to.as_bytes(), &whole[at + from.len()..]].concat()
    };
    refuse(&newer("\"format\": 1", "\"format\": 9"), "newer Constellation");
    let manifest = backup::verify(&file).unwrap();
    let version = format!("\"database\": {}", manifest.database);
    refuse(&newer(&version, "\"database\": 9"), "newer Constellation");
    // An entry that would be written outside the folder.
    refuse(&newer("\"constellation.db\"", "\"../stellation.db\""), "does not match the manifest");
}

#[tokio::test]
async fn blobs_stay_while_a_backup_reads_them() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    // Too large for the network buffers. The job's blobs are between them.
    for number in 0..3_u8 {
        register_large(&coordinator, f32::from(number)).await;
    }
    let id = coordinator.start_job(tiny_job()).await;
    coordinator.job_in(&id, "running").await;
    let request = coordinator.request(Method::GET, "/backup", &coordinator.admin);
    // The response's head has arrived and its body is not read; shards and updates of the job are
    // removed meanwhile.
    let mut response = request.send().await.unwrap();
    let model = finish(&coordinator, &device, &id).await;
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("backup.tar");
    std::fs::write(&file, bytes).unwrap();
    backup::verify(&file).unwrap();
    // The job in the backup is at its start, and has everything it needs for the same result.
    let place = TempDir::new().unwrap();
    backup::restore(&file, place.path(), false, NOW, |_| {}).unwrap();
    let second = Coordinator::start_in(place).await;
    assert_eq!(finish(&second, &device, &id).await, model);
}

#[tokio::test]
async fn a_damaged_blob_fails_the_backup_instead_of_hiding_in_it() {
    let coordinator = Coordinator::start().await;
    let id = coordinator.start_job(tiny_job()).await;
    coordinator.job_in(&id, "running").await;
    let folder = TempDir::new().unwrap();
    let manifest = backup::verify(&save(&coordinator, folder.path()).await).unwrap();
    let blob = &manifest.entries.last().unwrap().path;
    let path = coordinator.folder.path().join(blob);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let request = coordinator.request(Method::GET, "/backup", &coordinator.admin);
    let broken = request.send().await.unwrap().bytes().await;
    assert!(broken.is_err(), "the archive must not come to its end");
    std::fs::remove_file(&path).unwrap();
    let request = coordinator.request(Method::GET, "/backup", &coordinator.admin);
    let (status, problem) = answer(request).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(problem["detail"].as_str().unwrap().contains("is missing"), "{problem}");
}

#[tokio::test]
async fn only_an_administrator_gets_one() {
    let coordinator = Coordinator::start().await;
    let viewer = coordinator.token("viewer").await;
    let (status, _) = answer(coordinator.request(Method::GET, "/backup", &viewer)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn scheduled_backups_are_made_kept_and_told_of() {
    let folder = TempDir::new().unwrap();
    let backups = folder.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    for name in ["constellation-2026-01-01.tar", "constellation-2026-01-02.tar", "notes.txt"] {
        let file = std::fs::File::create(backups.join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    let running = start_with_backups(folder.path(), &backups).await;
    let client = Client::new(running.url(), &folder.path().join("data"), running.cluster.pin);
    let state = backups_when(&client, |state| !state["last"].is_null()).await;
    assert_eq!((&state["failure"], &state["folder"]), (&Value::Null, &json!(backups)));
    assert!(!state["next_at"].is_null(), "{state}");
    let made = state["last"]["file"].as_str().unwrap().to_owned();
    let log = client.audit().await;
    let written = log.iter().find(|entry| entry.record.action == Action::Written).unwrap();
    assert_eq!((&written.record.subject.id, written.record.who.as_str()), (&made, "coordinator"));
    backup::verify(&backups.join(&made)).unwrap();
    running.stop().await;
    let mut left: Vec<String> = std::fs::read_dir(&backups)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["constellation-2026-01-02.tar", &made, "notes.txt"], "2 are kept");
}

#[tokio::test]
async fn a_scheduled_backup_that_fails_says_why() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "").unwrap();
    let running = start_with_backups(folder.path(), &file.join("backups")).await;
    let client = Client::new(running.url(), &folder.path().join("data"), running.cluster.pin);
    let state = backups_when(&client, |state| !state["failure"].is_null()).await;
    assert!(state["failure"].as_str().unwrap().contains("a file"), "{state}");
    let notices = client.get("/notices").await;
    assert_eq!(notices[0]["kind"], "backup_failed", "{notices}");
    assert!(notices[0]["text"].as_str().unwrap().contains("a file"), "{notices}");
    running.stop().await;
}

/// Registers an uploaded model of 16 MB.
async fn register_large(coordinator: &Client, weight: f32) {
    let spec = json!({
        "input": { "kind": "text", "buckets": 1 << 20, "ngrams": 1, "max_words": 4 },
        "layers": [{ "kind": "embedding_bag", "dimension": 4 }, { "kind": "linear", "outputs": 2 }]
    });
    let parsed: ModelSpec = serde_json::from_value(spec.clone()).unwrap();
    let bytes = codec::encode(&vec![weight; parsed.layout().unwrap().parameters]);
    let hash = BlobHash::compute(&bytes);
    let path = format!("/blobs/{hash}");
    let put = coordinator.request(Method::PUT, &path, &coordinator.admin).body(bytes);
    assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
    let body = json!({
        "name": format!("large {weight}"), "blob": hash, "spec": spec, "model_type": "nlp",
        "dataset": "synthetic", "classes": ["a", "b"]
    });
    coordinator.post("/models", body).await;
}

async fn start_with_backups(folder: &Path, backups: &Path) -> coordinator::Running {
    let mut settings = settings(&folder.join("data"));
    let every = Duration::from_hours(24);
    settings.backups = Some(BackupSchedule { folder: backups.to_owned(), every, keep: 2 });
    coordinator::start(settings).await.unwrap()
}

async fn backups_when(client: &Client, asked: impl Fn(&Value) -> bool) -> Value {
    loop {
        let state = client.get("/backups").await;
        if asked(&state) {
            return state;
        }
    }
}

pub(crate) async fn save(coordinator: &Client, folder: &Path) -> PathBuf {
    let request = coordinator.request(Method::GET, "/backup", &coordinator.admin);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let announced = response.content_length().unwrap();
    let bytes = response.bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, announced);
    let file = folder.join("backup.tar");
    std::fs::write(&file, bytes).unwrap();
    backup::verify(&file).unwrap_or_else(|error: BackupError| panic!("{error}"));
    file
}

async fn add_dataset(coordinator: &Client) {
    let path = "/datasets?name=ours&filename=ours.csv";
    let request = coordinator.request(Method::POST, path, &coordinator.admin);
    let (status, answer) = answer(request.body(small_csv())).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

/// Completes the job. Returns the hash of its model.
async fn finish(coordinator: &Client, device: &Device, id: &str) -> Value {
    loop {
        device.work(coordinator).await;
        let idle = |job: &Value| {
            let reason = job["reason"].as_str().unwrap_or_default();
            job["status"] == "completed" || reason.contains("waiting for a device")
        };
        let job = coordinator.job_when(id, idle).await;
        if job["status"] == "completed" {
            return job["model_blake3"].clone();
        }
    }
}
