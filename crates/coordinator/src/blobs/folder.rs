//! Blob folder: reads, stores and removes whole blobs.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::BlobHash;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::quota::DiskQuota;
use super::turns::Uploads;
use crate::crash_points::{CrashPoint, CrashPoints};

/// Blob folder.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    pub(super) root: Arc<PathBuf>,
    pub(super) uploads: Arc<Uploads>,
    /// Blobs uploaded under each key since this process started.
    pub(super) begun: Arc<Mutex<HashMap<String, HashSet<BlobHash>>>>,
    pub(super) holds: Arc<AtomicUsize>,
    pub(super) quota: Arc<DiskQuota>,
    pub(super) points: CrashPoints,
    pub(super) places: Arc<Semaphore>,
}

/// Number of uploads that are synced, hashed or checked at the same time. More would not be faster,
/// and database commits would wait for the disk behind them.
const PLACES: usize = 4;

impl Blobs {
    /// Returns the folder `root` as it is, for reading.
    pub(crate) fn existing(root: &Path) -> Self {
        Self {
            root: Arc::new(root.to_owned()),
            uploads: Arc::default(),
            begun: Arc::default(),
            holds: Arc::default(),
            quota: Arc::new(DiskQuota::new(root, None)),
            points: CrashPoints::default(),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }

    /// Opens the folder `root`. Creates it if missing and removes leftovers of interrupted writes.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let blobs = Self::existing(root);
        fs::create_dir_all(blobs.partial_folder())?;
        fs::create_dir_all(blobs.sent_folder())?;
        let scratch = blobs.scratch_folder();
        match fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => fs::create_dir_all(&scratch)?,
        }
        Ok(blobs)
    }

    /// Sets the crash points to report.
    pub(crate) fn with_points(self, points: CrashPoints) -> Self {
        Self { points, ..self }
    }

    /// Sets the disk quota.
    pub(crate) fn with_quota(self, quota: DiskQuota) -> Self {
        Self { quota: Arc::new(quota), ..self }
    }

    /// Returns an error if there is no room for `bytes` more.
    pub(crate) fn check_quota(&self, bytes: u64) -> io::Result<()> {
        self.quota.check(bytes)
    }

    /// Prevents removals while the returned guard lives.
    pub(crate) fn hold(&self) -> BlobHold {
        self.holds.fetch_add(1, Ordering::SeqCst);
        BlobHold(self.holds.clone())
    }

    /// Returns whether a guard prevents removals.
    pub(crate) fn are_held(&self) -> bool {
        self.holds.load(Ordering::SeqCst) > 0
    }

    /// Waits for one of the permits for work on whole blobs. Dropping the permit releases it.
    pub(crate) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.places.acquire().await.ok()
    }

    /// Returns the path of the blob, whether it is stored or not.
    pub(crate) fn path(&self, hash: BlobHash) -> PathBuf {
        let name = hash.to_string();
        self.root.join(&name[..2]).join(&name[2..])
    }

    /// Returns the blob's length in bytes, or `None` if it isn't stored.
    pub(crate) fn length(&self, hash: BlobHash) -> io::Result<Option<u64>> {
        found(fs::metadata(self.path(hash)).map(|metadata| metadata.len()))
    }

    /// Opens the blob for reading. Returns `None` if it isn't stored.
    pub(crate) fn file(&self, hash: BlobHash) -> io::Result<Option<File>> {
        found(File::open(self.path(hash)))
    }

    /// Reads the whole blob. Returns `None` if it isn't stored or is longer than `most` bytes.
    pub(crate) fn bytes(&self, hash: BlobHash, most: u64) -> io::Result<Option<Vec<u8>>> {
        match self.length(hash)? {
            Some(length) if length <= most => found(fs::read(self.path(hash))),
            Some(_) | None => Ok(None),
        }
    }

    /// Stores these bytes.
    pub(crate) fn put(&self, bytes: &[u8]) -> io::Result<BlobHash> {
        let hash = BlobHash::compute(bytes);
        if self.length(hash)? == Some(bytes.len() as u64) {
            return Ok(hash);
        }
        let mut writer = self.writer()?;
        io::Write::write_all(&mut writer, bytes)?;
        writer.finish()
    }

    /// Returns whether one more blob may be uploaded under this key, which may have `most` of them.
    pub(crate) fn begin(&self, hash: BlobHash, key: &str, most: usize) -> bool {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let blobs = begun.entry(key.to_owned()).or_default();
        blobs.contains(&hash) || (blobs.len() < most && blobs.insert(hash))
    }

    /// Returns the number of bytes that may still be stored.
    pub(crate) fn quota_left(&self) -> io::Result<u64> {
        self.quota.left()
    }

    /// Returns the disk space.
    pub(crate) fn space(&self) -> io::Result<platform::files::Space> {
        platform::files::space(&self.root)
    }

    /// Removes the blob if it is stored.
    pub(crate) fn remove(&self, hash: BlobHash) -> io::Result<()> {
        found(fs::remove_file(self.path(hash))).map(|_| ())
    }

    /// Removes the blobs that are older than `age` and for which `keep` returns `false`.
    pub(crate) fn remove_older(
        &self,
        age: Duration,
        keep: impl Fn(BlobHash) -> bool,
    ) -> io::Result<()> {
        let mut old = self.older(age)?.into_iter();
        old.try_for_each(|hash| if keep(hash) { Ok(()) } else { self.remove(hash) })
    }

    /// Returns the blobs stored longer than `age` ago.
    pub(crate) fn older(&self, age: Duration) -> io::Result<Vec<BlobHash>> {
        let mut old = Vec::new();
        for folder in fs::read_dir(self.root.as_path())? {
            let folder = folder?;
            for entry in fs::read_dir(folder.path())? {
                let entry = entry?;
                let name = (folder.file_name(), entry.file_name());
                let name = format!("{}{}", name.0.to_string_lossy(), name.1.to_string_lossy());
                let Ok(hash) = name.parse::<BlobHash>() else { continue };
                // Another thread may have removed it.
                let stored = found(entry.metadata().and_then(|metadata| metadata.modified()))?;
                let since = stored.and_then(|stored| stored.elapsed().ok());
                if since.is_some_and(|since| since > age) {
                    old.push(hash);
                }
            }
        }
        Ok(old)
    }

    /// Removes partial uploads, and records of complete uploads, for whose keys `keep` returns
    /// `false`. `keep` also receives the time since the last bytes arrived.
    pub(crate) fn remove_partials(&self, keep: impl Fn(&str, Duration) -> bool) -> io::Result<()> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.retain(|key, _| keep(key, Duration::ZERO));
        drop(begun);
        let parts = fs::read_dir(self.partial_folder())?;
        for entry in parts.chain(fs::read_dir(self.sent_folder())?) {
            let entry = entry?;
            let name = entry.file_name();
            let key = name.to_str().and_then(|name| name.split_once('.')).map(|(_, key)| key);
            let age = found(entry.metadata().and_then(|metadata| metadata.modified()))?;
            let age = age.and_then(|written| written.elapsed().ok()).unwrap_or_default();
            if !key.is_some_and(|key| keep(key, age)) {
                found(fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }

    /// Creates a temporary file on the disk of the blobs. It is removed on drop.
    pub(crate) fn scratch(&self) -> io::Result<tempfile::NamedTempFile> {
        tempfile::NamedTempFile::new_in(self.scratch_folder())
    }

    /// Creates a temporary folder on the disk of the blobs. It is removed on drop.
    pub(crate) fn scratch_dir(&self) -> io::Result<tempfile::TempDir> {
        tempfile::tempdir_in(self.scratch_folder())
    }

    pub(super) fn partial_folder(&self) -> PathBuf {
        self.root.join("partial")
    }

    pub(super) fn sent_folder(&self) -> PathBuf {
        self.root.join("sent")
    }

    pub(super) fn scratch_folder(&self) -> PathBuf {
        self.root.join("scratch")
    }

    /// Moves a complete, durable file to the blob's path.
    pub(super) fn adopt(&self, file: &Path, hash: BlobHash) -> io::Result<()> {
        let path = self.path(hash);
        let folder = path.parent().unwrap_or(&self.root);
        self.points.pass(CrashPoint::BlobSynced);
        if !folder.is_dir() {
            fs::create_dir_all(folder)?;
            sync_folder(&self.root)?;
        }
        fs::rename(file, &path)?;
        self.points.pass(CrashPoint::BlobRenamed);
        sync_folder(folder)?;
        self.points.pass(CrashPoint::BlobStored);
        Ok(())
    }
}

/// Guard that prevents removals of blobs until it is dropped.
#[derive(Debug)]
pub(crate) struct BlobHold(Arc<AtomicUsize>);

impl Drop for BlobHold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Makes a new name in the folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Maps a missing file to `None`.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether a write failed for lack of space, so that it may succeed later.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_found_by_the_hash_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let hash = blobs.put(b"hello").unwrap();
        assert_eq!(hash, BlobHash::compute(b"hello"));
        assert_eq!(blobs.put(b"hello").unwrap(), hash);
        assert_eq!(blobs.bytes(hash, 5).unwrap().unwrap(), b"hello");
        assert_eq!(blobs.bytes(hash, 4).unwrap(), None);
        assert_eq!(blobs.length(BlobHash::compute(b"other")).unwrap(), None);
        blobs.remove(hash).unwrap();
        blobs.remove(hash).unwrap();
        assert_eq!(blobs.length(hash).unwrap(), None);
    }

    #[test]
    fn a_key_has_only_so_many_blobs_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let begin = |text: &str, key| blobs.begin(BlobHash::compute(text.as_bytes()), key, 2);
        assert!(begin("a", "one") && begin("b", "one") && begin("a", "one"));
        assert!(!begin("c", "one") && begin("c", "other"));
        blobs.remove_partials(|key, _| key != "one").unwrap();
        assert!(begin("c", "one"));
    }

    #[test]
    fn an_abandoned_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let mut writer = blobs.writer().unwrap();
        io::Write::write_all(&mut writer, b"half").unwrap();
        drop(writer);
        assert_eq!(fs::read_dir(blobs.scratch_folder()).unwrap().count(), 0);
    }
}
