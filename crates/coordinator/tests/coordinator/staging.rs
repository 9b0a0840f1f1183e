//! Uploads for an import: resumable, within the quota, and gone when they are no longer needed.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Client, Coordinator, answer, settings, small_csv};

/// Returns the files below the staging folder.
pub(crate) fn staged_files(coordinator: &Coordinator) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(coordinator.folder.path().join("staging"));
    let folders = folders.into_iter().flatten().map(|folder| folder.unwrap().path());
    folders.flat_map(|it| std::fs::read_dir(it).unwrap()).map(|it| it.unwrap().path()).collect()
}

/// Uploads a file as one body. Returns its id.
pub(crate) async fn upload(client: &Client, filename: &str, bytes: impl Into<Vec<u8>>) -> String {
    let path = format!("/datasets/uploads?filename={filename}");
    let request = client.request(Method::POST, &path, &client.admin).body(bytes.into());
    let (status, state) = answer(request).await;
    assert_eq!(status, StatusCode::CREATED, "{state}");
    assert_eq!((&state["received"], &state["filename"]), (&state["length"], &json!(filename)));
    state["id"].as_str().unwrap().to_owned()
}

async fn begin(client: &Client, length: usize) -> String {
    let path = format!("/datasets/uploads?filename=rows.csv&length={length}");
    let (status, state) = client.ask(Method::POST, &path, None).await;
    assert_eq!((status, &state["received"]), (StatusCode::CREATED, &json!(0)), "{state}");
    state["id"].as_str().unwrap().to_owned()
}

async fn append(client: &Client, id: &str, offset: usize, bytes: &[u8]) -> (StatusCode, Value) {
    let path = format!("/datasets/uploads/{id}");
    let request = client.request(Method::PATCH, &path, &client.admin);
    answer(request.header("Upload-Offset", offset).body(bytes.to_vec())).await
}

/// Sends a part of an upload and closes the connection. Returns when the part is stored.
async fn broken(coordinator: &Coordinator, id: &str, bytes: &[u8]) {
    let address = coordinator.running.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PATCH /datasets/uploads/{id} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Upload-Offset: 0\r\nContent-Length: {}\r\n\r\n",
        coordinator.admin,
        bytes.len() + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    let path = format!("/datasets/uploads/{id}");
    while coordinator.get(&path).await["received"] != bytes.len() {}
}

#[tokio::test]
async fn a_broken_upload_resumes_at_its_offset_and_is_imported() {
    let coordinator = Coordinator::start().await;
    let csv = small_csv().into_bytes();
    let id = begin(&coordinator, csv.len()).await;
    broken(&coordinator, &id, &csv[..50]).await;

    let path = format!("/datasets/uploads/{id}");
    let head = coordinator.request(Method::HEAD, &path, &coordinator.admin).send().await.unwrap();
    assert_eq!(
        (head.status(), &head.headers()["upload-offset"]),
        (StatusCode::OK, &"50".parse().unwrap())
    );
    assert_eq!(head.headers()["upload-complete"], "?0");
    let request = json!({ "name": "rows", "uploads": [{ "id": id }] });
    let (status, problem) = coordinator.ask(Method::POST, "/datasets", Some(request.clone())).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("incomplete-upload")));

    let (status, problem) = append(&coordinator, &id, 7, &csv[7..]).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("offset-mismatch")));
    let (status, problem) = append(&coordinator, &id, 50, &[&csv[50..], b"more"].concat()).await;
    assert_eq!((status, &problem["type"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("too-large")));
    let (status, state) = append(&coordinator, &id, 50, &csv[50..]).await;
    assert_eq!((status, &state["received"]), (StatusCode::OK, &json!(csv.len())));
    assert_eq!(std::fs::read(&staged_files(&coordinator)[0]).unwrap(), csv);

    let added = coordinator.post("/datasets", request).await;
    assert_eq!(
        (&added["info"]["name"], &added["info"]["train_rows"]),
        (&json!("rows"), &json!(18))
    );
    assert_eq!(staged_files(&coordinator), [""; 0].map(PathBuf::from));
    let (status, problem) = coordinator.ask(Method::GET, &path, None).await;
    assert_eq!((status, &problem["type"]), (StatusCode::NOT_FOUND, &json!("unknown-upload")));
}

#[tokio::test]
async fn a_whole_body_that_breaks_off_leaves_nothing() {
    let coordinator = Coordinator::start().await;
    let address = coordinator.running.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /datasets/uploads?filename=rows.csv HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 1000\r\n\r\nhalf",
        coordinator.admin,
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    while staged_files(&coordinator).is_empty() {
        tokio::task::yield_now().await;
    }
    stream.shutdown().await.unwrap();
    drop(stream);
    while !staged_files(&coordinator).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_upload_is_gone_when_it_is_canceled_or_not_used_for_an_hour() {
    let coordinator = Coordinator::start().await;
    let [canceled, used, unused] = [
        begin(&coordinator, 9).await,
        upload(&coordinator, "used.csv", "text").await,
        upload(&coordinator, "unused.csv", "text").await,
    ];
    let path = format!("/datasets/uploads/{canceled}");
    assert_eq!(coordinator.ask(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(coordinator.ask(Method::DELETE, &path, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(append(&coordinator, &canceled, 0, b"x").await.0, StatusCode::NOT_FOUND);
    let set_age = |name: &str, minutes| {
        let files = staged_files(&coordinator);
        let file = files.iter().find(|file| file.ends_with(name)).unwrap();
        let file = std::fs::File::options().write(true).open(file).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_mins(minutes)).unwrap();
    };
    set_age("used.csv", 59);
    set_age("unused.csv", 61);
    coordinator.get(&format!("/datasets/uploads/{used}")).await;
    let path = format!("/datasets/uploads/{unused}");
    assert_eq!(coordinator.ask(Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(staged_files(&coordinator).len(), 1);
    // The question was a use: the hour begins again.
    let files = staged_files(&coordinator);
    let age = std::fs::metadata(&files[0]).unwrap().modified().unwrap().elapsed().unwrap();
    assert!(age < Duration::from_mins(59), "{age:?}");
}

#[tokio::test]
async fn a_restart_removes_uploads_and_their_bytes() {
    let coordinator = Coordinator::start().await;
    let id = upload(&coordinator, "rows.csv", small_csv()).await;
    assert_eq!(staged_files(&coordinator).len(), 1);
    let coordinator = coordinator.restart().await;
    assert_eq!(staged_files(&coordinator).len(), 0);
    let request = json!({ "uploads": [{ "id": id }] });
    let path = "/datasets/inspect";
    let (status, problem) = coordinator.ask(Method::POST, path, Some(request)).await;
    assert_eq!((status, &problem["type"]), (StatusCode::NOT_FOUND, &json!("unknown-upload")));
    assert_eq!(problem["field"], "uploads");
}

#[tokio::test]
async fn uploads_count_into_the_quota_and_a_refused_one_keeps_what_arrived() {
    let folder = TempDir::new().unwrap();
    let mut settings = settings(folder.path());
    settings.maximum_disk_bytes = Some(24 << 20);
    let running = coordinator::start(settings).await.unwrap();
    let coordinator = Coordinator::from_running(running, folder);
    // More than the whole quota is refused before a byte is sent.
    let path = format!("/datasets/uploads?filename=large.csv&length={}", 30 << 20);
    let (status, problem) = coordinator.ask(Method::POST, &path, None).await;
    assert_eq!((status, &problem["type"]), (StatusCode::INSUFFICIENT_STORAGE, &json!("disk-full")));
    assert_eq!(staged_files(&coordinator).len(), 0);

    // Two files of 15 MiB fit one by one, not together.
    let half = 15 << 20;
    let [first, second] = [begin(&coordinator, half).await, begin(&coordinator, half).await];
    let bytes = vec![b'x'; half];
    assert_eq!(append(&coordinator, &first, 0, &bytes).await.0, StatusCode::OK);
    let (status, problem) = append(&coordinator, &second, 0, &bytes).await;
    assert_eq!((status, &problem["type"]), (StatusCode::INSUFFICIENT_STORAGE, &json!("disk-full")));
    let path = format!("/datasets/uploads/{second}");
    let received = coordinator.get(&path).await["received"].as_u64().unwrap();
    assert!(received < half as u64, "{received}");
    // When there is room again, it goes on from there.
    let first = format!("/datasets/uploads/{first}");
    coordinator.ask(Method::DELETE, &first, None).await;
    let offset = usize::try_from(received).unwrap();
    let resumed = async {
        loop {
            let received = coordinator.get(&path).await["received"].as_u64().unwrap();
            let offset = usize::try_from(received).unwrap();
            // A full measurement of the folder is reused for two seconds.
            match append(&coordinator, &second, offset, &bytes[offset..]).await {
                (StatusCode::OK, state) => return state,
                (status, _) => assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE),
            }
        }
    };
    let state = tokio::time::timeout(Duration::from_mins(1), resumed).await.unwrap();
    assert_eq!(state["received"], half);
    assert!(offset < half);
}

#[tokio::test]
async fn an_upload_that_can_t_be_right_is_refused_at_once() {
    let coordinator = Coordinator::start().await;
    for (path, status, kind, field) in [
        ("?filename=a.csv", 422, "bad-upload", "length"),
        ("?filename=a.csv&length=0", 422, "bad-upload", "length"),
        ("?filename=a.csv&length=many", 400, "wrong-query", ""),
        ("?filename=a.csv&length=99999999999999", 413, "too-large", ""),
        ("?length=5", 422, "bad-dataset", "filename"),
        ("?filename=.hidden&length=5", 422, "bad-dataset", "filename"),
        ("?filename=a.csv&length=5&name=Bad%20Name", 422, "bad-dataset", "name"),
        ("?filename=a.csv&length=5&name=inspect", 422, "bad-dataset", "name"),
        ("?filename=a.csv&length=5&name=synthetic", 409, "name-taken", "name"),
    ] {
        let path = format!("/datasets/uploads{path}");
        let (found, problem) = coordinator.ask(Method::POST, &path, None).await;
        assert_eq!((found.as_u16(), &problem["type"]), (status, &json!(kind)), "{path}: {problem}");
        let expected = if field.is_empty() { Value::Null } else { json!(field) };
        assert_eq!(problem["field"], expected, "{path}");
    }
    assert_eq!(staged_files(&coordinator).len(), 0);
    let viewer = coordinator.token("viewer").await;
    let path = "/datasets/uploads?filename=a.csv&length=5";
    let request = coordinator.request(Method::POST, path, &viewer);
    assert_eq!(answer(request).await.0, StatusCode::FORBIDDEN);
}
