//! Demos of whole clusters: real processes on this machine, killed along the way, and the same job
//! simulated in one process. All must end with the same model bytes.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Enough rounds for every kind of planned kill, small enough for every test run.
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

/// Attempts of the demo with chaos.
const ATTEMPTS: u32 = 4;

#[test]
fn random_kills_do_not_change_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.toml");
    std::fs::write(&job, JOB).unwrap();

    let undisturbed = demo(&job, &[]);
    assert_eq!(undisturbed["worker_kills"], 0, "{undisturbed}");
    // The command itself fails if a planned kill did not happen: three leases after their first
    // step, one worker during an upload, the coordinator during an aggregation. The kills are
    // random, so a kill may miss, which says nothing about the model: then the demo is repeated.
    // The asserts check the numbers again.
    let chaos = (0..ATTEMPTS).find_map(|_| try_demo(&job, &["--chaos"]).ok());
    let chaos = chaos.expect("one of the attempts performs all planned kills");
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

/// Last line of the demo, or standard error if a planned kill did not happen.
fn try_demo(job: &Path, more: &[&str]) -> Result<Value, String> {
    let arguments = ["demo", "--backend", "cpu", "--json", "--job", job.to_str().unwrap()];
    let result = try_last_line(&[&arguments, more].concat());
    let missed = |stderr: &String| stderr.contains("some planned kills did not happen");
    assert!(result.as_ref().err().is_none_or(missed), "{result:?}");
    result
}

fn last_line(arguments: &[&str]) -> Value {
    try_last_line(arguments).unwrap()
}

/// Last line that the command prints, or standard error if it fails.
fn try_last_line(arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_constellation")).args(arguments).output();
    let output = output.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("constellation {arguments:?}: {stderr}"));
    }
    let lines = String::from_utf8(output.stdout).unwrap();
    Ok(serde_json::from_str(lines.lines().last().unwrap()).unwrap())
}
