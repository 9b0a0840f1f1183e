//! One staged file and its resumable upload.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use protocol::UploadId;
use protocol::dataset::upload::StagedUpload;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use crate::blobs::{Blobs, UploadError};

/// Number of bytes for which space is reserved at a time.
const STRIDE: u64 = 1 << 20;
/// Number of rows while none are read.
const NOT_READ: u64 = u64::MAX;

/// File that waits for its import. It is deleted on drop if [`StagedFile::end`] was called.
#[derive(Debug)]
pub(crate) struct StagedFile {
    id: UploadId,
    folder: PathBuf,
    path: PathBuf,
    filename: String,
    length: u64,
    blobs: Blobs,
    /// Lock of the upload's current request.
    writing: tokio::sync::Mutex<()>,
    /// Tells the current request to stop, because a later one replaces it.
    superseded: Mutex<CancellationToken>,
    ended: CancellationToken,
    /// Number of rows that a running import has read.
    rows_read: AtomicU64,
}

impl StagedFile {
    pub(super) fn create(
        id: UploadId,
        folder: PathBuf,
        filename: &str,
        length: u64,
        blobs: Blobs,
    ) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let path = folder.join(filename);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let new = Self {
            id,
            folder,
            path,
            filename: filename.to_owned(),
            length,
            blobs,
            writing: tokio::sync::Mutex::default(),
            superseded: Mutex::default(),
            ended: CancellationToken::new(),
            rows_read: AtomicU64::new(NOT_READ),
        };
        if file.is_err() {
            new.end();
        }
        file.map(|_| new)
    }

    pub(crate) fn id(&self) -> UploadId {
        self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the folder that contains only this file.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the number of stored bytes.
    pub(crate) fn received(&self) -> io::Result<u64> {
        Ok(fs::metadata(&self.path)?.len())
    }

    pub(crate) fn state(&self) -> io::Result<StagedUpload> {
        let rows = self.rows_read.load(Ordering::Relaxed);
        Ok(StagedUpload {
            id: self.id,
            filename: self.filename.clone(),
            received: self.received()?,
            length: self.length,
            rows_read: (rows != NOT_READ).then_some(rows),
        })
    }

    /// Sets the number of rows that a running import has read. `None` if none runs.
    pub(crate) fn set_rows_read(&self, rows: Option<u64>) {
        self.rows_read.store(rows.unwrap_or(NOT_READ), Ordering::Relaxed);
    }

    /// Marks the file for deletion and stops its upload.
    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    /// Returns a token that is cancelled when the file is deleted.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Counts as a use at this time.
    pub(super) fn touch(&self, now: SystemTime) -> io::Result<()> {
        fs::File::options().write(true).open(&self.path)?.set_modified(now)
    }

    /// Returns the time since the last use. `None` if the file can't be read.
    pub(super) fn unused_for(&self, now: SystemTime) -> Option<Duration> {
        let used = fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok()?;
        Some(now.duration_since(used).unwrap_or_default())
    }

    /// Receives the bytes from `offset` on. A later call replaces an earlier one. Received bytes are kept if
    /// the stream breaks.
    pub(crate) async fn receive<E>(
        &self,
        offset: u64,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<(), UploadError> {
        let superseded = self.take_turn();
        let _writing = self.writing.lock().await;
        let stored = self.received()?;
        if stored != offset {
            return Err(UploadError::Offset { offset: stored });
        }
        let mut file = tokio::fs::OpenOptions::new().append(true).open(&self.path).await?;
        let written = self.write(&mut file, stored, body, &superseded).await;
        let flushed = file.flush().await;
        if let Err(UploadError::TooLong { .. }) = written {
            // The file of this request is another one: none of its bytes count.
            file.set_len(offset).await?;
        }
        written?;
        Ok(flushed?)
    }

    /// Stops the upload's current request.
    fn take_turn(&self) -> CancellationToken {
        let mut current = self.superseded.lock().unwrap_or_else(PoisonError::into_inner);
        current.cancel();
        *current = CancellationToken::new();
        current.clone()
    }

    async fn write<E>(
        &self,
        file: &mut tokio::fs::File,
        mut stored: u64,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        superseded: &CancellationToken,
    ) -> Result<(), UploadError> {
        let mut granted = 0;
        loop {
            let chunk = tokio::select! {
                () = superseded.cancelled() => return Err(UploadError::Superseded),
                () = self.ended.cancelled() => return Err(UploadError::Broken),
                chunk = body.next() => chunk,
            };
            let Some(chunk) = chunk else { return Ok(()) };
            let chunk = chunk.map_err(|_| UploadError::Broken)?;
            stored += chunk.len() as u64;
            if stored > self.length {
                return Err(UploadError::TooLong { limit: self.length });
            }
            if granted < chunk.len() as u64 {
                granted = STRIDE.max(chunk.len() as u64);
                self.blobs.check_quota(granted)?;
            }
            granted -= chunk.len() as u64;
            file.write_all(&chunk).await?;
        }
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.ended.is_cancelled() {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, "could not remove an uploaded file");
        }
    }
}
