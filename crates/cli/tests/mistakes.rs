//! Mistakes that people make at the command line: each gets one line on standard error that says
//! what to change, and the agreed exit code (1 failed, 2 wrong usage).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::TcpListener;
use std::path::Path;

use support::constellation;

/// The one line that a failed command leaves.
fn mistake(folder: &Path, arguments: &[&str]) -> String {
    let output = constellation(folder, arguments).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {words}");
    assert!(output.stdout.is_empty(), "{arguments:?} prints a result");
    let line = words.strip_prefix("error: ").unwrap_or_else(|| panic!("{arguments:?}: {words}"));
    assert_eq!(line.lines().count(), 1, "{arguments:?}: {words}");
    line.trim_end().to_owned()
}

/// What `simulate` says of a job file with these lines besides the needed ones.
fn job_mistake(folder: &Path, dataset: &str, lines: &str) -> String {
    let text = format!("name = \"j\"\nmodel_type = \"nlp\"\ndataset = \"{dataset}\"\n{lines}\n");
    std::fs::write(folder.join("job.toml"), text).unwrap();
    mistake(folder, &["simulate", "job.toml"])
}

#[test]
fn a_job_file_that_can_t_be_right_names_the_line_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let told = |dataset, lines| job_mistake(folder, dataset, lines);
    insta::assert_snapshot!(
        [
            told("synthetic", "[run]\nroundz = 3"),
            told("synthetic", "[run]\nrounds = 0"),
            told("syntetic", ""),
            told("synthetic", "[model]\nlayers = [{ kind = \"linear\", outputs = 4 }]"),
            told("synthetic", "[plan]\noptimizer = { kind = \"sgd\", learning_rate = -1.0 }"),
            told("synthetic", "[data"),
            mistake(folder, &["simulate", "nowhere.toml"]),
        ]
        .join("\n")
    );
}

#[test]
fn a_port_in_use_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["coordinator", "--no-discovery", "--listen", &address, "--data-dir", "c"];
    let words = mistake(folder.path(), &arguments);
    assert!(words.contains(&address) && words.contains("--listen"), "{words}");
}

#[test]
fn without_a_coordinator_commands_say_how_to_name_one() {
    let folder = tempfile::tempdir().unwrap();
    let words = mistake(folder.path(), &["job", "list"]);
    assert!(words.contains("constellation coordinator") && words.contains("--coordinator"));
    let address = ["--coordinator", "http://127.0.0.1:1", "--token", "x"];
    let words = mistake(folder.path(), &[&["job", "list"], &address[..]].concat());
    assert!(words.contains("http://127.0.0.1:1"), "{words}");
}

#[test]
fn wrong_usage_ends_with_2_and_names_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["jbo"][..], &["demo", "--workers", "0"], &["job", "submit"]] {
        let output = constellation(folder.path(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?} says nothing");
    }
}
