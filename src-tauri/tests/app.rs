//! End-to-end test of the app: real windows on a virtual display, a real coordinator and a real
//! trainer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod desk;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use desk::Desk;

/// Job that is long enough to be observed, paused and resumed.
const LONG_JOB: &str = r#"
name = "synthetic-long"
model_type = "nlp"
dataset = "synthetic"
[data]
partitions = 4
[run]
rounds = 500
"#;

/// Job that is short enough to end during the test.
const SHORT_JOB: &str = r#"
name = "synthetic"
model_type = "nlp"
dataset = "synthetic"
[data]
partitions = 4
[run]
rounds = 3
"#;

#[tokio::test]
async fn a_first_start_joins_by_code_trains_pauses_and_resumes() {
    let mut desk = Desk::start();
    let folder = desk.folder.path().to_owned();
    let cluster = folder.join("cluster");
    let cluster = cluster.to_str().unwrap();
    let mut coordinator = desk.command(&desk::constellation());
    let arguments = ["coordinator", "--listen", "127.0.0.1:0", "--json", "--exit-with-parent"];
    coordinator.args(arguments).args(["--name", "Acme", "--data-dir", cluster]);
    let mut coordinator = desk::Process::start(&mut coordinator);
    coordinator.line();
    let code = desk.result(&["join-code", "create", "--data-dir", cluster]);
    let job = folder.join("job.toml");
    std::fs::write(&job, LONG_JOB).unwrap();
    desk.result(&["job", "submit", job.to_str().unwrap(), "--data-dir", cluster]);

    let data = folder.join("app");
    let app = desk.app(&["--data-dir", data.to_str().unwrap(), "--show", "welcome"]).await;
    app.window("welcome").await;
    app.find("choose-worker").await;
    app.picture("app-welcome").await;
    app.click("choose-worker").await;
    app.click("welcome-next").await;
    app.write("join-code", code["link"].as_str().unwrap()).await;
    app.picture("app-join").await;
    app.click("join").await;
    app.window("#/join").await;
    app.find("invitation-accept").await;
    app.picture("app-invitation").await;
    app.click_enabled("invitation-accept").await;
    app.see("Joined").await;
    app.click_away("invitation-close").await;
    app.window("welcome").await;
    app.click("welcome-next").await;

    desk.show(&data, "popover");
    app.window("popover").await;
    // The idle time of the display is below five minutes, so the app waits and shows the reason.
    app.line("Waiting").await;
    app.picture("app-waiting").await;
    app.click("contribute").await;
    let line = app.line("Training").await;
    assert!(line.contains("synthetic-long, round ") && line.ends_with(" of 500"), "{line}");
    app.picture("app-training").await;

    app.click("pause").await;
    app.click("pause-hour").await;
    app.line("Paused until").await;
    app.picture("app-paused").await;
    app.click("resume").await;
    app.line("Waiting").await;

    app.click("open-settings").await;
    app.window("settings").await;
    app.find("setting-IdleSeconds").await;
    app.picture("app-settings").await;
    app.end().await;
    assert_eq!(coordinator.stop(), Some(0));
}

#[tokio::test]
async fn two_apps_find_each_other_and_train_to_the_end() {
    let mut desk = Desk::start();
    let folder = desk.folder.path().to_owned();
    let (one, other) = (folder.join("one"), folder.join("other"));
    std::fs::create_dir_all(&other).unwrap();
    let listen = ["--listen", "127.0.0.1:0", "--another"];
    let start = [&["--data-dir", one.to_str().unwrap(), "--show", "welcome"], &listen[..]].concat();
    let coordinator = desk.app(&start).await;
    coordinator.window("welcome").await;
    coordinator.click("choose-coordinator").await;
    coordinator.click("welcome-next").await;
    coordinator.click("open-dashboard").await;
    coordinator.window("dashboard://").await;
    coordinator.see("Today").await;
    coordinator.picture("app-dashboard").await;

    let cluster = one.join("coordinator");
    let cluster = cluster.to_str().unwrap();
    // The typed code contains no address: only Bonjour provides it.
    let code = desk.result(&["join-code", "create", "--data-dir", cluster]);
    let job = folder.join("job.toml");
    std::fs::write(&job, SHORT_JOB).unwrap();
    let job = desk.result(&["job", "submit", job.to_str().unwrap(), "--data-dir", cluster]);

    let instance = ["--instance", "1", "--show", "popover"];
    std::fs::write(other.join("settings.toml"), "Mode = \"worker\"").unwrap();
    let start = [&["--data-dir", other.to_str().unwrap()], &listen[..], &instance[..]].concat();
    let worker = desk.app(&start).await;
    worker.window("popover").await;
    worker.write("join-code", code["code"].as_str().unwrap()).await;
    worker.click("join").await;
    worker.line("Waiting").await;
    worker.click("contribute").await;

    let id = job["id"].as_str().unwrap();
    let watch = desk.last_line(&["job", "watch", id, "--data-dir", cluster]);
    assert_eq!((&watch["status"], &watch["rounds"]), (&"completed".into(), &3.into()), "{watch}");
    worker.end().await;
    coordinator.end().await;
}

/// Without a window: tests the menu that the icon's host reads and triggers.
#[test]
fn the_menu_says_the_state_and_pauses_resumes_contributes_and_quits() {
    let desk = Desk::start();
    let folder = desk.folder.path();
    let (coordinator, listening, cluster) = desk.coordinator();
    let code = desk.result(&["join-code", "create", "--data-dir", &cluster]);
    let data = folder.join("app");
    std::fs::create_dir_all(&data).unwrap();
    let settings = format!(
        "Mode = \"worker\"\nCoordinatorURL = {}\nEnrollmentCode = {}\n",
        listening["url"], code["link"]
    );
    std::fs::write(data.join("settings.toml"), settings).unwrap();

    let mut app = desk.command(env!("CARGO_BIN_EXE_constellation-app").as_ref());
    let app = app.arg("--another").arg("--data-dir").arg(&data).stderr(Stdio::piped()).spawn();
    let mut app = desk::Ends(app.unwrap());
    let mut said = BufReader::new(app.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut says = |words: &str| said.any(|line| line.contains(words));
    assert!(says("Waiting: you're using the computer"));
    let menu = desk::menu::Menu::open(&desk);
    assert_eq!(menu.lines()[0].1, "Waiting: you're using the computer");
    menu.choose("Pause for 1 Hour");
    assert!(says("Paused until"));
    menu.choose("Resume");
    assert!(says("Waiting: you're using the computer"));
    menu.choose("Contribute Now");
    assert!(says("Waiting: there is nothing to train"));
    menu.choose("Pause until I Resume");
    assert!(says("Paused"));
    menu.choose("Quit Constellation");
    assert_eq!(app.0.wait().unwrap().code(), Some(0));
    assert_eq!(coordinator.stop(), Some(0));
}

#[test]
fn without_a_display_the_app_coordinates_and_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("settings.toml"), "Mode = \"coordinator\"").unwrap();
    let said = until(headless().arg("--data-dir").arg(folder.path()), "Coordinating Constellation");
    assert!(said.iter().any(|line| line.contains("this session has no display")), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("Coordinating Constellation")), "{said:#?}");
    let kept = std::fs::read_to_string(folder.path().join("log/app.log")).unwrap();
    // Each app adds its own time.
    let untimed = |line: &str| line.split_once(' ').map(|(_, words)| words.to_owned());
    let on_screen: Vec<_> = said.iter().map(|line| untimed(line)).collect();
    assert_eq!(kept.lines().map(untimed).collect::<Vec<_>>(), on_screen);
}

#[test]
fn an_app_starts_at_login_as_the_setting_says() {
    let home = tempfile::tempdir().unwrap();
    let entry = home.path().join("config/autostart/constellation.desktop");
    let words = [("true", "the app starts at login"), ("false", "the app does not start at login")];
    for (value, words) in words {
        let said = until(headless().envs(desk::home(home.path())).env(SETTING, value), words);
        assert_eq!(entry.exists(), value == "true", "{said:#?}");
        if let Ok(entry) = std::fs::read_to_string(&entry) {
            assert!(entry.contains(env!("CARGO_BIN_EXE_constellation-app")), "{entry}");
        }
    }
    // An app with a separate folder does not use its user's session.
    let mut apart = headless();
    apart.envs(desk::home(home.path())).env(SETTING, "true");
    until(apart.arg("--data-dir").arg(home.path().join("apart")), "can't start at login");
    assert!(!entry.exists());
}

const SETTING: &str = "CONSTELLATION_START_AT_LOGIN";

/// The machine is kept awake on AC power, by a stand-in for `systemd-inhibit`, because a test machine has no
/// logind. On battery power the app reports that it is not.
#[test]
fn a_coordinator_stays_awake_while_a_job_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("settings.toml"), "Mode = \"coordinator\"").unwrap();
    let job = folder.path().join("job.toml");
    std::fs::write(&job, SHORT_JOB).unwrap();
    let inhibit = folder.path().join("systemd-inhibit");
    std::fs::write(&inhibit, "#!/bin/sh\nshift 4\nexec \"$@\"\n").unwrap();
    std::fs::set_permissions(&inhibit, PermissionsExt::from_mode(0o755)).unwrap();
    let mut programs = folder.path().as_os_str().to_owned();
    programs.push(":");
    programs.push(std::env::var_os("PATH").unwrap());
    let command = |action: &[&str]| {
        let mut command = Command::new(desk::constellation());
        command.args(action).arg("--json").arg("--data-dir").arg(data.join("coordinator"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };

    let mut app = headless();
    let app = app.env("PATH", programs).arg("--data-dir").arg(&data);
    let mut id = None;
    let said = followed(app, |line| {
        if line.contains("Coordinating Constellation") {
            // The job has no workers, so it runs until it is canceled.
            let submitted = command(&["job", "submit", job.to_str().unwrap()]);
            id = submitted["id"].as_str().map(str::to_owned);
        }
        let on_mains = line.contains("this machine is kept awake");
        if on_mains {
            command(&["job", "cancel", id.as_ref().unwrap()]);
        }
        line.contains("this machine may sleep again") || line.contains("is on battery")
    });
    assert!(id.is_some(), "{said:#?}");
}

#[test]
fn a_link_that_is_none_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_constellation-app"))
        .args(["constellation://join/garbage", "--data-dir"])
        .arg(folder.path())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("join link"));
}

/// Returns the app without a display. `timeout` forwards signals, and ends an app that hangs.
fn headless() -> Command {
    let mut app = Command::new("timeout");
    app.args(["90", env!("CARGO_BIN_EXE_constellation-app"), "--listen", "127.0.0.1:0"])
        .env_remove("CONSTELLATION_LOG")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY");
    app
}

/// Returns the app's log up to `words`; then stops the app and checks that it ends.
fn until(app: &mut Command, words: &str) -> Vec<String> {
    followed(app, |line| line.contains(words))
}

/// Returns the app's log until `ends` returns true; then stops the app and checks that it ends.
fn followed(app: &mut Command, mut ends: impl FnMut(&str) -> bool) -> Vec<String> {
    let mut app = app.stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(app.stderr.take().unwrap());
    let (mut said, mut ended) = (Vec::new(), false);
    for line in log.lines() {
        let line = line.unwrap();
        if !ended && ends(&line) {
            ended = true;
            Command::new("kill").args(["-TERM", &app.id().to_string()]).status().unwrap();
        }
        said.push(line);
    }
    assert_eq!(app.wait().unwrap().code(), Some(0), "{said:#?}");
    assert!(ended, "{said:#?}");
    said
}
