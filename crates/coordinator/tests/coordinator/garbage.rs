//! Which blobs stay and which go, after any order of jobs, updates, uploads, models and crashes.
//!
//! The reference is worked out from the database alone: what an open job's stored machine mentions
//! as its data, its open round and its rounds' models, and what the registered models name.

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

/// Longer than any blob stays that nothing names.
const LONG_AGO: Duration = Duration::from_hours(48);

#[derive(Debug, Clone, Copy)]
enum Act {
    /// A job whose data differs by this number.
    Start(u64),
    /// A device does a lease.
    Work,
    /// A device sends an update's bytes and reports nothing.
    SendUp,
    /// An administrator sends a blob up that nobody names.
    Orphan(u8),
    /// The first job's first round becomes a model.
    Register,
    /// The newest job ends by a person's wish.
    Cancel,
    Complete,
    /// The power goes.
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0..3_u64).prop_map(Act::Start),
        6 => Just(Act::Work),
        1 => Just(Act::SendUp),
        1 => any::<u8>().prop_map(Act::Orphan),
        1 => Just(Act::Register),
        1 => Just(Act::Cancel),
        1 => Just(Act::Complete),
        2 => Just(Act::Crash),
    ]
}

#[test]
fn what_nothing_refers_to_goes_and_nothing_else() {
    let cases = std::env::var("PROPTEST_CASES").map_or(8, |cases| cases.parse().unwrap());
    let regressions = FileFailurePersistence::Direct("tests/coordinator/garbage.regressions");
    let failure_persistence = Some(Box::new(regressions) as Box<dyn FailurePersistence>);
    let mut runner = TestRunner::new(Config { cases, failure_persistence, ..Config::default() });
    let acts = prop::collection::vec(act(), 4..16);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runner.run(&acts, |acts| runtime.block_on(check(&acts))).unwrap();
}

async fn check(acts: &[Act]) -> Result<(), TestCaseError> {
    let mut coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let mut jobs = vec![coordinator.start_job(job(7)).await];
    coordinator.job_in(&jobs[0], "running").await;
    for act in acts {
        match act {
            Act::Start(seed) => jobs.push(coordinator.start_job(job(*seed)).await),
            Act::Work => work(&coordinator, &device).await,
            Act::SendUp => send_up(&coordinator, &device).await,
            Act::Orphan(byte) => orphan(&coordinator, *byte).await,
            Act::Register => {
                let body = json!({ "name": "kept", "job": jobs[0], "round": 1 });
                // Before the round's end there is nothing to register.
                let (status, answer) = coordinator.ask(Method::POST, "/models", Some(body)).await;
                prop_assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{answer}");
            }
            Act::Cancel => end(&coordinator, &jobs, "cancel").await,
            Act::Complete => end(&coordinator, &jobs, "complete").await,
            Act::Crash => coordinator = coordinator.after_a_crash().await,
        }
    }
    // A last crash, and a start two days later.
    let disk = coordinator.copy_of_the_disk();
    drop(coordinator);
    let before = needed(disk.path());
    age(disk.path());
    let coordinator = Coordinator::start_in(disk).await;
    // The driver answers once it has looked through the blobs.
    coordinator.token("viewer").await;
    let (stored, old) = stored(coordinator.folder.path());
    let after = needed(coordinator.folder.path());
    // Steps go on at once: what they have no more need of may be gone already.
    let missing: Vec<_> =
        before.intersection(&after).filter(|hash| !stored.contains(*hash)).collect();
    prop_assert!(missing.is_empty(), "needed and gone: {missing:?}");
    let kept: Vec<_> = old.difference(&before).collect();
    prop_assert!(kept.is_empty(), "kept for nothing: {kept:?}");
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

async fn send_up(coordinator: &Coordinator, device: &Device) {
    if let Some(lease) = device.next_job(coordinator, 0).await {
        let bytes = update(&lease);
        device.upload(coordinator, lease.id, BlobHash::of(&bytes), 0, bytes).await;
    }
}

async fn orphan(coordinator: &Coordinator, byte: u8) {
    let bytes = vec![byte; 100];
    let path = format!("/blobs/{}", BlobHash::of(&bytes));
    let put = coordinator.request(Method::PUT, &path, &coordinator.admin).body(bytes);
    assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
}

async fn end(coordinator: &Coordinator, jobs: &[String], how: &str) {
    let path = format!("/jobs/{}/{how}", jobs[jobs.len() - 1]);
    // It may have ended before, or be too early to be completed.
    coordinator.ask(Method::POST, &path, None).await;
}

/// Every blob that the database in this folder gives a reason to keep.
fn needed(folder: &Path) -> BTreeSet<String> {
    let database = rusqlite::Connection::open(folder.join("constellation.db")).unwrap();
    let column = |query: &str| -> Vec<Value> {
        let mut statement = database.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(|row| serde_json::from_str(&row.unwrap()).unwrap()).collect()
    };
    let mut needed = BTreeSet::new();
    for model in column("SELECT model FROM models") {
        mentioned(&model["blake3"], &mut needed);
    }
    for machine in column("SELECT machine FROM jobs") {
        let phase = &machine["phase"];
        let run = &phase["running"];
        mentioned(&run["preparation"], &mut needed);
        mentioned(&run["round"]["base"], &mut needed);
        // Afterwards the sum stands for the updates.
        if run["stage"] == "collecting" || run["stage"] == "aggregating" {
            mentioned(&run["round"]["seats"], &mut needed);
        }
        for run in [run, &phase["finished"]["run"]] {
            mentioned(&run["history"], &mut needed);
        }
    }
    needed
}

/// Every hash that is somewhere in there.
fn mentioned(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.parse::<BlobHash>().is_ok() => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| mentioned(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| mentioned(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// All blobs of the folder, and those that were stored long ago.
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
            // What a step removes meanwhile is as good as gone.
            if let (Ok(_), Ok(metadata)) = (name.parse::<BlobHash>(), file.metadata()) {
                found.push((name, metadata.modified().unwrap()));
            }
        }
    }
    found
}
