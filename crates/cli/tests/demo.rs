//! Demos of whole clusters: real processes on this machine, killed along the way, and the same job
//! simulated in one process. All must end with the same model bytes.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "a test fails by panicking"
)]

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

#[test]
fn random_kills_do_not_change_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.toml");
    std::fs::write(&job, JOB).unwrap();

    let demo = ["demo", "--backend", "cpu", "--json", "--job", job.to_str().unwrap()];
    let (undisturbed, _) = last_line(&demo);
    assert_eq!(undisturbed["worker_kills"], 0, "{undisturbed}");
    // Every planned kill hits: three leases are lost after their first step, a worker is killed while
    // it trains and one during an upload, a trainer, and the coordinator during an aggregation. A kill
    // that misses is planned again, and the rounds are many more than the kills.
    let (chaos, notes) = last_line(&[&demo[..], &["--chaos"]].concat());
    assert!(!notes.contains("warning:"), "{notes}");
    assert!(notes.contains("leases expired"), "{notes}");
    assert!(chaos["leases_lost"].as_u64().unwrap() >= 3, "{chaos}");
    assert!(chaos["worker_kills"].as_u64().unwrap() >= 5, "{chaos}");
    assert_eq!(chaos["trainer_kills"], 1);
    assert!(chaos["coordinator_kills"].as_u64().unwrap() >= 1, "{chaos}");
    let (simulated, _) = last_line(&["simulate", job.to_str().unwrap(), "--json"]);
    assert_eq!(simulated["final"], true, "{simulated}");

    let model = undisturbed["model_blake3"].as_str().unwrap();
    assert_eq!(model.len(), 64);
    assert_eq!(chaos["model_blake3"], model, "killed along the way");
    assert_eq!(simulated["model_blake3"], model, "simulated");
    assert_eq!(chaos["test_accuracy"], undisturbed["test_accuracy"]);
}

/// Last line that the command prints, and its standard error.
fn last_line(arguments: &[&str]) -> (Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_constellation")).args(arguments).output();
    let output = output.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "constellation {arguments:?}: {stderr}");
    let lines = String::from_utf8(output.stdout).unwrap();
    (serde_json::from_str(lines.lines().last().unwrap()).unwrap(), stderr)
}
