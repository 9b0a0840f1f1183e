//! What the organization manages, through the one place where the program looks for it: each test gives it
//! an `/etc/constellation` of its own, in a mount namespace.
//!
//! This needs root and util-linux, and Xvfb where somebody might be using the machine; where they are missing
//! each test says so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use support::{Node, constellation, last_line, result};

const SCRIPT: &str = include_str!("support/managed.sh");

/// One lease: where other programs keep the machine busy, a worker rightly waits between two.
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

/// `constellation` where `managed` is what the organization says; its home is `folder`.
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

/// Whether this machine and user can have such a namespace; says so where not.
fn can_manage() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let tried = managed(folder.path(), "", &["--version"]).output();
    match tried {
        Ok(tried) if tried.status.success() => true,
        Ok(tried) => {
            let words = String::from_utf8_lossy(&tried.stderr).into_owned();
            eprintln!("skipped: no mount namespace for this user: {}", words.trim());
            false
        }
        Err(error) => {
            eprintln!("skipped: no mount namespace: unshare: {error}");
            false
        }
    }
}

/// A display that nobody has touched; ends with the test.
struct Display {
    process: Child,
    name: String,
}

impl Display {
    /// None where there is no Xvfb; says so.
    fn start() -> Option<Self> {
        let started = Command::new("Xvfb")
            .args(["-displayfd", "1", "-noreset", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        started
            .inspect_err(|error| eprintln!("skipped: no display to be idle at: Xvfb: {error}"))
            .ok()
            .map(Self::of)
    }

    /// Once it says its number.
    fn of(mut process: Child) -> Self {
        let mut number = String::new();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        said.read_line(&mut number).unwrap();
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
fn a_worker_with_nothing_but_a_managed_file_enrols_trains_and_reports() {
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
    // As IT makes it: for many Macs and for long.
    let code = result(office, &["join-code", "create", "--uses", "500", "--expires", "52w"]);
    std::fs::write(office.join("job.toml"), JOB).unwrap();
    let job = result(office, &["job", "submit", "job.toml"]);

    let home = tempfile::tempdir().unwrap();
    let settings = format!(
        "Mode = \"worker\"\nCoordinatorURL = {}\nCoordinatorPin = {}\nEnrollmentCode = {}\n\
         IdleSeconds = 0\nBackend = \"cpu\"\nPresenceDetail = \"state\"\n",
        listening["url"], listening["pin"], code["link"]
    );
    // What the person at the machine says instead counts for nothing.
    let other = ["--coordinator", "https://127.0.0.1:1", "--join", "0123-4567-89ab-cdef"];
    let arguments = [&["worker", "--json", "--exit-with-parent"], &other[..]].concat();
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

/// Every setting that there is; what each may be comes from the program's own list.
#[test]
fn no_managed_setting_is_changed_by_a_command_or_a_variable() {
    if !can_manage() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let plain = constellation(home, &["settings", "list", "--json"]).output().unwrap();
    let plain: Value = serde_json::from_slice(&plain.stdout).unwrap();
    let names: Vec<&str> =
        plain.as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 24);
    let pin = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let values = |name: &str| match name {
        "Mode" => ("both", "worker"),
        "CoordinatorURL" | "ClusterName" => ("one", "two"),
        "CoordinatorPin" => (pin, "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        "EnrollmentCode" => ("0123-4567-89ab-cdef", "1123-4567-89ab-cdef"),
        "Schedule" => ("Mon 01:00-02:00", "Tue 01:00-02:00"),
        "MaximumThermalState" => ("serious", "critical"),
        "Backend" => ("cpu", "wgpu"),
        "PresenceDetail" => ("state", "reasons"),
        "LogLevel" => ("error", "warn"),
        "IdleSeconds" | "MinimumBattery" => ("11", "12"),
        "MaximumMemoryGB" | "MaximumCacheGB" | "MaximumUploadMbps" => ("1.5", "2.5"),
        _ => ("false", "true"),
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
        for change in [&["settings", "set", name, values(name).1][..], &["settings", "unset", name]]
        {
            let output = run(change);
            let words = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{name}: {words}");
            assert!(words.contains(&format!("{name}: Managed by your organization")), "{words}");
        }
    }
    let shown: Value =
        serde_json::from_slice(&run(&["settings", "list", "--json"]).stdout).unwrap();
    for one in shown.as_array().unwrap() {
        let name = one["key"].as_str().unwrap();
        assert_eq!(one["origin"], "managed", "{name}");
        let value = &one["value"];
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let expected = if name == "EnrollmentCode" { "set" } else { values(name).0 };
        assert_eq!(value, expected, "{name}");
    }
    // Nothing was written for the person either.
    assert!(!home.join(".config/constellation/settings.toml").exists());
}
