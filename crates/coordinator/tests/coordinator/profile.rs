//! Configuration profiles, and the settings of a running coordinator.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::Coordinator;

#[tokio::test]
async fn a_profile_contains_everything_that_a_mac_needs_to_join() {
    let coordinator = Coordinator::start().await;
    let created = coordinator.post("/join-codes", json!({ "name": "fleet", "uses": 50 })).await;
    let request = coordinator.request(Method::POST, "/profile", &coordinator.admin);
    let response = request.json(&json!({ "link": created["link"] })).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/x-apple-aspen-config");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let profile = response.text().await.unwrap();
    let value = |key: &str| {
        let (_, rest) = profile.split_once(&format!("<key>{key}</key>")).unwrap();
        rest.trim_start().strip_prefix("<string>").unwrap().split_once("</string>").unwrap().0
    };
    assert_eq!(value("Mode"), "worker");
    assert_eq!(value("CoordinatorURL"), format!("https://{}", coordinator.running.address));
    assert_eq!(value("CoordinatorPin"), coordinator.pin.to_string());
    assert_eq!(value("EnrollmentCode"), created["code"].as_str().unwrap());
    assert_eq!(value("PayloadDisplayName"), "Constellation: test cluster");
    assert!(
        profile.contains("<key>PayloadType</key>\n      <string>com.constellation.app</string>")
    );
    assert_eq!(profile.matches("<dict>").count(), profile.matches("</dict>").count());
    assert_eq!(profile.matches("<key>PayloadUUID</key>").count(), 5);

    let other = Coordinator::start().await;
    let foreign = other.post("/join-codes", json!({})).await["link"].clone();
    for (link, expected) in [(foreign, "another cluster"), (json!("constellation"), "join link")] {
        let body = Some(json!({ "link": link }));
        let (status, problem) = coordinator.ask(Method::POST, "/profile", body).await;
        assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("link")));
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
    }
}

/// The dashboard and other programs need nothing else to show a setting and what it may be.
#[tokio::test]
async fn settings_are_listed_as_set_with_their_declarations() {
    let coordinator = Coordinator::start().await;
    let listed = coordinator.get("/settings").await;
    let expected = json!({
        "key": "ClusterName", "value": "test cluster", "origin": "user",
        "about": "Name of the cluster that this machine coordinates.",
        "title": "Cluster name", "hint": "", "default": "Constellation", "unset": "",
        "kind": { "type": "text" }, "allowed": "a text", "example": null,
        "variable": "CONSTELLATION_CLUSTER_NAME", "section": null,
        "changed_by": "user", "takes_effect": "next_start",
    });
    assert_eq!(listed[0], expected);
    let battery = &listed[1];
    let kind = json!({ "type": "integer", "unit": "%", "minimum": 0, "maximum": 100 });
    assert_eq!((&battery["kind"], &battery["default"]), (&kind, &json!(50)));
    assert_eq!(battery["section"], "When to train");
}
