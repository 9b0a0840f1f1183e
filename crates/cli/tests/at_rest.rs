//! What a worker leaves on its disk: a whole cluster of real processes trains a job, and then every
//! byte below the workers' folders is searched for the company's rows and models.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Bytes by which a row or a model is known again.
const SAMPLE: usize = 16;

#[test]
fn no_row_and_no_model_is_on_a_worker_s_disk_in_the_clear_and_leaving_removes_the_rest() {
    let home = tempfile::tempdir().unwrap();
    let status = constellation()
        .args(["demo", "--workers", "2", "--rounds", "2", "--backend", "cpu", "--keep", "--json"])
        .env("TMPDIR", home.path())
        .status()
        .unwrap();
    assert!(status.success(), "the demo failed");
    let demo = std::fs::read_dir(home.path()).unwrap().next().unwrap().unwrap().path();

    let (coordinators, others): (Vec<PathBuf>, Vec<PathBuf>) =
        files(&demo).into_iter().partition(|path| path.starts_with(demo.join("coordinator")));
    let known = samples(&coordinators);
    assert!(known.len() > 200, "only {} rows and models at the coordinator", known.len());
    assert!(coordinators.iter().any(|path| holds(path, &known)), "the search finds nothing");
    for path in &others {
        assert!(!holds(path, &known), "{} holds a row or a model", path.display());
    }
    let sealed = files(&demo.join("worker-1/cache"));
    assert!(!sealed.is_empty(), "a worker without a cache proves nothing");
    for path in sealed {
        assert!(std::fs::read(&path).unwrap().starts_with(b"CNSEAL01"), "{}", path.display());
    }

    let left = leave(&demo.join("worker-1"));
    assert_eq!(left["coordinator"]["state"], "not_reached", "the demo's coordinator is gone");
    assert!(left["bytes"].as_u64().unwrap() > 1000, "{left}");
    let names: Vec<PathBuf> = files(&demo.join("worker-1"));
    assert_eq!(names, [demo.join("worker-1/lock")]);
    assert_eq!(leave(&demo.join("worker-1"))["coordinator"]["state"], "not_enrolled");
}

fn leave(folder: &Path) -> Value {
    // Nobody listens on port 1.
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

/// The beginnings of all rows, and of all blobs, that the coordinator keeps.
fn samples(paths: &[PathBuf]) -> HashSet<[u8; SAMPLE]> {
    let mut samples = HashSet::new();
    for path in
        paths.iter().filter(|path| path.components().any(|part| part.as_os_str() == "blobs"))
    {
        let bytes = std::fs::read(path).unwrap();
        if let Ok(shard) = data::shard::read(&bytes) {
            samples.extend(shard.rows.iter().filter_map(|row| telling(row.sample.bytes())));
        } else {
            samples.extend(telling(&bytes));
        }
    }
    samples
}

/// Enough bytes to be no coincidence.
fn telling(bytes: &[u8]) -> Option<[u8; SAMPLE]> {
    let sample: [u8; SAMPLE] = *bytes.first_chunk()?;
    let different: HashSet<u8> = sample.into_iter().collect();
    (different.len() > SAMPLE / 4).then_some(sample)
}

fn holds(path: &Path, known: &HashSet<[u8; SAMPLE]>) -> bool {
    let bytes = std::fs::read(path).unwrap();
    bytes.windows(SAMPLE).any(|window| window.first_chunk().is_some_and(|w| known.contains(w)))
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
