//! Errors of starting a coordinator, which say what to change.

use std::os::unix::fs::PermissionsExt;

use coordinator::StartError;
use tempfile::TempDir;

use crate::support::{Coordinator, settings};

#[tokio::test]
async fn an_occupied_port_is_refused() {
    let running = Coordinator::start().await;
    let folder = TempDir::new().unwrap();
    let mut second = settings(folder.path());
    second.listen = running.running.address;
    let error = coordinator::start(second).await.unwrap_err();
    assert!(matches!(error, StartError::AddressInUse { .. }), "{error}");
    assert!(error.to_string().contains("--listen"), "{error}");
    // The failed start has released the folder.
    coordinator::start(settings(folder.path())).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_data_folder_in_use_is_refused() {
    let first = Coordinator::start().await;
    let error = coordinator::start(settings(first.folder.path())).await.unwrap_err();
    assert!(matches!(error, StartError::DataDirLocked { .. }), "{error}");
    assert!(error.to_string().contains("--data-dir"), "{error}");
    first.restart().await;
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let folder = TempDir::new().unwrap();
    coordinator::start(settings(folder.path())).await.unwrap().stop().await;
    let database = rusqlite::Connection::open(folder.path().join("constellation.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let error = coordinator::start(settings(folder.path())).await.unwrap_err();
    assert!(matches!(error, StartError::NewerDatabase { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused_and_kept() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("constellation.db"), "not a database at all").unwrap();
    let error = coordinator::start(settings(folder.path())).await.unwrap_err();
    assert!(matches!(error, StartError::Database { .. }), "{error}");
    let kept = std::fs::read(folder.path().join("constellation.db")).unwrap();
    assert_eq!(kept, b"not a database at all");
}

#[tokio::test]
async fn an_unwritable_data_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    // A file in place of a folder, because root can write to any folder.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = coordinator::start(settings(&file.join("data"))).await.unwrap_err();
    assert!(matches!(error, StartError::DataDirUnwritable { .. }), "{error}");
}

#[tokio::test]
async fn token_and_address_files_are_readable_only_by_their_owner() {
    let coordinator = Coordinator::start().await;
    let folder = coordinator.folder.path();
    for file in ["admin-token", "address"] {
        let mode = std::fs::metadata(folder.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let address = std::fs::read_to_string(folder.join("address")).unwrap();
    assert_eq!(address, coordinator.running.https_url());

    // A lost token is replaced, and the lost one is no longer valid.
    let lost = coordinator.admin.clone();
    std::fs::remove_file(folder.join("admin-token")).unwrap();
    let coordinator = coordinator.restart().await;
    assert_ne!(coordinator.admin, lost);
    let request = coordinator.request(reqwest::Method::GET, "/jobs", &lost);
    assert_eq!(request.send().await.unwrap().status(), 401);
}
