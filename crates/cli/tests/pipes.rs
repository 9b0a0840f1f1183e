//! Files, pipes and standard streams that commands read and write: real processes with a real coordinator.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use support::{Node, constellation, result};

const JOB: &str = "name = \"held\"\nmodel_type = \"nlp\"\ndataset = \"synthetic\"\n";
const ROWS: &str = "text,label\nsun and stars,space\nbread and milk,food\nmoon and earth,space\n\
                    rice and fish,food\nmars and venus,space\nsalt and pepper,food\n";

fn coordinator(home: &Path) -> Node {
    let listen = ["--listen", "127.0.0.1:0", "--no-discovery", "--data-dir", "coordinator"];
    let mut node = Node::start(home, &[&["coordinator"][..], &listen].concat());
    let first: Value = serde_json::from_str(&node.lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["event"], "listening");
    node
}

fn command(home: &Path, arguments: &[&str]) -> Command {
    constellation(home, &[arguments, &["--data-dir", "coordinator"]].concat())
}

fn succeed(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn is_audit_log(bytes: &[u8]) -> bool {
    let mut lines =
        bytes.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    lines.next().is_some_and(|entry| entry["number"] == 1)
}

#[test]
fn files_are_written_where_links_point_and_neighbors_stay() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let node = coordinator(home);
    fs::create_dir(home.join("store")).unwrap();
    symlink("store/log", home.join("link")).unwrap();
    for neighbor in ["link.new", "store/log.new", "store/log.tmp"] {
        fs::write(home.join(neighbor), "mine").unwrap();
    }
    for _ in 0..2 {
        succeed(&command(home, &["audit", "export", "link"]).output().unwrap());
    }
    assert!(fs::symlink_metadata(home.join("link")).unwrap().is_symlink());
    assert!(is_audit_log(&fs::read(home.join("store/log")).unwrap()));
    for neighbor in ["link.new", "store/log.new", "store/log.tmp"] {
        assert_eq!(fs::read_to_string(home.join(neighbor)).unwrap(), "mine", "{neighbor}");
    }
    assert_eq!(fs::read_dir(home.join("store")).unwrap().count(), 3);
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_hyphen_writes_to_standard_output_and_results_go_to_standard_error() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let node = coordinator(home);
    for path in ["-", "/dev/stdout"] {
        let output = command(home, &["audit", "export", path]).output().unwrap();
        succeed(&output);
        assert!(is_audit_log(&output.stdout), "{path}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("none changed or missing"));
    }
    let backup = command(home, &["backup", "-"]).output().unwrap();
    succeed(&backup);
    // POSIX tar says so at 257.
    assert_eq!(backup.stdout.get(257..262), Some(&b"ustar"[..]));
    assert!(!home.join("-").exists());
    // Standard output that is a file already is appended to, and not replaced.
    let mut file = fs::File::create(home.join("log")).unwrap();
    file.write_all(b"{\"number\":1}\n").unwrap();
    let exported = command(home, &["audit", "export", "/dev/stdout"]).stdout(file).status();
    assert!(exported.unwrap().success());
    let text = fs::read_to_string(home.join("log")).unwrap();
    assert!(text.starts_with("{\"number\":1}\n{") && text.lines().count() > 1, "{text}");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_named_pipe_is_written_into_and_not_replaced() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let node = coordinator(home);
    let pipe = home.join("pipe");
    make_pipe(&pipe);
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    succeed(&command(home, &["audit", "export", "pipe"]).output().unwrap());
    assert!(is_audit_log(&reader.join().unwrap()));
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_reader_that_closes_the_pipe_ends_every_command_quietly() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let node = coordinator(home);
    fs::write(home.join("job.toml"), JOB).unwrap();
    let job = result(home, &["job", "submit", "job.toml", "--hold"]);
    let id = job["id"].as_str().unwrap();
    for arguments in [
        &["job", "list", "--json"][..],
        &["job", "show", id],
        &["dataset", "list"],
        &["audit", "list", "--json"],
        &["audit", "export", "-"],
        &["settings", "list", "--json"],
        // A job that waits prints nothing, so only watching the pipe can end this.
        &["job", "watch", id, "--json"],
    ] {
        let mut command = match arguments[0] {
            "settings" => constellation(home, arguments),
            _ => command(home, arguments),
        };
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(process.stdout.take());
        let output = process.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
    let mut simulate = constellation(home, &["simulate", "job.toml", "--json"]);
    let mut process = simulate.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("\"round\":1"), "{first}");
    let output = process.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "simulate");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_dataset_comes_from_standard_input_or_a_pipe() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let node = coordinator(home);
    let mut add = command(home, &["dataset", "add", "-", "--name", "typed", "--json"]);
    let mut process = add.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(ROWS.as_bytes()).unwrap();
    let mut text = String::new();
    process.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(process.wait().unwrap().success());
    let added: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(added["info"]["classes"], serde_json::json!(["food", "space"]));

    make_pipe(&home.join("rows.csv"));
    let writer = std::thread::spawn({
        let path = home.join("rows.csv");
        move || fs::write(path, ROWS).unwrap()
    });
    let added = result(home, &["dataset", "add", "rows.csv", "--name", "piped"]);
    writer.join().unwrap();
    assert_eq!(added["info"]["name"], "piped");
    let script = "\"$0\" dataset add <(cat rows.txt) --name substituted --data-dir coordinator";
    fs::write(home.join("rows.txt"), ROWS).unwrap();
    let program = env!("CARGO_BIN_EXE_constellation");
    let mut bash = Command::new("bash");
    bash.args(["-c", script, program]).current_dir(home).env("HOME", home);
    succeed(&bash.output().unwrap());
    assert_eq!(node.stop(), Some(0));
}
