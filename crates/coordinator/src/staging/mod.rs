//! Staged files: uploads that wait for their import as a dataset, as `DATA_DIR/staging/ID/FILENAME`.
//!
//! A file is deleted on request, after its import, after an hour without use, and at the next start. A file
//! that an import still reads is deleted when that import ends. The methods block, except those of uploads.

mod file;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use protocol::UploadId;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::blobs::Blobs;
use crate::clock;

pub(crate) use file::StagedFile;

/// Name of the folder in a data folder.
const FOLDER: &str = "staging";
/// Time after which an unused file is deleted.
const LIFETIME: Duration = Duration::from_hours(1);
/// Time between two searches for unused files.
const SEARCH_INTERVAL: Duration = Duration::from_mins(5);
/// Maximum number of staged files.
const MOST_FILES: usize = 1000;

/// Staged files of a coordinator.
#[derive(Debug)]
pub(crate) struct Staging {
    root: PathBuf,
    blobs: Blobs,
    files: Mutex<HashMap<UploadId, Arc<StagedFile>>>,
}

/// Reason why a file can't be staged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StagingError {
    #[error(
        "{MOST_FILES} files are uploaded and not imported; delete some, or upload a folder as one tar or \
         zip file"
    )]
    TooMany,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Staging {
    /// Opens the staging folder of a data folder. Removes the files of an earlier process, which may be torn.
    pub(crate) fn open(data_dir: &Path, blobs: Blobs) -> io::Result<Self> {
        let root = data_dir.join(FOLDER);
        match fs::remove_dir_all(&root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        Ok(Self { root, blobs, files: Mutex::default() })
    }

    /// Creates an empty file of this name. Its upload has `length` bytes in all.
    pub(crate) fn create(
        &self,
        filename: &str,
        length: u64,
    ) -> Result<Arc<StagedFile>, StagingError> {
        self.remove_unused(clock::system_time());
        if self.blobs.quota_left()? < length {
            // Bytes are granted as they arrive. This makes the error.
            self.blobs.check_quota(length)?;
        }
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= MOST_FILES {
            return Err(StagingError::TooMany);
        }
        let id = UploadId::from_uuid(Uuid::now_v7());
        let folder = self.root.join(id.to_string());
        let file = Arc::new(StagedFile::create(id, folder, filename, length, self.blobs.clone())?);
        files.insert(id, file.clone());
        Ok(file)
    }

    /// Returns a file and counts this as its use. `None` if there is none, or it was not used for too long.
    pub(crate) fn file(&self, id: UploadId) -> io::Result<Option<Arc<StagedFile>>> {
        self.remove_unused(clock::system_time());
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = files.get(&id).cloned() else { return Ok(None) };
        drop(files);
        file.touch(clock::system_time())?;
        Ok(Some(file))
    }

    /// Deletes a file. Returns `false` if there is none.
    pub(crate) fn remove(&self, id: UploadId) -> bool {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let file = files.remove(&id);
        drop(files);
        file.inspect(|file| file.end()).is_some()
    }

    /// Deletes the files that were not used for an hour before `now`.
    fn remove_unused(&self, now: SystemTime) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = files.extract_if(|_, file| {
            // An upload, an inspection or an import that runs holds the file.
            Arc::strong_count(file) == 1 && file.unused_for(now).is_none_or(|time| time > LIFETIME)
        });
        let unused: Vec<_> = unused.collect();
        drop(files);
        for (id, file) in unused {
            tracing::debug!(%id, "an uploaded file was not used for an hour");
            file.end();
        }
    }

    /// Deletes unused files until `stopping` is cancelled.
    pub(crate) async fn run(self: Arc<Self>, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SEARCH_INTERVAL) => {}
                () = stopping.cancelled() => return,
            }
            let staging = self.clone();
            let removed =
                tokio::task::spawn_blocking(move || staging.remove_unused(clock::system_time()))
                    .await;
            if let Err(error) = removed {
                tracing::warn!(%error, "could not remove unused uploads");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;

    use super::*;

    fn staging(folder: &Path) -> Staging {
        let blobs = Blobs::open(&folder.join("blobs")).unwrap();
        Staging::open(folder, blobs).unwrap()
    }

    fn left(folder: &Path) -> usize {
        fs::read_dir(folder.join(FOLDER)).map_or(0, Iterator::count)
    }

    fn body(parts: &[&'static [u8]]) -> impl futures::Stream<Item = Result<Bytes, ()>> + Unpin {
        stream::iter(parts.iter().map(|part| Ok(Bytes::from_static(part))).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn a_file_that_an_import_reads_lasts_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let staging = staging(folder.path());
        let file = staging.create("rows.csv", 5).unwrap();
        file.receive(0, body(&[b"he", b"llo"])).await.unwrap();
        assert!(staging.remove(file.id()));
        assert!(!staging.remove(file.id()) && staging.file(file.id()).unwrap().is_none());
        assert_eq!(fs::read(file.path()).unwrap(), b"hello");
        drop(file);
        assert_eq!(left(folder.path()), 0);
    }

    #[tokio::test]
    async fn an_unused_file_is_deleted_after_an_hour_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let staging = staging(folder.path());
        let used = staging.create("used.csv", 5).unwrap();
        let unused = staging.create("unused.csv", 5).unwrap().id();
        let later = |minutes| clock::system_time() + Duration::from_mins(minutes);
        staging.remove_unused(later(59));
        assert_eq!(left(folder.path()), 2);
        staging.remove_unused(later(61));
        assert_eq!(left(folder.path()), 1);
        assert!(staging.file(unused).unwrap().is_none());
        assert!(staging.file(used.id()).unwrap().is_some());
    }

    #[tokio::test]
    async fn a_broken_upload_goes_on_where_it_broke_and_has_no_byte_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let staging = staging(folder.path());
        let file = staging.create("rows.csv", 5).unwrap();
        let broken = stream::iter([Ok(Bytes::from_static(b"he")), Err(())]);
        file.receive(0, broken).await.unwrap_err();
        assert_eq!(file.received().unwrap(), 2);
        file.receive(0, body(&[b"hello"])).await.unwrap_err();
        file.receive(2, body(&[b"llo!"])).await.unwrap_err();
        assert_eq!(file.received().unwrap(), 2);
        file.receive(2, body(&[b"llo"])).await.unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"hello");
    }

    #[test]
    fn a_start_removes_what_an_earlier_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let first = staging(folder.path());
        first.create("rows.csv", 5).unwrap();
        drop(first);
        assert_eq!(left(folder.path()), 1);
        staging(folder.path());
        assert_eq!(left(folder.path()), 0);
    }
}
