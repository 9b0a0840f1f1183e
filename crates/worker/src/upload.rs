//! Resumable upload of one encrypted file: asks the coordinator how much has arrived, and sends the
//! rest until all of it is there.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use protocol::encrypted_file::{DecryptingReader, StorageKey, plain_length};
use protocol::{BlobHash, LeaseId};
use reqwest::Body;

use crate::files::{blocking, plaintext_hash};
use crate::net::client::Client;
use crate::net::response::{RequestError, UploadResult, timed_out};
use crate::net::throttle::Throttle;

const PIECE: usize = 64 << 10;
/// Interval at which the coordinator is asked how much has arrived. If nothing arrived in one
/// interval, the upload starts again from there: a router may have dropped the connection, and the
/// system would retransmit for a quarter of an hour.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Number of damaged uploads after which the network is not to blame.
const MAXIMUM_DAMAGED: u32 = 3;

/// Why a file can't be uploaded, even by trying again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("the update can't be read: {0}")]
    Disk(#[from] io::Error),
    #[error("the update was damaged on this device's disk")]
    DamagedOnDisk,
    #[error("the update arrived damaged {MAXIMUM_DAMAGED} times")]
    DamagedInTransit,
}

/// The upload of an encrypted file's plaintext for a lease.
pub(crate) struct Upload<'a> {
    pub(crate) client: &'a Client,
    pub(crate) lease: LeaseId,
    pub(crate) blob: BlobHash,
    pub(crate) path: &'a Path,
    pub(crate) key: &'a StorageKey,
    pub(crate) maximum_mbps: Option<f64>,
    /// [`CHECK_INTERVAL`], shorter in tests.
    pub(crate) check_interval: Duration,
}

impl Upload<'_> {
    /// Sends the file, from where an earlier upload ended. Calls `failed` for each attempt that fails.
    /// Dropping the future cancels the upload.
    pub(crate) async fn run(&self, failed: impl Fn(&RequestError)) -> Result<(), UploadError> {
        let length = self.checked_length().await?;
        let (mut attempts, mut damaged) = (self.client.attempts(), 0);
        loop {
            match self.send_rest(length).await {
                Ok(UploadResult::Complete) => return Ok(()),
                // The next attempt asks for the offset.
                Ok(UploadResult::OtherOffset { .. }) => self.client.pause(attempts.wait()).await,
                Ok(UploadResult::Damaged) => damaged += 1,
                Err(UploadError::Request(error)) if error.is_transient() => {
                    failed(&error);
                    self.client.pause_after(&error, &mut attempts).await;
                }
                Err(error) => return Err(error),
            }
            if damaged == MAXIMUM_DAMAGED {
                return Err(UploadError::DamagedInTransit);
            }
        }
    }

    /// Returns the length of the plaintext after verifying its hash. Without the check, a damaged file
    /// would fail every attempt as a bad network does, forever.
    async fn checked_length(&self) -> Result<u64, UploadError> {
        let (path, key) = (self.path.to_owned(), self.key.clone());
        let length = plain_length(tokio::fs::metadata(&path).await?.len());
        let hash = blocking(move || plaintext_hash(&path, &key)).await?;
        length.filter(|_| hash == self.blob).ok_or(UploadError::DamagedOnDisk)
    }

    /// One attempt: sends the bytes that the coordinator lacks.
    async fn send_rest(&self, length: u64) -> Result<UploadResult, UploadError> {
        let status = self.client.upload_status(&self.blob, self.lease).await?;
        if status.complete {
            return Ok(UploadResult::Complete);
        }
        let offset = status.offset.min(length);
        let body = self.body(offset).await?;
        let rest = (offset, length - offset);
        tokio::select! {
            sent = self.client.send_blob(&self.blob, self.lease, rest, body) => Ok(sent?),
            error = self.until_stalled(offset) => Err(error.into()),
        }
    }

    /// Completes when nothing arrived within one [`CHECK_INTERVAL`], or the coordinator can't be asked.
    async fn until_stalled(&self, mut arrived: u64) -> RequestError {
        loop {
            tokio::time::sleep(self.check_interval).await;
            match self.client.upload_status(&self.blob, self.lease).await {
                Ok(status) if status.complete || status.offset <= arrived => return timed_out(),
                Ok(status) => arrived = status.offset,
                Err(error) => return error,
            }
        }
    }

    async fn body(&self, offset: u64) -> io::Result<Body> {
        let (path, key) = (self.path.to_owned(), self.key.clone());
        let source =
            blocking(move || DecryptingReader::at(&key, File::open(path)?, offset)).await?;
        let throttle = Throttle::new(self.maximum_mbps, Instant::now());
        Ok(Body::wrap_stream(stream::try_unfold((source, throttle), next_piece)))
    }
}

type Source = (DecryptingReader<File>, Option<Throttle>);

async fn next_piece((mut source, mut throttle): Source) -> io::Result<Option<(Bytes, Source)>> {
    let (source, piece) = blocking(move || {
        let mut piece = vec![0; PIECE];
        let length = source.read(&mut piece)?;
        piece.truncate(length);
        Ok((source, piece))
    })
    .await?;
    if piece.is_empty() {
        return Ok(None);
    }
    if let Some(throttle) = &mut throttle {
        tokio::time::sleep(throttle.take(piece.len(), Instant::now())).await;
    }
    Ok(Some((piece.into(), (source, throttle))))
}

#[cfg(test)]
mod tests {
    use protocol::LeaseId;
    use protocol::encrypted_file::seal;

    use super::*;
    use crate::test_server::{Server, Step};

    #[tokio::test]
    async fn a_file_is_uploaded_in_one_request() {
        let bytes = update(200_000);
        let server = Server::start(vec![received(0), Step::answer("201 Created", "", b"")]).await;
        send(&server, &bytes).await.unwrap();
        let asked = server.requests();
        assert!(asked[0].line().starts_with("HEAD /blobs/") && asked[0].line().contains("?lease="));
        assert!(asked[1].line().starts_with("PUT /blobs/"), "{}", asked[1].line());
        assert_eq!(asked[1].header("upload-offset"), Some("0"));
        assert_eq!(asked[1].body, bytes);
    }

    #[tokio::test]
    async fn a_broken_upload_resumes_at_the_received_offset() {
        let bytes = update(2_000_000);
        let server = Server::start(vec![
            received(0),
            Step::deaf(70_000),
            Step::answer("503 Service Unavailable", "", b""),
            received(70_000),
            Step::answer("201 Created", "", b""),
        ])
        .await;
        send(&server, &bytes).await.unwrap();
        let last = server.requests().pop().unwrap();
        assert_eq!(last.header("upload-offset"), Some("70000"));
        assert_eq!(last.body, bytes[70_000..]);
    }

    #[tokio::test]
    async fn a_stalled_upload_resumes_at_the_received_offset() {
        let bytes = update(9_000_000);
        let server = Server::start(vec![
            received(0),
            Step::silent(70_000),
            received(70_000),
            received(70_000),
            received(70_000),
            Step::answer("201 Created", "", b""),
        ])
        .await;
        send(&server, &bytes).await.unwrap();
        let last = server.requests().pop().unwrap();
        assert_eq!(last.header("upload-offset"), Some("70000"));
        assert!(last.body == bytes[70_000..]);
    }

    #[tokio::test]
    async fn a_complete_blob_is_not_sent_again() {
        let whole = "Upload-Offset: 5\r\nUpload-Complete: ?1\r\n";
        let server = Server::start(vec![Step::answer("200 OK", whole, b"")]).await;
        send(&server, b"12345").await.unwrap();
    }

    #[tokio::test]
    async fn an_upload_continues_at_the_offset_of_a_conflict() {
        let conflict = Step::answer("409 Conflict", "Upload-Offset: 2\r\n", b"");
        let steps = vec![received(0), conflict, received(2), Step::answer("201 Created", "", b"")];
        let server = Server::start(steps).await;
        send(&server, b"12345").await.unwrap();
        assert_eq!(server.requests().pop().unwrap().body, b"345");
    }

    #[tokio::test]
    async fn a_damaged_upload_is_retried_a_limited_number_of_times() {
        let damaged = || Step::answer("422 Unprocessable Content", "", b"");
        let steps = vec![received(0), damaged(), received(0), damaged(), received(0), damaged()];
        let server = Server::start(steps).await;
        let error = send(&server, b"12345").await.unwrap_err();
        assert!(matches!(error, UploadError::DamagedInTransit), "{error}");
    }

    #[tokio::test]
    async fn an_update_damaged_on_disk_is_not_sent() {
        let server = Server::start(vec![]).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("update.f32");
        let key = StorageKey::from_bytes([7; 32]);
        std::fs::write(&path, seal(&key, b"another", [1; 32]).unwrap()).unwrap();
        let error = send_file(&server, BlobHash::compute(b"12345"), &path).await.unwrap_err();
        assert!(matches!(error, UploadError::DamagedOnDisk), "{error}");
        std::fs::write(&path, b"12345").unwrap();
        let error = send_file(&server, BlobHash::compute(b"12345"), &path).await.unwrap_err();
        assert!(matches!(error, UploadError::Disk(_)), "{error}");
    }

    #[tokio::test]
    async fn an_upload_ends_when_the_lease_is_gone() {
        let server = Server::start(vec![Step::answer("404 Not Found", "", b"")]).await;
        let error = send(&server, b"12345").await.unwrap_err();
        assert!(matches!(error, UploadError::Request(RequestError::Refused(_))), "{error}");
    }

    /// Answer to HEAD when `offset` bytes have arrived.
    fn received(offset: u64) -> Step {
        let headers = format!("Upload-Offset: {offset}\r\nUpload-Complete: ?0\r\n");
        Step::answer("200 OK", &headers, b"")
    }

    fn update(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    async fn send(server: &Server, bytes: &[u8]) -> Result<(), UploadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("update.f32");
        let key = StorageKey::from_bytes([7; 32]);
        std::fs::write(&path, seal(&key, bytes, [1; 32]).unwrap()).unwrap();
        send_file(server, BlobHash::compute(bytes), &path).await
    }

    async fn send_file(server: &Server, blob: BlobHash, path: &Path) -> Result<(), UploadError> {
        let (client, key) = (server.client(), StorageKey::from_bytes([7; 32]));
        let lease: LeaseId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let upload = Upload {
            client: &client,
            lease,
            blob,
            path,
            key: &key,
            maximum_mbps: Some(800.0),
            // Longer than connecting takes on this machine.
            check_interval: Duration::from_millis(500),
        };
        upload.run(|_| {}).await
    }
}
