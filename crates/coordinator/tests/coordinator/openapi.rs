//! `ui/openapi.json`, from which the dashboard's types are generated, is the document that the coordinator
//! serves.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::Coordinator;

/// If set, the test writes the file: `CONSTELLATION_WRITE_OPENAPI=1 cargo nextest run -p coordinator openapi`.
const WRITE: &str = "CONSTELLATION_WRITE_OPENAPI";

#[tokio::test]
async fn the_stored_openapi_document_is_up_to_date() {
    let coordinator = Coordinator::start().await;
    let mut served: Value = coordinator.get("/openapi.json").await;
    // The cookie's name depends on the cluster.
    served["components"]["securitySchemes"]["session"]["name"] = json!("constellation-session");
    let served = format!("{served:#}\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/openapi.json");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &served).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = stored.lines().zip(served.lines()).position(|(old, new)| old != new);
    assert!(
        stored == served,
        "ui/openapi.json is outdated (from line {:?}): run this test with {WRITE}=1, then generate the \
         dashboard's types again",
        differs.map(|line| line + 1)
    );
}

/// `make test-clients` validates the whole document. This test needs nothing that must be installed.
#[tokio::test]
async fn operations_have_unique_ids_and_responses_have_descriptions() {
    let coordinator = Coordinator::start().await;
    let served: Value = coordinator.get("/openapi.json").await;
    let paths = served["paths"].as_object().unwrap().values();
    let operations: Vec<&Value> =
        paths.flat_map(|path| path.as_object().unwrap().values()).collect();
    let ids: BTreeSet<&str> =
        operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert!(operations.len() > 60);
    assert_eq!(ids.len(), operations.len());
    for operation in operations {
        for response in operation["responses"].as_object().unwrap().values() {
            assert!(!response["description"].as_str().unwrap().is_empty(), "{operation}");
        }
        let download = &operation["responses"]["200"]["content"]["application/octet-stream"];
        assert!(download.is_null() || download["schema"]["format"] == "binary", "{operation}");
    }
}
