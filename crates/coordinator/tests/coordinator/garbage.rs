//! Property test of garbage collection: which blobs are kept after any sequence of jobs, updates, uploads,
//! models and crashes.
//!
//! The expected blobs are read from the database alone: those of an open job's data, open round and rounds'
//! models, and those of the registered models and the datasets.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use proptest::test_runner::{
    Config, FailurePersistence, FileFailurePersistence, TestCaseError, TestRunner,
};
use protocol::BlobHash;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, update};
use crate::support::{Coordinator, tiny_job};

/// Longer than a blob is kept that nothing names.
const LONG_AGO: Duration = Duration::from_hours(48);

#[derive(Debug, Clone, Copy)]
enum Action {
    /// Starts a job with this seed, on which its data depends.
    Start(u64),
    /// A device completes a lease.
    Work,
    /// A device uploads an update and does not submit it.
    Upload,
    /// An administrator uploads a blob that nothing names.
    Orphan(u8),
    /// Registers the model of the first job's first round.
    Register,
    /// Cancels the newest job.
    Cancel,
    /// Completes the newest job.
    Complete,
    /// Deletes the newest job, if it has ended.
    DeleteJob,
    /// Adds a version of a dataset whose rows depend on this number.
    AddVersion(u32),
    /// Deletes the dataset, if there is one.
    DeleteDataset,
    /// Deletes the models of the jobs.
    DeleteModel,
    /// The coordinator crashes.
    Crash,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => (0..3_u64).prop_map(Action::Start),
        6 => Just(Action::Work),
        1 => Just(Action::Upload),
        1 => any::<u8>().prop_map(Action::Orphan),
        1 => Just(Action::Register),
        1 => Just(Action::Cancel),
        1 => Just(Action::Complete),
        1 => Just(Action::DeleteJob),
        2 => (0..2_u32).prop_map(Action::AddVersion),
        1 => Just(Action::DeleteDataset),
        1 => Just(Action::DeleteModel),
        2 => Just(Action::Crash),
    ]
}

#[test]
fn what_nothing_refers_to_goes_and_nothing_else() {
    let cases = std::env::var("PROPTEST_CASES").map_or(8, |cases| cases.parse().unwrap());
    let regressions = FileFailurePersistence::Direct("tests/coordinator/garbage.regressions");
    let failure_persistence = Some(Box::new(regressions) as Box<dyn FailurePersistence>);
    let mut runner = TestRunner::new(Config { cases, failure_persistence, ..Config::default() });
    let actions = prop::collection::vec(action(), 4..16);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runner.run(&actions, |actions| runtime.block_on(check(&actions))).unwrap();
}

async fn check(actions: &[Action]) -> Result<(), TestCaseError> {
    let mut coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let mut jobs = vec![coordinator.start_job(job(7)).await];
    coordinator.job_in(&jobs[0], "running").await;
    for action in actions {
        match action {
            Action::Start(seed) => jobs.push(coordinator.start_job(job(*seed)).await),
            Action::Work => work(&coordinator, &device).await,
            Action::Upload => upload(&coordinator, &device).await,
            Action::Orphan(byte) => orphan(&coordinator, *byte).await,
            Action::Register => {
                let body = json!({ "name": "kept", "job": jobs[0], "round": 1 });
                // Refused before the end of the round.
                let (status, answer) = coordinator.ask(Method::POST, "/models", Some(body)).await;
                prop_assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{answer}");
            }
            Action::Cancel => end(&coordinator, &jobs, "cancel").await,
            Action::Complete => end(&coordinator, &jobs, "complete").await,
            Action::DeleteJob => {
                let path = format!("/jobs/{}", jobs[jobs.len() - 1]);
                let (status, _) = coordinator.ask(Method::DELETE, &path, None).await;
                if status == StatusCode::NO_CONTENT && jobs.len() > 1 {
                    jobs.pop();
                }
            }
            Action::AddVersion(number) => {
                let path = "/datasets?name=ours&filename=ours.csv&new_version=true";
                let rows = crate::versions::csv(40 + 20 * number, "x");
                let request = coordinator.request(Method::POST, path, &coordinator.admin);
                let (status, answer) = crate::support::answer(request.body(rows)).await;
                prop_assert_eq!(status, StatusCode::CREATED, "{}", answer);
            }
            Action::DeleteDataset => {
                drop(coordinator.ask(Method::DELETE, "/datasets/ours", None).await);
            }
            Action::DeleteModel => {
                drop(coordinator.ask(Method::DELETE, "/models/tiny", None).await);
            }
            Action::Crash => coordinator = coordinator.after_a_crash().await,
        }
    }
    // A last crash, and a start two days later, on a copy of the disk.
    let disk = coordinator.copy_of_the_disk();
    drop(coordinator);
    let before = live_blobs(disk.path());
    age(disk.path());
    let coordinator = Coordinator::start_in(disk).await;
    // The driver answers after it has removed the garbage.
    coordinator.token("viewer").await;
    let (stored, old) = stored(coordinator.folder.path());
    let after = live_blobs(coordinator.folder.path());
    // Steps resume at once, so blobs that they no longer need may be removed already.
    let missing: Vec<_> =
        before.intersection(&after).filter(|hash| !stored.contains(*hash)).collect();
    prop_assert!(missing.is_empty(), "removed although live: {missing:?}");
    let kept: Vec<_> = old.difference(&before).collect();
    prop_assert!(kept.is_empty(), "kept although not live: {kept:?}");
    Ok(())
}

fn job(seed: u64) -> Value {
    let mut job = tiny_job();
    job["seed"] = json!(seed);
    job
}

async fn work(coordinator: &Coordinator, device: &Device) {
    if let Some(lease) = device.next_job(coordinator, 0).await {
        device.report(coordinator, &lease, update(&lease)).await;
    }
}

async fn upload(coordinator: &Coordinator, device: &Device) {
    if let Some(lease) = device.next_job(coordinator, 0).await {
        let bytes = update(&lease);
        device.upload(coordinator, lease.id, BlobHash::compute(&bytes), 0, bytes).await;
    }
}

async fn orphan(coordinator: &Coordinator, byte: u8) {
    let bytes = vec![byte; 100];
    let path = format!("/blobs/{}", BlobHash::compute(&bytes));
    let put = coordinator.request(Method::PUT, &path, &coordinator.admin).body(bytes);
    assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
}

async fn end(coordinator: &Coordinator, jobs: &[String], how: &str) {
    let path = format!("/jobs/{}/{how}", jobs[jobs.len() - 1]);
    // Refused if the job has ended, or if it is too early to complete it.
    coordinator.ask(Method::POST, &path, None).await;
}

/// Returns every blob that the database in this folder names.
fn live_blobs(folder: &Path) -> BTreeSet<String> {
    let database = rusqlite::Connection::open(folder.join("constellation.db")).unwrap();
    let column = |query: &str| -> Vec<Value> {
        let mut statement = database.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(|row| serde_json::from_str(&row.unwrap()).unwrap()).collect()
    };
    let mut live_blobs = BTreeSet::new();
    for model in column("SELECT model FROM models") {
        collect_hashes(&model["blake3"], &mut live_blobs);
    }
    for blob in column("SELECT json_quote(blob) FROM dataset_shards") {
        collect_hashes(&blob, &mut live_blobs);
    }
    for record in column("SELECT record FROM job_rounds") {
        collect_hashes(&record, &mut live_blobs);
    }
    for machine in column("SELECT head FROM machines") {
        let run = &machine["phase"]["running"];
        let id = machine["settings"]["job"].as_str().unwrap();
        if run.is_null() {
            continue;
        }
        let of_job =
            |table: &str, record: &str| format!("SELECT {record} FROM {table} WHERE job = '{id}'");
        for preparation in column(&of_job("preparations", "preparation")) {
            collect_hashes(&preparation, &mut live_blobs);
        }
        collect_hashes(&run["round"]["base"], &mut live_blobs);
        // After the aggregation, the updates are no longer live.
        if run["stage"] == "collecting" || run["stage"] == "aggregating" {
            for seat in column(&of_job("job_seats", "record")) {
                collect_hashes(&seat, &mut live_blobs);
            }
        }
    }
    live_blobs
}

/// Collects every hash within a JSON value.
fn collect_hashes(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.parse::<BlobHash>().is_ok() => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| collect_hashes(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect_hashes(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns all blobs of the folder, and the old ones among them.
fn stored(folder: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all, mut old) = (BTreeSet::new(), BTreeSet::new());
    for (name, modified) in blobs(folder) {
        if modified.elapsed().is_ok_and(|age| age > LONG_AGO / 2) {
            old.insert(name.clone());
        }
        all.insert(name);
    }
    (all, old)
}

/// Makes all blobs look old.
fn age(folder: &Path) {
    for (name, _) in blobs(folder) {
        let path = folder.join("blobs").join(&name[..2]).join(&name[2..]);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - LONG_AGO).unwrap();
    }
}

fn blobs(folder: &Path) -> Vec<(String, SystemTime)> {
    let mut found = Vec::new();
    for inner in std::fs::read_dir(folder.join("blobs")).unwrap() {
        let inner = inner.unwrap();
        for file in std::fs::read_dir(inner.path()).unwrap() {
            let file = file.unwrap();
            let name =
                [inner.file_name(), file.file_name()].map(|name| name.into_string().unwrap());
            let name = name.concat();
            // A step may remove a blob meanwhile.
            if let (Ok(_), Ok(metadata)) = (name.parse::<BlobHash>(), file.metadata()) {
                found.push((name, metadata.modified().unwrap()));
            }
        }
    }
    found
}
