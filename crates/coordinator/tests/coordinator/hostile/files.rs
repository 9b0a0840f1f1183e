//! Malicious dataset files. The tests of the data crate show the limits of each reader; these show that a
//! refused file leaves nothing behind and that the coordinator keeps working.

use std::io::{Cursor, Write};
use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::support::{Coordinator, answer, settings, small_csv};

async fn add(coordinator: &Coordinator, filename: &str, bytes: Vec<u8>) -> (StatusCode, Value) {
    let path = format!("/datasets?name=mine&filename={filename}");
    let request = coordinator.request(Method::POST, &path, &coordinator.admin);
    answer(request.body(bytes)).await
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Returns the names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn assert_nothing_left(coordinator: &Coordinator) {
    let folder = coordinator.folder.path();
    assert_eq!(names(&folder.join("datasets")), Vec::<String>::new());
    assert_eq!(names(&folder.join("blobs/scratch")), Vec::<String>::new());
}

#[tokio::test]
async fn malicious_files_are_refused_with_a_clear_message() {
    let coordinator = Coordinator::start().await;
    let quote = [b"text,label\na,x\n\"b".to_vec(), vec![b'x'; 17 << 20]].concat();
    let columns = [vec![b','; 30_000], b"\na,b\n".to_vec()].concat();
    // A footer with a claimed length of 4 GB.
    let parquet = [b"PAR1", &[0; 64][..], &u32::MAX.to_le_bytes(), b"PAR1"].concat();
    // The PNG signature and header of an image of 60,000 by 60,000 pixels.
    let mut image = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\0\0\0\0".to_vec();
    image.extend([0; 4]);
    let pictures = zip(&[("cat/1.png", &image), ("dog/2.png", &image)]);
    let traversal = zip(&[("a/../../out.csv", b"text,label\n")]);
    let row = "{\"text\":\"a\",\"label\":".to_owned();
    let deep = [row, "[".repeat(2 << 20), "\n".to_owned()].concat().into_bytes();
    for (filename, bytes, expected) in [
        ("quote.csv", quote, "is a closing quote missing?"),
        ("columns.csv", columns, "more than 20000 columns"),
        ("footer.parquet", parquet, "not a readable Parquet file"),
        ("pictures.zip", pictures, "2 of 2 rows of pictures.zip cannot be used"),
        ("out.zip", traversal, "a path outside of it"),
        (
            "deep.jsonl",
            deep,
            "1 of 1 rows of deep.jsonl cannot be used, more than one in ten; the first: deep.jsonl line 1",
        ),
    ] {
        let (status, body) = add(&coordinator, filename, bytes).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{filename}: {body}");
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{filename}: {detail}");
        let folder = coordinator.folder.path().to_str().unwrap();
        assert!(!detail.contains(folder), "{filename}: the message contains the folder: {detail}");
        assert_nothing_left(&coordinator);
    }
    let (status, body) = add(&coordinator, "good.csv", small_csv().into_bytes()).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
}

#[tokio::test]
async fn a_zip_bomb_is_unpacked_only_within_the_disk_quota() {
    let folder = TempDir::new().unwrap();
    let mut small = settings(folder.path());
    small.maximum_disk_bytes = Some(16 << 20);
    let running = coordinator::start(small).await.unwrap();
    let coordinator = Coordinator::from_running(running, folder);
    let row = b"a,b\n".repeat(8 << 20);
    let bomb = zip(&[("rows.csv", &row)]);
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let (status, body) = add(&coordinator, "bomb.zip", bomb).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    assert!(body["detail"].as_str().unwrap().contains("unpacks to more than"), "{body}");
    assert_nothing_left(&coordinator);
}

#[tokio::test]
async fn a_form_is_bounded_and_the_error_says_how_to_send_larger_files() {
    let coordinator = Coordinator::start().await;
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\n{}\r\n--b--\r\n",
        "a,b\n".repeat(1 << 19)
    );
    let endless_headers = format!("--b\r\nX: {}", "x".repeat(2 << 20));
    for body in [form, endless_headers] {
        let request = coordinator.request(Method::POST, "/datasets?name=x", &coordinator.admin);
        let request = request.header("content-type", "multipart/form-data; boundary=b");
        let (status, body) = answer(request.body(body)).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
        assert!(body["detail"].as_str().unwrap().contains("send the file itself"), "{body}");
    }
}
