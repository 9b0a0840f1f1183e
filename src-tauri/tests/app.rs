//! The app as a person meets it: real windows on a display without a screen, a real coordinator, a
//! real trainer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod desk;

use desk::Desk;

/// Long enough to be seen, and to be paused and resumed on the way.
const LONG_JOB: &str = r#"
name = "synthetic-long"
model_type = "nlp"
dataset = "synthetic"
[data]
partitions = 4
[run]
rounds = 500
"#;

/// Short enough to end while somebody looks.
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
    app.click("welcome-next").await;

    desk.show(&data, "popover");
    app.window("popover").await;
    // Nobody has touched the display for five minutes? Somebody has: it says why it waits.
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
    // The typed code names no address: only Bonjour can.
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

#[test]
fn without_a_display_the_app_coordinates_and_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("settings.toml"), "Mode = \"coordinator\"").unwrap();
    // `timeout` hands signals on, and ends an app that doesn't.
    let mut app = std::process::Command::new("timeout")
        .args([
            "90",
            env!("CARGO_BIN_EXE_constellation-app"),
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(folder.path())
        .env_remove("CONSTELLATION_LOG")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let log = std::io::BufReader::new(app.stderr.take().unwrap());
    let mut said = Vec::new();
    for line in std::io::BufRead::lines(log) {
        let line = line.unwrap();
        if line.contains("Coordinating Constellation") {
            let pid = app.id().to_string();
            std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        }
        said.push(line);
    }
    assert_eq!(app.wait().unwrap().code(), Some(0), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("this session has no display")), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("Coordinating Constellation")), "{said:#?}");
    let kept = std::fs::read_to_string(folder.path().join("log/app.log")).unwrap();
    // Each takes the time for itself.
    let untimed = |line: &str| line.split_once(' ').map(|(_, words)| words.to_owned());
    let on_screen: Vec<_> = said.iter().map(|line| untimed(line)).collect();
    assert_eq!(kept.lines().map(untimed).collect::<Vec<_>>(), on_screen);
}

#[test]
fn a_link_that_is_none_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_constellation-app"))
        .args(["constellation://join/garbage", "--data-dir"])
        .arg(folder.path())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("join link"));
}
