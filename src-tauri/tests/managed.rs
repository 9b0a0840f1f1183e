//! Managed app without user interaction: the test mounts its own `/etc/constellation` in a mount namespace. This
//! needs root and util-linux. If they are missing, the test reports that.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

mod desk;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use desk::Desk;
use serde_json::{Value, json};

const SCRIPT: &str = include_str!("../../crates/cli/tests/support/managed.sh");

/// Job with one lease.
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

/// Returns the app on this desktop, managed by the file `managed.toml` in `folder`.
fn app(desk: &Desk, folder: &Path) -> Command {
    let mut command = desk.command(Path::new("unshare"));
    command.args(["--mount", "sh", "-c", SCRIPT, "sh"]).arg(folder);
    command.arg(env!("CARGO_BIN_EXE_constellation-app"));
    command
}

/// Returns whether this machine and user can create such a namespace. Prints a message if not.
fn can_manage(folder: &Path) -> bool {
    std::fs::write(folder.join("managed.toml"), "").unwrap();
    let tried = Command::new("unshare")
        .args(["--mount", "sh", "-c", SCRIPT, "sh"])
        .arg(folder)
        .arg("true")
        .output();
    let words = match tried {
        Ok(tried) if tried.status.success() => return true,
        Ok(tried) => String::from_utf8_lossy(&tried.stderr).trim().to_owned(),
        Err(error) => format!("unshare: {error}"),
    };
    eprintln!("skipped: no mount namespace for this user: {words}");
    false
}

/// Starts a coordinator with a job. Also returns the settings that IT deploys to a Mac.
fn office(desk: &Desk) -> (desk::Process, String, String) {
    let folder = desk.folder.path();
    let (coordinator, listening, cluster) = desk.coordinator();
    let cluster = cluster.as_str();
    let code = desk.result(&[
        "join-code",
        "create",
        "--uses",
        "500",
        "--expires",
        "52w",
        "--data-dir",
        cluster,
    ]);
    let job = folder.join("job.toml");
    std::fs::write(&job, JOB).unwrap();
    let job = desk.result(&["job", "submit", job.to_str().unwrap(), "--data-dir", cluster]);
    let settings = format!(
        "Mode = \"worker\"\nCoordinatorURL = {}\nCoordinatorPin = {}\nEnrollmentCode = {}\n\
         IdleSeconds = 0\nBackend = \"cpu\"\nAllowUserPause = false\nAllowUserQuit = false\n",
        listening["url"], listening["pin"], code["link"]
    );
    (coordinator, settings, job["id"].as_str().unwrap().to_owned())
}

/// Trains although other programs may keep this machine busy.
fn contribute(desk: &Desk) {
    desk::menu::Menu::open(desk).choose("Contribute Now");
}

#[test]
fn an_app_with_nothing_but_a_managed_file_enrols_trains_and_reports() {
    let desk = Desk::start();
    let folder = desk.folder.path();
    if !can_manage(folder) {
        return;
    }
    let (coordinator, settings, job) = office(&desk);
    std::fs::write(folder.join("managed.toml"), settings).unwrap();
    let app = app(&desk, folder).spawn().unwrap();
    contribute(&desk);
    let cluster = folder.join("cluster");
    let cluster = cluster.to_str().unwrap();
    let watch = desk.last_line(&["job", "watch", &job, "--data-dir", cluster]);
    assert_eq!((&watch["status"], &watch["rounds"]), (&json!("completed"), &json!(1)), "{watch}");
    let devices = desk.result(&["device", "list", "--data-dir", cluster]);
    assert_eq!(devices[0]["contribution"]["leases"], 1, "{devices}");
    assert_eq!(devices.as_array().unwrap().len(), 1, "{devices}");
    assert_eq!(ended(app), Some(0));
    assert_eq!(coordinator.stop(), Some(0));
}

/// A web page can't affect a managed Mac. The app reports the attempt and keeps working.
#[test]
fn a_managed_app_ignores_a_link_and_works_on() {
    let desk = Desk::start();
    let folder = desk.folder.path();
    if !can_manage(folder) {
        return;
    }
    let (coordinator, settings, job) = office(&desk);
    let (attacker, _, other) = desk.coordinator_of("attacker");
    std::fs::write(folder.join("managed.toml"), settings).unwrap();
    let data = folder.join("app");
    let mut command = app(&desk, folder);
    let mut app = command.arg("--data-dir").arg(&data).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(app.stderr.take().unwrap()).lines().map(Result::unwrap);
    contribute(&desk);
    let cluster = folder.join("cluster");
    let cluster = cluster.to_str().unwrap();
    desk.last_line(&["job", "watch", &job, "--data-dir", cluster]);

    assert!(log.any(|line| line.contains("Training")), "it ended and never trained");
    desk.again(&data, &[&desk.link(&other)]);
    let words = ["links and join codes are ignored", "in no cluster"];
    let said = log.find(|line| words.iter().any(|words| line.contains(words))).unwrap();
    assert!(said.contains(words[0]), "{said}");
    // Drains the pipe, so that the app does not block on it.
    let reader = std::thread::spawn(move || log.for_each(drop));
    let job = desk.result(&[
        "job",
        "submit",
        folder.join("job.toml").to_str().unwrap(),
        "--data-dir",
        cluster,
    ]);
    let watch =
        desk.last_line(&["job", "watch", job["id"].as_str().unwrap(), "--data-dir", cluster]);
    assert_eq!(watch["status"], json!("completed"), "{watch}");
    assert!(desk.devices(&other).is_empty());
    assert_eq!(ended(app), Some(0));
    reader.join().unwrap();
    assert_eq!(coordinator.stop(), Some(0));
    assert_eq!(attacker.stop(), Some(0));
}

/// Without a display the app can't tell whether the machine is used. It enrolls anyway, and reports that.
#[test]
fn a_managed_app_without_a_display_enrols_and_says_why_it_waits() {
    let desk = Desk::start();
    let folder = desk.folder.path();
    if !can_manage(folder) {
        return;
    }
    let (coordinator, settings, _) = office(&desk);
    std::fs::write(folder.join("managed.toml"), settings).unwrap();
    let mut command = app(&desk, folder);
    let mut app = command.env_remove("DISPLAY").stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(app.stderr.take().unwrap()).lines();
    let waits = log.any(|line| line.unwrap().contains("can't detect whether it is in use"));
    assert!(waits, "it ended without saying so");
    let cluster = folder.join("cluster");
    let cluster = cluster.to_str().unwrap();
    // A heartbeat is in flight: wait for its result.
    let mut devices = Value::Null;
    while devices[0]["reason"] != "unknown" {
        devices = desk.result(&["device", "list", "--data-dir", cluster]);
    }
    assert_eq!(ended(app), Some(0));
    assert_eq!(coordinator.stop(), Some(0));
}

/// Returns the exit code after the signal that systems use to end programs.
fn ended(mut app: Child) -> Option<i32> {
    let pid = app.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    app.wait().unwrap().code()
}
