//! The document that the dashboard's types are made of is the one that the coordinator serves.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::Coordinator;

/// Set, the test writes the file instead: `CONSTELLATION_WRITE_OPENAPI=1 cargo nextest run -p coordinator openapi`.
const WRITE: &str = "CONSTELLATION_WRITE_OPENAPI";

#[tokio::test]
async fn the_kept_openapi_document_is_the_one_that_is_served() {
    let coordinator = Coordinator::start().await;
    let mut served: Value = coordinator.get("/openapi.json").await;
    // Each cluster's cookie has a name of its own.
    served["components"]["securitySchemes"]["session"]["name"] = json!("constellation-session");
    let served = format!("{served:#}\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/openapi.json");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &served).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(served.lines()).position(|(kept, served)| kept != served);
    assert!(
        kept == served,
        "ui/openapi.json is not what is served (from line {:?}): run this test with {WRITE}=1, then \
         make the dashboard's types anew",
        differs.map(|line| line + 1)
    );
}
