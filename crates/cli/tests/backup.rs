//! `backup` and `restore` on the command line: a coordinator moves to another folder with all its
//! data.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Output, Stdio};

use serde_json::Value;

use support::constellation;

const JOB: &str = "name = \"moved\"\nmodel_type = \"nlp\"\ndataset = \"synthetic\"\n";

fn output(folder: &Path, arguments: &[&str]) -> Output {
    constellation(folder, arguments).output().unwrap()
}

fn result(folder: &Path, arguments: &[&str]) -> Value {
    let output = output(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error(folder: &Path, arguments: &[&str]) -> String {
    let output = output(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A coordinator that stops when its standard input closes.
struct Coordinator {
    process: Child,
    cluster: Value,
}

impl Coordinator {
    fn start(folder: &Path, data_dir: &str) -> Self {
        let listen = ["--listen", "127.0.0.1:0", "--no-discovery"];
        let base = ["coordinator", "--json", "--exit-with-parent", "--data-dir", data_dir];
        let mut command = constellation(folder, &[&base[..], &listen].concat());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let listening: Value = serde_json::from_str(&line).unwrap();
        Self { process, cluster: listening["cluster"].clone() }
    }

    fn stop(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn a_coordinator_moves_by_backup_and_restore() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("job.toml"), JOB).unwrap();
    let first = Coordinator::start(folder, "old");
    result(folder, &["job", "submit", "--hold", "job.toml", "--data-dir", "old", "--json"]);
    let report = result(folder, &["backup", "cluster.tar", "--data-dir", "old", "--json"]);
    let file = std::fs::metadata(folder.join("cluster.tar")).unwrap();
    assert_eq!(report["bytes"], file.len());
    assert_eq!(report["cluster"], first.cluster);
    assert_eq!(file.permissions().mode() & 0o777, 0o600, "it holds the cluster's key");
    let stderr = error(folder, &["restore", "cluster.tar", "--data-dir", "old"]);
    assert!(stderr.contains("in use"), "{stderr}");
    let (cluster, jobs) = (first.cluster.clone(), ["job", "list", "--json", "--data-dir"]);
    let before = result(folder, &[&jobs[..], &["old"]].concat());
    first.stop();

    let stderr = error(folder, &["restore", "cluster.tar", "--data-dir", "old"]);
    assert!(stderr.contains("--force"), "{stderr}");
    let stderr = error(folder, &["restore", "job.toml", "--data-dir", "new"]);
    assert!(stderr.contains("not a backup"), "{stderr}");
    let report = result(folder, &["restore", "cluster.tar", "--data-dir", "new", "--json"]);
    assert_eq!(report["cluster"], cluster);
    assert_eq!(report["before"], Value::Null);
    let second = Coordinator::start(folder, "new");
    assert_eq!(second.cluster, cluster);
    assert_eq!(result(folder, &[&jobs[..], &["new"]].concat()), before);
    second.stop();
}
