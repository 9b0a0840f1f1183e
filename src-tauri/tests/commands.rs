//! What each window may ask of the app and where it may go: its own commands and its own origin, and
//! for the dashboard no command at all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod desk;

use std::path::Path;

use desk::{Desk, Driven};
use serde_json::{Value, json};

/// Every command, with what it takes.
const COMMANDS: [(&str, &str); 14] = [
    ("view", "{}"),
    ("settings", "{}"),
    ("set_setting", "{ key: 'LogLevel', value: null }"),
    ("choose", "{ worker: true, coordinator: true }"),
    ("join", "{ code: 'x' }"),
    ("accept", "{ invitation: 'x' }"),
    ("decline", "{ invitation: 'x' }"),
    ("leave", "{}"),
    ("pause", "{ until: 'hour' }"),
    ("resume", "{}"),
    ("contribute", "{}"),
    ("open", "{ page: 'settings' }"),
    ("close", "{}"),
    ("quit", "{}"),
];

/// The commands of the window that the driver is in, which it is asked for; the other ones are refused.
async fn has(app: &Driven, allowed: &[&str]) {
    for (command, arguments) in COMMANDS {
        if allowed.contains(&command) {
            continue;
        }
        let answer = app.invoked(command, arguments).await;
        let refused = answer["refused"].as_str().unwrap_or_default();
        assert!(refused.contains("not allowed"), "{command}: {answer}");
    }
}

/// Lets the page go to `url`; ends when the app has refused that, and the page is where it was.
async fn stays(app: &Driven, data: &Path, url: &str) {
    let before = app.client.current_url().await.unwrap();
    app.client
        .execute("window.stays = true; location.href = arguments[0]", vec![json!(url)])
        .await
        .unwrap();
    let log = data.join("log/app.log");
    let refused = || {
        let log = std::fs::read_to_string(&log).unwrap();
        log.lines()
            .any(|line| line.contains("wanted to go elsewhere") && line.contains(url))
            .then_some(())
    };
    desk::wait_for(refused).unwrap_or_else(|| panic!("nobody refused {url}"));
    let marked = app.client.execute("return window.stays", vec![]).await.unwrap();
    assert_eq!((marked, app.client.current_url().await.unwrap()), (json!(true), before), "{url}");
}

async fn status(app: &Driven, request: &str) -> Value {
    app.promised(&format!("fetch({request}).then((answer) => answer.status)")).await
}

#[tokio::test]
async fn each_window_has_its_commands_alone_and_stays_where_it_is() {
    let mut desk = Desk::start();
    let data = desk.folder.path().join("app");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("settings.toml"), "Mode = \"both\"\n").unwrap();
    let folder = data.to_str().unwrap();
    let arguments = ["--data-dir", folder, "--listen", "127.0.0.1:0", "--show", "popover"];
    let app = desk.app(&arguments).await;
    app.window("#/popover").await;
    app.click("open-dashboard").await;
    app.window("dashboard://").await;
    app.see("Today").await;
    has(&app, &[]).await;
    for url in ["https://example.invalid/", "tauri://localhost/app.html"] {
        stays(&app, &data, url).await;
    }
    // Its way to the coordinator: the page's own requests, and no others.
    let ours = "'Content-Type': 'application/json', 'Constellation-Protocol': '1'";
    let with = |headers: &str| {
        format!("'/join-codes', {{ method: 'POST', body: '{{}}', headers: {{ {headers} }} }}")
    };
    assert_eq!(status(&app, &with(ours)).await, 201);
    assert_eq!(status(&app, &with("'Content-Type': 'application/json'")).await, 403);
    assert_eq!(status(&app, "'/devices'").await, 200);

    app.window("#/popover").await;
    let view = app.invoked("view", "{}").await;
    assert_eq!(view["mode"]["coordinator"], true, "{view}");
    let popover = ["view", "join", "pause", "resume", "contribute", "open", "close", "quit"];
    has(&app, &popover).await;
    stays(&app, &data, "dashboard://localhost/").await;
    app.click("open-settings").await;
    app.window("#/settings").await;
    let settings = app.invoked("settings", "{}").await;
    assert!(settings["settings"].is_array(), "{settings}");
    has(&app, &["view", "settings", "set_setting", "leave"]).await;
    desk.show(&data, "welcome");
    app.window("#/welcome").await;
    has(&app, &["view", "choose", "join", "open", "close"]).await;
    app.end().await;
}
