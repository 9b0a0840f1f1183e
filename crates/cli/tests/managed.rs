//! Managed settings: each test gives the program its own `/etc/constellation`, in a mount
//! namespace.
//!
//! This needs root and util-linux, and Xvfb for the tests that need an idle display. If they are
//! missing, the test prints why it is skipped.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a skipped test prints the reason")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use support::{Node, constellation, last_line, result};

const SCRIPT: &str = include_str!("support/managed.sh");

/// One lease: if other programs keep the machine busy, a worker correctly waits between two leases.
const JOB: &str = r#"
name = "synthetic"
model_type = "nlp"
dataset = "synthetic"
[data]
partitions = 1
train_limit = 200
[run]
rounds = 1
"#;

/// Command `constellation` with these managed settings; its home is `folder`.
fn managed(folder: &Path, managed: &str, arguments: &[&str]) -> Command {
    std::fs::write(folder.join("managed.toml"), managed).unwrap();
    let inner = constellation(folder, arguments);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", SCRIPT, "sh"]).arg(folder);
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(folder);
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Whether this user can create such a namespace. Prints the reason if not.
fn can_manage() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let result = managed(folder.path(), "", &["--version"]).output();
    match result {
        Ok(result) if result.status.success() => true,
        Ok(result) => {
            let stderr = String::from_utf8_lossy(&result.stderr).into_owned();
            eprintln!("skipped: no mount namespace for this user: {}", stderr.trim());
            false
        }
        Err(error) => {
            eprintln!("skipped: no mount namespace: unshare: {error}");
            false
        }
    }
}

/// An X display without input; its process is killed when the value is dropped.
struct Display {
    process: Child,
    name: String,
}

impl Display {
    /// Returns `None` and prints the reason if Xvfb is not installed.
    fn start() -> Option<Self> {
        let started = Command::new("Xvfb")
            .args(["-displayfd", "1", "-noreset", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        started
            .inspect_err(|error| eprintln!("skipped: no idle display: Xvfb: {error}"))
            .ok()
            .map(Self::from_process)
    }

    /// Waits until Xvfb prints the number of its display.
    fn from_process(mut process: Child) -> Self {
        let mut number = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut number).unwrap();
        Self { process, name: format!(":{}", number.trim()) }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn a_worker_with_only_a_managed_file_enrolls_trains_and_reports() {
    if !can_manage() {
        return;
    }
    let Some(display) = Display::start() else { return };
    let office = tempfile::tempdir().unwrap();
    let office = office.path();
    let arguments =
        ["coordinator", "--listen", "127.0.0.1:0", "--data-dir", "coordinator", "--no-discovery"];
    let mut coordinator = Node::start(office, &arguments);
    let listening: Value =
        serde_json::from_str(&coordinator.lines.next().unwrap().unwrap()).unwrap();
    // A code as IT creates it: for many Macs and a long time.
    let code = result(office, &["join-code", "create", "--uses", "500", "--expires", "52w"]);
    std::fs::write(office.join("job.toml"), JOB).unwrap();
    let job = result(office, &["job", "submit", "job.toml"]);

    let home = tempfile::tempdir().unwrap();
    let settings = format!(
        "Mode = \"worker\"\nCoordinatorURL = {}\nCoordinatorPin = {}\nEnrollmentCode = {}\n\
         IdleSeconds = 0\nBackend = \"cpu\"\nPresenceDetail = \"state\"\n",
        listening["url"], listening["pin"], code["link"]
    );
    // The command line and the environment contradict the managed settings and are ignored.
    let other = ["--coordinator", "https://127.0.0.1:1", "--join", "0123-4567-89ab-cdef"];
    // Other programs may keep this machine busy, so it trains always.
    let worker = ["worker", "--json", "--exit-with-parent", "--when", "always"];
    let arguments = [&worker[..], &other].concat();
    let mut command = managed(home.path(), &settings, &arguments);
    command.env("DISPLAY", &display.name).env("CONSTELLATION_COORDINATOR", "https://127.0.0.1:2");
    command.env_remove("WAYLAND_DISPLAY");
    let mut worker = Node::start_as(&mut command);
    worker.until("registered");
    assert_eq!(worker.until("reported")["outcome"], "accepted");

    let id = job["id"].as_str().unwrap();
    let shown = last_line(office, &["job", "watch", id]);
    assert_eq!((&shown["status"], &shown["rounds"]), (&json!("completed"), &json!(1)), "{shown}");
    let devices = result(office, &["device", "list"]);
    let [device] = devices.as_array().unwrap().as_slice() else { panic!("{devices}") };
    assert_eq!(device["contribution"]["leases"], 1, "{device}");
    assert_eq!(worker.stop(), Some(0));
    assert_eq!(coordinator.stop(), Some(0));
}

/// Covers every setting: the names come from the program's own list.
#[test]
fn managed_settings_cannot_be_changed_by_commands_or_variables() {
    if !can_manage() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let output = constellation(home, &["settings", "list", "--json"]).output().unwrap();
    let unmanaged: Value = serde_json::from_slice(&output.stdout).unwrap();
    let entries = unmanaged.as_array().unwrap();
    let names: Vec<&str> = entries.iter().map(|entry| entry["key"].as_str().unwrap()).collect();
    assert!(names.len() >= 24, "{names:?}");
    // Two values of each setting, by its kind.
    let values = |name: &str| {
        let kind = &entries.iter().find(|entry| entry["key"] == name).unwrap()["kind"];
        let choice = |at: usize| kind["choices"][at]["value"].as_str().unwrap().to_owned();
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        match kind["type"].as_str().unwrap() {
            "bool" => pair("false", "true"),
            "integer" | "duration" => pair("11", "12"),
            "number" => pair("1.5", "2.5"),
            "choice" => (choice(1), choice(0)),
            "pin" => (format!("A{}", "A".repeat(42)), format!("B{}", "A".repeat(42))),
            "secret" => pair("0123-4567-89ab-cdef", "1123-4567-89ab-cdef"),
            "schedule" => pair("Mon 01:00-02:00", "Tue 01:00-02:00"),
            "log_filter" => pair("error", "warn"),
            "text" | "url" => pair("one", "two"),
            other => panic!("{name}: {other}"),
        }
    };
    let lines: Vec<String> =
        names.iter().map(|name| format!("{name} = '{}'\n", values(name).0)).collect();
    let all = lines.concat();
    let run = |arguments: &[&str]| {
        let mut command = managed(home, &all, arguments);
        command.env("CONSTELLATION_IDLE_SECONDS", "77").env("CONSTELLATION_MODE", "coordinator");
        command.output().unwrap()
    };
    for name in &names {
        for change in
            [&["settings", "set", name, &values(name).1][..], &["settings", "unset", name]]
        {
            let output = run(change);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{name}: {stderr}");
            assert!(stderr.contains(&format!("{name}: Managed by your organization")), "{stderr}");
        }
    }
    let shown: Value =
        serde_json::from_slice(&run(&["settings", "list", "--json"]).stdout).unwrap();
    for entry in shown.as_array().unwrap() {
        let name = entry["key"].as_str().unwrap();
        assert_eq!(entry["origin"], "managed", "{name}");
        let value = &entry["value"];
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let is_secret = entry["kind"]["type"] == "secret";
        let expected = if is_secret { "set".to_owned() } else { values(name).0 };
        assert_eq!(value, expected, "{name}");
    }
    // The user's settings file was not written either.
    assert!(!home.join(".config/constellation/settings.toml").exists());
}
