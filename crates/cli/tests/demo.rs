//! Whole demos as a person starts them: real processes on this machine, killed along the way, and
//! the same job simulated in one process. Every way must end with the same bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

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
local_epochs = 30
[run]
rounds = 8
"#;

#[test]
fn machines_that_die_at_random_change_nothing_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.toml");
    std::fs::write(&job, JOB).unwrap();

    let undisturbed = demo(&job, &[]);
    assert_eq!(undisturbed["worker_kills"], 0, "{undisturbed}");
    let chaos = demo(&job, &["--chaos"]);
    // The command itself fails where a kill missed: three leases after their first step, one
    // worker in an upload, the coordinator in an aggregation. These figures say it again.
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
    let arguments = ["demo", "--backend", "cpu", "--json", "--job", job.to_str().unwrap()];
    last_line(&[&arguments, more].concat())
}

/// The last line that the command prints, once it has succeeded.
fn last_line(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_constellation")).args(arguments).output();
    let output = output.unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "constellation {arguments:?}: {words}");
    let lines = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(lines.lines().last().unwrap()).unwrap()
}
