//! Data at rest on a worker's disk: a cluster of real processes trains a job, then every file in
//! the workers' folders is searched for the company's rows and models.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use data::synthetic::Synthetic;
use platform::Secrets;
use protocol::encrypted_file::{StorageKey, open};
use serde_json::Value;

/// Number of bytes that identify a row or a model.
const SAMPLE: usize = 16;

/// Small enough for every test run.
const JOB: &str = r#"
name = "at rest"
model_type = "nlp"
dataset = "synthetic"
[model]
input = { kind = "text", buckets = 4096, ngrams = 2, max_words = 32 }
layers = [{ kind = "embedding_bag", dimension = 8 }, { kind = "linear", outputs = 4 }]
[data]
partitions = 4
[run]
rounds = 2
"#;

#[test]
fn a_worker_stores_no_plain_row_or_model_and_leaving_deletes_everything() {
    let home = tempfile::tempdir().unwrap();
    let job = home.path().join("job.toml");
    std::fs::write(&job, JOB).unwrap();
    let temporary = home.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let status = constellation()
        .args(["demo", "--workers", "2", "--backend", "cpu", "--keep", "--json", "--job"])
        .arg(&job)
        .env("TMPDIR", &temporary)
        .status()
        .unwrap();
    assert!(status.success(), "the demo failed");
    let demo = std::fs::read_dir(&temporary).unwrap().next().unwrap().unwrap().path();

    // Decrypted, the caches contain rows and models: the search below would find them.
    let workers = ["worker-1", "worker-2"].map(|name| demo.join(name));
    let decrypted: Vec<Vec<u8>> = workers.iter().flat_map(|worker| decrypted(worker)).collect();
    let rows = rows();
    let (shards, models): (Vec<_>, Vec<_>) =
        decrypted.iter().partition(|bytes| data::shard::read(bytes).is_ok());
    assert!(!shards.is_empty() && shards.iter().all(|shard| contains_any(shard, &rows)));
    let models: HashSet<_> = models.iter().filter_map(|model| signature(model)).collect();
    assert_eq!(models.len(), 2, "the base of each round");

    let known = &rows | &models;
    for path in files(&demo).iter().filter(|path| !path.starts_with(demo.join("coordinator"))) {
        assert!(!contains_any(&std::fs::read(path).unwrap(), &known), "{}", path.display());
    }

    let [worker, _] = workers;
    let report = leave(&worker);
    assert_eq!(report["coordinator"]["state"], "not_reached", "the demo's coordinator has stopped");
    assert!(report["bytes"].as_u64().unwrap() > 1000, "{report}");
    assert_eq!(files(&worker), [worker.join("lock")]);
    assert_eq!(Secrets::open(&worker).unwrap().get("sealing-key").unwrap(), None);
    assert_eq!(leave(&worker)["coordinator"]["state"], "not_enrolled");
}

fn leave(folder: &Path) -> Value {
    // No process listens on port 1.
    let output = constellation()
        .args(["leave", "--yes", "--json", "--coordinator", "https://127.0.0.1:1", "--data-dir"])
        .arg(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn constellation() -> Command {
    Command::new(env!("CARGO_BIN_EXE_constellation"))
}

/// First bytes of each row of the dataset.
fn rows() -> HashSet<[u8; SAMPLE]> {
    let rows = Synthetic::named("synthetic").unwrap().generate().train;
    rows.iter().filter_map(|row| signature(row.sample.bytes())).collect()
}

/// Decrypted blobs of a worker's cache.
fn decrypted(worker: &Path) -> Vec<Vec<u8>> {
    let key = Secrets::open(worker).unwrap().get("sealing-key").unwrap().unwrap();
    let key = StorageKey::from_bytes(key.try_into().unwrap());
    let files = files(&worker.join("cache"));
    files.iter().map(|path| open(&key, std::fs::read(path).unwrap()).unwrap()).collect()
}

/// First bytes of a row or a model, if they are distinctive enough to exclude a coincidence.
fn signature(bytes: &[u8]) -> Option<[u8; SAMPLE]> {
    let sample: [u8; SAMPLE] = *bytes.first_chunk()?;
    let different: HashSet<u8> = sample.into_iter().collect();
    (different.len() > SAMPLE / 4).then_some(sample)
}

fn contains_any(bytes: &[u8], known: &HashSet<[u8; SAMPLE]>) -> bool {
    bytes.windows(SAMPLE).any(|window| window.first_chunk().is_some_and(|w| known.contains(w)))
}

/// All files in a folder and its subfolders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
