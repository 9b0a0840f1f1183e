//! Join links, which any web page can open: the app asks for confirmation, and nothing happens before
//! that.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod desk;

use std::path::{Path, PathBuf};

use desk::Desk;

/// Returns the folder of an app that is a worker of the coordinator at this URL.
fn worker(desk: &Desk, url: &str, code: Option<&str>) -> PathBuf {
    let data = desk.folder.path().join("app");
    std::fs::create_dir_all(&data).unwrap();
    let code = code.map_or(String::new(), |code| format!("EnrollmentCode = \"{code}\"\n"));
    let settings = format!("Mode = \"worker\"\nCoordinatorURL = \"{url}\"\n{code}");
    std::fs::write(data.join("settings.toml"), settings).unwrap();
    data
}

fn arguments(data: &Path) -> [&str; 4] {
    ["--data-dir", data.to_str().unwrap(), "--show", "popover"]
}

#[tokio::test]
async fn a_link_asks_and_nothing_happens_before_the_person_says_yes() {
    let mut desk = Desk::start();
    let (coordinator, listening, cluster) = desk.coordinator();
    let data = worker(&desk, listening["url"].as_str().unwrap(), None);
    let app = desk.app(&arguments(&data)).await;
    app.window("#/popover").await;
    app.line("in no cluster").await;

    desk.again(&data, &[&desk.link(&cluster)]);
    app.window("#/join").await;
    let name = app.find("invitation-cluster").await.text().await.unwrap();
    assert_eq!(name, "\u{201c}cluster\u{201d}");
    let pin = app.find("invitation-pin").await.text().await.unwrap();
    let pin: String = pin.split_whitespace().collect();
    assert_eq!(pin, listening["pin"].as_str().unwrap());
    // Neither a key press nor the focus confirms by accident.
    let focus = app.client.execute("return document.activeElement.tagName", vec![]).await;
    assert_eq!(focus.unwrap(), "H1");
    app.click("invitation-decline").await;
    app.window("#/popover").await;
    app.line("in no cluster").await;
    assert!(desk.devices(&cluster).is_empty());

    // A second link is not affected by an answer to the first.
    desk.again(&data, &[&desk.link(&cluster)]);
    app.window("#/join").await;
    app.find("invitation-accept").await;
    desk.again(&data, &[&desk.link(&cluster)]);
    app.click("invitation-show").await;
    app.click_enabled("invitation-accept").await;
    app.see("Joined").await;
    assert_eq!(desk.devices(&cluster).len(), 1);
    app.end().await;
    assert_eq!(coordinator.stop(), Some(0));
}

#[tokio::test]
async fn a_link_takes_no_mac_out_of_its_cluster() {
    let mut desk = Desk::start();
    let (coordinator, listening, cluster) = desk.coordinator();
    let (attacker, _, other) = desk.coordinator_of("attacker");
    let code = desk.link(&cluster);
    let data = worker(&desk, listening["url"].as_str().unwrap(), Some(&code));
    let app = desk.app(&arguments(&data)).await;
    app.window("#/popover").await;
    app.line("Waiting").await;
    assert_eq!(desk.devices(&cluster).len(), 1);

    desk.again(&data, &[&desk.link(&other)]);
    app.window("#/join").await;
    let why = app.find("invitation-obstacle").await.text().await.unwrap();
    assert!(why.contains("belongs to the cluster \u{201c}cluster\u{201d}"), "{why}");
    assert!(why.contains("Leave it first"), "{why}");
    app.picture("app-invitation-refused").await;
    // The command behind the button doesn't confirm it either.
    let id = app.invoked("view", "{}").await["invitation"]["id"].as_str().unwrap().to_owned();
    let accepted = app.invoked("accept", &format!("{{ invitation: '{id}' }}")).await;
    assert!(accepted["refused"].as_str().unwrap().contains("belongs to"), "{accepted}");
    app.click_away("invitation-close").await;
    app.window("#/popover").await;
    app.line("Waiting").await;
    assert!(desk.devices(&other).is_empty());
    let devices = desk.devices(&cluster);
    assert_eq!((devices.len(), &devices[0]["is_active"]), (1, &true.into()), "{devices:?}");
    app.end().await;
    assert_eq!(coordinator.stop(), Some(0));
    assert_eq!(attacker.stop(), Some(0));
}
