//! Migration of databases of earlier versions.

use std::path::Path;

use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::device::Device;
use crate::support::{Coordinator, tiny_job};

const VERSION_1: &str = include_str!("version_1.sql");
/// A viewer's token in that database.
const VIEWER: &str =
    "constellation-viewer-eb11007badc736a45db23ba599de0ba33ebcd8baf98d58acd82f80bce7aabbea";

#[tokio::test]
async fn a_database_of_version_1_is_migrated_and_a_copy_is_kept() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("constellation.db");
    Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();
    let coordinator = Coordinator::start_in(folder).await;
    assert_eq!(coordinator.running.cluster.id, "01a20c4b-cbb0-77ba-8b94-f11196525a5e");
    let response = coordinator.request(Method::GET, "/jobs", VIEWER).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let jobs = coordinator.get("/jobs").await;
    assert_eq!((&jobs[0]["status"], &jobs[1]["status"]), (&json!("pending"), &json!("completed")));
    let models = coordinator.get("/models").await;
    assert_eq!(models[0]["blake3"], jobs[1]["model_blake3"]);
    // Devices must enroll again, with the cluster's pin, and join codes replace join tokens.
    assert_eq!(coordinator.get("/devices").await, json!([]));
    let tokens = coordinator.get("/tokens").await;
    let roles: Vec<&Value> =
        tokens.as_array().unwrap().iter().map(|token| &token["role"]).collect();
    assert!(!roles.contains(&&json!("join")), "{tokens}");
    // The pending job can be started.
    let id = jobs[0]["id"].as_str().unwrap();
    coordinator.post(&format!("/jobs/{id}/start"), Value::Null).await;
    coordinator.job_in(id, "running").await;

    let kept = Connection::open(coordinator.folder.path().join("constellation.db.version-1"));
    let kept = kept.unwrap();
    let number = |query: &str| -> u32 { kept.query_row(query, [], |row| row.get(0)).unwrap() };
    assert_eq!(number("PRAGMA user_version"), 1);
    assert_eq!(number("SELECT count(*) FROM tokens WHERE role = 'join'"), 3);
    assert_eq!(number("SELECT count(*) FROM jobs"), 2);
    assert_eq!(number("SELECT count(*) FROM devices"), 1);
}

/// Changes the database to version 5, in which each machine is one JSON document.
pub(crate) fn back_to_version_5(database: &Connection) {
    database.execute_batch(BACK_TO_VERSION_6).unwrap();
    database.execute_batch("ALTER TABLE jobs ADD COLUMN machine TEXT NOT NULL DEFAULT ''").unwrap();
    for (job, mut machine) in texts(database, "SELECT job, head FROM machines") {
        let rows = |table: &str, key: &str| -> Vec<(String, Value)> {
            let query = format!(
                "SELECT CAST({key} AS TEXT), record FROM {table} WHERE job = '{job}' ORDER BY {key}"
            );
            texts(database, &query)
        };
        let preparation = format!("SELECT job, preparation FROM preparations WHERE job = '{job}'");
        if let Some(run) = machine.pointer_mut("/phase/running") {
            run["preparation"] = texts(database, &preparation).remove(0).1;
            let seats = rows("job_seats", "seat").into_iter().map(|(_, seat)| seat);
            run["round"]["seats"] = seats.collect();
            run["round"]["leases"] = rows("job_leases", "lease").into_iter().collect();
            run["round"]["short_of_memory"] = json!([]);
            run["round"].as_object_mut().unwrap().remove("loss");
            run["earlier"] = rows("job_past_leases", "lease").into_iter().collect();
            let seen = rows("job_devices", "device").into_iter();
            run["seen"] = seen.map(|(id, device)| (id, device["seen_at"].clone())).collect();
            let rounds = rows("job_rounds", "round").into_iter();
            run["history"] = rounds.map(|(_, round)| round).collect();
        }
        let update = "UPDATE jobs SET machine = ?2 WHERE id = ?1";
        database.execute(update, (&job, machine.to_string())).unwrap();
    }
    database.execute_batch(BACK_TO_VERSION_5).unwrap();
}

/// Returns the key and the JSON document of each row.
fn texts(database: &Connection, query: &str) -> Vec<(String, Value)> {
    let mut statement = database.prepare(query).unwrap();
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    let rows = rows.unwrap().map(Result::unwrap);
    rows.map(|(key, record)| (key, serde_json::from_str(&record).unwrap())).collect()
}

/// Removes the tables of version 7.
pub(crate) const BACK_TO_VERSION_6: &str = "
    DROP TABLE job_details;
    DROP TABLE model_names;
    DROP TABLE datasets;
    DROP TABLE dataset_versions;
    DROP TABLE dataset_shards;
    PRAGMA user_version = 6;
";

const BACK_TO_VERSION_5: &str = "
    DROP TABLE machines;
    DROP TABLE preparations;
    DROP TABLE job_seats;
    DROP TABLE job_leases;
    DROP TABLE job_past_leases;
    DROP TABLE job_rounds;
    DROP TABLE job_devices;
    DROP INDEX leases_by_device;
    ALTER TABLE leases DROP COLUMN device;
    CREATE INDEX leases_by_device ON leases (record ->> '$.device', granted_at);
    PRAGMA user_version = 5;
";

/// Removes the changes of versions 3 and 4 from a database of version 5.
const BACK_TO_VERSION_2: &str = "
    ALTER TABLE jobs DROP COLUMN created_by;
    DROP TABLE leases;
    DROP TABLE days;
    DROP INDEX audit_by_subject;
    UPDATE devices SET record = json_remove(record, '$.is_named', '$.labels',
        '$.examples_per_second', '$.contribution', '$.contributed_on');
    UPDATE jobs SET machine = json_remove(machine, '$.settings.spec.run.labels'),
        spec = json_remove(spec, '$.run.labels');
    PRAGMA user_version = 2;
";

#[tokio::test]
async fn a_database_of_version_2_keeps_its_held_leases() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let back = |database: &Connection| {
        back_to_version_5(database);
        database.execute_batch(BACK_TO_VERSION_2).unwrap();
    };
    let coordinator = coordinator.changed(back).await;
    let path = format!("/jobs/{id}/leases");
    // Version 2 stored no lease records, but its machine names the held lease.
    let held = coordinator.get(&path).await;
    assert_eq!((held.as_array().unwrap().len(), &held[0]["outcome"]), (1, &json!("open")));
    assert_eq!(device.next_job(&coordinator, 60).await.unwrap().id, lease.id);
    device.work(&coordinator).await;
    coordinator.job_when(&id, |job| job["current_epoch"] == 1).await;
    let kept = coordinator.get(&path).await;
    let outcomes: Vec<&Value> =
        kept.as_array().unwrap().iter().map(|lease| &lease["outcome"]).collect();
    assert_eq!(outcomes, [&json!("reported"); 2]);
    assert_eq!(coordinator.get("/devices").await[0]["contribution"]["leases"], 2);
    assert!(coordinator.folder.path().join("constellation.db.version-2").exists());
    assert_eq!(coordinator.get(&format!("/jobs/{id}")).await["created_by"], "this machine");
    let path = format!("/devices/{}/leases", device.id);
    assert_eq!(coordinator.get(&path).await.as_array().unwrap().len(), 2);
}

/// Detects a table of an earlier version that was changed in place, and a missing migration step.
#[tokio::test]
async fn a_migrated_database_has_the_schema_of_a_new_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("constellation.db");
    Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();
    let migrated = Coordinator::start_in(folder).await;
    let new = Coordinator::start().await;
    assert_eq!(schema(migrated.folder.path()), schema(new.folder.path()));
}

/// Returns every column of every table, and every index.
fn schema(folder: &Path) -> Vec<String> {
    let database = Connection::open(folder.join("constellation.db")).unwrap();
    let query = "SELECT m.type || ' ' || m.name || ' ' || ifnull(c.name, '') || ' ' ||
            ifnull(c.type, '') || ' ' || ifnull(c.\"notnull\", '') || ' ' || ifnull(c.pk, '')
        FROM sqlite_schema m LEFT JOIN pragma_table_info(m.name) c ORDER BY 1";
    let mut statement = database.prepare(query).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}
