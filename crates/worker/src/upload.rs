//! Getting a file to the coordinator: asks what has arrived, sends the rest, as often as it takes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use protocol::encrypted_file::{DecryptingReader, StorageKey, plain_length};
use protocol::{BlobHash, LeaseId};
use reqwest::Body;

use crate::client::Client;
use crate::files::{blocking, sealed_hash};
use crate::response::{RequestError, Sent, late};
use crate::throttle::Throttle;

const PIECE: usize = 64 << 10;
/// Between two looks at how much of what is sent has arrived. What stood still for so long is sent
/// anew from there: a router between may have forgotten the connection, and the system alone would
/// go on trying for a quarter of an hour.
pub(crate) const LOOK: Duration = Duration::from_secs(10);
/// Times that all bytes may arrive damaged before it is not the network's fault.
const DAMAGES: u32 = 3;

/// Why a file can't be sent, however often it is tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("the update can't be read: {0}")]
    Disk(#[from] io::Error),
    #[error("the update was damaged on this device's disk")]
    Spoilt,
    #[error("the update arrived damaged {DAMAGES} times")]
    Damaged,
}

/// A sealed file to be sent, opened, for a lease.
pub(crate) struct Upload<'a> {
    pub(crate) client: &'a Client,
    pub(crate) lease: LeaseId,
    pub(crate) blob: BlobHash,
    pub(crate) path: &'a Path,
    pub(crate) key: &'a StorageKey,
    pub(crate) maximum_mbps: Option<f64>,
    /// [`LOOK`].
    pub(crate) look: Duration,
}

impl Upload<'_> {
    /// Sends the file; goes on where an earlier try broke off. Dropping the future gives it up.
    pub(crate) async fn run(&self, failed: impl Fn(&RequestError)) -> Result<(), UploadError> {
        let length = self.checked().await?;
        let (mut tries, mut damages) = (self.client.tries(), 0);
        loop {
            match self.rest(length).await {
                Ok(Sent::Whole) => return Ok(()),
                // The next round asks where.
                Ok(Sent::Elsewhere { .. }) => self.client.pause(tries.wait()).await,
                Ok(Sent::Damaged) => damages += 1,
                Err(UploadError::Request(error)) if error.may_pass() => {
                    failed(&error);
                    self.client.pause_after(&error, &mut tries).await;
                }
                Err(error) => return Err(error),
            }
            if damages == DAMAGES {
                return Err(UploadError::Damaged);
            }
        }
    }

    /// The length of the text, once it is what its name says: a damaged file would break off each
    /// try as a bad network does, for ever.
    async fn checked(&self) -> Result<u64, UploadError> {
        let (path, key) = (self.path.to_owned(), self.key.clone());
        let length = plain_length(tokio::fs::metadata(&path).await?.len());
        let hash = blocking(move || sealed_hash(&path, &key)).await?;
        length.filter(|_| hash == self.blob).ok_or(UploadError::Spoilt)
    }

    /// One try: what the coordinator lacks.
    async fn rest(&self, length: u64) -> Result<Sent, UploadError> {
        let received = self.client.received(&self.blob, self.lease).await?;
        if received.complete {
            return Ok(Sent::Whole);
        }
        let offset = received.offset.min(length);
        let body = self.body(offset).await?;
        let rest = (offset, length - offset);
        tokio::select! {
            sent = self.client.send_blob(&self.blob, self.lease, rest, body) => Ok(sent?),
            error = self.standstill(offset) => Err(error.into()),
        }
    }

    /// Ends when nothing more of what is sent has arrived between two looks, or the coordinator
    /// doesn't say.
    async fn standstill(&self, mut arrived: u64) -> RequestError {
        loop {
            tokio::time::sleep(self.look).await;
            match self.client.received(&self.blob, self.lease).await {
                Ok(received) if received.complete || received.offset <= arrived => return late(),
                Ok(received) => arrived = received.offset,
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
    async fn a_file_is_sent_whole() {
        let bytes = update(200_000);
        let server = Server::start(vec![has(0), Step::answer("201 Created", "", b"")]).await;
        send(&server, &bytes).await.unwrap();
        let asked = server.asked();
        assert!(asked[0].line().starts_with("HEAD /blobs/") && asked[0].line().contains("?lease="));
        assert!(asked[1].line().starts_with("PUT /blobs/"), "{}", asked[1].line());
        assert_eq!(asked[1].header("upload-offset"), Some("0"));
        assert_eq!(asked[1].body, bytes);
    }

    #[tokio::test]
    async fn a_broken_upload_goes_on_where_it_broke() {
        let bytes = update(2_000_000);
        let server = Server::start(vec![
            has(0),
            Step::deaf(70_000),
            Step::answer("503 Service Unavailable", "", b""),
            has(70_000),
            Step::answer("201 Created", "", b""),
        ])
        .await;
        send(&server, &bytes).await.unwrap();
        let last = server.asked().pop().unwrap();
        assert_eq!(last.header("upload-offset"), Some("70000"));
        assert_eq!(last.body, bytes[70_000..]);
    }

    #[tokio::test]
    async fn an_upload_that_stands_still_is_begun_anew_from_where_it_is() {
        let bytes = update(9_000_000);
        let server = Server::start(vec![
            has(0),
            Step::silent(70_000),
            has(70_000),
            has(70_000),
            has(70_000),
            Step::answer("201 Created", "", b""),
        ])
        .await;
        send(&server, &bytes).await.unwrap();
        let last = server.asked().pop().unwrap();
        assert_eq!(last.header("upload-offset"), Some("70000"));
        assert!(last.body == bytes[70_000..]);
    }

    #[tokio::test]
    async fn what_is_there_is_not_sent_again() {
        let whole = "Upload-Offset: 5\r\nUpload-Complete: ?1\r\n";
        let server = Server::start(vec![Step::answer("200 OK", whole, b"")]).await;
        send(&server, b"12345").await.unwrap();
    }

    #[tokio::test]
    async fn another_offset_is_taken() {
        let conflict = Step::answer("409 Conflict", "Upload-Offset: 2\r\n", b"");
        let steps = vec![has(0), conflict, has(2), Step::answer("201 Created", "", b"")];
        let server = Server::start(steps).await;
        send(&server, b"12345").await.unwrap();
        assert_eq!(server.asked().pop().unwrap().body, b"345");
    }

    #[tokio::test]
    async fn damage_is_sent_again_but_not_for_ever() {
        let damaged = || Step::answer("422 Unprocessable Content", "", b"");
        let steps = vec![has(0), damaged(), has(0), damaged(), has(0), damaged()];
        let server = Server::start(steps).await;
        let error = send(&server, b"12345").await.unwrap_err();
        assert!(matches!(error, UploadError::Damaged), "{error}");
    }

    #[tokio::test]
    async fn an_update_that_the_disk_spoilt_is_not_sent() {
        let server = Server::start(vec![]).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("update.f32");
        let key = StorageKey::from_bytes([7; 32]);
        std::fs::write(&path, seal(&key, b"another", [1; 32]).unwrap()).unwrap();
        let error = send_file(&server, BlobHash::of(b"12345"), &path).await.unwrap_err();
        assert!(matches!(error, UploadError::Spoilt), "{error}");
        std::fs::write(&path, b"12345").unwrap();
        let error = send_file(&server, BlobHash::of(b"12345"), &path).await.unwrap_err();
        assert!(matches!(error, UploadError::Disk(_)), "{error}");
    }

    #[tokio::test]
    async fn a_lease_that_is_gone_is_the_end() {
        let server = Server::start(vec![Step::answer("404 Not Found", "", b"")]).await;
        let error = send(&server, b"12345").await.unwrap_err();
        assert!(matches!(error, UploadError::Request(RequestError::Refused(_))), "{error}");
    }

    /// The answer to HEAD where so many bytes have arrived.
    fn has(offset: u64) -> Step {
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
        send_file(server, BlobHash::of(bytes), &path).await
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
            // Longer than a connection on this machine takes.
            look: Duration::from_millis(500),
        };
        upload.run(|_| {}).await
    }
}
