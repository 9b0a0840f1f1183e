//! Names that an earlier version stored, as a terminal and a log show them: real processes over a database with
//! a device whose name would steer the terminal.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use protocol::text::is_hidden;
use serde_json::Value;

use support::{Node, constellation, result};

/// Name in the database, as JSON, and its replacement of the same length.
const STORED: &str = r"\u001b]0;x\u0007\u001b[2J\r\n\u009b31m\u202e";
const PLAIN: &str = "a-name-of-letters-and-just-as-long-as-that-o";
const SHOWN: &str = r"\u{1b}]0;x\u{7}\u{1b}[2J\u{d}\u{a}\u{9b}31m\u{202e}";

fn start(home: &Path, log: &Path) -> Node {
    let arguments = ["coordinator", "--listen", "127.0.0.1:0", "--no-discovery", "--data-dir"];
    let arguments = [&arguments[..], &["coordinator", "--json", "--exit-with-parent"]].concat();
    let mut command = constellation(home, &arguments);
    command.env("CONSTELLATION_LOG", "debug").stderr(Stdio::from(File::create(log).unwrap()));
    Node::start_as(&mut command)
}

/// Puts `to` in place of `from` in the database, wherever that is.
fn replace(database: &Path, from: &[u8], to: &[u8]) -> usize {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(database).unwrap();
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    for at in &places {
        bytes[*at..*at + to.len()].copy_from_slice(to);
    }
    std::fs::write(database, bytes).unwrap();
    places.len()
}

#[test]
fn a_stored_name_steers_neither_the_terminal_nor_the_log() {
    let home = tempfile::tempdir().unwrap();
    let (home, log) = (home.path(), home.path().join("log"));
    let mut coordinator = start(home, &log);
    let opening: Value = serde_json::from_str(&coordinator.lines.next().unwrap().unwrap()).unwrap();
    let link = result(home, &["join-code", "create"])["link"].as_str().unwrap().to_owned();
    let url = opening["url"].as_str().unwrap();
    let worker = ["worker", "--when", "always", "--backend", "cpu", "--data-dir", "worker"];
    let joining = ["--name", PLAIN, "--coordinator", url, "--join", &link];
    let mut worker = Node::start(home, &[&worker[..], &joining].concat());
    let device = worker.until("registered")["device"].as_str().unwrap().to_owned();
    assert_eq!((worker.stop(), coordinator.stop()), (Some(0), Some(0)));
    let database = home.join("coordinator/constellation.db");
    assert!(replace(&database, PLAIN.as_bytes(), STORED.as_bytes()) > 0);

    let mut coordinator = start(home, &log);
    assert!(coordinator.lines.next().unwrap().unwrap().contains("url"));
    // The audit log has the name too, as it was when the device enrolled, and its chain is broken by this.
    for asked in [
        &["device", "list"][..],
        &["device", "list", "--json"],
        &["audit", "list"],
        &["device", "quarantine", &device, "--reason", "to see its name in a notice"],
        &["notice", "list"],
        &["device", "release", &device],
        &["device", "revoke", &device],
        &["device", "cleanup"],
    ] {
        let arguments = [asked, &["--data-dir", "coordinator"]].concat();
        let output = constellation(home, &arguments).output().unwrap();
        assert!(output.status.success(), "{asked:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().all(|line| !line.contains(is_hidden)), "{asked:?}: {text:?}");
        if asked.contains(&"--json") {
            let devices: Value = serde_json::from_str(&text).unwrap();
            let stored: String = serde_json::from_str(&format!("\"{STORED}\"")).unwrap();
            assert_eq!(devices[0]["name"], stored);
        } else if asked[0] != "audit" {
            assert!(text.contains(SHOWN), "{asked:?}: {text}");
        }
    }
    assert_eq!(coordinator.stop(), Some(0));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("gets no work"), "or the log knows nothing of the name: {log}");
    assert!(log.lines().all(|line| !line.contains(is_hidden)), "{log:?}");
}
