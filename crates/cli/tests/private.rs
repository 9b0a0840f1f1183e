//! Protection of stored data from other accounts. Real processes start under the usual umask and use folders
//! that an earlier version left readable.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use support::{Node, constellation, result};

const JOB: &str = r#"
name = "short"
model_type = "nlp"
dataset = "synthetic"
[model]
input = { kind = "text", buckets = 4096, ngrams = 2, max_words = 32 }
layers = [{ kind = "embedding_bag", dimension = 8 }, { kind = "linear", outputs = 4 }]
[data]
partitions = 2
[run]
rounds = 1
"#;

/// Returns the command under umask 022, with a separate temporary folder.
fn loose(home: &Path, arguments: &[&str]) -> Command {
    let plain = constellation(home, arguments);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 022; exec \"$@\"", "sh"]).arg(plain.get_program());
    command.args(plain.get_args()).current_dir(home).env("TMPDIR", home.join("tmp"));
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn start(home: &Path, arguments: &[&str]) -> Node {
    let arguments = [arguments, &["--json", "--exit-with-parent"]].concat();
    Node::start_as(&mut loose(home, &arguments))
}

fn run(home: &Path, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--data-dir", "coordinator", "--json"]].concat();
    let output = loose(home, &arguments).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {words}");
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap_or("null")).unwrap()
}

/// Returns the folder and everything below it.
fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(all(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// Returns the paths with permissions for other accounts, and their modes.
fn open_to_others(home: &Path) -> Vec<String> {
    let ours = all(home).into_iter().filter(|path| path != home && *path != home.join("tmp"));
    let with_modes = ours.filter_map(|path| {
        // A file that disappeared in the meantime was never readable by others.
        let mode = std::fs::symlink_metadata(&path).ok().filter(|it| !it.is_symlink())?.mode();
        (mode & 0o077 != 0).then(|| format!("{:o} {}", mode & 0o7777, path.display()))
    });
    with_modes.collect()
}

/// Loosens permissions, as an earlier version without a umask left them.
fn loosen(folder: &Path) {
    for path in all(folder).into_iter().filter(|path| path.exists()) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn nothing_that_a_cluster_stores_is_open_to_other_accounts_whatever_the_umask() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::create_dir(home.join("tmp")).unwrap();
    let listen = ["--listen", "127.0.0.1:0", "--no-discovery", "--data-dir", "coordinator"];
    let serve = [&["coordinator"][..], &listen, &["--backup-dir", "backups"]].concat();
    let mut coordinator = start(home, &serve);
    assert!(coordinator.lines.next().unwrap().unwrap().contains("url"));
    let link = run(home, &["join-code", "create"])["link"].as_str().unwrap().to_owned();
    assert_eq!(coordinator.stop(), Some(0));
    let work = ["worker", "--when", "always", "--backend", "cpu", "--data-dir", "worker"];
    std::fs::create_dir_all(home.join("worker/cache")).unwrap();
    std::fs::create_dir_all(home.join("worker/leases/old")).unwrap();
    std::fs::write(home.join("worker/cache/old.part"), "an earlier download").unwrap();
    for folder in ["coordinator", "worker", ".config", ".cache"] {
        loosen(&home.join(folder));
    }
    assert!(open_to_others(home).len() > 5, "or nothing would be tightened");

    let mut coordinator = start(home, &serve);
    let opening: Value = serde_json::from_str(&coordinator.lines.next().unwrap().unwrap()).unwrap();
    let url = opening["url"].as_str().unwrap().replace("http://", "https://");
    let mut worker = start(home, &[&work[..], &["--coordinator", &url, "--join", &link]].concat());
    worker.until("waiting");
    std::fs::write(home.join("job.toml"), JOB).unwrap();
    std::fs::write(home.join("rows.csv"), "text,label\na,0\nb,1\nc,0\nd,1\n").unwrap();
    for input in ["job.toml", "rows.csv"] {
        std::fs::set_permissions(home.join(input), Permissions::from_mode(0o600)).unwrap();
    }
    run(home, &["dataset", "add", "rows.csv", "--name", "rows"]);
    run(home, &["webhook", "add", "https://127.0.0.1:1/hook"]);
    let job = run(home, &["job", "submit", "job.toml"])["id"].as_str().unwrap().to_owned();
    run(home, &["job", "watch", &job]);
    assert_eq!(result(home, &["job", "show", &job])["status"], "completed");
    // Files that a person requested.
    run(home, &["model", "download", "short", "-o", "model.safetensors"]);
    run(home, &["backup", "cluster.tar"]);
    run(home, &["audit", "export", "audit.jsonl"]);
    for file in [
        "coordinator/constellation.db-wal",
        "coordinator/blobs",
        "coordinator/address",
        "worker/lock",
        "worker/identity.json",
        "backups",
        "cluster.tar",
    ] {
        assert!(home.join(file).exists(), "{file}, of {:?}", all(home));
    }
    // During and after the run.
    assert_eq!(open_to_others(home), [""; 0]);
    assert_eq!((worker.stop(), coordinator.stop()), (Some(0), Some(0)));
    assert_eq!(open_to_others(home), [""; 0]);
}

#[test]
fn a_demo_and_its_temporary_folders_are_not_open_to_other_accounts() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::create_dir(home.join("tmp")).unwrap();
    std::fs::write(home.join("job.toml"), JOB).unwrap();
    std::fs::set_permissions(home.join("job.toml"), Permissions::from_mode(0o600)).unwrap();
    let demo =
        ["demo", "--workers", "1", "--backend", "cpu", "--keep", "--json", "--job", "job.toml"];
    let output = loose(home, &demo).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(all(&home.join("tmp")).len() > 20, "the demo's folder is kept");
    assert_eq!(open_to_others(home), [""; 0]);
}
