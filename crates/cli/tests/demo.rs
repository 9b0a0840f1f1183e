//! Whole demos as a person starts them: real processes on this machine, killed along the way, and
//! the same job simulated in one process. Every way must end with the same bytes.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Enough rounds for chaos to hit everything that it means to hit, small enough for every test run.
const JOB: &str = r#"
name = "churn"
model_type = "nlp"
dataset = "synthetic"
seed = 7
[model]
input = { kind = "text", buckets = 4096, ngrams = 2, max_words = 32 }
layers = [{ kind = "embedding_bag", dimension = 8 }, { kind = "linear", outputs = 4 }]
[data]
partitions = 6
[plan]
local_epochs = 100
[run]
rounds = 10
"#;

/// Of the demo under chaos.
const TRIES: u32 = 4;

#[test]
fn machines_that_die_at_random_change_nothing_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.toml");
    std::fs::write(&job, JOB).unwrap();

    let undisturbed = demo(&job, &[]);
    assert_eq!(undisturbed["worker_kills"], 0, "{undisturbed}");
    // The command itself fails where a kill missed: three leases after their first step, one
    // worker in an upload, the coordinator in an aggregation. Chance decides who is killed when, so
    // a kill may miss, which says nothing of the model: it is tried again. The figures say it again.
    let chaos = (0..TRIES).find_map(|_| try_demo(&job, &["--chaos"]).ok());
    let chaos = chaos.expect("chaos hits what it should, in one of some tries");
    assert!(chaos["leases_lost"].as_u64().unwrap() >= 3, "{chaos}");
    assert!(chaos["worker_kills"].as_u64().unwrap() >= 5, "{chaos}");
    assert_eq!((&chaos["trainer_kills"], &chaos["coordinator_kills"]), (&1.into(), &1.into()));
    let simulated = last_line(&["simulate", job.to_str().unwrap(), "--json"]);
    assert_eq!(simulated["final"], true, "{simulated}");

    let model = undisturbed["model_blake3"].as_str().unwrap();
    assert_eq!(model.len(), 64);
    assert_eq!(chaos["model_blake3"], model, "killed along the way");
    assert_eq!(simulated["model_blake3"], model, "simulated");
    assert_eq!(chaos["test_accuracy"], undisturbed["test_accuracy"]);
}

fn demo(job: &Path, more: &[&str]) -> Value {
    try_demo(job, more).unwrap()
}

/// The demo's last line, or what it says where chaos missed.
fn try_demo(job: &Path, more: &[&str]) -> Result<Value, String> {
    let arguments = ["demo", "--backend", "cpu", "--json", "--job", job.to_str().unwrap()];
    let told = try_last_line(&[&arguments, more].concat());
    let missed = |words: &String| words.contains("some planned kills did not happen");
    assert!(told.as_ref().err().is_none_or(missed), "{told:?}");
    told
}

fn last_line(arguments: &[&str]) -> Value {
    try_last_line(arguments).unwrap()
}

/// The last line that the command prints, or what it says where it fails.
fn try_last_line(arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_constellation")).args(arguments).output();
    let output = output.unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("constellation {arguments:?}: {words}"));
    }
    let lines = String::from_utf8(output.stdout).unwrap();
    Ok(serde_json::from_str(lines.lines().last().unwrap()).unwrap())
}
