//! Secrets in the database are encrypted, including plaintext ones of an earlier version.

use std::path::Path;

use coordinator::backup;
use protocol::join::exchange::{JoinAnswer, WorkerExchange};
use protocol::join::{JoinCode, JoinSecret};
use protocol::{BlobHash, Timestamp};
use reqwest::{Method, StatusCode};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::backup::save;
use crate::device::{register, registration};
use crate::migrations::back_to_version_5;
use crate::receiver::Receiver;
use crate::support::{Coordinator, answer};
use crate::webhooks::{SECRET, check_signature};

const DATABASE: &str = "constellation.db";

/// Changes the database to version 4, with plaintext secrets.
fn back_to_version_4(database: &Connection, code: &JoinCode, url: &str) {
    let back = "
        CREATE TABLE before (
            id TEXT PRIMARY KEY, hardware_id TEXT NOT NULL, instance INTEGER NOT NULL,
            record TEXT NOT NULL, UNIQUE (hardware_id, instance)
        ) STRICT;
        INSERT INTO before SELECT id, hardware_id, instance, record FROM devices;
        DROP TABLE devices;
        ALTER TABLE before RENAME TO devices;
        DELETE FROM meta WHERE key = 'secrets_encrypted';
        PRAGMA user_version = 4;";
    back_to_version_5(database);
    database.execute_batch(back).unwrap();
    let password = code.secret.password();
    let set = "UPDATE join_codes SET password = ?1";
    assert_eq!(database.execute(set, params![password]).unwrap(), 1);
    let set = "UPDATE webhooks SET record =
        json_remove(json_set(record, '$.url', ?1, '$.secret', ?2), '$.sealed')";
    assert_eq!(database.execute(set, [url, SECRET]).unwrap(), 1);
}

/// Returns the secrets that must not be stored in plaintext.
fn secrets(code: &JoinCode) -> [Vec<u8>; 3] {
    [SECRET.into(), b"key=secret".to_vec(), code.secret.password().to_vec()]
}

/// Returns the files in `folder` that contain one of the secrets: the database and all files beside
/// it.
fn holding(folder: &Path, secrets: &[Vec<u8>]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        let name = name.to_string_lossy().into_owned();
        let bytes = if name.starts_with(DATABASE) { std::fs::read(path).unwrap() } else { vec![] };
        if secrets.iter().any(|one| bytes.windows(one.len()).any(|it| it == one.as_slice())) {
            found.push(name);
        }
    }
    found.sort();
    found
}

/// Returns a coordinator with a join code and a webhook that has received a delivery.
async fn with_secrets(receiver: &Receiver) -> (Coordinator, JoinCode) {
    let coordinator = Coordinator::start().await;
    let code = coordinator.join_code(json!({})).await;
    let body = json!({ "url": receiver.url(), "events": [], "secret": SECRET });
    coordinator.post("/webhooks", body).await;
    (coordinator, code)
}

/// Checks that the typed code is proven and the webhook receives a signed test.
async fn both_still_work(coordinator: &Coordinator, secret: &JoinSecret, receiver: &Receiver) {
    let asking = WorkerExchange::begin(secret, coordinator.running.cluster.pin, [7; 64]);
    let request = coordinator.request(Method::POST, "/join", "").json(asking.request());
    let (status, body) = answer(request).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    asking.check(&serde_json::from_value::<JoinAnswer>(body).unwrap()).unwrap();
    let proof = secret.proof().bearer();
    let (status, _) = register(coordinator, &proof, "one", registration("one")).await;
    assert_eq!(status, StatusCode::OK);
    let webhook = &coordinator.get("/webhooks").await[0];
    assert_eq!(webhook["url"], receiver.url());
    let path = format!("/webhooks/{}/test", webhook["id"].as_str().unwrap());
    let result = coordinator.post(&path, Value::Null).await;
    assert_eq!(result["delivered"], true, "{result}");
    check_signature(&receiver.wait_for(1).await.remove(0));
}

#[tokio::test]
async fn no_secret_that_must_be_read_again_is_in_the_database_in_the_clear() {
    let receiver = Receiver::start("204 No Content").await;
    let (coordinator, code) = with_secrets(&receiver).await;
    assert_eq!(holding(coordinator.folder.path(), &secrets(&code)), [""; 0]);
    let coordinator = coordinator.restart().await;
    both_still_work(&coordinator, &code.secret, &receiver).await;
    assert_eq!(holding(coordinator.folder.path(), &secrets(&code)), [""; 0]);
}

#[tokio::test]
async fn an_earlier_version_s_secrets_are_encrypted_and_leave_no_trace() {
    let receiver = Receiver::start("204 No Content").await;
    let (coordinator, code) = with_secrets(&receiver).await;
    let (secret, url) = (code.secret.clone(), receiver.url());
    let Coordinator { running, folder, .. } = coordinator;
    running.stop().await;
    let path = folder.path().join(DATABASE);
    {
        let database = Connection::open(&path).unwrap();
        back_to_version_4(&database, &code, &url);
        // A copy that an earlier migration kept.
        let kept = folder.path().join("constellation.db.version-3");
        database.execute("VACUUM INTO ?1", [kept.to_string_lossy()]).unwrap();
    }
    let clear = ["constellation.db", "constellation.db.version-3"];
    assert_eq!(holding(folder.path(), &secrets(&code)), clear, "or nothing would be found below");

    let coordinator = Coordinator::start_in(folder).await;
    assert_eq!(holding(coordinator.folder.path(), &secrets(&code)), [""; 0]);
    both_still_work(&coordinator, &secret, &receiver).await;
    let coordinator = coordinator.restart().await;
    assert_eq!(holding(coordinator.folder.path(), &secrets(&code)), [""; 0]);
    // The copy of version 4 exists, with everything except the secrets.
    let kept = Connection::open(coordinator.folder.path().join("constellation.db.version-4"));
    let kept = kept.unwrap();
    let number = |query: &str| -> u32 { kept.query_row(query, [], |row| row.get(0)).unwrap() };
    assert_eq!(number("PRAGMA user_version"), 4);
    assert_eq!(
        (number("SELECT count(*) FROM join_codes"), number("SELECT count(*) FROM webhooks")),
        (1, 0)
    );
    assert_eq!(number("SELECT length(password) FROM join_codes"), 32);
}

#[tokio::test]
async fn an_earlier_version_s_backup_is_restored_and_its_secrets_still_work() {
    let receiver = Receiver::start("204 No Content").await;
    let (coordinator, code) = with_secrets(&receiver).await;
    let folder = TempDir::new().unwrap();
    let file = save(&coordinator, folder.path()).await;
    coordinator.running.stop().await;
    let older = folder.path().join("older.tar");
    as_version_4_wrote_it(&file, &older, |path| {
        back_to_version_4(&Connection::open(path).unwrap(), &code, &receiver.url());
    });
    let place = TempDir::new().unwrap();
    let now = Timestamp::from_millis(1_800_000_000_000);
    let restored = backup::restore(&older, place.path(), false, now, |_| {}).unwrap();
    assert_eq!(restored.manifest.database, 4);
    let coordinator = Coordinator::start_in(place).await;
    assert_eq!(holding(coordinator.folder.path(), &secrets(&code)), [""; 0]);
    both_still_work(&coordinator, &code.secret, &receiver).await;
}

#[tokio::test]
async fn a_database_without_its_cluster_s_key_says_so() {
    let receiver = Receiver::start("204 No Content").await;
    let (coordinator, _) = with_secrets(&receiver).await;
    let Coordinator { running, folder, .. } = coordinator;
    running.stop().await;
    let database = Connection::open(folder.path().join(DATABASE)).unwrap();
    database.execute("UPDATE join_codes SET password = randomblob(60)", []).unwrap();
    drop(database);
    let settings = crate::support::settings(folder.path());
    let error = coordinator::start(settings).await.unwrap_err().to_string();
    assert!(error.contains("this cluster's key") && error.contains("backup"), "{error}");
}

/// Writes the backup with a changed database and a matching manifest.
fn as_version_4_wrote_it(file: &Path, to: &Path, change: impl FnOnce(&Path)) {
    let unpacked = TempDir::new().unwrap();
    tar::Archive::new(std::fs::File::open(file).unwrap()).unpack(unpacked.path()).unwrap();
    let database = unpacked.path().join(DATABASE);
    change(&database);
    let bytes = std::fs::read(&database).unwrap();
    let path = unpacked.path().join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["database"] = json!(4);
    let entries = manifest["entries"].as_array_mut().unwrap();
    let entry = entries.iter_mut().find(|entry| entry["path"] == DATABASE).unwrap();
    entry["bytes"] = json!(bytes.len());
    entry["blake3"] = json!(BlobHash::compute(&bytes));
    std::fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    let mut archive = tar::Builder::new(std::fs::File::create(to).unwrap());
    archive.append_path_with_name(&path, "manifest.json").unwrap();
    for entry in manifest["entries"].as_array().unwrap() {
        let name = entry["path"].as_str().unwrap();
        archive.append_path_with_name(unpacked.path().join(name), name).unwrap();
    }
    archive.finish().unwrap();
}
