//! Settings page of the app: what a person changes there is stored, has an effect and is shown.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod desk;

use std::path::Path;

use desk::{Desk, Driven};
use serde_json::{Value, json};

/// Starts the app with the settings page.
async fn settings_page(desk: &mut Desk, data: &Path) -> Driven {
    std::fs::create_dir_all(data).unwrap();
    std::fs::write(data.join("settings.toml"), "Mode = \"worker\"\n").unwrap();
    let app = desk.app(&["--data-dir", data.to_str().unwrap(), "--show", "settings"]).await;
    app.window("#/settings").await;
    app
}

/// Returns the app's own settings, as the page receives them.
async fn settings(app: &Driven) -> Vec<Value> {
    app.invoked("settings", "{}").await["settings"].as_array().unwrap().clone()
}

async fn setting(app: &Driven, key: &str) -> Value {
    settings(app).await.into_iter().find(|setting| setting["key"] == key).unwrap()
}

/// Waits until the settings file has, or no longer has, this line.
fn stored(data: &Path, line: &str, expected: bool) {
    let file = data.join("settings.toml");
    let text = || std::fs::read_to_string(&file).unwrap();
    let is_stored = || (text().lines().any(|one| one == line) == expected).then_some(());
    desk::wait_for(is_stored).unwrap_or_else(|| panic!("{line} is not {expected}: {}", text()));
}

/// A privacy control: a person decides in the page what the coordinator learns.
#[tokio::test]
async fn the_detail_of_the_presence_is_changed_in_the_page() {
    let mut desk = Desk::start();
    let data = desk.folder.path().join("app");
    let app = settings_page(&mut desk, &data).await;
    let value = async || app.find("setting-PresenceDetail").await.prop("value").await.unwrap();
    let reported = async || {
        let view = app.invoked("view", "{}").await;
        view["company_sees"].to_string().contains("State, without a reason")
    };
    assert_eq!(value().await.as_deref(), Some("reasons"));
    assert!(!reported().await);

    app.find("setting-PresenceDetail").await.select_by_value("state").await.unwrap();
    stored(&data, "PresenceDetail = \"state\"", true);
    app.see("Shared with the coordinator while not training: saved").await;
    app.see("Default: State and reason").await;
    assert_eq!(value().await.as_deref(), Some("state"));
    let shown = setting(&app, "PresenceDetail").await;
    assert_eq!((&shown["value"], &shown["origin"]), (&json!("state"), &json!("user")));
    assert!(reported().await);

    app.client.refresh().await.unwrap();
    assert_eq!(value().await.as_deref(), Some("state"));
    app.click("setting-PresenceDetail-reset").await;
    stored(&data, "PresenceDetail = \"state\"", false);
    app.see("Shared with the coordinator while not training: reset to the default").await;
    assert_eq!(value().await.as_deref(), Some("reasons"));
    assert!(!reported().await);
    app.end().await;
}

/// The page has no list of settings: it draws what the app reports.
#[tokio::test]
async fn every_setting_of_a_section_has_the_control_of_its_kind() {
    let mut desk = Desk::start();
    let data = desk.folder.path().join("app");
    let app = settings_page(&mut desk, &data).await;
    let mut drawn = 0;
    for setting in settings(&app).await {
        if setting["section"].is_null() {
            continue;
        }
        let (key, kind) = (setting["key"].as_str().unwrap(), setting["kind"]["type"].as_str());
        let (id, expected) = match kind.unwrap() {
            "bool" => (format!("setting-{key}"), "checkbox"),
            "integer" | "duration" | "number" => (format!("setting-{key}"), "number"),
            "choice" => (format!("setting-{key}"), "select-one"),
            "schedule" => (format!("setting-{key}-always"), "radio"),
            _ => (format!("setting-{key}"), "text"),
        };
        let found = app.find(&id).await.prop("type").await.unwrap();
        assert_eq!(found.as_deref(), Some(expected), "{key}");
        drawn += 1;
    }
    assert!(drawn > 10, "{drawn}");
    app.see("Start after no input for").await;
    app.see("minutes").await;

    // A refused value is told at its field, in the words of the table.
    app.write("setting-MinimumBattery", "1\t").await;
    app.see("is not a whole number from 0 to 100 (percent)").await;
    assert_eq!(setting(&app, "MinimumBattery").await["value"], 50);
    app.end().await;
}
