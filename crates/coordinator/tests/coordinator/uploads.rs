//! Resumable uploads and range downloads of blobs.

use protocol::{BlobHash, LeaseId};
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::device::{Device, update};
use crate::support::{Coordinator, tiny_job};

/// Announces one byte more than it sends and closes the connection. Returns when the sent bytes are stored.
pub(crate) async fn broken_upload(
    coordinator: &Coordinator,
    device: &Device,
    lease: LeaseId,
    hash: BlobHash,
    bytes: &[u8],
) {
    let address = coordinator.running.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PUT /blobs/{hash}?lease={lease} HTTP/1.1\r\nHost: {address}\r\n\
         Authorization: Bearer {}\r\nUpload-Offset: 0\r\nContent-Length: {}\r\n\r\n",
        device.token,
        bytes.len() + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    // Ends when the coordinator has closed the connection.
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let stored = bytes.len().to_string();
    loop {
        if offset(coordinator, device, lease, hash).await == stored {
            return;
        }
    }
}

async fn offset(
    coordinator: &Coordinator,
    device: &Device,
    lease: LeaseId,
    hash: BlobHash,
) -> String {
    let path = format!("/blobs/{hash}?lease={lease}");
    let head = coordinator.request(Method::HEAD, &path, &device.token).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    head.headers()["upload-offset"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_broken_upload_resumes_at_its_offset() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let bytes = update(&lease);
    let hash = BlobHash::compute(&bytes);
    assert_eq!(offset(&coordinator, &device, lease.id, hash).await, "0");
    let part = 20;
    broken_upload(&coordinator, &device, lease.id, hash, &bytes[..part]).await;

    let wrong = device.upload(&coordinator, lease.id, hash, 3, bytes[3..].to_vec()).await;
    assert_eq!(wrong.status(), StatusCode::CONFLICT);
    assert_eq!(wrong.headers()["upload-offset"], "20");
    let rest = bytes[part..].to_vec();
    let sent = device.upload(&coordinator, lease.id, hash, part as u64, rest).await;
    assert_eq!(sent.status(), StatusCode::CREATED);
    assert_eq!(sent.headers()["upload-complete"], "?1");
    let path = format!("/blobs/{hash}?lease={}", lease.id);
    let head = coordinator.request(Method::HEAD, &path, &device.token).send().await.unwrap();
    assert_eq!(head.headers()["upload-complete"], "?1");
    assert_eq!(head.headers()["upload-offset"], bytes.len().to_string().as_str());
    let (_, answer) = device.submit(&coordinator, lease.id, hash).await;
    assert_eq!(answer["outcome"], "accepted");
}

#[tokio::test]
async fn bytes_that_are_not_the_blob_are_dropped() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let hash = BlobHash::compute(&update(&lease));
    let wrong = vec![7; update(&lease).len()];
    let sent = device.upload(&coordinator, lease.id, hash, 0, wrong).await;
    assert_eq!(sent.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(offset(&coordinator, &device, lease.id, hash).await, "0");
}

#[tokio::test]
async fn ranges_are_honored() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let whole = device.blob(&coordinator, lease.base).await;
    let path = format!("/blobs/{}", lease.base);
    let get = |range: &'static str| {
        coordinator.request(Method::GET, &path, &device.token).header("range", range).send()
    };
    let part = get("bytes=4-11").await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], format!("bytes 4-11/{}", whole.len()).as_str());
    assert_eq!(part.headers()["etag"], format!("\"{}\"", lease.base).as_str());
    assert_eq!(part.bytes().await.unwrap(), &whole[4..12]);
    let rest = get("bytes=8-").await.unwrap();
    assert_eq!(rest.bytes().await.unwrap(), &whole[8..]);
    let beyond = get("bytes=100000-").await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers()["content-range"], format!("bytes */{}", whole.len()).as_str());
}

#[tokio::test]
async fn a_client_that_has_a_blob_or_a_model_gets_304_and_no_bytes() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let blob = format!("/blobs/{}", lease.base);
    let get = async |method: Method, path: &str, token: &str, tag: &str| {
        let request = coordinator.request(method, path, token).header("If-None-Match", tag);
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, response.bytes().await.unwrap().len())
    };
    let tag = format!("\"{}\"", lease.base);
    for token in [&device.token, &coordinator.admin] {
        for method in [Method::GET, Method::HEAD] {
            let (status, headers, length) = get(method.clone(), &blob, token, &tag).await;
            assert_eq!((status, length), (StatusCode::NOT_MODIFIED, 0), "{method}");
            assert_eq!(headers["etag"], tag.as_str());
            let (status, ..) = get(method, &blob, token, "\"other\"").await;
            assert_eq!(status, StatusCode::OK);
        }
    }
    // What a device may not read is not confirmed either.
    let secret = BlobHash::compute(b"secret");
    let (status, ..) =
        get(Method::GET, &format!("/blobs/{secret}"), &device.token, &format!("\"{secret}\""))
            .await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    device.report(&coordinator, &lease, update(&lease)).await;
    device.work(&coordinator).await;
    coordinator.job_when(&id, |job| job["current_epoch"] == 1).await;
    device.work(&coordinator).await;
    let job = coordinator.job_in(&id, "completed").await;
    let path = format!("/models/{}/download", job["name"].as_str().unwrap().replace(' ', "%20"));
    let (status, headers, length) = get(Method::GET, &path, &coordinator.admin, "\"other\"").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["etag"], format!("\"{}\"", job["model_blake3"].as_str().unwrap()).as_str());
    assert!(length > 0);
    let tag = headers["etag"].to_str().unwrap();
    let (status, headers, length) = get(Method::GET, &path, &coordinator.admin, tag).await;
    assert_eq!((status, length), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(headers["cache-control"], "private, no-cache");
}

#[tokio::test]
async fn an_admin_uploads_and_registers_a_model() {
    let coordinator = Coordinator::start().await;
    let spec = serde_json::json!({
        "input": { "kind": "text", "buckets": 8, "ngrams": 1, "max_words": 4 },
        "layers": [{ "kind": "embedding_bag", "dimension": 2 }, { "kind": "linear", "outputs": 2 }]
    });
    let parsed: protocol::model::ModelSpec = serde_json::from_value(spec.clone()).unwrap();
    let parameters = parsed.layout().unwrap().parameters;
    let bytes = protocol::codec::encode(&vec![0.25; parameters]);
    let hash = BlobHash::compute(&bytes);
    let path = format!("/blobs/{hash}");
    let put = coordinator.request(Method::PUT, &path, &coordinator.admin).body(bytes.clone());
    assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
    let body = serde_json::json!({
        "name": "from outside", "blob": hash, "spec": spec, "model_type": "nlp",
        "dataset": "synthetic", "classes": ["a", "b"]
    });
    let model = coordinator.post("/models", body.clone()).await;
    let path = model["checkpoint_path"].as_str().unwrap();
    let file = coordinator.request(Method::GET, path, &coordinator.admin).send().await.unwrap();
    let expected = [protocol::model_file::header(&parsed).unwrap(), bytes].concat();
    assert_eq!(file.bytes().await.unwrap(), expected);

    let mut short = body;
    short["spec"]["layers"][0]["dimension"] = serde_json::json!(3);
    let (status, body) = coordinator.ask(Method::POST, "/models", Some(short)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
}
