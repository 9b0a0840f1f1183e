//! Tests of downloads that are interrupted, damaged or too large.

use protocol::encrypted_file::{CHUNK, FRAME, HEADER, open, seal};
use tempfile::TempDir;

use super::*;
use crate::test_server::{Server, Step};

const KEY: StorageKey = StorageKey::from_bytes([7; 32]);
const BLOB: &[u8] = b"0123456789";

#[tokio::test]
async fn a_blob_is_fetched_once() {
    let server = Server::start(vec![Step::answer("200 OK", "", BLOB)]).await;
    let (_folder, cache) = cache(1000);
    for _ in 0..2 {
        let path = fetch(&cache, &server, 100).await.unwrap();
        assert_eq!(text(&path), BLOB);
    }
    assert_eq!(server.requests()[0].header("range"), None);
}

#[tokio::test]
async fn an_interrupted_download_resumes_at_the_last_frame() {
    let blob = long();
    let range = format!("Content-Range: bytes {CHUNK}-{}/{}\r\n", blob.len() - 1, blob.len());
    let server = Server::start(vec![
        Step::broken("200 OK", "", &blob, CHUNK + 500),
        Step::answer("500 Internal Server Error", "", b""),
        Step::answer("206 Partial Content", &range, &blob[CHUNK..]),
    ])
    .await;
    let (folder, cache) = cache(1000);
    let path =
        cache.fetch(&server.client(), &BlobHash::compute(&blob), 1 << 20, |_| {}).await.unwrap();
    assert_eq!(text(&path), blob);
    assert_eq!(server.requests()[2].header("range"), Some("bytes=65536-"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_download_resumes_after_a_kill_that_truncated_its_last_frame() {
    let blob = long();
    let (folder, cache) = cache(1000);
    let part = folder.path().join(format!("{}.part", BlobHash::compute(&blob)));
    let sealed = seal(&KEY, &blob, [1; 32]).unwrap();
    for length in [HEADER + FRAME + 1, HEADER + FRAME + 33, sealed.len() - 1] {
        fs::write(&part, &sealed[..length]).unwrap();
        let range = format!("Content-Range: bytes {CHUNK}-{}/{}\r\n", blob.len() - 1, blob.len());
        let steps = vec![Step::answer("206 Partial Content", &range, &blob[CHUNK..])];
        let server = Server::start(steps).await;
        let name = BlobHash::compute(&blob);
        let path = cache.fetch(&server.client(), &name, 1 << 20, |_| {}).await.unwrap();
        assert_eq!(server.requests()[0].header("range"), Some("bytes=65536-"));
        assert_eq!(text(&path), blob, "truncated to {length} bytes");
        fs::remove_file(path).unwrap();
    }
}

#[tokio::test]
async fn files_encrypted_with_another_key_are_fetched_again() {
    let other = StorageKey::from_bytes([8; 32]);
    let (folder, cache) = cache(1000);
    for name in [BlobHash::compute(BLOB).to_string(), format!("{}.part", BlobHash::compute(BLOB))] {
        fs::write(folder.path().join(name), seal(&other, BLOB, [1; 32]).unwrap()).unwrap();
    }
    let server = Server::start(vec![Step::answer("200 OK", "", BLOB)]).await;
    let path = fetch(&cache, &server, 100).await.unwrap();
    assert_eq!(text(&path), BLOB);
}

#[tokio::test]
async fn no_byte_of_a_blob_is_on_the_disk_in_the_clear() {
    let blob = long();
    let steps = vec![
        Step::broken("200 OK", "", &blob, CHUNK + 500),
        Step::answer("404 Not Found", "", b""),
        Step::answer("200 OK", "", &blob),
    ];
    let server = Server::start(steps).await;
    let (folder, cache) = cache(1000);
    for _ in 0..2 {
        drop(cache.fetch(&server.client(), &BlobHash::compute(&blob), 1 << 20, |_| {}).await);
        let files: Vec<PathBuf> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1);
        let bytes = fs::read(&files[0]).unwrap();
        assert!(bytes.len() > CHUNK);
        let marker = b"a row of the company's";
        assert!(!bytes.windows(marker.len()).any(|window| window == marker), "{files:?}");
    }
}

#[tokio::test]
async fn a_server_without_range_requests_sends_the_whole_blob_again() {
    let steps = vec![Step::broken("200 OK", "", BLOB, 4), Step::answer("200 OK", "", BLOB)];
    let server = Server::start(steps).await;
    let (_folder, cache) = cache(1000);
    let path = fetch(&cache, &server, 100).await.unwrap();
    assert_eq!(text(&path), BLOB);
}

#[tokio::test]
async fn a_complete_part_needs_no_request() {
    let server = Server::start(vec![]).await;
    let (folder, cache) = cache(1000);
    let part = folder.path().join(format!("{}.part", BlobHash::compute(BLOB)));
    fs::write(part, seal(&KEY, BLOB, [1; 32]).unwrap()).unwrap();
    fetch(&cache, &server, 100).await.unwrap();
}

#[tokio::test]
async fn a_damaged_download_is_fetched_again() {
    let server = Server::start(vec![
        Step::answer("416 Range Not Satisfiable", "", b""),
        Step::answer("200 OK", "", b"012345678x"),
        Step::answer("200 OK", "", BLOB),
    ])
    .await;
    let (folder, cache) = cache(1000);
    let part = folder.path().join(format!("{}.part", BlobHash::compute(BLOB)));
    // Too long for the blob, and not the last frame.
    let sealed = seal(&KEY, &long(), [1; 32]).unwrap();
    fs::write(part, &sealed[..HEADER + FRAME]).unwrap();
    let path = fetch(&cache, &server, 100).await.unwrap();
    assert_eq!(text(&path), BLOB);
}

#[tokio::test]
async fn repeated_damage_is_an_error() {
    let wrong = || Step::answer("200 OK", "", b"something else");
    let server = Server::start(vec![wrong(), wrong(), wrong()]).await;
    let (folder, cache) = cache(1000);
    let error = fetch(&cache, &server, 100).await.unwrap_err();
    assert!(matches!(error, FetchError::Damaged(_)), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_blob_that_is_too_long_is_not_kept() {
    let server = Server::start(vec![Step::answer("200 OK", "", BLOB)]).await;
    let (folder, cache) = cache(1000);
    let error = fetch(&cache, &server, 9).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLong { maximum: 9 }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_refusal_is_not_retried() {
    let server = Server::start(vec![Step::answer("404 Not Found", "", b"")]).await;
    let (_folder, cache) = cache(1000);
    let error = fetch(&cache, &server, 100).await.unwrap_err();
    assert!(matches!(error, FetchError::Request(RequestError::Refused(_))), "{error}");
}

#[tokio::test]
async fn a_damaged_file_in_the_cache_is_fetched_again() {
    let server = Server::start(vec![Step::answer("200 OK", "", BLOB)]).await;
    let (folder, cache) = cache(1000);
    fs::write(folder.path().join(BlobHash::compute(BLOB).to_string()), b"012345").unwrap();
    let path = fetch(&cache, &server, 100).await.unwrap();
    assert_eq!(text(&path), BLOB);
}

#[tokio::test]
async fn the_least_recently_used_files_are_evicted_and_needed_files_stay() {
    let (folder, cache) = cache(1000);
    let blobs: Vec<BlobHash> = (0..4_u8)
        .map(|age| {
            let blob = BlobHash::compute(&[age]);
            let path = folder.path().join(blob.to_string());
            fs::write(&path, [age; 200]).unwrap();
            let used = SystemTime::now() - Duration::from_secs(1000 - u64::from(age));
            fs::File::open(path).unwrap().set_modified(used).unwrap();
            blob
        })
        .collect();
    let present = || {
        let exists = |blob: &BlobHash| folder.path().join(blob.to_string()).exists();
        blobs.iter().map(exists).collect::<Vec<_>>()
    };
    // Together 800 bytes. The first blob is needed, and 400 bytes for another blob and the workspace.
    let more = (BlobHash::compute(b"more"), 100);
    let needed = [(blobs[0], 144), more];
    cache.make_room(&needed, 300, 56).await.unwrap();
    assert_eq!(present(), [true, false, false, true]);

    let too_much = [(blobs[0], 144), (BlobHash::compute(b"more"), 900)];
    let error = cache.make_room(&too_much, 0, 0).await.unwrap_err();
    assert!(matches!(error, FetchError::Shortage(Shortage::Quota { .. })), "{error}");
    assert_eq!(present(), [true, false, false, true], "nothing is evicted if it is not enough");

    let quota = Quota { maximum: u64::MAX, minimum_free: u64::MAX / 2 };
    let full = Cache { quota, ..cache };
    let error = full.make_room(&needed, 300, 56).await.unwrap_err();
    assert!(matches!(error, FetchError::Shortage(Shortage::Disk { .. })), "{error}");
    full.make_room(&[(blobs[0], 144)], 56, 56).await.unwrap();
}

/// More than one frame, with text that is easy to find in the file.
fn long() -> Vec<u8> {
    b"a row of the company's ".repeat(CHUNK / 16)
}

fn text(path: &Path) -> Vec<u8> {
    open(&KEY, fs::read(path).unwrap()).unwrap()
}

async fn fetch(cache: &Cache, server: &Server, maximum: u64) -> Result<PathBuf, FetchError> {
    cache.fetch(&server.client(), &BlobHash::compute(BLOB), maximum, |_| {}).await
}

fn cache(maximum: u64) -> (TempDir, Cache) {
    let quota = Quota { maximum, minimum_free: 0 };
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path().to_owned(), quota, KEY).unwrap();
    (folder, cache)
}
