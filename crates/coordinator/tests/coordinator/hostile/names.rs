//! Path traversal by names: nothing is read or written outside its folder.

use std::path::Path;

use protocol::BlobHash;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;

use super::{said_to, status};
use crate::device::{Device, update};
use crate::support::{Coordinator, answer, small_csv, tiny_job};

#[tokio::test]
async fn paths_that_climb_find_nothing() {
    let coordinator = Coordinator::start().await;
    let zeros = "0".repeat(62);
    for path in [
        "/../admin-token",
        "/%2e%2e/admin-token",
        "/docs/../admin-token",
        "/docs/..%2f..%2fadmin-token",
        "/blobs/..%2fadmin-token",
        "/blobs/../../admin-token",
        &format!("/blobs/..{zeros}"),
        &format!("/blobs/%2e%2e{zeros}"),
        "/models/..%2f..%2fadmin-token",
        "/models/..%2f..%2fadmin-token/download",
        "/models/%2fetc%2fpasswd/download",
        "/jobs/..%2f..%2fadmin-token",
        "//etc/passwd",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            coordinator.admin
        );
        let answer = said_to(&coordinator, request.as_bytes()).await;
        assert!(status(&answer).starts_with("40"), "{path}: {answer}");
        assert!(!answer.contains(&coordinator.admin) && !answer.contains("root:"), "{path}");
    }
}

/// Returns the files below `folder` whose name contains `part`.
fn named(folder: &Path, part: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(named(&path, part));
        } else if path.to_string_lossy().contains(part) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn names_of_datasets_and_files_stay_where_they_belong() {
    let outer = TempDir::new().unwrap();
    let coordinator = Coordinator::start_in(TempDir::new_in(outer.path()).unwrap()).await;
    let add = |query: &str| {
        let path = format!("/datasets?{query}");
        coordinator.request(Method::POST, &path, &coordinator.admin).body(small_csv())
    };
    for name in ["..", "../escape", "..%2fescape", "%2ftmp%2fescape", "a%00b", ".adding-x", "a%0ab"]
    {
        let (status, body) = answer(add(&format!("name={name}&filename=x.csv"))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{name}: {body}");
        assert_eq!(body["field"], "name", "{name}");
    }
    for filename in ["..", "a/..", "x/", "", ".hidden", "a%00.csv", &"x".repeat(300)] {
        let (status, body) = answer(add(&format!("name=x&filename={filename}"))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{filename}: {body}");
        assert_eq!(body["field"], "filename", "{filename}");
    }
    // The last component of a path is the name, as old browsers sent it.
    for (name, filename) in [("one", "..%2f..%2fescape.csv"), ("two", "C:\\\\escape.csv")] {
        let (status, body) = answer(add(&format!("name={name}&filename={filename}"))).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
    }
    assert_eq!(named(outer.path(), "escape"), Vec::<String>::new());
}

#[tokio::test]
async fn names_of_jobs_and_models_are_words_and_no_paths() {
    let outer = TempDir::new().unwrap();
    let coordinator = Coordinator::start_in(TempDir::new_in(outer.path()).unwrap()).await;
    let device = Device::enroll(&coordinator, "one").await;
    let mut job = tiny_job();
    job["name"] = json!("../../escape");
    let id = coordinator.start_job(job).await;
    // Two rounds of two partitions.
    for _ in 0..4 {
        let lease = device.next_job(&coordinator, 60).await.unwrap();
        device.report(&coordinator, &lease, update(&lease)).await;
    }
    coordinator.job_in(&id, "completed").await;
    let models = coordinator.get("/models").await;
    assert_eq!(models[0]["name"], "../../escape");
    let path = models[0]["checkpoint_path"].as_str().unwrap();
    let file = coordinator.request(Method::GET, path, &coordinator.admin).send().await.unwrap();
    assert_eq!(file.status(), StatusCode::OK, "{path}");
    let disposition = file.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(disposition, "attachment; filename=\"------escape-v1.safetensors\"");
    let bytes = file.bytes().await.unwrap();
    assert_eq!(BlobHash::compute(&bytes).to_string(), models[0]["blake3"].as_str().unwrap());
    assert_eq!(named(outer.path(), "escape"), Vec::<String>::new());
}
