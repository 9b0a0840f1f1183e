//! User errors on the command line: each prints one line on standard error that says what to
//! change, and exits with the documented code (1 failed, 2 wrong usage).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::TcpListener;
use std::path::Path;

use protocol::text::is_hidden;
use support::constellation;

/// Runs a command that must fail, and returns its only line on standard error.
fn error_line(folder: &Path, arguments: &[&str]) -> String {
    let output = constellation(folder, arguments).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?} prints a result");
    let line = stderr.strip_prefix("error: ").unwrap_or_else(|| panic!("{arguments:?}: {stderr}"));
    assert_eq!(line.lines().count(), 1, "{arguments:?}: {stderr}");
    line.trim_end().to_owned()
}

/// Error of `simulate` for a job file with these lines besides the required ones.
fn job_error(folder: &Path, dataset: &str, lines: &str) -> String {
    let text = format!("name = \"j\"\nmodel_type = \"nlp\"\ndataset = \"{dataset}\"\n{lines}\n");
    std::fs::write(folder.join("job.toml"), text).unwrap();
    error_line(folder, &["simulate", "job.toml"])
}

#[test]
fn a_job_file_that_can_t_be_right_names_the_line_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let error_for = |dataset, lines| job_error(folder, dataset, lines);
    insta::assert_snapshot!(
        [
            error_for("synthetic", "[run]\nroundz = 3"),
            error_for("synthetic", "[run]\nrounds = 0"),
            error_for("syntetic", ""),
            error_for("synthetic", "[model]\nlayers = [{ kind = \"linear\", outputs = 4 }]"),
            error_for("synthetic", "[plan]\noptimizer = { kind = \"sgd\", learning_rate = -1.0 }"),
            error_for("synthetic", "[data"),
            error_line(folder, &["simulate", "nowhere.toml"]),
        ]
        .join("\n")
    );
}

#[test]
fn a_port_in_use_is_named_with_the_option_to_change_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["coordinator", "--no-discovery", "--listen", &address, "--data-dir", "c"];
    let stderr = error_line(folder.path(), &arguments);
    assert!(stderr.contains(&address) && stderr.contains("--listen"), "{stderr}");
}

#[test]
fn without_a_coordinator_the_error_explains_how_to_name_one() {
    let folder = tempfile::tempdir().unwrap();
    let stderr = error_line(folder.path(), &["job", "list"]);
    assert!(stderr.contains("constellation coordinator") && stderr.contains("--coordinator"));
    let address = ["--coordinator", "http://127.0.0.1:1", "--token", "x"];
    let stderr = error_line(folder.path(), &[&["job", "list"], &address[..]].concat());
    assert!(stderr.contains("http://127.0.0.1:1"), "{stderr}");
}

/// Names of files come from elsewhere, and a shell's `*` makes them arguments.
#[test]
fn names_of_files_steer_no_terminal() {
    const NAME: &str = "\u{1b}[2J\r\nerror: forged\u{9b}31m\u{202e}.toml";
    const SHOWN: &str = r"\u{1b}[2J\u{d}\u{a}error: forged\u{9b}31m\u{202e}.toml";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(NAME), "name = \"\u{1b}[2J\"\n[x]\n").unwrap();
    // An error is one line: its line breaks become spaces.
    let line = error_line(folder.path(), &["simulate", NAME]);
    assert!(line.starts_with(r"\u{1b}[2J error: forged\u{9b}31m\u{202e}.toml:1: "), "{line:?}");
    assert!(!line.contains(is_hidden), "{line:?}");
    for arguments in [&[NAME][..], &["simulate", NAME, NAME], &["demo", "--workers", NAME]] {
        let output = constellation(folder.path(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(SHOWN), "{stderr}");
        assert!(stderr.lines().all(|line| !line.contains(is_hidden)), "{stderr:?}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["jbo"][..], &["demo", "--workers", "0"], &["job", "submit"]] {
        let output = constellation(folder.path(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?} prints no error");
    }
}

#[test]
fn a_value_that_is_not_allowed_says_what_is_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["coordinator", "--lease-timeout", "1x"][..],
        &["coordinator", "--lease-timeout", "1"],
        &["coordinator", "--maximum-disk-gb", "1.5"],
        &["coordinator", "--listen", "localhost:8000"],
        &["coordinator", "--backup-dir", "b", "--backup-every", "1x"],
        &["coordinator", "--backup-dir", "b", "--backup-keep", "0"],
        &["worker", "--instance", "x"],
        &["worker", "--max-upload-mbps", "fast"],
        &["leave", "--instance", ""],
        &["demo", "--workers", "33"],
        &["demo", "--rounds", "ten"],
        &["start", "--workers", "0"],
        &["device", "cleanup", "--inactive-days", "month"],
        &["model", "show", "m", "--model-version", "newest"],
        &["join-code", "create", "--uses", "0"],
        &["join-code", "create", "--expires", "soon"],
        &["token", "create", "--role", "viewer", "--expires", "1x"],
        &["audit", "list", "--limit", "1e3"],
        &["audit", "list", "--after", "first"],
        &["simulate", "job.toml", "--devices", "0"],
        &["simulate", "job.toml", "--rows-per-second", "x"],
    ] {
        let output = constellation(folder.path(), arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        let first = stderr.lines().next().unwrap();
        assert!(first.contains("such as "), "{arguments:?}: {stderr}");
        for raw in ["invalid digit", "invalid float", "cannot parse", "socket address", "not in"] {
            assert!(!stderr.contains(raw), "{arguments:?}: {stderr}");
        }
    }
}

#[test]
fn a_file_that_can_t_be_read_is_named_without_the_number_of_the_system_s_error() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["job", "submit", "nofile.toml"][..],
        &["simulate", "nofile.toml"],
        &["audit", "verify", "nofile.toml"],
        &["restore", "nofile.toml", "--data-dir", "restored"],
    ] {
        let line = error_line(folder.path(), arguments);
        assert_eq!(line, "can't read nofile.toml: No such file or directory", "{arguments:?}");
    }
}
