//! Resumable uploads: bytes are stored as `partial/HASH.KEY` and become a blob once complete.
//!
//! `sent/HASH.KEY` records a complete upload, so that each sender learns only about its own bytes,
//! not whether others have stored the same blob.

use std::io;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use protocol::BlobHash;
use tokio::fs::{self, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::folder::{Blobs, sync_folder};
use super::turns::Turn;
use crate::crash_points::CrashPoint;

/// Number of bytes for which space is reserved at a time.
const STRIDE: u64 = 1 << 20;

/// Error that ended an upload before the blob was complete. Received bytes are kept unless noted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("{offset} bytes are stored; resume from there")]
    Offset { offset: u64 },
    #[error("the upload has more than {limit} bytes")]
    TooLong { limit: u64 },
    /// The received bytes are discarded.
    #[error("the BLAKE3 hash of the bytes is {actual}; send them again")]
    WrongHash { actual: BlobHash },
    #[error("the connection broke")]
    Broken,
    #[error("a later upload of the same blob replaced this one")]
    Superseded,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Blobs {
    /// Returns the partial upload of a blob under this key (a lease or the uploading principal).
    pub(crate) fn partial(&self, hash: BlobHash, key: &str) -> Partial {
        Partial::new(self.clone(), hash, key)
    }
}

/// Upload of one blob by one sender.
#[derive(Debug)]
pub(crate) struct Partial {
    blobs: Blobs,
    hash: BlobHash,
    path: PathBuf,
    /// Empty file. It exists once this sender has uploaded the whole blob.
    sent: PathBuf,
}

impl Partial {
    fn new(blobs: Blobs, hash: BlobHash, key: &str) -> Self {
        let name = format!("{hash}.{key}");
        let (path, sent) = (blobs.partial_folder().join(&name), blobs.sent_folder().join(&name));
        Self { blobs, hash, path, sent }
    }

    /// Returns the blob's length in bytes if this sender has uploaded all of it and it is still
    /// stored.
    pub(crate) fn whole(&self) -> io::Result<Option<u64>> {
        if self.sent.try_exists()? { self.blobs.length(self.hash) } else { Ok(None) }
    }

    /// Returns the number of received bytes.
    pub(crate) async fn offset(&self) -> io::Result<u64> {
        match fs::metadata(&self.path).await {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Receives the blob's bytes from `offset` to its end, at most `limit` bytes in all. The blob
    /// is complete when the stream has ended and the hash matches.
    pub(crate) async fn receive<E>(
        &self,
        offset: u64,
        limit: u64,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<(), UploadError> {
        let turn = self.take_turn();
        let _writing = turn.writing.lock().await;
        self.write(offset, limit, body, &turn.superseded).await?;
        self.finish().await
    }

    /// Stops the file's current writer, if there is one, and queues for the file.
    fn take_turn(&self) -> TurnGuard<'_> {
        let mut uploads = self.blobs.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        let writing = match uploads.get(&self.path) {
            Some(earlier) => {
                earlier.superseded.cancel();
                earlier.writing.clone()
            }
            None => Arc::default(),
        };
        let turn = Arc::new(Turn { writing, superseded: CancellationToken::new() });
        uploads.insert(self.path.clone(), turn.clone());
        TurnGuard { partial: self, turn }
    }

    async fn write<E>(
        &self,
        offset: u64,
        limit: u64,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        superseded: &CancellationToken,
    ) -> Result<(), UploadError> {
        let mut stored = self.offset().await?;
        if stored != offset {
            return Err(UploadError::Offset { offset: stored });
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path).await?;
        let mut granted = 0;
        let fault = loop {
            let chunk = tokio::select! {
                () = superseded.cancelled() => break Some(UploadError::Superseded),
                chunk = body.next() => chunk,
            };
            let chunk = match chunk {
                None => break None,
                Some(Ok(chunk)) => chunk,
                Some(Err(_)) => break Some(UploadError::Broken),
            };
            stored += chunk.len() as u64;
            if stored > limit {
                break Some(UploadError::TooLong { limit });
            }
            if granted < chunk.len() as u64 {
                granted = STRIDE.max(chunk.len() as u64);
                if let Err(error) = self.blobs.check_quota(chunk.len() as u64) {
                    break Some(error.into());
                }
            }
            granted -= chunk.len() as u64;
            if let Err(error) = file.write_all(&chunk).await {
                break Some(error.into());
            }
            self.blobs.points.pass(CrashPoint::UploadChunk);
        };
        let _place = self.blobs.place().await;
        let ended = match file.flush().await {
            Ok(()) => file.sync_all().await,
            Err(error) => Err(error),
        };
        if let Some(fault) = fault {
            return Err(fault);
        }
        ended?;
        self.blobs.points.pass(CrashPoint::UploadSynced);
        Ok(())
    }

    async fn finish(&self) -> Result<(), UploadError> {
        let (blobs, hash) = (self.blobs.clone(), self.hash);
        let (path, sent) = (self.path.clone(), self.sent.clone());
        let work = move || -> Result<(), UploadError> {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(std::fs::File::open(&path)?)?;
            let actual = BlobHash::from(hasher.finalize());
            if actual == hash {
                // Created first, because a blob that no sender may name would have to be sent
                // again.
                std::fs::File::create(&sent)?;
                sync_folder(&blobs.sent_folder())?;
                return Ok(blobs.adopt(&path, hash)?);
            }
            std::fs::remove_file(&path)?;
            Err(UploadError::WrongHash { actual })
        };
        let _place = self.blobs.place().await;
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }
}

/// Turn in the queue of writers, released however the upload ends. The server drops the future of a
/// broken connection.
struct TurnGuard<'a> {
    partial: &'a Partial,
    turn: Arc<Turn>,
}

impl Deref for TurnGuard<'_> {
    type Target = Turn;

    fn deref(&self) -> &Turn {
        &self.turn
    }
}

impl Drop for TurnGuard<'_> {
    fn drop(&mut self) {
        let uploads = &self.partial.blobs.uploads;
        let mut uploads = uploads.lock().unwrap_or_else(PoisonError::into_inner);
        let path = &self.partial.path;
        if uploads.get(path).is_some_and(|newest| Arc::ptr_eq(newest, &self.turn)) {
            uploads.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn chunks(parts: &[&'static [u8]]) -> impl Stream<Item = Result<Bytes, ()>> + Unpin {
        stream::iter(parts.iter().map(|part| Ok(Bytes::from_static(part))).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn a_broken_upload_goes_on_where_it_broke() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let hash = BlobHash::compute(b"hello world");
        let partial = blobs.partial(hash, "lease");
        let broken = stream::iter([Ok(Bytes::from_static(b"hello")), Err(())]);
        let fault = partial.receive(0, 100, broken).await.unwrap_err();
        assert!(matches!(fault, UploadError::Broken));
        let fault = partial.receive(0, 100, chunks(&[b"x"])).await.unwrap_err();
        assert!(matches!(fault, UploadError::Offset { offset: 5 }));
        partial.receive(5, 100, chunks(&[b" wor", b"ld"])).await.unwrap();
        assert_eq!(blobs.bytes(hash, 100).unwrap().unwrap(), b"hello world");
        assert_eq!(partial.offset().await.unwrap(), 0);
        assert_eq!(partial.whole().unwrap(), Some(11));
    }

    #[tokio::test]
    async fn a_sender_hears_of_its_own_bytes_alone() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let hash = blobs.put(b"hello").unwrap();
        let (one, other) = (blobs.partial(hash, "one"), blobs.partial(hash, "other"));
        assert_eq!(one.whole().unwrap(), None);
        // An upload of a stored blob works like any other.
        one.receive(0, 100, chunks(&[b"hello"])).await.unwrap();
        assert_eq!((one.whole().unwrap(), other.whole().unwrap()), (Some(5), None));
        assert_eq!(blobs.bytes(hash, 5).unwrap().unwrap(), b"hello");
        // A restart keeps the record, and no record is reported for a removed blob.
        let again = Blobs::open(folder.path()).unwrap();
        assert_eq!(again.partial(hash, "one").whole().unwrap(), Some(5));
        again.remove(hash).unwrap();
        assert_eq!(again.partial(hash, "one").whole().unwrap(), None);
        again.remove_partials(|_, _| false).unwrap();
        assert_eq!(std::fs::read_dir(again.sent_folder()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn bytes_with_another_hash_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let partial = blobs.partial(BlobHash::compute(b"a"), "lease");
        let fault = partial.receive(0, 100, chunks(&[b"b"])).await.unwrap_err();
        assert!(matches!(fault, UploadError::WrongHash { .. }));
        assert_eq!(partial.offset().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_later_upload_takes_over_from_one_that_hangs() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let hash = BlobHash::compute(b"ab");
        let hanging = blobs.partial(hash, "lease");
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, ()>>(1);
        let body = Box::pin(stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|item| (item, receiver))
        }));
        let first = tokio::spawn(async move { hanging.receive(0, 10, body).await });
        sender.send(Ok(Bytes::from_static(b"a"))).await.unwrap();
        // The channel has capacity again once the first upload has received the byte.
        let _room = sender.reserve().await.unwrap();
        let second = blobs.partial(hash, "lease");
        let fault = loop {
            match second.receive(1, 10, chunks(&[b"b"])).await {
                Err(UploadError::Offset { .. }) => {}
                other => break other,
            }
        };
        fault.unwrap();
        assert!(matches!(first.await.unwrap(), Err(UploadError::Superseded)));
    }
}
